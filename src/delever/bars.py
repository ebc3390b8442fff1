"""Causal time alignment: coarser bars from finer ones, and as-of joins on known-at times.

This is the one place where a value moves from one clock to another. Throughout, a bar that opens
at o with a timeframe of w is known at its close, o + w, and at no moment before.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.errors import InputError
from delever.funding_stamps import missing_stamps
from delever.kinds import kind_of
from delever.units import divides, floor_to, periods_per_year, timeframe_delta

_COLUMNS = ("open", "high", "low", "close", "volume")


def close_times(index: pd.DatetimeIndex, timeframe: str) -> pd.DatetimeIndex:
    """Instant at which each bar is known."""
    length, stamps = timeframe_delta(timeframe), index.as_unit("ns")
    if index.tz is not dt.UTC:
        return pd.DatetimeIndex(stamps + length, name="close_time")
    closes: Any = stamps.array  # of which the sum is had in half the time
    return pd.DatetimeIndex(closes + length, name="close_time")


def spans(index: pd.DatetimeIndex, timeframe: str) -> npt.NDArray[np.float64]:
    """How many bars of time each bar stands for: itself, and those missing between it and the next.

    Examples
    --------
    >>> spans(pd.DatetimeIndex(["2021-01-01", "2021-01-04", "2021-01-05"], tz="UTC"), "1d").tolist()
    [3.0, 1.0, 1.0]
    """
    opens = index.as_unit("ns").asi8
    return np.append(np.diff(opens) / timeframe_delta(timeframe).value, 1.0)[: len(opens)]


def missing_bars(index: pd.DatetimeIndex, timeframe: str) -> int:
    """How many bars are missing between the first and the last."""
    return round(float(spans(index, timeframe).sum())) - len(index)


def elapsed_years(index: pd.DatetimeIndex, timeframe: str) -> float:
    """Years of 365 days from the open of the first bar to the close of the last.

    Missing bars are time that passed, so leaving out bars in which nothing happens changes no
    yearly figure.

    Examples
    --------
    >>> days = pd.DatetimeIndex(["2021-01-01", "2021-12-31"], tz="UTC")
    >>> elapsed_years(days, "1d")
    1.0
    """
    return float(spans(index, timeframe).sum()) / periods_per_year(timeframe)


def resample(bars: pd.DataFrame, timeframe: str, coarser: str) -> pd.DataFrame:
    """Closed bars of a coarser timeframe.

    A coarser bar is formed from the calendar, never by counting rows, so a gap shifts nothing.
    It is left out while it is not closed (its close lies after the close of the last finer bar),
    when it began before the data did (a partial bar), and when it holds no finer bar at all.

    Raises InputError if bars of `timeframe` do not fill bars of `coarser` exactly.
    """
    if not divides(timeframe, coarser):
        raise InputError(
            f"the coarser timeframe must be a whole multiple of {timeframe} on the same grid; "
            f"got {coarser}"
        )
    step, width = timeframe_delta(timeframe).value, timeframe_delta(coarser).value
    index = pd.DatetimeIndex(bars.index).as_unit("ns")
    columns = [name for name in _COLUMNS if name in bars.columns]
    # A finer bar that opens at o belongs to the coarser bar [O, O + W) with O = anchor +
    # W floor((o - anchor) / W); `first` and `last` are the rows of each O that holds any.
    opens = floor_to(index, coarser).asi8
    first = np.flatnonzero(np.diff(opens, prepend=opens[:1] - 1))
    last = np.append(first[1:], len(index)) - 1
    # Whole are those with O >= the first o (none of it lies before the data) and O + W <= the last
    # o + w (it has closed).
    begun, closed = opens[first] >= index.asi8[:1], opens[first] + width <= index.asi8[-1:] + step
    whole = begun & closed
    data = {
        name: _reduce(name, bars[name].to_numpy(dtype="float64"), first, last)[whole]
        for name in columns
    }
    stamps = pd.DatetimeIndex(opens[first][whole].view("M8[ns]")).tz_localize("UTC")
    return pd.DataFrame(data, index=stamps.rename("open_time"), columns=columns)


def _reduce(
    name: str,
    values: npt.NDArray[np.float64],
    first: npt.NDArray[np.intp],
    last: npt.NDArray[np.intp],
) -> npt.NDArray[np.float64]:
    if name == "open" or not len(values):
        return values[first]
    if name == "close":
        return values[last]
    how = {"high": np.maximum, "low": np.minimum, "volume": np.add}[name]
    return np.asarray(how.reduceat(values, first), dtype="float64")


def as_of(values: pd.Series, known_at: pd.DatetimeIndex, at: pd.DatetimeIndex) -> pd.Series:
    """Latest value known at each instant.

    Raises InputError if `known_at` decreases or its length differs.
    """
    if len(known_at) != len(values):
        raise InputError(
            f"known_at must have one stamp per value; got {len(known_at)} for {len(values)}"
        )
    # value(t) = values[max {i : known_at[i] <= t}], NaN where there is no such i
    return pick(values, last_known(known_at, at), at)


def last_known(known_at: pd.DatetimeIndex, at: pd.DatetimeIndex) -> npt.NDArray[np.intp]:
    """Row of the latest value known at each instant; -1 where there is none.

    Raises InputError if `known_at` decreases.
    """
    if not known_at.is_monotonic_increasing:
        raise InputError(
            "known_at must not decrease: readings must be in the order they were known"
        )
    return known_at.as_unit("ns").searchsorted(at.as_unit("ns"), side="right") - 1


def pick(values: pd.Series, rows: npt.NDArray[np.intp], index: pd.DatetimeIndex) -> pd.Series:
    """Values at some rows, as `last_known` gives them; NaN where there is none."""
    known = np.append(values.to_numpy(dtype="float64"), np.nan)  # -1 is the last of these
    return pd.Series(known[rows], index=index, name=values.name, copy=False)


def gaps(index: pd.DatetimeIndex, timeframe: str, kind: str = "ohlcv") -> pd.DataFrame:
    """Stretches that hold no row where one is due: ``start``, ``end`` (exclusive), ``bars``.

    Due is one row a timeframe; funding by the intervals that its stamps show.
    """
    step = timeframe_delta(timeframe)
    stamps = index.as_unit("ns")
    if kind_of(kind).own_intervals:
        holes = np.array(missing_stamps(stamps.asi8, step.value), dtype="int64").reshape(-1, 3)
        begin, end = (_utc(holes[:, place]) for place in (0, 1))
        counts = np.maximum(1, (holes[:, 1] - holes[:, 0] + holes[:, 2] // 2) // holes[:, 2])
        return pd.DataFrame({"start": begin, "end": end, "bars": counts})
    # Between stamps a and b, round((b - a) / w) - 1 are missing; the rounding is for readings off
    # the grid, which may stand up to half a timeframe beside it.
    missing = (np.diff(stamps.asi8) + step.value // 2) // step.value - 1
    jumps = np.flatnonzero(missing > 0)
    starts, ends = stamps[jumps] + step, stamps[jumps + 1]
    return pd.DataFrame({"start": starts, "end": ends, "bars": missing[jumps].astype("int64")})


def _utc(counts: npt.NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(counts.view("M8[ns]")).tz_localize("UTC")
