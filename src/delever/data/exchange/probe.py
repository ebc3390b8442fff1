"""What a venue that is not among the known ones permits: asked, not assumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from delever.data.exchange.client import Client
from delever.data.exchange.pages import read_page
from delever.data.exchange.spans import Span
from delever.data.references import Reference
from delever.errors import VenueError

_LADDER = (5000, 2000, 1000, 500, 200, 100, 50)
"""Rows asked for, until a venue does not refuse the number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a venue was seen to do with one series."""

    venue: str  # ccxt's id
    asked: int  # rows asked for at once, and how many came
    rows: int
    oldest: int  # stamp of the oldest of them, ms
    since: bool  # whether a start brought rows older than the newest page
    # whether an end kept later rows out; None where nothing came that could show it
    until: bool | None

    @property
    def reaches_back(self) -> bool:
        """Whether anything older than the newest page can be had."""
        return self.since or bool(self.until)

    @property
    def note(self) -> str:
        """What a user must be told."""
        seen = f"{self.rows} rows came of {self.asked} asked for at once"
        if not self.reaches_back:
            held = "a start brings nothing older, so that only these newest rows are served"
        else:
            start = "honoured" if self.since else "ignored where no end is given"
            end = {True: "honoured", False: "ignored", None: "not shown to be honoured"}[self.until]
            held = f"a start is {start}, an end is {end}"
        return f"limits probed, as {self.venue} is not among the known venues: {seen}; {held}"

    @property
    def record(self) -> Mapping[str, object]:
        """The same for a manifest."""
        return {
            "asked": self.asked,
            "rows": self.rows,
            "since": self.since,
            "until": self.until,
        }


def probe(client: Client, reference: Reference, spacing: int) -> Limits:
    """Find out how many rows come at once, and what a start and an end do.

    Raises VenueError if the venue shows no rows at all, or does not answer.

    The start that is tried lies as far before the newest page as the page is long, the end half way
    between the two. A start that shows rows older than the page is honoured, and so is an end that
    shows some and keeps later ones out. A market all of which is in the newest page cannot show
    either, and nothing is lost by serving that page alone.
    """
    asked, times = _most(client, reference)
    oldest = int(times.min())
    start = oldest - len(times) * spacing
    window = (start, start + max(1, len(times) // 2) * spacing)
    alone = _times(client, reference, window, len(times), until=False)
    ended = _times(client, reference, window, len(times), until=True)
    return Limits(
        venue=client.name,
        asked=asked,
        rows=len(times),
        oldest=oldest,
        since=bool((alone < oldest).any()),
        until=bool((ended < window[1] + spacing).all()) if len(ended) else None,
    )


def _most(client: Client, reference: Reference) -> tuple[int, np.ndarray]:
    """The newest rows, as many as come at once, and how many were asked for."""
    refusal: Exception | None = None
    for asked in _LADDER:
        with client.exchange() as exchange, _polite() as refused:
            series = client.venue.series[reference.kind]
            page = read_page(exchange, reference, series, limit=asked)
        if refused:
            refusal = refused[0]
        elif len(times := np.unique(page.times[page.times >= 0])):
            return asked, times
    why = "it shows no rows" if refusal is None else f"it refuses: {refusal}"
    raise VenueError(
        f"{reference}: the limits of {client.name} cannot be probed, as {why} of the newest "
        f"{_LADDER[-1]}; nothing was stored; choose another symbol, kind or venue"
    )


def _times(
    client: Client, reference: Reference, window: Span, limit: int, *, until: bool
) -> np.ndarray:
    """Stamps that a window brings; none where the venue refuses it."""
    with client.exchange() as exchange, _polite() as refused:
        series = client.venue.series[reference.kind]
        page = read_page(exchange, reference, series, *window, limit=limit, until=until)
    return np.empty(0, np.int64) if refused else page.times[page.times >= 0]


@contextmanager
def _polite() -> Iterator[list[Exception]]:
    """Take a venue's own no for an answer; a broken line stays an error."""
    import ccxt

    said: list[Exception] = []
    try:
        yield said
    except ccxt.BadSymbol:
        raise
    except ccxt.ExchangeError as error:
        said.append(error)
