"""What a margin grid takes, from command to result: funding, liquidation, stops, and single runs.

    python benchmarks/margin_grid.py                   simulated bars of four hours
    python benchmarks/margin_grid.py BARS [FUNDING]    bars and funding rates of CSVs

5,760 combinations: twelve averages, ten leverages, eight stops, six fees. CPU seconds are those of
all threads of `dl.sweep`, signals and results included. Some combinations are then run by
`dl.backtest`, with its counterfactuals: their figures must be those of the grid. The last line is
a grid of what many accounts at once do not cover, where each combination is a single run.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd

import delever as dl
from delever.engine.sweep_metrics import SWEPT, column_name
from delever.stats.metric import SCOPES

AXES = {
    "weeks": list(range(4, 52, 4)),
    "account.leverage": [1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 15.0, 20.0, 25.0],
    "account.stop_loss": [0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5],
    "costs.taker_fee": [0.0, 0.0002, 0.0004, 0.0005, 0.00075, 0.001],
}
SINGLE, ALONE = 25, 24


def above_average(market: dl.MarketView, *, weeks: int = 20) -> pd.Series:
    """Long above a weekly average, short below it."""
    close = market.resample("1w")["close"]
    line = close.rolling(weeks).mean()
    side = np.sign(close - line).where(line.notna())
    return market.align(side, "1w")


def simulated() -> tuple[pd.DataFrame, pd.Series]:
    """Eight years of bars of four hours, and funding every eight."""
    chance, size = np.random.default_rng(7), 8 * 365 * 6
    close = 1_000.0 * np.exp(np.cumsum(0.012 * chance.standard_t(4, size) / np.sqrt(2.0)))
    opened = np.append(1_000.0, close[:-1])
    wick = np.exp(0.004 * np.abs(chance.standard_normal((2, size))))
    index = pd.date_range("2016-01-04", periods=size, freq="4h", tz="UTC", name="open_time")
    bars = {
        "open": opened,
        "high": np.maximum(opened, close) * wick[0],
        "low": np.minimum(opened, close) / wick[1],
        "close": close,
        "volume": 1_000.0,
    }
    funding = pd.Series(chance.normal(1e-4, 2e-4, size // 2), index[::2])
    return pd.DataFrame(bars, index=index), funding


def read(paths: list[str]) -> tuple[pd.DataFrame, pd.Series | None]:
    """Bars and funding of files whose first column is the time."""
    bars, *funding = (pd.read_csv(path, index_col=0) for path in paths)
    for table in (bars, *funding):
        stamps = pd.Index(table.index)
        unit = "ms" if pd.api.types.is_numeric_dtype(stamps) else None
        table.index = pd.DatetimeIndex(
            pd.to_datetime(stamps, utc=True, unit=unit), name="open_time"
        )
    named = bars.rename(columns=str.lower)[["open", "high", "low", "close", "volume"]]
    rates = funding[0].select_dtypes("number").iloc[:, -1] if funding else None
    return named.astype("float64"), rates


def account(rates: pd.Series | None, **more: object) -> dl.Account:
    """A perpetual whose exposures are those of its leverage."""
    told: dict[str, object] = {
        "contract": "BTC/USDT:USDT",
        "rules": "generic",
        "leverage": 25.0,
        "funding": None if rates is None else dl.FundingSeries.of(rates),
        "funding_policy": "missing-is-zero",
    }
    return dl.Account(**(told | more))  # type: ignore[arg-type]


def seconds(run):  # type: ignore[no-untyped-def]
    """What something gives, and its CPU seconds."""
    begun = time.process_time()
    return run(), time.process_time() - begun


def main() -> None:
    bars, rates = read(sys.argv[1:]) if len(sys.argv) > 1 else simulated()
    step = (bars.index[1:] - bars.index[:-1]).value_counts().index[0]
    market = dl.market(bars, timeframe=f"{step // pd.Timedelta(hours=1)}h")
    options = {"costs": dl.Costs(taker_fee=0.0005, slippage=0.0005)}
    perpetual = account(rates)
    dl.sweep(market, above_average, {"weeks": [4]}, account=perpetual, **options)  # compiled
    swept, took = seconds(
        lambda: dl.sweep(market, above_average, AXES, account=perpetual, **options)
    )
    frame = swept.frame
    cells = len(frame) * len(bars)
    struck = int((frame["liquidations"] > 0).sum())
    print(f"{len(frame):,} combinations x {len(bars):,} bars: {took:.2f} CPU s, "
          f"{1e9 * took / cells:.2f} ns a cell")  # fmt: skip
    print(f"{struck:,} were liquidated, {frame['liquidations'].sum():,.0f} times; "
          f"{(frame['error'] != '').sum():,} have no result")  # fmt: skip
    print(swept.headline)
    worst, alone = 0.0, 0.0
    for row in np.random.default_rng(1).choice(len(frame), SINGLE, replace=False).tolist():
        one = frame.loc[row]
        own = account(rates, leverage=one["account.leverage"], stop_loss=one["account.stop_loss"])
        paid = dl.Costs(taker_fee=one["costs.taker_fee"], slippage=0.0005)
        told = {**options, "costs": paid, "account": own, "weeks": int(one["weeks"])}
        run, took_one = seconds(lambda told=told: dl.backtest(market, above_average, **told))
        alone += took_one
        for scope in SCOPES:
            for each in SWEPT:
                got, said = one[column_name(scope, each.name)], run.metrics.loc[each.name, scope]
                off = abs(got - said) / max(abs(said), 1e-6) if said == said else 0.0
                worst = max(worst, off if np.isfinite(said) or np.isnan(said) else 0.0)
    print(f"{SINGLE} runs of dl.backtest: {1e3 * alone / SINGLE:.0f} ms each, largest relative "
          f"difference {worst:.0e}")  # fmt: skip
    few = {"weeks": list(range(4, 4 + 2 * ALONE, 2))}
    resting = account(rates, limit_offset=0.001)
    _, took = seconds(lambda: dl.sweep(market, above_average, few, account=resting, **options))
    print(f"with resting entries: {1e3 * took / ALONE:.0f} ms a combination, each run by itself")


if __name__ == "__main__":
    main()
