"""Funding: what a position pays, how a rate comes about, and whether the stamps cover a run."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from delever.errors import DataError

__all__ = [
    "INTERVALS",
    "Hole",
    "funding_between",
    "funding_holes",
    "funding_intervals",
    "funding_payment",
    "funding_rate",
    "snap_to_second",
]

Stamps = NDArray[np.int64]

_SECOND = 1_000_000_000
_HOUR = 3_600 * _SECOND
INTERVALS: tuple[int, ...] = tuple(hours * _HOUR for hours in (1, 2, 4, 8, 24))
"""Funding intervals venues have used, in nanoseconds: 1, 2, 4, 8 and (early BitMEX) 24 hours."""


class Hole(NamedTuple):
    """A stretch of time in which at least one funding stamp is missing.

    Attributes
    ----------
    after, before : int
        Nanoseconds since 1970-01-01 UTC: the stamp (or start of the run) before the stretch and the
        one (or end of the run) behind it.
    interval : int
        Nanoseconds between two stamps there.
    """

    after: int
    before: int
    interval: int


def funding_payment(
    position: float, mark_price: float, funding_rate: float, *, inverse: bool = False
) -> float:
    """Cash the account receives at a funding stamp.

    Parameters
    ----------
    position, inverse
        As in `delever.venues.contract.notional`, held at the stamp.
    mark_price : float
        At the stamp, > 0.
    funding_rate : float
        Fraction for the interval that ends at the stamp; > 0: longs pay.

    Returns
    -------
    float
        Settlement units; < 0 is paid. ``-position * mark_price * funding_rate``, or
        ``-position / mark_price * funding_rate`` of an inverse contract.

    Examples
    --------
    >>> funding_payment(-2.0, 50_000.0, 0.0001)
    10.0
    """
    if inverse:
        return -position / mark_price * funding_rate
    return -position * mark_price * funding_rate


def funding_rate(
    average_premium: float,
    *,
    interest_rate: float = 0.0001,
    clamp: float = 0.0005,
    interval_hours: float = 8.0,
) -> float:
    """Funding rate of an interval, from the average premium of the perpetual over its index.

    Parameters
    ----------
    average_premium : float
        Fraction; time-weighted average of the premium index over the interval.
    interest_rate : float
        Fraction per 8 hours.
    clamp : float
        Largest distance between rate and premium, per 8 hours.
    interval_hours : float
        Length of the interval; shorter ones pay their share of the rate of 8 hours.

    Returns
    -------
    float
        Fraction for the interval; > 0: longs pay.

    Notes
    -----
    ``F = (P + clamp(I - P, -c, c)) * interval_hours / 8``. A venue's own cap on the rate is not
    applied.

    References
    ----------
    Binance, *Introduction to Binance Futures Funding Rates*, and Hyperliquid Docs, *Funding*: the
    same formula, of which Hyperliquid takes an eighth every hour.

    Examples
    --------
    >>> round(funding_rate(0.0003), 9), round(funding_rate(-0.002), 9)
    (0.0001, -0.0015)
    """
    nearer = min(max(interest_rate - average_premium, -clamp), clamp)
    return (average_premium + nearer) * interval_hours / 8.0


def snap_to_second(stamps: Stamps) -> Stamps:
    """Stamps at the nearest whole second; venues write some a few milliseconds late.

    Parameters
    ----------
    stamps : numpy.ndarray of int64, shape (n,)
        Nanoseconds since 1970-01-01 UTC.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
    """
    return (np.asarray(stamps, dtype=np.int64) + _SECOND // 2) // _SECOND * _SECOND


def funding_intervals(stamps: Stamps) -> Stamps:
    """Interval in force before each stamp but the first.

    Parameters
    ----------
    stamps : numpy.ndarray of int64, shape (n,)
        Nanoseconds since 1970-01-01 UTC, on whole seconds, increasing; n >= 2.

    Returns
    -------
    numpy.ndarray of int64, shape (n - 1,)
        Nanoseconds, each one of `INTERVALS`; where a stamp is missing, shorter than the distance to
        the stamp before.

    Raises
    ------
    DataError
        If there are fewer than two stamps, they do not increase, or no two are one of `INTERVALS`
        apart.

    Notes
    -----
    A distance between two stamps is taken for an interval when it is one of `INTERVALS` and not
    longer than both the nearest such distance before it and the nearest behind it; otherwise it is
    a hole, and the longer of those two is the interval. One missing stamp among 4-hourly ones is
    therefore a hole of 8 hours, and 8-hourly stamps from some day on are a change of interval. Two
    missing stamps in a row of alternate ones cannot be told from such a change.
    """
    if stamps.size < 2:
        raise DataError(
            f"funding needs at least two stamps to know its interval; got {stamps.size}; "
            "store more of its history"
        )
    apart = np.diff(stamps)
    if not (apart > 0).all():
        place = int(np.argmin(apart > 0)) + 1
        raise DataError(
            f"funding stamps must increase; row {place} ({_said(stamps[place])}) does not come "
            "after the row before; sort them and remove repeats"
        )
    known = np.isin(apart, INTERVALS)
    if not known.any():
        raise DataError(
            "funding stamps must be 1, 2, 4, 8 or 24 hours apart; no two of them are, the first "
            f"being {_said(stamps[0])} and {_said(stamps[1])}; correct the stamps"
        )
    places = np.arange(apart.size)
    before = np.maximum.accumulate(np.where(known, places, -1))
    behind = np.minimum.accumulate(np.where(known, places, apart.size)[::-1])[::-1]
    before = np.concatenate(([-1], before[:-1]))
    behind = np.concatenate((behind[1:], [apart.size]))
    padded = np.append(apart, 0)
    longest = np.maximum(
        np.where(before < 0, 0, padded[before]), np.where(behind == apart.size, 0, padded[behind])
    )
    alone = known & (longest == 0)
    return np.where(known & ((apart <= longest) | alone), apart, longest).astype(np.int64)


def funding_holes(stamps: Stamps, start: int, end: int) -> tuple[Hole, ...]:
    """Stretches of a run that funding stamps do not cover.

    Parameters
    ----------
    stamps : numpy.ndarray of int64, shape (n,)
        Nanoseconds since 1970-01-01 UTC, increasing; snapped to the second here.
    start, end : int
        Open of the first and close of the last bar of the run, nanoseconds.

    Returns
    -------
    tuple of Hole
        In order of time; empty when the run is covered. Stamps at `start` and at `end` may be
        absent: nothing is held before the first fill, and the stamp at the close of the last
        bar belongs to the bar after it.

    Raises
    ------
    DataError
        As `funding_intervals`.
    """
    exact = snap_to_second(stamps)
    intervals = funding_intervals(exact)
    holes = [
        Hole(int(exact[i]), int(exact[i + 1]), int(intervals[i]))
        for i in np.flatnonzero(np.diff(exact) > intervals)
        if exact[i] < end and exact[i + 1] > start
    ]
    first, last = int(exact[0]), int(exact[-1])
    if first - start > intervals[0]:
        holes.insert(0, Hole(start, min(first, end), int(intervals[0])))
    if end - last > intervals[-1]:
        holes.append(Hole(max(last, start), end, int(intervals[-1])))
    return tuple(holes)


def funding_between(
    position: float,
    opened: int,
    closed: int,
    *,
    stamps: Stamps,
    mark_prices: NDArray[np.float64],
    rates: NDArray[np.float64],
) -> float:
    """Cash of a position held from one moment to another.

    Parameters
    ----------
    position : float
        Signed base units of a linear contract.
    opened, closed : int
        Nanoseconds since 1970-01-01 UTC, ``opened <= closed``.
    stamps, mark_prices, rates : numpy.ndarray, shape (n,)
        Increasing whole seconds in nanoseconds, with mark price and funding rate at each.

    Returns
    -------
    float
        Quote units; < 0 is paid; 0 when no stamp falls into the holding.

    Notes
    -----
    A stamp counts when ``opened <= stamp <= closed``: who holds a position at the stamp settles
    it, whether it is the first moment of the holding or the last. In a bar the engine settles
    funding before it fills, so a position it opens at a stamp is held from just after it, and one
    it closes at a stamp is still there to settle.
    """
    first = int(np.searchsorted(stamps, opened, side="left"))
    behind = int(np.searchsorted(stamps, closed, side="right"))
    return sum(
        funding_payment(position, float(mark_prices[i]), float(rates[i]))
        for i in range(first, behind)
    )


def _said(stamp: Any) -> str:
    return str(np.datetime64(int(stamp), "ns").astype("datetime64[s]")).replace("T", " ")
