"""One strategy over one market, beside its benchmark: from a view to a measured run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from delever.arguments import counted
from delever.deleveraging.period import Period
from delever.engine.backtest import Backtest, backtest
from delever.engine.orders import EXPOSURE, Target, decided_before, exposure_of, orders_in
from delever.engine.settings import Account
from delever.engine.terms import costs_of
from delever.errors import InputError
from delever.research.decision import Decided, Decision, lines_of
from delever.research.evaluation import Evaluation, evaluate
from delever.research.lookahead import untouched
from delever.research.strategy_checks import (
    check_lines,
    check_target,
    exposures,
    first_defined,
)
from delever.stats.metrics import AsMetric
from delever.study.kept.provenance import Inputs
from delever.study.ledger.trials import Ledger
from delever.study.settings.config import Study
from delever.study.workspaces.extensions import Extensions
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs
from delever.view import MarketView


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTerms:
    """What a run and its benchmark are held to, whatever they trade."""

    benchmark_costs: Costs | None = None  # of its fills, on spot; None: those of the run
    costs_times: float = 1.0
    initial_equity: float = 10_000.0
    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None
    periods: Sequence[Period] = ()
    metrics: Sequence[AsMetric] = ()

    @classmethod
    def of(cls, study: Study, periods: Sequence[Period], extensions: Extensions) -> RunTerms:
        """Those of a study file. Raises ConfigError if its costs name no such model."""
        return cls(
            benchmark_costs=study.spot_costs(extensions.cost_models),
            costs_times=study.costs_times,
            initial_equity=study.initial_equity,
            start=study.start_time,
            end=study.end_time,
            periods=periods,
            metrics=extensions.metrics,
        )


def first_bar(market: MarketView, target: Target, *, start: pd.Timestamp | None) -> int:
    """Row of the first bar of a run.

    Raises InputError if no bar is left, or the strategy never decides.
    """
    decided = first_defined(exposures(exposure_of(target)))
    return begin_after(market, decided, start=start)


def begin_after(market: MarketView, decided: int, *, start: pd.Timestamp | None) -> int:
    """Row of the first bar of a run, by that at whose close it is first decided; as `first_bar`."""
    warmup = "name earlier bars as warmup"
    return begin_on(market.index, decided, start, market.trading_start, mend=warmup)


def begin_on(
    index: pd.DatetimeIndex,
    decided: int,
    start: pd.Timestamp | None,
    tradable: pd.Timestamp | None,
    *,
    mend: str,
) -> int:
    """As `begin_after`, on any clock, of which the bars before `tradable` are not traded."""
    if decided == len(index):
        raise InputError(
            "the strategy needs more history than there is: no decision in "
            f"{counted(len(index), 'bar')} ({index[0]:%Y-%m-%d}..{index[-1]:%Y-%m-%d}); "
            f"{mend} or shorten its windows"
        )
    begin = decided + 1 if start is None else int(index.searchsorted(start))
    if tradable is not None:
        begin = max(begin, int(index.searchsorted(tradable)))
    if begin >= len(index):
        raise InputError(
            "a run needs at least one bar; none opens at or after the start, "
            f"the data end with {index[-1]:%Y-%m-%d}"
        )
    return begin


def simulate(
    market: MarketView,
    strategy: Strategy | Decided,
    *,
    name: str,
    benchmark: Strategy | Decided,
    params: Mapping[str, object] | None = None,
    costs: Costs | None = None,
    account: Account | None = None,
    terms: RunTerms,
) -> Evaluation:
    """Simulate a strategy and its benchmark over the same bars and measure both.

    Raises InputError if no bar is left, or target exposures stand on other bars than those of the
    market.
    """
    if terms.end is not None:
        market = market.upto(terms.end)
        if market.bars.empty:
            raise InputError(
                f"a run needs at least one bar; none closes by the end, {terms.end:%Y-%m-%d}"
            )
    decision = decision_of(market, strategy, params)
    target = decision.target
    begin = first_bar(market, target, start=terms.start)
    run = partial(
        run_target,
        market,
        begin=begin,
        costs_times=terms.costs_times,
        initial_equity=terms.initial_equity,
    )
    return evaluate(
        name=name,
        backtest=run(target, costs=costs, account=account),
        benchmark=run(target_of(market, benchmark), costs=terms.benchmark_costs or costs),
        bars=market.bars.iloc[begin:],
        lines=decision.lines.iloc[begin:],
        periods=terms.periods,
        metrics=terms.metrics,
        undecided=max(first_defined(exposures(exposure_of(target))) + 1 - begin, 0),
    )


def simulate_study(
    study: Study, inputs: Inputs, workspace: Workspace, *, by: str
) -> tuple[Evaluation, int]:
    """Simulate a study's strategy, and count the trials of its market, this one included."""
    evaluation = simulate(
        inputs.market,
        inputs.strategy,
        name=study.name,
        benchmark=inputs.benchmark,
        params=inputs.params,
        costs=study.said_costs(inputs.extensions.cost_models),
        account=inputs.account,
        terms=RunTerms.of(study, inputs.periods, inputs.extensions),
    )
    n_trials = Ledger.of(workspace, inputs.data.frame, study.data).record_run(
        *(evaluation, inputs.market, inputs.strategy),
        params=inputs.params,
        account=study.account,
        start=study.start_time,
        by=by,
    )
    return evaluation, n_trials


def run_target(
    market: MarketView,
    target: Target,
    *,
    begin: int,
    costs: Costs | None = None,
    account: Account | None = None,
    costs_times: float = 1.0,
    initial_equity: float = 10_000.0,
    tables: bool = True,
) -> Backtest:
    """Simulate exposures decided on the bars of a market, from a bar of it on."""
    return backtest(
        market.bars.iloc[begin:],
        target.iloc[begin:],
        timeframe=market.timeframe,
        costs=costs_of(costs, account).stressed(costs_times),
        initial_equity=initial_equity,
        initial_target=decided_before(target, begin),
        account=account,
        earlier=market.bars.iloc[:begin] if begin else None,
        tables=tables,
    )


def decision_of(
    market: MarketView, strategy: Strategy | Decided, params: Mapping[str, object] | None = None
) -> Decision:
    """Target exposure of every bar of a market and the strategy's lines; raises as `target_of`."""
    if isinstance(strategy, Strategy):
        return strategy.decide(untouched(market), params)
    target = target_of(market, strategy)
    return Decision(target=target, lines=lines_of(strategy.loc[market.index]))


def target_of(
    market: MarketView, strategy: Strategy | Decided, params: Mapping[str, object] | None = None
) -> Target:
    """Target exposure of every bar of a market, with the orders of a strategy that returns any.

    Raises ConfigError or StrategyError if the strategy refuses its parameters, raises, or breaks
    its contract; InputError if exposures of one's own lack a bar.
    """
    if isinstance(strategy, Strategy):
        return strategy.target(untouched(market), params)
    asked = exposure_of(strategy) if EXPOSURE in strategy or strategy.ndim == 1 else strategy
    if asked.ndim > 1 or not pd.api.types.is_numeric_dtype(asked):
        got = f"the columns {', '.join(map(str, asked))}" if asked.ndim > 1 else asked.dtype
        raise InputError(
            f"target exposures must be numbers, in a Series or a column {EXPOSURE!r}; got {got}; "
            "convert them to floats"
        )
    there = market.index.isin(pd.DatetimeIndex(strategy.index))
    if not there.all():
        first = market.index[~there][0]
        raise InputError(
            f"target exposures must have a value at each of the {len(market.index)} bars; that of "
            f"{first:%Y-%m-%d %H:%M} is missing; index them like the bars"
        )
    own = strategy.loc[market.index]
    if isinstance(own, pd.Series):
        return own
    broken = check_target(own, market.index, market.bars["close"]) or check_lines(own)
    if broken is not None:
        raise InputError(f"target exposures: {broken.message}")
    return orders_in(own)
