"""Named rules of breaking levels, each with placebos that are broken in the same way.

A placebo of a level that stands by itself, such as an average, is a multiple of it. A level that
is the nearest of many, such as a round number, has a multiple of all of them, and the nearest of
those: a multiple of the nearest alone would lie far from the price and need a larger fall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from annotated_types import Ge, Gt, Lt

from delever.research.placebo import LevelRule, Levels
from delever.signals.indicators import Average, moving_average
from delever.signals.levels import (
    fixed_support,
    rolling_support,
    round_support,
)
from delever.signals.onchain import shutdown_price
from delever.signals.profile import volume_nodes
from delever.signals.swings import cycle_highs, fibonacci, swings
from delever.signals.trend import weekly_average
from delever.view import MarketView, Price

__all__ = ["RULES"]

Count = Annotated[int, Ge(1)]


def average(
    *,
    weeks: Count = 200,
    average: Average = "sma",
    on: Literal["weekly_close", "close"] = "weekly_close",
    confirm: Count = 1,
) -> LevelRule:
    """Break of the average of closed weeks, by closes of weeks or of bars."""

    def levels(market: MarketView) -> Levels:
        if on == "close":
            return _multiples(weekly_average(market, weeks=weeks, average=average))
        return _multiples(moving_average(market.bars["close"], weeks, average))

    return LevelRule(
        name=f"break of the {weeks}-week {average}, on "
        + ("weekly closes" if on == "weekly_close" else "closes"),
        levels=levels,
        timeframe="1w" if on == "weekly_close" else None,
        confirm=confirm,
    )


def rolling_low(*, weeks: Count = 26, confirm: Count = 1) -> LevelRule:
    """Break of the lowest low of the closed weeks before."""
    return LevelRule(
        name=f"break of the low of {weeks} weeks",
        levels=lambda market: _multiples(rolling_support(market, weeks)),
        confirm=confirm,
    )


def round_number(
    *, parts: Count = 2, unit: Annotated[float, Gt(0), Price()] = 1.0, confirm: Count = 1
) -> LevelRule:
    """Break of a round number; `parts` steps between powers of ten."""

    def levels(market: MarketView) -> Levels:
        close = market.bars["close"]
        return lambda factor: round_support(close, parts=parts, unit=unit * factor)

    return LevelRule(
        name=f"break of a round number ({parts} per power of ten)", levels=levels, confirm=confirm
    )


def prices(
    *,
    levels: Annotated[tuple[Annotated[float, Gt(0)], ...], Price()],
    confirm: Count = 1,
) -> LevelRule:
    """Break of the nearest of some given prices."""

    def on(market: MarketView) -> Levels:
        close = market.bars["close"]
        return lambda factor: fixed_support(close, [level * factor for level in levels])

    return LevelRule(
        name=f"break of {', '.join(f'{level:g}' for level in levels)}", levels=on, confirm=confirm
    )


def swing_low(*, bars: Count = 5, confirm: Count = 1) -> LevelRule:
    """Break of the nearest confirmed swing low."""

    def table(market: MarketView) -> pd.DataFrame:
        found = swings(market, bars=bars)
        return found[found["kind"] == "swing_low"]

    return LevelRule(
        name=f"break of a swing low ({bars} bars)", levels=_nearest(table), confirm=confirm
    )


def cycle_high(*, fall: Annotated[float, Gt(0), Lt(1)] = 0.5, confirm: Count = 1) -> LevelRule:
    """Break of the nearest high of a past cycle."""
    return LevelRule(
        name=f"break of a former cycle high (fall of {fall:g})",
        levels=_nearest(lambda market: cycle_highs(market, fall=fall)),
        confirm=confirm,
    )


def fibonacci_ratio(*, bars: Count = 15, confirm: Count = 1) -> LevelRule:
    """Break of the nearest Fibonacci ratio of the latest swings."""
    return LevelRule(
        name=f"break of a Fibonacci ratio (swings of {bars} bars)",
        levels=_nearest(lambda market: fibonacci(market, bars=bars)),
        confirm=confirm,
    )


def volume_node(*, weeks: Count = 52, bins: Annotated[int, Ge(3)] = 60) -> LevelRule:
    """Break of the nearest node of the volume profile."""
    return LevelRule(
        name=f"break of a volume node ({weeks} weeks)",
        levels=_nearest(lambda market: volume_nodes(market, weeks=weeks, bins=bins)),
    )


def shutdown(*, confirm: Count = 1) -> LevelRule:
    """Break of the price at which the newest miner runs at a loss."""
    return LevelRule(
        name="break of the miners' shutdown price",
        levels=lambda market: _multiples(shutdown_price(market)),
        confirm=confirm,
    )


RULES: Mapping[str, Callable[..., LevelRule]] = {
    rule.__name__: rule
    for rule in (
        average,
        rolling_low,
        round_number,
        prices,
        swing_low,
        cycle_high,
        fibonacci_ratio,
        volume_node,
        shutdown,
    )
}
"""Every rule, by name; its keyword parameters have bounds and, but for given prices, defaults."""


def _multiples(level: pd.Series) -> Levels:
    return lambda factor: level * factor


def _nearest(table: Callable[[MarketView], pd.DataFrame]) -> Callable[[MarketView], Levels]:
    """Levels of a table, the nearest below the price, all moved by the factor.

    The same as `support_below` on a table with its prices times the factor, but which levels are
    in force on which bars is found once and not for every factor.
    """

    def on(market: MarketView) -> Levels:
        stretches = list(_in_force(market.index, table(market)))
        before = market.bars["close"].shift(1).to_numpy(dtype="float64")

        def levels(factor: float) -> pd.Series:
            out = np.full(len(before), np.nan)
            for first, last, prices in stretches:
                moved = np.append(np.nan, prices * factor)
                out[first:last] = moved[np.searchsorted(moved[1:], before[first:last], "right")]
            # A missing close sorts above every level: the first bar has none before it.
            return pd.Series(np.where(np.isnan(before), np.nan, out), index=market.index)

        return levels

    return on


def _in_force(
    index: pd.DatetimeIndex, table: pd.DataFrame
) -> Iterator[tuple[int, int, npt.NDArray[np.float64]]]:
    """Stretches of bars, and the levels in force on all of them, lowest first."""
    born = index.searchsorted(pd.DatetimeIndex(table["born"]).as_unit("ns"))
    gone = table["ended"].notna().to_numpy()
    ended = np.full(len(table), len(index))
    ended[gone] = index.searchsorted(pd.DatetimeIndex(table["ended"][gone]).as_unit("ns"))
    prices = table["price"].to_numpy(dtype="float64")
    for first, last in pairwise(np.unique([0, *born, *ended, len(index)]).tolist()):
        there = (born <= first) & (ended > first)
        if there.any():
            yield first, last, np.sort(prices[there])
