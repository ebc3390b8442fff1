"""Protection as insurance: by hand on five bars, exact on any run, and what the demo comes to."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import delever as dl
from delever.deleveraging.period import Period
from delever.engine.backtest import backtest
from delever.research.protection import Protection, protection
from delever.venues.costs import Costs

DAYS = pd.date_range("2021-01-01", periods=6, freq="1D", tz="UTC")


def bars_of(closes: list[float]) -> pd.DataFrame:
    """Bars whose open is the close before, so that a day's return is that of its closes."""
    index = pd.date_range("2021-01-01", periods=len(closes), freq="1D", tz="UTC").as_unit("ns")
    close = pd.Series(closes, index=index.rename("open_time"))
    open_ = close.shift(fill_value=closes[0])
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    return pd.DataFrame({"open": open_, "high": high, "low": low, "close": close, "volume": np.nan})


def period(id_: str, first: int, after: int) -> Period:
    return Period(id=id_, title=id_, start=DAYS[first], trough=DAYS[first], end=DAYS[after])


def split_of(closes: list[float], target: list[float], periods: list[Period]) -> Protection:
    bars = bars_of(closes)
    asked = pd.Series(target, index=bars.index)
    run, held = (
        backtest(bars, each, timeframe="1d", costs=Costs(), initial_target=first)
        for each, first in ((asked, target[0]), (asked * 0 + 1, 1.0))
    )
    return protection(run, held, periods)


def test_five_bars_by_hand() -> None:
    # Out of the market on the third and the fifth bar; the benchmark is always in.
    closes = [100.0, 110.0, 55.0, 66.0, 33.0]
    split = split_of(closes, [1.0, 0.0, 1.0, 0.0, 0.0], [period("a", 2, 3), period("b", 4, 5)])
    # Bars: +0, +10 %, -50 % (out), +20 %, -50 % (out).
    assert split.periods["benchmark_return"].tolist() == pytest.approx([-0.5, -0.5])
    assert split.periods["strategy_return"].tolist() == pytest.approx([0.0, 0.0])
    assert split.periods["points_saved"].tolist() == pytest.approx([0.5, 0.5])
    assert split.periods["payout"].tolist() == pytest.approx([math.log(2), math.log(2)])
    assert split.periods["wealth_kept"].tolist() == pytest.approx([2.0, 2.0])
    assert split.periods["outcome"].tolist() == ["helped", "helped"]
    assert split.premium == pytest.approx(0.0)
    assert math.isnan(split.payout_ratio)
    assert split.years == pytest.approx(5 / 365)


def test_payout_ratio_and_break_even_by_hand() -> None:
    # Out on the rise of the second bar (premium ln 2), out on the fall of the fourth (payout ln 4).
    closes = [100.0, 200.0, 200.0, 50.0, 50.0]
    split = split_of(closes, [0.0, 1.0, 0.0, 1.0, 1.0], [period("a", 3, 4)])
    assert split.premium == pytest.approx(math.log(2))
    assert split.payouts == pytest.approx(math.log(4))
    assert split.payout_ratio == pytest.approx(2.0)
    assert split.periods_per_year == pytest.approx(365 / 5)
    assert split.break_even_frequency == pytest.approx(365 / 5 / 2)
    assert split.relative_growth == pytest.approx(2 ** (-365 / 5) - 1)


def test_size_and_timing_of_a_constant_half() -> None:
    # A half that is set anew each bar: everything it saves is its size.
    bars = bars_of([100.0, 90.0, 81.0, 72.9, 65.61])
    half = pd.Series([0.5, 0.5 + 1e-12, 0.5, 0.5 + 1e-12, 0.5], index=bars.index)
    run = backtest(bars, half, timeframe="1d", costs=Costs(), initial_target=0.5)
    held = backtest(bars, half * 0 + 1, timeframe="1d", costs=Costs(), initial_target=1.0)
    split = protection(run, held, [period("a", 1, 4)])
    row = split.periods.iloc[0]
    # The mean exposure is that of the closes, a little below the half that is held from each open.
    assert split.mean_exposure == pytest.approx(0.474, abs=0.01)
    assert row["size"] == pytest.approx(row["payout"], rel=0.06)
    assert row["size"] + row["timing"] == pytest.approx(row["payout"], abs=1e-15)


def test_a_period_after_ruin_counts_as_nothing_saved() -> None:
    bars = bars_of([100.0, 250.0, 200.0, 100.0, 100.0])
    short = pd.Series(-1.0, index=bars.index)
    run = backtest(bars, short, timeframe="1d", costs=Costs(), initial_target=-1.0)
    held = backtest(bars, -short, timeframe="1d", costs=Costs(), initial_target=1.0)
    split = protection(run, held, [period("a", 3, 4)])
    assert split.ruined
    assert split.count("ruined") == 1
    assert split.insured.empty
    assert math.isnan(split.periods["points_saved"].iloc[0])


@given(
    moves=st.lists(st.floats(-0.3, 0.4), min_size=5, max_size=40),
    seed=st.integers(0, 2**16),
)
def test_payouts_and_premium_add_up_to_the_log_wealth_ratio(moves: list[float], seed: int) -> None:
    closes = (100.0 * np.cumprod(1.0 + np.array(moves))).tolist()
    rng = np.random.default_rng(seed)
    bars = bars_of(closes)
    asked = pd.Series(rng.choice([0.0, 0.5, 1.0], len(bars)), index=bars.index)
    costs = Costs(taker_fee=0.001, slippage=0.0005)
    run = backtest(bars, asked, timeframe="1d", costs=costs)
    held = backtest(bars, asked * 0 + 1, timeframe="1d", costs=costs, initial_target=1.0)
    index = bars.index
    periods = [
        Period(id="x", title="", start=index[1], trough=index[1], end=index[2]),
        Period(id="y", title="", start=index[3], trough=index[3], end=index[-1]),
    ]
    split = protection(run, held, periods)
    ratio = math.log(run.equity.iloc[-1] / held.equity.iloc[-1])
    assert split.payouts - split.premium == pytest.approx(ratio, abs=1e-12)
    assert split.log_wealth_ratio == pytest.approx(ratio, abs=1e-12)


def test_a_period_before_the_first_decision_is_no_help() -> None:
    """Flat for want of history through a fall: neither helped, nor part of payout and premium."""
    market = dl.market("sample/ohlcv/BTC/USD/1d", end="2017-01-01")
    waiting = dl.backtest(market, "ma200w_break", start="2012-01-01", weeks=200)
    split = waiting.answer.protection
    assert set(split.periods["outcome"]) == {"not begun"}
    assert split.insured.empty
    assert (split.payouts, split.count("helped")) == (0.0, 0)
    assert split.log_wealth_ratio == pytest.approx(split.waited - split.premium, abs=1e-12)
    assert "had no history to decide on in 2" in waiting.headline
    decided = dl.backtest(market, "ma200w_break", weeks=200).answer.protection
    assert split.years == pytest.approx(decided.years, abs=1e-9)
    assert split.premium == pytest.approx(decided.premium, abs=0.1)  # its benchmark enters later
