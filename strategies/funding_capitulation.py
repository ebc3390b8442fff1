"""Buy when shorts have paid to stay short and the selling has dried up, sell after a while."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
from annotated_types import Ge, Gt, Lt

from delever.signals.clock import bars_in
from delever.signals.edges import hold
from delever.signals.leverage import funding_streak
from delever.signals.sizing import exposure
from delever.view import MarketView


def funding_capitulation(
    market: MarketView,
    *,
    streak: Annotated[int, Ge(1)] = 3,
    fall: Annotated[float, Gt(0), Lt(1)] = 0.15,
    fall_days: Annotated[int, Ge(2)] = 30,
    quiet_days: Annotated[int, Ge(1)] = 3,
    hold_days: Annotated[int, Ge(1)] = 30,
) -> pd.DataFrame:
    """Be long for some days after a fall with negative funding that has stopped falling.

    Parameters
    ----------
    market : MarketView
        The market, with the series ``funding``: rates per interval, > 0 where longs pay.
    streak : int
        Settlements in a row with negative funding, at some time in the last `fall_days`.
    fall : float
        From the highest to the lowest close of the last `fall_days`, fraction.
    fall_days : int
        Days over which the fall and the funding are looked at.
    quiet_days : int
        Days since the lowest close; fewer than `fall_days`.
    hold_days : int
        Days in the market from an entry; what happens meanwhile does not prolong them.

    Returns
    -------
    pandas.DataFrame
        ``exposure``: 1 for `hold_days` from an entry, else 0; NaN until funding is known and
        `fall_days` have passed. Beside it the lowest close of those days, and where it must lie.
    """
    close = market.bars["close"]
    rows = bars_in(fall_days, market.timeframe)
    paid = funding_streak(market)
    low, high = close.rolling(rows).min(), close.rolling(rows).max()
    quiet = close.rolling(bars_in(quiet_days, market.timeframe)).min() > low
    capitulated = paid.rolling(rows, min_periods=1).min() <= -streak
    fallen = (1 - fall) * high
    enter = capitulated & (low <= fallen) & quiet
    known = (paid.notna() & low.notna()).cummax()
    return pd.DataFrame(
        {
            "exposure": exposure(hold(enter, bars_in(hold_days, market.timeframe)), known=known),
            f"low of {fall_days} days": low,
            f"{fall:.0%} below their high": fallen,
        }
    )
