"""The loop over bars of an account, compiled.

Inside a step, in order: the mark at the open; funding stamped there; liquidation or stops on a
gap; the decision (first step of a bar) and borrow; resting limit orders; funding stamped inside,
stops and liquidation on the extremes; the mark at the close.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from delever.arguments import Floats
from delever.engine.arithmetic import (
    in_lots,
    moved,
    on_tick,
    passed,
    position_at_target,
    profit_price,
    taken,
)
from delever.engine.arrays import record
from delever.engine.by_reference import by_reference
from delever.engine.compiled import by_engine, compiled, inner, numbers
from delever.engine.kernel_events import (
    BY_LIMIT,
    BY_PROFIT,
    BY_TARGET,
    BY_TIME,
    EXPOSURE,
    LIMIT,
    N_FUNDING,
    N_PRICES,
    N_RULE,
    N_TERMS,
    ORDERS,
    PLACE,
    CompiledRun,
    fill_to,
    force_out,
    leave_at,
    margin_of,
    nearest_stop,
    pay_borrow,
    receive,
    slippage_for,
    too_large,
    trigger_of,
    value_at_mark,
    wallet_of,
)
from delever.engine.ledger import FILL, LEDGER
from delever.engine.settings import STATE, Orders
from delever.engine.steps import (
    FillTerms,
    Funding,
    MarginRule,
    MarketArrays,
    Prices,
    Said,
    TermArrays,
)


@inner()
def at_open_of(run: CompiledRun, open_: float, rested: bool) -> None:
    """Gaps: the position carried in is liquidated at the opening mark, or stopped at the open."""
    account = run.account
    side = 1.0 if account.position > 0.0 else -1.0
    if side * (account.mark - trigger_of(run, 0.0)) <= 0.0:
        force_out(run, account.mark)
    else:
        gap_orders(run, open_, rested)


@inner()
def gap_orders(run: CompiledRun, open_: float, rested: bool) -> None:
    """Stops and take-profits that the open is past."""
    account = run.account
    side = 1.0 if account.position > 0.0 else -1.0
    stop, reason = nearest_stop(run)
    if side * (open_ - stop) <= 0.0:
        leave_at(run, open_, reason)
        return
    profit = profit_price(account.position, account.entry, run.order, run.order.inverse)
    if not rested and side * (open_ - profit) >= 0.0:
        leave_at(run, open_, BY_PROFIT)


@inner()
def due_at(run: CompiledRun, target: float, again: bool, open_: float) -> tuple[float, bool]:
    """Exposure that a decision has traded at the open, NaN for none, and whether it is new."""
    account, order = run.account, run.order
    equity = account.cash + account.position * open_ + account.elsewhere
    asked = again or target != account.asked
    account.asked = target
    if asked:
        account.stopped, account.limit, account.rung = 0.0, np.nan, 0.0
    if equity <= 0.0 or account.stopped > 0.0:
        return np.nan, False
    exposure = account.position * open_ / equity
    adds = np.copysign(1.0, target) * exposure < abs(target)
    if asked and adds and np.isfinite(run.rungs[0, LIMIT]):
        if account.position * target > 0.0:
            return np.nan, True
        account.goal = 0.0
        return 0.0, True
    if asked:
        account.rung = 1.0
        return _aim(run, target, open_), True
    if account.position != 0.0 and account.held >= order.time_stop:
        leave_at(run, open_, BY_TIME)
        return np.nan, False
    goal = account.goal
    rest_orders(run, open_)
    still = np.isnan(account.limit) and account.goal == goal
    if still and abs(exposure - goal) > order.band:
        return _aim(run, goal, open_), False
    return np.nan, False


@inner()
def _aim(run: CompiledRun, target: float, open_: float) -> float:
    """Exposure traded at the open for a target, NaN for none."""
    account, order, side = run.account, run.order, np.copysign(1.0, target)
    equity = account.cash + account.position * open_ + account.elsewhere
    account.goal, adds = target, side * account.position * open_ / equity < abs(target)
    if target != 0.0 and adds and passed(side, open_, order):
        account.stopped = 1.0
        return np.nan if account.position * target > 0.0 else 0.0
    if np.isfinite(order.limit_offset) and target != 0.0 and account.position * target <= 0.0:
        limit = moved(open_, -side * order.limit_offset, order.inverse)
        account.limit = on_tick(limit, side, order.tick, order.inverse)
        account.rung = 0.0
        return 0.0
    return target


@inner()
def _sized(run: CompiledRun, target: float, price: float, fee: float, slipped: float) -> float:
    """Position that reaches a target at a price, in whole lots."""
    account, order = run.account, run.order
    cash = account.cash + account.elsewhere
    wanted = position_at_target(target, cash, account.position, price, fee, slipped, order.inverse)
    if wanted == account.position:
        return wanted
    return taken(in_lots(wanted, order.lot), account.position, price, order.least)


@inner()
def _cross(run: CompiledRun, target: float, open_: float) -> None:
    account, fee = run.account, run.terms.taker
    equity = account.cash + account.position * open_
    slipped = slippage_for(run, abs(target * equity - account.position * open_))
    fill_to(run, _sized(run, target, open_, fee, slipped), open_, slipped, fee, BY_TARGET)


@inner()
def rest_orders(run: CompiledRun, open_: float) -> None:
    """The next rung's order rests; what the open has passed already is bought there and then."""
    account, order, resting = run.account, run.order, run.account.limit
    if account.stopped > 0.0 or np.isfinite(order.limit_offset):
        return
    while _next(run):
        exposure, limit = run.rungs[int(account.rung), EXPOSURE], account.limit
        if limit == resting or np.copysign(1.0, exposure) * (open_ - limit) >= 0.0:
            return
        account.limit = np.nan
        equity = account.cash + account.position * open_ + account.elsewhere
        slipped = slippage_for(run, abs(exposure * equity - account.position * open_))
        room = abs(1.0 - open_ / limit if order.inverse > 0.0 else limit / open_ - 1.0)
        if not _add(run, open_, min(slipped, room), run.terms.taker) or account.stopped > 0.0:
            return


@inner()
def _next(run: CompiledRun) -> bool:
    """Rest the order of the first rung from the next one on that has a price."""
    account, order = run.account, run.order
    account.limit = np.nan
    for number in range(int(account.rung), len(run.rungs)):
        price = run.rungs[number, LIMIT]
        if np.isfinite(price):
            account.rung = float(number)
            side = np.copysign(1.0, run.rungs[number, EXPOSURE])
            account.limit = on_tick(price, -side, order.tick, order.inverse)
            return True
    return False


@inner()
def _add(run: CompiledRun, price: float, slipped: float, fee: float) -> bool:
    """Add up to the next rung's exposure; False where nothing may be added at this price."""
    account, target = run.account, run.rungs[int(run.account.rung), EXPOSURE]
    equity = account.cash + account.position * price + account.elsewhere
    if equity <= 0.0 or passed(np.copysign(1.0, target), price, run.order):
        return False
    wanted = _sized(run, target, price, fee, slipped)
    account.goal = target
    account.rung += 1.0
    if abs(wanted) > abs(account.position):
        fill_to(run, wanted, price, slipped, fee, BY_LIMIT)
    return True


@inner()
def fill_limits(run: CompiledRun, last: Prices, mark: Prices, rested: bool) -> bool:
    """Fill orders that the step trades through, the nearest first.

    `rested` is whether such an order has opened the position in this bar; so is what it returns.
    """
    account, order = run.account, run.order
    while np.isfinite(account.limit):
        limit, held = account.limit, account.position
        long = run.rungs[int(account.rung), EXPOSURE] > 0.0
        through = last.low < limit if long else last.high > limit
        if not through or _out_before(run, limit, last, mark, rested):
            return rested
        if not _add(run, limit, 0.0, run.terms.maker):
            return rested
        account.limit = np.nan
        rested = rested or (held == 0.0 and account.position != 0.0)
        if account.stopped > 0.0 or np.isfinite(order.limit_offset) or not _next(run):
            return rested
    return rested


@inner()
def _out_before(run: CompiledRun, limit: float, last: Prices, mark: Prices, rested: bool) -> bool:
    """Whether what is held is closed before a limit order: on the way to it, or at its target."""
    account, order, long = run.account, run.order, run.account.position > 0.0
    if account.position == 0.0:
        return False
    side = 1.0 if long else -1.0
    forced, (stop, _) = trigger_of(run, 0.0), nearest_stop(run)
    worst, best = (mark.low, last.high) if long else (mark.high, last.low)
    if side * (limit - stop) <= 0.0 or max(side * worst, side * limit) <= side * forced:
        return True
    against = last.low if long else last.high
    hurt = side * (worst - forced) <= 0.0 or side * (against - stop) <= 0.0
    profit = profit_price(account.position, account.entry, order, order.inverse)
    gained = not rested and side * (best - profit) >= 0.0
    return bool(order.resolve < 0.0 and gained and not hurt)


@inner()
def _spared(run: CompiledRun, price: float) -> float:
    """What a stop at a price leaves beyond what a liquidation does."""
    account, size = run.account, abs(run.account.position)
    side = 1.0 if account.position > 0.0 else -1.0
    sold = moved(price, -side * slippage_for(run, size * price), run.order.inverse)
    left = account.cash + account.position * sold - size * sold * run.terms.taker
    return float(max(left, 0.0) - (wallet_of(run) - margin_of(run, 0.0)))


@inner()
def inside_of(
    run: CompiledRun, last: Prices, mark: Prices, funding: Funding, before: float, rested: bool
) -> None:
    """Funding stamped inside, stops and liquidation on the extremes.

    `before` is the size held when the step began; the rest was added inside it.
    """
    account, order = run.account, run.order
    size, long = abs(account.position), account.position > 0.0
    side = 1.0 if long else -1.0
    held = size * (funding.hold_long if long else funding.hold_short)
    left = size * (funding.leave_long if long else funding.leave_short)
    hold, leave, against = held, left, order.resolve < 0.0
    added = size - before
    if added > 0.0:
        come = added * (funding.enter_long if long else funding.enter_short)
        gone = added * (funding.leave_long if long else funding.leave_short)
        hold = before * (funding.hold_long if long else funding.hold_short) + come
        leave = before * (funding.leave_long if long else funding.leave_short)
        leave += min(come, gone) if against else max(come, gone)
    trigger = trigger_of(run, leave)
    stop, reason = nearest_stop(run)
    profit = profit_price(account.position, account.entry, order, order.inverse)
    liquidated = side * ((mark.low if long else mark.high) - trigger) <= 0.0
    stopped = side * ((last.low if long else last.high) - stop) <= 0.0
    gained = not rested and side * ((last.high if long else last.low) - profit) >= 0.0
    if liquidated and stopped and order.separate == 0.0:
        stopped = side * (stop - trigger) > 0.0
        liquidated = not stopped
    exits = int(liquidated) + int(stopped) + int(gained)
    low = last.low if long else last.high
    waits = np.isfinite(account.limit) and side * (low - account.limit) < 0.0
    hidden = gained and before > 0.0 and (added > 0.0 or waits)
    if exits > 1 or hidden or (leave if exits else hold) != held:
        run.row.ambiguous = 1.0
    receive(run, leave if exits else hold)
    if exits == 0:
        return
    halted = last.open if side * (last.open - stop) <= 0.0 else stop
    if liquidated and stopped and order.resolve != -1.0:
        spared = _spared(run, halted)
        stopped = spared < 0.0 if against else spared > 0.0
        liquidated = not stopped
    if liquidated and (against or not gained):
        force_out(run, mark.open if side * (mark.open - trigger) <= 0.0 else trigger)
    elif stopped and (against or not gained):
        leave_at(run, halted, reason)
    else:
        leave_at(run, last.open if side * (last.open - profit) >= 0.0 else profit, BY_PROFIT)


@inner()
def _step(
    run: CompiledRun, carried: CompiledRun, ask: tuple[float, bool, bool], rested: bool,
    last: Prices, mark: Prices, funding: Funding,
) -> tuple[bool, float]:  # fmt: skip
    """Whether a limit order was filled in the bar, and what no bracket allows.

    `carried` is the run with the orders in force before the decision; `ask` is the target, whether
    more of the ladder is new, and whether the bar begins here.
    """
    account, (target, again, first) = run.account, ask
    value_at_mark(run, mark.open)
    if account.position != 0.0:
        receive(run, -account.position * funding.open)
        if first:
            at_open_of(carried, last.open, rested)
        else:
            at_open_of(run, last.open, rested)
    if first:
        before = account.position
        wanted, asked = due_at(run, target, again, last.open)
        if not np.isnan(wanted):
            _cross(run, wanted, last.open)
        if asked:
            rest_orders(run, last.open)
        grown = abs(account.position) > abs(before) or account.position * before < 0.0
        if grown or (account.position != 0.0 and run.order.leverage > carried.order.leverage):
            beyond = too_large(run)
            if beyond > 0.0:
                return rested, beyond
        pay_borrow(run, last.open)
    before = account.position
    if np.isfinite(account.limit):
        rested = fill_limits(run, last, mark, rested)
        if account.position != before:
            beyond = too_large(run)
            if beyond > 0.0:
                return rested, beyond
    if account.position != 0.0:
        inside_of(run, last, mark, funding, abs(before), rested)
    if account.position > 0.0:
        account.peak = max(account.peak, last.close)
    elif account.position < 0.0:
        account.peak = min(account.peak, last.close)
    value_at_mark(run, mark.close)
    return rested, 0.0


@inner()
def _close_bar(run: CompiledRun, target: float) -> None:
    account, row, position = run.account, run.row, run.account.position
    if position != 0.0:
        account.held += 1.0
    row.equity = account.cash + position * account.mark
    row.cash, row.position, row.target_exposure = account.cash, position, target
    row.wallet_balance = wallet_of(run)
    row.entry_price = row.liquidation_price = np.nan
    if position != 0.0:
        row.exposure = position * account.mark / row.equity if row.equity > 0.0 else np.nan
        row.entry_price = account.entry
        trigger = trigger_of(run, 0.0)
        row.liquidation_price = trigger if trigger > 0.0 else np.nan


@compiled()
def _loop(
    market: MarketArrays,
    targets: Floats,
    terms: TermArrays,
    said: Said,
    orders: Any,
    state: Any,
    place: Any,
    ledger: Any,
    fills: Any,
) -> float:
    """Walk the bars; above 0 is the measure of a position that no bracket allows."""
    account, at = state[0], place[0]
    for bar in range(len(targets)):
        rule = terms.rule[bar]
        paid = FillTerms(*numbers(terms.paid[bar], N_TERMS))
        table, how = terms.brackets[rule], MarginRule(*numbers(terms.how[rule], N_RULE))
        rungs, last_row = said.rungs[bar], len(orders) - 1
        row, before, order = ledger[bar], orders[min(bar, last_row)], orders[min(bar + 1, last_row)]
        carried = by_reference(
            CompiledRun(account, at, row, fills, before, paid, table, how, rungs)
        )
        run = by_reference(CompiledRun(account, at, row, fills, order, paid, table, how, rungs))
        again = said.again[bar] > 0.0
        at.bar = bar
        rested = False
        begin, end = market.first[bar], market.first[bar + 1]
        for step in range(begin, end):
            at.step = step
            last = Prices(*numbers(market.prices[step], N_PRICES))
            mark = Prices(*numbers(market.marks[step], N_PRICES))
            funding = Funding(*numbers(market.funding[step], N_FUNDING))
            ask = (targets[bar], again, step == begin)
            rested, beyond = _step(run, carried, ask, rested, last, mark, funding)
            if beyond > 0.0:
                return beyond
        _close_bar(run, targets[bar])
    return 0.0


def run_account(
    market: MarketArrays,
    targets: Floats,
    terms: TermArrays,
    orders: Orders,
    state: Floats,
    said: Said | None = None,
    *,
    engine: str = "numba",
) -> tuple[Floats, Floats, int, float]:
    """Rows of the ledger, fills, the bar refused or -1, and the measure that no bracket allows.

    Raises InputError if there is no such engine.
    """
    told = said or Said.of(targets, orders)
    ledger = np.zeros(len(targets), dtype=record(*LEDGER))
    fills = np.empty((4 + told.rungs.shape[1]) * len(targets), dtype=record(*FILL))
    place = np.zeros(1, dtype=PLACE)
    records = state.view(record(*STATE))
    # One layout in memory, for which the loop is compiled once.
    market = MarketArrays(
        market.first, *(np.require(each, None, ["C", "W"]) for each in market[1:])
    )
    told = Said(*(np.require(each, None, ["C", "W"]) for each in told))
    ordered = told.orders.view(ORDERS).reshape(-1)
    loop = by_engine(_loop, engine)
    beyond = loop(market, targets, terms, told, ordered, records, place, ledger, fills)
    return (
        ledger.view(np.float64).reshape(-1, len(LEDGER)),
        fills[: place[0]["fills"]].copy().view(np.float64).reshape(-1, len(FILL)),
        int(place[0]["bar"]) if beyond > 0.0 else -1,
        float(beyond),
    )
