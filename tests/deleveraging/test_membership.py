from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.deleveraging.membership import membership, overlapping, per_period
from delever.deleveraging.period import Period
from delever.errors import InputError, SchemaError


def stamp(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def period(start: str, end: str, name: str = "x") -> Period:
    return Period(id=name, title=name, start=stamp(start), trough=stamp(start), end=stamp(end))


def opens(start: str, count: int, step: str) -> pd.DatetimeIndex:
    return pd.date_range(start, periods=count, freq=step, tz="UTC", unit="ns")


def test_daily_bars_from_the_start_day_to_the_end_day() -> None:
    index = opens("2020-03-05", 5, "24h")
    inside = membership(index, "1d", [period("2020-03-06", "2020-03-08")])
    assert inside.tolist() == [False, True, True, False, False]
    assert inside.dtype == bool
    assert inside.index.equals(index)


def test_weekly_bars_that_straddle_a_boundary_are_outside() -> None:
    mondays = opens("2020-03-02", 4, "168h")
    # Saturday 7th to Thursday 26th holds the week of the 9th and of the 16th and no other.
    inside = membership(mondays, "1w", [period("2020-03-07", "2020-03-26")])
    assert inside.tolist() == [False, True, True, False]


def test_a_four_hour_bar_that_straddles_a_boundary_is_outside() -> None:
    index = opens("2020-03-12 00:00", 6, "4h")
    window = period("2020-03-12 06:00", "2020-03-12 18:00")
    assert membership(index, "4h", [window]).tolist() == [False, False, True, True, False, False]


def test_bars_that_open_at_the_start_and_close_at_the_end_are_inside() -> None:
    index = opens("2020-03-12 00:00", 6, "4h")
    window = period("2020-03-12 04:00", "2020-03-12 20:00")
    assert membership(index, "4h", [window]).tolist() == [False, True, True, True, True, False]


def test_a_period_shorter_than_a_bar_has_none_and_does_not_overlap() -> None:
    mondays = opens("2022-10-31", 3, "168h")
    ftx = period("2022-11-06", "2022-11-11", "ftx")
    month = period("2022-10-31", "2022-11-21", "month")
    assert not membership(mondays, "1w", [ftx]).any()
    assert overlapping([ftx, month], mondays, "1w") == (month,)


def test_each_period_has_its_own_mask_and_overlapping_ones_join() -> None:
    index = opens("2020-01-01", 4, "24h")
    first = period("2020-01-01", "2020-01-03", "first")
    second = period("2020-01-02", "2020-01-04", "second")
    masks = per_period(index, "1d", [second, first])
    assert list(masks) == ["second", "first"]
    assert masks["first"].tolist() == [True, True, False, False]
    assert masks["second"].tolist() == [False, True, True, False]
    assert membership(index, "1d", [second, first]).tolist() == [True, True, True, False]
    assert overlapping([second, first], index, "1d") == (first, second)


def test_no_periods_is_all_outside_and_no_bars_is_empty() -> None:
    index = opens("2020-01-01", 2, "24h")
    assert membership(index, "1d", []).tolist() == [False, False]
    assert membership(index[:0], "1d", [period("2020-01-01", "2020-01-02")]).empty


def test_another_zone_is_read_as_the_instant_it_is() -> None:
    index = opens("2020-03-05", 5, "24h").tz_convert("Asia/Tokyo")
    inside = membership(index, "1d", [period("2020-03-06", "2020-03-08")])
    assert inside.tolist() == [False, True, True, False, False]
    assert str(pd.DatetimeIndex(inside.index).tz) == "UTC"


def test_naive_stamps_and_repeated_ids_are_refused() -> None:
    index = opens("2020-01-01", 2, "24h")
    window = period("2020-01-01", "2020-01-02")
    with pytest.raises(SchemaError, match="time zone"):
        membership(index.tz_localize(None), "1d", [window])
    with pytest.raises(InputError, match="'x' repeats"):
        per_period(index, "1d", [window, window])


@st.composite
def runs(draw: st.DrawFn) -> tuple[str, pd.DatetimeIndex, list[Period], np.ndarray]:
    timeframe, hours = draw(st.sampled_from([("4h", 4), ("1d", 24), ("1w", 168)]))
    count = draw(st.integers(1, 60))
    index = opens("2020-01-06", count, f"{hours}h")
    span = count * hours
    windows = []
    for place in range(draw(st.integers(0, 3))):
        first = draw(st.integers(-hours, span))
        length = draw(st.integers(1, span + hours))
        start = index[0] + pd.Timedelta(hours=first)
        end = start + pd.Timedelta(hours=length)
        windows.append(Period(id=str(place), title="", start=start, trough=start, end=end))
    returns = draw(st.lists(st.floats(-0.5, 0.5), min_size=count, max_size=count))
    return timeframe, index, windows, np.array(returns)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(runs())
def test_inside_is_what_the_definition_says_and_the_parts_compound_to_the_whole(
    run: tuple[str, pd.DatetimeIndex, list[Period], np.ndarray],
) -> None:
    timeframe, index, windows, returns = run
    hours = {"4h": 4, "1d": 24, "1w": 168}[timeframe]
    inside = membership(index, timeframe, windows).to_numpy()
    for bar, time in enumerate(index):
        close = time + pd.Timedelta(hours=hours)
        assert inside[bar] == any(w.start <= time and close <= w.end for w in windows)
    whole = np.prod(1 + returns)
    parts = np.prod(1 + returns[inside]) * np.prod(1 + returns[~inside])
    assert parts == pytest.approx(whole, rel=1e-12)
