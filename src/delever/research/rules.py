"""Named rules of breaking levels, each with placebos that are broken in the same way.

A placebo of a level that stands by itself, such as an average, is a multiple of it. A level that
is the nearest of many, such as a round number, has a multiple of all of them, and the nearest of
those: a multiple of the nearest alone would lie far from the price and need a larger fall.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import pandas as pd
from annotated_types import Ge, Gt, Lt

from delever.research.placebo import LevelRule, Levels
from delever.signals.indicators import Average, moving_average
from delever.signals.levels import (
    fixed_support,
    rolling_support,
    round_support,
    support_below,
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
    """Levels of a table, the nearest below the price, all moved by the factor."""

    def on(market: MarketView) -> Levels:
        found = table(market)
        return lambda factor: support_below(market, found.assign(price=found["price"] * factor))

    return on
