"""Many accounts over the same bars at once, and their metrics without their ledgers.

The numbers are those of `delever.sim.backtest.backtest` and of `delever.stats.registry`, bar for
bar; what is kept of an account is the sums behind them, so memory does not grow with the bars.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.errors import InputError, SimulationError
from delever.market.execution import Costs
from delever.sim.inputs import Floats, bar_index, price_array
from delever.sim.perp import PerpSettings
from delever.sim.steps import walk
from delever.sim.sweep_metrics import block_metrics, metric_names
from delever.sim.terms import terms
from delever.units import periods_per_year

if TYPE_CHECKING:
    from delever.sim.sweep_kernel import Lines

__all__ = [
    "Account",
    "Asked",
    "SweepMarket",
    "asked",
    "check_account",
    "simulate",
    "simulate_each",
    "sweep_market",
]

Ints = npt.NDArray[np.int64]
Mapper = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]

_BLOCK = 128


class Asked(NamedTuple):
    """Targets of one account as the bars at which another one is asked for.

    Attributes
    ----------
    begin : int
        Row of the first bar of the run.
    bars : numpy.ndarray of int64, shape (k,)
        Rows, increasing; the first is `begin`.
    targets : numpy.ndarray, shape (k,)
        Signed notional / equity asked for at the open of each, until the next.
    """

    begin: int
    bars: Ints
    targets: Floats


def asked(target_exposure: Floats, begin: int) -> Asked:
    """Reduce targets decided at each close to the opens at which they change.

    Parameters
    ----------
    target_exposure : numpy.ndarray, shape (n,)
        Decided at each bar's close; NaN before the first value means flat.
    begin : int
        Row of the first bar of the run; it is filled at what was decided the bar before.

    Returns
    -------
    Asked

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
    if np.isnan(wanted).any():
        wanted = np.nan_to_num(wanted, nan=0.0, posinf=None, neginf=None)
    rows = np.append(0, np.flatnonzero(wanted[1:] != wanted[:-1]) + 1)
    return Asked(begin, rows + begin, wanted[rows])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Account:
    """What one account of a sweep is told.

    Attributes
    ----------
    asked : Asked
        Its targets.
    costs : Costs, optional
        Fee and slippage of its fills; the fees of the rules by date when left out.
    leverage : float
        >= 1; also the largest exposure that may be asked for.
    stop_loss, take_profit, trailing_stop : float, optional
        As in `delever.sim.perp.PerpSettings`.
    """

    asked: Asked
    costs: Costs | None = None
    leverage: float = 1.0
    stop_loss: float | None = None
    take_profit: float | None = None
    trailing_stop: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepMarket:
    """Bars, rules and funding of a sweep as the kernel reads them, laid out once.

    Attributes
    ----------
    index : pandas.DatetimeIndex, shape (n,)
        Open times, UTC.
    timeframe : str
        Of the bars.
    inside : numpy.ndarray of int64, shape (n,)
        1 for bars inside deleveraging periods, else 0.
    initial_equity : float
        Of every account, quote units.
    leveraged, cross, separate, own_slippage : bool
        Whether a contract is traded; whether a liquidation takes the whole account; whether marks
        are another price than the last; whether slippage is the table's, not the accounts'.
    lot, tick : float
        Steps of positions, base units, and of ordered prices, quote units; 0 for none.
    table : numpy.ndarray, shape (n, 16)
        Last and mark prices, funding per unit, fees and slippage of each bar.
    rule, brackets, how
        As in `delever.sim.steps.TermArrays`.
    notes : tuple of str
        What the run knew and did not know.
    """

    index: pd.DatetimeIndex
    timeframe: str
    inside: Ints
    initial_equity: float
    leveraged: bool
    cross: bool
    separate: bool
    own_slippage: bool
    lot: float
    tick: float
    table: Floats = field(repr=False)
    rule: Ints = field(repr=False)
    brackets: Floats = field(repr=False)
    how: Floats = field(repr=False)
    notes: tuple[str, ...] = ()


def sweep_market(
    bars: pd.DataFrame,
    *,
    timeframe: str,
    inside: npt.NDArray[np.bool_] | None = None,
    perp: PerpSettings | None = None,
    initial_equity: float = 10_000.0,
    costs_times: float = 1.0,
) -> SweepMarket:
    """Lay out what all accounts of a sweep have in common.

    Parameters
    ----------
    bars : pandas.DataFrame, shape (n, 4 or more)
        Open, high, low, close in quote units, indexed by open time in UTC.
    timeframe : str
        Of the bars.
    inside : numpy.ndarray of bool, shape (n,), optional
        Bars inside deleveraging periods; none when left out.
    perp : PerpSettings, optional
        Contract, rules, margin mode, funding and mark of every account. Leverage and stops are
        each account's own, see `Account`.
    initial_equity : float
        Quote units, > 0.
    costs_times : float
        Multiplies fees of the rules and slippage of a model; accounts say their own costs.

    Returns
    -------
    SweepMarket

    Raises
    ------
    InputError
        If a sweep does not cover what is asked: limit orders, finer bars inside the bars, impact
        on volume, borrowed coins, bounds.
    DataError
        If funding, brackets or mark do not cover the run.
    """
    if not (math.isfinite(initial_equity) and initial_equity > 0.0):
        raise InputError(f"initial_equity must be a finite amount above 0; got {initial_equity!r}")
    settings = PerpSettings() if perp is None else perp
    _check_covered(settings)
    index = bar_index(bars)
    prices = price_array(bars, index)
    if inside is None:
        inside = np.zeros(len(index), dtype=np.bool_)
    if inside.dtype != np.bool_ or inside.shape != (len(index),):
        raise InputError(
            f"inside must hold one boolean per bar ({len(index)}); got {inside.dtype} of shape "
            f"{inside.shape}"
        )
    held, _, ruled = terms(
        bars, index, settings, None, timeframe=timeframe, costs_times=costs_times
    )
    path = walk(index, prices, settings, timeframe=timeframe)
    table = np.column_stack(
        [prices, path.market.marks, path.market.funding[:, :5], held.paid[:, [0, 2, 3]]]
    )
    return SweepMarket(
        index=index,
        timeframe=timeframe,
        inside=inside.astype(np.int64),
        initial_equity=float(initial_equity),
        leveraged=settings.contract is not None,
        cross=settings.margin_mode == "cross" or settings.contract is None,
        separate=settings.mark is not None,
        own_slippage=settings.slippage is not None,
        lot=0.0 if settings.contract is None else settings.contract.lot,
        tick=0.0 if settings.contract is None else settings.contract.tick,
        table=np.ascontiguousarray(table),
        rule=held.rule,
        brackets=held.brackets,
        how=held.how,
        notes=(*path.notes, *ruled),
    )


def _check_covered(perp: PerpSettings) -> None:
    beyond = {
        "limit_offset": perp.limit_offset is not None,
        "detail": perp.detail is not None,
        "bounds": perp.bounds,
        "an inverse contract": perp.inverse,
        "borrow_rate": perp.borrow_rate != 0.0,
        "slippage with impact": perp.slippage is not None and perp.slippage.impact > 0.0,
    }
    given = [name for name, there in beyond.items() if there]
    if given:
        raise InputError(
            f"a sweep does not cover {', '.join(given)}; leave it out, or run the combinations "
            "one by one with backtest"
        )


def simulate(
    market: SweepMarket, accounts: Sequence[Account], *, mapper: Mapper = map
) -> pd.DataFrame:
    """Run accounts over the bars of a market and measure them.

    Parameters
    ----------
    market : SweepMarket
        What they have in common.
    accounts : sequence of Account
        In any number; they are run in blocks.
    mapper : callable
        Runs the blocks: `map`, or that of a pool of threads. The loop holds no lock.

    Returns
    -------
    pandas.DataFrame, shape (accounts, 63)
        One row per account, one column per metric of `sweep_metrics.metric_names`. Costs and
        funding are in quote units. A NaN is an undefined metric.

    Raises
    ------
    InputError
        If a target lies beyond an account's leverage, or a bracket does not allow a position;
        the message names the account by its row.
    """
    most = _largest([account.asked.targets for account in accounts])
    passed: dict[tuple[object, ...], float] = {}
    for row, account in enumerate(accounts):
        key = _said(account)
        if most[row] > passed.get(key, -1.0):  # with the same orders, only larger targets may fail
            check_account(account, market, f"account {row}", most=most[row])
            passed[key] = most[row]
    frame, refused = simulate_each(market, accounts, mapper=mapper)
    for row, reason in refused.items():
        raise InputError(f"account {row}: {reason}")
    return frame


def simulate_each(
    market: SweepMarket, accounts: Sequence[Account], *, mapper: Mapper = map
) -> tuple[pd.DataFrame, dict[int, str]]:
    """Run accounts that `check_account` let pass, and say which of them a bracket refused.

    Parameters
    ----------
    market, accounts, mapper
        As of `simulate`.

    Returns
    -------
    pandas.DataFrame
        As of `simulate`; the rows of refused accounts are NaN.
    dict of int to str
        Row of each refused account to the reason.
    """
    from delever.sim import sweep_kernel as kernel  # numba takes long to import

    if not accounts:
        return pd.DataFrame(columns=list(metric_names()), dtype="float64"), {}
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
    )
    frame = pd.DataFrame(values, columns=list(metric_names()))
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
    account: Account, market: SweepMarket, name: str, *, most: float | None = None
) -> None:
    """Refuse what the engine would refuse of an account.

    Parameters
    ----------
    account : Account
        To be run.
    market : SweepMarket
        On this.
    name : str
        For the message.
    most : float, optional
        Size of its largest target, where it is known.

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
        most = _largest([account.asked.targets])[0]
    if not most <= leverage:
        raise InputError(
            f"{name}: target_exposure must lie in [{-leverage:g}, {leverage:g}], its leverage; "
            f"got one of {most:g}; scale or clip it, or set a higher leverage"
        )
    fee = float(market.table[:, 13].max()) if account.costs is None else abs(account.costs.fee)
    if most * fee >= 1.0:
        raise SimulationError(
            f"{name}: a fee of {fee:g} leaves no size that reaches every target exposure; lower "
            "the targets or the fee"
        )


def _runner(
    market: SweepMarket, accounts: Sequence[Account], begins: Ints, ends: Floats, scopes: Floats
) -> Callable[[int], None]:
    """What runs the block of accounts from a row on, and leaves their sums in `ends`, `scopes`."""
    from delever.sim import sweep_kernel as kernel

    scopes[:, :, kernel.LEAST], scopes[:, :, kernel.MOST] = np.inf, -np.inf
    scopes[:, :, kernel.SCOPE_PEAK] = market.initial_equity
    scopes[:, :, [kernel.SCOPE_TROUGH, kernel.WEALTH, kernel.ABOVE]] = 1.0
    told = [account.asked for account in accounts]
    firsts = np.cumsum([0, *(len(one.bars) for one in told)])
    bars = np.concatenate([one.bars for one in told])
    targets = np.concatenate([one.targets for one in told])
    orders, lines = _orders(accounts, market), _lines(market)

    def run(first: int) -> None:
        own = slice(first, first + _BLOCK)
        kernel.run_block(
            market.table, lines, market.inside, market.rule, market.brackets, market.how,
            market.lot, market.tick, market.separate, market.initial_equity, begins[own],
            firsts[first : first + _BLOCK + 1], bars, targets, orders[own], ends[own], scopes[own],
        )  # fmt: skip

    return run


def _said(account: Account) -> tuple[object, ...]:
    far = account.stop_loss, account.take_profit, account.trailing_stop
    return account.leverage, *far, account.costs


def _orders(accounts: Sequence[Account], market: SweepMarket) -> Floats:
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


def _lines(market: SweepMarket) -> Lines:
    """What the bars do to an account that nothing happens to."""
    from delever.sim import sweep_kernel as kernel

    columns = np.ascontiguousarray(market.table.T)
    opened, long, short, left_long, left_short = columns[8:13]
    # A received unit moves the price of liquidation by at most this.
    steepest = 1.0 / (1.0 - float((market.how[:, 2:3] + market.brackets[:, :, 1]).max()))
    nothing = np.zeros_like(opened)
    lost = np.stack(
        [
            np.maximum(opened, 0.0) - np.minimum.reduce([long, left_long, nothing]),
            -np.minimum(opened, 0.0) - np.minimum.reduce([short, left_short, nothing]),
        ]
    )
    lift = steepest * np.cumsum(lost, axis=1)
    paid = np.cumsum([long - opened, -short - opened], axis=1)
    lowest = np.minimum(columns[kernel.LOW], columns[kernel.MARK_LOW])
    highest = np.maximum(columns[kernel.HIGH], columns[kernel.MARK_HIGH])
    reach = np.stack([lowest - lift[0], highest + lift[1]])
    edges = np.arange(0, len(opened), kernel.STRETCH)
    return kernel.Lines(
        mark=columns[kernel.MARK_CLOSE],
        paid=paid,
        worth=columns[kernel.MARK_CLOSE] + paid,
        lift=lift,
        reach=reach,
        least=np.minimum.reduceat(reach[0], edges),
        most=np.maximum.reduceat(reach[1], edges),
        other_scope=_next_other(market.inside),
        other_rule=_next_other(market.rule),
    )


def _next_other(values: Ints) -> Ints:
    """For each row, the next one that holds something else; their number where there is none."""
    changed = np.append(np.flatnonzero(np.diff(values)) + 1, len(values))
    return changed[np.searchsorted(changed, np.arange(len(values)), side="right")]


def _bars_in(inside: Ints, begins: Ints, part: int) -> Floats:
    """How many bars from each first one on lie in a scope."""
    behind = np.append(np.cumsum((inside == part)[::-1])[::-1], 0)
    return behind[begins].astype(np.float64)
