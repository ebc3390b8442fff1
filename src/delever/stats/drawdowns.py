"""How far equity falls below its highest, and how long it stays there.

Every function takes simple returns per bar as fractions, oldest first. A NaN among them makes
the result NaN; nothing is dropped or filled. The peak includes the starting wealth, so the
first bar can already be a drawdown. Lengths are counted in bars, or in days with the length of a
bar in days.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from delever.arguments import checked
from delever.stats.metric import metric
from delever.stats.returns import as_array
from delever.stats.sample import Sums

__all__ = [
    "deepest_drawdowns",
    "drawdown",
    "longest_drawdown",
    "max_drawdown",
    "max_drawdown_from_sums",
    "max_drawdown_length",
    "time_to_recover",
]

# Compounding adds up rounding: a path this close to its peak is at its peak.
_AT_PEAK = 1e-12


@checked
def drawdown(returns: pd.Series) -> pd.Series:
    """Fall of equity below its highest so far, at each bar's close.

    Parameters
    ----------
    returns : pandas.Series of float, shape (n,)
        Simple returns per bar, fractions.

    Returns
    -------
    pandas.Series of float, shape (n,)
        Fractions in [-1, 0], indexed like `returns`.

    Notes
    -----
    ``W / max(1, W so far) - 1`` with ``W = cumprod(1 + r)``: the peak includes the starting
    wealth of 1. A path within 1e-12 of its peak counts as being there.

    Examples
    --------
    >>> drawdown(pd.Series([-0.5, 0.1])).round(12).tolist()  # equity 1, 0.5, 0.55
    [-0.5, -0.45]
    """
    return pd.Series(_drawdown(returns)[1:], index=returns.index, name="drawdown")


def max_drawdown_from_sums(sums: Sums) -> NDArray[np.float64]:
    """`max_drawdown` of each account."""
    return np.where(sums.drawdown >= -_AT_PEAK, 0.0, sums.drawdown)


@metric(
    label="Max drawdown",
    unit="fraction",
    better="higher",
    formula="min(W / max(1, W so far) - 1), W = cumprod(1 + r)",
    source="Chekhlov, Uryasev and Zabarankin (2005), here of compounded wealth",
    from_sums=max_drawdown_from_sums,
)
@checked
def max_drawdown(returns: ArrayLike) -> float:
    """Deepest fall of equity below its highest so far, in [-1, 0]; NaN for no bars.

    Examples
    --------
    >>> max_drawdown([-0.5, 0.1])
    -0.5
    """
    path = _drawdown(returns)
    return float(path.min()) if path.size > 1 else math.nan


@metric(
    label="Max drawdown length",
    unit="days",
    better="lower",
    formula="bars from its peak to its recovery, or to the last bar, in days",
)
@checked
def max_drawdown_length(returns: ArrayLike, days_per_bar: float = 1.0) -> float:
    """Time from the peak of the maximum drawdown to its recovery.

    Up to the last bar where it has not recovered, 0 where there was no drawdown, NaN for no bars.

    Examples
    --------
    >>> max_drawdown_length([0.1, -0.5, 0.5, 0.5]), max_drawdown_length([-0.1], days_per_bar=7)
    (3.0, 7.0)
    """
    path = _drawdown(returns)
    if path.size < 2 or np.isnan(path).any():
        return math.nan
    peak, _, recovery = _deepest(path)
    return float(min(recovery, path.size - 1) - peak) * days_per_bar


@metric(
    label="Time to recover",
    unit="days",
    better="lower",
    formula="bars from the trough of the max drawdown to its recovery, in days; NaN if none",
)
@checked
def time_to_recover(returns: ArrayLike, days_per_bar: float = 1.0) -> float:
    """Time from the trough of the maximum drawdown back to its former peak.

    NaN where it has not recovered, where there was no drawdown, and for no bars.
    """
    path = _drawdown(returns)
    if path.size < 2 or np.isnan(path).any():
        return math.nan
    _, trough, recovery = _deepest(path)
    recovered = trough and recovery < path.size
    return float(recovery - trough) * days_per_bar if recovered else math.nan


@metric(
    label="Longest drawdown",
    unit="days",
    better="lower",
    formula="bars of the longest stretch from a peak to its recovery or the last bar, in days",
)
@checked
def longest_drawdown(returns: ArrayLike, days_per_bar: float = 1.0) -> float:
    """Time of the longest stretch under water, from a peak to its recovery.

    A stretch that has not recovered counts up to the last bar; 0 where there was no drawdown, NaN
    for no bars.
    """
    path = _drawdown(returns)
    if path.size < 2 or np.isnan(path).any():
        return math.nan
    peaks, recoveries = _stretches(path)
    bars = (np.minimum(recoveries, path.size - 1) - peaks).max(initial=0)
    return float(bars) * days_per_bar


@checked
def deepest_drawdowns(returns: pd.Series, count: int = 5) -> pd.DataFrame:
    """The deepest drawdowns that do not overlap, deepest first.

    Parameters
    ----------
    returns : pandas.Series of float, shape (n,)
        Simple returns per bar, fractions without NaN, indexed by open time in UTC.
    count : int
        How many at most.

    Returns
    -------
    pandas.DataFrame, shape (k, 6)
        ``start`` (bar at whose close the peak stood; the first bar when the peak is the
        starting wealth), ``trough``, ``recovery`` (NaT while not recovered), ``depth``
        (fraction < 0), ``length`` (bars from the peak to the recovery or the last bar),
        ``time_to_recover`` (bars from the trough; NaN while not recovered).
    """
    path = _drawdown(returns)
    peaks, recoveries = _stretches(path)
    troughs = np.array(
        [p + int(path[p:r].argmin()) for p, r in zip(peaks, recoveries, strict=True)], dtype=int
    )
    order = np.argsort(path[troughs], kind="stable")[:count]
    peaks, troughs, recoveries = peaks[order], troughs[order], recoveries[order]
    index = pd.DatetimeIndex(returns.index)
    recovered = recoveries < path.size
    last = path.size - 1
    ends = index[np.minimum(recoveries, last) - 1]
    return pd.DataFrame(
        {
            "start": index[np.maximum(peaks - 1, 0)],
            "trough": index[troughs - 1],
            "recovery": ends.where(recovered),
            "depth": path[troughs],
            "length": np.minimum(recoveries, last) - peaks,
            "time_to_recover": np.where(recovered, recoveries - troughs, np.nan),
        }
    )


def _drawdown(returns: ArrayLike) -> NDArray[np.float64]:
    """Drawdown path of n + 1 points; the first is the starting wealth, at its peak."""
    wealth = np.concatenate(([1.0], np.cumprod(1.0 + as_array(returns))))
    path = wealth / np.maximum.accumulate(wealth) - 1.0
    path[path > -_AT_PEAK] = 0.0
    return path


def _stretches(path: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Points of each peak and of its recovery; a recovery of len(path) is none."""
    edges = np.diff(np.concatenate((path < 0.0, [False])).astype(np.int8))
    peaks, recoveries = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0) + 1
    return peaks, recoveries


def _deepest(path: NDArray[np.float64]) -> tuple[int, int, int]:
    """Points of peak, trough and recovery of the maximum drawdown; all 0 without one."""
    trough = int(path.argmin())
    if not trough:
        return 0, 0, 0
    at_peak = np.flatnonzero(path == 0.0)
    after = int(np.searchsorted(at_peak, trough))
    recovery = int(at_peak[after]) if after < at_peak.size else path.size
    return int(at_peak[after - 1]), trough, recovery
