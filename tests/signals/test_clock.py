"""Readings counted on their own clock and carried to the bars no earlier than they were known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.signals.clock import (
    ago,
    align_events,
    bars_in,
    full,
    on_bars,
    own,
    sign_streak,
    zscore,
)
from delever.view import MarketView, Reading

DAYS = pd.date_range("2026-01-05", periods=30, tz="UTC").as_unit("ns")
QUICK = settings(max_examples=50, deadline=None, derandomize=True)


def market(values: dict[str, float], lag: str = "24h") -> MarketView:
    stamps = pd.DatetimeIndex([pd.Timestamp(day, tz="UTC") for day in values])
    frame = pd.DataFrame({"x": list(values.values())}, index=stamps)
    reading = Reading(frame=frame, publication_lag=pd.Timedelta(lag))
    bars = pd.DataFrame({"close": 1.0}, index=DAYS)
    return MarketView(bars=bars, timeframe="1d", readings={"x": reading})


def test_windows_in_days() -> None:
    assert [bars_in(30, frame) for frame in ("1d", "4h", "1h", "1w")] == [30, 180, 720, 4]
    assert bars_in(0.01, "1d") == 1
    with pytest.raises(InputError, match="days > 0; got 0"):
        bars_in(0, "1d")


def test_a_row_arrives_with_its_lag_and_grows_stale_after_a_week() -> None:
    seen = market({"2026-01-06": 1.0, "2026-01-07": math.nan, "2026-01-20": 3.0}, lag="32h")
    assert own(seen, "x").tolist() == [1.0, 3.0]
    got = on_bars(seen, "x", own(seen, "x"))
    # Stamped on the 6th, known on the 7th 08:00: the bar of the 7th closes after that. Its age
    # is 7 days at the 14th 08:00, so the bar of the 13th is the last to know it.
    there = [day.day for day in got.dropna().index if day.month == 1 and day.day < 20]
    assert there == [7, 8, 9, 10, 11, 12, 13]
    assert got.loc["2026-01-21":"2026-01-27"].tolist() == [3.0] * 7
    # Known at a midnight, it is a week old at another, and says something to the last.
    sharp = market({"2026-01-06": 1.0})
    assert on_bars(sharp, "x", own(sharp, "x")).dropna().index.day.tolist() == list(range(6, 14))
    forever = on_bars(seen, "x", own(seen, "x"), max_age=None)
    assert forever.loc["2026-01-14":"2026-01-20"].tolist() == [1.0] * 7


@QUICK
@given(st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.5, 3.0, math.nan]), max_size=30))
def test_a_streak_equals_counting_back(values: list[float]) -> None:
    expected = []
    for row, value in enumerate(values):
        sign = math.nan if math.isnan(value) else float(np.sign(value))
        back = row
        while back > 0 and values[back - 1] * value > 0:
            back -= 1
        expected.append(sign * (row - back + 1))
    np.testing.assert_array_equal(sign_streak(pd.Series(values, dtype=float)), expected)


@QUICK
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(-5, 5)), min_size=1, max_size=30))
def test_zscore_and_ago_equal_looking_back(steps: list[tuple[int, int]]) -> None:
    hours = np.cumsum([step for step, _ in steps])
    stamps = DAYS[0] + pd.to_timedelta(hours, unit="h")
    values = pd.Series([float(value) for _, value in steps], index=pd.DatetimeIndex(stamps))
    score, back = zscore(values, 2), ago(values, 2)
    for row, hour in enumerate(hours):
        window = values.to_numpy()[(hours > hour - 48) & (hours <= hour)]
        spread = np.std(window, ddof=1) if len(window) > 1 else 0.0
        if hour - hours[0] < 48 or spread == 0:
            assert math.isnan(score.iloc[row])
        else:
            expected = (values.iloc[row] - window.mean()) / spread
            assert score.iloc[row] == pytest.approx(expected, abs=1e-9)
        earlier = [r for r in range(row + 1) if hours[r] <= hour - 48]
        if earlier and hour - hours[earlier[-1]] <= 96:
            assert back.iloc[row] == values.iloc[earlier[-1]]
        else:
            assert math.isnan(back.iloc[row])


def test_what_was_said_days_ago_is_at_most_as_many_days_older() -> None:
    """A day ago, of rows of which the one before lies just two days back, or a second more."""
    for seconds, expected in ((0, 7.0), (1, math.nan)):
        late = DAYS[2] + pd.Timedelta(seconds, "s")
        values = pd.Series([7.0, 8.0], index=pd.DatetimeIndex([DAYS[0], late]))
        got = ago(values, 1)
        assert math.isnan(got.iloc[0])
        np.testing.assert_equal(got.iloc[1], expected)


def test_a_window_is_full_so_many_days_after_the_first_row_that_says_something() -> None:
    values = pd.Series([math.nan, 1.0, math.nan, 1.0, 1.0], index=DAYS[:5])
    assert full(values, 2).tolist() == [False, False, False, True, True]
    assert not full(values.iloc[:1], 2).any()
    assert not full(values.iloc[:0], 2).any()


def test_an_event_of_a_week_is_one_bar() -> None:
    weeks = pd.DatetimeIndex(["2026-01-05", "2026-01-12", "2026-01-19"], tz="UTC")
    seen = market({"2026-01-06": 1.0})
    got = align_events(seen, pd.Series([True, False, True], index=weeks), "1w")
    assert got.index[got].strftime("%a %d").tolist() == ["Sun 11", "Sun 25"]
    holed = MarketView(bars=seen.bars.drop(pd.Timestamp("2026-01-11", tz="UTC")), timeframe="1d")
    late = align_events(holed, pd.Series([True, False, False], index=weeks), "1w")
    assert late.index[late].strftime("%a %d").tolist() == ["Mon 12"]
    short = MarketView(bars=seen.bars.iloc[:5], timeframe="1d")
    assert not align_events(short, pd.Series([True], index=weeks[:1]), "1w").any()
