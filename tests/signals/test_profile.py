"""Volume by price and average prices, counted one bar at a time."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError
from delever.signals.profile import anchored_vwap, swing_vwap, volume_nodes, volume_profile
from delever.view import MarketView

RNG = np.random.default_rng(11)
DAYS = pd.date_range("2026-01-05", periods=42, tz="UTC").as_unit("ns")


def market(volume: float | None = None) -> MarketView:
    close = 100 * np.exp(np.cumsum(RNG.normal(0, 0.03, len(DAYS))))
    frame = pd.DataFrame(
        {
            "open": close,
            "high": close * 1.02,
            "low": close * 0.99,
            "close": close,
            "volume": RNG.gamma(2, 10, len(DAYS)) if volume is None else volume,
        },
        index=DAYS,
    )
    return MarketView(bars=frame, timeframe="1d")


def test_a_profile_by_hand() -> None:
    bars = pd.DataFrame({"low": [0.0, 1, 3], "high": [4.0, 3, 3], "volume": [8.0, 6, 5]})
    got = volume_profile(bars, bins=4)
    # 8 over four steps, 6 over the second and third; 5 at 3 exactly falls into the fourth.
    np.testing.assert_allclose(got, [2, 2 + 3, 2 + 3, 2 + 5])
    assert got.index.tolist() == [0.5, 1.5, 2.5, 3.5]
    top = pd.DataFrame({"low": [0.0, 4], "high": [4.0, 4], "volume": [4.0, 5]})
    np.testing.assert_allclose(volume_profile(top, bins=4), [1, 1, 1, 6], rtol=1e-6)


def test_no_volume_is_lost() -> None:
    bars = market().bars
    for bins in (3, 17, 200):
        assert volume_profile(bars, bins=bins).sum() == pytest.approx(bars["volume"].sum())


def test_nodes_are_peaks_of_the_closed_weeks_and_last_a_week() -> None:
    seen = market()
    got = volume_nodes(seen, weeks=2, bins=12, nodes=2)
    monday = DAYS[0] + pd.Timedelta(14, "D")
    assert got["born"].min() == monday
    assert sorted(set(got["born"])) == [monday + pd.Timedelta(7 * k, "D") for k in range(5)]
    first = got[got["born"] == monday]
    assert (first["ended"] == monday + pd.Timedelta(7, "D")).all()
    assert got[got["born"] == got["born"].max()]["ended"].isna().all()
    profile = volume_profile(seen.bars.iloc[:14], bins=12).to_numpy()
    middles = volume_profile(seen.bars.iloc[:14], bins=12).index.to_numpy()
    padded = [0.0, *profile, 0.0]
    peaks = [
        (-padded[i], middles[i - 1])
        for i in range(1, 13)
        if padded[i] > padded[i - 1] and padded[i] >= padded[i + 1]
    ]
    expected = [price for _, price in sorted(peaks)[:2]]
    np.testing.assert_allclose(first["price"], expected)


def test_unknown_volume_has_no_nodes_and_a_still_market_neither() -> None:
    assert volume_nodes(market(volume=math.nan), weeks=2).empty
    flat = market().bars.assign(open=1.0, high=1.0, low=1.0, close=1.0)
    assert volume_nodes(MarketView(bars=flat, timeframe="1d"), weeks=2).empty


def test_the_anchored_average_counts_from_its_anchor() -> None:
    seen = market()
    got = anchored_vwap(seen, anchor=DAYS[10])
    assert got.iloc[:10].isna().all()
    for row in (10, 11, 30):
        part = seen.bars.iloc[10 : row + 1]
        typical = (part["high"] + part["low"] + part["close"]) / 3
        expected = np.average(typical, weights=part["volume"])
        assert got.iloc[row] == pytest.approx(expected, rel=1e-12)
    assert anchored_vwap(market(volume=0.0), anchor=DAYS[0]).isna().all()
    assert anchored_vwap(market(volume=math.nan), anchor=DAYS[0]).isna().all()


def test_the_swing_average_waits_for_the_swing_to_be_confirmed() -> None:
    high = [1.0, 2, 5, 4, 3, 2, 6, 1, 1, 1]
    frame = pd.DataFrame({"high": high, "low": high, "close": high, "volume": 1.0}, index=DAYS[:10])
    seen = MarketView(bars=frame, timeframe="1d")
    got = swing_vwap(seen, bars=2)
    # The 5 is confirmed by bar 4, the 6 by bar 8; the average then counts from the swing.
    expected = [np.nan] * 4 + [12 / 3, 14 / 4, 20 / 5, 21 / 6, 8 / 3, 9 / 4]
    np.testing.assert_allclose(got, expected)
    # The first of the three ones is a low, confirmed by the last of them.
    low = swing_vwap(seen, bars=2, kind="swing_low")
    np.testing.assert_allclose(low, [np.nan] * 9 + [1.0])


def test_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(InputError, match="bins must be a whole number, from 3 to 100,000; got 2"):
        volume_profile(market().bars, bins=2)
    with pytest.raises(InputError, match="weeks and nodes must be at least 1"):
        volume_nodes(market(), nodes=0)
    with pytest.raises(InputError, match="kind must be 'swing_high' or 'swing_low'"):
        swing_vwap(market(), kind="low")
