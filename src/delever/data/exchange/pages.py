"""One answer of a venue: ccxt's rows of a kind as stamps and columns of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from delever.data.exchange.venue import PageRequest, Row, Series, in_coins
from delever.data.references import Reference
from delever.errors import InputError
from delever.kinds import kind_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Page:
    """Rows in any order."""

    times: np.ndarray  # shape (n,): stamps in ms since 1970
    # shape (n, k): a column per name in `columns_of`; NaN where the venue says nothing
    values: np.ndarray
    full: bool = False  # whether the venue held rows back: the answer was as long as answers get

    def take(self, rows: np.ndarray | slice) -> Page:
        """Some of the rows."""
        return Page(times=self.times[rows], values=self.values[rows], full=self.full)


def columns_of(reference: Reference, series: Series) -> tuple[str, ...]:
    """Columns that a venue's rows of a kind have."""
    kind = kind_of(reference.kind)
    return series.columns or tuple(kind.cells) or kind.columns


def read_page(
    exchange: Any,
    reference: Reference,
    series: Series,
    start: int | None = None,
    end: int | None = None,
    *,
    limit: int | None = None,
    until: bool = True,
) -> Page:
    """Ask for the rows of a window, or for the newest ones, once.

    Raises InputError if ccxt cannot ask this venue for this kind.
    """
    most = series.rows if limit is None else limit
    request = PageRequest(
        reference=reference,
        timeframe=reference.timeframe,
        start=start,
        until=end - 1 if until and end is not None else None,
        limit=most,
    )
    if series.read is not None:
        rows, full = series.read(exchange, request)
    else:
        rows, full = _unified(exchange, request, series), False
    width = len(columns_of(reference, series))
    table = np.array([_numbers(row, width + 1) for row in rows], dtype=float)
    table = table.reshape(-1, width + 1)
    times = np.where(np.isnan(table[:, 0]), -1, table[:, 0]).astype(np.int64)
    return Page(times=times, values=table[:, 1:], full=full or len(rows) >= most)


def _numbers(row: Row, width: int) -> list[float]:
    values = [float("nan") if cell is None else float(cell) for cell in list(row)[:width]]
    return values + [float("nan")] * (width - len(values))


def _unified(exchange: Any, request: PageRequest, series: Series) -> list[Row]:
    """Rows by the method that ccxt has for every venue alike."""
    kind = kind_of(request.reference.kind)
    _check_offered(exchange, request.reference, kind.ccxt)
    if series.bend is not None:
        request = series.bend(exchange, request)
    params = dict(request.params)
    if request.until is not None:
        params["until"] = request.until
    if kind.ccxt.endswith("OHLCV"):
        ask = exchange.fetch_ohlcv
        price = kind.ccxt.removeprefix("fetch").removesuffix("OHLCV")
        if price:  # "PremiumIndex" is the parameter "premiumIndex"
            params["price"] = price[0].lower() + price[1:]
    else:
        ask = getattr(exchange, exchange.un_camel_case(kind.ccxt))
    timeframe = (request.timeframe,) if kind.on_grid else ()
    rows = ask(request.reference.symbol, *timeframe, request.start, request.limit, params)
    market = exchange.market(request.reference.symbol)
    if series.cells is not None:
        return [series.cells(row, market) for row in rows]
    if not kind.cells:
        return list(rows)
    return [[row["timestamp"], *_cells(row, kind.cells, market)] for row in rows]


def _cells(row: Mapping[str, Any], keys: Mapping[str, str], market: Mapping[str, Any]) -> list[Any]:
    return [_coins(row, market) if key == "coins" else row.get(key) for key in keys.values()]


def _coins(row: Mapping[str, Any], market: Mapping[str, Any]) -> float | None:
    if row.get("baseVolume") is not None:
        return float(row["baseVolume"])
    return None if market.get("inverse") else in_coins(row.get("openInterestAmount"), market)


def _check_offered(exchange: Any, wanted: Reference, method: str) -> None:
    bars = method.endswith("OHLCV")
    if bars and exchange.timeframes and wanted.timeframe not in exchange.timeframes:
        raise InputError(
            f"timeframe at {wanted.venue} must be one of {', '.join(exchange.timeframes)}; "
            f"got {wanted.timeframe}"
        )
    if method != "fetchOHLCV" and not exchange.has.get(method):
        raise InputError(
            f"{wanted.venue} offers no {wanted.kind} through ccxt ({method}); choose another venue"
        )
