"""Long spot and short the perpetual of the same coin while funding pays for it."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
from annotated_types import Ge, Gt, Le

from delever.panel import Markets
from delever.signals.clock import on_bars, own
from delever.signals.edges import latch
from delever.signals.sizing import exposure

_STALE = pd.Timedelta(days=2)


def carry(
    markets: Markets,
    *,
    settlements: Annotated[int, Ge(1)] = 21,
    enter: float = 0.00005,
    leave: float = 0.0,
    size: Annotated[float, Gt(0), Le(1)] = 0.7,
    spot: str = "spot",
    perpetual: str = "perpetual",
) -> pd.DataFrame:
    """Hold coins and be short of as many, while longs pay shorts on average.

    Parameters
    ----------
    markets : Markets
        Two legs of one coin; the perpetual with the series ``funding``: rates per interval, > 0
        where longs pay.
    settlements : int
        Settlements in a row that funding is averaged over.
    enter, leave : float
        Mean rates per settlement, fractions: above the first both legs are opened, at or below the
        second they are closed.
    size : float
        Exposure of each leg, signed notional / equity. What is left of the equity is the margin of
        the short: 0.7 leaves 0.3.
    spot, perpetual : str
        Names of the legs.

    Returns
    -------
    pandas.DataFrame
        `size` of spot and as much short of the perpetual, or nothing of both; NaN until the first
        mean is known. Funding that is older than two days counts as none.
    """
    market = markets[perpetual]
    mean = own(market, "funding").rolling(settlements).mean()
    paid = on_bars(market, "funding", mean, max_age=_STALE)
    on = latch(paid > enter, ~(paid > leave))
    held = markets.align(exposure(on, on=size, known=paid.notna().cummax()))
    return pd.DataFrame({spot: held, perpetual: -held})
