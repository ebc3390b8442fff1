"""Bitstamp's wire format: texts for numbers, at most 1000 bars, of which `end` decides alone where
both ends are given, and no bars longer than three days. It tells no time."""

from __future__ import annotations

from tests.exchange.wire import (
    Answer,
    Budget,
    Desk,
    Query,
    Refused,
    Request,
    Route,
    Venue,
    bounded,
    plain,
)
from tests.exchange.world import DAY, HOUR, MINUTE, Market

STEPS = {n * MINUTE for n in (1, 3, 5, 15, 30)} | {n * HOUR for n in (1, 2, 4, 6, 12)}
STEPS |= {DAY, 3 * DAY}
ROWS = 1000

_WORDS = {
    "symbol": (404, "Invalid currency pair."),
    "interval": (400, "Invalid step."),
    "parameter": (400, "Invalid {}."),
    "path": (404, "Not found."),
    "rate": (429, "Request rate limit exceeded."),
    "banned": (429, "Request rate limit exceeded."),
    "region": (403, "No permission found"),
    "server": (503, "Bitstamp.net is under scheduled maintenance. We'll be back soon."),
}


def spell(market: Market) -> str | None:
    return f"{market.base}{market.quote}".lower() if market.kind == "spot" else None


def refuse(refused: Refused, clock: int) -> Answer:
    del clock
    status, words = _WORDS[refused.problem]
    return Answer(payload={"error": words.format(refused.detail)}, status=status)


def _markets(request: Request, desk: Desk) -> object:
    del request
    return [
        {
            "name": f"{market.base}/{market.quote}",
            "market_symbol": spell(market),
            "base_currency": market.base,
            "base_decimals": 8,
            "counter_currency": market.quote,
            "counter_decimals": 2,
            "minimum_order_value": "10",
            "trading": "Enabled" if market.delisted is None else "Disabled",
            "instant_order_counter_decimals": 2,
            "instant_and_market_orders": "Enabled",
            "description": f"{market.base} / {market.quote}",
            "market_type": "SPOT",
        }
        for market in desk.listed("spot")
    ]


def _ohlc(request: Request, desk: Desk) -> object:
    market = desk.market(request.params["pair"], spell)
    step = 1000 * (request.integer("step") or 0)
    if step not in STEPS:
        raise Refused("interval")
    start, end = request.integer("start"), request.integer("end")
    if end is not None:
        start = None
    page = desk.page(
        Query(
            series="last",
            market=market,
            step=step,
            start=None if start is None else 1000 * start,
            end=None if end is None else 1000 * end,
            limit=bounded(request, "limit", default=0, most=ROWS),
            oldest=start is not None,
            anchor=0,
        )
    )
    names = ("open", "high", "low", "close", "volume")
    rows = [
        {"timestamp": str(time // 1000), **dict(zip(names, map(plain, row), strict=True))}
        for time, row in zip(page.times.tolist(), page.values.tolist(), strict=True)
    ]
    return {"data": {"pair": f"{market.base}/{market.quote}", "ohlc": rows}}


VENUES = (
    Venue(
        host="www.bitstamp.net",
        routes={
            "/api/v2/markets/": Route(handler=_markets),
            "/api/v2/ohlc/{pair}/": Route(handler=_ohlc),
        },
        refuse=refuse,
        budget=Budget(weight=8000, seconds=600.0),
    ),
)
