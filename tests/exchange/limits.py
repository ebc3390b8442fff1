"""What a venue permits in a window of time, and what happens past it."""

from __future__ import annotations

from collections.abc import Callable

from tests.exchange.wire import Budget


class Meter:
    """Adds up the weight of one host's calls in windows of fixed length, as Binance does.

    Parameters
    ----------
    budget : Budget
    clock : callable
        Seconds, real or virtual.
    enforce : bool
        Whether calls past the budget are refused; they are counted either way.

    Attributes
    ----------
    used : int
        Weight in the present window.
    banned : bool
        Whether the last refusal was a ban.
    """

    def __init__(self, budget: Budget, clock: Callable[[], float], *, enforce: bool) -> None:
        self.budget = budget
        self.used = 0
        self.banned = False
        self._clock = clock
        self._enforce = enforce
        self._window = -1
        self._banned_until = -1.0
        self._refusals = 0

    def take(self, weight: int) -> float | None:
        """Count a call; None when it is permitted, else the seconds to stay away."""
        now = self._clock()
        window = int(now // self.budget.seconds)
        if window != self._window:
            self._window, self.used = window, 0
        self.used += weight
        self.banned = self._enforce and now < self._banned_until
        if self.banned:
            return self._banned_until - now
        if not self._enforce or self.used <= self.budget.weight:
            self._refusals = 0
            return None
        self._refusals += 1
        if self._refusals <= self.budget.patience:
            return (window + 1) * self.budget.seconds - now
        self.banned = True
        self._banned_until = now + self.budget.ban
        return self.budget.ban
