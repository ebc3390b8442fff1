"""Exposures of several symbols, and the orders beside them where columns are pairs.

A frame has a column of exposures per symbol; or pairs of symbol and `delever.engine.orders.ORDERS`
or ``"exposure"``, as ``pandas.concat`` makes them of a frame per symbol.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from delever.engine.orders import (
    EXPOSURE,
    ORDER_PRICES,
    RUNGS,
    Target,
    exposure_of,
    exposures_in,
)


def by_symbol(target: pd.DataFrame) -> dict[str, Target]:
    """The exposures of each symbol, or its frame."""
    names = dict.fromkeys(target.columns.get_level_values(0))
    return {str(name): target[name] for name in names}


def together(each: Mapping[str, Target], index: pd.Index) -> pd.DataFrame:
    """One frame of what is asked of each symbol; pairs only where any has orders."""
    if not any(isinstance(target, pd.DataFrame) for target in each.values()):
        return pd.DataFrame(dict(each), index=index, columns=[*each], dtype="float64")
    frames = {
        name: target if isinstance(target, pd.DataFrame) else target.to_frame(EXPOSURE)
        for name, target in each.items()
    }
    return pd.concat(frames, axis=1).astype("float64")


def exposures_by_symbol(target: pd.DataFrame) -> pd.DataFrame:
    """Exposures alone; of a ladder, those of its first rung."""
    if target.columns.nlevels == 1:
        return target
    return pd.DataFrame({name: exposure_of(one) for name, one in by_symbol(target).items()})


def furthest(target: Target) -> pd.Series:
    """Exposure of the last rung of each decision; without a ladder, the exposure."""
    reached = exposure_of(target)
    for name in exposures_in(target)[1:] if isinstance(target, pd.DataFrame) else ():
        reached = target[name].where(target[name].notna(), reached)
    return reached


def scaled(target: Target, shares: pd.Series) -> Target:
    """A target times a share of each row; a ladder goes where nothing is left of it."""
    if isinstance(target, pd.Series):
        return target * shares
    rungs = exposures_in(target)
    made = target.assign(**target[rungs].mul(shares, axis=0))
    gone = shares == 0.0
    for exposure, limit in RUNGS:
        if limit in made:
            made[limit] = made[limit].mask(gone)
        if exposure in made and exposure != EXPOSURE:
            made[exposure] = made[exposure].mask(gone)
    return made


def decided_last(target: pd.DataFrame) -> pd.DataFrame:
    """What was decided last at each row, symbol by symbol: a row without an exposure is none."""
    if target.columns.nlevels == 1:
        return target.ffill()
    each = {}
    for name, one in by_symbol(target).items():
        known = exposure_of(one).notna().to_numpy()
        row = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
        each[name] = one.reset_index(drop=True).reindex(row).set_axis(one.index)
    return together(each, target.index)


def at_prices(target: pd.DataFrame, prices: pd.DataFrame) -> pd.DataFrame:
    """The same with the prices of orders times those of each row, a column per symbol."""
    if target.columns.nlevels == 1:
        return target
    each = {}
    for symbol, one in by_symbol(target).items():
        named = [name for name in one if name in ORDER_PRICES]
        assert isinstance(one, pd.DataFrame)
        each[symbol] = one.assign(**one[named].mul(prices[symbol], axis=0))
    return together(each, target.index)


def without_decision(target: pd.DataFrame) -> pd.DataFrame:
    """0 where nothing was decided."""
    if target.columns.nlevels == 1:
        return target.fillna(0.0)
    each = {
        name: one.assign(**{EXPOSURE: exposure_of(one).fillna(0.0)})
        for name, one in by_symbol(target).items()
    }
    return together(each, target.index)
