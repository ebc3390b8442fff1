"""Time the store on five years of one-minute bars (2,628,000 rows), made up and seeded.

    python benchmarks/reading.py [FOLDER]

Goals: one year read from the five in under 60 ms, all five in under 0.5 s. The figure that counts
is the fastest of several, as other work on the machine can only add to it; processor time stands
beside it. Appending a page of 1,000 rows is timed too: it costs as much as the month it falls into.
The store is kept where a FOLDER is given, and read there the next time.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pandas as pd

from delever.data.catalog import Catalog

NAME = "made/ohlcv/BTC/USDT/1m"
ROWS = 5 * 365 * 1440
PAGE = 1000
YEAR = (pd.Timestamp("2021-01-01", tz="UTC"), pd.Timestamp("2022-01-01", tz="UTC"))
GOALS = {"one year": 0.060, "five years": 0.500}


def bars() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    close = np.round(30_000 * np.exp(np.cumsum(rng.normal(0, 5e-4, ROWS))), 2)
    opened = np.concatenate(([30_000.0], close[:-1]))
    wick = rng.exponential(2.0, (2, ROWS))
    index = pd.date_range("2019-01-01", periods=ROWS, freq="min", tz="UTC", unit="ns")
    columns = {
        "open": opened,
        "high": np.round(np.maximum(opened, close) + wick[0], 2),
        "low": np.round(np.minimum(opened, close) - wick[1], 2),
        "close": close,
        "volume": np.round(rng.exponential(10, ROWS), 3),
    }
    return pd.DataFrame(columns, index=index)


def fastest(work: Callable[[], int], times: int) -> tuple[float, float, int]:
    """Seconds by the wall and of the processor, and what the work came to."""
    wall, processor, rows = np.inf, np.inf, 0
    for _ in range(times):
        begin, begin_processor = perf_counter(), process_time()
        rows = work()
        wall = min(wall, perf_counter() - begin)
        processor = min(processor, process_time() - begin_processor)
    return wall, processor, rows


def measure(root: Path) -> bool:
    catalog = Catalog(root)
    if not catalog.store.folders():
        print("writing five years ...")
        catalog.add(bars(), NAME)
    reads = {
        "one year": lambda: len(catalog.load(NAME, *YEAR).frame),
        "five years": lambda: len(catalog.load(NAME).frame),
    }
    met = True
    for name, work in reads.items():
        wall, processor, rows = fastest(work, 15)
        met &= wall < GOALS[name]
        print(
            f"{name:12} {rows:9,} rows  {wall * 1e3:7.1f} ms  (processor {processor * 1e3:7.1f} ms)"
            f"  goal {GOALS[name] * 1e3:.0f} ms"
        )
    last = catalog.load(NAME, catalog.list()[-1].end).frame
    page = pd.concat([last] * PAGE)

    def append() -> int:
        begin = catalog.list()[-1].end + pd.Timedelta(minutes=1)
        page.index = pd.date_range(begin, periods=PAGE, freq="min")
        return catalog.append(NAME, page, provenance={"made": "benchmark"}).added

    wall, processor, rows = fastest(append, 10)
    print(
        f"{'append':12} {rows:9,} rows  {wall * 1e3:7.1f} ms  (processor {processor * 1e3:7.1f} ms)"
    )
    return met


def main() -> int:
    if len(sys.argv) > 1:
        return 0 if measure(Path(sys.argv[1])) else 1
    with tempfile.TemporaryDirectory() as folder:
        return 0 if measure(Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
