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

from delever.research.signal.level_break import LevelRule, Levels, Side
from delever.signals.averages import weekly_average
from delever.signals.indicators import Average, moving_average
from delever.signals.levels import (
    fixed_resistance,
    fixed_support,
    rolling_resistance,
    rolling_support,
    round_resistance,
    round_support,
)
from delever.signals.network import shutdown_price
from delever.signals.profile import volume_nodes
from delever.signals.swings import cycle_highs, fibonacci, swings
from delever.view import MarketView, Price

Count = Annotated[int, Ge(1)]
_APART = 1e3
"""More than any two logarithms of prices differ."""
_BREAK: Mapping[Side, str] = {"below": "break of", "above": "break above"}


def average(
    *,
    weeks: Count = 200,
    average: Average = "sma",
    on: Literal["weekly_close", "close"] = "weekly_close",
    confirm: Count = 1,
    side: Side = "below",
) -> LevelRule:
    """Break of the average of closed weeks, by closes of weeks or of bars."""

    def levels(market: MarketView) -> Levels:
        if on == "close":
            return _multiples(weekly_average(market, weeks=weeks, average=average))
        return _multiples(moving_average(market.bars["close"], weeks, average))

    return LevelRule(
        name=f"{_BREAK[side]} the {weeks}-week {average}, on "
        + ("weekly closes" if on == "weekly_close" else "closes"),
        levels=levels,
        timeframe="1w" if on == "weekly_close" else None,
        side=side,
        confirm=confirm,
    )


def rolling_low(*, weeks: Count = 26, confirm: Count = 1) -> LevelRule:
    """Break of the lowest low of the closed weeks before."""
    return LevelRule(
        name=f"break of the low of {weeks} weeks",
        levels=lambda market: _multiples(rolling_support(market, weeks)),
        confirm=confirm,
    )


def rolling_high(*, weeks: Count = 26, confirm: Count = 1) -> LevelRule:
    """Break above the highest high of the closed weeks before."""
    return LevelRule(
        name=f"break above the high of {weeks} weeks",
        levels=lambda market: _multiples(rolling_resistance(market, weeks)),
        side="above",
        confirm=confirm,
    )


def round_number(
    *,
    parts: Count = 2,
    unit: Annotated[float, Gt(0), Price()] = 1.0,
    confirm: Count = 1,
    side: Side = "below",
) -> LevelRule:
    """Break of a round number; `parts` steps between powers of ten."""
    nearest = round_support if side == "below" else round_resistance

    def levels(market: MarketView) -> Levels:
        close = market.bars["close"]
        return lambda factor: nearest(close, parts=parts, unit=unit * factor)

    return LevelRule(
        name=f"{_BREAK[side]} a round number ({parts} per power of ten)",
        levels=levels,
        side=side,
        confirm=confirm,
    )


def prices(
    *,
    levels: Annotated[tuple[Annotated[float, Gt(0)], ...], Price()],
    confirm: Count = 1,
    side: Side = "below",
) -> LevelRule:
    """Break of the nearest of some given prices."""
    nearest = fixed_support if side == "below" else fixed_resistance

    def on(market: MarketView) -> Levels:
        close = market.bars["close"]
        return lambda factor: nearest(close, [level * factor for level in levels])

    return LevelRule(
        name=f"{_BREAK[side]} {', '.join(f'{level:g}' for level in levels)}",
        levels=on,
        side=side,
        confirm=confirm,
    )


def swing_low(*, bars: Count = 5, confirm: Count = 1) -> LevelRule:
    """Break of the nearest confirmed swing low."""
    return LevelRule(
        name=f"break of a swing low ({bars} bars)",
        levels=_nearest(lambda market: _swings(market, bars, "swing_low"), "below"),
        confirm=confirm,
    )


def swing_high(*, bars: Count = 5, confirm: Count = 1) -> LevelRule:
    """Break above the nearest confirmed swing high."""
    return LevelRule(
        name=f"break above a swing high ({bars} bars)",
        levels=_nearest(lambda market: _swings(market, bars, "swing_high"), "above"),
        side="above",
        confirm=confirm,
    )


def cycle_high(
    *, fall: Annotated[float, Gt(0), Lt(1)] = 0.5, confirm: Count = 1, side: Side = "below"
) -> LevelRule:
    """Break of the nearest high of a past cycle."""
    return LevelRule(
        name=f"{_BREAK[side]} a former cycle high (fall of {fall:g})",
        levels=_nearest(lambda market: cycle_highs(market, fall=fall), side),
        side=side,
        confirm=confirm,
    )


def fibonacci_ratio(*, bars: Count = 15, confirm: Count = 1, side: Side = "below") -> LevelRule:
    """Break of the nearest Fibonacci ratio of the latest swings."""
    return LevelRule(
        name=f"{_BREAK[side]} a Fibonacci ratio (swings of {bars} bars)",
        levels=_nearest(lambda market: fibonacci(market, bars=bars), side),
        side=side,
        confirm=confirm,
    )


def volume_node(
    *, weeks: Count = 52, bins: Annotated[int, Ge(3)] = 60, side: Side = "below"
) -> LevelRule:
    """Break of the nearest node of the volume profile."""
    return LevelRule(
        name=f"{_BREAK[side]} a volume node ({weeks} weeks)",
        levels=_nearest(lambda market: volume_nodes(market, weeks=weeks, bins=bins), side),
        side=side,
    )


def shutdown(*, confirm: Count = 1, side: Side = "below") -> LevelRule:
    """Break of the price at which the newest miner runs at a loss."""
    return LevelRule(
        name=f"{_BREAK[side]} the miners' shutdown price",
        levels=lambda market: _multiples(shutdown_price(market)),
        side=side,
        confirm=confirm,
    )


RULES: Mapping[str, Callable[..., LevelRule]] = {
    rule.__name__: rule
    for rule in (
        average,
        rolling_low,
        rolling_high,
        round_number,
        prices,
        swing_low,
        swing_high,
        cycle_high,
        fibonacci_ratio,
        volume_node,
        shutdown,
    )
}
"""Every rule, by name; its keyword parameters have bounds and, but for given prices, defaults."""


def _multiples(level: pd.Series) -> Levels:
    return lambda factor: level * factor


def _swings(market: MarketView, bars: int, kind: str) -> pd.DataFrame:
    found = swings(market, bars=bars)
    return found[found["kind"] == kind]


def _nearest(
    table: Callable[[MarketView], pd.DataFrame], side: Side
) -> Callable[[MarketView], Levels]:
    """Levels of a table, the nearest the price may break, all moved by the factor.

    Below, it is what `support_below` finds on a table with its prices times the factor; but which
    levels are in force on which bars is found once and not for every factor.
    """
    beside: Literal["left", "right"] = "right" if side == "below" else "left"
    passed = np.less_equal if side == "below" else np.less

    def on(market: MarketView) -> Levels:
        before = market.bars["close"].shift(1).to_numpy(dtype="float64")
        stretches = list(_in_force(market.index, table(market)))
        counts = np.array([len(prices) for *_, prices in stretches], dtype=np.int64)
        lengths = [last - first for first, last, _ in stretches]
        bars = np.array([bar for first, last, _ in stretches for bar in range(first, last)], int)
        own = np.repeat(np.arange(len(stretches)), lengths)
        prices = np.array([price for *_, there in stretches for price in there], dtype=np.float64)
        keys = np.repeat(np.arange(len(stretches)), counts) * _APART + np.log(prices)
        ends = np.cumsum(counts)[own]
        begins, asked = ends - counts[own], before[bars]
        looked = own * _APART + np.log(asked)

        def levels(factor: float) -> pd.Series:
            moved = np.append(prices * factor, np.nan)
            place = np.searchsorted(keys, looked - np.log(factor), beside)
            place = np.clip(place, begins, ends)
            while True:  # what logarithms round to the wrong side of a price is set right
                up = (place < ends) & passed(moved[place], asked)
                down = (place > begins) & ~passed(moved[place - 1], asked) & ~np.isnan(asked)
                if not (up | down).any():
                    break
                place = place + up - down
            place = place - 1 if side == "below" else place
            there = (place >= begins) & (place < ends) & ~np.isnan(asked)
            out = np.full(len(before), np.nan)
            out[bars[there]] = moved[place[there]]
            return pd.Series(out, index=market.index)

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
            yield first, last, np.unique(prices[there])
