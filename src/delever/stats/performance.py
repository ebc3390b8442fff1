"""What risk was paid for, and how a strategy stands beside buying and holding.

Ratios use a risk-free rate of zero. A ratio whose denominator is zero is undefined: NaN.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from delever.arguments import aligned
from delever.errors import InputError
from delever.stats.drawdowns import max_drawdown
from delever.stats.returns import as_array, cagr, mean_compounded_return, total_return
from delever.stats.risk import downside_deviation, volatility

__all__ = [
    "calmar_ratio",
    "cost_of_protection",
    "down_capture",
    "hit_rate",
    "loss_avoided",
    "mean_exposure",
    "profit_factor",
    "sharpe_ratio",
    "sortino_ratio",
    "time_in_market",
    "up_capture",
    "yearly_turnover",
]


@aligned
def sharpe_ratio(returns: ArrayLike, periods_per_year: float) -> float:
    """Yearly mean return per unit of yearly volatility.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
        Simple returns per bar, fractions.
    periods_per_year : float
        Bars in a year of 365 days.

    Returns
    -------
    float
        NaN for fewer than two bars or without volatility.

    Notes
    -----
    ``mean(r) / std(r, ddof=1) * sqrt(periods_per_year)``. The square root assumes returns that
    do not depend on each other.

    References
    ----------
    Sharpe (1994), The Sharpe ratio, Journal of Portfolio Management 21(1), 49-58,
    doi:10.3905/jpm.1994.409501.
    """
    return _ratio(_yearly_mean(returns, periods_per_year), volatility(returns, periods_per_year))


@aligned
def sortino_ratio(returns: ArrayLike, periods_per_year: float) -> float:
    """Yearly mean return per unit of yearly downside deviation.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
        Simple returns per bar, fractions.
    periods_per_year : float
        Bars in a year of 365 days.

    Returns
    -------
    float
        NaN for fewer than two bars or without a loss.

    References
    ----------
    Sortino and Price (1994), Performance measurement in a downside risk framework, Journal of
    Investing 3(3), 59-64, doi:10.3905/joi.3.3.59.
    """
    if as_array(returns).size < 2:
        return math.nan
    deviation = downside_deviation(returns, periods_per_year)
    return _ratio(_yearly_mean(returns, periods_per_year), deviation)


@aligned
def calmar_ratio(returns: ArrayLike, periods_per_year: float) -> float:
    """Compound annual growth rate per unit of maximum drawdown.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
        Simple returns per bar, fractions.
    periods_per_year : float
        Bars in a year of 365 days.

    Returns
    -------
    float
        NaN for no bars or without a drawdown.

    Notes
    -----
    ``cagr / abs(max_drawdown)`` over all bars given, where Young's is over the last 36 months.

    References
    ----------
    Young (1991), Calmar ratio: a smoother tool, Futures 20(1), 40.
    """
    return _ratio(cagr(returns, periods_per_year), -max_drawdown(returns))


@aligned
def hit_rate(net_pnl: ArrayLike) -> float:
    """Share of closed trades that made money.

    Parameters
    ----------
    net_pnl : array_like of float, shape (trades,)
        Net result of each closed trade, after fees and funding, in quote currency.

    Returns
    -------
    float
        Fraction; NaN for no trades. A trade of exactly zero is no hit.
    """
    values = as_array(net_pnl)
    if not values.size or np.isnan(values).any():
        return math.nan
    return float(np.mean(values > 0.0))


@aligned
def profit_factor(net_pnl: ArrayLike) -> float:
    """What the winning trades made per unit the losing ones lost.

    Parameters
    ----------
    net_pnl : array_like of float, shape (trades,)
        Net result of each closed trade, after fees and funding, in quote currency.

    Returns
    -------
    float
        >= 0; NaN where no trade lost.
    """
    values = as_array(net_pnl)
    won, lost = np.maximum(values, 0.0).sum(), -np.minimum(values, 0.0).sum()
    return _ratio(float(won), float(lost))


@aligned
def up_capture(returns: ArrayLike, benchmark: ArrayLike) -> float:
    """Share of the benchmark's rises that the strategy took part in.

    Parameters
    ----------
    returns, benchmark : array_like of float, shape (n,)
        Simple returns of the same bars, fractions.

    Returns
    -------
    float
        1 for the benchmark itself; NaN where it never rose.

    Notes
    -----
    Over the bars on which the benchmark rose: the strategy's geometric mean return per bar
    divided by the benchmark's. The means are left per bar, because annualised means of rising
    days alone grow without measure and their ratio with them.

    References
    ----------
    Morningstar, investing glossary, upside and downside capture ratio (geometric average).
    """
    return _capture(as_array(returns), as_array(benchmark), side=1.0)


@aligned
def down_capture(returns: ArrayLike, benchmark: ArrayLike) -> float:
    """Share of the benchmark's falls that the strategy took part in.

    Parameters
    ----------
    returns, benchmark : array_like of float, shape (n,)
        Simple returns of the same bars, fractions.

    Returns
    -------
    float
        1 for the benchmark itself, < 0 where the strategy gained while it fell; NaN where it
        never fell.

    Notes
    -----
    As `up_capture`, over the bars on which the benchmark fell.

    References
    ----------
    Morningstar, investing glossary, upside and downside capture ratio (geometric average).
    """
    return _capture(as_array(returns), as_array(benchmark), side=-1.0)


@aligned
def loss_avoided(returns: ArrayLike, benchmark: ArrayLike) -> float:
    """Compounded return of the strategy above the benchmark's.

    Parameters
    ----------
    returns, benchmark : array_like of float, shape (n,)
        Simple returns of the same bars, fractions.

    Returns
    -------
    float
        Fraction of the wealth held at the start: 0.4 where buy and hold lost 0.6 and the
        strategy 0.2. NaN for no bars. Meant for the bars of deleveraging periods.
    """
    return total_return(returns) - total_return(benchmark)


@aligned
def cost_of_protection(returns: ArrayLike, benchmark: ArrayLike, periods_per_year: float) -> float:
    """Yearly growth given up against the benchmark.

    Parameters
    ----------
    returns, benchmark : array_like of float, shape (n,)
        Simple returns of the same bars, fractions.
    periods_per_year : float
        Bars in a year of 365 days.

    Returns
    -------
    float
        ``cagr(benchmark) - cagr(returns)``, a fraction per year, > 0 where the strategy lagged;
        NaN for no bars. Meant for the bars outside deleveraging periods.
    """
    return cagr(benchmark, periods_per_year) - cagr(returns, periods_per_year)


@aligned
def mean_exposure(exposure: ArrayLike) -> float:
    """Mean size of the exposure, whatever its side; a fraction of equity, NaN for no bars."""
    values = as_array(exposure)
    return float(np.abs(values).mean()) if values.size else math.nan


@aligned
def time_in_market(exposure: ArrayLike) -> float:
    """Share of the bars with any exposure; NaN for no bars or where an exposure is NaN."""
    values = as_array(exposure)
    if not values.size or np.isnan(values).any():
        return math.nan
    return float(np.mean(values != 0.0))


@aligned
def yearly_turnover(turnover: ArrayLike, periods_per_year: float) -> float:
    """How many times a year equity is traded.

    Parameters
    ----------
    turnover : array_like of float, shape (n,)
        Traded notional per equity of each bar, >= 0.
    periods_per_year : float
        Bars in a year of 365 days.

    Returns
    -------
    float
        Per year; a purchase and its sale count twice. NaN for no bars.
    """
    return _yearly_mean(turnover, periods_per_year)


def _yearly_mean(values: ArrayLike, periods_per_year: float) -> float:
    array = as_array(values)
    return float(array.mean() * periods_per_year) if array.size else math.nan


def _capture(returns: NDArray[np.float64], benchmark: NDArray[np.float64], *, side: float) -> float:
    if returns.shape != benchmark.shape or returns.ndim != 1:
        raise InputError(
            f"returns and benchmark must be two rows of one length; got shapes {returns.shape} and "
            f"{benchmark.shape}"
        )
    if np.isnan(benchmark).any():
        return math.nan
    bars = side * benchmark > 0.0
    return _ratio(mean_compounded_return(returns[bars]), mean_compounded_return(benchmark[bars]))


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan
