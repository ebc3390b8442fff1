"""Bring one data set from its venue into the store: complete, or said to be otherwise."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from delever.data.catalog import Catalog
from delever.data.coverage import AGAIN, CoverageSpan, State, due_again, missed
from delever.data.exchange.client import Client
from delever.data.exchange.gather import Gathered, frame_of, gather, joined_pages
from delever.data.exchange.pages import Page
from delever.data.exchange.plan import (
    Horizon,
    SeriesSource,
    horizon,
    listening,
    overlapped,
    reachable,
    source_of,
)
from delever.data.exchange.resume import (
    Before,
    aligned,
    from_first_row,
    no_longer_served,
    stored_in,
    wanted_span,
)
from delever.data.exchange.spans import Span, ms_of, said, stamp_of, windows, within, without
from delever.data.references import Reference
from delever.errors import InputError, VenueError

_BATCH = 20_000
"""Rows between two writes: what a crash may cost."""


Stretches = tuple[tuple[pd.Timestamp, pd.Timestamp], ...]


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
    # stretches of what was asked for that the venue has nothing in, and those that stay unknown
    absent: Stretches
    unknown: Stretches
    # of the unknown: what the venue no longer serves; what it answered without, at one time only;
    # what it should have served by now and has not
    lost: Stretches = ()
    unconfirmed: Stretches = ()
    overdue: Stretches = ()
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
    stored = stored_in(catalog, source, ends)
    wanted, notes = wanted_span(source, ends, since, until)
    span = from_first_row(source, stored, wanted, everything=since is None)
    if since is not None and wanted[0] < span[0]:
        notes += (
            f"the venue's first row is that of {said(span[0])}; nothing is said "
            "of the time before it",
        )
    run = _Fetching(
        source=source,
        catalog=catalog,
        report=report,
        batch=batch,
        span=span,
        ends=ends,
        stored=stored,
    )
    run.lost += no_longer_served(source, wanted, stored.known, since)
    run.whole = since is None and not source.short
    run.end = None if until is None else ms_of(until)
    return run.through(overlapped(span, stored.known, stored.stamps, source), notes)


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
    client: Client,
    catalog: Catalog,
    reference: Reference,
    *,
    absent: bool = False,
    report: Report | None = None,
) -> Fetched:
    """Fetch just what is unknown of a stored data set; with `absent`, what is absent too.

    Raises NotStoredError if there is no such data set; InputError, ConflictError or VenueError as
    for `fetch`.
    """
    table = catalog.coverage(reference)
    asked_for = ("unknown", "absent") if absent else ("unknown",)
    if not table["state"].isin(asked_for).any():
        return Fetched(
            reference=reference,
            added=0,
            present=0,
            start=table["start"].iloc[0],
            end=table["end"].iloc[-1],
            absent=(),
            unknown=(),
            notes=(f"nothing is {' or '.join(asked_for)}, so there was nothing to ask",),
        )
    source = source_of(client, reference)
    ends = horizon(source)
    source = listening(source, ends)
    stored = stored_in(catalog, source, ends, absent=absent)
    span = (ms_of(table["start"].iloc[0]), ms_of(table["end"].iloc[-1]))
    earliest = aligned(source, reachable(source, ends))
    pieces = [
        (max(start, earliest), min(end, ends.finished))
        for start, end in overlapped(span, stored.known, stored.stamps, source)
    ]
    run = _Fetching(
        source=source,
        catalog=catalog,
        report=report,
        batch=_BATCH,
        span=span,
        ends=ends,
        stored=stored,
    )
    holes = without(span, stored.known)
    run.lost += [(start, min(end, earliest)) for start, end in holes if start < earliest]
    notes = (source.series.note,) if run.lost else ()
    return run.through([piece for piece in pieces if piece[0] < piece[1]], notes)


@dataclass(slots=True, kw_only=True, eq=False)
class _Fetching:
    """One fetch under way."""

    source: SeriesSource
    catalog: Catalog
    report: Report | None
    batch: int
    span: Span
    ends: Horizon
    stored: Before
    end: int | None = None  # of what was asked for; None for all there is
    whole: bool = False
    pages: list[Page] = field(default_factory=list)
    spans: list[CoverageSpan] = field(default_factory=list)
    lost: list[Span] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
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
        if not self.rows and not self._is_stored():
            raise VenueError(
                f"{self.source.reference}: the venue gave no row that can be read between "
                f"{stamp_of(self.span[0])} and {stamp_of(self.span[1])}; nothing was stored"
            )
        return self._came_to(pieces, self._close(), notes)

    def _take(self, window: Span, found: Gathered) -> None:
        """Keep what came of a window, and write what came before it once that is enough."""
        newest = self.ends.newest
        holes = [piece for hole in found.absent for piece in self._missed(hole)]
        unsure = [hole for hole in holes if hole.state == "unknown"]
        page, cut = self.ends.agreed(found.page, self.source)
        # Where rows end and nothing is known to follow, the server may lag behind its others, and
        # the last row may be one that it has not seen the end of.
        if self.source.rules.step is not None:
            if self.pages and unsure and ms_of(unsure[0].start) == window[0]:
                self.pages[-1], more = _without_last(self.pages[-1], window[0], self.source)
                cut += more
            if found.edge is not None and unsure:
                cut.append((int(found.edge.times[0]), ms_of(unsure[-1].start)))
            elif found.edge is not None:
                page = joined_pages(page, found.edge)
        if self.waiting >= self.batch:
            self._write()
        self.pages.append(page)
        self.rows += len(page.times)
        self.waiting += len(page.times)
        if not self.source.rules.events:
            self.spans.append(_claim(window, "present"))
        elif window[0] < newest:  # no row is due at any one time
            self.spans.append(_claim((window[0], min(window[1], newest)), "absent"))
        self.spans += [*holes, *(_claim(piece, "unknown") for piece in [*cut, *found.unknown])]

    def _missed(self, hole: Span) -> list[CoverageSpan]:
        """What is known of a stretch that the venue answered for without a row."""
        newest, (start, end) = self.ends.newest, hole
        known = []
        if start < newest:
            known = missed(
                stamp_of(start),
                stamp_of(min(end, newest)),
                self.stored.coverage,
                asked=stamp_of(self.ends.clock),
                served=stamp_of(self.ends.heard(self.source)),
            )
        if end > newest:
            known.append(_claim((max(start, newest), end), "unknown"))
        return known

    def _is_stored(self) -> bool:
        return self.source.reference.folder in self.catalog.store.folders()

    def _write(self, *, end: int | None = None) -> None:
        """Store what is complete; each call is whole once it returns. Nothing is said after `end`.

        A newest row that no later one proves is stored as one that may still be corrected.
        """
        if not (self.spans or end is not None) or not (self.waiting or self._is_stored()):
            return
        frame = None
        if self.waiting:
            times = np.concatenate([page.times for page in self.pages])
            values = np.concatenate([page.values for page in self.pages])
            frame = frame_of(Page(times=times, values=values), self.source.rules)
        newest = self.ends.newest
        unproven = self.source.rules.step is not None and self.ends.finished > newest
        change = self.catalog.append(
            self.source.reference,
            frame,
            covered=self.spans,
            covered_end=None if end is None else stamp_of(end),
            provenance=self._provenance(),
            notes=self.source.told,
            tentative=stamp_of(newest) if unproven else None,
            corrects=True,
        )
        self.added += change.added
        self.present += change.present
        if change.correction is not None:
            self.notes.append(change.correction.sentence)
        self.pages, self.spans, self.waiting = [], [], 0

    def _close(self) -> Span | None:
        """Say what is overdue, and nothing of the time after it; returns the overdue stretch."""
        step, last = self.source.rules.step or 0, int(max(self.stored.stamps, default=-1))
        begin = max(self.ends.finished, last + max(step, 1))
        due = self.ends.due if self.end is None else min(self.ends.due, self.end)
        overdue = (begin, due) if begin < due and self.span[1] >= self.ends.finished else None
        if overdue is not None:
            self.spans.append(_claim(overdue, "unknown"))
        self._write(end=max(begin, self.ends.due) if self.end is None else None)
        return overdue

    def _came_to(
        self, pieces: Sequence[Span], overdue: Span | None, notes: tuple[str, ...]
    ) -> Fetched:
        """What is known now of what was asked for."""
        reference = self.source.reference
        table = self.catalog.coverage(reference)
        coverage = self.catalog.store.manifest(reference.folder).coverage
        asked = [*pieces, *([] if overdue is None else [overdue])]

        def stretches(state: State) -> list[Span]:
            rows = table[table["state"] == state]
            pairs = zip(rows["start"], rows["end"], strict=True)
            return within([(ms_of(start), ms_of(end)) for start, end in pairs], asked)

        unknown = stretches("unknown")
        once = [
            (ms_of(s.start), ms_of(s.end)) for s in coverage if s.state == "unknown" and s.asked
        ]
        again = due_again(coverage, stamp_of(self.ends.clock))
        if again:
            self.notes.append(
                f"{again} absent stretch{'es were' if again > 1 else ' was'} last asked for more "
                f"than {AGAIN.days} days ago; ask again: delever data repair {reference} --absent"
            )
        return Fetched(
            reference=reference,
            added=self.added,
            present=self.present,
            start=stamp_of(self.span[0]),
            end=stamp_of(self.span[1]),
            absent=_stamps(stretches("absent")),
            unknown=_stamps([*self.lost, *unknown]),
            lost=_stamps(self.lost),
            unconfirmed=_stamps(within(unknown, once)),
            overdue=_stamps([] if overdue is None else [overdue]),
            notes=(*notes, *self.notes),
        )

    def _provenance(self) -> dict[str, object]:
        import ccxt

        origin: dict[str, object] = {
            "exchange": self.source.client.name,
            "ccxt": ccxt.__version__,
        }
        if self.source.limits is not None:
            origin["probed"] = dict(self.source.limits.record)
        return origin | ({"earliest": stamp_of(self.span[0]).isoformat()} if self.whole else {})


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


def _without_last(page: Page, end: int, source: SeriesSource) -> tuple[Page, list[Span]]:
    """A page without the row that ends at a moment, and that row's stretch, if there is one."""
    step = source.rules.step or 0
    if not len(page.times) or int(page.times[-1]) + step != end:
        return page, []
    return page.take(slice(None, -1)), [(end - step, end)]


def _claim(span: Span, state: State) -> CoverageSpan:
    return CoverageSpan(start=stamp_of(span[0]), end=stamp_of(span[1]), state=state)


def _stamps(spans: Sequence[Span]) -> Stretches:
    return tuple((stamp_of(start), stamp_of(end)) for start, end in spans)
