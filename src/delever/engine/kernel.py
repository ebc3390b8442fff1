"""The compiled loop of an account; `delever.engine.plain` says the same in plain Python.

An account and the rows it leaves are records whose fields are the columns of `STATE`, `LEDGER` and
`FILL`; what holds in a bar or a step is a tuple with the names of `delever.engine.steps`. So no
column has a number here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from delever.engine.arithmetic import (
    entry_after,
    excess,
    in_lots,
    liquidation_price,
    margin_behind,
    moved,
    on_tick,
    passed,
    position_at_target,
    profit_price,
    slippage_of,
    stop_price,
    taken,
)
from delever.engine.arrays import record
from delever.engine.compiled import compiled, inner, numbers
from delever.engine.events import FILL, LEDGER, REASONS, STATE
from delever.engine.settings import Orders
from delever.engine.steps import (
    FillTerms,
    Floats,
    Funding,
    MarginRule,
    MarketArrays,
    Prices,
    Said,
    TermArrays,
)

N_PRICES, N_FUNDING = len(Prices._fields), len(Funding._fields)
N_ORDERS = len(Orders._fields)
N_TERMS, N_RULE = len(FillTerms._fields), len(MarginRule._fields)
BY_TARGET, BY_LIQUIDATION, BY_STOP, BY_PROFIT, BY_TRAILING, BY_LIMIT, BY_TIME = (
    REASONS.index(word)
    for word in (
        *("target", "liquidation", "stop_loss", "take_profit", "trailing_stop", "limit"),
        "time_stop",
    )
)
EXPOSURE, LIMIT = 0, 1  # columns of a rung


class CompiledRun(NamedTuple):
    """An account on its way, and what holds in the bar."""

    account: Any  # record of `STATE`
    at: Any  # record of `PLACE`
    row: Any  # record of `LEDGER`: the bar's row, as far as it has come
    fills: Any  # records of `FILL`
    order: Orders  # in force
    terms: FillTerms
    table: Floats  # of brackets
    rule: MarginRule
    rungs: Floats  # of the bar's decision


PLACE = np.dtype([("bar", np.int64), ("step", np.int64), ("fills", np.int64)])
"""Where a run is, and how many fills it has made."""


@inner()
def _wallet(run: CompiledRun) -> float:
    return float(run.account.cash + run.account.position * run.account.entry)


@inner()
def _margin(run: CompiledRun, paid: float) -> float:
    """What stands behind the position once `paid` is received."""
    account = run.account
    wallet = _wallet(run) + paid + account.aside
    return margin_behind(account.position, account.entry, wallet, run.order)


@inner()
def _trigger(run: CompiledRun, paid: float) -> float:
    """Liquidation price once `paid` is received."""
    account = run.account
    margin = _margin(run, paid)
    return liquidation_price(
        account.position,
        account.entry,
        margin,
        run.table,
        run.rule,
        run.order.tick,
        run.order.inverse,
    )


@inner()
def _stop(run: CompiledRun) -> tuple[float, int]:
    """The nearest of the stops, and which it is."""
    account = run.account
    price, follows = stop_price(
        account.position, account.entry, account.peak, run.order, run.order.inverse
    )
    return price, BY_TRAILING if follows else BY_STOP


@inner()
def _slippage(run: CompiledRun, order: float) -> float:
    return slippage_of(order, run.terms.slippage, run.terms.impact)


@inner()
def _receive(run: CompiledRun, payment: float) -> None:
    run.account.cash += payment
    run.account.funded += payment
    run.row.funding += payment


@inner()
def _value(run: CompiledRun, price: float) -> None:
    """Value the position at a mark."""
    run.row.price_pnl += run.account.position * (price - run.account.mark)
    run.account.mark = price


@inner()
def _book(
    run: CompiledRun,
    quantity: float,
    price: float,
    fee: float,
    slippage: float,
    liquidation: float,
    equity: float,
    exposure: float,
    reason: int,
) -> None:
    """Write a fill, and add it to the bar's row."""
    account, row, fill = run.account, run.row, run.fills[run.at.fills]
    fill.bar, fill.step = run.at.bar, run.at.step
    fill.quantity, fill.price, fill.fee, fill.slippage = quantity, price, fee, slippage
    fill.liquidation, fill.equity, fill.exposure = liquidation, equity, exposure
    fill.position, fill.reason = account.position, reason
    fill.funding, fill.borrow = account.funded, account.borrowed
    account.funded = account.borrowed = 0.0
    run.at.fills += 1
    row.fee += fee
    row.slippage += slippage
    row.liquidation += liquidation
    if reason != BY_LIQUIDATION and equity > 0.0:
        row.turnover += abs(quantity) * price / equity


@inner()
def _fill(
    run: CompiledRun, wanted: float, reference: float, slippage: float, fee: float, reason: int
) -> None:
    """Trade to a position; an account that cannot pay for it is ruined."""
    account, held = run.account, run.account.position
    quantity = wanted - held
    if quantity == 0.0:
        return
    price = moved(reference, slippage if quantity > 0.0 else -slippage, run.order.inverse)
    paid = abs(quantity) * price * fee
    equity = account.cash + held * reference + account.elsewhere
    cash = account.cash - quantity * price - paid
    after = cash + wanted * price + account.elsewhere
    run.row.price_pnl += quantity * (account.mark - reference)
    exposure, beyond = wanted * price / after if after > 0.0 else 0.0, 0.0
    if after <= 0.0 and account.elsewhere == 0.0:  # else its book is ruined, at the next mark
        if wanted != 0.0:
            run.row.price_pnl += wanted * (price - account.mark)
        beyond, reason = -after, BY_LIQUIDATION
        cash = wanted = 0.0
        account.stopped = 1.0
        account.limit = np.nan
    if wanted == 0.0:
        account.entry = account.peak = 0.0
    else:
        account.entry = entry_after(held, account.entry, quantity, wanted, price)
        if held * wanted <= 0.0:
            account.peak = price
            account.held = 0.0
    account.cash, account.position = cash, wanted
    slipped = abs(quantity) * abs(price - reference)
    _book(run, quantity, price, paid, slipped, beyond, equity, exposure, reason)


@inner()
def _leave(run: CompiledRun, price: float, reason: int) -> None:
    run.account.stopped = 1.0
    run.account.limit = np.nan
    slipped = _slippage(run, abs(run.account.position) * price)
    _fill(run, 0.0, price, slipped, run.terms.taker, reason)


@inner()
def _liquidate(run: CompiledRun, price: float) -> None:
    """Close the position by force; its margin is lost, and what lacks is the insurance fund's."""
    account, position = run.account, run.account.position
    wallet, margin = _wallet(run), _margin(run, 0.0)
    left = margin + position * (price - account.entry)
    fee = min(max(left, 0.0), run.terms.liquidation_fee * abs(position) * price)
    equity = account.cash + position * price + account.elsewhere
    run.row.price_pnl += position * (price - account.mark)
    account.cash = wallet - margin
    account.position = account.entry = account.peak = 0.0
    account.stopped = 1.0
    account.limit = np.nan
    _book(run, -position, price, fee, 0.0, fee - left, equity, 0.0, BY_LIQUIDATION)


@inner()
def _at_open(run: CompiledRun, open_: float, rested: bool) -> None:
    """Gaps: the position carried in is liquidated at the opening mark, or stopped at the open."""
    account = run.account
    side = 1.0 if account.position > 0.0 else -1.0
    if side * (account.mark - _trigger(run, 0.0)) <= 0.0:
        _liquidate(run, account.mark)
    else:
        _gap_orders(run, open_, rested)


@inner()
def _gap_orders(run: CompiledRun, open_: float, rested: bool) -> None:
    """Stops and take-profits that the open is past."""
    account = run.account
    side = 1.0 if account.position > 0.0 else -1.0
    stop, reason = _stop(run)
    if side * (open_ - stop) <= 0.0:
        _leave(run, open_, reason)
        return
    profit = profit_price(account.position, account.entry, run.order, run.order.inverse)
    if not rested and side * (open_ - profit) >= 0.0:
        _leave(run, open_, BY_PROFIT)


@inner()
def _ask(run: CompiledRun, target: float, again: bool, open_: float) -> None:
    """The decision's fills at the open, and the limit order that rests from then on."""
    account, order = run.account, run.order
    equity = account.cash + account.position * open_
    asked = again or target != account.asked
    account.asked = target
    if asked:
        account.stopped = 0.0
        account.limit = np.nan
        account.rung = 0.0
    if equity <= 0.0 or account.stopped > 0.0:
        return
    exposure = account.position * open_ / equity
    adds = np.copysign(1.0, target) * exposure < abs(target)
    if asked and adds and np.isfinite(run.rungs[0, LIMIT]):
        if account.position * target <= 0.0:
            account.goal = 0.0
            _cross(run, 0.0, open_)
    elif asked:
        account.rung = 1.0
        _to(run, target, open_)
    elif account.position != 0.0 and account.held >= order.time_stop:
        _leave(run, open_, BY_TIME)
        return
    goal = account.goal
    if account.stopped == 0.0 and np.isnan(order.limit_offset):
        _rest(run, open_)
    if asked or np.isfinite(account.limit) or account.goal != goal:
        return
    if abs(exposure - goal) > order.band:
        _to(run, goal, open_)


@inner()
def _to(run: CompiledRun, target: float, open_: float) -> None:
    """Trade to an exposure at the open, or rest an offset from it; not beyond a stop of its own."""
    account, order, side = run.account, run.order, np.copysign(1.0, target)
    exposure = account.position * open_ / (account.cash + account.position * open_)
    account.goal = target
    if target != 0.0 and side * exposure < abs(target) and passed(side, open_, order):
        account.stopped = 1.0
        if account.position * target > 0.0:
            return
        target = 0.0
    elif np.isfinite(order.limit_offset) and target != 0.0 and account.position * target <= 0.0:
        limit = moved(open_, -side * order.limit_offset, order.inverse)
        account.limit = on_tick(limit, side, order.tick, order.inverse)
        account.rung = target = 0.0
    _cross(run, target, open_)


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
    slipped = _slippage(run, abs(target * equity - account.position * open_))
    _fill(run, _sized(run, target, open_, fee, slipped), open_, slipped, fee, BY_TARGET)


@inner()
def _rest(run: CompiledRun, open_: float) -> None:
    """The next rung's order rests; what the open has passed already is bought there and then."""
    account, order, resting = run.account, run.order, run.account.limit
    while _next(run):
        exposure, limit = run.rungs[int(account.rung), EXPOSURE], account.limit
        if limit == resting or np.copysign(1.0, exposure) * (open_ - limit) >= 0.0:
            return
        account.limit = np.nan
        equity = account.cash + account.position * open_
        slipped = _slippage(run, abs(exposure * equity - account.position * open_))
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
        _fill(run, wanted, price, slipped, fee, BY_LIMIT)
    return True


@inner()
def _borrow(run: CompiledRun, open_: float) -> None:
    owed = max(-run.account.position, 0.0) * open_ * run.terms.borrow
    run.account.cash -= owed
    run.account.borrowed += owed
    run.row.borrow += owed


@inner()
def _fill_limits(run: CompiledRun, last: Prices, mark: Prices) -> bool:
    """Orders that the step trades through, the nearest first; whether any was filled."""
    account, order, filled = run.account, run.order, False
    while np.isfinite(account.limit):
        limit, held = account.limit, account.position
        long = run.rungs[int(account.rung), EXPOSURE] > 0.0
        through = last.low < limit if long else last.high > limit
        if not through or _out_before(run, limit, last, mark):
            return filled
        if not _add(run, limit, 0.0, run.terms.maker):
            return filled
        account.limit = np.nan
        filled = filled or account.position != held
        if account.stopped > 0.0 or np.isfinite(order.limit_offset) or not _next(run):
            return filled
    return filled


@inner()
def _out_before(run: CompiledRun, limit: float, last: Prices, mark: Prices) -> bool:
    """Whether what is held is closed before a limit order: on the way to it, or at its target."""
    account, order, long = run.account, run.order, run.account.position > 0.0
    if account.position == 0.0:
        return False
    side = 1.0 if long else -1.0
    forced, (stop, _) = _trigger(run, 0.0), _stop(run)
    worst, best = (mark.low, last.high) if long else (mark.high, last.low)
    if side * (limit - stop) <= 0.0 or max(side * worst, side * limit) <= side * forced:
        return True
    against = last.low if long else last.high
    hurt = side * (worst - forced) <= 0.0 or side * (against - stop) <= 0.0
    profit = profit_price(account.position, account.entry, order, order.inverse)
    return bool(order.resolve == -1.0 and side * (best - profit) >= 0.0 and not hurt)


@inner()
def _spared(run: CompiledRun, price: float) -> float:
    """What a stop at a price leaves beyond what a liquidation does."""
    account, size = run.account, abs(run.account.position)
    side = 1.0 if account.position > 0.0 else -1.0
    sold = moved(price, -side * _slippage(run, size * price), run.order.inverse)
    left = account.cash + account.position * sold - size * sold * run.terms.taker
    return float(max(left, 0.0) - (_wallet(run) - _margin(run, 0.0)))


@inner()
def _inside(
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
    trigger = _trigger(run, leave)
    stop, reason = _stop(run)
    profit = profit_price(account.position, account.entry, order, order.inverse)
    liquidated = side * ((mark.low if long else mark.high) - trigger) <= 0.0
    stopped = side * ((last.low if long else last.high) - stop) <= 0.0
    reached = side * ((last.high if long else last.low) - profit) >= 0.0
    enlarged = added > 0.0 and before > 0.0
    gained = reached and (not rested or (enlarged and order.resolve > 0.0))
    if liquidated and stopped and order.separate == 0.0:
        stopped = side * (stop - trigger) > 0.0
        liquidated = not stopped
    exits = int(liquidated) + int(stopped) + int(gained)
    low = last.low if long else last.high
    waits = np.isfinite(account.limit) and side * (low - account.limit) < 0.0
    hidden = reached and (enlarged or (waits and before > 0.0))
    if exits > 1 or hidden or (leave if exits else hold) != held:
        run.row.ambiguous = 1.0
    _receive(run, leave if exits else hold)
    if exits == 0:
        return
    halted = last.open if side * (last.open - stop) <= 0.0 else stop
    if liquidated and stopped and order.resolve != -1.0:
        spared = _spared(run, halted)
        stopped = spared < 0.0 if against else spared > 0.0
        liquidated = not stopped
    if liquidated and (against or not gained):
        _liquidate(run, mark.open if side * (mark.open - trigger) <= 0.0 else trigger)
    elif stopped and (against or not gained):
        _leave(run, halted, reason)
    else:
        _leave(run, last.open if side * (last.open - profit) >= 0.0 else profit, BY_PROFIT)


@inner()
def _too_large(run: CompiledRun) -> float:
    """Measure of a position that its bracket does not allow, else 0."""
    return excess(run.account.position, run.account.entry, run.table, run.rule, run.order)


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
    _value(run, mark.open)
    if account.position != 0.0:
        _receive(run, -account.position * funding.open)
        if first:
            _at_open(carried, last.open, rested)
        else:
            _at_open(run, last.open, rested)
    if first:
        before = account.position
        _ask(run, target, again, last.open)
        grown = abs(account.position) > abs(before) or account.position * before < 0.0
        if grown or (account.position != 0.0 and run.order.leverage > carried.order.leverage):
            beyond = _too_large(run)
            if beyond > 0.0:
                return rested, beyond
        _borrow(run, last.open)
    before = account.position
    if np.isfinite(account.limit):
        rested = _fill_limits(run, last, mark) or rested
        if account.position != before:
            beyond = _too_large(run)
            if beyond > 0.0:
                return rested, beyond
    if account.position != 0.0:
        _inside(run, last, mark, funding, abs(before), rested)
    if account.position > 0.0:
        account.peak = max(account.peak, last.close)
    elif account.position < 0.0:
        account.peak = min(account.peak, last.close)
    _value(run, mark.close)
    return rested, 0.0


@inner()
def _close_bar(run: CompiledRun, target: float) -> None:
    account, row, position = run.account, run.row, run.account.position
    if position != 0.0:
        account.held += 1.0
    row.equity = account.cash + position * account.mark
    row.cash, row.position, row.target_exposure = account.cash, position, target
    row.wallet_balance = _wallet(run)
    row.entry_price = row.liquidation_price = np.nan
    if position != 0.0:
        row.exposure = position * account.mark / row.equity if row.equity > 0.0 else np.nan
        row.entry_price = account.entry
        trigger = _trigger(run, 0.0)
        row.liquidation_price = trigger if trigger > 0.0 else np.nan


@compiled()
def _loop(
    market: MarketArrays,
    targets: Floats,
    terms: TermArrays,
    said: Said,
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
        rungs, last_row = said.rungs[bar], len(said.orders) - 1
        order = Orders(*numbers(said.orders[min(bar, last_row)], N_ORDERS))
        carried = CompiledRun(account, at, ledger[bar], fills, order, paid, table, how, rungs)
        order = Orders(*numbers(said.orders[min(bar + 1, last_row)], N_ORDERS))
        run = CompiledRun(account, at, ledger[bar], fills, order, paid, table, how, rungs)
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


def run_compiled(
    market: MarketArrays,
    targets: Floats,
    terms: TermArrays,
    orders: Orders,
    state: Floats,
    said: Said | None = None,
) -> tuple[Floats, Floats, int, float]:
    """Simulate an account over bars, compiled; see `delever.engine.plain.run_plain`."""
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
    beyond = _loop(market, targets, terms, told, records, place, ledger, fills)
    return (
        ledger.view(np.float64).reshape(-1, len(LEDGER)),
        fills[: place[0]["fills"]].copy().view(np.float64).reshape(-1, len(FILL)),
        int(place[0]["bar"]) if beyond > 0.0 else -1,
        float(beyond),
    )
