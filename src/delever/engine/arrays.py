"""What the engine asks of its bars and targets, as arrays it can trust."""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.arguments import Floats, counted
from delever.errors import InputError
from delever.frames import utc_index

LEAST_EQUITY, MOST_EQUITY = 1e-6, 1e15
"""What an account may begin with, quote units.

A double holds 15 digits: to a cent of 1e13, to a quarter of 1e15, which is more than all money.
"""

_PRICES = ("open", "high", "low", "close")


def check_amounts(initial_equity: float, rebalance_band: object) -> None:
    """Raises InputError if an account cannot begin with so much, or the band is none."""
    if not LEAST_EQUITY <= initial_equity <= MOST_EQUITY:
        raise InputError(
            f"initial_equity must be from {LEAST_EQUITY:g} to {MOST_EQUITY:g} quote units; "
            f"got {initial_equity!r}"
        )
    if rebalance_band is not None and not (
        isinstance(rebalance_band, int | float) and rebalance_band >= 0.0
    ):
        raise InputError(f"rebalance_band must be at least 0, or None; got {rebalance_band!r}")


def record(*names: str) -> np.dtype[np.void]:
    """A row of floats by name."""
    return np.dtype([(name, np.float64) for name in names])


def bar_index(bars: pd.DataFrame) -> pd.DatetimeIndex:
    """Open times of the bars.

    Raises InputError if there is no bar, or the bars are out of order or repeat.
    """
    index = utc_index(bars.index, "open_time", "bars")
    if not len(index):
        raise InputError("bars must hold at least one bar; got none; load a longer span")
    if not index.is_monotonic_increasing or index.has_duplicates:
        raise InputError("bars must be strictly increasing in time; sort them and drop repeats")
    return index


def price_array(bars: pd.DataFrame, index: pd.DatetimeIndex) -> Floats:
    """Open, high, low and close of each bar.

    Raises InputError if a column is missing, or a price is not finite, not positive, or beyond its
    bar's extremes.
    """
    missing = [name for name in _PRICES if name not in bars.columns]
    if missing:
        raise InputError(
            f"bars must have the columns {', '.join(_PRICES)}; missing {', '.join(missing)}; "
            f"found {', '.join(map(str, bars.columns)) or 'none'}"
        )
    prices = np.column_stack([bars[name].to_numpy(dtype=np.float64) for name in _PRICES])
    columns = list(prices.T)  # NaN in any makes both NaN
    low, high = np.minimum.reduce(columns), np.maximum.reduce(columns)
    usable = (low > 0.0) & (high < np.inf) & (prices[:, 1] == high) & (prices[:, 2] == low)
    bad = np.flatnonzero(~usable)
    if len(bad):
        row = int(bad[0])
        found = ", ".join(
            f"{name} {price:g}" for name, price in zip(_PRICES, prices[row], strict=True)
        )
        raise InputError(
            f"bars must hold finite prices with 0 < low <= open, close <= high; the bar of "
            f"{index[row]:%Y-%m-%d %H:%M} has {found}; correct or remove it"
        )
    return prices


def asked_targets(
    target_exposure: pd.Series,
    index: pd.DatetimeIndex,
    initial_target: float = 0.0,
    *,
    lowest: float = -1.0,
) -> Floats:
    """Targets in the order the engine is asked for them.

    Raises InputError if the index is another one, a value after the first is NaN, or one lies
    beyond [lowest, 1], or the leverage.
    """
    if not utc_index(target_exposure.index, "open_time", "target_exposure").equals(index):
        raise InputError(
            f"target_exposure must have one row per bar, on the same open times; got "
            f"{counted(len(target_exposure), 'row')} for {counted(len(index), 'bar')}; reindex it "
            "to the bars"
        )
    values = target_exposure.to_numpy(dtype=np.float64)
    known = ~np.isnan(values)
    late = np.flatnonzero(~known & np.logical_or.accumulate(known))
    if len(late):
        raise InputError(
            f"target_exposure may be NaN only before its first value (warm-up); the bar of "
            f"{index[late[0]]:%Y-%m-%d %H:%M} is NaN ({counted(len(late), 'such bar')}); decide a "
            "number there"
        )
    asked = np.append(initial_target, np.where(known, values, 0.0))
    highest = max(1.0, -lowest)
    beyond = np.flatnonzero(~((asked >= lowest) & (asked <= highest)))
    if len(beyond):
        row = int(beyond[0])
        place = f"the bar of {index[row - 1]:%Y-%m-%d %H:%M}" if row else "initial_target"
        modelled = "a 1x short" if lowest < 0.0 else "spot without shorts"
        why = f"the leverage is {highest:g}" if highest > 1.0 else f"this is {modelled}"
        raise InputError(
            f"target_exposure must lie in [{lowest:g}, {highest:g}]: {why} and no more; "
            f"{place} asks for {asked[row]:g}; scale or clip it, or set a higher leverage"
        )
    return asked
