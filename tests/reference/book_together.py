"""Positions that stand behind each other, inside a step: one path for all of them.

A bar says how far each mark went and not what the others were worth then. To test each position at
its own extreme would liquidate hedges that no price could have hurt. So the marks move together, in
a line from their opens to one extreme each, and the account is liquidated where its margin balance
meets its maintenance margin on that line.
"""

from __future__ import annotations

import math

from tests.reference.account_events import (
    book_fill,
    fill,
    receive,
    slippage,
    stop_order,
    take_profit,
)
from tests.reference.account_plain import exit_at, value
from tests.reference.book_events import (
    Book,
    Here,
    collateral,
    give_back,
    held,
    kept,
    lend,
    stand_together,
)

from delever.engine.book_forced import AT_CAP
from delever.engine.book_path import LEAST_SEEN
from delever.engine.settings import RESOLVED
from delever.engine.steps import Funding, Prices
from delever.venues.brackets import bracket_of
from delever.venues.contract import round_quantity


def slack(book: Book, marks: list[float], paid: float) -> float:
    """Margin balance less maintenance margin at marks, once `paid` is received."""
    left = book.cash + paid
    for place, mark in enumerate(marks):
        left += collateral(book, place, mark)
    for place, mark in enumerate(marks):
        if not book.spot[place]:
            left -= kept(book.legs[place], mark)[0]
    return left


def meeting(book: Book, start: list[float], end: list[float], paid: float) -> float:
    """How far on the way from marks to marks the margin balance meets the maintenance margin.

    Above 1 when it does not.

    Notes
    -----
    All marks move in a line from `start` to `end`. The balance is then linear in the way gone and
    the maintenance margin convex, so what is between them is concave: from an end where it is gone,
    Newton's steps come down to the one place where it goes, from piece to piece.
    """
    if slack(book, start, paid) <= 0.0:
        return 0.0
    way = 1.0
    left = slack(book, end, paid)
    if left > 0.0:
        return math.inf
    for _ in range(64):
        slope, left = 0.0, book.cash + paid
        marks = [a + way * (b - a) for a, b in zip(start, end, strict=True)]
        for place, mark in enumerate(marks):
            left += collateral(book, place, mark)
            slope += collateral(book, place, end[place] - start[place])
        for place, mark in enumerate(marks):
            if not book.spot[place]:
                needs, rate = kept(book.legs[place], mark)
                left -= needs
                size = abs(book.legs[place].account.position)
                slope -= rate * size * (end[place] - start[place])
        if left >= 0.0 or slope >= 0.0:
            break
        nearer = way - left / slope
        if not nearer < way:
            break
        way = nearer
    return max(way, 0.0)


def directions(book: Book, resolve: float) -> list[list[float]]:
    """Ways the marks may go inside a step: +1 to the high, -1 to the low, of each position.

    Notes
    -----
    A run lets all go with the largest position, or against it where they have moved against it so
    far, once down and once up. The worst lets each go to its own adverse extreme at once. The best
    lets one do so while all others are at their best: what is met then is met however they moved.
    """
    against = [-leg.account.side for leg in book.legs]
    if resolve == RESOLVED["worst"]:
        return [against]
    among = held(book)
    if resolve == RESOLVED["best"]:
        return [
            [side if other == place else -side for other, side in enumerate(against)]
            for place in among
        ]
    first = max(among, key=lambda place: _notional(book, place))
    with_it = [-1.0 if _apart(book, first, other) else 1.0 for other in range(len(book.legs))]
    return [[-side for side in with_it], with_it]


def _notional(book: Book, place: int) -> float:
    account = book.legs[place].account
    return abs(account.position * account.mark)


def _apart(book: Book, one: int, other: int) -> bool:
    low, high = min(one, other), max(one, other)
    return book.seen[low][high] >= LEAST_SEEN and book.together[low][high] < 0.0


def balance(book: Book, marks: list[float]) -> float:
    """Margin balance at marks."""
    left = book.cash
    for place, mark in enumerate(marks):
        left += collateral(book, place, mark)
    return left


def liquidate(book: Book, marks: list[float]) -> bool:
    """Liquidate at marks where not enough is there; whether nothing is left that needs margin.

    Everything at once, or one position after the other until enough is there. Whose balance is gone
    loses everything.
    """
    begun = False
    while held(book) and (not begun or slack(book, marks, 0.0) <= 0.0):
        begun = True  # rounding may leave a little at the marks where they met
        if book.cut.by == 0.0 or balance(book, marks) <= 0.0:
            _liquidate_all(book, marks)
        else:
            _cut_one(book, marks)
    if not held(book):
        repay(book)
        return True
    return False


def _cut_one(book: Book, marks: list[float]) -> None:
    """Take down the position that goes first; what is left stays with the account."""

    def goes(place: int) -> float:
        account = book.legs[place].account
        if book.cut.by_margin > 0.0:
            return -kept(book.legs[place], marks[place])[0]
        return account.position * (marks[place] - account.entry)

    place = min(held(book), key=goes)
    leg, price = book.legs[place], marks[place]
    quantity = _after_cut(book, place, price) - leg.account.position
    fee = min(leg.terms.liquidation_fee * abs(quantity) * price, balance(book, marks))
    book.was_cut = True
    _close(book, place, quantity, price, fee, 0.0)
    book.cash = book.cash - quantity * price - fee


def _after_cut(book: Book, place: int, price: float) -> float:
    """What is left of a position that is taken down once."""
    leg = book.legs[place]
    account, size = leg.account, abs(leg.account.position)
    if book.spot[place] or size * price <= book.cut.above:
        return 0.0
    if book.cut.by == 2.0:
        return 0.0 if book.was_cut else (1.0 - book.cut.size) * account.position
    unit = {0.0: price, 1.0: account.entry, 2.0: 1.0}[leg.rule.bracket_by]
    within = bracket_of(size * unit * (1.0 - AT_CAP), leg.brackets)
    row = leg.brackets.index(within) - int(book.cut.size)
    if row < 0:
        return 0.0
    left = round_quantity(leg.brackets[row].cap / unit, leg.orders.lot)
    return math.copysign(left, account.position)


def _close(
    book: Book, place: int, quantity: float, price: float, fee: float, lacking: float
) -> None:
    """Book what was taken of a position by force."""
    leg = lend(book, place)
    account = leg.account
    equity = account.cash + account.position * price + account.elsewhere
    leg.row["price_pnl"] += account.position * (price - account.mark)
    account.mark = price
    account.position += quantity
    if account.position == 0.0:
        account.entry = account.peak = 0.0
    account.stopped, account.limit = 1.0, math.nan
    book_fill(
        leg,
        quantity=quantity,
        price=price,
        fee=fee,
        slippage=0.0,
        liquidation=lacking,
        equity=equity,
        exposure=account.position * price / (equity - fee) if equity > fee else 0.0,
        reason="liquidation",
    )


def _liquidate_all(book: Book, marks: list[float]) -> None:
    """Close every position that needs margin; the margin balance is lost, and what lacks is not."""
    places, left = held(book), balance(book, marks)
    backed = 0.0
    for place, mark in enumerate(marks):
        if place not in places:
            backed += collateral(book, place, mark)
    sizes = [abs(book.legs[place].account.position) * marks[place] for place in places]
    fees = [
        book.legs[place].terms.liquidation_fee * size
        for place, size in zip(places, sizes, strict=True)
    ]
    total, asked = sum(sizes), sum(fees)
    part = min(max(left, 0.0) / asked, 1.0) if asked > 0.0 else 0.0
    lacking = asked * part - left
    for place, size, fee in zip(places, sizes, fees, strict=True):
        position, price = book.legs[place].account.position, marks[place]
        _close(book, place, -position, price, fee * part, lacking * (size / total))
        book.cash += position * price  # so that the next one sees what is left
    book.cash = 0.0 - backed


def repay(book: Book) -> None:
    """Sell collateral where nothing is held any more and quote units are owed: of each its part."""
    if not (book.cash < 0.0 and any(book.counted)):
        return
    worth = 0.0
    sold: list[tuple[int, float]] = []
    for place, leg in enumerate(book.legs):
        account = leg.account
        if book.spot[place] and account.position > 0.0:
            slipped = slippage(leg, account.position * account.mark)
            each = account.position * account.mark * (1.0 - slipped) * (1.0 - leg.terms.taker)
            worth += each
            sold.append((place, slipped))
    part = min(-book.cash / worth, 1.0) if worth > 0.0 else 0.0
    for place, slipped in sold:
        leg = lend(book, place)
        account = leg.account
        wanted = (1.0 - part) * account.position
        fill(leg, wanted, account.mark, slipped, leg.terms.taker, "liquidation")
        give_back(book, place)


def inside_together(book: Book, there: dict[int, Here], begun: dict[int, float]) -> None:
    """Funding stamped inside, stops and the liquidation of positions that stand together.

    `begun` are the sizes held before resting orders were filled in the step.
    """
    stays, leaves = {}, {}
    for place, here in there.items():
        stays[place], leaves[place] = _funding(book, place, here.funding, begun[place])
    if book.resolve > 0.0:
        _gain(book, there, leaves)
    start = [leg.account.mark for leg in book.legs]
    found = directions(book, book.resolve)
    ways = [_ends(there, start, way) for way in found]
    paid = sum(leaves.values())
    _note_doubt(book, there, start, paid)
    order = sorted(range(len(ways)), key=lambda number: slack(book, ways[number], paid))
    for number in order:
        if _go(book, there, found[number], start, ways[number], leaves):
            return
    if book.resolve < 0.0:
        _gain(book, there, leaves)
    still, last = [0.0] * len(start), ways[order[-1]] if order else start
    closes = [
        there[place].mark.close if place in there else mark for place, mark in enumerate(last)
    ]
    lacks = slack(book, closes, sum(leaves.values())) <= 0.0
    if lacks and _go(book, there, still, last, closes, leaves):
        return
    for place in leaves:
        if book.legs[place].account.position != 0.0:
            receive(lend(book, place), stays[place])
            give_back(book, place)


def _ends(there: dict[int, Here], start: list[float], way: list[float]) -> list[float]:
    """Marks at the end of a way; a position without a bar stands still."""
    return [
        _extreme(there[place].mark, way[place]) if place in there else mark
        for place, mark in enumerate(start)
    ]


def _extreme(prices: Prices, way: float) -> float:
    return prices.high if way > 0.0 else prices.low


def _funding(book: Book, place: int, funding: Funding, begun: float) -> tuple[float, float]:
    """What a position receives inside a step when it stays and when it leaves."""
    account, orders = book.legs[place].account, book.legs[place].orders
    word = "long" if account.side > 0.0 else "short"
    size = abs(account.position)
    hold, leave, enter = (getattr(funding, f"{what}_{word}") for what in ("hold", "leave", "enter"))
    added = size - begun
    if added <= 0.0:
        return size * hold, size * leave
    worst = min if orders.resolve < 0.0 else max
    come, gone = added * enter, added * leave
    return begun * hold + come, begun * leave + worst(come, gone)


def _exit(book: Book, place: int, price: float, reason: str, leaves: dict[int, float]) -> None:
    leg = lend(book, place)
    receive(leg, leaves.pop(place, 0.0))
    exit_at(leg, price, reason)
    give_back(book, place)


def _gain(book: Book, there: dict[int, Here], leaves: dict[int, float]) -> None:
    """Take-profits that the favourable extreme reaches."""
    for place, here in there.items():
        leg = book.legs[place]
        side = leg.account.side
        if leg.account.position == 0.0 or leg.rested:
            continue
        profit = take_profit(leg)
        if side * _extreme(here.last, side) >= side * profit:
            past = side * here.last.open >= side * profit
            _exit(book, place, here.last.open if past else profit, "take_profit", leaves)


def _go(
    book: Book,
    there: dict[int, Here],
    way: list[float],
    start: list[float],
    end: list[float],
    leaves: dict[int, float],
) -> bool:
    """Walk one way: stops as they are met, until all are liquidated; whether they were."""
    gone = 0.0
    stops = sorted(_stops(book, there, way))
    while True:
        if not held(book):
            return False
        here = [a + gone * (b - a) for a, b in zip(start, end, strict=True)]
        reached = math.inf
        if stand_together(book):
            paid = sum(leaves.values())
            reached = gone + meeting(book, here, end, paid) * (1.0 - gone)
        if reached <= min(1.0, stops[0][0] if stops else 1.0):
            for place in list(leaves):
                receive(lend(book, place), leaves[place])
                give_back(book, place)
            leaves.clear()
            at = [a + reached * (b - a) for a, b in zip(start, end, strict=True)]
            for place, mark in enumerate(at):
                value(book.legs[place], mark)
            if liquidate(book, at):
                return True
            gone = reached
            continue
        if not stops:
            return False
        gone, place, price, reason = stops.pop(0)
        if book.legs[place].account.position != 0.0:
            _exit(book, place, price, reason, leaves)


def _stops(
    book: Book, there: dict[int, Here], way: list[float]
) -> list[tuple[float, int, float, str]]:
    """Stops on a way: how far along it, whose, their price and name."""
    found = []
    for place, here in there.items():
        leg = book.legs[place]
        side = leg.account.side
        if leg.account.position == 0.0 or way[place] != -side:
            continue
        stop, why = stop_order(leg)
        last, far = here.last, _extreme(here.last, -side)
        if side * far <= side * stop:
            if side * last.open <= side * stop:
                found.append((0.0, place, last.open, why))
            else:
                found.append(((stop - last.open) / (far - last.open), place, stop, why))
    return found


def _note_doubt(book: Book, there: dict[int, Here], start: list[float], paid: float) -> None:
    """Whether it depends on how the positions moved together if the account is liquidated."""
    (worst,) = directions(book, RESOLVED["worst"])
    if slack(book, _ends(there, start, worst), paid) > 0.0:
        return
    certain = directions(book, RESOLVED["best"])
    if all(slack(book, _ends(there, start, way), paid) > 0.0 for way in certain):
        book.ambiguous = 1.0
