"""The compiled loop of a sweep: one block of accounts over the bars, and their metrics with them.

Bars are the outer loop, the `WIDTH` accounts of a block the inner one. What happens to an account
seldom (a new target, a stop, a liquidation) is done one account at a time, in the order and with
the arithmetic of `perp_kernel`; what happens on every bar (funding, marking, the sums behind the
metrics) is done for the whole block without a branch. Prices beyond which something may happen
are kept for each account: only when a bar reaches them is the account looked at.

numba's cache follows this file only, so everything the loop needs is written here. Blocks are flat
arrays of rows of `WIDTH`, a constant: then the compiler knows that rows do not overlap.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["PARAMETERS", "SCOPE_ROWS", "STATE_ROWS", "WIDTH", "run_block"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WIDTH = 128

STATE_ROWS = 15
CASH, POSITION, INVERSE, ALARM_LOW, ALARM_HIGH, PEAK, TROUGH = range(7)
ENTRY, ASKED, BEST_CLOSE, BASIS, REFUSED, EXCESS, TOUCHED, BEFORE = range(7, 15)

SCOPE_ROWS = 19
SUM, SQUARES, DOWN, LEAST, MOST, EXPOSURE, HELD, SCOPE_PEAK, SCOPE_TROUGH = range(9)
WEALTH, ABOVE, TURNOVER, TRADES, HITS, FEE, SLIPPAGE, LIQUIDATIONS, LIQUIDATION, FUNDING = range(
    9, 19
)

PARAMETERS = 7
LEVERAGE, CROSS, STOP_LOSS, TAKE_PROFIT, TRAILING, TAKER, SLIP = range(7)

OPEN, HIGH, LOW, CLOSE, MARK_OPEN, MARK_HIGH, MARK_LOW, MARK_CLOSE = range(8)
PAID_OPEN, HOLD_LONG, HOLD_SHORT, LEAVE_LONG, LEAVE_SHORT, BAR_TAKER, BAR_LIQUIDATION, BAR_SLIP = (
    range(8, 16)
)

DUST = 1e-9


@numba.njit(cache=True, forceinline=True)
def _bracket(measure: float, rule: int, tables: Floats) -> int:
    for row in range(tables.shape[1]):
        if measure <= tables[rule, row, 0]:
            return row
    return int(tables.shape[1] - 1)


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
    """What an account pays in a bar, and the orders beside its target."""

    fee: float
    slippage: float
    leverage: float
    cross: float
    stop_loss: float
    take_profit: float
    trailing: float


@numba.njit(cache=True, forceinline=True)
def _wanted(
    target: float, cash: float, position: float, open_: float, fee: float, slippage: float
) -> float:
    rest = (1.0 - target) * position
    buys = target * cash - rest * (open_ * (1.0 + slippage)) > 0.0
    sells = target * cash - rest * (open_ * (1.0 - slippage)) < 0.0
    if buys == sells:
        return position
    if target == 0.0:
        return 0.0
    side = 1.0 if buys else -1.0
    worth = cash / (open_ * (1.0 + side * slippage)) + position * (1.0 + side * fee)
    if worth <= 0.0:
        return 0.0
    return target * worth / (1.0 + side * target * fee)


@numba.njit(cache=True, forceinline=True)
def _margin(held: Held, terms: Terms, paid: float) -> float:
    """What stands behind the position once `paid` is received."""
    wallet = held.cash + paid + held.position * held.entry
    if terms.cross > 0.0:
        return wallet
    own = abs(held.position) * held.entry / terms.leverage
    return wallet if own >= wallet * (1.0 - DUST) else own


@numba.njit(cache=True, forceinline=True)
def _trigger(held: Held, margin: float, rule: int, tables: Floats, hows: Floats) -> float:
    """Liquidation price; 0 when no price does it to a long, or every price does it to a short."""
    side = 1.0 if held.position > 0.0 else -1.0
    size = abs(held.position)
    notional = size * held.entry
    if side > 0.0 and margin >= notional and hows[rule, 1] == 0.0:
        return 0.0  # paid in full: amounts are at least 0, so no line crosses above zero
    first, last = 0, tables.shape[1] - 1
    if hows[rule, 0] > 0.0:
        first = last = _bracket(notional if hows[rule, 0] == 1.0 else size, rule, tables)
    best = -np.inf if side > 0.0 else np.inf
    for row in range(first, last + 1):
        rate, constant = hows[rule, 2] + tables[rule, row, 1], -tables[rule, row, 2]
        if hows[rule, 1] > 0.0:
            rate = hows[rule, 2]
            constant = tables[rule, row, 1] * notional - tables[rule, row, 2]
        met = (side * notional + constant - margin) / (side - rate)
        best = max(best, met) if side > 0.0 else min(best, met)
    return float(max(best, 0.0) / size)


@numba.njit(cache=True, forceinline=True)
def _stop(held: Held, terms: Terms) -> float:
    """The nearer of stop-loss and trailing stop."""
    side = 1.0 if held.position > 0.0 else -1.0
    fixed = held.entry * (1.0 - side * terms.stop_loss)
    trailing = held.peak - side * terms.trailing * held.entry
    return trailing if side * (trailing - fixed) > 0.0 else fixed


@numba.njit(cache=True, forceinline=True)
def _trade(held: Held, wanted: float, reference: float, terms: Terms) -> Held:
    cash, position, entry, peak = held.cash, held.position, held.entry, held.peak
    basis, turnover, trades, hits = held.basis, held.turnover, held.trades, held.hits
    quantity = wanted - position
    if quantity == 0.0:
        return held
    price = reference * (1.0 + math.copysign(terms.slippage, quantity))
    paid = abs(quantity) * price * terms.fee
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
    elif position * wanted <= 0.0:
        entry = peak = price
    elif abs(wanted) > abs(position):
        entry = (position * entry + quantity * price) / wanted
    return Held(
        left, wanted, entry, peak, basis, turnover, trades, hits, held.fee + paid,
        held.slippage + abs(quantity) * reference * terms.slippage,
        held.liquidations + (1.0 if ruined else 0.0),
        held.liquidation - (after if ruined else 0.0), held.funding,
    )  # fmt: skip


@numba.njit(cache=True, forceinline=True)
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


@numba.njit(cache=True, forceinline=True)
def _receive(held: Held, payment: float) -> Held:
    return Held(
        held.cash + payment, held.position, held.entry, held.peak, held.basis, held.turnover,
        held.trades, held.hits, held.fee, held.slippage, held.liquidations, held.liquidation,
        held.funding + payment,
    )  # fmt: skip


@numba.njit(cache=True, forceinline=True)
def _at_open(held: Held, terms: Terms, market: Floats, time: int, trigger: float) -> Held:
    """Gaps: liquidated at the opening mark, or stopped at the open."""
    side = 1.0 if held.position > 0.0 else -1.0
    open_, mark = market[time, OPEN], market[time, MARK_OPEN]
    if side * (mark - trigger) <= 0.0:
        return _liquidate(held, mark, terms, market[time, BAR_LIQUIDATION])
    profit = held.entry * (1.0 + side * terms.take_profit)
    if side * (open_ - _stop(held, terms)) <= 0.0 or side * (open_ - profit) >= 0.0:
        return _trade(held, 0.0, open_, terms)
    return held


@numba.njit(cache=True, forceinline=True)
def _inside(
    held: Held, terms: Terms, market: Floats, time: int, trigger: float, separate: bool
) -> Held:
    """Funding stamped inside, stops and liquidation on the extremes, against the account."""
    long = held.position > 0.0
    side = 1.0 if long else -1.0
    size, low, high = abs(held.position), market[time, LOW], market[time, HIGH]
    hold = size * market[time, HOLD_LONG if long else HOLD_SHORT]
    leave = size * market[time, LEAVE_LONG if long else LEAVE_SHORT]
    stop = _stop(held, terms)
    profit = held.entry * (1.0 + side * terms.take_profit)
    adverse = market[time, MARK_LOW] if long else market[time, MARK_HIGH]
    liquidated = side * (adverse - trigger) <= 0.0
    stopped = side * ((low if long else high) - stop) <= 0.0
    gained = side * ((high if long else low) - profit) >= 0.0
    if liquidated and stopped:
        stopped = side * (stop - trigger) > 0.0
        liquidated = not stopped or separate
    held = _receive(held, leave if liquidated or stopped or gained else hold)
    if liquidated:
        mark = market[time, MARK_OPEN]
        price = mark if side * (mark - trigger) <= 0.0 else trigger
        return _liquidate(held, price, terms, market[time, BAR_LIQUIDATION])
    if stopped:
        open_ = market[time, OPEN]
        return _trade(held, 0.0, open_ if side * (open_ - stop) <= 0.0 else stop, terms)
    return _trade(held, 0.0, profit, terms) if gained else held


@numba.njit(cache=True, forceinline=True)
def _refused(
    before: float, held: Held, terms: Terms, rule: int, tables: Floats, by: float
) -> float:
    """Measure of a position just enlarged that its bracket does not allow, else 0."""
    size = abs(held.position)
    if size <= abs(before) and held.position * before >= 0.0:
        return 0.0
    measure = size if by == 2.0 else size * held.entry
    allowed = tables[rule, _bracket(measure, rule, tables), 3]
    return measure if measure > tables[rule, -1, 0] or terms.leverage > allowed else 0.0


@numba.njit(cache=True, forceinline=True)
def _alarms(held: Held, terms: Terms, trigger: float, lifts: Floats) -> tuple[float, float]:
    """Prices beyond which something may happen to an account."""
    if held.position == 0.0:
        return -np.inf, np.inf
    if terms.trailing < np.inf:
        return np.inf, -np.inf  # the stop follows each close, so every bar is looked at
    stop, gain = _stop(held, terms), held.entry * terms.take_profit
    if held.position > 0.0:
        low, high = max(trigger, stop) * (1.0 + DUST), (held.entry + gain) * (1.0 - DUST)
    else:
        low, high = (held.entry - gain) * (1.0 + DUST), min(trigger, stop) * (1.0 - DUST)
    return low - lifts[0], high + lifts[1]


@numba.njit(cache=True)
def _event(
    time: int, target: float, market: Floats, rule: int, tables: Floats, hows: Floats, lot: float,
    separate: bool, lifts: Floats, orders: Floats, state: Floats, scope: Floats, c: int,
) -> None:  # fmt: skip
    """One bar of one account, funding at the open aside."""
    held = Held(
        state[CASH * WIDTH + c], state[POSITION * WIDTH + c], state[ENTRY * WIDTH + c],
        state[BEST_CLOSE * WIDTH + c], state[BASIS * WIDTH + c],
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    )  # fmt: skip
    fee, slippage = orders[TAKER * WIDTH + c], orders[SLIP * WIDTH + c]
    terms = Terms(
        market[time, BAR_TAKER] if np.isnan(fee) else fee,
        market[time, BAR_SLIP] if np.isnan(slippage) else slippage,
        orders[LEVERAGE * WIDTH + c], orders[CROSS * WIDTH + c], orders[STOP_LOSS * WIDTH + c],
        orders[TAKE_PROFIT * WIDTH + c], orders[TRAILING * WIDTH + c],
    )  # fmt: skip
    if held.position != 0.0:
        trigger = _trigger(held, _margin(held, terms, 0.0), rule, tables, hows)
        held = _at_open(held, terms, market, time, trigger)
    open_, before = market[time, OPEN], held.position
    if target != state[ASKED * WIDTH + c] and not np.isnan(target):
        state[ASKED * WIDTH + c] = target
        if held.cash + before * open_ > 0.0:
            wanted = _wanted(target, held.cash, before, open_, terms.fee, terms.slippage)
            if lot > 0.0 and wanted != before:
                wanted = math.copysign(math.floor(abs(wanted) / lot + DUST) * lot, wanted)
            held = _trade(held, wanted, open_, terms)
            excess = _refused(before, held, terms, rule, tables, hows[rule, 0])
            if excess > 0.0:
                state[REFUSED * WIDTH + c], state[EXCESS * WIDTH + c] = time, excess
    trigger, leave = 0.0, 0.0
    if held.position != 0.0:
        leave = market[time, LEAVE_LONG if held.position > 0.0 else LEAVE_SHORT]
        margin = _margin(held, terms, abs(held.position) * leave)
        trigger = _trigger(held, margin, rule, tables, hows)
        before = held.cash
        held = _inside(held, terms, market, time, trigger, separate)
        leave = leave if held.cash == before else np.nan
    if held.position != 0.0 and leave != 0.0:
        trigger = _trigger(held, _margin(held, terms, 0.0), rule, tables, hows)
    close, peak = market[time, CLOSE], held.peak
    if held.position > 0.0:
        peak = max(peak, close)
    elif held.position < 0.0:
        peak = min(peak, close)
    low, high = _alarms(held, terms, trigger, lifts)
    state[CASH * WIDTH + c], state[POSITION * WIDTH + c] = held.cash, held.position
    state[ENTRY * WIDTH + c], state[BEST_CLOSE * WIDTH + c] = held.entry, peak
    state[BASIS * WIDTH + c], state[TOUCHED * WIDTH + c] = held.basis, time
    state[ALARM_LOW * WIDTH + c], state[ALARM_HIGH * WIDTH + c] = low, high
    scope[TURNOVER * WIDTH + c] += held.turnover
    scope[TRADES * WIDTH + c] += held.trades
    scope[HITS * WIDTH + c] += held.hits
    scope[FEE * WIDTH + c] += held.fee
    scope[SLIPPAGE * WIDTH + c] += held.slippage
    if held.funding != 0.0:
        scope[FUNDING * WIDTH + c] += held.funding
    if held.liquidations > 0.0:
        scope[LIQUIDATIONS * WIDTH + c] += held.liquidations
        scope[LIQUIDATION * WIDTH + c] += held.liquidation


@numba.njit(cache=True)
def _change_scope(old: int, new: int, mark: float, state: Floats, scopes: Floats) -> None:
    """End a stretch of bars in one scope and begin one in the other, at the last marks."""
    gone, here = scopes[old], scopes[new]
    for c in range(WIDTH):
        equity = state[CASH * WIDTH + c] + state[POSITION * WIDTH + c] * mark
        before = state[BEFORE * WIDTH + c]
        gone[WEALTH * WIDTH + c] *= equity / before if before > 0.0 else 1.0
        gone[ABOVE * WIDTH + c] = gone[SCOPE_PEAK * WIDTH + c] / equity if equity > 0.0 else 1.0
        here[SCOPE_PEAK * WIDTH + c] = here[ABOVE * WIDTH + c] * equity
        state[BEFORE * WIDTH + c] = equity


@numba.njit(cache=True, error_model="numpy")
def _measure(mark: float, state: Floats, scope: Floats) -> None:
    """Mark the block at the close and add the bar to its sums."""
    deeper = 0
    for c in range(WIDTH):
        position = state[POSITION * WIDTH + c]
        worth = position * mark
        equity = state[CASH * WIDTH + c] + worth
        before = state[INVERSE * WIDTH + c]
        inverse = 1.0 / equity if equity > 0.0 else 0.0
        gain = equity * before - 1.0 if before > 0.0 else 0.0
        loss = gain if gain < 0.0 else 0.0
        state[INVERSE * WIDTH + c] = inverse
        scope[SUM * WIDTH + c] += gain
        scope[SQUARES * WIDTH + c] += gain * gain
        scope[DOWN * WIDTH + c] += loss * loss
        least, most = scope[LEAST * WIDTH + c], scope[MOST * WIDTH + c]
        scope[LEAST * WIDTH + c] = gain if gain < least else least
        scope[MOST * WIDTH + c] = gain if gain > most else most
        scope[EXPOSURE * WIDTH + c] += abs(worth) * inverse
        scope[HELD * WIDTH + c] += 1.0 if position != 0.0 else 0.0
        peak, part = state[PEAK * WIDTH + c], scope[SCOPE_PEAK * WIDTH + c]
        peak = equity if equity > peak else peak
        part = equity if equity > part else part
        state[PEAK * WIDTH + c] = peak
        scope[SCOPE_PEAK * WIDTH + c] = part
        below = equity < state[TROUGH * WIDTH + c] * peak
        below |= equity < scope[SCOPE_TROUGH * WIDTH + c] * part
        deeper += 1 if below else 0
    if deeper == 0:
        return
    for c in range(WIDTH):
        equity = state[CASH * WIDTH + c] + state[POSITION * WIDTH + c] * mark
        peak, part = state[PEAK * WIDTH + c], scope[SCOPE_PEAK * WIDTH + c]
        whole = equity / peak if peak > 0.0 else 1.0
        share = equity / part if part > 0.0 else 1.0
        was, had = state[TROUGH * WIDTH + c], scope[SCOPE_TROUGH * WIDTH + c]
        state[TROUGH * WIDTH + c] = whole if whole < was else was
        scope[SCOPE_TROUGH * WIDTH + c] = share if share < had else had


@numba.njit(cache=True)
def _fund(rate: float, state: Floats, scope: Floats) -> None:
    """Settle funding stamped at the open, on the positions carried in."""
    for c in range(WIDTH):
        paid = -state[POSITION * WIDTH + c] * rate
        state[CASH * WIDTH + c] += paid
        scope[FUNDING * WIDTH + c] += paid


@numba.njit(cache=True)
def _fund_inside(time: int, long: float, short: float, state: Floats, scope: Floats) -> None:
    """Settle funding stamped inside the bar for accounts that nothing happened to."""
    for c in range(WIDTH):
        position = state[POSITION * WIDTH + c]
        paid = position * long if position > 0.0 else -position * short
        paid *= 0.0 if state[TOUCHED * WIDTH + c] == time else 1.0
        state[CASH * WIDTH + c] += paid
        scope[FUNDING * WIDTH + c] += paid


@numba.njit(cache=True)
def _reached(low: float, high: float, state: Floats) -> int:
    count = 0
    for c in range(WIDTH):
        below = low <= state[ALARM_LOW * WIDTH + c]
        above = high >= state[ALARM_HIGH * WIDTH + c]
        count += 1 if below | above else 0
    return count


@numba.njit(cache=True, nogil=True)
def run_block(
    market: Floats,
    inside: Ints,
    rule: Ints,
    tables: Floats,
    hows: Floats,
    lot: float,
    separate: bool,
    steepest: float,
    starts: Ints,
    event_first: Ints,
    event_column: Ints,
    event_target: Floats,
    orders: Floats,
    state: Floats,
    scopes: Floats,
) -> None:
    """Run the accounts of a block over the bars; see `sweep` for what the arrays hold."""
    lifts = np.zeros(2)
    told = np.full(WIDTH, -1)
    begin = starts.min()
    now = inside[begin]
    for time in range(begin, len(market)):
        bar = market[time]
        if inside[time] != now:
            _change_scope(now, inside[time], market[time - 1, MARK_CLOSE], state, scopes)
            now = inside[time]
        scope = scopes[now]
        if bar[PAID_OPEN] != 0.0:
            _fund(bar[PAID_OPEN], state, scope)
        within = bar[HOLD_LONG] != 0.0 or bar[LEAVE_LONG] != 0.0
        within = within or bar[HOLD_SHORT] != 0.0 or bar[LEAVE_SHORT] != 0.0
        lifts[0] += steepest * (
            max(bar[PAID_OPEN], 0.0) - min(bar[HOLD_LONG], bar[LEAVE_LONG], 0.0)
        )
        lifts[1] -= steepest * (
            min(bar[PAID_OPEN], 0.0) + min(bar[HOLD_SHORT], bar[LEAVE_SHORT], 0.0)
        )
        low = min(bar[LOW], bar[MARK_LOW]) - lifts[0]
        high = max(bar[HIGH], bar[MARK_HIGH]) + lifts[1]
        for place in range(event_first[time], event_first[time + 1]):
            c = event_column[place]
            told[c] = time
            if starts[c] == time:
                scopes[0, LEAST * WIDTH + c] = scopes[1, LEAST * WIDTH + c] = np.inf
                scopes[0, MOST * WIDTH + c] = scopes[1, MOST * WIDTH + c] = -np.inf
            _event(
                time, event_target[place], market, rule[time], tables, hows, lot, separate, lifts,
                orders, state, scope, c,
            )  # fmt: skip
        changed = time > begin and rule[time] != rule[time - 1]
        if changed or _reached(low, high, state) > 0:
            for c in range(WIDTH):
                near = low <= state[ALARM_LOW * WIDTH + c] or high >= state[ALARM_HIGH * WIDTH + c]
                near = near or (changed and state[POSITION * WIDTH + c] != 0.0)
                if near and told[c] != time:
                    _event(
                        time, np.nan, market, rule[time], tables, hows, lot, separate, lifts,
                        orders, state, scope, c,
                    )  # fmt: skip
        if within:
            _fund_inside(time, bar[HOLD_LONG], bar[HOLD_SHORT], state, scope)
        _measure(bar[MARK_CLOSE], state, scope)
    _change_scope(now, 1 - now, market[-1, MARK_CLOSE], state, scopes)
