"""Whether the best combination of a sweep stands on a plateau or alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.arguments import Floats, Rows

_ALONE = 0.5
"""A peak whose neighbours keep less than this share of what it stands above the median is alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terrain:
    """The best combinations of a sweep by a metric, and by their neighbours'."""

    peak: int  # row of the highest
    plateau: int  # row of the highest in which neither it nor its neighbours' median is lower
    alone: bool | None  # whether the peak stands alone; None where it has no neighbours


def neighbours_median(
    frame: pd.DataFrame, axes: Sequence[str], metric: str, *, given: Sequence[str] = ()
) -> Floats:
    """Median of a metric over the neighbours of each combination; NaN where there are none.

    In a grid the neighbours lie one step up or down on one axis of numbers, all else being equal.
    In a sample they are the nearest, by the distance of ranks scaled to [0, 1] on each axis, twice
    as many as there are axes of numbers. Words have no order, and what is `given` (such as fees)
    nobody chooses, so neighbours share both. Neighbours without the metric do not count.
    """
    values = frame[metric].to_numpy(dtype=np.float64)
    numeric = [
        axis
        for axis in axes
        if axis not in given and frame[axis].dtype.kind in "iuf" and frame[axis].nunique() > 1
    ]
    if not numeric:
        return np.full(len(frame), np.nan)
    steps = np.column_stack([pd.factorize(frame[axis], sort=True)[0] for axis in numeric])
    words = [axis for axis in axes if axis not in numeric]
    group: Rows = np.zeros(len(frame), dtype=np.intp)
    if words:
        group = np.asarray(frame.groupby(words, sort=False).ngroup(), dtype=np.intp)
    sizes = [int(frame[axis].nunique()) for axis in (*numeric, *words)]
    if len(frame) == np.prod(sizes, dtype=np.float64):
        beside = _one_step(steps, group, values)
    else:
        ranks = frame[numeric].rank().to_numpy() / len(frame)
        beside = _nearest(ranks, group, values)
    known = ~np.isnan(beside).all(axis=1)
    found = np.full(len(frame), np.nan)
    found[known] = np.nanmedian(beside[known], axis=1)
    return found


def terrain(values: Floats, neighbours: Floats) -> Terrain | None:
    """Where the highest value lies, and the highest plateau; None without values.

    A plateau is as high as the lower of a combination's own value and its neighbours' median. The
    peak stands alone when its neighbours' median keeps less than half of what it is above the
    median of all.
    """
    if np.isnan(values).all():
        return None
    peak = int(np.nanargmax(values))
    flat = np.minimum(values, neighbours)  # NaN where either is
    plateau = peak if np.isnan(flat).all() else int(np.nanargmax(flat))
    alone: bool | None = None
    if not np.isnan(neighbours[peak]):
        base = float(np.nanmedian(values))
        alone = bool(neighbours[peak] - base < _ALONE * (values[peak] - base))
    return Terrain(peak=peak, plateau=plateau, alone=alone)


def _one_step(steps: Rows, group: Rows, values: Floats) -> Floats:
    """Values one step up and down each axis, shape (combinations, 2 x axes)."""
    sizes = [int(group.max()) + 1, *(int(column.max()) + 1 for column in steps.T)]
    row = np.ravel_multi_index((group, *steps.T), sizes)
    at = np.full(int(np.prod(sizes)), np.nan)
    at[row] = values
    lattice = at.reshape(sizes)
    beside = []
    for axis in range(1, lattice.ndim):
        edge = np.full_like(np.take(lattice, [0], axis=axis), np.nan)
        inner = range(1, lattice.shape[axis])
        beside.append(np.concatenate([np.take(lattice, inner, axis=axis), edge], axis=axis))
        beside.append(np.concatenate([edge, np.delete(lattice, -1, axis=axis)], axis=axis))
    return np.column_stack([moved.ravel()[row] for moved in beside])


def _nearest(ranks: Floats, group: Rows, values: Floats) -> Floats:
    """Values of the nearest of each group, shape (combinations, 2 x axes)."""
    from scipy.spatial import KDTree

    most = 2 * ranks.shape[1]
    beside = np.full((len(values), most), np.nan)
    for one in range(int(group.max()) + 1):
        own = np.flatnonzero((group == one) & ~np.isnan(values))
        count = min(most, len(own) - 1)
        if count < 1:
            continue
        _, found = KDTree(ranks[own]).query(ranks[own], k=count + 1)
        # A combination is its own nearest, unless another lies on the same ranks.
        itself = found == np.arange(len(own))[:, None]
        itself[~itself.any(axis=1), -1] = True
        beside[own, :count] = values[own][found[~itself].reshape(len(own), count)]
    return beside
