"""Faults that a pretended exchange can be told to have.

    Fault("429", match="*/klines", after=2, times=3, retry_after=1)
    Fault("gap", start="2022-01-03", end="2022-01-04", times=None)

A fault is considered for each request its `match` fits, in the order given; `after` of those pass
unharmed, then at most `times` are hit.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import numpy as np

from tests.exchange.wire import Page, Query, Request
from tests.exchange.world import stamp

STATUSES = {"403", "418", "429", "451", "500", "502", "503", "504", "520", "599"}
LINES = {"stall", "drip", "reset", "reset_body", "cut_body", "cut_chunks", "redirect"}
BODIES = {"truncated", "html", "empty_body", "bare", "odd_items", "odd_lists"}
ROWS = {"nulls", "duplicates", "conflicts", "shuffled", "gap", "empty_page"}
QUERIES = {"ignore_limit", "ignore_since", "ignore_window"}
VENUE = {"clock", "delisted", "lag"}
KINDS = STATUSES | LINES | BODIES | ROWS | QUERIES | VENUE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    match: str | Callable[[Request], bool] = "*"
    after: int = 0
    times: int | None = 1
    probability: float = 1.0
    seed: int = 0
    retry_after: float | None = None
    seconds: float = 30.0
    shift: int = 3_600_000
    start: str | int | None = None
    end: str | int | None = None


@dataclass(frozen=True, slots=True)
class Fault(_Options):
    """One way to misbehave.

    Attributes
    ----------
    kind : str
        A status (``"429"``), or a trouble of the line (``stall``, ``drip``: a byte now and then,
        ``reset``, ``reset_body``, ``cut_body``, ``cut_chunks``, ``redirect``: to another host), of
        the body (``truncated``, ``html``, ``empty_body``, ``bare``: an empty object,
        and ``odd_items``, ``odd_lists``: JSON with words in its lists, or in place of them), of
        its rows (``nulls``, ``duplicates``, ``conflicts``, ``shuffled``, ``gap``, ``empty_page``),
        of what was asked (``ignore_limit``, ``ignore_since``, ``ignore_window``),
        or of the venue (``clock``, ``delisted``, ``lag``: its rows are those of a while ago).
    match : str or callable
        Glob over host and path, or a function of the request.
    after, times : int
        Matching requests let through first; how many are then hit, None for all.
    probability, seed : float, int
        Chance of a hit, drawn from a generator of the fault's own.
    retry_after : float, optional
        Seconds in the ``Retry-After`` header of a status.
    seconds : float
        How long a stall keeps silent before it hangs up.
    shift : int
        How far the clock is off, or how far rows lag behind it, ms.
    start, end : str or int, optional
        For faults of rows: only rows in ``[start, end)`` are harmed, and only pages that hold
        such rows are counted. Without them the middle third of a page is harmed.
    """

    kind: str = field(kw_only=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fault must be one of {', '.join(sorted(KINDS))}; got {self.kind!r}")
        if (self.start is not None or self.end is not None) and self.kind not in ROWS:
            raise ValueError(f"{self.kind} does not harm rows; it takes no start and end")

    def covers(self, request: Request) -> bool:
        if isinstance(self.match, str):
            return fnmatchcase(request.target, self.match)
        return self.match(request)

    def harmed(self, times: np.ndarray) -> np.ndarray:
        """Which rows of a page, oldest first, are harmed."""
        if self.start is None and self.end is None:
            if self.kind == "empty_page":
                return np.ones(len(times), bool)
            place = np.arange(len(times))
            return (place >= len(times) // 3) & (place < max(1, -(-2 * len(times) // 3)))
        low = -np.inf if self.start is None else stamp(self.start)
        high = np.inf if self.end is None else stamp(self.end)
        return (times >= low) & (times < high)


class FaultBook:
    """Faults with their counters; not safe for threads by itself."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._entries: list[_Entry] = []
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        self._entries += [_Entry(fault) for fault in faults]

    def clear(self) -> None:
        """From here on nothing goes wrong."""
        self._entries = []

    def strike(
        self, request: Request, kinds: Iterable[str], times: np.ndarray | None = None
    ) -> list[Fault]:
        """Faults of these kinds that hit this request (and, of rows, this page)."""
        return [
            entry.fault
            for entry in self._entries
            if entry.fault.kind in kinds
            and entry.fault.covers(request)
            and (times is None or entry.fault.harmed(times).any())
            and entry.hits()
        ]


class _Entry:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._seen = 0
        self._hit = 0
        self._random = random.Random(fault.seed)

    def hits(self) -> bool:
        self._seen += 1
        if self._seen <= self.fault.after:
            return False
        if self.fault.times is not None and self._hit >= self.fault.times:
            return False
        if self._random.random() >= self.fault.probability:
            return False
        self._hit += 1
        return True


def bend(query: Query, faults: Iterable[Fault]) -> Query:
    """The query as a venue reads it that ignores a limit, a start, or both ends."""
    for fault in faults:
        if fault.kind == "ignore_limit":
            query = replace(query, limit=10 * query.limit)
        else:
            end = None if fault.kind == "ignore_window" else query.end
            query = replace(query, start=None, end=end, oldest=False)
    return query


def harm(page: Page, fault: Fault) -> Page:
    """A page with its rows harmed."""
    hit = fault.harmed(page.times)
    rows = np.flatnonzero(hit)
    if fault.kind in ("gap", "empty_page"):
        return page.take(~hit)
    if fault.kind == "shuffled":
        return page.take(np.random.default_rng(fault.seed).permutation(len(page.times)))
    if fault.kind == "nulls":
        values = page.values.copy()
        values[rows] = np.nan
        return Page(times=page.times, values=values)
    again = page.take(rows)
    if fault.kind == "conflicts":
        again = Page(times=again.times, values=again.values * 1.01)
    order = np.argsort(np.concatenate([np.arange(len(hit)), rows]), kind="stable")
    return Page(
        times=np.concatenate([page.times, again.times])[order],
        values=np.concatenate([page.values, again.values])[order],
    )
