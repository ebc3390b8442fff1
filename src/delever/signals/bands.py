"""A level remembered from an entry until the price leaves a band around it."""

from __future__ import annotations

import math

import pandas as pd

from delever.errors import InputError
from delever.signals.glossary import described


@described
def held_level(
    close: pd.Series, enter: pd.Series, level: pd.Series, *, below: float, above: float
) -> pd.Series:
    """Level of the entry that is held, from its row until before a close outside the band.

    In quote units; NaN while nothing is held. The row of an entry is held even when its
    close lies outside; a row that leaves may not enter again.

    Parameters
    ----------
    enter : pandas.Series of bool, shape (n,)
        Rows on which to enter; those while something is held change nothing.
    level : pandas.Series, shape (n,)
        The level an entry on each row is about, > 0, in quote units.
    below, above : float
        The band is from ``level * (1 - below)`` to ``level * (1 + above)``, fractions >= 0; an
        infinite `above` has no upper end, a `below` of 1 no lower one.

    Raises
    ------
    InputError
        If `below` is not in [0, 1] or `above` is negative.

    Examples
    --------
    >>> close = pd.Series([10.0, 9.0, 8.0, 9.0, 12.5])
    >>> enter = pd.Series([True, False, True, False, False])
    >>> held_level(close, enter, close, below=0.15, above=0.5).tolist()
    [10.0, 10.0, nan, nan, nan]
    """
    if not (0 <= below <= 1 and above >= 0):
        raise InputError(
            f"a band needs below in [0, 1] and above >= 0; got {below:g} and {above:g}"
        )
    out, held = [], math.nan
    for price, begins, line in zip(close.tolist(), enter.tolist(), level.tolist(), strict=True):
        if not math.isnan(held):
            if not held * (1 - below) <= price <= held * (1 + above):
                held = math.nan
        elif begins:
            held = line
        out.append(held)
    return pd.Series(out, index=close.index, name="held_level", dtype="float64")
