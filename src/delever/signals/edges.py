"""Signals out of conditions: crossings, confirmation, and states that last.

A signal is a bool per row, False where its inputs are undefined.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.at_once import arrays, at_once
from delever.errors import InputError
from delever.signals.glossary import described


@described
@at_once
def crossed_below(values: pd.Series, level: pd.Series | float) -> pd.Series:
    """Rows on which `values` falls below `level` after not having been below it.

    Parameters
    ----------
    values : pandas.Series, shape (n,)
        Such as closes.

    Returns
    -------
    pandas.Series of bool, shape (n,)
        False on the first row and where this row or the one before is undefined.

    Examples
    --------
    >>> crossed_below(pd.Series([2.0, 0.5, 0.4, 3.0]), 1.0).tolist()
    [False, True, False, False]
    """
    gap = values - level
    return (gap < 0) & (gap.shift(1) >= 0)


@described
@at_once
def crossed_above(values: pd.Series, level: pd.Series | float) -> pd.Series:
    """Rows on which `values` rises above `level` after not having been above it.

    Parameters
    ----------
    values : pandas.Series, shape (n,)
        Such as closes.

    Returns
    -------
    pandas.Series of bool, shape (n,)
        False on the first row and where this row or the one before is undefined.

    Examples
    --------
    >>> crossed_above(pd.Series([0.5, 1.0, 1.5]), 1.0).tolist()
    [False, False, True]
    """
    gap = values - level
    return (gap > 0) & (gap.shift(1) <= 0)


@described
@at_once
def confirm(condition: pd.Series, times: int) -> pd.Series:
    """Rows on which `condition` has held `times` rows in a row, this one included.

    Parameters
    ----------
    condition : pandas.Series of bool, shape (n,)
        The condition.
    times : int
        At least 1.

    Returns
    -------
    pandas.Series of bool, shape (n,)

    Examples
    --------
    >>> confirm(pd.Series([True, True, False, True]), 2).tolist()
    [False, True, False, False]
    """
    if times < 1:
        raise InputError(f"times must be at least 1; got {times}")
    (held, least), back = arrays(condition, times)
    rows = np.arange(held.shape[-1])
    last_false = np.maximum.accumulate(np.where(held.astype(bool), -1, rows), axis=-1)
    confirmed: pd.Series = back(rows - last_false >= least)
    return confirmed


@described
@at_once
def latch(enter: pd.Series, leave: pd.Series) -> pd.Series:
    """State that is True from a row of `enter` until before the next row of `leave`.

    Parameters
    ----------
    enter, leave : pandas.Series of bool, shape (n,)
        On one index. A row that holds both leaves.

    Returns
    -------
    pandas.Series of bool, shape (n,)
        False before the first row of `enter`.

    Examples
    --------
    >>> enter, leave = pd.Series([False, True, False]), pd.Series([False, False, True])
    >>> latch(enter, leave).tolist()
    [False, True, False]
    """
    (coming, going), back = arrays(enter, leave)
    coming, going = coming.astype(bool), going.astype(bool)
    rows = np.arange(coming.shape[-1])
    last = np.maximum.accumulate(np.where(coming | going, rows, -1), axis=-1)
    held: pd.Series = back((last >= 0) & np.take_along_axis(coming & ~going, last, axis=-1))
    return held


@described
def hold(trigger: pd.Series, rows: int) -> pd.Series:
    """State that is True for `rows` rows from a trigger; triggers meanwhile do not prolong it.

    Parameters
    ----------
    trigger : pandas.Series of bool, shape (n,)
        The trigger.
    rows : int
        At least 1.

    Returns
    -------
    pandas.Series of bool, shape (n,)

    Examples
    --------
    >>> hold(pd.Series([False, True, True, False, False]), 2).tolist()
    [False, True, True, False, False]
    """
    if rows < 1:
        raise InputError(f"rows must be at least 1; got {rows}")
    out = np.zeros(len(trigger), dtype=bool)
    free = 0
    for row in np.flatnonzero(trigger.to_numpy(dtype=bool)).tolist():
        if row >= free:
            free = row + rows
            out[row:free] = True
    return pd.Series(out, index=trigger.index)
