"""A margin account kept event by event in 50-digit decimals: slow, exact, and written apart.

Where the engine keeps cash and finds a liquidation price as the largest of lines, this keeps a
wallet with an entry price, asks at a price whether the margin balance is gone, and solves again
from bracket to bracket. It sizes by notional where the engine sizes by position. Prices are quoted
ones in every contract: of an inverse one a quote unit is worth -1 / price coins to who holds it,
and 1 / price in size, where the engine walks a market of reciprocal prices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

D = Decimal
ZERO = D(0)


@dataclass
class Venue:
    """Brackets (cap, rate, amount, largest leverage) and what chooses among them."""

    brackets: list[tuple[Any, Any, Any, Any]]
    by: str = "mark"
    rate_on: str = "mark"
    closing_fee: Any = 0
    liquidation_fee: Any = 0
    tick: Any = 0
    inverse: bool = False

    def gain(self, start, end):  # type: ignore[no-untyped-def]
        """Of one unit long from one price to another."""
        return 1 / start - 1 / end if self.inverse else end - start

    def size(self, price):  # type: ignore[no-untyped-def]
        """Notional of one unit."""
        return 1 / price if self.inverse else price

    def rounded(self, price, up):  # type: ignore[no-untyped-def]
        """Whole ticks; what lies within a billionth of one is on the grid."""
        if not self.tick or price is None or not price.is_finite() or price <= 0:
            return price
        steps = price / self.tick
        near = steps.to_integral_value(rounding=ROUND_HALF_EVEN)
        if abs(steps - near) < D("1e-9"):
            return near * self.tick
        way = ROUND_CEILING if up else ROUND_FLOOR
        return steps.to_integral_value(rounding=way) * self.tick


@dataclass
class Orders:
    leverage: Any = 1
    cross: bool = False
    stop_loss: Any = None
    take_profit: Any = None
    trailing_stop: Any = None
    limit_offset: Any = None
    against: bool = True
    separate: bool = False
    weigh: bool = False


@dataclass
class Book:
    wallet: Decimal
    units: Decimal = ZERO
    entry: Decimal = ZERO
    asked: Decimal = ZERO
    out: bool = False
    peak: Decimal = ZERO
    limit: Decimal | None = None
    rested: bool = False
    # what was decided beside the exposure, which rung is next, and closes since the entry
    said: dict[str, Any] = field(default_factory=dict)
    rung: int = 0
    age: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    paid: dict[str, Decimal] = field(default_factory=dict)


def keep(
    bars: list[list[dict[str, Any]]],
    targets: list[float],
    venues: list[Venue],
    orders: Orders,
    *,
    equity: float,
    taker: float,
    maker: float,
    slippage: float,
    borrow: float = 0.0,
    decided: list[dict[str, Any]] | None = None,
) -> tuple[list[dict[str, Decimal]], list[dict[str, Any]]]:
    """Equity at each close and the fills; a bar is a list of steps and has a venue of its own.

    A step holds ``last`` and ``mark`` (open, high, low, close) and ``open``, ``hold``, ``leave``,
    ``enter``: what a unit long and a unit short receive in funding. What is said beside a target:
    ``stop``, ``profit``, ``leverage``, ``time``, and further ``rungs`` after ``limit``.
    """
    with localcontext() as context:
        context.prec = 50
        rates = {"taker": D(taker), "maker": D(maker), "slip": D(slippage)}
        book, rows = Book(D(equity)), []
        for number, (steps, wish, said) in enumerate(zip(bars, targets, venues, strict=True)):
            venue = Venue(
                [tuple(map(D, row)) for row in said.brackets],
                said.by,
                said.rate_on,
                D(said.closing_fee),
                D(said.liquidation_fee),
                D(said.tick),
                said.inverse,
            )
            book.rested = False
            book.paid = dict.fromkeys(("fee", "slip", "funding", "borrow", "fund"), ZERO)
            for place, raw in enumerate(steps):
                step = {name: [D(value) for value in raw[name]] for name in raw}
                before = len(book.events)
                beside = decided[number] if decided else {}
                asked = (D(wish), beside) if place == 0 else None
                _step(book, step, asked, venue, orders, rates, D(borrow))
                for event in book.events[before:]:
                    event["bar"] = number
                if book.units:
                    book.peak = (max if book.units > 0 else min)(book.peak, step["last"][3])
            mark = step["mark"][3]
            book.age += bool(book.units)
            rows.append(
                {
                    "equity": book.wallet + _profit(book, mark, venue),
                    "wallet": book.wallet,
                    "units": book.units,
                    **book.paid,
                }
            )
        return rows, book.events


def _profit(book, price, venue):  # type: ignore[no-untyped-def]
    return book.units * venue.gain(book.entry, price) if book.units else ZERO


def _step(book, step, wish, venue, orders, rates, borrow):  # type: ignore[no-untyped-def]
    last, mark = step["last"], step["mark"]
    if book.units:
        _cash(book, abs(book.units) * step["open"][0 if book.units > 0 else 1])
        if _broke(book, mark[0], ZERO, venue, orders):
            _force(book, mark[0], venue, orders)
        else:
            _gap(book, last[0], venue, orders, rates)
    if wish is not None:
        _wish(book, *wish, last[0], venue, orders, rates)
        owed = max(-book.units, ZERO) * last[0] * borrow
        book.wallet -= owed
        book.paid["borrow"] += owed
    begun = abs(book.units)
    while book.limit is not None:
        wish = _rungs(book)[book.rung][0]
        crossed = last[2] < book.limit if wish > 0 else last[1] > book.limit
        if not crossed or _ended(book, step, venue, orders):
            break
        held = book.units
        if not _more(book, book.limit, ZERO, rates["maker"], venue):
            break
        book.limit = None
        book.rested = book.rested or (not held and bool(book.units))
        if book.out or orders.limit_offset is not None or not _queue(book, venue):
            break
    if book.units:
        _inside(book, step, begun, venue, orders, rates)


def _cash(book, amount):  # type: ignore[no-untyped-def]
    book.wallet += amount
    book.paid["funding"] += amount


def _behind(book, extra, venue, orders):  # type: ignore[no-untyped-def]
    wallet = book.wallet + extra
    own = abs(book.units) * venue.size(book.entry) / D(book.said.get("leverage") or orders.leverage)
    return wallet if orders.cross or own >= wallet * (1 - D("1e-9")) else own


def _row_of(measure, venue):  # type: ignore[no-untyped-def]
    return next((row for row in venue.brackets if measure <= row[0]), venue.brackets[-1])


def _must_keep(book, price, venue):  # type: ignore[no-untyped-def]
    size, now = abs(book.units), abs(book.units) * venue.size(price)
    at_entry = size * venue.size(book.entry)
    measure = {"mark": now, "entry": at_entry, "size": size}[venue.by]
    _, rate, amount, _ = _row_of(measure, venue)
    base = now if venue.rate_on == "mark" else at_entry
    return rate * base - amount + venue.closing_fee * now


def _broke(book, price, extra, venue, orders):  # type: ignore[no-untyped-def]
    """Whether the balance is gone at a price, or at the nearer tick of the one where it is."""
    balance = _behind(book, extra, venue, orders) + _profit(book, price, venue)
    if balance <= _must_keep(book, price, venue):
        return True
    side = 1 if book.units > 0 else -1
    return bool(venue.tick) and side * (price - _trigger(book, extra, venue, orders)) <= 0


def _trigger(book, extra, venue, orders):  # type: ignore[no-untyped-def]
    """Solve with one bracket; take another when the answer lies in another."""
    size, margin = abs(book.units), _behind(book, extra, venue, orders)
    side = 1 if book.units > 0 else -1
    at_entry = size * venue.size(book.entry)
    gains = -side if venue.inverse else side  # of the notional, when the account gains
    for cap, rate, amount, _ in venue.brackets:
        slope = rate if venue.rate_on == "mark" else ZERO
        fixed = (ZERO if venue.rate_on == "mark" else rate * at_entry) - amount
        now = (gains * at_entry + fixed - margin) / (gains - slope - venue.closing_fee)
        measure = {"mark": now, "entry": at_entry, "size": size}[venue.by]
        if _row_of(max(measure, ZERO), venue)[0] == cap:
            if not venue.inverse:
                return venue.rounded(now / size, side > 0)
            # Of a short that no price ends, and of a long that no price saves.
            return venue.rounded(size / now, side > 0) if now > 0 else D("Infinity")
    raise AssertionError("some bracket must hold its own answer")


def _force(book, price, venue, orders):  # type: ignore[no-untyped-def]
    lost = _behind(book, ZERO, venue, orders)
    left = lost + _profit(book, price, venue)
    fee = min(max(left, ZERO), venue.liquidation_fee * abs(book.units) * venue.size(price))
    _event(book, -book.units, price, fee, ZERO, fee - left, "liquidation")
    book.wallet, book.units, book.entry, book.out = book.wallet - lost, ZERO, ZERO, True
    book.limit = None


def _event(book, quantity, price, fee, slip, fund, reason):  # type: ignore[no-untyped-def]
    book.paid["fee"] += fee
    book.paid["slip"] += slip
    book.paid["fund"] += fund
    book.events.append({"quantity": quantity, "price": price, "fee": fee, "reason": reason})


def _levels(book, venue, orders):  # type: ignore[no-untyped-def]
    """Stops (price, name), the first to be met in front, and the take-profit."""
    side = 1 if book.units > 0 else -1
    stops = []
    if orders.stop_loss is not None:
        stops.append((book.entry - side * D(orders.stop_loss) * book.entry, "stop_loss"))
    if orders.trailing_stop is not None:
        stops.append((book.peak * (1 - side * D(orders.trailing_stop)), "trailing_stop"))
    if book.said.get("stop") is not None:
        stops.append((D(book.said["stop"]), "stop_loss"))
    stops.sort(key=lambda stop: -side * stop[0])
    stops = [(venue.rounded(price, side < 0), name) for price, name in stops]
    gain = orders.take_profit
    profits = [] if gain is None else [book.entry + side * D(gain) * book.entry]
    if book.said.get("profit") is not None:
        profits.append(D(book.said["profit"]))
    profit = min(profits, key=lambda price: side * price) if profits else None
    return stops, venue.rounded(profit, side < 0)


def _gap(book, price, venue, orders, rates):  # type: ignore[no-untyped-def]
    side = 1 if book.units > 0 else -1
    stops, profit = _levels(book, venue, orders)
    if stops and side * (price - stops[0][0]) <= 0:
        _leave(book, price, rates, stops[0][1], venue)
    elif profit is not None and not book.rested and side * (price - profit) >= 0:
        _leave(book, price, rates, "take_profit", venue)


def _leave(book, price, rates, reason, venue):  # type: ignore[no-untyped-def]
    book.out, book.limit = True, None
    _reach(book, ZERO, price, rates["slip"], rates["taker"], reason, venue)


def _wish(book, wish, beside, price, venue, orders, rates):  # type: ignore[no-untyped-def]
    further = [exposure for exposure, _ in beside.get("rungs", ())]
    new = wish != book.asked or further != [e for e, _ in book.said.get("rungs", ())]
    book.asked, book.said = wish, beside
    if new:
        book.out, book.limit, book.rung = False, None, 0
    worth = book.wallet + _profit(book, price, venue)
    if worth <= 0 or book.out:
        return
    side = 1 if wish >= 0 else -1
    adds = side * book.units * venue.size(price) / worth < abs(wish)
    if new and adds and beside.get("limit") is not None:
        if book.units * wish <= 0:
            _reach(book, ZERO, price, rates["slip"], rates["taker"], "target", venue)
    elif new:
        book.rung = 1
        _enter(book, wish, price, adds and wish, venue, orders, rates)
    elif book.units and beside.get("time") and book.age >= beside["time"]:
        _leave(book, price, rates, "time_stop", venue)
    if book.out or orders.limit_offset is not None:
        return
    resting = book.limit
    while _queue(book, venue):
        limit, more = book.limit, _rungs(book)[book.rung][0] > 0
        if limit == resting or (price >= limit if more else price <= limit):
            break
        book.limit = None
        slip = min(rates["slip"], abs(limit / price - 1))
        if not _more(book, price, slip, rates["taker"], venue) or book.out:
            break


def _enter(book, wish, price, adds, venue, orders, rates):  # type: ignore[no-untyped-def]
    if adds and _useless(book, wish, price):
        book.out = True
        if book.units * wish > 0:
            return
        wish = ZERO
    elif orders.limit_offset is not None and wish and book.units * wish <= 0:
        limit = price - price * D(orders.limit_offset) * (1 if wish > 0 else -1)
        book.limit, book.rung = venue.rounded(limit, wish > 0), 0
        wish = ZERO
    _reach(book, wish, price, rates["slip"], rates["taker"], "target", venue)


def _useless(book, wish, price):  # type: ignore[no-untyped-def]
    """Whether an order would come with a stop or a target that its price has passed."""
    side, stop, profit = (1 if wish > 0 else -1), book.said.get("stop"), book.said.get("profit")
    return (stop is not None and side * (price - D(stop)) <= 0) or (
        profit is not None and side * (price - D(profit)) >= 0
    )


def _rungs(book):  # type: ignore[no-untyped-def]
    first = book.said.get("limit") if book.asked else None
    return [(book.asked, first), *book.said.get("rungs", ())]


def _queue(book, venue):  # type: ignore[no-untyped-def]
    """Put the next order of the ladder to rest, whole ticks no worse than it was said."""
    rungs, book.limit = _rungs(book), None
    for number in range(book.rung, len(rungs)):
        wish, limit = rungs[number]
        if limit is not None:
            book.rung, book.limit = number, venue.rounded(D(limit), wish < 0)
            return True
    return False


def _more(book, price, slip, fee, venue):  # type: ignore[no-untyped-def]
    """Reach the next rung, unless there is nothing to pay with or its own stop is passed."""
    wish = D(_rungs(book)[book.rung][0])
    worth = book.wallet + _profit(book, price, venue)
    if worth <= 0 or _useless(book, wish, price):
        return False
    book.rung += 1
    have = book.units * venue.size(price * (1 + slip * (1 if wish > 0 else -1)))
    left = book.wallet + _profit(book, price * (1 + slip * (1 if wish > 0 else -1)), venue)
    if left <= 0 or abs(have) < abs(wish) * left:
        _reach(book, wish, price, slip, fee, "limit", venue)
    return True


def _ended(book, step, venue, orders):  # type: ignore[no-untyped-def]
    """Whether what is held goes before its next order: on the way there, or when it is best so."""
    if not book.units:
        return False
    side, last, mark = (1 if book.units > 0 else -1), step["last"], step["mark"]
    low, high = (2, 1) if side > 0 else (1, 2)
    stops, profit = _levels(book, venue, orders)
    if stops and side * (book.limit - stops[0][0]) <= 0:
        return True
    trigger = _trigger(book, ZERO, venue, orders)
    if side * (book.limit - trigger) <= 0 and _broke(book, mark[low], ZERO, venue, orders):
        return True
    hurt = _broke(book, mark[low], ZERO, venue, orders)
    if stops and side * (last[low] - stops[0][0]) <= 0:
        hurt = True
    gained = profit is not None and not book.rested and side * (last[high] - profit) >= 0
    return orders.against and gained and not hurt


def _reach(book, wish, reference, slip, fee, reason, venue):  # type: ignore[no-untyped-def]
    if not wish and not book.units:
        return
    flat = not book.units
    at = {side: reference * (1 + side * slip) for side in (1, -1)}
    worth = {side: book.wallet + _profit(book, at[side], venue) for side in (1, -1)}
    if wish or min(worth.values()) > 0:
        have = [
            book.units * venue.size(at[side]) / worth[side] for side in (1, -1) if worth[side] > 0
        ]
        if len(have) == 2 and min(have) <= wish <= max(have):
            return
        side = 1 if len(have) < 2 or wish > max(have) else -1
        if len(have) < 2:
            side = -1 if book.units > 0 else 1
    else:
        side = -1 if book.units > 0 else 1
    price, unit = at[side], venue.size(at[side])
    size = (wish * worth[side] - book.units * unit) / (side + wish * fee)
    if not wish or worth[side] - fee * size <= 0:
        wish, size = ZERO, abs(book.units) * unit
    quantity = side * size / unit if wish else -book.units
    after = book.units + quantity if wish else ZERO
    profit = _profit(book, price, venue)
    cost = fee * size
    if book.units * after <= 0:
        wallet, entry = book.wallet + profit - cost, price if after else ZERO
        peak = price
    elif abs(after) > abs(book.units):
        wallet, peak = book.wallet - cost, book.peak
        mean = (book.units * venue.size(book.entry) + quantity * unit) / after
        entry = 1 / mean if venue.inverse else mean
    else:
        wallet, entry, peak = (
            book.wallet - quantity * venue.gain(book.entry, price) - cost,
            book.entry,
            book.peak,
        )
    left = wallet + (after * venue.gain(entry, price) if after else ZERO)
    ruined = left <= 0
    _event(
        book,
        quantity,
        price,
        cost,
        abs(quantity * venue.gain(reference, price)),
        -left if ruined else ZERO,
        "liquidation" if ruined else reason,
    )
    if ruined:
        wallet, after, entry, book.out, book.limit = ZERO, ZERO, ZERO, True, None
    if flat or book.units * after < 0:
        book.age = 0
    book.wallet, book.units, book.entry, book.peak = wallet, after, entry, peak


def _inside(book, step, begun, venue, orders, rates):  # type: ignore[no-untyped-def]
    last, mark = step["last"], step["mark"]
    long = book.units > 0
    side, size = (1, abs(book.units)) if long else (-1, abs(book.units))
    hold, leave, enter = (
        size * step[name][0 if long else 1] for name in ("hold", "leave", "enter")
    )
    added = size - begun
    if added > 0:
        share = begun / size
        hold, old = hold * share + enter * (1 - share), leave * share
        leave = old + (1 - share) * (min if orders.against else max)(enter, leave)
    low, high = (2, 1) if long else (1, 2)
    stops, profit = _levels(book, venue, orders)
    outcomes = []
    forced = _broke(book, mark[low], leave, venue, orders)
    trigger = _trigger(book, leave, venue, orders)
    stop = next(iter(stops), None)
    met = stop is not None and side * (last[low] - stop[0]) <= 0
    if met and forced and not orders.separate:  # one series meets the nearer first
        met = side * (stop[0] - trigger) > 0
        forced = not met
    if forced:
        price = trigger if side * (mark[0] - trigger) > 0 else mark[0]
        outcomes.append((price, "liquidation"))
    if met:
        outcomes.append((stop[0] if side * (last[0] - stop[0]) > 0 else last[0], stop[1]))
    if profit is not None and not book.rested and side * (last[high] - profit) >= 0:
        price = profit if side * (last[0] - profit) < 0 else last[0]
        outcomes.append((price, "take_profit"))
    _cash(book, leave if outcomes else hold)
    if outcomes:
        if forced and met and (orders.weigh or not orders.against):
            gone = book.wallet - _behind(book, ZERO, venue, orders)
            sold = outcomes[1][0] * (1 - side * rates["slip"])
            left = book.wallet + _profit(book, sold, venue)
            left -= rates["taker"] * size * venue.size(sold)
            values = [gone, max(left, ZERO)]
            keep = values.index((min if orders.against else max)(values))
            outcomes = [outcomes[keep], *outcomes[2:]]
        price, reason = outcomes[0 if orders.against else -1]
        if reason == "liquidation":
            _force(book, price, venue, orders)
        else:
            _leave(book, price, rates, reason, venue)
