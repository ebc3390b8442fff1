"""From the sums a sweep keeps of each account to its metrics, as `delever.stats` defines them."""

from __future__ import annotations

import itertools

import numpy as np

from delever.engine.arrays import Floats

__all__ = ["METRICS", "SCOPES", "block_metrics", "metric_names"]

SCOPES = ("whole", "inside", "outside")
"""Scopes a sweep measures: the whole run, and its bars inside and outside periods."""

METRICS = (
    "bars",
    "total_return",
    "cagr",
    "volatility",
    "downside_deviation",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "max_drawdown",
    "worst_bar",
    "best_bar",
    "exposure",
    "time_in_market",
    "turnover",
    "trades",
    "hit_rate",
    "fee",
    "slippage",
    "liquidation",
    "funding",
    "liquidations",
)
"""What a sweep measures in each scope. The first sixteen are metrics of the registry; then fees,
slippage, liquidation and funding in quote units, signed as in the ledger, and how many times the
account was liquidated."""

_NO_SPREAD = 1e-14
_AT_PEAK = 1e-12


def metric_names() -> tuple[str, ...]:
    """Names of a sweep's columns: metrics of the whole run bare, of a part after its name."""
    return tuple(
        name if scope == "whole" else f"{scope}_{name}"
        for scope, name in itertools.product(SCOPES, METRICS)
    )


def block_metrics(
    ends: Floats,
    scopes: Floats,
    bars: Floats,
    *,
    initial_equity: float,
    periods_per_year: float,
) -> Floats:
    """Compute the metrics of a block of accounts.

    Notes
    -----
    The variance is ``(sum(r^2) - n mean^2) / (n - 1)``; a bar's return is small beside its
    deviation, so the two terms do not cancel. Compounded figures of the whole come from its first
    and last equity.
    """
    from delever.engine import sweep_kernel as kernel

    whole = scopes.sum(axis=0)
    whole[kernel.LEAST] = scopes[:, kernel.LEAST].min(axis=0)
    whole[kernel.MOST] = scopes[:, kernel.MOST].max(axis=0)
    whole[kernel.WEALTH] = ends[kernel.EQUITY] / initial_equity
    whole[kernel.SCOPE_TROUGH] = ends[kernel.TROUGH]
    parts = ((whole, bars.sum(axis=0)), (scopes[1], bars[1]), (scopes[0], bars[0]))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.concatenate([_measured(*part, periods_per_year) for part in parts]).T


def _measured(sums: Floats, bars: Floats, per_year: float) -> Floats:
    from delever.engine import sweep_kernel as kernel

    none = bars == 0.0
    several = bars > 1.0
    mean = sums[kernel.SUM] / bars
    variance = np.maximum(sums[kernel.SQUARES] - bars * mean**2, 0.0) / (bars - 1.0)
    spread = sums[kernel.MOST] - sums[kernel.LEAST] > _NO_SPREAD
    volatility = np.where(spread, np.sqrt(variance * per_year), 0.0)
    lost = sums[kernel.LEAST] < -_NO_SPREAD
    downside = np.where(lost, np.sqrt(sums[kernel.DOWN] / bars * per_year), 0.0)
    growth = np.expm1(np.log(sums[kernel.WEALTH]) / bars * per_year)
    cagr = np.where(sums[kernel.LEAST] <= -1.0, -1.0, np.where(np.isinf(growth), np.nan, growth))
    fall = sums[kernel.SCOPE_TROUGH] - 1.0
    fall = np.where(fall >= -_AT_PEAK, 0.0, fall)
    values = (
        bars,
        sums[kernel.WEALTH] - 1.0,
        cagr,
        np.where(several, volatility, np.nan),
        downside,
        np.where(several & (volatility > 0.0), mean * per_year / volatility, np.nan),
        np.where(several & (downside > 0.0), mean * per_year / downside, np.nan),
        np.where(fall < 0.0, cagr / -fall, np.nan),
        fall,
        sums[kernel.LEAST],
        sums[kernel.MOST],
        sums[kernel.EXPOSURE] / bars,
        sums[kernel.HELD] / bars,
        sums[kernel.TURNOVER] * per_year / bars,
        sums[kernel.TRADES],
        sums[kernel.HITS] / sums[kernel.TRADES],
        sums[kernel.FEE],
        sums[kernel.SLIPPAGE],
        sums[kernel.LIQUIDATION],
        sums[kernel.FUNDING],
        sums[kernel.LIQUIDATIONS],
    )
    counts = {"bars", "trades", "fee", "slippage", "liquidation", "funding", "liquidations"}
    rows = [
        value if name in counts else np.where(none, np.nan, value)
        for name, value in zip(METRICS, values, strict=True)
    ]
    return np.stack(rows)
