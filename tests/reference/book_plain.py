"""The loop of an account of several positions, in plain Python; `book_kernel` is its compiled twin.

Inside a step of the clock, in order: all marks at their opens; funding stamped there; liquidation
of what stands together, then gaps of each position; the targets of all bars that open here, sized
against one equity; borrow; resting limit orders; what happens inside; all marks at their closes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from tests.reference.account_events import (
    AccountState,
    Walk,
    excess,
    fill,
    margin,
    receive,
    slippage,
    trigger,
)
from tests.reference.account_plain import (
    at_open,
    borrow,
    due_at,
    fill_limits,
    gap_orders,
    inside,
    open_bar,
    rest_orders,
    value,
)
from tests.reference.book_events import (
    Book,
    Here,
    at_targets,
    close_row,
    give_back,
    held,
    lend,
    stand_together,
)
from tests.reference.book_together import balance, inside_together, liquidate, repay, slack

from delever.arguments import Floats
from delever.engine.book_market import BookMarket, BookTerms, Cut
from delever.engine.book_tables import BookRows
from delever.engine.ledger import BOOK, FILL, LEDGER, LEG
from delever.engine.settings import STATE, Orders
from delever.engine.steps import FillTerms, Funding, Ints, MarginRule, Prices, TermArrays
from delever.venues.contract import unrealized_pnl


def run_book_plain(market: BookMarket, terms: BookTerms, *, cash: float, shared: bool) -> BookRows:
    """Simulate an account of several positions over the bars of its clock, event by event."""
    size, bars = len(terms.spot), len(market.first) - 1
    book = _begin(market, terms, cash, shared)
    own = [_terms_of(terms, place) for place in range(size)]
    rows, leg_rows = np.zeros((bars, len(BOOK))), np.zeros((bars, size, len(LEG)))
    at_bar, at_step = terms.bar_begin[:-1].tolist(), market.step_begin[:-1].tolist()
    for bar in range(bars):
        present = [
            place
            for place in range(size)
            if at_bar[place] < terms.bar_begin[place + 1]
            and terms.opens[at_bar[place]] == market.opened[bar]
        ]
        _begin_bar(book, bar, terms, own, at_bar, present)
        for step in range(int(market.first[bar]), int(market.first[bar + 1])):
            first = step == market.first[bar]
            there: dict[int, Here] = {}
            for leg in book.legs:
                leg.step = step
            for place in present:
                row = at_step[place]
                if row < market.step_begin[place + 1] and market.opens[row] == market.times[step]:
                    there[place] = Here(
                        Prices(*market.prices[row].tolist()),
                        Prices(*market.marks[row].tolist()),
                        Funding(*market.funding[row].tolist()),
                    )
                    at_step[place] += 1
            asked = {place: _said(terms, place, at_bar[place]) for place in there if first}
            too_large = _step(book, there, asked)
            if too_large is not None:
                refused = (bar, *too_large)
                return BookRows(rows, leg_rows, *_fills(book), refused, book.turned_away)
        for place in present:
            at_bar[place] += 1
            account = book.legs[place].account
            account.held += float(account.position != 0.0)
        for place in range(size):
            last = at_bar[place] - 1
            if last >= terms.bar_begin[place] and terms.leaves[last] == bar:
                close = float(market.prices[at_step[place] - 1, 3])
                _settle(book, place, close, float(terms.settle[last]))
        _close_bar(book, rows[bar], leg_rows[bar])
    return BookRows(rows, leg_rows, *_fills(book), (-1, -1, 0.0), book.turned_away)


def _begin(market: BookMarket, terms: BookTerms, cash: float, shared: bool) -> Book:
    size = len(terms.spot)
    legs = []
    for place in range(size):
        state = dict.fromkeys(STATE, 0.0) | {"limit": math.nan}
        state["mark"] = float(market.marks[market.step_begin[place], 0])
        legs.append(
            Walk(
                account=AccountState(**state),
                orders=Orders(*terms.orders[terms.order_begin[place]].tolist()),
                terms=FillTerms(*terms.paid[terms.bar_begin[place]].tolist()),
                brackets=(),
                rule=MarginRule(*terms.how[place, 0].tolist()),
            )
        )
    return Book(
        cash=cash,
        shared=shared,
        resolve=legs[0].orders.resolve,
        legs=legs,
        spot=[one > 0.0 for one in terms.spot.tolist()],
        counted=[0.0] * size,
        together=[[0.0] * size for _ in range(size)],
        seen=[[0.0] * size for _ in range(size)],
        cut=Cut(*terms.cuts[0].tolist()),
    )


class AskedLeg(NamedTuple):
    """What a decision asks of a position."""

    target: float
    orders: Orders
    rungs: list[list[float]]
    again: bool


def _said(terms: BookTerms, place: int, row: int) -> AskedLeg:
    begun, until = terms.order_begin[place : place + 2].tolist()
    at = begun + min(row - int(terms.bar_begin[place]) + 1, until - begun - 1)
    orders, target = Orders(*terms.orders[at].tolist()), float(terms.targets[row])
    if not len(terms.rungs):
        return AskedLeg(target, orders, [[target, math.nan]], again=False)
    return AskedLeg(target, orders, terms.rungs[row].tolist(), terms.again[row] > 0.0)


def _terms_of(terms: BookTerms, place: int) -> TermArrays:
    own = slice(terms.bar_begin[place], terms.bar_begin[place + 1])
    return TermArrays(terms.rule[own], terms.paid[own], terms.brackets[place], terms.how[place])


def _begin_bar(
    book: Book,
    bar: int,
    terms: BookTerms,
    own: list[TermArrays],
    at_bar: list[int],
    present: list[int],
) -> None:
    book.ambiguous, book.cut = 0.0, Cut(*terms.cuts[bar].tolist())
    for place, leg in enumerate(book.legs):
        leg.row = dict.fromkeys(LEDGER, 0.0)
        if place in present:
            open_bar(leg, at_bar[place] - int(terms.bar_begin[place]), own[place])
            book.counted[place] = float(terms.counted[at_bar[place]])
        leg.bar = bar


def _step(
    book: Book, there: dict[int, Here], asked: dict[int, AskedLeg]
) -> tuple[int, float] | None:
    """One step of the clock; the position and its measure when no bracket allows it."""
    book.was_cut = False
    for place, here in there.items():
        value(book.legs[place], here.mark.open)
    for place, here in there.items():
        if book.legs[place].account.position != 0.0:
            leg = lend(book, place)
            receive(leg, -leg.account.position * here.funding.open)
            give_back(book, place)
    _gaps(book, there)
    before = [leg.account.position for leg in book.legs]
    leverages = [leg.orders.leverage for leg in book.legs]
    if asked:
        _ask(book, there, asked)
    for place in asked:
        leg = book.legs[place]
        raised = leg.orders.leverage > leverages[place] and leg.account.position != 0.0
        if (raised or _grown(before[place], leg)) and excess(leg) > 0.0:
            return place, excess(leg)
        if leg.account.position < 0.0:
            borrow(lend(book, place), there[place].last.open)
            give_back(book, place)
    begun = {place: abs(book.legs[place].account.position) for place in there}
    for place, here in there.items():
        if math.isfinite(book.legs[place].account.limit):
            leg = lend(book, place)
            held = leg.account.position
            fill_limits(leg, here.last, here.mark)
            if leg.account.position != held and excess(leg) > 0.0:
                return place, excess(leg)
            give_back(book, place)
    if stand_together(book):
        inside_together(book, there, begun)
    else:
        for place, here in there.items():
            if book.legs[place].account.position != 0.0:
                leg = lend(book, place)
                inside(leg, here.last, here.mark, here.funding, begun[place])
                give_back(book, place)
    for place, here in there.items():
        account = book.legs[place].account
        if account.position != 0.0:
            best = max if account.position > 0.0 else min
            account.peak = best(account.peak, here.last.close)
        value(book.legs[place], here.mark.close)
    _remember(book, there)
    return None


def _grown(before: float, leg: Walk) -> bool:
    now = leg.account.position
    return abs(now) > abs(before) or now * before < 0.0


def _gaps(book: Book, there: dict[int, Here]) -> None:
    """Liquidation at the opening marks, and stops that the opens are past."""
    together = stand_together(book)
    marks = [leg.account.mark for leg in book.legs]
    if together and slack(book, marks, 0.0) <= 0.0:
        liquidate(book, marks)
    elif book.shared and not held(book) and balance(book, marks) < 0.0:
        repay(book)
    for place, here in there.items():
        if book.legs[place].account.position != 0.0:
            leg = lend(book, place)
            if together:
                gap_orders(leg, here.last.open)
            else:
                at_open(leg, here.last.open)
            give_back(book, place)


def _ask(book: Book, there: dict[int, Here], asked: dict[int, AskedLeg]) -> None:
    """The fills at the open of all decisions, and the limit orders that rest from then on."""
    due: dict[int, float] = {}
    slipped: dict[int, float] = {}
    new: list[int] = []
    opens = {place: there[place].last.open for place in asked}
    for place, (target, orders, rungs, again) in asked.items():
        leg = lend(book, place)
        leg.orders, leg.rungs, leg.again = orders, rungs, again
        wanted, is_new = due_at(leg, target, opens[place])
        new += [place] if is_new else []
        if not math.isnan(wanted):
            account = leg.account
            equity = account.cash + account.position * opens[place] + account.elsewhere
            due[place] = wanted
            slipped[place] = slippage(leg, abs(wanted * equity - account.position * opens[place]))
        give_back(book, place)
    if due:
        made = []
        for place, size in at_targets(book, due, opens, slipped).items():
            leg = lend(book, place)
            if fill(leg, size, opens[place], slipped[place], leg.terms.taker, "target"):
                made.append(place)
            give_back(book, place)
        _restate(book, made)
    for place in new:
        rest_orders(lend(book, place), opens[place])
        give_back(book, place)


def _restate(book: Book, made: list[int]) -> None:
    """Exposure after fills at one open is that after all of them, at their prices."""
    after = book.cash
    for place, leg in enumerate(book.legs):
        price = leg.fills[-1]["price"] if place in made else leg.account.mark
        after += leg.account.position * price
    for place in made:
        last = book.legs[place].fills[-1]
        last["exposure"] = last["position"] * last["price"] / after if after > 0.0 else 0.0


def _remember(book: Book, there: dict[int, Here]) -> None:
    """Take in how the positions moved with each other in a step."""
    places = list(there)
    gains = {place: here.last.close / here.last.open - 1.0 for place, here in there.items()}
    for number, place in enumerate(places):
        for other in places[number + 1 :]:
            book.together[place][other] += gains[place] * gains[other]
            book.seen[place][other] += 1.0


def _settle(book: Book, place: int, close: float, recovery: float) -> None:
    """Close a position whose bars have ended: at its last close, or at what was recovered.

    The fund bears what no margin stands behind; positions that it leaves short of theirs go, too.
    """
    leg = lend(book, place)
    account, made = leg.account, len(leg.fills)
    price = close if math.isinf(recovery) else recovery
    left = margin(leg) + unrealized_pnl(account.position, account.entry, price)
    if math.isinf(recovery):
        slipped = slippage(leg, abs(account.position) * close)
        fill(leg, 0.0, close, slipped, leg.terms.taker, "delisted")
    else:
        fill(leg, 0.0, recovery, 0.0, 0.0, "delisted")
    account.asked = account.goal = 0.0
    account.limit = math.nan
    give_back(book, place)
    others = held(book)
    for last in leg.fills[made:]:
        left -= last["fee"] + last["slippage"]
        if left < 0.0 and last["liquidation"] == 0.0 and not (book.shared and others):
            last["liquidation"] -= left
            leg.row["liquidation"] -= left
            book.cash -= left
    marks = [one.account.mark for one in book.legs]
    if book.shared and others and slack(book, marks, 0.0) <= 0.0:
        liquidate(book, marks)


def _close_bar(book: Book, row: Floats, leg_rows: Floats) -> None:
    totals = close_row(book)
    row[:] = [totals[name] for name in BOOK]
    equity = totals["equity"]
    for place, leg in enumerate(book.legs):
        account = leg.account
        told = leg.row | {
            "position": account.position,
            "target_exposure": account.asked,
            "mark": account.mark,
            "entry_price": math.nan,
            "liquidation_price": math.nan,
        }
        if account.position != 0.0:
            value = account.position * account.mark
            told["exposure"] = value / equity if equity > 0.0 else math.nan
            told["entry_price"] = account.entry
            told["liquidation_price"] = trigger(lend(book, place)) or math.nan
        leg_rows[place] = [told[name] for name in LEG]


def _fills(book: Book) -> tuple[Floats, Ints]:
    """Fills of all positions in order of time, and whose they are."""
    rows = [
        (place, [made[name] for name in FILL])
        for place, leg in enumerate(book.legs)
        for made in leg.fills
    ]
    table = np.array([row for _, row in rows], dtype=np.float64).reshape(-1, len(FILL))
    whose = np.array([place for place, _ in rows], dtype=np.int64)
    order = np.argsort(table[:, FILL.index("step")], kind="stable")
    return table[order], whose[order]
