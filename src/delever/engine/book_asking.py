"""What decisions ask of the positions of a book at an open, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from delever.engine.arithmetic import slippage_of
from delever.engine.book_compiled import (
    CompiledBook,
    at_targets,
    give_back,
    leg_of,
    lend,
    order_of,
    terms_of,
    trade,
)
from delever.engine.compiled import inner
from delever.engine.kernel import due_at, rest_orders
from delever.engine.kernel_events import BY_TARGET, EXPOSURE


@inner()
def _take_up(book: CompiledBook, place: int) -> float:
    """Put the orders of a decision in place of those before it; whether a rung is new."""
    of, terms, row = book.of, book.terms, book.of.bar[place]
    before, begun = order_of(book, place).leverage, terms.order_begin[place]
    last = terms.order_begin[place + 1] - begun - 1
    of.raised[place] = 0.0
    if last > 0:
        of.order[place] = begun + min(row - terms.bar_begin[place] + 1, last)
        book.state.known = 0.0
        of.raised[place] = 1.0 if order_of(book, place).leverage > before else 0.0
    if len(terms.rungs) == 0:
        book.rungs[place, 0, EXPOSURE] = of.wants[place]
        return 0.0
    for rung in range(terms.rungs.shape[1]):
        for column in range(2):
            book.rungs[place, rung, column] = terms.rungs[row, rung, column]
    return float(terms.again[row])


@inner()
def _one_exposure(book: CompiledBook, order: Any) -> bool:
    """Whether a decision is one exposure, reached at the open and left by none but the next."""
    return bool(
        len(book.terms.rungs) == 0
        and order.band == np.inf
        and order.time_stop == np.inf
        and np.isnan(order.limit_offset)
        and np.isnan(order.stop_price)
        and np.isnan(order.take_profit_price)
    )


@inner()
def _due(book: CompiledBook, place: int, opened: float) -> float:
    """Exposure that a position has traded at the open, NaN for none."""
    account, target, of = book.accounts[place], book.of.wants[place], book.of
    again = _take_up(book, place) > 0.0
    if _one_exposure(book, order_of(book, place)):  # `due_at` with nothing to look at
        if target == account.asked:
            return np.nan
        account.asked, account.stopped, account.limit, account.rung = target, 0.0, np.nan, 0.0
        if book.state.cash + of.beside[place] + account.position * opened <= 0.0:
            return np.nan
        account.rung, account.goal = 1.0, target
        return float(target)
    before = book.at.fills
    lend(book, place)
    wanted, asked = due_at(leg_of(book, place), target, again, opened)
    give_back(book, place, before)
    if book.at.fills > before:
        _worth_beside(book)
    of.asked[place] = 1.0 if asked else 0.0
    return float(wanted)


@inner()
def _worth_beside(book: CompiledBook) -> None:
    """What the others are worth beside each position, at their marks."""
    of, size, worth = book.of, len(book.of), 0.0
    for place in range(size):
        of.beside[place] = worth
        worth += book.accounts[place].position * book.accounts[place].mark
    worth = 0.0
    for place in range(size - 1, -1, -1):
        of.beside[place] += worth
        worth += book.accounts[place].position * book.accounts[place].mark


@inner()
def ask(book: CompiledBook) -> None:
    """The fills at the open of all decisions, and the limit orders that rest from then on."""
    of, any_due = book.of, False
    _worth_beside(book)
    for place in range(len(book.terms.spot)):
        of.due[place] = of.asked[place] = of.raised[place] = 0.0
        row = of.place[place]
        if row < 0:
            continue
        opened = book.market.prices[row, 0]
        wanted = _due(book, place, opened)
        if np.isnan(wanted):
            continue
        of.due[place], of.target[place], any_due = 1.0, wanted, True
        held, paid = book.accounts[place].position * opened, terms_of(book, place)
        size = abs(wanted * (book.state.cash + of.beside[place] + held) - held)
        of.slipped[place] = slippage_of(size, paid.slippage, paid.impact)
        of.opened[place], of.fee[place] = opened, paid.taker
    if any_due:
        at_targets(book)
        begun = book.at.fills
        for place in range(len(book.terms.spot)):
            if of.due[place] > 0.0:
                if of.target[place] != 0.0 and of.wanted[place] == 0.0:
                    book.state.small += 1.0 if order_of(book, place).lot > 0.0 else 0.0
                trade(
                    book, place, of.wanted[place], of.opened[place], of.slipped[place],
                    of.fee[place], BY_TARGET,
                )  # fmt: skip
        _restate(book, begun)
    for place in range(len(book.terms.spot)):
        if of.asked[place] > 0.0:
            before = book.at.fills
            lend(book, place)
            rest_orders(leg_of(book, place), book.market.prices[of.place[place], 0])
            give_back(book, place, before)


@inner()
def _restate(book: CompiledBook, begun: int) -> None:
    """Exposure after fills at one open is that after all of them, at their prices."""
    prices, after = book.of.here, book.state.cash
    for place in range(len(prices)):
        prices[place] = book.accounts[place].mark
    for fill in range(begun, book.at.fills):
        prices[book.whose[fill]] = book.fills[fill].price
    for place in range(len(prices)):
        after += book.accounts[place].position * prices[place]
    for fill in range(begun, book.at.fills):
        made = book.fills[fill]
        made.exposure = made.position * made.price / after if after > 0.0 else 0.0
