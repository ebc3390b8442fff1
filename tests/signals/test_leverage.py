"""Funding, positions and liquidations on small histories that can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from delever.signals import leverage as lev
from delever.view import MarketView, Reading

DAYS = pd.date_range("2026-01-05", periods=8, tz="UTC").as_unit("ns")
CLOSE = [100.0, 110, 120, 100, 80, 90, 100, 100]


def view(name: str, lag: str, stamps: pd.DatetimeIndex, **columns: list[float]) -> MarketView:
    frame = pd.DataFrame(columns, index=stamps)
    reading = Reading(frame=frame, publication_lag=pd.Timedelta(lag))
    bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], CLOSE), index=DAYS)
    return MarketView(bars=bars, timeframe="1d", readings={name: reading})


def test_funding_of_a_day_is_the_sum_of_its_settlements_whatever_their_interval() -> None:
    eight = pd.date_range(DAYS[0], periods=12, freq="8h")
    four = pd.date_range(DAYS[4] + pd.Timedelta(4, "h"), periods=18, freq="4h")
    stamps = eight.append(four)
    rates = [3e-4] * 12 + [1e-4] * 18
    got = lev.daily_funding(view("funding", "0h", stamps, rate=rates))
    # The bar of the 5th closes on the 6th 00:00, when three settlements lie behind it and the
    # fourth is just paid. From the 9th on the interval is 4 hours.
    assert got.iloc[0] == pytest.approx(9e-4)
    assert got.iloc[3] == pytest.approx(9e-4)
    assert got.iloc[5] == pytest.approx(6e-4)


def test_funding_streak_counts_settlements_with_their_sign() -> None:
    stamps = pd.date_range(DAYS[0], periods=9, freq="8h")
    rates = [1e-4, 2e-4, -1e-4, -1e-4, -3e-4, -1e-4, 0.0, 1e-4, 1e-4]
    got = lev.funding_streak(view("funding", "0h", stamps, rate=rates))
    # Settled at the close of each bar, and known at it: rows 3, 6 and then 8, the last one.
    assert got.iloc[:4].tolist() == [-2.0, 0.0, 2.0, 2.0]
    # Two days after the last settlement there is no funding any more.
    assert got.iloc[5:].isna().all()


def test_funding_zscore_against_numpy() -> None:
    rng = np.random.default_rng(0)
    rates = rng.normal(0, 1e-4, 24)
    stamps = pd.date_range(DAYS[0], periods=24, freq="8h")
    got = lev.funding_zscore(view("funding", "0h", stamps, rate=list(rates)), days=3)
    daily = np.array([math.nan] * 3 + [rates[r - 2 : r + 1].sum() for r in range(3, 24)])
    for bar in range(8):
        row = 3 * (bar + 1)  # settled at the bar's close
        if row >= 24:
            row = 23
        window = daily[row - 8 : row + 1]
        if row < 3 + 9:
            assert math.isnan(got.iloc[bar])
        else:
            expected = (daily[row] - window.mean()) / window.std(ddof=1)
            assert got.iloc[bar] == pytest.approx(expected, rel=1e-9)


def test_dollars_of_open_interest_are_not_positions() -> None:
    """100 coins stay open while the price falls; then 20 of them are closed at 90."""
    known = [100.0, 110, 120, 100, 80, 90, 100]  # the close when each row is known
    coins = [100.0, 100, 100, 100, 100, 80, 80]
    dollars = [c * p for c, p in zip(coins, known, strict=True)]
    seen = view("open_interest", "24h", DAYS[:7], usd=dollars)
    got = lev.open_interest_change(seen, days=1)
    expected = [math.nan, 0, 0, 0, 0, math.log(0.8), 0, 0]
    np.testing.assert_allclose(got, expected, atol=1e-12)
    raw = lev.open_interest_change(seen, days=1, notional=False)
    assert raw.iloc[4] == pytest.approx(math.log(0.8))  # only the price fell


def test_divergence_is_the_difference_of_two_zscores() -> None:
    coins = [100.0, 101, 99, 104, 108, 90, 95]
    dollars = [c * p for c, p in zip(coins, CLOSE, strict=False)]
    got = lev.open_interest_divergence(
        view("open_interest", "24h", DAYS[:7], usd=dollars), days=1, window=3
    )
    held, price = np.diff(np.log(coins)), np.diff(np.log(CLOSE[:7]))

    def z(values: np.ndarray, row: int) -> float:
        window = values[row - 2 : row + 1]
        return float((values[row] - window.mean()) / window.std(ddof=1))

    assert got.iloc[:4].isna().all()
    for bar in (4, 5, 6):
        assert got.iloc[bar] == pytest.approx(z(held, bar - 1) - z(price, bar - 1), rel=1e-9)


def test_liquidations_of_the_last_day() -> None:
    stamps = pd.date_range(DAYS[0], periods=8, freq="12h")
    longs, shorts = [1.0, 2, 3, 4, 0, 0, 9, 1], [1.0, 1, 1, 0, 0, 0, 1, 0]
    seen = view("liquidations", "12h", stamps, long_liq_usd=longs, short_liq_usd=shorts)
    # The bar of day d sees both halves of day d; a full day lies behind row 2 at the earliest,
    # which the bar of the first day does not know yet.
    total = lev.liquidation_total(seen)
    np.testing.assert_allclose(total.iloc[:4], [np.nan, 8, 0, 11])
    share = lev.liquidation_long_share(seen)
    np.testing.assert_allclose(share.iloc[:4], [np.nan, 7 / 8, np.nan, 10 / 11])
    shock = lev.liquidation_shock(seen, days=2)
    # Row 7's total 11 against those of rows 4..7: 3 + 1 from rows 3 and 4, then 0, 10, 11.
    assert shock.iloc[:3].isna().all()
    assert shock.iloc[3] == pytest.approx(math.log(11 / np.mean([4, 0, 10, 11])))


def test_long_short_ratio_is_compared_in_logarithms() -> None:
    ratio = [1.0, 2.0, 0.5, 4.0, 1.0, 1.0, 1.0, 1.0]
    got = lev.long_short_zscore(view("long_short_ratio", "24h", DAYS, ratio=ratio), days=3)
    window = np.log(ratio[1:4])
    assert got.iloc[:3].isna().all()
    assert got.iloc[3] == pytest.approx((window[-1] - window.mean()) / window.std(ddof=1))
    assert math.isnan(got.iloc[6])  # 1.0 three times: nothing varied
