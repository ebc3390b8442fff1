"""From the sums a sweep keeps of each account to its metrics, as `delever.stats` defines them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from delever.arguments import Floats
from delever.engine.arrays import record
from delever.errors import InputError
from delever.stats.metric import SCOPES, Metric, Scope, metric_of
from delever.stats.metrics import METRICS, AsMetric, register
from delever.stats.sample import Sums

ENDS = record("equity", "trough", "refused", "excess", "exposure", "held", "small")
"""How an account ends: equity, lowest equity over peak, bar and measure of a refused position, what
it held in missing bars between two scopes, and how many decisions were below one lot."""

SUMS = record(
    *("gain", "squares", "down", "least", "most", "exposure", "held"),  # of bars
    *("peak", "trough", "growth", "above"),  # `above`: peak over equity on leaving
    # in the order of the kernel's `Held`, so that they are added as vectors
    *("turnover", "trades", "hits", "fee", "slippage", "liquidations", "liquidation", "funding"),
)
"""What is kept of an account in a scope."""

PART_SUMS = ("returns", "squares", "growth", "trades")
"""What is kept of an account in a part of the bars: sums of returns and of their squares, log
growth, and closed trades; after ruin growth is 0, there being nothing left."""

SWEPT: tuple[Metric, ...] = tuple(each for each in METRICS if each.from_sums is not None)
"""The metrics of the package that the sums hold."""

TOTALS = ("fee", "slippage", "liquidation", "funding", "liquidations")
"""Totals of each account's ledger, which stand behind the metrics of each scope: costs and funding
in quote units, signed as in the ledger, and how many times the account was liquidated."""


BELOW_A_LOT = "below_a_lot"
"""Column of how many decisions to hold something held nothing, being less than one lot."""

OTHERS = (BELOW_A_LOT, "start", "first_decision", "error", "neighbours_sharpe_ratio")
"""Further columns of a sweep's frame."""


def column_name(scope: Scope, name: str) -> str:
    """Column of a metric or a total: of the whole run its name, of a part behind the part's."""
    return name if scope == "whole" else f"{scope}_{name}"


def part_names(parts: Iterable[str]) -> list[str]:
    """Columns of the sums of each part of the bars."""
    return [f"{part}_{name}" for part in parts for name in PART_SUMS]


def metric_names(
    metrics: Sequence[Metric] = SWEPT, totals: Iterable[str] = TOTALS
) -> tuple[str, ...]:
    """Columns of a sweep: scope by scope the metrics defined there, then the totals; at last lots.

    Without `totals` the metrics alone.

    Raises InputError if a metric has the name of another column.
    """
    taken = sorted({*TOTALS, *OTHERS}.intersection(each.name for each in metrics))
    if taken:
        raise InputError(
            f"a metric of a sweep must not be called {', '.join(taken)}, which names another "
            "column; rename it"
        )
    behind = tuple(totals)
    found = (
        column_name(scope, name)
        for scope in SCOPES
        for name in (*(each.name for each in metrics if scope in each.scopes), *behind)
    )
    return (*found, BELOW_A_LOT) if behind else tuple(found)


def asked_metrics(further: Iterable[AsMetric]) -> tuple[tuple[Metric, ...], tuple[Metric, ...]]:
    """The metrics of a sweep: those its sums hold, and those asked for that need a single run.

    Raises InputError if one of `further` is no metric, or has the name or label of another.
    """
    rows = tuple(metric_of(item) for item in further)
    held = tuple(each for each in register(rows).values() if each.from_sums is not None)
    return held, tuple(dict.fromkeys(each for each in rows if each.from_sums is None))


def block_metrics(
    ends: Any,
    scopes: Any,
    bars: Floats,
    lasting: Floats,
    *,
    initial_equity: float,
    timeframe: str,
    metrics: Sequence[Metric] = SWEPT,
    waited: Floats | float = 0.0,
) -> Floats:
    """Compute the columns of `metric_names` for a block of accounts, a row per account.

    Bars are counted outside and inside, and the time they stand for outside, inside and between;
    those `waited` for the first decision, and their time, shape (2, accounts), are in the whole.

    Raises InputError if a metric does not give one number per account.
    """
    kept = {name: scopes[name].T for name in SUMS.names or ()}
    whole = {name: both.sum(axis=0) for name, both in kept.items()} | {
        "least": kept["least"].min(axis=0),
        "most": kept["most"].max(axis=0),
        # Compounded figures of the whole come from its first and last equity.
        "growth": ends["equity"] / initial_equity,
        "trough": ends["trough"],
    }
    for name in ("exposure", "held"):
        whole[name] = whole[name] + ends[name]
    still, passed = np.broadcast_to(waited, (2, len(ends)))
    whole["least"] = np.where(still > 0.0, np.minimum(whole["least"], 0.0), whole["least"])
    whole["most"] = np.where(still > 0.0, np.maximum(whole["most"], 0.0), whole["most"])
    inside, outside = ({name: both[part] for name, both in kept.items()} for part in (1, 0))
    parts = {
        "whole": (whole, bars.sum(axis=0) + still, lasting.sum(axis=0) + passed),
        "inside": (inside, bars[1], lasting[1]),
        "outside": (outside, bars[0], lasting[0]),
    }
    columns: list[Floats] = []
    for scope in SCOPES:
        own, counted, lasted = parts[scope]
        sums = _sums(own, counted, lasted, timeframe)
        columns.extend(_measured(each, sums) for each in metrics if scope in each.scopes)
        columns.extend(own[name] for name in TOTALS)
    return np.stack([*columns, ends["small"]], axis=1)


def _sums(kept: Mapping[str, Floats], bars: Floats, lasted: Floats, timeframe: str) -> Sums:
    return Sums(
        bars=bars,
        spans=lasted,
        held=kept["held"],
        returns=kept["gain"],
        squares=kept["squares"],
        squared_losses=kept["down"],
        lowest=kept["least"],
        highest=kept["most"],
        wealth=kept["growth"],
        drawdown=kept["trough"] - 1.0,
        exposure=kept["exposure"],
        turnover=kept["turnover"],
        trades=kept["trades"],
        won=kept["hits"],
        timeframe=timeframe,
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
