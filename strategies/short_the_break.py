"""Be short of a perpetual future while a support that has given way stays broken."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
from annotated_types import Ge

from delever.signals.edges import confirm, latch
from delever.signals.levels import broken_level, rolling_support
from delever.signals.sizing import exposure
from delever.view import MarketView


def short_the_break(
    market: MarketView,
    *,
    weeks: Annotated[int, Ge(1)] = 26,
    confirm_bars: Annotated[int, Ge(1)] = 2,
    stop: Annotated[float, Ge(0)] | None = 0.02,
) -> pd.DataFrame:
    """Be short from a confirmed breach until a close above the support that was breached.

    Parameters
    ----------
    market : MarketView
        The market; bars of a week or finer.
    weeks : int
        The support is the lowest low of so many closed weeks.
    confirm_bars : int
        Closes in a row below the broken support that make a breach; the first one counts.
    stop : float, optional
        The short is bought back inside a bar this fraction above the broken support, wherever it
        was sold. None names no such order.

    Returns
    -------
    pandas.DataFrame
        ``exposure``: -1 or 0; NaN until the first support is known. ``stop_price`` while it is
        short. Beside them the support, and the level that was breached until it is regained.

    Notes
    -----
    Made for the ``[account]`` of a study: ``take_profit`` puts a target below the entry,
    ``exposure`` says how large the short is, ``leverage`` what stands behind it. What a stop or the
    account has closed stays closed until the support is regained and another one breached: one
    entry per breach.
    """
    close = market.bars["close"]
    support = rolling_support(market, weeks)
    level = broken_level(close, close < support, support)
    short = latch(confirm(close < level, confirm_bars), level.isna())
    target = exposure(short, on=-1.0, known=support.notna())
    said = {"exposure": target, "support": support, "breached level": level}
    if stop is not None:
        said["stop_price"] = (level * (1.0 + stop)).where(target < 0.0)
    return pd.DataFrame(said)
