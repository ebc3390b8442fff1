"""Buy and hold, but out of the market while positions are being forced out of it."""

from __future__ import annotations

from typing import Annotated, Literal

import pandas as pd
from annotated_types import Ge, Gt, Lt

from delever.deleveraging.phase_machine import PhaseRules, causal_phases
from delever.deleveraging.stress import forced_flow, stress_index
from delever.errors import InputError
from delever.signals.sizing import exposure
from delever.view import MarketView


def stress_filter(
    market: MarketView,
    *,
    out_of: Literal["cascade", "selling"] = "cascade",
    enter: Annotated[float, Gt(0), Lt(1)] = 0.95,
    leave: Annotated[float, Gt(0), Lt(1)] = 0.8,
    days: Annotated[int, Ge(1)] = 180,
) -> pd.Series:
    """Hold, except in the phases of forced selling as they are detected.

    Parameters
    ----------
    market : MarketView
        The market. Whatever readings the study names (funding, open_interest, liquidations,
        dvol, fear_greed, etf_flows, vix, gold, igv) go into the index of stress; without any it
        is made of price and volume alone.
    out_of : {"cascade", "selling"}
        Out during the cascade only, or until the washout is over as well.
    enter, leave : float
        Rank of stress in its own past above which a new lowest close is a cascade, and below
        which calm begins; `leave` below `enter`. A new low in the most extreme hundredth of
        forced flow is one in any case.
    days : int
        Days of history before a reading, and then the index made of them, has a rank.

    Returns
    -------
    pandas.Series
        1, and 0 in those phases; NaN until there is an index of stress.

    Raises
    ------
    InputError
        If `leave` is not below `enter`.
    """
    if not leave < enter:
        raise InputError(f"leave must be below enter; got {leave:g} and {enter:g}")
    stress = stress_index(market, days=days).value
    # Whether leverage builds up decides nothing about a cascade: it is left out.
    unknown = pd.Series(float("nan"), index=market.index)
    rules = PhaseRules(enter=enter, exit=leave)
    phases = causal_phases(
        market.bars["close"],
        stress,
        unknown,
        market.timeframe,
        rules,
        low=market.bars["low"],
        flow=forced_flow(market, days=days),
    )
    out = phases.isin(["cascade"] if out_of == "cascade" else ["cascade", "washout"])
    return exposure(~out, known=phases.notna())
