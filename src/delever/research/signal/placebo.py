"""The same rule on levels that mean nothing: multiples of the level, drawn at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pandas as pd

from delever.arguments import MOST_SEED, Floats, Mapper, Rows, whole_number
from delever.errors import InputError
from delever.research.signal.contrast import event_weights, matched_weights
from delever.research.signal.pool import ForwardOutcomes, PooledSignals, forward_outcomes

Broken: TypeAlias = tuple[Rows, Rows, Floats]
"""Breaks of one placebo: bars, symbols and the levels that broke, quote units."""

Beside: TypeAlias = tuple[Floats, pd.DataFrame]
"""Weights of the breaks of all placebos, shape (bars, symbols), and a row for each of these."""

_NEAREST, _FURTHEST = 0.01, 10.0
_MOST_DRAWS = 100_000
_LEAST, _PARTS = 50, 64
"""Placebos of a block at least, and blocks at most; their number alone says where they are cut."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placebos:
    """Breaks of levels that mean nothing, on the calendar of some signals."""

    factors: Floats
    broken: Sequence[Broken]  # of each
    known: Mapping[int, Beside] = field(default_factory=dict)  # by horizon, see `placebo_breaks`


def placebo_factors(draws: int, distance: float, seed: int) -> Floats:
    """Factors that turn a level into nearby ones, even in logarithms, none nearer than 1 %.

    Raises InputError if a parameter lies outside its range.
    """
    # Arbitrary levels as a control: Osler (2000), FRBNY Economic Policy Review 6(2), 53-68.
    whole_number("draws", draws, 1, _MOST_DRAWS)
    whole_number("seed", seed, 0, MOST_SEED)
    if not _NEAREST < distance <= _FURTHEST:
        raise InputError(
            f"distance must be above {_NEAREST} and at most {_FURTHEST}; got {distance!r}"
        )
    rng = np.random.default_rng(seed)
    logs = rng.uniform(_NEAREST, distance, draws) * rng.choice([-1.0, 1.0], draws)
    return np.asarray(np.exp(logs))


def placebo_events(
    pool: PooledSignals,
    factors: Floats,
    horizons: Sequence[int] = (),
    mapper: Mapper = map,
) -> Placebos | None:
    """Breaks on each factor of the level, and their weights over horizons; None without a level.

    The same however `mapper` divides the work. Raises InputError if on no market a horizon is
    complete.
    """
    if any(signal.placebo is None for signal in pool.signals):
        return None
    after = tuple(forward_outcomes(pool, horizon) for horizon in horizons)
    drawn = list(
        mapper(_Draws(pool=pool, factors=factors, after=after), range(len(_blocks(factors))))
    )
    return Placebos(
        factors=factors,
        broken=[one for broken, _ in drawn for one in broken],
        known={
            ahead.horizon: _joined([besides[place] for _, besides in drawn])
            for place, ahead in enumerate(after)
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Draws:
    """Placebos by block: all that another process needs for them."""

    pool: PooledSignals
    factors: Floats
    after: tuple[ForwardOutcomes, ...]

    def __call__(self, block: int) -> tuple[list[Broken], list[Beside]]:
        """Breaks of the placebos of a block, and their weights over each horizon."""
        factors = self.factors[_blocks(self.factors)[block]]
        broken = []
        for factor in factors.tolist():
            levels = np.column_stack(
                [
                    self.pool.spread(column, signal.placebo(factor))  # type: ignore[misc]
                    for column, signal in enumerate(self.pool.signals)
                ]
            )
            rows, symbols = np.nonzero(np.isfinite(levels))
            broken.append((rows, symbols, levels[rows, symbols]))
        return broken, [_beside(factors, broken, ahead) for ahead in self.after]


def placebo_breaks(placebos: Placebos, ahead: ForwardOutcomes) -> Beside:
    """Weights of the placebos' breaks, summed over factors, and a row for each."""
    if ahead.horizon in placebos.known:
        return placebos.known[ahead.horizon]
    return _joined(
        [
            _beside(placebos.factors[block], placebos.broken[block], ahead)
            for block in _blocks(placebos.factors)
        ]
    )


def compared_with(placebos: Placebos | None, ahead: ForwardOutcomes) -> Floats:
    """Weights of what decides: breaks of placebo levels, or bars of like volatility."""
    if placebos is None:
        return matched_weights(ahead.weights(), ahead.volatility)
    return placebo_breaks(placebos, ahead)[0]


def _blocks(factors: Floats) -> list[slice]:
    size = max(_LEAST, -(-len(factors) // _PARTS))
    return [slice(first, first + size) for first in range(0, len(factors), size)]


def _beside(factors: Floats, broken: Sequence[Broken], ahead: ForwardOutcomes) -> Beside:
    total, found = np.zeros(ahead.forward.shape), []
    forward = np.where(ahead.there, ahead.forward, 0.0)
    for factor, (rows, symbols, _) in zip(factors.tolist(), broken, strict=True):
        event = np.zeros(ahead.there.shape, dtype=bool)
        event[rows, symbols] = True
        weights = event_weights(event & ahead.there, ahead.horizon)
        total += weights
        number = weights.sum()
        mean = (weights * forward).sum() / number if number else np.nan
        found.append((ahead.horizon, factor, round(number), mean))
    return total, pd.DataFrame(found, columns=["horizon", "factor", "distinct", "mean"])


def _joined(blocks: Sequence[Beside]) -> Beside:
    total = sum((weights for weights, _ in blocks[1:]), blocks[0][0])
    return total, pd.concat([rows for _, rows in blocks], ignore_index=True)
