"""The same rule on levels that mean nothing: multiples of the level, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from delever.arguments import MOST_SEED, Floats, Rows, whole_number
from delever.errors import InputError
from delever.research.signal.contrast import event_weights
from delever.research.signal.pool import ForwardOutcomes, PooledSignals

Placebos: TypeAlias = Sequence[tuple[Rows, Rows, Floats]]
"""Breaks of each placebo: bars, symbols and the levels that broke, quote units."""

_NEAREST, _FURTHEST = 0.01, 10.0
_MOST_DRAWS = 100_000


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


def placebo_events(pool: PooledSignals, factors: Floats) -> Placebos | None:
    """Breaks on each factor of the level; None where a signal has no level."""
    if any(signal.placebo is None for signal in pool.signals):
        return None
    found = []
    for factor in factors.tolist():
        levels = np.column_stack(
            [
                pool.spread(column, signal.placebo(factor))  # type: ignore[misc]
                for column, signal in enumerate(pool.signals)
            ]
        )
        rows, symbols = np.nonzero(np.isfinite(levels))
        found.append((rows, symbols, levels[rows, symbols]))
    return found


def placebo_breaks(
    placebos: Placebos, factors: Floats, ahead: ForwardOutcomes
) -> tuple[Floats, pd.DataFrame]:
    """Weights of the placebos' breaks, summed over factors, and a row for each."""
    total, found = np.zeros(ahead.forward.shape), []
    forward = np.where(ahead.there, ahead.forward, 0.0)
    for factor, (rows, symbols, _) in zip(factors.tolist(), placebos, strict=True):
        event = np.zeros(ahead.there.shape, dtype=bool)
        event[rows, symbols] = True
        weights = event_weights(event & ahead.there, ahead.horizon)
        total += weights
        number = weights.sum()
        mean = (weights * forward).sum() / number if number else np.nan
        found.append((ahead.horizon, factor, round(number), mean))
    return total, pd.DataFrame(found, columns=["horizon", "factor", "distinct", "mean"])
