"""Readings on their own clock, and the way back to the bars.

A streak of funding rates or a change of the VIX is counted in the reading's own rows, not in
bars. A row computed from earlier rows alone is known when that row was known; `on_bars` carries
it to the bars through `MarketView.series`, so the publication lag is respected in one place.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.bars import as_of, close_times
from delever.errors import InputError
from delever.frames import utc_index
from delever.signals.glossary import described
from delever.units import timeframe_delta
from delever.view import MarketView

WEEK = pd.Timedelta(7, "D")
"""A daily reading older than this is stale: longer than any holiday of a stock exchange."""


@described
def bars_in(days: float, timeframe: str) -> int:
    """Bars that make so many days.

    Parameters
    ----------
    days : float
        Days of 24 hours, > 0.

    Returns
    -------
    int
        At least 1; rounded to the nearest.

    Raises
    ------
    InputError
        If `days` is not a positive number.

    Examples
    --------
    >>> bars_in(7, "4h"), bars_in(1, "1w")
    (42, 1)
    """
    if not 0 < days < float("inf"):
        raise InputError(f"a window must be a number of days > 0; got {days!r}")
    return max(1, round(pd.Timedelta(days=days) / timeframe_delta(timeframe)))


@described
def own(market: MarketView, name: str, column: str | None = None) -> pd.Series:
    """Rows of a reading, indexed by the vendor's stamp.

    Parameters
    ----------
    name : str
        A key of its readings.
    column : str, optional
        Which column; may be left out when there is only one.

    Returns
    -------
    pandas.Series, shape (m,)
        In the vendor's unit. Rows that are NaN said nothing and are left out.

    Raises
    ------
    InputError
        If there is no such series or column.
    """
    frame = market.reading(name, column).frame
    stamps = utc_index(frame.index, "timestamp", f"series {name!r}")
    values = pd.Series(frame.iloc[:, 0].to_numpy(dtype="float64"), index=stamps, name=name)
    return values[values.notna()]


@described
def on_bars(
    market: MarketView, name: str, values: pd.Series, *, max_age: pd.Timedelta | None = WEEK
) -> pd.Series:
    """Bring rows computed on a reading's clock to the bars that knew them.

    Indexed like the bars; NaN before the first row was known and where the last is too old.

    Parameters
    ----------
    name : str
        The reading whose rows `values` were computed from; its publication lag applies.
    values : pandas.Series, shape (m,)
        Indexed by stamps of that reading; row i may depend on rows up to i alone.
    max_age : pandas.Timedelta, optional
        A row known longer ago than this says nothing about the present; None: it holds until
        the next one, as a protocol's constant does.
    """
    reading = replace(market.readings[name], frame=values.to_frame(name), main="")
    seen = replace(market, readings={name: reading}).series(name)
    if max_age is None:
        return seen
    when = pd.Series(reading.known_at.asi8.astype("float64"), index=reading.known_at)
    last = as_of(when, reading.known_at, market.close_time).to_numpy()
    age = market.close_time.asi8 - last
    return seen.where(age <= max_age.as_unit("ns").value)


@described
def align_events(market: MarketView, events: pd.Series, timeframe: str) -> pd.Series:
    """Bring a yes or no per coarser bar to the one bar at whose close it became known.

    Parameters
    ----------
    events : pandas.Series of bool, shape (m,)
        Indexed by open time of bars of `timeframe`.
    timeframe : str
        The coarser timeframe.

    Returns
    -------
    pandas.Series of bool, shape (n,)
        Unlike `MarketView.align`, which holds a value for the whole of the next coarser bar. A
        bar missing at that instant passes the event on to the next one; what was known before the
        first bar opened is left out.

    Examples
    --------
    >>> days = pd.date_range("2026-01-05", periods=8, tz="UTC")
    >>> market = MarketView(bars=pd.DataFrame({"close": range(8)}, index=days), timeframe="1d")
    >>> week = pd.Series([True], index=days[:1])
    >>> align_events(market, week, "1w").to_numpy().nonzero()[0].tolist()
    [6]
    """
    known = close_times(utc_index(events.index, "open_time", "events"), timeframe)
    since = known > market.index[0] if len(market.index) else np.zeros(len(known), dtype=bool)
    rows = market.close_time.searchsorted(known[events.to_numpy(dtype=bool) & since])
    out = np.zeros(len(market.index), dtype=bool)
    out[rows[rows < len(out)]] = True
    return pd.Series(out, index=market.index, name=events.name)


@described
def ago(values: pd.Series, days: float) -> pd.Series:
    """What a reading said so many days before each of its rows.

    Parameters
    ----------
    values : pandas.Series, shape (m,)
        Indexed by stamp, UTC.
    days : float
        Days back, > 0.

    Returns
    -------
    pandas.Series, shape (m,)
        The last row stamped at or before that instant; NaN when there is none, or none within
        another `days` before it.
    """
    stamps = pd.DatetimeIndex(values.index).as_unit("ns")
    back = _length(days)
    place = stamps.searchsorted(stamps - back, side="right") - 1
    found = (place >= 0) & (stamps.asi8 - stamps.asi8[np.maximum(place, 0)] <= 2 * back.value)
    data = values.to_numpy(dtype="float64")
    return pd.Series(np.where(found, data[np.maximum(place, 0)], np.nan), index=values.index)


@described
def zscore(values: pd.Series, days: float) -> pd.Series:
    """Distance from the mean of the last days, in their standard deviations.

    Parameters
    ----------
    values : pandas.Series, shape (m,)
        Indexed by stamp, UTC.
    days : float
        Length of the window, > 0; it includes the row itself.

    Returns
    -------
    pandas.Series, shape (m,)
        In sample standard deviations (divisor n - 1); NaN until `days` after the first defined
        row, and where nothing varied.
    """
    window = values.rolling(_length(days))
    deviation = window.std()
    return ((values - window.mean()) / deviation.where(deviation > 0)).where(full(values, days))


@described
def full(values: pd.Series, days: float) -> npt.NDArray[np.bool_]:
    """Rows at which a window of so many days has filled.

    Parameters
    ----------
    values : pandas.Series, shape (m,)
        Indexed by stamp, UTC.
    days : float
        Length of the window, > 0.

    Returns
    -------
    numpy.ndarray of bool, shape (m,)
        True for rows stamped at least `days` after the first defined one.
    """
    stamps = pd.DatetimeIndex(values.index).as_unit("ns").asi8
    defined = stamps[values.notna().to_numpy()]
    length = _length(days)
    if not len(defined):
        return np.zeros(len(stamps), dtype=bool)
    return np.asarray(stamps >= defined[0] + length.value)


def _length(days: float) -> pd.Timedelta:
    if not days > 0:
        raise InputError(f"a window must be a number of days > 0; got {days!r}")
    return pd.Timedelta(days=days).as_unit("ns")


@described
def sign_streak(values: pd.Series) -> pd.Series:
    """How many rows in a row have had the same sign, counted with that sign.

    Parameters
    ----------
    values : pandas.Series, shape (m,)
        Signed.

    Returns
    -------
    pandas.Series, shape (m,)
        3 for the third positive row in a row, -2 for the second negative one, 0 for a zero; NaN
        where `values` is NaN, which also ends a streak.

    Examples
    --------
    >>> sign_streak(pd.Series([0.1, 0.2, -0.1, 0.0, -1.0, -2.0])).tolist()
    [1.0, 2.0, -1.0, 0.0, -1.0, -2.0]
    """
    sign = pd.Series(np.sign(values), index=values.index)
    run = (sign != sign.shift(1)).cumsum()
    count = sign.groupby(run).cumcount() + 1
    return pd.Series(sign.to_numpy() * count.to_numpy(), index=values.index)
