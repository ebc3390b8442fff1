"""A walk over one symbol: what it is asked for, its sums, and the run of its choices."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats, shown
from delever.deleveraging.period import load_catalog
from delever.engine.settings import Account
from delever.errors import ConfigError, InputError
from delever.research.choosing import Parts
from delever.research.walking import Window
from delever.study.inputs.belonging import account_on
from delever.study.inputs.market import utc
from delever.study.kept.provenance import account_asked, gather
from delever.study.runs.backtesting import backtest_market
from delever.study.runs.run import Run
from delever.study.settings.config import DEFAULT_COSTS, Study, unsaid_costs
from delever.study.settings.grid import axes_given, combinations
from delever.study.sweeps.chunk import (
    Combination,
    SweepGround,
    combination_maker,
    ground_of,
)
from delever.study.sweeps.walk_steps import WalkAsked, Wanted, joined, opened, sums_of, wanted_rows
from delever.study.workspaces.any_strategy import Given, as_strategy
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs
from delever.view import MarketView


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWalked(WalkAsked):
    """What is walked over one symbol."""

    ground: SweepGround

    def combination(self, params: Mapping[str, Any]) -> Combination:
        """All that is asked for with parameters of the strategy."""
        ground = self.ground
        return Combination(params, ground.account, ground.costs, self.benchmark_costs)

    def wanted(self) -> Wanted:
        """What all combinations decide. Raises what the strategy does if it answers none."""
        return wanted_rows(self.ground, self.bound)

    def sums_over(self, parts: Parts, wanted: Wanted, first: int) -> Callable[..., Floats]:
        """What sums decisions over parts, from rows on and shifted by a share."""
        return partial(sums_of, opened(replace(self.ground, own_parts=parts), wanted, first))

    def run(
        self,
        wanted: Wanted,
        rows: npt.NDArray[np.intp],
        cut: Sequence[Window],
        place: Workspace,
    ) -> Run:
        """The choices as one account."""
        ground = self.ground
        return backtest_market(
            ground.market,
            joined(ground, wanted, rows, cut),
            account=ground.account,
            costs=ground.costs,
            benchmark=ground.benchmark,
            name=self.name,
            terms=self.terms(cut, place.extensions.metrics),
            place=place,
            params={},
            quick=True,
        )


def parameters_alone(study: Study, path: Path) -> None:
    """Refuse a study whose sweep is none of parameters alone."""
    table = study.sweep
    if table is None or table.costs or table.account or table.portfolio or not table.params:
        axes = "no [sweep] table" if table is None else ", ".join(table.axes) or "no axes"
        raise ConfigError(
            f"{path}: a walk chooses parameters of the strategy: it needs a table such as "
            "[sweep.params] with weeks = [50, 100, 200], and none of [sweep.costs], "
            f"[sweep.account] and [sweep.portfolio]; got {axes}"
        )


def axes_of(study: Study) -> list[dict[str, Any]]:
    """Values of the parameters of each combination."""
    assert study.sweep is not None
    return [
        {name.removeprefix("params."): value for name, value in one.items()}
        for one in combinations(study.sweep)
    ]


def strategy_to_walk(
    strategy: Given | None, axes: Mapping[str, Iterable[Any]] | None, place: Workspace
) -> tuple[Strategy, list[dict[str, Any]]]:
    """A strategy at hand and its combinations.

    Raises InputError if it takes no parameters, or an axis is none of them.
    """
    lists = axes_given(axes or {})
    if strategy is None or any("." in name for name in lists):
        raise InputError(
            "a walk of a market needs a strategy and axes of its parameters, "
            f'such as {{"weeks": range(50, 250, 10)}}; got {shown(dict(axes or {}))}'
        )
    rule = as_strategy(strategy, workspace=place)
    if not isinstance(rule, Strategy):
        raise InputError("target exposures take no parameters, so there is nothing to choose")
    return rule, [dict(zip(lists, row, strict=True)) for row in itertools.product(*lists.values())]


def one_of_study(place: Workspace, path: Path, study: Study) -> OneWalked:
    """What a study of one symbol walks. Raises what loading it raises."""
    parameters_alone(study, path)
    inputs = gather(study, place)
    ground = ground_of(study, inputs)
    chosen = axes_of(study)
    make = combination_maker(study, ground)
    return OneWalked(
        ground=ground,
        chosen=chosen,
        bound=[make({f"params.{k}": v for k, v in one.items()}).params for one in chosen],
        benchmark_costs=study.spot_costs(inputs.extensions.cost_models),
        name=study.name,
        studied={
            "strategy": study.strategy,
            "data": study.data,
            "account": account_asked(study.model_dump(mode="json")),
        },
    )


def one_at_hand(
    place: Workspace,
    market: MarketView,
    strategy: Given | None,
    axes: Mapping[str, Iterable[Any]] | None,
    account: Account | None,
    costs: Costs | None,
    benchmark: Given,
    start: str | pd.Timestamp | None,
) -> OneWalked:
    """What is walked on a market in a notebook."""
    rule, chosen = strategy_to_walk(strategy, axes, place)
    market, loaded = account_on(market, account, place)
    ground = SweepGround(
        market=market,
        strategy=rule,
        benchmark=as_strategy(benchmark, workspace=place),
        account=loaded,
        periods=tuple(load_catalog(place.periods)),
        start=None if start is None else utc(start, "start"),
        initial_equity=10_000.0,
        costs=costs or unsaid_costs(loaded),
    )
    return OneWalked(
        ground=ground,
        chosen=chosen,
        bound=[rule.bind(one) for one in chosen],
        benchmark_costs=costs or DEFAULT_COSTS,
        name=rule.name,
        studied={},
    )
