"""What a run of several symbols is made from: everything its study names, loaded and by hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from delever.data.references import Dataset
from delever.deleveraging.period import Period
from delever.engine.legs import Margin
from delever.engine.settings import Account
from delever.errors import ConfigError
from delever.panel import Markets
from delever.study.inputs.belonging import belonging
from delever.study.inputs.implausible import market_warnings
from delever.study.inputs.market import early_series, view
from delever.study.kept.provenance import described, file_sha256, gather_periods, identified
from delever.study.portfolios.joint_backtesting import benchmark_rule
from delever.study.portfolios.joint_markets import joint
from delever.study.portfolios.joint_simulation import JointAccount, JointRule, joint_rule
from delever.study.portfolios.universe import coin_bars, load_universe
from delever.study.settings.account_table import StudyAccount
from delever.study.settings.portfolio_config import LegTable, PortfolioStudy, load_any_study
from delever.study.workspaces.extensions import Extensions
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs
from delever.venues.rules import Rulebook
from delever.view import MarketView


@dataclass(frozen=True, slots=True, kw_only=True)
class LegInputs:
    """One symbol of a study, loaded."""

    view: MarketView
    account: Account | None
    costs: Costs
    data: tuple[Dataset, ...]  # behind its bars, in order of time
    beside: Mapping[str, Dataset]  # behind its warm-up, series, funding, mark and detail


@dataclass(frozen=True, slots=True, kw_only=True)
class JointInputs:
    """Everything a study of several symbols names, loaded."""

    markets: Markets
    legs: Mapping[str, LegInputs]
    rule: JointRule
    benchmark: JointRule
    account: JointAccount
    universe_sha256: str  # of the file; empty for legs
    periods: tuple[Period, ...]
    periods_sha256: str
    extensions: Extensions

    def manifest(self, study: PortfolioStudy) -> dict[str, Any]:
        """The inputs by hash, and the hash over all of them."""
        strategy = self.rule.strategy
        assert isinstance(strategy, Strategy)
        said = study.model_dump(mode="json", exclude={"sweep"})
        named = [str(leg.data[0].reference) for leg in self.legs.values()]
        made_from: dict[str, Any] = {
            "study": {**said, "data": study.data or ", ".join(named)},
            "params": dict(self.rule.params),
            "rule": None
            if self.rule.rule is None
            else {
                "name": self.rule.rule.name,
                "sha256": self.rule.rule.sha256,
                "params": dict(self.rule.rule_params),
            },
            "symbols": {name: _described(leg) for name, leg in sorted(self.legs.items())},
            "universe_sha256": self.universe_sha256,
            "strategy": {"name": strategy.name, "sha256": strategy.sha256},
            "benchmark_sha256": getattr(self.benchmark.strategy, "sha256", None),
            "periods_sha256": self.periods_sha256,
        }
        return identified(made_from, self.extensions)


def _described(leg: LegInputs) -> dict[str, Any]:
    rules = None if leg.account is None else leg.account.rules
    return {
        "data": [described(each) for each in leg.data],
        "beside": {name: described(each) for name, each in sorted(leg.beside.items())},
        "rules_sha256": rules.sha256 if isinstance(rules, Rulebook) else None,
    }


def gather_joint(study: PortfolioStudy, workspace: Workspace) -> JointInputs:
    """Load everything a study of several symbols names.

    Raises ConfigError, NotStoredError or StrategyError if something it names is not there or not as
    it must be.
    """
    periods = gather_periods(study, workspace)
    strategy = workspace.strategy(study.strategy)
    universe = workspace.file(workspace.root / study.data) if study.data else None
    if universe is None:
        legs = {name: _leg(name, table, study, workspace) for name, table in study.legs.items()}
        markets = joint({name: leg.view for name, leg in legs.items()}, lifetimes={})
    else:
        book = load_universe(universe)
        legs, lifetimes = {}, {}
        for coin in book.coin:
            bars, pieces = coin_bars(coin, workspace.catalog)
            table = LegTable(
                data=coin.bars,
                series=study.series,
                account=_of_coin(study.account, coin.contract, coin.funding),
            )
            made = _leg(coin.symbol, table, study, workspace, bars=bars)
            legs[coin.symbol] = replace(made, data=pieces)
            lifetimes[coin.symbol] = coin.lifetime
        markets = joint(
            {name: leg.view for name, leg in legs.items()},
            lifetimes=lifetimes,
            top=book.top,
            volume_days=book.volume_days,
        )
    return JointInputs(
        markets=markets,
        legs=legs,
        rule=joint_rule(
            strategy,
            study.params,
            rule=study.portfolio.rule,
            rule_params=study.portfolio.params,
            place=workspace,
        ),
        benchmark=benchmark_rule(markets, study.benchmark, workspace),
        account=JointAccount(
            accounts={name: leg.account for name, leg in legs.items() if leg.account is not None},
            costs={name: leg.costs for name, leg in legs.items()},
            margin=margin_of(study, legs),
            band=study.portfolio.rebalance_band,
        ),
        universe_sha256="" if universe is None else file_sha256(universe),
        **periods,
        extensions=workspace.extensions,
    )


def margin_of(study: PortfolioStudy, legs: Mapping[str, LegInputs]) -> Margin:
    """How the legs share margin, by the rules of the venue that all perpetuals are on."""
    accounts = [leg.account for leg in legs.values() if leg.account is not None]
    books = [each.rules for each in accounts if isinstance(each.rules, Rulebook)]
    one = books[0] if len({book.sha256 for book in books}) == 1 else None
    counted = {
        name: table.counted for name, table in study.legs.items() if table.counted is not None
    }
    several = study.margin == "multi_asset"
    return Margin(mode=study.margin, rules=one, counted=counted if several and counted else None)


def _leg(
    name: str,
    table: LegTable,
    study: PortfolioStudy,
    workspace: Workspace,
    *,
    bars: Dataset | None = None,
) -> LegInputs:
    """Load what a leg names. Raises ConfigError or NotStoredError, the leg being named."""
    catalog = workspace.catalog
    try:
        data = bars or catalog.load(table.data)
        series = {each: catalog.load(reference) for each, reference in table.series.items()}
        warmup = None if table.warmup is None else catalog.load(table.warmup)
        said = table.account if table.account is not None else _shared(study)
        account, named = workspace.account(said)
        notes = early_series(series, workspace.root / "data" / "sources.toml")
        notes += belonging(data.reference.symbol, account, named, series)
        seen = view(data, warmup=warmup, series=series)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None
    seen = replace(seen, notes=seen.notes + notes)
    alone = study.leg_study(said, table.costs)
    beside = {**series, **named} | ({} if warmup is None else {"warmup": warmup})
    return LegInputs(
        view=replace(seen, notes=seen.notes + market_warnings(seen)),
        account=account,
        costs=alone.said_costs(workspace.extensions.cost_models),
        data=(data,),
        beside=beside,
    )


def _shared(study: PortfolioStudy) -> StudyAccount | None:
    """The account of legs that name none."""
    return study.account if study.legs else None


def _of_coin(
    account: StudyAccount | None, contract: str | None, funding: str | None
) -> StudyAccount | None:
    """The study's account for one coin of a universe, with the coin's contract and funding."""
    if account is None:
        return None
    changes = {
        name: value
        for name, value in (("contract", contract), ("funding", funding))
        if value is not None
    }
    return replace(account, **changes)  # type: ignore[arg-type]


def study_markets(path: Path, workspace: Workspace) -> Markets:
    """The markets of a study with legs, as its strategy sees them.

    Raises ConfigError or NotStoredError if what it names is not there.
    """
    study = load_any_study(path)
    if not isinstance(study, PortfolioStudy):
        raise ConfigError(f"{path} is a study of one symbol; several are needed; name its data")
    legs = {name: _leg(name, table, study, workspace) for name, table in study.legs.items()}
    return joint({name: leg.view for name, leg in legs.items()}, lifetimes={})
