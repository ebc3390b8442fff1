"""What risk was paid for, and how a strategy stands beside buying and holding.

Ratios use a risk-free rate of zero. A ratio whose denominator is zero is undefined: NaN.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from delever.errors import InputError
from delever.stats.drawdowns import max_drawdown, max_drawdown_from_sums
from delever.stats.metric import metric
from delever.stats.returns import as_array, cagr, cagr_from_sums, total_return
from delever.stats.risk import (
    downside_deviation,
    downside_from_sums,
    volatility,
    volatility_from_sums,
)
from delever.stats.sample import Sums


@metric(
    unit="ratio",
    better="higher",
    formula="mean(r) / std(r, ddof=1) * sqrt(periods_per_year), risk-free rate 0",
    source="Sharpe (1994)",
    from_sums=lambda sums: _mean_per(sums, volatility_from_sums(sums)),
)
def sharpe_ratio(returns: ArrayLike, periods_per_year: float) -> float:
    """Yearly mean return per unit of yearly volatility.

    NaN for fewer than two bars or without volatility. The square root assumes returns that do not
    depend on each other.

    Examples
    --------
    >>> round(sharpe_ratio([-0.01, 0.01, 0.03], 4.0), 6)
    1.0
    """
    mean = _mean(as_array(returns)) * periods_per_year
    return _ratio(mean, volatility(returns, periods_per_year))


@metric(
    unit="ratio",
    better="higher",
    formula="mean(r) * periods_per_year / downside_deviation, target 0",
    source="Sortino and Price (1994)",
    from_sums=lambda sums: _mean_per(sums, downside_from_sums(sums)),
)
def sortino_ratio(returns: ArrayLike, periods_per_year: float) -> float:
    """Yearly mean return per unit of yearly downside deviation.

    NaN for fewer than two bars or without a loss.
    """
    if as_array(returns).size < 2:
        return math.nan
    mean = _mean(as_array(returns)) * periods_per_year
    return _ratio(mean, downside_deviation(returns, periods_per_year))


@metric(
    unit="ratio",
    better="higher",
    formula="cagr / abs(max_drawdown), over the whole scope",
    source="Young (1991), there over 36 months",
    from_sums=lambda sums: _per(cagr_from_sums(sums), -max_drawdown_from_sums(sums)),
)
def calmar_ratio(returns: ArrayLike, periods_per_year: float) -> float:
    """Compound annual growth rate per unit of maximum drawdown.

    NaN for no bars or without a drawdown.
    """
    return _ratio(cagr(returns, periods_per_year), -max_drawdown(returns))


@metric(
    label="Closed trades",
    unit="count",
    formula="trades that ended on a bar of the scope",
    name="trades",
    from_sums=lambda sums: sums.trades,
)
def closed_trades(closed_pnl: ArrayLike) -> float:
    """Number of trades that have ended, 0 for none."""
    return float(as_array(closed_pnl).size)


@metric(
    unit="fraction",
    better="higher",
    formula="share of closed trades with net PnL > 0",
    from_sums=lambda sums: sums.won / sums.trades,
)
def hit_rate(closed_pnl: ArrayLike) -> float:
    """Share of closed trades that made money; NaN for no trades.

    A trade of exactly zero is no hit.

    Examples
    --------
    >>> hit_rate([100.0, -50.0, 0.0, 25.0])
    0.5
    """
    return _mean(np.sign(np.maximum(as_array(closed_pnl), 0.0)))


@metric(
    unit="ratio",
    better="higher",
    formula="sum of net PnL > 0 / abs(sum of net PnL < 0), closed trades",
)
def profit_factor(closed_pnl: ArrayLike) -> float:
    """What the winning trades made per unit the losing ones lost; NaN where no trade lost."""
    values = as_array(closed_pnl)
    won, lost = np.maximum(values, 0.0).sum(), -np.minimum(values, 0.0).sum()
    return _ratio(float(won), float(lost))


@metric(
    unit="ratio",
    better="higher",
    formula="gmean(r) / gmean(b) over bars with b > 0, gmean(x) = prod(1 + x) ** (1 / k) - 1",
    source="Morningstar glossary, geometric; here per bar",
)
def up_capture(returns: ArrayLike, benchmark: ArrayLike) -> float:
    """Share of the benchmark's rises that the strategy took part in.

    1 for the benchmark itself; NaN where it never rose. The means are left per bar, because
    annualised means of rising days alone grow without measure and their ratio with them.

    Examples
    --------
    >>> round(up_capture([0.05, -0.2], [0.1, -0.1]), 6)
    0.5
    """
    return _capture(as_array(returns), as_array(benchmark), side=1.0)


@metric(
    unit="ratio",
    better="lower",
    formula="gmean(r) / gmean(b) over bars with b < 0",
    source="Morningstar glossary, geometric; here per bar",
)
def down_capture(returns: ArrayLike, benchmark: ArrayLike) -> float:
    """Share of the benchmark's falls that the strategy took part in, as `up_capture`.

    1 for the benchmark itself, < 0 where the strategy gained while it fell; NaN where it never
    fell.
    """
    return _capture(as_array(returns), as_array(benchmark), side=-1.0)


@metric(
    unit="fraction",
    better="higher",
    formula="total_return - total_return of the benchmark",
    scopes=("inside", "period"),
)
def loss_avoided(returns: ArrayLike, benchmark: ArrayLike) -> float:
    """Compounded return of the strategy above the benchmark's; NaN for no bars.

    Examples
    --------
    >>> round(loss_avoided([-0.2], [-0.6]), 6)
    0.4
    """
    return total_return(returns) - total_return(benchmark)


@metric(
    unit="fraction",
    better="lower",
    formula="cagr of the benchmark - cagr",
    scopes=("outside",),
)
def cost_of_protection(returns: ArrayLike, benchmark: ArrayLike, periods_per_year: float) -> float:
    """Yearly growth given up against the benchmark, > 0 where the strategy lagged.

    NaN for no bars.
    """
    return cagr(benchmark, periods_per_year) - cagr(returns, periods_per_year)


@metric(
    label="Mean exposure",
    unit="fraction",
    formula="time-weighted mean of abs(exposure) at the bars' closes",
    name="exposure",
    from_sums=lambda sums: sums.exposure / sums.spans,
)
def mean_exposure(exposure: ArrayLike, spans: ArrayLike | None = None) -> float:
    """Mean size of the exposure over time, whatever its side; NaN for no bars.

    What is held at a close is held through the bars missing after it.
    """
    return _over_time(np.abs(as_array(exposure)), spans)


@metric(
    unit="fraction",
    formula="share of the time with exposure != 0 at the last close",
    from_sums=lambda sums: sums.held / sums.spans,
)
def time_in_market(exposure: ArrayLike, spans: ArrayLike | None = None) -> float:
    """Share of the time with any exposure; NaN for no bars or where an exposure is NaN."""
    return _over_time(np.abs(np.sign(as_array(exposure))), spans)


@metric(
    unit="per_year",
    better="lower",
    formula="sum(traded notional / equity) / years",
    name="turnover",
    from_sums=lambda sums: sums.turnover * sums.periods_per_year / sums.bars,
)
def yearly_turnover(turnover: ArrayLike, periods_per_year: float) -> float:
    """How many times a year equity is traded; a purchase and its sale count twice.

    Examples
    --------
    >>> yearly_turnover([0.5, 0.0, 0.0, 0.5], periods_per_year=8)
    2.0
    """
    return _mean(as_array(turnover)) * periods_per_year


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else math.nan


def _over_time(values: NDArray[np.float64], spans: ArrayLike | None) -> float:
    """Mean of what holds at each close, weighted with how long it does."""
    if spans is None or not values.size:
        return _mean(values)
    weights = as_array(spans)
    return float((values * weights).sum() / weights.sum())


def _capture(returns: NDArray[np.float64], benchmark: NDArray[np.float64], *, side: float) -> float:
    if returns.shape != benchmark.shape or returns.ndim != 1:
        raise InputError(
            f"returns and benchmark must be two rows of one length; got shapes {returns.shape} and "
            f"{benchmark.shape}"
        )
    if np.isnan(benchmark).any():
        return math.nan
    bars = side * benchmark > 0.0
    return _ratio(cagr(returns[bars], 1.0), cagr(benchmark[bars], 1.0))


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def _mean_per(sums: Sums, deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Yearly mean return of each account per unit of a deviation, from two bars on."""
    ratio = _per(sums.returns / sums.bars * sums.periods_per_year, deviation)
    return np.where(sums.bars > 1.0, ratio, np.nan)


def _per(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(denominator > 0.0, numerator / denominator, np.nan)
