"""The simulated market: possible bars, the stated moments, and no memory of levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from delever.errors import InputError
from delever.frames import validate
from delever.research.null_markets import GarchJumps, simulate_bars

QUIET = GarchJumps(news=0.0, memory=0.0, jump_rate=0.0)


@settings(max_examples=20)
@given(seed=st.integers(0, 1_000), bars=st.integers(1, 50))
def test_bars_are_possible_and_repeat_with_the_seed(seed, bars):
    frame = simulate_bars(bars, seed=seed, timeframe="4h", start="2021-01-04")
    assert validate(frame, "ohlcv", "4h", where="simulated").shape == (bars, 5)
    assert (frame["low"] <= frame[["open", "close"]].min(axis=1)).all()
    assert (frame["high"] >= frame[["open", "close"]].max(axis=1)).all()
    assert frame["open"].to_numpy()[1:] == pytest.approx(frame["close"].to_numpy()[:-1])
    pd.testing.assert_frame_equal(
        frame, simulate_bars(bars, seed=seed, timeframe="4h", start="2021-01-04")
    )


def test_without_news_and_jumps_log_returns_are_independent_normals():
    frame = simulate_bars(20_000, seed=1, process=QUIET)
    returns = np.log(frame["close"] / frame["open"]).to_numpy()
    expected = scipy_stats.norm(-(0.03**2) / 2, 0.03)
    assert scipy_stats.kstest(returns, expected.cdf).pvalue > 0.01
    assert abs(np.corrcoef(returns[1:], returns[:-1])[0, 1]) < 0.03


def test_extremes_of_a_bar_are_those_of_a_brownian_motion():
    """By reflection, the highest point of a driftless walk is as far as its end, in size."""
    frame = simulate_bars(40_000, seed=2, process=QUIET)
    for name in ("high", "low"):
        reach = np.abs(np.log(frame[name] / frame["open"])) / 0.03
        assert reach.mean() == pytest.approx(np.sqrt(2 / np.pi), rel=0.03)
        assert (reach**2).mean() == pytest.approx(1.0, rel=0.03)


def test_volatility_clusters_and_jumps_fatten_the_tails():
    returns = np.log(simulate_bars(20_000, seed=3)["close"]).diff().dropna()
    assert returns.var() == pytest.approx(0.03**2 + 0.008 * 0.08**2, rel=0.1)
    assert returns.pow(2).autocorr(1) > 0.03
    assert abs(returns.autocorr(1)) < 0.03
    assert returns.kurt() > 1  # 0 for normal returns, give or take 0.04


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"news": 0.5, "memory": 0.5}, "less than 1"),
        ({"news": -0.1}, ">= 0"),
        ({"volatility": 0.0}, "volatility must be > 0"),
        ({"jump_rate": 1.5}, "jump_rate"),
    ],
)
def test_impossible_processes_are_refused(settings, said):
    with pytest.raises(InputError, match=said):
        GarchJumps(**settings)


def test_no_bars_are_refused():
    with pytest.raises(InputError, match="at least 1"):
        simulate_bars(0, seed=0)
