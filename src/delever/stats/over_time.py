"""How a run fared as time went on: measures over a rolling window, and year by year.

Every function takes simple returns per bar as fractions, oldest first, indexed by open time in UTC.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.arguments import aligned, shown
from delever.errors import InputError
from delever.stats.drawdowns import max_drawdown
from delever.stats.returns import yearly_returns
from delever.units import DAYS_PER_YEAR

# Moments of a window come from running sums, whose rounding is no deviation.
_NO_SPREAD = 1e-12


@aligned
def rolling_measures(
    returns: pd.Series, benchmark: pd.Series, *, window: str | pd.Timedelta
) -> pd.DataFrame:
    """Sharpe ratio, volatility, beta and correlation of a stretch of time, at each bar.

    Parameters
    ----------
    returns : pandas.Series of float, shape (n,)
        Of the strategy.
    benchmark : pandas.Series of float, shape (n,)
        Of the benchmark, on the same index.
    window : str or pandas.Timedelta
        Time that each value looks back on, such as ``"365D"``; longer than a bar.

    Returns
    -------
    pandas.DataFrame of float, shape (n, 6)
        ``sharpe_ratio`` and ``volatility`` (fractions a year), the same of the benchmark as
        ``benchmark_sharpe_ratio`` and ``benchmark_volatility``, ``beta`` and ``correlation``.
        NaN until `window` has passed; a ratio to a spread of zero is NaN as well.

    Raises
    ------
    InputError
        If `window` is no length of time above 0, or the indexes differ.

    Notes
    -----
    Over the k bars of the window, deviations and covariances with ``ddof=1`` and
    ``periods_per_year = k / years`` of it: ``volatility = std(r) * sqrt(periods_per_year)``,
    ``sharpe_ratio = mean(r) / std(r) * sqrt(periods_per_year)`` with a risk-free rate of 0,
    ``beta = cov(r, b) / var(b)``, ``correlation = cov(r, b) / (std(r) * std(b))``.

    References
    ----------
    Sharpe, W. F. (1994), "The Sharpe Ratio", Journal of Portfolio Management 21(1).

    Examples
    --------
    >>> days = pd.date_range("2021-01-01", periods=3, tz="UTC")
    >>> market = pd.Series([0.1, -0.1, 0.2], index=days)
    >>> table = rolling_measures(market / 2, market, window="3D")
    >>> table.iloc[-1][["beta", "correlation"]].round(6).tolist()
    [0.5, 1.0]
    """
    length = _length(window)
    index = pd.DatetimeIndex(returns.index)
    own, other = (
        (each.rolling(length).mean(), _spread(each, length)) for each in (returns, benchmark)
    )
    together = returns.rolling(length).cov(benchmark)
    years = length / pd.Timedelta(days=DAYS_PER_YEAR)
    yearly = np.sqrt(returns.rolling(length).count() / years)
    table = pd.DataFrame(
        {
            "sharpe_ratio": own[0] / own[1].where(own[1] > 0.0) * yearly,
            "benchmark_sharpe_ratio": other[0] / other[1].where(other[1] > 0.0) * yearly,
            "volatility": own[1] * yearly,
            "benchmark_volatility": other[1] * yearly,
            "beta": together / other[1].where(other[1] > 0.0) ** 2,
            "correlation": (
                together / (own[1] * other[1]).where((own[1] > 0.0) & (other[1] > 0.0))
            ).clip(-1.0, 1.0),
        }
    )
    if len(index) < 2:
        return table * np.nan
    bar = (index[1:] - index[:-1]).min()
    table[np.asarray(index - index[0] + bar < length)] = np.nan
    return table


def _length(window: object) -> pd.Timedelta:
    try:
        length = pd.Timedelta(window)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        length = None
    if length is None or not length > pd.Timedelta(0):  # NaT is not, either
        raise InputError(f"window must be a length of time, such as '365D'; got {shown(window)}")
    return length


def _spread(values: pd.Series, window: pd.Timedelta) -> pd.Series:
    """Standard deviation of a window, exactly 0 where all its returns are one."""
    deviation = values.rolling(window).std(ddof=1)
    same = values.rolling(window).max() - values.rolling(window).min() <= _NO_SPREAD
    return deviation.mask(same & deviation.notna(), 0.0)


@aligned
def year_by_year(returns: pd.Series, benchmark: pd.Series) -> pd.DataFrame:
    """Return and deepest drawdown of each calendar year, beside the benchmark's.

    Parameters
    ----------
    returns, benchmark : pandas.Series of float, shape (n,)
        On one index. A bar belongs to the year it opens in.

    Returns
    -------
    pandas.DataFrame, shape (years, 5)
        Indexed by ``year``: ``return``, ``benchmark_return``, ``max_drawdown`` and
        ``benchmark_max_drawdown`` (fractions, drawdowns measured anew from each year's start), and
        ``bars``, how many bars the year has. A year without bars is NaN with 0 bars.

    Notes
    -----
    ``return = prod(1 + r) - 1`` over the bars of the year.

    Examples
    --------
    >>> days = pd.DatetimeIndex(["2021-12-30", "2021-12-31", "2022-01-01"], tz="UTC")
    >>> own, other = pd.Series([0.1, 0.1, -0.5], index=days), pd.Series(0.0, index=days)
    >>> year_by_year(own, other)[["return", "max_drawdown", "bars"]].round(6).values.tolist()
    [[0.21, 0.0, 2.0], [-0.5, -0.5, 1.0]]
    """
    columns = {}
    for prefix, values in (("", returns), ("benchmark_", benchmark)):
        compounded = yearly_returns(values)
        groups = values.groupby(pd.DatetimeIndex(values.index).year)
        columns[f"{prefix}return"] = compounded
        columns[f"{prefix}max_drawdown"] = groups.apply(max_drawdown).reindex(compounded.index)
    years = pd.DatetimeIndex(returns.index).year
    bars = pd.Series(years).value_counts().reindex(columns["return"].index, fill_value=0)
    names = ["return", "benchmark_return", "max_drawdown", "benchmark_max_drawdown"]
    return pd.DataFrame(columns)[names].assign(bars=bars.astype("int64"))


@aligned
def worst_bars(returns: pd.Series, benchmark: pd.Series, count: int = 10) -> pd.DataFrame:
    """The bars with the lowest returns, the lowest first, and what the benchmark did in them.

    Parameters
    ----------
    returns, benchmark : pandas.Series of float, shape (n,)
        On one index.
    count : int
        How many at most. Bars without a loss are left out.

    Returns
    -------
    pandas.DataFrame, shape (at most `count`, 2)
        Indexed by open time: ``return`` (below 0) and ``benchmark_return``.

    Examples
    --------
    >>> days = pd.date_range("2021-01-01", periods=3, tz="UTC")
    >>> own, other = pd.Series([0.1, -0.1, -0.2], index=days), pd.Series(-0.3, index=days)
    >>> worst_bars(own, other, 1).values.tolist()
    [[-0.2, -0.3]]
    """
    lowest = returns.nsmallest(count)
    lowest = lowest[lowest < 0.0]
    return pd.DataFrame({"return": lowest, "benchmark_return": benchmark.reindex(lowest.index)})
