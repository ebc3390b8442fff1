"""Every quirk of every venue: a row of `VENUES`, and a function where a row cannot say it.

The figures are the venues' own, read from their documentation through ccxt 4.5; a venue that is
not listed has its page size, its starts and its ends probed. What a row may say is
`delever.data.exchange.venue.Venue`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pandas as pd

from delever.arguments import one_of
from delever.data.exchange.venue import BracketAnswer, PageRequest, Row, Series, Venue, in_coins
from delever.errors import SchemaError
from delever.kinds import KINDS

AMOUNT_KEYS = ("cum", "mmDeduction", "deduction")
"""What Binance, Bybit and Gate call the maintenance amount of a bracket."""

NUMBER_KEYS = ("bracket", "tier")
"""What Binance, Gate and OKX call the number of a bracket."""

_DAY = 86_400_000
_PAGES = 50
_MONTH = pd.Timedelta(days=30)
_DERIVED = ("mark", "index", "premium")
_VOLATILITY = {
    "1m": ("60", 60_000),
    "1h": ("3600", 3_600_000),
    "12h": ("43200", 43_200_000),
    "1d": ("1D", 86_400_000),
}


# What ccxt must be told otherwise.


def _ends_by_to(exchange: Any, request: PageRequest) -> PageRequest:
    """Ccxt would end at this machine's clock, or by its own count; the venue hears ``to``."""
    if request.until is None:
        return request
    return replace(request, until=None, params={"to": request.until // 1000})


def _ends_ahead(exchange: Any, request: PageRequest) -> PageRequest:
    """Ccxt would end the newest bars at a clock that may be slow."""
    if request.until is not None:
        return request
    return replace(request, until=exchange.milliseconds() + _DAY - 1)


def _ends_by_after(exchange: Any, request: PageRequest) -> PageRequest:
    """Ccxt does not pass the end on."""
    if request.until is None:
        return request
    return replace(request, until=None, params={"after": request.until + 1})


def _without_limit(exchange: Any, request: PageRequest) -> PageRequest:
    return replace(request, limit=None)


def _bybit_ratio(exchange: Any, request: PageRequest) -> PageRequest:
    """Ccxt passes neither start nor end on, nor the venue's word for the timeframe."""
    timeframe = exchange.options["intervals"].get(request.timeframe, request.timeframe)
    request = replace(request, timeframe=timeframe)
    if request.start is None or request.until is None:
        return request
    window = {"startTime": request.start, "endTime": request.until}
    return replace(request, until=None, params=window)


# What a row of ccxt's means.


def _gate_bar(row: Any, market: Mapping[str, Any]) -> Row:
    """Ccxt leaves volumes of linear contracts in contracts."""
    return [*row[:5], in_coins(row[5], market)] if market.get("linear") else row


def _deribit_rate(row: Any, market: Mapping[str, Any]) -> Row:
    """Ccxt's rate is the sum of eight hours, on hourly rows."""
    return [row["timestamp"], row["info"].get("interest_1h")]


# What ccxt has no unified method for.


def _deribit_bankruptcies(exchange: Any, request: PageRequest) -> tuple[list[Row], bool]:
    """Ccxt passes its `since` where the venue wants the latest stamp."""
    params: dict[str, Any] = {
        "instrument_name": exchange.market(request.reference.symbol)["id"],
        "type": "bankruptcy",
        "count": request.limit,
    }
    if request.until is not None:
        params["search_start_timestamp"] = request.until
    answer = exchange.public_get_get_last_settlements_by_instrument(params)
    rows = answer["result"]["settlements"]
    times = [int(row["timestamp"]) for row in rows]
    start = request.start
    reached = start is None or (bool(times) and min(times) < start)
    kept = [(t, row["session_bankrupcy"]) for t, row in zip(times, rows, strict=True)]
    inside = [row for row in kept if start is None or row[0] >= start]
    return list(inside), len(rows) >= (request.limit or 0) and not reached


def _deribit_volatility(exchange: Any, request: PageRequest) -> tuple[list[Row], bool]:
    """Answers come from the end, with a stamp to go on from."""
    one_of("timeframe of dvol", request.timeframe, _VOLATILITY)
    resolution, step = _VOLATILITY[request.timeframe]
    start = request.start
    until = exchange.milliseconds() if request.until is None else request.until
    params: dict[str, Any] = {
        "currency": request.reference.symbol,
        "resolution": resolution,
        "start_timestamp": until - (request.limit or 0) * step if start is None else start,
        "end_timestamp": until,
    }
    rows: list[Row] = []
    while True:
        told = exchange.public_get_get_volatility_index_data(params)["result"]
        rows += told["data"]
        if told["continuation"] is None or not told["data"] or start is None:
            return rows, False
        params["end_timestamp"] = told["continuation"]


def _gate_liquidations(exchange: Any, request: PageRequest) -> tuple[list[Row], bool]:
    """They stand beside the open interest."""
    where = request.reference.symbol, request.timeframe
    rows = exchange.fetch_open_interest_history(*where, request.start, request.limit, {})
    told = [row["info"] for row in rows]
    return [
        (1000 * int(info["time"]), info.get("long_liq_usd"), info.get("short_liq_usd"))
        for info in told
    ], False


# How leverage brackets are asked for.


def _bybit_brackets(exchange: Any, market: Mapping[str, Any]) -> Sequence[Any]:
    """All pages; ccxt reads only the first, or swallows what fails on the way."""
    category = "inverse" if market["inverse"] else "linear"
    request: dict[str, Any] = {"category": category, "symbol": market["id"]}
    rows: list[Any] = []
    for _ in range(_PAGES):
        answer = exchange.public_get_v5_market_risk_limit(request)
        result = exchange.safe_dict(answer, "result", {})
        rows += exchange.safe_list(result, "list", [])
        cursor = result.get("nextPageCursor")
        if not cursor:
            break
        if cursor == request.get("cursor"):
            return []  # the same page for ever: where the table ends was not seen
        request["cursor"] = cursor
    else:
        return []
    own = [row for row in rows if isinstance(row, dict) and row.get("symbol") == market["id"]]
    if len({row.get("id") for row in own}) != len(own):
        return []  # a row twice, or two of one number: no table
    own.sort(key=lambda row: exchange.safe_number(row, "riskLimitValue", 0.0))
    tiers: Sequence[Any] = exchange.parse_market_leverage_tiers(own, market)
    return tiers


def saved_brackets(entry: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
    """Symbol and rows, in ccxt's words, of an entry of Binance's answer of leverageBracket.

    Raises SchemaError if the brackets are those of one account alone.
    """
    symbol = str(entry.get("symbol"))
    if str(entry.get("notionalCoef", "1")) not in ("1", "1.0"):
        raise SchemaError(
            f"the brackets of {symbol} are multiplied by {entry['notionalCoef']} for one "
            "account (notionalCoef); save those of an account without it"
        )
    words = {
        "minNotional": "notionalFloor",
        "maxNotional": "notionalCap",
        "maintenanceMarginRate": "maintMarginRatio",
        "maxLeverage": "initialLeverage",
    }
    return symbol, [
        {ours: row.get(theirs) for ours, theirs in words.items()} | {"info": row}
        if isinstance(row, dict)
        else None
        for row in entry["brackets"]
    ]


# What each venue serves, how much at a time, and how fast it may be asked.


def _bars(rows: int, *kinds: str, wide: bool = True) -> dict[str, Series]:
    return {kind: Series(rows=rows, wide=wide) for kind in kinds}


# 499 rows weigh 2 at Binance's futures and 1000 weigh 5: the most rows per unit of weight.
_BINANCE_STATISTICS = Series(
    rows=499, reach=_MONTH - pd.Timedelta(hours=1), note="only the last 30 days are served"
)
_OKX_STATISTICS = Series(
    rows=100, kept=1439, wide=False, note="only the newest 1440 readings are served"
)
_KRAKEN_BARS = Series(rows=2000, wide=False, bend=_ends_by_to)
_GATE_BARS = Series(
    rows=999,
    kept=9990,
    wide=False,
    note="only the newest 10,000 bars are served",
    bend=_ends_by_to,
)
_GATE_STATISTICS = Series(rows=100, wide=False, until=False)

VENUES: Mapping[str, Venue] = MappingProxyType(
    {
        venue.name: venue
        for venue in (
            Venue(
                name="binance",
                series=_bars(1000, "ohlcv"),
                weight=1200,  # ccxt counts 0.4 where Binance counts 2 of 6000
                seconds=60.0,
                options={"fetchMarkets": {"types": ["spot"]}},
            ),
            Venue(
                name="binanceusdm",
                series=_bars(499, "ohlcv", *_DERIVED)
                | {
                    "funding": Series(rows=1000, spacing="8h"),
                    "open_interest": _BINANCE_STATISTICS,
                    "long_short_ratio": _BINANCE_STATISTICS,
                },
                weight=2400,
                seconds=60.0,
            ),
            Venue(
                name="bybit",
                series=_bars(1000, "ohlcv", *_DERIVED)
                | {
                    "funding": Series(rows=200, spacing="8h"),
                    "open_interest": Series(rows=200),
                    "long_short_ratio": Series(rows=500, bend=_bybit_ratio),
                },
                weight=3000,  # 600 calls, ccxt counts 5 each
                seconds=5.0,
                options={"fetchMarkets": {"types": ["spot", "linear", "inverse"]}},
                brackets=BracketAnswer(answer="risk limits", ask=_bybit_brackets),
                limit_words="too frequent",
                reset_header="X-Bapi-Limit-Reset-Timestamp",
            ),
            Venue(
                name="okx",
                series=_bars(300, "ohlcv")
                | _bars(100, "mark", "index")
                | {
                    "funding": Series(
                        rows=400,
                        spacing="8h",
                        reach=pd.Timedelta(days=90) - pd.Timedelta(hours=1),
                        note="only the last 90 days are served",
                        bend=_ends_by_after,
                    ),
                    "open_interest": _OKX_STATISTICS,
                    "long_short_ratio": _OKX_STATISTICS,
                },
                weight=20,
                seconds=2.0,
                options={"fetchMarkets": {"types": ["spot", "swap"]}},
                brackets=BracketAnswer(
                    answer="position tiers (isolated margin)",
                    by_size=True,
                    params={"marginMode": "isolated"},
                ),
            ),
            Venue(
                name="deribit",
                series={
                    "ohlcv": Series(rows=5000, bend=_ends_ahead),
                    "funding": Series(rows=744, spacing="1h", cells=_deribit_rate),
                    "dvol": Series(rows=1000, read=_deribit_volatility),
                    "liquidations": Series(
                        rows=1000,
                        spacing="8h",
                        events=True,
                        columns=("bankruptcy",),
                        read=_deribit_bankruptcies,
                    ),
                },
                weight=100,
                seconds=5.0,
            ),
            Venue(
                name="kraken",
                series={
                    "ohlcv": Series(
                        rows=720,
                        kept=720,
                        until=False,
                        note="only the newest 720 bars are served; for more import its archive "
                        "files",
                    )
                },
                weight=15,
                seconds=15.0,
            ),
            Venue(
                name="krakenfutures",
                series={
                    **dict.fromkeys(("ohlcv", "mark", "index"), _KRAKEN_BARS),
                    "funding": Series(
                        rows=1_000_000,
                        spacing="1h",
                        wide=False,
                        until=False,
                        bend=_without_limit,
                    ),
                },
                dollars=True,
            ),
            Venue(name="bitstamp", series=_bars(1000, "ohlcv", wide=False)),
            Venue(name="coinbase", series=_bars(300, "ohlcv", wide=False)),
            Venue(
                name="gate",
                series={
                    "ohlcv": replace(_GATE_BARS, cells=_gate_bar),
                    "mark": _GATE_BARS,
                    "index": _GATE_BARS,
                    "funding": Series(rows=1000, spacing="8h", wide=False),
                    "open_interest": _GATE_STATISTICS,
                    "liquidations": replace(
                        _GATE_STATISTICS,
                        columns=("long_liquidations", "short_liquidations"),
                        read=_gate_liquidations,
                    ),
                },
                dollars=True,
                options={"fetchMarkets": {"types": ["spot", "swap"]}},
                brackets=BracketAnswer(answer="risk limit tiers"),
            ),
            Venue(
                name="hyperliquid",
                series={
                    "ohlcv": Series(
                        rows=5000, kept=5000, note="only the newest 5000 bars are served"
                    ),
                    "funding": Series(rows=500, spacing="1h", wide=False),
                },
                weight=1200,
                seconds=60.0,
                options={"fetchMarkets": {"types": ["spot", "swap"]}},
                # 20, and one more for every 20 rates or 60 bars in the answer
                weights={
                    "exchangeStatus": 2,
                    "fundingHistory": 45,
                    "candleSnapshot": 104,
                    "type": 20,
                },
            ),
        )
    }
)
"""The venues whose ways are known, by ccxt's id."""


def venue_of(name: str, venues: Mapping[str, Venue] = MappingProxyType({})) -> Venue:
    """How a venue serves its history: as one of `venues` or of `VENUES` says, or to be probed."""
    known = venues.get(name) or VENUES.get(name)
    return known or Venue(
        name=name,
        series={
            kind.name: Series(
                rows=500 if kind.ccxt.endswith("OHLCV") else 100,
                wide=False,
                spacing=None if kind.on_grid else "8h",
            )
            for kind in KINDS.values()
            if kind.ccxt
        },
        probed=True,
    )
