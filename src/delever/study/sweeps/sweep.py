"""Many combinations of parameters at once, of a study file or of a market at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delever.deleveraging.period import load_catalog
from delever.engine.legs import Margin
from delever.engine.settings import Account
from delever.errors import InputError
from delever.panel import Markets
from delever.stats.metrics import AsMetric
from delever.study.inputs.belonging import account_on
from delever.study.inputs.market import utc
from delever.study.runs.backtesting import check_given
from delever.study.settings.config import DEFAULT_COSTS, unsaid_costs
from delever.study.settings.grid import Grid, axes_given, study_path, with_axes
from delever.study.sweeps.chosen import concluded
from delever.study.sweeps.chunk import Combination, SweepGround
from delever.study.sweeps.joint_ground import JointGround
from delever.study.sweeps.joint_sweep import (
    OF_SEVERAL,
    joint_combination_at_hand,
    joint_ground_at_hand,
)
from delever.study.sweeps.study_sweep import SWEPT_KEYS, Progress, sweep_study
from delever.study.sweeps.sweep_result import Sweep
from delever.study.sweeps.swept_columns import SweptColumns
from delever.study.workspaces.any_strategy import Given, as_strategy, called
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs
from delever.view import MarketView

_SWEPT_HERE = "a market is swept in this process; a cluster takes a study file with a [sweep] table"


def sweep(
    study: Path | str | MarketView | Markets,
    strategy: Given | None = None,
    axes: Mapping[str, Iterable[Any]] | None = None,
    *,
    set: Mapping[str, Any] | None = None,
    account: Account | Mapping[str, Account] | None = None,
    costs: Costs | None = None,
    benchmark: Given = "buy_and_hold",
    margin: str | Margin = "cross",
    rule: str | None = None,
    rule_params: Mapping[str, Any] | None = None,
    start: str | pd.Timestamp | None = None,
    initial_equity: float = 10_000.0,
    metrics: Sequence[AsMetric] = (),
    really: bool = False,
    workers: int | None = None,
    fresh: bool = False,
    cluster: str | Executor | None = None,
    progress: Progress = lambda done, total, left: None,
    workspace: Workspace | Path | str | None = None,
) -> Sweep:
    """Run every combination of some parameters, of a study file or in a notebook.

    Parameters
    ----------
    study : path, MarketView or Markets
        A study file with a ``[sweep]`` table, a market, or several.
    strategy : as in `delever.backtest`
        What is run on a market.
    axes : mapping of str to iterable
        On a market: values of each parameter of the strategy (``params.NAME`` where a result has
        its name, such as days), ``account.NAME`` (leverage, exposure, stop_loss, take_profit,
        trailing_stop, rebalance_band) or ``costs.NAME``; of several also ``portfolio.NAME``: rule,
        rebalance_band, margin, or a parameter of the rule. All combinations are run.
    set : mapping, optional
        Of a study file: dotted keys to values, such as ``{"sweep.samples": 100}``.
    account, costs, benchmark, start, initial_equity
        On a market: as `delever.backtest` takes them.
    margin, rule, rule_params
        On several markets: likewise.
    metrics : sequence of Metric or of functions with `delever.metric` above them
        A user's own, behind the package's. They are measured in this process, unless a `cluster`
        is given that can send them. For those that a sweep's sums do not hold, each combination
        is also run by itself.
    really : bool
        As `delever.backtest` takes it; of a study file, its key ``really``.
    workers : int, optional
        Of a study file: processes; by default one per core. A market is swept in this one.
    fresh : bool
        Of a study file: run also what has a result.
    cluster : str or concurrent.futures.Executor, optional
        Of a study file: a Dask cluster for its chunks, ``"tcp://HOST:8786"``, or ``"local:4"`` for
        four processes on this machine; see `docs/cluster.md`.
    progress : callable
        Of a study file: told combinations done, combinations in all, and seconds still to go.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Sweep
        Of a study file it is stored, and what was finished before is kept.

    Raises
    ------
    ConfigError
        If the study has no ``[sweep]`` table, or a combination is not valid.
    InputError
        If `study` is neither, an axis is none, or has no values, or one of `metrics` is no metric
        or has the name or label of another.
    SimulationError
        If a worker ends before its work is done, or runs other code than the client; if a
        cluster does not answer.
    StoreError
        If strategy or data change meanwhile, or a stored chunk cannot be read.

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d", end="2016-01-01")
    >>> found = dl.sweep(market, "ma200w_break", {"weeks": range(20, 60, 20)})
    >>> found.frame["weeks"].tolist()
    [20, 40]
    """
    if isinstance(study, MarketView | Markets):
        if cluster is not None:
            raise InputError(_SWEPT_HERE)
        place = Workspace.find(workspace, or_shipped=True)
        if strategy is None or axes is None:
            raise InputError("a sweep of a market needs a strategy and the axes to combine")
        check_given(study, account, costs, initial_equity)
        rest: dict[str, Any] = {
            "periods": tuple(load_catalog(place.periods)),
            "start": None if start is None else utc(start, "start"),
            "initial_equity": initial_equity,
            "metrics": (*place.extensions.metrics, *metrics),
        }
        if isinstance(study, Markets):
            rest |= {"account": account, "margin": margin, "rule": rule, "rule_params": rule_params}
            several = joint_ground_at_hand(
                study, strategy, costs=costs, benchmark=benchmark, place=place, **rest
            )
            make = joint_combination_at_hand(
                several, place, costs=costs, benchmark_costs=DEFAULT_COSTS, really=really
            )
            return _swept(several, axes, make, place)
        if isinstance(account, Mapping) or margin != "cross" or rule or rule_params:
            raise InputError(OF_SEVERAL)
        ground = _ground(study, strategy, account, costs, benchmark, place, rest)
        return _swept(ground, axes, partial(_combination, ground, costs, really), place)
    place, path = Workspace.find(workspace), study_path(study, "a sweep")
    _nothing_beside(strategy=strategy, axes=axes, account=account, costs=costs, rule=rule)
    return sweep_study(
        place.file(path),
        workspace=place,
        overrides={**(set or {}), **({"really": True} if really else {})},
        workers=workers,
        fresh=fresh,
        cluster=cluster,
        progress=progress,
        metrics=metrics,
    )


def _nothing_beside(**given: object) -> None:
    """Refuse what a study file says itself. Raises InputError."""
    if said := [name for name, value in given.items() if value is not None]:
        raise InputError(
            f"a study file says what is swept itself; got {', '.join(said)} beside it; write them "
            "there, or give set"
        )


def _ground(
    market: MarketView,
    strategy: Given,
    account: Account | None,
    costs: Costs | None,
    benchmark: Given,
    place: Workspace,
    rest: Mapping[str, Any],
) -> SweepGround:
    """What combinations on a market at hand share."""
    market, loaded = account_on(market, account, place)
    return SweepGround(
        market=market,
        strategy=as_strategy(strategy, workspace=place),
        benchmark=as_strategy(benchmark, workspace=place),
        account=loaded,
        costs=costs or unsaid_costs(loaded),
        **rest,
    )


def _swept(
    ground: SweepGround | JointGround,
    axes: Mapping[str, Iterable[Any]],
    combination: Callable[[Mapping[str, Any]], Any],
    place: Workspace,
) -> Sweep:
    """Sweep a strategy over a market, or several, here and now; only its trials are kept."""
    lists, strategy = axes_given(axes), ground.strategy
    chosen = Grid.of(lists)
    of_several: Mapping[str, Any] = {"portfolio": ()} if isinstance(ground, JointGround) else {}
    _check_axes(lists, ground.rows(()).columns, {**SWEPT_KEYS, **of_several})
    made = [combination(one) for one in chosen]  # what is wrong is refused before the first is run
    if isinstance(ground, SweepGround):
        if isinstance(strategy, Strategy):
            for one in made:
                strategy.bind(one.params)
        elif any(name.partition(".")[0] in (name, "params") for name in lists):
            raise InputError(f"target exposures take no parameters; got {', '.join(lists)}")
    frame = ground.rows(made)
    name, n_trials = called(strategy), len(chosen)
    ledger, family = None, ""
    if not place.shipped:
        tried = zip(made, frame["error"], strict=True)
        trials = [ground.trial(one) for one, error in tried if not error]
        ledger, last = ground.ledger(place), ground.market.index[-1]
        family = ledger.family(trials)
        n_trials = ledger.record(trials, by="notebook", study=name, until=last, family=family)
    return concluded(
        ground,
        SweptColumns(frame=with_axes(frame, chosen, np.arange(len(chosen)))),
        chosen,
        combination,
        name=name,
        data=ground.data,
        fixed=dict(ground.rule.params) if isinstance(ground, JointGround) else {},
        manifest={"study": {"name": name}},
        ledger=ledger,
        family=family,
        n_trials=n_trials,
    )


def _combination(
    ground: SweepGround, held: Costs | None, really: bool, values: Mapping[str, Any]
) -> Combination:
    """Of values of axes; raises ConfigError for costs that are hardly meant."""
    own: dict[str, dict[str, Any]] = {"params": {}, "account": {}, "costs": {}}
    for name, value in values.items():
        table, dot, key = name.partition(".")
        own[table if dot else "params"][key if dot else name] = value
    account = ground.account
    if own["account"]:
        account = replace(account or Account(), **own["account"])
    assert ground.costs is not None
    fills = replace(ground.costs, **own["costs"])
    if not really:
        fills.check_meant()
    return Combination(
        own["params"], account, fills, replace(held or DEFAULT_COSTS, **own["costs"])
    )


def _check_axes(
    axes: Iterable[str], results: Iterable[str], keys: Mapping[str, Sequence[str]]
) -> None:
    """Refuse an axis that is none, there twice, or has the name of a result; () takes any key."""
    taken = frozenset(results)
    axes = list(axes)
    for name in axes:
        if f"params.{name}" in axes:
            raise InputError(f"an axis must be there once; got {name} and params.{name}, the same")
        if name in taken:
            raise InputError(
                f"an axis must not have the name of a result; got {name!r}; call it params.{name}"
            )
        table, dot, key = name.partition(".")
        if dot and table != "params" and (table not in keys or key not in (keys[table] or [key])):
            there = ", ".join(f"{t}.{n}" for t, names in keys.items() for n in names or ["NAME"])
            raise InputError(
                f"an axis must be a parameter of the strategy or one of {there}; got {name!r}"
            )
