"""How large an effect a study would find: planted after its own events, and looked for again.

What is planted changes the prices, and so the events and the placebos that follow: the rule runs
again on the changed bars, but for signals so frequent that it would change little. The noise is
that of the real history, laid out by its circular shifts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from statistics import NormalDist
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from delever.arguments import Floats
from delever.research.signal.contrast import contrast_pattern, scaled, shifted, spread_after
from delever.research.signal.forward import FEWEST_EVENTS, distinct
from delever.research.signal.level_break import Signal
from delever.research.signal.pool import ForwardOutcomes, PooledSignals, forward_outcomes

Direction: TypeAlias = Literal["rise", "fall"]
"""Where an effect after the events takes the price."""

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

POWER_AT = (0.5, 1.0, 1.5)
"""Multiples of the smallest detectable effect of which it is said how often they are found."""

Others: TypeAlias = Callable[[PooledSignals, ForwardOutcomes], Floats]
"""From signals and what came after to the weights of the bars that events are compared with."""

_PASSES, _STEPS = 200, 8
_FREQUENT = 20
"""With more distinct events an effect changes their number by little: they stay where they are."""
_MOST = 0.95  # of the price may a fall take
_BEYOND = 600.0  # no logarithm of prices moves as far
_NEAR, _FAR = 0.01, 0.1  # from the power asked for: near enough, and too far to be called it
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the test would make of an effect: it finds what lies beyond the bound."""

    noise: Floats  # values without an effect
    gain: float  # what the effect adds to each
    bound: float

    @classmethod
    def of(cls, noise: Floats, gain: float, chance: Floats, alpha: float) -> Look:
        """A look of a test at this level whose shifts are these; NaN ones do not count."""
        test = np.abs(chance[np.isfinite(chance)])
        rank = min(len(test) - 1, math.ceil((1 - alpha) * len(test)))
        return cls(
            noise=noise[np.isfinite(noise)],
            gain=gain,
            bound=float(np.partition(test, rank)[rank]),
        )

    @property
    def found(self) -> float:
        """Share of the histories in which the test finds it."""
        return float((np.abs(self.noise + self.gain) >= self.bound).mean())

    def short(self, power: float) -> float:
        """Gain that would do for this power, over the gain that there is."""
        needed = self.bound + _NORMAL.inv_cdf(power) * float(self.noise.std())
        return needed / abs(self.gain)


def plant(signal: Signal, effect: float, horizon: int) -> tuple[Signal, Floats]:
    """Signal on prices that move by `effect` over the bars after each event, and the logs of it.

    Events within the holding period of an earlier one add nothing. The effect is a fraction above
    -1; the logs, shape (bars,), are what is added to the logarithm of each close. What comes first
    is set first: of some thousand events, the last may be those of prices moved a little otherwise.
    """
    market, moved = signal.market, signal
    rows, logs = np.empty(0, dtype=np.intp), np.zeros(len(market.index))
    for _ in range(_PASSES):
        # What comes first stays: each pass sets at least one more event right.
        chosen = distinct(np.flatnonzero(moved.event.to_numpy(dtype=bool)), horizon)
        if np.array_equal(chosen, rows):
            break
        rows = chosen
        steps = np.zeros(len(logs) + horizon + 1)
        np.add.at(steps, rows + 1, 1.0)
        np.add.at(steps, rows + 1 + horizon, -1.0)
        # Twice a sum: of holding periods begun and ended, and of their bars.
        logs = np.cumsum(np.cumsum(steps))[: len(logs)] * (math.log1p(effect) / horizon)
        moved = signal.on(replace(market, bars=_moved(market.bars, logs)))
    return moved, logs


def _moved(bars: pd.DataFrame, logs: Floats) -> pd.DataFrame:
    factor = np.exp(logs)
    high, low, close = (bars[one].to_numpy() * factor for one in ("high", "low", "close"))
    opened = bars["open"].to_numpy() * np.append(1.0, factor[:-1])
    ends = np.stack([opened, high, low, close])
    high, low = np.fmax.reduce(ends), np.fmin.reduce(ends)
    return bars.assign(open=opened, high=high, low=low, close=close)


def detectable_effects(
    pool: PooledSignals,
    ahead: ForwardOutcomes,
    others: Others,
    *,
    known: Floats,
    first: float,
    alpha: float,
    power: float,
) -> pd.DataFrame:
    """Smallest effects that the deciding test finds with this power, and how often multiples.

    The search begins at `first`, a fraction > 0; `known` are the others at the prices there were.

    One row per direction and multiple of `POWER_AT`: ``effect``, a fraction, infinite where none is
    found as often, and ``found``, the share of histories like this one in which the test finds it.
    """
    rows = {}
    if round(ahead.weights().sum()) > _FREQUENT:
        others = partial(_unchanged, known)
        pool = replace(pool, signals=tuple(replace(one, again=None) for one in pool.signals))

    for direction in DIRECTIONS:
        # The search has looked at the effect that it ends with.
        look_at = cache(partial(_look, pool, ahead, others, direction, alpha))
        effect = _smallest(look_at, direction, first, power)
        for multiple in POWER_AT:
            size = multiple * effect
            look = look_at(size)
            rows[direction, multiple] = size, math.nan if look is None else look.found
    index = pd.MultiIndex.from_tuples(list(rows), names=["direction", "multiple"])
    return pd.DataFrame(list(rows.values()), index=index, columns=["effect", "found"])


def _unchanged(beside: Floats, _: PooledSignals, __: ForwardOutcomes) -> Floats:
    return beside


def _smallest(
    look_at: Callable[[float], Look | None], direction: Direction, first: float, power: float
) -> float:
    """Effect found with this power, infinite where there is none."""
    size, nearest, best = min(first, _MOST), math.inf, math.inf
    for _ in range(_STEPS):
        look = look_at(size)
        if look is None:  # with so large an effect the events would be too few
            size /= 2
            continue
        off = abs(look.found - power)
        if off < nearest:
            nearest, best = off, size
        if off <= _NEAR:
            break
        size *= look.short(power)
        if direction == "fall" and size > _MOST:
            size = _MOST
    return best if nearest <= _FAR else math.inf


def _look(
    pool: PooledSignals,
    ahead: ForwardOutcomes,
    others: Others,
    direction: Direction,
    alpha: float,
    size: float,
) -> Look | None:
    """The test of one effect; None with fewer than five events."""
    if not math.isfinite(size) or (direction == "fall" and size > _MOST):
        return None
    horizon, effect = ahead.horizon, size if direction == "rise" else -size
    if abs(math.log1p(effect)) * (1 + len(pool.index) / horizon) > _BEYOND:
        return None
    planted = [plant(signal, effect, horizon) for signal in pool.signals]
    moved = pool.watching([signal for signal, _ in planted])
    after = forward_outcomes(moved, horizon)
    weights, beside = after.weights(), others(moved, after)
    if round(weights.sum()) < FEWEST_EVENTS or not beside.sum() > 0:
        return None
    pattern = contrast_pattern(weights, beside)
    moves = scaled(after.forward, after.volatility, horizon)
    test = shifted(pattern, moves) * spread_after(beside, moves)
    # A holding period that gains g returns exp(g) (1 + F) - 1: its noise grows as well.
    logs = [np.append(one, np.full(horizon, np.nan)) for _, one in planted]
    gains = np.column_stack(
        [
            pool.spread(column, one[horizon:] - one[: len(one) - horizon])
            for column, one in enumerate(logs)
        ]
    )
    values = scaled(ahead.forward, ahead.volatility, horizon)
    usual = scaled(np.ones(values.shape), after.volatility, horizon)
    grown = np.where(ahead.there & after.there, np.exp(gains), 1.0)
    noise = shifted(pattern * grown, values) * spread_after(beside, values)
    means = np.nanmean(np.where(ahead.there, values, np.nan), axis=0)
    added = pattern * (grown - 1.0) * np.where(pattern != 0, usual + means, 0.0)
    return Look.of(noise, float(np.nansum(added)), test, alpha)
