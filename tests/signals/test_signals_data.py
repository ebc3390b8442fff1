"""Signals on real histories, against figures computed from the same files by other means."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from delever.signals.averages import weekly_average
from delever.signals.cross import rolling_correlation
from delever.signals.features import measure
from delever.signals.network import load_network
from delever.view import MarketView, Reading

ROOT = Path(__file__).parents[2]
FILES = {
    "funding": ("funding_btcusdt_8h_binance.csv", "0h"),
    "fear_greed": ("fear_greed_1d.csv", "8h"),
    "dvol": ("dvol_btc_1d_deribit.csv", "24h"),
    "etf_flows": ("etf_flows_btc_1d.csv", "32h"),
    "difficulty": ("network_hashrate_difficulty_1d.csv", "24h"),
    "vix": ("vix_1d.csv", "24h"),
    "igv": ("igv_1d.csv", "24h"),
}


@cache
def frame(path: Path) -> pd.DataFrame:
    found = pd.read_csv(path, index_col=0, parse_dates=True)
    found.index = pd.DatetimeIndex(found.index).as_unit("ns")
    return found


def view(folder: Path, name: str) -> MarketView:
    readings = {
        key: Reading(frame=frame(folder / file), publication_lag=pd.Timedelta(lag))
        for key, (file, lag) in FILES.items()
    }
    readings |= load_network(ROOT / "data" / "bitcoin.toml")
    return MarketView(bars=frame(folder / name), timeframe="1d", readings=readings)


def on(values: pd.Series, day: str) -> float:
    return float(values[pd.Timestamp(day, tz="UTC")])


@pytest.mark.parametrize(
    ("average", "first", "second"),
    [("sma", 57_946, 58_086), ("ema", 68_320, 68_339), ("wma", 75_447, 75_569)],
)
def test_the_three_200_week_averages_of_february_2026(
    shared_data: Path, average: str, first: int, second: int
) -> None:
    line = weekly_average(view(shared_data, "btc_usd_1d_yahoo.csv"), average=average)  # type: ignore[arg-type]
    # Sundays: the bars that close with their week.
    assert (round(on(line, "2026-02-01")), round(on(line, "2026-02-08"))) == (first, second)
    assert on(line, "2026-02-07") == on(line, "2026-02-01")


def test_readings_of_the_days_of_february_2026(shared_data: Path) -> None:
    seen = view(shared_data, "btcusdt_1d_binance.csv")
    fear = measure("fear_greed", seen)
    assert [on(fear, f"2026-02-{day:02d}") for day in (4, 5, 6)] == [14, 12, 9]
    vix = measure("vix_change", seen)
    assert [round(100 * on(vix, f"2026-02-0{day}"), 1) for day in (3, 4, 5)] == [10.2, 3.6, 16.8]
    assert round(100 * on(measure("dvol", seen), "2026-02-05"), 2) == 82.62
    # Outflows of the 3rd, 4th and 5th are known the day after each.
    flows = measure("etf_flow_streak", seen)
    assert [on(flows, f"2026-02-{day:02d}") for day in (4, 5, 6)] == [-1, -2, -3]
    assert on(measure("daily_funding", seen), "2026-02-06") < 0


def test_the_shutdown_band(shared_data: Path) -> None:
    seen = view(shared_data, "btcusdt_1d_binance.csv")
    for joules, expected in ((16.0, 69_230), (17.1, 73_990)):
        price = measure("shutdown_price", seen, joules_per_terahash=joules)
        # The file holds 141.668 T, the commentary 141.67 T.
        assert on(price, "2026-02-05") == pytest.approx(expected, rel=5e-5)
    difficulty = seen.series("difficulty", "difficulty")
    stamps = seen.readings["difficulty"].frame["difficulty"]
    # A day's difficulty is seen at that day's close, so the adjustment of the 8th on the 8th.
    for day in ("2026-02-06", "2026-02-07", "2026-02-08"):
        assert on(difficulty, day) == on(stamps, day)


def test_correlation_with_software_shares_needs_levels_to_be_high(shared_data: Path) -> None:
    seen = view(shared_data, "btcusdt_1d_binance.csv")
    levels = rolling_correlation(seen, window=20, of="levels")
    assert round(on(levels, "2026-02-02"), 2) == 0.73
    assert round(on(levels, "2026-02-04"), 2) == 0.85
    for window, expected in ((10, 0.55), (20, 0.33), (30, 0.34)):
        returns = rolling_correlation(seen, window=window)
        assert round(on(returns, "2026-02-04"), 2) == expected
