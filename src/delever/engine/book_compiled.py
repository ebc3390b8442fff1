"""An account of several positions and what can happen to it, compiled.

Every position is an account of `delever.engine.kernel_events` whose cash is the book's: it is lent
the cash for what it does and gives it back. What concerns all positions at once (what stands behind
them, and what reaches several targets at one open) is here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from delever.arguments import Floats
from delever.engine.arithmetic import (
    in_lots,
    maintenance,
    moved,
    position_at_target,
    slippage_of,
    taken,
)
from delever.engine.arrays import record
from delever.engine.book_market import BookMarket, BookTerms
from delever.engine.by_reference import by_reference
from delever.engine.compiled import inner, numbers
from delever.engine.kernel_events import N_RULE, N_TERMS, CompiledRun, fill_to
from delever.engine.steps import DUST, FillTerms, Ints, MarginRule

BOOK_STATE = record(
    "cash", "shared", "resolve", "ambiguous", "turned_away", "was_cut",
    "by", "part", "above", "by_margin", "begun", "small", "known", "entries", "margins",
)  # fmt: skip
"""What a book carries: among it the columns of `Cut`, its first step, how many decisions to hold
something held nothing for want of a lot, and, where that is known, what all positions that need
margin are worth at their entry prices and the initial margin they ask for."""


SCRATCH = np.dtype(
    [
        ("place", np.int64),  # row of a position's step; -1 where it has none
        ("bar", np.int64),  # row of its bar, the last one it had
        ("order", np.int64),  # row of the orders in force
        *(
            (name, np.float64)
            for name in (
                "rested",  # whether a limit order has opened it in this bar
                "begun",  # size held before resting orders were filled in the step
                "counted",  # as in `Shared`, now
                "start",  # mark a step begins at
                "here",  # mark on the way
                "end",  # mark a way ends at
                "way",  # +1 to the high, -1 to the low
                "stays",  # funding inside the step, if it stays and if it leaves
                "leaves",
                "open",  # whether that has not been received yet
                "stop_at",  # how far on the way its stop is; inf for none
                "stop",  # price and reason of it
                "why",
                "wants",  # target that holds now
                "asked",  # whether limit orders may rest after what it is asked for
                "raised",  # whether its leverage is higher than before
                "due",  # whether it trades at the open, to which exposure, its slippage and fee
                "target",
                "slipped",
                "fee",
                "opened",  # last price at the open
                "beside",  # what the others are worth
                "wanted",
                "side",
                "tried",
                "out",
                "before",  # position before the targets, or mark on the way
                "ahead",  # cash with what those before it are worth as tried, and their fees
                "taxed",
                "low",  # extremes of some bars, of the last price and the mark
                "high",
                "mark_low",
                "mark_high",
                "was",  # of a sweep: position after its last fill, and what its trade has gained
                "gain",
            )
        ),
    ]
)
"""Room for what a step has to remember of each position."""


class CompiledBook(NamedTuple):
    """Several positions on their way."""

    state: Any  # record of `BOOK_STATE`
    accounts: Any  # records of `delever.engine.settings.STATE`
    rows: Any  # records of `delever.engine.ledger.LEDGER`: the bar's, as far as they have come
    at: Any  # record of `delever.engine.kernel.PLACE`
    fills: Any
    whose: Ints
    market: BookMarket
    terms: BookTerms
    of: Any  # records of `SCRATCH`
    rungs: Floats  # shape (legs, m, 2): of the decision in force, as `Said` has them
    ways: Floats  # shape (ways, 1 + legs): what is left at the end of each way, and the way


@inner()
def terms_of(book: CompiledBook, place: int) -> FillTerms:
    """What its fills pay now."""
    paid = FillTerms(*numbers(book.terms.paid[book.of.bar[place]], N_TERMS))
    own = book.terms.own[place]
    return FillTerms(
        paid.taker + own[0], paid.maker + own[1], paid.liquidation_fee, paid.slippage + own[2],
        paid.impact, paid.borrow,
    )  # fmt: skip


@inner(inline="always")
def leg_of(book: CompiledBook, place: int) -> CompiledRun:
    """A position as the events of a single account take it."""
    terms, row = book.terms, book.of.bar[place]
    rule = terms.rule[row]
    run: CompiledRun = by_reference(
        CompiledRun(
            book.accounts[place],
            book.at,
            book.rows[place],
            book.fills,
            order_of(book, place),
            terms_of(book, place),
            terms.brackets[place, rule],
            MarginRule(*numbers(terms.how[place, rule], N_RULE)),
            book.rungs[place],
        )
    )
    return run


@inner(inline="always")  # a record is no value to return
def order_of(book: CompiledBook, place: int) -> Any:
    """Orders in force of a position."""
    return book.terms.orders[book.of.order[place]]


@inner()
def value_at(book: CompiledBook, place: int, mark: float) -> None:
    """Value a position at a mark."""
    account = book.accounts[place]
    book.rows[place].price_pnl += account.position * (mark - account.mark)
    account.mark = mark


@inner()
def pay(book: CompiledBook, place: int, payment: float) -> None:
    """Take the funding of a position into the book's cash."""
    book.state.cash += payment
    book.accounts[place].funded += payment
    book.rows[place].funding += payment


@inner()
def slippage_at(book: CompiledBook, place: int, order: float) -> float:
    """Fraction that a fill of the notional `order` is worse by."""
    terms = terms_of(book, place)
    return slippage_of(order, terms.slippage, terms.impact)


@inner()
def trade(
    book: CompiledBook, place: int, wanted: float, reference: float, slipped: float, fee: float,
    reason: float,
) -> None:  # fmt: skip
    """Trade to a position with the book's cash."""
    before = book.at.fills
    lend(book, place)
    fill_to(leg_of(book, place), wanted, reference, slipped, fee, reason)
    give_back(book, place, before)


@inner()
def needs_margin(book: CompiledBook, place: int) -> bool:
    """Whether a position is held that needs margin."""
    position = book.accounts[place].position
    return bool(position < 0.0 or (position > 0.0 and book.terms.spot[place] == 0.0))


@inner()
def count_held(book: CompiledBook) -> int:
    """How many positions need margin."""
    count = 0
    for place in range(len(book.terms.spot)):
        if needs_margin(book, place):
            count += 1
    return count


@inner()
def any_counts(book: CompiledBook) -> bool:
    """Whether any spot counts as collateral."""
    found = False
    for place in range(len(book.terms.spot)):
        found = found or book.of.counted[place] != 0.0
    return found


@inner()
def stand_together(book: CompiledBook) -> bool:
    """Whether more than one price decides on a liquidation."""
    count = count_held(book)
    if book.state.shared == 0.0 or count == 0:
        return False
    return not (count == 1 and book.state.by == 0.0 and not any_counts(book))


@inner()
def collateral(book: CompiledBook, place: int, mark: float) -> float:
    """What a position adds to the margin balance at a mark, beside the cash."""
    position = book.accounts[place].position
    if position > 0.0 and book.terms.spot[place] > 0.0:
        return float(book.of.counted[place] * (position * mark))
    return float(position * mark)


@inner()
def kept(book: CompiledBook, place: int, mark: float) -> tuple[float, float]:
    """Maintenance margin of a position at a mark, and what it grows by with its notional."""
    account, rule = book.accounts[place], book.terms.rule[book.of.bar[place]]
    how = MarginRule(*numbers(book.terms.how[place, rule], N_RULE))
    table = book.terms.brackets[place, rule]
    return maintenance(account.position, account.entry, mark, table, how)


@inner()
def lend(book: CompiledBook, place: int) -> None:
    """Put the book's cash into a position's hands, and what the others are worth."""
    account, elsewhere = book.accounts[place], 0.0
    for other in range(len(book.terms.spot)):
        if other != place:
            elsewhere += book.accounts[other].position * book.accounts[other].mark
    account.cash, account.elsewhere, account.aside = book.state.cash, elsewhere, 0.0


@inner()
def lend_margin(book: CompiledBook, place: int) -> None:
    """The same, and what of the others stands behind it."""
    lend(book, place)
    book.accounts[place].aside = aside(book, place)


@inner()
def give_back(book: CompiledBook, place: int, before: int) -> None:
    """Take the cash back, and note whose the fills since `before` are."""
    book.state.cash = book.accounts[place].cash
    if book.at.fills > before:
        book.state.known = 0.0
    for fill in range(before, book.at.fills):
        book.whose[fill] = place


@inner()
def aside(book: CompiledBook, place: int) -> float:
    """What of the others stands behind a position, and what of the cash does not."""
    account = book.accounts[place]
    if book.terms.spot[place] > 0.0 and account.position > 0.0:
        return np.inf
    if book.state.shared > 0.0:
        beside = 0.0
        for other in range(len(book.terms.spot)):
            each = book.accounts[other]
            if other != place and each.position != 0.0:
                beside += collateral(book, other, each.mark)
                if book.terms.spot[other] == 0.0:
                    beside -= kept(book, other, each.mark)[0]
        return beside
    if book.state.known == 0.0:
        count_margins(book)
    wallet, own = book.state.cash + book.state.entries, 0.0
    if account.position != 0.0:
        own = abs(account.position) * account.entry / order_of(book, place).leverage
    others = book.state.margins - own
    if others == 0.0:
        return 0.0
    margins = own + others
    behind = wallet * (own / margins) if margins >= wallet * (1.0 - DUST) else wallet - others
    return float(behind - (book.state.cash + account.position * account.entry))


@inner()
def count_margins(book: CompiledBook) -> None:
    """Put into the state what all positions that need margin come to at their entry prices."""
    entries, margins = 0.0, 0.0
    for place in range(len(book.terms.spot)):
        account = book.accounts[place]
        if needs_margin(book, place):
            entries += account.position * account.entry
            margins += abs(account.position) * account.entry / order_of(book, place).leverage
    book.state.entries, book.state.margins, book.state.known = entries, margins, 1.0


@inner()
def slack(book: CompiledBook, marks: Floats, paid: float) -> float:
    """Margin balance less maintenance margin at marks, once `paid` is received."""
    left = book.state.cash + paid
    for place in range(len(marks)):
        left += collateral(book, place, marks[place])
    for place in range(len(marks)):
        if book.terms.spot[place] == 0.0:
            left -= kept(book, place, marks[place])[0]
    return float(left)


@inner()
def _as_tried(book: CompiledBook, place: int) -> tuple[float, float]:
    """What a position leaves in cash when it trades as tried, and the fees per unit of equity."""
    account, of = book.accounts[place], book.of
    side, fee = of.tried[place], of.fee[place]
    if side == 0.0:
        return account.position * account.mark, 0.0
    price = moved(of.opened[place], side * of.slipped[place], order_of(book, place).inverse)
    return account.position * price * (1.0 + side * fee), side * of.target[place] * fee


@inner()
def _sized(book: CompiledBook, place: int, cash: float, burden: float) -> float:
    """Position that reaches its target, with the cash and the fees of the others as tried."""
    of, position = book.of, book.accounts[place].position
    opened = of.opened[place]
    if cash + position * opened <= 0.0:
        return 0.0
    return position_at_target(
        of.target[place], cash, position, opened, of.fee[place],
        of.slipped[place], order_of(book, place).inverse, burden,
    )  # fmt: skip


@inner()
def _sign(quantity: float) -> float:
    return 0.0 if quantity == 0.0 else (1.0 if quantity > 0.0 else -1.0)


@inner()
def at_targets(book: CompiledBook) -> None:
    """Positions that reach all targets that are due, costs included (docs/portfolio.md)."""
    # The sides are found by trying. One that goes back and forth lies where neither a purchase nor
    # a sale pays, and is left as it is.
    of, size = book.of, len(book.terms.spot)
    due = 0
    for place in range(size):
        of.side[place] = of.out[place] = 0.0
        if of.due[place] > 0.0:
            due += 1
    for attempt in range(due + 3):
        cash, burden = book.state.cash, 0.0
        for place in range(size):
            of.tried[place] = of.side[place]
            of.ahead[place], of.taxed[place] = cash, burden
            left, fees = _as_tried(book, place)
            cash, burden = cash + left, burden + fees
        same, cash, burden = True, 0.0, 0.0
        for place in range(size - 1, -1, -1):
            left, fees = _as_tried(book, place)
            beside, taxed = of.ahead[place] + cash, of.taxed[place] + burden
            cash, burden = cash + left, burden + fees
            if of.due[place] == 0.0:
                continue
            now = book.accounts[place].position
            if of.out[place] > 0.0:
                of.wanted[place] = now
            else:
                of.wanted[place] = _sized(book, place, beside, taxed)
            of.side[place] = _sign(of.wanted[place] - now)
            if attempt > 1 and of.side[place] != of.tried[place]:
                of.out[place], of.side[place], of.wanted[place] = 1.0, 0.0, now
            same = same and of.side[place] == of.tried[place]
        if same:
            break
    for place in range(size):
        now, order = book.accounts[place].position, order_of(book, place)
        if of.due[place] > 0.0 and of.wanted[place] != now:
            wanted = in_lots(of.wanted[place], order.lot)
            of.wanted[place] = taken(wanted, now, of.opened[place], order.least)
    if book.state.shared > 0.0:
        _afford(book)


@inner()
def _afford(book: CompiledBook) -> None:
    """Leave out what grows where the margin for it is not there."""
    of, balance, needed = book.of, book.state.cash, 0.0
    for place in range(len(book.terms.spot)):
        account, order = book.accounts[place], order_of(book, place)
        size = of.wanted[place] if of.due[place] > 0.0 else account.position
        price, side = account.mark, _sign(size - account.position)
        if side != 0.0:
            price = moved(of.opened[place], side * of.slipped[place], order.inverse)
            quantity = size - account.position
            balance -= quantity * price + abs(quantity) * price * of.fee[place]
        if size > 0.0 and book.terms.spot[place] > 0.0:
            balance += of.counted[place] * (size * price)
        else:
            balance += size * price
            needed += abs(size) * price / order.leverage
    if needed <= balance * (1.0 + DUST) or needed == 0.0:
        return
    for place in range(len(book.terms.spot)):
        if of.due[place] == 0.0:
            continue
        size, now = of.wanted[place], book.accounts[place].position
        if book.terms.spot[place] > 0.0 and size >= 0.0:
            continue
        if abs(size) > abs(now) or size * now < 0.0:
            of.wanted[place] = 0.0 if size * now < 0.0 else now
            book.state.turned_away += 1.0
