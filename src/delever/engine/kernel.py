"""The compiled loop of a margin account; `perp_plain` says the same in plain Python.

numba's cache follows this file only: arithmetic or constants from another file could go stale in
it, so everything the loop needs is written here. Columns of the arrays are named by the numbers
below; `perp_plain` and `steps` hold the same names as words, and a test compares the two.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from delever.engine.steps import Floats, MarketArrays, TermArrays

__all__ = ["run_perp_jitted"]

Ints = npt.NDArray[np.int64]

CASH, POSITION, ENTRY, ASKED, MARK, STOPPED, PEAK, LIMIT, FUNDED, BORROWED = range(10)
TURNOVER, PNL, FEE, SLIP, LIQUIDATION, FUNDING, BORROW, AMBIGUOUS = range(5, 13)
TAKER, MAKER, LIQUIDATION_FEE, SLIPPAGE, IMPACT, BORROW_SHARE = range(6)
(LEVERAGE, CROSS, STOP_LOSS, TAKE_PROFIT, TRAILING, OFFSET, BAND, LOT, RESOLVE, SEPARATE, TICK,
 INVERSE) = range(12)  # fmt: skip
BY_TARGET, BY_LIQUIDATION, BY_STOP, BY_TAKE_PROFIT, BY_TRAILING, BY_LIMIT = range(6)
DUST = 1e-9
ROUNDING = 1e-15
DEAREST = 0.99


@numba.njit(cache=True, error_model="numpy")
def _moved(price: float, fraction: float, inverse: float) -> float:
    """Price that is a fraction of the quoted price away."""
    if inverse > 0.0:
        return price / (1.0 - fraction) if fraction < 1.0 else np.inf
    return price * (1.0 + fraction)


@numba.njit(cache=True, error_model="numpy")
def _on_tick(price: float, side: float, tick: float, inverse: float) -> float:
    """Price on the grid of ticks, up for +1 and down for -1."""
    if not 0.0 < price < np.inf:
        return price
    quoted, up = (1.0 / price, side < 0.0) if inverse > 0.0 else (price, side > 0.0)
    steps = quoted / tick
    nearly = DUST + ROUNDING * steps
    whole = np.ceil(steps - nearly) if up else np.floor(steps + nearly)
    per_unit = np.floor(1.0 / tick + 0.5)
    quoted = whole / per_unit if abs(per_unit * tick - 1.0) < DUST else whole * tick
    if inverse > 0.0:
        return 1.0 / quoted if quoted > 0.0 else np.inf
    return float(quoted)


@numba.njit(cache=True)
def _bracket(measure: float, table: Floats) -> int:
    for row in range(len(table)):
        if measure <= table[row, 0]:
            return row
    return len(table) - 1


@numba.njit(cache=True)
def _margin(state: Floats, orders: Floats, paid: float) -> tuple[float, float]:
    """Wallet balance once `paid` is received, and the part of it behind the position."""
    wallet = state[CASH] + state[POSITION] * state[ENTRY] + paid
    own = abs(state[POSITION]) * state[ENTRY] / orders[LEVERAGE]
    if orders[CROSS] > 0.0 or own >= wallet * (1.0 - DUST):
        return wallet, wallet
    return wallet, own


@numba.njit(cache=True)
def _liquidation_price(
    position: float, entry: float, margin: float, table: Floats, how: Floats
) -> float:
    """Trigger; 0 when no price does it to a long, or when every price does it to a short."""
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
    target: float,
    cash: float,
    position: float,
    open_: float,
    fee: float,
    slippage: float,
    inverse: float,
) -> float:
    rest = (1.0 - target) * position
    buyers, sellers = _moved(open_, slippage, inverse), _moved(open_, -slippage, inverse)
    buys = target * cash - rest * buyers > 0.0
    sells = target * cash - rest * sellers < 0.0
    if buys == sells:
        return position
    side, price = (1.0, buyers) if buys else (-1.0, sellers)
    worth = cash / price + position * (1.0 + side * fee)
    if worth <= 0.0:
        return 0.0
    return target * worth / (1.0 + side * target * fee)


@numba.njit(cache=True)
def _in_lots(wanted: float, lot: float) -> float:
    if lot <= 0.0:
        return wanted
    steps = abs(wanted) / lot
    return float(np.copysign(np.floor(steps + DUST + ROUNDING * steps) * lot, wanted))


@numba.njit(cache=True)
def _record(fills: Floats, count: int, at: Ints, state: Floats, row: Floats, booked: Floats) -> int:
    """Write a fill (quantity, price, fee, slippage, liquidation, equity, exposure, reason)."""
    fill = fills[count]
    fill[0] = at[0]
    fill[1:7] = booked[:6]
    fill[7] = state[POSITION]
    fill[8] = booked[6]
    fill[9] = booked[7]
    fill[10] = state[FUNDED]
    fill[11] = state[BORROWED]
    fill[12] = at[1]
    state[FUNDED] = state[BORROWED] = 0.0
    row[FEE] += booked[2]
    row[SLIP] += booked[3]
    row[LIQUIDATION] += booked[4]
    if booked[7] != BY_LIQUIDATION and booked[5] > 0.0:
        row[TURNOVER] += abs(booked[0]) * booked[1] / booked[5]
    return count + 1


@numba.njit(cache=True)
def _trade(
    wanted: float,
    reference: float,
    slippage: float,
    fee: float,
    reason: int,
    orders: Floats,
    state: Floats,
    row: Floats,
    fills: Floats,
    count: int,
    at: Ints,
) -> int:
    held = state[POSITION]
    quantity = wanted - held
    if quantity == 0.0:
        return count
    price = _moved(reference, slippage if quantity > 0.0 else -slippage, orders[INVERSE])
    paid = abs(quantity) * price * fee
    equity = state[CASH] + held * reference
    cash = state[CASH] - quantity * price - paid
    after = cash + wanted * price
    row[PNL] += quantity * (state[MARK] - reference)
    booked = np.zeros(8)
    if after <= 0.0:
        booked[4], booked[7] = -after, BY_LIQUIDATION
        if wanted != 0.0:
            row[PNL] += wanted * (price - state[MARK])
        cash = wanted = 0.0
        state[STOPPED] = 1.0
    else:
        booked[6], booked[7] = wanted * price / after, reason
    if wanted == 0.0:
        state[ENTRY] = state[PEAK] = 0.0
    elif held * wanted <= 0.0:
        state[ENTRY] = state[PEAK] = price
    elif abs(wanted) > abs(held):
        state[ENTRY] = (held * state[ENTRY] + quantity * price) / wanted
    state[CASH], state[POSITION] = cash, wanted
    booked[0], booked[1], booked[2], booked[5] = quantity, price, paid, equity
    booked[3] = abs(quantity) * abs(price - reference)
    return _record(fills, count, at, state, row, booked)


@numba.njit(cache=True)
def _liquidate(
    price: float,
    terms: Floats,
    orders: Floats,
    state: Floats,
    row: Floats,
    fills: Floats,
    count: int,
    at: Ints,
) -> int:
    position = state[POSITION]
    wallet, margin = _margin(state, orders, 0.0)
    left = margin + position * (price - state[ENTRY])
    fee = min(max(left, 0.0), terms[LIQUIDATION_FEE] * abs(position) * price)
    row[PNL] += position * (price - state[MARK])
    booked = np.zeros(8)
    booked[0], booked[1], booked[2], booked[4] = -position, price, fee, fee - left
    booked[5] = state[CASH] + position * price
    booked[7] = BY_LIQUIDATION
    state[CASH] = wallet - margin
    state[POSITION] = state[ENTRY] = state[PEAK] = 0.0
    state[STOPPED] = 1.0
    return _record(fills, count, at, state, row, booked)


@numba.njit(cache=True, error_model="numpy")
def _stop(state: Floats, orders: Floats) -> tuple[float, int]:
    """The nearer of stop-loss and trailing stop, and which it is."""
    side = 1.0 if state[POSITION] > 0.0 else -1.0
    entry, peak = state[ENTRY], state[PEAK]
    if orders[INVERSE] > 0.0:
        fixed = _moved(entry, -side * orders[STOP_LOSS], 1.0)
        trailing = _moved(peak, -side * orders[TRAILING] * peak / entry, 1.0)
    else:
        fixed = entry * (1.0 - side * orders[STOP_LOSS])
        trailing = peak - side * orders[TRAILING] * entry
    follows = side * (trailing - fixed) > 0.0
    price = trailing if follows else fixed
    if orders[TICK] > 0.0:
        price = _on_tick(price, -side, orders[TICK], orders[INVERSE])
    return price, BY_TRAILING if follows else BY_STOP


@numba.njit(cache=True)
def _profit(state: Floats, orders: Floats) -> float:
    side = 1.0 if state[POSITION] > 0.0 else -1.0
    price = state[ENTRY] * (1.0 + side * orders[TAKE_PROFIT])
    if orders[INVERSE] > 0.0:
        price = _moved(state[ENTRY], side * orders[TAKE_PROFIT], 1.0)
    if orders[TICK] > 0.0:
        return _on_tick(price, -side, orders[TICK], orders[INVERSE])
    return float(price)


@numba.njit(cache=True)
def _slippage(order: float, terms: Floats) -> float:
    return float(min(terms[SLIPPAGE] + terms[IMPACT] * np.sqrt(order), DEAREST))


@numba.njit(cache=True)
def _receive(payment: float, state: Floats, row: Floats) -> None:
    state[CASH] += payment
    state[FUNDED] += payment
    row[FUNDING] += payment


@numba.njit(cache=True)
def _at_open(
    open_: float,
    rested: bool,
    terms: Floats,
    orders: Floats,
    table: Floats,
    how: Floats,
    state: Floats,
    row: Floats,
    fills: Floats,
    count: int,
    at: Ints,
) -> int:
    """Gaps: the position carried in is liquidated at the opening mark, or stopped at the open."""
    position = state[POSITION]
    side = 1.0 if position > 0.0 else -1.0
    _, margin = _margin(state, orders, 0.0)
    trigger = _liquidation_price(position, state[ENTRY], margin, table, how)
    if orders[TICK] > 0.0:
        trigger = _on_tick(trigger, side, orders[TICK], orders[INVERSE])
    if side * (state[MARK] - trigger) <= 0.0:
        return _liquidate(state[MARK], terms, orders, state, row, fills, count, at)
    stop, reason = _stop(state, orders)
    profit = _profit(state, orders)
    stopped = side * (open_ - stop) <= 0.0
    if not stopped and (rested or side * (open_ - profit) < 0.0):
        return count
    state[STOPPED] = 1.0
    slippage = _slippage(abs(position) * open_, terms)
    why = reason if stopped else BY_TAKE_PROFIT
    return _trade(0.0, open_, slippage, terms[TAKER], why, orders, state, row, fills, count, at)


@numba.njit(cache=True)
def _ask(
    target: float,
    open_: float,
    terms: Floats,
    orders: Floats,
    state: Floats,
    row: Floats,
    fills: Floats,
    count: int,
    at: Ints,
) -> int:
    """The target's fill at the open, or the limit order it becomes."""
    equity = state[CASH] + state[POSITION] * open_
    asked = target != state[ASKED]
    state[ASKED] = target
    if asked:
        state[STOPPED] = 0.0
        state[LIMIT] = np.nan
    if equity <= 0.0 or np.isfinite(state[LIMIT]):
        return count
    drift = abs(state[POSITION] * open_ / equity - target)
    if not asked and (state[STOPPED] > 0.0 or drift <= orders[BAND]):
        return count
    rests = np.isfinite(orders[OFFSET]) and target != 0.0 and state[POSITION] * target <= 0.0
    if rests:
        side = 1.0 if target > 0.0 else -1.0
        limit = _moved(open_, -side * orders[OFFSET], orders[INVERSE])
        if orders[TICK] > 0.0:
            limit = _on_tick(limit, side, orders[TICK], orders[INVERSE])
        state[LIMIT] = limit
        target = 0.0
    order = abs(target * equity - state[POSITION] * open_)
    slippage = _slippage(order, terms)
    wanted = _wanted(
        target, state[CASH], state[POSITION], open_, terms[TAKER], slippage, orders[INVERSE]
    )
    if not (orders[LOT] > 0.0 and wanted == state[POSITION]):
        wanted = _in_lots(wanted, orders[LOT])
    return _trade(
        wanted, open_, slippage, terms[TAKER], BY_TARGET, orders, state, row, fills, count, at
    )


@numba.njit(cache=True)
def _fill_limit(
    prices: Floats,
    terms: Floats,
    orders: Floats,
    state: Floats,
    row: Floats,
    fills: Floats,
    count: int,
    at: Ints,
) -> int:
    limit, target = state[LIMIT], state[ASKED]
    through = prices[2] < limit if target > 0.0 else prices[1] > limit
    if not through or state[CASH] <= 0.0:
        return count
    wanted = _wanted(target, state[CASH], 0.0, limit, terms[MAKER], 0.0, orders[INVERSE])
    state[LIMIT] = np.nan
    wanted = _in_lots(wanted, orders[LOT])
    return _trade(wanted, limit, 0.0, terms[MAKER], BY_LIMIT, orders, state, row, fills, count, at)


@numba.njit(cache=True)
def _spared(price: float, terms: Floats, orders: Floats, state: Floats) -> float:
    """What a stop at a price leaves beyond what a liquidation does."""
    position = state[POSITION]
    size, side = abs(position), 1.0 if position > 0.0 else -1.0
    sold = _moved(price, -side * _slippage(size * price, terms), orders[INVERSE])
    left = state[CASH] + position * sold - size * sold * terms[TAKER]
    wallet, margin = _margin(state, orders, 0.0)
    return float(max(left, 0.0) - (wallet - margin))


@numba.njit(cache=True)
def _inside(
    prices: Floats,
    marks: Floats,
    funding: Floats,
    entered: bool,
    rested: bool,
    terms: Floats,
    orders: Floats,
    table: Floats,
    how: Floats,
    state: Floats,
    row: Floats,
    fills: Floats,
    count: int,
    at: Ints,
) -> int:
    """Funding stamped inside, stops and liquidation on the extremes."""
    position = state[POSITION]
    long = position > 0.0
    side = 1.0 if long else -1.0
    place = 0 if long else 1
    hold, leave = abs(position) * funding[1 + place], abs(position) * funding[3 + place]
    if entered:
        hold = abs(position) * funding[5 + place]
        leave = min(hold, leave) if orders[RESOLVE] < 0.0 else max(hold, leave)
    _, margin = _margin(state, orders, leave)
    trigger = _liquidation_price(position, state[ENTRY], margin, table, how)
    if orders[TICK] > 0.0:
        trigger = _on_tick(trigger, side, orders[TICK], orders[INVERSE])
    stop, reason = _stop(state, orders)
    profit = _profit(state, orders)
    liquidated = side * ((marks[2] if long else marks[1]) - trigger) <= 0.0
    stopped = side * ((prices[2] if long else prices[1]) - stop) <= 0.0
    gained = not rested and side * ((prices[1] if long else prices[2]) - profit) >= 0.0
    if liquidated and stopped and orders[SEPARATE] == 0.0:
        stopped = side * (stop - trigger) > 0.0
        liquidated = not stopped
    exits = int(liquidated) + int(stopped) + int(gained)
    if exits == 0:
        if entered and hold != abs(position) * funding[1 + place]:
            row[AMBIGUOUS] = 1.0
        _receive(hold, state, row)
        return count
    if exits > 1 or leave != abs(position) * funding[1 + place]:
        row[AMBIGUOUS] = 1.0
    _receive(leave, state, row)
    against = orders[RESOLVE] < 0.0
    halted = prices[0] if side * (prices[0] - stop) <= 0.0 else stop
    if liquidated and stopped and orders[RESOLVE] != -1.0:
        spared = _spared(halted, terms, orders, state)
        stopped = spared < 0.0 if against else spared > 0.0
        liquidated = not stopped
    if liquidated and (against or not gained):
        price = marks[0] if side * (marks[0] - trigger) <= 0.0 else trigger
        return _liquidate(price, terms, orders, state, row, fills, count, at)
    state[STOPPED] = 1.0
    price, why = profit, BY_TAKE_PROFIT
    if stopped and (against or not gained):
        price, why = halted, reason
    slippage = _slippage(abs(position) * price, terms)
    return _trade(0.0, price, slippage, terms[TAKER], why, orders, state, row, fills, count, at)


@numba.njit(cache=True)
def _excess(state: Floats, orders: Floats, table: Floats, how: Floats) -> float:
    """Measure of a position that its bracket does not allow, else 0."""
    size = abs(state[POSITION])
    measure = size if how[0] == 2.0 else size * state[ENTRY]
    if measure > table[-1, 0] or orders[LEVERAGE] > table[_bracket(measure, table), 3]:
        return float(measure)
    return 0.0


@numba.njit(cache=True)
def _loop(
    first: Ints,
    prices: Floats,
    marks: Floats,
    funding: Floats,
    targets: Floats,
    rule: Ints,
    terms: Floats,
    tables: Floats,
    hows: Floats,
    orders: Floats,
    state: Floats,
    ledger: Floats,
    fills: Floats,
) -> tuple[int, int, float]:
    count = 0
    at = np.zeros(2, dtype=np.int64)
    for bar in range(len(targets)):
        row, term, table, how = ledger[bar], terms[bar], tables[rule[bar]], hows[rule[bar]]
        at[0] = bar
        rested = False
        for step in range(first[bar], first[bar + 1]):
            at[1] = step
            row[PNL] += state[POSITION] * (marks[step, 0] - state[MARK])
            state[MARK] = marks[step, 0]
            if state[POSITION] != 0.0:
                _receive(-state[POSITION] * funding[step, 0], state, row)
                count = _at_open(
                    prices[step, 0],
                    rested,
                    term,
                    orders,
                    table,
                    how,
                    state,
                    row,
                    fills,
                    count,
                    at,
                )
            if step == first[bar]:
                held, side = abs(state[POSITION]), np.sign(state[POSITION])
                count = _ask(
                    targets[bar], prices[step, 0], term, orders, state, row, fills, count, at
                )
                if abs(state[POSITION]) > held or state[POSITION] * side < 0.0:
                    excess = _excess(state, orders, table, how)
                    if excess > 0.0:
                        return count, bar, excess
                owed = max(-state[POSITION], 0.0) * prices[step, 0] * term[BORROW_SHARE]
                state[CASH] -= owed
                state[BORROWED] += owed
                row[BORROW] += owed
            entered = False
            if np.isfinite(state[LIMIT]):
                before = count
                count = _fill_limit(prices[step], term, orders, state, row, fills, count, at)
                entered = count > before and state[POSITION] != 0.0
                rested = rested or entered
                if entered:
                    excess = _excess(state, orders, table, how)
                    if excess > 0.0:
                        return count, bar, excess
            if state[POSITION] != 0.0:
                count = _inside(
                    prices[step], marks[step], funding[step], entered, rested, term, orders,
                    table, how, state, row, fills, count, at,
                )  # fmt: skip
            row[PNL] += state[POSITION] * (marks[step, 3] - state[MARK])
            state[MARK] = marks[step, 3]
        position = state[POSITION]
        if position > 0.0:
            state[PEAK] = max(state[PEAK], prices[first[bar + 1] - 1, 3])
        elif position < 0.0:
            state[PEAK] = min(state[PEAK], prices[first[bar + 1] - 1, 3])
        wallet, margin = _margin(state, orders, 0.0)
        row[0] = state[CASH] + position * state[MARK]
        row[1] = state[CASH]
        row[2] = position
        row[4] = targets[bar]
        row[13] = wallet
        row[14] = row[15] = np.nan
        if position != 0.0:
            row[3] = position * state[MARK] / row[0] if row[0] > 0.0 else np.nan
            row[14] = state[ENTRY]
            trigger = _liquidation_price(position, state[ENTRY], margin, table, how)
            if orders[TICK] > 0.0:
                trigger = _on_tick(trigger, np.sign(position), orders[TICK], orders[INVERSE])
            row[15] = trigger if trigger > 0.0 else np.nan
    return count, -1, 0.0


def run_perp_jitted(
    market: MarketArrays, targets: Floats, terms: TermArrays, orders: Floats, state: Floats
) -> tuple[Floats, Floats, int, float]:
    """Simulate a margin account over bars, compiled."""
    ledger = np.zeros((len(targets), 16))
    fills = np.empty((4 * len(targets), 13))
    count, refused, excess = _loop(
        market.first, market.prices, market.marks, market.funding, targets, terms.rule,
        terms.paid, terms.brackets, terms.how, orders, state, ledger, fills,
    )  # fmt: skip
    return ledger, fills[:count].copy(), refused, excess
