"""Periods drawn by rule: falls by hand, what holds in any market, agreement as the page says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.bars import resample
from delever.deleveraging.drawn import (
    LEAST_FALL,
    LONGEST,
    RETURN_DAYS,
    drawn_falls,
    drawn_inside,
    drawn_periods,
)
from delever.deleveraging.membership import membership, per_period
from delever.deleveraging.period import Period, load_catalog
from delever.errors import InputError

ROOT = Path(__file__).parents[2]
CLOSE = pd.read_csv(ROOT / "data/sample/btc_usd_1d.csv", index_col=0, parse_dates=True)["close"]


def calm(days: int, swing: float = 1.0) -> np.ndarray:
    return np.where(np.arange(days) % 2, 100.0, 100.0 + swing)


def rows(close: np.ndarray, **told: int) -> list[tuple[int, ...]]:
    return list(zip(*(each.tolist() for each in drawn_falls(close, **told)), strict=True))


def walk(seed: int, days: int = 1_500) -> np.ndarray:
    return 100.0 * np.exp(np.cumsum(0.04 * np.random.default_rng(seed).standard_t(4, days)))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([90, 80, 70, 75, 80], (200, 202, 204)),  # 70 + 30 / 4 = 77.5 is regained at 80
        ([90, 80, 70, 75, 74, 73, 75, 74, 73, 72, 74], (200, 202, 209)),  # never: the seventh day
        ([90, 80, 70, 77.4, 69, 80], (200, 204, 205)),  # a lower close in time moves the trough
        ([90, 80, 85, 70, 80], (200, 203, 204)),  # a rise on the way does not end it
    ],
)
def test_a_fall_by_hand(after, expected):
    close = calm(260)
    close[200 : 200 + len(after)] = after
    close[200 + len(after) :] *= after[-1] / 100.5
    assert rows(close) == [expected]


def test_less_than_an_eighth_is_no_period_and_an_eighth_is():
    for low, found in ((88.5, 0), (101 * 7 / 8, 1)):
        close = calm(300)
        close[199:230] = low
        assert len(rows(close)) == found


def test_the_more_severe_of_two_falls_is_drawn_first():
    """400 days have one period; deeper in as many days, or as deep in fewer, is more severe."""
    for severe, other in (([60, 60], [70, 70]), ([70, 70], [95, 90, 85, 80, 75, 70])):
        close = calm(400, swing=10.0)  # beside which the first fall hardly adds volatility
        close[150 : 150 + len(other)] = other
        close[300 : 300 + len(severe)] = severe
        ((first, _, _),) = rows(close)
        assert first in (299, 300)


def test_short_and_calm_markets_have_none():
    assert rows(walk(0, 60)) == rows(calm(1_000)) == rows(np.full(500, 7.0)) == []
    assert drawn_periods(pd.Series([], index=CLOSE.index[:0], dtype="float64"), "1d") == ()
    with pytest.raises(InputError, match="above 0"):
        drawn_falls(np.array([1.0, 0.0, 1.0]))


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), begin=st.integers(0, 800))
def test_drawn_periods_keep_to_the_rule(seed, begin):
    close = walk(seed)
    found = rows(close, begin=begin)
    assert len(found) <= round(1.2 * (len(close) - begin) / 365)
    for (_, _, before), (after, _, _) in pairwise(found):
        assert before < after
    for first, trough, last in found:
        high = close[first - 1]
        assert first >= begin
        assert (close[first : trough + 1] < high).all()
        assert close[trough] == close[first : last + 1].min() <= high * (1 - LEAST_FALL)
        assert trough - first + 1 <= LONGEST
        level = close[trough] + (high - close[trough]) / 4
        assert (close[trough:last] < level).all()
        assert close[last] >= level or last in (trough + RETURN_DAYS, len(close) - 1)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), power=st.integers(-12, 12))
def test_the_unit_of_price_is_free(seed, power):
    close = walk(seed)
    assert rows(close) == rows(close * 2.0**power)


def test_a_fall_after_calm_is_more_severe_than_a_deeper_one_after_a_wild_stretch():
    close = calm(400)
    close[150:152] = 70.0
    close[160:300] = calm(140, swing=10.0)
    close[300:302] = 66.0
    assert [first for first, *_ in rows(close)] == [150]


def test_finer_bars_draw_on_the_closes_of_whole_days():
    hours = pd.date_range(CLOSE.index[0], periods=24 * 2_000, freq="h")
    hourly = pd.Series(walk(3, len(hours)) ** 0.2, index=hours)
    daily = resample(hourly.to_frame("close"), "1h", "1d")["close"]
    found = drawn_periods(hourly, "1h")
    assert found
    assert found == drawn_periods(daily, "1d")
    masks = per_period(pd.DatetimeIndex(hours), "1h", found)
    assert all(mask.sum() % 24 == 0 for mask in masks.values())


@pytest.mark.parametrize("timeframe", ["1h", "1d", "1w"])
def test_the_bars_inside_are_those_of_the_periods(timeframe):
    freq = {"1h": "h", "1d": "D", "1w": "W-MON"}[timeframe]
    index = pd.date_range("2020-01-06", periods=24 * 1_200 if timeframe == "1h" else 700, freq=freq)
    index = index.tz_localize("UTC").delete([100, 101, 150])  # with bars missing
    spread = 0.2 if timeframe == "1h" else 1.0
    close = pd.Series(walk(5, len(index)) ** spread, index=index)
    since = index[300]
    periods = drawn_periods(close, timeframe, since=since)
    inside, number = drawn_inside(close, timeframe, since=since)
    assert number == len(periods) > 0
    assert inside.tolist() == membership(index, timeframe, periods).tolist()


def test_weeks_are_counted_in_days():
    weekly = resample(CLOSE.to_frame("close"), "1d", "1w")["close"]
    found = drawn_periods(weekly, "1w")
    assert found
    assert all(p.trough - p.start <= pd.Timedelta(days=LONGEST) for p in found)
    assert all(p.end - p.trough <= pd.Timedelta(days=14) for p in found)


def test_the_agreement_with_the_catalogue_is_what_the_page_says():
    listed = [p for p in load_catalog(ROOT / "data/deleveraging.toml") if p.end <= CLOSE.index[-1]]
    drawn = drawn_periods(CLOSE, "1d", since=pd.Timestamp("2013-04-01", tz="UTC"))
    days = pd.Timedelta(days=1)

    def meets(one: Period, other: Period) -> bool:
        return one.start < other.end and other.start < one.end

    beside = {p.id: [q for q in drawn if meets(p, q)] for p in listed}
    found = [p for p in listed if beside[p.id]]
    alone = [q for q in drawn if not any(meets(p, q) for p in listed)]
    starts = [abs((beside[p.id][0].start - p.start) / days) for p in found]
    ends = [abs((beside[p.id][0].end - p.end) / days) for p in found]
    page = (ROOT / "docs/periods.md").read_text("utf-8")
    said = [
        f"| periods in the catalogue | {len(listed)} |",
        f"| of them met by a drawn one | {len(found)} |",
        f"| with the same trough | {sum(q.trough == p.trough for p in found for q in drawn)} |",
        f"| starts off, median and most | {np.median(starts):.0f} and {max(starts):.0f} days |",
        f"| ends off, median and most | {np.median(ends):.0f} and {max(ends):.0f} days |",
        f"| drawn periods | {len(drawn)} |",
        f"| of them not in the catalogue | {len(alone)}, all in {alone[0].start.year} to "
        f"{alone[-1].start.year} |",
    ]
    for line in said:
        assert line in page, line
