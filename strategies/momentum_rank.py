"""Hold the coins of a universe that rose most, and choose again every so often."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
from annotated_types import Ge

from delever.panel import Markets
from delever.signals.clock import bars_in
from delever.units import floor_to


def momentum_rank(
    markets: Markets,
    *,
    days: Annotated[int, Ge(1)] = 90,
    count: Annotated[int, Ge(1)] = 3,
    every: str = "1w",
    rising: bool = True,
) -> pd.DataFrame:
    """Equal parts of the members with the highest return over some days.

    Parameters
    ----------
    markets : Markets
        A universe, or any symbols.
    days : int
        Days that returns look back on; a symbol with fewer is not chosen.
    count : int
        How many are held. Each has the part of one in so many; what finds none stays in cash.
    every : str
        It is chosen at the closes of this timeframe.
    rising : bool
        Whether only those are chosen that rose at all.

    Returns
    -------
    pandas.DataFrame
        Exposures of every symbol; NaN until the first choice.
    """
    rows = bars_in(days, markets.timeframe)
    risen = markets.each(lambda view: view.bars["close"] / view.bars["close"].shift(rows) - 1.0)
    risen = risen.where(markets.members)
    chosen = risen.rank(axis=1, ascending=False, method="first").le(count)
    if rising:
        chosen &= risen > 0.0
    closes = markets.close_time
    choosing = pd.Series(floor_to(closes, every) == closes, index=markets.index)
    choosing &= risen.notna().any(axis=1)
    asked = chosen.astype(float) / count
    return asked.where(choosing, axis=0).ffill()
