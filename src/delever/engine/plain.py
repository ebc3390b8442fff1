"""The loop over bars, in plain Python; `delever.engine.kernel` is its compiled twin.

Inside a step, in order: the mark at the open; funding stamped there; liquidation or stops on a
gap; the target (first step of a bar) and borrow; a resting limit order; funding stamped inside,
stops and liquidation on the extremes; the mark at the close.
"""

from __future__ import annotations

import math

import numpy as np

from delever.engine.events import (
    FILL,
    LEDGER,
    STATE,
    AccountState,
    Walk,
    excess,
    fill,
    liquidate,
    margin,
    moved,
    on_tick,
    receive,
    slippage,
    stop_order,
    take_profit,
    target_size,
    trigger,
)
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
from delever.venues.brackets import Bracket


def run_plain(
    market: MarketArrays, targets: Floats, terms: TermArrays, orders: Orders, state: Floats
) -> tuple[Floats, Floats, int, float]:
    """Simulate a margin account over bars, event by event."""
    run = Walk(
        account=AccountState(**dict(zip(STATE, state.tolist(), strict=True))),
        orders=orders,
        terms=FillTerms(*terms.paid[0].tolist()),
        brackets=(),
        rule=MarginRule(*terms.how[0].tolist()),
    )
    ledger = np.zeros((len(targets), len(LEDGER)))
    too_large = 0.0
    for bar, target in enumerate(targets.tolist()):
        open_bar(run, bar, terms)
        for step in range(int(market.first[bar]), int(market.first[bar + 1])):
            run.step = step
            too_large = _walk(
                run,
                target if step == market.first[bar] else None,
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
    target: float | None,
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
    if target is not None:
        before = account.position
        _ask(run, target, last.open)
        grown = abs(account.position) > abs(before) or account.position * before < 0.0
        if grown and excess(run) > 0.0:
            return excess(run)
        borrow(run, last.open)
    entered = False
    if math.isfinite(account.limit):
        entered = fill_limit(run, last)
        if entered and excess(run) > 0.0:
            return excess(run)
    if account.position != 0.0:
        inside(run, last, mark, funding, entered)
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
    run.account.stopped = 1.0
    slipped = slippage(run, abs(run.account.position) * price)
    fill(run, 0.0, price, slipped, run.terms.taker, reason)


def _ask(run: Walk, target: float, open_price: float) -> None:
    """The target's fill at the open, or the limit order it becomes."""
    account, orders = run.account, run.orders
    asked = target != account.asked
    account.asked = target
    if asked:
        account.stopped, account.limit = 0.0, math.nan
    equity = account.cash + account.position * open_price
    if equity <= 0.0 or math.isfinite(account.limit):
        return
    drift = abs(account.position * open_price / equity - target)
    if not asked and (account.stopped or drift <= orders.band):
        return
    if math.isfinite(orders.limit_offset) and target != 0.0 and account.position * target <= 0.0:
        side = math.copysign(1.0, target)
        account.limit = on_tick(run, moved(run, open_price, -side * orders.limit_offset), side)
        target = 0.0
    slipped = slippage(run, abs(target * equity - account.position * open_price))
    wanted = target_size(run, target, open_price, run.terms.taker, slipped)
    fill(run, wanted, open_price, slipped, run.terms.taker, "target")


def borrow(run: Walk, open_price: float) -> None:
    """Pay for the coins a short has borrowed until the next bar."""
    owed = max(-run.account.position, 0.0) * open_price * run.terms.borrow
    run.account.cash -= owed
    run.account.borrowed += owed
    run.row["borrow"] += owed


def fill_limit(run: Walk, last: Prices) -> bool:
    """Whether the limit order was filled and holds a position."""
    account = run.account
    limit, long = account.limit, account.asked > 0.0
    if not (last.low < limit if long else last.high > limit):
        return False
    if account.cash + account.elsewhere <= 0.0:
        return False
    account.limit = math.nan
    wanted = target_size(run, account.asked, limit, run.terms.maker, 0.0)
    run.rested = fill(run, wanted, limit, 0.0, run.terms.maker, "limit") or run.rested
    return account.position != 0.0


def inside(run: Walk, last: Prices, mark: Prices, funding: Funding, entered: bool) -> None:
    """Funding stamped inside the step, stops and liquidation on the extremes."""
    account, side = run.account, run.account.side
    word = "long" if side > 0.0 else "short"
    held, left, come = (
        abs(account.position) * getattr(funding, f"{what}_{word}")
        for what in ("hold", "leave", "enter")
    )
    worst = min if run.orders.resolve < 0.0 else max
    hold, leave = (come, worst(come, left)) if entered else (held, left)
    possible = _exits(run, last, mark, leave)
    if len(possible) > 1 or (leave if possible else hold) != held:
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
        found.append((profit, "take_profit"))
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
