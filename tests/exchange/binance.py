"""Binance's wire format: spot, USD-M futures, and a coin-M host that lists nothing.

Bars come oldest first; ``startTime`` and ``endTime`` are inclusive on the open time; with a start
the oldest rows are kept, without one the newest. Funding stamps are a few ms late.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from tests.exchange.wire import (
    Answer,
    Budget,
    Desk,
    Page,
    Query,
    Refused,
    Request,
    Route,
    Venue,
    bounded,
    plain,
)
from tests.exchange.world import DAY, Market, milliseconds

INTERVALS = {
    name: milliseconds(name)
    for name in "1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w".split()  # noqa: SIM905
}
PERIODS = {
    name: INTERVALS[name] for name in ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
}
RETAINED = 30 * DAY
"""How far back open interest and long/short ratios are served."""

_CODES = {
    "symbol": (400, -1121, "Invalid symbol."),
    "interval": (400, -1120, "Invalid interval."),
    "parameter": (400, -1130, "Data sent for parameter '{}' is not valid."),
    "early": (400, -1130, "parameter '{}' is invalid."),
    "order": (400, -1023, "Start time is greater than end time."),
    "path": (404, -5000, "Path is not found."),
    "rate": (429, -1003, "Too many requests; current limit of IP is reached."),
    "banned": (418, -1003, "Way too many requests; IP banned."),
    "region": (451, 0, "Service unavailable from a restricted location."),
    "server": (503, -1000, "An unknown error occurred while processing the request."),
}


def spell(market: Market) -> str:
    return market.base + market.quote


def _spot_id(market: Market) -> str | None:
    return spell(market) if market.kind == "spot" else None


def _linear_id(market: Market) -> str | None:
    return spell(market) if market.kind == "linear" else None


def refuse(refused: Refused, clock: int) -> Answer:
    del clock
    status, code, message = _CODES[refused.problem]
    headers = {}
    if refused.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(refused.retry_after))
    payload = {"code": code, "msg": message.format(refused.detail)}
    return Answer(payload=payload, status=status, headers=headers)


def _time(request: Request, desk: Desk) -> object:
    del request
    return {"serverTime": desk.clock}


def _spot_info(request: Request, desk: Desk) -> object:
    del request
    symbols: list[dict[str, object]] = [
        {
            "symbol": spell(market),
            "status": "TRADING" if market.delisted is None else "BREAK",
            "baseAsset": market.base,
            "baseAssetPrecision": 8,
            "quoteAsset": market.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "orderTypes": ["LIMIT", "MARKET"],
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": _filters("0.01000000", "0.00001000"),
            "permissions": ["SPOT"],
        }
        for market in desk.listed("spot")
    ]
    return _listing(symbols, desk)


def _futures_info(request: Request, desk: Desk) -> object:
    del request
    symbols: list[dict[str, object]] = [
        {
            "symbol": spell(market),
            "pair": spell(market),
            "contractType": "PERPETUAL",
            "deliveryDate": 4133404800000,
            "onboardDate": int(market.times[0]),
            "status": "TRADING" if market.delisted is None else "SETTLING",
            "maintMarginPercent": "2.5000",
            "requiredMarginPercent": "5.0000",
            "baseAsset": market.base,
            "quoteAsset": market.quote,
            "marginAsset": market.settle,
            "pricePrecision": 2,
            "quantityPrecision": 3,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "filters": _filters("0.01", "0.001"),
            "orderTypes": ["LIMIT", "MARKET"],
            "timeInForce": ["GTC", "IOC"],
        }
        for market in desk.listed("linear")
    ]
    return _listing(symbols, desk)


def _filters(tick: str, lot: str) -> list[dict[str, str]]:
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000", "stepSize": lot},
    ]


def _empty_info(request: Request, desk: Desk) -> object:
    del request
    return _listing([], desk)


def _listing(symbols: list[dict[str, object]], desk: Desk) -> object:
    return {"timezone": "UTC", "serverTime": desk.clock, "exchangeFilters": [], "symbols": symbols}


def _klines(price: str, spot: bool, request: Request, desk: Desk) -> object:
    name = request.params.get("pair" if price == "index" else "symbol")
    market = desk.market(name, _spot_id if spot else _linear_id)
    step = INTERVALS.get(request.params.get("interval", ""))
    if step is None:
        raise Refused("interval")
    if spot:  # spot cuts a limit that is too high; futures refuse it
        limit = min(request.integer("limit") or 500, 1000)
    else:
        limit = bounded(request, "limit", default=500, most=1500)
    start, end = request.integer("startTime"), request.integer("endTime")
    if start is not None and end is not None and start > end:
        raise Refused("order")
    query = Query(
        series=price,
        market=market,
        step=step,
        start=start,
        end=end,
        limit=limit,
        oldest=start is not None,
    )
    return _bars(desk.page(query), step, price == "last")


def _bars(page: Page, step: int, traded: bool) -> list[list[object]]:
    turnovers = np.round(page.values[:, 4] * page.values[:, 3], 5).tolist()
    rows: list[list[object]] = []
    for time, (o, h, low, c, v), spent in zip(
        page.times.tolist(), page.values.tolist(), turnovers, strict=True
    ):
        volume, turnover = (plain(v), plain(spent)) if traded else ("0", "0")
        ohlc = (plain(o), plain(h), plain(low), plain(c))
        taken = (100, volume, turnover, "0")
        rows.append([time, *ohlc, volume, time + step - 1, turnover, *taken])
    return rows


def _funding(request: Request, desk: Desk) -> object:
    market = desk.market(request.params.get("symbol"), _linear_id)
    start, end = request.integer("startTime"), request.integer("endTime")
    default = 100 if start is not None or end is not None else 200
    page = desk.page(
        Query(
            series="funding",
            market=market,
            start=start,
            end=end,
            limit=bounded(request, "limit", default=default, most=1000),
            oldest=start is not None,
            jitter=True,
        )
    )
    return [
        {"symbol": spell(market), "fundingTime": time, "fundingRate": plain(rate), "markPrice": ""}
        for time, (rate,) in zip(page.times.tolist(), page.values.tolist(), strict=True)
    ]


def _funding_info(request: Request, desk: Desk) -> object:
    """Only symbols whose interval or cap was adjusted are listed, as at the venue."""
    del request
    return [
        {
            "symbol": spell(market),
            "adjustedFundingRateCap": "0.02000000",
            "adjustedFundingRateFloor": "-0.02000000",
            "fundingIntervalHours": market.funding_hours,
            "disclaimer": False,
        }
        for market in desk.listed("linear")
        if market.funding_hours != 8
    ]


def _statistic(series: str, request: Request, desk: Desk) -> object:
    market = desk.market(request.params.get("symbol"), _linear_id)
    step = PERIODS.get(request.params.get("period", ""))
    if step is None:
        raise Refused("parameter", "period")
    start, end = request.integer("startTime"), request.integer("endTime")
    oldest_served = desk.now - RETAINED
    if start is not None and start < oldest_served:
        raise Refused("early", "startTime")
    page = desk.page(
        Query(
            series=series,
            market=market,
            step=step,
            start=oldest_served if start is None else start,
            end=end,
            limit=bounded(request, "limit", default=30, most=500),
        )
    )
    rows = zip(page.times.tolist(), page.values.tolist(), strict=True)
    if series == "open_interest":
        return [
            {
                "symbol": spell(market),
                "sumOpenInterest": plain(amount),
                "sumOpenInterestValue": plain(value),
                "timestamp": time,
            }
            for time, (amount, value) in rows
        ]
    return [
        {
            "symbol": spell(market),
            "longAccount": plain(share),
            "shortAccount": plain(round(1 - share, 4)),
            "longShortRatio": plain(round(share / (1 - share), 4)),
            "timestamp": time,
        }
        for time, (share,) in rows
    ]


def _futures_weight(request: Request) -> int:
    limit = request.integer("limit") or 500
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def _gauge(used: int, budget: Budget) -> dict[str, str]:
    del budget
    return {"X-MBX-USED-WEIGHT-1M": str(used)}


def _futures_routes() -> dict[str, Route]:
    prices = {"klines": "last", "markPriceKlines": "mark", "indexPriceKlines": "index"}
    prices["premiumIndexKlines"] = "premium"
    routes = {
        f"/fapi/v1/{path}": Route(handler=partial(_klines, price, False), weight=_futures_weight)
        for path, price in prices.items()
    }
    return routes | {
        "/fapi/v1/time": Route(handler=_time),
        "/fapi/v1/exchangeInfo": Route(handler=_futures_info),
        "/fapi/v1/fundingRate": Route(handler=_funding),
        "/fapi/v1/fundingInfo": Route(handler=_funding_info),
        "/futures/data/openInterestHist": Route(handler=partial(_statistic, "open_interest")),
        "/futures/data/globalLongShortAccountRatio": Route(
            handler=partial(_statistic, "long_share")
        ),
    }


VENUES = (
    Venue(
        host="api.binance.com",
        routes={
            "/api/v3/time": Route(handler=_time),
            "/api/v3/exchangeInfo": Route(handler=_spot_info, weight=20),
            "/api/v3/klines": Route(handler=partial(_klines, "last", True), weight=2),
        },
        refuse=refuse,
        budget=Budget(weight=6000, seconds=60.0),
        gauge=_gauge,
    ),
    Venue(
        host="fapi.binance.com",
        routes=_futures_routes(),
        refuse=refuse,
        budget=Budget(weight=2400, seconds=60.0),
        gauge=_gauge,
    ),
    Venue(
        host="dapi.binance.com",
        routes={
            "/dapi/v1/time": Route(handler=_time),
            "/dapi/v1/exchangeInfo": Route(handler=_empty_info),
        },
        refuse=refuse,
        budget=Budget(weight=2400, seconds=60.0),
        gauge=_gauge,
    ),
)
