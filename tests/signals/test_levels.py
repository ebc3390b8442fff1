"""Supports are known before the bar, and a broken one is remembered."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.signals.levels import (
    broken_level,
    fixed_resistance,
    fixed_support,
    grid_support,
    rolling_resistance,
    rolling_support,
    round_resistance,
    round_support,
)
from delever.view import MarketView


def market(lows: list[float], start: str = "2026-01-05", timeframe: str = "1d") -> MarketView:
    step = pd.Timedelta(1, "D") if timeframe == "1d" else pd.Timedelta(hours=6)
    index = pd.date_range(start, periods=len(lows), freq=step, tz="UTC")
    low = np.array(lows, dtype=float)
    bars = pd.DataFrame({"open": low, "high": low + 1, "low": low, "close": low}, index=index)
    return MarketView(bars=bars, timeframe=timeframe)


def test_sunday_does_not_know_its_own_week_and_monday_does() -> None:
    view = market([5, 4, 3, 4, 5, 6, 7, 9, 8, 9, 9, 9, 9, 2, 9, 9])  # from a Monday on
    got = rolling_support(view, 1)
    assert got.iloc[:7].isna().all()
    assert got.iloc[7:14].tolist() == [3.0] * 7
    assert got.iloc[14:].tolist() == [2.0, 2.0]
    both = rolling_support(view, 2)
    assert both.iloc[:14].isna().all()
    assert both.iloc[14:].tolist() == [2.0, 2.0]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(1, 50), min_size=30, max_size=90),
    st.integers(1, 3),
    st.sampled_from(["1d", "6h"]),
    st.integers(0, 6),
    st.sets(st.integers(1, 80), max_size=25),
)
def test_rolling_support_equals_looking_back_over_whole_weeks(
    lows: list[int], weeks: int, timeframe: str, offset: int, missing: set[int]
) -> None:
    view = market([float(low) for low in lows], f"2026-01-{5 + offset:02d}", timeframe)
    kept = [row for row in range(len(lows)) if row not in missing]
    view = MarketView(bars=view.bars.iloc[kept], timeframe=timeframe)
    got = rolling_support(view, weeks)
    first = view.index[0]
    for time, level in got.items():
        known: list[float] = []
        monday = time.normalize() - pd.Timedelta(time.weekday(), "D")
        end = monday
        while len(known) < weeks and end - pd.Timedelta(7, "D") >= first:
            begin = end - pd.Timedelta(7, "D")
            inside = view.bars["low"][(view.index >= begin) & (view.index < end)]
            if len(inside):  # a week without a single bar is no week
                known.append(inside.min())
            end = begin
        if len(known) < weeks:
            assert math.isnan(level)
        else:
            assert level == min(known)


def test_fixed_support_is_the_highest_at_or_below_the_previous_close() -> None:
    close = pd.Series([105.0, 100.0, 99.0, 45.0, 50.0, 300.0, 301.0])
    got = fixed_support(close, [200.0, 50.0, 100.0])
    np.testing.assert_array_equal(got, [np.nan, 100, 100, 50, np.nan, 50, 200])


def test_grid_support_is_the_multiple_at_or_below_the_previous_close() -> None:
    got = grid_support(pd.Series([25_000.0, 20_000.0, 19_999.0, 9_999.0, 1.0]), 10_000.0)
    np.testing.assert_array_equal(got, [np.nan, 20_000, 20_000, 10_000, np.nan])


@pytest.mark.parametrize("levels", [[], [0.0], [-1.0], [math.inf], [math.nan]])
def test_refuses_levels_that_are_no_prices(levels: list[float]) -> None:
    with pytest.raises(InputError, match="levels must be prices > 0"):
        fixed_support(pd.Series([1.0]), levels)


@pytest.mark.parametrize("step", [0.0, -1.0, math.inf, math.nan])
def test_refuses_a_step_that_is_no_price(step: float) -> None:
    with pytest.raises(InputError, match="step must be a price > 0"):
        grid_support(pd.Series([1.0]), step)


def test_the_first_broken_level_is_the_one_to_reclaim() -> None:
    support = pd.Series([100.0, 100, 80, 80, 80, 80, 100])
    close = pd.Series([101.0, 99, 79, 90, 100, 101, 102])
    got = broken_level(close, close < support, support)
    # 90 is above the second level but not the first; 100 only touches it.
    np.testing.assert_array_equal(got, [np.nan, 100, 100, 100, 100, np.nan, np.nan])


def test_a_breach_by_low_counts_though_the_close_is_back_above() -> None:
    support = pd.Series([100.0, 100, 100])
    close, low = pd.Series([101.0, 101, 101]), pd.Series([101.0, 99, 100])
    got = broken_level(close, low < support, support)
    np.testing.assert_array_equal(got, [np.nan, 100, np.nan])


def test_a_bar_that_reclaims_one_level_and_breaches_another_stays_broken() -> None:
    support = pd.Series([100.0, 120.0, 120.0])
    close, low = pd.Series([99.0, 121.0, 121.0]), pd.Series([99.0, 110.0, 120.5])
    got = broken_level(close, low < support, support)
    np.testing.assert_array_equal(got, [100, 120, np.nan])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.integers(0, 2), st.integers(1, 12)),
        min_size=1,
        max_size=40,
    )
)
def test_a_broken_level_is_exactly_the_one_of_the_last_unreclaimed_breach(
    rows: list[tuple[int, int, int]],
) -> None:
    close = [float(c) for c, _, _ in rows]
    low = [float(c - d) for c, d, _ in rows]
    support = [float(s) for _, _, s in rows]
    breaches = [t for t in range(len(rows)) if low[t] < support[t]]
    expected = [math.nan] * len(rows)
    start = 0
    # From breach to breach instead of from row to row.
    while (breach := next((t for t in breaches if t >= start), None)) is not None:
        level = support[breach]
        end = next((t for t in range(breach + 1, len(rows)) if close[t] > level), len(rows))
        expected[breach:end] = [level] * (end - breach)
        start = end
    got = broken_level(pd.Series(close), pd.Series(low) < pd.Series(support), pd.Series(support))
    np.testing.assert_array_equal(got, expected)


def test_resistances_are_the_highs_of_the_weeks_before() -> None:
    view = market([5, 4, 3, 4, 5, 6, 7, 9, 8, 9, 9, 9, 9, 2, 9, 9])  # highs are one above
    got = rolling_resistance(view, 1)
    assert got.iloc[:7].isna().all()
    assert got.iloc[7:14].tolist() == [8.0] * 7
    assert got.iloc[14:].tolist() == [10.0, 10.0]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=40),
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
)
def test_fixed_levels_enclose_the_close_before(closes: list[int], levels: list[int]) -> None:
    close = pd.Series(closes, dtype="float64")
    support, resistance = fixed_support(close, levels), fixed_resistance(close, levels)
    assert math.isnan(support[0])
    assert math.isnan(resistance[0])
    for row, before in enumerate(closes[:-1], start=1):
        below = max((level for level in levels if level <= before), default=math.nan)
        above = min((level for level in levels if level >= before), default=math.nan)
        np.testing.assert_equal([support[row], resistance[row]], [below, above])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 10**7), st.integers(1, 10))
def test_round_numbers_enclose_the_close_before(price: int, parts: int) -> None:
    close = pd.Series([float(price), 1.0])
    power = 10 ** (len(str(price)) - 1)
    support, resistance = round_support(close, parts=parts), round_resistance(close, parts=parts)
    assert support[1] <= price * (1 + 1e-8)
    assert price <= resistance[1] * (1 + 1e-8)
    steps = (resistance[1] - support[1]) / power * parts
    assert steps == pytest.approx(0 if price * parts % power == 0 else 1, abs=1e-6)
