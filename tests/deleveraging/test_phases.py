from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.deleveraging.period import Period
from delever.deleveraging.phases import PHASES, phases
from delever.errors import InputError

DAY = pd.Timedelta(days=1)


def series(values: list[float], start: str = "2020-01-01", step: str = "24h") -> pd.Series:
    index = pd.date_range(start, periods=len(values), freq=step, tz="UTC", unit="ns")
    return pd.Series(values, index=index, dtype=float)


def period(start: str, end: str) -> Period:
    first, last = (pd.Timestamp(text, tz="UTC") for text in (start, end))
    return Period(id="x", title="", start=first, trough=first, end=last)


def letters(found: pd.Series) -> str:
    return "".join(
        {"build_up": "b", "cascade": "c", "washout": "w", "recovery": "r"}[p] for p in found
    )


def test_a_hand_case() -> None:
    # Peak 100 on the 4th, trough 60 on the 6th, half the fall regained at 80.
    close = series([70, 80, 90, 100, 80, 60, 65, 70, 79, 81, 90])
    found = phases(period("2020-01-05", "2020-01-09"), close, "1d", around=2 * DAY)
    assert found.index[0] == pd.Timestamp("2020-01-03", tz="UTC")
    # The half is reached on the 10th, two days after the end: the last a recovery may last.
    assert letters(found) == "bb" + "cc" + "ww" + "rr"
    assert found.cat.ordered
    assert tuple(found.cat.categories) == PHASES


def test_a_recovery_ends_with_the_bar_that_regains_the_share() -> None:
    close = series([100, 80, 60, 65, 70, 80, 90, 95])
    window = period("2020-01-02", "2020-01-05")
    assert letters(phases(window, close, "1d")) == "b" + "cc" + "w" + "rr"
    assert letters(phases(window, close, "1d", regained=0.75)) == "b" + "cc" + "w" + "rrr"
    assert letters(phases(window, close, "1d", regained=1.0)) == "b" + "cc" + "w" + "rrrr"


def test_there_is_no_recovery_when_the_period_ends_regained() -> None:
    close = series([100, 60, 90, 95, 96])
    assert letters(phases(period("2020-01-02", "2020-01-04"), close, "1d")) == "b" + "c" + "w"
    # So does one that ends at just half of the fall.
    close = series([100, 60, 80, 79, 96])
    assert letters(phases(period("2020-01-02", "2020-01-04"), close, "1d")) == "b" + "c" + "w"


def test_a_dip_below_the_trough_after_the_period_does_not_move_it() -> None:
    close = series([100, 60, 65, 50, 55, 85])
    assert (
        letters(phases(period("2020-01-02", "2020-01-04"), close, "1d")) == "b" + "c" + "w" + "rrr"
    )


def test_the_first_of_two_equal_lows_ends_the_cascade() -> None:
    close = series([100, 60, 70, 60, 61])
    assert letters(phases(period("2020-01-02", "2020-01-06"), close, "1d")) == "b" + "c" + "www"


def test_weekly_bars_that_straddle_a_boundary_fall_into_the_phase_next_to_it() -> None:
    # Mondays 6, 13, 20, 27 January and 3 February; the period runs from Friday the 10th
    # to Wednesday the 29th, so the weeks of the 13th and 20th are inside.
    close = series([100, 70, 60, 62, 90], "2020-01-06", "168h")
    early = pd.concat([series([95], "2019-12-30"), close])
    found = phases(period("2020-01-10", "2020-01-29"), early, "1w")
    assert letters(found) == "bb" + "cc" + "rr"
    # The fall is measured from the last week known at the start, 95; half of it is at 77.5.


def test_bars_that_do_not_reach_around_the_period_are_refused() -> None:
    close = series([100, 60, 70, 80])
    with pytest.raises(InputError, match="from before 2020-01-01"):
        phases(period("2020-01-01", "2020-01-03"), close, "1d")
    with pytest.raises(InputError, match="'x' need 1d bars"):
        phases(period("2020-01-02", "2020-01-06"), close, "1d")
    with pytest.raises(InputError, match="at least one inside"):
        phases(period("2020-01-02 06:00", "2020-01-03 06:00"), close, "1d")


@pytest.mark.parametrize("change", [{"regained": 0.0}, {"regained": 1.1}, {"around": -DAY}])
def test_a_rule_out_of_range_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match="around >= 0 and 0 < regained <= 1"):
        phases(period("2020-01-02", "2020-01-03"), series([3, 2, 1]), "1d", **change)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(st.floats(1, 100), min_size=8, max_size=40),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 10),
)
def test_phases_are_exhaustive_consecutive_and_in_order(
    values: list[float], start: int, length: int, days: int
) -> None:
    close = series(values)
    window = Period(
        id="x", title="", start=close.index[start], trough=close.index[start],
        end=close.index[start] + length * DAY,
    )  # fmt: skip
    found = phases(window, close, "1d", around=days * DAY)
    assert (np.diff(found.cat.codes) >= 0).all()
    assert pd.DatetimeIndex(found.index).equals(
        pd.date_range(found.index[0], found.index[-1], freq="24h", unit="ns")
    )
    inside = found[found.isin(["cascade", "washout"])]
    assert inside.index.equals(close.index[start : start + length])
    assert close[inside.index[inside == "cascade"][-1]] == min(values[start : start + length])
    assert (found == "build_up").sum() == min(start, days)
    assert (found == "recovery").sum() <= days
