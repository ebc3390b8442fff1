"""How returns spread: deviations, tails and moments.

Every function takes simple returns per bar as fractions, in any order. A NaN among them makes
the result NaN; nothing is dropped or filled.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from delever.arguments import checked
from delever.errors import InputError
from delever.stats.returns import as_array

__all__ = [
    "best_bar",
    "downside_deviation",
    "expected_shortfall",
    "kurtosis",
    "skewness",
    "value_at_risk",
    "volatility",
    "worst_bar",
]

# A return is a ratio of equities less one, so it is known to some 1e-16; a spread below this is
# the rounding of no spread at all.
_NO_SPREAD = 1e-14


@checked
def volatility(returns: ArrayLike, periods_per_year: float) -> float:
    """Yearly standard deviation.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
        Simple returns per bar, fractions.
    periods_per_year : float
        Bars in a year of 365 days.

    Returns
    -------
    float
        Fraction, >= 0; NaN for fewer than two bars.

    Notes
    -----
    ``std(r, ddof=1) * sqrt(periods_per_year)``; exactly 0 when the returns differ by rounding
    alone.

    Examples
    --------
    >>> round(volatility([0.01, -0.01, 0.03], 365), 6)
    0.382099
    """
    values = as_array(returns)
    if values.size < 2:
        return math.nan
    if np.ptp(values) <= _NO_SPREAD:
        return 0.0
    return float(np.std(values, ddof=1) * math.sqrt(periods_per_year))


@checked
def downside_deviation(returns: ArrayLike, periods_per_year: float) -> float:
    """Yearly root mean square of the losses.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
        Simple returns per bar, fractions.
    periods_per_year : float
        Bars in a year of 365 days.

    Returns
    -------
    float
        Fraction, >= 0; NaN for no bars.

    Notes
    -----
    ``sqrt(mean(min(r, 0) ** 2)) * sqrt(periods_per_year)``: the mean runs over all bars, so
    a bar without a loss counts as one of zero.

    References
    ----------
    Sortino and Price (1994), Performance measurement in a downside risk framework, Journal of
    Investing 3(3), 59-64, doi:10.3905/joi.3.3.59.
    """
    values = as_array(returns)
    if not values.size:
        return math.nan
    losses = np.minimum(values, 0.0)
    if losses.min() >= -_NO_SPREAD:
        return 0.0
    return float(math.sqrt(np.mean(losses**2)) * math.sqrt(periods_per_year))


@checked
def value_at_risk(returns: ArrayLike, tail: float = 0.05) -> float:
    """Return that the worst `tail` of the bars did not exceed, from history.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
        Simple returns per bar, fractions.
    tail : float
        Share of the bars in the tail; 0.05 for the 95 % figure.

    Returns
    -------
    float
        A return per bar, so a loss is negative; NaN for no bars.

    Notes
    -----
    The `tail` quantile, interpolated between neighbouring order statistics (type 7 of
    Hyndman and Fan). With fewer than ``1 / tail`` bars it lies between the two worst.

    References
    ----------
    Hyndman and Fan (1996), Sample quantiles in statistical packages, The American Statistician
    50(4), 361-365, doi:10.1080/00031305.1996.10473566.
    """
    _check_tail(tail)
    values = as_array(returns)
    return float(np.quantile(values, tail)) if values.size else math.nan


def _check_tail(tail: float) -> None:
    if not 0.0 < tail < 1.0:
        raise InputError(f"tail must be a fraction between 0 and 1; got {tail!r}; 5 % are 0.05")


@checked
def expected_shortfall(returns: ArrayLike, tail: float = 0.05) -> float:
    """Mean return of the bars in the tail, from history.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
        Simple returns per bar, fractions.
    tail : float
        Share of the bars in the tail; 0.05 for the 95 % figure.

    Returns
    -------
    float
        A return per bar, never above `value_at_risk`; NaN for no bars.

    Notes
    -----
    The mean of the ``floor((n - 1) * tail) + 1`` worst bars: those at or below the value at
    risk, counted rather than compared, so that equal returns at the edge do not widen the tail.

    References
    ----------
    Acerbi and Tasche (2002), On the coherence of expected shortfall, Journal of Banking and
    Finance 26(7), 1487-1503, doi:10.1016/S0378-4266(02)00283-2.
    """
    _check_tail(tail)
    values = as_array(returns)
    if not values.size or np.isnan(values).any():
        return math.nan
    last = int((values.size - 1) * tail)
    return float(np.partition(values, last)[: last + 1].mean())


@checked
def worst_bar(returns: ArrayLike) -> float:
    """Lowest return of a bar, a fraction; NaN for no bars."""
    values = as_array(returns)
    return float(values.min()) if values.size else math.nan


@checked
def best_bar(returns: ArrayLike) -> float:
    """Highest return of a bar, a fraction; NaN for no bars."""
    values = as_array(returns)
    return float(values.max()) if values.size else math.nan


@checked
def skewness(returns: ArrayLike) -> float:
    """Third standardised moment of the returns.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
        Simple returns per bar, fractions.

    Returns
    -------
    float
        0 for a symmetric sample, < 0 when the losses reach further; NaN for fewer than two
        bars or without spread.

    Notes
    -----
    ``m3 / m2 ** 1.5`` with central moments ``mk = mean((r - mean(r)) ** k)``: the sample's own,
    not corrected for its size (g1 of Joanes and Gill).

    References
    ----------
    Joanes and Gill (1998), Comparing measures of sample skewness and kurtosis, The Statistician
    47(1), 183-189, doi:10.1111/1467-9884.00122.
    """
    return _standardised_moment(returns, 3)


@checked
def kurtosis(returns: ArrayLike) -> float:
    """Fourth standardised moment of the returns; a normal distribution has 3.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
        Simple returns per bar, fractions.

    Returns
    -------
    float
        >= 1, not the excess over 3; NaN for fewer than two bars or without spread.

    Notes
    -----
    ``m4 / m2 ** 2``, not corrected for sample size (g2 + 3 of Joanes and Gill): the form that
    the probabilistic Sharpe ratio asks for.

    References
    ----------
    Joanes and Gill (1998), Comparing measures of sample skewness and kurtosis, The Statistician
    47(1), 183-189, doi:10.1111/1467-9884.00122.
    """
    return _standardised_moment(returns, 4)


def _standardised_moment(returns: ArrayLike, order: int) -> float:
    values = as_array(returns)
    if values.size < 2 or np.ptp(values) <= _NO_SPREAD:
        return math.nan
    centred = values - values.mean()
    standardised = centred / math.sqrt(np.mean(centred**2))
    return float(np.mean(standardised**order))
