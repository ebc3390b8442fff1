"""Funding: what a position pays, how a rate comes about, and whether the stamps cover a run.

Stamps are nanoseconds since 1970-01-01 UTC; a funding rate is a fraction of notional for the
interval that ends at its stamp, > 0 where longs pay.
"""

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
        The stamp (or start of the run) before the stretch and the one (or its end) behind it.
    interval : int
        Nanoseconds between two stamps there.
    """

    after: int
    before: int
    interval: int


def funding_payment(
    position: float, mark_price: float, funding_rate: float, *, inverse: bool = False
) -> float:
    """Cash the account receives at a funding stamp, in settlement units; < 0 is paid.

    ``-position * mark_price * funding_rate``, or ``-position / mark_price * funding_rate`` of an
    inverse contract.

    Parameters
    ----------
    position, inverse
        As in `delever.venues.contract.notional`, held at the stamp.
    mark_price, funding_rate : float
        At the stamp; the price is > 0.

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

    ``F = (P + clamp(I - P, -c, c)) * interval_hours / 8``, without a venue's own cap on the rate:
    Binance, *Introduction to Binance Futures Funding Rates*, and Hyperliquid Docs, *Funding*, which
    takes an eighth every hour.

    Parameters
    ----------
    average_premium : float
        Time-weighted average of the premium index over the interval, fraction.
    interest_rate, clamp : float
        Fractions per 8 hours; `clamp` is the largest distance between rate and premium.
    interval_hours : float
        Length of the interval; shorter ones pay their share of the rate of 8 hours.

    Examples
    --------
    >>> round(funding_rate(0.0003), 9), round(funding_rate(-0.002), 9)
    (0.0001, -0.0015)
    """
    nearer = min(max(interest_rate - average_premium, -clamp), clamp)
    return (average_premium + nearer) * interval_hours / 8.0


def snap_to_second(stamps: Stamps) -> Stamps:
    """Stamps at the nearest whole second; venues write some a few milliseconds late.

    Examples
    --------
    >>> snap_to_second(np.array([7_000_000, 999_600_000]))
    array([         0, 1000000000])
    """
    return (np.asarray(stamps, dtype=np.int64) + _SECOND // 2) // _SECOND * _SECOND


def funding_intervals(stamps: Stamps) -> Stamps:
    """Interval in force before each stamp but the first, one of `INTERVALS`; shape (n - 1,).

    Where a stamp is missing, it is shorter than the distance to the stamp before.

    Parameters
    ----------
    stamps : numpy.ndarray of int64, shape (n,)
        On whole seconds, increasing; n >= 2.

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

    Examples
    --------
    >>> hours = INTERVALS[0] * np.array([0, 4, 8, 16, 20])  # 12 is missing
    >>> funding_intervals(hours) // INTERVALS[0]
    array([4, 4, 4, 4])
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
    # The 0 appended is read where there is no known distance: at -1, and at apart.size.
    padded = np.append(apart, 0)
    nearest = padded[np.append(-1, before[:-1])], padded[np.append(behind[1:], apart.size)]
    longest = np.maximum(*nearest)
    is_interval = known & ((apart <= longest) | (longest == 0))
    return np.where(is_interval, apart, longest).astype(np.int64)


def funding_holes(stamps: Stamps, start: int, end: int) -> tuple[Hole, ...]:
    """Stretches of a run that funding stamps do not cover, in order of time.

    Stamps at `start` and at `end` may be absent: nothing is held before the first fill, and the
    stamp at the close of the last bar belongs to the bar after it.

    Parameters
    ----------
    stamps : numpy.ndarray of int64, shape (n,)
        Increasing; snapped to the second here.
    start, end : int
        Open of the first and close of the last bar of the run, nanoseconds.

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
    """Cash of a position held from one moment to another, in quote units; < 0 is paid.

    A stamp counts when ``opened <= stamp <= closed``: who holds a position at the stamp settles
    it, whether it is the first moment of the holding or the last. In a bar the engine settles
    funding before it fills, so a position it opens at a stamp is held from just after it, and one
    it closes at a stamp is still there to settle.

    Parameters
    ----------
    position : float
        Signed base units of a linear contract.
    opened, closed : int
        Nanoseconds since 1970-01-01 UTC, ``opened <= closed``.
    stamps, mark_prices, rates : numpy.ndarray, shape (n,)
        Increasing whole seconds, with mark price and funding rate at each.

    Examples
    --------
    >>> held = dict(stamps=np.array([0, 8]), mark_prices=np.full(2, 100.0), rates=np.full(2, 1e-4))
    >>> funding_between(1.0, 0, 8, **held), funding_between(1.0, 1, 7, **held)
    (-0.02, 0.0)
    """
    first = int(np.searchsorted(stamps, opened, side="left"))
    behind = int(np.searchsorted(stamps, closed, side="right"))
    held = range(first, behind)
    payments = (funding_payment(position, float(mark_prices[i]), float(rates[i])) for i in held)
    return sum(payments, 0.0)


def _said(stamp: Any) -> str:
    return str(np.datetime64(int(stamp), "ns").astype("datetime64[s]")).replace("T", " ")
