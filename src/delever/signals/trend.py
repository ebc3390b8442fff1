"""Where a price stands against its average."""

from __future__ import annotations

import pandas as pd

from delever.signals.edges import confirm

__all__ = ["above", "below"]


def above(values: pd.Series, average: pd.Series, times: int = 1) -> pd.Series:
    """Rows on which `values` has been above `average` `times` rows in a row.

    Parameters
    ----------
    values, average : pandas.Series, shape (n,)
        In one unit.
    times : int
        Rows in a row, at least 1, this one included.

    Returns
    -------
    pandas.Series of bool, shape (n,)
        False where either is undefined and where they are equal.

    Raises
    ------
    InputError
        If `times` is below 1.

    Examples
    --------
    >>> above(pd.Series([3.0, 3.0, 1.0]), pd.Series([2.0, 2.0, 2.0]), times=2).tolist()
    [False, True, False]
    """
    return confirm(values > average, times)


def below(values: pd.Series, average: pd.Series, times: int = 1) -> pd.Series:
    """Rows on which `values` has been below `average` `times` rows in a row.

    Parameters
    ----------
    values, average : pandas.Series, shape (n,)
        In one unit.
    times : int
        Rows in a row, at least 1, this one included.

    Returns
    -------
    pandas.Series of bool, shape (n,)
        False where either is undefined and where they are equal.

    Raises
    ------
    InputError
        If `times` is below 1.

    Examples
    --------
    >>> below(pd.Series([3.0, 1.0, 1.0]), pd.Series([2.0, 2.0, 2.0])).tolist()
    [False, True, True]
    """
    return confirm(values < average, times)
