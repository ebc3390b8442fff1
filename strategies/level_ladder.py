"""Buy in parts: limit orders at the supports of the last months, filled as the price comes down."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Ge, Gt, Le, Lt

from delever.errors import InputError
from delever.signals.bands import held_level
from delever.signals.levels import rolling_support
from delever.view import MarketView


def level_ladder(
    market: MarketView,
    *,
    weeks: tuple[Annotated[int, Ge(1)], ...] = (13, 26, 52, 104),
    near: Annotated[float, Ge(0), Le(1)] = 0.02,
    stop: Annotated[float, Gt(0), Lt(1)] = 0.15,
    target: Annotated[float, Gt(0)] = 0.5,
) -> pd.DataFrame:
    """Rest an equal part at every support, and drop it at its stop or target.

    Parameters
    ----------
    market : MarketView
        The market; bars of a week or finer.
    weeks : tuple of int
        One rung each: the lowest low of so many closed weeks. At most 8.
    near : float
        A part rests this fraction above its support.
    stop : float
        A close this fraction below the price that a part rested at drops it; what is still held
        this fraction below the lowest support is sold inside the bar.
    target : float
        A close this fraction above its price drops the part as well.

    Returns
    -------
    pandas.DataFrame
        ``exposure``: the parts held, from 0 to 1; NaN until the longest support is known. As
        orders, ``exposure_2`` at ``limit_price_2`` and so on: one part more at each support below
        the close, and the ``stop_price``. Beside them each support.

    Raises
    ------
    InputError
        If there is no rung, there are more than eight, or two are the same.
    """
    if not 1 <= len(weeks) <= 8 or len(set(weeks)) < len(weeks):
        raise InputError(f"weeks must name one to eight rungs, each once; got {weeks}")
    close, low, parts = market.bars["close"], market.bars["low"], len(weeks)
    held = pd.Series(0.0, index=market.index)
    known = pd.Series(True, index=market.index)
    lines, resting = {}, []
    for length in weeks:
        support = rolling_support(market, length)
        price = (1 + near) * support
        rested = price.shift(1)  # in this bar, since the close before
        bought = (low < rested) & (close >= (1 - stop) * rested)
        rung = held_level(close, bought, rested, below=stop, above=target)
        held += rung.notna()
        known &= rested.notna()
        resting.append(price.where(rung.isna() & (price < close)))
        lines[f"low of {length} weeks"] = support
    asked = (held / parts).where(known)
    lowest = pd.DataFrame(lines).min(axis=1)
    orders = {"stop_price": ((1 - stop) * lowest).where(lambda price: price < close)}
    # The nearest first; of two at one price the second stands for both.
    ladder = -np.sort(-pd.DataFrame(resting).to_numpy(), axis=0)
    for place, level in enumerate(ladder):
        further = ladder[place + 1] if place + 1 < parts else np.full(len(held), np.nan)
        reached = held + place + 1.0
        orders[f"exposure_{place + 2}"] = (reached / parts).where((reached <= parts) & known)
        orders[f"limit_price_{place + 2}"] = pd.Series(level, held.index).where(
            (level != further) & known
        )
    return pd.DataFrame({"exposure": asked, **orders, **lines})
