"""Liquidation of positions that stand behind each other, compiled."""

from __future__ import annotations

import numpy as np

from delever.arguments import Floats
from delever.engine.arithmetic import BY_ENTRY, BY_SIZE, CAP, bracket_row, in_lots
from delever.engine.book_compiled import (
    CompiledBook,
    any_counts,
    collateral,
    count_held,
    give_back,
    kept,
    leg_of,
    lend,
    needs_margin,
    slack,
    slippage_at,
    terms_of,
    trade,
)
from delever.engine.compiled import inner
from delever.engine.kernel_events import BY_LIQUIDATION, book_fill

AT_CAP = 1e-6
"""Share of a bracket's cap by which a size above it still counts as below: a position that was cut
to a cap is not cut by ever less as its price goes on."""


@inner()
def balance(book: CompiledBook, marks: Floats) -> float:
    """Margin balance at marks."""
    left = book.state.cash
    for place in range(len(marks)):
        left += collateral(book, place, marks[place])
    return float(left)


@inner()
def liquidate(book: CompiledBook, marks: Floats) -> bool:
    """Liquidate at marks where not enough is there; whether nothing is left that needs margin.

    Everything at once, or one position after the other until enough is there. Whose balance is gone
    loses everything.
    """
    begun = False
    while count_held(book) > 0 and (not begun or slack(book, marks, 0.0) <= 0.0):
        begun = True  # rounding may leave a little at the marks where they met
        if book.state.by == 0.0 or balance(book, marks) <= 0.0:
            _liquidate_all(book, marks)
        else:
            _cut_one(book, marks)
    if count_held(book) == 0:
        repay(book)
        return True
    return False


@inner()
def _cut_one(book: CompiledBook, marks: Floats) -> None:
    """Take down the position that goes first."""
    size, least = len(marks), np.inf
    first = size
    for place in range(size):
        if not needs_margin(book, place):
            continue
        account = book.accounts[place]
        goes = account.position * (marks[place] - account.entry)
        if book.state.by_margin > 0.0:
            goes = -kept(book, place, marks[place])[0]
        if goes < least or first == size:
            first, least = place, goes
    price = marks[first]
    quantity = _after_cut(book, first, price) - book.accounts[first].position
    asked = terms_of(book, first).liquidation_fee * abs(quantity) * price
    fee = min(asked, balance(book, marks))
    book.state.was_cut = 1.0
    _close(book, first, quantity, price, fee, 0.0)
    book.state.cash = book.state.cash - quantity * price - fee


@inner()
def _after_cut(book: CompiledBook, place: int, price: float) -> float:
    """What is left of a position that is taken down once."""
    leg = leg_of(book, place)
    position, size = leg.account.position, abs(leg.account.position)
    if book.terms.spot[place] > 0.0 or size * price <= book.state.above:
        return 0.0
    if book.state.by == 2.0:
        return 0.0 if book.state.was_cut > 0.0 else float((1.0 - book.state.part) * position)
    unit = price
    if leg.rule.bracket_by == BY_ENTRY:
        unit = leg.account.entry
    elif leg.rule.bracket_by == BY_SIZE:
        unit = 1.0
    row = bracket_row(size * unit * (1.0 - AT_CAP), leg.table) - int(book.state.part)
    if row < 0:
        return 0.0
    left = in_lots(leg.table[row, CAP] / unit, leg.order.lot)
    return float(np.copysign(left, position))


@inner()
def _close(
    book: CompiledBook, place: int, quantity: float, price: float, fee: float, lacking: float
) -> None:
    """Book what was taken of a position by force."""
    before = book.at.fills
    lend(book, place)
    leg = leg_of(book, place)
    account = leg.account
    equity = account.cash + account.position * price + account.elsewhere
    leg.row.price_pnl += account.position * (price - account.mark)
    account.mark = price
    account.position += quantity
    if account.position == 0.0:
        account.entry = account.peak = 0.0
    account.stopped, account.limit = 1.0, np.nan
    exposure = account.position * price / (equity - fee) if equity > fee else 0.0
    book_fill(leg, quantity, price, fee, 0.0, lacking, equity, exposure, BY_LIQUIDATION)
    give_back(book, place, before)


@inner()
def _liquidate_all(book: CompiledBook, marks: Floats) -> None:
    """Close every position that needs margin; the margin balance is lost, and what lacks is not."""
    left, backed, total, asked = balance(book, marks), 0.0, 0.0, 0.0
    for place in range(len(marks)):
        if not needs_margin(book, place):
            backed += collateral(book, place, marks[place])
            continue
        size = abs(book.accounts[place].position) * marks[place]
        total += size
        asked += terms_of(book, place).liquidation_fee * size
    part = min(max(left, 0.0) / asked, 1.0) if asked > 0.0 else 0.0
    lacking = asked * part - left
    for place in range(len(marks)):
        if needs_margin(book, place):
            position, price = book.accounts[place].position, marks[place]
            size = abs(position) * price
            fee = terms_of(book, place).liquidation_fee * size
            _close(book, place, -position, price, fee * part, lacking * (size / total))
            book.state.cash += position * price  # so that the next one sees what is left
    book.state.cash = 0.0 - backed


@inner()
def repay(book: CompiledBook) -> None:
    """Sell collateral where nothing is held any more and quote units are owed: of each its part."""
    if not (book.state.cash < 0.0 and any_counts(book)):
        return
    of, worth = book.of, 0.0
    for place in range(len(book.terms.spot)):
        account = book.accounts[place]
        of.slipped[place] = -1.0
        if book.terms.spot[place] > 0.0 and account.position > 0.0:
            value = account.position * account.mark
            of.slipped[place] = slippage_at(book, place, value)
            worth += value * (1.0 - of.slipped[place]) * (1.0 - terms_of(book, place).taker)
    part = min(-book.state.cash / worth, 1.0) if worth > 0.0 else 0.0
    for place in range(len(book.terms.spot)):
        if of.slipped[place] >= 0.0:
            account = book.accounts[place]
            wanted, fee = (1.0 - part) * account.position, terms_of(book, place).taker
            trade(book, place, wanted, account.mark, of.slipped[place], fee, BY_LIQUIDATION)
