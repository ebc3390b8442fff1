"""Accounts that hold coins: contracts in dollars, settled in the coin, by hand and against spot."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.perp_market import market

from delever.engine.backtest import Backtest, backtest, rerun
from delever.engine.settings import Account, FundingSeries
from delever.engine.sweep_market import sweep_market
from delever.errors import InputError
from delever.venues.brackets import bracket_table
from delever.venues.contract import PerpContract
from delever.venues.costs import Costs
from delever.venues.margin_formulas import FORMULAS
from delever.venues.rulebook import load_rulebook
from delever.venues.rules import Fees, Rules
from delever.venues.slippage import Impact

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / ".." / "shared" / "vectors" / "liquidation.json"
CONTRACT = PerpContract(symbol="BTC/USD:BTC", kind="inverse")
engines = pytest.mark.parametrize("engine", ["numba", "plain"], indirect=True)


def rules(rate: float = 0.01, *, formula: str = "bybit_mark", liquidation: float = 0.0) -> Rules:
    return Rules(
        venue="test",
        valid_from=dt.date(2020, 1, 1),
        contract=CONTRACT,
        formula=FORMULAS[formula],
        brackets=bracket_table([(1e9, rate, 50.0)], progressive=True),
        fees=Fees(maker=0.0, taker=0.0, liquidation=liquidation),
        funding_hours=(8,),
        notes=(),
    )


def perp(**options: Any) -> Account:
    given = {"contract": CONTRACT, "rules": rules(), "funding_policy": "missing-is-zero"}
    return Account(**(given | options))


def run(bars: pd.DataFrame, targets: Sequence[float], account: Account, **more: Any) -> Backtest:
    options: dict[str, Any] = {"timeframe": "1d", "initial_equity": 10_000.0, **more}
    return backtest(bars, pd.Series(targets, bars.index, dtype=float), account=account, **options)


STILL = (50_000, 50_000, 50_000, 50_000)


@engines
def test_a_short_of_all_it_has_is_a_dollar_that_stays_a_dollar(engine: Any) -> None:
    bars = market(
        STILL,
        (50_000, 50_000, 40_000, 40_000),
        (40_000, 70_000, 40_000, 60_000),
        (60_000, 90_000, 30_000, 45_000),
    )
    done = run(bars, [-1, -1, -1, -1], perp(), engine=engine)
    assert done.equity.tolist() == pytest.approx([10_000] * 4, rel=1e-12)
    assert done.fills["position"].tolist() == pytest.approx([-10_000])
    # 0.2 coins fall by 10,000 each; 10,000 dollars short win 10,000 (1/40,000 - 1/50,000) = 0.05
    # coins of 40,000. There it holds 0.25 coins: they gain 20,000 each, and so on.
    assert done.ledger["collateral"].tolist() == pytest.approx([0, -2_000, 5_000, -2_500])
    assert done.ledger["price_pnl"].tolist() == pytest.approx([0, 2_000, -5_000, 2_500])
    assert done.ledger["cash"].tolist() == pytest.approx([10_000, 0, 0, 0], abs=1e-9)
    assert done.ledger["exposure"].tolist() == pytest.approx([0, -1, -1, -1])
    assert done.attribution["collateral"] == pytest.approx(500)
    assert any("settled in coins: 0.2 were bought at 50,000" in note for note in done.fidelity)


@engines
def test_without_a_position_the_account_is_its_coins(engine: Any) -> None:
    bars = market(STILL, (50_000, 50_000, 25_000, 25_000), (25_000, 100_000, 25_000, 100_000))
    done = run(bars, [0, 0, 0], perp(), engine=engine)
    assert done.equity.tolist() == pytest.approx([10_000, 5_000, 20_000])
    assert done.ledger["price_pnl"].tolist() == [0, 0, 0]
    assert done.fills.empty
    assert done.trades.empty


@engines
def test_the_target_is_reached_at_the_fill_and_the_fee_is_paid_in_coins(engine: Any) -> None:
    bars = market(STILL, (50_000, 60_000, 50_000, 60_000), (60_000,) * 4)
    costs = Costs(taker_fee=0.001)
    done = run(bars, [2, 0, 0], perp(leverage=2.0, rules=rules(0.001)), costs=costs, engine=engine)
    # n coins of size with n = 2 (0.2 - 0.001 n): the fee is 0.001 n coins.
    size = 0.4 / 1.002
    entry, left = done.fills.iloc[0], done.fills.iloc[1]
    assert entry["position"] == pytest.approx(size * 50_000)
    assert (entry["exposure"], entry["equity"]) == (pytest.approx(2.0), pytest.approx(10_000))
    assert (entry["price"], entry["notional"]) == pytest.approx((50_000, size * 50_000))
    # Stated in quote at the close of its bar, as all that happened in it.
    assert entry["fee"] == pytest.approx(0.001 * size * 60_000)
    won = size * 50_000 * (1 / 50_000 - 1 / 60_000)
    coins = 0.2 - 0.001 * size + won
    assert done.equity.iloc[1] == pytest.approx(coins * 60_000)
    assert done.ledger["exposure"].iloc[1] == pytest.approx(size * 50_000 / 60_000 / coins)
    assert done.ledger["entry_price"].iloc[1] == pytest.approx(50_000)
    assert left["equity"] == pytest.approx(coins * 60_000)
    assert done.equity.iloc[2] == pytest.approx((coins - 0.001 * size * 5 / 6) * 60_000)
    trade = done.trades.iloc[0]
    assert trade["gross_pnl"] == pytest.approx(won * 60_000)
    assert (trade["entry_price"], trade["exit_price"]) == pytest.approx((50_000, 60_000))
    assert trade["side"] == 1


@engines
def test_the_entry_price_of_what_was_added_is_the_harmonic_mean(engine: Any) -> None:
    bars = market(STILL, STILL, (25_000,) * 4)
    account = perp(leverage=4.0, margin_mode="cross", rules=rules(0.001))
    done = run(bars, [0.5, 3.0, 3.0], account, engine=engine)
    # 5,000 dollars at 50,000; at 25,000 the 0.2 coins are 0.1, so 7,500 dollars make 3.
    assert done.fills["position"].tolist() == pytest.approx([5_000, 7_500])
    harmonic = 7_500 / (5_000 / 50_000 + 2_500 / 25_000)
    assert done.ledger["entry_price"].iloc[2] == pytest.approx(harmonic)
    assert done.trades["entry_price"].tolist() == pytest.approx([harmonic])


@engines
def test_funding_is_paid_in_coins_on_the_value_at_the_mark(engine: Any) -> None:
    series = FundingSeries.of(
        pd.Series(
            [0.0, 0.01, 0.02],
            pd.DatetimeIndex(["2021-01-01", "2021-01-02", "2021-01-03"], tz="UTC"),
        )
    )
    bars = market(STILL, (50_000, 50_000, 40_000, 40_000), (40_000, 50_000, 40_000, 50_000))
    account = perp(leverage=2.0, funding=series, funding_policy="required")
    done = run(bars, [-1, -1, -1], account, engine=engine)
    # 10,000 dollars at 40,000 are 0.25 coins; the short receives 2 % of them, at last 50,000 each.
    assert done.ledger["funding"].tolist() == pytest.approx([0, 0, 0.25 * 0.02 * 50_000])
    assert done.equity.iloc[2] == pytest.approx(10_000 + 250)
    assert done.trades["funding"].tolist() == pytest.approx([250])
    marked = FundingSeries(
        stamps=series.stamps, rates=series.rates, mark_prices=np.array([5e4, 5e4, 8e4])
    )
    other = run(bars, [1, 1, 1], perp(leverage=2.0, funding=marked), engine=engine)
    assert other.ledger["funding"].iloc[2] == pytest.approx(-10_000 / 80_000 * 0.02 * 50_000)
    unpaid = replace(other.account, funding=None, funding_policy="missing-is-zero")
    assert rerun(other, account=unpaid).ledger["funding"].sum() == 0.0
    alone = rerun(other, tables=False)
    assert alone.equity.tolist() == other.equity.tolist()


PUBLISHED = 45_662.10


@pytest.mark.skipif(not VECTORS.is_file(), reason="the shared vectors are not here")
def test_the_price_below_is_the_published_one() -> None:
    told = json.loads(VECTORS.read_text())["inverse_bybit_2024"]["rows"][0]
    asked = (told["q_usd"], told["entry"], told["leverage"], told["mmr"])
    assert asked == (60_000, 50_000, 10, 0.005)
    assert told["liquidation_price"] == PUBLISHED


@engines
@pytest.mark.parametrize(
    ("side", "price"),
    [
        (1, PUBLISHED),  # Bybit, as published: 60,000 / (1.2 + 0.12 - 0.006)
        (-1, 60_000 / (1.2 - (0.12 - 0.006))),
    ],
)
def test_bybits_inverse_contract_is_liquidated_where_bybit_says(
    side: int, price: float, engine: Any
) -> None:
    bars = market(STILL, (50_000, 60_000, 40_000, 50_000), STILL)
    bars.index = bars.index + pd.Timedelta(days=1_500)  # 2025, under the formula of 2024
    book = load_rulebook(ROOT / "data" / "venues" / "bybit.toml")
    account = perp(contract=CONTRACT, rules=book, leverage=10.0)
    done = run(bars, [side] * 3, account, initial_equity=60_000.0, costs=Costs(), engine=engine)
    forced = done.fills.iloc[-1]
    assert (forced["reason"], forced["position"]) == ("liquidation", 0.0)
    assert forced["quantity"] == pytest.approx(-side * 60_000)
    assert forced["price"] == pytest.approx(price, rel=1e-6)
    # Of 1.2 coins the margin of 0.12 is lost.
    assert done.equity.tolist() == pytest.approx([60_000, 1.08 * 50_000, 1.08 * 50_000])
    ticked = perp(contract=book.at(dt.date(2025, 2, 9), CONTRACT.symbol).contract, rules=book)
    held = run(bars, [side] * 3, ticked, initial_equity=60_000.0, costs=Costs(), engine=engine)
    assert held.fills["position"].iloc[0] == side * 60_000


@engines
def test_a_long_without_leverage_is_liquidated_when_its_coins_have_halved(engine: Any) -> None:
    # e + k (1/E - 1/p) = 0.01 k/p with e = k/E: 2/E = 1.01/p
    bars = market(STILL, (50_000, 50_000, 26_000, 26_000), (26_000, 26_000, 25_000, 26_000), STILL)
    account = perp(margin_mode="cross", rules=rules(liquidation=0.005))
    done = run(bars, [1, 1, 1, 1], account, engine=engine)
    forced = done.fills.iloc[-1]
    assert forced["price"] == pytest.approx(1.01 * 25_000)
    assert done.equity.tolist()[2:] == [0, 0]
    assert done.ledger["liquidation_price"].iloc[1] == pytest.approx(1.01 * 25_000)
    size = 10_000 / 25_250  # coins at the trigger; all of 1 % is kept, half of it is the fee
    assert forced["fee"] == pytest.approx(0.005 * size * 26_000)
    assert done.ledger["liquidation"].iloc[2] == pytest.approx(-0.005 * size * 26_000)


@engines
def test_a_short_of_all_it_has_cannot_be_liquidated(engine: Any) -> None:
    bars = market(STILL, (50_000, 5e9, 50_000, 5e9))
    done = run(bars, [-1, -1], perp(margin_mode="cross"), engine=engine)
    assert done.trades["status"].tolist() == ["open"]
    assert done.ledger["liquidation_price"].isna().all()
    assert done.equity.iloc[-1] == pytest.approx(10_000)


@engines
@pytest.mark.parametrize(
    ("target", "options", "bar", "price", "reason"),
    [
        (1, {"stop_loss": 0.1}, (50_000, 50_000, 44_000, 44_000), 45_000, "stop_loss"),
        (-1, {"stop_loss": 0.1}, (50_000, 56_000, 50_000, 56_000), 55_000, "stop_loss"),
        (1, {"take_profit": 0.2}, (50_000, 66_000, 50_000, 66_000), 60_000, "take_profit"),
        (-1, {"take_profit": 0.2}, (50_000, 50_000, 38_000, 50_000), 40_000, "take_profit"),
        (1, {"trailing_stop": 0.2}, (50_000, 50_000, 39_000, 39_000), 40_000, "trailing_stop"),
        (-1, {"stop_loss": 1.5}, (50_000, 130_000, 50_000, 50_000), 125_000, "stop_loss"),
        (-1, {"take_profit": 1.5}, (50_000, 50_000, 1, 50_000), None, None),
        (1, {"stop_loss": 1.5}, (50_000, 50_000, 30_000, 50_000), None, None),
    ],
)
def test_distances_of_orders_are_fractions_of_the_quoted_price(
    target: int, options: Any, bar: Any, price: float | None, reason: str | None, engine: Any
) -> None:
    bars = market(STILL, bar, STILL)
    done = run(bars, [target] * 3, perp(**options), costs=Costs(slippage=0.01), engine=engine)
    entry = 50_000 * (1 + 0.01 * target)
    assert done.fills["price"].iloc[0] == pytest.approx(entry)
    if price is None:
        assert len(done.fills) == 1
    else:
        assert done.fills["reason"].tolist() == ["target", reason]
        asked = price * entry / 50_000
        assert done.fills["price"].iloc[1] == pytest.approx(asked * (1 - 0.01 * target))


@engines
def test_a_trailing_stop_follows_the_best_close(engine: Any) -> None:
    bars = market(STILL, (50_000, 90_000, 50_000, 80_000), (80_000, 80_000, 55_000, 55_000))
    done = run(bars, [0.5] * 3, perp(trailing_stop=0.3), engine=engine)
    assert done.fills["price"].tolist() == pytest.approx([50_000, 0.7 * 80_000])
    limit = run(bars, [-0.5] * 3, perp(limit_offset=0.1), engine=engine)
    assert limit.fills["price"].tolist() == pytest.approx([55_000])
    assert limit.fills["reason"].tolist() == ["limit"]


def test_impact_is_the_share_of_the_coins_traded_before() -> None:
    bars = market((50_000, 55_000, 50_000, 50_000), STILL, STILL).assign(volume=[20.0, 5.0, 5.0])
    done = run(bars, [1, 1, 1], perp(), costs=Impact(coefficient=0.5))
    sigma = np.log(1.1) / (2 * np.sqrt(np.log(2)))
    fraction = 0.5 * sigma * np.sqrt(0.2 / 20.0)
    assert done.fills["price"].iloc[0] == pytest.approx(50_000 * (1 + fraction))


def test_a_window_of_it_adds_up_from_the_equity_before() -> None:
    bars = market(STILL, (50_000, 50_000, 40_000, 40_000), (40_000, 60_000, 40_000, 60_000))
    done = run(bars, [0.5] * 3, perp())
    part = done.window(bars.index[1], bars.index[2] + pd.Timedelta(days=1))
    assert part.attribution.sum() == pytest.approx(done.equity.iloc[2] - done.equity.iloc[0])


def test_a_sweep_does_not_cover_it() -> None:
    with pytest.raises(InputError, match="do not cover an inverse contract"):
        sweep_market(market(STILL, STILL), timeframe="1d", account=perp())


@st.composite
def walks(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.Series]:
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.integers(2, 40))
    close = 1_000.0 * np.exp(np.cumsum(0.05 * chance.standard_normal(size)))
    opened = np.append(1_000.0, close[:-1]) * np.exp(0.02 * chance.standard_normal(size))
    top, bottom = np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.99
    bars = market(*zip(opened, top, bottom, close, strict=True))
    targets = chance.choice([-1.0, -0.75, -0.5, 0.0], size)
    return bars, pd.Series(targets, bars.index)


@settings(max_examples=60)
@given(case=walks(), slippage=st.sampled_from([0.0, 0.003, 0.05]))
def test_an_exposure_is_a_spot_exposure_less_the_coins_it_holds(case: Any, slippage: float) -> None:
    # Short of a share of its coins, the account holds the rest: the spot account of 1 + target. Its
    # own first coins are free, so growth is compared.
    bars, targets = case
    costs = Costs(slippage=slippage)
    account = perp(margin_mode="cross", rules=rules(1e-6))
    inverse = backtest(bars, targets, timeframe="1d", costs=costs, account=account)
    spot = backtest(bars, 1.0 + targets, timeframe="1d", costs=costs, initial_target=1.0)
    np.testing.assert_allclose(
        inverse.equity / inverse.equity.iloc[0], spot.equity / spot.equity.iloc[0], rtol=1e-9
    )
    np.testing.assert_allclose(
        inverse.ledger["cash"] / inverse.equity, spot.ledger["exposure"], rtol=1e-9, atol=1e-9
    )


def test_it_is_vectorbts_spot_portfolio_of_one_more() -> None:
    vbt = pytest.importorskip("vectorbt")
    chance = np.random.default_rng(11)
    close = 30_000.0 * np.exp(np.cumsum(0.02 * chance.standard_normal(200)))
    opened = np.append(30_000.0, close[:-1])
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    bars = market(*zip(opened, top, bottom, close, strict=True))
    targets = pd.Series(np.repeat(chance.choice([-1.0, -0.5, 0.0], 20), 10), bars.index)
    asked = 1.0 + targets.shift(1, fill_value=0.0)
    changed = asked.ne(asked.shift(1, fill_value=0.0))
    theirs = vbt.Portfolio.from_orders(
        bars["close"], size=asked.where(changed), size_type="targetpercent", price=bars["open"],
        fees=0.0, init_cash=10_000.0, freq="1D",
    )  # fmt: skip
    account = perp(margin_mode="cross", rules=rules(1e-6))
    done = backtest(bars, targets, timeframe="1d", costs=Costs(), account=account)
    assert len(done.fills) > 5
    np.testing.assert_allclose(done.equity, theirs.value(), rtol=1e-9)
