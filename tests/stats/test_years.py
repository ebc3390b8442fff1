"""Years are elapsed time: what is missing or flat moves no yearly figure."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.bars import elapsed_years, spans
from delever.stats.drawdowns import deepest_drawdowns
from delever.stats.metrics import compute
from delever.stats.sample import Sample
from delever.units import timeframe_delta

NO_TRADES = pd.DataFrame(columns=["exit_time", "net_pnl", "status"])
UNMOVED = [
    *("total_return", "cagr", "downside_deviation", "sortino_ratio", "calmar_ratio", "turnover"),
    *("max_drawdown", "max_drawdown_length", "time_to_recover", "longest_drawdown"),
    *("exposure", "time_in_market"),
]


def sample(
    index: pd.DatetimeIndex, returns: np.ndarray, exposure: np.ndarray, turnover: np.ndarray
) -> Sample:
    values = (returns, exposure, turnover)
    own, held, traded = (pd.Series(each, index=index, dtype=float) for each in values)
    return Sample(
        returns=own, benchmark=None, exposure=held, turnover=traded, trades=NO_TRADES,
        timeframe="1d",
    )  # fmt: skip


def business_days() -> Sample:
    """Three calendar years of business days; the deepest fall lasts 301 calendar days."""
    index = pd.bdate_range("2019-01-01", "2021-12-31", tz="UTC").as_unit("ns")
    steps = np.random.default_rng(8).normal(0.0, 0.004, len(index))
    out = (index >= "2020-03-02") & (index < "2020-12-25")
    returns = np.where(out, np.where(np.arange(len(index)) % 2, 0.0101, -0.01), steps + 0.001)
    returns[index == "2020-02-28"] = 0.02  # a peak
    returns[index == "2020-03-02"] = -0.25
    returns[index == "2020-12-25"] = 0.5
    return sample(index, returns, np.ones(len(index)), np.zeros(len(index)))


def test_business_days_by_the_calendar() -> None:
    run = business_days()
    returns = run.returns.to_numpy()
    years = (pd.Timestamp("2022-01-01") - pd.Timestamp("2019-01-01")).days / 365
    bars = len(returns)
    wealth = np.prod(1.0 + returns)
    found = compute(run)
    assert run.years == pytest.approx(years, rel=1e-12)
    assert found["cagr"] == pytest.approx(wealth ** (1 / years) - 1.0, rel=1e-12)
    deviation = returns.std(ddof=1) * math.sqrt(bars / years)
    assert found["volatility"] == pytest.approx(deviation, rel=1e-12)
    assert found["sharpe_ratio"] == pytest.approx(
        returns.mean() * bars / years / deviation, rel=1e-12
    )
    # from the close of Friday 28 February to that of 25 December
    fall = pd.Timestamp("2020-12-26") - pd.Timestamp("2020-02-29")
    assert found["longest_drawdown"] == found["max_drawdown_length"] == fall.days
    deepest = deepest_drawdowns(run.returns, 1, run.elapsed).iloc[0]
    assert (deepest["length"], deepest["start"]) == (
        fall.days,
        pd.Timestamp("2020-02-28", tz="UTC"),
    )
    assert (found["exposure"], found["time_in_market"]) == (1.0, 1.0)  # over weekends, too


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(4, 150), share=st.floats(0.0, 0.95))
def test_dropping_flat_bars_moves_no_yearly_figure(seed: int, size: int, share: float) -> None:
    chance = np.random.default_rng(seed)
    index = pd.date_range("2020-01-01", periods=size, tz="UTC", unit="ns")
    flat = chance.random(size) < 0.6
    flat[[0, -1]] = False  # the span is the run's
    returns = np.where(flat, 0.0, chance.normal(0.001, 0.05, size).clip(-0.9))
    exposure = np.where(flat, 0.0, chance.uniform(-1.0, 1.0, size))
    # what is held into a stretch of flat bars was sold before it
    exposure[:-1][flat[1:]] = 0.0
    turnover = np.where(flat, 0.0, chance.random(size))
    # the close at which a peak stands last is kept: a fall begins there
    dropped = flat & (chance.random(size) < share) & np.append(flat[1:], False)
    whole = sample(index, returns, exposure, turnover)
    kept = ~dropped
    part = sample(index[kept], returns[kept], exposure[kept], turnover[kept])
    before, after = compute(whole), compute(part)
    for name in UNMOVED:
        assert after[name] == pytest.approx(before[name], rel=1e-9, abs=1e-12, nan_ok=True), name
    # Deviations are from the mean of the bars there are: the squares a year stay, it is the centre
    # and the degree of freedom that move.
    bars, years = int(kept.sum()), whole.years
    squares, total = float((returns**2).sum()), float(returns.sum())
    variance = (squares - total**2 / bars) * bars / (bars - 1) / years
    assert after["volatility"] == pytest.approx(math.sqrt(variance), rel=1e-9)
    assert after["sharpe_ratio"] == pytest.approx(total / years / math.sqrt(variance), rel=1e-9)


def test_a_series_without_gaps_has_its_timeframes_years() -> None:
    for timeframe, count in (("1d", 730), ("4h", 2190 * 2), ("1w", 73)):
        index = pd.date_range(
            "2018-01-01", periods=count, freq=timeframe_delta(timeframe), tz="UTC"
        )
        none = np.zeros(count)
        run = sample(index, none, none, none)
        whole = Sample(
            returns=run.returns, benchmark=None, exposure=run.exposure, turnover=run.turnover,
            trades=NO_TRADES, timeframe=timeframe,
        )  # fmt: skip
        assert whole.periods_per_year == pd.Timedelta(days=365) / timeframe_delta(timeframe)
        assert elapsed_years(index, timeframe) == pytest.approx(count / whole.periods_per_year)


def test_a_scope_leaves_out_what_is_not_its() -> None:
    stamps = ["2021-01-01", "2021-01-04", "2021-01-05", "2021-01-09", "2021-01-10"]
    index = pd.DatetimeIndex(stamps, tz="UTC").as_unit("ns")
    run = sample(index, np.full(5, 0.1), np.array([1.0, 0.0, 1.0, 0.0, 1.0]), np.zeros(5))
    assert spans(index, "1d").tolist() == run.spans.tolist() == [3.0, 1.0, 4.0, 1.0, 1.0]
    part = run.within(np.array([True, True, True, False, True]))
    assert part.spans.tolist() == [3.0, 1.0, 1.0, 1.0]  # without the gap before the fourth bar
    assert part.years == 6 / 365
    assert part.periods_per_year == pytest.approx(4 / (6 / 365))
    assert part.elapsed.tolist() == [1.0, 4.0, 5.0, 6.0]
    assert compute(part)["time_in_market"] == 5 / 6
    inside, outside = (run.within(np.arange(5) % 2 == odd) for odd in (0, 1))
    assert (inside.years, outside.years) == (3 / 365, 2 / 365)
    nothing = run.within(np.zeros(5, dtype=bool))
    assert nothing.years == 0.0
    assert math.isnan(nothing.periods_per_year)
