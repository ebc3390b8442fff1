"""From a signal to the exposure it asks for."""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.at_once import arrays, at_once
from delever.signals.glossary import described


@described
@at_once
def exposure(
    signal: pd.Series, *, on: float = 1.0, off: float = 0.0, known: pd.Series | None = None
) -> pd.Series:
    """Target exposure of a signal.

    Signed notional / equity.

    Parameters
    ----------
    signal : pandas.Series of bool, shape (n,)
        The signal.
    on, off : float
        Exposure while it is True and while it is False: signed notional / equity, 1 fully long,
        -1 fully short.
    known : pandas.Series of bool, shape (n,), optional
        Where False the signal is not known yet, and the exposure is NaN.

    Examples
    --------
    >>> known = pd.Series([False, True, True])
    >>> exposure(pd.Series([False, True, False]), off=-1.0, known=known).tolist()
    [nan, 1.0, -1.0]
    """
    (held, high, low, there), back = arrays(
        signal, on, off, True if known is None else known, by_row=True
    )
    target = np.where(held.astype(bool), high, low).astype(np.float64)
    made: pd.Series = back(np.where(np.asarray(there, dtype=bool), target, np.nan))
    return made.rename("target_exposure")
