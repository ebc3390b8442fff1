"""A part of a sweep: combinations as data, run wherever a worker is, and their rows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.deleveraging.membership import membership
from delever.engine.settings import Account
from delever.engine.sweep_accounts import (
    Asked,
    SweepAccount,
    asked,
    check_account,
    simulate_each,
    sweep_market,
)
from delever.engine.sweep_metrics import asked_metrics, metric_names
from delever.errors import DeleverError, StoreError
from delever.memo import shared_work
from delever.research.evaluation import sample_of
from delever.stats.metrics import SCOPES, AsMetric, Metric, compute_scopes
from delever.study.account_table import for_run
from delever.study.config import Study
from delever.study.provenance import Inputs, gather
from delever.study.simulation import first_bar, run_target
from delever.study.workspace import Workspace
from delever.view import MarketView

__all__ = ["SWEPT_ACCOUNT", "Chunk", "applied", "run_chunk"]

SWEPT_ACCOUNT = ("leverage", "exposure", "stop_loss", "take_profit", "trailing_stop")
"""Settings of an account that the combinations of a sweep may differ in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What a worker is given: text and numbers only."""

    number: int  # place in the sweep
    file: str  # name of its result, by place and content
    root: str  # folder of the workspace
    study: str  # the study as JSON
    inputs_id: str  # hash of all that the worker must find where the study points
    combinations: tuple[Mapping[str, Any], ...]  # dotted keys of the study to values
    shared_bytes: int  # what shared indicators and what targets may take
    target_bytes: int


def applied(study: Study, combination: Mapping[str, Any]) -> Study:
    """The study with one combination of the sweep's values in place of its own."""
    table = study.model_dump(by_alias=True)
    for key, value in combination.items():
        section, _, name = key.partition(".")
        table[section] = {**(table[section] or {}), name: value}
    return Study.model_validate(table)


def run_chunk(chunk: Chunk, metrics: Sequence[AsMetric] = ()) -> pd.DataFrame:
    """Run the combinations of a chunk, and measure them by further metrics too.

    Raises
    ------
    StoreError
        If strategy, data or anything else is not what the sweep began with.
    """
    study, inputs, market, inside = _prepared(chunk.root, chunk.study, chunk.inputs_id)
    held_by_sums, from_a_run = asked_metrics(metrics)
    single: dict[int, list[float]] = {}
    errors: dict[int, str] = {}
    begins: dict[int, int] = {}
    parts: list[pd.DataFrame] = []
    with shared_work(chunk.shared_bytes):
        batch: dict[int, SweepAccount] = {}
        held = 0
        for row, own, target, begin in _asked(chunk, study, inputs, market, errors):
            account = _account(own, target, begin)
            if from_a_run:
                single[row] = _single(own, inputs, market, inside, target, begin, from_a_run)
            batch[row] = account
            begins[row] = begin
            held += account.asked.bars.nbytes + account.asked.targets.nbytes
            if held > chunk.target_bytes:
                parts.append(_simulated(batch, study, inputs, market, inside, held_by_sums, errors))
                batch, held = {}, 0
        parts.append(_simulated(batch, study, inputs, market, inside, held_by_sums, errors))
    rows = range(len(chunk.combinations))
    opened = pd.Series(market.index[list(begins.values())], index=list(begins)).reindex(rows)
    said = [errors.get(row, "") for row in rows]
    names = metric_names(from_a_run, totals=())
    alone = pd.DataFrame.from_dict(single, orient="index", columns=names).reindex(rows)
    measured = pd.concat([pd.concat(parts).reindex(rows), alone], axis=1)
    return measured.assign(start=opened, error=said)


def _simulated(
    batch: Mapping[int, SweepAccount],
    study: Study,
    inputs: Inputs,
    market: MarketView,
    inside: npt.NDArray[np.bool_],
    metrics: Sequence[Metric],
    errors: dict[int, str],
) -> pd.DataFrame:
    """Metrics of a batch by row; of what is refused, the reason goes to `errors`."""
    if not batch:
        return pd.DataFrame(columns=list(metric_names(metrics)), dtype="float64")
    begin = min(account.asked.begin for account in batch.values())
    try:
        board = sweep_market(
            market.bars.iloc[begin:],
            timeframe=market.timeframe,
            inside=inside[begin:],
            account=None if inputs.account is None else for_run(inputs.account, market.bars, begin),
            initial_equity=study.initial_equity,
            costs_times=study.costs_times,
        )
    except DeleverError as error:  # what the earliest lack (funding, rules), later ones may have
        first = [row for row, account in batch.items() if account.asked.begin == begin]
        errors |= dict.fromkeys(first, str(error))
        later = {row: account for row, account in batch.items() if row not in first}
        return _simulated(later, study, inputs, market, inside, metrics, errors)
    accepted: dict[int, SweepAccount] = {}
    for row, account in batch.items():
        try:
            check_account(account, board, "combination")
        except DeleverError as error:
            errors[row] = str(error)
        else:
            was = account.asked
            moved = Asked(was.begin - begin, was.bars - begin, was.targets)
            accepted[row] = replace(account, asked=moved)
    measured, refused = simulate_each(board, list(accepted.values()), metrics=metrics)
    rows = list(accepted)
    errors |= {rows[place]: reason for place, reason in refused.items()}
    return measured.set_axis(pd.Index(rows, dtype="int64"), axis=0)


def _single(
    study: Study,
    inputs: Inputs,
    market: MarketView,
    inside: npt.NDArray[np.bool_],
    target: npt.NDArray[np.float64],
    begin: int,
    metrics: Sequence[Metric],
) -> list[float]:
    """What a run of one combination by itself gives: the columns of metrics that no sums hold."""
    account = None
    if study.account is not None:
        said = {name: getattr(study.account, name) for name in SWEPT_ACCOUNT}
        account = replace(inputs.account or study.account, **said)
    run = partial(
        run_target,
        market,
        begin=begin,
        costs_times=study.costs_times,
        initial_equity=study.initial_equity,
    )
    try:
        done = run(pd.Series(target, index=market.index), costs=study.said_costs, account=account)
        compared = any(each.against_benchmark for each in metrics)
        held = run(inputs.benchmark.target(market), costs=study.spot_costs) if compared else None
    except DeleverError:  # the accounts of the batch are refused for it, with the reason
        return [math.nan] * len(metric_names(metrics, totals=()))
    own = inside[begin:]
    parts = {"whole": np.ones(len(own), dtype=bool), "inside": own, "outside": ~own}
    table = compute_scopes(sample_of(done, held), parts, metrics)
    return [
        float(table[scope][each.name])
        for scope in SCOPES
        for each in metrics
        if scope in each.scopes
    ]


def _asked(
    chunk: Chunk, study: Study, inputs: Inputs, market: MarketView, errors: dict[int, str]
) -> Iterator[tuple[int, Study, npt.NDArray[np.float64], int]]:
    """Combinations that a strategy has an answer to: their studies, targets and first bars."""
    asks, target = "", None
    held: dict[str, Study] = {}
    for row, combination in enumerate(chunk.combinations):
        params = dict(study.params)
        rest = {}
        for key, value in combination.items():
            if key.startswith("params."):
                params[key.removeprefix("params.")] = value
            else:
                rest[key] = value
        text = json.dumps(params, sort_keys=True)
        if target is None or text != asks:  # what is not asked varies fastest
            asks, target = text, _target(study, inputs, market, params)
        if isinstance(target, DeleverError):
            errors[row] = str(target)
            continue
        terms = json.dumps(rest, sort_keys=True)
        if terms not in held:
            held[terms] = applied(study, rest)
        yield row, held[terms], *target


def _target(
    study: Study, inputs: Inputs, market: MarketView, params: dict[str, Any]
) -> tuple[npt.NDArray[np.float64], int] | DeleverError:
    try:
        target = inputs.strategy.target(market, params)
        return target.to_numpy(), first_bar(market, target, start=study.start_time)
    except DeleverError as error:
        return error


def _account(study: Study, target: npt.NDArray[np.float64], begin: int) -> SweepAccount:
    account = study.account or Account()
    told = asked(target, begin)
    return SweepAccount(
        asked=told._replace(targets=told.targets * account.exposure),
        costs=study.paid_costs,
        leverage=account.leverage,
        stop_loss=account.stop_loss,
        take_profit=account.take_profit,
        trailing_stop=account.trailing_stop,
    )


@lru_cache(maxsize=1)
def _prepared(
    root: str, text: str, inputs_id: str
) -> tuple[Study, Inputs, MarketView, npt.NDArray[np.bool_]]:
    study = Study.model_validate_json(text)
    inputs = gather(study, Workspace(root=Path(root)))
    if inputs.manifest(study)["run_id"] != inputs_id:
        raise StoreError(
            f"strategy {inputs.strategy.path}, data {study.data} and all else that the study names "
            "must stay as they were when the sweep began; something changed, or a worker runs "
            "other code; run the sweep again"
        )
    market = inputs.market
    if study.end_time is not None:
        market = market.upto(study.end_time)
    inside = membership(market.index, market.timeframe, inputs.periods).to_numpy()
    return study, inputs, market, inside
