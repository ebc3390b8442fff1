"""Stretches of time ``[start, end)`` in milliseconds: taken apart, cut to windows, missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from delever.funding_stamps import interval_at_ends, missing_stamps
from delever.units import grid_anchor, timeframe_delta

Span = tuple[int, int]
_NS = 1_000_000


def ms_of(time: pd.Timestamp) -> int:
    """A moment as ms since 1970."""
    return int(time.as_unit("ns").value) // _NS


def stamp_of(time: int) -> pd.Timestamp:
    """Ms since 1970 as a moment."""
    return pd.Timestamp(time, unit="ms", tz="UTC").as_unit("ns")


def said(time: int) -> str:
    """Ms since 1970 as text."""
    return f"{stamp_of(time):%Y-%m-%d %H:%M}"


def step_of(timeframe: str) -> int:
    """Length of a bar in ms."""
    return timeframe_delta(timeframe).value // _NS


def floor(time: int, timeframe: str) -> int:
    """Open time of the bar that `time` falls into."""
    return time - (time - grid_anchor(timeframe) // _NS) % step_of(timeframe)


def ceiling(time: int, timeframe: str) -> int:
    """First open time at or after `time`."""
    return time + (grid_anchor(timeframe) // _NS - time) % step_of(timeframe)


def without(span: Span, taken: Iterable[Span]) -> list[Span]:
    """What is left of a span."""
    at, end = span
    left = []
    for low, high in sorted(taken):
        if low > at:
            left.append((at, min(low, end)))
        at = max(at, high)
        if at >= end:
            break
    if at < end:
        left.append((at, end))
    return [(low, high) for low, high in left if low < high]


def within(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """What of some spans lies in others; both in the order of time, none overlapping another.

    Examples
    --------
    >>> within([(0, 4), (6, 9)], [(2, 7), (8, 20)])
    [(2, 4), (6, 7), (8, 9)]
    """
    left, right = list(spans), list(others)
    found, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        low, high = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if low < high:
            found.append((low, high))
        i, j = (i + 1, j) if left[i][1] <= right[j][1] else (i, j + 1)
    return found


def windows(span: Span, width: int) -> Iterator[Span]:
    """Cut a span into pieces of `width`, the last one shorter."""
    start, end = span
    while start < end:
        yield start, min(start + width, end)
        start += width


def missing(times: np.ndarray, span: Span, step: int) -> list[Span]:
    """Stretches of a grid without rows."""
    edges = np.concatenate([[span[0] - step], times, [span[1]]])
    wide = np.flatnonzero(np.diff(edges) > step)
    return [(int(edges[i]) + step, int(edges[i + 1])) for i in wide]


def holes(times: np.ndarray, span: Span, spacing: int) -> list[Span]:
    """Stretches where funding looks withheld, by the intervals that its stamps show."""
    if not len(times):
        return [span]
    stamps = times * _NS
    found = [(start // _NS, end // _NS) for start, end, _ in missing_stamps(stamps, spacing * _NS)]
    first, last = (interval // _NS for interval in interval_at_ends(stamps, spacing * _NS))
    if times[0] - span[0] >= first:
        found.insert(0, (span[0], int(times[0])))
    if span[1] - times[-1] > last:
        found.append((int(times[-1]) + last, span[1]))
    return found


def hull(spans: Iterable[Span]) -> Span:
    """Shortest span that holds all of some, at least one."""
    spans = list(spans)
    return min(low for low, _ in spans), max(high for _, high in spans)
