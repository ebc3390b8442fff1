"""Bybit's wire format, version 5: rows newest first.

A window's start is floored to the bar that holds it. With a start alone the oldest rows are
kept; with an end too, the newest. Funding with a start needs an end. Errors come with status 200.
"""

from __future__ import annotations

from functools import partial

from tests.exchange import tiers
from tests.exchange.wire import (
    Answer,
    Budget,
    Desk,
    Handler,
    Query,
    Refused,
    Request,
    Route,
    Venue,
    bounded,
    plain,
)
from tests.exchange.world import DAY, HOUR, MINUTE, MONDAY, Market

INTERVALS = {
    str(minutes): minutes * MINUTE for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)
}
INTERVALS |= {"D": DAY, "W": 7 * DAY}
PERIODS = {"5min": 5 * MINUTE, "15min": 15 * MINUTE, "30min": 30 * MINUTE}
PERIODS |= {"1h": HOUR, "4h": 4 * HOUR, "1d": DAY}
PAGE = 4

_CODES = {
    "symbol": (200, 10001, "params error: Symbol Is Invalid"),
    "interval": (200, 10001, "Invalid period!"),
    "parameter": (200, 10001, "params error: {} invalid"),
    "path": (404, 10404, "Not Found"),
    "rate": (200, 10006, "Too many visits. Exceeded the API Rate Limit."),
    "banned": (403, 10018, "Exceeded the IP Rate Limit."),
    "region": (403, 10024, "Compliance rules triggered"),
    "server": (503, 10016, "Server error."),
}


def spell(market: Market) -> str:
    return market.base + market.quote


def _id(category: str, market: Market) -> str | None:
    return spell(market) if market.kind == category else None


def refuse(refused: Refused, clock: int) -> Answer:
    status, code, message = _CODES[refused.problem]
    headers = {}
    if refused.retry_after is not None:
        headers["X-Bapi-Limit-Reset-Timestamp"] = str(clock + round(1000 * refused.retry_after))
    text = message.format(refused.detail)
    payload = {"retCode": code, "retMsg": text, "result": {}, "retExtInfo": {}, "time": clock}
    return Answer(payload=payload, status=status, headers=headers)


def _said(result: object, desk: Desk) -> object:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": desk.clock}


def _time(request: Request, desk: Desk) -> object:
    del request
    second, rest = divmod(desk.clock, 1000)
    return _said({"timeSecond": str(second), "timeNano": f"{second}{rest:03d}000000"}, desk)


def _instruments(request: Request, desk: Desk) -> object:
    category = request.params.get("category", "")
    launched = request.params.get("status", "Trading") == "Trading"
    kinds = {"spot", "linear", "inverse"} & {category} if launched else set()
    rows = [_instrument(market, category) for market in desk.listed(*kinds)]
    return _said({"category": category, "list": rows, "nextPageCursor": ""}, desk)


def _instrument(market: Market, category: str) -> dict[str, object]:
    status = "Trading" if market.delisted is None else "Closed"
    common: dict[str, object] = {
        "symbol": spell(market),
        "status": status,
        "baseCoin": market.base,
        "quoteCoin": market.quote,
    }
    if category == "spot":
        return common | {
            "marginTrading": "none",
            "lotSizeFilter": {
                "basePrecision": "0.000001",
                "quotePrecision": "0.0000001",
                "minOrderQty": "0.000011",
                "maxOrderQty": "83",
            },
            "priceFilter": {"tickSize": "0.01"},
        }
    return common | {
        "contractType": "LinearPerpetual" if category == "linear" else "InversePerpetual",
        "settleCoin": market.settle,
        "launchTime": str(int(market.times[0])),
        "deliveryTime": "0" if market.delisted is None else str(market.delisted),
        "deliveryFeeRate": "",
        "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
        "lotSizeFilter": {"maxOrderQty": "1190.000", "minOrderQty": "0.001", "qtyStep": "0.001"},
        "unifiedMarginTrade": True,
        "fundingInterval": 60 * market.funding_hours,
    }


def _market(request: Request, desk: Desk) -> Market:
    category = request.params.get("category", "linear")
    return desk.market(request.params.get("symbol"), partial(_id, category))


def _kline(price: str, request: Request, desk: Desk) -> object:
    market = _market(request, desk)
    step = INTERVALS.get(request.params.get("interval", ""))
    if step is None:
        raise Refused("interval")
    start, end = request.integer("start"), request.integer("end")
    if start is not None:
        start = (start - MONDAY) // step * step + MONDAY
    page = desk.page(
        Query(
            series=price,
            market=market,
            step=step,
            start=start,
            end=end,
            limit=bounded(request, "limit", default=200, most=1000),
            oldest=start is not None and end is None,
        )
    )
    rows = [
        [str(time), plain(o), plain(h), plain(low), plain(c)]
        + (_volumes(market, v, c) if price == "last" else [])
        for time, (o, h, low, c, v) in zip(page.times.tolist(), page.values.tolist(), strict=True)
    ]
    category = request.params.get("category", "linear")
    return _said({"symbol": spell(market), "category": category, "list": rows[::-1]}, desk)


def _volumes(market: Market, volume: float, close: float) -> list[str | None]:
    """Volume and turnover; the contracts of an inverse market are dollars, its turnover coins."""
    pair = [plain(volume), plain(round(volume * close, 4))]
    return pair[::-1] if market.kind == "inverse" else pair


def _funding(request: Request, desk: Desk) -> object:
    market = _market(request, desk)
    start, end = request.integer("startTime"), request.integer("endTime")
    if start is not None and end is None:
        raise Refused("parameter", "endTime")
    page = desk.page(
        Query(
            series="funding",
            market=market,
            start=start,
            end=end,
            limit=bounded(request, "limit", default=200, most=200),
        )
    )
    rows = [
        {"symbol": spell(market), "fundingRate": plain(rate), "fundingRateTimestamp": str(time)}
        for time, (rate,) in zip(page.times.tolist(), page.values.tolist(), strict=True)
    ]
    return _said({"category": request.params.get("category"), "list": rows[::-1]}, desk)


def _statistic(series: str, name: str, most: int, request: Request, desk: Desk) -> object:
    """Open interest and account ratio: newest first; the cursor says where the next page ends."""
    market = _market(request, desk)
    step = PERIODS.get(request.params.get(name, ""))
    if step is None:
        raise Refused("parameter", name)
    limit = bounded(request, "limit", default=50, most=most)
    cursor = request.integer("cursor")
    start = request.integer("startTime")
    page = desk.page(
        Query(
            series=series,
            market=market,
            step=step,
            start=start,
            end=request.integer("endTime") if cursor is None else cursor,
            limit=limit,
        )
    )
    rows: list[dict[str, object]] = []
    for time, values in zip(page.times.tolist(), page.values.tolist(), strict=True):
        if series == "open_interest":
            amount = values[0] if market.kind == "linear" else values[1]
            rows.append({"openInterest": plain(amount), "timestamp": str(time)})
        else:
            long, short = plain(values[0]), plain(round(1 - values[0], 4))
            ratio = {"symbol": spell(market), "buyRatio": long, "sellRatio": short}
            rows.append({**ratio, "timestamp": str(time)})
    more = len(rows) == limit
    result = {"symbol": spell(market), "category": market.kind, "list": rows[::-1]}
    result["nextPageCursor"] = str(int(page.times[0]) - 1) if more else ""
    return _said(result, desk)


def _risk_limit(request: Request, desk: Desk) -> object:
    market = _market(request, desk)
    rows = tiers.bybit(market, spell(market), desk)
    # Four rows a page; the venue's own pages are longer, and its cursor says as little.
    start = request.integer("cursor") or 0
    more = str(start + PAGE) if start + PAGE < len(rows) else ""
    page = {"category": market.kind, "list": rows[start : start + PAGE], "nextPageCursor": more}
    return _said(page, desk)


def _gauge(used: int, budget: Budget) -> dict[str, str]:
    left = max(0, budget.weight - used)
    return {"X-Bapi-Limit": str(budget.weight), "X-Bapi-Limit-Status": str(left)}


_HANDLERS: dict[str, Handler] = {
    "time": _time,
    "instruments-info": _instruments,
    "kline": partial(_kline, "last"),
    "mark-price-kline": partial(_kline, "mark"),
    "index-price-kline": partial(_kline, "index"),
    "premium-index-price-kline": partial(_kline, "premium"),
    "funding/history": _funding,
    "open-interest": partial(_statistic, "open_interest", "intervalTime", 200),
    "account-ratio": partial(_statistic, "long_share", "period", 500),
    "risk-limit": _risk_limit,
}

VENUES = (
    Venue(
        host="api.bybit.com",
        routes={f"/v5/market/{path}": Route(handler=h) for path, h in _HANDLERS.items()},
        refuse=refuse,
        budget=Budget(weight=600, seconds=5.0),
        gauge=_gauge,
    ),
)
