"""A venue on the loopback, a client that never truly waits, and what a store may hold after it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from tests.exchange import Loopback, Market

from delever.data.catalog import Catalog
from delever.data.exchange.client import Client, connect
from delever.data.pacing import Pacing
from delever.data.references import Reference
from delever.data.sources_file import VenueSettings

SYMBOLS = {
    "binance": "BTC/USDT",
    "binanceusdm": "BTC/USDT:USDT",
    "bybit": "BTC/USDT:USDT",
    "okx": "BTC/USDT:USDT",
    "deribit": "BTC/USDC:USDC",
    "kraken": "BTC/USD",
    "krakenfutures": "BTC/USD:USD",
    "bitstamp": "BTC/USD",
    "coinbase": "BTC/USD",
    "gate": "BTC/USDT:USDT",
    "hyperliquid": "BTC/USDC:USDC",
}
BARS = {
    "binance": "*/klines",
    "binanceusdm": "*/klines",
    "bybit": "*/kline",
    "okx": "*candles",
    "deribit": "*chart_data",
    "kraken": "*/OHLC",
    "krakenfutures": "*/charts/v1/*",
    "bitstamp": "*/ohlc/*",
    "coinbase": "*/candles",
    "gate": "*/candlesticks",
    "hyperliquid": "*/candleSnapshot",
}


def spread(cases: Iterable[tuple[Any, str]], each: int = 1) -> list[Any]:
    """Cases of what and where: each what at a few places in turn, the others with --all alone."""
    cases = list(cases)
    whats = list(dict.fromkeys(str(what) for what, _ in cases))
    params = []
    for what, where in cases:
        places = [other for same, other in cases if str(same) == str(what)]
        turn = (places.index(where) - whats.index(str(what))) % len(places)
        marks = () if turn < each else (pytest.mark.exhaustive,)
        first = what[0] if isinstance(what, tuple) else what
        name = getattr(what, "kind", None) or first
        params.append(pytest.param(what, where, marks=marks, id=f"{name}-{where}"))
    return params


class Patience:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds

    def pacing(self, **given: object) -> Pacing:
        return Pacing(
            sleep=self.sleep, clock=lambda: self.now, random=random.Random(0), first=0.01, **given
        )


def client_of(exchange: Loopback, venue: str, *, timeout: float = 20.0, workers: int = 1) -> Client:
    settings = VenueSettings(api_url=exchange.api_url, timeout=timeout, workers=workers)
    # This machine's clock is right, whatever the venue's says.
    return connect(venue, settings, Patience().pacing(wall=lambda: exchange.now / 1000))


def bars_of(venue: str, timeframe: str = "1m", kind: str = "ohlcv") -> Reference:
    return Reference(venue=venue, kind=kind, symbol=SYMBOLS[venue], timeframe=timeframe)


def stored(catalog: Catalog, reference: Reference) -> tuple[np.ndarray, np.ndarray]:
    """Stamps in ms and values; none where there is no data set."""
    if reference.folder not in catalog.store.folders():
        return np.empty(0, np.int64), np.empty((0, 5))
    frame = catalog.load(reference).frame
    return frame.index.as_unit("ms").asi8, frame.to_numpy()


def hold_to_truth(catalog: Catalog, reference: Reference, market: Market) -> int:
    """Every stored row is true, and no true row is missing where the store claims to be whole.

    Returns how many rows are stored.
    """
    times, values = stored(catalog, reference)
    if not len(times):
        return 0
    place = np.searchsorted(market.times, times)
    np.testing.assert_array_equal(market.times[place], times)
    np.testing.assert_array_equal(market.bars[place], values)
    table = catalog.coverage(reference)
    for _, row in table[table["state"] == "present"].iterrows():
        start, end = (row[name].value // 1_000_000 for name in ("start", "end"))
        true = market.times[(market.times >= start) & (market.times < end)]
        have = times[(times >= start) & (times < end)]
        np.testing.assert_array_equal(true, have)
    assert not catalog.store.problems(reference.folder)
    return len(times)
