"""What bars hide: bounds, and finer bars that fall between them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sim.perp_market import prices_of

from delever.market.brackets import bracket_table
from delever.market.contract import PerpContract
from delever.market.execution import Costs
from delever.market.formulas import FORMULAS
from delever.market.rules import Fees, Rules
from delever.sim.backtest import backtest
from delever.sim.perp import FundingSeries, PerpSettings

START = pd.Timestamp("2021-01-01", tz="UTC")
CONTRACT = PerpContract(symbol="BTC/USDT:USDT")
RULES = Rules(
    venue="test",
    valid_from=dt.date(2020, 1, 1),
    contract=CONTRACT,
    formula=FORMULAS["flat_rate"],
    brackets=bracket_table([(1e15, 0.01, 20.0)], progressive=False),
    fees=Fees(maker=0.0, taker=0.0005, liquidation=0.005),
    funding_hours=(8,),
    notes=(),
)


@st.composite
def runs(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, dict[str, Any]]:
    """Hourly bars without jumps, the daily bars they make, targets, and an account."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    days, wild = draw(st.integers(2, 6)), draw(st.sampled_from([0.003, 0.01, 0.03]))
    prices = prices_of(chance, 24 * days, wild, gaps=False)
    index = pd.date_range(START, periods=len(prices), freq="h", name="open_time")
    hours = pd.DataFrame(prices, index, ["open", "high", "low", "close"])
    how = {"open": "first", "high": "max", "low": "min", "close": "last"}
    bars = hours.resample("1D").agg(how)  # type: ignore[arg-type]
    leverage = draw(st.sampled_from([1.0, 4.0, 15.0]))
    targets = leverage * chance.choice([-1.0, -0.5, 0.5, 1.0], days)
    stamps = pd.date_range(START, periods=3 * days + 1, freq="8h")
    rates = pd.Series(chance.normal(0.0, 0.002, len(stamps)), stamps)
    account = {
        "contract": CONTRACT,
        "rules": RULES,
        "leverage": leverage,
        "margin_mode": draw(st.sampled_from(["isolated", "cross"])),
        "funding": FundingSeries.of(rates),
        "stop_loss": draw(st.sampled_from([None, 0.02, 0.1])),
        "take_profit": draw(st.sampled_from([None, 0.02, 0.1])),
        "trailing_stop": draw(st.sampled_from([None, 0.05])),
        "limit_offset": draw(st.sampled_from([None, None, 0.005])),
    }
    return bars, hours, pd.Series(targets, bars.index), account


def between(equity: pd.Series, bounds: pd.DataFrame | None) -> bool:
    assert bounds is not None
    room = 1e-9 * bounds["best"].abs().clip(lower=1.0)
    return bool(((equity >= bounds["worst"] - room) & (equity <= bounds["best"] + room)).all())


@settings(max_examples=500)
@given(case=runs())
def test_a_run_and_its_finer_walk_lie_between_the_bounds(case: Any) -> None:
    bars, hours, targets, account = case
    options: dict[str, Any] = {"timeframe": "1d", "costs": Costs(taker_fee=0.0005, slippage=0.001)}
    plain = backtest(bars, targets, perp=PerpSettings(**account, bounds=True), **options)
    assert between(plain.equity, plain.bounds)
    finer = PerpSettings(**account, detail=hours, detail_timeframe="1h", bounds=True)
    walked = backtest(bars, targets, perp=finer, **options)
    assert between(walked.equity, walked.bounds)
    assert between(walked.equity, plain.bounds)
    # Hourly bars hide no more than the daily ones they make.
    assert between(walked.bounds["worst"], plain.bounds)
    assert between(walked.bounds["best"], plain.bounds)


@settings(max_examples=100)
@given(case=runs())
def test_trades_and_attribution_add_up_to_the_change_in_equity(case: Any) -> None:
    bars, _, targets, account = case
    done = backtest(
        bars, targets, timeframe="1d", costs=Costs(taker_fee=0.0005, slippage=0.001),
        perp=PerpSettings(**account),
    )  # fmt: skip
    change = float(done.equity.iloc[-1]) - done.initial_equity
    assert abs(done.attribution.sum() - change) <= 1e-9 * done.initial_equity
    assert abs(done.trades["net_pnl"].sum() - change) <= 1e-9 * done.initial_equity
    for name in ("fee", "slippage", "liquidation", "funding", "borrow"):
        gap = done.trades[name].sum() - done.ledger[name].sum()
        assert abs(gap) <= 1e-9 * done.initial_equity
