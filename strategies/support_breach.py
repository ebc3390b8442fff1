"""Leave the market when a support gives way, return when it is regained or after a while."""

from __future__ import annotations

from typing import Annotated, Literal

import pandas as pd
from annotated_types import Ge, Gt

from delever.errors import InputError
from delever.signals.edges import hold
from delever.signals.levels import broken_level, fixed_support, grid_support, rolling_support
from delever.signals.sizing import exposure
from delever.view import MarketView, Price

DEFAULT_WEEKS = 26


def support_breach(
    market: MarketView,
    *,
    weeks: Annotated[int, Ge(1)] | None = None,
    levels: Annotated[tuple[Annotated[float, Gt(0)], ...], Price()] = (),
    grid_step: Annotated[float, Gt(0), Price()] | None = None,
    breach_on: Literal["close", "low"] = "close",
    reentry: Literal["reclaim", "bars"] = "reclaim",
    reentry_bars: Annotated[int, Ge(1)] | None = None,
    when_below: Literal["flat", "short"] = "flat",
) -> pd.DataFrame:
    """Be long until a support known before the bar is breached, then flat or short.

    Parameters
    ----------
    market : MarketView
        The market; bars of a week or finer.
    weeks : int, optional
        Support is the lowest low of this many closed weeks; 26 when neither `levels` nor
        `grid_step` is given.
    levels : tuple of float
        Supports are these prices; in force is the highest at or below the previous close.
    grid_step : float, optional
        Supports are the multiples of this price; in force is the highest at or below the
        previous close.
    breach_on : {"close", "low"}
        Whether the close or already the low must be below the support.
    reentry : {"reclaim", "bars"}
        Return on a later close above the level that was breached, or after `reentry_bars` bars
        unless that bar breaches its own support.
    reentry_bars : int, optional
        Bars out of the market, the bar of the breach included; for ``reentry="bars"``.
    when_below : {"flat", "short"}
        Exposure 0 or -1 from the breach to the return.

    Returns
    -------
    pandas.DataFrame
        ``exposure``: 1 until a breach, then 0 or -1 until the return; NaN until the first support
        can be known. Beside it the support and, with ``reentry="reclaim"``, the level that was
        breached until it is regained.

    Raises
    ------
    InputError
        If more than one of `weeks`, `levels`, `grid_step` is given, or `reentry_bars` without
        ``reentry="bars"`` or the other way round.
    """
    if (weeks is not None) + bool(levels) + (grid_step is not None) > 1:
        raise InputError(
            "only one of weeks, levels and grid_step can say what a support is; "
            f"got weeks={weeks}, levels={levels}, grid_step={grid_step}"
        )
    if (reentry == "bars") != (reentry_bars is not None):
        raise InputError(
            "reentry_bars goes with reentry='bars' and only with it; "
            f"got reentry={reentry!r} and reentry_bars={reentry_bars}"
        )
    close = market.bars["close"]
    known = pd.Series(True, index=market.index)
    known.iloc[:1] = False  # no close before the first bar
    if levels:
        support = fixed_support(close, levels)
    elif grid_step is not None:
        support = grid_support(close, grid_step)
    else:
        support = rolling_support(market, DEFAULT_WEEKS if weeks is None else weeks)
        known = support.notna()
    breach = market.bars[breach_on] < support
    lines = {"support": support}
    if reentry_bars is not None:
        broken = hold(breach, reentry_bars)
    else:
        lines["breached level"] = broken_level(close, breach, support)
        broken = lines["breached level"].notna()
    target = exposure(~broken, off=-1.0 if when_below == "short" else 0.0, known=known)
    return pd.DataFrame({"exposure": target, **lines})
