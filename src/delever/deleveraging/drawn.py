"""Deleveraging periods drawn by a rule, with hindsight, from closes alone.

The catalogue lists falls that reporters put down to forced selling. Nobody reports on a simulated
market, so here the most severe falls stand in their place; start, trough and end follow the
catalogue. Never a signal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats
from delever.bars import close_times, resample
from delever.deleveraging.period import Period
from delever.errors import InputError
from delever.units import DAYS_PER_YEAR, timeframe_delta

Ints = npt.NDArray[np.int64]

PER_YEAR = 1.2
"""Falls drawn per year: as many as the catalogue lists on the embedded sample."""

LEAST_FALL = 1 / 8
LONGEST = 60  # days from the last high to the trough; the catalogue's longest takes 51
RETURN_DAYS = 7  # days after the trough by which a period ends
SHARE_BACK = 1 / 4  # of the fall, regained, ends it before
# Days of the volatility a fall is measured by, up to the last high, and the fewest that do.
VOLATILITY_DAYS, FEWEST_DAYS = 365, 90
# A fall of d days counts as depth / (volatility * d ** GROWTH): halfway between depth alone (0),
# which prefers the longest falls, and a random walk's scale (1/2), which prefers single days.
GROWTH = 1 / 4


class Falls(NamedTuple):
    """Rows of closes, one entry per period, in order of time."""

    first: Ints  # the bar after the last high
    trough: Ints
    last: Ints


def drawn_periods(
    close: pd.Series, timeframe: str, *, since: pd.Timestamp | None = None
) -> tuple[Period, ...]:
    """Draw deleveraging periods on the closes of a market, in order of time and without overlap.

    Closes finer than a day are reduced to those of whole days. Periods start at or after `since`;
    closes before it only measure volatility.

    Raises InputError if a close is not a finite number above 0; SchemaError if the stamps carry no
    time zone.
    """
    opens, closes, falls = _drawn(close, timeframe, since)
    return tuple(
        Period(
            id=f"drawn-{opens[first]:%Y-%m-%d}",
            title=f"Drawn from {opens[first]:%Y-%m-%d}",
            start=opens[first],
            trough=opens[trough],
            end=closes[last],
            cause="Drawn by rule from closes.",
        )
        for first, trough, last in zip(*falls, strict=True)
    )


def drawn_inside(
    close: pd.Series, timeframe: str, *, since: pd.Timestamp | None = None
) -> tuple[npt.NDArray[np.bool_], int]:
    """Which bars lie inside the periods of `drawn_periods`, and how many periods there are.

    Raises what that raises.
    """
    opens, closes, falls = _drawn(close, timeframe, since)
    index = pd.DatetimeIndex(close.index)
    inside = np.zeros(len(index) + 1, dtype=np.int8)
    inside[index.searchsorted(opens[falls.first])] += 1
    inside[index.searchsorted(closes[falls.last])] -= 1
    return np.cumsum(inside[:-1]) > 0, len(falls.first)


def _drawn(
    close: pd.Series, timeframe: str, since: pd.Timestamp | None
) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex, Falls]:
    """Open and close times of the bars that periods are drawn on, and their rows."""
    coarse = _drawing_timeframe(timeframe)
    if coarse != timeframe:
        close = resample(close.to_frame("close"), timeframe, coarse)["close"]
    opens = pd.DatetimeIndex(close.index)
    begin = 0 if since is None else int(opens.searchsorted(since))
    falls = drawn_falls(close.to_numpy(dtype=np.float64), coarse, begin=begin)
    return opens, close_times(opens, coarse), falls


def _drawing_timeframe(timeframe: str) -> str:
    """Timeframe that periods are drawn on: days, or that of coarser bars."""
    return "1d" if timeframe_delta(timeframe) < timeframe_delta("1d") else timeframe


def drawn_falls(close: Floats, timeframe: str = "1d", *, begin: int = 0) -> Falls:
    """Draw periods as rows of closes, of a day or coarser, by the rule of docs/periods.md.

    Raises InputError if a close is not a finite number above 0.
    """
    if not (np.isfinite(close).all() and (close > 0).all()):
        raise InputError("close must be finite and above 0 to draw periods on; repair the bars")
    if len(close) < 2:
        return Falls(*(np.empty(0, dtype=np.int64) for _ in Falls._fields))
    days = timeframe_delta(timeframe) / pd.Timedelta(days=1)
    log = np.log(close)
    high, trough = _candidates(log, begin, max(1, int(LONGEST / days)))
    deviation = _volatility(log, int(VOLATILITY_DAYS / days), max(2, int(FEWEST_DAYS / days)))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = deviation[high] * (trough - high) ** GROWTH
        severity = (log[high] - log[trough]) / scale
    last, lowest = _ends(close, high, trough, max(1, int(RETURN_DAYS / days)))
    usable = np.isfinite(severity) & lowest
    high, trough, last = high[usable], trough[usable], last[usable]
    severity = severity[usable]
    most = round(PER_YEAR * (len(close) - begin) * days / DAYS_PER_YEAR)
    chosen: list[int] = []
    while len(severity) and len(chosen) < most and np.isfinite(best := severity.max()):
        pick = int(np.argmax(severity == best))
        chosen.append(pick)
        severity[(high < last[pick]) & (last > high[pick])] = -np.inf
    rows = np.array(sorted(chosen, key=high.__getitem__), dtype=np.int64)
    return Falls(high[rows] + 1, trough[rows], last[rows])


def _candidates(log: Floats, begin: int, longest: int) -> tuple[Ints, Ints]:
    """Every high from `begin` on with each lower low after it, as long as no close is higher."""
    high = np.arange(max(begin - 1, 0), len(log) - 1)
    low = log[high]
    highs, troughs = [high[:0]], [high[:0]]
    for step in range(1, longest + 1):
        on = high + step < len(log)
        high, low = high[on], low[on]
        now = log[high + step]
        on = now < log[high]
        high, low, now = high[on], low[on], now[on]
        lower = now < low
        deep = lower & (log[high] - now >= -np.log1p(-LEAST_FALL))
        highs.append(high[deep])
        troughs.append(high[deep] + step)
        low = np.where(lower, now, low)
    return np.concatenate(highs), np.concatenate(troughs)


def _volatility(log: Floats, most: int, fewest: int) -> Floats:
    """Standard deviation of the last `most` log returns at each close; NaN below `fewest`."""
    returns = np.diff(log, prepend=log[:1])
    sums, squares = (np.append(0.0, np.cumsum(each)) for each in (returns, returns**2))
    row = np.arange(len(log))
    # The first return is unknown, and counted nowhere.
    since = np.maximum(row - most, 0)
    count = (row - since).astype(np.float64)
    total = sums[row + 1] - sums[since + 1]
    square = squares[row + 1] - squares[since + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (square - total**2 / count) / (count - 1)
    # What is left of the cumulated squares' rounding is no volatility.
    known = (count >= fewest) & (variance > 1e-12 * squares[row + 1])
    return np.sqrt(np.where(known, variance, np.nan))


def _ends(close: Floats, high: Ints, trough: Ints, most: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Last bar of each period, and whether the trough is its lowest close."""
    level = close[trough] + SHARE_BACK * (close[high] - close[trough])
    last = np.minimum(trough + most, len(close) - 1)
    open_ = np.ones(len(trough), dtype=np.bool_)
    lowest = open_.copy()
    for step in range(1, most + 1):
        row = np.minimum(trough + step, len(close) - 1)
        lowest &= ~open_ | (close[row] >= close[trough])
        back = open_ & (close[row] >= level)
        last[back] = row[back]
        open_ &= ~back
    return last, lowest
