"""Positions that stand behind each other, inside a step: one path for all of them, compiled.

A bar says how far each mark went and not what the others were worth then. To test each position at
its own extreme would liquidate hedges that no price could have hurt. So the marks move together, in
a line from their opens to one extreme each, and the account is liquidated where its margin balance
meets its maintenance margin on that line.
"""

from __future__ import annotations

import numpy as np

from delever.arguments import Floats
from delever.engine.arithmetic import (
    profit_price,
    stop_price,
)
from delever.engine.book_compiled import (
    CompiledBook,
    collateral,
    count_held,
    give_back,
    kept,
    leg_of,
    lend,
    needs_margin,
    order_of,
    pay,
    slack,
    stand_together,
    value_at,
)
from delever.engine.book_forced import liquidate
from delever.engine.book_market import STRETCH
from delever.engine.compiled import inner, numbers
from delever.engine.kernel_events import BY_PROFIT, BY_STOP, BY_TRAILING, N_FUNDING, leave_at
from delever.engine.steps import Funding

OPEN, HIGH, LOW, CLOSE = range(4)  # columns of prices
LEAST_SEEN = 20
"""Steps that two positions must have had in common before how they moved together counts."""


@inner()
def _meeting(book: CompiledBook, start: Floats, end: Floats, paid: float) -> float:
    """How far on the way from marks to marks the balance meets what must be kept; inf for not.

    The balance is linear in the way gone and what must be kept convex, so what is between them is
    concave: from an end where it is gone, Newton's steps come down to the one place where it goes,
    from piece to piece.
    """
    of = book.of
    if slack(book, start, paid) <= 0.0:
        return 0.0
    if slack(book, end, paid) > 0.0:
        return np.inf
    way = 1.0
    for _ in range(64):
        slope, left = 0.0, book.state.cash + paid
        for place in range(len(end)):
            far = end[place] - start[place]
            of.here[place] = start[place] + way * far
            left += collateral(book, place, of.here[place])
            slope += collateral(book, place, far)
        for place in range(len(end)):
            if book.terms.spot[place] == 0.0:
                needs, rate = kept(book, place, of.here[place])
                left -= needs
                size = abs(book.accounts[place].position)
                slope -= rate * size * (end[place] - start[place])
        if left >= 0.0 or slope >= 0.0:
            break
        nearer = way - left / slope
        if not nearer < way:
            break
        way = nearer
    return max(way, 0.0)


@inner()
def _side(book: CompiledBook, place: int) -> float:
    return -1.0 if book.accounts[place].position < 0.0 else 1.0


@inner()
def _moved(book: CompiledBook, one: int, other: int) -> tuple[float, float]:
    """Sum of the products of two positions' moves before the step, and how many there were."""
    if one == other:
        return 0.0, 0.0
    moves, found = book.market.moves, (0.0, 0.0)
    for until, sign in ((int(book.state.begun), -1.0), (book.at.step, 1.0)):
        part = until // STRETCH
        together, seen = moves.sums[part, 0, one, other], moves.sums[part, 1, one, other]
        for step in range(part * STRETCH, until):
            product = moves.each[step, one] * moves.each[step, other]
            if not np.isnan(product):
                together, seen = together + product, seen + 1.0
        found = found[0] + sign * together, found[1] + sign * seen
    return found


@inner()
def _against(book: CompiledBook) -> None:
    """Put into ``way`` that each goes to its own adverse extreme."""
    for place in range(len(book.of)):
        book.of.way[place] = -_side(book, place)


@inner()
def _direct(book: CompiledBook, number: int, resolve: float) -> bool:
    """Put the way of a number into ``way``; False when there is none.

    A run lets all go with the largest position, or against it where they have moved against it so
    far, once down and once up. The worst lets each go to its own adverse extreme at once. The best
    lets one do so while all others are at their best: what is met then is met however they moved.
    """
    of, size = book.of, len(book.terms.spot)
    if resolve == -2.0:
        _against(book)
        return number == 0
    if resolve > 0.0:
        found = -1
        for place in range(size):
            found += 1 if needs_margin(book, place) else 0
            if found == number and needs_margin(book, place):
                for other in range(size):
                    of.way[other] = _side(book, other) * (-1.0 if other == place else 1.0)
                return True
        return False
    first, largest = size - 1, -1.0
    for place in range(size):
        notional = abs(book.accounts[place].position * book.accounts[place].mark)
        if needs_margin(book, place) and notional > largest:
            first, largest = place, notional
    for other in range(size):
        together, seen = _moved(book, first, other)
        apart = seen >= LEAST_SEEN and together < 0.0
        of.way[other] = (1.0 if number > 0 else -1.0) * (-1.0 if apart else 1.0)
    return number < 2


@inner()
def _ends(book: CompiledBook) -> None:
    """Marks at the end of the way, into ``end``."""
    of = book.of
    for place in range(len(book.terms.spot)):
        row = of.place[place]
        of.end[place] = of.start[place]
        if row >= 0:
            of.end[place] = book.market.marks[row, HIGH if of.way[place] > 0.0 else LOW]


@inner()
def _due(book: CompiledBook) -> float:
    """Funding that those which leave would receive."""
    paid = 0.0
    for place in range(len(book.terms.spot)):
        if book.of.open[place] > 0.0:
            paid += book.of.leaves[place]
    return paid


@inner()
def _exit(book: CompiledBook, place: int, price: float, reason: float) -> None:
    of, before = book.of, book.at.fills
    pay(book, place, of.leaves[place] if of.open[place] > 0.0 else 0.0)
    of.open[place] = 0.0
    lend(book, place)
    leave_at(leg_of(book, place), price, reason)
    give_back(book, place, before)


@inner()
def _gain(book: CompiledBook) -> None:
    """Take-profits that the favourable extreme reaches."""
    of = book.of
    for place in range(len(book.terms.spot)):
        position, row = book.accounts[place].position, of.place[place]
        if row < 0 or position == 0.0 or of.rested[place] > 0.0:
            continue
        order, side = order_of(book, place), _side(book, place)
        profit = profit_price(position, book.accounts[place].entry, order, order.inverse)
        if side * book.market.prices[row, HIGH if side > 0.0 else LOW] >= side * profit:
            opened = book.market.prices[row, OPEN]
            at = opened if side * opened >= side * profit else profit
            _exit(book, place, at, BY_PROFIT)


@inner()
def _mark_stops(book: CompiledBook) -> None:
    """How far on the way each position's stop is met, at what price and why."""
    of = book.of
    for place in range(len(book.terms.spot)):
        of.stop_at[place] = np.inf
        row, side = of.place[place], _side(book, place)
        if row < 0 or book.accounts[place].position == 0.0 or of.way[place] != -side:
            continue
        stop, follows = _stop_of(book, place)
        opened = book.market.prices[row, OPEN]
        far = book.market.prices[row, LOW if side > 0.0 else HIGH]
        if side * far <= side * stop:
            of.why[place] = BY_TRAILING if follows else BY_STOP
            if side * opened <= side * stop:
                of.stop_at[place], of.stop[place] = 0.0, opened
            else:
                of.stop_at[place], of.stop[place] = (stop - opened) / (far - opened), stop


@inner()
def _go(book: CompiledBook) -> bool:
    """Walk one way: stops as they are met, until all are liquidated; whether they were."""
    of, size = book.of, len(book.terms.spot)
    gone = 0.0
    _mark_stops(book)
    while True:
        if count_held(book) == 0:
            return False
        next_, nearest = size, np.inf
        for place in range(size):
            if of.stop_at[place] < nearest:
                next_, nearest = place, of.stop_at[place]
        reached = np.inf
        if stand_together(book):
            for place in range(size):
                of.before[place] = of.start[place] + gone * (of.end[place] - of.start[place])
            way = _meeting(book, of.before, of.end, _due(book))
            reached = gone + way * (1.0 - gone)
        if reached <= min(1.0, nearest):
            for place in range(size):
                if of.open[place] > 0.0:
                    pay(book, place, of.leaves[place])
                    of.open[place] = 0.0
            for place in range(size):
                mark = of.start[place] + reached * (of.end[place] - of.start[place])
                of.before[place] = mark
                value_at(book, place, mark)
            if liquidate(book, of.before):
                return True
            gone = reached
            continue
        if next_ == size:
            return False
        gone = nearest
        of.stop_at[next_] = np.inf
        if book.accounts[next_].position != 0.0:
            _exit(book, next_, of.stop[next_], of.why[next_])


@inner()
def _stop_of(book: CompiledBook, place: int) -> tuple[float, bool]:
    """The nearest stop of a position, and whether it is the trailing one."""
    account, order = book.accounts[place], order_of(book, place)
    return stop_price(account.position, account.entry, account.peak, order, order.inverse)


@inner()
def _quiet(book: CompiledBook) -> bool:
    """Whether no stop, take-profit or liquidation can be met, however the marks move."""
    of = book.of
    for place in range(len(book.terms.spot)):
        row, position = of.place[place], book.accounts[place].position
        if row < 0 or position == 0.0:
            continue
        order, side = order_of(book, place), _side(book, place)
        stop, _ = _stop_of(book, place)
        profit = profit_price(position, book.accounts[place].entry, order, order.inverse)
        high, low = book.market.prices[row, HIGH], book.market.prices[row, LOW]
        bad, good = (low, high) if side > 0.0 else (high, low)
        gains = of.rested[place] == 0.0 and side * good >= side * profit
        if side * bad <= side * stop or gains:
            return False
    _against(book)
    _ends(book)
    return slack(book, of.end, _due(book)) > 0.0


@inner()
def _note_doubt(book: CompiledBook) -> None:
    """Whether it depends on how the positions moved together if the account is liquidated."""
    of, paid = book.of, _due(book)
    _against(book)
    _ends(book)
    if slack(book, of.end, paid) > 0.0:
        return
    for number in range(len(of) + 1):
        if not _direct(book, number, 1.0):
            break
        _ends(book)
        if slack(book, of.end, paid) <= 0.0:
            return
    book.state.ambiguous = 1.0


@inner()
def _funding(book: CompiledBook) -> None:
    """What each position receives inside the step when it stays and when it leaves."""
    of, against = book.of, book.state.resolve < 0.0
    for place in range(len(book.terms.spot)):
        of.start[place] = book.accounts[place].mark
        row, position = of.place[place], book.accounts[place].position
        of.open[place] = 1.0 if row >= 0 else 0.0
        of.stays[place] = of.leaves[place] = 0.0
        if row < 0 or position == 0.0:
            continue
        paid, size = Funding(*numbers(book.market.funding[row], N_FUNDING)), abs(position)
        long = position > 0.0
        hold = paid.hold_long if long else paid.hold_short
        leave = paid.leave_long if long else paid.leave_short
        before = of.begun[place]
        stay, left, added = size * hold, size * leave, size - before
        if added > 0.0:
            come, gone = added * (paid.enter_long if long else paid.enter_short), added * leave
            stay, left = before * hold + come, before * leave
            left += min(come, gone) if against else max(come, gone)
        of.stays[place], of.leaves[place] = stay, left


@inner()
def inside_together(book: CompiledBook) -> None:
    """Funding stamped inside, stops and the liquidation of positions that stand together."""
    of, size = book.of, len(book.terms.spot)
    _funding(book)
    if not _quiet(book):
        resolve = book.state.resolve
        if resolve > 0.0:
            _gain(book)
        _note_doubt(book)
        paid, most = _due(book), 0
        for number in range(len(book.ways) + 1):
            if not _direct(book, number, resolve):
                break
            _ends(book)
            book.ways[number, 0] = slack(book, of.end, paid)
            for place in range(size):
                book.ways[number, 1 + place] = of.way[place]
            most += 1
        for _ in range(most):
            chosen = 0
            for number in range(1, most):
                if book.ways[number, 0] < book.ways[chosen, 0]:
                    chosen = number
            book.ways[chosen, 0] = np.inf
            for place in range(size):
                of.way[place] = book.ways[chosen, 1 + place]
            _ends(book)
            if _go(book):
                return
        if resolve < 0.0:
            _gain(book)
        for place in range(size):
            of.way[place], of.start[place], row = 0.0, of.end[place], of.place[place]
            if row >= 0:
                of.end[place] = book.market.marks[row, CLOSE]
        if slack(book, of.end, _due(book)) <= 0.0 and _go(book):
            return
    for place in range(size):
        if of.open[place] > 0.0 and book.accounts[place].position != 0.0:
            pay(book, place, of.stays[place])
