"""Go short when a support has given way and stays broken, with a stop above it."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
from annotated_types import Ge, Gt, Le, Lt

from delever.signals.brackets import held_level
from delever.signals.edges import confirm
from delever.signals.levels import broken_level, rolling_support
from delever.signals.sizing import exposure
from delever.view import MarketView


def short_the_break(
    market: MarketView,
    *,
    weeks: Annotated[int, Ge(1)] = 26,
    confirm_bars: Annotated[int, Ge(1)] = 2,
    stop: Annotated[float, Gt(0), Lt(1)] = 0.05,
    target: Annotated[float, Gt(0), Lt(1)] = 0.2,
    size: Annotated[float, Gt(0), Le(5)] = 1.0,
) -> pd.Series:
    """Be short from a confirmed breach until a close beyond the stop or the target.

    Parameters
    ----------
    market : MarketView
        The market; bars of a week or finer. Made for a perpetual future: a spot account
        cannot be short.
    weeks : int
        The support is the lowest low of so many closed weeks.
    confirm_bars : int
        Closes in a row below the broken support that make a breach; the first one counts.
    stop : float
        A close this fraction above the broken support ends it, as the decision at a close: the
        price may run further before the next open fills it.
    target : float
        A close this fraction below it ends it as well.
    size : float
        Exposure while short, as a multiple of equity.

    Returns
    -------
    pandas.Series
        -`size` or 0; NaN until the first support is known. One entry per breach.
    """
    close = market.bars["close"]
    support = rolling_support(market, weeks)
    level = broken_level(close, close < support, support)
    under = confirm(close < level, confirm_bars)
    begun = under & ~under.shift(1, fill_value=False)
    held = held_level(close, begun, level, below=target, above=stop)
    return exposure(held.notna(), on=-size, known=support.notna())
