"""In and out of periods, against arithmetic done by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.bars import missing_bars
from delever.deleveraging.period import Period
from delever.engine.backtest import backtest
from delever.errors import InputError
from delever.report.pages.comparison import render
from delever.report.pages.metric_tables import metrics_table
from delever.research.evaluation import common_span, evaluate, sample_of, windowed
from delever.stats.metrics import METRICS, compute, metric
from delever.study.runs.answering import answer_over
from delever.study.runs.archive import measured
from delever.venues.costs import Costs

DAYS = pd.date_range("2021-01-01", periods=6, tz="UTC", name="open_time").as_unit("ns")
CLOSE = [100.0, 110.0, 88.0, 44.0, 66.0, 99.0]
"""Returns of a holder from the second bar on: +10 %, -20 %, -50 %, +50 %, +50 %."""


def period(start: str, end: str, name: str = "fall") -> Period:
    stamps = (pd.Timestamp(day, tz="UTC") for day in (start, start, end))
    begin, trough, stop = stamps
    return Period(id=name, title=name, start=begin, trough=trough, end=stop)


def evaluation(*periods: Period, exposure: float = 0.0, days: int = 6, metrics=()):
    price = pd.Series(CLOSE, index=DAYS)
    opened = price.shift(1).fillna(price.iloc[0])
    bars = pd.DataFrame(
        {
            "open": opened,
            "high": pd.concat([opened, price], axis=1).max(axis=1),
            "low": pd.concat([opened, price], axis=1).min(axis=1),
            "close": price,
            "volume": 1.0,
        }
    ).iloc[:days]

    def simulate(target: float):
        return backtest(
            bars,
            pd.Series(target, index=bars.index),
            timeframe="1d",
            initial_target=target,
            initial_equity=1_000.0,
        )

    return evaluate(
        name="case",
        backtest=simulate(exposure),
        benchmark=simulate(1.0),
        bars=bars,
        periods=periods,
        metrics=metrics,
    )


def test_returns_inside_and_outside_are_those_of_the_bars_there():
    fall = period("2021-01-03", "2021-01-05")  # the bars of the 3rd and 4th: 0.8 x 0.5
    held = evaluation(fall).benchmark_metrics.loc["total_return"]
    assert held["inside"] == pytest.approx(0.8 * 0.5 - 1)
    assert held["fall"] == pytest.approx(0.8 * 0.5 - 1)
    assert held["outside"] == pytest.approx(1.1 * 1.5 * 1.5 - 1)
    assert held["whole"] == pytest.approx(0.99 - 1)


def test_a_flat_account_avoids_the_whole_loss():
    metrics = evaluation(period("2021-01-03", "2021-01-05")).metrics
    assert metrics.loc["loss_avoided", "inside"] == pytest.approx(0.6)
    assert metrics.loc["total_return", "whole"] == 0


def test_a_bar_that_sticks_out_of_a_period_is_outside():
    noon = period("2021-01-03T12:00", "2021-01-05")
    held = evaluation(noon).benchmark_metrics.loc["total_return"]
    assert held["inside"] == pytest.approx(-0.5)


def test_periods_without_a_bar_are_left_out_and_cut_ones_are_named():
    before = period("2020-01-01", "2020-02-01", "before")
    cut = period("2020-12-30", "2021-01-03", "cut")
    result = evaluation(before, cut)
    assert [p.id for p in result.periods] == ["cut"]
    assert [p.id for p in result.cut_periods] == ["cut"]
    scopes = ["whole", "inside", "outside", "build_up", "cascade", "washout", "recovery"]
    assert list(result.metrics.columns) == [*scopes, "cut"]
    assert result.metrics.loc["bars", "cascade"] == 0  # its fall lies partly before the run


def test_phases_part_the_period_at_its_lowest_close():
    # Closes 110 | 88, 44, 66 | 99: the fall is 66, half of it is regained on the first bar after.
    held = evaluation(period("2021-01-03", "2021-01-06")).benchmark_metrics
    assert held.loc["bars", ["build_up", "cascade", "washout", "recovery"]].tolist() == [2, 2, 1, 1]
    assert held.loc["total_return", "cascade"] == pytest.approx(0.8 * 0.5 - 1)
    assert held.loc["total_return", "washout"] == pytest.approx(0.5)
    assert held.loc["total_return", "recovery"] == pytest.approx(0.5)


def test_a_metric_has_no_value_outside_its_scopes():
    fall = period("2021-01-03", "2021-01-05")
    result = evaluation(fall)
    for frame in (result.metrics, result.benchmark_metrics):
        for name, row in frame.iterrows():
            scopes = result.metric(name).scopes
            beyond = [column for column in frame if result.scope(column) not in scopes]
            assert row[beyond].isna().all(), name
    known = result.metrics.loc["loss_avoided"].dropna()
    assert list(known.index) == ["inside", "fall"]
    assert list(result.metrics.loc["cost_of_protection"].dropna().index) == ["outside"]
    stored = measured(result, answer_over(result))
    for table in (stored["metrics"], stored["benchmark"]):
        assert {scope for scope in table if "loss_avoided" in table[scope]} == {"inside", "fall"}
        assert {scope for scope in table if "cost_of_protection" in table[scope]} == {"outside"}
        assert table["whole"]["hit_rate"] is None  # defined in the scope, and undefined here


def test_a_users_metric_is_measured_stored_and_kept():
    @metric(label="Up bars", unit="fraction", better="higher", formula="share of r > 0",
            source="by definition", scopes=("whole", "period"))  # fmt: skip
    def up_bars(returns):
        return float((returns > 0).mean())

    fall = period("2021-01-03", "2021-01-05")
    result = evaluation(fall, exposure=1.0, metrics=[up_bars])
    assert result.metrics.loc["up_bars", "whole"] == pytest.approx(3 / 6)
    assert result.metrics.loc["up_bars", "fall"] == 0.0
    assert result.metrics.loc["up_bars"].isna().sum() == result.metrics.shape[1] - 2
    assert result.metric("up_bars").label == "Up bars"
    assert measured(result, answer_over(result))["metrics"]["whole"]["up_bars"] == 0.5
    part = windowed(result, DAYS[2], DAYS[5])
    assert part.metrics.loc["up_bars", "whole"] == pytest.approx(1 / 3)
    [row] = [r for r in metrics_table(result, "held").texts if r[0] == "Up bars"]
    assert row == ("Up bars", "50.0%", "50.0%", "0.0%", "0.0%")  # whole run, mean of a period
    page = render({"with it": result, "without it": evaluation(fall)}, span=result.span)
    assert page.count("Up bars") == 1  # of the whole run alone
    with pytest.raises(InputError, match=r"metric must be one of bars, .*up_bars; got 'nothing'"):
        result.metric("nothing")


def test_a_window_is_measured_like_a_run_of_its_own():
    whole = evaluation(period("2021-01-03", "2021-01-05"), exposure=1.0)
    start, end = DAYS[2], DAYS[5]
    part = windowed(whole, start, end)
    assert part.span == (start, end)
    assert part.metrics.loc["total_return", "whole"] == pytest.approx(0.8 * 0.5 * 1.5 - 1)
    assert windowed(whole, *whole.span) is whole


def test_runs_that_share_no_time_and_unlike_benchmarks_are_refused():
    one = evaluation(days=3)
    two = windowed(evaluation(), DAYS[4], DAYS[5] + pd.Timedelta(days=1))
    with pytest.raises(InputError, match="overlap in time"):
        common_span([one, two])
    with pytest.raises(InputError, match="same bars"):
        evaluate(
            name="case",
            backtest=one.backtest,
            benchmark=two.backtest,
            bars=one.bars,
            periods=(),
        )


def in_and_out(seed: int, size: int, share: float):
    """A market, targets that are flat for stretches, and the bars that a run of them needs."""
    chance = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(chance.normal(0.002, 0.04, size)))
    opened = np.append(100.0, close[:-1])
    index = pd.date_range("2020-01-01", periods=size, tz="UTC", name="open_time").as_unit("ns")
    bars = pd.DataFrame(
        {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close),
         "close": close, "volume": 1.0}, index
    )  # fmt: skip
    held = np.repeat(chance.random(size // 5 + 1) < 0.5, 5)[:size]
    target = pd.Series(np.where(held, 1.0, 0.0), index)
    # Nothing is sold at its open, nothing held at its close, nothing bought at the next open.
    flat = target.rolling(3, min_periods=1).sum() == 0.0
    dropped = flat & (chance.random(size) < share)
    dropped.iloc[[0, -1]] = False
    return bars, target, ~dropped.to_numpy()


YEARLY: list[str] = [
    "cagr",
    "downside_deviation",
    "sortino_ratio",
    "calmar_ratio",
    "turnover",
    "exposure",
]
SAME = ["days", "time_in_market", "max_drawdown"]
ASKED = [each for each in METRICS if each.name in {*YEARLY, *SAME, "volatility", "sharpe_ratio"}]


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**32 - 1), size=st.integers(30, 150), share=st.floats(0.1, 1.0)
)  # fmt: skip
def test_a_run_without_its_flat_bars_has_the_same_years(seed: int, size: int, share: float) -> None:
    bars, target, kept = in_and_out(seed, size, share)

    def run(part: np.ndarray):
        own = bars[part]
        done = backtest(own, target[part], timeframe="1d", costs=Costs(taker_fee=0.001))
        return sample_of(done, None)

    whole, less = run(np.ones(size, dtype=bool)), run(kept)
    assert missing_bars(bars.index[kept], "1d") == (~kept).sum()
    assert less.years == pytest.approx(whole.years, rel=1e-12)
    before, after = compute(whole, ASKED), compute(less, ASKED)
    for name in (*YEARLY, *SAME):
        assert after[name] == pytest.approx(before[name], rel=1e-9, abs=1e-12, nan_ok=True), name
    # Measured from the mean of the bars there are.
    for name in ("volatility", "sharpe_ratio"):
        mean = before["sharpe_ratio"] ** 2 / 365
        room = 3.0 * (mean * size + 1.0) / max(int(kept.sum()) - 1, 1)
        assert after[name] == pytest.approx(before[name], rel=room, nan_ok=True), name
    assert {each.name for each in METRICS if each.yearly} == {
        *YEARLY[:-1], "volatility", "sharpe_ratio", "cost_of_protection",
    }  # fmt: skip
