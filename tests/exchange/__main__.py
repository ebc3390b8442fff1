"""Serve a market on a port until interrupted: ``python -m tests.exchange --csv bars.csv.gz``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from tests.exchange import World, from_csv, generate, serve, stamp


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.exchange", description=__doc__)
    parser.add_argument("--csv", help="bars: timestamp,open,high,low,close,volume; or drawn bars")
    parser.add_argument("--funding", help="funding: timestamp,funding_rate")
    parser.add_argument("--venue", default="binanceusdm", help="named in the printed commands")
    parser.add_argument("--symbol", default="BTC/USDT:USDT")
    parser.add_argument("--timeframe", default="1m", help="of the bars in the file, or drawn")
    parser.add_argument("--rows", type=int, default=100_000, help="bars to draw without a file")
    parser.add_argument("--seed", type=int, default=7, help="of drawn bars")
    parser.add_argument("--now", help="the venues' clock, ISO; else just after the last bar")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    options = parser.parse_args(arguments)
    if options.csv:
        market = from_csv(
            options.csv,
            symbol=options.symbol,
            timeframe=options.timeframe,
            funding=options.funding,
        )
    else:
        if options.funding:
            parser.error("--funding needs --csv; drawn bars come with drawn funding")
        market = generate(
            options.symbol, rows=options.rows, timeframe=options.timeframe, seed=options.seed
        )
    now = None if options.now is None else stamp(options.now)
    # A shell's background job inherits an ignored SIGINT; this one is told to end all the same.
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.default_int_handler)
    with serve(World(markets=(market,), now=now), port=options.port) as exchange:
        print(f"{len(market.times)} bars and {len(market.funding_times)} funding rates of", end=" ")
        print(f"{market.symbol}, for instance:")
        print(f"  DELEVER_API_URL='{exchange.api_url}' \\")
        print(f"  delever data fetch {options.venue} {market.symbol} --timeframe", end=" ")
        print(f"{options.timeframe}\nCtrl-C ends it.", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
