"""Three years of 1-minute bars, and three years of 4-hourly funding, from the loopback exchange.

    python -m benchmarks.fetch_minutes [ROWS]

Fetches them on binanceusdm and bybit through ccxt into a temporary store, holds every row against
the source, and prints rows, seconds and requests. The limiter is as the venues permit, so the time
is mostly theirs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tests.exchange import World, generate, serve

from delever.data.catalog import Catalog
from delever.data.exchange.client import connect
from delever.data.exchange.fetch import fetch
from delever.data.references import Reference
from delever.data.sources_file import VenueSettings

SYMBOL = "BTC/USDT:USDT"
ROWS = 1_576_801


def main(rows: int) -> None:
    market = generate(SYMBOL, rows=rows, funding_hours=4)
    for venue in ("binanceusdm", "bybit"):
        for kind, timeframe in (("ohlcv", "1m"), ("funding", "4h")):
            reference = Reference(venue=venue, kind=kind, symbol=SYMBOL, timeframe=timeframe)
            with (
                serve(World(markets=(market,))) as exchange,
                tempfile.TemporaryDirectory() as folder,
            ):
                client = connect(venue, VenueSettings(api_url=exchange.api_url))
                catalog, start = Catalog(Path(folder)), time.perf_counter()
                done = fetch(client, catalog, reference)
                seconds = time.perf_counter() - start
                frame = catalog.load(reference).frame
                states = catalog.coverage(reference)["state"].unique().tolist()
            times = market.times if kind == "ohlcv" else market.funding_times
            values = market.bars if kind == "ohlcv" else market.funding_rates[:, None]
            equal = np.array_equal(frame.index.as_unit("ms").asi8, times) and np.array_equal(
                frame.to_numpy(), values
            )
            print(
                f"{reference}: {done.added:,} rows in {seconds:.1f} s, {client.requests:,} requests"
                f", {states}, equal to the source: {equal}",
                flush=True,
            )
            if not equal:
                sys.exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
