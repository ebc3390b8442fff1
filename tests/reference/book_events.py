"""An account of several positions and what can happen to it, in plain Python.

Every position is an account of `account_events` whose cash is the book's: it is lent the cash for
what it does and gives it back. What concerns all positions at once (what stands behind them, and
what reaches several targets at one open) is here; their liquidation is in `book_together`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from tests.reference.account_events import Walk, lines, margin, taken

from delever.engine.book_market import Cut
from delever.engine.ledger import FLOWS
from delever.engine.steps import DUST, Funding, Prices
from delever.venues.costs import fill_price, position_at_target
from delever.venues.margin import initial_margin, maintenance_margin


class Here(NamedTuple):
    """A position's step."""

    last: Prices
    mark: Prices
    funding: Funding


@dataclass(slots=True, kw_only=True)
class Book:
    """Several positions on their way, and the cash they share."""

    cash: float
    shared: bool  # whether all positions stand behind each other
    resolve: float  # as `delever.engine.settings.RESOLVED` says
    legs: list[Walk]
    spot: list[bool]
    counted: list[float]  # share of a spot holding that is collateral, now
    together: list[list[float]]  # sum of the products of two positions' moves, and how many
    seen: list[list[float]]
    cut: Cut  # how they are liquidated in this bar
    was_cut: bool = False  # whether a position was, in this step
    ambiguous: float = 0.0
    turned_away: int = 0  # orders that the free margin did not allow


def held(book: Book) -> list[int]:
    """Positions that need margin."""
    return [
        place
        for place, leg in enumerate(book.legs)
        if leg.account.position < 0.0 or (leg.account.position > 0.0 and not book.spot[place])
    ]


def stand_together(book: Book) -> bool:
    """Whether more than one price decides on a liquidation."""
    places = held(book)
    alone = len(places) == 1 and book.cut.by == 0.0 and not any(book.counted)
    return book.shared and bool(places) and not alone


def collateral(book: Book, place: int, mark: float) -> float:
    """What a position adds to the margin balance at a mark, beside the cash."""
    position = book.legs[place].account.position
    if position > 0.0 and book.spot[place]:
        return book.counted[place] * (position * mark)
    return position * mark


def kept(leg: Walk, mark: float) -> tuple[float, float]:
    """Maintenance margin of a position at a mark, and what it grows by with its notional."""
    size = abs(leg.account.position)
    if size == 0.0:
        return 0.0, 0.0
    found = lines(leg)
    notional = size * mark
    needs = maintenance_margin(notional, found)
    for rate, constant in zip(found.rates, found.constants, strict=True):
        if rate * notional + constant == needs:
            return needs, rate
    raise AssertionError("the largest of the lines is one of them")


def lend(book: Book, place: int) -> Walk:
    """A position with the book's cash in its hands, and what stands beside it."""
    leg = book.legs[place]
    account = leg.account
    account.cash = book.cash
    account.elsewhere = 0.0
    for other, each in enumerate(book.legs):
        if other != place:
            account.elsewhere += each.account.position * each.account.mark
    account.aside = _aside(book, place)
    return leg


def give_back(book: Book, place: int) -> None:
    """Take the cash back."""
    book.cash = book.legs[place].account.cash


def _aside(book: Book, place: int) -> float:
    """What of the others stands behind a position, and what of the cash does not."""
    account = book.legs[place].account
    if book.spot[place] and account.position > 0.0:
        return math.inf  # nothing is owed for it
    if book.shared:
        beside = 0.0
        for other, leg in enumerate(book.legs):
            if other != place and leg.account.position != 0.0:
                beside += collateral(book, other, leg.account.mark)
                beside -= 0.0 if book.spot[other] else kept(leg, leg.account.mark)[0]
        return beside
    wallet, own, others = book.cash, 0.0, 0.0
    for other, leg in enumerate(book.legs):
        each = leg.account
        if each.position == 0.0 or (book.spot[other] and each.position > 0.0):
            continue
        wallet += each.position * each.entry
        asked = initial_margin(abs(each.position) * each.entry, leg.orders.leverage)
        if other == place:
            own = asked
        else:
            others += asked
    if others == 0.0:
        return 0.0
    margins = own + others
    behind = wallet * (own / margins) if margins >= wallet * (1.0 - DUST) else wallet - others
    return behind - (book.cash + account.position * account.entry)


def worth(book: Book) -> float:
    """Equity at the marks."""
    total = book.cash
    for leg in book.legs:
        total += leg.account.position * leg.account.mark
    return total


def at_targets(
    book: Book, due: dict[int, float], opens: dict[int, float], slipped: dict[int, float]
) -> dict[int, float]:
    """Positions that reach several targets at one open, costs of all of them included.

    Notes
    -----
    With the sides s that the trades take, at fill prices P and the fees f, equity after all is

        E = (cash + sum of q0 P (1 + s f) traded + sum of q mark not traded) / (1 + sum of s f X)

    and every position is X E / P. The sides are found by trying: those that the equity before
    calls for, then those that the equity with their costs does. One that goes back and forth lies
    where neither a purchase nor a sale pays, and is left as it is.
    """
    sides = dict.fromkeys(due, 0.0)
    out: set[int] = set()
    wanted: dict[int, float] = {}
    for attempt in range(len(due) + 3):
        tried = dict(sides)
        for place, target in due.items():
            wanted[place] = book.legs[place].account.position
            if place not in out:
                wanted[place] = _sized(book, place, target, tried, due, opens, slipped)
            sides[place] = _side(wanted[place] - book.legs[place].account.position)
            if attempt > 1 and sides[place] != tried[place]:
                out.add(place)
                sides[place], wanted[place] = 0.0, book.legs[place].account.position
        if sides == tried:
            break
    for place, size in wanted.items():
        wanted[place] = taken(book.legs[place], size, opens[place])
    return _affordable(book, wanted, opens, slipped)


def _side(quantity: float) -> float:
    return 0.0 if quantity == 0.0 else math.copysign(1.0, quantity)


def _sized(
    book: Book,
    place: int,
    target: float,
    sides: dict[int, float],
    due: dict[int, float],
    opens: dict[int, float],
    slipped: dict[int, float],
) -> float:
    # Those before it from the first on and those behind it from the last on, as the compiled twin.
    cash, burden = [book.cash, 0.0], [0.0, 0.0]
    others = [*range(place), *range(len(book.legs) - 1, place, -1)]
    for other in others:
        leg, behind = book.legs[other], int(other > place)
        side, fee = sides.get(other, 0.0), leg.terms.taker
        if side == 0.0:
            cash[behind] += leg.account.position * leg.account.mark
        else:
            price = fill_price(opens[other], side, slipped[other])
            cash[behind] += leg.account.position * price * (1.0 + side * fee)
            burden[behind] += side * due[other] * fee
    leg, beside = book.legs[place], sum(cash)
    if beside + leg.account.position * opens[place] <= 0.0:
        return 0.0
    return position_at_target(
        target,
        cash=beside,
        position=leg.account.position,
        open_price=opens[place],
        fee=leg.terms.taker,
        slippage=slipped[place],
        burden=sum(burden),
    )


def _affordable(
    book: Book, wanted: dict[int, float], opens: dict[int, float], slipped: dict[int, float]
) -> dict[int, float]:
    """Leave out what grows where the margin for it is not there."""
    if not book.shared:
        return wanted
    balance, needed = book.cash, 0.0
    for place, leg in enumerate(book.legs):
        account = leg.account
        size, price = wanted.get(place, account.position), account.mark
        side = _side(size - account.position)
        if side != 0.0:
            price = fill_price(opens[place], side, slipped[place])
            quantity = size - account.position
            balance -= quantity * price + abs(quantity) * price * leg.terms.taker
        if size > 0.0 and book.spot[place]:
            balance += book.counted[place] * (size * price)
        else:
            balance += size * price
            needed += initial_margin(abs(size) * price, leg.orders.leverage)
    if needed <= balance * (1.0 + DUST) or needed == 0.0:
        return wanted
    cut = dict(wanted)
    for place, size in wanted.items():
        now = book.legs[place].account.position
        if (book.spot[place] and size >= 0.0) or not (abs(size) > abs(now) or size * now < 0.0):
            continue
        cut[place] = 0.0 if size * now < 0.0 else now
        book.turned_away += 1
    return cut


def close_row(book: Book) -> dict[str, float]:
    """The book's row of a bar: the sums over positions, and what stands behind them."""
    equity = worth(book)
    row = {name: sum(leg.row[name] for leg in book.legs) for name in FLOWS}
    doubt = max(book.ambiguous, *(leg.row["ambiguous"] for leg in book.legs))
    row |= {"equity": equity, "cash": book.cash, "ambiguous": doubt}
    wallet, initial, maintained, gross, net = book.cash, 0.0, 0.0, 0.0, 0.0
    ratio, asked = 0.0, 0.0
    balance = book.cash
    for place, leg in enumerate(book.legs):
        account = leg.account
        value = account.position * account.mark
        gross, net, asked = gross + abs(value), net + value, asked + account.asked
        balance += collateral(book, place, account.mark)
        if not (book.spot[place] and account.position > 0.0):
            wallet += account.position * account.entry
        if account.position == 0.0 or book.spot[place]:
            continue
        needs = kept(leg, account.mark)[0]
        initial += initial_margin(abs(account.position) * account.entry, leg.orders.leverage)
        maintained += needs
        if not book.shared:
            lend(book, place)
            behind = margin(leg) + account.position * (account.mark - account.entry)
            ratio = max(ratio, needs / behind if behind > 0.0 else math.inf)
    if book.shared and maintained > 0.0:
        ratio = maintained / balance if balance > 0.0 else math.inf
    return row | {
        "exposure": net / equity if equity > 0.0 else (math.nan if gross else 0.0),
        "gross_exposure": gross / equity if equity > 0.0 else (math.nan if gross else 0.0),
        "target_exposure": asked,
        "wallet_balance": wallet,
        "initial_margin": initial,
        "maintenance_margin": maintained,
        "margin_ratio": ratio,
    }
