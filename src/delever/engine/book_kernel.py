"""The loop of an account of several positions, compiled.

A position is lent the book's cash and does what `delever.engine.kernel` has a single account do. In
a step of the clock, in order: all marks at their opens; funding stamped there; liquidation of what
stands together, then gaps of each position; the targets of all bars that open here, sized against
one equity; borrow; resting limit orders; what happens inside; all marks at their closes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from delever.engine.arithmetic import excess
from delever.engine.arrays import record
from delever.engine.book_asking import ask
from delever.engine.book_calm import calm_at_opens, calm_inside
from delever.engine.book_closing import close_bar
from delever.engine.book_compiled import (
    BOOK_STATE,
    SCRATCH,
    CompiledBook,
    count_held,
    give_back,
    leg_of,
    lend,
    lend_margin,
    order_of,
    pay,
    slack,
    slippage_at,
    stand_together,
    terms_of,
    trade,
    value_at,
)
from delever.engine.book_forced import balance, liquidate, repay
from delever.engine.book_market import BookMarket, BookTerms
from delever.engine.book_path import inside_together
from delever.engine.book_tables import BookRows
from delever.engine.by_reference import by_reference
from delever.engine.compiled import by_engine, compiled, inner, numbers
from delever.engine.kernel import (
    at_open_of,
    fill_limits,
    gap_orders,
    inside_of,
)
from delever.engine.kernel_events import (
    N_FUNDING,
    N_PRICES,
    N_RULE,
    ORDERS,
    PLACE,
    margin_of,
)
from delever.engine.ledger import BOOK, FILL, LEDGER, LEG, REASONS
from delever.engine.settings import STATE
from delever.engine.steps import FillTerms, Funding, Ints, MarginRule, Prices

BORROW = FillTerms._fields.index("borrow")
BY_DELISTED = float(REASONS.index("delisted"))


@inner()
def open_bar(book: CompiledBook, bar: int, at_bar: Ints) -> None:
    """Take up what holds in a bar for those that have it."""
    of, terms, state = book.of, book.terms, book.state
    state.ambiguous = 0.0
    state.by, state.part = terms.cuts[bar, 0], terms.cuts[bar, 1]
    state.above, state.by_margin = terms.cuts[bar, 2], terms.cuts[bar, 3]
    for place in range(len(terms.spot)):
        row = book.rows[place]
        row.turnover = row.price_pnl = row.fee = row.slippage = 0.0
        row.liquidation = row.funding = row.borrow = row.ambiguous = 0.0
        of.due[place] = 0.0
        if has_bar(book, place, bar, at_bar):
            of.bar[place] = at_bar[place]
            of.counted[place] = terms.counted[at_bar[place]]
            of.rested[place] = 0.0


@inner()
def has_bar(book: CompiledBook, place: int, bar: int, at_bar: Ints) -> bool:
    """Whether a position has a bar of the clock."""
    row = at_bar[place]
    if row >= book.terms.bar_begin[place + 1]:
        return False
    return bool(book.terms.opens[row] == book.market.opened[bar])


@inner()
def place_step(book: CompiledBook, bar: int, step: int, at_bar: Ints, at_step: Ints) -> None:
    """Rows of the positions that have the step."""
    for place in range(len(book.terms.spot)):
        book.of.place[place] = -1
        row = at_step[place]
        left = row < book.market.step_begin[place + 1] and has_bar(book, place, bar, at_bar)
        if left and book.market.opens[row] == book.market.times[step]:
            book.of.place[place] = row
            at_step[place] += 1


@inner()
def _gaps(book: CompiledBook) -> None:
    """Liquidation at the opening marks, and stops that the opens are past."""
    of, together = book.of, stand_together(book)
    for place in range(len(book.terms.spot)):
        of.before[place] = book.accounts[place].mark
    owes = book.state.shared > 0.0 and book.state.cash < 0.0 and count_held(book) == 0
    if together and slack(book, of.before, 0.0) <= 0.0:
        liquidate(book, of.before)
    elif owes and balance(book, of.before) < 0.0:
        repay(book)
    for place in range(len(book.terms.spot)):
        row = of.place[place]
        if row < 0 or book.accounts[place].position == 0.0:
            continue
        before, opened = book.at.fills, book.market.prices[row, 0]
        if together:
            lend(book, place)
            gap_orders(leg_of(book, place), opened, of.rested[place] > 0.0)
        else:
            lend_margin(book, place)
            at_open_of(leg_of(book, place), opened, of.rested[place] > 0.0)
        give_back(book, place, before)


@inner()
def _limits(book: CompiledBook) -> int:
    """Fill resting orders; a position that no bracket allows, or -1."""
    for place in range(len(book.terms.spot)):
        row = book.of.place[place]
        book.of.begun[place] = abs(book.accounts[place].position)
        if row < 0 or not np.isfinite(book.accounts[place].limit):
            continue
        before, held = book.at.fills, book.accounts[place].position
        lend_margin(book, place)
        leg = leg_of(book, place)
        last = Prices(*numbers(book.market.prices[row], N_PRICES))
        mark = Prices(*numbers(book.market.marks[row], N_PRICES))
        opened = fill_limits(leg, last, mark, book.of.rested[place] > 0.0)
        book.of.rested[place] = 1.0 if opened else 0.0
        if book.accounts[place].position != held and _too_large(book, place):
            return place
        give_back(book, place, before)
    return -1


@inner()
def _apart(book: CompiledBook) -> None:
    """The inside of a step for positions that do not stand behind each other."""
    for place in range(len(book.terms.spot)):
        row = book.of.place[place]
        if row >= 0 and book.accounts[place].position != 0.0:
            before = book.at.fills
            lend_margin(book, place)
            inside_of(
                leg_of(book, place),
                Prices(*numbers(book.market.prices[row], N_PRICES)),
                Prices(*numbers(book.market.marks[row], N_PRICES)),
                Funding(*numbers(book.market.funding[row], N_FUNDING)),
                book.of.begun[place],
                book.of.rested[place] > 0.0,
            )
            give_back(book, place, before)


@inner()
def _receive(book: CompiledBook) -> None:
    """Funding stamped inside a step in which nothing else happens."""
    for place in range(len(book.of)):
        row, position = book.of.place[place], book.accounts[place].position
        if row >= 0 and position != 0.0:
            funding = book.market.funding[row]
            pay(book, place, abs(position) * (funding[1] if position > 0.0 else funding[2]))


@inner()
def _close_step(book: CompiledBook) -> None:
    """The best close of a trailing stop, and the marks."""
    of = book.of
    for place in range(len(book.terms.spot)):
        row, account = of.place[place], book.accounts[place]
        if row < 0:
            continue
        close = book.market.prices[row, 3]
        if account.position > 0.0:
            account.peak = max(account.peak, close)
        elif account.position < 0.0:
            account.peak = min(account.peak, close)
        value_at(book, place, book.market.marks[row, 3])


@inner()
def _too_large(book: CompiledBook, place: int) -> bool:
    """Whether no bracket allows a position."""
    account, terms = book.accounts[place], book.terms
    rule = terms.rule[book.of.bar[place]]
    how = MarginRule(*numbers(terms.how[place, rule], N_RULE))
    table, order = terms.brackets[place, rule], order_of(book, place)
    return bool(excess(account.position, account.entry, table, how, order) > 0.0)


@inner()
def _pay_borrow(book: CompiledBook, place: int) -> None:
    """Charge a spot short for a bar."""
    account, of = book.accounts[place], book.of
    rate = book.terms.paid[of.bar[place], BORROW]
    if account.position < 0.0 and rate > 0.0:
        owed = -account.position * book.market.prices[of.place[place], 0] * rate
        book.state.cash -= owed
        account.borrowed += owed
        book.rows[place].borrow += owed


@inner()
def walk_step(book: CompiledBook, first: bool) -> int:
    """One step of the clock; a position that no bracket allows, or -1."""
    of, size = book.of, len(book.terms.spot)
    book.state.was_cut = 0.0
    for place in range(size):
        if of.place[place] >= 0:
            value_at(book, place, book.market.marks[of.place[place], 0])
    for place in range(size):
        row = of.place[place]
        if row >= 0 and book.accounts[place].position != 0.0:
            paid = book.market.funding[row, 0]
            if paid != 0.0:
                pay(book, place, -book.accounts[place].position * paid)
    if not calm_at_opens(book):
        _gaps(book)
    if first:
        for place in range(size):
            of.before[place] = book.accounts[place].position
        ask(book)
        for place in range(size):
            if of.place[place] < 0:
                continue
            held, position = of.before[place], book.accounts[place].position
            grown = abs(position) > abs(held) or position * held < 0.0
            grown = grown or (of.raised[place] > 0.0 and position != 0.0)
            if grown and _too_large(book, place):
                return place
            _pay_borrow(book, place)
    beyond = _limits(book)
    if beyond >= 0:
        return beyond
    if calm_inside(book):
        _receive(book)
    elif stand_together(book):
        inside_together(book)
    else:
        _apart(book)
    _close_step(book)
    return -1


@inner()
def settle(book: CompiledBook, place: int, bar: int, at_bar: Ints, at_step: Ints) -> None:
    """Close a position whose bars have ended: at its last close, or at what was recovered.

    The fund bears what no margin stands behind; positions that it leaves short of theirs go, too.
    """
    account, row = book.accounts[place], at_bar[place] - 1
    if row < book.terms.bar_begin[place] or book.terms.leaves[row] != bar:
        return
    close, recovery = book.market.prices[at_step[place] - 1, 3], book.terms.settle[row]
    made = book.at.fills
    lend_margin(book, place)
    left = margin_of(leg_of(book, place), 0.0)
    left += account.position * ((close if recovery == np.inf else recovery) - account.entry)
    if recovery == np.inf:
        slipped = slippage_at(book, place, abs(account.position) * close)
        trade(book, place, 0.0, close, slipped, terms_of(book, place).taker, BY_DELISTED)
    else:
        trade(book, place, 0.0, recovery, 0.0, 0.0, BY_DELISTED)
    account.asked = account.goal = 0.0
    account.limit = np.nan
    stand = book.state.shared > 0.0 and count_held(book) > 0
    for number in range(made, book.at.fills):
        last = book.fills[number]
        left -= last.fee + last.slippage
        if left < 0.0 and last.liquidation == 0.0 and not stand:
            last.liquidation -= left
            book.rows[place].liquidation -= left
            book.state.cash -= left
    for other in range(len(book.terms.spot)):
        book.of.before[other] = book.accounts[other].mark
    if stand and slack(book, book.of.before, 0.0) <= 0.0:
        liquidate(book, book.of.before)


@compiled()
def _loop(
    book: CompiledBook, states: Any, places: Any, rows: Any, legs: Any, at_bar: Ints, at_step: Ints
) -> int:
    """Walk the bars; 0 when done, else 1 + a position that no bracket allows, or -1 for room."""
    size = len(book.terms.spot)
    run = by_reference(CompiledBook(
        states[0], book.accounts, book.rows, places[0], book.fills, book.whose, book.market,
        book.terms, book.of, book.rungs, book.ways,
    ))  # fmt: skip
    for bar in range(len(rows)):
        run.at.bar = bar
        open_bar(run, bar, at_bar)
        for place in range(size):
            if has_bar(run, place, bar, at_bar):
                run.of.wants[place] = run.terms.targets[at_bar[place]]
        begin, end = run.market.first[bar], run.market.first[bar + 1]
        for step in range(begin, end):
            if run.at.fills + 32 * size > len(run.fills):
                return -1
            run.at.step = step
            place_step(run, bar, step, at_bar, at_step)
            beyond = walk_step(run, step == begin)
            if beyond >= 0:
                return 1 + beyond
        for place in range(size):
            if has_bar(run, place, bar, at_bar):
                at_bar[place] += 1
                run.accounts[place].held += 1.0 if run.accounts[place].position != 0.0 else 0.0
            settle(run, place, bar, at_bar, at_step)
        close_bar(run, rows[bar], legs[bar])
    return 0


def run_book(
    market: BookMarket, terms: BookTerms, *, cash: float, shared: bool, engine: str = "numba"
) -> BookRows:
    """Simulate an account of several positions over the bars of its clock.

    Raises InputError if there is no such engine.
    """
    loop = by_engine(_loop, engine)
    size, bars = len(terms.spot), len(market.first) - 1
    room = 2 * len(terms.opens) + 64 * size
    while True:
        rows = np.zeros(bars, dtype=record(*BOOK))
        legs = np.zeros((bars, size), dtype=record(*LEG))
        states, places = np.zeros(1, dtype=BOOK_STATE), np.zeros(1, dtype=PLACE)
        states[0]["cash"], states[0]["shared"] = cash, float(shared)
        states[0]["resolve"] = terms.orders[0, -1]
        fills, whose = np.empty(room, dtype=record(*FILL)), np.empty(room, dtype=np.int64)
        book = CompiledBook(
            states, accounts_of(market, terms), np.zeros(size, dtype=record(*LEDGER)), places,
            fills, whose, market, with_records(terms), scratch_of(terms),
            np.full((size, terms.rungs.shape[1], 2), math.nan),
            np.zeros((max(size, 2), 1 + size)),
        )  # fmt: skip
        at_bar, at_step = terms.bar_begin[:-1].copy(), market.step_begin[:-1].copy()
        ended = loop(book, states, places, rows, legs, at_bar, at_step)
        if ended >= 0:
            break
        room *= 4
    made = int(places[0]["fills"])
    table = fills[:made].copy().view(np.float64).reshape(-1, len(FILL))
    order = np.lexsort((whose[:made], table[:, FILL.index("step")]))
    refused = (-1, -1, 0.0)
    if ended > 0:
        refused = (int(places[0]["bar"]), ended - 1, measure_of(book, ended - 1))
    return BookRows(
        rows.view(np.float64).reshape(-1, len(BOOK)),
        legs.view(np.float64).reshape(bars, size, len(LEG)),
        table[order],
        whose[:made][order],
        refused,
        int(states[0]["turned_away"]),
    )


def accounts_of(market: BookMarket, terms: BookTerms) -> Any:
    """Positions that are all flat."""
    accounts = np.zeros(len(terms.spot), dtype=record(*STATE))
    accounts["limit"] = math.nan
    accounts["mark"] = market.marks[market.step_begin[:-1], 0]
    return accounts


def with_records(terms: BookTerms) -> BookTerms:
    """Terms with their orders as the loops read them."""
    orders: Any = np.ascontiguousarray(terms.orders).view(ORDERS).reshape(-1)
    return terms._replace(orders=orders)


def scratch_of(terms: BookTerms) -> Any:
    """Room for what a step remembers."""
    of = np.zeros(len(terms.spot), dtype=SCRATCH)
    of["place"], of["bar"], of["order"] = -1, terms.bar_begin[:-1], terms.order_begin[:-1]
    return of


def measure_of(book: CompiledBook, place: int) -> float:
    """Size, in the unit of its brackets, of a position that none allows."""
    account, rule = book.accounts[place], book.terms.rule[book.of["bar"][place]]
    size = abs(float(account["position"]))
    by_size = book.terms.how[place, rule, 0] == 2.0
    return size if by_size else size * float(account["entry"])
