"""Kill a download at random moments, again and again; the store must be whole each time.

python -m benchmarks.kill_and_resume [KILLS]
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.data.fetching import bars_of, hold_to_truth
from tests.exchange import World, generate, serve

from delever.study.workspaces.workspace import init

COMMAND = "import sys; from delever.cli.app import main; sys.exit(main())"
SYMBOL = "BTC/USDT:USDT"
WORDS = ["data", "fetch", "bybit", SYMBOL, "--timeframe", "1m"]


def main(kills: int) -> None:
    market, rng = generate(SYMBOL, rows=40_000 * kills), random.Random(1)
    reference = bars_of("bybit")
    with serve(World(markets=(market,))) as exchange, tempfile.TemporaryDirectory() as folder:
        workspace = init(Path(folder) / "workspace")
        environment = os.environ | {"DELEVER_API_URL": exchange.api_url}

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, "-c", COMMAND, *WORDS],
                cwd=workspace.root,
                env=environment,
                stdout=subprocess.DEVNULL,
            )

        for number in range(1, kills + 1):
            process, last = start(), len(exchange.log) + rng.randint(1, 60)
            while len(exchange.log) < last and process.poll() is None:
                time.sleep(0.001)
            time.sleep(rng.random() * 0.2)
            process.send_signal(signal.SIGKILL)
            process.wait()
            rows = hold_to_truth(workspace.catalog, reference, market)
            print(f"kill {number}: {rows:,} rows, all true, none lost", flush=True)
        if start().wait():
            sys.exit("the last fetch failed")
        rows = hold_to_truth(workspace.catalog, reference, market)
        print(f"resumed: {rows:,} of {len(market.times):,} rows, equal to the source")
        if rows != len(market.times):
            sys.exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
