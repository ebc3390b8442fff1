"""Breaks of a line and what becomes of them: retest, reclaim, false break.

One rule for averages and for levels. The line is *broken* from a bar that closes below it until
before the next bar that closes above it; a close on the line changes nothing. Then

break
    the first broken bar, after a bar that was not;
retest
    a broken bar, not the first, whose high comes within `near` of the line after a bar whose
    high did not;
reclaim
    the first bar that is no longer broken, more than `false_bars` bars after the break;
false break
    the same, at most `false_bars` bars after the break. It is known at the bar that comes back,
    never at the break: whether a break is false cannot be known when it happens;
touch
    a bar whose low reaches a line known before it opened, after a close above that line.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from delever.bars import as_of, close_times
from delever.errors import InputError
from delever.signals.clock import align_events
from delever.signals.edges import confirm, latch
from delever.signals.feature import WarmUp, feature
from delever.signals.glossary import described
from delever.signals.indicators import Average, atr, moving_average
from delever.signals.levels import SUPPORT_WEEKS, broken_level, rolling_support
from delever.view import MarketView

LABELS = ("touch", "break", "retest", "reclaim", "false_break")
"""Columns of a table of breaks."""

SUPPORT_LABELS = (*LABELS, "confirmed", "breach")
"""Columns of a table of breaks of a support."""

BreachOn: TypeAlias = Literal["close", "low"]
"""What must be below a support: the close, or already the low."""


@described
def breaks(
    bars: pd.DataFrame,
    line: pd.Series,
    *,
    before: pd.Series | None = None,
    near: float = 0.0,
    false_bars: int = 3,
) -> pd.DataFrame:
    """Breaks of a line that moves, such as an average.

    Parameters
    ----------
    line : pandas.Series, shape (n,)
        The line as known at each bar's close, in quote units.
    before : pandas.Series, shape (n,), optional
        The line as known before each bar opened, for touches; by default that of the bar before.

    Returns
    -------
    pandas.DataFrame of bool, shape (n, 5)
        Columns `LABELS`; False where the line is undefined. See the module for the rule.

    Raises
    ------
    InputError
        If `near` or `false_bars` is out of range.

    Examples
    --------
    >>> bars = pd.DataFrame({"close": [11, 9, 8, 9, 12.0]})
    >>> bars = bars.assign(high=[12, 11, 9, 10, 12.0], low=[11, 9, 8, 8, 9.0])
    >>> found = breaks(bars, pd.Series(10.0, index=bars.index), false_bars=2)
    >>> {name: found.index[found[name]].tolist() for name in LABELS}
    {'touch': [1], 'break': [1], 'retest': [3], 'reclaim': [4], 'false_break': []}
    """
    close = bars["close"]
    broken = latch(close < line, close > line)
    began = broken & ~_before(broken) & _before(line.notna())
    known = line.shift(1) if before is None else before
    return _labels(bars, line, known, broken, began, near=near, false_bars=false_bars)


@described
def support_breaks(
    bars: pd.DataFrame,
    support: pd.Series,
    *,
    on: BreachOn = "close",
    near: float = 0.0,
    false_bars: int = 3,
    confirm_bars: int = 2,
) -> pd.DataFrame:
    """Breaks of a support; the level that was broken is remembered until it is reclaimed.

    Parameters
    ----------
    on : {"close", "low"}
        Whether the close or already the low must be below the support.
    near : float
        How far below the level a high counts as a retest, fraction of the level in [0, 1).
    confirm_bars : int
        Closes below the broken level in a row that confirm the breach, >= 1.

    Returns
    -------
    pandas.DataFrame of bool, shape (n, 7)
        Columns `SUPPORT_LABELS`: besides those of `breaks` ``confirmed``, the one bar at which a
        break is confirmed, and ``breach``, every bar that breaches the support then in force
        after one that did not, also while a higher level is still broken: a long fall is one
        break and many breaches.
        On the low, a break whose close is back above is false at the next bar that closes above.
    """
    if on not in ("close", "low"):
        raise InputError(f"on must be 'close' or 'low'; got {on!r}")
    beneath = bars[on] < support
    level = broken_level(bars["close"], beneath, support)
    broken = level.notna()
    began = broken & (level != level.shift(1))
    line = level.where(broken, _remembered(level, support))
    out = _labels(bars, line, support, broken, began, near=near, false_bars=false_bars)
    below = confirm(bars["close"] < level, confirm_bars) & broken
    episode = began.cumsum()
    return out.assign(
        confirmed=below & (below.groupby(episode).cumsum() == 1), breach=beneath & ~_before(beneath)
    )


def _remembered(level: pd.Series, support: pd.Series) -> pd.Series:
    """On the bar that reclaims, the level that was broken; elsewhere the support."""
    return level.shift(1).where(level.shift(1).notna(), support)


def _before(flags: pd.Series) -> pd.Series:
    return flags.shift(1, fill_value=False)


def _labels(
    bars: pd.DataFrame,
    line: pd.Series,
    known: pd.Series,
    broken: pd.Series,
    began: pd.Series,
    *,
    near: float,
    false_bars: int,
) -> pd.DataFrame:
    if not 0 <= near < 1 or false_bars < 1:
        raise InputError(
            "near must be a fraction in [0, 1) and false_bars at least 1; "
            f"got near {near:g} and false_bars {false_bars}"
        )
    rows = np.arange(len(line))
    since = rows - np.maximum.accumulate(np.where(began, rows, -len(rows) - false_bars))
    back = ~broken & _before(broken)
    close_by = bars["high"] >= line * (1 - near)
    return pd.DataFrame(
        {
            "touch": (bars["low"] <= known) & (bars["close"].shift(1) > known),
            "break": began,
            "retest": broken & _before(broken) & ~began & close_by & ~_before(close_by),
            "reclaim": back & (since > false_bars),
            "false_break": back & (since <= false_bars),
        }
    )


@feature(
    "ma200w_{column}",
    unit="event",
    title="{column}: the {weeks}-week {average}, on {on}s",
    columns=LABELS,
    warm_up=lambda weeks: WarmUp(coarse=weeks),
)
@described
def average_breaks(
    market: MarketView,
    *,
    weeks: int = 200,
    average: Average = "sma",
    on: Literal["weekly_close", "close"] = "weekly_close",
    near: float = 0.0,
    false_bars: int = 3,
) -> pd.DataFrame:
    """Breaks of an average of closed weeks.

    Parameters
    ----------
    market : MarketView
        The market; n bars of a week or finer.
    weeks : int
        Closed weeks in the average, at least 1.
    on : {"weekly_close", "close"}
        Which closes break and reclaim: those of weeks, or of the bars themselves.
    false_bars : int
        Weeks (on weekly closes) or bars (on closes) within which a break is a false one, >= 1.

    Returns
    -------
    pandas.DataFrame of bool, shape (n, 5)
        Columns `LABELS`, on the bar at whose close each became known: on weekly closes that is
        the last bar of the week. Touches are of bars always, against the average of the weeks
        closed before the bar opened.
    """
    if on not in ("weekly_close", "close"):
        raise InputError(f"on must be 'weekly_close' or 'close'; got {on!r}")
    coarse = market.resample("1w")
    line = moving_average(coarse["close"], weeks, average)
    closed = close_times(pd.DatetimeIndex(coarse.index), "1w")
    known = as_of(line, closed, market.index).set_axis(market.index)
    fine = breaks(
        market.bars, market.align(line, "1w"), before=known, near=near, false_bars=false_bars
    )
    if on == "close":
        return fine
    wide = breaks(coarse, line, near=near, false_bars=false_bars)
    columns = {name: align_events(market, wide[name], "1w") for name in LABELS[1:]}
    return pd.DataFrame({"touch": fine["touch"], **columns})


@described
def breach_depth(
    bars: pd.DataFrame, support: pd.Series, *, on: BreachOn = "close", window: int = 14
) -> pd.Series:
    """How far below a support a bar is, in average true ranges.

    ``(support - price) / atr``, > 0 below the support. The range is that known before the
    bar opened, so that a crash is not measured by itself. NaN in warm-up and without a
    support.

    Parameters
    ----------
    on : {"close", "low"}
        Which price.
    window : int
        Bars of the average true range, at least 1.
    """
    if on not in ("close", "low"):
        raise InputError(f"on must be 'close' or 'low'; got {on!r}")
    unit = atr(bars["high"], bars["low"], bars["close"], window).shift(1)
    return ((support - bars[on]) / unit.where(unit > 0)).rename("breach_depth")


@feature(
    "breach_depth",
    unit="ranges",
    title="> 0 below the low of {weeks} weeks",
    warm_up=lambda weeks, window: WarmUp(bars=window + 1, coarse=weeks, before_open=True),
)
@described
def rolling_breach_depth(
    market: MarketView,
    *,
    weeks: int = SUPPORT_WEEKS,
    on: BreachOn = "close",
    window: int = 14,
) -> pd.Series:
    """How far below the lowest low of the closed weeks before it a bar is.

    In average true ranges, > 0 below the support.

    Parameters
    ----------
    weeks : int
        Closed weeks of the support, at least 1.
    on, window
        As in `breach_depth`.
    """
    return breach_depth(market.bars, rolling_support(market, weeks), on=on, window=window)


@feature(
    "support_{column}",
    unit="event",
    title="{column}: the {weeks}-week low, on {on}s",
    columns=SUPPORT_LABELS,
    warm_up=lambda weeks: WarmUp(coarse=weeks, before_open=True),
)
@described
def rolling_breaks(
    market: MarketView,
    *,
    weeks: int = SUPPORT_WEEKS,
    on: BreachOn = "close",
    near: float = 0.0,
    false_bars: int = 3,
    confirm_bars: int = 2,
) -> pd.DataFrame:
    """Breaks of the lowest low of the closed weeks before each bar.

    Parameters
    ----------
    weeks : int
        Closed weeks of the support, at least 1.
    on, near, false_bars, confirm_bars
        As in `support_breaks`.

    Returns
    -------
    pandas.DataFrame of bool, shape (n, 7)
        See `support_breaks`.
    """
    return support_breaks(
        market.bars,
        rolling_support(market, weeks),
        on=on,
        near=near,
        false_bars=false_bars,
        confirm_bars=confirm_bars,
    )
