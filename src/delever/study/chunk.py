"""A part of a sweep: combinations as data, run wherever a worker is, and their rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.errors import DeleverError, StoreError
from delever.events.window import membership
from delever.sharing import shared_work
from delever.sim.sweep import Account, Asked, asked, check_account, simulate_each, sweep_market
from delever.study.account import AccountConfig
from delever.study.config import Study
from delever.study.run import Inputs, gather
from delever.study.trial import first_bar, view
from delever.study.workspace import Workspace
from delever.view import MarketView

__all__ = ["Chunk", "applied", "run_chunk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What a worker is given: text and numbers only.

    Attributes
    ----------
    number : int
        Place in the sweep.
    root : str
        Folder of the workspace.
    study : str
        The study as JSON.
    strategy_sha256, data_id : str
        What the worker must find where the study points.
    combinations : tuple of dict
        Dotted keys of the study to values.
    shared_bytes : int
        What shared indicators may take.
    """

    number: int
    root: str
    study: str
    strategy_sha256: str
    data_id: str
    combinations: tuple[Mapping[str, Any], ...]
    shared_bytes: int


def applied(study: Study, combination: Mapping[str, Any]) -> Study:
    """The study with one combination of the sweep's values in place of its own."""
    table = study.model_dump(by_alias=True)
    for key, value in combination.items():
        section, _, name = key.partition(".")
        table[section] = {**(table[section] or {}), name: value}
    return Study.model_validate(table)


def run_chunk(chunk: Chunk) -> pd.DataFrame:
    """Run the combinations of a chunk.

    Parameters
    ----------
    chunk : Chunk
        What to run.

    Returns
    -------
    pandas.DataFrame, shape (combinations, 65)
        ``start`` (open of the first bar, UTC), ``error`` (empty, or why there is no result), and
        the metrics of `delever.sim.sweep.simulate`.

    Raises
    ------
    StoreError
        If strategy or data are not those the sweep began with.
    """
    study, inputs, market, inside = _prepared(chunk.root, chunk.study)
    if (inputs.strategy.sha256, inputs.data.id) != (chunk.strategy_sha256, chunk.data_id):
        raise StoreError(
            f"strategy {inputs.strategy.path} and data {study.data} must stay as they were when "
            "the sweep began; one of them changed; run the sweep again"
        )
    told, errors = _ask(chunk, study, inputs, market)
    begin = min((one.account.asked.begin for one in told.values()), default=0)
    settings = None
    if inputs.account is not None:
        settings = inputs.account.settings(market.bars, begin)
    metrics = pd.DataFrame()
    if told:
        board = sweep_market(
            market.bars.iloc[begin:],
            timeframe=market.timeframe,
            inside=inside[begin:],
            perp=settings,
            initial_equity=study.initial_equity,
        )
        accounts = {}
        for row, one in told.items():
            try:
                check_account(one.account, board, "combination")
            except DeleverError as error:
                errors[row] = str(error)
            else:
                accounts[row] = one.shifted(begin)
        metrics, refused = simulate_each(board, list(accounts.values()))
        metrics.index = pd.Index(list(accounts), dtype="int64")
        errors |= {list(accounts)[row]: reason for row, reason in refused.items()}
    rows = range(len(chunk.combinations))
    starts = [market.index[told[row].account.asked.begin] if row in told else None for row in rows]
    return metrics.reindex(rows).assign(
        start=pd.DatetimeIndex(starts, tz="UTC").as_unit("ns"),
        error=[errors.get(row, "") for row in rows],
    )


class _Told(NamedTuple):
    account: Account

    def shifted(self, begin: int) -> Account:
        """The account on bars of which the first `begin` are left out."""
        was = self.account
        moved = Asked(was.asked.begin - begin, was.asked.bars - begin, was.asked.targets)
        return Account(
            asked=moved,
            costs=was.costs,
            leverage=was.leverage,
            stop_loss=was.stop_loss,
            take_profit=was.take_profit,
            trailing_stop=was.trailing_stop,
        )


def _ask(
    chunk: Chunk, study: Study, inputs: Inputs, market: MarketView
) -> tuple[dict[int, _Told], dict[int, str]]:
    told: dict[int, _Told] = {}
    errors: dict[int, str] = {}
    targets: dict[str, tuple[npt.NDArray[np.float64], int] | DeleverError] = {}
    held: dict[str, Study] = {}
    with shared_work(chunk.shared_bytes):
        for row, combination in enumerate(chunk.combinations):
            params = dict(study.params)
            rest = {}
            for key, value in combination.items():
                if key.startswith("params."):
                    params[key.removeprefix("params.")] = value
                else:
                    rest[key] = value
            asks = json.dumps(params, sort_keys=True)
            if asks not in targets:
                targets.clear()  # one at a time: the grid varies what is not asked fastest
                targets[asks] = _target(study, inputs, market, params)
            target = targets[asks]
            if isinstance(target, DeleverError):
                errors[row] = str(target)
                continue
            terms = json.dumps(rest, sort_keys=True)
            if terms not in held:
                held[terms] = applied(study, rest)
            told[row] = _Told(_account(held[terms], *target))
    return told, errors


def _target(
    study: Study, inputs: Inputs, market: MarketView, params: dict[str, Any]
) -> tuple[npt.NDArray[np.float64], int] | DeleverError:
    try:
        target = inputs.strategy.target(market, params)
        return target.to_numpy(), first_bar(market, target, start=study.start_time)
    except DeleverError as error:
        return error


def _account(study: Study, target: npt.NDArray[np.float64], begin: int) -> Account:
    config = study.account or AccountConfig()
    return Account(
        asked=asked(target * config.exposure, begin),
        costs=study.paid_costs,
        leverage=config.leverage,
        stop_loss=config.stop_loss,
        take_profit=config.take_profit,
        trailing_stop=config.trailing_stop,
    )


@lru_cache(maxsize=1)
def _prepared(root: str, text: str) -> tuple[Study, Inputs, MarketView, npt.NDArray[np.bool_]]:
    study = Study.model_validate_json(text)
    inputs = gather(study, Workspace(root=Path(root)))
    market = view(inputs.data, warmup=inputs.warmup, series=inputs.series)
    if study.end_time is not None:
        market = market.upto(study.end_time)
    inside = membership(market.index, market.timeframe, inputs.periods).to_numpy()
    return study, inputs, market, inside
