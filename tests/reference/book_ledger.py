"""An account of several positions kept in 50-digit decimals: slow, exact, and written apart.

Where the engine finds sides by trying and a liquidation by Newton's steps, this tries all
combinations of sides and halves the way until nothing is left of it. It keeps a wallet and entry
prices, knows no stops, limits, lots or ticks, and assumes that marks move together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from itertools import product
from typing import Any

D = Decimal
ZERO = D(0)
NEARLY = D("1e-9")


@dataclass
class Held:
    """A position and what it is held by."""

    spot: bool
    leverage: Decimal
    brackets: list[tuple[Decimal, Decimal]]  # rate and amount of each
    fee: Decimal
    slip: Decimal
    borrow: dict[Any, Decimal]  # share of a short's value, by bar
    counted: Decimal
    ends: tuple[Any, Decimal | None] | None  # last bar, recovery
    bars: dict[Any, tuple[Decimal, ...]]  # open, high, low, close
    paid: dict[Any, tuple[Decimal, list[Decimal]]]  # rates at the open and inside
    asked: dict[Any, Decimal]
    units: Decimal = ZERO
    entry: Decimal = ZERO
    mark: Decimal = ZERO
    wish: Decimal = ZERO
    out: bool = False

    def kept(self, mark: Decimal) -> Decimal:
        if self.spot or not self.units:
            return ZERO
        size = abs(self.units) * mark
        return max(rate * size - amount for rate, amount in self.brackets)

    def backs(self, mark: Decimal) -> Decimal:
        value = self.units * mark
        return self.counted * value if self.spot and value > 0 else value

    @property
    def margined(self) -> bool:
        return self.units < 0 or (self.units > 0 and not self.spot)


@dataclass
class Ledger:
    cash: Decimal
    mode: str
    legs: list[Held]
    away: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def joint(self) -> bool:
        return self.mode in ("cross", "multi_asset")


def keep(times: list[Any], legs: list[Held], *, mode: str, cash: float) -> Ledger:
    """Equity and positions at each close."""
    with localcontext() as context:
        context.prec = 50
        book = Ledger(D(cash), mode, legs)
        for time in times:
            here = [leg for leg in legs if time in leg.bars]
            _bar(book, here, time)
            for leg in here:
                if leg.ends and leg.ends[0] == time:
                    _end(book, leg)
            worth = book.cash + sum((leg.units * leg.mark for leg in legs), ZERO)
            book.rows.append({"equity": worth, "cash": book.cash, "units": [x.units for x in legs]})
        return book


def _bar(book: Ledger, here: list[Held], time: Any) -> None:
    for leg in here:
        leg.mark = leg.bars[time][0]
    for leg in here:
        book.cash -= leg.units * leg.mark * leg.paid[time][0]
    _gaps(book, here)
    due = [leg for leg in here if leg.asked[time] != leg.wish]
    for leg in due:
        leg.wish, leg.out = leg.asked[time], False
    if due and book.cash + sum((leg.units * leg.mark for leg in book.legs), ZERO) > 0:
        _reach(book, due)
    for leg in here:
        book.cash -= max(-leg.units, ZERO) * leg.mark * leg.borrow[time]
    if book.joint and any(leg.margined for leg in book.legs):
        _together(book, here, time)
    else:
        for leg in here:
            _alone(book, leg, time)
    for leg in here:
        leg.mark = leg.bars[time][3]


def _stamps(leg: Held, time: Any) -> tuple[Decimal, Decimal]:
    """What the position receives inside the bar when it stays, and at worst when it leaves."""
    running, worst = ZERO, ZERO
    for rate in leg.paid[time][1]:
        running -= leg.units * leg.bars[time][0] * rate
        worst = min(worst, running)
    return running, worst


def _slack(book: Ledger, marks: list[Decimal], paid: Decimal) -> Decimal:
    left = book.cash + paid
    for leg, mark in zip(book.legs, marks, strict=True):
        left += leg.backs(mark) - leg.kept(mark)
    return left


def _gaps(book: Ledger, here: list[Held]) -> None:
    marks = [leg.mark for leg in book.legs]
    if book.joint:
        if any(leg.margined for leg in book.legs):
            if _slack(book, marks, ZERO) <= 0:
                _force(book, marks)
        elif book.cash < 0 and _slack(book, marks, ZERO) < 0:
            _repay(book)
        return
    for leg in here:
        behind = _behind(book, leg, ZERO) if leg.margined else ZERO
        if leg.margined and behind + _profit(leg, leg.mark) <= leg.kept(leg.mark):
            _seize(book, leg, behind)


def _profit(leg: Held, price: Decimal) -> Decimal:
    return leg.units * (price - leg.entry)


def _behind(book: Ledger, leg: Held, paid: Decimal) -> Decimal:
    """Margin of one position of a wallet whose positions have their own."""
    held = [one for one in book.legs if one.margined]
    wallet = book.cash + sum((one.units * one.entry for one in held), ZERO)
    own = abs(leg.units) * leg.entry / leg.leverage
    every = sum((abs(one.units) * one.entry / one.leverage for one in held), ZERO)
    if every == own:
        behind = wallet
    elif every >= wallet * (1 - NEARLY):
        behind = wallet * own / every
    else:
        behind = wallet - (every - own)
    behind += paid
    if leg.spot:
        return behind  # a short's debt is backed by all that is free
    return behind if own >= behind * (1 - NEARLY) else own


def _alone(book: Ledger, leg: Held, time: Any) -> None:
    if not leg.units:
        return
    stays, leaves = _stamps(leg, time)
    if leg.margined:
        far = leg.bars[time][2 if leg.units > 0 else 1]
        behind = _behind(book, leg, leaves)

        def left(price: Decimal) -> Decimal:
            return behind + _profit(leg, price) - leg.kept(price)

        if left(far) <= 0:
            book.cash += leaves
            _seize(book, leg, behind)
            return
    book.cash += stays


def _halved(left: Any) -> Decimal:
    """Where on the way from 0 to 1 nothing is left for the first time."""
    if left(ZERO) <= 0:
        return ZERO
    low, high = ZERO, D(1)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if left(middle) <= 0 else (middle, high)
    return high


def _seize(book: Ledger, leg: Held, behind: Decimal) -> None:
    """What stood behind the position is gone, at whatever price."""
    book.cash += leg.units * leg.entry - behind
    leg.units, leg.entry, leg.out = ZERO, ZERO, True


def _together(book: Ledger, here: list[Held], time: Any) -> None:
    start = [leg.mark for leg in book.legs]
    stamps = {id(leg): _stamps(leg, time) for leg in here}
    paid = sum((leaves for _, leaves in stamps.values()), ZERO)
    ways = []
    for column in (2, 1):  # all to their lows, all to their highs
        ends = [leg.bars[time][column] if leg in here else leg.mark for leg in book.legs]
        ways.append((_slack(book, ends, paid), len(ways), ends))
    ordered = sorted(ways, key=lambda way: way[:2])
    lines = [(left, start, ends) for left, _, ends in ordered]
    closes = [leg.bars[time][3] if leg in here else leg.mark for leg in book.legs]
    lines.append((_slack(book, closes, paid), ordered[-1][2], closes))  # what is known of the end
    for left, begin, ends in lines:
        if left > 0:
            continue

        def marks(way: Decimal, begin: Any = begin, ends: Any = ends) -> list[Decimal]:
            return [a + way * (b - a) for a, b in zip(begin, ends, strict=True)]

        met = _halved(lambda way: _slack(book, marks(way), paid))
        book.cash += paid
        for leg, mark in zip(book.legs, marks(met), strict=True):
            leg.mark = mark
        _force(book, [leg.mark for leg in book.legs])
        return
    for leg in here:
        book.cash += stamps[id(leg)][0]


def _force(book: Ledger, marks: list[Decimal]) -> None:
    """Everything that needs margin is closed, and the margin balance is gone."""
    rest = [(leg, mark) for leg, mark in zip(book.legs, marks, strict=True) if not leg.margined]
    backed = sum((leg.backs(mark) for leg, mark in rest), ZERO)
    for leg in book.legs:
        if leg.margined:
            leg.units, leg.entry, leg.out = ZERO, ZERO, True
    book.cash = -backed
    _repay(book)


def _repay(book: Ledger) -> None:
    spots = [leg for leg in book.legs if leg.spot and leg.units > 0]
    if not (book.cash < 0 and any(leg.counted for leg in book.legs)):
        return
    net = {id(x): x.units * x.mark * (1 - x.slip) * (1 - x.fee) for x in spots}
    worth = sum(net.values(), ZERO)
    part = min(-book.cash / worth, D(1)) if worth else ZERO
    for leg in spots:
        book.cash += part * net[id(leg)]
        leg.units -= part * leg.units
    if book.cash < 0 and not any(leg.units for leg in book.legs):
        book.cash = ZERO


def _reach(book: Ledger, due: list[Held]) -> None:
    """Try every combination of purchases, sales and leaving alone; one is right."""
    found = []
    for sides in product((1, -1, 0), repeat=len(due)):
        over, under = book.cash, D(1)
        for leg in book.legs:
            side = sides[due.index(leg)] if leg in due else 0
            price = leg.mark * (1 + side * leg.slip)
            over += leg.units * price * (1 + side * leg.fee)
            under += side * leg.fee * leg.wish if side else 0
        equity = over / under
        if equity > 0 and all(_fits(leg, s, equity) for leg, s in zip(due, sides, strict=True)):
            found.append((sides, equity))
    if not found:
        raise AssertionError("no combination of sides reaches the targets")
    (sides, equity), *others = found
    for other, _ in others:
        raise AssertionError(f"two combinations fit: {sides} and {other}")
    wanted = {}
    for leg, side in zip(due, sides, strict=True):
        price = leg.mark * (1 + side * leg.slip)
        wanted[id(leg)] = leg.wish * equity / price if side else leg.units
    _afford(book, due, wanted)
    for leg in due:
        _trade(book, leg, wanted[id(leg)], leg.mark, leg.slip, leg.fee)


def _fits(leg: Held, side: int, equity: Decimal) -> bool:
    buys = leg.wish * equity > leg.units * leg.mark * (1 + leg.slip)
    sells = leg.wish * equity < leg.units * leg.mark * (1 - leg.slip)
    return side == (0 if buys == sells else 1 if buys else -1)


def _afford(book: Ledger, due: list[Held], wanted: dict[int, Decimal]) -> None:
    if not book.joint:
        return
    balance, needed = book.cash, ZERO
    for leg in book.legs:
        size = wanted.get(id(leg), leg.units)
        side = (size > leg.units) - (size < leg.units)
        price = leg.mark * (1 + side * leg.slip)
        balance -= (size - leg.units) * price + abs(size - leg.units) * price * leg.fee
        value = size * price
        balance += leg.counted * value if leg.spot and size > 0 else value
        needed += ZERO if leg.spot and size > 0 else abs(value) / leg.leverage
    if not needed or needed <= balance * (1 + NEARLY):
        return
    for leg in due:
        size, now = wanted[id(leg)], leg.units
        if not (leg.spot and size >= 0) and (abs(size) > abs(now) or size * now < 0):
            wanted[id(leg)] = ZERO if size * now < 0 else now
            book.away += 1


def _trade(book, leg, size, reference, slip, fee):  # type: ignore[no-untyped-def]
    quantity = size - leg.units
    if not quantity:
        return
    price = reference * (1 + (slip if quantity > 0 else -slip))
    book.cash -= quantity * price + abs(quantity) * price * fee
    if not size:
        leg.entry = ZERO
    elif leg.units * size <= 0:
        leg.entry = price
    elif abs(size) > abs(leg.units):
        leg.entry = (leg.units * leg.entry + quantity * price) / size
    leg.units = size
    if book.cash <= 0 and not any(one.units for one in book.legs):
        book.cash, leg.out = ZERO, True


def _end(book: Ledger, leg: Held) -> None:
    assert leg.ends is not None
    recovery, margined = leg.ends[1], leg.margined
    price = leg.mark if recovery is None else recovery
    left = ZERO if book.joint or not margined else _behind(book, leg, ZERO) + _profit(leg, price)
    worth = book.cash + leg.units * price
    if recovery is None:
        _trade(book, leg, ZERO, leg.mark, leg.slip, leg.fee)
    else:
        _trade(book, leg, ZERO, recovery, ZERO, ZERO)
    leg.wish = ZERO
    if book.joint and any(one.margined for one in book.legs):
        marks = [one.mark for one in book.legs]
        if _slack(book, marks, ZERO) <= 0:
            _force(book, marks)
    elif margined and not leg.out:  # what no margin stood behind is borne by the fund
        left -= worth - book.cash
        if book.joint:
            left = book.cash + sum((one.backs(one.mark) for one in book.legs), ZERO)
        book.cash += max(-left, ZERO)
