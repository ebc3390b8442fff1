"""What bars hide: bounds, and finer bars that fall between them."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.perp_market import prices_of

from delever.engine.backtest import backtest
from delever.engine.kernel import run_account
from delever.engine.orders import before_bars, laid_out
from delever.engine.settings import Account, FundingSeries, orders_of
from delever.engine.simulate import start_state
from delever.engine.steps import walk
from delever.engine.terms import terms
from delever.venues.brackets import bracket_table
from delever.venues.contract import PerpContract
from delever.venues.costs import Costs
from delever.venues.margin_formulas import FORMULAS
from delever.venues.rules import Fees, Rules

DAYS = pd.date_range("2021-01-01", periods=6, tz="UTC", name="open_time").as_unit("ns")
HOURS = pd.date_range(DAYS[0], periods=145, freq="h", name="open_time").as_unit("ns")
NAMES = ["open", "high", "low", "close"]
CONTRACTS = {
    "linear": PerpContract(symbol="BTC/USDT:USDT"),
    "inverse": PerpContract(symbol="BTC/USD:BTC", kind="inverse"),
}


def rules(kind: str, rate: float, day: int) -> Rules:
    return Rules(
        venue="test",
        valid_from=dt.date(2021, 1, day),
        contract=CONTRACTS[kind],
        formula=FORMULAS["flat_rate"],
        brackets=bracket_table([(1e15, rate, 20.0)], progressive=False),
        fees=Fees(maker=0.0, taker=0.0005, liquidation=0.005),
        funding_hours=(8,),
        notes=(),
    )


COSTS = Costs(taker_fee=0.0005, slippage=0.001)


@st.composite
def runs(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, dict[str, Any]]:
    """Hourly bars without jumps, the daily bars they make, targets, and an account."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    days, wild = draw(st.integers(2, 6)), draw(st.sampled_from([0.003, 0.01, 0.03]))
    prices = prices_of(chance, 24 * days, wild, gaps=False)
    hours = pd.DataFrame(prices, HOURS[: len(prices)], NAMES)
    open_, high, low, close = prices.reshape(days, 24, 4).transpose(2, 0, 1)
    merged = np.column_stack([open_[:, 0], high.max(axis=1), low.min(axis=1), close[:, -1]])
    bars = pd.DataFrame(merged, DAYS[:days], NAMES)
    leverage = draw(st.sampled_from([1.0, 4.0, 15.0]))
    kind = draw(st.sampled_from(["linear", "inverse"]))
    later = draw(st.sampled_from([(), (rules(kind, 0.03, 3),)]))
    mark = None
    if draw(st.booleans()):  # some way off the last price, and as continuous as it is
        away = np.exp(0.3 * wild * np.cumsum(chance.standard_normal(len(prices) + 1)))
        edges = np.append(prices[:, 0], prices[-1, 3]) * away / away[0]
        opened, closed = edges[:-1], edges[1:]
        top = np.maximum(opened, closed) * (prices[:, 1] / prices[:, [0, 3]].max(1))
        bottom = np.minimum(opened, closed) * (prices[:, 2] / prices[:, [0, 3]].min(1))
        mark = pd.DataFrame(np.column_stack([opened, top, bottom, closed]), hours.index, NAMES)
    targets = leverage * chance.choice([-1.0, -0.5, 0.5, 1.0], days)
    stamps = HOURS[: len(prices) + 1 : 8]
    account = {
        "contract": CONTRACTS[kind],
        "rules": (rules(kind, 0.01, 1), *later),
        "mark": mark,
        "leverage": leverage,
        "margin_mode": draw(st.sampled_from(["isolated", "cross"])),
        "funding": FundingSeries(stamps=stamps.asi8, rates=chance.normal(0.0, 0.002, len(stamps))),
        "stop_loss": draw(st.sampled_from([None, 0.02, 0.1])),
        "take_profit": draw(st.sampled_from([None, 0.02, 0.1])),
        "trailing_stop": draw(st.sampled_from([None, 0.05])),
        "limit_offset": draw(st.sampled_from([None, None, 0.005])),
    }
    return bars, hours, pd.Series(targets, bars.index), account


def equities(case: Any, perp: Account, orders: pd.DataFrame | None = None) -> dict[str, np.ndarray]:
    """Equity of the run, the worst and the best, without the tables of a backtest."""
    bars, _, targets, _ = case
    index = pd.DatetimeIndex(bars.index)
    held, _, _ = terms(bars, index, perp, COSTS, timeframe="1d", earlier=None)
    asked = np.append(0.0, targets.to_numpy()[:-1])
    found = {}
    said = None if orders is None else before_bars(orders.assign(exposure=targets), 0.0, perp)
    for resolution in ("run", "worst", "best"):
        path = walk(index, bars.to_numpy(), perp, timeframe="1d", resolution=resolution)
        opened = float(path.market.marks[0, 0])
        closed = path.market.marks[path.market.first[1:] - 1, 3]
        of_account = orders_of(perp, resolution=resolution)
        wealth, side, worth = 10_000.0, 1.0, np.ones(len(closed))
        if perp.inverse:
            wealth, side, worth = 10_000.0 * opened, -1.0, 1.0 / closed
        state = start_state(wealth, opened)
        told = laid_out(said, side * asked, of_account)
        ledger, _, refused, _ = run_account(
            path.market, side * asked, held, of_account, state, told
        )
        assert refused == -1
        found[resolution] = ledger[:, 0] * worth
    return found


def between(equity: np.ndarray, bounds: dict[str, np.ndarray]) -> bool:
    room = 1e-9 * np.maximum(bounds["best"], 1.0)
    return bool(((equity >= bounds["worst"] - room) & (equity <= bounds["best"] + room)).all())


@settings(max_examples=500)
@given(case=runs())
def test_a_run_and_its_finer_walk_lie_between_the_bounds(case: Any) -> None:
    _, hours, _, account = case
    daily = equities(case, Account(**account))
    assert between(daily["run"], daily)
    # The best price of a trailing stop is that of the closes that are walked: finer ones, another.
    account["trailing_stop"] = None
    daily = equities(case, Account(**account))
    hourly = equities(case, Account(**account, detail=hours))
    assert between(hourly["run"], hourly)
    # Hourly bars hide no more than the daily ones they make.
    for resolution in ("run", "worst", "best"):
        assert between(hourly[resolution], daily)


@settings(max_examples=500)
@given(case=runs(), seed=st.integers(0, 2**32 - 1))
def test_ladders_on_finer_bars_lie_between_the_bounds(case: Any, seed: int) -> None:
    chance, (bars, hours, targets, account) = np.random.default_rng(seed), case
    # With a mark of its own a rung and a liquidation are met on two series, in no known order.
    account |= {"trailing_stop": None, "limit_offset": None, "mark": None}
    # Funding inside a bar changes the equity that the next rung is sized on, either way.
    account |= {"funding": None, "funding_policy": "missing-is-zero"}
    # Distances are of the average entry, which every rung moves.
    account |= {"stop_loss": None, "take_profit": None}
    # Adding and then leaving at the target is better than leaving before unless fees eat it, so
    # rungs and targets are further apart than those.
    side, close = np.sign(targets), bars["close"]
    ladder = pd.DataFrame({"limit_price": close * (1.0 - side * chance.choice([0.004, 0.01]))})
    ladder["exposure_2"] = targets
    ladder["limit_price_2"] = close * (1.0 - side * chance.choice([0.012, 0.03]))
    if chance.random() < 0.5:
        ladder["take_profit_price"] = close * (1.0 + side * chance.choice([0.005, 0.02]))
    if chance.random() < 0.5:
        ladder["stop_price"] = close * (1.0 - side * chance.choice([0.035, 0.06]))
    if chance.random() < 0.5:
        ladder["limit_price"] = ladder["limit_price"].where(chance.random(len(bars)) < 0.5)
    case = bars, hours, targets * chance.choice([0.2, 0.5]), account
    daily = equities(case, Account(**account), ladder)
    hourly = equities(case, Account(**account, detail=hours), ladder)
    assert between(daily["run"], daily)
    assert between(hourly["run"], hourly)
    for resolution in ("run", "worst", "best"):
        assert between(hourly[resolution], daily)


@pytest.mark.parametrize(
    ("stop_loss", "worst", "best"),
    [
        (0.095, 500.0, 525.0),  # 50 units lose 475 at 90.5; the liquidation at 90.91 takes 500
        (0.15, 250.0, 500.0),  # at 85 they lose 750, of which the margin is only 500
    ],
)
@pytest.mark.parametrize("engine", ["numba", "plain"], indirect=True)
def test_a_stop_beyond_the_liquidation_price_may_come_first_on_another_series(
    stop_loss: float, worst: float, best: float, engine: Any
) -> None:
    # 500 + 50 (p - 100) = 0.01 * 50 p at 90.91; last and mark price both get past it.
    still = [100.0, 100.0, 100.0, 100.0]
    bars, mark = (
        pd.DataFrame([still, [100.0, 100.0, low, 95.0]], DAYS[:2], NAMES) for low in (84.0, 90.0)
    )
    free = replace(rules("linear", 0.01, 1), fees=Fees(maker=0.0, taker=0.0, liquidation=0.0))
    perp = Account(
        contract=CONTRACTS["linear"], rules=free, leverage=10.0, mark=mark, stop_loss=stop_loss,
        funding_policy="missing-is-zero", bounds=True,
    )  # fmt: skip
    done = backtest(
        bars, pd.Series(5.0, bars.index), timeframe="1d", initial_equity=1000.0, account=perp,
        engine=engine,
    )  # fmt: skip
    assert done.fills["reason"].iloc[-1] == "liquidation"
    assert done.equity.iloc[-1] == pytest.approx(500.0)
    assert done.ambiguous_bars == 1
    assert done.bounds is not None
    assert done.bounds.iloc[-1].tolist() == pytest.approx([worst, best])


@settings(max_examples=50)
@given(case=runs())
def test_a_backtest_reports_these_bounds(case: Any) -> None:
    bars, _, targets, account = case
    perp = Account(**account, bounds=True)
    done = backtest(bars, targets, timeframe="1d", costs=COSTS, account=perp)
    found = equities(case, perp)
    assert done.bounds is not None
    np.testing.assert_array_equal(done.equity, found["run"])
    np.testing.assert_array_equal(done.bounds["worst"], np.min(list(found.values()), axis=0))
    np.testing.assert_array_equal(done.bounds["best"], np.max(list(found.values()), axis=0))


@settings(max_examples=100)
@given(case=runs())
def test_trades_and_attribution_add_up_to_the_change_in_equity(case: Any) -> None:
    bars, _, targets, account = case
    done = backtest(
        bars, targets, timeframe="1d", costs=COSTS,
        account=Account(**account),
    )  # fmt: skip
    change = float(done.equity.iloc[-1]) - done.initial_equity
    scale = 1e-9 * (done.initial_equity + done.ledger["price_pnl"].abs().max())
    assert abs(done.attribution.sum() - change) <= scale
    steps = done.equity.diff().fillna(done.equity - done.initial_equity)
    assert (done.parts.sum(axis=1) - steps).abs().max() <= scale
    coins = done.ledger["collateral"].sum() if "collateral" in done.ledger else 0.0
    assert abs(done.trades["net_pnl"].sum() + coins - change) <= scale
    assert abs(done.trades["gross_pnl"].sum() - done.ledger["price_pnl"].sum()) <= scale
    for name in ("fee", "slippage", "liquidation", "funding", "borrow"):
        gap = done.trades[name].sum() - done.ledger[name].sum()
        assert abs(gap) <= 1e-9 * done.initial_equity
