"""The compiled loop of a sweep: account by account over the bars, and their metrics with them.

What happens to an account seldom (a new target, a stop, a liquidation) is done in the order and
with the arithmetic of `perp_kernel`. Between two such bars an account is a line in the mark price:
its equity is what it held then, plus its position times mark and funding received so far. A whole
stretch of bars is measured at once there, in a loop without a branch that the compiler turns into
vector instructions. How far a stretch reaches is known from the prices beyond which something may
happen to the account, and from the extremes of each `STRETCH` of bars.

numba's cache follows this file only, so everything the loop needs is written here. It allocates
nothing, so it goes without counting references (`_nrt`): each view of a row would cost more there
than what is done with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

__all__ = ["END_ROWS", "PARAMETERS", "SCOPE_ROWS", "STRETCH", "Lines", "run_block"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
F = TypeVar("F", bound=Callable[..., Any])

STRETCH, PIECE = 64, 128
"""Bars whose extremes are known together, and bars measured at once."""

END_ROWS = 4
EQUITY, TROUGH, REFUSED, EXCESS = range(4)
"""How an account ends: equity, lowest equity over peak, bar and measure of a refused position."""

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
ROUNDING = 1e-15


class Lines(NamedTuple):
    """What the bars do to an account that nothing happens to; long or short first where two."""

    mark: Floats  # shape (n,): mark price at each close
    paid: Floats  # shape (2, n): funding that one unit has received since the first bar
    worth: Floats  # shape (2, n): mark price plus that
    # shape (2, n): how far funding may have moved the prices at which a long, a short is liquidated
    lift: Floats
    reach: Floats  # shape (2, n): lowest price less its lift, highest price plus its own
    least: Floats  # shape (ceil(n / STRETCH): extremes of `reach` in each stretch
    most: Floats  # shape (ceil(n / STRETCH)
    # shape (n,): the next bar in another scope, under another rule; n where there is none
    other_scope: Ints
    other_rule: Ints  # shape (n,)


def _compiled(**options: Any) -> Callable[[F], F]:
    compiler: Any = numba.njit  # does not own up to `_nrt`
    made: Callable[[F], F] = compiler(cache=True, _nrt=False, **options)
    return made


@_compiled(forceinline=True)
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
    """What an account pays in a bar, the orders beside its target, and the grid of their prices."""

    fee: float
    slippage: float
    leverage: float
    cross: float
    stop_loss: float
    take_profit: float
    trailing: float
    tick: float


class Wealth(NamedTuple):
    """What an account is worth at the last close, was worth on entering the scope, and its path."""

    equity: float
    begun: float
    peak: float
    trough: float


class Line(NamedTuple):
    """Equity between events: a part that stays, and a position times what a unit is worth."""

    base: float
    position: float
    worth: Floats


@_compiled(forceinline=True)
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


@_compiled(forceinline=True)
def _margin(held: Held, terms: Terms, paid: float) -> float:
    """What stands behind the position once `paid` is received."""
    wallet = held.cash + paid + held.position * held.entry
    if terms.cross > 0.0:
        return wallet
    own = abs(held.position) * held.entry / terms.leverage
    return wallet if own >= wallet * (1.0 - DUST) else own


@_compiled(forceinline=True)
def _on_tick(price: float, side: float, tick: float) -> float:
    """Price on the grid of ticks, up for +1 and down for -1."""
    if not (tick > 0.0 and 0.0 < price < np.inf):
        return price
    steps = price / tick
    nearly = DUST + ROUNDING * steps
    whole = np.ceil(steps - nearly) if side > 0.0 else np.floor(steps + nearly)
    per_unit = np.floor(1.0 / tick + 0.5)
    return float(whole / per_unit if abs(per_unit * tick - 1.0) < DUST else whole * tick)


@_compiled(forceinline=True)
def _trigger(
    held: Held, terms: Terms, margin: float, rule: int, tables: Floats, hows: Floats
) -> float:
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
    return _on_tick(max(best, 0.0) / size, side, terms.tick)


@_compiled(forceinline=True)
def _stop(held: Held, terms: Terms) -> float:
    """The nearer of stop-loss and trailing stop."""
    side = 1.0 if held.position > 0.0 else -1.0
    fixed = held.entry * (1.0 - side * terms.stop_loss)
    trailing = held.peak - side * terms.trailing * held.entry
    nearer = trailing if side * (trailing - fixed) > 0.0 else fixed
    return _on_tick(nearer, -side, terms.tick)


@_compiled(forceinline=True)
def _profit(held: Held, terms: Terms) -> float:
    side = 1.0 if held.position > 0.0 else -1.0
    return _on_tick(held.entry * (1.0 + side * terms.take_profit), -side, terms.tick)


@_compiled(forceinline=True)
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


@_compiled(forceinline=True)
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


@_compiled(forceinline=True)
def _receive(held: Held, payment: float) -> Held:
    return Held(
        held.cash + payment, held.position, held.entry, held.peak, held.basis, held.turnover,
        held.trades, held.hits, held.fee, held.slippage, held.liquidations, held.liquidation,
        held.funding + payment,
    )  # fmt: skip


@_compiled(forceinline=True)
def _at_open(held: Held, terms: Terms, market: Floats, time: int, trigger: float) -> Held:
    """Gaps: liquidated at the opening mark, or stopped at the open."""
    side = 1.0 if held.position > 0.0 else -1.0
    open_, mark = market[time, OPEN], market[time, MARK_OPEN]
    if side * (mark - trigger) <= 0.0:
        return _liquidate(held, mark, terms, market[time, BAR_LIQUIDATION])
    profit = _profit(held, terms)
    if side * (open_ - _stop(held, terms)) <= 0.0 or side * (open_ - profit) >= 0.0:
        return _trade(held, 0.0, open_, terms)
    return held


@_compiled(forceinline=True)
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
    profit = _profit(held, terms)
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


@_compiled(forceinline=True)
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


@_compiled(forceinline=True)
def _alarms(held: Held, terms: Terms, trigger: float) -> tuple[float, float]:
    """Prices beyond which something may happen to an account."""
    if held.position == 0.0:
        return -np.inf, np.inf
    if terms.trailing < np.inf:
        return np.inf, -np.inf  # the stop follows each close, so every bar is looked at
    stop, gain = _stop(held, terms), _profit(held, terms)
    low, high = (max(trigger, stop), gain) if held.position > 0.0 else (gain, min(trigger, stop))
    # Funding may move the exact price of a liquidation, and its tick with it.
    return low * (1.0 + DUST) + terms.tick, high * (1.0 - DUST) - terms.tick


@_compiled(forceinline=True)
def _rebalanced(held: Held, target: float, open_: float, terms: Terms, lot: float) -> Held:
    """Trade to a new target at the open, if there is anything to trade with."""
    if held.cash + held.position * open_ <= 0.0:
        return held
    wanted = _wanted(target, held.cash, held.position, open_, terms.fee, terms.slippage)
    if lot > 0.0 and wanted != held.position:
        steps = abs(wanted) / lot
        wanted = math.copysign(math.floor(steps + DUST + ROUNDING * steps) * lot, wanted)
    return _trade(held, wanted, open_, terms)


@_compiled(forceinline=True)
def _within(
    held: Held, terms: Terms, market: Floats, time: int, rule: int, tables: Floats, hows: Floats,
    separate: bool,
) -> tuple[Held, float]:  # fmt: skip
    """The inside of a bar, and the liquidation price after it."""
    leave = market[time, LEAVE_LONG if held.position > 0.0 else LEAVE_SHORT]
    margin = _margin(held, terms, abs(held.position) * leave)
    trigger = _trigger(held, terms, margin, rule, tables, hows)
    after = _inside(held, terms, market, time, trigger, separate)
    if after.position != 0.0 and (leave != 0.0 or after.cash != held.cash):
        trigger = _trigger(after, terms, _margin(after, terms, 0.0), rule, tables, hows)
    return after, trigger


def _chosen(sign: str) -> Callable[[float, float], float]:
    """One of two numbers, neither NaN, by an instruction that loops are vectorised with."""

    def typed(context: Any, one: Any, other: Any) -> Any:
        return types.float64(types.float64, types.float64), generate

    def generate(context: Any, builder: Any, signature: Any, numbers: Any) -> Any:
        first = builder.fcmp_ordered(sign, *numbers, flags=("nnan", "nsz"))
        return builder.select(first, *numbers, flags=("nnan", "nsz"))

    made: Any = intrinsic  # its annotations know nothing of what is made
    chosen: Callable[[float, float], float] = made(typed)
    return chosen


_smaller, _larger = _chosen("<"), _chosen(">")


@_compiled(
    forceinline=True,
    fastmath={"reassoc", "nnan", "nsz", "contract"},
    error_model="numpy",
)
def _stretch(line: Line, bars: tuple[int, int], mark: Floats, scope: Floats) -> tuple[float, float]:
    """Add bars of a line to the sums of a scope; their lowest and highest equity."""
    (base, position, worth), (first, last) = line, bars
    marks, after, ago = mark[first:last], worth[first:last], worth[first - 1 : last - 1]
    total = squares = down = exposure = 0.0
    least, most = scope[LEAST], scope[MOST]
    low, high = np.inf, -np.inf
    for bar in range(last - first):
        equity, before = base + position * after[bar], base + position * ago[bar]
        both = 1.0 / (equity * before)  # one division gives the inverses of both
        gain = equity * equity * both - 1.0
        loss = _smaller(gain, 0.0)
        total += gain
        squares += gain * gain
        down += loss * loss
        exposure += marks[bar] * before * both
        least, most = _smaller(least, gain), _larger(most, gain)
        low, high = _smaller(low, equity), _larger(high, equity)
    scope[SUM] += total
    scope[SQUARES] += squares
    scope[DOWN] += down
    scope[LEAST], scope[MOST] = least, most
    scope[EXPOSURE] += abs(position) * exposure
    scope[HELD] += last - first
    return low, high


@_compiled(forceinline=True)
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


@_compiled(forceinline=True)
def _fall(
    line: Line, bars: tuple[int, int], ends: tuple[float, float],
    peak: float, trough: float,
) -> tuple[float, float]:  # fmt: skip
    """Peak and lowest share of it after bars whose lowest and highest equity are `ends`."""
    low, high = ends
    if low < trough * max(peak, high):
        trough = min(trough, low / peak) if high <= peak else _trough(line, bars, peak, trough)
    return max(peak, high), trough


@_compiled(forceinline=True)
def _trough(line: Line, bars: tuple[int, int], peak: float, trough: float) -> float:
    """Lowest equity over the peak so far, bar by bar."""
    base, position, worth = line
    for bar in range(bars[0], bars[1]):
        equity = base + position * worth[bar]
        if equity > peak:
            peak = equity
        elif equity < trough * peak:
            trough = equity / peak
    return trough


@_compiled(forceinline=True, error_model="numpy")
def _mark(equity: float, worth: float, wealth: Wealth, scope: Floats) -> Wealth:
    """Add one bar to the sums of a scope."""
    before, peak, trough = wealth.equity, max(wealth.peak, equity), wealth.trough
    gain = equity / before - 1.0 if before > 0.0 else 0.0
    scope[SUM] += gain
    scope[SQUARES] += gain * gain
    scope[DOWN] += min(gain, 0.0) ** 2
    scope[LEAST], scope[MOST] = min(scope[LEAST], gain), max(scope[MOST], gain)
    if worth != 0.0:
        scope[HELD] += 1.0
        scope[EXPOSURE] += abs(worth) / equity if equity > 0.0 else 0.0
    if equity < trough * peak:
        trough = equity / peak
    scope[SCOPE_PEAK] = max(scope[SCOPE_PEAK], equity)
    if equity < scope[SCOPE_TROUGH] * scope[SCOPE_PEAK]:
        scope[SCOPE_TROUGH] = equity / scope[SCOPE_PEAK]
    return Wealth(equity, wealth.begun, peak, trough)


@_compiled(forceinline=True)
def _book(held: Held, close: float, scope: Floats) -> Held:
    """Move what a bar cost into the sums of a scope; the best close follows the bar's."""
    best = held.peak
    if held.position > 0.0:
        best = max(best, close)
    elif held.position < 0.0:
        best = min(best, close)
    scope[TURNOVER] += held.turnover
    scope[TRADES] += held.trades
    scope[HITS] += held.hits
    scope[FEE] += held.fee
    scope[SLIPPAGE] += held.slippage
    scope[FUNDING] += held.funding
    scope[LIQUIDATIONS] += held.liquidations
    scope[LIQUIDATION] += held.liquidation
    return Held(
        held.cash, held.position, held.entry, best, held.basis,
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    )  # fmt: skip


@_compiled(forceinline=True)
def _enter(here: Floats, gone: Floats, wealth: Wealth) -> Wealth:
    """End a stretch of bars in one scope and begin one in the other, at the last close."""
    equity = wealth.equity
    gone[WEALTH] *= equity / wealth.begun if wealth.begun > 0.0 else 1.0
    gone[ABOVE] = gone[SCOPE_PEAK] / equity if equity > 0.0 else 1.0
    here[SCOPE_PEAK] = here[ABOVE] * equity
    return Wealth(equity, equity, wealth.peak, wealth.trough)


@_compiled(forceinline=True)
def _pass(
    time: int, until: int, held: Held, wealth: Wealth, lines: Lines, inside: Ints, scopes: Floats
) -> tuple[Held, Wealth]:
    """Take an account from `time` to `until`, with nothing on the way but funding and scopes."""
    lane = 1 if held.position < 0.0 else 0
    paid, worth = lines.paid[lane], lines.worth[lane]
    line = Line(held.cash - held.position * paid[time - 1], held.position, worth)
    while time < until:
        scope = scopes[inside[time]]
        if inside[time] != inside[time - 1]:
            wealth = _enter(scope, scopes[inside[time - 1]], wealth)
        last = min(until, lines.other_scope[time])
        if line.position == 0.0:
            scope[LEAST], scope[MOST] = min(scope[LEAST], 0.0), max(scope[MOST], 0.0)
        else:
            last = min(last, time + PIECE)
            ends = _stretch(line, (time, last), lines.mark, scope)
            peak, trough = _fall(line, (time, last), ends, wealth.peak, wealth.trough)
            scope[SCOPE_PEAK], scope[SCOPE_TROUGH] = _fall(
                line, (time, last), ends, scope[SCOPE_PEAK], scope[SCOPE_TROUGH]
            )
            scope[FUNDING] += line.position * (paid[last - 1] - paid[time - 1])
            equity = line.base + line.position * worth[last - 1]
            wealth = Wealth(equity, wealth.begun, peak, trough)
            cash = line.base + line.position * paid[last - 1]
            held = Held(
                cash, held.position, held.entry, held.peak, held.basis,
                0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
            )  # fmt: skip
        time = last
    return held, wealth


@_compiled(forceinline=True)
def _terms(market: Floats, time: int, orders: Floats, tick: float) -> Terms:
    fee, slippage = orders[TAKER], orders[SLIP]
    return Terms(
        market[time, BAR_TAKER] if np.isnan(fee) else fee,
        market[time, BAR_SLIP] if np.isnan(slippage) else slippage,
        orders[LEVERAGE], orders[CROSS], orders[STOP_LOSS], orders[TAKE_PROFIT], orders[TRAILING],
        tick,
    )  # fmt: skip


@_compiled(forceinline=True)
def _run(
    market: Floats,
    lines: Lines,
    inside: Ints,
    rule: Ints,
    tables: Floats,
    hows: Floats,
    lot: float,
    tick: float,
    separate: bool,
    begin: int,
    cash: float,
    bars: Ints,
    targets: Floats,
    orders: Floats,
    ends: Floats,
    scopes: Floats,
) -> None:
    """One account: a bar at which something may happen, then the bars at which nothing does."""
    place, time = 0, begin
    held = Held(cash, 0.0, 0.0, 0.0, cash, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    wealth = Wealth(cash, cash, cash, 1.0)
    asked, trigger, low, high = 0.0, 0.0, -np.inf, np.inf
    while time < len(market):
        scope, terms, ruled = scopes[inside[time]], _terms(market, time, orders, tick), rule[time]
        if time > begin and inside[time] != inside[time - 1]:
            wealth = _enter(scope, scopes[inside[time - 1]], wealth)
        if held.position != 0.0:
            held = _receive(held, -held.position * market[time, PAID_OPEN])
            near = lines.reach[0, time] <= low or lines.reach[1, time] >= high
            if near or ruled != rule[time - 1]:
                trigger = _trigger(held, terms, _margin(held, terms, 0.0), ruled, tables, hows)
                held = _at_open(held, terms, market, time, trigger)
        if place < len(bars) and bars[place] == time:
            target, carried = targets[place], held.position
            place += 1
            if target != asked:
                asked = target
                held = _rebalanced(held, target, market[time, OPEN], terms, lot)
                excess = _refused(carried, held, terms, ruled, tables, hows[ruled, 0])
                if excess > 0.0 and ends[REFUSED] < 0.0:
                    ends[REFUSED], ends[EXCESS] = time, excess
        if held.position != 0.0:
            held, trigger = _within(held, terms, market, time, ruled, tables, hows, separate)
        held = _book(held, market[time, CLOSE], scope)
        low, high = _alarms(held, terms, trigger)
        low, high = low - lines.lift[0, time], high + lines.lift[1, time]
        worth = held.position * market[time, MARK_CLOSE]
        wealth = _mark(held.cash + worth, worth, wealth, scope)
        time += 1
        until = bars[place] if place < len(bars) else len(market)
        if held.position != 0.0:
            until = _quiet(time, min(until, lines.other_rule[time - 1]), low, high, lines)
        held, wealth = _pass(time, until, held, wealth, lines, inside, scopes)
        time = until
    _enter(scopes[1 - inside[-1]], scopes[inside[-1]], wealth)
    ends[EQUITY], ends[TROUGH] = wealth.equity, wealth.trough


@_compiled(nogil=True)
def run_block(
    market: Floats,
    lines: Lines,
    inside: Ints,
    rule: Ints,
    tables: Floats,
    hows: Floats,
    lot: float,
    tick: float,
    separate: bool,
    cash: float,
    begins: Ints,
    firsts: Ints,
    bars: Ints,
    targets: Floats,
    orders: Floats,
    ends: Floats,
    scopes: Floats,
) -> None:
    """Run accounts over the bars; see `delever.engine.sweep_accounts` for what the arrays hold."""
    for row in range(len(begins)):
        own = slice(firsts[row], firsts[row + 1])
        _run(
            market, lines, inside, rule, tables, hows, lot, tick, separate, begins[row], cash,
            bars[own], targets[own], orders[row], ends[row], scopes[row],
        )  # fmt: skip
