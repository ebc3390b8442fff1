"""A combination run by itself, bar by bar: what the compiled sweep does not cover, in its columns.

It takes as long as a backtest. Its numbers are those of single runs, since it is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.engine.backtest import Backtest
from delever.engine.delivered import below_a_lot
from delever.engine.orders import Target, exposure_of
from delever.engine.sweep_accounts import SWEPT_ACCOUNT
from delever.engine.sweep_market import uncovered
from delever.engine.sweep_metrics import PART_SUMS, TOTALS
from delever.engine.terms import costs_of
from delever.errors import InputError
from delever.research.choosing import Parts
from delever.research.evaluation import sample_of
from delever.research.strategy_checks import exposures, first_defined
from delever.stats.metrics import SCOPES, Metric, Sample, compute_scopes
from delever.study.runs.simulation import run_target, target_of

if TYPE_CHECKING:
    from delever.study.sweeps.chunk import Combination, SweepGround

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def why_by_itself(ground: SweepGround) -> str:
    """What of a sweep's account and costs has each combination run by itself; empty for nothing.

    Examples
    --------
    >>> import delever as dl
    >>> from delever.study.sweeps.chunk import SweepGround
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d", end="2014-01-01")
    >>> held = pd.Series(1.0, index=market.index)
    >>> ground = SweepGround(market=market, strategy=held, benchmark=held, periods=(), start=None,
    ...     account=dl.Account(limit_offset=0.01), initial_equity=1e4)
    >>> why_by_itself(ground)
    'limit_offset'
    """
    costs = costs_of(ground.costs, ground.account).stressed(ground.costs_times)
    return ", ".join(uncovered(ground.account, costs))


def by_itself(
    ground: SweepGround, one: Combination, target: Target, begin: int, *, tables: bool = True
) -> Backtest:
    """One combination run bar by bar."""
    account = one.account
    if account is not None:
        said = {name: getattr(account, name) for name in SWEPT_ACCOUNT}
        account = replace(ground.account or account, **said)
    return run_target(
        ground.market,
        target,
        begin=begin,
        costs=one.costs,
        account=account,
        costs_times=ground.costs_times,
        initial_equity=ground.initial_equity,
        tables=tables,
    )


def benchmark_of(ground: SweepGround, one: Combination, begin: int) -> Backtest:
    """The benchmark over the bars of a combination."""
    return run_target(
        ground.market,
        target_of(ground.market, ground.benchmark),
        begin=begin,
        costs=one.benchmark_costs,
        costs_times=ground.costs_times,
        initial_equity=ground.initial_equity,
    )


def run_alone(
    ground: SweepGround,
    one: Combination,
    target: Target,
    begin: int,
    by_sums: Sequence[Metric],
    by_run: Sequence[Metric],
) -> tuple[list[float], list[float]]:
    """Run a combination by itself: what sums hold, without `by_sums` nothing, and further columns.

    Raises InputError for bounds, which a sweep has no columns for, and what stands in the way of a
    run.
    """
    if by_sums and ground.account is not None and ground.account.bounds:
        raise InputError("a sweep has no columns for bounds; leave them out, or run one by one")
    done, held = by_itself(ground, one, target, begin), None
    if any(each.against_benchmark for each in by_run):
        held = benchmark_of(ground, one, begin)
    sample, scopes = sample_of(done, held), scopes_of(ground, target, begin)
    further = scoped(sample, scopes, by_run)
    if not by_sums:
        return [], further
    small = below_a_lot(done, ground.market.bars["open"].to_numpy(dtype=np.float64)[begin:])
    return columns_of(done, sample, scopes, by_sums, ground.parts, begin, small=small), further


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


def scopes_of(ground: SweepGround, target: Target, begin: int) -> dict[str, Flags]:
    """The bars of a run in each scope; those before the first decision are in the whole alone."""
    inside = ground.inside[begin:]
    decided = np.arange(begin, begin + len(inside)) > first_defined(exposures(exposure_of(target)))
    return {
        "whole": np.ones(len(inside), dtype=bool),
        "inside": inside & decided,
        "outside": ~inside & decided,
    }


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
