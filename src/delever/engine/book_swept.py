"""The compiled loop of a sweep over accounts of several positions, one combination at a time.

A bar in which something may happen is walked as `delever.engine.book_kernel` walks it. Between two
of them positions stand still: a stretch of bars is passed at once, position by position, where no
price of any of them reaches a stop, and where the margin balance would not meet what must be kept
if all were at their worst at one time. What is left of a combination is its equity and exposure bar
by bar, in room that the next one takes over, and the sums that its metrics are made from.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from delever.engine.book_calm import calm
from delever.engine.book_compiled import (
    CompiledBook,
    order_of,
)
from delever.engine.book_kernel import has_bar, open_bar, place_step, settle, walk_step
from delever.engine.book_lines import BookLines
from delever.engine.book_market import FINER, STRETCH
from delever.engine.by_reference import by_reference
from delever.engine.compiled import compiled, inner
from delever.engine.kernel_events import BY_LIQUIDATION
from delever.engine.steps import Floats, Ints
from delever.engine.sweep_market import Passing
from delever.engine.sweep_wealth import Line, Wealth, enter, fall, hold, mark, stretch

PIECE, LONGEST = 128, 512
"""Bars measured at once, and passed at once at most."""

_SAFE = 1e-9  # of what is held: nearer to a liquidation a bar is walked


class BookAsks(NamedTuple):
    """What one combination asks for: from which bar on, and of each position its targets."""

    begin: int
    firsts: Ints  # shape (legs + 1,): where the rows of a position begin below
    bars: Ints  # shape (k,): bars of the clock that the position has, increasing
    targets: Floats  # shape (k,): asked for at the open of each, until the next


class Way(NamedTuple):
    """What one combination is worth bar by bar; room that the next one takes over."""

    cash: Floats  # shape (n,): at each close, all books together
    net: Floats  # shape (n,): signed notional at each close
    turnover: Floats  # shape (n,): traded notional per equity, times the equity before
    closed: Floats  # shape (n,): trades that ended
    equity: Floats  # shape (n,): cash and net
    lasting: Floats  # shape (n,): size of the notional, times how long each bar lasts


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
def _add(values: Floats, times: float, to: Floats) -> None:
    for bar in range(len(to)):
        to[bar] += times * values[bar]


@inner()
def _pass(book: CompiledBook, lines: BookLines, time: int, last: int, way: Way, scope: Any) -> None:
    """Take the positions over bars of one scope in which nothing happens."""
    cash, gone, apart = book.state.cash, 0.0, 0.0
    for place in range(len(book.of)):
        account = book.accounts[place]
        position = account.position
        if position == 0.0:
            continue
        lane = 0 if position > 0.0 else 1
        paid, owed = lines.paid[lane, place], lines.owed[place]
        before, ago = (paid[time - 1], owed[time - 1]) if time > 0 else (0.0, 0.0)
        _add(lines.mark[place, time:last], position, way.net[time:last])
        _add(paid[time:last], position, way.cash[time:last])
        apart += position * before
        received = position * (paid[last - 1] - before)
        borrowed = -position * (owed[last - 1] - ago) if lane == 1 else 0.0
        account.mark = lines.mark[place, last - 1]
        account.funded += received + borrowed
        account.borrowed += borrowed
        scope.funding += received + borrowed
        gone += received
        if order_of(book, place).trailing_stop < np.inf:
            _follow(book, lines, place, time, last)
    for bar in range(time, last):
        way.cash[bar] += cash - apart
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
def _next(book: CompiledBook, lines: BookLines, asks: BookAsks, at: Ints, time: int) -> int:
    """The next bar that must be walked whatever the prices are."""
    until = lines.special[time]
    for place in range(len(book.of)):
        account, order = book.accounts[place], order_of(book, place)
        if np.isfinite(account.limit):
            return time
        if order.band < np.inf and (account.position != 0.0 or account.asked != 0.0):
            return time
        if at[place] < asks.firsts[place + 1]:
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
    book: CompiledBook, lines: BookLines, asks: BookAsks, at: Ints, bar: int, rows: Ints
) -> int:
    """One bar as a single run walks it; a position that no bracket allows, or -1."""
    of, terms, size = book.of, book.terms, len(book.of)
    at_bar, at_step = rows[0], rows[1]
    book.at.bar = bar
    for place in range(size):
        at_bar[place], at_step[place] = lines.bar_at[bar, place], lines.step_at[bar, place]
        last = max(at_bar[place] - 1, terms.bar_begin[place])
        of.bar[place], of.counted[place] = last, terms.counted[last]
        while at[place] < asks.firsts[place + 1] and asks.bars[at[place]] <= bar:
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


@compiled(nogil=True)
def walk_book(
    book: CompiledBook, states: Any, places: Any, lines: BookLines, passing: Passing,
    asks: BookAsks, way: Way, scopes: Any, rows: Ints,
) -> int:  # fmt: skip
    """Walk one book of a combination; 0 when done, or 1 + a position that no bracket allows.

    `rows` is room, shape (3, legs).
    """
    run = by_reference(CompiledBook(
        states[0], book.accounts, book.rows, places[0], book.fills, book.whose, book.market,
        book.terms, book.of, book.rungs, book.ways,
    ))  # fmt: skip
    at, time, bars = rows[2], asks.begin, len(passing.inside)
    for place in range(len(run.of)):
        at[place] = asks.firsts[place]
    while time < bars:
        until = _next(run, lines, asks, at, time)
        time = _calm_until(run, lines, passing, time, min(until, bars), way, scopes)
        if time >= bars:
            break
        own = run.state.cash
        for place in range(len(run.of)):
            own += run.accounts[place].position * run.accounts[place].mark
        beyond = _walk_bar(run, lines, asks, at, time, rows)
        if beyond >= 0:
            return 1 + beyond
        _tally(run, time, own, way, scopes[passing.inside[time]])
        time += 1
    return 0


@inner()
def _one_by_one(
    bars: tuple[int, int], way: Way, passing: Passing, wealth: Wealth, scope: Any, end: Any
) -> Wealth:
    """Measure bars of an account that may have nothing; less than nothing is refused."""
    for bar in range(bars[0], bars[1]):
        beyond = wealth.equity > 0.0 and way.equity[bar] / wealth.equity - 1.0 < -1.0
        if beyond and end.refused < 0.0:
            end.refused, end.excess = bar, way.equity[bar] / wealth.equity - 1.0
        lasting = passing.time[bar + 1] - passing.time[bar]
        wealth = mark(way.equity[bar], way.net[bar], lasting, wealth, scope)
    return wealth


@compiled(nogil=True)
def measure_way(
    passing: Passing, begin: int, cash: float, way: Way, ends: Any, scopes: Any, sums: Floats
) -> None:
    """From the way of a combination to the sums of its scopes and of the parts of the bars."""
    inside, edges, time = passing.inside, passing.edges, begin
    part, closed = np.searchsorted(edges, time, side="right"), 0.0
    wealth = Wealth(cash, cash, cash, 1.0)
    line = Line(0.0, 1.0, way.equity)
    while time < len(inside):
        scope = scopes[0][inside[time]]
        if time > begin and inside[time] != inside[time - 1]:
            hold(way.net[time - 1], passing.apart[time], wealth, ends[0])
            wealth = enter(scope, scopes[0][inside[time - 1]], wealth)
        last = min(time + 1 if time == begin else time + PIECE, passing.other_scope[time])
        last = min(last, edges[part])
        least, most, before, held = np.inf, -np.inf, wealth.equity, 0.0
        for bar in range(time, last):
            way.equity[bar] = way.cash[bar] + way.net[bar]
            least, most = min(least, way.equity[bar]), max(most, way.equity[bar])
            if way.turnover[bar] != 0.0 and before > 0.0:
                scope.turnover += way.turnover[bar] / before
            before = way.equity[bar]
            closed += way.closed[bar]
            lasting = passing.time[bar + 1] - passing.time[bar]
            way.lasting[bar] = abs(way.net[bar]) * lasting
            held += lasting if way.net[bar] != 0.0 else 0.0
        if time == begin or min(least, wealth.equity) <= 0.0:
            wealth = _one_by_one((time, last), way, passing, wealth, scope, ends[0])
        elif held == 0.0 and least == most == wealth.equity:
            scope.least, scope.most = min(scope.least, 0.0), max(scope.most, 0.0)
        else:
            scope.held += held
            reached = stretch(line, (time, last), way.lasting, scope)
            peak, trough = fall(line, (time, last), reached, wealth.peak, wealth.trough)
            scope.peak, scope.trough = fall(line, (time, last), reached, scope.peak, scope.trough)
            wealth = Wealth(way.equity[last - 1], wealth.begun, peak, trough)
        time = last
        if time == edges[part]:
            sums[part, 0] = scopes[0][0].gain + scopes[0][1].gain
            sums[part, 1] = scopes[0][0].squares + scopes[0][1].squares
            sums[part, 2], sums[part, 3] = wealth.equity, closed
            part += 1
    enter(scopes[0][1 - inside[-1]], scopes[0][inside[-1]], wealth)
    ends[0].equity, ends[0].trough = wealth.equity, wealth.trough
