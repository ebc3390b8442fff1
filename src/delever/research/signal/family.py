"""Several signals studied together: what is left of each when all of them are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import pandas as pd

from delever.arguments import Floats
from delever.research.signal.contrast import compare
from delever.research.signal.placebo import Placebos, compared_with
from delever.research.signal.pool import PooledSignals, forward_outcomes
from delever.research.signal.study import SignalStudy, StudyDesign
from delever.stats.families import false_discoveries, holm, stepdown


def family_tests(
    studies: Sequence[SignalStudy],
    pools: Sequence[PooledSignals],
    placebos: Sequence[Placebos | None],
) -> pd.DataFrame:
    """The p-value that decides each of several signals, corrected in three ways.

    Columns: ``p_alone``; ``p_holm`` and ``p_stepm``, of which any at or below a level is a false
    find in no more than that share of families; ``false_discoveries``, the share of those at or
    below it that are false, on average. NaN where nothing is tested.

    For StepM (Romano and Wolf 2005) all signals are laid on one calendar and shifted alike; the
    largest is compared with the largest of every shift, the next with the largest of those left.
    """
    alone = [float(study.deciding["p_value"]) for study in studies]
    index = reduce(lambda one, other: one.union(other), [pool.index for pool in pools])
    design = studies[0].design
    shifts = [
        None if math.isnan(p_value) else _shifts(pool, index, own, design)
        for pool, own, p_value in zip(pools, placebos, alone, strict=True)
    ]
    return pd.DataFrame(
        {
            "p_alone": alone,
            "p_holm": holm(alone),
            "p_stepm": _stepwise(shifts),
            "false_discoveries": false_discoveries(alone),
        },
        index=pd.Index([study.name for study in studies], name="signal"),
    )


def _shifts(
    pool: PooledSignals,
    index: pd.DatetimeIndex,
    placebos: Placebos | None,
    design: StudyDesign,
) -> Floats:
    """What decides a signal, on every circular shift of a wider calendar."""
    at = index.get_indexer(pool.index)
    ahead = forward_outcomes(pool.on(index), design.decides)
    if placebos is not None:
        there = [(at[rows], symbols, levels) for rows, symbols, levels in placebos.broken]
        placebos = replace(placebos, broken=there, known={})
    others = compared_with(placebos, ahead)
    return compare(ahead.weights(), others, ahead.forward, ahead.volatility, ahead.horizon)[1]


def _stepwise(shifts: Sequence[Floats | None]) -> Floats:
    tested = [place for place, own in enumerate(shifts) if own is not None]
    found = np.full(len(shifts), np.nan)
    if tested:
        laid = np.array([shifts[place] for place in tested], dtype=np.float64)
        laid = laid[:, np.isfinite(laid).all(axis=0)]
        spread = laid.std(axis=1, keepdims=True)
        far = np.abs(laid) / np.where(spread > 0.0, spread, np.inf)
        # Sums of the same numbers in another order differ in their last digits.
        found[tested] = stepdown(far[:, 0] * (1.0 - 1e-9), far[:, 1:].T)
    return found
