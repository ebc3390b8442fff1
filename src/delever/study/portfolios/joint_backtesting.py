"""A backtest of several symbols in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pandas as pd

from delever.arguments import shown
from delever.engine.legs import Margin
from delever.engine.settings import Account
from delever.errors import ConfigError, InputError
from delever.panel import Markets
from delever.study.inputs.belonging import account_on
from delever.study.portfolios.joint_run import (
    joint_answer,
    joint_facts,
    joint_what_if,
    record_joint,
)
from delever.study.portfolios.joint_simulation import (
    JointAccount,
    JointRule,
    held,
    joint_rule,
    simulate_joint,
)
from delever.study.runs.run import Run
from delever.study.runs.simulation import RunTerms
from delever.study.settings.config import unsaid_costs
from delever.study.workspaces.any_strategy import as_strategy
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs


def backtest_markets(
    markets: Markets,
    strategy: Any,
    *,
    account: Account | Mapping[str, Account] | None,
    costs: Costs | None,
    benchmark: Any,
    name: str | None,
    terms: RunTerms,
    margin: str | Margin,
    rule: str | None,
    rule_params: Mapping[str, Any] | None,
    place: Workspace,
    params: Mapping[str, Any],
) -> Run:
    """Backtest a strategy on several markets, as `delever.backtest` says."""
    chosen, markets, told, beside = joint_account(
        markets, strategy, account=account, costs=costs, margin=margin, benchmark=benchmark,
        place=place,
    )  # fmt: skip
    asked = joint_rule(chosen, params, rule=rule, rule_params=rule_params or {}, place=place)
    if not isinstance(chosen, Strategy) and params:
        raise InputError(f"target exposures take no parameters; got {', '.join(params)}")
    return backtest_asked(
        *(markets, asked, told, beside),
        name=name or (chosen.name if isinstance(chosen, Strategy) else "exposures"),
        benchmark_name=benchmark if isinstance(benchmark, str) else "benchmark",
        terms=terms,
        place=place,
        data=", ".join(markets),
    )


def backtest_asked(
    markets: Markets,
    asked: JointRule,
    account: JointAccount,
    benchmark: JointRule,
    *,
    name: str,
    benchmark_name: str,
    terms: RunTerms,
    place: Workspace,
    data: str,
) -> Run:
    """Backtest what is asked of several markets, and count the trial."""
    evaluation = simulate_joint(
        markets, asked, name=name, benchmark=benchmark, account=account, terms=terms
    )
    n_trials = 1
    if not place.shipped:
        n_trials = record_joint(
            *(place, evaluation, markets, asked, account),
            costs_times=terms.costs_times,
            start=terms.start,
            data=data,
            by="notebook",
        )
    found = joint_what_if(evaluation, markets, asked)
    strategy = asked.strategy.name if isinstance(asked.strategy, Strategy) else "exposures"
    return Run(
        evaluation=evaluation,
        manifest={
            "study": {"name": evaluation.name, "costs_times": terms.costs_times},
            "params": dict(asked.params),
            "strategy": {"name": strategy},
            **joint_facts(
                *(evaluation, markets, found),
                benchmark=benchmark_name,
                costs_times=terms.costs_times,
                n_trials=n_trials,
            ),
        },
        what_if=found,
        asked=cache(partial(joint_answer, evaluation, progress=lambda step: None)),
        sections=place.extensions.sections,
    )


def joint_account(
    markets: Markets,
    strategy: Any,
    *,
    account: object,
    costs: Costs | None,
    margin: str | Margin,
    benchmark: Any,
    place: Workspace,
) -> tuple[Strategy | pd.DataFrame, Markets, JointAccount, JointRule]:
    """A strategy, the markets with what is to be noted of them, the account, and the benchmark.

    Raises InputError or ConfigError if one of them is not of its kind.
    """
    chosen = _chosen(strategy, place)
    accounts, markets = _accounts(account, markets, place)
    told = JointAccount(
        accounts=accounts,
        costs={symbol: costs or unsaid_costs(accounts.get(symbol)) for symbol in markets},
        margin=margin if isinstance(margin, Margin) else Margin(mode=margin),  # type: ignore[arg-type]
    )
    return chosen, markets, told, benchmark_rule(markets, benchmark, place)


def benchmark_rule(markets: Markets, given: Any, place: Workspace) -> JointRule:
    """What a run is held against: one symbol by its name, or a strategy in equal shares.

    Raises ConfigError if there is neither.
    """
    if isinstance(given, str) and given in markets.symbols:
        return JointRule(strategy=held(markets, given))
    if isinstance(given, str) and not place.has_strategy(given):
        raise ConfigError(
            f"benchmark must be one of the symbols, {', '.join(markets)}, a name in "
            f"{place.strategies} or a path ending in .py; got {given!r}"
        )
    return joint_rule(_chosen(given, place), {}, rule=None, rule_params={}, place=place)


def _chosen(given: Any, place: Workspace) -> Strategy | pd.DataFrame:
    if isinstance(given, pd.DataFrame):
        return given
    made = as_strategy(given, workspace=place)
    if isinstance(made, Strategy):
        return made
    raise InputError(
        "a strategy of several symbols must be a name, a path, a function or a DataFrame with a "
        f"column per symbol; got {shown(given)}"
    )


def _accounts(
    account: object, markets: Markets, place: Workspace
) -> tuple[dict[str, Account], Markets]:
    """Accounts by symbol, loaded; one alone is that of every symbol."""
    said = account if isinstance(account, Mapping) else dict.fromkeys(markets, account)
    unknown = [name for name in said if name not in markets.symbols]
    if unknown:
        raise InputError(
            f"account must name symbols of the markets, {', '.join(markets)}; got "
            f"{', '.join(map(str, unknown))}"
        )
    accounts: dict[str, Account] = {}
    views = dict(markets.views)
    for name, one in said.items():
        if one is None:
            continue
        if not isinstance(one, Account):
            raise InputError(f"account must be dl.Account(...) by symbol; got {shown(one)}")
        views[name], loaded = account_on(views[name], one, place)
        assert loaded is not None
        accounts[name] = loaded
    return accounts, replace(markets, views=views)
