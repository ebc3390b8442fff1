"""A venue's connection: ccxt made to keep the venue's time, to wait, and to say what went wrong.

Every request passes `_Line.fetch`: paced by the limiter, sent again after whatever may pass, and
refused in words where it may not. ccxt's answer to a body that is not JSON is an empty list;
here it is a fault.
"""

from __future__ import annotations

import difflib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from delever.arguments import counted
from delever.data.bounds import OverdueError, in_time
from delever.data.exchange.quirks import venue_of
from delever.data.exchange.session import BoundedSession
from delever.data.exchange.venue import Venue
from delever.data.pacing import WHOLE, Limiter, MayPassError, Pacing, persistently, retry_after
from delever.data.sources_file import VenueSettings
from delever.errors import InputError, VenueError

_BANNED = 120.0
"""Seconds to stay away after a 418 that does not say how long."""
_MISSHAPEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What ccxt ends in on JSON of another shape than it knows."""
_MARKETS = (
    "markets",
    "markets_by_id",
    "symbols",
    "ids",
    "currencies",
    "currencies_by_id",
    "codes",
    "baseCurrencies",
    "quoteCurrencies",
)


T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class _Answer:
    """What came back of the last request of one ccxt exchange."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    cost: float = 1.0


@dataclass(slots=True, kw_only=True, eq=False)
class Client:
    """One venue, asked by several threads at once."""

    name: str  # ccxt's id
    venue: Venue  # what it serves
    settings: VenueSettings  # how it is reached
    pacing: Pacing  # patience and clock
    limiter: Limiter  # shared by all threads
    requests: int = 0  # sent so far, those sent again included
    ahead: int = 0  # how far the venue's clock stands before ours (behind it if < 0), ms
    _first: Any = None
    _idle: list[Any] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _clock: tuple[int, float] = (0, 0.0)

    @contextmanager
    def exchange(self) -> Iterator[Any]:
        """Borrow a ccxt exchange with its markets loaded; its errors come out as ours.

        Raises VenueError if the venue refuses or does not answer.
        """
        import ccxt

        lent = None
        try:
            with self._lock:
                lent = self._idle.pop() if self._idle else self._ready()
            yield lent
        except ccxt.BaseError as error:
            what = "no longer knows the symbol" if isinstance(error, ccxt.BadSymbol) else "refuses"
            raise VenueError(
                f"{self.name} {what}: {_short(error)}; what was complete is stored"
            ) from error
        except _MISSHAPEN as error:
            raise VenueError(
                f"{self.name} answered in a shape that ccxt cannot read ({type(error).__name__}: "
                f"{_short(error)}); what was complete is stored; run the same command again, and "
                "where that does not help, with a newer ccxt"
            ) from error
        finally:
            if lent is not None:
                with self._lock:
                    self._idle.append(lent)

    def ask(self, question: Callable[[Any], T]) -> T:
        """Put a question to a ccxt exchange, again where the answer cannot be read.

        Raises VenueError as `exchange`.
        """
        import ccxt

        strange = (*_MISSHAPEN, ccxt.BadResponse)
        with self.exchange() as exchange:
            return persistently(
                lambda: question(exchange),
                self.pacing,
                who=self.name,
                limiter=self.limiter,
                on=strange,
            )

    def now(self) -> int:
        """The venue's time, ms since 1970, by its own clock as read when it was connected."""
        read, at = self._clock
        return read + round(1000 * (self.pacing.clock() - at))

    def sure_now(self) -> int:
        """The earlier of the venue's time and ours, ms since 1970: surely no later than it is.

        Only while at least one of the two clocks is not fast.
        """
        return self.now() - max(0, self.ahead)

    def market(self, symbol: str) -> dict[str, Any]:
        """What ccxt knows about a market.

        Raises InputError if the venue lists no such symbol; the message names those nearest to it.
        """
        with self.exchange() as exchange:
            markets: dict[str, dict[str, Any]] = exchange.markets
        if symbol in markets:
            return markets[symbol]
        near = difflib.get_close_matches(symbol, list(markets), n=3, cutoff=0.5)
        there = (
            f"did you mean {' or '.join(near)}?"
            if near
            else f"it lists {counted(len(markets), 'other')}"
        )
        raise InputError(f"{self.name} lists no symbol {symbol}; {there}")

    def _ready(self) -> Any:
        if self._first is None:
            # Time and markets are asked for again where they make no sense.
            self._first = persistently(
                self._introduction, self.pacing, who=self.name, limiter=self.limiter, on=_MISSHAPEN
            )
            return self._first
        exchange = self._build()
        for name in _MARKETS:
            setattr(exchange, name, getattr(self._first, name))
        return exchange

    def _introduction(self) -> Any:
        exchange = self._build()
        before = round(1000 * self.pacing.wall())
        read = self._server_time(exchange)
        self._clock = (read, self.pacing.clock())
        after = round(1000 * self.pacing.wall())
        self.ahead = max(0, read - after) - max(0, before - read)
        if not exchange.load_markets():
            raise ValueError("a list of markets with no market in it")
        return exchange

    def _server_time(self, exchange: Any) -> int:
        """By the venue's own clock, or by the date of its answers where it tells no time."""
        if exchange.has.get("fetchTime"):
            return int(exchange.fetch_time())
        from email.utils import parsedate_to_datetime

        exchange.load_markets()
        date = {k.lower(): v for k, v in exchange.last_response_headers.items()}.get("date")
        if date is None:
            raise VenueError(
                f"{self.name} tells no time and its answers carry no date, so that an unfinished "
                "bar could not be told from a finished one; nothing was stored"
            )
        return round(1000 * parsedate_to_datetime(date).timestamp())

    def _build(self) -> Any:
        import ccxt

        exchange = getattr(ccxt, self.name)(
            {
                "enableRateLimit": True,
                "timeout": round(1000 * self.settings.timeout),
                "options": {**self.venue.options, **self.settings.options},
            }
        )
        exchange.session.close()
        exchange.session = BoundedSession(self.name)
        exchange.session.trust_env = exchange.requests_trust_env
        if self.settings.proxy:
            setattr(exchange, _proxy_of(self.settings), self.settings.proxy)
        if self.settings.api_url:
            hostname = getattr(exchange, "hostname", None) or ""
            exchange.urls["api"] = redirected(exchange.urls["api"], self.settings.api_url, hostname)
        line = _Line(client=self, exchange=exchange, raw=exchange.fetch)
        exchange.fetch = line.fetch
        exchange.on_rest_response = line.heard
        exchange.throttle = line.wait
        # ccxt asks this machine's clock where a window ends; the venue's counts too, unless it is
        # fast: what is still to come there holds no newest row.
        if self._clock[0]:
            exchange.milliseconds = self.sure_now
            exchange.seconds = lambda: self.sure_now() // 1000
        else:
            exchange.milliseconds = lambda: (
                self.sure_now() if self._clock[0] else time.time_ns() // 1_000_000
            )
            exchange.seconds = lambda: exchange.milliseconds() // 1000
        return exchange


def _proxy_of(settings: VenueSettings) -> str:
    """Which of ccxt's proxies it is: each serves one scheme, and only one may be set."""
    if settings.proxy.startswith("socks"):
        return "socksProxy"
    return "httpProxy" if settings.api_url.startswith("http://") else "httpsProxy"


@dataclass(slots=True, kw_only=True, eq=False)
class _Line:
    """What stands between one ccxt exchange and the wire."""

    client: Client
    exchange: Any
    raw: Any
    answer: _Answer = field(default_factory=_Answer)
    # on the thread of a request, the answer that it is to fill in
    hearing: threading.local = field(default_factory=threading.local)

    def wait(self, cost: float | None = None) -> None:
        """Stand for ccxt's throttle: what the call costs is waited for when it is sent."""
        self.answer = _Answer(cost=1.0 if cost is None else float(cost))

    def heard(
        self, code: int, reason: str, url: str, method: str, headers: Any, body: str, *_: object
    ) -> str:
        """Stand for ccxt's hook: see every answer, also what it makes an error of."""
        del reason, url, method
        answer: _Answer = getattr(self.hearing, "answer", self.answer)
        answer.status, answer.headers, answer.body = code, headers, body
        return body.strip()

    def fetch(
        self, url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> dict[str, Any] | list[Any]:
        """Stand for ccxt's fetch: send, and send again while that may help."""
        client = self.client
        asked = body or url
        weights = client.venue.weights.items()
        cost = next((each for name, each in weights if name in asked), self.answer.cost)
        try:
            return persistently(
                lambda: self._once(cost, url, method, headers, body),
                client.pacing,
                who=client.name,
                limiter=client.limiter,
            )
        except MayPassError as trouble:
            parts = urlsplit(url)
            raise VenueError(
                f"{client.name}: {parts.netloc}{parts.path} failed {client.pacing.attempts} times, "
                f"last with {trouble}; what was complete is stored; run the same command again to "
                "go on"
            ) from trouble

    def _once(self, cost: float, *request: Any) -> dict[str, Any] | list[Any]:
        import ccxt

        self.client.limiter.take(cost)
        self.answer = answer = _Answer(cost=cost)
        self.client.requests += 1
        seconds = WHOLE * self.client.settings.timeout
        try:
            reply = in_time(seconds, lambda: self._sent(answer, *request))
        except OverdueError as error:
            self.exchange.session = BoundedSession(self.client.name)  # the old one is still at it
            raise MayPassError(str(error)) from error
        except ccxt.BaseError as error:
            if not self._may_pass(error):
                raise
            raise self._passing(self._said(error)) from error
        if isinstance(reply, (dict, list)):
            return reply
        raise self._passing(f"a body that is not JSON ({_start(self.answer.body)})")

    def _sent(self, answer: _Answer, *request: Any) -> Any:
        """Send, and let what comes back be heard as the answer to this very request."""
        self.hearing.answer = answer
        return self.raw(*request)

    def _may_pass(self, error: Exception) -> bool:
        """Whether asking again may help; a refusal for the caller's place is explained instead."""
        import ccxt

        status = self.answer.status
        limited = isinstance(error, (ccxt.DDoSProtection, ccxt.RateLimitExceeded))
        if status == 403:  # some venues limit with it, and say so; a bare page is a closed door
            said, words = self.answer.body.lower(), self.client.venue.limit_words
            limited = limited and (said.strip().startswith("{") or (bool(words) and words in said))
        if status in (403, 451) and not limited:
            raise VenueError(
                f"{self.client.name} answers {status} ({_start(self.answer.body)}): it does not "
                "serve this network or region, and asking again would not change that; set a "
                f"proxy or api_url for venues.{self.client.name} in data/sources.toml"
            ) from error
        if limited or status is None or status >= 500 or status in (408, 418, 425, 429):
            return not isinstance(error, ccxt.NotSupported)
        if isinstance(error, (ccxt.ExchangeNotAvailable, ccxt.RequestTimeout)):
            return True
        # An error the venue worded itself is an answer; one it did not is a broken line.
        body = self.answer.body.strip()
        return type(error) is ccxt.ExchangeError and (body == "{}" or not body.startswith("{"))

    def _said(self, error: Exception) -> str:
        status = self.answer.status
        if status is None or status == 200:
            return f"{type(error).__name__}: {_short(error)}"
        return f"status {status} ({_start(self.answer.body)})"

    def _passing(self, trouble: str) -> MayPassError:
        """A failure that keeps every thread of this venue away if it asked for that."""
        status, asked = (
            self.answer.status,
            retry_after(self.answer.headers, reset_header=self.client.venue.reset_header),
        )
        if asked is None and status == 418:
            asked = _BANNED
        return MayPassError(trouble, asked=asked, everyone=status == 429)


def redirected(urls: Any, api_url: str, hostname: str) -> Any:
    """Replace ``https://HOST`` in every URL of a nest of them."""
    if isinstance(urls, dict):
        return {key: redirected(value, api_url, hostname) for key, value in urls.items()}
    if not isinstance(urls, str):
        return urls
    parts = urlsplit(urls.replace("{hostname}", hostname))
    if parts.scheme not in ("http", "https"):
        return urls
    return api_url.rstrip("/").replace("{host}", parts.netloc) + parts.path


def connect(
    name: str,
    settings: VenueSettings,
    pacing: Pacing | None = None,
    *,
    venues: Mapping[str, Venue] = MappingProxyType({}),
) -> Client:
    """Make a client; nothing is sent before it is used. `venues` go before those known here.

    Raises InputError if ccxt knows no such venue; the message names those nearest to it.
    """
    import ccxt

    if name not in ccxt.exchanges:
        near = difflib.get_close_matches(name, ccxt.exchanges, n=3)
        there = f"did you mean {' or '.join(near)}?" if near else "see ccxt's list of exchanges"
        raise InputError(f"venue must be one that ccxt knows; got {name!r}; {there}")
    pacing = pacing or Pacing()
    venue = venue_of(name, venues)
    if venue.weight is None:
        weight, seconds = 10_000.0 / getattr(ccxt, name)().rateLimit, 10.0
    else:
        weight, seconds = venue.weight, venue.seconds
    limiter = Limiter(weight * settings.rate, seconds, pacing)
    return Client(name=name, venue=venue, settings=settings, pacing=pacing, limiter=limiter)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."


def _start(body: str) -> str:
    text = " ".join(body.split())
    return f"{text[:60]}..." if len(text) > 60 else text or "empty"
