"""What a swept account is worth bar by bar, and the sums its metrics are made from.

One bar at a time after an event, a whole stretch of bars between two of them: see
`delever.engine.sweep_kernel`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic

from delever.arguments import Floats
from delever.engine.compiled import inlined


class Wealth(NamedTuple):
    """Equity at the last close and on entering the scope, and the path of it."""

    equity: float
    begun: float
    peak: float
    trough: float


class Line(NamedTuple):
    """Equity between events: a part that stays, and a position times what a unit is worth."""

    base: float
    position: float
    worth: Floats


def _chosen(sign: str) -> Callable[[float, float], float]:
    """One of two numbers, neither NaN, by an instruction that loops are vectorised with."""

    def typed(context: Any, one: Any, other: Any) -> Any:
        return types.float64(types.float64, types.float64), generate

    def generate(context: Any, builder: Any, signature: Any, numbers: Any) -> Any:
        first = builder.fcmp_ordered(sign, *numbers, flags=("nnan", "nsz"))
        return builder.select(first, *numbers, flags=("nnan", "nsz"))

    made: Any = intrinsic  # its annotations know nothing of what is made
    chosen: Callable[[float, float], float] = made(typed)
    return chosen


_smaller, _larger = _chosen("<"), _chosen(">")


@inlined(fastmath={"reassoc", "nnan", "nsz", "contract"})
def stretch(line: Line, bars: tuple[int, int], mark: Floats, scope: Any) -> tuple[float, float]:
    """Add bars of a line to the sums of a scope; their lowest and highest equity."""
    (base, position, worth), (first, last) = line, bars
    marks, after, ago = mark[first:last], worth[first:last], worth[first - 1 : last - 1]
    total = squares = down = exposure = 0.0
    least, most = scope.least, scope.most
    low, high = np.inf, -np.inf
    for bar in range(last - first):
        equity, before = base + position * after[bar], base + position * ago[bar]
        both = 1.0 / (equity * before)  # one division gives the inverses of both
        gain = equity * equity * both - 1.0
        loss = _smaller(gain, 0.0)
        total += gain
        squares += gain * gain
        down += loss * loss
        exposure += marks[bar] * before * both
        least, most = _smaller(least, gain), _larger(most, gain)
        low, high = _smaller(low, equity), _larger(high, equity)
    scope.gain += total
    scope.squares += squares
    scope.down += down
    scope.least, scope.most = least, most
    scope.exposure += abs(position) * exposure
    return low, high


@inlined()
def fall(
    line: Line, bars: tuple[int, int], ends: tuple[float, float],
    peak: float, trough: float,
) -> tuple[float, float]:  # fmt: skip
    """Peak and lowest share of it after bars whose lowest and highest equity are `ends`."""
    low, high = ends
    if low < trough * max(peak, high):
        trough = min(trough, low / peak) if high <= peak else _trough(line, bars, peak, trough)
    return max(peak, high), trough


@inlined()
def _trough(line: Line, bars: tuple[int, int], peak: float, trough: float) -> float:
    """Lowest equity over the peak so far, bar by bar."""
    base, position, worth = line
    for bar in range(bars[0], bars[1]):
        equity = base + position * worth[bar]
        if equity > peak:
            peak = equity
        elif equity < trough * peak:
            trough = equity / peak
    return trough


@inlined()
def mark(equity: float, worth: float, lasting: float, wealth: Wealth, scope: Any) -> Wealth:
    """Add one bar, which stands for so many bars of time, to the sums of a scope."""
    before, peak, trough = wealth.equity, max(wealth.peak, equity), wealth.trough
    gain = equity / before - 1.0 if before > 0.0 else 0.0
    scope.gain += gain
    scope.squares += gain * gain
    scope.down += min(gain, 0.0) ** 2
    scope.least, scope.most = min(scope.least, gain), max(scope.most, gain)
    if worth != 0.0:
        scope.held += lasting
        scope.exposure += lasting * abs(worth) / equity if equity > 0.0 else 0.0
    if equity < trough * peak:
        trough = equity / peak
    scope.peak = max(scope.peak, equity)
    if equity < scope.trough * scope.peak:
        scope.trough = equity / scope.peak
    return Wealth(equity, wealth.begun, peak, trough)


@inlined()
def enter(here: Any, gone: Any, wealth: Wealth) -> Wealth:
    """End a stretch of bars in one scope and begin one in the other, at the last close."""
    equity = wealth.equity
    gone.growth *= equity / wealth.begun if wealth.begun > 0.0 else 1.0
    gone.above = gone.peak / equity if equity > 0.0 else 1.0
    here.peak = here.above * equity
    return Wealth(equity, equity, wealth.peak, wealth.trough)


@inlined()
def hold(worth: float, missing: float, wealth: Wealth, ends: Any) -> None:
    """Add missing bars between two scopes to what is held in neither, at the last close."""
    if missing > 0.0 and worth != 0.0 and wealth.equity > 0.0:
        ends.held += missing
        ends.exposure += missing * abs(worth) / wealth.equity
