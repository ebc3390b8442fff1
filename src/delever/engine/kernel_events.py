"""What can happen to an account, compiled.

An account and the rows it leaves are records whose fields are the columns of `STATE`, `LEDGER` and
`FILL`; what holds in a bar or a step is a tuple with the names of `delever.engine.steps`. So no
column has a number here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from delever.arguments import Floats
from delever.engine.arithmetic import (
    entry_after,
    excess,
    liquidation_price,
    margin_behind,
    moved,
    slippage_of,
    stop_price,
)
from delever.engine.arrays import record
from delever.engine.compiled import inner
from delever.engine.ledger import REASONS
from delever.engine.settings import Orders
from delever.engine.steps import FillTerms, Funding, MarginRule, Prices

N_PRICES, N_FUNDING = len(Prices._fields), len(Funding._fields)
N_TERMS, N_RULE = len(FillTerms._fields), len(MarginRule._fields)
BY_TARGET, BY_LIQUIDATION, BY_STOP, BY_PROFIT, BY_TRAILING, BY_LIMIT, BY_TIME = (
    float(REASONS.index(word))
    for word in (
        *("target", "liquidation", "stop_loss", "take_profit", "trailing_stop", "limit"),
        "time_stop",
    )
)
EXPOSURE, LIMIT = 0, 1  # columns of a rung
ORDERS = record(*Orders._fields)
"""Orders of an account as a loop reads them: no number is fetched that is not asked for."""


class CompiledRun(NamedTuple):
    """An account on its way, and what holds in the bar."""

    account: Any  # record of `STATE`
    at: Any  # record of `PLACE`
    row: Any  # record of `LEDGER`: the bar's row, as far as it has come
    fills: Any  # records of `FILL`
    order: Any  # record of `ORDERS`: those in force
    terms: FillTerms
    table: Floats  # of brackets
    rule: MarginRule
    rungs: Floats  # of the bar's decision


PLACE = np.dtype([("bar", np.int64), ("step", np.int64), ("fills", np.int64)])
"""Where a run is, and how many fills it has made."""


@inner()
def wallet_of(run: CompiledRun) -> float:
    """Wallet balance: cash with the position at its entry price."""
    return float(run.account.cash + run.account.position * run.account.entry)


@inner()
def margin_of(run: CompiledRun, paid: float) -> float:
    """What stands behind the position once `paid` is received."""
    account = run.account
    wallet = wallet_of(run) + paid + account.aside
    return margin_behind(account.position, account.entry, wallet, run.order)


@inner()
def trigger_of(run: CompiledRun, paid: float) -> float:
    """Liquidation price once `paid` is received."""
    account = run.account
    margin = margin_of(run, paid)
    return liquidation_price(
        account.position,
        account.entry,
        margin,
        run.table,
        run.rule,
        run.order.tick,
        run.order.inverse,
    )


@inner()
def nearest_stop(run: CompiledRun) -> tuple[float, float]:
    """The nearest of the stops, and which it is."""
    account = run.account
    price, follows = stop_price(
        account.position, account.entry, account.peak, run.order, run.order.inverse
    )
    return price, BY_TRAILING if follows else BY_STOP


@inner()
def slippage_for(run: CompiledRun, order: float) -> float:
    """Fraction that a fill of the notional `order` is worse by."""
    return slippage_of(order, run.terms.slippage, run.terms.impact)


@inner()
def receive(run: CompiledRun, payment: float) -> None:
    """Take funding into cash."""
    run.account.cash += payment
    run.account.funded += payment
    run.row.funding += payment


@inner()
def pay_borrow(run: CompiledRun, open_: float) -> None:
    """Charge a spot short for a bar."""
    owed = max(-run.account.position, 0.0) * open_ * run.terms.borrow
    run.account.cash -= owed
    run.account.borrowed += owed
    run.row.borrow += owed


@inner()
def too_large(run: CompiledRun) -> float:
    """Measure of a position that its bracket does not allow, else 0."""
    return excess(run.account.position, run.account.entry, run.table, run.rule, run.order)


@inner()
def value_at_mark(run: CompiledRun, price: float) -> None:
    """Value the position at a mark."""
    run.row.price_pnl += run.account.position * (price - run.account.mark)
    run.account.mark = price


@inner()
def book_fill(
    run: CompiledRun,
    quantity: float,
    price: float,
    fee: float,
    slippage: float,
    liquidation: float,
    equity: float,
    exposure: float,
    reason: float,
) -> None:
    """Write a fill, and add it to the bar's row."""
    account, row, fill = run.account, run.row, run.fills[run.at.fills]
    fill.bar, fill.step = run.at.bar, run.at.step
    fill.quantity, fill.price, fill.fee, fill.slippage = quantity, price, fee, slippage
    fill.liquidation, fill.equity, fill.exposure = liquidation, equity, exposure
    fill.position, fill.reason = account.position, reason
    fill.funding, fill.borrow = account.funded, account.borrowed
    account.funded = account.borrowed = 0.0
    run.at.fills += 1
    row.fee += fee
    row.slippage += slippage
    row.liquidation += liquidation
    if reason != BY_LIQUIDATION and equity > 0.0:
        row.turnover += abs(quantity) * price / equity


@inner()
def fill_to(
    run: CompiledRun, wanted: float, reference: float, slippage: float, fee: float, reason: float
) -> None:
    """Trade to a position; an account that cannot pay for it is ruined."""
    account, held = run.account, run.account.position
    quantity = wanted - held
    if quantity == 0.0:
        return
    price = moved(reference, slippage if quantity > 0.0 else -slippage, run.order.inverse)
    paid = abs(quantity) * price * fee
    equity = account.cash + held * reference + account.elsewhere
    cash = account.cash - quantity * price - paid
    after = cash + wanted * price + account.elsewhere
    run.row.price_pnl += quantity * (account.mark - reference)
    exposure, beyond = wanted * price / after if after > 0.0 else 0.0, 0.0
    if after <= 0.0 and account.elsewhere == 0.0:  # else its book is ruined, at the next mark
        if wanted != 0.0:
            run.row.price_pnl += wanted * (price - account.mark)
        beyond, reason = -after, BY_LIQUIDATION
        cash = wanted = 0.0
        account.stopped = 1.0
        account.limit = np.nan
    if wanted == 0.0:
        account.entry = account.peak = 0.0
    else:
        account.entry = entry_after(held, account.entry, quantity, wanted, price)
        if held * wanted <= 0.0:
            account.peak = price
            account.held = 0.0
    account.cash, account.position = cash, wanted
    slipped = abs(quantity) * abs(price - reference)
    book_fill(run, quantity, price, paid, slipped, beyond, equity, exposure, reason)


@inner()
def leave_at(run: CompiledRun, price: float, reason: float) -> None:
    """Close the position by an order of its own; it stays closed until the next decision."""
    run.account.stopped = 1.0
    run.account.limit = np.nan
    slipped = slippage_for(run, abs(run.account.position) * price)
    fill_to(run, 0.0, price, slipped, run.terms.taker, reason)


@inner()
def force_out(run: CompiledRun, price: float) -> None:
    """Close the position by force; its margin is lost, and what lacks is the insurance fund's."""
    account, position = run.account, run.account.position
    wallet, margin = wallet_of(run), margin_of(run, 0.0)
    left = margin + position * (price - account.entry)
    fee = min(max(left, 0.0), run.terms.liquidation_fee * abs(position) * price)
    equity = account.cash + position * price + account.elsewhere
    run.row.price_pnl += position * (price - account.mark)
    account.cash = wallet - margin
    account.position = account.entry = account.peak = 0.0
    account.stopped = 1.0
    account.limit = np.nan
    book_fill(run, -position, price, fee, 0.0, fee - left, equity, 0.0, BY_LIQUIDATION)
