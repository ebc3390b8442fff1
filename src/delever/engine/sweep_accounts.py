"""Many accounts over the same bars at once, and their metrics without their ledgers.

The numbers are those of `delever.engine.backtest.backtest` and of `delever.stats.metrics`, bar for
bar; what is kept of an account is the sums behind them, so memory does not grow with the bars.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from delever.engine.arrays import Floats
from delever.engine.sweep_market import Ints, SweepMarket, lines_of, sweep_market
from delever.engine.sweep_metrics import SWEPT, block_metrics, metric_names
from delever.errors import InputError, SimulationError
from delever.stats.metric import Metric
from delever.units import periods_per_year
from delever.venues.costs import Costs

__all__ = [
    "Asked",
    "SweepAccount",
    "SweepMarket",
    "asked",
    "check_account",
    "simulate",
    "simulate_each",
    "sweep_market",
]

Mapper = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]

_BLOCK = 128


class Asked(NamedTuple):
    """Targets of one account as the bars at which another one is asked for."""

    begin: int  # row of the first bar of the run
    bars: Ints  # shape (k,): rows, increasing; the first is `begin`
    # shape (k,): signed notional / equity asked for at the open of each, until the next
    targets: Floats


def asked(target_exposure: Floats, begin: int) -> Asked:
    """Reduce targets decided at each close to the opens at which they change.

    Raises
    ------
    InputError
        If there is no such row.

    Examples
    --------
    >>> asked(np.array([np.nan, 1.0, 1.0, 0.0, 1.0]), 1)
    Asked(begin=1, bars=array([1, 2, 4]), targets=array([0., 1., 0.]))
    """
    if not 0 <= begin < len(target_exposure):
        raise InputError(
            f"a run must begin at one of its {len(target_exposure)} bars; got row {begin}"
        )
    wanted = target_exposure[begin - 1 : -1] if begin else np.append(math.nan, target_exposure[:-1])
    unknown = np.isnan(wanted)
    if unknown.any():
        wanted = np.where(unknown, 0.0, wanted)
    rows = np.append(0, np.flatnonzero(wanted[1:] != wanted[:-1]) + 1)
    return Asked(begin, rows + begin, wanted[rows])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepAccount:
    """What one account of a sweep is told."""

    asked: Asked  # its targets
    # fee and slippage of its fills; the fees of the rules by date when left out
    costs: Costs | None = None
    leverage: float = 1.0  # >= 1; also the largest exposure that may be asked for
    stop_loss: float | None = None  # as in `delever.engine.settings.SweepAccount`
    take_profit: float | None = None
    trailing_stop: float | None = None


def simulate(
    market: SweepMarket,
    accounts: Sequence[SweepAccount],
    *,
    metrics: Sequence[Metric] = SWEPT,
    mapper: Mapper = map,
) -> pd.DataFrame:
    """Run accounts over the bars of a market and measure them.

    Raises
    ------
    InputError
        If a target lies beyond an account's leverage, or a bracket does not allow a position;
        the message names the account by its row. If a metric cannot be had from sums.
    """
    most = _largest([account.asked.targets for account in accounts])
    passed: dict[tuple[object, ...], float] = {}
    for row, account in enumerate(accounts):
        key = _said(account)
        if most[row] > passed.get(key, -1.0):  # with the same orders, only larger targets may fail
            check_account(account, market, f"account {row}", most=most[row])
            passed[key] = most[row]
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
    """Run accounts that `check_account` let pass, and say which of them a bracket refused."""
    from delever.engine import sweep_kernel as kernel

    names = list(metric_names(metrics))
    if not accounts:
        return pd.DataFrame(columns=names, dtype="float64"), {}
    begins = np.array([account.asked.begin for account in accounts])
    ends = np.full((len(accounts), kernel.END_ROWS), -1.0)
    scopes = np.zeros((len(accounts), 2, kernel.SCOPE_ROWS))
    run = _runner(market, accounts, begins, ends, scopes)
    for _ in mapper(run, range(0, len(accounts), _BLOCK)):
        pass  # each block has written its rows
    values = block_metrics(
        ends.T,
        scopes.transpose(1, 2, 0),
        np.stack([_bars_in(market.inside, begins, part) for part in (0, 1)]),
        initial_equity=market.initial_equity,
        periods_per_year=periods_per_year(market.timeframe),
        metrics=metrics,
    )
    frame = pd.DataFrame(values, columns=names)
    bar, measure = ends[:, kernel.REFUSED], ends[:, kernel.EXCESS]
    refused = {
        row: f"the bar of {market.index[int(bar[row])]:%Y-%m-%d %H:%M} asks for a position of "
        f"{measure[row]:,.0f}, which no bracket allows at leverage {accounts[row].leverage:g}; "
        "lower the leverage or the equity"
        for row in np.flatnonzero(bar >= 0.0).tolist()
    }
    if refused:
        frame.iloc[list(refused)] = np.nan
    return frame, refused


def _largest(targets: Sequence[Floats]) -> list[float]:
    """Largest size of each account's targets; each has at least one."""
    if not targets:
        return []
    first = np.cumsum([0, *(len(values) for values in targets[:-1])])
    largest: list[float] = np.maximum.reduceat(np.abs(np.concatenate(targets)), first).tolist()
    return largest


def check_account(
    account: SweepAccount, market: SweepMarket, name: str, *, most: float | None = None
) -> None:
    """Refuse what the engine would refuse of an account.

    Raises
    ------
    InputError
        If it is leveraged on spot, a number is out of range, or a target beyond its leverage.
    SimulationError
        If its fee is so high that no size reaches a target.
    """
    leverage = account.leverage
    if not 1.0 <= leverage < math.inf or (leverage != 1.0 and not market.leveraged):
        raise InputError(
            f"{name}: leverage must be 1 or more, and 1 for spot; got {leverage!r}; "
            "give a contract to trade with leverage"
        )
    for order in ("stop_loss", "take_profit", "trailing_stop"):
        value = getattr(account, order)
        if value is not None and not 0.0 < value < math.inf:
            raise InputError(
                f"{name}: {order} must be a fraction of the entry price above 0, or None; "
                f"got {value!r}; five per cent are 0.05"
            )
    if most is None:
        (most,) = _largest([account.asked.targets])
    if not most <= leverage:
        raise InputError(
            f"{name}: target_exposure must lie in [{-leverage:g}, {leverage:g}], its leverage; "
            f"got one of {most:g}; scale or clip it, or set a higher leverage"
        )
    fee = market.largest_fee if account.costs is None else abs(account.costs.fee)
    if most * fee >= 1.0:
        raise SimulationError(
            f"{name}: a fee of {fee:g} leaves no size that reaches every target exposure; lower "
            "the targets or the fee"
        )


def _runner(
    market: SweepMarket,
    accounts: Sequence[SweepAccount],
    begins: Ints,
    ends: Floats,
    scopes: Floats,
) -> Callable[[int], None]:
    """What runs the block of accounts from a row on, and leaves their sums in `ends`, `scopes`."""
    from delever.engine import sweep_kernel as kernel

    scopes[:, :, kernel.LEAST], scopes[:, :, kernel.MOST] = np.inf, -np.inf
    scopes[:, :, kernel.SCOPE_PEAK] = market.initial_equity
    scopes[:, :, [kernel.SCOPE_TROUGH, kernel.WEALTH, kernel.ABOVE]] = 1.0
    told = [account.asked for account in accounts]
    firsts = np.cumsum([0, *(len(one.bars) for one in told)])
    bars = np.concatenate([one.bars for one in told])
    targets = np.concatenate([one.targets for one in told])
    orders, lines = _orders(accounts, market), lines_of(market)

    def run(first: int) -> None:
        own = slice(first, first + _BLOCK)
        kernel.run_block(
            market.table, lines, market.inside, market.rule, market.brackets, market.how,
            market.lot, market.tick, market.separate, market.initial_equity, begins[own],
            firsts[first : first + _BLOCK + 1], bars, targets, orders[own], ends[own], scopes[own],
        )  # fmt: skip

    return run


def _said(account: SweepAccount) -> tuple[object, ...]:
    far = account.stop_loss, account.take_profit, account.trailing_stop
    return account.leverage, *far, account.costs


def _orders(accounts: Sequence[SweepAccount], market: SweepMarket) -> Floats:
    """One row per account: leverage, whether cross, stops, fee and slippage."""
    rows: dict[tuple[object, ...], int] = {}
    which = [rows.setdefault(_said(account), len(rows)) for account in accounts]
    table = np.full((len(rows), 7), np.nan)
    for row, (leverage, *far, costs) in enumerate(rows):
        stops = [math.inf if distance is None else distance for distance in far]
        table[row, :5] = [leverage, market.cross, *stops]
        if isinstance(costs, Costs):
            table[row, 5] = costs.fee
            table[row, 6] = math.nan if market.own_slippage else costs.slippage
    return table[which]


def _bars_in(inside: Ints, begins: Ints, part: int) -> Floats:
    """How many bars from each first one on lie in a scope."""
    behind = np.append(np.cumsum((inside == part)[::-1])[::-1], 0)
    return behind[begins].astype(np.float64)
