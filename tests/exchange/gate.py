"""Gate's wire format, version 4: seconds, a window of bars instead of a number of them, none that
opened more than 10,000 bars ago, volume of perpetuals in contracts, and open interest in the same
rows as liquidations."""

from __future__ import annotations

from dataclasses import replace

from tests.exchange import tiers
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
from tests.exchange.world import DAY, HOUR, MINUTE, MONDAY, Market

INTERVALS = {f"{n}m": n * MINUTE for n in (1, 5, 15, 30)} | {f"{n}h": n * HOUR for n in (1, 4, 8)}
INTERVALS |= {"1d": DAY, "7d": 7 * DAY}
PERIODS = {name: INTERVALS[name] for name in ("5m", "15m", "30m", "1h", "4h", "1d")}
SPOT_ROWS, FUTURES_ROWS, STATISTICS_ROWS = 1000, 2000, 100
AGE = 10_000
CONTRACT = 0.0001

_OLD = "Candlestick too long ago. Maximum 10000 points recently are allowed"
_WORDS = {
    "symbol": (400, "CONTRACT_NOT_FOUND", "no such contract"),
    "interval": (400, "INVALID_PARAM_VALUE", "Invalid request parameter `interval`"),
    "parameter": (400, "INVALID_PARAM_VALUE", "Invalid request parameter `{}`"),
    "old": (400, "INVALID_PARAM_VALUE", _OLD),
    "path": (404, "NOT_FOUND", "no such path"),
    "rate": (429, "TOO_MANY_REQUESTS", "Request Rate limit Exceeded"),
    "banned": (429, "TOO_MANY_REQUESTS", "Request Rate limit Exceeded"),
    "region": (403, "FORBIDDEN", "not available here"),
    "server": (503, "SERVER_ERROR", "try again"),
}


def spell(market: Market) -> str:
    return f"{market.base}_{market.quote}"


def _pair(market: Market) -> str | None:
    return spell(market) if market.kind == "spot" else None


def refuse(refused: Refused, clock: int) -> Answer:
    del clock
    status, label, words = _WORDS[refused.problem]
    return Answer(payload={"label": label, "message": words.format(refused.detail)}, status=status)


def _time(request: Request, desk: Desk) -> object:
    del request
    return {"server_time": desk.clock}


def _currencies(request: Request, desk: Desk) -> object:
    del request
    codes = sorted({code for m in desk.world.markets for code in (m.base, m.quote)})
    return [{"currency": code, "name": code, "delisted": False, "chains": []} for code in codes]


def _pairs(request: Request, desk: Desk) -> object:
    del request
    return [
        {
            "id": _pair(market),
            "base": market.base,
            "quote": market.quote,
            "fee": "0.2",
            "min_quote_amount": "3",
            "amount_precision": 8,
            "precision": 2,
            "trade_status": "tradable" if market.delisted is None else "untradable",
            "buy_start": int(market.times[0]) // 1000,
        }
        for market in desk.listed("spot")
    ]


def _margin(request: Request, desk: Desk) -> object:
    del request, desk
    return []


def _settled(settle: str, market: Market) -> str | None:
    return spell(market) if (market.settle or "").lower() == settle else None


def _contracts(request: Request, desk: Desk) -> object:
    settle = request.params["settle"]
    return [
        {
            "name": spell(market),
            "type": "direct" if market.kind == "linear" else "inverse",
            "quanto_multiplier": str(CONTRACT) if market.kind == "linear" else "0",
            "mark_price": plain(float(market.bars[-1, 3])),
            "order_price_deviate": "0.15",
            "order_price_round": "0.1",
            "order_size_min": 1,
            "order_size_max": 1_000_000,
            "leverage_min": "1",
            "leverage_max": "100",
            "funding_interval": 3600 * market.funding_hours,
            "create_time": int(market.times[0]) // 1000,
            "status": "trading" if market.delisted is None else "suspend",
        }
        for market in desk.listed("linear", "inverse")
        if _settled(settle, market)
    ]


def _window(request: Request, desk: Desk, step: int, most: int) -> Query:
    """Either a window of at most so many bars, or the newest ones; never both."""
    start, end = request.integer("from"), request.integer("to")
    anchor = 0 if step == INTERVALS["7d"] else MONDAY
    if start is None and end is None:
        limit = bounded(request, "limit", default=100, most=most)
        return Query(series="last", market=None, step=step, limit=limit, anchor=anchor)
    if "limit" in request.params:
        raise Refused("parameter", "limit")
    end = desk.now // 1000 if end is None else end
    start = end - 99 * step // 1000 if start is None else start
    if start > end or 1000 * (end - start) >= most * step:
        raise Refused("parameter", "from")
    if 1000 * start < desk.now - AGE * step:
        raise Refused("old")
    ends = {"start": 1000 * start, "end": 1000 * end}
    return Query(series="last", market=None, step=step, limit=most, anchor=anchor, **ends)


def _interval(request: Request, known: dict[str, int]) -> int:
    step = known.get(request.params.get("interval", "5m"))
    if step is None:
        raise Refused("interval")
    return step


def _spot_bars(request: Request, desk: Desk) -> object:
    market = desk.market(request.params.get("currency_pair"), _pair)
    step = _interval(request, INTERVALS)
    page = desk.page(replace(_window(request, desk, step, SPOT_ROWS), market=market))
    return [
        [
            str(time // 1000),
            plain(round(v * c, 6)),
            *map(plain, (c, h, low, o, v)),
            "true" if time + step <= desk.now else "false",
        ]
        for time, (o, h, low, c, v) in zip(page.times.tolist(), page.values.tolist(), strict=True)
    ]


def _futures_bars(request: Request, desk: Desk) -> object:
    price, _, name = request.params.get("contract", "").partition("_")
    if price not in ("mark", "index"):
        price, name = "last", request.params.get("contract", "")
    settle = request.params["settle"]
    market = desk.market(name, lambda each: _settled(settle, each))
    query = _window(request, desk, _interval(request, INTERVALS), FUTURES_ROWS)
    page = desk.page(replace(query, market=market, series=price))
    rows = []
    for time, (o, h, low, c, v) in zip(page.times.tolist(), page.values.tolist(), strict=True):
        row: dict[str, object] = {"t": time // 1000, "o": plain(o), "h": plain(h)}
        row |= {"l": plain(low), "c": plain(c)}
        if price == "last":
            size = v / CONTRACT if market.kind == "linear" else v * c
            row |= {"v": round(size) if size == size else None, "sum": plain(round(v * c, 4))}
        rows.append(row)
    return rows


def _funding(request: Request, desk: Desk) -> object:
    """Newest first."""
    settle = request.params["settle"]
    market = desk.market(request.params.get("contract"), lambda each: _settled(settle, each))
    start, end = request.integer("from"), request.integer("to")
    page = desk.page(
        Query(
            series="funding",
            market=market,
            start=None if start is None else 1000 * start,
            end=None if end is None else 1000 * end,
            limit=bounded(request, "limit", default=100, most=1000),
        )
    )
    rows = zip(page.times.tolist(), page.values.tolist(), strict=True)
    return [{"t": time // 1000, "r": plain(rate)} for time, (rate,) in rows][::-1]


def _statistics(request: Request, desk: Desk) -> object:
    """Oldest rows from `from` on, or the newest; there is no end to give."""
    settle = request.params["settle"]
    market = desk.market(request.params.get("contract"), lambda each: _settled(settle, each))
    start = request.integer("from")
    page = desk.page(
        Query(
            series="contract_stats",
            market=market,
            step=_interval(request, PERIODS),
            start=None if start is None else 1000 * start,
            limit=bounded(request, "limit", default=30, most=STATISTICS_ROWS),
            oldest=start is not None,
        )
    )
    return [
        {
            "time": time // 1000,
            "open_interest": plain(round(amount / CONTRACT, 1)),
            "open_interest_usd": plain(notional),
            "long_liq_usd": plain(longs),
            "short_liq_usd": plain(shorts),
            "lsr_account": "1.0",
            "mark_price": "0",
        }
        for time, (amount, notional, longs, shorts) in zip(
            page.times.tolist(), page.values.tolist(), strict=True
        )
    ]


VENUES = (
    Venue(
        host="api.gateio.ws",
        routes={
            "/api/v4/spot/time": Route(handler=_time),
            "/api/v4/spot/currencies": Route(handler=_currencies),
            "/api/v4/spot/currency_pairs": Route(handler=_pairs),
            "/api/v4/margin/currency_pairs": Route(handler=_margin),
            "/api/v4/spot/candlesticks": Route(handler=_spot_bars),
            "/api/v4/futures/{settle}/contracts": Route(handler=_contracts),
            "/api/v4/futures/{settle}/candlesticks": Route(handler=_futures_bars),
            "/api/v4/futures/{settle}/funding_rate": Route(handler=_funding),
            "/api/v4/futures/{settle}/contract_stats": Route(handler=_statistics),
            **tiers.GATE,
        },
        refuse=refuse,
        budget=Budget(weight=200, seconds=10.0),
    ),
)
