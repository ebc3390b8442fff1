"""How fast a server may be asked, and how long to wait before it is asked again."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import TypeVar

from delever.errors import VenueError

_NAP = 0.5
WHOLE = 6.0
"""Timeouts after which a request has failed, however much of its answer has come."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """Patience with a server, and the clock it is measured by."""

    attempts: int = 8  # times a request is sent before it is given up
    # seconds of the first wait, and of the longest one chosen by us; each wait is twice the last
    first: float = 0.5
    longest: float = 60.0
    # seconds of the longest wait that a server may ask for, and of all waits for one request
    longest_asked: float = 600.0
    patience: float = 1800.0
    timeout: float = 20.0  # seconds without a byte after which a request has failed
    sleep: Callable[[float], None] = time.sleep  # real ones by default; tests bring their own
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time  # this machine's time, s since 1970 UTC
    random: random.Random = field(default_factory=random.Random)  # where the jitter comes from


def backoff(attempt: int, pacing: Pacing) -> float:
    """Seconds to wait after a failure."""
    whole = min(pacing.longest, pacing.first * 2.0 ** (attempt - 1))
    return whole * (0.5 + 0.5 * pacing.random.random())


class MayPassError(Exception):
    """A failure after which asking again may help.

    `asked` is how many seconds the server wants to be left alone; with `everyone`, all who share
    a limiter keep away, and not this one caller alone.
    """

    def __init__(self, trouble: str, *, asked: float | None = None, everyone: bool = False) -> None:
        super().__init__(trouble)
        self.asked = asked
        self.everyone = everyone or asked is not None


def persistently(
    call: Callable[[], T],
    pacing: Pacing,
    *,
    who: str,
    limiter: Limiter | None = None,
    on: tuple[type[Exception], ...] = (MayPassError,),
) -> T:
    """Call, and call again after a failure that may pass; the last failure is raised.

    Raises VenueError, which names `who`, if the server asks for a longer wait than is waited, or
    all waits together would be longer than that.
    """
    begun, rest = pacing.clock(), pacing.sleep if limiter is None else limiter.rest
    for attempt in count(1):
        try:
            return call()
        except on as failure:
            if attempt >= pacing.attempts:
                raise
            asked = getattr(failure, "asked", None)
            if asked is not None and asked > pacing.longest_asked:
                raise VenueError(
                    f"{who} asks to be left alone for {_spoken(asked)}, longer than the "
                    f"{_spoken(pacing.longest_asked)} that are waited; what was complete is "
                    "stored; run the same command again after that"
                ) from failure
            if asked is None:
                wait = backoff(attempt, pacing)
            else:
                wait = asked + pacing.first * pacing.random.random()
            spent = pacing.clock() - begun
            if spent + wait > pacing.patience:
                raise VenueError(
                    f"{who} has failed {attempt} times in {_spoken(spent)}, last with {failure}, "
                    f"and would keep this waiting past {_spoken(pacing.patience)}; what was "
                    "complete is stored; run the same command again later"
                ) from failure
            everyone = getattr(failure, "everyone", False)
        if limiter is not None and everyone:
            limiter.pause(wait)
        else:
            rest(wait)
    raise AssertionError  # counting never ends


def _spoken(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"


def retry_after(
    headers: Mapping[str, str], now: datetime | None = None, *, reset_header: str = ""
) -> float | None:
    """Seconds a venue asks to be left alone, where its answer says so."""
    given = {name.lower(): value.strip() for name, value in headers.items()}
    text = given.get("retry-after")
    if text is not None:
        try:
            asked = float(text)
            return max(0.0, asked) if math.isfinite(asked) else None
        except ValueError:
            until = _date(text)
            if until is not None:
                return max(0.0, (until - _now(given, now)).total_seconds())
    reset = given.get(reset_header.lower())
    if reset is not None and reset.isdigit():
        until = datetime.fromtimestamp(int(reset) / 1000, tz=UTC)
        return max(0.0, (until - _now(given, now)).total_seconds())
    return None


def _now(given: Mapping[str, str], now: datetime | None) -> datetime:
    return now or _date(given.get("date", "")) or datetime.now(tz=UTC)


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None


class Limiter:
    """Spends a budget of weight per window of time without ever passing it.

    A bucket that refills steadily and holds a small burst `b`: a window sees at most
    ``rate * seconds + b``, so ``rate = (weight - b) / seconds`` keeps within the budget however
    the venue's windows lie. With ``b = weight / 25`` and a steady demand 96 % of it is used; a call
    that costs more than `b` makes it the burst from then on.
    """

    def __init__(self, weight: float, seconds: float, pacing: Pacing) -> None:
        self._weight, self._seconds = weight, seconds
        self._burst = weight / 25
        self._pacing = pacing
        self._lock = threading.Lock()
        self._level = self._burst
        self._at = pacing.clock()
        self._closed_until = self._at
        self._stopped = threading.Event()

    def take(self, cost: float = 1.0) -> None:
        """Wait until a call of this weight is permitted, and count it."""
        while True:
            with self._lock:
                now = self._pacing.clock()
                self._burst = max(self._burst, min(cost, self._weight / 2))
                rate = (self._weight - self._burst) / self._seconds
                self._level = min(self._burst, self._level + (now - self._at) * rate)
                self._at = now
                need = min(cost, self._burst)
                wait = max(self._closed_until - now, (need - self._level) / rate)
                if self._stopped.is_set():
                    raise VenueError("stopped; what was complete is stored")
                if wait <= 1e-9:
                    self._level -= cost
                    return
            self.rest(wait)

    def rest(self, seconds: float) -> None:
        """Sleep, in naps short enough to be told to stop.

        Raises VenueError if `stop` was called.
        """
        while seconds > 0:
            if self._stopped.is_set():
                raise VenueError("stopped; what was complete is stored")
            nap = min(seconds, _NAP)
            self._pacing.sleep(nap)
            seconds -= nap

    def stop(self) -> None:
        """Let every thread that waits, or will, give up."""
        self._stopped.set()

    def pause(self, seconds: float) -> None:
        """Let nobody through for a while: the venue has asked for it."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._pacing.clock() + seconds)
