"""Supports: price levels known before a bar opens, and which of them is broken.

A level at row t never knows anything of bar t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from delever.bars import as_of, close_times
from delever.errors import InputError
from delever.signals.indicators import donchian
from delever.view import MarketView

__all__ = ["broken_level", "fixed_support", "grid_support", "rolling_support"]


def rolling_support(market: MarketView, window: int, timeframe: str = "1w") -> pd.Series:
    """Lowest low of the last `window` coarser bars closed before each bar opens.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    window : int
        Coarser bars, at least 1.
    timeframe : str
        Their timeframe; weeks by default.

    Returns
    -------
    pandas.Series, shape (n,)
        In quote units; NaN until `window` coarser bars have closed. A daily bar on a Sunday does
        not know the low of its own week; Monday's bar does.

    Raises
    ------
    InputError
        If `window` is not a whole number of at least 1, or `timeframe` no multiple of the bars'.
    """
    coarse = market.resample(timeframe)
    lows = donchian(coarse["high"], coarse["low"], window)["lower"]
    closed = close_times(pd.DatetimeIndex(coarse.index), timeframe)
    return as_of(lows, closed, market.index).set_axis(market.index).rename("support")


def fixed_support(close: pd.Series, levels: Sequence[float]) -> pd.Series:
    """Highest of some given levels that the previous close had not fallen below.

    Parameters
    ----------
    close : pandas.Series, shape (n,)
        Closes, in quote units.
    levels : sequence of float
        Prices > 0, in quote units, in any order.

    Returns
    -------
    pandas.Series, shape (n,)
        In quote units; NaN on the first row and where the previous close was below every level.

    Raises
    ------
    InputError
        If `levels` is empty or holds something that is not a positive, finite number.

    Examples
    --------
    >>> fixed_support(pd.Series([12.0, 10.0, 9.0, 8.0]), [10.0, 11.0]).tolist()
    [nan, 11.0, 10.0, nan]
    """
    wrong = [level for level in levels if not (math.isfinite(level) and level > 0)]
    if wrong or not levels:
        raise InputError(
            f"levels must be prices > 0, at least one; got {wrong[0] if wrong else 'none'}"
        )
    ladder = np.array([np.nan, *sorted(levels)])
    before = close.shift(1)
    # searchsorted puts NaN last: the first row, which has no previous close, is undone below.
    place = np.searchsorted(ladder[1:], before.to_numpy(dtype="float64"), side="right")
    return pd.Series(ladder[place], index=close.index, name="support").where(before.notna())


def grid_support(close: pd.Series, step: float) -> pd.Series:
    """Highest multiple of `step` that the previous close had not fallen below.

    Parameters
    ----------
    close : pandas.Series, shape (n,)
        Closes, in quote units.
    step : float
        Distance of the round numbers, > 0, in quote units.

    Returns
    -------
    pandas.Series, shape (n,)
        In quote units; NaN on the first row and where the previous close was below `step`.

    Raises
    ------
    InputError
        If `step` is not a positive, finite number.

    Examples
    --------
    >>> grid_support(pd.Series([25.0, 20.0, 9.0, 8.0]), 10.0).tolist()
    [nan, 20.0, 20.0, nan]
    """
    if not (math.isfinite(step) and step > 0):
        raise InputError(f"step must be a price > 0; got {step!r}")
    level: pd.Series = np.floor(close.shift(1) / step) * step
    return level.where(level > 0).rename("support")


def broken_level(close: pd.Series, breach: pd.Series, support: pd.Series) -> pd.Series:
    """Which support is broken, from the bar of its breach until a later close above it.

    Parameters
    ----------
    close : pandas.Series, shape (n,)
        Closes, in quote units.
    breach : pandas.Series of bool, shape (n,)
        Bars that breach their `support`, by close or by low.
    support : pandas.Series, shape (n,)
        Level known before each bar, in quote units.

    Returns
    -------
    pandas.Series, shape (n,)
        The broken level, in quote units; NaN while none is.

    Notes
    -----
    The level of the first breach is remembered; breaches of lower levels meanwhile change
    nothing. The bar of the breach itself cannot reclaim. A bar that closes above the broken level
    but breaches its own support passes from the one broken level to the other.

    Examples
    --------
    >>> close, support = pd.Series([9.0, 8.0, 10.0, 11.0]), pd.Series([10.0, 8.5, 8.0, 8.0])
    >>> broken_level(close, close < support, support).tolist()
    [10.0, 10.0, 10.0, nan]
    """
    rows = zip(close.tolist(), breach.tolist(), support.tolist(), strict=True)
    out, broken = [], math.nan
    for price, breached, level in rows:
        if price > broken:
            broken = math.nan
        if breached and math.isnan(broken):
            broken = level
        out.append(broken)
    return pd.Series(out, index=close.index, name="broken_level", dtype="float64")
