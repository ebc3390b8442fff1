"""The same rule on levels that mean nothing: multiples of the level, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from delever.arguments import MOST_SEED, Floats, Rows, whole_number
from delever.errors import InputError
from delever.research.signal.contrast import event_weights
from delever.research.signal.pool import ForwardOutcomes, PooledSignals

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


def placebo_events(pool: PooledSignals, factors: Floats) -> list[tuple[Rows, Rows]] | None:
    """Breaks on each factor of the level, as bars and symbols; None where a signal has no level."""
    if any(signal.placebo is None for signal in pool.signals):
        return None
    found = []
    for factor in factors.tolist():
        rows, symbols = np.nonzero(pool.flags(lambda signal, by=factor: signal.placebo(by)))  # type: ignore[misc]
        found.append((rows, symbols))
    return found


def placebo_breaks(
    placebos: Sequence[tuple[Rows, Rows]], factors: Floats, ahead: ForwardOutcomes
) -> tuple[Floats, pd.DataFrame]:
    """Weights of the placebos' breaks, summed over factors, and a row for each."""
    total, found = np.zeros(ahead.forward.shape), []
    forward = np.where(ahead.there, ahead.forward, 0.0)
    for factor, (rows, symbols) in zip(factors.tolist(), placebos, strict=True):
        event = np.zeros(ahead.there.shape, dtype=bool)
        event[rows, symbols] = True
        weights = event_weights(event & ahead.there, ahead.horizon)
        total += weights
        number = weights.sum()
        mean = (weights * forward).sum() / number if number else np.nan
        found.append((ahead.horizon, factor, round(number), mean))
    return total, pd.DataFrame(found, columns=["horizon", "factor", "distinct", "mean"])
