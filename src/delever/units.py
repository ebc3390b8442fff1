"""Timeframes, their grids in UTC, and how many of them make a year.

A timeframe is written as ccxt writes it: a whole number and one of ``m h d w``. Weeks begin on
Monday 00:00 UTC; everything else is aligned to the Unix epoch. Calendar months are no
timeframe: they have no fixed length.
"""

from __future__ import annotations

import re

import pandas as pd

from delever.errors import InputError

__all__ = ["DAYS_PER_YEAR", "floor_to", "off_grid", "periods_per_year", "timeframe_delta"]

DAYS_PER_YEAR = 365
"""Crypto trades every day; a year is 365 of them, as empyrical's ``annualization=365``."""

_UNITS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PATTERN = re.compile(r"([1-9]\d*)([mhdw])")
_MONDAY = pd.Timestamp("1970-01-05", tz="UTC").as_unit("ns")
_EPOCH = pd.Timestamp(0, tz="UTC").as_unit("ns")


def timeframe_delta(timeframe: str) -> pd.Timedelta:
    """Length of one bar.

    Parameters
    ----------
    timeframe : str
        Such as ``"1m"``, ``"4h"``, ``"1d"``, ``"1w"``.

    Returns
    -------
    pandas.Timedelta
        In nanosecond resolution.

    Raises
    ------
    InputError
        If `timeframe` is not a whole number followed by m, h, d or w.

    Examples
    --------
    >>> timeframe_delta("4h")
    Timedelta('0 days 04:00:00')
    """
    match = _PATTERN.fullmatch(timeframe)
    if match is None:
        raise InputError(
            f"timeframe must be a whole number and one of m, h, d, w (such as '1d'); "
            f"got {timeframe!r}"
        )
    count, unit = match.groups()
    return pd.Timedelta(seconds=int(count) * _UNITS[unit]).as_unit("ns")


def periods_per_year(timeframe: str) -> float:
    """Bars in a year of 365 days.

    Parameters
    ----------
    timeframe : str
        Such as ``"1d"``.

    Returns
    -------
    float
        365 for ``"1d"``, 365 / 7 for ``"1w"``, 8760 for ``"1h"``.

    Examples
    --------
    >>> periods_per_year("1d"), periods_per_year("4h")
    (365.0, 2190.0)
    """
    return float(DAYS_PER_YEAR * pd.Timedelta(days=1) / timeframe_delta(timeframe))


def floor_to(index: pd.DatetimeIndex, timeframe: str) -> pd.DatetimeIndex:
    """Open time of the bar of `timeframe` that each stamp falls into.

    Parameters
    ----------
    index : pandas.DatetimeIndex, shape (n,)
        UTC stamps.
    timeframe : str
        The coarser timeframe.

    Returns
    -------
    pandas.DatetimeIndex, shape (n,)
        UTC, each at or before its stamp.

    Examples
    --------
    >>> stamps = pd.DatetimeIndex(["2026-02-08 12:00"], tz="UTC")  # a Sunday
    >>> floor_to(stamps, "1w")[0].date()
    datetime.date(2026, 2, 2)
    """
    anchor = _MONDAY if timeframe.endswith("w") else _EPOCH
    step = timeframe_delta(timeframe)
    stamps = index.as_unit("ns")
    return pd.DatetimeIndex(stamps - (stamps - anchor) % step, name=index.name)


def off_grid(index: pd.DatetimeIndex, timeframe: str) -> pd.Series:
    """Which stamps do not lie on the grid of `timeframe`.

    Parameters
    ----------
    index : pandas.DatetimeIndex, shape (n,)
        UTC stamps.
    timeframe : str
        The grid.

    Returns
    -------
    pandas.Series of bool, shape (n,)
        True where a stamp is not an open time of `timeframe`.
    """
    return pd.Series(index.as_unit("ns") != floor_to(index, timeframe), index=index)
