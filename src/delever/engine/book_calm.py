"""Whether anything can happen to the positions of a book while prices stay within bounds.

It is a question with two answers: surely nothing, or perhaps something. The bounds are those of a
step, or of a stretch of bars.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from delever.engine.arithmetic import margin_behind, profit_price, stop_price
from delever.engine.book_compiled import (
    CompiledBook,
    collateral,
    count_held,
    count_margins,
    kept,
    needs_margin,
    order_of,
)
from delever.engine.compiled import inlined, inner
from delever.engine.steps import DUST

_SAFE = 1e-9  # of what is held: nearer to a liquidation a step is walked


@inlined()
def no_exits(order: Any) -> bool:
    """Whether no price closes a position by an order of its own."""
    return bool(
        order.stop_loss == np.inf
        and order.take_profit == np.inf
        and order.trailing_stop == np.inf
        and np.isnan(order.stop_price)
        and np.isnan(order.take_profit_price)
    )


@inner()
def calm_at_opens(book: CompiledBook) -> bool:
    """Whether nothing happens at the opens of a step, at whose marks positions are valued."""
    of = book.of
    for place in range(len(of)):
        row, mark = of.place[place], book.accounts[place].mark
        of.mark_low[place] = of.mark_high[place] = mark
        of.low[place], of.high[place] = np.inf, -np.inf
        if row >= 0:
            of.low[place] = of.high[place] = book.market.prices[row, 0]
    return calm(book, 0.0)


@inner()
def calm_inside(book: CompiledBook) -> bool:
    """Whether nothing happens inside a step but its funding."""
    of, lost = book.of, 0.0
    for place in range(len(of)):
        row, account = of.place[place], book.accounts[place]
        if account.position == 0.0:
            continue
        of.mark_low[place] = of.mark_high[place] = account.mark
        of.low[place], of.high[place] = np.inf, -np.inf
        if row < 0:
            continue
        size = abs(account.position)
        if size != of.begun[place]:
            return False  # what was added inside has its own funding
        of.low[place], of.high[place] = book.market.prices[row, 2], book.market.prices[row, 1]
        of.mark_low[place], of.mark_high[place] = (
            book.market.marks[row, 2],
            book.market.marks[row, 1],
        )
        first = 1 if account.position > 0.0 else 2
        hold, leave = book.market.funding[row, first], book.market.funding[row, first + 2]
        lost -= size * min(hold, leave, 0.0)
    return calm(book, lost)


@inner()
def calm(book: CompiledBook, lost: float) -> bool:
    """Whether nothing can happen within the bounds, and up to `lost` being paid."""
    of, near = book.of, abs(book.state.cash)
    for place in range(len(of)):
        position = book.accounts[place].position
        if position == 0.0:
            continue
        if not _orders_rest(book, place):
            return False
        size = abs(position)
        near += size * of.mark_high[place] + 2.0 * order_of(book, place).tick * size / _SAFE
    if book.state.shared > 0.0:
        return bool(_behind_all(book, lost) > _SAFE * near)
    return _behind_each(book, lost, _SAFE * near)


@inner()
def _orders_rest(book: CompiledBook, place: int) -> bool:
    """Whether no price at the extremes reaches a stop or a take-profit of a position."""
    account, order, of = book.accounts[place], order_of(book, place), book.of
    if no_exits(order):
        return True
    long = account.position > 0.0
    best = max(account.peak, of.high[place]) if long else min(account.peak, of.low[place])
    stop, _ = stop_price(account.position, account.entry, best, order, order.inverse)
    profit = profit_price(account.position, account.entry, order, order.inverse)
    if long:
        return bool(of.low[place] > stop and of.high[place] < profit)
    return bool(of.high[place] < stop and of.low[place] > profit)


@inner()
def _behind_all(book: CompiledBook, lost: float) -> float:
    """Margin balance less maintenance margin with every position at its worst."""
    of, left = book.of, book.state.cash - lost
    if left >= 0.0 and count_held(book) == 0:
        return np.inf
    for place in range(len(of)):
        position = book.accounts[place].position
        if position == 0.0:
            continue
        worst = of.mark_low[place] if position > 0.0 else of.mark_high[place]
        left += collateral(book, place, worst)
        if book.terms.spot[place] == 0.0:
            left -= kept(book, place, worst)[0]
    return float(left)


@inner()
def _behind_each(book: CompiledBook, lost: float, near: float) -> bool:
    """Whether each position has more than it must keep at its worst, its own margin behind it."""
    of = book.of
    if book.state.known == 0.0:
        count_margins(book)
    wallet, margins = book.state.cash - lost + book.state.entries, book.state.margins
    for place in range(len(of)):
        if not needs_margin(book, place):
            continue
        account, order = book.accounts[place], order_of(book, place)
        own = abs(account.position) * account.entry / order.leverage
        full = margins < wallet * (1.0 - DUST)
        behind = wallet - (margins - own) if full else wallet * (own / margins)
        behind = margin_behind(account.position, account.entry, behind, order)
        worst = of.mark_low[place] if account.position > 0.0 else of.mark_high[place]
        left = behind + account.position * (worst - account.entry)
        if left - kept(book, place, worst)[0] <= near:
            return False
    return True
