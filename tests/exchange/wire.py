"""What the venues' wire formats have in common: requests, pages of rows, and refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache

import numpy as np

from tests.exchange.world import MONDAY, Market, World, volatility_index


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came in; `number` counts from 1.

    A body is read as parameters. Where it says which `type` of answer is wanted, that is the last
    part of the path.
    """

    number: int
    host: str
    path: str
    params: Mapping[str, str]

    @property
    def target(self) -> str:
        """Host and path, what faults and routes are matched with."""
        return self.host + self.path

    def integer(self, name: str) -> int | None:
        """A parameter as a whole number; None where it is not sent."""
        text = self.params.get(name)
        if text is None:
            return None
        try:
            return int(text)
        except ValueError:
            raise Refused("parameter", name) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A body that will be sent as JSON, its status, and headers beside the usual ones."""

    payload: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):  # noqa: N818 - a venue's polite no, not a failure of the server
    """The venue will not answer; it says so in its own words.

    `problem` is a key of the venue's table of errors; `retry_after` is in seconds.
    """

    def __init__(self, problem: str, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(f"{problem} {detail}")
        self.problem = problem
        self.detail = detail
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Rows a request asks for.

    Attributes
    ----------
    series : str
        A price of `Market.rows`, or funding, open_interest, long_share, contract_stats,
        bankruptcies, volatility.
    market : Market or None
        None for series of a currency.
    step : int
        Distance of the rows in ms; 0 where the series has its own.
    start, end : int or None
        First and last stamp asked for, both inclusive.
    limit : int
        Most rows.
    oldest : bool
        Whether the limit keeps the oldest rows of the window or the newest.
    whole : bool
        Whether the unfinished bar is left out.
    jitter : bool
        Whether stamps are a few ms late, as Binance's funding is.
    """

    series: str
    market: Market | None
    step: int = 0
    start: int | None = None
    end: int | None = None
    limit: int
    oldest: bool = False
    whole: bool = False
    jitter: bool = False
    anchor: int = MONDAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows, oldest first: stamps in ms, shape (n,), and values, shape (n, k)."""

    times: np.ndarray
    values: np.ndarray

    def take(self, rows: np.ndarray | slice) -> Page:
        return Page(times=self.times[rows], values=self.values[rows])


def select(query: Query, now: int) -> Page:
    """The rows that a flawless venue would serve at `now`."""
    times, values = _series(query, now)
    visible = int(np.searchsorted(times, now, "right"))
    low = 0 if query.start is None else int(np.searchsorted(times, query.start))
    high = visible
    if query.end is not None:
        high = min(high, int(np.searchsorted(times, query.end, "right")))
    if query.oldest:
        high = min(high, low + query.limit)
    else:
        low = max(low, high - query.limit)
    page = Page(times=times[low:high], values=values[low:high].copy())
    if query.series not in PRICES or high != visible or high <= low:
        return page
    assert query.market is not None
    opened = int(times[visible - 1])
    if opened + query.step <= now:
        return page
    if query.whole:
        return page.take(slice(None, -1))
    page.values[-1] = query.market.partial(query.series, query.step, query.anchor, opened, now)
    return page


PRICES = ("last", "mark", "index", "premium")


def _series(query: Query, now: int) -> tuple[np.ndarray, np.ndarray]:
    market = query.market
    if query.series == "volatility":
        first = 0 if query.start is None else -(-query.start // query.step) * query.step
        times = np.arange(first, now + 1, query.step, dtype=np.int64)
        return times, volatility_index(times, query.step)
    assert market is not None
    if query.series in PRICES:
        if query.step < market.step or query.step % market.step:
            raise Refused("interval")
        return market.rows(query.series, query.step, query.anchor)
    if query.series == "funding":
        times = market.funding_times
        if query.jitter:
            times = times + times // (market.funding_hours * 3_600_000) % 4 * 3
        return times, market.funding_rates[:, None]
    if query.series == "bankruptcies":
        return market.bankruptcies[:, 0].astype(np.int64), market.bankruptcies[:, 1:]
    first = -(-int(market.times[0]) // query.step) * query.step
    last = min(now, market.end)
    times = np.arange(first, last + 1, query.step, dtype=np.int64)
    if query.series == "contract_stats":
        return times, np.hstack([market.open_interest(times), market.liquidated(times)])
    reading = market.open_interest if query.series == "open_interest" else market.long_share
    return times, reading(times)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a venue's handler may use: the world, its clock, and pages of rows.

    `page` is where faults of rows come in.
    """

    world: World
    now: int
    clock: int
    page: Callable[[Query], Page]
    delisted: bool = False

    def market(self, name: str | None, spell: Callable[[Market], str | None]) -> Market:
        """The market that the venue spells as `name`."""
        for market in self.world.markets:
            if not self.delisted and name is not None and spell(market) == name:
                return market
        raise Refused("symbol", name or "")

    def listed(self, *kinds: str) -> list[Market]:
        """Markets of these kinds, as long as the venue still lists them."""
        return [m for m in self.world.markets if m.kind in kinds and not self.delisted]


Handler = Callable[[Request, Desk], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A handler and the weight of a call, fixed or a function of the request."""

    handler: Handler
    weight: int | Callable[[Request], int] = 1

    def cost(self, request: Request) -> int:
        return self.weight if isinstance(self.weight, int) else self.weight(request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Permitted weight per window; after `patience` refusals in a row the caller is banned."""

    weight: int
    seconds: float
    patience: int = 10
    ban: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One host of one venue.

    Attributes
    ----------
    routes : mapping
        From path to route; ``{name}`` in a path stands for one part of it, which becomes a
        parameter.
    refuse : callable
        Words a `Refused` as the venue does: ``(refused, clock) -> Answer``.
    budget : Budget
        What the venue permits.
    gauge : callable
        Headers that tell the weight used so far: ``(used, budget) -> headers``.
    """

    host: str
    routes: Mapping[str, Route]
    refuse: Callable[[Refused, int], Answer]
    budget: Budget
    gauge: Callable[[int, Budget], Mapping[str, str]] = lambda used, budget: {}

    def found(self, request: Request) -> tuple[Route, Request]:
        """The route of a request, and the request with the parts of its path as parameters."""
        if request.path in self.routes:
            return self.routes[request.path], request
        for path, route in self.routes.items():
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
            if parts := re.fullmatch(pattern, request.path):
                return route, replace(request, params={**request.params, **parts.groupdict()})
        raise Refused("path")


@lru_cache(1 << 16)  # pages overlap: most numbers are written several times
def plain(number: float) -> str | None:
    """A number as venues write it, without an exponent; NaN is null."""
    if number != number:
        return None
    text = repr(number)
    return text if "e" not in text else format(Decimal(text), "f")


def bounded(request: Request, name: str, *, default: int, most: int) -> int:
    """A row limit between 1 and `most`; anything else is refused."""
    limit = request.integer(name)
    if limit is None:
        return default
    if not 1 <= limit <= most:
        raise Refused("parameter", name)
    return limit
