"""How long the tests against luck take, on this machine.

    python benchmarks/answer_speed.py [HOURLY.csv] [WORKERS]

The daily demo on the embedded sample: 1,000 shifts, and 400 redrawn markets, in one process and in
WORKERS (2 by default, started beforehand). With a CSV of hourly bars (timestamp, open, high, low,
close, volume) the same on those. Wall seconds depend on what else the machine does. Ends with exit
code 1 where a promise is broken.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path

import pandas as pd

import delever as dl
from delever.deleveraging.drawn import drawn_periods
from delever.research.luck import timing_test
from delever.research.redrawn import DrawnMarket, Redrawing, drawn_market, redrawn_test
from delever.study.runs.simulation import target_of
from delever.study.workspaces.strategy import Strategy
from delever.view import MarketView

SHIFTS, MARKETS = 1_000, 400
PROMISES = {"daily": 10.0, "hourly": 60.0}  # wall seconds of the redrawn markets
MOST_SHIFTS = 0.5  # of a daily run


@lru_cache(maxsize=1)
def market_of(path: str) -> MarketView:
    if not path:
        return dl.market("sample/ohlcv/BTC/USD/1d")
    bars = pd.read_csv(path, index_col=0, parse_dates=True)
    return MarketView(bars=bars[["open", "high", "low", "close", "volume"]], timeframe="1h")


@lru_cache(maxsize=2)
def redrawing(path: str, name: str) -> Redrawing:
    market = market_of(path)
    evaluation = dl.backtest(market, name).evaluation
    rules: list[Strategy] = [dl.strategy(each) for each in (name, "buy_and_hold")]
    own, benchmark = (partial(targets, rule) for rule in rules)
    return Redrawing(
        market=market,
        rule=own,
        benchmark_rule=benchmark,
        backtest=evaluation.backtest,
        benchmark=evaluation.benchmark,
    )


def targets(rule: Strategy, market: MarketView) -> pd.Series:
    return target_of(market, rule)


def drawn(path: str, name: str, number: int) -> DrawnMarket:
    """In a worker, which makes the run for itself once."""
    return drawn_market(redrawing(path, name), 0, number)


@contextmanager
def timed(what: str) -> Iterator[list[float]]:
    """Print what a block takes; its wall seconds are in the list afterwards."""
    took: list[float] = []
    begun, spent = time.perf_counter(), time.process_time()
    yield took
    took.append(time.perf_counter() - begun)
    own = time.process_time() - spent
    print(f"{what:56}{took[0]:>8.2f} s, {own:.2f} s of CPU here", flush=True)


def measure(title: str, path: str, name: str, workers: int) -> bool:
    made = redrawing(path, name)
    start = made.market.index[made.begin]
    periods = drawn_periods(made.market.bars["close"], made.market.timeframe, since=start)
    timing = partial(timing_test, made.backtest, made.benchmark, periods)
    timing(shifts=1)
    with timed(f"{title} {name}: {SHIFTS} shifts") as took:
        timing(shifts=SHIFTS)
    kept = title != "daily" or took[0] < MOST_SHIFTS
    made.on(made.market)
    with timed(f"{title} {name}: {MARKETS} redrawn markets, one process"):
        redrawn_test(made, markets=MARKETS)
    work = partial(drawn, path, name)
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))  # each makes the run
        with timed(f"{title} {name}: the same in {workers}") as took:
            redrawn_test(
                made,
                markets=MARKETS,
                mapper=lambda _, numbers: pool.map(work, numbers, chunksize=10),
            )
    return kept and took[0] < PROMISES[title]


def main() -> int:
    path = sys.argv[1] if len(sys.argv) > 1 else ""
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    kept = [measure("daily", "", name, workers) for name in ("ma200w_break", "support_breach")]
    if path:
        kept.append(measure("hourly", str(Path(path).resolve()), "support_breach", workers))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
