"""Breaks, retests and reclaims against the rule written as a walk over the bars."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.signals.breaks import (
    LABELS,
    average_breaks,
    breach_depth,
    breaks,
    support_breaks,
)
from delever.view import MarketView

QUICK = settings(max_examples=80, deadline=None, derandomize=True)
ROWS = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 3), st.integers(0, 3), st.integers(0, 9)),
    min_size=1,
    max_size=40,
)


def bars_of(rows: list[tuple[int, int, int, int]]) -> tuple[pd.DataFrame, pd.Series]:
    """Close, upper wick, lower wick, line; a line of 0 is undefined."""
    close = pd.Series([float(row[0]) for row in rows])
    frame = pd.DataFrame(
        {
            "close": close,
            "high": close + [row[1] for row in rows],
            "low": close - [row[2] for row in rows],
        }
    )
    line = pd.Series([float(row[3]) or math.nan for row in rows])
    return frame, line


@QUICK
@given(ROWS, st.integers(1, 4), st.sampled_from([0.0, 0.2]))
def test_labels_equal_a_walk_over_the_bars(
    rows: list[tuple[int, int, int, int]], false_bars: int, near: float
) -> None:
    frame, line = bars_of(rows)
    got = breaks(frame, line, near=near, false_bars=false_bars)
    state, began = False, None
    for t in range(len(rows)):
        close, high, level = frame["close"][t], frame["high"][t], line[t]
        was, labels = state, set()
        if close < level:
            state = True
        elif close > level:
            state = False
        if state and not was:
            began = None
            if t and not math.isnan(line[t - 1]):
                began = t
                labels.add("break")
        elif state and was and high >= level * (1 - near):
            if not frame["high"][t - 1] >= line[t - 1] * (1 - near) and began != t:
                labels.add("retest")
        elif was and not state:
            soon = began is not None and t - began <= false_bars
            labels.add("false_break" if soon else "reclaim")
        if t and frame["low"][t] <= line[t - 1] and frame["close"][t - 1] > line[t - 1]:
            labels.add("touch")
        assert {name for name in LABELS if got[name][t]} == labels, t


def test_a_support_is_broken_once_and_breached_again_lower_down() -> None:
    close = [12.0, 9, 8, 6, 9, 10, 11, 12]
    support = pd.Series([10.0, 10, 7, 7, 7, 7, 7, 10])
    frame = pd.DataFrame({"close": close, "high": close, "low": close})
    got = support_breaks(frame, support, false_bars=2, confirm_bars=2)

    def rows(name: str) -> list[int]:
        return got.index[got[name]].tolist()

    assert rows("break") == [1]  # the level of 10, until a close above it
    assert rows("breach") == [1, 3]  # 9 under 10, then 6 under 7
    assert rows("confirmed") == [2]
    assert rows("retest") == [5]  # the high of bar 5 is back at 10
    assert rows("reclaim") == [6]
    assert rows("false_break") == []
    assert rows("touch") == [1, 3]  # from above 10, and from above 7


def test_a_break_that_comes_back_at_once_is_false_when_it_comes_back() -> None:
    close = [12.0, 9, 11, 12, 9, 9, 9, 9, 11]
    frame = pd.DataFrame({"close": close, "high": close, "low": close})
    got = support_breaks(frame, pd.Series(10.0, index=frame.index), false_bars=3, confirm_bars=3)
    assert got.index[got["false_break"]].tolist() == [2]
    assert got.index[got["reclaim"]].tolist() == [8]
    assert got.index[got["confirmed"]].tolist() == [6]


def test_a_low_breaks_where_the_close_does_not() -> None:
    close, low = [12.0, 11, 12], [12.0, 9, 11]
    frame = pd.DataFrame({"close": close, "high": close, "low": low})
    support = pd.Series([10.0] * 3)
    assert not support_breaks(frame, support)["break"].any()
    got = support_breaks(frame, support, on="low")
    assert got["break"].tolist() == [False, True, False]
    assert got["false_break"].tolist() == [False, False, True]


def test_a_break_that_follows_another_without_a_pause_is_no_retest() -> None:
    frame = pd.DataFrame(
        {"close": [99.0, 121, 121], "high": [99.5, 122, 122], "low": [99.0, 110, 120.5]}
    )
    got = support_breaks(frame, pd.Series([100.0, 120, 120]), on="low")
    assert got["break"].tolist() == [True, True, False]
    assert not got["retest"].any()


def test_depth_is_counted_in_ranges_known_before_the_bar() -> None:
    frame = pd.DataFrame(
        {"close": [10.0, 10, 10, 2], "high": [11.0, 11, 11, 10], "low": [9.0, 9, 9, 1]}
    )
    support = pd.Series([math.nan, 8.0, 8.0, 8.0])
    got = breach_depth(frame, support, window=2)
    # Ranges of 2 before the last bar; its own of 9 does not count.
    np.testing.assert_allclose(got, [np.nan, np.nan, -1.0, 3.0])
    assert breach_depth(frame, support, on="low", window=2).iloc[3] == pytest.approx(3.5)


def daily(closes: list[float]) -> MarketView:
    index = pd.date_range("2026-01-05", periods=len(closes), tz="UTC")
    frame = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], closes), index=index)
    return MarketView(bars=frame, timeframe="1d")


def test_weekly_breaks_are_known_on_sundays_and_daily_ones_the_same_day() -> None:
    # Weeks close at 10, 10, 8 (below the mean of two, 9), 12 (above 10).
    week = [[10.0] * 7, [10.0] * 7, [10, 7, 10, 10, 9, 9, 8], [8.0, 8, 8, 8, 8, 8, 12], [12.0] * 7]
    seen = daily([close for days in week for close in days])
    wide = average_breaks(seen, weeks=2, false_bars=1)
    named = {name: wide.index[wide[name]].strftime("%a %m-%d").tolist() for name in LABELS}
    assert named["break"] == ["Sun 01-25"]
    assert named["false_break"] == ["Sun 02-01"]
    assert named["reclaim"] == named["retest"] == []
    fine = average_breaks(seen, weeks=2, on="close", false_bars=1)
    # Against the average of the weeks closed by then: 10 until 01-24, 9 from 01-25 on.
    assert fine.index[fine["break"]].strftime("%a %m-%d").tolist() == ["Tue 01-20"]
    assert fine["touch"].equals(wide["touch"])
    # Touches need a close above the line before: none until the reclaim of February.
    assert not fine["touch"].any()


def test_a_sunday_is_not_touched_by_the_average_of_its_own_week() -> None:
    # The line is the last week's close: 10 until the second Sunday has closed, then 11.
    seen = daily([10.0] * 7 + [12.0] * 6 + [11.0] + [12.0] * 6 + [11.0])
    touched = average_breaks(seen, weeks=1)["touch"]
    assert touched.index[touched].strftime("%a %m-%d").tolist() == ["Sun 01-25"]


def test_refuses_what_it_cannot_mean() -> None:
    frame, line = bars_of([(1, 0, 0, 1)])
    with pytest.raises(InputError, match=r"near must be a fraction in \[0, 1\)"):
        breaks(frame, line, near=1.0)
    with pytest.raises(InputError, match="false_bars at least 1"):
        breaks(frame, line, false_bars=0)
    with pytest.raises(InputError, match="on must be 'close' or 'low'; got 'high'"):
        support_breaks(frame, line, on="high")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="on must be 'close' or 'low'"):
        breach_depth(frame, line, on="open")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="on must be 'weekly_close' or 'close'"):
        average_breaks(daily([1.0]), on="low")  # type: ignore[arg-type]
