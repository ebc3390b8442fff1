"""Whether events mean something else where a condition holds: two-way tables, tested exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from delever.arguments import Floats
from delever.research.signal.contrast import clusters
from delever.research.signal.pool import PooledSignals, forward_outcomes
from delever.stats.families import holm


def study_conditions(
    pool: PooledSignals, conditions: Mapping[str, Floats], horizon: int, *, decided: float = 0.0
) -> pd.DataFrame:
    """Distinct events with and without each condition, and how many rose over the horizon.

    Conditions hold 1 or 0, shape (bars, symbols), as known at each bar's close, NaN where unknown;
    a cluster has that of its first event.

    By condition: ``with_events`` and ``with_rose``, ``without_events`` and ``without_rose``, their
    mean returns ``with_mean`` and ``without_mean``, ``with_usual`` and ``without_usual`` (share of
    all bars with and without it after which the price rose), ``unknown`` clusters, and ``p_value``:
    of Fisher's exact test (1922, doi:10.2307/2340521) that the two shares are one, corrected for
    the number of conditions by Holm's method and never below `decided`, the p-value of the test
    that decides the study. ``least`` is the smallest p-value, corrected, that events split like
    these could give however they came out.
    """
    ahead = forward_outcomes(pool, horizon)
    rows, symbols, numbers = clusters(ahead.event, horizon)
    count = int(numbers[-1]) + 1 if len(numbers) else 0
    shares = 1.0 / np.bincount(numbers)[numbers] if count else np.empty(0)
    weighed = shares * ahead.forward[rows, symbols]
    returns = np.bincount(numbers, weighed, minlength=count).astype(np.float64)
    _, first = np.unique(numbers, return_index=True)
    found, least = {}, []
    for name, values in conditions.items():
        own = values[rows[first], symbols[first]]
        row, smallest = _table(own, returns)
        for side, holds in (("with", 1.0), ("without", 0.0)):
            usual = ahead.forward[ahead.there & (values == holds)]
            row[f"{side}_usual"] = float((usual > 0).mean()) if len(usual) else math.nan
        found[name] = row
        least.append(smallest)
    table = pd.DataFrame.from_dict(found, orient="index").rename_axis("condition")
    least_many = np.minimum(np.array(least) * np.isfinite(least).sum(), 1.0)
    corrected = holm(table["p_value"].to_numpy())
    # fmax: where nothing is decided, only the number counts.
    p_values = np.where(np.isnan(corrected), np.nan, np.fmax(corrected, decided))
    return table.assign(p_value=p_values, least=least_many)


def _table(holds: Floats, returns: Floats) -> tuple[dict[str, float], float]:
    """The two-way table, and the smallest p-value that its margins allow."""
    from scipy.stats import fisher_exact

    row: dict[str, float] = {}
    counts = []
    for side, value in (("with", 1.0), ("without", 0.0)):
        mine = returns[holds == value]
        rose = int((mine > 0).sum())
        counts.append([rose, len(mine) - rose])
        row |= {
            f"{side}_events": len(mine),
            f"{side}_rose": rose,
            f"{side}_mean": float(mine.mean()) if len(mine) else math.nan,
        }
    row["unknown"] = int(np.isnan(holds).sum())
    if not all(sum(each) for each in counts):
        return row | {"p_value": math.nan}, math.nan
    row["p_value"] = float(fisher_exact(counts)[1])
    (a, b), (c, d) = counts
    extremes = [max(0, a + c - (c + d)), min(a + b, a + c)]
    others = [
        float(fisher_exact([[one, a + b - one], [a + c - one, c + d - (a + c - one)]])[1])
        for one in extremes
    ]
    return row, min(others)
