"""What to ask a venue for: where history begins and ends there, and what is not known yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from delever.arguments import counted, one_of
from delever.data.exchange.client import Client
from delever.data.exchange.gather import (
    CONFIRMATIONS,
    Ask,
    WindowRules,
    astray,
    disagreeing,
    rules_of,
    sifted,
)
from delever.data.exchange.pages import Page, read_page
from delever.data.exchange.probe import Limits, probe
from delever.data.exchange.spans import Span, floor, said, step_of, windows, without
from delever.data.exchange.venue import Series
from delever.data.references import Reference
from delever.funding_stamps import interval_at_ends
from delever.kinds import kind_of

GENESIS = 1_230_940_800_000
"""2009-01-03, ms: no venue's history begins before Bitcoin."""
_DAY = 86_400_000
_MINUTE = 60_000
_LATE = 3_600_000
"""How late a venue may publish a row before it is said to be overdue."""
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
    closed: bool = False  # whether the venue lists the market as one that no longer trades

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
        return self.client.ask(
            lambda exchange: read_page(
                exchange, self.reference, self.series, start, end, until=self.series.until
            )
        )

    def newest(self) -> Page:
        """Ask for the newest rows."""
        return self.client.ask(lambda exchange: read_page(exchange, self.reference, self.series))


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """Where the history that can be trusted ends; all in ms."""

    newest: int  # stamp of the newest row served; -1 if there was none
    finished: int  # rows stamped before it are final
    due: int  # rows stamped before it should have been served by now
    clock: int  # what time it surely is at the venue
    notes: tuple[str, ...] = ()  # what a user must be told of the end
    # the newest rows that came together with a later one, which proves them final
    proven: Page | None = None

    def agreed(self, page: Page, source: SeriesSource) -> tuple[Page, list[Span]]:
        """The rows of a page that are as the proven ones, and the stretches of those that are not.

        A server that lags by seconds has the bar before the newest as it was before its end.
        """
        step = source.rules.step
        if self.proven is None or step is None:
            return page, []
        wrong = disagreeing(page, self.proven)
        cut = [(int(time), int(time) + step) for time in page.times[wrong]]
        return page.take(~wrong), cut

    def heard(self, source: SeriesSource) -> int:
        """Until when the venue's rows have come."""
        return self.newest + (source.rules.step or 0)


def source_of(client: Client, reference: Reference) -> SeriesSource:
    """How a venue serves a data set.

    Raises InputError if the venue does not offer the kind, or does not list the symbol; VenueError
    if it does not answer.
    """
    offered = client.venue.series
    one_of(f"kind at {client.name}", reference.kind, offered)
    series = offered[reference.kind]
    market = {} if kind_of(reference.kind).of_currency else client.market(reference.symbol)
    dollars = reference.kind == "ohlcv" and client.venue.dollars and market.get("inverse")
    source = SeriesSource(
        client=client,
        reference=reference,
        series=series,
        rules=rules_of(reference, series),
        told=("volume is in dollars, not in coins",) if dollars else (),
        closed=market.get("active") is False,
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
    """Find out which rows are final, by the venue's rows, its clock and ours.

    A row that has opened proves that its time has come, and that the rows before it are final. The
    newest row itself is final only when the earlier of the two clocks stands past its close by
    more than they differ, yet by no more than a minute: after that a venue that keeps up would
    have served the next row. In a market that is closed there is no next row, and a day must have
    gone by. What should have been served an hour ago and was not is overdue: unknown, never absent.
    """
    for _ in range(2):
        page = source.newest()
        newest = int(page.times.max(initial=-1))
        if newest >= 0:
            break
    clock = max(source.client.sure_now(), newest)
    step = source.rules.step
    if step is None:
        return _without_grid(source, page.times, clock)
    proven = sifted(page, (0, newest), source.rules).page if newest > 0 else None
    frame = source.reference.timeframe
    current = floor(clock, frame)
    if newest < 0:  # the clocks alone prove nothing of the last bar
        return Horizon(newest=-1, finished=current - step, due=current, clock=clock)
    if newest >= current:
        return Horizon(newest=newest, finished=current, due=current, clock=clock, proven=proven)
    closed = newest + step
    error = abs(source.client.ahead)
    past = clock - closed
    final = error < past <= _MINUTE or (source.closed and past > max(error, _DAY))
    finished = closed if final else newest
    due = finished if source.closed else max(finished, floor(clock - _LATE, frame))
    notes = []
    if not final:
        notes.append(
            f"the bar of {said(newest)} is held back: the venue has shown no later one that would "
            "prove it finished" + clocks_apart(source.client)
        )
    if source.closed:
        notes.append(f"the venue lists the market as closed; its history ends at {said(closed)}")
    return Horizon(
        newest=newest,
        finished=finished,
        due=due,
        clock=clock,
        notes=tuple(notes),
        proven=proven,
    )


def _without_grid(source: SeriesSource, times: np.ndarray, clock: int) -> Horizon:
    """Rows off any grid are final as they come; funding says by its stamps when the next is due."""
    newest = int(times.max(initial=-1))
    if newest < 0:
        return Horizon(newest=-1, finished=clock + 1, due=clock + 1, clock=clock)
    finished = due = newest + 1
    if not (source.rules.events or source.closed):
        stamps = np.unique(times[times >= 0]) * 1_000_000
        _, interval = interval_at_ends(stamps, source.rules.spacing * 1_000_000)
        if clock - _LATE > newest + interval // 1_000_000:
            due = clock - _LATE
    return Horizon(newest=newest, finished=finished, due=due, clock=clock)


def clocks_apart(client: Client) -> str:
    """How far the clock of a venue stands from ours, where it is more than a minute."""
    if abs(client.ahead) <= _MINUTE:
        return ""
    way = "ahead of" if client.ahead > 0 else "behind"
    apart = pd.Timedelta(abs(client.ahead), unit="ms").round("s")
    far = counted(apart.round("D").days, "day") if abs(client.ahead) >= _DAY else str(apart)
    return f", and its clock stands {far} {way} ours"


def listening(source: SeriesSource, ends: Horizon) -> SeriesSource:
    """A series whose venue hears of starts alone, wary of answers that did not."""
    step = source.rules.step
    if source.series.until or source.short or step is None:
        return source
    return replace(source, rules=replace(source.rules, newest=ends.finished - step))


def first_row(source: SeriesSource, span: Span) -> int | None:
    """Stamp of the venue's first row in a span, found without walking through it.

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
    pieces: list[Span] = []
    for start, end in without(span, known):
        at = int(np.searchsorted(stamps, start))
        before = stamps[max(0, at - _OVERLAP) : at]
        near = before[before >= start - 2 * _OVERLAP * source.rules.spacing]
        begin = int(near[0]) if len(near) else start
        if pieces and end - pieces[-1][0] <= source.width:
            pieces[-1] = pieces[-1][0], end
        else:
            pieces.append((begin, end))
    return pieces


def reachable(source: SeriesSource, ends: Horizon) -> int:
    """Earliest stamp the venue may still serve."""
    clock = ends.clock
    series, earliest = source.series, GENESIS
    if series.reach is not None:
        earliest = max(earliest, clock - series.reach.value // 1_000_000)
    if series.kept is not None:
        frame = source.reference.timeframe
        last = floor(clock, frame)
        if ends.newest >= 0:  # the newest rows are served, whatever the clock says
            last = min(last, ends.newest + step_of(frame))
        earliest = max(earliest, last - (series.kept - 1) * step_of(frame))
    if source.limits is not None and not source.limits.reaches_back:
        earliest = max(earliest, source.limits.oldest)
    return earliest
