"""What to ask a venue for: where history begins and ends there, and what is not known yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from delever.data.exchange.client import Client
from delever.data.exchange.gather import CONFIRMATIONS, Ask, WindowRules, astray, rules_of, sifted
from delever.data.exchange.pages import Page, read_page
from delever.data.exchange.probe import Limits, probe
from delever.data.exchange.spans import Span, floor, step_of, windows, without
from delever.data.exchange.venue import Series
from delever.data.references import Reference
from delever.errors import InputError
from delever.kinds import kind_of

GENESIS = 1_230_940_800_000
"""2009-01-03, ms: no venue's history begins before Bitcoin."""
_DAY = 86_400_000
_MINUTE = 60_000
_LATE = 3_600_000
"""How late a venue may publish a funding rate or an event."""
_OVERLAP = 5
"""Stored rows that are asked for again on resuming, to be compared."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesSource:
    """One series of one venue."""

    client: Client  # the venue's connection
    reference: Reference  # the data set
    series: Series  # how the venue serves it
    rules: WindowRules  # what its rows are held to
    limits: Limits | None = None  # what was seen of a venue that is not among the known ones
    told: tuple[str, ...] = ()  # what a reader of results must be told of the rows

    @property
    def width(self) -> int:
        """Length of a window that one answer holds."""
        rows = self.series.rows if self.rules.step is not None else max(1, self.series.rows - 1)
        return rows * self.rules.spacing

    @property
    def short(self) -> bool:
        """Whether history is served from some moment on, and not from the listing."""
        shown = self.limits is None or self.limits.reaches_back
        return self.series.kept is not None or self.series.reach is not None or not shown

    def ask(self, start: int, end: int) -> Page:
        """Ask for a window, once."""
        with self.client.exchange() as exchange:
            return read_page(
                exchange, self.reference, self.series, start, end, until=self.series.until
            )

    def newest(self) -> Page:
        """Ask for the newest rows."""
        with self.client.exchange() as exchange:
            return read_page(exchange, self.reference, self.series)


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """Where the history that can be trusted ends."""

    finished: int  # rows stamped before it are final
    settled: int  # rows stamped before it that the venue does not have will not come any more
    clock: int  # what time it is at the venue, whatever says the latest
    silent: bool = False  # whether a last row waits for a later one to prove it finished


def source_of(client: Client, reference: Reference) -> SeriesSource:
    """How a venue serves a data set.

    Raises InputError if the venue does not offer the kind, or does not list the symbol; VenueError
    if it does not answer.
    """
    offered = client.venue.series
    if reference.kind not in offered:
        raise InputError(
            f"kind at {client.name} must be one of {', '.join(offered)}; got {reference.kind}"
        )
    series = offered[reference.kind]
    market = {} if kind_of(reference.kind).of_currency else client.market(reference.symbol)
    dollars = reference.kind == "ohlcv" and client.venue.dollars and market.get("inverse")
    source = SeriesSource(
        client=client,
        reference=reference,
        series=series,
        rules=rules_of(reference, series),
        told=("volume is in dollars, not in coins",) if dollars else (),
    )
    if not client.venue.probed:
        return source
    return _within(source, probe(client, reference, source.rules.spacing))


def _within(source: SeriesSource, limits: Limits) -> SeriesSource:
    """A series served as its venue was seen to serve it."""
    series = replace(
        source.series,
        rows=limits.rows,
        until=bool(limits.until),
        note=limits.note,
    )
    rules = replace(source.rules, bounded=series.until)
    return replace(source, series=series, rules=rules, limits=limits)


def horizon(source: SeriesSource) -> Horizon:
    """Find out which rows are final, by the venue's clock and by its rows.

    Notes
    -----
    The venue's clock may be wrong. A row that has opened proves that its time has come, and that
    the rows before it are final. The newest row itself is final when the clock says so and there
    is nothing odd in that: within a minute of its close, or a day after it.
    """
    now = source.client.now()
    step = source.rules.step
    if step is None:
        return Horizon(finished=now + 1, settled=now - _LATE, clock=now + 1)
    newest = -1
    for _ in range(2):
        newest = max(newest, int(source.newest().times.max(initial=-1)))
        if newest >= 0:
            break
    now = max(now, newest)
    current = floor(now, source.reference.timeframe)
    if newest < 0 or newest >= current:
        return Horizon(finished=current, settled=current, clock=current)
    late = now - (newest + step)
    if late <= _MINUTE or late > _DAY:
        return Horizon(finished=current, settled=current, clock=current)
    return Horizon(finished=newest, settled=newest, clock=current, silent=True)


def listening(source: SeriesSource, ends: Horizon) -> SeriesSource:
    """A series whose venue hears of starts alone, wary of answers that did not."""
    step = source.rules.step
    if source.series.until or source.short or step is None:
        return source
    return replace(source, rules=replace(source.rules, newest=ends.finished - step))


def first_row(source: SeriesSource, span: Span) -> int | None:
    """Stamp of the venue's first row in a span, found without walking through it.

    Notes
    -----
    Where a venue answers windows wider than a page, whether a window holds any row at all is a
    question of one request, and the answer is monotone in the window's end: bisection, until the
    whole stretch before is empty. Elsewhere daily bars lead to the day. Emptiness is asked
    twice on the way, and three times in the end.
    """
    if not source.series.wide:
        return _first_day(source, span)
    high = _lowest(source.ask, span, source.rules, asks=3)
    while high is not None:
        before = (span[0], high)
        sooner = _lowest(source.ask, before, source.rules, asks=3) if span[0] < high else None
        if sooner is None:
            return high
        high = _bisected(source, span[0], sooner)
    return None


def _bisected(source: SeriesSource, low: int, high: int) -> int:
    """Nearest to the first row that halving leads, given that there is one at `high`."""
    while high - low > source.width:
        middle = floor((low + high) // 2, source.reference.timeframe)
        sooner = _lowest(source.ask, (low, middle), source.rules) if low < middle else None
        if sooner is None:
            low = max(middle, low + 1)
        else:
            high = sooner
    sooner = _lowest(source.ask, (low, high), source.rules) if low < high else None
    return high if sooner is None else sooner


def _first_day(source: SeriesSource, span: Span) -> int | None:
    reference = replace(source.reference, kind="ohlcv", timeframe="1d")
    series = source.client.venue.series["ohlcv"]
    if source.limits is not None:
        rows = min(series.rows, source.limits.rows)
        series = replace(series, rows=rows, until=source.series.until)
    rules = rules_of(reference, series)
    daily = replace(source, reference=reference, rules=rules, series=series)
    start = floor(span[0], "1d")
    for window in windows((start, span[1]), daily.width):
        first = _lowest(daily.ask, window, rules)
        if first is not None:
            return max(first, span[0])
    return None


def _lowest(ask: Ask, span: Span, rules: WindowRules, asks: int = 2) -> int | None:
    """First stamp of a span; an answer of another time does not say that there is none."""
    quiet = strays = 0
    while quiet < asks:
        answer = ask(*span)
        found = sifted(answer, span, rules)
        if len(found.page.times):
            return int(found.page.times[0])
        strays, quiet = (strays + 1, quiet) if found.strayed else (strays, quiet + 1)
        if strays > CONFIRMATIONS:
            raise astray(answer, span, rules)
    return None


def overlapped(
    span: Span, known: Sequence[Span], stamps: np.ndarray, source: SeriesSource
) -> list[Span]:
    """What to ask for of a span: what is not known, and the stored rows just before each piece."""
    pieces = []
    for start, end in without(span, known):
        at = int(np.searchsorted(stamps, start))
        before = stamps[max(0, at - _OVERLAP) : at]
        near = before[before >= start - 2 * _OVERLAP * source.rules.spacing]
        pieces.append((int(near[0]) if len(near) else start, end))
    return pieces


def reachable(source: SeriesSource, clock: int) -> int:
    """Earliest stamp the venue may still serve."""
    series, earliest = source.series, GENESIS
    if series.reach is not None:
        earliest = max(earliest, clock - series.reach.value // 1_000_000)
    if series.kept is not None:
        earliest = max(earliest, clock - (series.kept - 1) * step_of(source.reference.timeframe))
    if source.limits is not None and not source.limits.reaches_back:
        earliest = max(earliest, source.limits.oldest)
    return earliest
