"""States and crossings against the same rule written as a loop over rows."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.signals.edges import confirm, crossed_above, crossed_below, hold, latch

BOOLS = st.lists(st.booleans(), max_size=40)
PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40)
QUICK = settings(max_examples=80, deadline=None, derandomize=True)


def series(values: list[bool]) -> pd.Series:
    return pd.Series(values, index=pd.RangeIndex(7, 7 + len(values)), dtype=bool)


@QUICK
@given(PAIRS)
def test_latch_equals_a_walk_over_the_rows(pairs: list[tuple[bool, bool]]) -> None:
    state, expected = False, []
    for enter, leave in pairs:
        if leave:
            state = False
        elif enter:
            state = True
        expected.append(state)
    got = latch(series([a for a, _ in pairs]), series([b for _, b in pairs]))
    assert got.tolist() == expected
    assert got.dtype == bool


@QUICK
@given(BOOLS, st.integers(1, 5))
def test_confirm_equals_counting(values: list[bool], times: int) -> None:
    count, expected = 0, []
    for value in values:
        count = count + 1 if value else 0
        expected.append(count >= times)
    assert confirm(series(values), times).tolist() == expected


@QUICK
@given(BOOLS, st.integers(1, 6))
def test_hold_equals_a_countdown(values: list[bool], rows: int) -> None:
    left, expected = 0, []
    for value in values:
        if left == 0 and value:
            left = rows
        expected.append(left > 0)
        left = max(left - 1, 0)
    assert hold(series(values), rows).tolist() == expected


def test_crossings_need_the_other_side_first() -> None:
    values = pd.Series([0.5, 1.0, 1.5, 1.0, 0.9, 0.8, math.nan, 0.5, 2.0])
    below = crossed_below(values, 1.0)
    above = crossed_above(values, pd.Series([1.0] * 9))
    assert below.to_numpy().nonzero()[0].tolist() == [4]
    assert above.to_numpy().nonzero()[0].tolist() == [2, 8]


def test_refuses_no_rows_at_all() -> None:
    with pytest.raises(InputError, match="times must be at least 1; got 0"):
        confirm(series([True]), 0)
    with pytest.raises(InputError, match="rows must be at least 1; got 0"):
        hold(series([True]), 0)


def test_the_index_is_kept() -> None:
    given_ = series([True, False])
    for got in (latch(given_, ~given_), confirm(given_, 1), hold(given_, 1)):
        assert got.index.equals(given_.index)
