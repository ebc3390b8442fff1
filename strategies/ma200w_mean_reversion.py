"""Buy when the price comes down to its 200-week average, sell far above or a little below it."""

from __future__ import annotations

from typing import Annotated, Literal

import pandas as pd
from annotated_types import Ge, Gt, Lt

from delever.signals.edges import latch
from delever.signals.indicators import moving_average
from delever.signals.sizing import exposure
from delever.view import MarketView


def ma200w_mean_reversion(
    market: MarketView,
    *,
    weeks: Annotated[int, Ge(2)] = 200,
    average: Literal["sma", "ema", "wma"] = "sma",
    near: Annotated[float, Ge(0), Lt(1)] = 0.02,
    target: Annotated[float, Gt(0)] = 1.0,
    stop: Annotated[float, Gt(0), Lt(1)] = 0.25,
) -> pd.DataFrame:
    """Be long from a touch of the average until far above it, or too far below it.

    Parameters
    ----------
    market : MarketView
        The market; bars of a week or finer.
    weeks : int
        Closed weeks in the average.
    average : {"sma", "ema", "wma"}
        Simple, exponential (span `weeks`), or linearly weighted.
    near : float
        A low within this fraction above the average touches it.
    target : float
        A close this fraction above the average ends it.
    stop : float
        So does a close this fraction below it; nothing is bought down there.

    Returns
    -------
    pandas.DataFrame
        ``exposure``: 1 or 0; NaN until `weeks` weeks have closed. Beside it the average and the
        lines at which a position ends.
    """
    line = market.align(moving_average(market.resample("1w")["close"], weeks, average), "1w")
    close = market.bars["close"]
    above, below = (1 + target) * line, (1 - stop) * line
    held = latch(market.bars["low"] <= (1 + near) * line, (close >= above) | (close < below))
    return pd.DataFrame(
        {
            "exposure": exposure(held, known=line.notna()),
            f"{weeks}-week {average}": line,
            "sold at or above": above,
            "sold below": below,
        }
    )
