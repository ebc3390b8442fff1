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
    position_at_target,
    profit_price,
    slippage_of,
    stop_price,
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
    TermArrays,
)

N_PRICES, N_FUNDING = len(Prices._fields), len(Funding._fields)
N_TERMS, N_RULE = len(FillTerms._fields), len(MarginRule._fields)
BY_TARGET, BY_LIQUIDATION, BY_STOP, BY_PROFIT, BY_TRAILING, BY_LIMIT = (
    REASONS.index(word)
    for word in ("target", "liquidation", "stop_loss", "take_profit", "trailing_stop", "limit")
)


class CompiledRun(NamedTuple):
    """An account on its way, and what holds in the bar."""

    account: Any  # record of `STATE`
    at: Any  # record of `PLACE`
    row: Any  # record of `LEDGER`: the bar's row, as far as it has come
    fills: Any  # records of `FILL`
    order: Orders
    terms: FillTerms
    table: Floats  # of brackets
    rule: MarginRule


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
    """The nearer of stop-loss and trailing stop, and which it is."""
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
    if wanted == 0.0:
        account.entry = account.peak = 0.0
    else:
        account.entry = entry_after(held, account.entry, quantity, wanted, price)
        if held * wanted <= 0.0:
            account.peak = price
    account.cash, account.position = cash, wanted
    slipped = abs(quantity) * abs(price - reference)
    _book(run, quantity, price, paid, slipped, beyond, equity, exposure, reason)


@inner()
def _leave(run: CompiledRun, price: float, reason: int) -> None:
    run.account.stopped = 1.0
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
def _ask(run: CompiledRun, target: float, open_: float) -> None:
    """The target's fill at the open, or the limit order it becomes."""
    account, order = run.account, run.order
    equity = account.cash + account.position * open_
    asked = target != account.asked
    account.asked = target
    if asked:
        account.stopped = 0.0
        account.limit = np.nan
    if equity <= 0.0 or np.isfinite(account.limit):
        return
    drift = abs(account.position * open_ / equity - target)
    if not asked and (account.stopped > 0.0 or drift <= order.band):
        return
    if np.isfinite(order.limit_offset) and target != 0.0 and account.position * target <= 0.0:
        side = 1.0 if target > 0.0 else -1.0
        limit = moved(open_, -side * order.limit_offset, order.inverse)
        account.limit = on_tick(limit, side, order.tick, order.inverse)
        target = 0.0
    slipped = _slippage(run, abs(target * equity - account.position * open_))
    wanted = position_at_target(
        target, account.cash, account.position, open_, run.terms.taker, slipped, order.inverse
    )
    if wanted != account.position:
        wanted = in_lots(wanted, order.lot)
    _fill(run, wanted, open_, slipped, run.terms.taker, BY_TARGET)


@inner()
def _borrow(run: CompiledRun, open_: float) -> None:
    owed = max(-run.account.position, 0.0) * open_ * run.terms.borrow
    run.account.cash -= owed
    run.account.borrowed += owed
    run.row.borrow += owed


@inner()
def _fill_limit(run: CompiledRun, last: Prices) -> bool:
    """Whether the limit order was filled."""
    account, order, fee = run.account, run.order, run.terms.maker
    limit, target = account.limit, account.asked
    through = last.low < limit if target > 0.0 else last.high > limit
    cash = account.cash + account.elsewhere
    if not through or cash <= 0.0:
        return False
    wanted = position_at_target(target, cash, 0.0, limit, fee, 0.0, order.inverse)
    account.limit = np.nan
    _fill(run, in_lots(wanted, order.lot), limit, 0.0, fee, BY_LIMIT)
    return bool(account.position != 0.0)


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
    run: CompiledRun, last: Prices, mark: Prices, funding: Funding, entered: bool, rested: bool
) -> None:
    """Funding stamped inside, stops and liquidation on the extremes."""
    account, order = run.account, run.order
    size, long = abs(account.position), account.position > 0.0
    side = 1.0 if long else -1.0
    held = size * (funding.hold_long if long else funding.hold_short)
    left = size * (funding.leave_long if long else funding.leave_short)
    hold, leave, against = held, left, order.resolve < 0.0
    if entered:
        hold = size * (funding.enter_long if long else funding.enter_short)
        leave = min(hold, left) if against else max(hold, left)
    trigger = _trigger(run, leave)
    stop, reason = _stop(run)
    profit = profit_price(account.position, account.entry, order, order.inverse)
    liquidated = side * ((mark.low if long else mark.high) - trigger) <= 0.0
    stopped = side * ((last.low if long else last.high) - stop) <= 0.0
    gained = not rested and side * ((last.high if long else last.low) - profit) >= 0.0
    if liquidated and stopped and order.separate == 0.0:
        stopped = side * (stop - trigger) > 0.0
        liquidated = not stopped
    exits = int(liquidated) + int(stopped) + int(gained)
    if exits > 1 or (leave if exits else hold) != held:
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
        _leave(run, profit, BY_PROFIT)


@inner()
def _too_large(run: CompiledRun) -> float:
    """Measure of a position that its bracket does not allow, else 0."""
    return excess(run.account.position, run.account.entry, run.table, run.rule, run.order)


@inner()
def _step(
    run: CompiledRun, target: float, first: bool, rested: bool, last: Prices, mark: Prices,
    funding: Funding,
) -> tuple[bool, float]:  # fmt: skip
    """Whether a limit order has opened a position in the bar, and what no bracket allows."""
    account = run.account
    _value(run, mark.open)
    if account.position != 0.0:
        _receive(run, -account.position * funding.open)
        _at_open(run, last.open, rested)
    if first:
        before = account.position
        _ask(run, target, last.open)
        if abs(account.position) > abs(before) or account.position * before < 0.0:
            beyond = _too_large(run)
            if beyond > 0.0:
                return rested, beyond
        _borrow(run, last.open)
    entered = False
    if np.isfinite(account.limit):
        entered = _fill_limit(run, last)
        rested = rested or entered
        if entered:
            beyond = _too_large(run)
            if beyond > 0.0:
                return rested, beyond
    if account.position != 0.0:
        _inside(run, last, mark, funding, entered, rested)
    if account.position > 0.0:
        account.peak = max(account.peak, last.close)
    elif account.position < 0.0:
        account.peak = min(account.peak, last.close)
    _value(run, mark.close)
    return rested, 0.0


@inner()
def _close_bar(run: CompiledRun, target: float) -> None:
    account, row, position = run.account, run.row, run.account.position
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
    order: Orders,
    state: Any,
    place: Any,
    ledger: Any,
    fills: Any,
) -> float:
    """Walk the bars; above 0 is the measure of a position that no bracket allows."""
    account, at = state[0], place[0]
    for bar in range(len(targets)):
        rule = terms.rule[bar]
        run = CompiledRun(
            account,
            at,
            ledger[bar],
            fills,
            order,
            FillTerms(*numbers(terms.paid[bar], N_TERMS)),
            terms.brackets[rule],
            MarginRule(*numbers(terms.how[rule], N_RULE)),
        )
        at.bar = bar
        rested = False
        begin, end = market.first[bar], market.first[bar + 1]
        for step in range(begin, end):
            at.step = step
            last = Prices(*numbers(market.prices[step], N_PRICES))
            mark = Prices(*numbers(market.marks[step], N_PRICES))
            funding = Funding(*numbers(market.funding[step], N_FUNDING))
            rested, beyond = _step(run, targets[bar], step == begin, rested, last, mark, funding)
            if beyond > 0.0:
                return beyond
        _close_bar(run, targets[bar])
    return 0.0


def run_compiled(
    market: MarketArrays, targets: Floats, terms: TermArrays, orders: Orders, state: Floats
) -> tuple[Floats, Floats, int, float]:
    """Simulate an account over bars, compiled; see `delever.engine.plain.run_plain`."""
    ledger = np.zeros(len(targets), dtype=record(*LEDGER))
    fills = np.empty(4 * len(targets), dtype=record(*FILL))
    place = np.zeros(1, dtype=PLACE)
    records = state.view(record(*STATE))
    # One layout in memory, for which the loop is compiled once.
    market = MarketArrays(
        market.first, *(np.require(each, None, ["C", "W"]) for each in market[1:])
    )
    beyond = _loop(market, targets, terms, orders, records, place, ledger, fills)
    return (
        ledger.view(np.float64).reshape(-1, len(LEDGER)),
        fills[: place[0]["fills"]].copy().view(np.float64).reshape(-1, len(FILL)),
        int(place[0]["bar"]) if beyond > 0.0 else -1,
        float(beyond),
    )
