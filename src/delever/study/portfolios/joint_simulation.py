"""One strategy over several markets, beside its benchmark: from markets to a measured run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd

from delever.engine.joint_orders import (
    by_symbol,
    decided_last,
    exposures_by_symbol,
    furthest,
    scaled,
    together,
)
from delever.engine.legs import Leg, Margin
from delever.engine.orders import EXPOSURE, ORDER_PRICES, Target
from delever.engine.portfolio import PortfolioBacktest, portfolio_backtest
from delever.engine.settings import Account
from delever.engine.terms import costs_of
from delever.errors import ConfigError, InputError
from delever.panel import PATIENCE, Lifetime, Markets
from delever.research.evaluation import Evaluation, evaluate
from delever.research.lookahead import untouched
from delever.signals.allocation import RULES
from delever.study.runs.simulation import RunTerms, begin_on
from delever.study.workspaces.any_strategy import as_strategy
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs


@dataclass(frozen=True, slots=True, kw_only=True)
class JointAccount:
    """What an account of several symbols is told."""

    accounts: Mapping[str, Account] = field(default_factory=dict)  # the others hold spot
    costs: Mapping[str, Costs] = field(default_factory=dict)  # of a fill, by symbol
    margin: Margin = field(default_factory=Margin)
    band: float | None = None  # drift of an exposure that is traded


@dataclass(frozen=True, slots=True, kw_only=True)
class JointRule:
    """A strategy with its parameters, and the portfolio rule behind it, if any."""

    strategy: Strategy | pd.DataFrame
    params: Mapping[str, Any] = field(default_factory=dict)
    rule: Strategy | None = None
    rule_params: Mapping[str, Any] = field(default_factory=dict)

    def target(self, markets: Markets) -> pd.DataFrame:
        """Exposures of every row and symbol; 0 for what is no member, NaN before the first one.

        Raises what the strategy raises; InputError if exposures of one's own lack a row or symbol.
        """
        seen = untouched(markets)
        if isinstance(self.strategy, pd.DataFrame):
            asked = _own(self.strategy, markets)
        else:
            asked = self.strategy.panel_target(seen, self.params)
        each, held = by_symbol(asked), markets.members
        if self.rule is not None:
            signals = pd.DataFrame({name: furthest(one) for name, one in each.items()})
            sized = self.rule.allocate(seen, signals, self.rule_params)
            if asked.columns.nlevels == 1:
                asked = sized
            else:
                each = {
                    name: _sized(name, one, signals[name], sized[name])
                    for name, one in each.items()
                }
        if asked.columns.nlevels == 1:
            return asked.mask(~held & asked.notna(), 0.0)
        return together(
            {name: scaled(one, held[name].astype(float)) for name, one in each.items()}, asked.index
        )


def _sized(name: str, target: Target, signal: pd.Series, exposure: pd.Series) -> Target:
    """A target as large as a rule makes its last rung; where it made one of nothing, alone.

    Raises InputError where prices would stand on the other side of what the rule makes of them.
    """
    assert isinstance(target, pd.DataFrame)
    nothing = signal.isna() | (signal == 0.0)
    share = (exposure / signal).mask(nothing, 0.0)
    priced = target[[column for column in target if column in ORDER_PRICES]].notna().any(axis=1)
    if (turned := (share < 0.0) & priced).any():
        row = int(turned.to_numpy().argmax())
        raise InputError(
            f"{name}: a portfolio rule must keep the side of a decision that names prices, which "
            f"would stand on the wrong one; at {turned.index[row]:%Y-%m-%d %H:%M} it makes "
            f"{exposure.iloc[row]:g} of {signal.iloc[row]:g}; turn signals in the "
            "strategy, or leave its prices out"
        )
    made = scaled(target, share)
    return made.assign(**{EXPOSURE: made[EXPOSURE].mask(nothing, exposure)})


def rule_named(name: str, place: Workspace) -> Strategy:
    """A portfolio rule by its name, of the package or of ``strategies/``.

    Raises ConfigError if there is no such file.
    """
    for rule in RULES:
        if rule.__name__ == name:
            made = as_strategy(rule, workspace=place)
            assert isinstance(made, Strategy)
            return made
    if not isinstance(name, str) or not place.has_strategy(name):
        raise ConfigError(
            f"rule must be {', '.join(rule.__name__ for rule in RULES)}, a name in "
            f"{place.strategies} or a path ending in .py; got {name!r}"
        )
    return place.strategy(name)


def joint_rule(
    strategy: Strategy | pd.DataFrame,
    params: Mapping[str, Any] | None,
    *,
    rule: str | None,
    rule_params: Mapping[str, Any],
    place: Workspace,
) -> JointRule:
    """A strategy bound to its parameters, none where they are bound later, with a rule by name.

    Without a name a strategy of one market has equal shares, and one of several none.

    Raises ConfigError if there is no such rule or parameter.
    """
    if rule is None and isinstance(strategy, Strategy) and strategy.takes == "market":
        rule = "equal"
    if rule is None and rule_params:
        raise InputError(
            f"parameters of a portfolio rule need its name; got {', '.join(rule_params)}; give "
            "rule, or correct the name"
        )
    chosen = None if rule is None else rule_named(rule, place)
    return JointRule(
        strategy=strategy,
        params={}
        if params is None or not isinstance(strategy, Strategy)
        else strategy.bind(params),
        rule=chosen,
        rule_params={} if chosen is None else chosen.bind(rule_params),
    )


def held(markets: Markets, symbol: str) -> pd.DataFrame:
    """Exposures of who holds one symbol and nothing else, from its first row on."""
    ones = markets.panel().notna().astype(float)
    ones.loc[:, [name for name in markets.symbols if name != symbol]] = 0.0
    return ones


def simulate_joint(
    markets: Markets,
    rule: JointRule,
    *,
    name: str,
    benchmark: JointRule,
    account: JointAccount,
    terms: RunTerms,
) -> Evaluation:
    """Simulate a strategy of several markets and its benchmark over the same rows, measure both.

    Raises InputError if no row is left, or nothing is ever decided.
    """
    if terms.end is not None:
        markets = markets.upto(terms.end)
    several(markets, rule.strategy)
    target = rule.target(markets)
    begin = first_row(markets, target, start=terms.start)
    assert terms.benchmark_costs is not None
    spot = JointAccount(costs=dict.fromkeys(markets.symbols, terms.benchmark_costs))
    runs = [
        run_joint(
            markets,
            each,
            told,
            begin=begin,
            costs_times=terms.costs_times,
            initial_equity=terms.initial_equity,
        )
        for each, told in ((target, account), (benchmark.target(markets), spot))
    ]
    rows = pd.DatetimeIndex(runs[0].ledger.index)
    level = markets.equal_weight().loc[rows]
    return evaluate(
        name=name,
        backtest=runs[0],
        benchmark=runs[1],
        bars=_index_bars(level),
        closes=markets.worth().loc[rows],
        periods=terms.periods,
        metrics=terms.metrics,
        undecided=max(first_decided(target) + 1 - begin, 0),
    )


def first_decided(target: pd.DataFrame) -> int:
    """Row at whose close anything is first decided; the rows themselves where nothing is."""
    decided = exposures_by_symbol(target).notna().any(axis=1).to_numpy()
    return int(decided.argmax()) if decided.any() else len(decided)


def several(markets: Markets, strategy: Strategy | pd.DataFrame) -> None:
    """Refuse a strategy of several symbols on fewer than two."""
    if len(markets) < 2 and not (isinstance(strategy, Strategy) and strategy.takes == "market"):
        raise InputError(
            "a strategy of several symbols needs two at least that have bars; got "
            f"{', '.join(markets.symbols) or 'none'}; give more, or a strategy of one market"
        )


def first_row(markets: Markets, target: pd.DataFrame, *, start: pd.Timestamp | None) -> int:
    """Row of the first bar of a run.

    Raises InputError if no row is left, or nothing is ever decided.
    """
    decided, tradable = first_decided(target), first_tradable(markets)
    return begin_on(markets.index, decided, start, tradable, mend="give earlier bars")


def first_tradable(markets: Markets) -> pd.Timestamp | None:
    """When the first bar opens that may be traded; None where all bars of a market may."""
    trading = [view.trading_start for view in markets.views.values()]
    known = [time for time in trading if time is not None]
    return min(known) if len(known) == len(trading) else None


def run_joint(
    markets: Markets,
    target: pd.DataFrame,
    account: JointAccount,
    *,
    begin: int,
    costs_times: float = 1.0,
    initial_equity: float = 10_000.0,
) -> PortfolioBacktest:
    """Simulate exposures decided on the rows of markets, from a row of it on."""
    legs, clock = legs_of(markets, account, begin, costs_times)
    decided = decided_last(target[[*legs]])
    before = markets.index[max(begin - 1, 0) : begin]
    return portfolio_backtest(
        legs,
        decided.loc[before.append(clock)],
        timeframe=markets.timeframe,
        margin=account.margin,
        initial_equity=initial_equity,
        rebalance_band=account.band,
    )


def legs_of(
    markets: Markets, account: JointAccount, begin: int, costs_times: float
) -> tuple[dict[str, Leg], pd.DatetimeIndex]:
    """What can be held from a row of markets on, and the clock of its bars."""
    since = markets.index[begin]
    legs: dict[str, Leg] = {}
    for symbol in markets:
        bars = _traded(markets, symbol, since)
        if bars.empty:
            continue
        own = account.accounts.get(symbol) or Account()
        legs[symbol] = Leg(
            bars=bars,
            earlier=markets[symbol].bars.loc[lambda rows: rows.index < since] if begin else None,
            account=own,
            costs=costs_of(account.costs.get(symbol), own).stressed(costs_times),
            patience=PATIENCE,
            **_end(markets, symbol),
        )
    clock = reduce(pd.Index.union, (leg.bars.index for leg in legs.values()))
    return legs, pd.DatetimeIndex(clock)


def _traded(markets: Markets, symbol: str, since: pd.Timestamp) -> pd.DataFrame:
    """Bars of a symbol that can be traded: from a time on, and as long as it is listed."""
    bars = markets[symbol].bars
    inside = bars.index >= since
    gone = markets.lifetimes.get(symbol)
    if gone is not None and gone.delisted is not None:
        inside &= bars.index < gone.delisted
    return bars.loc[inside]


def _end(markets: Markets, symbol: str) -> dict[str, Any]:
    """What was said of the end of a symbol, and what is left of a position then."""
    gone = markets.lifetimes.get(symbol, Lifetime())
    return {"ended": gone.delisted, "ends": "last" if gone.recovery is None else gone.recovery}


def _index_bars(level: pd.Series) -> pd.DataFrame:
    """An index as bars: each opens where the one before closed."""
    opened = level.shift().fillna(level.iloc[0])
    both = pd.concat([opened, level], axis=1)
    return pd.DataFrame(
        {"open": opened, "high": both.max(axis=1), "low": both.min(axis=1), "close": level}
    ).assign(volume=np.nan)


def _own(given: pd.DataFrame, markets: Markets) -> pd.DataFrame:
    """Exposures that somebody made elsewhere, on the rows of the markets."""
    named = [str(name) for name in dict.fromkeys(given.columns.get_level_values(0))]
    if sorted(named) != sorted(markets.symbols) or given.columns.has_duplicates:
        raise InputError(
            f"target exposures must have a column per symbol, {', '.join(markets.symbols)}; got "
            f"{', '.join(map(str, given.columns)) or 'none'}"
        )
    wrong = [str(name) for name in given if given[name].dtype.kind not in "iuf"]
    if wrong:
        raise InputError(f"target exposures must be numbers; {wrong[0]} is of another kind")
    there = markets.index.isin(pd.DatetimeIndex(given.index))
    if not there.all():
        first = markets.index[~there][0]
        raise InputError(
            f"target exposures must have a value at each of the {len(markets.index)} rows; that "
            f"of {first:%Y-%m-%d %H:%M} is missing; index them like markets.index"
        )
    return given.loc[markets.index, [*markets.symbols]].astype("float64")
