from __future__ import annotations

import math

import pandas as pd
import pytest

from delever.deleveraging.overlap import overlap
from delever.deleveraging.period import Period
from delever.errors import InputError

DAYS = pd.date_range("2020-01-01", periods=20, tz="UTC", unit="ns")


def state(text: str, index: pd.DatetimeIndex = DAYS) -> pd.Series:
    return pd.Series([letter == "x" for letter in text], index=index, dtype=bool)


def period(name: str, start: int, trough: int, end: int) -> Period:
    """Days of January 2020, all included."""
    first, low, last = (DAYS[0] + pd.Timedelta(days=day - 1) for day in (start, trough, end))
    return Period(id=name, title="", start=first, trough=low, end=last + pd.Timedelta(days=1))


def test_a_hand_case() -> None:
    catalogue = [period("a", 3, 5, 7), period("b", 12, 13, 14), period("c", 17, 17, 18)]
    #                       1234567890 1234567890
    report = overlap(state("xx..xxx.x." + ".xxx...x.x"), catalogue, "1d")
    assert (report.start, report.end) == (DAYS[2], DAYS[18])  # day 3 to day 18
    assert report.skipped == ()
    rows = report.periods
    assert rows.index.tolist() == ["a", "b", "c"]
    assert rows["bars"].tolist() == [5, 3, 2]
    assert rows["detected"].tolist() == [True, True, True]
    assert rows["lag"].tolist() == [2, 0, 1]
    assert rows["lag_trough"].tolist() == [0, -1, 1]
    assert rows["covered"].tolist() == [3 / 5, 1, 1 / 2]
    # Detected in the span: days 5, 6, 7, 9, 12, 13, 14, 18; only day 9 lies in no period.
    assert report.bar_precision == 7 / 8
    assert report.bar_recall == 7 / 10
    assert report.period_recall == 1
    assert (report.alarms, report.false_alarms) == (4, 1)


def test_a_period_missed_has_no_lag() -> None:
    catalogue = [period("a", 3, 5, 7), period("b", 12, 13, 14)]
    report = overlap(state("." * 7 + "xx" + "." * 11), catalogue, "1d")
    assert report.periods["detected"].tolist() == [False, False]
    assert report.periods[["lag", "lag_trough"]].isna().all(axis=None)
    assert report.periods["covered"].tolist() == [0, 0]
    assert (report.bar_precision, report.bar_recall, report.period_recall) == (0, 0, 0)
    assert (report.alarms, report.false_alarms) == (1, 1)


def test_silence_has_no_precision() -> None:
    report = overlap(state("." * 20), [period("a", 3, 5, 7)], "1d")
    assert math.isnan(report.bar_precision)
    assert (report.alarms, report.false_alarms) == (0, 0)


def test_alarms_outside_the_catalogues_span_count_neither_way() -> None:
    report = overlap(state("x.xx......" + "..........")[1:], [period("a", 3, 3, 4)], "1d")
    assert (report.alarms, report.false_alarms, report.bar_precision) == (1, 0, 1.0)
    late = overlap(state("..xx......" + "...x......"), [period("a", 3, 3, 4)], "1d")
    assert (late.alarms, late.false_alarms) == (1, 0)


def test_a_period_covered_in_part_is_named_and_its_bars_are_no_false_alarm() -> None:
    catalogue = [period("a", 3, 5, 7), period("b", 12, 13, 14)]
    report = overlap(state("x" * 3 + "." * 13, DAYS[4:]), catalogue, "1d")
    assert report.skipped == ("a",)
    assert report.periods.index.tolist() == ["b"]
    assert (report.bar_precision, report.bar_recall, report.period_recall) == (1, 0, 0)
    assert (report.alarms, report.false_alarms) == (1, 0)


def test_bars_too_coarse_for_a_period_skip_it() -> None:
    weeks = pd.date_range("2020-01-06", periods=2, freq="168h", tz="UTC", unit="ns")
    catalogue = [period("a", 6, 8, 11), period("b", 14, 14, 15), period("c", 18, 18, 19)]
    report = overlap(state("x.", weeks), catalogue, "1w")
    assert report.skipped == ("a", "b", "c")  # the sixth to the eleventh is no whole week
    assert math.isnan(report.bar_recall)
    assert math.isnan(report.period_recall)
    assert (report.alarms, report.false_alarms) == (1, 1)


def test_without_a_catalogue_or_a_common_span_there_is_nothing_to_compare() -> None:
    with pytest.raises(InputError, match="at least one period"):
        overlap(state("." * 20), [], "1d")
    far = Period(
        id="far", title="", start=DAYS[-1] + pd.Timedelta(days=9),
        trough=DAYS[-1] + pd.Timedelta(days=9), end=DAYS[-1] + pd.Timedelta(days=12),
    )  # fmt: skip
    with pytest.raises(InputError, match="2020-01-29 to 2020-02-01; none does"):
        overlap(state("." * 20), [far], "1d")


def test_runs_that_lie_close_together_are_one_alarm() -> None:
    catalogue = [period("a", 3, 5, 7), period("c", 17, 17, 18)]
    on = state("..x.x..xx....x..x...")
    assert (overlap(on, catalogue, "1d").alarms, overlap(on, catalogue, "1d").false_alarms) == (
        5,
        2,
    )
    # One free day joins, two do not: days 3 and 5; 8 and 9; 14; 17.
    joined = overlap(on, catalogue, "1d", join_days=2)
    assert (joined.alarms, joined.false_alarms) == (4, 2)
    wide = overlap(on, catalogue, "1d", join_days=4)
    assert (wide.alarms, wide.false_alarms) == (2, 0)
    assert wide.periods.equals(overlap(on, catalogue, "1d").periods)
