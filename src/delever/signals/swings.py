"""Levels that the past left behind: swing lows and highs, cycle highs, Fibonacci ratios.

A table of levels has one row per level: ``price`` (quote units), ``kind``, ``origin`` (open of
the bar that made it), ``born`` (when it became known, UTC) and ``ended`` (when a later level took
its place; NaT while it is in force). A swing low is only a low until some bars after it are
higher: `born` is the close of the last of those, never the low itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from delever.errors import InputError
from delever.signals.feature import WarmUp, feature
from delever.signals.glossary import described
from delever.signals.levels import support_below
from delever.view import MarketView

COLUMNS = ("price", "kind", "origin", "born", "ended")
"""Columns of a table of levels."""

RETRACEMENTS = (0.236, 0.382, 0.5, 0.618, 0.786)
EXTENSIONS = (0.618, 1.0, 1.618)


@described
def level_table(
    rows: Sequence[tuple[float, str, pd.Timestamp, pd.Timestamp, object]],
) -> pd.DataFrame:
    """Put levels into a table, in the order they became known.

    Parameters
    ----------
    rows : sequence of (price, kind, origin, born, ended)
        As described in the module; `ended` may be NaT.

    Returns
    -------
    pandas.DataFrame, shape (k, 5)
        Columns `COLUMNS`, sorted by ``born``.
    """
    frame = pd.DataFrame(list(rows), columns=list(COLUMNS))
    for name in ("origin", "born", "ended"):
        frame[name] = pd.to_datetime(frame[name], utc=True).dt.as_unit("ns")
    frame["price"] = frame["price"].astype("float64")
    frame["kind"] = frame["kind"].astype("str")
    return frame.sort_values("born", kind="stable", ignore_index=True)


@feature(
    "swing_support",
    unit="price",
    title="nearest swing low below",
    read=lambda market, table: support_below(market, table[table["kind"] == "swing_low"]),
    warm_up=lambda bars: WarmUp(bars=2 * bars + 2),
    waits=True,
)
@described
def swings(market: MarketView, *, bars: int = 5) -> pd.DataFrame:
    """Swing lows and highs, each known once `bars` bars after it have closed.

    Parameters
    ----------
    bars : int
        Bars on either side, at least 1.

    Returns
    -------
    pandas.DataFrame, shape (k, 5)
        A table of levels of kind ``swing_low`` and ``swing_high``.

    Notes
    -----
    A swing low is a bar whose low is below those of the `bars` bars before it and not above those
    of the `bars` bars after it: of equal lows the first one counts. Highs likewise.
    """
    if bars < 1:
        raise InputError(f"bars must be at least 1; got {bars}")
    opens, closes = market.index, market.close_time
    rows = []
    for kind, values in (
        ("swing_low", market.bars["low"].to_numpy(dtype="float64")),
        ("swing_high", -market.bars["high"].to_numpy(dtype="float64")),
    ):
        for row in _pivots(values, bars):
            born = closes[row + bars]
            rows.append((abs(values[row]), kind, opens[row], born, pd.NaT))
    return level_table(rows)


def _pivots(values: np.ndarray, bars: int) -> list[int]:
    """Rows lower than the `bars` rows before them and not higher than the `bars` after."""
    if len(values) < 2 * bars + 1:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(values, 2 * bars + 1)
    middle = windows[:, bars]
    found = (middle < windows[:, :bars].min(axis=1)) & (
        middle <= windows[:, bars + 1 :].min(axis=1)
    )
    return [int(row) for row in np.flatnonzero(found) + bars]


@feature(
    "cycle_support",
    unit="price",
    title="nearest former cycle high below",
    read=support_below,
    warm_up=lambda: WarmUp(bars=3),
    waits=True,
)
@described
def cycle_highs(market: MarketView, *, fall: float = 0.5) -> pd.DataFrame:
    """Highs of past cycles, each known once the price has fallen far enough from it.

    Parameters
    ----------
    fall : float
        Fall of the close from the highest high so far that ends a cycle, fraction in (0, 1).

    Returns
    -------
    pandas.DataFrame, shape (k, 5)
        A table of levels of kind ``cycle_high``. The next one needs a new highest high first.

    Raises
    ------
    InputError
        If `fall` is not between 0 and 1.
    """
    if not 0 < fall < 1:
        raise InputError(f"fall must be a fraction between 0 and 1; got {fall:g}")
    highs = market.bars["high"].to_numpy(dtype="float64")
    top = np.maximum.accumulate(highs)
    below = market.bars["close"].to_numpy(dtype="float64") <= (1 - fall) * top
    # One level for each highest high: the first bar that has fallen so far from it.
    rows = np.flatnonzero(below)
    rows = rows[np.unique(top[rows], return_index=True)[1]].tolist()
    opens, closes = market.index, market.close_time
    return level_table(
        [
            (top[row], "cycle_high", opens[int(np.argmax(highs == top[row]))], closes[row], pd.NaT)
            for row in rows
        ]
    )


@described
def retracement(low: float, high: float, ratio: float) -> float:
    """Price at which a share of a rise has been given back.

    Parameters
    ----------
    low, high : float
        Where the rise began and ended, in quote units.
    ratio : float
        Share of it, > 0.

    Returns
    -------
    float
        ``high - ratio * (high - low)``, in quote units.

    Examples
    --------
    >>> retracement(100.0, 200.0, 0.25)
    175.0
    """
    return high - ratio * (high - low)


@described
def extension(high: float, low: float, lower_high: float, ratio: float) -> float:
    """Price that a fall reaches when it repeats, from a lower high, a multiple of the last one.

    Parameters
    ----------
    high, low : float
        Where the first fall began and ended, in quote units.
    lower_high : float
        Where the second begins, in quote units.
    ratio : float
        Multiple of the first, > 0.

    Returns
    -------
    float
        ``lower_high - ratio * (high - low)``, in quote units; may be 0 or below.

    Examples
    --------
    >>> round(extension(126_199.63, 80_600.00, 97_924.49, 1.0), 2)
    52324.86
    """
    return lower_high - ratio * (high - low)


@feature(
    "fibonacci_support",
    unit="price",
    title="nearest ratio below",
    read=support_below,
    warm_up=lambda bars: WarmUp(bars=2 * bars + 2),
    waits=True,
)
@described
def fibonacci(
    market: MarketView,
    *,
    bars: int = 15,
    retracements: Sequence[float] = RETRACEMENTS,
    extensions: Sequence[float] = EXTENSIONS,
) -> pd.DataFrame:
    """Fibonacci ratios of the latest confirmed swings.

    Parameters
    ----------
    bars : int
        Bars on either side of a swing, at least 1.
    retracements : sequence of float
        Shares of a rise given back, > 0.
    extensions : sequence of float
        Multiples of a fall projected from the lower high after it, > 0.

    Returns
    -------
    pandas.DataFrame, shape (k, 5)
        A table of levels of kind ``retracement 0.618`` or ``extension 1`` and so on, in force
        until the next swing is confirmed; prices of 0 and below are left out.

    Raises
    ------
    InputError
        If `bars` is below 1 or a ratio is not above 0.

    Notes
    -----
    Swings alternate: of two highs in a row the higher one counts, of two lows the lower one. When
    the last two are a low and then a high, there are retracements of that rise; when before them
    there was a higher high, extensions of the fall from it as well.
    """
    wrong = [ratio for ratio in (*retracements, *extensions) if not ratio > 0]
    if wrong:
        raise InputError(f"Fibonacci ratios must be above 0; got {wrong[0]:g}")
    rows: list[tuple[float, str, pd.Timestamp, pd.Timestamp, object]] = []
    legs: list[tuple[str, float, pd.Timestamp]] = []
    current: list[tuple[float, str, pd.Timestamp, pd.Timestamp, object]] = []
    for price, kind, origin, born, _ in swings(market, bars=bars).itertuples(index=False):
        if not _alternate(legs, kind, price, origin):
            continue
        rows += [(*level[:4], born) for level in current]
        current = [
            (level, name, origin, born, pd.NaT)
            for name, level in _ratios(legs, retracements, extensions)
            if level > 0
        ]
    return level_table(rows + current)


def _alternate(
    legs: list[tuple[str, float, pd.Timestamp]], kind: str, price: float, origin: pd.Timestamp
) -> bool:
    """Add a swing to the legs, or let it replace the last one; False when it changes nothing."""
    if legs and legs[-1][0] == kind:
        beyond = price < legs[-1][1] if kind == "swing_low" else price > legs[-1][1]
        if not beyond:
            return False
        legs.pop()
    legs.append((kind, price, origin))
    del legs[:-3]
    return True


def _ratios(
    legs: list[tuple[str, float, pd.Timestamp]],
    retracements: Sequence[float],
    extensions: Sequence[float],
) -> list[tuple[str, float]]:
    if len(legs) < 2 or legs[-1][0] != "swing_high":
        return []
    low, high = legs[-2][1], legs[-1][1]
    found = [(f"retracement {r:g}", retracement(low, high, r)) for r in retracements]
    if len(legs) == 3 and legs[0][1] > high:
        found += [(f"extension {r:g}", extension(legs[0][1], low, high, r)) for r in extensions]
    return found
