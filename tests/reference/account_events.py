"""An account and what can happen to it, in plain Python.

Each event changes the run in place. They are written on the scalar arithmetic of
`delever.venues`, so that agreement with the compiled loop also checks `delever.engine.arithmetic`.
Prices, positions and targets of an inverse contract are the reciprocal ones of
`delever.engine.inverse`; then only fractions and ticks, which are of the quoted price, are
computed differently.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from delever.engine.ledger import REASONS
from delever.engine.settings import Orders
from delever.engine.steps import DUST, FillTerms, MarginRule
from delever.venues.brackets import Bracket, bracket_of
from delever.venues.contract import moved_price, round_price, round_quantity, unrealized_pnl
from delever.venues.costs import fill_price, position_at_target
from delever.venues.margin import initial_margin, liquidation_price
from delever.venues.margin_formulas import MarginLines

_DEAREST = 0.99


@dataclass(slots=True, kw_only=True)
class AccountState:
    """State of an account between two events; the names are those of `STATE`."""

    cash: float
    position: float
    entry: float
    asked: float
    mark: float
    stopped: float
    peak: float
    limit: float
    funded: float
    borrowed: float
    elsewhere: float
    aside: float
    goal: float  # exposure that the rungs filled so far ask for
    rung: float  # of a decision's ladder, the one that is next
    held: float  # closes since the position was opened

    @property
    def side(self) -> float:
        """+1 when long, -1 when short."""
        return math.copysign(1.0, self.position)

    @property
    def wallet(self) -> float:
        """Wallet balance: cash with the position at its entry price."""
        return self.cash + self.position * self.entry


@dataclass(slots=True, kw_only=True)
class Walk:
    """An account on its way, with what it has done so far."""

    account: AccountState  # now
    orders: Orders  # in force
    terms: FillTerms  # of the bar
    brackets: tuple[Bracket, ...]  # of the bar
    rule: MarginRule
    # of the bar: the exposure and limit price (NaN for none) of each rung
    rungs: list[list[float]] = field(default_factory=list)
    again: bool = False  # whether a rung after the first asks for something new
    bar: int = 0  # where it is
    step: int = 0
    rested: bool = False  # whether a limit order has opened the position in this bar
    # the bar's row of the ledger, as far as it has come
    row: dict[str, float] = field(default_factory=dict)
    fills: list[dict[str, float]] = field(default_factory=list)  # all so far


def receive(run: Walk, payment: float) -> None:
    """Take funding into cash."""
    run.account.cash += payment
    run.account.funded += payment
    run.row["funding"] += payment


def margin(run: Walk, paid: float = 0.0) -> float:
    """What stands behind the position once `paid` is received."""
    account = run.account
    wallet = account.wallet + paid + account.aside
    own = initial_margin(abs(account.position) * account.entry, run.orders.leverage)
    return wallet if run.orders.cross or own >= wallet * (1.0 - DUST) else own


def trigger(run: Walk, paid: float = 0.0) -> float:
    """Liquidation price; 0 when no price does it to a long, or when every one does to a short."""
    account = run.account
    price = liquidation_price(account.position, account.entry, margin(run, paid), lines(run))
    return 0.0 if math.isnan(price) else on_tick(run, price, account.side)


def lines(run: Walk) -> MarginLines:
    """What the position must keep, as lines in its notional at the mark."""
    rule, steps, size = run.rule, run.brackets, abs(run.account.position)
    at_entry = size * run.account.entry
    if rule.bracket_by > 0.0:
        steps = (bracket_of(at_entry if rule.bracket_by == 1.0 else size, steps),)
    if rule.on_entry:
        return MarginLines(
            tuple(rule.closing_fee for _ in steps),
            tuple(b.maintenance_margin_rate * at_entry - b.maintenance_amount for b in steps),
        )
    return MarginLines(
        tuple(rule.closing_fee + b.maintenance_margin_rate for b in steps),
        tuple(-b.maintenance_amount for b in steps),
    )


def excess(run: Walk) -> float:
    """Measure of a position that its bracket does not allow, else 0."""
    size = abs(run.account.position)
    measure = size if run.rule.bracket_by == 2.0 else size * run.account.entry
    steps = run.brackets
    allowed = bracket_of(measure, steps).max_leverage
    return measure if measure > steps[-1].cap or run.orders.leverage > allowed else 0.0


def on_tick(run: Walk, price: float, side: float) -> float:
    """Price on the grid of the contract's ticks, up for +1 and down for -1."""
    return round_price(price, run.orders.tick, side, reciprocal=run.orders.inverse > 0.0)


def moved(run: Walk, price: float, fraction: float) -> float:
    """Price that is a fraction of the quoted price away."""
    return moved_price(price, fraction, reciprocal=run.orders.inverse > 0.0)


def stop_order(run: Walk) -> tuple[float, str]:
    """Price of the nearest of the stops, and which it is."""
    account, side = run.account, run.account.side
    fixed = moved(run, account.entry, -side * run.orders.stop_loss)
    if side * run.orders.stop_price > side * fixed:
        fixed = run.orders.stop_price
    trailing = moved(run, account.peak, -side * run.orders.trailing_stop)
    if side * trailing > side * fixed:
        return on_tick(run, trailing, -side), "trailing_stop"
    return on_tick(run, fixed, -side), "stop_loss"


def take_profit(run: Walk) -> float:
    """Price of the take-profit; never met when there is none."""
    side = run.account.side
    price = moved(run, run.account.entry, side * run.orders.take_profit)
    if side * run.orders.take_profit_price < side * price:
        price = run.orders.take_profit_price
    return on_tick(run, price, -side)


def passed(run: Walk, side: float, price: float) -> bool:
    """Whether a price lies beyond the stop or the target that the decision names."""
    stop, profit = run.orders.stop_price, run.orders.take_profit_price
    return side * price <= side * stop or side * price >= side * profit


def slippage(run: Walk, order: float) -> float:
    """Fraction that a fill of the notional `order` is worse by."""
    return min(run.terms.slippage + run.terms.impact * math.sqrt(order), _DEAREST)


def target_size(run: Walk, target: float, price: float, fee: float, slipped: float) -> float:
    """Position that reaches a target at a price, in whole lots."""
    account = run.account
    wanted = position_at_target(
        target,
        cash=account.cash + account.elsewhere,
        position=account.position,
        open_price=price,
        fee=fee,
        slippage=slipped,
        reciprocal=run.orders.inverse > 0.0,
    )
    return taken(run, wanted, price)


def taken(run: Walk, wanted: float, price: float) -> float:
    """Position in whole lots after an order; one below the least of its venue adds nothing."""
    position = run.account.position
    if wanted == position:
        return wanted
    wanted = round_quantity(wanted, run.orders.lot)
    kept = position if position * wanted > 0.0 else 0.0
    added = abs(wanted) - abs(kept)
    return kept if added > 0.0 and added * price < run.orders.least else wanted


def fill(
    run: Walk, wanted: float, reference: float, slipped: float, fee: float, reason: str
) -> bool:
    """Trade to a position; an account that cannot pay for it is ruined. True when it traded."""
    account, held = run.account, run.account.position
    quantity = wanted - held
    if quantity == 0.0:
        return False
    price = fill_price(
        reference, math.copysign(1.0, quantity), slipped, reciprocal=run.orders.inverse > 0.0
    )
    paid = abs(quantity) * price * fee
    equity = account.cash + held * reference + account.elsewhere
    cash = account.cash - quantity * price - paid
    after = cash + wanted * price + account.elsewhere
    run.row["price_pnl"] += quantity * (account.mark - reference)
    ruined = after <= 0.0 and account.elsewhere == 0.0  # else its book is, at the next mark
    if ruined:
        run.row["price_pnl"] += wanted * (price - account.mark)
        cash = wanted = 0.0
        account.stopped, account.limit = 1.0, math.nan
    if wanted == 0.0:
        account.entry = account.peak = 0.0
    elif held * wanted <= 0.0:
        account.entry = account.peak = price
        account.held = 0.0
    elif abs(wanted) > abs(held):
        account.entry = (held * account.entry + quantity * price) / wanted
    account.cash, account.position = cash, wanted
    book_fill(
        run,
        quantity=quantity,
        price=price,
        fee=paid,
        slippage=abs(quantity) * abs(price - reference),
        liquidation=-after if ruined else 0.0,
        equity=equity,
        exposure=0.0 if after <= 0.0 else wanted * price / after,
        reason="liquidation" if ruined else reason,
    )
    return True


def liquidate(run: Walk, price: float) -> None:
    """Close the position by force; its margin is lost, and what lacks is the insurance fund's."""
    account, position, lost = run.account, run.account.position, margin(run)
    left = lost + unrealized_pnl(position, account.entry, price)
    fee = min(max(left, 0.0), run.terms.liquidation_fee * abs(position) * price)
    equity = account.cash + position * price + account.elsewhere
    run.row["price_pnl"] += position * (price - account.mark)
    account.cash = account.wallet - lost
    account.position = account.entry = account.peak = 0.0
    account.stopped, account.limit = 1.0, math.nan
    book_fill(
        run,
        quantity=-position,
        price=price,
        fee=fee,
        slippage=0.0,
        liquidation=fee - left,
        equity=equity,
        exposure=0.0,
        reason="liquidation",
    )


def book_fill(run: Walk, *, reason: str, **made: float) -> None:
    """Write a fill, and add it to the bar's row."""
    account = run.account
    run.fills.append(
        {
            **made,
            "bar": run.bar,
            "step": run.step,
            "position": account.position,
            "reason": REASONS.index(reason),
            "funding": account.funded,
            "borrow": account.borrowed,
        }
    )
    account.funded = account.borrowed = 0.0
    for name in ("fee", "slippage", "liquidation"):
        run.row[name] += made[name]
    if reason != "liquidation" and made["equity"] > 0.0:
        run.row["turnover"] += abs(made["quantity"]) * made["price"] / made["equity"]
