"""A combination run by itself, bar by bar: what a compiled sweep does not cover, in its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.engine.backtest import Backtest
from delever.engine.sweep_metrics import PART_SUMS, TOTALS
from delever.research.choosing import Parts
from delever.stats.metrics import SCOPES, Metric, Sample, compute_scopes

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def columns_of(
    done: Backtest,
    sample: Sample,
    scopes: Mapping[str, Flags],
    metrics: Sequence[Metric],
    parts: Parts,
    begin: int,
    *,
    small: float,
) -> list[float]:
    """The columns of a sweep, of a single run that begins at a row."""
    table = compute_scopes(sample, scopes, metrics)
    totals = {name: _totals(done, bars) for name, bars in scopes.items()}
    columns = [
        value
        for scope in SCOPES
        for value in (
            *(float(table[scope][each.name]) for each in metrics if scope in each.scopes),
            *(totals[scope][name] for name in TOTALS),
        )
    ]
    return [*columns, small, *in_parts(done, parts, begin).ravel().tolist()]


def table_of(values: Mapping[int, Sequence[float]], names: Sequence[str]) -> pd.DataFrame:
    """Columns of combinations that were run by themselves, by row."""
    table = np.array(list(values.values()), dtype=np.float64).reshape(len(values), len(names))
    return pd.DataFrame(table, index=list(values), columns=list(names))


def scoped(sample: Sample, scopes: Mapping[str, Flags], metrics: Sequence[Metric]) -> list[float]:
    """The columns of metrics of a sweep, measured on a single run."""
    table = compute_scopes(sample, scopes, metrics)
    return [
        float(table[scope][each.name])
        for scope in SCOPES
        for each in metrics
        if scope in each.scopes
    ]


def _totals(done: Backtest, bars: Flags) -> dict[str, float]:
    """Totals of a run's ledger in a scope; of what its account does not pay, 0."""
    index, fills = done.ledger.index, done.fills
    forced = index.get_indexer(pd.Index(fills["time"][fills["reason"] == "liquidation"]))
    there = {name: float(done.ledger[name][bars].sum()) for name in TOTALS if name in done.ledger}
    return dict.fromkeys(TOTALS, 0.0) | there | {"liquidations": float(bars[forced].sum())}


def in_parts(done: Backtest, parts: Parts, begin: int) -> Floats:
    """The sums of a sweep in each part of a run that begins at a row; shape (parts, sums)."""
    returns = done.returns.to_numpy(dtype=np.float64)
    equity = np.append(done.initial_equity, done.equity.to_numpy(dtype=np.float64))
    index = pd.DatetimeIndex(done.ledger.index)
    ended = pd.DatetimeIndex(done.trades["exit_time"][done.trades["status"] != "open"])
    closed = np.bincount(index.searchsorted(ended, side="right") - 1, minlength=len(index))
    sums = np.column_stack([returns, returns**2, np.zeros(len(returns)), closed])
    since = np.concatenate([np.zeros((1, len(PART_SUMS))), sums.cumsum(axis=0)])
    bounds = np.clip(np.array(list(parts.rows.values()), dtype=np.int64) - begin, 0, None)
    first, last = bounds.reshape(-1, 2).T
    found: Floats = since[last] - since[first]
    before, after = equity[first], equity[last]
    with np.errstate(divide="ignore", invalid="ignore"):  # an account may lose everything
        found[:, 2] = np.where(before > 0.0, np.log(after / before), 0.0)
    return found
