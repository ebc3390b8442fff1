"""The figures of docs/signals.md that rest on real readings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from delever.deleveraging.overlap import overlap
from delever.deleveraging.period import load_catalog
from delever.deleveraging.phase_machine import is_deleveraging, market_phases
from delever.view import MarketView, Reading

ROOT = Path(__file__).parents[2]
FILES = {
    "funding": ("funding_btcusdt_8h_binance.csv", "0h"),
    "open_interest": ("open_interest_btc_1d_usd.csv", "24h"),
    "liquidations": ("liquidations_btc_4h_coinglass.csv", "4h"),
    "fear_greed": ("fear_greed_1d.csv", "8h"),
    "dvol": ("dvol_btc_1d_deribit.csv", "24h"),
    "etf_flows": ("etf_flows_btc_1d.csv", "32h"),
    "vix": ("vix_1d.csv", "24h"),
    "igv": ("igv_1d.csv", "24h"),
    "gold": ("gld_1d.csv", "24h"),
}


def read(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path, index_col=0, parse_dates=True)
    return frame.set_axis(pd.DatetimeIndex(frame.index).as_unit("ns"), axis=0)


LOWS = ("2020-03-13 00:00", "2021-05-19 12:00", "2024-08-05 04:00", "2025-10-10 20:00")


@pytest.fixture(scope="module")
def four_hours(shared_data: Path) -> MarketView:
    hours = read(shared_data / "btcusdt_1h_binance.csv.gz")
    parts = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    bars = hours.resample("4h").agg(parts).dropna()
    flow = ("funding", "open_interest", "liquidations")
    readings = {
        name: Reading(frame=read(shared_data / file), publication_lag=pd.Timedelta(lag))
        for name, (file, lag) in FILES.items()
        if name in flow
    }
    return MarketView(bars=bars, timeframe="4h", readings=readings)


@pytest.mark.parametrize("readings", [False, True])
def test_four_crashes_are_cascades_in_the_bar_of_their_low(
    readings: bool, four_hours: MarketView
) -> None:
    market = four_hours if readings else replace(four_hours, readings={})
    phases = market_phases(market)
    for low in LOWS:
        day = market.bars["low"][pd.Timestamp(low, tz="UTC") - pd.Timedelta("1D") :].iloc[:12]
        assert day.idxmin() == pd.Timestamp(low, tz="UTC")
        assert phases[low] == "cascade"
    crash = pd.Timestamp(LOWS[-1], tz="UTC")
    assert phases[crash - pd.Timedelta("4h")] == "calm"
    # What came later changes nothing of it.
    known = market_phases(market.upto(crash + pd.Timedelta("4h")))
    assert known.iloc[-1] == "cascade"


def test_detected_phases_against_the_catalogue_with_every_reading(shared_data: Path) -> None:
    readings = {
        name: Reading(frame=read(shared_data / file), publication_lag=pd.Timedelta(lag))
        for name, (file, lag) in FILES.items()
    }
    bars = read(shared_data / "btcusdt_1d_binance.csv")
    market = MarketView(bars=bars, timeframe="1d", readings=readings)
    report = overlap(
        is_deleveraging(market_phases(market)), load_catalog(ROOT / "data/deleveraging.toml"), "1d"
    )
    page = (ROOT / "docs" / "signals.md").read_text(encoding="utf-8")
    found, listed = int(report.periods["detected"].sum()), len(report.periods)
    said = (
        f"{found} of {listed} periods, with {report.false_alarms} of {report.alarms} alarms false"
    )
    assert said in " ".join(page.split())
