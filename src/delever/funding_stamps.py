"""When funding is due: the one rule for a series whose interval changes.

The engine refuses a run by it, and coverage counts by it what a stored history lacks. Stamps are
nanoseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from delever.errors import DataError

Stamps = NDArray[np.int64]

_SECOND = 1_000_000_000
_HOUR = 3_600 * _SECOND
INTERVALS: tuple[int, ...] = tuple(hours * _HOUR for hours in (1, 2, 4, 8, 24))
"""Funding intervals venues have used, in nanoseconds: 1, 2, 4, 8 and (early BitMEX) 24 hours."""


class Hole(NamedTuple):
    """A stretch of time in which at least one funding stamp is missing."""

    after: int  # the stamp, or start of the run, before the stretch
    before: int  # the one, or its end, behind it
    interval: int  # nanoseconds between two stamps there


def snap_to_second(stamps: Stamps) -> Stamps:
    """Stamps at the nearest whole second; venues write some a few milliseconds late.

    Examples
    --------
    >>> snap_to_second(np.array([7_000_000, 999_600_000]))
    array([         0, 1000000000])
    """
    return (np.asarray(stamps, dtype=np.int64) + _SECOND // 2) // _SECOND * _SECOND


def funding_intervals(stamps: Stamps) -> Stamps:
    """Interval in force before each stamp but the first, one of `INTERVALS`; shape (n - 1,).

    Where a stamp is missing, it is shorter than the distance to the stamp before. A distance
    between two stamps is taken for an interval when it is one of `INTERVALS` and not longer than
    both the nearest such distance before it and the nearest behind it; otherwise it is a hole, and
    the longer of those two is the interval. One missing stamp among 4-hourly ones is therefore a
    hole of 8 hours, and 8-hourly stamps from some day on are a change of interval. Two missing
    stamps in a row of alternate ones cannot be told from such a change. The first such distance is
    an interval however long: a history may begin just before its interval changes.

    Raises DataError if there are fewer than two stamps, they do not increase, or no two are one of
    `INTERVALS` apart.
    """
    if stamps.size < 2:
        raise DataError(
            f"funding needs at least two stamps to know its interval; got {stamps.size}; "
            "store more of its history"
        )
    apart = np.diff(stamps)
    if not (apart > 0).all():
        place = int(np.argmin(apart > 0)) + 1
        raise DataError(
            f"funding stamps must increase; row {place} ({_said(stamps[place])}) does not come "
            "after the row before; sort them and remove repeats"
        )
    known = np.isin(apart, INTERVALS)
    if not known.any():
        raise DataError(
            "funding stamps must be 1, 2, 4, 8 or 24 hours apart; no two of them are, the first "
            f"being {_said(stamps[0])} and {_said(stamps[1])}; correct the stamps"
        )
    places = np.arange(apart.size)
    before = np.maximum.accumulate(np.where(known, places, -1))
    behind = np.minimum.accumulate(np.where(known, places, apart.size)[::-1])[::-1]
    # The 0 appended is read where there is no known distance: at -1, and at apart.size.
    padded = np.append(apart, 0)
    nearest = padded[np.append(-1, before[:-1])], padded[np.append(behind[1:], apart.size)]
    longest = np.maximum(*nearest)
    is_interval = known & ((apart <= longest) | (nearest[0] == 0))
    return np.where(is_interval, apart, longest).astype(np.int64)


def funding_holes(stamps: Stamps, start: int, end: int) -> tuple[Hole, ...]:
    """Stretches of a run that funding stamps do not cover, in order of time.

    Stamps at `start` and at `end`, the open of the first and the close of the last bar, may be
    absent: nothing is held before the first fill, and the stamp at the close belongs to the bar
    after it.

    Raises DataError as `funding_intervals`.
    """
    exact = snap_to_second(stamps)
    intervals = funding_intervals(exact)
    holes = [
        Hole(int(exact[i]), int(exact[i + 1]), int(intervals[i]))
        for i in np.flatnonzero(np.diff(exact) > intervals)
        if exact[i] < end and exact[i + 1] > start
    ]
    first, last = int(exact[0]), int(exact[-1])
    if first - start > intervals[0]:
        holes.insert(0, Hole(start, min(first, end), int(intervals[0])))
    if end - last > intervals[-1]:
        holes.append(Hole(max(last, start), end, int(intervals[-1])))
    return tuple(holes)


def missing_stamps(stamps: Stamps, usual: int) -> list[tuple[int, int, int]]:
    """Holes between stamps: the first stamp missing, the next present, and their interval.

    Where no two stamps are one of `INTERVALS` apart, the interval is `usual`, give or take a half.

    Examples
    --------
    >>> hours = INTERVALS[0] * np.array([0, 8, 9, 12])
    >>> [[n // INTERVALS[0] for n in hole] for hole in missing_stamps(hours, usual=INTERVALS[0])]
    [[10, 12, 1]]
    """
    exact = snap_to_second(stamps)
    apart = np.diff(exact)
    try:
        intervals = funding_intervals(exact)
        wide = apart > intervals
    except DataError:
        intervals = np.full(apart.size, usual, dtype=np.int64)
        wide = 2 * apart >= 3 * intervals
    return [
        (int(exact[i] + intervals[i]), int(exact[i + 1]), int(intervals[i]))
        for i in np.flatnonzero(wide)
    ]


def interval_at_ends(stamps: Stamps, usual: int) -> tuple[int, int]:
    """The interval before the second stamp and before the last; `usual` where stamps say none."""
    try:
        intervals = funding_intervals(snap_to_second(stamps))
    except DataError:
        return usual, usual
    return int(intervals[0]), int(intervals[-1])


def _said(stamp: Any) -> str:
    return str(np.datetime64(int(stamp), "ns").astype("datetime64[s]")).replace("T", " ")
