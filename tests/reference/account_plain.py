"""The loop over bars of an account, in plain Python; `delever.engine.kernel` is its compiled twin.

Inside a step, in order: the mark at the open; funding stamped there; liquidation or stops on a
gap; the decision (first step of a bar) and borrow; resting limit orders; funding stamped inside,
stops and liquidation on the extremes; the mark at the close.
"""

from __future__ import annotations

import math

import numpy as np
from tests.reference.account_events import (
    AccountState,
    Walk,
    excess,
    fill,
    liquidate,
    margin,
    moved,
    on_tick,
    passed,
    receive,
    slippage,
    stop_order,
    take_profit,
    target_size,
    trigger,
)

from delever.arguments import Floats
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
from delever.venues.brackets import Bracket


def run_plain(
    market: MarketArrays,
    targets: Floats,
    terms: TermArrays,
    orders: Orders,
    state: Floats,
    said: Said | None = None,
) -> tuple[Floats, Floats, int, float]:
    """Simulate a margin account over bars, event by event."""
    told = said or Said.of(targets, orders)
    run = Walk(
        account=AccountState(**dict(zip(STATE, state.tolist(), strict=True))),
        orders=Orders(*told.orders[0].tolist()),
        terms=FillTerms(*terms.paid[0].tolist()),
        brackets=(),
        rule=MarginRule(*terms.how[0].tolist()),
    )
    ledger = np.zeros((len(targets), len(LEDGER)))
    too_large = 0.0
    for bar, target in enumerate(targets.tolist()):
        open_bar(run, bar, terms)
        run.rungs, run.again = told.rungs[bar].tolist(), told.again[bar] > 0.0
        decided = Orders(*told.orders[min(bar + 1, len(told.orders) - 1)].tolist())
        for step in range(int(market.first[bar]), int(market.first[bar + 1])):
            run.step = step
            too_large = _walk(
                run,
                (target, decided) if step == market.first[bar] else None,
                Prices(*market.prices[step].tolist()),
                Prices(*market.marks[step].tolist()),
                Funding(*market.funding[step].tolist()),
            )
            if too_large > 0.0:
                return ledger, _rows(run), bar, too_large
        _close_bar(run, target)
        ledger[bar] = [run.row[name] for name in LEDGER]
    state[:] = [getattr(run.account, name) for name in STATE]
    return ledger, _rows(run), -1, 0.0


def _rows(run: Walk) -> Floats:
    rows = [[fill[name] for name in FILL] for fill in run.fills]
    return np.array(rows, dtype=np.float64).reshape(-1, len(FILL))


def open_bar(run: Walk, bar: int, terms: TermArrays) -> None:
    """Take up what holds in a bar."""
    rule = int(terms.rule[bar])
    run.bar, run.rested = bar, False
    run.row = dict.fromkeys(LEDGER, 0.0)
    run.terms = FillTerms(*terms.paid[bar].tolist())
    run.rule = MarginRule(*terms.how[rule].tolist())
    run.brackets = tuple(
        Bracket(
            cap=cap,
            maintenance_margin_rate=rate,
            maintenance_amount=amount,
            max_leverage=leverage,
        )
        for cap, rate, amount, leverage in terms.brackets[rule].tolist()
    )


def _walk(
    run: Walk,
    decision: tuple[float, Orders] | None,
    last: Prices,
    mark: Prices,
    funding: Funding,
) -> float:
    """One step; above 0 is the measure of a position that no bracket allows."""
    account = run.account
    value(run, mark.open)
    if account.position != 0.0:
        receive(run, -account.position * funding.open)
        at_open(run, last.open)
    if decision is not None:
        before, (target, decided) = account.position, decision
        raised = decided.leverage > run.orders.leverage
        run.orders = decided
        wanted, asked = due_at(run, target, last.open)
        if not math.isnan(wanted):
            _cross(run, wanted, last.open)
        if asked:
            rest_orders(run, last.open)
        grown = abs(account.position) > abs(before) or account.position * before < 0.0
        if (grown or (raised and account.position != 0.0)) and excess(run) > 0.0:
            return excess(run)
        borrow(run, last.open)
    before = account.position
    if math.isfinite(account.limit):
        fill_limits(run, last, mark)
        if account.position != before and excess(run) > 0.0:
            return excess(run)
    if account.position != 0.0:
        inside(run, last, mark, funding, abs(before))
    if account.position != 0.0:
        best = max if account.position > 0.0 else min
        account.peak = best(account.peak, last.close)
    value(run, mark.close)
    return 0.0


def value(run: Walk, price: float) -> None:
    """Value the position at a mark."""
    run.row["price_pnl"] += run.account.position * (price - run.account.mark)
    run.account.mark = price


def at_open(run: Walk, open_price: float) -> None:
    """Gaps: the position carried in is liquidated at the opening mark, or stopped at the open."""
    side = run.account.side
    if side * run.account.mark <= side * trigger(run):
        liquidate(run, run.account.mark)
    else:
        gap_orders(run, open_price)


def gap_orders(run: Walk, open_price: float) -> None:
    """Stops and take-profits that the open is past."""
    side = run.account.side
    stop, reason = stop_order(run)
    profit = take_profit(run)
    if side * open_price <= side * stop:
        exit_at(run, open_price, reason)
    elif not run.rested and side * open_price >= side * profit:
        exit_at(run, open_price, "take_profit")


def exit_at(run: Walk, price: float, reason: str) -> None:
    """Close the position by an order that crosses."""
    run.account.stopped, run.account.limit = 1.0, math.nan
    slipped = slippage(run, abs(run.account.position) * price)
    fill(run, 0.0, price, slipped, run.terms.taker, reason)


def due_at(run: Walk, target: float, open_price: float) -> tuple[float, bool]:
    """Exposure that a decision has traded at the open, NaN for none, and whether it is a new one.

    What it changes but for that is done: orders it withdraws, a time stop, a ladder that goes on.
    """
    account, first = run.account, run.rungs[0][1]
    asked = target != account.asked or run.again
    account.asked = target
    if asked:
        account.stopped, account.limit, account.rung = 0.0, math.nan, 0.0
    equity = account.cash + account.position * open_price + account.elsewhere
    if equity <= 0.0 or account.stopped:
        return math.nan, False
    exposure = account.position * open_price / equity
    adds = math.copysign(1.0, target) * exposure < abs(target)
    if asked and adds and math.isfinite(first):
        kept = account.position * target > 0.0
        account.goal = account.goal if kept else 0.0
        return (math.nan if kept else 0.0), True
    if asked:
        account.rung = 1.0
        return _aim(run, target, open_price), True
    if account.position != 0.0 and account.held >= run.orders.time_stop:
        exit_at(run, open_price, "time_stop")
        return math.nan, False
    goal = account.goal
    rest_orders(run, open_price)
    still = math.isnan(account.limit) and account.goal == goal
    if still and abs(exposure - goal) > run.orders.band:
        return _aim(run, goal, open_price), False
    return math.nan, False


def _aim(run: Walk, target: float, open_price: float) -> float:
    """Exposure traded at the open for a target, NaN for none; what rests is not."""
    account, orders, side = run.account, run.orders, math.copysign(1.0, target)
    equity = account.cash + account.position * open_price + account.elsewhere
    account.goal = target
    adds = side * account.position * open_price / equity < abs(target)
    if target != 0.0 and adds and passed(run, side, open_price):
        account.stopped = 1.0
        return math.nan if account.position * target > 0.0 else 0.0
    if math.isfinite(orders.limit_offset) and target != 0.0 and account.position * target <= 0.0:
        account.limit = on_tick(run, moved(run, open_price, -side * orders.limit_offset), side)
        account.rung = 0.0
        return 0.0
    return target


def _cross(run: Walk, target: float, open_price: float) -> None:
    account = run.account
    equity = account.cash + account.position * open_price
    slipped = slippage(run, abs(target * equity - account.position * open_price))
    wanted = target_size(run, target, open_price, run.terms.taker, slipped)
    fill(run, wanted, open_price, slipped, run.terms.taker, "target")


def rest_orders(run: Walk, open_price: float) -> None:
    """The next rung's order rests; what the open has passed already is bought there and then."""
    account, resting = run.account, run.account.limit
    if account.stopped or math.isfinite(run.orders.limit_offset):
        return
    while _next(run):
        exposure = run.rungs[int(account.rung)][0]
        side, limit = math.copysign(1.0, exposure), account.limit
        if limit == resting or side * open_price >= side * limit:
            return
        account.limit = math.nan
        equity = account.cash + account.position * open_price + account.elsewhere
        slipped = slippage(run, abs(exposure * equity - account.position * open_price))
        slipped = min(slipped, _room(run, open_price, limit))
        if not _add(run, open_price, slipped, run.terms.taker) or account.stopped:
            return


def _next(run: Walk) -> bool:
    """Rest the order of the first rung from the next one on that has a price."""
    account = run.account
    account.limit = math.nan
    for number in range(int(account.rung), len(run.rungs)):
        exposure, price = run.rungs[number]
        if math.isfinite(price):
            account.rung = float(number)
            account.limit = on_tick(run, price, -math.copysign(1.0, exposure))
            return True
    return False


def _room(run: Walk, open_price: float, limit: float) -> float:
    """Fraction of the quoted price from an open to a limit beyond it."""
    inverse = run.orders.inverse > 0.0
    return abs(1.0 - open_price / limit if inverse else limit / open_price - 1.0)


def _add(run: Walk, price: float, slipped: float, fee: float) -> bool:
    """Add up to the next rung's exposure; False where nothing may be added at this price."""
    account, target = run.account, run.rungs[int(run.account.rung)][0]
    equity = account.cash + account.position * price + account.elsewhere
    if equity <= 0.0 or passed(run, math.copysign(1.0, target), price):
        return False
    wanted = target_size(run, target, price, fee, slipped)
    account.goal, account.rung = target, account.rung + 1.0
    if abs(wanted) > abs(account.position):
        fill(run, wanted, price, slipped, fee, "limit")
    return True


def borrow(run: Walk, open_price: float) -> None:
    """Pay for the coins a short has borrowed until the next bar."""
    owed = max(-run.account.position, 0.0) * open_price * run.terms.borrow
    run.account.cash -= owed
    run.account.borrowed += owed
    run.row["borrow"] += owed


def fill_limits(run: Walk, last: Prices, mark: Prices) -> None:
    """Fill orders that the step trades through, the nearest first."""
    account = run.account
    while math.isfinite(account.limit):
        limit, held, target = account.limit, account.position, run.rungs[int(account.rung)][0]
        side = math.copysign(1.0, target)
        if side * _against(last, side) >= side * limit or _out_before(run, limit, last, mark):
            return
        if not _add(run, limit, 0.0, run.terms.maker):
            return
        account.limit = math.nan
        run.rested = run.rested or (held == 0.0 and account.position != 0.0)
        if account.stopped or math.isfinite(run.orders.limit_offset) or not _next(run):
            return


def _out_before(run: Walk, limit: float, last: Prices, mark: Prices) -> bool:
    """Whether what is held is closed before a limit order: on the way to it, or at its target."""
    account, side = run.account, run.account.side
    if account.position == 0.0:
        return False
    forced, stop = trigger(run), stop_order(run)[0]
    gone = side * _against(mark, side) <= side * forced and side * limit <= side * forced
    if gone or side * limit <= side * stop:
        return True
    hurt = side * _against(mark, side) <= side * forced or (
        side * _against(last, side) <= side * stop
    )
    gained = side * _against(last, -side) >= side * take_profit(run)
    return run.orders.resolve < 0.0 and not run.rested and gained and not hurt


def inside(run: Walk, last: Prices, mark: Prices, funding: Funding, before: float) -> None:
    """Funding stamped inside the step, stops and liquidation on the extremes.

    `before` is the size held when the step began; the rest was added inside it.
    """
    account, side = run.account, run.account.side
    word = "long" if side > 0.0 else "short"
    size = abs(account.position)
    added = size - before
    held, left = (size * getattr(funding, f"{what}_{word}") for what in ("hold", "leave"))
    hold, leave = held, left
    if added > 0.0:
        worst = min if run.orders.resolve < 0.0 else max
        come = added * getattr(funding, f"enter_{word}")
        gone = added * getattr(funding, f"leave_{word}")
        hold = before * getattr(funding, f"hold_{word}") + come
        leave = before * getattr(funding, f"leave_{word}") + worst(come, gone)
    possible = _exits(run, last, mark, leave)
    reached = side * _against(last, -side) >= side * take_profit(run)
    waits = math.isfinite(account.limit) and side * _against(last, side) < side * account.limit
    hidden = reached and not run.rested and before > 0.0 and (added > 0.0 or waits)
    if len(possible) > 1 or hidden or (leave if possible else hold) != held:
        run.row["ambiguous"] = 1.0
    receive(run, leave if possible else hold)
    if not possible:
        return
    price, reason = _weighed(run, possible)[0 if run.orders.resolve < 0.0 else -1]
    if reason == "liquidation":
        liquidate(run, price)
    else:
        exit_at(run, price, reason)


def _exits(run: Walk, last: Prices, mark: Prices, paid: float) -> list[tuple[float, str]]:
    """Exits the step's extremes allow, the worst for the account first."""
    side = run.account.side
    forced = trigger(run, paid)
    stop, why = stop_order(run)
    profit = take_profit(run)
    liquidated = side * _against(mark, side) <= side * forced
    stopped = side * _against(last, side) <= side * stop
    gained = not run.rested and side * _against(last, -side) >= side * profit
    if liquidated and stopped and run.orders.separate == 0.0:
        stopped = side * stop > side * forced
        liquidated = not stopped
    found: list[tuple[float, str]] = []
    if liquidated:
        gone = side * mark.open <= side * forced
        found.append((mark.open if gone else forced, "liquidation"))
    if stopped:
        found.append((last.open if side * last.open <= side * stop else stop, why))
    if gained:
        found.append((last.open if side * last.open >= side * profit else profit, "take_profit"))
    return found


def _against(prices: Prices, side: float) -> float:
    return prices.low if side > 0.0 else prices.high


def _weighed(run: Walk, possible: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Where bounds are asked for: of a liquidation and a stop, the one they are about."""
    stops = ("stop_loss", "trailing_stop")
    if run.orders.resolve == -1.0 or len(possible) < 2 or possible[1][1] not in stops:
        return possible
    account, price = run.account, possible[1][0]
    slipped = slippage(run, abs(account.position) * price)
    sold = moved(run, price, -account.side * slipped)
    left = account.cash + account.position * sold
    left = max(left - abs(account.position) * sold * run.terms.taker, 0.0)
    spared = left - (account.wallet - margin(run))
    skipped = 0 if run.orders.resolve * spared > 0.0 else 1
    return [exit for place, exit in enumerate(possible) if place != skipped]


def _close_bar(run: Walk, target: float) -> None:
    account, row = run.account, run.row
    account.held += float(account.position != 0.0)
    equity = account.cash + account.position * account.mark
    row |= {
        "equity": equity,
        "cash": account.cash,
        "position": account.position,
        "target_exposure": target,
        "wallet_balance": account.wallet,
        "entry_price": math.nan,
        "liquidation_price": math.nan,
    }
    if account.position != 0.0:
        row["exposure"] = account.position * account.mark / equity if equity > 0.0 else math.nan
        row["entry_price"] = account.entry
        row["liquidation_price"] = trigger(run) or math.nan
