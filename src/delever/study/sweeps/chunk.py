"""A part of a sweep: combinations as data, run wherever a worker is, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from delever.engine.backtest import Backtest
from delever.engine.delivered import below_a_lot
from delever.engine.orders import Target, exposure_of
from delever.engine.settings import Account
from delever.engine.sweep_accounts import (
    SWEPT_ACCOUNT,
    Asked,
    SweepAccount,
    check_account,
    simulate_each,
)
from delever.engine.sweep_market import SweepMarket, sweep_market, uncovered
from delever.engine.sweep_metrics import metric_names, part_names
from delever.engine.terms import costs_of
from delever.errors import DeleverError, InputError
from delever.research.strategy_checks import exposures, first_defined
from delever.stats.metrics import Metric
from delever.study.inputs.implausible import market_notes
from delever.study.kept.provenance import Inputs
from delever.study.ledger.trials import Ledger, trial_of
from delever.study.runs.simulation import run_target, target_of
from delever.study.settings.config import Study
from delever.study.settings.portfolio_config import set_portfolio
from delever.study.sweeps.asking import Reply, answers, asked_of
from delever.study.sweeps.ground import SharedGround
from delever.study.workspaces.any_strategy import called
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import CostPart, Costs
from delever.view import MarketView


def applied(study: Study, combination: Mapping[str, Any]) -> Study:
    """The study with one combination of the sweep's values in place of its own."""
    table = study.model_dump(by_alias=True)
    for key, value in combination.items():
        section, _, name = key.partition(".")
        if section == "portfolio":
            set_portfolio(table, name, value)
        else:
            table[section] = {**(table[section] or {}), name: value}
    return type(study).model_validate(table)


class Combination(NamedTuple):
    """What one combination asks for: parameters of the strategy, an account, costs of fills."""

    params: Mapping[str, Any]
    account: Account | None  # its swept settings; the rest is that of the ground
    costs: Costs | None
    benchmark_costs: Costs


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepGround(SharedGround):
    """What all combinations of a sweep of one symbol share."""

    market: MarketView
    strategy: Strategy | Target
    benchmark: Strategy | Target
    account: Account | None  # loaded
    costs: Costs | None = None  # models and the fees of rules are these in every combination
    # by the names that a study may use
    cost_models: Mapping[str, type[CostPart]] = field(default_factory=dict)
    # the market laid out from a row on, for this ground alone
    _laid: dict[int, SweepMarket] = field(default_factory=dict, init=False, repr=False)
    # costs as they are paid, of the combinations since the last were simulated
    _stressed: dict[Costs | None, Costs | None] = field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def tradable(self) -> pd.Timestamp | None:
        """When the first bar opens that may be traded; None where all may."""
        return self.market.trading_start

    @property
    def data(self) -> str:
        """What the market is called."""
        return self.market.symbol or "a market at hand"

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the data."""
        return market_notes(self.market)

    @property
    def benchmark_name(self) -> str:
        """What the benchmark is called."""
        return called(self.benchmark).replace("_", " ")

    @property
    def why_alone(self) -> str:
        """What of the account and costs has each combination run by itself; empty for nothing."""
        costs = costs_of(self.costs, self.account).stressed(self.costs_times)
        return ", ".join(uncovered(self.account, costs))

    def asked(self, one: Combination) -> tuple[Target, int] | DeleverError:
        """What the strategy answers to a combination, as `asked_of`."""
        return asked_of(self, one.params)

    def answers(self, wanted: Iterable[Combination]) -> Iterator[Reply | DeleverError]:
        """What the strategy answers to each, as `asking.answers`."""
        return answers(self, (one.params for one in wanted))

    def target(self, one: Combination, answer: Reply) -> tuple[Target, int]:
        """Exposures of an answer; with orders, which are not kept, the strategy is asked again."""
        if answer.ordered:
            again = self.asked(one)
            if isinstance(again, DeleverError):
                raise again
            return again
        index = self.market.index
        return pd.Series(answer.target(len(index)), index=index), answer.begin

    def decided(self, target: Target) -> int:
        """Row at whose close a target is first known."""
        return first_defined(exposures(exposure_of(target)))

    def is_alone(self, one: Combination, answer: Reply) -> bool:
        """Whether a combination is run by itself, where not all are."""
        banded = one.account is not None and one.account.rebalance_band is not None
        return answer.ordered or banded

    def slow(self, one: Combination) -> bool:
        """Whether one such as this takes as long as a backtest."""
        return bool(self.why_alone)

    def alone(
        self, one: Combination, target: Target, begin: int, *, tables: bool = True
    ) -> Backtest:
        """A combination run by itself, which takes as long as a backtest."""
        account = one.account
        if account is not None:
            said = {name: getattr(account, name) for name in SWEPT_ACCOUNT}
            account = replace(self.account or account, **said)
        return run_target(
            self.market,
            target,
            begin=begin,
            costs=one.costs,
            account=account,
            costs_times=self.costs_times,
            initial_equity=self.initial_equity,
            tables=tables,
        )

    def returns(self, one: Combination, target: Target, begin: int) -> pd.Series:
        """Of each bar of a combination run by itself."""
        return self.alone(one, target, begin, tables=False).returns

    def beside(self, one: Combination, begin: int) -> Backtest:
        """The benchmark over the bars of a combination."""
        return run_target(
            self.market,
            target_of(self.market, self.benchmark),
            begin=begin,
            costs=one.benchmark_costs,
            costs_times=self.costs_times,
            initial_equity=self.initial_equity,
        )

    def refuse_bounds(self, one: Combination) -> None:
        """Raise InputError for bounds, which a sweep has no columns for."""
        if self.account is not None and self.account.bounds:
            raise InputError("a sweep has no columns for bounds; leave them out, or run one by one")

    def below_a_lot(self, run: Backtest, begin: int) -> float:
        """How many decisions of a run were below one lot."""
        return below_a_lot(run, self.market.bars["open"].to_numpy(dtype=np.float64)[begin:])

    def trial(self, one: Combination) -> dict[str, Any]:
        """The trial of a combination, as the ledger keeps it."""
        strategy = self.strategy
        return trial_of(
            strategy,
            params=strategy.bind(one.params) if isinstance(strategy, Strategy) else one.params,
            costs=costs_of(one.costs, one.account).stressed(self.costs_times),
            account=one.account,
            market=self.market,
            start=self.start,
        )

    def ledger(self, place: Workspace, data: str = "") -> Ledger:
        """The ledger of trials, for this market."""
        return Ledger.of(place, self.market.bars, data or self.data)

    def opened(self, begin: int) -> SweepMarket:
        """The market from one of its rows on, laid out for many accounts; the last one is kept."""
        if begin not in self._laid:
            account = self.account
            board = sweep_market(
                self.market.bars.iloc[begin:],
                timeframe=self.market.timeframe,
                inside=self.inside[begin:],
                account=account,
                costs=costs_of(self.costs, account).stressed(self.costs_times),
                initial_equity=self.initial_equity,
                earlier=self.market.bars.iloc[:begin] if begin else None,
                parts=self.parts_from(begin),
            )
            self._laid.clear()
            self._laid[begin] = board
        return self._laid[begin]

    def held(self, one: Combination, answer: Reply) -> SweepAccount:
        """What is kept of a combination until many are simulated."""
        decides = max(answer.begin, answer.decided + 1)
        if one.costs not in self._stressed:
            self._stressed[one.costs] = one.costs and one.costs.stressed(self.costs_times)
        return SweepAccount(
            asked=answer.changes.since(decides),
            undecided=decides - answer.begin,
            account=one.account,
            costs=self._stressed[one.costs],
        )

    def simulated(
        self, batch: Mapping[int, SweepAccount], metrics: Sequence[Metric], errors: dict[int, str]
    ) -> pd.DataFrame:
        """Metrics of a batch by row; of what is refused, the reason goes to `errors`."""
        self._stressed.clear()
        return _simulated(batch, self, metrics, errors)


def combination_maker(
    study: Study, ground: SweepGround
) -> Callable[[Mapping[str, Any]], Combination]:
    """What makes a combination of dotted keys of a study and their values."""
    made: dict[str, Combination] = {}

    def combination(values: Mapping[str, Any]) -> Combination:
        params = {k.removeprefix("params."): v for k, v in values.items() if k[:7] == "params."}
        rest = {key: value for key, value in values.items() if key[:7] != "params."}
        terms = repr(rest)
        if terms not in made:
            own = applied(study, rest)
            known = ground.cost_models
            costs, benchmark_costs = own.said_costs(known), own.spot_costs(known)
            made[terms] = Combination({}, own.account, costs, benchmark_costs)
        return made[terms]._replace(params={**study.params, **params})

    return combination


def _simulated(
    batch: Mapping[int, SweepAccount],
    ground: SweepGround,
    metrics: Sequence[Metric],
    errors: dict[int, str],
) -> pd.DataFrame:
    """Metrics of a batch by row; of what is refused, the reason goes to `errors`."""
    if not batch:
        names = [*metric_names(metrics), *part_names(ground.parts.rows)]
        return pd.DataFrame(columns=names, dtype="float64")
    begin = ground.first  # one layout for all batches
    try:
        board = ground.opened(begin)
    except DeleverError:  # what the earliest lack (funding, rules), later ones may have
        begins = {row: one.asked.begin - one.undecided for row, one in batch.items()}
        begin = min(begins.values())
        try:
            board = ground.opened(begin)
        except DeleverError as error:
            first = [row for row in batch if begins[row] == begin]
            errors |= dict.fromkeys(first, str(error))
            later = {row: account for row, account in batch.items() if row not in first}
            return _simulated(later, ground, metrics, errors)
    accepted: dict[int, SweepAccount] = {}
    for row, account in batch.items():
        try:
            check_account(account, board, "combination")
        except DeleverError as error:
            errors[row] = str(error)
        else:
            was = account.asked
            accepted[row] = account
            if begin:
                moved = Asked(was.begin - begin, was.bars - begin, was.targets)
                accepted[row] = replace(account, asked=moved)
    measured, refused = simulate_each(board, list(accepted.values()), metrics=metrics)
    rows = list(accepted)
    errors |= {rows[place]: reason for place, reason in refused.items()}
    return measured.set_axis(pd.Index(rows, dtype="int64"), axis=0)


def ground_of(study: Study, inputs: Inputs) -> SweepGround:
    """What the combinations of a study share."""
    market = inputs.market
    if study.end_time is not None:
        market = market.upto(study.end_time)
    return SweepGround(
        market=market,
        strategy=inputs.strategy,
        benchmark=inputs.benchmark,
        account=inputs.account,
        periods=tuple(inputs.periods),
        start=study.start_time,
        initial_equity=study.initial_equity,
        costs=study.said_costs(inputs.extensions.cost_models),
        costs_times=study.costs_times,
        cost_models=inputs.extensions.cost_models,
        metrics=inputs.extensions.metrics,
    )
