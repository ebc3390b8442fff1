"""Coinbase's wire format, Advanced Trade: a window must have both ends and stay below 350 bars,
which come newest first."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.exchange.wire import Answer, Budget, Desk, Query, Refused, Request, Route, Venue, plain
from tests.exchange.world import DAY, HOUR, MINUTE, Market

GRANULARITIES = {
    "ONE_MINUTE": MINUTE,
    "FIVE_MINUTE": 5 * MINUTE,
    "FIFTEEN_MINUTE": 15 * MINUTE,
    "THIRTY_MINUTE": 30 * MINUTE,
    "ONE_HOUR": HOUR,
    "TWO_HOUR": 2 * HOUR,
    "SIX_HOUR": 6 * HOUR,
    "ONE_DAY": DAY,
}
MOST = 350
_FIAT = {"USD", "EUR", "GBP"}

_WORDS = {
    "symbol": (404, "NOT_FOUND", "valid product_id is required"),
    "interval": (400, "INVALID_ARGUMENT", "granularity argument is invalid"),
    "parameter": (400, "INVALID_ARGUMENT", "{} argument is invalid"),
    "path": (404, "NOT_FOUND", "no such path"),
    "server": (503, "internal_server_error", "try again"),
    "region": (403, "PERMISSION_DENIED", "not available here"),
}


def spell(market: Market) -> str | None:
    return f"{market.base}-{market.quote}" if market.kind == "spot" else None


def refuse(refused: Refused, clock: int) -> Answer:
    del clock
    if refused.problem in ("rate", "banned"):
        error = {"id": "rate_limit_exceeded", "message": "Too many requests"}
        return Answer(payload={"errors": [error]}, status=429)
    status, code, words = _WORDS[refused.problem]
    text = words.format(refused.detail)
    payload = {"error": code, "error_details": text, "message": text}
    return Answer(payload=payload, status=status)


def _time(request: Request, desk: Desk) -> object:
    del request
    moment = datetime.fromtimestamp(desk.clock // 1000, tz=UTC)
    return {"data": {"epoch": desk.clock // 1000, "iso": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}}


def _codes(desk: Desk) -> list[str]:
    return sorted({code for m in desk.listed("spot") for code in (m.base, m.quote)})


def _fiat(request: Request, desk: Desk) -> object:
    del request
    codes = [code for code in _codes(desk) if code in _FIAT]
    return {"data": [{"id": code, "name": code, "min_size": "0.01"} for code in codes]}


def _crypto(request: Request, desk: Desk) -> object:
    del request
    codes = [code for code in _codes(desk) if code not in _FIAT]
    return {
        "data": [
            {"asset_id": f"id-of-{code}", "code": code, "name": code, "exponent": "8"}
            for code in codes
        ]
    }


def _rates(request: Request, desk: Desk) -> object:
    del request
    return {"data": {"currency": "USD", "rates": dict.fromkeys(_codes(desk), "1.0")}}


def _products(request: Request, desk: Desk) -> object:
    if request.params.get("product_type", "SPOT") != "SPOT":
        return {"products": [], "num_products": "0"}
    products = [
        {
            "product_id": spell(market),
            "base_increment": "0.00000001",
            "quote_increment": "0.01",
            "price_increment": "0.01",
            "quote_min_size": "1",
            "quote_max_size": "150000000",
            "base_min_size": "0.00000001",
            "base_max_size": "3400",
            "status": "online" if market.delisted is None else "delisted",
            "trading_disabled": market.delisted is not None,
            "product_type": "SPOT",
            "quote_currency_id": market.quote,
            "base_currency_id": market.base,
            "alias": "",
            "alias_to": [],
        }
        for market in desk.listed("spot")
    ]
    return {"products": products, "num_products": str(len(products))}


def _candles(request: Request, desk: Desk) -> object:
    market = desk.market(request.params["product"], spell)
    step = GRANULARITIES.get(request.params.get("granularity", ""))
    start, end = request.integer("start"), request.integer("end")
    if step is None:
        raise Refused("interval")
    if start is None or end is None or not 0 <= 1000 * (end - start) < MOST * step:
        raise Refused("parameter", "start and end")
    query = Query(
        series="last", market=market, step=step, start=1000 * start, end=1000 * end, limit=MOST
    )
    page = desk.page(query)
    names = ("open", "high", "low", "close", "volume")
    rows = [
        {"start": str(time // 1000), **dict(zip(names, map(plain, row), strict=True))}
        for time, row in zip(page.times.tolist(), page.values.tolist(), strict=True)
    ]
    return {"candles": rows[::-1]}


VENUES = (
    Venue(
        host="api.coinbase.com",
        routes={
            "/v2/time": Route(handler=_time),
            "/v2/currencies": Route(handler=_fiat),
            "/v2/currencies/crypto": Route(handler=_crypto),
            "/v2/exchange-rates": Route(handler=_rates),
            "/api/v3/brokerage/market/products": Route(handler=_products),
            "/api/v3/brokerage/market/products/{product}/candles": Route(handler=_candles),
        },
        refuse=refuse,
        budget=Budget(weight=100, seconds=10.0),
    ),
)
