"""A backtest in a notebook: a market, a strategy in whatever form it is at hand, an account."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from delever.arguments import shown
from delever.deleveraging.period import Period, chosen_periods
from delever.engine.arrays import check_amounts
from delever.engine.legs import Margin
from delever.engine.settings import Account
from delever.errors import InputError
from delever.panel import Markets
from delever.research.answer import Answer
from delever.research.decision import Decided
from delever.research.evaluation import Evaluation
from delever.stats.metrics import AsMetric
from delever.study.inputs.belonging import account_on
from delever.study.inputs.market import span_notes, utc
from delever.study.kept.provenance import outcome
from delever.study.ledger.trials import Ledger
from delever.study.runs.answering import answered
from delever.study.runs.neighbours import counterfactuals_of
from delever.study.runs.remarks import remarks
from delever.study.runs.run import Run
from delever.study.runs.simulation import RunTerms, simulate, target_of
from delever.study.settings.config import DEFAULT_COSTS, unsaid_costs
from delever.study.workspaces.any_strategy import Given, as_strategy, called
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs
from delever.view import MarketView


def backtest(
    market: MarketView | Markets,
    strategy: Given,
    *,
    account: Account | Mapping[str, Account] | None = None,
    costs: Costs | None = None,
    costs_times: float = 1.0,
    benchmark: Given = "buy_and_hold",
    start: str | pd.Timestamp | None = None,
    end: str | pd.Timestamp | None = None,
    periods: Sequence[Period] | None = None,
    initial_equity: float = 10_000.0,
    name: str | None = None,
    metrics: Sequence[AsMetric] = (),
    quick: bool = True,
    really: bool = False,
    margin: str | Margin = "cross",
    rule: str | None = None,
    rule_params: Mapping[str, Any] | None = None,
    workspace: Workspace | Path | str | None = None,
    **params: Any,
) -> Run:
    """Backtest a strategy on a market, beside a benchmark, in and out of deleveraging periods.

    Parameters
    ----------
    market : MarketView or Markets
        From `delever.market`, or of several symbols from `delever.markets`.
    strategy : str, path, Strategy, function, pandas.Series, pandas.DataFrame or pair of Series
        A name in ``strategies/``, a path, a function from a market to target exposures, target
        exposures themselves (signed notional / equity, indexed like the bars), a frame of them as
        ``exposure`` with orders beside it (``stop_price`` and others, see
        ``docs/strategies.md``), or a pair of boolean series (entries, exits): fully long from an
        entry to the next exit. What row t says is filled at the open of bar t + 1.
    account : Account, optional
        Contract, leverage, funding, stops; what it names is loaded from the workspace. By default
        plain spot. Of several symbols a mapping by symbol; those not named hold spot.
    costs : Costs, optional
        Of every fill; by default slippage 0.05 % and a taker fee of 0.1 %, or the fees of the
        account's rules by date.
    costs_times : float
        How many times they are paid, by the benchmark as well; 2 is the usual stress.
    benchmark : as `strategy`
        Held on spot over the same bars. Of several symbols in equal parts of those that were
        listed then, or the name of one symbol.
    start, end : str or pandas.Timestamp, optional
        UTC; by default from the first bar that a decision can be filled at to the last bar.
    periods : sequence of Period, optional
        Deleveraging periods; by default the workspace's catalogue.
    initial_equity : float
        In quote currency.
    name : str, optional
        Name of the result; the strategy's unless given.
    metrics : sequence of functions with `delever.metric` above them
        Further metrics, beside those of the package and of the workspace's extensions.
    quick : bool
        Whether the answer does without the test on redrawn periods, which runs the strategy on
        hundreds of resampled markets and takes some ten seconds where it is first read.
    really : bool
        Whether a fee above 0.02 or a slippage above 0.05 is meant; a percentage written for a
        fraction is refused otherwise.
    margin : {"cross", "isolated", "separate"} or Margin
        Of several symbols: how their positions share collateral (``docs/portfolio.md``).
    rule : str, optional
        Of several symbols: what makes exposures of their signals, ``"equal"``,
        ``"inverse_volatility"``, ``"volatility_target"``, ``"capped"``, or a name in
        ``strategies/``. By default equal parts for a strategy of one market, and for one of
        several what it asks for.
    rule_params : mapping, optional
        Its parameters.
    workspace : path, optional
        Where strategies and periods are; by default the one at or above the current folder, else
        those that come with the package.
    **params
        Parameters of the strategy.

    Returns
    -------
    Run
        Not stored; ``run.page(path)`` writes its tear-sheet. In a workspace it is counted among
        the trials on its market (`delever.trials`).

    Raises
    ------
    InputError
        If an argument is not of its kind, or a cost looks like a percentage.
    ConfigError, StrategyError
        If the strategy is not there, breaks its contract, or does not take the parameters.
    DataError, SimulationError
        If rules, funding or mark do not cover the run, or it cannot be computed.

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d", end="2015-01-01")
    >>> close = market.bars["close"]
    >>> average = close.rolling(200).mean()
    >>> run = dl.backtest(market, (close > average, close < average), name="above its average")
    >>> run.name, len(run.trades)
    ('above its average', 17)
    """
    check_given(market, account, costs, initial_equity, costs_times)
    if costs is not None and not really:
        costs.check_meant()
    place = Workspace.find(workspace, or_shipped=True)
    given: dict[str, Any] = {
        "costs": costs,
        "benchmark": benchmark,
        "name": name,
        "terms": RunTerms(
            benchmark_costs=costs or DEFAULT_COSTS,
            costs_times=costs_times,
            initial_equity=initial_equity,
            start=None if start is None else utc(start, "start"),
            end=None if end is None else utc(end, "end"),
            periods=chosen_periods(periods, place.periods),
            metrics=(*place.extensions.metrics, *metrics),
        ),
        "place": place,
        "params": params,
    }
    if isinstance(market, Markets):
        from delever.study.portfolios.joint_backtesting import backtest_markets

        given |= {"margin": margin, "rule": rule, "rule_params": rule_params}
        return backtest_markets(market, strategy, account=account, **given)
    if isinstance(account, Mapping):
        raise InputError("account by symbol needs several of them; give dl.markets, or one account")
    if margin != "cross" or rule or rule_params:
        raise InputError(
            "margin, rule and rule_params are of several symbols; this is one market; leave them "
            "out, or give dl.markets"
        )
    return backtest_market(market, strategy, account=account, quick=quick, **given)


def backtest_market(
    market: MarketView,
    strategy: Given,
    *,
    account: Account | None,
    costs: Costs | None,
    benchmark: Given,
    name: str | None,
    terms: RunTerms,
    place: Workspace,
    params: Mapping[str, Any],
    quick: bool,
) -> Run:
    """As `backtest`, of one market, in a workspace that was found."""
    chosen, held = (as_strategy(one, workspace=place) for one in (strategy, benchmark))
    bound = _bound(chosen, params)
    market, loaded = account_on(market, account, place)
    notes = span_notes(market.bars, market.timeframe, start=terms.start, end=terms.end)
    market = replace(market, notes=market.notes + notes)
    evaluation = simulate(
        market,
        chosen,
        name=name or called(chosen),
        benchmark=held,
        params=bound,
        costs=costs or unsaid_costs(loaded),
        account=loaded,
        terms=terms,
    )
    n_trials = 1
    if not place.shipped:
        ledger = Ledger.of(place, market.bars, market.symbol or "a market at hand")
        n_trials = ledger.record_run(
            evaluation,
            market,
            chosen,
            params=bound,
            account=account,
            start=terms.start,
            by="notebook",
        )
    found = counterfactuals_of(evaluation.backtest, market, chosen, bound)
    roles = {"strategy": _described(chosen), "benchmark": _described(held)}
    itself, costs_times = roles["strategy"] == roles["benchmark"], terms.costs_times
    said = remarks(evaluation, market, costs_times=costs_times, n_trials=n_trials, itself=itself)
    study = {"name": evaluation.name, "costs_times": costs_times}
    return Run(
        evaluation=evaluation,
        manifest={"study": study, "params": bound, **roles, **said, **outcome(evaluation, found)},
        what_if=found,
        asked=_asked(evaluation, market, chosen, held, bound, quick=quick),
        sections=place.extensions.sections,
    )


def _asked(
    evaluation: Evaluation,
    market: MarketView,
    chosen: Strategy | Decided,
    held: Strategy | Decided,
    bound: Mapping[str, Any],
    *,
    quick: bool,
) -> Callable[[], Answer]:
    """Gives the answer of a run, once it is asked for."""
    rules: dict[str, Any] = {
        "rule": partial(target_of, strategy=chosen, params=bound),
        "benchmark_rule": partial(target_of, strategy=held),
    }
    return cache(partial(answered, evaluation, market, quick=quick, **rules))


def _bound(chosen: Strategy | Decided, params: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(chosen, Strategy):
        return chosen.bind(params)
    if params:
        raise InputError(f"target exposures take no parameters; got {', '.join(params)}")
    return {}


def check_given(
    market: object,
    account: object,
    costs: object,
    initial_equity: object,
    costs_times: object = 1.0,
) -> None:
    """Refuse what a backtest, or a sweep of a market, cannot be asked. Raises InputError."""
    if not isinstance(market, MarketView | Markets):
        raise InputError(
            "market must be a view, as dl.market makes it of a reference or a DataFrame of bars "
            '(dl.market(bars, timeframe="1d")), or several, as dl.markets does; got '
            f"{shown(market)}"
        )
    if not isinstance(account, Account | Mapping | None):
        raise InputError(f"account must be dl.Account(...), or None; got {shown(account)}")
    if not isinstance(costs, Costs | None):
        raise InputError(
            "costs must be dl.Costs(taker_fee=0.001, slippage=0.0005) or the like; "
            f"got {shown(costs)}"
        )
    if not isinstance(initial_equity, numbers.Real) or isinstance(initial_equity, bool):
        raise InputError(
            f"initial_equity must be a number of quote currency; got {shown(initial_equity)}"
        )
    if not (isinstance(costs_times, int | float) and 0.0 <= costs_times < math.inf):
        raise InputError(
            f"costs_times must be a number of at least 0, such as 2; got {shown(costs_times)}"
        )
    check_amounts(float(initial_equity), None)


def _described(strategy: Strategy | Decided) -> dict[str, str]:
    if isinstance(strategy, Strategy):
        return {"name": strategy.name, "sha256": strategy.sha256}
    return {"name": called(strategy)}
