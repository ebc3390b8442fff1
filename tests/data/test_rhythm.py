"""The timeframe of rows, from the distances between them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from delever.data.rhythm import check_timeframe, timeframe_of
from delever.errors import SchemaError
from delever.units import timeframe_delta

FRAMES = ("1m", "5m", "15m", "1h", "4h", "8h", "1d", "1w")


def every(timeframe: str, rows: int, start: str = "2024-01-01") -> pd.DatetimeIndex:
    return pd.date_range(start, periods=rows, freq=timeframe_delta(timeframe), tz="UTC", unit="ns")


@settings(max_examples=100)
@given(
    st.sampled_from(FRAMES),
    st.sampled_from(FRAMES),
    st.sampled_from(["ohlcv", "series", "funding"]),
    st.lists(st.booleans(), min_size=20, max_size=60),
)
def test_holes_hide_no_timeframe_and_no_other_one_is_taken_for_it(
    own: str, said: str, kind: str, kept: list[bool]
):
    # Most rows are there: between two holes stand at least three.
    keep = [here or not all(kept[max(0, n - 3) : n]) for n, here in enumerate(kept)]
    index = every(own, len(keep))[keep]
    steps = pd.Series(np.diff(index.asi8) // timeframe_delta(own).value)
    assume((steps == 1).sum() > 3)
    assert timeframe_of(index, kind, "x") == own
    check_timeframe(index, kind, own, "x")
    times = timeframe_delta(said).value / timeframe_delta(own).value
    if said != own and not (kind == "funding" and (steps == times).sum() >= 2):
        with pytest.raises(SchemaError, match=f"rows of {said} were said; .* {own} after"):
            check_timeframe(index, kind, said, "x")


def test_business_days_are_days_and_months_are_none():
    weekdays = pd.date_range("2024-01-01", periods=60, freq="B", tz="UTC")
    assert timeframe_of(weekdays, "ohlcv", "x") == "1d"
    months = pd.date_range("2022-01-01", periods=24, freq="MS", tz="UTC")
    with pytest.raises(SchemaError, match="months have no fixed length: import finer bars"):
        check_timeframe(months, "ohlcv", "1d", "x")
    assert timeframe_of(months, "series", "x") == "31d"
    thursdays = every("1w", 9, "2024-01-04")
    assert timeframe_of(thursdays, "series", "x") == "7d"  # weeks begin on Mondays


def test_readings_without_a_clock_are_asked_for_theirs():
    rng = np.random.default_rng(2)
    days = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(
        rng.uniform(12, 15, 40).cumsum(), unit="D"
    )
    with pytest.raises(SchemaError, match=r"rows are 1\d.*d to 1\d.*d apart; give the --timeframe"):
        timeframe_of(days, "series", "x")
    check_timeframe(days, "series", "1d", "x")


@pytest.mark.parametrize(
    ("regimes", "own", "others"),
    [
        ((("8h", 9), ("1h", 30)), "1h", ("8h",)),
        ((("8h", 900), ("4h", 6)), "4h", ("8h",)),
        ((("1d", 90), ("8h", 900), ("4h", 6)), "4h", ("8h", "1d")),
    ],
)
def test_funding_may_be_called_by_any_interval_it_had(regimes, own, others):
    index = pd.DatetimeIndex([pd.Timestamp("2021-01-01", tz="UTC")])
    for timeframe, rows in regimes:
        start = str(index[-1].tz_localize(None))
        index = index.append(every(timeframe, rows + 1, start)[1:])
    assert timeframe_of(index, "funding", "x") == own
    for timeframe in (own, *others):
        check_timeframe(index, "funding", timeframe, "x")
    with pytest.raises(SchemaError, match="rows of 2h were said"):
        check_timeframe(index, "funding", "2h", "x")


def test_few_rows_say_little():
    one = every("1d", 1)
    with pytest.raises(SchemaError, match="one row does not say how far apart rows are; give"):
        timeframe_of(one, "ohlcv", "x")
    check_timeframe(one, "ohlcv", "1h", "x")
    two = every("1d", 3)[[0, 2]]
    check_timeframe(two, "ohlcv", "1d", "x")  # a hole, or rows of two days: nobody can tell
    seconds = pd.date_range("2024-01-01", periods=9, freq="s", tz="UTC")
    with pytest.raises(SchemaError, match="a minute is the finest timeframe"):
        timeframe_of(seconds, "ohlcv", "x")
    with pytest.raises(SchemaError, match="a minute is the finest timeframe"):
        check_timeframe(seconds, "ohlcv", "1m", "x")
