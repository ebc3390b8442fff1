"""The arithmetic of an account, compiled once for the loop of a run and the loop of a sweep.

`delever.venues` says the same in plain Python; a test compares the two. Prices, positions and
targets of an inverse contract are the reciprocal ones of `delever.engine.inverse`.
"""

from __future__ import annotations

import numpy as np

from delever.arguments import Floats
from delever.engine.compiled import inlined
from delever.engine.settings import Orders
from delever.engine.steps import DUST, MarginRule

ROUNDING = 1e-15
DEAREST = 0.99
BY_ENTRY, BY_SIZE = 1.0, 2.0  # what chooses a bracket; 0 is the mark
CAP, RATE, AMOUNT, MOST_LEVERAGE = range(4)  # columns of a table of brackets


@inlined()
def moved(price: float, fraction: float, inverse: float) -> float:
    """Price that is a fraction of the quoted price away."""
    if inverse > 0.0:
        return price / (1.0 - fraction) if fraction < 1.0 else np.inf
    return price * (1.0 + fraction)


@inlined()
def on_tick(price: float, side: float, tick: float, inverse: float) -> float:
    """Price on the grid of ticks, up for +1 and down for -1."""
    if not (tick > 0.0 and 0.0 < price < np.inf):
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


@inlined()
def in_lots(wanted: float, lot: float) -> float:
    """Position in whole lots, towards flat."""
    if lot <= 0.0:
        return wanted
    steps = abs(wanted) / lot
    return float(np.copysign(np.floor(steps + DUST + ROUNDING * steps) * lot, wanted))


@inlined()
def taken(wanted: float, position: float, price: float, least: float) -> float:
    """Position after an order; what a venue does not take for its size opens and adds nothing."""
    kept = position if position * wanted > 0.0 else 0.0
    added = abs(wanted) - abs(kept)
    return kept if added > 0.0 and added * price < least else wanted


@inlined()
def position_at_target(
    target: float,
    cash: float,
    position: float,
    open_: float,
    fee: float,
    slippage: float,
    inverse: float,
    burden: float = 0.0,
) -> float:
    """Position whose exposure is the target once the trade that reaches it is paid."""
    rest = (1.0 - target + burden) * position
    buyers, sellers = moved(open_, slippage, inverse), moved(open_, -slippage, inverse)
    buys = target * cash - rest * buyers > 0.0
    sells = target * cash - rest * sellers < 0.0
    if buys == sells:
        return position
    if target == 0.0:
        return 0.0
    side, price = (1.0, buyers) if buys else (-1.0, sellers)
    left = cash / price + position * (1.0 + side * fee)
    return target * left / (1.0 + side * target * fee + burden) if left > 0.0 else 0.0


@inlined()
def slippage_of(order: float, fraction: float, impact: float) -> float:
    """Fraction that a fill of the notional `order` is worse by."""
    return float(min(fraction + impact * np.sqrt(order), DEAREST))


@inlined()
def entry_after(
    position: float, entry: float, quantity: float, wanted: float, price: float
) -> float:
    """Entry price of a position after a fill that leaves it `wanted`, which is not flat."""
    if position * wanted <= 0.0:
        return price
    if abs(wanted) > abs(position):
        return (position * entry + quantity * price) / wanted
    return entry


@inlined()
def margin_behind(position: float, entry: float, wallet: float, order: Orders) -> float:
    """What stands behind a position: its margin, or the whole wallet balance."""
    if order.cross > 0.0:
        return wallet
    own = abs(position) * entry / order.leverage
    return wallet if own >= wallet * (1.0 - DUST) else own


@inlined()
def bracket_row(measure: float, table: Floats) -> int:
    """Row of the bracket that a measure falls into."""
    for row in range(len(table)):
        if measure <= table[row, CAP]:
            return row
    return len(table) - 1


@inlined()
def excess(position: float, entry: float, table: Floats, rule: MarginRule, order: Orders) -> float:
    """Measure of a position that its bracket does not allow, else 0."""
    size = abs(position)
    measure = size if rule.bracket_by == BY_SIZE else size * entry
    if measure > table[-1, CAP]:
        return measure
    return measure if order.leverage > table[bracket_row(measure, table), MOST_LEVERAGE] else 0.0


@inlined()
def maintenance(
    position: float, entry: float, mark: float, table: Floats, rule: MarginRule
) -> tuple[float, float]:
    """Maintenance margin of a position at a mark, and what it grows by with its notional."""
    size = abs(position)
    if size == 0.0:
        return 0.0, 0.0
    first, last = 0, len(table) - 1
    if rule.bracket_by > 0.0:
        measure = size * entry if rule.bracket_by == BY_ENTRY else size
        first = last = bracket_row(measure, table)
    needs, grows = -np.inf, 0.0
    for row in range(first, last + 1):
        rate, constant = rule.closing_fee + table[row, RATE], -table[row, AMOUNT]
        if rule.on_entry > 0.0:
            constant = table[row, RATE] * (size * entry) - table[row, AMOUNT]
            rate = rule.closing_fee
        found = rate * (size * mark) + constant
        if found > needs:
            needs, grows = found, rate
    return needs, grows


@inlined()
def liquidation_price(
    position: float,
    entry: float,
    margin: float,
    table: Floats,
    rule: MarginRule,
    tick: float,
    inverse: float,
) -> float:
    """Trigger; 0 when no price does it to a long, or when every price does it to a short."""
    side = 1.0 if position > 0.0 else -1.0
    size = abs(position)
    notional = size * entry
    if side > 0.0 and margin >= notional and rule.on_entry == 0.0:
        return 0.0  # paid in full: amounts are at least 0, so no line crosses above zero
    first, last = 0, len(table) - 1
    if rule.bracket_by > 0.0:
        first = last = bracket_row(notional if rule.bracket_by == BY_ENTRY else size, table)
    best = -np.inf if side > 0.0 else np.inf
    for row in range(first, last + 1):
        rate, constant = rule.closing_fee + table[row, RATE], -table[row, AMOUNT]
        if rule.on_entry > 0.0:
            rate, constant = rule.closing_fee, table[row, RATE] * notional - table[row, AMOUNT]
        met = (side * notional + constant - margin) / (side - rate)
        best = max(best, met) if side > 0.0 else min(best, met)
    return on_tick(max(best, 0.0) / size, side, tick, inverse)


@inlined()
def stop_price(
    position: float, entry: float, peak: float, order: Orders, inverse: float
) -> tuple[float, bool]:
    """The nearest of the stops, and whether it is the trailing one."""
    side = 1.0 if position > 0.0 else -1.0
    fixed = moved(entry, -side * order.stop_loss, inverse)
    if side * (order.stop_price - fixed) > 0.0:
        fixed = order.stop_price
    trailing = moved(peak, -side * order.trailing_stop, inverse)
    follows = side * (trailing - fixed) > 0.0
    return on_tick(trailing if follows else fixed, -side, order.tick, inverse), follows


@inlined()
def profit_price(position: float, entry: float, order: Orders, inverse: float) -> float:
    """Price of the take-profit; never met when there is none."""
    side = 1.0 if position > 0.0 else -1.0
    price = moved(entry, side * order.take_profit, inverse)
    if side * (order.take_profit_price - price) < 0.0:
        price = order.take_profit_price
    return on_tick(price, -side, order.tick, inverse)


@inlined()
def passed(side: float, price: float, order: Orders) -> bool:
    """Whether a price lies beyond the stop or the target that the decision names."""
    stop, profit = order.stop_price, order.take_profit_price
    return bool(side * (price - stop) <= 0.0 or side * (price - profit) >= 0.0)
