"""Where a fetch begins and ends: by what is stored, what is asked for, and what is still served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.data.catalog import Catalog
from delever.data.coverage import CoverageSpan
from delever.data.exchange.plan import Horizon, SeriesSource, first_row, reachable
from delever.data.exchange.spans import Span, ceiling, ms_of, said, without
from delever.errors import InputError, VenueError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Before:
    """What a data set holds before a fetch; nothing where there is none."""

    stamps: np.ndarray  # shape (n,): of every row, ms
    known: Sequence[Span] = ()  # stretches that need not be asked for
    coverage: Sequence[CoverageSpan] = ()
    earliest: int | None = None  # the venue's first stamp, as a fetch of everything found it


def stored_in(
    catalog: Catalog, source: SeriesSource, ends: Horizon, *, absent: bool = False
) -> Before:
    """Read it; with `absent`, absent stretches are to be asked for too."""
    reference = source.reference
    if reference.folder not in catalog.store.folders():
        return Before(stamps=np.empty(0, np.int64))
    manifest, index = catalog.store.stamps(reference)
    table = catalog.coverage(reference)
    table = table[table["state"].isin(("present",) if absent else ("present", "absent"))]
    known = [
        (ms_of(start), ms_of(end)) for start, end in zip(table["start"], table["end"], strict=True)
    ]
    if manifest.tentative is not None and ends.newest > (last := ms_of(manifest.tentative)):
        # A later row has come: the bar that was the newest can be held against what it became.
        known = [(low, last if high > last else high) for low, high in known if low < last]
    found = [
        ms_of(pd.Timestamp(str(r["earliest"]))) for r in manifest.provenance if "earliest" in r
    ]
    return Before(
        known=known,
        stamps=index.as_unit("ns").asi8 // 1_000_000,
        coverage=manifest.coverage,
        earliest=min(found, default=None),
    )


def wanted_span(
    source: SeriesSource, ends: Horizon, since: pd.Timestamp | None, until: pd.Timestamp | None
) -> tuple[Span, tuple[str, ...]]:
    """The span to fetch, as far as it is finished and still served, and what to tell of it."""
    notes = [*source.told, *([source.series.note] if source.client.venue.probed else [])]
    end = ends.finished
    if until is not None and aligned(source, ms_of(until)) <= end:
        end = aligned(source, ms_of(until))
    else:
        notes += ends.notes
    earliest = aligned(source, reachable(source, ends))
    start = earliest if since is None else max(earliest, aligned(source, ms_of(since)))
    if source.short and (since is None or ms_of(since) < earliest):
        notes.append(source.series.note)
    if start >= end:
        raise InputError(
            f"{source.reference}: the start must be before {said(end)}, the end "
            f"of what was asked for or has finished; got {said(start)}"
        )
    return (start, end), tuple(dict.fromkeys(notes))


def no_longer_served(
    source: SeriesSource, wanted: Span, known: Sequence[Span], since: pd.Timestamp | None
) -> list[Span]:
    """What was asked for, or lies after what is stored, and is no longer served."""
    if since is not None:
        begin = aligned(source, ms_of(since))
    else:
        begin = known[0][0] if known else wanted[0]
    return without((begin, wanted[0]), known) if begin < wanted[0] else []


def from_first_row(source: SeriesSource, stored: Before, wanted: Span, *, everything: bool) -> Span:
    """The part of a span from the venue's first row on."""
    start, end = wanted
    if any(low <= start < high for low, high in stored.known):
        return wanted
    first = stored.earliest if everything else None
    if first is not None and start < first:  # whoever withheld older rows may have them by now
        before = (max(start, first - source.width), first)
        first = None if len(source.ask(*before).times) else first
    if first is None:
        first = first_row(source, wanted)
    if first is None:
        raise VenueError(
            f"{source.reference}: the venue has no rows between "
            f"{said(start)} and {said(end)} and said so "
            "three times; nothing was stored"
        )
    return min(max(first, start), end), end


def aligned(source: SeriesSource, time: int) -> int:
    """First stamp at or after a time that a row may have."""
    return time if source.rules.step is None else ceiling(time, source.reference.timeframe)
