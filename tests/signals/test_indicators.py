"""Each indicator against its formula as a plain loop, against ta, and against truncation."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.signals import indicators
from delever.view import MarketView

WINDOWS = (1, 2, 5, 14)


def walk(rows: int = 120, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.03, rows)))
    opens = np.concatenate([[100.0], close[:-1]])
    high = np.maximum(opens, close) * np.exp(rng.exponential(0.01, rows))
    low = np.minimum(opens, close) * np.exp(-rng.exponential(0.01, rows))
    index = pd.date_range("2020-01-01", periods=rows, tz="UTC", name="open_time")
    return pd.DataFrame({"open": opens, "high": high, "low": low, "close": close}, index=index)


def loop_sma(x: list[float], n: int) -> list[float]:
    return [math.nan if t < n - 1 else math.fsum(x[t - n + 1 : t + 1]) / n for t in range(len(x))]


def loop_ema(x: list[float], n: int) -> list[float]:
    out, level = [], x[0]
    for t, value in enumerate(x):
        level = value if t == 0 else (2 * value + (n - 1) * level) / (n + 1)
        out.append(level if t >= n - 1 else math.nan)
    return out


def loop_wma(x: list[float], n: int) -> list[float]:
    total = n * (n + 1) / 2
    return [
        math.nan if t < n - 1 else math.fsum((i + 1) * x[t - n + 1 + i] for i in range(n)) / total
        for t in range(len(x))
    ]


def loop_atr(bars: pd.DataFrame, n: int) -> list[float]:
    ranges = []
    for t in range(len(bars)):
        high, low = bars["high"].iloc[t], bars["low"].iloc[t]
        before = bars["close"].iloc[t - 1] if t else low
        ranges.append(max(high, before) - min(low, before))
    out = [math.nan] * (n - 1) + [math.fsum(ranges[:n]) / n]
    for t in range(n, len(bars)):
        out.append((out[-1] * (n - 1) + ranges[t]) / n)
    return out


def loop_rsi(x: list[float], n: int) -> list[float]:
    up = down = 0.0
    out = [math.nan]
    for t in range(1, len(x)):
        move = x[t] - x[t - 1]
        up += (max(move, 0.0) - up) / n
        down += (max(-move, 0.0) - down) / n
        out.append(100 * up / (up + down) if t >= n - 1 else math.nan)
    return out


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    ("function", "loop"),
    [
        (indicators.sma, loop_sma),
        (indicators.ema, loop_ema),
        (indicators.wma, loop_wma),
        (indicators.rsi, loop_rsi),
    ],
)
def test_equals_its_formula_as_a_loop(
    function: Callable[[pd.Series, int], pd.Series],
    loop: Callable[[list[float], int], list[float]],
    window: int,
) -> None:
    close = walk()["close"]
    got = function(close, window)
    np.testing.assert_allclose(got, loop(close.tolist(), window), rtol=1e-10)
    assert got.index.equals(close.index)


@pytest.mark.parametrize("window", WINDOWS)
def test_atr_equals_wilders_recursion_as_a_loop(window: int) -> None:
    bars = walk()
    got = indicators.atr(bars["high"], bars["low"], bars["close"], window)
    np.testing.assert_allclose(got, loop_atr(bars, window), rtol=1e-10)


@pytest.mark.parametrize("window", WINDOWS)
def test_the_two_computed_here_equal_ta(window: int) -> None:
    from ta.trend import WMAIndicator
    from ta.volatility import AverageTrueRange

    bars = walk()
    wma = WMAIndicator(bars["close"], window).wma()
    np.testing.assert_allclose(indicators.wma(bars["close"], window), wma, rtol=1e-10)
    atr = AverageTrueRange(bars["high"], bars["low"], bars["close"], window).average_true_range()
    got = indicators.atr(bars["high"], bars["low"], bars["close"], window)
    np.testing.assert_allclose(got.iloc[window - 1 :], atr.iloc[window - 1 :], rtol=1e-10)
    assert got.iloc[: window - 1].isna().all()  # where ta says 0


def test_roc_is_a_fraction() -> None:
    got = indicators.roc(pd.Series([100.0, 50.0, 55.0]), 1)
    np.testing.assert_allclose(got, [np.nan, -0.5, 0.1], rtol=1e-12)


def test_donchian_holds_the_extremes_of_the_window() -> None:
    bars = walk()
    got = indicators.donchian(bars["high"], bars["low"], 7)
    for t in (6, 50, 119):
        assert got["lower"].iloc[t] == min(bars["low"].tolist()[t - 6 : t + 1])
        assert got["upper"].iloc[t] == max(bars["high"].tolist()[t - 6 : t + 1])
    assert got.iloc[:6].isna().all(axis=None)


def test_bollinger_uses_the_population_deviation() -> None:
    got = indicators.bollinger(pd.Series([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), 8, 3.0)
    # The textbook case: mean 5, population standard deviation 2.
    np.testing.assert_allclose(got.iloc[-1], [-1.0, 5.0, 11.0], rtol=1e-12)
    assert got.iloc[:-1].isna().all(axis=None)


def test_macd_is_made_of_the_emas() -> None:
    close = walk()["close"]
    got = indicators.macd(close, fast=3, slow=8, signal=4)
    line = np.subtract(loop_ema(close.tolist(), 3), loop_ema(close.tolist(), 8))
    np.testing.assert_allclose(got["macd"], line, rtol=1e-9)
    signal = [math.nan] * 7 + loop_ema(line[7:].tolist(), 4)
    np.testing.assert_allclose(got["signal"], signal, rtol=1e-9)
    np.testing.assert_allclose(got["histogram"], line - signal, rtol=1e-9, atol=1e-12)
    assert got["histogram"].first_valid_index() == close.index[8 + 4 - 2]


ALL: dict[str, Callable[[pd.DataFrame, int], pd.Series | pd.DataFrame]] = {
    "sma": lambda bars, n: indicators.sma(bars["close"], n),
    "ema": lambda bars, n: indicators.ema(bars["close"], n),
    "wma": lambda bars, n: indicators.wma(bars["close"], n),
    "atr": lambda bars, n: indicators.atr(bars["high"], bars["low"], bars["close"], n),
    "rsi": lambda bars, n: indicators.rsi(bars["close"], n),
    "roc": lambda bars, n: indicators.roc(bars["close"], n),
    "donchian": lambda bars, n: indicators.donchian(bars["high"], bars["low"], n),
    "bollinger": lambda bars, n: indicators.bollinger(bars["close"], n),
    "macd": lambda bars, n: indicators.macd(bars["close"], fast=n, slow=n + 3, signal=n),
}


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(window=st.integers(1, 30), seen=st.integers(0, 60), seed=st.integers(0, 5))
def test_what_comes_later_changes_nothing(name: str, window: int, seen: int, seed: int) -> None:
    bars = walk(60, seed)
    whole = pd.DataFrame(ALL[name](bars, window))
    part = pd.DataFrame(ALL[name](bars.iloc[:seen], window))
    # Summation order may depend on the length, hence not bit for bit.
    np.testing.assert_allclose(part, whole.iloc[:seen], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_a_window_longer_than_the_history_is_undefined(name: str) -> None:
    assert pd.DataFrame(ALL[name](walk(10), 11)).isna().all(axis=None)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("window", [0, -1, 2.5, True])
def test_refuses_a_window_that_is_none(name: str, window: object) -> None:
    with pytest.raises(InputError, match="must be a whole number"):
        ALL[name](walk(10), window)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["sma", "ema", "wma", "roc", "bollinger"])
def test_a_late_start_only_moves_the_warm_up(name: str) -> None:
    bars = walk(40)
    late = bars.copy()
    late.iloc[:9] = np.nan
    got = pd.DataFrame(ALL[name](late, 4))
    assert got.iloc[:9].isna().all(axis=None)
    np.testing.assert_allclose(got.iloc[9:], pd.DataFrame(ALL[name](bars.iloc[9:], 4)), rtol=1e-12)


@pytest.mark.parametrize("name", ["sma", "ema", "wma"])
def test_a_hole_in_the_input_is_not_filled(name: str) -> None:
    bars = walk(40)
    bars.iloc[20] = np.nan
    assert math.isnan(ALL[name](bars, 4).iloc[20])


def test_rsi_of_a_market_that_never_moved_is_undefined() -> None:
    assert indicators.rsi(pd.Series([5.0] * 20), 3).isna().all()
    assert indicators.rsi(pd.Series([5.0] * 20 + [6.0]), 3).iloc[-1] == 100.0


def test_moving_average_goes_by_name() -> None:
    close = walk()["close"]
    for name, function in (
        ("sma", indicators.sma),
        ("ema", indicators.ema),
        ("wma", indicators.wma),
    ):
        pd.testing.assert_series_equal(
            indicators.moving_average(close, 5, name),  # type: ignore[arg-type]
            function(close, 5),
        )
    with pytest.raises(InputError, match="sma, ema, wma; got 'hma'"):
        indicators.moving_average(close, 5, "hma")  # type: ignore[arg-type]


def test_macd_and_bollinger_refuse_what_makes_no_sense() -> None:
    close = walk()["close"]
    with pytest.raises(InputError, match="fast must be shorter"):
        indicators.macd(close, fast=26, slow=12)
    with pytest.raises(InputError, match="width"):
        indicators.bollinger(close, 20, -1.0)


YAHOO = Path(__file__).parents[3] / "shared" / "data" / "btc_usd_1d_yahoo.csv"


@pytest.mark.skipif(not YAHOO.is_file(), reason="needs the shared Yahoo history beside the project")
@pytest.mark.parametrize(
    ("average", "published"), [("sma", 58_086.37), ("ema", 68_339.08), ("wma", 75_569.45)]
)
def test_the_200_week_averages_of_february_2026(average: str, published: float) -> None:
    bars = pd.read_csv(YAHOO, index_col="timestamp", parse_dates=True)
    market = MarketView(bars=bars, timeframe="1d")
    weeks = market.resample("1w")["close"]
    line = indicators.moving_average(weeks, 200, average)  # type: ignore[arg-type]
    # The week that opens on Monday 2 February closes with Sunday 8 February.
    assert line[pd.Timestamp("2026-02-02", tz="UTC")] == pytest.approx(published, rel=1e-3)
    daily = market.align(line, "1w")
    assert daily[pd.Timestamp("2026-02-08", tz="UTC")] == line[pd.Timestamp("2026-02-02", tz="UTC")]
    assert daily[pd.Timestamp("2026-02-07", tz="UTC")] == line[pd.Timestamp("2026-01-26", tz="UTC")]
