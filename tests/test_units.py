"""Timeframes and grids, against the calendar of the standard library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.errors import InputError
from delever.units import floor_to, off_grid, periods_per_year, timeframe_delta

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.integers(-2_200_000_000, 4_100_000_000).map(lambda s: EPOCH + timedelta(seconds=s))


@pytest.mark.parametrize(
    ("timeframe", "length"),
    [
        ("1m", timedelta(minutes=1)),
        ("15m", timedelta(minutes=15)),
        ("4h", timedelta(hours=4)),
        ("1d", timedelta(days=1)),
        ("2w", timedelta(days=14)),
        ("5214w", timedelta(weeks=5214)),
    ],
)
def test_length(timeframe: str, length: timedelta):
    assert timeframe_delta(timeframe) == length
    assert timeframe_delta(timeframe).unit == "ns"


@pytest.mark.parametrize(
    "timeframe", ["", "1", "d", "0d", "01d", "1D", "1M", "1.5h", " 1d", "1d ", "-1d", "1٠d", "1s"]
)
def test_what_is_no_timeframe_is_refused(timeframe: str):
    with pytest.raises(InputError, match="whole number and one of m, h, d, w"):
        timeframe_delta(timeframe)


@pytest.mark.parametrize("timeframe", ["99999w", "999999999w", "40000d"])
def test_a_timeframe_beyond_what_time_can_count_is_refused(timeframe: str):
    with pytest.raises(InputError, match="100 years"):
        timeframe_delta(timeframe)


def test_periods_per_year_of_365_days():
    assert periods_per_year("1h") == 8760
    assert periods_per_year("8h") == 1095
    assert periods_per_year("1w") == pytest.approx(365 / 7, rel=1e-15)


@given(moments, st.sampled_from(["1m", "7m", "4h", "5h", "1d", "3d"]))
def test_floor_counts_whole_timeframes_from_the_epoch(moment: datetime, timeframe: str):
    step = int(timeframe[:-1]) * UNITS[timeframe[-1]]
    expected = EPOCH + (moment - EPOCH) // step * step
    assert floor_to(pd.DatetimeIndex([moment]), timeframe)[0] == expected


@given(moments)
def test_weeks_open_on_monday(moment: datetime):
    monday = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    monday -= timedelta(days=monday.weekday())
    index = pd.DatetimeIndex([moment], name="t")
    floored = floor_to(index, "1w")
    assert floored[0] == monday
    assert (floored.name, floored.unit, str(floored.tz)) == ("t", "ns", "UTC")


@given(moments, st.sampled_from(["5m", "1h", "1d", "1w", "2w"]))
def test_an_open_time_is_on_the_grid_and_a_second_later_is_not(moment: datetime, timeframe: str):
    opens = floor_to(pd.DatetimeIndex([moment]), timeframe)
    assert floor_to(opens, timeframe).equals(opens)
    late = opens + pd.Timedelta(seconds=1)
    assert off_grid(opens.append(late), timeframe).tolist() == [False, True]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_resolution_of_stamps_does_not_matter(unit: str):
    index = pd.DatetimeIndex(["2026-02-08 12:34:56"], tz="UTC").as_unit(unit)
    assert floor_to(index, "4h")[0] == pd.Timestamp("2026-02-08 12:00", tz="UTC")
    assert off_grid(index, "1d").tolist() == [True]
