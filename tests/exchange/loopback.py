"""What the pretended venues answer to a request, and the log of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from urllib.parse import parse_qsl, urlsplit

from tests.exchange import (
    binance,
    bitstamp,
    bybit,
    coinbase,
    deribit,
    gate,
    hyperliquid,
    kraken,
    krakenfutures,
    okx,
)
from tests.exchange.faults import (
    BODIES,
    LINES,
    QUERIES,
    ROWS,
    STATUSES,
    VENUE,
    Fault,
    FaultBook,
    bend,
    harm,
)
from tests.exchange.limits import Meter
from tests.exchange.wire import Answer, Budget, Desk, Page, Query, Refused, Request, Venue, select
from tests.exchange.world import World

VENUES: dict[str, Venue] = {
    venue.host: venue
    for module in (
        binance,
        bybit,
        okx,
        kraken,
        deribit,
        krakenfutures,
        bitstamp,
        coinbase,
        gate,
        hyperliquid,
    )
    for venue in module.VENUES
}
"""Every host that is pretended."""

_PROBLEMS = {"403": "region", "451": "region", "418": "banned", "429": "rate"}
_FROM_THE_EDGE = {"403", "502", "504", "520", "599"}
"""Statuses that come from a gateway before the venue, with a page instead of JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What became of one request: the status, the rows served, the kinds of faults that hit it.

    `status` is what was meant to be sent, even where the line was then cut.
    """

    request: Request
    status: int
    rows: int
    faults: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Turn:
    """One request while it is being answered."""

    request: Request
    rows: int = 0
    struck: list[Fault] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, and the fault of the line or of the body it is to suffer, if any."""

    answer: Answer
    fault: Fault | None


class Loopback:
    """An exchange that misbehaves as told; `serve` puts it on a port.

    Attributes
    ----------
    api_url : str
        What ``https://HOST`` is to be replaced with; ``{host}`` stands for the host.
    now : int
        The venues' clock, ms; may be set while it runs.
    faults : FaultBook
        May be added to or cleared while it runs.
    log : list of Entry
        Every request so far.
    """

    def __init__(
        self,
        world: World,
        faults: Iterable[Fault] = (),
        *,
        budgets: Mapping[str, Budget] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        enforced = budgets or {}
        unknown = set(enforced) - set(VENUES)
        if unknown:
            raise ValueError(f"no such host: {', '.join(sorted(unknown))}")
        self.world = world
        self.now = world.clock
        self.faults = FaultBook(faults)
        self.log: list[Entry] = []
        self.api_url = ""
        self._lock = threading.Lock()
        self._numbers = 0
        self._meters = {
            host: Meter(enforced.get(host, venue.budget), clock, enforce=host in enforced)
            for host, venue in VENUES.items()
        }

    def requests(self, match: str = "*") -> list[Entry]:
        """The log's entries whose host and path fit a glob."""
        pattern = Fault("clock", match=match)
        return [entry for entry in self.log if pattern.covers(entry.request)]

    def reply(self, target: str, body: Mapping[str, object] | None = None) -> Reply:
        """Answer a GET of ``/HOST/path?query``, or a POST with a body."""
        parts = urlsplit(target)
        host, _, path = parts.path.lstrip("/").partition("/")
        with self._lock:
            self._numbers += 1
            number = self._numbers
        params = dict(parse_qsl(parts.query, keep_blank_values=True)) | _flat(body or {})
        if body and "type" in params:
            path = f"{path}/{params['type']}"
        turn = _Turn(request=Request(number=number, host=host, path=f"/{path}", params=params))
        statuses = self._strike(turn, STATUSES)
        broken = self._strike(turn, LINES | BODIES)
        answer = self._answer(turn, statuses[0] if statuses else None)
        kinds = tuple(fault.kind for fault in turn.struck)
        entry = Entry(request=turn.request, status=answer.status, rows=turn.rows, faults=kinds)
        with self._lock:
            self.log.append(entry)
        return Reply(answer=answer, fault=broken[0] if broken else None)

    def _strike(self, turn: _Turn, kinds: Iterable[str], page: Page | None = None) -> list[Fault]:
        with self._lock:
            times = None if page is None else page.times
            faults = self.faults.strike(turn.request, kinds, times)
        turn.struck += faults
        return faults

    def _page(self, turn: _Turn, query: Query) -> Page:
        late = sum(fault.shift for fault in self._strike(turn, {"lag"}))
        page = select(bend(query, self._strike(turn, QUERIES)), self.now - late)
        for fault in self._strike(turn, ROWS, page):
            page = harm(page, fault)
        turn.rows = len(page.times)
        return page

    def _answer(self, turn: _Turn, status: Fault | None) -> Answer:
        venue = VENUES.get(turn.request.host)
        if venue is None:
            return Answer(payload={"error": f"no host {turn.request.host}"}, status=404)
        wrong = self._strike(turn, VENUE - {"lag"})
        desk = Desk(
            world=self.world,
            now=self.now,
            clock=self.now + sum(fault.shift for fault in wrong if fault.kind == "clock"),
            page=lambda query: self._page(turn, query),
            delisted=any(fault.kind == "delisted" for fault in wrong),
        )
        try:
            answer = Answer(payload=self._handle(turn.request, venue, desk, status))
        except Refused as refused:
            answer = venue.refuse(refused, desk.clock)
        meter = self._meters[venue.host]
        headers = {"Date": formatdate(desk.clock / 1000, usegmt=True)}
        headers |= {**venue.gauge(meter.used, meter.budget), **answer.headers}
        if status is None:
            return replace(answer, headers=headers)
        if status.retry_after is not None:
            headers["Retry-After"] = f"{status.retry_after:g}"
        payload = None if status.kind in _FROM_THE_EDGE else answer.payload
        return Answer(payload=payload, status=int(status.kind), headers=headers)

    def _handle(self, request: Request, venue: Venue, desk: Desk, status: Fault | None) -> object:
        """What the venue has to say, unless it refuses."""
        if status is not None:
            raise Refused(_PROBLEMS.get(status.kind, "server"))
        route, request = venue.found(request)
        meter = self._meters[venue.host]
        with self._lock:
            wait = meter.take(route.cost(request))
            banned = meter.banned
        if wait is not None:
            raise Refused("banned" if banned else "rate", retry_after=wait)
        return route.handler(request, desk)


def _flat(body: Mapping[str, object]) -> dict[str, str]:
    """A body's parameters as texts, those of a nested object beside the others."""
    params: dict[str, str] = {}
    for name, value in body.items():
        params |= _flat(value) if isinstance(value, Mapping) else {name: str(value)}
    return params
