"""Buy and hold: fully invested from the first bar, the yardstick of everything else."""

from __future__ import annotations

import pandas as pd

from delever.view import MarketView


def buy_and_hold(market: MarketView) -> pd.Series:
    """Hold exposure 1 from the first bar to the last.

    Parameters
    ----------
    market : MarketView
        The market.

    Returns
    -------
    pandas.Series
        1 on every bar.
    """
    return pd.Series(1.0, index=market.index, name="target_exposure")
