"""The compiled loop of a sweep: account by account over the bars, and their metrics with them.

What happens to an account seldom (a new target, a stop, a liquidation) is done in the order of
`delever.engine.kernel`, with the same arithmetic. Between two such bars an account is a line in the
mark price: its equity is what it held then, plus its position times mark and funding received so
far. A whole stretch of bars is measured at once there, in a loop without a branch that the compiler
turns into vector instructions. How far a stretch reaches is known from the prices beyond which
something may happen to the account, and from the extremes of each `STRETCH` of bars.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from delever.arguments import Floats
from delever.engine.arithmetic import (
    entry_after,
    excess,
    in_lots,
    liquidation_price,
    margin_behind,
    moved,
    position_at_target,
    profit_price,
    stop_price,
    taken,
)
from delever.engine.compiled import compiled, inlined, numbers
from delever.engine.settings import Orders
from delever.engine.steps import DUST, Ints, MarginRule
from delever.engine.sweep_market import STRETCH, Board, Lines
from delever.engine.sweep_wealth import Line, Wealth, enter, fall, hold, mark, stretch

PIECE = 128
"""Bars measured at once."""


class Asks(NamedTuple):
    """What one account is asked for: from which bar on, with how much, and its targets."""

    begin: int
    cash: float
    bars: Ints
    targets: Floats


class SweepFees(NamedTuple):
    """What an account pays of a fill; NaN where the bar says it."""

    taker: float
    slippage: float


class Held(NamedTuple):
    """An account as events see it: values, because the compiler keeps those in registers."""

    cash: float
    position: float
    entry: float
    peak: float
    basis: float
    turnover: float
    trades: float
    hits: float
    fee: float
    slippage: float
    liquidations: float
    liquidation: float
    funding: float


class Terms(NamedTuple):
    """What holds for an account in a bar."""

    fees: SweepFees
    order: Orders
    table: Floats  # of brackets
    rule: MarginRule


N_FEES = len(SweepFees._fields)
N_ORDERS, N_RULE = len(Orders._fields), len(MarginRule._fields)

LINEAR = 0.0  # inverse contracts are not swept: said so, the compiler drops their branches


@inlined()
def _margin(held: Held, terms: Terms, paid: float) -> float:
    """What stands behind the position once `paid` is received."""
    wallet = held.cash + paid + held.position * held.entry
    return margin_behind(held.position, held.entry, wallet, terms.order)


@inlined()
def _trigger(held: Held, terms: Terms, paid: float) -> float:
    """Liquidation price once `paid` is received."""
    margin = _margin(held, terms, paid)
    return liquidation_price(
        held.position, held.entry, margin, terms.table, terms.rule, terms.order.tick, LINEAR
    )


@inlined()
def _stop(held: Held, terms: Terms) -> float:
    """The nearer of stop-loss and trailing stop."""
    price, _ = stop_price(held.position, held.entry, held.peak, terms.order, LINEAR)
    return price


@inlined()
def _profit(held: Held, terms: Terms) -> float:
    return profit_price(held.position, held.entry, terms.order, LINEAR)


@inlined()
def _trade(held: Held, wanted: float, reference: float, terms: Terms) -> Held:
    cash, position, entry, peak = held.cash, held.position, held.entry, held.peak
    basis, turnover, trades, hits = held.basis, held.turnover, held.trades, held.hits
    quantity = wanted - position
    if quantity == 0.0:
        return held
    slippage = terms.fees.slippage
    price = moved(reference, slippage if quantity > 0.0 else -slippage, LINEAR)
    paid = abs(quantity) * price * terms.fees.taker
    equity = cash + position * reference
    left = cash - quantity * price - paid
    after = left + wanted * price
    ruined = after <= 0.0
    if ruined:
        left = wanted = 0.0
    elif equity > 0.0:
        turnover += abs(quantity) * price / equity
    if wanted == 0.0 or (position != 0.0 and position * wanted < 0.0):
        # What a flip paid is split by quantity between the trade it ends and the one it begins.
        flat = left if wanted == 0.0 else cash + position * price - paid * abs(position / quantity)
        trades += 1.0
        hits += 1.0 if flat > basis else 0.0
        basis = flat
    if wanted == 0.0:
        entry = peak = 0.0
    else:
        entry = entry_after(position, entry, quantity, wanted, price)
        if position * wanted <= 0.0:
            peak = price
    return Held(
        left, wanted, entry, peak, basis, turnover, trades, hits, held.fee + paid,
        held.slippage + abs(quantity) * reference * slippage,
        held.liquidations + (1.0 if ruined else 0.0),
        held.liquidation - (after if ruined else 0.0), held.funding,
    )  # fmt: skip


@inlined()
def _liquidate(held: Held, price: float, terms: Terms, rate: float) -> Held:
    margin = _margin(held, terms, 0.0)
    left = margin + held.position * (price - held.entry)
    fee = min(max(left, 0.0), rate * abs(held.position) * price)
    cash = held.cash + held.position * held.entry - margin
    hit = 1.0 if cash > held.basis else 0.0
    return Held(
        cash, 0.0, 0.0, 0.0, cash, held.turnover, held.trades + 1.0, held.hits + hit,
        held.fee + fee, held.slippage, held.liquidations + 1.0, held.liquidation + fee - left,
        held.funding,
    )  # fmt: skip


@inlined()
def _receive(held: Held, payment: float) -> Held:
    return Held(
        held.cash + payment, held.position, held.entry, held.peak, held.basis, held.turnover,
        held.trades, held.hits, held.fee, held.slippage, held.liquidations, held.liquidation,
        held.funding + payment,
    )  # fmt: skip


@inlined()
def _at_open(held: Held, terms: Terms, bar: Any, trigger: float) -> Held:
    """Gaps: liquidated at the opening mark, or stopped at the open."""
    side = 1.0 if held.position > 0.0 else -1.0
    if side * (bar.mark_open - trigger) <= 0.0:
        return _liquidate(held, bar.mark_open, terms, bar.liquidation_fee)
    stop, profit = _stop(held, terms), _profit(held, terms)
    if side * (bar.open - stop) <= 0.0 or side * (bar.open - profit) >= 0.0:
        return _trade(held, 0.0, bar.open, terms)
    return held


@inlined()
def _inside(held: Held, terms: Terms, bar: Any, trigger: float) -> Held:
    """Funding stamped inside, stops and liquidation on the extremes, against the account."""
    long = held.position > 0.0
    side, size = 1.0 if long else -1.0, abs(held.position)
    hold = size * (bar.hold_long if long else bar.hold_short)
    leave = size * (bar.leave_long if long else bar.leave_short)
    stop, profit = _stop(held, terms), _profit(held, terms)
    liquidated = side * ((bar.mark_low if long else bar.mark_high) - trigger) <= 0.0
    stopped = side * ((bar.low if long else bar.high) - stop) <= 0.0
    gained = side * ((bar.high if long else bar.low) - profit) >= 0.0
    if liquidated and stopped:
        stopped = side * (stop - trigger) > 0.0
        liquidated = not stopped or terms.order.separate > 0.0
    held = _receive(held, leave if liquidated or stopped or gained else hold)
    if liquidated:
        gone = side * (bar.mark_open - trigger) <= 0.0
        price = bar.mark_open if gone else trigger
        return _liquidate(held, price, terms, bar.liquidation_fee)
    if stopped:
        return _trade(held, 0.0, bar.open if side * (bar.open - stop) <= 0.0 else stop, terms)
    return _trade(held, 0.0, profit, terms) if gained else held


@inlined()
def _refused(before: float, held: Held, terms: Terms) -> float:
    """Measure of a position just enlarged that its bracket does not allow, else 0."""
    if abs(held.position) <= abs(before) and held.position * before >= 0.0:
        return 0.0
    return excess(held.position, held.entry, terms.table, terms.rule, terms.order)


@inlined()
def _alarms(held: Held, terms: Terms, trigger: float) -> tuple[float, float]:
    """Prices beyond which something may happen to an account."""
    if held.position == 0.0:
        return -np.inf, np.inf
    if terms.order.trailing_stop < np.inf:
        return np.inf, -np.inf  # the stop follows each close, so every bar is looked at
    stop, gain = _stop(held, terms), _profit(held, terms)
    low, high = (max(trigger, stop), gain) if held.position > 0.0 else (gain, min(trigger, stop))
    # Funding may move the exact price of a liquidation, and its tick with it.
    return low * (1.0 + DUST) + terms.order.tick, high * (1.0 - DUST) - terms.order.tick


@inlined()
def _rebalanced(held: Held, target: float, open_: float, terms: Terms) -> Held:
    """Trade to a new target at the open, if there is anything to trade with."""
    if held.cash + held.position * open_ <= 0.0:
        return held
    wanted = position_at_target(
        target, held.cash, held.position, open_, terms.fees.taker, terms.fees.slippage, LINEAR
    )
    if wanted != held.position:
        wanted = in_lots(wanted, terms.order.lot)
        wanted = taken(wanted, held.position, open_, terms.order.least)
    return _trade(held, wanted, open_, terms)


@inlined()
def _within(held: Held, terms: Terms, bar: Any) -> tuple[Held, float]:
    """The inside of a bar, and the liquidation price after it."""
    leave = bar.leave_long if held.position > 0.0 else bar.leave_short
    trigger = _trigger(held, terms, abs(held.position) * leave)
    after = _inside(held, terms, bar, trigger)
    if after.position != 0.0 and (leave != 0.0 or after.cash != held.cash):
        trigger = _trigger(after, terms, 0.0)
    return after, trigger


@inlined()
def _quiet(time: int, until: int, low: float, high: float, lines: Lines) -> int:
    """The first bar from `time` on, or `until`, that reaches a price where something may happen."""
    while time < until:
        part = time // STRETCH
        last = min(until, (part + 1) * STRETCH)
        if lines.least[part] <= low or lines.most[part] >= high:
            for bar in range(time, last):
                if lines.reach[0, bar] <= low or lines.reach[1, bar] >= high:
                    return bar
        time = last
    return until


@inlined()
def _book(held: Held, close: float, scope: Any) -> Held:
    """Move what a bar cost into the sums of a scope; the best close follows the bar's."""
    best = held.peak
    if held.position > 0.0:
        best = max(best, close)
    elif held.position < 0.0:
        best = min(best, close)
    scope.turnover += held.turnover
    scope.trades += held.trades
    scope.hits += held.hits
    scope.fee += held.fee
    scope.slippage += held.slippage
    scope.funding += held.funding
    scope.liquidations += held.liquidations
    scope.liquidation += held.liquidation
    return Held(
        held.cash, held.position, held.entry, best, held.basis,
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    )  # fmt: skip


@inlined()
def _pass(
    time: int, until: int, held: Held, wealth: Wealth, board: Board, scopes: Any, ends: Any
) -> tuple[Held, Wealth]:
    """Take an account from `time` to `until`, with nothing on the way but funding and scopes."""
    lines, passing = board.lines, board.passing
    inside = passing.inside
    lane = 1 if held.position < 0.0 else 0
    paid, worth = lines.paid[lane], lines.worth[lane]
    line = Line(held.cash - held.position * paid[time - 1], held.position, worth)
    while time < until:
        scope = scopes[inside[time]]
        if inside[time] != inside[time - 1]:
            hold(line.position * lines.mark[time - 1], passing.apart[time], wealth, ends)
            wealth = enter(scope, scopes[inside[time - 1]], wealth)
        last = min(until, passing.other_scope[time])
        if line.position == 0.0:
            scope.least, scope.most = min(scope.least, 0.0), max(scope.most, 0.0)
        else:
            last = min(last, time + PIECE)
            reached = stretch(line, (time, last), lines.mark, scope)
            peak, trough = fall(line, (time, last), reached, wealth.peak, wealth.trough)
            scope.peak, scope.trough = fall(line, (time, last), reached, scope.peak, scope.trough)
            scope.held += passing.time[last] - passing.time[time]
            scope.funding += line.position * (paid[last - 1] - paid[time - 1])
            equity = line.base + line.position * worth[last - 1]
            wealth = Wealth(equity, wealth.begun, peak, trough)
            cash = line.base + line.position * paid[last - 1]
            held = Held(
                cash, held.position, held.entry, held.peak, held.basis,
                0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
            )  # fmt: skip
        time = last
    return held, wealth


@inlined()
def _fees(bar: Any, own: SweepFees) -> SweepFees:
    return SweepFees(
        bar.taker if np.isnan(own.taker) else own.taker,
        bar.slippage if np.isnan(own.slippage) else own.slippage,
    )


@inlined()
def _run(
    board: Board, asks: Asks, order: Orders, own: SweepFees, ends: Any, scopes: Any, sums: Floats
) -> None:
    """One account: a bar at which something may happen, then the bars at which nothing does."""
    lines, passing = board.lines, board.passing
    inside, edges = passing.inside, passing.edges
    place, time, cash = 0, asks.begin, asks.cash
    part = np.searchsorted(edges, time, side="right")
    held = Held(cash, 0.0, 0.0, 0.0, cash, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    wealth = Wealth(cash, cash, cash, 1.0)
    asked, trigger, low, high = 0.0, 0.0, -np.inf, np.inf
    while time < len(inside):
        bar, ruled = board.table[time], board.rule[time]
        terms = Terms(_fees(bar, own), order, board.brackets[ruled], board.how[ruled])
        scope = scopes[inside[time]]
        if time > asks.begin and inside[time] != inside[time - 1]:
            hold(held.position * lines.mark[time - 1], passing.apart[time], wealth, ends)
            wealth = enter(scope, scopes[inside[time - 1]], wealth)
        if held.position != 0.0:
            held = _receive(held, -held.position * bar.paid_open)
            near = lines.reach[0, time] <= low or lines.reach[1, time] >= high
            if near or ruled != board.rule[time - 1]:
                trigger = _trigger(held, terms, 0.0)
                held = _at_open(held, terms, bar, trigger)
        if place < len(asks.bars) and asks.bars[place] == time:
            target, carried = asks.targets[place], held.position
            place += 1
            if target != asked:
                asked = target
                held = _rebalanced(held, target, bar.open, terms)
                if order.lot > 0.0 and target != 0.0 and held.position == 0.0 < held.cash:
                    ends.small += 1.0
                beyond = _refused(carried, held, terms)
                if beyond > 0.0 and ends.refused < 0.0:
                    ends.refused, ends.excess = time, beyond
        if held.position != 0.0:
            held, trigger = _within(held, terms, bar)
        held = _book(held, bar.close, scope)
        low, high = _alarms(held, terms, trigger)
        low, high = low - lines.lift[0, time], high + lines.lift[1, time]
        worth = held.position * bar.mark_close
        lasting = passing.time[time + 1] - passing.time[time]
        wealth = mark(held.cash + worth, worth, lasting, wealth, scope)
        time += 1
        until = asks.bars[place] if place < len(asks.bars) else len(inside)
        if held.position != 0.0:
            until = _quiet(time, min(until, lines.other_rule[time - 1]), low, high, lines)
        goes_on = True
        while goes_on:
            last = min(until, edges[part])
            held, wealth = _pass(time, last, held, wealth, board, scopes, ends)
            time, goes_on = last, last < until
            if time == edges[part]:
                sums[part, 0] = scopes[0].gain + scopes[1].gain
                sums[part, 1] = scopes[0].squares + scopes[1].squares
                sums[part, 2] = wealth.equity
                sums[part, 3] = scopes[0].trades + scopes[1].trades
                part += 1
    enter(scopes[1 - inside[-1]], scopes[inside[-1]], wealth)
    ends.equity, ends.trough = wealth.equity, wealth.trough


@compiled(nogil=True)
def run_block(
    board: Board,
    cash: float,
    begins: Ints,
    firsts: Ints,
    bars: Ints,
    targets: Floats,
    orders: Floats,
    fees: Floats,
    ends: Any,
    scopes: Any,
    sums: Floats,
) -> None:
    """Run accounts over the bars; see `delever.engine.sweep_accounts` for what the arrays hold."""
    for row in range(len(begins)):
        own = slice(firsts[row], firsts[row + 1])
        asks = Asks(begins[row], cash, bars[own], targets[own])
        order = Orders(*numbers(orders[row], N_ORDERS))
        paid = SweepFees(*numbers(fees[row], N_FEES))
        _run(board, asks, order, paid, ends[row], scopes[row], sums[row])
