"""Features of the bars alone, with windows in days, so that they mean the same on any timeframe.

Supports are known before each bar opens, everything else at its close.
"""

from __future__ import annotations

from typing import Annotated, Literal

import pandas as pd

from delever.arguments import checked
from delever.errors import InputError
from delever.signals import averages as trend
from delever.signals import breaks, levels, profile, swings, volatility
from delever.signals.clock import bars_in
from delever.signals.indicators import Average
from delever.view import MarketView, Price

__all__ = [
    "average_days_below",
    "average_event",
    "breach_depth",
    "cycle_support",
    "fall_speed",
    "fibonacci_support",
    "realised_volatility",
    "rolling_support",
    "round_support",
    "support_event",
    "swing_support",
    "volume_shock",
    "volume_support",
]

SUPPORT_WEEKS = 26


@checked
def fall_speed(market: MarketView, *, days: float = 7, base: float = 90) -> pd.Series:
    """Fall from the high of the last days, in the deviations of the time before them.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    days : float
        Days of the fall, > 0.
    base : float
        Days of the volatility, > 0.

    Returns
    -------
    pandas.Series, shape (n,)
        In standard deviations, <= 0; see `delever.signals.volatility.fall_speed`.
    """
    return volatility.fall_speed(
        market.bars["close"],
        fall_bars=bars_in(days, market.timeframe),
        volatility_bars=max(2, bars_in(base, market.timeframe)),
    )


@checked
def realised_volatility(
    market: MarketView, *, days: float = 30, estimator: volatility.Estimator = "close_to_close"
) -> pd.Series:
    """Realised volatility of the last days.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    days : float
        Days of the window, > 0.
    estimator : {"close_to_close", "parkinson", "garman_klass", "yang_zhang"}
        How.

    Returns
    -------
    pandas.Series, shape (n,)
        Fraction per square root of a year of 365 days, >= 0.
    """
    window = bars_in(days, market.timeframe)
    return volatility.realised_volatility(market.bars, window, market.timeframe, estimator)


@checked
def volume_shock(market: MarketView, *, days: float = 1, base: float = 30) -> pd.Series:
    """Volume of the last days against that of the time before them.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    days : float
        Latest days, > 0.
    base : float
        Days before them, > 0.

    Returns
    -------
    pandas.Series, shape (n,)
        Natural logarithm of the ratio of mean volumes; NaN where the volume is unknown.
    """
    return volatility.volume_shock(
        market.bars["volume"], bars_in(days, market.timeframe), bars_in(base, market.timeframe)
    )


@checked
def average_days_below(
    market: MarketView, *, weeks: int = 200, average: Average = "sma"
) -> pd.Series:
    """How long the close has been below the average of closed weeks without a break.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    weeks : int
        Closed weeks, at least 1.
    average : {"sma", "ema", "wma"}
        Kind of average.

    Returns
    -------
    pandas.Series, shape (n,)
        Days, 0 where it is not below; NaN until `weeks` weeks have closed.
    """
    line = trend.weekly_average(market, weeks=weeks, average=average)
    return trend.days_below(market.bars["close"], line, market.timeframe)


@checked
def average_event(
    market: MarketView,
    *,
    label: str,
    weeks: int = 200,
    average: Average = "sma",
    on: Literal["weekly_close", "close"] = "weekly_close",
) -> pd.Series:
    """One kind of event of the average of closed weeks.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    label : str
        One of `delever.signals.breaks.LABELS`.
    weeks : int
        Closed weeks, at least 1.
    average : {"sma", "ema", "wma"}
        Kind of average.
    on : {"weekly_close", "close"}
        Which closes break and reclaim.

    Returns
    -------
    pandas.Series of bool, shape (n,)

    Raises
    ------
    InputError
        If `label` is unknown.
    """
    if label not in breaks.LABELS:
        raise InputError(f"label must be one of {', '.join(breaks.LABELS)}; got {label!r}")
    found: pd.Series = breaks.average_breaks(market, weeks=weeks, average=average, on=on)[label]
    return found


@checked
def rolling_support(market: MarketView, *, weeks: int = SUPPORT_WEEKS) -> pd.Series:
    """Lowest low of the closed weeks before each bar.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    weeks : int
        Closed weeks, at least 1.

    Returns
    -------
    pandas.Series, shape (n,)
        In quote units, known before each bar opens.
    """
    return levels.rolling_support(market, weeks)


@checked
def round_support(
    market: MarketView, *, parts: int = 2, unit: Annotated[float, Price()] = 1.0
) -> pd.Series:
    """Round number at or below the previous close.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    parts : int
        Steps into which a power of ten is divided, at least 1.
    unit : float
        The price that counts as 1, > 0.

    Returns
    -------
    pandas.Series, shape (n,)
        In quote units, known before each bar opens.
    """
    return levels.round_support(market.bars["close"], parts=parts, unit=unit)


@checked
def swing_support(market: MarketView, *, bars: int = 5) -> pd.Series:
    """Nearest confirmed swing low at or below the previous close.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    bars : int
        Bars on either side of a swing, at least 1.

    Returns
    -------
    pandas.Series, shape (n,)
        In quote units, known before each bar opens.
    """
    table = swings.swings(market, bars=bars)
    return levels.support_below(market, table[table["kind"] == "swing_low"])


@checked
def cycle_support(market: MarketView, *, fall: float = 0.5) -> pd.Series:
    """Nearest high of a past cycle at or below the previous close.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    fall : float
        Fall that ends a cycle, fraction in (0, 1).

    Returns
    -------
    pandas.Series, shape (n,)
        In quote units, known before each bar opens.
    """
    return levels.support_below(market, swings.cycle_highs(market, fall=fall))


@checked
def fibonacci_support(market: MarketView, *, bars: int = 15) -> pd.Series:
    """Nearest Fibonacci ratio of the latest swings at or below the previous close.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    bars : int
        Bars on either side of a swing, at least 1.

    Returns
    -------
    pandas.Series, shape (n,)
        In quote units, known before each bar opens.
    """
    return levels.support_below(market, swings.fibonacci(market, bars=bars))


@checked
def volume_support(market: MarketView, *, weeks: int = 52, bins: int = 60) -> pd.Series:
    """Nearest node of the volume profile at or below the previous close.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    weeks : int
        Closed weeks in the profile, at least 1.
    bins : int
        Steps of the profile, at least 3.

    Returns
    -------
    pandas.Series, shape (n,)
        In quote units, known before each bar opens.
    """
    return levels.support_below(market, profile.volume_nodes(market, weeks=weeks, bins=bins))


@checked
def breach_depth(
    market: MarketView, *, weeks: int = SUPPORT_WEEKS, on: breaks.BreachOn = "close"
) -> pd.Series:
    """How far below the lowest low of the closed weeks before it a bar is.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    weeks : int
        Closed weeks of the support, at least 1.
    on : {"close", "low"}
        Which price.

    Returns
    -------
    pandas.Series, shape (n,)
        In average true ranges of 14 bars, > 0 below the support.
    """
    return breaks.breach_depth(market.bars, rolling_support(market, weeks=weeks), on=on)


@checked
def support_event(
    market: MarketView,
    *,
    label: str,
    weeks: int = SUPPORT_WEEKS,
    on: breaks.BreachOn = "close",
) -> pd.Series:
    """One kind of event of the lowest low of the closed weeks before each bar.

    Parameters
    ----------
    market : MarketView
        The market; n bars.
    label : str
        One of `delever.signals.breaks.LABELS`, ``"confirmed"`` or ``"breach"``.
    weeks : int
        Closed weeks of the support, at least 1.
    on : {"close", "low"}
        What must be below the support.

    Returns
    -------
    pandas.Series of bool, shape (n,)

    Raises
    ------
    InputError
        If `label` is unknown.
    """
    table = breaks.support_breaks(market.bars, rolling_support(market, weeks=weeks), on=on)
    if label not in table:
        raise InputError(f"label must be one of {', '.join(map(str, table))}; got {label!r}")
    found: pd.Series = table[label]
    return found
