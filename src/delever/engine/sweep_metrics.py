"""From the sums a sweep keeps of each account to its metrics, as `delever.stats` defines them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from delever.engine.arrays import Floats
from delever.errors import InputError
from delever.stats.metric import SCOPES, Metric, Scope, metric_of
from delever.stats.metrics import METRICS, AsMetric, register
from delever.stats.sample import Sums

__all__ = [
    "SCOPES",
    "SWEPT",
    "TOTALS",
    "asked_metrics",
    "block_metrics",
    "column_name",
    "metric_names",
]

SWEPT: tuple[Metric, ...] = tuple(each for each in METRICS if each.from_sums is not None)
"""The metrics of the package that the sums hold."""

TOTALS = {
    "fee": "FEE",
    "slippage": "SLIPPAGE",
    "liquidation": "LIQUIDATION",
    "funding": "FUNDING",
    "liquidations": "LIQUIDATIONS",
}
"""Totals of each account's ledger, which stand behind the metrics of each scope, and the kernel's
rows of them: costs and funding in quote units, signed as in the ledger, and how many times the
account was liquidated."""


def column_name(scope: Scope, name: str) -> str:
    """Column of a metric or a total: of the whole run its name, of a part behind the part's."""
    return name if scope == "whole" else f"{scope}_{name}"


def metric_names(
    metrics: Sequence[Metric] = SWEPT, totals: Iterable[str] = TOTALS
) -> tuple[str, ...]:
    """Columns of a sweep: scope by scope the metrics defined there, then the totals.

    Raises
    ------
    InputError
        If a metric has the name of another column.
    """
    taken = sorted({*TOTALS, "start", "error"}.intersection(each.name for each in metrics))
    if taken:
        raise InputError(
            f"a metric of a sweep must not be called {', '.join(taken)}, which names another "
            "column; rename it"
        )
    return tuple(
        column_name(scope, name)
        for scope in SCOPES
        for name in (*(each.name for each in metrics if scope in each.scopes), *totals)
    )


def asked_metrics(further: Iterable[AsMetric]) -> tuple[tuple[Metric, ...], tuple[Metric, ...]]:
    """The metrics of a sweep: those its sums hold, and those asked for that need a single run.

    Raises
    ------
    InputError
        If one of `further` is no metric, or has the name or label of another.
    """
    rows = tuple(metric_of(item) for item in further)
    held = tuple(each for each in register(rows).values() if each.from_sums is not None)
    return held, tuple(dict.fromkeys(each for each in rows if each.from_sums is None))


def block_metrics(
    ends: Floats,
    scopes: Floats,
    bars: Floats,
    *,
    initial_equity: float,
    periods_per_year: float,
    metrics: Sequence[Metric] = SWEPT,
) -> Floats:
    """Compute the columns of `metric_names` for a block of accounts, a row per account.

    Raises
    ------
    InputError
        If a metric does not give one number per account.
    """
    from delever.engine import sweep_kernel as kernel

    whole = scopes.sum(axis=0)
    whole[kernel.LEAST] = scopes[:, kernel.LEAST].min(axis=0)
    whole[kernel.MOST] = scopes[:, kernel.MOST].max(axis=0)
    # Compounded figures of the whole come from its first and last equity.
    whole[kernel.WEALTH] = ends[kernel.EQUITY] / initial_equity
    whole[kernel.SCOPE_TROUGH] = ends[kernel.TROUGH]
    parts = {
        "whole": (whole, bars.sum(axis=0)),
        "inside": (scopes[1], bars[1]),
        "outside": (scopes[0], bars[0]),
    }
    columns: list[Floats] = []
    for scope in SCOPES:
        kept, counted = parts[scope]
        sums = _sums(kept, counted, periods_per_year)
        columns.extend(_measured(each, sums) for each in metrics if scope in each.scopes)
        columns.extend(kept[getattr(kernel, row)] for row in TOTALS.values())
    return np.stack(columns, axis=1)


def _sums(kept: Floats, bars: Floats, periods_per_year: float) -> Sums:
    from delever.engine import sweep_kernel as kernel

    return Sums(
        bars=bars,
        held_bars=kept[kernel.HELD],
        returns=kept[kernel.SUM],
        squares=kept[kernel.SQUARES],
        squared_losses=kept[kernel.DOWN],
        lowest=kept[kernel.LEAST],
        highest=kept[kernel.MOST],
        wealth=kept[kernel.WEALTH],
        drawdown=kept[kernel.SCOPE_TROUGH] - 1.0,
        exposure=kept[kernel.EXPOSURE],
        turnover=kept[kernel.TURNOVER],
        trades=kept[kernel.TRADES],
        won=kept[kernel.HITS],
        periods_per_year=periods_per_year,
    )


def _measured(metric: Metric, sums: Sums) -> Floats:
    """A metric of each account; without bars only a count is defined."""
    if metric.from_sums is None:
        raise InputError(f"metric {metric.name} must have from_sums to be had from a sweep's sums")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        values = np.asarray(metric.from_sums(sums), dtype=np.float64)
    if values.shape != sums.bars.shape:
        raise InputError(
            f"metric {metric.name}: from_sums must give one number per account, shape "
            f"{sums.bars.shape}; got shape {values.shape}"
        )
    return values if metric.unit in ("bars", "count") else np.where(sums.bars > 0, values, np.nan)
