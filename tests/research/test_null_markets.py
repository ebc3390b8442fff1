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
from delever.research.null_markets import (
    KINDS,
    GarchJumps,
    Kind,
    process_like,
    resampled_bars,
    simulate_bars,
)

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


def test_shocks_may_have_the_tails_of_students_t():
    process = GarchJumps(news=0.0, memory=0.0, jump_rate=0.0, tails=5.0)
    frame = simulate_bars(20_000, seed=4, process=process)
    returns = np.log(frame["close"] / frame["open"]).to_numpy()
    assert returns.std() == pytest.approx(0.03, rel=0.03)
    unit = scipy_stats.t(5, -(0.03**2) / 2, 0.03 * np.sqrt(3 / 5))
    assert scipy_stats.kstest(returns, unit.cdf).pvalue > 0.01
    with pytest.raises(InputError, match="degrees of freedom"):
        GarchJumps(tails=2.0)


REAL = simulate_bars(3_000, seed=5, process=GarchJumps(tails=4.0)).assign(volume=1.0)


def changes(bars: pd.DataFrame) -> np.ndarray:
    return np.diff(np.log(bars["close"].to_numpy()), prepend=np.log(bars["open"].iloc[0]))


def drawn(kind: Kind, seed: int = 0, bars: pd.DataFrame = REAL, begin: int = 500) -> pd.DataFrame:
    return resampled_bars(bars, "1d", kind, np.random.default_rng(seed), begin=begin)


@settings(max_examples=20)
@given(seed=st.integers(0, 1_000), kind=st.sampled_from(KINDS), begin=st.sampled_from([0, 1, 500]))
def test_a_redrawn_market_has_possible_bars_on_the_same_index(seed, kind, begin):
    made = drawn(kind, seed, begin=begin)
    assert validate(made, "ohlcv", "1d", where="redrawn").index.equals(REAL.index)
    ends = made[["open", "close"]]
    assert (made["low"] <= ends.min(axis=1)).all()
    assert (made["high"] >= ends.max(axis=1)).all()
    pd.testing.assert_frame_equal(made, drawn(kind, seed, begin=begin))


@pytest.mark.parametrize("kind", KINDS)
def test_the_unit_of_price_is_free(kind):
    names = ["open", "high", "low", "close"]
    scaled = drawn(kind, bars=REAL.assign(**{name: REAL[name] * 256.0 for name in names}))
    pd.testing.assert_frame_equal(scaled[names], drawn(kind)[names] * 256.0, rtol=1e-9)


def test_random_signs_keep_how_wild_each_bar_was_and_mirror_its_shape():
    made, real = changes(drawn("random signs")), changes(REAL)
    for part in (slice(0, 500), slice(500, None)):
        mean = real[part].mean()
        assert np.abs(made[part] - mean) == pytest.approx(np.abs(real[part] - mean), abs=1e-9)
        assert abs((np.sign(made[part] - mean) == np.sign(real[part] - mean)).mean() - 0.5) < 0.06
    frame = drawn("random signs")
    turned = np.abs(made - real) > 1e-9
    drift = max(abs(real[:500].mean()), abs(real[500:].mean()))
    for name, other in (("high", "low"), ("low", "high")):
        wick = np.log(frame[name] / frame["close"]).to_numpy()
        same = np.log(REAL[name] / REAL["close"]).to_numpy()
        mirrored = -np.log(REAL[other] / REAL["close"]).to_numpy()
        assert wick[~turned] == pytest.approx(same[~turned], abs=1e-9)
        # but for the drift, which the close alone takes
        assert wick[turned] == pytest.approx(mirrored[turned], abs=2.1 * drift)


def test_blocks_are_whole_bars_of_the_same_part_in_runs_of_twenty_days():
    bars = REAL.copy()
    made, real = changes(drawn("blocks", bars=bars)), changes(bars)
    for part in (slice(0, 500), slice(500, None)):
        where = {round(value, 10): row for row, value in enumerate(real[part])}
        rows = np.array([where[round(value, 10)] for value in made[part]])
        assert rows.max() < len(real[part])
        steps = np.diff(rows) % len(real[part])
        assert (steps != 1).mean() == pytest.approx(1 / 20, abs=0.03)


def test_a_garch_market_has_the_mean_and_deviation_of_the_run():
    run = changes(REAL)[500:]
    made = np.concatenate([changes(drawn("garch", seed))[500:] for seed in range(20)])
    assert made.mean() == pytest.approx(run.mean(), abs=4 * run.std() / np.sqrt(len(made)))
    assert made.std() == pytest.approx(run.std(), rel=0.1)
    assert scipy_stats.kurtosis(made) > 3


def test_a_market_of_closes_alone_stays_one():
    ends = REAL[["open", "close"]]
    flat = REAL.assign(high=ends.max(axis=1), low=ends.min(axis=1))
    for kind in KINDS:
        made = drawn(kind, bars=flat)
        ends = made[["open", "close"]]
        assert made["high"].to_numpy() == pytest.approx(ends.max(axis=1).to_numpy(), rel=0.02)
        assert made["open"].to_numpy()[1:] == pytest.approx(made["close"].to_numpy()[:-1])


def test_hours_have_the_volatility_of_days():
    """The process of days, taken to hours, clusters for as many days."""
    hours = process_like(0.006, 1 / 24)
    assert hours.news + hours.memory == pytest.approx((0.08 + 0.90) ** (1 / 24))
    assert hours.jump_rate == pytest.approx(0.008 / 24)
    total = hours.volatility**2 + hours.jump_rate * hours.jump_size**2
    assert total == pytest.approx(0.006**2)


def test_what_cannot_be_drawn_again_is_refused():
    for bars in (REAL.iloc[:2], REAL.assign(close=0.0)):
        with pytest.raises(InputError, match="three bars"):
            drawn("blocks", bars=bars, begin=0)
