"""What all accounts of a sweep have in common: bars, rules and funding, laid out once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.engine.arrays import Floats, bar_index, price_array
from delever.engine.settings import Account, with_contract
from delever.engine.steps import walk
from delever.engine.terms import terms
from delever.errors import InputError

if TYPE_CHECKING:
    from delever.engine.sweep_kernel import Lines

__all__ = ["Ints", "SweepMarket", "lines_of", "sweep_market"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepMarket:
    """Bars, rules and funding of a sweep as the kernel reads them, laid out once."""

    index: pd.DatetimeIndex  # shape (n,): open times, UTC
    timeframe: str  # of the bars
    inside: Ints  # shape (n,): 1 for bars inside deleveraging periods, else 0
    initial_equity: float  # of every account, quote units
    # whether a contract is traded; whether a liquidation takes the whole account; whether marks are
    # another price than the last; whether slippage is the table's, not the accounts'
    leveraged: bool
    cross: bool
    separate: bool
    own_slippage: bool
    lot: float  # steps of positions, base units, and of ordered prices, quote units; 0 for none
    tick: float
    # shape (n, 16): last and mark prices, funding per unit, fees and slippage of each bar
    table: Floats = field(repr=False)
    rule: Ints = field(repr=False)  # as in `delever.engine.steps.TermArrays`
    brackets: Floats = field(repr=False)
    how: Floats = field(repr=False)
    notes: tuple[str, ...] = ()  # what the run knew and did not know

    @property
    def largest_fee(self) -> float:
        """Taker fee of the rules where it is highest, fraction; 0 for spot."""
        from delever.engine import sweep_kernel as kernel

        return float(self.table[:, kernel.BAR_TAKER].max())


def sweep_market(
    bars: pd.DataFrame,
    *,
    timeframe: str,
    inside: npt.NDArray[np.bool_] | None = None,
    account: Account | None = None,
    initial_equity: float = 10_000.0,
    costs_times: float = 1.0,
) -> SweepMarket:
    """Lay out what all accounts of a sweep have in common.

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
    index = bar_index(bars)
    settings = with_contract(account or Account(), index[0].date())
    _check_covered(settings)
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
        leveraged=settings.traded is not None,
        cross=settings.margin_mode == "cross" or settings.traded is None,
        separate=settings.mark is not None,
        own_slippage=settings.slippage is not None,
        lot=0.0 if settings.traded is None else settings.traded.lot,
        tick=0.0 if settings.traded is None else settings.traded.tick,
        table=np.ascontiguousarray(table),
        rule=held.rule,
        brackets=held.brackets,
        how=held.how,
        notes=(*path.notes, *ruled),
    )


def _check_covered(account: Account) -> None:
    beyond = {
        "limit_offset": account.limit_offset is not None,
        "detail": account.detail is not None,
        "bounds": account.bounds,
        "an inverse contract": account.inverse,
        "borrow_rate": account.borrow_rate != 0.0,
        "slippage with impact": account.slippage is not None and account.slippage.impact > 0.0,
    }
    given = [name for name, there in beyond.items() if there]
    if given:
        raise InputError(
            f"a sweep does not cover {', '.join(given)}; leave it out, or run the combinations "
            "one by one with backtest"
        )


def lines_of(market: SweepMarket) -> Lines:
    """What the bars do to an account that nothing happens to."""
    from delever.engine import sweep_kernel as kernel

    columns = np.ascontiguousarray(market.table.T)
    opened, long, short, left_long, left_short = columns[kernel.PAID_OPEN : kernel.BAR_TAKER]
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
