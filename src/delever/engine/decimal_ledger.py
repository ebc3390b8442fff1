"""A spot account kept event by event in 50-digit decimals: slow, exact, and written apart.

Nothing of the engine is in it, so that the two check each other. It solves for the notional to
trade (the engine solves for the position to hold), keeps a plain
list of what happened, and derives profit from the two ends of each segment of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Any, TypeAlias

Bar: TypeAlias = Sequence[float]
Row: TypeAlias = dict[str, Any]


def keep(
    bars: Sequence[Bar],
    targets: Sequence[float],
    *,
    fee: float,
    slippage: float,
    cash: float,
    band: float | None = None,
) -> tuple[list[Row], list[Row]]:
    """Rows at each close and the fills, for targets asked for at each open."""
    with localcontext() as context:
        context.prec = 50
        return _keep(bars, targets, Decimal(fee), Decimal(slippage), Decimal(cash), band)


def _keep(
    bars: Sequence[Bar],
    targets: Sequence[float],
    fee: Decimal,
    slippage: Decimal,
    cash: Decimal,
    band: float | None,
) -> tuple[list[Row], list[Row]]:
    rows: list[Row] = []
    fills: list[Row] = []
    units = asked = Decimal(0)
    for number, (bar, target) in enumerate(zip(bars, targets, strict=True)):
        opening, high, low, closing = map(Decimal, bar)
        wish = Decimal(target)
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


def _forced(number: int, units: Decimal, price: Decimal, beyond: Decimal) -> Row:
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


def _trade(
    wish: Decimal,
    cash: Decimal,
    units: Decimal,
    opening: Decimal,
    fee: Decimal,
    slippage: Decimal,
) -> Row | None:
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
