"""From a signal to the exposure it asks for."""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.signals.glossary import described

__all__ = ["exposure"]


@described
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
    target = np.where(signal.to_numpy(dtype=bool), float(on), float(off))
    if known is not None:
        target[~known.to_numpy(dtype=bool)] = np.nan
    return pd.Series(target, index=signal.index, name="target_exposure")
