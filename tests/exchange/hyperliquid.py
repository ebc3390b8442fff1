"""Hyperliquid's wire format: one address, POSTed to, whose answer hangs on the type in the body
(here the last part of the path); the newest 5000 bars alone; funding 500 rates at a time, oldest
first."""

from __future__ import annotations

from tests.exchange.wire import Answer, Budget, Desk, Query, Refused, Request, Route, Venue, plain
from tests.exchange.world import MONDAY, Market, milliseconds

INTERVALS = {
    name: milliseconds(name)
    for name in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d", "3d", "1w")
}
KEPT = 5000
FUNDING_ROWS = 500

_WORDS = {
    "symbol": (500, "null"),
    "interval": (422, "Failed to deserialize the JSON body into the target type"),
    "parameter": (422, "Failed to deserialize the JSON body into the target type"),
    "path": (422, "Failed to deserialize the JSON body into the target type"),
    "rate": (429, "null"),
    "banned": (429, "null"),
    "region": (403, "null"),
    "server": (502, "null"),
}


def spell(market: Market) -> str | None:
    """A perpetual is called by its coin, a spot pair by its number."""
    if market.quote != "USDC":
        return None
    return market.base if market.kind == "linear" else f"{market.base}/USDC"


def refuse(refused: Refused, clock: int) -> Answer:
    del clock
    status, words = _WORDS[refused.problem]
    return Answer(payload=words, status=status)


def _status(request: Request, desk: Desk) -> object:
    del request
    return {"specialStatuses": None, "time": desk.clock}


def _tokens(desk: Desk) -> list[dict[str, object]]:
    names = ["USDC", *sorted({m.base for m in desk.listed("spot") if spell(m)})]
    return [
        {"name": name, "szDecimals": 5, "weiDecimals": 8, "index": place, "fullName": None}
        for place, name in enumerate(names)
    ]


def _spot_meta(request: Request, desk: Desk) -> object:
    del request
    tokens = _tokens(desk)
    place = {token["name"]: token["index"] for token in tokens}
    pairs = [market for market in desk.listed("spot") if spell(market)]
    universe = [
        {"name": spell(pair), "tokens": [place[pair.base], 0], "index": number}
        for number, pair in enumerate(pairs)
    ]
    return {"tokens": tokens, "universe": universe}


def _spot_contexts(request: Request, desk: Desk) -> object:
    pairs = [market for market in desk.listed("spot") if spell(market)]
    contexts = [{"midPx": plain(float(pair.bars[-1, 3])), "dayNtlVlm": "0.0"} for pair in pairs]
    return [_spot_meta(request, desk), contexts]


def _contexts(request: Request, desk: Desk) -> object:
    del request
    markets = [market for market in desk.listed("linear") if spell(market)]
    universe = [
        {"name": market.base, "szDecimals": 5, "maxLeverage": 40}
        | ({} if market.delisted is None else {"isDelisted": True})
        for market in markets
    ]
    contexts = [
        {"markPx": plain(float(m.bars[-1, 3])), "funding": "0.0", "premium": "0.0"} for m in markets
    ]
    return [{"universe": universe}, contexts]


def _candles(request: Request, desk: Desk) -> object:
    market = desk.market(request.params.get("coin"), spell)
    step = INTERVALS.get(request.params.get("interval", ""))
    start, end = request.integer("startTime"), request.integer("endTime")
    if step is None or start is None:
        raise Refused("interval")
    opened = (desk.now - MONDAY) // step * step + MONDAY
    query = Query(
        series="last",
        market=market,
        step=step,
        start=max(start, opened - (KEPT - 1) * step),
        end=end,
        limit=KEPT,
    )
    page = desk.page(query)
    return [
        {
            "t": time,
            "T": time + step - 1,
            "s": market.base,
            "i": request.params["interval"],
            **dict(zip(("o", "h", "l", "c", "v"), map(plain, row), strict=True)),
            "n": 46,
        }
        for time, row in zip(page.times.tolist(), page.values.tolist(), strict=True)
    ]


def _funding(request: Request, desk: Desk) -> object:
    market = desk.market(request.params.get("coin"), spell)
    start = request.integer("startTime")
    if start is None:
        raise Refused("parameter")
    page = desk.page(
        Query(
            series="funding",
            market=market,
            start=start,
            end=request.integer("endTime"),
            limit=FUNDING_ROWS,
            oldest=True,
            jitter=True,
        )
    )
    return [
        {"coin": market.base, "fundingRate": plain(rate), "premium": "0.0", "time": time}
        for time, (rate,) in zip(page.times.tolist(), page.values.tolist(), strict=True)
    ]


_HANDLERS = {
    "exchangeStatus": _status,
    "spotMeta": _spot_meta,
    "spotMetaAndAssetCtxs": _spot_contexts,
    "metaAndAssetCtxs": _contexts,
    "candleSnapshot": _candles,
    "fundingHistory": _funding,
}

_WEIGHTS = {"exchangeStatus": 2, "candleSnapshot": 20 + KEPT // 60 + 1}
_WEIGHTS |= {"fundingHistory": 20 + FUNDING_ROWS // 20}
"""Of full answers: a unit more for every 60 bars and every 20 rates."""

VENUES = (
    Venue(
        host="api.hyperliquid.xyz",
        routes={
            f"/info/{kind}": Route(handler=h, weight=_WEIGHTS.get(kind, 20))
            for kind, h in _HANDLERS.items()
        },
        refuse=refuse,
        budget=Budget(weight=1200, seconds=60.0),
    ),
)
