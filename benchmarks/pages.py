"""What a page weighs, what it takes to write, and how soon its first figure is seen.

Run it with `python benchmarks/pages.py [HOURLY]`; HOURLY is a CSV of hourly bars, by default nine
years of a seeded walk. Seen is measured in headless Chromium, the best of five; on a busy machine
only the CPU time says something.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.chromium import missing, started

import delever as dl

_HOURS = 9 * 365 * 24
_METRICS = "Performance.getMetrics"
_LIMITS = {"daily": (1.6, 1.5), "hourly": (3.0, 4.0)}  # MB, seconds of CPU


def hourly(path: str | None) -> dl.MarketView:
    if path is not None:
        bars = pd.read_csv(path, index_col=0, parse_dates=True)
        bars.index = pd.DatetimeIndex(pd.to_datetime(bars.index, utc=True), name="open_time")
        return dl.market(bars, timeframe="1h", symbol="BTC/USDT")
    steps = np.random.default_rng(0).standard_t(4, _HOURS) * 0.005
    index = pd.date_range("2016-06-01", periods=_HOURS, freq="h", tz="UTC", name="open_time")
    close = pd.Series(1_000.0 * np.exp(np.cumsum(steps)), index)
    bars = pd.DataFrame({"open": close.shift(fill_value=1_000.0), "close": close, "volume": 1.0})
    bars = bars.assign(high=bars.max(axis=1), low=bars[["open", "close"]].min(axis=1))
    return dl.market(bars, timeframe="1h", symbol="BTC/USDT")


def main() -> None:
    markets = {
        "daily": dl.market("sample/ohlcv/BTC/USD/1d"),
        "hourly": hourly(sys.argv[1] if len(sys.argv) > 1 else None),
    }
    costs = dl.Costs(taker_fee=0.001, slippage=0.0005)
    folder = Path(tempfile.mkdtemp())
    for name, market in markets.items():
        run = dl.backtest(market, "ma200w_break", weeks=50, costs=costs, name=name)
        spent = []
        for _ in range(3):
            before = time.process_time()
            page = run.page(folder / f"{name}.html")
            spent.append(time.process_time() - before)
        megabytes, seconds = _LIMITS[name]
        print(
            f"{name}: {len(market.index):,} bars, {page.stat().st_size / 1e6:.2f} MB "
            f"(at most {megabytes}), written in {min(spent):.2f} s of CPU (at most {seconds}; "
            f"{spent[0]:.2f} with what is loaded at first)"
        )
        if missing():
            print(f"  not looked at: {missing()}")
        else:
            seen(page)


def seen(path: Path) -> None:
    """Print when the first figure is drawn, by the clock and by the CPU of the page's thread."""
    after, spent = [], []
    with started() as browser:
        for _ in range(5):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            metrics = page.context.new_cdp_session(page)
            metrics.send("Performance.enable")
            page.goto(path.as_uri(), wait_until="commit")
            page.wait_for_selector("html[data-figures]", state="attached")
            found = {one["name"]: one["value"] for one in metrics.send(_METRICS)["metrics"]}
            spent.append(found["ThreadTime"])
            after.append(page.evaluate("performance.getEntriesByType('mark')[0].startTime") / 1e3)
            page.close()
    print(f"  first figure after {min(after):.2f} s (at most 1), {min(spent):.2f} s of CPU")


if __name__ == "__main__":
    main()
