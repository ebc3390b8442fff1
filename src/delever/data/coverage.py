"""What is known about every bar of a data set: present, absent at the venue, or unknown.

Rows are present. A span speaks for a stretch of time: what it holds no row for is ``absent`` at
the venue (asked twice), or ``unknown``. What no span speaks for is unknown too, so a hole never
looks like an answer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd

from delever.bars import gaps
from delever.errors import InputError
from delever.units import timeframe_delta

State = Literal["present", "absent", "unknown"]
"""What may be known about a bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageSpan:
    """What is known about a stretch of time wherever it holds no row.

    Raises InputError if it has no length, no time zone, or another state.
    """

    start: pd.Timestamp  # UTC, end exclusive
    end: pd.Timestamp
    # ``absent``: the venue has nothing there and said so twice. ``unknown``: it was not asked, or
    # did not answer. ``present`` says that rows are stored, which they say themselves: it extends
    # the span the data set speaks for, and a hole in it stays unknown.
    state: State

    def __post_init__(self) -> None:
        if self.state not in get_args(State):
            raise InputError(f"coverage must be {', '.join(get_args(State))}; got {self.state!r}")
        if self.start.tz is None or self.end.tz is None or not self.start < self.end:
            raise InputError(
                f"coverage needs UTC stamps, the start before the end; got {self.start} to "
                f"{self.end}"
            )


def overlaid(
    before: Sequence[CoverageSpan], more: Iterable[CoverageSpan]
) -> tuple[CoverageSpan, ...]:
    """Spans after further ones, of which the later ones hold.

    Examples
    --------
    >>> day = lambda n: pd.Timestamp(2021, 1, n, tz="UTC")
    >>> absent = CoverageSpan(start=day(1), end=day(9), state="absent")
    >>> later = overlaid([absent], [CoverageSpan(start=day(4), end=day(5), state="unknown")])
    >>> [(span.start.day, span.end.day, span.state) for span in later]
    [(1, 4, 'absent'), (4, 5, 'unknown'), (5, 9, 'absent')]
    """
    spans = list(before)
    for new in more:
        kept = [piece for old in spans for piece in _outside(old, new)]
        spans = sorted([*kept, new], key=lambda span: span.start)
    merged: list[CoverageSpan] = []
    for span in spans:
        last = merged[-1] if merged else None
        if last is not None and last.end == span.start and last.state == span.state:
            merged[-1] = replace(last, end=span.end)
        else:
            merged.append(span)
    return tuple(merged)


def _outside(old: CoverageSpan, new: CoverageSpan) -> Iterator[CoverageSpan]:
    if old.end <= new.start or new.end <= old.start:
        yield old
        return
    if old.start < new.start:
        yield replace(old, end=new.start)
    if new.end < old.end:
        yield replace(old, start=new.end)


def coverage(
    index: pd.DatetimeIndex, timeframe: str, spans: Sequence[CoverageSpan]
) -> pd.DataFrame:
    """Divide the span of a data set into present, absent and unknown.

    Examples
    --------
    >>> days = pd.DatetimeIndex(["2021-01-01", "2021-01-02", "2021-01-05"], tz="UTC")
    >>> coverage(days, "1d", ())[["state", "bars"]].to_numpy().tolist()
    [['present', 2], ['unknown', 2], ['present', 1]]
    """
    step = timeframe_delta(timeframe).value
    stamps = index.as_unit("ns").asi8
    first, last = int(stamps[0]), int(stamps[-1]) + step
    missing = gaps(index, timeframe)
    holes = list(zip(_counts(missing["start"]), _counts(missing["end"]), strict=True))
    if spans:
        before, after = first - spans[0].start.value, spans[-1].end.value - last
        if before >= step:
            holes.insert(0, (first - before // step * step, first))
        if after >= step:
            holes.append((last, last + after // step * step))
    rows: list[tuple[int, int, State, int]] = []
    at = min([first, *(start for start, _ in holes[:1])])
    for start, end in [*holes, (last, last)]:
        if at < start:
            count = np.searchsorted(stamps, start) - np.searchsorted(stamps, at)
            rows.append((at, start, "present", int(count)))
        rows.extend(_pieces(start, end, step, _between(spans, start, end)))
        at = max(at, end)
    return pd.DataFrame(
        {
            "start": _stamps([row[0] for row in rows]),
            "end": _stamps([row[1] for row in rows]),
            "state": [row[2] for row in rows],
            "bars": np.array([row[3] for row in rows], dtype="int64"),
        }
    )


def _counts(times: pd.Series) -> list[int]:
    return [int(count) for count in pd.DatetimeIndex(times).as_unit("ns").asi8]


def _stamps(counts: Sequence[int]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.array(counts, dtype="M8[ns]")).tz_localize("UTC")


def _between(spans: Sequence[CoverageSpan], start: int, end: int) -> Sequence[CoverageSpan]:
    """Spans that reach into a stretch."""
    low = bisect_right(spans, start, key=lambda span: span.end.value)
    high = bisect_left(spans, end, key=lambda span: span.start.value)
    return spans[low:high]


def _pieces(
    start: int, end: int, step: int, spans: Sequence[CoverageSpan]
) -> Iterator[tuple[int, int, State, int]]:
    """Cut a hole where spans begin and end, at the bars that open inside them."""

    def bar_from(time: int) -> int:
        return min(end, max(start, start - (start - time) // step * step))

    bounds: list[tuple[int, State]] = []
    for span in spans:
        if span.state == "absent":
            bounds += [
                (bar_from(span.start.value), "unknown"),
                (bar_from(span.end.value), "absent"),
            ]
    at = start
    for until, state in [*bounds, (end, "unknown")]:
        if at < until:
            yield at, until, state, max(1, (until - at + step // 2) // step)
            at = until


def unknown_bars(table: pd.DataFrame) -> int:
    """Count the bars nothing is known about."""
    return int(table.loc[table["state"] == "unknown", "bars"].sum())
