"""An account kept event by event in 50-digit decimals: slow, exact, and written apart.

It solves for the notional to trade (the engine solves for the position to hold), keeps a plain
list of what happened, and derives profit from the two ends of each segment of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext

Bar = Sequence[float]


def keep(
    bars: Sequence[Bar],
    targets: Sequence[float],
    *,
    fee: float,
    slippage: float,
    cash: float,
    band: float | None = None,
) -> tuple[list[dict[str, Decimal]], list[dict[str, Decimal | int | bool]]]:
    """Rows at each close and the fills, for targets asked for at each open."""
    with localcontext() as context:
        context.prec = 50
        return _keep(bars, targets, Decimal(fee), Decimal(slippage), Decimal(cash), band)


def _keep(bars, targets, fee, slippage, cash, band):  # type: ignore[no-untyped-def]
    units, asked, rows, fills = Decimal(0), Decimal(0), [], []
    for number, (bar, wish) in enumerate(zip(bars, targets, strict=True)):
        opening, high, low, closing = map(Decimal, bar)
        wish = Decimal(wish)
        worth = cash + units * opening
        shortfall = Decimal(0)
        if units and worth <= 0:
            fills.append(_forced(number, units, opening, -worth))
            shortfall, cash, units = -worth, Decimal(0), Decimal(0)
        elif worth > 0:
            now = units * opening / worth
            if wish != asked or (band is not None and abs(now - wish) > Decimal(band)):
                fill = _trade(wish, cash, units, opening, fee, slippage)
                if fill is not None:
                    fills.append({"bar": number, **fill})
                    shortfall, cash, units = fill["shortfall"], fill["cash"], fill["units"]
        asked = wish
        worst = low if units > 0 else high
        if units and cash + units * worst <= 0:
            at_open = cash + units * opening
            price = -cash / units if at_open > 0 else opening
            beyond = max(Decimal(0), -(cash + units * price))
            fills.append(_forced(number, units, price, beyond))
            shortfall, cash, units = shortfall + beyond, Decimal(0), Decimal(0)
        rows.append(
            {"equity": cash + units * closing, "cash": cash, "units": units, "shortfall": shortfall}
        )
    return rows, fills


def _forced(number, units, price, beyond):  # type: ignore[no-untyped-def]
    return {
        "bar": number,
        "quantity": -units,
        "price": price,
        "fee": Decimal(0),
        "slip": Decimal(0),
        "shortfall": beyond,
        "cash": Decimal(0),
        "units": Decimal(0),
        "forced": True,
    }


def _trade(wish, cash, units, opening, fee, slippage):  # type: ignore[no-untyped-def]
    dear, cheap = opening * (1 + slippage), opening * (1 - slippage)
    if cash + units * dear <= 0:
        side = 1
    else:
        spread = [units * price / (cash + units * price) for price in (dear, cheap)]
        if min(spread) <= wish <= max(spread):
            return None
        side = 1 if wish > max(spread) else -1
    price = dear if side > 0 else cheap
    worth = cash + units * price
    notional = (wish * worth - units * price) / (side + wish * fee)
    ruined = worth - fee * notional <= 0
    if ruined:
        notional = abs(units) * price
    quantity = side * notional / price
    left = cash - side * notional - fee * notional
    after = Decimal(0) if ruined or wish == 0 else units + quantity
    return {
        "quantity": quantity,
        "price": price,
        "fee": fee * notional,
        "slip": abs(quantity) * abs(price - opening),
        "shortfall": -left if ruined else Decimal(0),
        "cash": Decimal(0) if ruined else left,
        "units": after,
        "forced": ruined,
    }


def round_trips(
    fills: Sequence[dict[str, Decimal | int | bool]], last_close: float
) -> list[dict[str, Decimal | int]]:
    """Net profit of each round trip, in order, by walking the fills one by one."""
    with localcontext() as context:
        context.prec = 50
        trips: list[dict[str, Decimal | int]] = []
        units = Decimal(0)
        for fill in fills:
            quantity, costs = fill["quantity"], fill["fee"] - fill["shortfall"]
            flips = units * fill["units"] < 0
            stages = [Decimal(0), fill["units"]] if flips else [fill["units"]]
            for after in stages:
                piece = after - units if flips else quantity
                if units == 0:
                    side = 1 if piece > 0 else -1
                    trips.append({"side": side, "net": Decimal(0), "most": Decimal(0)})
                trip = trips[-1]
                trip["net"] -= piece * fill["price"] + costs * piece / quantity
                trip["most"] = max(trip["most"], abs(after))
                units = after
        if units:
            trips[-1]["net"] += units * Decimal(last_close)
        return trips
