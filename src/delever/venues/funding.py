"""Funding: what a position pays, how a rate comes about, and whether the stamps cover a run.

Stamps are nanoseconds since 1970-01-01 UTC; a funding rate is a fraction of notional for the
interval that ends at its stamp, > 0 where longs pay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from delever.funding_stamps import (
    INTERVALS,
    Hole,
    Stamps,
    funding_holes,
    funding_intervals,
    snap_to_second,
)

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
