"""Kraken's wire format, futures: charts of trade, mark and spot prices, 2000 bars at a time
whatever is asked for, and every funding rate there is in one answer. It tells no time."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from tests.exchange.wire import Answer, Budget, Desk, Query, Refused, Request, Route, Venue, plain
from tests.exchange.world import DAY, HOUR, MINUTE, Market

INTERVALS = {f"{n}m": n * MINUTE for n in (1, 5, 15, 30)}
INTERVALS |= {f"{n}h": n * HOUR for n in (1, 4, 12)} | {"1d": DAY, "1w": 7 * DAY}
PRICES = {"trade": "last", "mark": "mark", "spot": "index"}
ROWS = 2000
"""What an answer holds, though the documentation says 5000."""
_SHORT = {"BTC": "XBT"}

_WORDS = {
    "symbol": (404, "contractNotFound"),
    "interval": (400, "invalidArgument"),
    "parameter": (400, "invalidArgument"),
    "path": (404, "notFound"),
    "rate": (429, "apiLimitExceeded"),
    "banned": (429, "apiLimitExceeded"),
    "region": (403, "authenticationError"),
    "server": (503, "unavailable"),
}


def spell(market: Market) -> str | None:
    if market.kind == "spot" or market.quote != "USD":
        return None
    flexible = market.kind == "linear"
    return f"{'PF' if flexible else 'PI'}_{_SHORT.get(market.base, market.base)}USD"


def refuse(refused: Refused, clock: int) -> Answer:
    status, words = _WORDS[refused.problem]
    payload = {"result": "error", "error": words, "serverTime": _iso(clock)}
    return Answer(payload=payload, status=status)


def _iso(time: int) -> str:
    moment = datetime.fromtimestamp(time / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _instruments(request: Request, desk: Desk) -> object:
    del request
    told = [
        {
            "symbol": spell(market),
            "type": "flexible_futures" if market.kind == "linear" else "futures_inverse",
            "tickSize": 0.5,
            "contractSize": 1,
            "tradeable": market.delisted is None,
            "contractValueTradePrecision": 4 if market.kind == "linear" else 0,
            "openingDate": _iso(int(market.times[0])),
            "marginLevels": [
                {"contracts": 0, "initialMargin": 0.02, "maintenanceMargin": 0.01},
            ],
            "tags": [],
        }
        for market in desk.listed("linear", "inverse")
        if spell(market) is not None
    ]
    index = {"symbol": "in_xbtusd", "type": "spot index", "tradeable": False}
    return {"result": "success", "instruments": [*told, index], "serverTime": _iso(desk.clock)}


def _volume(market: Market, row: list[float]) -> str | None:
    """Coins, or contracts of a dollar each."""
    return plain(row[4] if market.kind == "linear" else float(np.round(row[4] * row[3])))


def _chart(request: Request, desk: Desk) -> object:
    """Oldest rows of the window; both ends are inclusive on the open time, in seconds."""
    price = PRICES.get(request.params["price"])
    step = INTERVALS.get(request.params["interval"])
    if price is None or step is None:
        raise Refused("interval")
    market = desk.market(request.params["symbol"], spell)
    start, end = request.integer("from"), request.integer("to")
    page = desk.page(
        Query(
            series=price,
            market=market,
            step=step,
            start=None if start is None else 1000 * start,
            end=None if end is None else 1000 * end,
            limit=ROWS,
            oldest=start is not None,
        )
    )
    bars = [
        {
            "time": time,
            **dict(zip(("open", "high", "low", "close"), map(plain, row[:4]), strict=True)),
            "volume": _volume(market, row) if price == "last" else 0,
        }
        for time, row in zip(page.times.tolist(), page.values.tolist(), strict=True)
    ]
    asked = end is not None and start is not None and (end - start) * 1000 // step + 1
    return {"candles": bars, "more_candles": bool(asked and asked > ROWS)}


def _funding(request: Request, desk: Desk) -> object:
    """The rate beside what it is in dollars a contract, which ccxt leaves alone."""
    market = desk.market(request.params.get("symbol"), spell)
    page = desk.page(Query(series="funding", market=market, limit=10**9))
    times, index = market.rows("index", market.step)
    rates = []
    for time, (rate,) in zip(page.times.tolist(), page.values.tolist(), strict=True):
        at = max(0, int(np.searchsorted(times, time, "right")) - 1)
        known = rate == rate
        rates.append(
            {
                "timestamp": _iso(time),
                "fundingRate": round(rate * float(index[at, 0]), 12) if known else None,
                "relativeFundingRate": rate if known else None,
            }
        )
    return {"result": "success", "rates": rates, "serverTime": _iso(desk.clock)}


VENUES = (
    Venue(
        host="futures.kraken.com",
        routes={
            "/derivatives/api/v3/instruments": Route(handler=_instruments),
            "/derivatives/api/v4/historicalfundingrates": Route(handler=_funding),
            "/api/charts/v1/{price}/{symbol}/{interval}": Route(handler=_chart),
        },
        refuse=refuse,
        budget=Budget(weight=500, seconds=10.0),
    ),
)
