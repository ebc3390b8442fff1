"""Moving between clocks: against a calendar walked bar by bar, and blind to the future."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.bars import as_of, close_times, gaps, resample
from delever.errors import InputError

STEPS = {
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
    "1w": timedelta(weeks=1),
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONDAY = datetime(1970, 1, 5, tzinfo=UTC)


@st.composite
def histories(draw: st.DrawFn, timeframe: str) -> pd.DataFrame:
    """Bars on the grid with holes: any subset of the bars after a start."""
    step = STEPS[timeframe]
    start = EPOCH + draw(st.integers(0, 5_000)) * 7 * timedelta(hours=4)
    start = EPOCH + (start - EPOCH) // step * step
    present = draw(st.lists(st.booleans(), min_size=1, max_size=90))
    times = [start + i * step for i, there in enumerate(present) if there] or [start]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    prices = np.exp(rng.normal(size=(len(times), 4)))
    frame = pd.DataFrame(
        {
            "open": prices[:, 0],
            "high": prices.max(axis=1),
            "low": prices.min(axis=1),
            "close": prices[:, 3],
            "volume": rng.uniform(0, 10, len(times)),
        },
        index=pd.DatetimeIndex(times, name="open_time").as_unit("ns"),
    )
    return frame


def walked(frame: pd.DataFrame, timeframe: str, coarser: str) -> dict[datetime, list[float]]:
    """Coarser bars by walking the calendar with the standard library."""
    width, step = STEPS[coarser], STEPS[timeframe]
    anchor = MONDAY if coarser == "1w" else EPOCH
    times = [stamp.to_pydatetime() for stamp in frame.index]
    bars: dict[datetime, list[float]] = {}
    open_time = anchor + (times[0] - anchor) // width * width
    while open_time <= times[-1]:
        end = open_time + width
        inside = [i for i, time in enumerate(times) if open_time <= time < end]
        if inside and open_time >= times[0] and end <= times[-1] + step:
            rows = [frame.iloc[i] for i in inside]
            bars[open_time] = [
                rows[0]["open"],
                max(row["high"] for row in rows),
                min(row["low"] for row in rows),
                rows[-1]["close"],
                math.fsum(row["volume"] for row in rows),
            ]
        open_time = end
    return bars


PAIRS = [("1h", "4h"), ("4h", "1d"), ("1d", "1w"), ("4h", "1w")]


@pytest.mark.parametrize(("timeframe", "coarser"), PAIRS)
@settings(max_examples=30)
@given(data=st.data())
def test_resample_is_the_calendar_whatever_is_missing(
    data: st.DataObject, timeframe: str, coarser: str
):
    frame = data.draw(histories(timeframe))
    expected = walked(frame, timeframe, coarser)
    got = resample(frame, timeframe, coarser)
    assert got.index.tolist() == list(expected)
    assert got.index.name == "open_time"
    assert got.index.unit == "ns"
    assert got.iloc[:, :4].to_numpy().tolist() == [row[:4] for row in expected.values()]
    np.testing.assert_allclose(got["volume"], [row[4] for row in expected.values()], rtol=1e-14)


@pytest.mark.parametrize(("timeframe", "coarser"), PAIRS)
@settings(max_examples=30)
@given(data=st.data())
def test_later_bars_change_no_earlier_coarser_bar(
    data: st.DataObject, timeframe: str, coarser: str
):
    frame = data.draw(histories(timeframe))
    whole = resample(frame, timeframe, coarser)
    cut = data.draw(st.integers(1, len(frame)))
    part = resample(frame.iloc[:cut], timeframe, coarser)
    pd.testing.assert_frame_equal(part, whole.iloc[: len(part)], check_exact=True)
    known = close_times(pd.DatetimeIndex(whole.index), coarser)
    now = close_times(pd.DatetimeIndex(frame.index[[cut - 1]]), timeframe)[0]
    assert len(part) == int((known <= now).sum())


def test_a_gap_shifts_no_week():
    days = pd.date_range("2021-01-04", periods=28, tz="UTC", unit="ns")
    frame = pd.DataFrame({"close": np.arange(28.0)}, index=days)
    holed = frame.drop(days[[7, 8, 13, 20]])  # two Mondays' days and two Sundays
    weeks = resample(holed, "1d", "1w")
    assert weeks.index.tolist() == resample(frame, "1d", "1w").index.tolist()
    assert weeks["close"].tolist() == [6.0, 12.0, 19.0, 27.0]


def test_a_week_without_any_bar_is_not_there():
    days = pd.date_range("2021-01-04", periods=28, tz="UTC", unit="ns")
    frame = pd.DataFrame({"close": np.arange(28.0)}, index=days).drop(days[7:14])
    assert resample(frame, "1d", "1w")["close"].tolist() == [6.0, 20.0, 27.0]


def test_undefined_volume_stays_undefined():
    days = pd.date_range("2021-01-04", periods=7, tz="UTC", unit="ns")
    frame = pd.DataFrame({"close": 1.0, "volume": np.nan}, index=days)
    assert np.isnan(resample(frame, "1d", "1w")["volume"].iloc[0])


def test_no_bars_make_no_bars():
    empty = pd.DataFrame(
        {"open": [], "close": []}, index=pd.DatetimeIndex([], tz="UTC").as_unit("us"), dtype=float
    )
    got = resample(empty, "1d", "1w")
    assert got.shape == (0, 2)
    assert (got.index.name, str(got.index.dtype)) == ("open_time", "datetime64[ns, UTC]")


@pytest.mark.parametrize(
    ("timeframe", "coarser"),
    [("1d", "1h"), ("4h", "6h"), ("2d", "1w"), ("7d", "1w"), ("1w", "14d"), ("1w", "1d")],
)
def test_a_timeframe_that_does_not_fit_is_refused(timeframe: str, coarser: str):
    frame = pd.DataFrame({"close": [1.0]}, index=pd.DatetimeIndex(["2021-01-04"], tz="UTC"))
    with pytest.raises(InputError, match="whole multiple"):
        resample(frame, timeframe, coarser)


def test_minutes_and_weeks_count_alike_whatever_the_unit_of_stamps():
    index = pd.date_range("2021-01-04", periods=14 * 24, freq="h", tz="UTC")
    frame = pd.DataFrame({"close": np.arange(14.0 * 24)}, index=index)
    one, other = (
        resample(frame.set_axis(index.as_unit(unit), axis=0), "1h", "1w") for unit in ("s", "ns")
    )
    pd.testing.assert_frame_equal(one, other)
    assert one["close"].tolist() == [167.0, 335.0]


@st.composite
def readings(draw: st.DrawFn) -> tuple[list[int], list[float], list[int]]:
    known = sorted(draw(st.lists(st.integers(0, 60), max_size=25)))
    values = [draw(st.floats(-5, 5) | st.just(math.nan)) for _ in known]
    return known, values, draw(st.lists(st.integers(-5, 70), max_size=25))


@settings(max_examples=40)
@given(readings())
def test_as_of_is_the_last_reading_known(drawn: tuple[list[int], list[float], list[int]]):
    known, values, asked = drawn
    start = pd.Timestamp("2021-01-01", tz="UTC").as_unit("ns")
    clock = [start + pd.Timedelta(hours=hour) for hour in known]
    at = pd.DatetimeIndex([start + pd.Timedelta(hours=hour) for hour in asked], tz="UTC")
    got = as_of(pd.Series(values, dtype=float), pd.DatetimeIndex(clock, tz="UTC"), at)
    expected = [
        next((v for k, v in reversed(list(zip(known, values, strict=True))) if k <= h), math.nan)
        for h in asked
    ]
    np.testing.assert_array_equal(got.to_numpy(), expected)
    # What becomes known later changes nothing.
    for hour, value in zip(asked, expected, strict=True):
        seen = [k for k in known if k <= hour]
        then = as_of(
            pd.Series(values[: len(seen)], dtype=float),
            pd.DatetimeIndex(clock[: len(seen)], tz="UTC"),
            pd.DatetimeIndex([start + pd.Timedelta(hours=hour)]),
        )
        np.testing.assert_array_equal(then.to_numpy(), [value])


def test_as_of_refuses_readings_out_of_order_or_without_a_stamp():
    days = pd.date_range("2021-01-01", periods=2, tz="UTC")
    with pytest.raises(InputError, match="must not decrease"):
        as_of(pd.Series([1.0, 2.0]), days[::-1], days)
    with pytest.raises(InputError, match="2 for 1"):
        as_of(pd.Series([1.0]), days, days)


@given(st.sets(st.integers(0, 60), min_size=1), st.sampled_from(["1h", "4h", "1w"]))
def test_gaps_and_bars_tile_the_span(present: set[int], timeframe: str):
    step = pd.Timedelta(STEPS[timeframe])
    start = pd.Timestamp("2021-01-04", tz="UTC").as_unit("ns")
    index = pd.DatetimeIndex([start + n * step for n in sorted(present)])
    found = gaps(index, timeframe)
    missing = {n for n in range(min(present), max(present)) if n not in present}
    listed = {
        (first - start) // step + n
        for first, bars in zip(found["start"], found["bars"], strict=True)
        for n in range(bars)
    }
    assert listed == missing
    assert found["bars"].sum() == len(missing)
    assert (found["end"] - found["start"] == found["bars"] * step).all()
    assert found["end"].isin(index).all()


def test_stamps_a_second_off_the_grid_make_no_gap_of_no_bars():
    stamps = [
        "2021-01-01 00:00:01",
        "2021-01-01 07:59:59",
        "2021-01-01 16:00:02",
        "2021-01-02 08:00",
    ]
    found = gaps(pd.DatetimeIndex(stamps, tz="UTC"), "8h")
    assert found["bars"].tolist() == [1]
    assert found["end"].tolist() == [pd.Timestamp("2021-01-02 08:00", tz="UTC")]
