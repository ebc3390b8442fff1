"""Round trips from the fills of the exact ledger, walked one by one."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext

from delever.engine.decimal_ledger import keep

__all__ = ["keep", "round_trips"]


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
