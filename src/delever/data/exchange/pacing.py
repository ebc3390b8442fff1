"""How fast a venue may be asked, and how long to wait after it said no."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from delever.errors import VenueError

__all__ = ["Limiter", "Pacing", "backoff", "retry_after"]

_NAP = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """Patience with a venue, and the clock it is measured by."""

    attempts: int = 8  # times a request is sent before it is given up
    # seconds of the first wait, and of the longest one chosen by us; each wait is twice the last
    first: float = 0.5
    longest: float = 60.0
    timeout: float = 20.0  # seconds without an answer after which a request has failed
    sleep: Callable[[float], None] = time.sleep  # real ones by default; tests bring their own
    clock: Callable[[], float] = time.monotonic
    random: random.Random = field(default_factory=random.Random)  # where the jitter comes from


def backoff(attempt: int, pacing: Pacing) -> float:
    """Seconds to wait after a failure."""
    whole = min(pacing.longest, pacing.first * 2.0 ** (attempt - 1))
    return whole * (0.5 + 0.5 * pacing.random.random())


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds a venue asks to be left alone, where its answer says so.

    Examples
    --------
    >>> retry_after({"Retry-After": "17"})
    17.0
    >>> retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT",
    ...              "date": "Wed, 21 Oct 2015 07:28:00 GMT"})
    30.0
    """
    given = {name.lower(): value.strip() for name, value in headers.items()}
    text = given.get("retry-after")
    if text is not None:
        try:
            return max(0.0, float(text))
        except ValueError:
            until = _date(text)
            if until is not None:
                return max(0.0, (until - _now(given, now)).total_seconds())
    reset = given.get("x-bapi-limit-reset-timestamp")
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

    Notes
    -----
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

        Raises
        ------
        VenueError
            If `stop` was called.
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
