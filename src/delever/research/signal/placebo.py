"""The same rule on levels that mean nothing: multiples of the level, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from delever.arguments import MOST_SEED, Floats, whole_number
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


def placebo_breaks(
    pool: PooledSignals, factors: Floats, outcomes: Sequence[ForwardOutcomes]
) -> tuple[dict[int, Floats], pd.DataFrame]:
    """Weights of the placebos' breaks by horizon, summed over factors, and a row for each."""
    totals = {ahead.horizon: np.zeros(ahead.forward.shape) for ahead in outcomes}
    placebos = [signal.placebo for signal in pool.signals if signal.placebo is not None]
    found = []
    for factor in factors.tolist():
        event = np.column_stack(
            [placebo(factor)[rows] for placebo, rows in zip(placebos, pool.rows, strict=True)]
        )
        for ahead in outcomes:
            weights = event_weights(event[: len(ahead.forward)], ahead.horizon)
            totals[ahead.horizon] += weights
            number = weights.sum()
            mean = (weights * ahead.forward).sum() / number if number else np.nan
            found.append((ahead.horizon, factor, round(number), mean))
    return totals, pd.DataFrame(found, columns=["horizon", "factor", "distinct", "mean"])
