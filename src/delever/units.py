"""Timeframes, their grids in UTC, and how many of them make a year.

A timeframe is written as ccxt writes it: a whole number and one of ``m h d w``. Weeks begin on
Monday 00:00 UTC; everything else is aligned to the Unix epoch. Calendar months are no
timeframe: they have no fixed length.
"""

from __future__ import annotations

import numbers
import re
from functools import cache

import pandas as pd

from delever.errors import InputError

DAYS_PER_YEAR = 365
"""Crypto trades every day; a year is 365 of them, as empyrical's ``annualization=365``."""

_UNITS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_LONGEST = 100 * DAYS_PER_YEAR * 86_400
_PATTERN = re.compile(r"([1-9][0-9]{0,8})([mhdw])")
_YEAR = DAYS_PER_YEAR * pd.Timedelta(days=1)
_MONDAY = pd.Timestamp("1970-01-05", tz="UTC").value


def timeframe_delta(timeframe: str) -> pd.Timedelta:
    """Length of one bar.

    Raises InputError if `timeframe` is not a whole number followed by m, h, d or w, or longer than
    100 years.
    """
    if not isinstance(timeframe, str):
        raise _no_timeframe(timeframe)
    return _delta(timeframe)


@cache
def _delta(timeframe: str) -> pd.Timedelta:
    match = _PATTERN.fullmatch(timeframe)
    if match is None:
        raise _no_timeframe(timeframe)
    count, unit = match.groups()
    seconds = int(count) * _UNITS[unit]
    if seconds > _LONGEST:
        raise InputError(f"timeframe must be at most 100 years; got {timeframe!r}")
    return pd.Timedelta(seconds=seconds).as_unit("ns")


def _no_timeframe(got: object) -> InputError:
    return InputError(
        f"timeframe must be a whole number and one of m, h, d, w (such as '1d'); got {got!r}"
    )


def timeframe_of(nanoseconds: int) -> str:
    """Length of a bar as a timeframe; what is none, in words.

    Examples
    --------
    >>> timeframe_of(4 * 3_600 * 10**9)
    '4h'
    """
    for unit, seconds in reversed(_UNITS.items()):
        if nanoseconds > 0 and nanoseconds % (seconds * 10**9) == 0:
            return f"{nanoseconds // (seconds * 10**9)}{unit}"
    return str(pd.Timedelta(nanoseconds))


def periods_per_year(timeframe: str) -> float:
    """Bars in a year of 365 days."""
    return float(_YEAR / timeframe_delta(timeframe))


def divides(timeframe: str, coarser: str) -> bool:
    """Whether bars of a timeframe fill bars of another exactly, or are those.

    Examples
    --------
    >>> divides("1d", "1w"), divides("1w", "1d"), divides("4h", "4h")
    (True, False, True)
    """
    step, width = timeframe_delta(timeframe).value, timeframe_delta(coarser).value
    return width % step == 0 and (grid_anchor(coarser) - grid_anchor(timeframe)) % step == 0


def floor_to(index: pd.DatetimeIndex, timeframe: str) -> pd.DatetimeIndex:
    """Open time of the bar of `timeframe` that each stamp falls into."""
    step = timeframe_delta(timeframe).value
    stamps = index.as_unit("ns").asi8
    floor = stamps - (stamps - grid_anchor(timeframe)) % step
    return pd.DatetimeIndex(floor.view("M8[ns]")).tz_localize("UTC").rename(index.name)


def grid_anchor(timeframe: str) -> int:
    """One open time of the grid, which repeats every timeframe from there both ways."""
    return _MONDAY if timeframe.endswith("w") else 0


def off_grid(index: pd.DatetimeIndex, timeframe: str) -> pd.Series:
    """Which stamps do not lie on the grid of `timeframe`."""
    return pd.Series(index.as_unit("ns").asi8 != floor_to(index, timeframe).asi8, index=index)


def utc(time: str | pd.Timestamp, name: str) -> pd.Timestamp:
    """A date or time as a UTC stamp.

    Raises InputError if it is anything else, or outside the years 1678 to 2261.

    Examples
    --------
    >>> utc("2021-05-19", "start")
    Timestamp('2021-05-19 00:00:00+0000', tz='UTC')
    """
    try:
        moment = pd.Timestamp("" if isinstance(time, numbers.Number) else time)  # no calendar
        stamp = moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")
        stamp = stamp.as_unit("ns")
    except (ValueError, TypeError, OverflowError, AttributeError):
        stamp = None
    if stamp is None or pd.isna(stamp) or not 1678 <= stamp.year <= 2261:
        raise InputError(
            f"{name} must be a date or a time in UTC, such as 2021-05-19; got {time!r}"
        )
    return stamp
