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
DEAREST = 0.99


@numba.njit(cache=True)
def _bracket(measure: float, table: Floats) -> int:
    for row in range(len(table)):
        if measure <= table[row, 0]:
            return row
    return len(table) - 1


@numba.njit(cache=True)
def _trigger(position: float, entry: float, margin: float, table: Floats, how: Floats) -> float:
    """Liquidation price; 0 when no price does it to a long, or every price does it to a short."""
    side = 1.0 if position > 0.0 else -1.0
    size = abs(position)
    notional = size * entry
    first, last = 0, len(table) - 1
    if how[0] > 0.0:
        first = last = _bracket(notional if how[0] == 1.0 else size, table)
    best = -np.inf if side > 0.0 else np.inf
    for row in range(first, last + 1):
        rate, constant = how[2] + table[row, 1], -table[row, 2]
        if how[1] > 0.0:
            rate, constant = how[2], table[row, 1] * notional - table[row, 2]
        met = (side * notional + constant - margin) / (side - rate)
        best = max(best, met) if side > 0.0 else min(best, met)
    return float(max(best, 0.0) / size)


@numba.njit(cache=True)
def _wanted(
    target: float, cash: float, position: float, open_: float, fee: float, slippage: float
) -> float:
    rest = (1.0 - target) * position
    buys = target * cash - rest * (open_ * (1.0 + slippage)) > 0.0
    sells = target * cash - rest * (open_ * (1.0 - slippage)) < 0.0
    if buys == sells:
        return position
    side = 1.0 if buys else -1.0
    worth = cash / (open_ * (1.0 + side * slippage)) + position * (1.0 + side * fee)
    if worth <= 0.0:
        return 0.0
    return target * worth / (1.0 + side * target * fee)


@numba.njit(cache=True)
def _margin(state: Floats, c: int, leverage: float, cross: float, paid: float) -> float:
    wallet = state[CASH * WIDTH + c] + paid
    wallet += state[POSITION * WIDTH + c] * state[ENTRY * WIDTH + c]
    own = abs(state[POSITION * WIDTH + c]) * state[ENTRY * WIDTH + c] / leverage
    return float(wallet if cross > 0.0 or own >= wallet * (1.0 - DUST) else own)


@numba.njit(cache=True)
def _settle(state: Floats, scope: Floats, c: int, flat: float) -> None:
    """Count a round trip that ended with so much cash."""
    scope[TRADES * WIDTH + c] += 1.0
    scope[HITS * WIDTH + c] += 1.0 if flat > state[BASIS * WIDTH + c] else 0.0
    state[BASIS * WIDTH + c] = flat


@numba.njit(cache=True)
def _trade(
    wanted: float,
    reference: float,
    slippage: float,
    fee: float,
    state: Floats,
    scope: Floats,
    c: int,
) -> None:
    held, cash = state[POSITION * WIDTH + c], state[CASH * WIDTH + c]
    quantity = wanted - held
    if quantity == 0.0:
        return
    price = reference * (1.0 + slippage) if quantity > 0.0 else reference * (1.0 - slippage)
    paid = abs(quantity) * price * fee
    equity = cash + held * reference
    left = cash - quantity * price - paid
    after = left + wanted * price
    scope[FEE * WIDTH + c] += paid
    scope[SLIPPAGE * WIDTH + c] += abs(quantity) * reference * slippage
    if after <= 0.0:
        scope[LIQUIDATION * WIDTH + c] -= after
        scope[LIQUIDATIONS * WIDTH + c] += 1.0
        left = wanted = 0.0
    elif equity > 0.0:
        scope[TURNOVER * WIDTH + c] += abs(quantity) * price / equity
    if wanted == 0.0:
        state[ENTRY * WIDTH + c] = state[BEST_CLOSE * WIDTH + c] = 0.0
        _settle(state, scope, c, left)
    elif held * wanted <= 0.0:
        state[ENTRY * WIDTH + c] = state[BEST_CLOSE * WIDTH + c] = price
        if held != 0.0:
            _settle(state, scope, c, cash + held * price - paid * abs(held / quantity))
    elif abs(wanted) > abs(held):
        state[ENTRY * WIDTH + c] = (held * state[ENTRY * WIDTH + c] + quantity * price) / wanted
    state[CASH * WIDTH + c], state[POSITION * WIDTH + c] = left, wanted


@numba.njit(cache=True)
def _liquidate(
    price: float, margin: float, liquidation_fee: float, state: Floats, scope: Floats, c: int
) -> None:
    position, entry = state[POSITION * WIDTH + c], state[ENTRY * WIDTH + c]
    left = margin + position * (price - entry)
    fee = min(max(left, 0.0), liquidation_fee * abs(position) * price)
    scope[FEE * WIDTH + c] += fee
    scope[LIQUIDATION * WIDTH + c] += fee - left
    scope[LIQUIDATIONS * WIDTH + c] += 1.0
    cash = state[CASH * WIDTH + c] + position * entry - margin
    state[CASH * WIDTH + c] = cash
    state[POSITION * WIDTH + c] = 0.0
    state[ENTRY * WIDTH + c] = state[BEST_CLOSE * WIDTH + c] = 0.0
    _settle(state, scope, c, cash)


@numba.njit(cache=True)
def _stop(state: Floats, orders: Floats, c: int) -> float:
    """The nearer of stop-loss and trailing stop."""
    side = 1.0 if state[POSITION * WIDTH + c] > 0.0 else -1.0
    entry = state[ENTRY * WIDTH + c]
    fixed = entry * (1.0 - side * orders[STOP_LOSS * WIDTH + c])
    trailing = state[BEST_CLOSE * WIDTH + c] - side * orders[TRAILING * WIDTH + c] * entry
    return float(trailing if side * (trailing - fixed) > 0.0 else fixed)


@numba.njit(cache=True)
def _at_open(
    bar: Floats,
    fee: float,
    slippage: float,
    table: Floats,
    how: Floats,
    orders: Floats,
    state: Floats,
    scope: Floats,
    c: int,
) -> None:
    """Gaps: liquidated at the opening mark, or stopped at the open."""
    position, entry = state[POSITION * WIDTH + c], state[ENTRY * WIDTH + c]
    side = 1.0 if position > 0.0 else -1.0
    margin = _margin(state, c, orders[LEVERAGE * WIDTH + c], orders[CROSS * WIDTH + c], 0.0)
    if side * (bar[MARK_OPEN] - _trigger(position, entry, margin, table, how)) <= 0.0:
        _liquidate(bar[MARK_OPEN], margin, bar[BAR_LIQUIDATION], state, scope, c)
        return
    profit = entry * (1.0 + side * orders[TAKE_PROFIT * WIDTH + c])
    stopped = side * (bar[OPEN] - _stop(state, orders, c)) <= 0.0
    if stopped or side * (bar[OPEN] - profit) >= 0.0:
        _trade(0.0, bar[OPEN], slippage, fee, state, scope, c)


@numba.njit(cache=True)
def _inside(
    bar: Floats,
    fee: float,
    slippage: float,
    separate: bool,
    table: Floats,
    how: Floats,
    orders: Floats,
    state: Floats,
    scope: Floats,
    c: int,
) -> None:
    """Funding stamped inside, stops and liquidation on the extremes, against the account."""
    position, entry = state[POSITION * WIDTH + c], state[ENTRY * WIDTH + c]
    long = position > 0.0
    side = 1.0 if long else -1.0
    hold = abs(position) * bar[HOLD_LONG if long else HOLD_SHORT]
    leave = abs(position) * bar[LEAVE_LONG if long else LEAVE_SHORT]
    leverage, cross = orders[LEVERAGE * WIDTH + c], orders[CROSS * WIDTH + c]
    trigger = _trigger(position, entry, _margin(state, c, leverage, cross, leave), table, how)
    stop = _stop(state, orders, c)
    profit = entry * (1.0 + side * orders[TAKE_PROFIT * WIDTH + c])
    liquidated = side * ((bar[MARK_LOW] if long else bar[MARK_HIGH]) - trigger) <= 0.0
    stopped = side * ((bar[LOW] if long else bar[HIGH]) - stop) <= 0.0
    gained = side * ((bar[HIGH] if long else bar[LOW]) - profit) >= 0.0
    if liquidated and stopped:
        stopped = side * (stop - trigger) > 0.0
        liquidated = not stopped or separate
    received = leave if liquidated or stopped or gained else hold
    state[CASH * WIDTH + c] += received
    scope[FUNDING * WIDTH + c] += received
    if liquidated:
        price = bar[MARK_OPEN] if side * (bar[MARK_OPEN] - trigger) <= 0.0 else trigger
        margin = _margin(state, c, leverage, cross, 0.0)
        _liquidate(price, margin, bar[BAR_LIQUIDATION], state, scope, c)
    elif stopped:
        price = bar[OPEN] if side * (bar[OPEN] - stop) <= 0.0 else stop
        _trade(0.0, price, slippage, fee, state, scope, c)
    elif gained:
        _trade(0.0, profit, slippage, fee, state, scope, c)


@numba.njit(cache=True)
def _ask(
    target: float, bar: Floats, fee: float, slippage: float, lot: float,
    state: Floats, scope: Floats, c: int,
) -> None:  # fmt: skip
    if target == state[ASKED * WIDTH + c]:
        return
    state[ASKED * WIDTH + c] = target
    cash, position = state[CASH * WIDTH + c], state[POSITION * WIDTH + c]
    if cash + position * bar[OPEN] <= 0.0:
        return
    wanted = _wanted(target, cash, position, bar[OPEN], fee, slippage)
    if lot > 0.0 and wanted != position:
        wanted = np.copysign(np.floor(abs(wanted) / lot + DUST) * lot, wanted)
    _trade(wanted, bar[OPEN], slippage, fee, state, scope, c)


@numba.njit(cache=True)
def _refused(
    held: float, table: Floats, how: Floats, orders: Floats, state: Floats, c: int
) -> float:
    """Measure of a position just enlarged that its bracket does not allow, else 0."""
    position = state[POSITION * WIDTH + c]
    if abs(position) <= abs(held) and position * held >= 0.0:
        return 0.0
    size = abs(position)
    measure = size if how[0] == 2.0 else size * state[ENTRY * WIDTH + c]
    allowed = table[_bracket(measure, table), 3]
    if measure > table[-1, 0] or orders[LEVERAGE * WIDTH + c] > allowed:
        return float(measure)
    return 0.0


@numba.njit(cache=True)
def _watch(
    table: Floats, how: Floats, orders: Floats, lifts: Floats, state: Floats, c: int
) -> None:
    """Keep the prices beyond which something may happen to an account."""
    low, high = -np.inf, np.inf
    position, entry = state[POSITION * WIDTH + c], state[ENTRY * WIDTH + c]
    if position != 0.0:
        leverage, cross = orders[LEVERAGE * WIDTH + c], orders[CROSS * WIDTH + c]
        margin = _margin(state, c, leverage, cross, 0.0)
        trigger = _trigger(position, entry, margin, table, how)
        stop, gain = _stop(state, orders, c), orders[TAKE_PROFIT * WIDTH + c] * entry
        if np.isfinite(orders[TRAILING * WIDTH + c]):
            low = np.inf  # the stop follows each close, so every bar is looked at
        elif position > 0.0:
            low = max(trigger, stop) * (1.0 + DUST) - lifts[0]
            high = (entry + gain) * (1.0 - DUST) + lifts[1]
        else:
            low = (entry - gain) * (1.0 + DUST) - lifts[0]
            high = min(trigger, stop) * (1.0 - DUST) + lifts[1]
    state[ALARM_LOW * WIDTH + c] = low
    state[ALARM_HIGH * WIDTH + c] = high


@numba.njit(cache=True)
def _event(
    time: int, target: float, bar: Floats, table: Floats, how: Floats, lot: float,
    separate: bool, lifts: Floats, orders: Floats, state: Floats, scope: Floats, c: int,
) -> None:  # fmt: skip
    """One bar of one account, funding at the open aside."""
    fee, slippage = orders[TAKER * WIDTH + c], orders[SLIP * WIDTH + c]
    if np.isnan(fee):
        fee = bar[BAR_TAKER]
    if np.isnan(slippage):
        slippage = bar[BAR_SLIP]
    if state[POSITION * WIDTH + c] != 0.0:
        _at_open(bar, fee, slippage, table, how, orders, state, scope, c)
    if not np.isnan(target):
        held = state[POSITION * WIDTH + c]
        _ask(target, bar, fee, slippage, lot, state, scope, c)
        excess = _refused(held, table, how, orders, state, c)
        if excess > 0.0:
            state[REFUSED * WIDTH + c], state[EXCESS * WIDTH + c] = time, excess
            state[POSITION * WIDTH + c] = state[CASH * WIDTH + c] = 0.0
    if state[POSITION * WIDTH + c] != 0.0:
        _inside(bar, fee, slippage, separate, table, how, orders, state, scope, c)
    position, best = state[POSITION * WIDTH + c], state[BEST_CLOSE * WIDTH + c]
    if position > 0.0:
        state[BEST_CLOSE * WIDTH + c] = max(best, bar[CLOSE])
    elif position < 0.0:
        state[BEST_CLOSE * WIDTH + c] = min(best, bar[CLOSE])
    state[TOUCHED * WIDTH + c] = time
    _watch(table, how, orders, lifts, state, c)


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
        bar, table, how = market[time], tables[rule[time]], hows[rule[time]]
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
                time, event_target[place], bar, table, how, lot, separate, lifts, orders, state,
                scope, c,
            )  # fmt: skip
        changed = time > begin and rule[time] != rule[time - 1]
        if changed or _reached(low, high, state) > 0:
            for c in range(WIDTH):
                near = low <= state[ALARM_LOW * WIDTH + c] or high >= state[ALARM_HIGH * WIDTH + c]
                near = near or (changed and state[POSITION * WIDTH + c] != 0.0)
                if near and told[c] != time:
                    _event(
                        time, np.nan, bar, table, how, lot, separate, lifts, orders, state, scope, c
                    )
        if within:
            _fund_inside(time, bar[HOLD_LONG], bar[HOLD_SHORT], state, scope)
        _measure(bar[MARK_CLOSE], state, scope)
    _change_scope(now, 1 - now, market[-1, MARK_CLOSE], state, scopes)
