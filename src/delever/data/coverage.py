"""What is known about every bar of a data set: present, absent at the venue, or unknown.

Rows are present. A span speaks for a stretch of time: what it holds no row for is ``absent`` at
the venue, or ``unknown``. Absent needs evidence: a later row, and answers without the stretch at
two times hours apart. What no span speaks for is unknown too, so a hole never looks like an answer.
One thing rows say themselves: daily ones of which none stands on a weekend, over weeks, are of a
market that is closed then.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd

from delever.bars import gaps
from delever.data.references import Reference
from delever.errors import InputError
from delever.funding_stamps import interval_at_ends
from delever.kinds import kind_of
from delever.units import timeframe_delta

State = Literal["present", "absent", "unknown"]
"""What may be known about a bar."""

APART = pd.Timedelta(hours=6)
"""How long after it was first found missing a stretch must be missing again to be absent."""

_WEEKENDS = 8
"""Weekends in a row without a daily row from which on none is due there."""

AGAIN = pd.Timedelta(days=30)
"""How long after it was last asked for an absent stretch is due to be asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageSpan:
    """What is known about a stretch of time wherever it holds no row.

    Raises InputError if it has no length, no time zone, or another state.
    """

    start: pd.Timestamp  # UTC, end exclusive
    end: pd.Timestamp
    # ``absent``: the venue has nothing there and said so at two times, or the source of a file
    # has none. ``unknown``: it was not asked, did not answer, or has said so at one time only.
    # ``present`` says that rows are stored, which they say themselves: it extends the span the
    # data set speaks for, and a hole in it stays unknown.
    state: State
    # the venue's time when it answered without these rows: the first time while ``unknown``, the
    # last while ``absent``
    asked: pd.Timestamp | None = None

    def __post_init__(self) -> None:
        if self.state not in get_args(State):
            raise InputError(f"coverage must be {', '.join(get_args(State))}; got {self.state!r}")
        if self.start.tz is None or self.end.tz is None or not self.start < self.end:
            raise InputError(
                f"coverage needs UTC stamps, the start before the end; got {self.start} to "
                f"{self.end}"
            )


def overlaid(
    before: Sequence[CoverageSpan],
    more: Iterable[CoverageSpan],
    end: pd.Timestamp | None = None,
) -> tuple[CoverageSpan, ...]:
    """Spans after further ones, of which the later ones hold; nothing is said after `end`."""
    spans = list(before)
    for new in more:
        reached = _between(spans, new.start.value, new.end.value)
        at = bisect_right(spans, new.start.value, key=lambda span: span.end.value)
        kept = [piece for old in reached for piece in _outside(old, new)]
        pieces = sorted([*kept, new], key=lambda span: span.start)
        spans[at : at + len(reached)] = pieces
    merged: list[CoverageSpan] = []
    for span in spans:
        last = merged[-1] if merged else None
        same = last is not None and (last.end, last.state, last.asked) == (
            span.start,
            span.state,
            span.asked,
        )
        if last is not None and same:
            merged[-1] = replace(last, end=span.end)
        else:
            merged.append(span)
    if end is None:
        return tuple(merged)
    return tuple(
        span if span.end <= end else replace(span, end=end) for span in merged if span.start < end
    )


def missed(
    start: pd.Timestamp,
    end: pd.Timestamp,
    before: Sequence[CoverageSpan],
    *,
    asked: pd.Timestamp,
    served: pd.Timestamp,
) -> list[CoverageSpan]:
    """What is known of a stretch that a venue has now answered for without a row.

    `asked` is the venue's time, `served` the close of the newest row it has served. The stretch is
    absent where it was missing `APART` ago too, by both: a clock may jump, and a venue that
    stands still says nothing new. Elsewhere it stays unknown, with the time when it was first
    missing.

    Examples
    --------
    >>> day = lambda n: pd.Timestamp(2021, 1, n, tz="UTC")
    >>> first = missed(day(1), day(2), [], asked=day(5), served=day(5))
    >>> [(span.state, span.asked.day) for span in first]
    [('unknown', 5)]
    >>> [span.state for span in missed(day(1), day(2), first, asked=day(6), served=day(5))]
    ['unknown']
    >>> [span.state for span in missed(day(1), day(2), first, asked=day(6), served=day(6))]
    ['absent']
    """
    heard = min(asked, served)
    found = [CoverageSpan(start=start, end=end, state="unknown", asked=asked)]
    for old in _between(before, start.value, end.value):
        low, high = max(start, old.start), min(end, old.end)
        if old.state == "absent":
            said = CoverageSpan(start=low, end=high, state="absent", asked=asked)
        elif old.asked is None:
            continue
        elif heard - old.asked >= APART:
            said = CoverageSpan(start=low, end=high, state="absent", asked=asked)
        else:
            first = min(old.asked, asked)
            said = CoverageSpan(start=low, end=high, state="unknown", asked=first)
        found = list(overlaid(found, [said]))
    return found


def due_again(spans: Sequence[CoverageSpan], now: pd.Timestamp) -> int:
    """Count the absent stretches that were not asked for during the last `AGAIN`."""
    return sum(
        span.state == "absent" and (span.asked is None or now - span.asked >= AGAIN)
        for span in spans
    )


def _outside(old: CoverageSpan, new: CoverageSpan) -> Iterator[CoverageSpan]:
    if old.end <= new.start or new.end <= old.start:
        yield old
        return
    if old.start < new.start:
        yield replace(old, end=new.start)
    if new.end < old.end:
        yield replace(old, start=new.end)


def coverage(
    index: pd.DatetimeIndex, reference: Reference, spans: Sequence[CoverageSpan]
) -> pd.DataFrame:
    """Divide the span of a data set into present, absent and unknown.

    What is missing is as `delever.bars.gaps` says. What lies after the last row is unknown,
    whatever a span says: absent needs a later row.
    """
    usual = timeframe_delta(reference.timeframe).value
    stamps = index.as_unit("ns").asi8
    missing = gaps(index, reference.timeframe, reference.kind)
    begin, behind = _counts(missing["start"]), _counts(missing["end"])
    steps = [usual] * len(missing)
    earlier = later = usual
    if kind_of(reference.kind).own_intervals:
        earlier, later = interval_at_ends(stamps, usual)
        lengths = zip(begin, behind, missing["bars"].tolist(), strict=True)
        steps = [max(1, (end - start) // bars) for start, end, bars in lengths]
    holes = list(zip(begin, behind, steps, strict=True))
    first, last = int(stamps[0]), int(stamps[-1]) + later
    told = overlaid(spans, _closed(index, reference)) if holes else ()
    if spans:
        before, after = first - spans[0].start.value, spans[-1].end.value - last
        if before >= earlier:
            holes.insert(0, (first - before // earlier * earlier, first, earlier))
        if after >= later:
            holes.append((last, last + after // later * later, later))
    rows: list[tuple[int, int, State, int]] = []
    at = min([first, *(start for start, *_ in holes[:1])])
    for start, end, step in [*holes, (last, last, usual)]:
        if at < start:
            count = np.searchsorted(stamps, start) - np.searchsorted(stamps, at)
            rows.append((at, start, "present", int(count)))
        said = _between(told, start, end) if start < last else ()
        rows.extend(_pieces(start, end, step, said))
        at = max(at, end)
    return pd.DataFrame(
        {
            "start": _stamps([row[0] for row in rows]),
            "end": _stamps([row[1] for row in rows]),
            "state": [row[2] for row in rows],
            "bars": np.array([row[3] for row in rows], dtype="int64"),
        }
    )


def _closed(index: pd.DatetimeIndex, reference: Reference) -> list[CoverageSpan]:
    """Weekends between daily rows of which none stands on one; none where they are too few."""
    days = index.as_unit("ns")
    if reference.timeframe != "1d" or (days.day_of_week >= 5).any():
        return []
    saturdays = pd.date_range(days[0].normalize(), days[-1], freq="W-SAT")
    # A row in most weeks: what reports on Mondays alone is another rhythm, and no market's.
    if len(saturdays) < _WEEKENDS or len(days) < 3 * len(saturdays):
        return []
    length = pd.Timedelta(days=2)
    return [CoverageSpan(start=day, end=day + length, state="absent") for day in saturdays]


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
        if span.state != "absent":
            continue
        begin = bar_from(span.start.value)
        if bounds and bounds[-1][0] == begin:  # asked at another time, and absent all the same
            bounds.pop()
        else:
            bounds.append((begin, "unknown"))
        bounds.append((bar_from(span.end.value), "absent"))
    at = start
    for until, state in [*bounds, (end, "unknown")]:
        if at < until:
            yield at, until, state, max(1, (until - at + step // 2) // step)
            at = until


def unknown_bars(table: pd.DataFrame) -> int:
    """Count the bars nothing is known about."""
    return int(table.loc[table["state"] == "unknown", "bars"].sum())
