"""What returns compound to: totals, yearly rates and calendar tables.

Every function takes simple returns per bar as fractions, oldest first. A NaN among them makes
the result NaN; nothing is dropped or filled.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from delever.arguments import checked
from delever.stats.metric import metric
from delever.stats.sample import Sums
from delever.units import DAYS_PER_YEAR, periods_per_year

_LARGEST_EXPONENT = math.log(np.finfo(np.float64).max)


def as_array(values: ArrayLike) -> NDArray[np.float64]:
    """Values as a float array, without a copy where they already are one."""
    # numpy's own way into a Series probes it for attributes, at many times the cost.
    plain = values.to_numpy() if isinstance(values, pd.Series) else values
    return np.asarray(plain, dtype=np.float64)


@checked
def bar_returns(equity: ArrayLike, starting_equity: float) -> NDArray[np.float64]:
    """Return of each bar, a fraction, from the equity at its close; shape (n,).

    An account that had nothing before a bar earns 0 in it, so that returns still compound to the
    equity.

    Parameters
    ----------
    equity : array_like of float, shape (n,)
        At each close, quote units.
    starting_equity : float
        At the close before the first bar, quote units.

    Examples
    --------
    >>> bar_returns([110.0, 0.0, 0.0], 100.0).round(12).tolist()
    [0.1, -1.0, 0.0]
    """
    after = as_array(equity)
    before = np.append(starting_equity, after[:-1])
    alive = before > 0.0
    return np.asarray(np.where(alive, after / np.where(alive, before, 1.0) - 1.0, 0.0))


@metric(
    unit="bars",
    formula="n, the number of bars in the scope",
    source="by definition",
    name="bars",
    from_sums=lambda sums: sums.bars,
)
def bar_count(returns: ArrayLike) -> float:
    """Number of bars, 0 for none."""
    return float(as_array(returns).size)


@metric(
    unit="days",
    formula="elapsed days, missing bars included",
    source="by definition",
    name="days",
    from_sums=lambda sums: sums.spans * (DAYS_PER_YEAR / periods_per_year(sums.timeframe)),
)
def elapsed_days(elapsed: ArrayLike) -> float:
    """Time from the open of the first bar to the close of the last, in days; NaN for no bars."""
    closes = as_array(elapsed)
    return float(closes[-1]) if closes.size else math.nan


@metric(
    unit="fraction",
    better="higher",
    formula="prod(1 + r) - 1",
    source="by definition",
    from_sums=lambda sums: sums.wealth - 1.0,
)
def total_return(returns: ArrayLike) -> float:
    """Return of the whole, compounded bar by bar; NaN for no bars.

    Examples
    --------
    >>> round(total_return([0.10, -0.50]), 12)
    -0.45
    """
    values = as_array(returns)
    return float(np.prod(1.0 + values) - 1.0) if values.size else math.nan


def cagr_from_sums(sums: Sums) -> NDArray[np.float64]:
    """`cagr` of each account, from its final wealth."""
    growth = np.expm1(np.log(sums.wealth) / sums.bars * sums.periods_per_year)
    return np.where(sums.lowest <= -1.0, -1.0, np.where(np.isinf(growth), np.nan, growth))


@metric(
    label="CAGR",
    unit="fraction",
    better="higher",
    formula="(1 + total_return) ** (1 / years) - 1",
    source="by definition; a year has 365 days",
    from_sums=cagr_from_sums,
)
def cagr(returns: ArrayLike, periods_per_year: float) -> float:
    """Compound annual growth rate: the yearly return that compounds to the same wealth.

    -1 after a total loss; NaN for no bars, and where the yearly figure is beyond the largest
    float. Over a stretch shorter than a year this extrapolates: a week's fall becomes the fall of a
    year of such weeks.

    Examples
    --------
    >>> round(cagr([0.1, 0.1], periods_per_year=1), 12)
    0.1
    """
    values = as_array(returns)
    if not values.size or np.isnan(values).any():
        return math.nan
    if values.min() <= -1.0:
        return -1.0
    # In logarithms, because a product of thousands of falls is beyond the smallest float.
    exponent = float(np.log1p(values).mean()) * periods_per_year
    return math.expm1(exponent) if exponent < _LARGEST_EXPONENT else math.nan


@checked
def daily_returns(returns: pd.Series) -> pd.Series:
    """Compounded return of each day in UTC; shape (days that have bars,).

    Bars of a day or longer stay as they are. A bar belongs to the day it opens in.

    Parameters
    ----------
    returns : pandas.Series of float, shape (n,)
        Indexed by open time in UTC, increasing.

    Examples
    --------
    >>> hours = pd.DatetimeIndex(["2021-01-30 22:00", "2021-01-30 23:00", "2021-01-31"], tz="UTC")
    >>> daily_returns(pd.Series([0.1, 0.1, -0.5], index=hours)).round(6).tolist()
    [0.21, -0.5]
    """
    days = pd.DatetimeIndex(returns.index).normalize()
    if days.is_unique:
        return returns
    return (1.0 + returns).groupby(days).prod() - 1.0


@checked
def monthly_returns(returns: pd.Series) -> pd.DataFrame:
    """Compounded return of each calendar month in UTC; NaN for a month without bars.

    A bar belongs to the month it opens in.

    Parameters
    ----------
    returns : pandas.Series of float, shape (n,)
        Indexed by open time in UTC.

    Returns
    -------
    pandas.DataFrame of float, shape (years, 12)
        Fractions. Rows: every year from the first to the last. Columns: months 1 to 12.

    Examples
    --------
    >>> days = pd.DatetimeIndex(["2021-01-30", "2021-01-31", "2021-02-01"], tz="UTC")
    >>> table = monthly_returns(pd.Series([0.1, 0.1, -0.5], index=days))
    >>> table.loc[2021, [1, 2, 3]].round(6).tolist()
    [0.21, -0.5, nan]
    """
    index = pd.DatetimeIndex(returns.index)
    by_month = (1.0 + returns).groupby([index.year, index.month]).prod() - 1.0
    table = by_month.unstack().reindex(index=_years(index), columns=range(1, 13))
    return table.rename_axis(index="year", columns="month")


@checked
def yearly_returns(returns: pd.Series) -> pd.Series:
    """Compounded return of each calendar year, as `monthly_returns`; shape (years,).

    Parameters
    ----------
    returns : pandas.Series of float, shape (n,)
        Indexed by open time in UTC.

    Examples
    --------
    >>> days = pd.DatetimeIndex(["2021-12-30", "2021-12-31", "2022-01-01"], tz="UTC")
    >>> yearly_returns(pd.Series([0.1, 0.1, -0.5], index=days)).round(6).to_dict()
    {2021: 0.21, 2022: -0.5}
    """
    index = pd.DatetimeIndex(returns.index)
    by_year = (1.0 + returns).groupby(index.year).prod() - 1.0
    return by_year.reindex(_years(index)).rename_axis("year").rename("return")


def _years(index: pd.DatetimeIndex) -> range:
    return range(index[0].year, index[-1].year + 1) if len(index) else range(0)
