"""Rows that no market makes are named; those that markets did make are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.data.catalog import Catalog
from delever.data.files import read_file
from delever.data.plausibility import RULES, implausible


def bars(rows: int = 200, *, seed: int = 1, scale: float = 0.03) -> pd.DataFrame:
    """A walk with the tails of a market, whose opens are the closes before."""
    rng = np.random.default_rng(seed)
    close = 20_000 * np.exp(np.cumsum(scale * 0.6 * rng.standard_t(4, rows)))
    open_ = np.append(20_000.0, close[:-1])
    days = pd.date_range("2021-01-01", periods=rows, tz="UTC", name="open_time")
    reach = 1 + scale * rng.uniform(0.1, 1, rows)
    return pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * reach,
            "low": np.minimum(open_, close) / reach,
            "close": close,
            "volume": rng.uniform(1, 9, rows),
        },
        index=days,
    )


def said(frame: pd.DataFrame, kind: str = "ohlcv", timeframe: str = "1d") -> dict[str, str]:
    return {found.rule: found.said for found in implausible(frame, kind, timeframe)}


def test_nothing_is_said_of_a_walk_with_the_tails_of_a_market():
    for seed in range(20):
        assert said(bars(500, seed=seed)) == {}


def test_a_wick_is_named_by_its_bar_its_price_and_how_far_it_reaches():
    frame = bars()
    body = frame[["open", "close"]].iloc[[120]].to_numpy()
    frame.iloc[120, 2] = body.min() / 8
    assert said(frame) == {
        "wick": "1 bar has a wick far outside its neighbours: 2021-05-01 low "
        f"{body.min() / 8:,.0f} (87.5% below its body)"
    }
    frame.iloc[150, 1] = frame.iloc[150][["open", "close"]].max() * 3
    assert "2 bars have wicks" in said(frame)["wick"]
    assert "(200.0% above its body)" in said(frame)["wick"]


def test_each_frame_is_judged_by_its_own_numbers_though_it_is_asked_of_again():
    frame = bars()
    frame.iloc[120, 2] /= 8
    first = implausible(frame, "ohlcv", "1d")
    first[0].rows.loc[:, "price"] = 5.0  # whoever asks next is told what was found
    assert said(frame) == {"wick": RULES["wick"](implausible(frame.copy(), "ohlcv", "1d")[0].rows)}
    assert "low 5 " not in said(frame)["wick"]
    other = frame.shift(freq="365D")
    assert "2022-05-01" in said(other)["wick"]
    assert said(frame, "series") == {}
    jumps = bars()
    jumps.iloc[100:, :4] *= 4
    assert ["across 5 missing" in said(jumps, timeframe=each)["jump"] for each in ("1d", "4h")] == [
        False, True,
    ]  # fmt: skip
    frame.iloc[120, 2] *= 8
    assert said(frame) == {}
    frame["volume"] = 0.0
    assert set(said(frame)) == {"volume"}
    assert said(frame.rename(columns={"volume": "quote_volume"})) == {}


def test_a_crash_whose_neighbours_went_as_low_is_no_error():
    """As 2013-04-10 to 12: bitcoin fell from 266 to 54, lows lay 40 to 57 % below bodies."""
    frame = bars(60)
    calm = frame.iloc[29]["close"]
    path = calm * np.array([0.85, 0.5, 0.55, 0.45, 0.5])
    lows = calm * np.array([0.37, 0.30, 0.28, 0.29, 0.3])
    for row, (close, low) in enumerate(zip(path, lows, strict=True), start=30):
        before = frame["close"].iloc[row - 1]
        frame.iloc[row, :4] = [before, max(before, close), low, close]
    frame.iloc[35:, :4] *= path[-1] / frame["open"].iloc[35]
    assert said(frame) == {}


def test_another_coin_under_the_same_symbol_is_named_with_both_stamps():
    frame = bars(60)
    frame.iloc[40:, :4] *= 18_000
    frame.iloc[40, :4] = [frame["close"].iloc[39], frame["high"].iloc[40], 1.0, 4e8]
    frame.iloc[40, 2] = frame["open"].iloc[40]
    factor = 4e8 / frame["close"].iloc[39]
    frame.iloc[41:, :4] *= 4e8 / frame["open"].iloc[41]
    assert said(frame)["jump"] == (
        "1 price jump far beyond the bars before, as where another coin, unit or contract begins: "
        f"x {factor:,.0f} between 2021-02-09 and 2021-02-10"
    )


def test_a_split_in_quiet_prices_and_a_seam_across_a_hole_are_named():
    quiet = bars(100, scale=0.008)
    quiet.iloc[60:, :4] /= 2  # a split of 2 for 1
    assert "x 0.5 between 2021-03-01 and 2021-03-02" in said(quiet)["jump"]
    seam = bars(100, scale=0.008)
    seam.iloc[60:, :4] *= 5
    seam = seam.drop(seam.index[60:63])
    assert "between 2021-03-01 and 2021-03-05 across 3 missing bars" in said(seam)["jump"]


@given(st.integers(20, 199), st.integers(0, 9), st.sampled_from([0.3, 0.6, 1.5, 4.0]))
def test_what_comes_later_changes_no_jump(row: int, seed: int, factor: float):
    frame = bars(200, seed=seed, scale=0.01)
    frame.iloc[row // 2 :, :4] *= factor
    later = frame.copy()
    later.iloc[row:, :4] *= 7.0

    def jumps(one: pd.DataFrame) -> list[pd.Timestamp]:
        found = [f.stamps for f in implausible(one, "ohlcv", "1d") if f.rule == "jump"]
        return [stamp for stamps in found for stamp in stamps if stamp < frame.index[row]]

    assert jumps(frame) == jumps(later) == jumps(frame.iloc[:row])


def test_bars_that_move_without_volume_are_counted_and_resting_ones_are_not():
    days = pd.date_range("2022-01-01", periods=3, tz="UTC")
    columns = ["open", "high", "low", "close", "volume"]
    moving = pd.DataFrame([[1, 2, 1, 2, 10], [2, 3, 2, 3, 0], [3, 3, 2, 2, 0]], days, columns)
    assert said(moving.astype(float)) == {"volume": "2 bars move without volume, first 2022-01-02"}
    resting = pd.DataFrame([[1, 2, 1, 2, 10], [2, 2, 2, 2, 0], [2, 2, 2, 2, 0]], days, columns)
    assert said(resting.astype(float)) == {}
    assert said(moving.astype(float).assign(volume=np.nan)) == {}


def test_a_bar_again_and_a_copied_stretch_are_counted():
    frame = bars(80)
    frame.iloc[41] = frame.iloc[40]
    assert said(frame)["repeat"] == "1 bar repeats an earlier one to the digit, first 2021-02-11"
    frame = bars(80)
    frame.iloc[50:55] = frame.iloc[10:15].to_numpy()
    assert said(frame)["repeat"] == "5 bars repeat earlier ones to the digit, first 2021-02-20"


def test_bars_of_coarse_prices_come_again_by_chance_and_are_not_named():
    """A coin of 123 ticks whose minutes have few shapes, with and without volumes in lots."""
    rng = np.random.default_rng(4)
    ticks = 123 + np.cumsum(rng.integers(-1, 2, 20_000) * (rng.random(20_000) < 0.1))
    close = 1e-4 * np.maximum(ticks, 5)
    frame = pd.DataFrame({"open": np.append(close[:1], close[:-1]), "close": close})
    frame["high"] = frame.max(axis=1) + 1e-4 * rng.integers(0, 2, 20_000)
    frame["low"] = frame[["open", "close"]].min(axis=1) - 1e-4 * rng.integers(0, 2, 20_000)
    frame.index = pd.date_range("2021-01-01", periods=20_000, freq="min", tz="UTC")
    assert frame.duplicated().mean() > 0.9
    assert said(frame, "mark", "1m") == {}
    assert (
        said(frame.assign(volume=rng.integers(1, 50, 20_000).astype(float)), timeframe="1m") == {}
    )
    frame.iloc[9_000:9_060] = frame.iloc[2_000:2_060].to_numpy()
    assert said(frame, "mark", "1m")["repeat"].startswith("60 bars repeat earlier ones")


def test_open_interest_equal_to_the_digit_for_days_is_named_and_a_habit_is_not():
    days = pd.date_range("2023-03-01", periods=60, tz="UTC")
    value = pd.Series(np.random.default_rng(3).uniform(8e9, 9e9, 60).round(), days)
    stuck = value.copy()
    stuck.iloc[9:16] = 8_496_388_981.0
    found = said(stuck.to_frame("open_interest"), "open_interest")
    assert found == {
        "stale": "1 stretch stays equal to the digit: open_interest 8,496,388,981 from 2023-03-10 "
        "to 2023-03-16 (7 readings)"
    }
    steps = pd.Series(np.repeat([1.0, 2.0, 3.0, 4.0], 15), days)  # as mining difficulty
    nothing = value.where(value > 8.5e9, 0.0)  # as flows on days without any
    default = pd.Series(1e-4, days)
    assert said(steps.to_frame("difficulty"), "series") == {}
    assert said(nothing.to_frame("flow"), "series") == {}
    assert said(default.to_frame("funding_rate"), "funding") == {}


def test_a_mark_that_froze_is_named():
    frame = bars(80)[["open", "high", "low", "close"]]
    frame.iloc[30:40] = frame["close"].iloc[29]
    assert "close" in said(frame, "mark")["stale"]
    assert "(11 readings)" in said(frame, "mark")["stale"]


def test_of_many_the_worst_three_are_shown():
    frame = bars(200)
    for row in range(30, 150, 12):
        frame.iloc[row, 2] /= 2 + row / 100
    line = said(frame)["wick"]
    assert line.startswith("10 bars have wicks far outside their neighbours: ")
    assert line.endswith(", and 7 more")
    assert len(line) < 300


def test_import_and_check_say_the_same(tmp_path):
    frame = bars()
    frame.iloc[120, 2] /= 9
    catalog = Catalog(tmp_path)
    report = catalog.add(frame, "v/ohlcv/BTC/USD/1d")
    (check,) = catalog.check("v/ohlcv/BTC/USD/1d")
    assert [one.rule for one in report.doubts] == ["wick"]
    assert [one.said for one in check.doubts] == [one.said for one in report.doubts]
    assert catalog.load("v/ohlcv/BTC/USD/1d").frame["low"].iloc[120] == frame["low"].iloc[120]


REAL = {
    "btc_usd_1d_bitstamp.csv": (
        "ohlcv",
        "1d",
        {
            "wick": "2 bars have wicks far outside their neighbours: 2011-11-25 high 15 (445.5% "
            "above its body), 2016-06-23 low 1.5 (99.8% below its body)"
        },
    ),
    "btcusdt_1d_binance.csv": ("ohlcv", "1d", {}),
    "btcusdt_perp_4h_binance.csv.gz": ("ohlcv", "4h", {}),
    "funding_btcusdt_8h_binance.csv": ("funding", "8h", {}),
    "open_interest_btc_1d_usd.csv": (
        "series",
        "1d",
        {
            "stale": "1 stretch stays equal to the digit: open_interest_usd 8,496,388,981 from "
            "2023-03-10 to 2023-03-16 (7 readings)"
        },
    ),
}


@pytest.mark.parametrize("file", REAL)
def test_of_real_histories_only_errors_are_named(shared_data, file):
    """2012-08-19, 2013-04-12, 2020-03-12 and 2021-05-19 are in them, and in the sample."""
    kind, timeframe, expected = REAL[file]
    assert said(read_file(shared_data / file, kind, timeframe).frame, kind, timeframe) == expected


def test_of_the_sample_the_week_is_named_in_which_its_exchange_was_closed(workspace):
    """Mt. Gox stood still from 2011-06-19 to 26, after its accounts were stolen into."""
    assert said(workspace.catalog.load("sample/ohlcv/BTC/USD/1d").frame) == {
        "stale": "1 stretch stays equal to the digit: close 17.51 from 2011-06-19 to 2011-06-25 "
        "(7 readings)"
    }
