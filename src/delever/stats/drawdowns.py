"""How far equity falls below its highest, and how long it stays there.

Every function takes simple returns per bar as fractions, oldest first. A NaN among them makes
the result NaN; nothing is dropped or filled. The peak includes the starting wealth, so the
first bar can already be a drawdown. Lengths are elapsed time from close to close, so a gap in the
data is part of them.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from delever.arguments import checked
from delever.errors import InputError
from delever.stats.metric import metric
from delever.stats.returns import as_array
from delever.stats.sample import Sums

# Compounding adds up rounding: a path this close to its peak is at its peak.
_AT_PEAK = 1e-12


@checked
def drawdown(returns: pd.Series) -> pd.Series:
    """Fall of equity below its highest so far at each bar's close, in [-1, 0].

    ``W / max(1, W so far) - 1`` with ``W = cumprod(1 + r)``. A path within 1e-12 of its peak
    counts as being there.

    Parameters
    ----------
    returns : pandas.Series of float, shape (n,)
        The result has its index.

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
    unit="fraction",
    better="higher",
    formula="min(W / max(1, W so far) - 1), W = cumprod(1 + r)",
    source="Chekhlov, Uryasev and Zabarankin (2005), here of compounded wealth",
    from_sums=max_drawdown_from_sums,
)
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
    unit="days",
    better="lower",
    formula="days from the close at its peak to that of its recovery, or to the last close",
)
def max_drawdown_length(returns: ArrayLike, elapsed: ArrayLike | None = None) -> float:
    """Time from the peak of the maximum drawdown to its recovery, or else to the last bar.

    0 where there was no drawdown, NaN for no bars.

    Examples
    --------
    >>> max_drawdown_length([0.1, -0.5, 0.5, 0.5]), max_drawdown_length([-0.1], elapsed=[7])
    (3.0, 7.0)
    """
    return _lengths(returns, elapsed)[0]


@metric(
    unit="days",
    better="lower",
    formula="days from the trough of the max drawdown to its recovery; NaN if none",
)
def time_to_recover(returns: ArrayLike, elapsed: ArrayLike | None = None) -> float:
    """Time from the trough of the maximum drawdown back to its former peak.

    NaN where it has not recovered, where there was no drawdown, and for no bars.

    Examples
    --------
    >>> time_to_recover([0.1, -0.5, 0.5, 0.5])
    2.0
    """
    return _lengths(returns, elapsed)[1]


@metric(
    unit="days",
    better="lower",
    formula="days of the longest stretch from a peak to its recovery or the last close",
)
def longest_drawdown(returns: ArrayLike, elapsed: ArrayLike | None = None) -> float:
    """Time of the longest stretch from a peak to its recovery, or else to the last bar.

    0 where there was no drawdown, NaN for no bars.

    Examples
    --------
    >>> longest_drawdown([-0.1, 0.0, 0.2, -0.5])
    3.0
    """
    return _lengths(returns, elapsed)[2]


@checked
def deepest_drawdowns(
    returns: pd.Series, count: int = 5, elapsed: ArrayLike | None = None
) -> pd.DataFrame:
    """The `count` deepest drawdowns, or as many as there are, deepest first.

    Parameters
    ----------
    returns : pandas.Series of float, shape (n,)
        Without NaN, indexed by open time in UTC.
    count : int
    elapsed : array_like of float, shape (n,), optional
        Days from the open of the first bar to the close of each; by default a day a bar.

    Returns
    -------
    pandas.DataFrame, shape (k, 6)
        ``start`` (bar at whose close the peak stood; the first bar when the peak is the
        starting wealth), ``trough``, ``recovery`` (NaT while not recovered), ``depth``
        (fraction < 0), ``length`` (days from the peak to the recovery or the last close),
        ``time_to_recover`` (days from the trough; NaN while not recovered).

    Examples
    --------
    >>> days = pd.date_range("2021-01-01", periods=4, tz="UTC")
    >>> deepest_drawdowns(pd.Series([-0.25, 0.6, -0.5, 0.2], index=days))[["depth", "length"]]
       depth  length
    0  -0.50     2.0
    1  -0.25     2.0
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
    stops = np.minimum(recoveries, path.size - 1)
    times = _closes(path, elapsed)
    return pd.DataFrame(
        {
            "start": index[np.maximum(peaks - 1, 0)],
            "trough": index[troughs - 1],
            "recovery": index[stops - 1].where(recovered),
            "depth": path[troughs],
            "length": times[stops] - times[peaks],
            "time_to_recover": np.where(recovered, times[stops] - times[troughs], np.nan),
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


def _closes(path: NDArray[np.float64], elapsed: ArrayLike | None) -> NDArray[np.float64]:
    """Days from the start to each point of a drawdown path."""
    if elapsed is None:
        return np.arange(path.size, dtype=np.float64)
    closes = as_array(elapsed)
    if len(closes) != path.size - 1:
        raise InputError(f"elapsed must be one per bar ({path.size - 1}); got {len(closes)}")
    return np.append(0.0, closes)


def _lengths(returns: ArrayLike, elapsed: ArrayLike | None) -> tuple[float, float, float]:
    """Days of the max drawdown, from its trough to its recovery, and of the longest drawdown."""
    path = _drawdown(returns)
    if path.size < 2 or np.isnan(path).any():
        return math.nan, math.nan, math.nan
    peaks, recoveries = _stretches(path)
    if not peaks.size:
        return 0.0, math.nan, 0.0
    times = _closes(path, elapsed)
    days = times[np.minimum(recoveries, path.size - 1)] - times[peaks]
    trough = int(path.argmin())
    deepest = int(np.searchsorted(peaks, trough)) - 1
    recovery = int(recoveries[deepest])
    recovered = float(times[recovery] - times[trough]) if recovery < path.size else math.nan
    return float(days[deepest]), recovered, float(days.max())
