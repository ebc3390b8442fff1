"""Sweeps of several symbols: what a study file or a notebook asks for, as combinations."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from delever.engine.arrays import check_amounts
from delever.engine.legs import Margin
from delever.engine.settings import Account
from delever.errors import InputError
from delever.panel import Markets
from delever.study.portfolios.joint_backtesting import joint_account
from delever.study.portfolios.joint_inputs import JointInputs, margin_of
from delever.study.portfolios.joint_run import benchmark_label
from delever.study.portfolios.joint_simulation import JointAccount, JointRule, joint_rule
from delever.study.settings.portfolio_config import PortfolioStudy
from delever.study.sweeps.chunk import applied
from delever.study.sweeps.joint_ground import JointCombination, JointGround
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs

OF_SEVERAL = (
    "margin, rule and accounts by symbol go with several markets; got one; dl.markets makes several"
)
"""What one market does not take."""


def joint_ground_of(study: PortfolioStudy, inputs: JointInputs) -> JointGround:
    """What the combinations of a study of several symbols share."""
    markets = inputs.markets
    if study.end_time is not None:
        markets = markets.upto(study.end_time)
    return JointGround(
        market=markets,
        rule=inputs.rule,
        benchmark=inputs.benchmark,
        benchmark_name=benchmark_label(markets, study.benchmark),
        joint=inputs.account,
        periods=tuple(inputs.periods),
        start=study.start_time,
        initial_equity=study.initial_equity,
        costs_times=study.costs_times,
        metrics=inputs.extensions.metrics,
    )


def joint_combination_maker(
    study: PortfolioStudy, inputs: JointInputs, place: Workspace
) -> Callable[[Mapping[str, Any]], JointCombination]:
    """What makes a combination of dotted keys of a study and their values."""
    made: dict[str, JointCombination] = {}
    strategy = inputs.rule.strategy
    assert isinstance(strategy, Strategy)

    def combination(values: Mapping[str, Any]) -> JointCombination:
        params = {k.removeprefix("params."): v for k, v in values.items() if k[:7] == "params."}
        rest = {key: value for key, value in values.items() if key[:7] != "params."}
        terms = json.dumps(rest, sort_keys=True)
        if terms not in made:
            # Without an [account] that all share, settings are swept in the accounts of legs alone.
            shared = [key for key in rest if study.account or not key.startswith("account.")]
            own = applied(study, {key: rest[key] for key in shared})
            assert isinstance(own, PortfolioStudy)
            made[terms] = _of_terms(own, rest, inputs, place)
        one = made[terms]
        bound = strategy.bind({**study.params, **params})
        return one._replace(rule=replace(one.rule, params=bound))

    return combination


def _of_terms(
    own: PortfolioStudy, rest: Mapping[str, Any], inputs: JointInputs, place: Workspace
) -> JointCombination:
    """Accounts, costs and the portfolio rule of a study with a combination's values."""
    known, table = inputs.extensions.cost_models, own.portfolio
    changes = {key[8:]: value for key, value in rest.items() if key.startswith("account.")}
    fees = {key[6:]: value for key, value in rest.items() if key.startswith("costs.")}
    contracts = [name for name, leg in inputs.legs.items() if _trades_contract(leg.account)]
    accounts, costs = {}, {}
    for name, leg in inputs.legs.items():
        said = own.legs.get(name)
        alone = None if said is None else said.account
        account = leg.account
        if changes:
            account = _changed(account, changes, apart=bool(contracts))
        if account is not None:
            accounts[name] = account
        paid = None if said is None else said.costs
        costs[name] = own.leg_study(alone or own.account, paid).said_costs(known)
        if fees and paid is not None:
            costs[name] = replace(costs[name], **fees)
    rule = joint_rule(
        inputs.rule.strategy, own.params, rule=table.rule, rule_params=table.params, place=place
    )
    account_of_all = JointAccount(
        accounts=accounts,
        costs=costs,
        margin=margin_of(own, inputs.legs),
        band=table.rebalance_band,
    )
    return JointCombination(rule, account_of_all, own.spot_costs(known))


def _trades_contract(account: Account | None) -> bool:
    return account is not None and account.contract is not None


def _changed(account: Account | None, changes: Mapping[str, Any], *, apart: bool) -> Account:
    """An account with swept settings; beside contracts, `apart`, spot keeps its leverage of 1."""
    spot = apart and not _trades_contract(account)
    own = {name: value for name, value in changes.items() if not (spot and name == "leverage")}
    return replace(account or Account(), **own)


def joint_combination_at_hand(
    ground: JointGround,
    place: Workspace,
    *,
    costs: Costs | None,
    benchmark_costs: Costs,
    really: bool,
) -> Callable[[Mapping[str, Any]], JointCombination]:
    """The same of markets in a notebook: names without a table are parameters of the strategy."""
    strategy, rule = ground.rule.strategy, ground.rule.rule
    assert isinstance(strategy, Strategy)
    made: dict[str, tuple[JointRule, JointAccount, Costs]] = {}

    def combination(values: Mapping[str, Any]) -> JointCombination:
        own: dict[str, dict[str, Any]] = {"params": {}, "account": {}, "costs": {}, "portfolio": {}}
        for name, value in values.items():
            table, dot, key = name.partition(".")
            own[table if dot else "params"][key if dot else name] = value
        terms = json.dumps({**own, "params": {}}, sort_keys=True, default=str)
        if terms not in made:
            shared = dict(own["portfolio"])
            named = shared.pop("rule", None if rule is None else rule.name)
            band = shared.pop("rebalance_band", ground.joint.band)
            check_amounts(ground.initial_equity, band)
            mode = shared.pop("margin", None)
            behind = {**(ground.rule.rule_params if named == getattr(rule, "name", None) else {}),
                      **shared}  # fmt: skip
            accounts = dict(ground.joint.accounts)
            if own["account"]:
                contracts = [name for name, one in accounts.items() if _trades_contract(one)]
                accounts = {
                    symbol: _changed(accounts.get(symbol), own["account"], apart=bool(contracts))
                    for symbol in ground.market
                }
            fills = {
                symbol: replace(each, **own["costs"]) for symbol, each in ground.joint.costs.items()
            }
            if not really:
                for each in fills.values():
                    each.check_meant()
            made[terms] = (
                joint_rule(strategy, {}, rule=named, rule_params=behind, place=place),
                JointAccount(
                    accounts=accounts,
                    costs=fills,
                    margin=ground.joint.margin if mode is None else Margin(mode=mode),
                    band=band,
                ),
                replace(costs or benchmark_costs, **own["costs"]),
            )
        chosen, account, spot = made[terms]
        bound = strategy.bind({**ground.rule.params, **own["params"]})
        return JointCombination(replace(chosen, params=bound), account, spot)

    return combination


def joint_ground_at_hand(
    markets: Markets,
    strategy: Any,
    *,
    account: Any,
    costs: Costs | None,
    margin: str | Margin,
    rule: str | None,
    rule_params: Mapping[str, Any] | None,
    benchmark: Any,
    start: pd.Timestamp | None,
    place: Workspace,
    **rest: Any,
) -> JointGround:
    """What combinations on markets in a notebook share."""
    chosen, markets, told, beside = joint_account(
        markets, strategy, account=account, costs=costs, margin=margin, benchmark=benchmark,
        place=place,
    )  # fmt: skip
    if not isinstance(chosen, Strategy):
        raise InputError("target exposures take no parameters, so there is nothing to combine")
    # Parameters are bound with each combination; what has no default may be an axis.
    named = joint_rule(chosen, None, rule=rule, rule_params=rule_params or {}, place=place)
    label = benchmark if isinstance(benchmark, str) else "benchmark"
    return JointGround(
        market=markets,
        rule=named,
        benchmark=beside,
        benchmark_name=benchmark_label(markets, label),
        joint=told,
        start=start,
        **rest,
    )
