"""Buy in parts: one at each support of the last months as the price comes down to it."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
from annotated_types import Ge, Gt, Lt

from delever.errors import InputError
from delever.signals.bands import held_level
from delever.signals.levels import rolling_support
from delever.view import MarketView


def level_ladder(
    market: MarketView,
    *,
    weeks: tuple[Annotated[int, Ge(1)], ...] = (13, 26, 52, 104),
    near: Annotated[float, Ge(0), Lt(1)] = 0.02,
    stop: Annotated[float, Gt(0), Lt(1)] = 0.15,
    target: Annotated[float, Gt(0)] = 0.5,
) -> pd.DataFrame:
    """Add an equal part at every support that is touched, and drop it at its stop or target.

    Parameters
    ----------
    market : MarketView
        The market; bars of a week or finer.
    weeks : tuple of int
        One rung each: the lowest low of so many closed weeks.
    near : float
        A low within this fraction above the support touches it.
    stop : float
        A close this fraction below the support that was touched drops its part.
    target : float
        A close this fraction above it drops the part as well.

    Returns
    -------
    pandas.DataFrame
        ``exposure``: from 0 to 1 in steps of one part; NaN until the longest support is known.
        Beside it each support.

    Raises
    ------
    InputError
        If there is no rung or two are the same.
    """
    if not weeks or len(set(weeks)) < len(weeks):
        raise InputError(f"weeks must name at least one rung, each once; got {weeks}")
    close, low = market.bars["close"], market.bars["low"]
    held = pd.Series(0.0, index=market.index)
    known = pd.Series(True, index=market.index)
    lines = {}
    for length in weeks:
        support = rolling_support(market, length)
        touched = (low <= (1 + near) * support) & (close >= (1 - stop) * support)
        rung = held_level(close, touched, support, below=stop, above=target)
        held += rung.notna()
        known &= support.notna()
        lines[f"low of {length} weeks"] = support
    return pd.DataFrame({"exposure": (held / len(weeks)).where(known), **lines})
