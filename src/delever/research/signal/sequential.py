"""Evidence about a signal that may be looked at whenever one likes, and as often.

A p-value is for one look: who asks again with every event, and stops when it is small, finds
something sooner or later. Here a stake of 1 is put on what follows each event, and what was won on
the next one. Where events mean nothing it is twenty at any time in one case of twenty at most.

References
----------
Ville (1939), *Étude critique de la notion de collectif*: the inequality.

Ramdas, Grünwald, Vovk and Shafer (2023), Game-theoretic statistics and safe anytime-valid
inference, doi:10.1214/23-STS894.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from delever.arguments import Floats, Rows
from delever.research.signal.contrast import clusters, scaled
from delever.research.signal.pool import ForwardOutcomes

LEAST_HORIZONS, LEAST_BARS = 12, 20
"""Bars before an event of which a rank among them can be told: so many horizons, and of those that
it is compared with so many."""
_STAKES = np.concatenate([-np.arange(1, 11) / 10.0, np.arange(1, 11) / 10.0])
"""Shares of the stake put on lower or higher returns, all at once."""


def sequential(
    ahead: ForwardOutcomes, index: pd.DatetimeIndex, placebo: Floats | None
) -> pd.DataFrame:
    """What a stake of 1 has grown to with every distinct event, a row per cluster of events.

    Columns: ``time`` (open of the first event's bar), ``known`` (open of the bar at whose close the
    last of its returns was known), ``rank`` (share of what it is compared with that was followed by
    less; of a cluster the mean) and ``e_value``. `placebo` are weights of breaks of placebo levels;
    without them events are compared with all bars.
    """
    horizon = ahead.horizon
    values = scaled(ahead.forward, ahead.volatility, horizon)
    others = (np.ones(values.shape) if placebo is None else placebo) * np.isfinite(values)
    values = np.where(np.isfinite(values), values, 0.0)
    rows, symbols, numbers = clusters(ahead.event, horizon)
    told, stakes = [], np.ones(len(_STAKES))
    for number in range(int(numbers[-1]) + 1 if len(numbers) else 0):
        own = numbers == number
        ranks = [
            _rank(values[row, symbol], values[: row - horizon + 1], others[: row - horizon + 1])
            for row, symbol in zip(rows[own].tolist(), symbols[own].tolist(), strict=True)
            if row >= LEAST_HORIZONS * horizon
        ]
        ranks = [rank for rank in ranks if not math.isnan(rank)]
        if not ranks:
            continue
        rank = sum(ranks) / len(ranks)
        stakes = stakes * (1.0 + _STAKES * (2.0 * rank - 1.0))
        told.append((*_times(index, rows[own], horizon), rank, float(stakes.mean())))
    return pd.DataFrame(told, columns=["time", "known", "rank", "e_value"])


def _rank(value: float, values: Floats, weights: Floats) -> float:
    """Share of the weight on lower values, half of that on equal ones; NaN where there are few."""
    if (weights > 0.0).sum() < LEAST_BARS:
        return math.nan
    below = weights[values < value].sum() + weights[values == value].sum() / 2.0
    return float(below / weights.sum())


def _times(index: pd.DatetimeIndex, rows: Rows, horizon: int) -> tuple[pd.Timestamp, pd.Timestamp]:
    return index[int(rows[0])], index[min(int(rows[-1]) + horizon, len(index) - 1)]
