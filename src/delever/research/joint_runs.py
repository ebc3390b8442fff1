"""Runs of several symbols made again with something changed: later, dearer, unfunded, shifted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from delever.engine.joint_orders import (
    at_prices,
    by_symbol,
    decided_last,
    furthest,
    scaled,
    together,
    without_decision,
)
from delever.engine.legs import Leg
from delever.engine.orders import Target
from delever.engine.portfolio import PortfolioBacktest, portfolio_backtest
from delever.engine.settings import Account
from delever.engine.terms import costs_of
from delever.errors import InputError


def again(run: PortfolioBacktest, **changes: Any) -> PortfolioBacktest:
    """Run once more, with some arguments of `portfolio_backtest` changed.

    Raises InputError if the run does not know what it was asked for: a window, or one read back.
    """
    if run.request is None:
        raise InputError(
            "a rerun needs the run as it was made; windows and runs read back do not keep their "
            "bars; rerun the whole run, then take the window"
        )
    return portfolio_backtest(**{**run.request, **changes})


def accounts_of(run: PortfolioBacktest) -> list[Account]:
    """Accounts of its legs."""
    return [leg.account for leg in _legs(run).values()]


def changed(
    run: PortfolioBacktest,
    *,
    costs_times: float | None,
    leverage: float | None,
    funding_off: bool,
    bars_later: int,
) -> PortfolioBacktest:
    """The same decisions over the same bars, with one thing changed of every leg.

    Raises InputError if no leg has a contract where leverage or funding are to change, or the run
    does not know its bars.
    """
    legs = {name: replace(leg, account=_plain(leg.account)) for name, leg in _legs(run).items()}
    if costs_times is not None:
        dearer = {
            name: replace(leg, costs=costs_of(leg.costs, leg.account).stressed(costs_times))
            for name, leg in legs.items()
        }
        return again(run, legs=dearer)
    asked = _asked(run)
    if bars_later:
        late = without_decision(asked.shift(bars_later))
        return again(run, legs=legs, target_exposure=late)
    traded = [name for name, leg in legs.items() if leg.account.contract is not None]
    if not traded:
        raise InputError(
            "legs of spot have neither funding nor leverage to change; give one a contract"
        )
    if leverage is None:
        assert funding_off
        unpaid = {"funding": None, "funding_policy": "missing-is-zero"}
        legs |= {name: _with(legs[name], **unpaid) for name in traded}
        return again(run, legs=legs)
    legs |= {name: _with(legs[name], leverage=leverage) for name in traded}
    share = pd.Series(min(1.0, _room(asked, legs)), index=asked.index)
    each = {name: scaled(_free(one), share) for name, one in by_symbol(asked).items()}
    return again(run, legs=legs, target_exposure=together(each, asked.index))


def _free(target: Target) -> Target:
    """Without leverages of its own: this one is everybody's."""
    if isinstance(target, pd.DataFrame):
        return target.drop(columns="leverage", errors="ignore")
    return target


def in_force(run: PortfolioBacktest) -> pd.DataFrame:
    """Targets as they stood at each row, 0 before the first; prices as a multiple of its close."""
    return at_prices(without_decision(_asked(run)), 1.0 / closes(run))


def closes(run: PortfolioBacktest) -> pd.DataFrame:
    """Last close of each leg at each row; before its first, that one."""
    index, legs = _asked(run).index, _legs(run)
    last = {
        name: pd.concat([leg.earlier, leg.bars])["close"].reindex(index)
        for name, leg in legs.items()
    }
    return pd.DataFrame(last, index=index).ffill().bfill()


def _legs(run: PortfolioBacktest) -> Mapping[str, Leg]:
    if run.request is None:
        return {}
    legs: Mapping[str, Leg] = run.request["legs"]
    return legs


def _asked(run: PortfolioBacktest) -> pd.DataFrame:
    """Targets by row, as they were decided last; NaN before the first."""
    if run.request is None:
        return pd.DataFrame()  # what is missing is said by `again`
    asked: pd.DataFrame = run.request["target_exposure"]
    return decided_last(asked)


def _plain(account: Account) -> Account:
    return replace(account, bounds=False)


def _with(leg: Leg, **settings: Any) -> Leg:
    return replace(leg, account=replace(leg.account, **settings))


def _room(asked: pd.DataFrame, legs: Mapping[str, Leg]) -> float:
    """By what all targets must be multiplied at most, so that margins and leverage suffice."""
    sizes = pd.DataFrame(
        {
            name: furthest(one).abs() * legs[name].account.exposure
            for name, one in by_symbol(asked).items()
        }
    ).fillna(0.0)
    leverages = pd.Series({name: leg.account.leverage for name, leg in legs.items()})
    needed = float((sizes / leverages).sum(axis=1).max())
    return 1.0 / needed if needed > 0.0 else 1.0
