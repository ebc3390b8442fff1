"""Causal time alignment: coarser bars from finer ones, and as-of joins on known-at times.

This is the one place where a value moves from one clock to another.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.errors import InputError
from delever.units import floor_to, timeframe_delta

__all__ = ["as_of", "close_times", "gaps", "resample"]

_HOW = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}


def close_times(index: pd.DatetimeIndex, timeframe: str) -> pd.DatetimeIndex:
    """Instant at which each bar is known.

    Parameters
    ----------
    index : pandas.DatetimeIndex, shape (n,)
        Open times in UTC.
    timeframe : str
        Timeframe of the bars.

    Returns
    -------
    pandas.DatetimeIndex, shape (n,)
        ``open_time + timeframe``.
    """
    return pd.DatetimeIndex(index.as_unit("ns") + timeframe_delta(timeframe), name="close_time")


def resample(bars: pd.DataFrame, timeframe: str, coarser: str) -> pd.DataFrame:
    """Closed bars of a coarser timeframe.

    A coarser bar is formed from the calendar, never by counting rows, so a gap shifts nothing.
    It is left out while it is not closed (its close lies after the close of the last finer bar),
    when it began before the data did (a partial bar), and when it holds no finer bar at all.

    Parameters
    ----------
    bars : pandas.DataFrame, shape (n, k)
        Finer bars indexed by open time in UTC, columns among open, high, low, close, volume.
    timeframe : str
        Timeframe of `bars`.
    coarser : str
        Timeframe wanted; a multiple of `timeframe`.

    Returns
    -------
    pandas.DataFrame, shape (m, k)
        Indexed by open time in UTC.

    Raises
    ------
    InputError
        If `coarser` is not a whole multiple of `timeframe`.

    Examples
    --------
    >>> days = pd.date_range("2026-02-02", periods=13, tz="UTC", name="open_time")
    >>> bars = pd.DataFrame({"close": range(1, 14)}, index=days)
    >>> resample(bars, "1d", "1w")["close"].tolist()  # the second week is not closed
    [7]
    """
    ratio = timeframe_delta(coarser) / timeframe_delta(timeframe)
    if ratio < 1 or ratio != int(ratio):
        raise InputError(
            f"the coarser timeframe must be a whole multiple of {timeframe}; got {coarser}"
        )
    index = pd.DatetimeIndex(bars.index).as_unit("ns")
    if not len(index):
        return bars.copy()
    opens = floor_to(index, coarser)
    known_until = index[-1] + timeframe_delta(timeframe)
    whole = (opens >= index[0]) & (close_times(opens, coarser) <= known_until)
    columns = {name: how for name, how in _HOW.items() if name in bars.columns}
    grouped = bars.loc[whole, list(columns)].groupby(opens[whole])
    return grouped.agg(columns).rename_axis("open_time")


def as_of(values: pd.Series, known_at: pd.DatetimeIndex, at: pd.DatetimeIndex) -> pd.Series:
    """Latest value known at each instant.

    Parameters
    ----------
    values : pandas.Series, shape (m,)
        Readings, in the order they were stamped.
    known_at : pandas.DatetimeIndex, shape (m,)
        When each became known; must not decrease.
    at : pandas.DatetimeIndex, shape (n,)
        Instants of decision.

    Returns
    -------
    pandas.Series, shape (n,)
        Indexed by `at`; NaN before the first reading. A reading known exactly at an instant counts.

    Raises
    ------
    InputError
        If `known_at` decreases or its length differs.

    Examples
    --------
    >>> known = pd.DatetimeIndex(["2021-01-02", "2021-01-03"], tz="UTC")
    >>> as_of(pd.Series([1.0, 2.0]), known, known - pd.Timedelta(hours=1)).tolist()
    [nan, 1.0]
    """
    if len(known_at) != len(values):
        raise InputError(
            f"known_at must have one stamp per value; got {len(known_at)} for {len(values)}"
        )
    if not known_at.is_monotonic_increasing:
        raise InputError(
            "known_at must not decrease: readings must be in the order they were known"
        )
    place = known_at.as_unit("ns").searchsorted(at.as_unit("ns"), side="right") - 1
    data = values.to_numpy(dtype="float64")
    if not len(data):
        return pd.Series(np.nan, index=at, name=values.name)
    return pd.Series(
        np.where(place >= 0, data[np.maximum(place, 0)], np.nan), index=at, name=values.name
    )


def gaps(index: pd.DatetimeIndex, timeframe: str) -> pd.DataFrame:
    """Stretches of the grid that hold no bar.

    Parameters
    ----------
    index : pandas.DatetimeIndex, shape (n,)
        Open times in UTC, strictly increasing.
    timeframe : str
        The grid.

    Returns
    -------
    pandas.DataFrame, shape (g, 3)
        One row per gap: ``start`` (open time of the first missing bar), ``end`` (open time of the
        next present bar), ``bars`` (how many are missing).

    Examples
    --------
    >>> days = pd.DatetimeIndex(["2021-01-01", "2021-01-02", "2021-01-05"], tz="UTC")
    >>> gaps(days, "1d")["bars"].tolist()
    [2]
    """
    step = timeframe_delta(timeframe)
    stamps = index.as_unit("ns")
    jumps = np.flatnonzero(np.diff(stamps.asi8) > step.value)
    starts, ends = stamps[jumps] + step, stamps[jumps + 1]
    return pd.DataFrame(
        {"start": starts, "end": ends, "bars": ((ends - starts) // step).astype("int64")}
    )
