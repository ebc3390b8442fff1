"""Positions that stand behind each other, inside a step: one path for all of them.

A bar says how far each mark went and not what the others were worth then. To test each position at
its own extreme would liquidate hedges that no price could have hurt. So the marks move together, in
a line from their opens to one extreme each, and the account is liquidated where its margin balance
meets its maintenance margin on that line.
"""

from __future__ import annotations

import math

from delever.engine.book_events import (
    Book,
    Here,
    collateral,
    give_back,
    held,
    kept,
    lend,
    stand_together,
)
from delever.engine.events import book_fill, receive, stop_order, take_profit
from delever.engine.plain import exit_at
from delever.engine.settings import RESOLVED
from delever.engine.steps import Funding, Prices

LEAST_SEEN = 20
"""Steps that two positions must have had in common before how they moved together counts."""


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


def liquidate_all(book: Book, marks: list[float]) -> None:
    """Close every position that needs margin; the margin balance is lost, and what lacks is not."""
    places = held(book)
    left = book.cash
    for place, mark in enumerate(marks):
        left += collateral(book, place, mark)
    sizes = [abs(book.legs[place].account.position) * marks[place] for place in places]
    fees = [
        book.legs[place].terms.liquidation_fee * size
        for place, size in zip(places, sizes, strict=True)
    ]
    total, asked = sum(sizes), sum(fees)
    part = min(max(left, 0.0) / asked, 1.0) if asked > 0.0 else 0.0
    lacking = asked * part - left
    backed = 0.0
    for place, mark in enumerate(marks):
        if place not in places:
            backed += collateral(book, place, mark)
    for place, size, fee in zip(places, sizes, fees, strict=True):
        leg = lend(book, place)
        account, price = leg.account, marks[place]
        position = account.position
        equity = account.cash + position * price + account.elsewhere
        leg.row["price_pnl"] += position * (price - account.mark)
        account.mark = price
        account.position = account.entry = account.peak = 0.0
        account.stopped = 1.0
        book_fill(
            leg,
            quantity=-position,
            price=price,
            fee=fee * part,
            slippage=0.0,
            liquidation=lacking * (size / total) if total > 0.0 else 0.0,
            equity=equity,
            exposure=0.0,
            reason="liquidation",
        )
        book.cash += position * price  # so that the next one sees what is left
    book.cash = 0.0 - backed


def inside_together(book: Book, there: dict[int, Here], entered: set[int]) -> None:
    """Funding stamped inside, stops and the liquidation of positions that stand together."""
    stays, leaves = {}, {}
    for place, here in there.items():
        stays[place], leaves[place] = _funding(book, place, here.funding, place in entered)
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
    for place in there:
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


def _funding(book: Book, place: int, funding: Funding, entered: bool) -> tuple[float, float]:
    """What a position receives inside a step when it stays and when it leaves."""
    account, orders = book.legs[place].account, book.legs[place].orders
    word = "long" if account.side > 0.0 else "short"
    size = abs(account.position)
    stay, left, come = (
        size * getattr(funding, f"{what}_{word}") for what in ("hold", "leave", "enter")
    )
    worst = min if orders.resolve < 0.0 else max
    return (come, worst(come, left)) if entered else (stay, left)


def _exit(book: Book, place: int, price: float, reason: str, leaves: dict[int, float]) -> None:
    leg = lend(book, place)
    receive(leg, leaves.pop(place))
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
            _exit(book, place, profit, "take_profit", leaves)


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
            at = [a + reached * (b - a) for a, b in zip(start, end, strict=True)]
            liquidate_all(book, at)
            return True
        if not stops:
            return False
        gone, place, price, reason = stops.pop(0)
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
