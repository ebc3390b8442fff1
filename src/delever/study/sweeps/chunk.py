"""A part of a sweep: combinations as data, run wherever a worker is, and their rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.deleveraging.membership import membership
from delever.deleveraging.period import Period
from delever.engine.backtest import Backtest
from delever.engine.orders import Target
from delever.engine.settings import Account
from delever.engine.sweep_accounts import Asked, SweepAccount, check_account, simulate_each
from delever.engine.sweep_market import SweepMarket, sweep_market
from delever.engine.sweep_metrics import asked_metrics, metric_names, part_names
from delever.engine.terms import costs_of
from delever.errors import DeleverError
from delever.memo import shared_work
from delever.research.choosing import Parts
from delever.stats.metrics import AsMetric, Metric
from delever.study.inputs.implausible import market_notes
from delever.study.kept.provenance import Inputs
from delever.study.ledger.trials import Ledger, trial_of
from delever.study.settings.config import Study
from delever.study.settings.portfolio_config import set_portfolio
from delever.study.sweeps.asking import Asking, Reply, answers, asked_of
from delever.study.sweeps.by_itself import (
    Flags,
    benchmark_of,
    by_itself,
    run_alone,
    scopes_of,
    table_of,
    why_by_itself,
)
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
class SweepGround:
    """What all combinations of a sweep share."""

    market: MarketView  # up to the end of the sweep
    strategy: Strategy | Target
    benchmark: Strategy | Target
    account: Account | None  # loaded
    periods: tuple[Period, ...]  # deleveraging periods
    start: pd.Timestamp | None
    initial_equity: float
    costs: Costs | None = None  # models and the fees of rules are these in every combination
    costs_times: float = 1.0
    # by the names that a study may use
    cost_models: Mapping[str, type[CostPart]] = field(default_factory=dict)
    metrics: tuple[AsMetric, ...] = ()  # beside those of the package
    own_parts: Parts | None = None  # in place of blocks and periods
    # how the strategy is asked, and the market laid out: found as it goes, for this ground alone
    asking: Asking = field(default_factory=Asking, init=False)
    _laid: dict[int, SweepMarket] = field(default_factory=dict, init=False, repr=False)

    @property
    def first(self) -> int:
        """Row of the first bar that a run may hold."""
        index = self.market.index
        opens = [time for time in (self.start, self.market.trading_start) if time is not None]
        return max((int(index.searchsorted(time)) for time in opens), default=0)

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Bars inside deleveraging periods."""
        return membership(self.market.index, self.market.timeframe, self.periods).to_numpy()

    @property
    def parts(self) -> Parts:
        """Parts of the bars that a run may hold, of which sums are kept."""
        if self.own_parts is not None:
            return self.own_parts
        market = self.market
        return Parts.of(market.index, market.timeframe, self.first, self.periods)

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the data."""
        return market_notes(self.market)

    @property
    def benchmark_name(self) -> str:
        """What the benchmark is called."""
        return called(self.benchmark).replace("_", " ")

    def asked(self, one: Combination) -> tuple[Target, int] | DeleverError:
        """What the strategy answers to a combination, as `asked_of`."""
        return asked_of(self, one.params)

    def alone(self, one: Combination, target: Target, begin: int) -> Backtest:
        """A combination run by itself."""
        return by_itself(self, one, target, begin)

    def returns(self, one: Combination, target: Target, begin: int) -> pd.Series:
        """Of each bar of a combination run by itself."""
        return by_itself(self, one, target, begin, tables=False).returns

    def beside(self, one: Combination, begin: int) -> Backtest:
        """The benchmark over the bars of a combination."""
        return benchmark_of(self, one, begin)

    def scopes(self, target: Target, begin: int) -> dict[str, Flags]:
        """The bars of a run in each scope."""
        return scopes_of(self, target, begin)

    def rows(self, wanted: Iterable[Combination], **room: int) -> pd.DataFrame:
        """A row per combination, as `run_combinations`."""
        return run_combinations(self, wanted, **room)

    def opened(self, begin: int) -> SweepMarket:
        """The market from one of its rows on, laid out for many accounts; the last one is kept."""
        if begin not in self._laid:
            board = self._opened(begin)
            self._laid.clear()
            self._laid[begin] = board
        return self._laid[begin]

    def _opened(self, begin: int) -> SweepMarket:
        account = self.account
        return sweep_market(
            self.market.bars.iloc[begin:],
            timeframe=self.market.timeframe,
            inside=self.inside[begin:],
            account=account,
            costs=costs_of(self.costs, account).stressed(self.costs_times),
            initial_equity=self.initial_equity,
            earlier=self.market.bars.iloc[:begin] if begin else None,
            parts={name: (a - begin, b - begin) for name, (a, b) in self.parts.rows.items()},
        )


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


def swept_trial(ground: SweepGround) -> Callable[[Combination], dict[str, Any]]:
    """What makes the trial of a combination, as the ledger keeps it."""

    def trial(one: Combination) -> dict[str, Any]:
        strategy = ground.strategy
        bound = strategy.bind(one.params) if isinstance(strategy, Strategy) else one.params
        return trial_of(
            strategy,
            params=bound,
            costs=costs_of(one.costs, one.account).stressed(ground.costs_times),
            account=one.account,
            market=ground.market,
            start=ground.start,
        )

    return trial


def record_combinations(
    ledger: Ledger,
    ground: SweepGround,
    made: Iterable[Combination],
    *,
    by: str,
    study: str,
) -> int:
    """Append combinations to the ledger of trials, and count all of their market.

    Raises StoreError if the ledger cannot be written.
    """
    trial = swept_trial(ground)
    until = ground.market.index[-1]
    trials = [trial(one) for one in made]
    return ledger.record(trials, by=by, study=study, until=until)


def ledger_of(workspace: Workspace, ground: SweepGround) -> Ledger:
    """The ledger of a workspace, for a market at hand."""
    return Ledger.of(workspace, ground.market.bars, ground.market.symbol or "a market at hand")


def run_combinations(
    ground: SweepGround,
    wanted: Iterable[Combination],
    *,
    shared_bytes: int = 64 * 2**20,
    target_bytes: int = 64 * 2**20,
) -> pd.DataFrame:
    """A row per combination: metrics, sums in parts of the time, ``start``, and why it has none."""
    by_sums, by_run = asked_metrics(ground.metrics)
    covered = not why_by_itself(ground)
    by_bars: dict[int, list[float]] = {}  # whole rows, and the further metrics
    further: dict[int, list[float]] = {}
    errors: dict[int, str] = {}
    begins: dict[int, int] = {}
    decided: dict[int, int] = {}
    parts: list[pd.DataFrame] = []
    stressed: dict[Costs | None, Costs | None] = {}
    rows = 0
    with shared_work(shared_bytes):
        batch: dict[int, SweepAccount] = {}
        held = 0
        ones, asks = itertools.tee(wanted)
        said = answers(ground, (one.params for one in asks))
        for row, (one, answer) in enumerate(zip(ones, said, strict=True)):
            rows = row + 1
            if isinstance(answer, DeleverError):
                errors[row] = str(answer)
                continue
            begins[row], decided[row] = answer.begin, answer.decided
            banded = one.account is not None and one.account.rebalance_band is not None
            swept = covered and not answer.ordered and not banded
            if by_run or not swept:
                sums = () if swept else by_sums
                try:
                    run = run_alone(ground, one, *_target(ground, one, answer), sums, by_run)
                except DeleverError as error:
                    errors[row] = str(error)
                    continue
                further[row] = run[1]
                if not swept:
                    by_bars[row] = run[0]
                    continue
            if one.costs not in stressed:
                stressed[one.costs] = one.costs and one.costs.stressed(ground.costs_times)
            batch[row] = account = _account(one, answer, stressed[one.costs])
            held += account.asked.bars.nbytes + account.asked.targets.nbytes
            if held > target_bytes:
                parts.append(_simulated(batch, ground, by_sums, errors))
                batch, held = {}, 0
        parts.append(_simulated(batch, ground, by_sums, errors))
    if by_bars:
        parts.append(table_of(by_bars, [*metric_names(by_sums), *part_names(ground.parts.rows)]))
    every = range(rows)
    own = table_of(further, metric_names(by_run, totals=()))
    measured = pd.concat([pd.concat(parts).reindex(every), own.reindex(every)], axis=1)
    return measured.assign(
        start=_times(ground, begins, every),
        first_decision=_times(ground, decided, every),
        error=[errors.get(row, "") for row in every],
    )


def _account(one: Combination, answer: Reply, costs: Costs | None) -> SweepAccount:
    decides = max(answer.begin, answer.decided + 1)
    return SweepAccount(
        asked=answer.changes.since(decides),
        undecided=decides - answer.begin,
        account=one.account,
        costs=costs,
    )


def _times(ground: SweepGround, bars: Mapping[int, int], every: range) -> pd.Series:
    """When bars open that rows name; NaT where one names none."""
    return pd.Series(ground.market.index[list(bars.values())], index=list(bars)).reindex(every)


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


def _target(ground: SweepGround, one: Combination, answer: Reply) -> tuple[Target, int]:
    """Exposures of an answer; with orders, which are not kept, the strategy is asked again."""
    if answer.ordered:
        again = asked_of(ground, one.params)
        if isinstance(again, DeleverError):
            raise again
        return again
    index = ground.market.index
    return pd.Series(answer.target(len(index)), index=index), answer.begin


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
