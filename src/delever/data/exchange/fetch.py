"""Bring one data set from its venue into the store: complete, or said to be otherwise."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from delever.data.catalog import Catalog
from delever.data.coverage import State
from delever.data.exchange.client import Client
from delever.data.exchange.gather import Gathered, frame_of, gather
from delever.data.exchange.pages import Page
from delever.data.exchange.plan import (
    Horizon,
    SeriesSource,
    first_row,
    horizon,
    listening,
    overlapped,
    reachable,
    source_of,
)
from delever.data.exchange.spans import Span, ceiling, windows, without
from delever.data.references import Reference
from delever.errors import InputError, VenueError

_BATCH = 20_000
"""Rows between two writes: what a crash may cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a fetch has come."""

    reference: Reference  # the data set
    rows: int  # received so far
    done: float  # share of the time asked for, in [0, 1]
    requests: int  # sent to the venue so far, for all its data sets


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a fetch came to."""

    reference: Reference  # the data set
    added: int  # rows that were new, and rows asked for again that agree
    present: int
    start: pd.Timestamp  # what was asked for, end exclusive, as far as the venue has it
    end: pd.Timestamp
    # stretches the venue confirmed to have nothing in, and those it did not answer for
    absent: tuple[tuple[pd.Timestamp, pd.Timestamp], ...]
    unknown: tuple[tuple[pd.Timestamp, pd.Timestamp], ...]
    # what of the unknown the venue no longer serves
    lost: tuple[tuple[pd.Timestamp, pd.Timestamp], ...] = ()
    notes: tuple[str, ...]  # what a user must be told


Report = Callable[[Progress], None]


def fetch(
    client: Client,
    catalog: Catalog,
    reference: Reference,
    *,
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
    report: Report | None = None,
    batch: int = _BATCH,
) -> Fetched:
    """Fetch a data set, or what is not stored of it yet.

    Raises InputError if the venue has no such kind or symbol, or the span is empty; ConflictError
    if the venue disagrees with itself or with what is stored; VenueError if it refuses or does not
    answer; what was complete is stored.
    """
    require_order(since, until)
    source = source_of(client, reference)
    ends = horizon(source)
    source = listening(source, ends)
    known, stamps = _known(catalog, reference)
    wanted, notes = _wanted(source, ends, since, until)
    span = _begun(source, catalog, wanted, known, everything=since is None)
    before = [] if since is None else without(wanted, [span, *known])
    pieces = overlapped(span, known, stamps, source)
    run = _Fetching(
        source=source, catalog=catalog, report=report, batch=batch, span=span, settled=ends.settled
    )
    run.spans += [(*piece, "absent") for piece in before]
    run.lost += _lost(source, wanted, known, since)
    run.whole = since is None and not source.short
    return run.through(pieces, notes)


def require_order(since: pd.Timestamp | None, until: pd.Timestamp | None) -> None:
    """Refuse a span that cannot hold a row, before any venue is asked.

    Raises InputError if one has no time zone, or the start is not before the end.
    """
    for name, time in (("since", since), ("until", until)):
        if time is not None and (not isinstance(time, pd.Timestamp) or time.tz is None):
            raise InputError(f"{name} must be a pandas.Timestamp in UTC, or None; got {time!r}")
    if since is not None and until is not None and since >= until:
        raise InputError(
            f"the start must be before the end; got since {since:%Y-%m-%d %H:%M} and "
            f"until {until:%Y-%m-%d %H:%M}"
        )


def repair(
    client: Client, catalog: Catalog, reference: Reference, *, report: Report | None = None
) -> Fetched:
    """Fetch just what is unknown between a stored data set's first and last row.

    Raises NotStoredError if there is no such data set; InputError, ConflictError or VenueError as
    for `fetch`.
    """
    table = catalog.coverage(reference)
    if not (table["state"] == "unknown").any():
        return Fetched(
            reference=reference,
            added=0,
            present=0,
            start=table["start"].iloc[0],
            end=table["end"].iloc[-1],
            absent=(),
            unknown=(),
            notes=("nothing is unknown, so there was nothing to ask",),
        )
    source = source_of(client, reference)
    span = (_ms(table["start"].iloc[0]), _ms(table["end"].iloc[-1]))
    known, stamps = _known(catalog, reference)
    ends = horizon(source)
    source = listening(source, ends)
    earliest = _aligned(source, reachable(source, ends.clock))
    pieces = [
        (max(start, earliest), min(end, ends.finished))
        for start, end in overlapped(span, known, stamps, source)
    ]
    lost = [(start, min(end, earliest)) for start, end in without(span, known) if start < earliest]
    run = _Fetching(
        source=source, catalog=catalog, report=report, batch=_BATCH, span=span, settled=ends.settled
    )
    run.lost += lost
    notes = (source.series.note,) if lost else ()
    return run.through([piece for piece in pieces if piece[0] < piece[1]], notes)


def _wanted(
    source: SeriesSource, ends: Horizon, since: pd.Timestamp | None, until: pd.Timestamp | None
) -> tuple[Span, tuple[str, ...]]:
    """The span to fetch, as far as it is finished and still served, and what to tell of it."""
    notes = [*source.told, *([source.series.note] if source.client.venue.probed else [])]
    end = ends.finished
    if until is not None and _aligned(source, _ms(until)) <= end:
        end = _aligned(source, _ms(until))
    elif ends.silent:
        notes.append(
            f"the bar of {_stamp(end):%Y-%m-%d %H:%M} is held back: the venue has shown no later "
            "one that would prove it finished"
        )
    earliest = _aligned(source, reachable(source, ends.clock))
    start = earliest if since is None else max(earliest, _aligned(source, _ms(since)))
    if source.short and (since is None or _ms(since) < earliest):
        notes.append(source.series.note)
    if start >= end:
        raise InputError(
            f"{source.reference}: the start must be before {_stamp(end):%Y-%m-%d %H:%M}, the end "
            f"of what was asked for or has finished; got {_stamp(start):%Y-%m-%d %H:%M}"
        )
    return (start, end), tuple(dict.fromkeys(notes))


def _lost(
    source: SeriesSource, wanted: Span, known: Sequence[Span], since: pd.Timestamp | None
) -> list[Span]:
    """What was asked for, or lies after what is stored, and is no longer served."""
    if since is not None:
        begin = _aligned(source, _ms(since))
    else:
        begin = known[0][0] if known else wanted[0]
    return without((begin, wanted[0]), known) if begin < wanted[0] else []


def _begun(
    source: SeriesSource, catalog: Catalog, wanted: Span, known: Sequence[Span], *, everything: bool
) -> Span:
    """The part of a span from the venue's first row on."""
    start, end = wanted
    if any(low <= start < high for low, high in known):
        return wanted
    first = _recorded(catalog, source.reference) if everything else None
    if first is None:
        first = first_row(source, wanted)
    if first is None:
        raise VenueError(
            f"{source.reference}: the venue has no rows between {_stamp(start):%Y-%m-%d %H:%M} and "
            f"{_stamp(end):%Y-%m-%d %H:%M} and said so three times; nothing was stored"
        )
    return min(max(first, start), end), end


def _recorded(catalog: Catalog, reference: Reference) -> int | None:
    """The venue's first stamp, as an earlier fetch of everything found it."""
    if reference.folder not in catalog.store.folders():
        return None
    for record in catalog.store.manifest(reference.folder).provenance:
        if "earliest" in record:
            return _ms(pd.Timestamp(str(record["earliest"])))
    return None


def _aligned(source: SeriesSource, time: int) -> int:
    return time if source.rules.step is None else ceiling(time, source.reference.timeframe)


def _known(catalog: Catalog, reference: Reference) -> tuple[list[Span], np.ndarray]:
    if reference.folder not in catalog.store.folders():
        return [], np.empty(0, np.int64)
    table = catalog.coverage(reference)
    table = table[table["state"] != "unknown"]
    spans = [
        (_ms(start), _ms(end)) for start, end in zip(table["start"], table["end"], strict=True)
    ]
    _, index = catalog.store.stamps(reference)
    return spans, index.as_unit("ns").asi8 // 1_000_000


@dataclass(slots=True, kw_only=True, eq=False)
class _Fetching:
    """One fetch under way."""

    source: SeriesSource
    catalog: Catalog
    report: Report | None
    batch: int
    span: Span
    settled: int
    whole: bool = False
    pages: list[Page] = field(default_factory=list)
    spans: list[tuple[int, int, State]] = field(default_factory=list)
    absent: list[Span] = field(default_factory=list)
    unknown: list[Span] = field(default_factory=list)
    lost: list[Span] = field(default_factory=list)
    rows: int = 0
    waiting: int = 0
    added: int = 0
    present: int = 0

    def through(self, pieces: Sequence[Span], notes: tuple[str, ...]) -> Fetched:
        """Gather every window in order, and write as they come."""
        asked = max(1, sum(end - start for start, end in pieces))
        done = 0
        try:
            for window, found in _ahead(self.source, pieces):
                self._take(window, found)
                done += window[1] - window[0]
                if self.waiting >= self.batch:
                    self._write()
                if self.report is not None:
                    self.report(
                        Progress(
                            reference=self.source.reference,
                            rows=self.rows,
                            done=done / asked,
                            requests=self.source.client.requests,
                        )
                    )
        finally:
            self._write()
        if not self.rows and not self._stored():
            raise VenueError(
                f"{self.source.reference}: the venue gave no row that can be read between "
                f"{_stamp(self.span[0])} and {_stamp(self.span[1])}; nothing was stored"
            )
        return Fetched(
            reference=self.source.reference,
            added=self.added,
            present=self.present,
            start=_stamp(self.span[0]),
            end=_stamp(self.span[1]),
            absent=_stamps(self.absent),
            unknown=_stamps([*self.lost, *self.unknown]),
            lost=_stamps(self.lost),
            notes=notes,
        )

    def _take(self, window: Span, found: Gathered) -> None:
        self.pages.append(found.page)
        self.rows += len(found.page.times)
        self.waiting += len(found.page.times)
        absent = [(start, min(end, self.settled)) for start, end in found.absent]
        absent = [piece for piece in absent if piece[0] < piece[1]]
        sure = (window[0], min(window[1], self.settled))
        if self.source.rules.step is not None:
            self.spans.append((*window, "present"))
        elif sure[0] < sure[1]:  # off the grid no row is due at any one time
            self.spans.append((*sure, "absent"))
        self.spans += [(*piece, "absent") for piece in absent]
        self.spans += [(*piece, "unknown") for piece in found.unknown]
        self.absent += absent
        self.unknown += found.unknown

    def _stored(self) -> bool:
        return self.source.reference.folder in self.catalog.store.folders()

    def _write(self) -> None:
        """Store what is complete; each call is whole once it returns."""
        if not self.spans or not (self.waiting or self._stored()):
            return
        reference = self.source.reference
        frame = None
        if self.waiting:
            times = np.concatenate([page.times for page in self.pages])
            values = np.concatenate([page.values for page in self.pages])
            frame = frame_of(Page(times=times, values=values), self.source.rules)
        change = self.catalog.append(
            reference,
            frame,
            covered=[(_stamp(start), _stamp(end), state) for start, end, state in self.spans],
            provenance=self._provenance(),
            notes=self.source.told,
        )
        self.added += change.added
        self.present += change.present
        self.pages, self.spans, self.waiting = [], [], 0

    def _provenance(self) -> dict[str, object]:
        import ccxt

        origin: dict[str, object] = {
            "exchange": self.source.client.name,
            "ccxt": ccxt.__version__,
        }
        if self.source.limits is not None:
            origin["probed"] = dict(self.source.limits.record)
        return origin | ({"earliest": _stamp(self.span[0]).isoformat()} if self.whole else {})


def _ahead(source: SeriesSource, pieces: Sequence[Span]) -> Iterator[tuple[Span, Gathered]]:
    """Gather windows several at a time, and hand them out in the order of time."""
    workers = source.client.settings.workers
    todo = (window for piece in pieces for window in windows(piece, source.width))
    pool = ThreadPoolExecutor(workers, thread_name_prefix=source.client.name)
    running: deque[tuple[Span, Future[Gathered]]] = deque()
    try:
        for window in todo:
            running.append((window, pool.submit(gather, source.ask, window, source.rules)))
            if len(running) > 8 * workers:
                span, future = running.popleft()
                yield span, future.result()
        while running:
            span, future = running.popleft()
            yield span, future.result()
    except KeyboardInterrupt:
        source.client.limiter.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _stamps(spans: Sequence[Span]) -> tuple[tuple[pd.Timestamp, pd.Timestamp], ...]:
    return tuple((_stamp(start), _stamp(end)) for start, end in spans)


def _ms(time: pd.Timestamp) -> int:
    return int(time.as_unit("ns").value) // 1_000_000


def _stamp(time: int) -> pd.Timestamp:
    return pd.Timestamp(time, unit="ms", tz="UTC").as_unit("ns")
