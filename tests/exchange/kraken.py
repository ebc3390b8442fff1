"""Kraken's wire format, spot: the newest 720 bars, whatever ``since`` says, and weeks that open
on Thursday. Errors come with status 200."""

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
    plain,
)
from tests.exchange.world import MINUTE, Market

INTERVALS = {str(n): n * MINUTE for n in (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)}
ROWS = 720
_ASSETS = {"BTC": "XXBT", "ETH": "XETH", "USD": "ZUSD", "EUR": "ZEUR", "JPY": "ZJPY"}
_SHORT = {"BTC": "XBT"}

_WORDS = {
    "symbol": (200, "EQuery:Unknown asset pair"),
    "interval": (200, "EGeneral:Invalid arguments:interval"),
    "parameter": (200, "EGeneral:Invalid arguments:{}"),
    "path": (404, "EGeneral:Unknown method"),
    "rate": (200, "EGeneral:Too many requests"),
    "banned": (200, "EGeneral:Temporary lockout"),
    "region": (403, "EGeneral:Permission denied"),
    "server": (503, "EService:Unavailable"),
}


def spell(market: Market) -> str | None:
    if market.kind != "spot":
        return None
    if market.base in _ASSETS and market.quote in _ASSETS:
        return _ASSETS[market.base] + _ASSETS[market.quote]
    return _altname(market)


def _altname(market: Market) -> str:
    return _SHORT.get(market.base, market.base) + market.quote


def refuse(refused: Refused, clock: int) -> Answer:
    del clock
    status, words = _WORDS[refused.problem]
    return Answer(payload={"error": [words.format(refused.detail)]}, status=status)


def _said(result: object) -> object:
    return {"error": [], "result": result}


def _time(request: Request, desk: Desk) -> object:
    del request
    return _said({"unixtime": desk.clock // 1000, "rfc1123": ""})


def _assets(request: Request, desk: Desk) -> object:
    del request
    codes = sorted({code for m in desk.listed("spot") for code in (m.base, m.quote)})
    return _said(
        {
            _ASSETS.get(code, code): {
                "aclass": "currency",
                "altname": _SHORT.get(code, code),
                "decimals": 10,
                "display_decimals": 5,
                "status": "enabled",
            }
            for code in codes
        }
    )


def _pairs(request: Request, desk: Desk) -> object:
    del request
    return _said(
        {
            spell(market): {
                "altname": _altname(market),
                "wsname": f"{_SHORT.get(market.base, market.base)}/{market.quote}",
                "aclass_base": "currency",
                "base": _ASSETS.get(market.base, market.base),
                "aclass_quote": "currency",
                "quote": _ASSETS.get(market.quote, market.quote),
                "pair_decimals": 2,
                "cost_decimals": 5,
                "lot_decimals": 8,
                "lot_multiplier": 1,
                "leverage_buy": [],
                "leverage_sell": [],
                "fees": [[0, 0.40]],
                "fees_maker": [[0, 0.25]],
                "fee_volume_currency": "ZUSD",
                "ordermin": "0.0001",
                "costmin": "0.5",
                "tick_size": "0.01",
                "status": "online" if market.delisted is None else "cancel_only",
            }
            for market in desk.listed("spot")
        }
    )


def _ohlc(request: Request, desk: Desk) -> object:
    market = desk.market(request.params.get("pair"), spell)
    step = INTERVALS.get(request.params.get("interval", "1"))
    if step is None:
        raise Refused("interval")
    since = request.integer("since")
    page = desk.page(
        Query(
            series="last",
            market=market,
            step=step,
            start=None if since is None else 1000 * since + 1,
            limit=ROWS,
            anchor=0,
        )
    )
    rows = [
        [time // 1000, *map(plain, (o, h, low, c, round((o + c) / 2, 2), v)), 100]
        for time, (o, h, low, c, v) in zip(page.times.tolist(), page.values.tolist(), strict=True)
    ]
    last = (desk.now // step - 1) * step // 1000
    return _said({spell(market): rows, "last": last})


_HANDLERS = {"Time": _time, "Assets": _assets, "AssetPairs": _pairs, "OHLC": _ohlc}

VENUES = (
    Venue(
        host="api.kraken.com",
        routes={f"/0/public/{path}": Route(handler=h) for path, h in _HANDLERS.items()},
        refuse=refuse,
        budget=Budget(weight=15, seconds=15.0),
    ),
)
