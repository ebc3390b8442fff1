"""Deribit's wire format, JSON-RPC over GET: bars in columns, hourly funding with an eight-hour
figure beside it, a volatility index paged by ``continuation``, and settled bankruptcies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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
)
from tests.exchange.world import DAY, HOUR, MINUTE, Market

INTERVALS = {str(n): n * MINUTE for n in (1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720)}
INTERVALS |= {"1D": DAY}
RESOLUTIONS = {"1": 1000, "60": MINUTE, "3600": HOUR, "43200": 12 * HOUR, "1D": DAY}
CHART_ROWS = 5001
FUNDING_ROWS = 744
INDEX_ROWS = 1000

_CODES = {
    "symbol": (400, -32602, "Invalid params"),
    "interval": (400, -32602, "Invalid params"),
    "parameter": (400, -32602, "Invalid params"),
    "path": (404, -32601, "Method not found"),
    "rate": (429, 10028, "too_many_requests"),
    "banned": (429, 10028, "too_many_requests"),
    "region": (403, 13021, "forbidden"),
    "server": (503, 11094, "internal_server_error"),
}


def spell(market: Market) -> str | None:
    if market.kind == "inverse":
        return f"{market.base}-PERPETUAL"
    if market.quote not in ("USDC", "USDT"):
        return None
    pair = f"{market.base}_{market.quote}"
    return pair if market.kind == "spot" else f"{pair}-PERPETUAL"


def refuse(refused: Refused, clock: int) -> Answer:
    status, code, message = _CODES[refused.problem]
    error: dict[str, object] = {"message": message, "code": code}
    if refused.detail:
        error["data"] = {"param": refused.detail, "reason": "wrong or missing"}
    if refused.retry_after is not None:
        error["data"] = {"wait": refused.retry_after}
    return Answer(payload={"jsonrpc": "2.0", "error": error} | _clocks(clock), status=status)


def _clocks(clock: int) -> dict[str, object]:
    return {"usIn": 1000 * clock, "usOut": 1000 * clock + 200, "usDiff": 200, "testnet": False}


def _told(handler: Callable[[Request, Desk], object]) -> Callable[[Request, Desk], object]:
    def reply(request: Request, desk: Desk) -> object:
        return {"jsonrpc": "2.0", "result": handler(request, desk)} | _clocks(desk.clock)

    return reply


def _required(request: Request, name: str) -> int:
    value = request.integer(name)
    if value is None:
        raise Refused("parameter", name)
    return value


def _time(request: Request, desk: Desk) -> object:
    del request
    return desk.clock


def _currencies(request: Request, desk: Desk) -> object:
    del request
    codes = sorted({market.base for market in desk.world.markets})
    return [
        {
            "currency": code,
            "currency_long": code,
            "coin_type": code,
            "min_confirmations": 1,
            "withdrawal_fee": 0.0,
            "fee_precision": 4,
            "withdrawal_priorities": [],
        }
        for code in codes
    ]


def _instruments(request: Request, desk: Desk) -> object:
    del request
    return [
        {
            "instrument_name": spell(market),
            "kind": "spot" if market.kind == "spot" else "future",
            "base_currency": market.base,
            "quote_currency": market.quote,
            "counter_currency": market.quote,
            "settlement_currency": market.settle or market.quote,
            "settlement_period": None if market.kind == "spot" else "perpetual",
            "instrument_type": "reversed" if market.kind == "inverse" else "linear",
            "contract_size": 10.0 if market.kind == "inverse" else 0.001,
            "min_trade_amount": 10.0 if market.kind == "inverse" else 0.001,
            "tick_size": 0.01,
            "maker_commission": 0.0,
            "taker_commission": 0.0005,
            "creation_timestamp": int(market.times[0]),
            "expiration_timestamp": 32503708800000,
            "is_active": market.delisted is None,
        }
        for market in desk.listed("spot", "linear", "inverse")
        if spell(market) is not None
    ]


def _chart(request: Request, desk: Desk) -> object:
    market = desk.market(request.params.get("instrument_name"), spell)
    step = INTERVALS.get(request.params.get("resolution", ""))
    if step is None:
        raise Refused("interval", "resolution")
    page = desk.page(
        Query(
            series="last",
            market=market,
            step=step,
            start=_required(request, "start_timestamp"),
            end=_required(request, "end_timestamp"),
            limit=CHART_ROWS,
        )
    )
    # Deribit writes numbers, not texts; what is undefined is null.
    values = [[None if x != x else x for x in row] for row in page.values.tolist()]
    columns = [list(column) for column in zip(*values, strict=True)] or [[], [], [], [], []]
    result = dict(zip(("open", "high", "low", "close", "volume"), columns, strict=True))
    result["ticks"] = page.times.tolist()
    result["cost"] = np.round(page.values[:, 4] * np.nan_to_num(page.values[:, 3]), 2).tolist()
    result["cost"] = [None if x != x else x for x in result["cost"]]
    return {**result, "status": "ok" if len(page.times) else "no_data"}


def _funding(request: Request, desk: Desk) -> object:
    market = desk.market(request.params.get("instrument_name"), spell)
    page = desk.page(
        Query(
            series="funding",
            market=market,
            start=_required(request, "start_timestamp") + 1,
            end=_required(request, "end_timestamp"),
            limit=FUNDING_ROWS,
        )
    )
    # The last eight hours' rates, added up: what ccxt takes for the rate of the hour.
    running = np.concatenate([[0.0], np.cumsum(market.funding_rates)])
    index_times, index = market.rows("index", market.step)
    rows = []
    for time, (rate,) in zip(page.times.tolist(), page.values.tolist(), strict=True):
        upto = int(np.searchsorted(market.funding_times, time, "right"))
        at = int(np.searchsorted(index_times, time, "right")) - 1
        rows.append(
            {
                "timestamp": time,
                "index_price": float(index[at, 0]),
                "prev_index_price": float(index[max(0, at - HOUR // market.step), 0]),
                "interest_8h": float(running[upto] - running[max(0, upto - 8)]),
                "interest_1h": None if rate != rate else rate,
            }
        )
    return rows


def _volatility(request: Request, desk: Desk) -> object:
    """Newest rows of the window; `continuation` is the end of the next, older page."""
    if request.params.get("currency") not in {market.base for market in desk.world.markets}:
        raise Refused("symbol", "currency")
    step = RESOLUTIONS.get(request.params.get("resolution", ""))
    if step is None:
        raise Refused("interval", "resolution")
    born = min(int(market.times[0]) for market in desk.world.markets)
    start = max(_required(request, "start_timestamp"), born)
    page = desk.page(
        Query(
            series="volatility",
            market=None,
            step=step,
            start=start,
            end=_required(request, "end_timestamp"),
            limit=INDEX_ROWS,
        )
    )
    rows = [
        [time, *[None if x != x else x for x in values]]
        for time, values in zip(page.times.tolist(), page.values.tolist(), strict=True)
    ]
    more = len(rows) == INDEX_ROWS and rows[0][0] - step >= start
    return {"data": rows, "continuation": rows[0][0] - step if more else None}


def _settlements(request: Request, desk: Desk) -> object:
    """Newest first; ``search_start_timestamp`` is the *latest* stamp to return."""
    market = desk.market(request.params.get("instrument_name"), spell)
    if request.params.get("type", "settlement") != "bankruptcy":
        return {"settlements": [], "continuation": "none"}
    count = bounded(request, "count", default=20, most=1000)
    cursor = request.params.get("continuation")
    page = desk.page(
        Query(
            series="bankruptcies",
            market=market,
            end=request.integer("search_start_timestamp" if cursor is None else "continuation"),
            limit=count,
        )
    )
    rows = [
        {
            "type": "bankruptcy",
            "timestamp": time,
            "funded": amount,
            "session_bankrupcy": amount,
            "session_profit_loss": 0.0,
            "session_tax": 0.0,
            "session_tax_rate": 0.0,
            "socialized": 0.0,
        }
        for time, (amount,) in zip(page.times.tolist(), page.values.tolist(), strict=True)
    ]
    more = str(int(page.times[0]) - 1) if len(rows) == count else "none"
    return {"settlements": rows[::-1], "continuation": more}


_HANDLERS = {
    "get_time": _time,
    "get_currencies": _currencies,
    "get_instruments": _instruments,
    "get_tradingview_chart_data": _chart,
    "get_funding_rate_history": _funding,
    "get_volatility_index_data": _volatility,
    "get_last_settlements_by_instrument": _settlements,
}

VENUES = (
    Venue(
        host="www.deribit.com",
        routes={f"/api/v2/public/{p}": Route(handler=_told(h)) for p, h in _HANDLERS.items()},
        refuse=refuse,
        budget=Budget(weight=100, seconds=5.0),
    ),
)
