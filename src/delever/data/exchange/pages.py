"""One answer of a venue: ccxt's rows of a kind as stamps and columns of numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np

from delever.data.references import Reference
from delever.errors import InputError

__all__ = ["COLUMNS", "Page", "columns_of", "newest_page", "read_page"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Page:
    """Rows in any order."""

    times: np.ndarray  # shape (n,): stamps in ms since 1970
    # shape (n, k): A column per name in `columns_of`; NaN where the venue says nothing
    values: np.ndarray
    full: bool = False  # whether the venue held rows back: the answer was as long as answers get

    def take(self, rows: np.ndarray | slice) -> Page:
        """Some of the rows."""
        return Page(times=self.times[rows], values=self.values[rows], full=self.full)


COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ohlcv": ("open", "high", "low", "close", "volume"),
        "mark": ("open", "high", "low", "close"),
        "index": ("open", "high", "low", "close"),
        "premium": ("open", "high", "low", "close"),
        "dvol": ("open", "high", "low", "close"),
        "funding": ("funding_rate",),
        "open_interest": ("open_interest", "open_interest_notional"),
        "long_short_ratio": ("long_short_ratio",),
    }
)
_LIQUIDATIONS = MappingProxyType(
    {"deribit": ("bankruptcy",), "gate": ("long_liquidations", "short_liquidations")}
)
_DAY = 86_400_000
_TO = ("krakenfutures", "gate")
"""Where ccxt would end a window at a clock that may be slow, or by its own count."""
_PRICES = {"ohlcv": None, "mark": "mark", "index": "index", "premium": "premiumIndex"}


def columns_of(reference: Reference) -> tuple[str, ...]:
    """Columns that a venue's rows of a kind have."""
    if reference.kind == "liquidations":
        return _LIQUIDATIONS[reference.venue]
    return COLUMNS[reference.kind]


def read_page(
    exchange: Any,
    reference: Reference,
    start: int | None,
    end: int | None,
    limit: int,
    *,
    until: bool = True,
) -> Page:
    """Ask for the rows of a window, once.

    Raises
    ------
    InputError
        If ccxt cannot ask this venue for this kind.
    """
    reader = _READERS[reference.kind]
    window = {"until": end - 1} if until and end is not None else {}
    rows, full = reader(exchange, reference, start, limit, window)
    width = len(columns_of(reference))
    table = np.array([_numbers(row, width + 1) for row in rows], dtype=float)
    table = table.reshape(-1, width + 1)
    times = np.where(np.isnan(table[:, 0]), -1, table[:, 0]).astype(np.int64)
    return Page(times=times, values=table[:, 1:], full=full or len(rows) >= limit)


def newest_page(exchange: Any, reference: Reference, limit: int) -> Page:
    """Ask for the newest rows, the unfinished one among them."""
    ahead = None
    if (reference.venue, reference.kind) == ("deribit", "ohlcv"):
        ahead = exchange.milliseconds() + _DAY  # ccxt would end at a clock that may be slow
    return read_page(exchange, reference, None, ahead, limit)


def _numbers(row: Any, width: int) -> list[float]:
    values = [float("nan") if cell is None else float(cell) for cell in list(row)[:width]]
    return values + [float("nan")] * (width - len(values))


_Rows = tuple[list[Any], bool]
_Reader = Callable[[Any, Reference, "int | None", int, dict[str, Any]], _Rows]


def _bars(
    exchange: Any, wanted: Reference, start: int | None, limit: int, window: dict[str, Any]
) -> _Rows:
    if exchange.timeframes and wanted.timeframe not in exchange.timeframes:
        raise InputError(
            f"timeframe at {wanted.venue} must be one of {', '.join(exchange.timeframes)}; "
            f"got {wanted.timeframe}"
        )
    price = _PRICES[wanted.kind]
    if price is not None:
        name = price[0].upper() + price[1:]
        _offered(exchange, wanted, f"fetch{name}OHLCV")
        window = window | {"price": price}
    if wanted.venue in _TO and "until" in window:
        window["to"] = window.pop("until") // 1000
    rows = exchange.fetch_ohlcv(wanted.symbol, wanted.timeframe, start, limit, window)
    market = exchange.market(wanted.symbol)
    if wanted.venue == "gate" and market.get("linear") and price is None:
        rows = [[*row[:5], _coins(row[5], market)] for row in rows]  # ccxt leaves contracts
    return rows, False


def _coins(contracts: float | None, market: Mapping[str, Any]) -> float | None:
    """A number of linear contracts in base units, rounded once."""
    size = Decimal(str(market.get("contractSize") or 1))
    return None if contracts is None else float(Decimal(contracts) * size)


def _offered(exchange: Any, wanted: Reference, method: str) -> None:
    if not exchange.has.get(method):
        raise InputError(
            f"{wanted.venue} offers no {wanted.kind} through ccxt ({method}); choose another venue"
        )


def _funding(
    exchange: Any, wanted: Reference, start: int | None, limit: int, window: dict[str, Any]
) -> _Rows:
    _offered(exchange, wanted, "fetchFundingRateHistory")
    if wanted.venue == "okx" and "until" in window:
        window = {"after": window["until"] + 1}  # ccxt does not pass `until` on
    most = None if wanted.venue == "krakenfutures" else limit
    rows = exchange.fetch_funding_rate_history(wanted.symbol, start, most, window)
    if wanted.venue == "deribit":  # ccxt's figure is the sum of eight hours, on hourly rows
        return [(row["timestamp"], row["info"].get("interest_1h")) for row in rows], False
    return [(row["timestamp"], row["fundingRate"]) for row in rows], False


def _open_interest(
    exchange: Any, wanted: Reference, start: int | None, limit: int, window: dict[str, Any]
) -> _Rows:
    _offered(exchange, wanted, "fetchOpenInterestHistory")
    market = exchange.market(wanted.symbol)
    rows = exchange.fetch_open_interest_history(
        wanted.symbol, wanted.timeframe, start, limit, window
    )

    def base(row: dict[str, Any]) -> float | None:
        if row.get("baseVolume") is not None:
            return float(row["baseVolume"])
        return None if market.get("inverse") else _coins(row.get("openInterestAmount"), market)

    return [(row["timestamp"], base(row), row.get("openInterestValue")) for row in rows], False


def _long_short_ratio(
    exchange: Any, wanted: Reference, start: int | None, limit: int, window: dict[str, Any]
) -> _Rows:
    _offered(exchange, wanted, "fetchLongShortRatioHistory")
    timeframe = wanted.timeframe
    if wanted.venue == "bybit":  # ccxt passes neither start nor end on
        if start is not None and "until" in window:
            window = {"startTime": start, "endTime": window["until"]}
        timeframe = exchange.options["intervals"].get(timeframe, timeframe)
    rows = exchange.fetch_long_short_ratio_history(wanted.symbol, timeframe, start, limit, window)
    return [(row["timestamp"], row["longShortRatio"]) for row in rows], False


def _liquidations(
    exchange: Any, wanted: Reference, start: int | None, limit: int, window: dict[str, Any]
) -> _Rows:
    if wanted.venue == "gate":
        rows = exchange.fetch_open_interest_history(
            wanted.symbol, wanted.timeframe, start, limit, {}
        )
        told = [row["info"] for row in rows]
        return [
            (1000 * int(info["time"]), info.get("long_liq_usd"), info.get("short_liq_usd"))
            for info in told
        ], False
    if wanted.venue != "deribit":
        raise InputError(f"liquidations are offered by deribit and gate; got {wanted.venue}")
    # ccxt passes its `since` where Deribit wants the latest stamp.
    request: dict[str, Any] = {
        "instrument_name": exchange.market(wanted.symbol)["id"],
        "type": "bankruptcy",
        "count": limit,
    }
    if "until" in window:
        request["search_start_timestamp"] = window["until"]
    answer = exchange.public_get_get_last_settlements_by_instrument(request)
    rows = answer["result"]["settlements"]
    times = [int(row["timestamp"]) for row in rows]
    reached = start is None or (bool(times) and min(times) < start)
    kept = [(t, row["session_bankrupcy"]) for t, row in zip(times, rows, strict=True)]
    inside = [row for row in kept if start is None or row[0] >= start]
    return inside, len(rows) >= limit and not reached


def _dvol(
    exchange: Any, wanted: Reference, start: int | None, limit: int, window: dict[str, Any]
) -> _Rows:
    if wanted.venue != "deribit":
        raise InputError(f"dvol is offered by deribit; got {wanted.venue}")
    if wanted.timeframe not in _RESOLUTIONS:
        raise InputError(
            f"timeframe of dvol must be one of {', '.join(_RESOLUTIONS)}; got {wanted.timeframe}"
        )
    resolution, step = _RESOLUTIONS[wanted.timeframe]
    until = window.get("until", exchange.milliseconds())
    request: dict[str, Any] = {
        "currency": wanted.symbol,
        "resolution": resolution,
        "start_timestamp": until - limit * step if start is None else start,
        "end_timestamp": until,
    }
    rows: list[Any] = []
    while True:
        told = exchange.public_get_get_volatility_index_data(request)["result"]
        rows += told["data"]
        if told["continuation"] is None or not told["data"] or start is None:
            return rows, False
        request["end_timestamp"] = told["continuation"]


_RESOLUTIONS = {
    "1m": ("60", 60_000),
    "1h": ("3600", 3_600_000),
    "12h": ("43200", 43_200_000),
    "1d": ("1D", 86_400_000),
}
_READERS: Mapping[str, _Reader] = MappingProxyType(
    {
        **dict.fromkeys(_PRICES, _bars),
        "funding": _funding,
        "open_interest": _open_interest,
        "long_short_ratio": _long_short_ratio,
        "liquidations": _liquidations,
        "dvol": _dvol,
    }
)
