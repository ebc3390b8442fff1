"""Many accounts over the same bars at once, and their metrics without their ledgers.

The numbers are those of `delever.engine.backtest.backtest` and of `delever.stats.metrics`, bar for
bar; what is kept of an account is the sums behind them, so memory does not grow with the bars.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats, counted
from delever.engine.settings import Account, Orders, orders_of
from delever.engine.steps import Ints
from delever.engine.sweep_market import Passing, SweepMarket
from delever.engine.sweep_metrics import (
    ENDS,
    PART_SUMS,
    SUMS,
    SWEPT,
    block_metrics,
    metric_names,
    part_names,
)
from delever.errors import InputError, SimulationError
from delever.stats.metric import Metric
from delever.venues.costs import Costs, VenueFees
from delever.venues.slippage import Slippage

Mapper = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]

SWEPT_ACCOUNT = ("leverage", "exposure", "stop_loss", "take_profit", "trailing_stop",
                 "rebalance_band")  # fmt: skip
"""Settings in which the accounts of a sweep may differ; those with the last one run alone."""

_BLOCK = 128


class Asked(NamedTuple):
    """Targets of one account as the bars at which another one is asked for."""

    begin: int  # row of the first bar of the run
    bars: Ints  # shape (k,): rows, increasing; the first is `begin`
    # shape (k,): signed notional / equity asked for at the open of each, until the next
    targets: Floats


def asked(target_exposure: Floats, begin: int) -> Asked:
    """Reduce targets decided at each close to the opens at which they change.

    Raises InputError if there is no such row.
    """
    if not 0 <= begin < len(target_exposure):
        raise InputError(
            f"a run must begin at one of its {counted(len(target_exposure), 'bar')}; got row "
            f"{begin}"
        )
    wanted = target_exposure[begin - 1 : -1] if begin else np.append(math.nan, target_exposure[:-1])
    unknown = np.isnan(wanted)
    if unknown.any():
        wanted = np.where(unknown, 0.0, wanted)
    rows = np.append(0, np.flatnonzero(wanted[1:] != wanted[:-1]) + 1)
    return Asked(begin, rows + begin, wanted[rows])


class Changes(NamedTuple):
    """Targets as the bars at whose opens another one is asked for than before, at first 0."""

    bars: Ints  # shape (k,): rows, increasing, none of them the first
    targets: Floats  # shape (k,)

    def since(self, begin: int) -> Asked:
        """What an account is asked for that begins with one of the bars."""
        place = int(self.bars.searchsorted(begin, side="right"))
        bars = np.empty(len(self.bars) - place + 1, dtype=np.int64)
        targets = np.empty(len(bars))
        bars[0], targets[0] = begin, self.targets[place - 1] if place else 0.0
        bars[1:], targets[1:] = self.bars[place:], self.targets[place:]
        return Asked(begin, bars, targets)


class FoundChanges(NamedTuple):
    """What many targets are, as where they change."""

    changes: list[Changes]
    firsts: Ints  # column at which each is known first; behind the last where it never is
    sound: npt.NDArray[np.bool_]  # whether each is a finite number from there on


def changes_each(target_exposure: Floats, rows: Ints, size: int) -> FoundChanges:
    """Reduce many targets, a row each, decided at the closes of some rows of so many bars.

    A target holds until the next of those rows; what is not known yet is 0.

    Examples
    --------
    >>> held = np.array([[np.nan, 1.0, 0.0, 0.0, 1.0]])
    >>> changes_each(held, np.array([0, 2, 4, 6, 8]), 9).changes
    [Changes(bars=array([3, 5]), targets=array([1., 0.]))]
    """
    from delever.engine.sweep_changes import find_changes

    count = len(target_exposure)
    firsts, ends = np.empty((2, count), dtype=np.int64)
    # As long as it could be; of what is not written the system gives no memory.
    bars = np.empty(target_exposure.size, dtype=np.int64)
    asked, sound = np.empty(target_exposure.size), np.empty(count, dtype=np.bool_)
    own = np.require(target_exposure, requirements=["C", "W"])
    find_changes(own, rows, size, firsts, ends, bars, asked, sound)
    bars, asked = bars[: ends[-1]].copy(), asked[: ends[-1]].copy()
    each = pairwise([0, *ends.tolist()])
    return FoundChanges([Changes(bars[a:b], asked[a:b]) for a, b in each], firsts, sound)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepAccount:
    """What one account of a sweep is told."""

    # its targets, which the exposure of its settings multiplies, from the first bar that it decided
    asked: Asked
    # bars of the run before that: flat for want of history, so they belong to the whole run alone
    undecided: int = 0
    # its settings named in `SWEPT_ACCOUNT`, those of the market when left out; all others are the
    # market's
    account: Account | None = None
    # fee and slippage of its fills, the market's when left out; models of slippage and the fees of
    # rules are always the market's
    costs: Costs | None = None


def simulate(
    market: SweepMarket,
    accounts: Sequence[SweepAccount],
    *,
    metrics: Sequence[Metric] = SWEPT,
    mapper: Mapper = map,
) -> pd.DataFrame:
    """Run accounts over the bars of a market and measure them.

    Raises InputError if a target lies beyond an account's leverage, or a bracket does not allow a
    position; the message names the account by its row. If a metric cannot be had from sums.
    """
    for row, account in enumerate(accounts):
        check_account(account, market, f"account {row}")
    frame, refused = simulate_each(market, accounts, metrics=metrics, mapper=mapper)
    for row, reason in refused.items():
        raise InputError(f"account {row}: {reason}")
    return frame


def simulate_each(
    market: SweepMarket,
    accounts: Sequence[SweepAccount],
    *,
    metrics: Sequence[Metric] = SWEPT,
    mapper: Mapper = map,
) -> tuple[pd.DataFrame, dict[int, str]]:
    """Run accounts that `check_account` let pass, and say which of them a bracket refused.

    Behind the metrics stand the sums of each part that the market names.
    """
    if not accounts:
        names = [*metric_names(metrics), *part_names(market.parts)]
        return pd.DataFrame(columns=names, dtype="float64"), {}
    begins = np.array([account.asked.begin for account in accounts])
    kept = sums_of(len(accounts), market.board.passing, market.initial_equity)
    run = _runner(market, accounts, begins, kept)
    for _ in mapper(run, range(0, len(accounts), _BLOCK)):
        pass  # each block has written its rows
    frame = kept.frame(
        market.board.passing,
        market.parts,
        begins=begins,
        waiting=np.array([account.undecided for account in accounts]),
        timeframe=market.timeframe,
        metrics=metrics,
    )
    ends = kept.ends
    refused = {
        row: f"the bar of {market.index[int(ends['refused'][row])]:%Y-%m-%d %H:%M} asks for a "
        f"position of {ends['excess'][row]:,.0f}, which no bracket allows at leverage "
        f"{_settings(accounts[row], market).leverage:g}; lower the leverage or the equity"
        for row in np.flatnonzero(ends["refused"] >= 0.0).tolist()
    }
    if refused:
        frame.iloc[list(refused)] = np.nan
    return frame, refused


class KeptSums(NamedTuple):
    """What a sweep keeps of its accounts."""

    initial_equity: float
    ends: Any  # records of `ENDS`
    scopes: Any  # shape (accounts, 2): records of `SUMS`, outside and inside
    parts: Floats  # shape (accounts, edges, 4): `PART_SUMS` from the first bar to each edge

    def frame(
        self,
        passing: Passing,
        parts: Mapping[str, tuple[int, int]],
        *,
        begins: Ints,
        waiting: Ints,
        timeframe: str,
        metrics: Sequence[Metric],
    ) -> pd.DataFrame:
        """A row per account: its metrics, and the sums of each part of the bars.

        Raises InputError if a metric cannot be had from sums.
        """
        values = block_metrics(
            self.ends,
            self.scopes,
            *_time_in(passing, begins),
            waited=_waited(passing, begins, waiting),
            initial_equity=self.initial_equity,
            timeframe=timeframe,
            metrics=metrics,
        )
        if parts:
            values = np.hstack([values, self._in_parts(passing, parts)])
        return pd.DataFrame(values, columns=[*metric_names(metrics), *part_names(parts)])

    def _in_parts(self, passing: Passing, parts: Mapping[str, tuple[int, int]]) -> Floats:
        bounds = np.clip(np.array(list(parts.values()), dtype=np.int64), 0, None)
        first, last = np.searchsorted(np.append(0, passing.edges), bounds).T
        begun = np.zeros((len(self.parts), 1, len(PART_SUMS)))
        begun[:, :, 2] = self.initial_equity
        since = np.concatenate([begun, self.parts], axis=1)
        found: Floats = since[:, last] - since[:, first]
        before, after = since[:, first, 2], since[:, last, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            found[:, :, 2] = np.where(before > 0.0, np.log(after / before), 0.0)
        return found.reshape(len(self.parts), -1)


def sums_of(count: int, passing: Passing, initial_equity: float) -> KeptSums:
    """Sums of so many accounts that have not begun."""
    ends = np.full(count, -1.0, dtype=ENDS)
    ends["exposure"] = ends["held"] = ends["small"] = 0.0
    scopes = np.zeros((count, 2), dtype=SUMS)
    scopes["least"], scopes["most"], scopes["peak"] = np.inf, -np.inf, initial_equity
    scopes["trough"] = scopes["growth"] = scopes["above"] = 1.0
    parts = np.zeros((count, len(passing.edges), len(PART_SUMS)))
    parts[:, :, 2] = initial_equity
    return KeptSums(initial_equity, ends, scopes, parts)


def check_account(account: SweepAccount, market: SweepMarket, name: str) -> None:
    """Refuse what the engine would refuse of an account.

    Raises InputError if a target lies beyond its leverage; SimulationError if its fee is so high
    that no size reaches a target.
    """
    settings = _settings(account, market)
    if settings.rebalance_band is not None:
        raise InputError(f"{name}: many accounts at once do not cover rebalance_band; run it alone")
    most, leverage = np.abs(account.asked.targets).max() * settings.exposure, settings.leverage
    if not most <= leverage:
        raise InputError(
            f"{name}: target_exposure must lie in [{-leverage:g}, {leverage:g}], its leverage; "
            f"got one of {most:g}; scale or clip it, or set a higher leverage"
        )
    fee, _ = _fractions(account.costs)
    fee = market.largest_fee if math.isnan(fee) else abs(fee)
    if most * fee >= 1.0:
        raise SimulationError(
            f"{name}: a fee of {fee:g} leaves no size that reaches every target exposure; lower "
            "the targets or the fee"
        )


def _settings(account: SweepAccount, market: SweepMarket) -> Account:
    return account.account or market.account


def _runner(
    market: SweepMarket,
    accounts: Sequence[SweepAccount],
    begins: Ints,
    kept: KeptSums,
) -> Callable[[int], None]:
    """What runs the block of accounts from a row on, and keeps their sums."""
    from delever.engine.sweep_kernel import run_block

    told = [account.asked for account in accounts]
    times = [_settings(account, market).exposure for account in accounts]
    sizes = [len(one.bars) for one in told]
    firsts = np.cumsum([0, *sizes])
    bars = np.concatenate([one.bars for one in told])
    targets = np.concatenate([one.targets for one in told]) * np.repeat(times, sizes)
    orders, fees = _numbers(accounts, market)

    def run(first: int) -> None:
        own = slice(first, first + _BLOCK)
        run_block(
            market.board, market.initial_equity, begins[own], firsts[first : first + _BLOCK + 1],
            bars, targets, orders[own], fees[own],
            kept.ends[own], kept.scopes[own], kept.parts[own],
        )  # fmt: skip

    return run


def _numbers(accounts: Sequence[SweepAccount], market: SweepMarket) -> tuple[Floats, Floats]:
    """One row per account: the columns of `Orders`, and taker fee and slippage (NaN: the bar's)."""
    rows: dict[tuple[Account, Costs | None], int] = {}
    which = [rows.setdefault((_settings(one, market), one.costs), len(rows)) for one in accounts]
    orders = np.empty((len(rows), len(Orders._fields)))
    fees = np.empty((len(rows), 2))
    for row, (own, costs) in enumerate(rows):
        said = {name: getattr(own, name) for name in SWEPT_ACCOUNT}
        orders[row] = orders_of(replace(market.account, **said))
        fees[row] = _fractions(costs)
    return orders[which], fees[which]


def _fractions(costs: Costs | None) -> tuple[float, float]:
    """Taker fee and slippage of an account's fills; NaN where its market says them."""
    parts = () if costs is None else costs.parts
    by_rules = costs is None or any(isinstance(part, VenueFees) for part in parts)
    modelled = costs is None or any(isinstance(part, Slippage) for part in parts)
    return (
        math.nan if by_rules or costs is None else costs.fee,
        math.nan if modelled or costs is None else costs.slippage,
    )


def _time_in(passing: Passing, begins: Ints) -> tuple[Floats, Floats]:
    """Bars from each first one on outside and inside, and the time outside, inside and between."""
    lasting, apart = np.diff(passing.time), np.append(passing.apart[1:], 0.0)
    parts = [passing.inside == part for part in (0, 1)]

    def since(each: Floats) -> Floats:
        return np.append(np.cumsum(each[::-1])[::-1], 0.0)[begins]

    bars = [since(part.astype(np.float64)) for part in parts]
    return np.stack(bars), np.stack([*(since(part * lasting) for part in parts), since(apart)])


def _waited(passing: Passing, begins: Ints, waiting: Ints) -> Floats:
    """Bars before the first decision, and the time that they stand for."""
    if not waiting.any():
        return np.zeros((2, len(begins)))
    every, later = (_time_in(passing, rows)[1].sum(axis=0) for rows in (begins - waiting, begins))
    return np.stack([waiting.astype(np.float64), every - later])
