"""Where a price stands against its average."""

from __future__ import annotations

import pandas as pd

from delever.errors import InputError
from delever.signals.feature import WarmUp, feature
from delever.signals.glossary import described
from delever.signals.indicators import Average, moving_average
from delever.units import timeframe_delta
from delever.view import MarketView


@feature(
    "ma200w_distance",
    unit="fraction",
    title="close against the {average} of {weeks} weeks",
    warm_up=lambda weeks: WarmUp(coarse=weeks),
)
@described
def average_distance(
    market: MarketView, *, weeks: int = 200, average: Average = "sma"
) -> pd.Series:
    """How far the price stands from the average of closed weeks.

    ``close / average - 1``, fraction, < 0 below it; NaN until `weeks` weeks have closed.
    """
    line = weekly_average(market, weeks=weeks, average=average)
    return (market.bars["close"] / line - 1).rename("average_distance")


@feature(
    "ma200w_slope",
    unit="fraction",
    title="change of the {average} of {weeks} weeks in {over} weeks",
    warm_up=lambda weeks, over: WarmUp(coarse=weeks + over),
)
@described
def average_slope(
    market: MarketView, *, weeks: int = 200, average: Average = "sma", over: int = 4
) -> pd.Series:
    """How fast the average of closed weeks moves.

    Change of the average over `over` weeks, fraction; NaN until ``weeks + over`` weeks have
    closed.

    Parameters
    ----------
    over : int
        Weeks of the change, at least 1.
    """
    if over < 1:
        raise InputError(f"over must be at least 1 week; got {over}")
    line = moving_average(market.resample("1w")["close"], weeks, average)
    return market.align(line / line.shift(over) - 1, "1w").rename("average_slope")


@described
def days_below(values: pd.Series, line: pd.Series, timeframe: str) -> pd.Series:
    """How long `values` has been below `line` without a break.

    Days, this bar included; 0 where it is not below, NaN where either is undefined.

    Parameters
    ----------
    values, line : pandas.Series, shape (n,)
        In one unit, on consecutive bars.

    Examples
    --------
    >>> days_below(pd.Series([2.0, 0.5, 0.5, 3.0]), pd.Series([1.0] * 4), "12h").tolist()
    [0.0, 0.5, 1.0, 0.0]
    """
    under = values < line
    count = under.groupby((~under).cumsum()).cumsum()
    days = count * (timeframe_delta(timeframe) / pd.Timedelta(1, "D"))
    return days.where(values.notna() & line.notna()).rename("days_below")


@feature(
    "ma200w_days_below",
    unit="days",
    title="days in a row below the {average} of {weeks} weeks",
    read=lambda market, line: days_below(market.bars["close"], line, market.timeframe),
    warm_up=lambda weeks: WarmUp(coarse=weeks),
)
@feature(
    "weekly_average",
    unit="price",
    title="{average} of {weeks} closed weeks",
    warm_up=lambda weeks: WarmUp(coarse=weeks),
)
@described
def weekly_average(market: MarketView, *, weeks: int = 200, average: Average = "sma") -> pd.Series:
    """Moving average of closed weeks, as known at each bar's close.

    In quote units; NaN until `weeks` weeks have closed. It changes only at the close of a
    week, Monday 00:00 UTC.

    Parameters
    ----------
    market : MarketView
        The market; n bars of a week or finer.
    weeks : int
        Closed weeks, at least 1.
    """
    line = moving_average(market.resample("1w")["close"], weeks, average)
    return market.align(line, "1w").rename("weekly_average")
