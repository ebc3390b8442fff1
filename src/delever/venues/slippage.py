"""What it costs to trade beyond fees: slippage, its growth in stress, and borrowing to be short."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from delever.errors import InputError
from delever.units import DAYS_PER_YEAR

__all__ = ["Slippage", "borrow_cost", "range_volatility", "slippage_fraction"]

_LARGEST = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Slippage:
    """Parameters of slippage; the parts add up, and those left at 0 cost nothing.

    Attributes
    ----------
    fixed : float
        Fraction of price, such as half a spread, >= 0.
    volatility_share : float
        Share of the volatility of a bar added to it, >= 0.
    impact : float
        Coefficient of square-root impact, >= 0; of the order of one.
    stress_multiplier : float
        Factor on the whole while the market is in stress, >= 1.

    Raises
    ------
    InputError
        If a parameter is not finite or below its bound.
    """

    fixed: float = 0.0
    volatility_share: float = 0.0
    impact: float = 0.0
    stress_multiplier: float = 1.0

    def __post_init__(self) -> None:
        for name in ("fixed", "volatility_share", "impact", "stress_multiplier"):
            value, lowest = getattr(self, name), 1.0 if name == "stress_multiplier" else 0.0
            if not lowest <= value < math.inf:
                raise InputError(
                    f"slippage: {name} must be a finite number, {lowest:g} or more; got {value!r}"
                )


def range_volatility(highs: Sequence[float], lows: Sequence[float]) -> float:
    """Volatility of a bar, estimated from the ranges of finished bars.

    Parameters
    ----------
    highs, lows : sequence of float, shape (n,)
        Of bars that were all closed before the fill; ``high >= low > 0``.

    Returns
    -------
    float
        Standard deviation of the logarithmic return of one bar, >= 0; NaN without bars or when
        a price is NaN.

    Notes
    -----
    ``sqrt(mean(ln(high / low) ** 2) / (4 ln 2))``, exact for a driftless Brownian motion watched
    without pause; with few trades in a bar it is too low.

    References
    ----------
    Parkinson, M. (1980). The extreme value method for estimating the variance of the rate of
    return. Journal of Business 53(1), 61-65. doi:10.1086/296071

    Examples
    --------
    >>> round(range_volatility([110.0], [100.0]), 6)
    0.05724
    """
    if len(highs) == 0:
        return math.nan
    squares = [math.log(high / low) ** 2 for high, low in zip(highs, lows, strict=True)]
    return math.sqrt(sum(squares) / len(squares) / (4.0 * math.log(2.0)))


def slippage_fraction(
    slippage: Slippage,
    *,
    order_notional: float = 0.0,
    bar_notional: float = math.nan,
    volatility: float = math.nan,
    stressed: bool = False,
) -> float:
    """How much worse than the reference price a fill is.

    Parameters
    ----------
    slippage : Slippage
        Parameters.
    order_notional : float
        Size of the order, quote units, >= 0.
    bar_notional : float
        What the market trades in a bar, quote units: known before the fill, such as the last
        bar's. Needed for impact only.
    volatility : float
        Of a bar, a fraction, known before the fill, such as `range_volatility`. Needed where
        volatility or impact has a part.
    stressed : bool
        Whether the market is in stress.

    Returns
    -------
    float
        Fraction of price, >= 0 and at most 0.99; a buy at ``price * (1 + fraction)``.

    Raises
    ------
    InputError
        If a part needs a volatility or a bar notional that is not there.

    Notes
    -----
    ::

        (fixed + volatility_share * sigma + impact * sigma * sqrt(order / bar)) * multiplier

    References
    ----------
    The square-root law: Tóth, B. et al. (2011). Anomalous price impact and the critical nature of
    liquidity in financial markets. Physical Review X 1, 021006. doi:10.1103/PhysRevX.1.021006.
    Almgren, R., Thum, C., Hauptmann, E., Li, H. (2005). Direct estimation of equity market impact,
    Risk 18(7), 58-62, found an exponent near 0.6 for US shares; the root is the usual round figure.

    Examples
    --------
    >>> model = Slippage(fixed=0.0001, impact=1.0)
    >>> round(slippage_fraction(model, order_notional=1e4, bar_notional=1e6, volatility=0.02), 6)
    0.0021
    """
    fraction = slippage.fixed
    if slippage.volatility_share > 0.0 or (slippage.impact > 0.0 and order_notional > 0.0):
        if not 0.0 <= volatility < math.inf:
            raise InputError(
                f"slippage needs the volatility of the bars before the fill; got {volatility!r}; "
                "give the run bars with high and low, or use a fixed slippage"
            )
        fraction += slippage.volatility_share * volatility
    if slippage.impact > 0.0 and order_notional > 0.0:
        if not bar_notional > 0.0:
            raise InputError(
                f"slippage needs the notional traded in the bar before the fill; got "
                f"{bar_notional!r}; give the run bars with volume, or set impact to 0"
            )
        fraction += slippage.impact * volatility * math.sqrt(order_notional / bar_notional)
    if stressed:
        fraction *= slippage.stress_multiplier
    return min(fraction, _LARGEST)


def borrow_cost(position: float, price: float, borrow_rate: float, hours: float) -> float:
    """Interest on the coins a spot short has borrowed.

    Parameters
    ----------
    position : float
        Signed base units; a long borrows nothing.
    price : float
        Quote units per base unit.
    borrow_rate : float
        Simple interest, fraction of the borrowed value per year of 365 days.
    hours : float
        Time held, >= 0.

    Returns
    -------
    float
        Quote units, >= 0 for a rate >= 0.

    Examples
    --------
    >>> borrow_cost(-2.0, 100.0, 0.073, 24.0) == 200.0 * 0.073 / 365
    True
    """
    return max(-position, 0.0) * price * borrow_rate * hours / (24.0 * DAYS_PER_YEAR)
