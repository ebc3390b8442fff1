"""The compiled loop of a sweep over accounts of several positions, a few combinations together.

A bar in which something may happen is walked as `delever.engine.book_kernel` walks it. Between two
of them positions stand still: a stretch of bars is passed at once, position by position, where no
price of any of them reaches a stop, and where the margin balance would not meet what must be kept
if all were at their worst at one time. What is left of a combination is its equity and exposure bar
by bar, in room that the next one takes over, and the sums that its metrics are made from.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from delever.arguments import Floats
from delever.engine.arithmetic import BY_SIZE
from delever.engine.arrays import record
from delever.engine.book_calm import calm
from delever.engine.book_compiled import (
    BOOK_STATE,
    CompiledBook,
    order_of,
)
from delever.engine.book_kernel import (
    accounts_of,
    has_bar,
    open_bar,
    place_step,
    scratch_of,
    settle,
    walk_step,
)
from delever.engine.book_lines import BookLines
from delever.engine.book_market import FINER, STRETCH, BookMarket, BookPath, BookTerms
from delever.engine.book_measured import Way, way_of
from delever.engine.by_reference import by_reference
from delever.engine.compiled import compiled, inner
from delever.engine.kernel_events import BY_LIQUIDATION, PLACE
from delever.engine.ledger import FILL, LEDGER
from delever.engine.steps import Ints
from delever.engine.sweep_market import Passing

LONGEST = 512
"""Bars passed at once at most."""
TOGETHER = 1024
"""Bars that one combination walks before the next one does."""


class BookAsks(NamedTuple):
    """What some combinations ask for: from which bar on, and of each position its targets."""

    begins: Ints  # shape (m, 2): first bar of the run, and the first that it may trade in
    firsts: Ints  # shape (m, legs + 1): where the rows of a position begin below
    bars: Ints  # bars of the clock that the position has, increasing
    targets: Floats  # asked for at the open of each, until the next
    orders: Any  # shape (m, legs): records of `ORDERS`
    own: Floats  # shape (m, legs, 3): as in `BookTerms`


class Room(NamedTuple):
    """Some combinations on their way: what `CompiledBook` holds of each, and how far it is."""

    states: Any  # shape (m,)
    places: Any  # shape (m,)
    accounts: Any  # shape (m, legs)
    of: Any  # shape (m, legs)
    rungs: Floats  # shape (m, legs, 1, 2)
    at: Ints  # shape (m, legs): the next row of what it asks for
    times: Ints  # shape (m,): the next bar
    # shape (m, 3): 1 + a position that no bracket allows, else 0; its bar and measure
    ended: Floats


def ways_of(many: int, bars: int) -> Way:
    """Room for what combinations are worth bar by bar."""
    return Way(*(np.zeros((many, bars)) for _ in Way._fields))


def blank_of(path: BookPath, cash: float, shared: bool) -> CompiledBook:
    """A book that is flat, with room for one bar of fills."""
    market, terms, size = path.market, path.terms, len(path.terms.spot)
    states, places = np.zeros(1, dtype=BOOK_STATE), np.zeros(1, dtype=PLACE)
    states[0]["cash"], states[0]["shared"] = cash, float(shared)
    states[0]["resolve"] = terms.orders[0, -1]
    room = 32 * size * (1 + int(np.diff(market.first).max()))
    return CompiledBook(
        states, accounts_of(market, terms), np.zeros(size, dtype=record(*LEDGER)), places,
        np.empty(room, dtype=record(*FILL)), np.empty(room, dtype=np.int64), market, terms,
        scratch_of(terms), np.full((size, 1, 2), math.nan), np.zeros((max(size, 2), 1 + size)),
    )  # fmt: skip


def room_of(market: BookMarket, blank: CompiledBook, asks: BookAsks) -> Room:
    """As many blank books as there are combinations."""
    many = len(asks.begins)
    states = np.repeat(blank.state, many)
    states["begun"] = market.first[asks.begins[:, 0]]
    accounts, of, rungs = (
        np.repeat(one[None], many, axis=0) for one in (blank.accounts, blank.of, blank.rungs)
    )
    return Room(
        *(states, np.repeat(blank.at, many), accounts, of, rungs),
        at=asks.firsts[:, :-1].copy(),
        times=asks.begins[:, 1].copy(),
        ended=np.zeros((many, 3)),
    )


@inner()
def _extremes(book: CompiledBook, found: Floats, part: int) -> None:
    """Prices of a stretch of bars at their extremes."""
    of = book.of
    for place in range(len(of)):
        of.low[place], of.high[place] = found[part, place, 0], found[part, place, 1]
        of.mark_low[place], of.mark_high[place] = found[part, place, 2], found[part, place, 3]


@inner()
def _extremes_of_bar(book: CompiledBook, lines: BookLines, bar: int) -> None:
    """Prices of a bar at their extremes; of what lacks it, the mark that it is held at."""
    of, market = book.of, book.market
    for place in range(len(of)):
        of.low[place], of.high[place] = np.inf, -np.inf
        of.mark_low[place] = of.mark_high[place] = book.accounts[place].mark
        if book.accounts[place].position == 0.0:
            continue
        for row in range(lines.step_at[bar, place], lines.step_at[bar + 1, place]):
            of.low[place] = min(of.low[place], market.prices[row, 2])
            of.high[place] = max(of.high[place], market.prices[row, 1])
            of.mark_low[place] = min(of.mark_low[place], market.marks[row, 2])
            of.mark_high[place] = max(of.mark_high[place], market.marks[row, 1])


@inner()
def _calm(book: CompiledBook, lines: BookLines, time: int, last: int) -> bool:
    """Whether nothing can happen from a bar to another, prices staying within the extremes."""
    lost = 0.0
    for place in range(len(book.of)):
        position = book.accounts[place].position
        if position != 0.0:
            lane = 0 if position > 0.0 else 1
            gone = lines.lost[last, place, lane] - lines.lost[time, place, lane]
            lost += abs(position) * gone
    return calm(book, lost)


@inner(fastmath={"contract", "nnan", "nsz"})
def _add(
    mark: Floats, paid: Floats, position: float, base: float, net: Floats, cash: Floats
) -> None:
    """Add a position to what is worth so much at each close, and to the cash."""
    for bar in range(len(mark)):
        net[bar] += position * mark[bar]
        cash[bar] += base + position * paid[bar]


@inner()
def _pass(book: CompiledBook, lines: BookLines, time: int, last: int, way: Way, scope: Any) -> None:
    """Take the positions over bars of one scope in which nothing happens."""
    base, gone, bars = book.state.cash, 0.0, slice(time, last)
    for place in range(len(book.of)):
        account = book.accounts[place]
        position = account.position
        if position == 0.0:
            continue
        lane = 0 if position > 0.0 else 1
        paid, owed, before, ago = lines.paid[lane, place], lines.owed[place], 0.0, 0.0
        if time > 0:
            before, ago = paid[time - 1], owed[time - 1]
        base -= position * before
        _add(lines.mark[place, bars], paid[bars], position, base, way.net[bars], way.cash[bars])
        base = 0.0  # once for all positions
        received = position * (paid[last - 1] - before)
        borrowed = -position * (owed[last - 1] - ago) if lane == 1 else 0.0
        account.mark = lines.mark[place, last - 1]
        account.funded += received + borrowed
        account.borrowed += borrowed
        scope.funding += received + borrowed
        gone += received
        if order_of(book, place).trailing_stop < np.inf:
            _follow(book, lines, place, time, last)
    if base != 0.0:  # nothing is held
        for bar in range(time, last):
            way.cash[bar] += base
    book.state.cash += gone


@inner()
def _follow(book: CompiledBook, lines: BookLines, place: int, time: int, last: int) -> None:
    """The best close of a trailing stop after some bars."""
    account = book.accounts[place]
    for row in range(lines.step_at[time, place], lines.step_at[last, place]):
        close = book.market.prices[row, 3]
        if account.position > 0.0:
            account.peak = max(account.peak, close)
        else:
            account.peak = min(account.peak, close)


@inner()
def _calm_until(
    book: CompiledBook, lines: BookLines, passing: Passing, time: int, until: int, way: Way,
    scopes: Any,
) -> int:  # fmt: skip
    """Pass bars up to the first in which something may happen, or `until`."""
    held, follows = 0, 0
    for place in range(len(book.of)):
        if book.accounts[place].position != 0.0:
            held += 1
            follows += 1 if order_of(book, place).trailing_stop < np.inf else 0
    while time < until:
        end = min(until, min(passing.other_scope[time], time + LONGEST))
        last = end if held == 0 else _calm_to(book, lines, time, end, follows > 0)
        if last == time:
            part = time // FINER
            last = min(end, (part + 1) * FINER)
            _extremes(book, lines.finer, part)
            if not _calm(book, lines, time, last):
                last = time
        if last == time:
            _extremes_of_bar(book, lines, time)
            if not _calm(book, lines, time, time + 1):
                return time
            last = time + 1
        _pass(book, lines, time, last, way, scopes[passing.inside[time]])
        time = last
    return until


@inner()
def _calm_to(book: CompiledBook, lines: BookLines, time: int, end: int, follows: bool) -> int:
    """How far stretches of bars are calm as a whole; a stop that follows moves with each."""
    last = time
    while last < end:
        part = last // STRETCH
        _extremes(book, lines.extremes, part)
        further = min(end, (part + 1) * STRETCH)
        if not _calm(book, lines, time, further):
            return last
        last = further
        if follows:
            return last
    return last


@inner()
def _next(
    book: CompiledBook, lines: BookLines, asks: BookAsks, which: int, at: Ints, time: int
) -> int:
    """The next bar that must be walked whatever the prices are."""
    until = lines.special[time]
    for place in range(len(book.of)):
        account, order = book.accounts[place], order_of(book, place)
        if np.isfinite(account.limit):
            return time
        if order.band < np.inf and (account.position != 0.0 or account.asked != 0.0):
            return time
        if at[place] < asks.firsts[which, place + 1]:
            until = min(until, asks.bars[at[place]])
    return int(max(until, time))


@inner()
def _tally(book: CompiledBook, bar: int, own: float, way: Way, scope: Any) -> None:
    """Add what a bar came to; `own` is the equity of the book before it."""
    turned = 0.0
    for place in range(len(book.of)):
        account, flows = book.accounts[place], book.rows[place]
        way.net[bar] += account.position * account.mark
        turned += flows.turnover
        scope.fee += flows.fee
        scope.slippage += flows.slippage
        scope.liquidation += flows.liquidation
        scope.funding += flows.funding
    way.cash[bar] += book.state.cash
    way.turnover[bar] += turned * own
    for row in range(book.at.fills):
        _trade(book, row, bar, way, scope)
    book.at.fills = 0


@inner()
def _trade(book: CompiledBook, row: int, bar: int, way: Way, scope: Any) -> None:
    """Add a fill to the trade that it is of; what a flip paid is split by quantity."""
    fill, place, of = book.fills[row], book.whose[row], book.of
    quantity, after = fill.quantity, fill.position
    before = of.was[place]
    closing = quantity
    if before * after < 0.0:
        closing = -before
    of.gain[place] += fill.liquidation + fill.funding - fill.borrow
    of.gain[place] -= closing * fill.price + fill.fee * (closing / quantity)
    if fill.reason == BY_LIQUIDATION:
        scope.liquidations += 1.0
    if before != 0.0 and (after == 0.0 or before * after < 0.0):
        scope.trades += 1.0
        scope.hits += 1.0 if of.gain[place] > 0.0 else 0.0
        way.closed[bar] += 1.0
        of.gain[place] = 0.0
        if after != 0.0:
            of.gain[place] -= after * fill.price + fill.fee * (after / quantity)
    of.was[place] = after


@inner()
def _walk_bar(
    book: CompiledBook, lines: BookLines, asks: BookAsks, which: int, at: Ints, bar: int, rows: Ints
) -> int:
    """One bar as a single run walks it; a position that no bracket allows, or -1."""
    of, terms, size = book.of, book.terms, len(book.of)
    at_bar, at_step = rows[0], rows[1]
    book.at.bar = bar
    for place in range(size):
        at_bar[place], at_step[place] = lines.bar_at[bar, place], lines.step_at[bar, place]
        last = max(at_bar[place] - 1, terms.bar_begin[place])
        of.bar[place], of.counted[place] = last, terms.counted[last]
        while at[place] < asks.firsts[which, place + 1] and asks.bars[at[place]] <= bar:
            of.wants[place] = asks.targets[at[place]]
            at[place] += 1
    open_bar(book, bar, at_bar)
    begin, end = book.market.first[bar], book.market.first[bar + 1]
    for step in range(begin, end):
        book.at.step = step
        place_step(book, bar, step, at_bar, at_step)
        beyond = walk_step(book, step == begin)
        if beyond >= 0:
            return beyond
    for place in range(size):
        if has_bar(book, place, bar, at_bar):
            at_bar[place] += 1
        settle(book, place, bar, at_bar, at_step)
    return -1


@inner()
def _walk(
    run: CompiledBook, lines: BookLines, passing: Passing, asks: BookAsks, room: Room, which: int,
    end: int, way: Way, scopes: Any, rows: Ints,
) -> int:  # fmt: skip
    """Walk a combination up to a bar; a position that no bracket allows, or -1."""
    at, time = room.at[which], room.times[which]
    while time < end:
        until = _next(run, lines, asks, which, at, time)
        time = _calm_until(run, lines, passing, time, min(until, end), way, scopes)
        if time >= end:
            break
        own = run.state.cash
        for place in range(len(run.of)):
            own += run.accounts[place].position * run.accounts[place].mark
        beyond = _walk_bar(run, lines, asks, which, at, time, rows)
        if beyond >= 0:
            return beyond
        _tally(run, time, own, way, scopes[passing.inside[time]])
        time += 1
    room.times[which] = time
    return -1


@inner(inline="always")
def _terms(held: BookTerms, asks: BookAsks, which: int) -> BookTerms:
    """Terms with the orders and fees of a combination."""
    return BookTerms(
        held.bar_begin, held.opens, held.targets, held.rule, held.paid, held.counted,
        held.brackets, held.how, held.spot, held.order_begin, asks.orders[which], held.rungs,
        held.again, held.leaves, held.settle, asks.own[which], held.cuts,
    )  # fmt: skip


@compiled(nogil=True)
def walk_book(
    book: CompiledBook, room: Room, lines: BookLines, passing: Passing, asks: BookAsks, ways: Way,
    which_rows: Ints, scopes: Any, ends: Any, rows: Ints,
) -> None:  # fmt: skip
    """Walk one book of some combinations, whose sums are in `which_rows` of `scopes` and `ends`.

    They go side by side, so that one reads the bars that another has just read. `rows` is room,
    shape (2, legs).
    """
    bars = len(passing.inside)
    for begin in range(0, bars, TOGETHER):
        end = min(begin + TOGETHER, bars)
        for which in range(len(which_rows)):
            if room.times[which] >= end:
                continue
            run = by_reference(CompiledBook(
                room.states[which], room.accounts[which], book.rows, room.places[which],
                book.fills, book.whose, book.market, _terms(book.terms, asks, which),
                room.of[which], room.rungs[which], book.ways,
            ))  # fmt: skip
            own = scopes[which_rows[which]]
            way = way_of(ways, which)
            beyond = _walk(run, lines, passing, asks, room, which, end, way, own, rows)
            if beyond >= 0:
                account, rule = run.accounts[beyond], run.terms.rule[run.of.bar[beyond]]
                by_size = run.terms.how[beyond, rule, 0] == BY_SIZE
                unit = 1.0 if by_size else account.entry
                room.ended[which, 0], room.ended[which, 1] = 1.0 + beyond, run.at.bar
                room.ended[which, 2] = abs(account.position) * unit
                room.times[which] = bars
    for which in range(len(which_rows)):
        ends[which_rows[which]].small += room.states[which].small
