from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import DataError
from delever.funding_stamps import (
    Hole,
    funding_holes,
    funding_intervals,
    snap_to_second,
)

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND


def hours(*stamps: int) -> np.ndarray:
    return np.array(stamps, dtype=np.int64) * HOUR


def test_stamps_snap_to_the_second() -> None:
    late = np.array([8 * HOUR + 7_000_000, 16 * HOUR - 3_000_000, 24 * HOUR], dtype=np.int64)
    assert snap_to_second(late).tolist() == [8 * HOUR, 16 * HOUR, 24 * HOUR]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ((0, 8, 16, 24), (8, 8, 8)),
        ((0, 24, 48, 72), (24, 24, 24)),
        ((0, 1, 2, 3), (1, 1, 1)),
        ((0, 8), (8,)),
        ((0, 8, 16, 20, 24, 28), (8, 8, 4, 4, 4)),  # a change of interval
        ((0, 4, 8, 16, 24, 25, 26), (4, 4, 8, 8, 1, 1)),  # and back, and to hourly
        ((0, 8, 9, 10), (8, 1, 1)),  # a history that begins just before a change
        ((0, 4, 8, 16, 20, 24), (4, 4, 4, 4, 4)),  # one missing stamp
        ((0, 8, 16, 40, 48), (8, 8, 8, 8)),  # two missing stamps, 24 h apart as BitMEX once
        ((0, 1, 2, 7, 8), (1, 1, 1, 1)),  # five hours are no interval at all
        ((0, 1, 4, 9, 10), (1, 1, 1, 1)),  # two such holes in a row
    ],
)
def test_intervals_are_read_from_the_stamps(
    stamps: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert (funding_intervals(hours(*stamps)) // HOUR).tolist() == list(expected)


@pytest.mark.parametrize(
    ("stamps", "said"),
    [
        ((), "at least two stamps.*got 0"),
        ((0,), "at least two stamps.*got 1"),
        ((0, 8, 8), r"row 2 \(1970-01-01 08:00:00\) does not come after"),
        ((8, 0), "row 1"),
        ((0, 7, 10), "1, 2, 4, 8 or 24 hours apart"),
    ],
)
def test_stamps_that_say_no_interval_are_refused(stamps: tuple[int, ...], said: str) -> None:
    with pytest.raises(DataError, match=said):
        funding_intervals(hours(*stamps))


def test_holes_are_found_where_they_matter() -> None:
    stamps = hours(0, 8, 16, 24, 40, 48, 56)
    missing = Hole(24 * HOUR, 40 * HOUR, 8 * HOUR)
    assert funding_holes(stamps, 0, 56 * HOUR) == (missing,)
    assert funding_holes(stamps, 40 * HOUR, 56 * HOUR) == ()
    assert funding_holes(stamps, 0, 24 * HOUR) == ()
    assert funding_holes(stamps, 30 * HOUR, 35 * HOUR) == (missing,)
    # The run may begin at the stamp before the first and end where the next would fall.
    assert funding_holes(stamps[1:4], 0, 32 * HOUR) == ()
    assert funding_holes(stamps[1:4], -HOUR, 33 * HOUR) == (
        Hole(-HOUR, 8 * HOUR, 8 * HOUR),
        Hole(24 * HOUR, 33 * HOUR, 8 * HOUR),
    )
    # A run wholly outside is one hole.
    assert funding_holes(stamps, 100 * HOUR, 120 * HOUR) == (
        Hole(100 * HOUR, 120 * HOUR, 8 * HOUR),
    )


def test_late_stamps_are_no_holes() -> None:
    late = hours(0, 8, 16, 24) + np.array([0, 9_000_000, 2_000_000, 11_000_000])
    assert funding_holes(late, 0, 30 * HOUR) == ()


@settings(max_examples=500)
@given(
    spans=st.lists(
        st.tuples(st.sampled_from([1, 4, 8]), st.integers(4, 9)), min_size=1, max_size=4
    ),
    data=st.data(),
)
def test_a_missing_stamp_is_always_seen(spans: list[tuple[int, int]], data: st.DataObject) -> None:
    """Whatever intervals follow each other: all there is no hole; one inside gone is one hole."""
    stamps, now, edges = [0], 0, set()
    for interval, count in spans:
        edges |= {len(stamps) - 2, len(stamps) - 1, len(stamps)}
        for _ in range(count):
            now += interval
            stamps.append(now)
    edges |= {len(stamps) - 2, len(stamps) - 1}
    full = hours(*stamps)
    assert funding_holes(full, 0, int(full[-1])) == ()
    inside = [place for place in range(2, len(stamps) - 1) if place not in edges]
    if not inside:
        return
    gone = data.draw(st.sampled_from(inside))
    (hole,) = funding_holes(np.delete(full, gone), 0, int(full[-1]))
    assert (hole.after, hole.before) == (full[gone - 1], full[gone + 1])
    assert hole.interval == full[gone] - full[gone - 1]


def test_years_of_real_funding_have_no_hole(shared_data: Path) -> None:
    with (shared_data / "funding_btcusdt_8h_binance.csv").open() as file:
        rows = list(csv.DictReader(file))
    times = [dt.datetime.fromisoformat(row["timestamp"]).timestamp() for row in rows]
    stamps = np.array([int(time) * SECOND for time in times], dtype=np.int64)
    assert funding_holes(stamps, int(stamps[0]), int(stamps[-1])) == ()
    assert set((funding_intervals(stamps) // HOUR).tolist()) == {8}
