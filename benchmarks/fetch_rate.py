"""How much of a venue's permitted rate a fetch uses when the venue enforces it.

    python -m benchmarks.fetch_rate [SECONDS]

The loopback exchange counts weight as Binance's futures do, in fixed windows, and refuses what
passes the budget (shortened here from 2400 a minute to the same rate in windows of six seconds).
Printed: the share of the permitted weight that was used, without a refusal, and with answers that
take a tenth of a second, as they do over the internet.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.exchange import Budget, World, generate, serve

from delever.data.catalog import Catalog
from delever.data.exchange import client as client_module
from delever.data.exchange.fetch import fetch
from delever.data.pacing import Limiter
from delever.data.references import Reference
from delever.data.sources_file import VenueSettings
from delever.errors import VenueError

HOST = "fapi.binance.com"
SYMBOL = "BTC/USDT:USDT"


def main(seconds: float, delay: float) -> float:
    market = generate(SYMBOL, rows=1_000_000)
    budget = Budget(weight=240, seconds=6.0)
    reference = Reference(venue="binanceusdm", kind="ohlcv", symbol=SYMBOL, timeframe="1m")
    with (
        serve(World(markets=(market,)), budgets={HOST: budget}) as exchange,
        tempfile.TemporaryDirectory() as folder,
    ):
        settings = VenueSettings(api_url=exchange.api_url, workers=8)
        client = client_module.connect("binanceusdm", settings)
        client.limiter = Limiter(budget.weight, budget.seconds, client.pacing)
        answer = exchange.reply

        def slowly(*asked: object, **told: object) -> object:
            time.sleep(delay)
            return answer(*asked, **told)  # type: ignore[arg-type]

        exchange.reply = slowly  # type: ignore[method-assign, assignment]
        client.market(SYMBOL)
        threading.Timer(seconds, client.limiter.stop).start()
        start, before = time.perf_counter(), len(exchange.log)
        with suppress(VenueError):  # stopped by the timer
            fetch(client, Catalog(Path(folder)), reference)
        took = time.perf_counter() - start
        log = exchange.log[before:]
        refused = sum(entry.status == 429 for entry in log)
        weight = sum(2 for entry in log if entry.request.path.endswith("klines"))
    share = weight / took / (budget.weight / budget.seconds)
    print(f"answers after {delay:g} s: {share:.1%} of the permitted rate, {refused} refusals")
    return share if not refused else 0.0


if __name__ == "__main__":
    length = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    shares = [main(length, delay) for delay in (0.0, 0.1)]
    sys.exit(0 if min(shares) >= 0.9 else 1)
