"""Levels: prices known before a bar opens, below the market or above it, and which is broken.

A level at row t never knows anything of bar t. A *support* lies below the price or at it, a
*resistance* above it or at it.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import pandas as pd

from delever.arguments import Floats
from delever.bars import as_of, close_times
from delever.errors import InputError
from delever.signals.feature import WarmUp, feature
from delever.signals.glossary import described
from delever.signals.indicators import donchian
from delever.view import MarketView, Price

SUPPORT_WEEKS = 26


@feature(
    "rolling_support",
    unit="price",
    title="lowest low of {window} bars of {timeframe}",
    warm_up=lambda window, timeframe: WarmUp(coarse=window, timeframe=timeframe, before_open=True),
)
@described
def rolling_support(
    market: MarketView, window: int = SUPPORT_WEEKS, timeframe: str = "1w"
) -> pd.Series:
    """Lowest low of the last `window` coarser bars closed before each bar opens.

    In quote units; NaN until `window` coarser bars have closed. A daily bar on a Sunday does
    not know the low of its own week; Monday's bar does.

    Parameters
    ----------
    window : int
        Coarser bars, at least 1.
    timeframe : str
        Their timeframe; weeks by default.

    Raises
    ------
    InputError
        If `window` is not a whole number of at least 1, or `timeframe` no multiple of the bars'.
    """
    return _extreme(market, window, timeframe, "lower").rename("support")


@described
def rolling_resistance(
    market: MarketView, window: int = SUPPORT_WEEKS, timeframe: str = "1w"
) -> pd.Series:
    """Highest high of the last `window` coarser bars closed before each bar opens.

    In quote units: the mirror of `rolling_support`.
    """
    return _extreme(market, window, timeframe, "upper").rename("resistance")


def _extreme(market: MarketView, window: int, timeframe: str, band: str) -> pd.Series:
    coarse = market.resample(timeframe)
    extremes = donchian(coarse["high"], coarse["low"], window)[band]
    closed = close_times(pd.DatetimeIndex(coarse.index), timeframe)
    return as_of(extremes, closed, market.index).set_axis(market.index)


@described
def fixed_support(close: pd.Series, levels: Sequence[float]) -> pd.Series:
    """Highest of some given levels that the previous close had not fallen below.

    In quote units; NaN on the first row and where the previous close was below every level.

    Raises
    ------
    InputError
        If `levels` is empty or holds something that is not a positive, finite number.

    Examples
    --------
    >>> fixed_support(pd.Series([12.0, 10.0, 9.0, 8.0]), [10.0, 11.0]).tolist()
    [nan, 11.0, 10.0, nan]
    """
    ladder = [np.nan, *_prices(levels)]
    return _rung(close, ladder[1:], ladder, "right").rename("support")


@described
def fixed_resistance(close: pd.Series, levels: Sequence[float]) -> pd.Series:
    """Lowest of some given levels that the previous close had not risen above.

    In quote units: the mirror of `fixed_support`.

    Examples
    --------
    >>> fixed_resistance(pd.Series([9.0, 10.0, 10.5, 12.0]), [11.0, 10.0]).tolist()
    [nan, 10.0, 10.0, 11.0]
    """
    ladder = [*_prices(levels), np.nan]
    return _rung(close, ladder[:-1], ladder, "left").rename("resistance")


def _prices(levels: Sequence[float]) -> list[float]:
    wrong = [level for level in levels if not (math.isfinite(level) and level > 0)]
    if wrong or not levels:
        raise InputError(
            f"levels must be prices > 0, at least one; got {wrong[0] if wrong else 'none'}"
        )
    return sorted(levels)


def _rung(
    close: pd.Series, levels: list[float], ladder: list[float], side: Literal["left", "right"]
) -> pd.Series:
    before = close.shift(1)
    place = np.searchsorted(levels, before.to_numpy(dtype="float64"), side=side)
    # searchsorted puts NaN last: the first row has no previous close, so it has no level.
    return pd.Series(np.array(ladder)[place], index=close.index).where(before.notna())


@described
def grid_support(close: pd.Series, step: float) -> pd.Series:
    """Highest multiple of `step` that the previous close had not fallen below.

    In quote units; NaN on the first row and where the previous close was below `step`.

    Parameters
    ----------
    step : float
        Distance of the round numbers, > 0, in quote units.

    Raises
    ------
    InputError
        If `step` is not a positive, finite number.

    Examples
    --------
    >>> grid_support(pd.Series([25.0, 20.0, 9.0, 8.0]), 10.0).tolist()
    [nan, 20.0, 20.0, nan]
    """
    if not (math.isfinite(step) and step > 0):
        raise InputError(f"step must be a price > 0; got {step!r}")
    level: pd.Series = np.floor(close.shift(1) / step) * step
    return level.where(level > 0).rename("support")


@feature(
    "round_support",
    unit="price",
    title="round number below the price",
    of=lambda market: market.bars["close"],
    warm_up=lambda: WarmUp(bars=2),
)
@described
def round_support(
    close: pd.Series, *, parts: int = 2, unit: Annotated[float, Price()] = 1.0
) -> pd.Series:
    """Highest round number that the previous close had not fallen below.

    In quote units; NaN on the first row.

    Parameters
    ----------
    parts : int
        Into how many steps a power of ten is divided, at least 1: with 2 the round numbers near
        70,000 are 5,000 apart and those near 700 are 50 apart.
    unit : float
        The price that counts as 1, > 0: round numbers are those of the currency people quote.

    Raises
    ------
    InputError
        If `parts` is below 1 or `unit` is no price.

    Examples
    --------
    >>> round_support(pd.Series([72_500.0, 101_000.0, 99_999.0, 1.0])).tolist()
    [nan, 70000.0, 100000.0, 95000.0]
    """
    before, step = _round_steps(close, parts, unit)
    level = np.floor(before / step + 1e-9) * step * unit
    return pd.Series(level, index=close.index, name="support")


@described
def round_resistance(close: pd.Series, *, parts: int = 2, unit: float = 1.0) -> pd.Series:
    """Lowest round number that the previous close had not risen above.

    In quote units: the mirror of `round_support`.

    Parameters
    ----------
    parts, unit
        As in `round_support`.

    Examples
    --------
    >>> round_resistance(pd.Series([72_500.0, 75_000.0, 99_999.0, 101_000.0, 1.0])).tolist()
    [nan, 75000.0, 75000.0, 100000.0, 150000.0]
    """
    before, step = _round_steps(close, parts, unit)
    level = np.ceil(before / step - 1e-9) * step * unit
    return pd.Series(level, index=close.index, name="resistance")


def _round_steps(close: pd.Series, parts: int, unit: float) -> tuple[Floats, Floats]:
    """Closes before each bar in units, and how far apart the round numbers near them are."""
    if parts < 1 or not (math.isfinite(unit) and unit > 0):
        raise InputError(
            f"parts must be at least 1 and unit a price > 0; got parts {parts} and unit {unit:g}"
        )
    before = close.shift(1).to_numpy(dtype="float64") / unit
    # A price that is a round number but for the last bit must not fall to the one below it.
    return before, 10.0 ** np.floor(np.log10(before) + 1e-12) / parts


@described
def support_below(market: MarketView, levels: pd.DataFrame) -> pd.Series:
    """Highest level in force before each bar opens that the previous close had not fallen below.

    In quote units; NaN on the first bar and where no such level is known. A level counts
    from the first bar that opens at or after it was born, until the first that opens at or
    after it ended.

    Parameters
    ----------
    levels : pandas.DataFrame, shape (k, 5)
        A table of levels, see `delever.signals.swings`.
    """
    table = levels.sort_values("born", kind="stable")
    gone = table[table["ended"].notna()]
    births = zip(_stamps(table["born"]), table["price"], strict=True)
    ends = zip(_stamps(gone["ended"]), gone["price"], strict=True)
    changes = [(at, True, price) for at, price in births]
    changes += [(at, False, price) for at, price in ends]
    changes.sort(key=lambda change: change[0])
    opens = market.index.as_unit("ns").asi8.tolist()
    closes = market.bars["close"].tolist()
    force: list[float] = []
    out, following = [math.nan] * len(opens), 0
    for row, opened in enumerate(opens):
        while following < len(changes) and changes[following][0] <= opened:
            _, comes, price = changes[following]
            following += 1
            if comes:
                bisect.insort(force, price)
            else:
                force.pop(bisect.bisect_left(force, price))
        place = bisect.bisect_right(force, closes[row - 1]) if row else 0
        if place:
            out[row] = force[place - 1]
    return pd.Series(out, index=market.index, name="support", dtype="float64")


def _stamps(times: pd.Series) -> list[int]:
    stamps: list[int] = pd.DatetimeIndex(times).as_unit("ns").asi8.tolist()
    return stamps


@described
def broken_level(close: pd.Series, breach: pd.Series, support: pd.Series) -> pd.Series:
    """Which support is broken, from the bar of its breach until a later close above it.

    The broken level, in quote units; NaN while none is.

    Parameters
    ----------
    breach : pandas.Series of bool, shape (n,)
        Bars that breach their `support`, by close or by low.

    Notes
    -----
    The level of the first breach is remembered; breaches of lower levels meanwhile change
    nothing. The bar of the breach itself cannot reclaim. A bar that closes above the broken level
    but breaches its own support passes from the one broken level to the other.

    Examples
    --------
    >>> close, support = pd.Series([9.0, 8.0, 10.0, 11.0]), pd.Series([10.0, 8.5, 8.0, 8.0])
    >>> broken_level(close, close < support, support).tolist()
    [10.0, 10.0, 10.0, nan]
    """
    rows = zip(close.tolist(), breach.tolist(), support.tolist(), strict=True)
    out, broken = [], math.nan
    for price, breached, level in rows:
        if price > broken:
            broken = math.nan
        if breached and math.isnan(broken):
            broken = level
        out.append(broken)
    return pd.Series(out, index=close.index, name="broken_level", dtype="float64")
