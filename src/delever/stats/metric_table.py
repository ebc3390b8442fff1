"""Every metric, a row each; the page of methods and all reports follow this order."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

from delever.stats import drawdowns, performance, returns, risk
from delever.stats.sample import Metric, Sample

__all__ = ["METRICS"]


def _against_benchmark(compute: Callable[[Sample, pd.Series], float]) -> Callable[[Sample], float]:
    """Make a metric that compares undefined where there is nothing to compare with."""

    def guarded(sample: Sample) -> float:
        return math.nan if sample.benchmark is None else compute(sample, sample.benchmark)

    return guarded


METRICS: tuple[Metric, ...] = (
    Metric(
        name="bars",
        label="Bars",
        unit="bars",
        better=None,
        formula="n, the number of bars in the scope",
        source="by definition",
        compute=lambda s: float(len(s.returns)),
    ),
    Metric(
        name="total_return",
        label="Total return",
        unit="fraction",
        better="higher",
        formula="prod(1 + r) - 1",
        source="by definition",
        compute=lambda s: returns.total_return(s.returns),
    ),
    Metric(
        name="cagr",
        label="CAGR",
        unit="fraction",
        better="higher",
        formula="(1 + total_return) ** (periods_per_year / n) - 1",
        source="by definition; a year has 365 days",
        compute=lambda s: returns.cagr(s.returns, s.periods_per_year),
    ),
    Metric(
        name="volatility",
        label="Volatility",
        unit="fraction",
        better="lower",
        formula="std(r, ddof=1) * sqrt(periods_per_year)",
        source="by definition",
        compute=lambda s: risk.volatility(s.returns, s.periods_per_year),
    ),
    Metric(
        name="downside_deviation",
        label="Downside deviation",
        unit="fraction",
        better="lower",
        formula="sqrt(mean(min(r, 0) ** 2)) * sqrt(periods_per_year), over all bars",
        source="Sortino and Price (1994)",
        compute=lambda s: risk.downside_deviation(s.returns, s.periods_per_year),
    ),
    Metric(
        name="sharpe_ratio",
        label="Sharpe ratio",
        unit="ratio",
        better="higher",
        formula="mean(r) / std(r, ddof=1) * sqrt(periods_per_year), risk-free rate 0",
        source="Sharpe (1994)",
        compute=lambda s: performance.sharpe_ratio(s.returns, s.periods_per_year),
    ),
    Metric(
        name="sortino_ratio",
        label="Sortino ratio",
        unit="ratio",
        better="higher",
        formula="mean(r) * periods_per_year / downside_deviation, target 0",
        source="Sortino and Price (1994)",
        compute=lambda s: performance.sortino_ratio(s.returns, s.periods_per_year),
    ),
    Metric(
        name="calmar_ratio",
        label="Calmar ratio",
        unit="ratio",
        better="higher",
        formula="cagr / abs(max_drawdown), over the whole scope",
        source="Young (1991), there over 36 months",
        compute=lambda s: performance.calmar_ratio(s.returns, s.periods_per_year),
    ),
    Metric(
        name="max_drawdown",
        label="Max drawdown",
        unit="fraction",
        better="higher",
        formula="min(W / max(1, W so far) - 1), W = cumprod(1 + r)",
        source="Chekhlov, Uryasev and Zabarankin (2005), here of compounded wealth",
        compute=lambda s: drawdowns.max_drawdown(s.returns),
    ),
    Metric(
        name="max_drawdown_length",
        label="Max drawdown length",
        unit="days",
        better="lower",
        formula="bars from its peak to its recovery, or to the last bar, in days",
        source="definition of this project",
        compute=lambda s: drawdowns.max_drawdown_length(s.returns) * s.days_per_bar,
    ),
    Metric(
        name="time_to_recover",
        label="Time to recover",
        unit="days",
        better="lower",
        formula="bars from the trough of the max drawdown to its recovery, in days; NaN if none",
        source="definition of this project",
        compute=lambda s: drawdowns.time_to_recover(s.returns) * s.days_per_bar,
    ),
    Metric(
        name="longest_drawdown",
        label="Longest drawdown",
        unit="days",
        better="lower",
        formula="bars of the longest stretch from a peak to its recovery or the last bar, in days",
        source="definition of this project",
        compute=lambda s: drawdowns.longest_drawdown(s.returns) * s.days_per_bar,
    ),
    Metric(
        name="value_at_risk",
        label="VaR 95 %",
        unit="fraction",
        better="higher",
        formula="5 % quantile of r, interpolated; a loss is negative",
        source="Hyndman and Fan (1996), type 7",
        compute=lambda s: risk.value_at_risk(s.returns),
    ),
    Metric(
        name="expected_shortfall",
        label="ES 95 %",
        unit="fraction",
        better="higher",
        formula="mean of the floor(0.05 * (n - 1)) + 1 lowest r; a loss is negative",
        source="Acerbi and Tasche (2002)",
        compute=lambda s: risk.expected_shortfall(s.returns),
    ),
    Metric(
        name="worst_bar",
        label="Worst bar",
        unit="fraction",
        better="higher",
        formula="min(r)",
        source="by definition",
        compute=lambda s: risk.worst_bar(s.returns),
    ),
    Metric(
        name="best_bar",
        label="Best bar",
        unit="fraction",
        better="higher",
        formula="max(r)",
        source="by definition",
        compute=lambda s: risk.best_bar(s.returns),
    ),
    Metric(
        name="skew",
        label="Skew",
        unit="ratio",
        better="higher",
        formula="m3 / m2 ** 1.5, mk = mean((r - mean(r)) ** k)",
        source="Joanes and Gill (1998), g1",
        compute=lambda s: risk.skewness(s.returns),
    ),
    Metric(
        name="kurtosis",
        label="Kurtosis (normal: 3)",
        unit="ratio",
        better="lower",
        formula="m4 / m2 ** 2, not the excess over 3",
        source="Joanes and Gill (1998), g2 + 3",
        compute=lambda s: risk.kurtosis(s.returns),
    ),
    Metric(
        name="exposure",
        label="Mean exposure",
        unit="fraction",
        better=None,
        formula="mean(abs(exposure)) at the bars' closes",
        source="definition of this project",
        compute=lambda s: performance.mean_exposure(s.exposure),
    ),
    Metric(
        name="time_in_market",
        label="Time in market",
        unit="fraction",
        better=None,
        formula="share of bars with exposure != 0 at the close",
        source="definition of this project",
        compute=lambda s: performance.time_in_market(s.exposure),
    ),
    Metric(
        name="turnover",
        label="Turnover",
        unit="per_year",
        better="lower",
        formula="sum(traded notional / equity) * periods_per_year / n",
        source="definition of this project",
        compute=lambda s: performance.yearly_turnover(s.turnover, s.periods_per_year),
    ),
    Metric(
        name="trades",
        label="Closed trades",
        unit="count",
        better=None,
        formula="trades that ended on a bar of the scope",
        source="definition of this project",
        compute=lambda s: float(s.closed_pnl.size),
    ),
    Metric(
        name="hit_rate",
        label="Hit rate",
        unit="fraction",
        better="higher",
        formula="share of closed trades with net PnL > 0",
        source="definition of this project",
        compute=lambda s: performance.hit_rate(s.closed_pnl),
    ),
    Metric(
        name="profit_factor",
        label="Profit factor",
        unit="ratio",
        better="higher",
        formula="sum of net PnL > 0 / abs(sum of net PnL < 0), closed trades",
        source="definition of this project",
        compute=lambda s: performance.profit_factor(s.closed_pnl),
    ),
    Metric(
        name="up_capture",
        label="Up capture",
        unit="ratio",
        better="higher",
        formula="gmean(r) / gmean(b) over bars with b > 0, gmean(x) = prod(1 + x) ** (1 / k) - 1",
        source="Morningstar glossary, geometric; here per bar",
        compute=_against_benchmark(lambda s, b: performance.up_capture(s.returns, b)),
    ),
    Metric(
        name="down_capture",
        label="Down capture",
        unit="ratio",
        better="lower",
        formula="gmean(r) / gmean(b) over bars with b < 0",
        source="Morningstar glossary, geometric; here per bar",
        compute=_against_benchmark(lambda s, b: performance.down_capture(s.returns, b)),
    ),
    Metric(
        name="loss_avoided",
        label="Loss avoided",
        unit="fraction",
        better="higher",
        formula="total_return - total_return of the benchmark; read it inside periods",
        source="definition of this project",
        compute=_against_benchmark(lambda s, b: performance.loss_avoided(s.returns, b)),
    ),
    Metric(
        name="cost_of_protection",
        label="Cost of protection",
        unit="fraction",
        better="lower",
        formula="cagr of the benchmark - cagr; read it outside periods",
        source="definition of this project",
        compute=_against_benchmark(
            lambda s, b: performance.cost_of_protection(s.returns, b, s.periods_per_year)
        ),
    ),
)
"""All metrics, in the order in which they are shown."""
