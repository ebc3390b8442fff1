"""Leave the market when the week closes below its long moving average, return when it is back."""

from __future__ import annotations

from typing import Annotated, Literal

import pandas as pd
from annotated_types import Ge

from delever.signals.edges import confirm, latch
from delever.signals.indicators import moving_average
from delever.signals.sizing import exposure
from delever.view import MarketView


def ma200w_break(
    market: MarketView,
    *,
    weeks: Annotated[int, Ge(2)] = 200,
    average: Literal["sma", "ema", "wma"] = "sma",
    confirm_weeks: Annotated[int, Ge(1)] = 1,
    when_below: Literal["flat", "short"] = "flat",
    reentry: Literal["reclaim", "confirmed"] = "reclaim",
) -> pd.DataFrame:
    """Be long above the average of weekly closes, flat or short after a confirmed break.

    Parameters
    ----------
    market : MarketView
        The market; bars of a week or finer.
    weeks : int
        Closed weeks in the average.
    average : {"sma", "ema", "wma"}
        Simple, exponential (span `weeks`), or linearly weighted.
    confirm_weeks : int
        Weekly closes below the average in a row that make a break.
    when_below : {"flat", "short"}
        Exposure 0 or -1 from the break to the return.
    reentry : {"reclaim", "confirmed"}
        Return on one weekly close above the average, or on `confirm_weeks` of them in a row.

    Returns
    -------
    pandas.DataFrame
        ``exposure``: 1 until a break, then 0 or -1 until the return; NaN until `weeks` weeks have
        closed. Beside it the average.
    """
    close = market.resample("1w")["close"]
    line = moving_average(close, weeks, average)
    broken = latch(
        confirm(close < line, confirm_weeks),
        confirm(close > line, confirm_weeks if reentry == "confirmed" else 1),
    )
    target = exposure(~broken, off=-1.0 if when_below == "short" else 0.0, known=line.notna())
    return pd.DataFrame(
        {
            "exposure": market.align(target, "1w"),
            f"{weeks}-week {average}": market.align(line, "1w"),
        },
        index=market.index,
        copy=False,
    )
