"""OKX's wire format, version 5: rows newest first.

``after`` asks for rows older and ``before`` for rows newer than a stamp, both exclusive, and the
newest rows win. The recent bars hold the unfinished one, the history does not. Statistics use
``begin`` and ``end``.
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

INTERVALS = {f"{n}m": n * MINUTE for n in (1, 3, 5, 15, 30)}
INTERVALS |= {f"{n}H": n * HOUR for n in (1, 2, 4)}
INTERVALS |= {"6Hutc": 6 * HOUR, "12Hutc": 12 * HOUR, "1Dutc": DAY, "1Wutc": 7 * DAY}
HONG_KONG = {"6H": 6 * HOUR, "12H": 12 * HOUR, "1D": DAY, "1W": 7 * DAY}
"""Without the suffix these bars open by Hong Kong's midnight, eight hours before UTC's."""
PERIODS = {"5m": 5 * MINUTE, "1H": HOUR, "8H": 8 * HOUR, "1D": DAY}
RECENT = 1440
RETAINED = 90 * DAY
CONTRACT = 0.01

_CODES = {
    "symbol": (200, "51001", "Instrument ID does not exist"),
    "interval": (400, "51000", "Parameter bar error"),
    "parameter": (400, "51000", "Parameter {} error"),
    "path": (404, "404", "Not Found"),
    "rate": (429, "50011", "Too Many Requests"),
    "banned": (429, "50011", "Too Many Requests"),
    "region": (403, "50114", "Invalid Authority"),
    "server": (503, "50001", "Service temporarily unavailable. Try again later"),
}


def spell(market: Market) -> str:
    pair = f"{market.base}-{market.quote}"
    return pair if market.kind == "spot" else f"{pair}-SWAP"


def _family(market: Market) -> str | None:
    return None if market.kind == "spot" else f"{market.base}-{market.quote}"


def refuse(refused: Refused, clock: int) -> Answer:
    del clock
    status, code, message = _CODES[refused.problem]
    text = message.format(refused.detail)
    return Answer(payload={"code": code, "data": [], "msg": text}, status=status)


def _said(data: list[object]) -> object:
    return {"code": "0", "data": data, "msg": ""}


def _time(request: Request, desk: Desk) -> object:
    del request
    return _said([{"ts": str(desk.clock)}])


def _instruments(request: Request, desk: Desk) -> object:
    kinds = {"SPOT": ("spot",), "SWAP": ("linear", "inverse")}
    wanted = kinds.get(request.params.get("instType", ""), ())
    return _said([_instrument(market) for market in desk.listed(*wanted)])


def _instrument(market: Market) -> dict[str, str]:
    spot = market.kind == "spot"
    contract = str(CONTRACT) if market.kind == "linear" else "100"
    return {
        "alias": "",
        "baseCcy": market.base if spot else "",
        "category": "1",
        "ctMult": "" if spot else "1",
        "ctType": "" if spot else market.kind,
        "ctVal": "" if spot else contract,
        "ctValCcy": "" if spot else (market.base if market.kind == "linear" else "USD"),
        "expTime": "",
        "instFamily": _family(market) or "",
        "instId": spell(market),
        "instType": "SPOT" if spot else "SWAP",
        "lever": "" if spot else "100",
        "listTime": str(int(market.times[0])),
        "lotSz": "0.00000001" if spot else "1",
        "minSz": "0.00001" if spot else "1",
        "optType": "",
        "quoteCcy": market.quote if spot else "",
        "settleCcy": market.settle or "",
        "state": "live" if market.delisted is None else "suspend",
        "stk": "",
        "tickSz": "0.01",
        "uly": _family(market) or "",
    }


def _window(request: Request) -> tuple[int | None, int | None]:
    after, before = request.integer("after"), request.integer("before")
    return (
        None if before is None else before + 1,
        None if after is None else after - 1,
    )


def _candles(price: str, history: bool, request: Request, desk: Desk) -> object:
    name = request.params.get("instId")
    market = desk.market(name, _family if price == "index" else spell)
    bar = request.params.get("bar", "1m")
    anchor = MONDAY - 8 * HOUR if bar in HONG_KONG else MONDAY
    step = (INTERVALS | HONG_KONG).get(bar)
    if step is None:
        raise Refused("interval")
    most = 300 if price == "last" else 100
    start, end = _window(request)
    if not history:
        opened = (desk.now - anchor) // step * step + anchor
        reach = opened - (RECENT - 1) * step
        start = reach if start is None else max(start, reach)
    page = desk.page(
        Query(
            series=price,
            market=market,
            step=step,
            start=start,
            end=end,
            limit=bounded(request, "limit", default=100, most=most),
            whole=history,
            anchor=anchor,
        )
    )
    rows: list[object] = []
    for time, (o, h, low, c, v) in zip(page.times.tolist(), page.values.tolist(), strict=True):
        row = [str(time), plain(o), plain(h), plain(low), plain(c)]
        if price == "last":
            row += _volumes(market, v, c)
        rows.append([*row, "1" if time + step <= desk.now else "0"])
    return _said(rows[::-1])


def _volumes(market: Market, volume: float, close: float) -> list[str | None]:
    """Contracts (or base, on spot), base, and quote."""
    turnover = plain(round(volume * close, 6))
    if market.kind == "spot":
        return [plain(volume), turnover, turnover]
    contracts = volume / CONTRACT if market.kind == "linear" else volume * close / 100
    return [plain(round(contracts, 6)), plain(volume), turnover]


def _funding(request: Request, desk: Desk) -> object:
    market = desk.market(request.params.get("instId"), spell)
    start, end = _window(request)
    reach = desk.now - RETAINED
    page = desk.page(
        Query(
            series="funding",
            market=market,
            start=reach if start is None else max(start, reach),
            end=end,
            limit=bounded(request, "limit", default=400, most=400),
        )
    )
    rows: list[object] = [
        {
            "instType": "SWAP",
            "instId": spell(market),
            "fundingRate": plain(rate),
            "realizedRate": plain(rate),
            "fundingTime": str(time),
            "method": "current_period",
            "formulaType": "withRate",
        }
        for time, (rate,) in zip(page.times.tolist(), page.values.tolist(), strict=True)
    ]
    return _said(rows[::-1])


def _statistic(series: str, request: Request, desk: Desk) -> object:
    """Open interest and account ratio of a contract; the newest 1440 readings are kept."""
    market = desk.market(request.params.get("instId"), spell)
    step = PERIODS.get(request.params.get("period", "5m"))
    if step is None:
        raise Refused("parameter", "period")
    begin, end = request.integer("begin"), request.integer("end")
    reach = desk.now - RECENT * step
    page = desk.page(
        Query(
            series=series,
            market=market,
            step=step,
            start=reach if begin is None else max(begin + 1, reach),
            end=None if end is None else end - 1,
            limit=bounded(request, "limit", default=100, most=100),
        )
    )
    rows: list[object] = []
    for time, values in zip(page.times.tolist(), page.values.tolist(), strict=True):
        if series == "open_interest":
            contracts = plain(round(values[0] / CONTRACT, 6))
            rows.append([str(time), contracts, plain(values[0]), plain(values[1])])
        else:
            rows.append([str(time), plain(round(values[0] / (1 - values[0]), 12))])
    return _said(rows[::-1])


def _tiers(request: Request, desk: Desk) -> object:
    market = desk.market(request.params.get("instFamily"), _family)
    return _said(tiers.okx(market, _family(market), desk))


_HANDLERS: dict[str, Handler] = {
    "public/time": _time,
    "public/instruments": _instruments,
    "market/candles": partial(_candles, "last", False),
    "market/history-candles": partial(_candles, "last", True),
    "market/mark-price-candles": partial(_candles, "mark", False),
    "market/history-mark-price-candles": partial(_candles, "mark", True),
    "market/index-candles": partial(_candles, "index", False),
    "market/history-index-candles": partial(_candles, "index", True),
    "public/funding-rate-history": _funding,
    "rubik/stat/contracts/open-interest-history": partial(_statistic, "open_interest"),
    "rubik/stat/contracts/long-short-account-ratio-contract": partial(_statistic, "long_share"),
    "public/position-tiers": _tiers,
}

VENUES = (
    Venue(
        host="www.okx.com",
        routes={f"/api/v5/{path}": Route(handler=h) for path, h in _HANDLERS.items()},
        refuse=refuse,
        budget=Budget(weight=20, seconds=2.0),
    ),
)
