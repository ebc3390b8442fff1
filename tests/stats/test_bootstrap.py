"""The studentised bootstrap against formulas, another library and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.errors import InputError
from delever.stats import blocks
from delever.stats.blocks import block_length
from delever.stats.bootstrap import growth, growth_difference, sharpe, sharpe_difference
from delever.stats.performance import sharpe_ratio

YEAR = 365.0


@pytest.fixture(scope="module")
def market():
    return np.random.default_rng(1).standard_t(5, 2_000) * 0.02 + 0.001


def wave(weight, bars, seed):
    values = np.random.default_rng(seed).standard_normal(bars)
    for row in range(1, bars):
        values[row] += weight * values[row - 1]
    return values


@pytest.mark.parametrize("weight", [-0.5, 0.0, 0.3, 0.9])
@pytest.mark.parametrize("bars", [12, 31, 250, 5_000])
def test_block_lengths_are_those_of_another_library(weight, bars):
    from arch.bootstrap import optimal_block_length

    values = wave(weight, bars, 3)
    expected = optimal_block_length(values).iloc[0]
    for scheme in ("stationary", "circular"):
        found = block_length(values, scheme)
        assert found == pytest.approx(max(1.0, expected[scheme]), rel=1e-9)


@given(
    bars=st.integers(5, 60),
    block=st.floats(1.1, 20.0),
    seed=st.integers(0, 100),
)
def test_blocks_fill_the_sample_and_their_sums_are_those_of_a_loop(bars, block, seed):
    drawn = blocks.draw_blocks(bars, block, 4, seed)
    assert (drawn.lengths >= 0).all()
    assert (drawn.lengths.sum(axis=1) == bars).all()
    values = np.random.default_rng(seed).standard_normal((bars, 2))
    sums = drawn.sums(values)
    for draw, number in np.ndindex(drawn.starts.shape):
        rows = (drawn.starts[draw, number] + np.arange(drawn.lengths[draw, number])) % bars
        np.testing.assert_allclose(sums[draw, number], values[rows].sum(axis=0), atol=1e-9)


def test_blocks_have_the_mean_length_asked_for():
    drawn = blocks.draw_blocks(10_000, 7.5, 100, 1)
    assert 10_000 / (drawn.lengths > 0).sum(axis=1).mean() == pytest.approx(7.5, rel=0.02)


def test_the_error_of_a_mean_is_that_of_another_librarys_resamples():
    from arch.bootstrap import StationaryBootstrap

    values = wave(0.5, 400, 4)
    drawn = StationaryBootstrap(8, values, seed=5).apply(np.mean, 4_000)
    assert blocks.long_run_error(blocks.Influence.of(values), 8.0) == pytest.approx(
        drawn.std(), rel=0.03
    )
    resampled = blocks.draw_blocks(400, 8.0, 4_000, 6).sums(values[:, None])
    ours = resampled.sum(axis=(1, 2)) / 400
    # 4,000 draws know a deviation to 1.1 %; here two lots of them meet.
    assert ours.std() == pytest.approx(drawn.std(), rel=0.05)
    assert ours.mean() == pytest.approx(drawn.mean(), abs=0.01)


def test_the_error_of_a_mean_without_blocks_is_the_textbooks():
    values = wave(0.0, 300, 8)
    assert blocks.long_run_error(blocks.Influence.of(values), 1.0) == pytest.approx(
        values.std() / math.sqrt(300)
    )


def test_the_error_of_a_sharpe_ratio_is_lo_s():
    """Lo (2002), for independent normal returns; here with a large ratio, where it matters."""
    rng = np.random.default_rng(9)
    found = [sharpe(rng.normal(0.5, 1.0, 4_000), 1.0, draws=100) for _ in range(40)]
    # An error from 27 blocks is itself uncertain by a fifth: hence the mean of forty.
    mean = np.mean([each.standard_error for each in found])
    assert mean == pytest.approx(math.sqrt((1 + 0.5**2 / 2) / 4_000), rel=0.08)


def test_values_are_the_metrics(market):
    exposed = np.where(np.arange(len(market)) // 50 % 2, market, 0.0)
    ratio = sharpe_ratio(exposed, YEAR)
    assert sharpe(exposed, YEAR).value == pytest.approx(ratio, rel=1e-12)
    apart = sharpe_difference(exposed, market, YEAR)
    assert apart.value == pytest.approx(ratio - sharpe_ratio(market, YEAR), rel=1e-12)
    grown = np.log1p(market).mean() * YEAR
    assert growth(market, YEAR).value == pytest.approx(grown, rel=1e-12)
    assert growth_difference(exposed, market, YEAR).value == pytest.approx(
        np.log1p(exposed).mean() * YEAR - grown, rel=1e-12
    )


@pytest.mark.parametrize("function", [sharpe_difference, growth_difference])
def test_a_difference_turned_round_is_its_negative(function, market):
    exposed = np.where(np.arange(len(market)) // 50 % 2, market, 0.0)
    one, other = function(exposed, market, YEAR), function(market, exposed, YEAR)
    assert (other.value, other.low) == (
        pytest.approx(-one.value, rel=1e-9),
        pytest.approx(-one.high, rel=1e-9),
    )
    assert other.p_value == one.p_value


def test_returns_times_a_factor_have_the_same_sharpe_ratio(market):
    one, other = sharpe(market, YEAR), sharpe(3.0 * market, YEAR)
    assert other.low == pytest.approx(one.low, rel=1e-9)
    assert other.p_value == one.p_value


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95])
def test_an_interval_without_zero_is_a_test_that_rejects(confidence, market):
    for shift in np.linspace(-0.002, 0.002, 9):
        found = sharpe(market + shift, YEAR, confidence=confidence, seed=2)
        holds = found.low <= 0.0 <= found.high
        assert holds == (found.p_value > 1.0 - confidence - 1e-12)


def test_more_confidence_is_wider_and_dependence_too(market):
    narrow, wide = (sharpe(market, YEAR, confidence=each) for each in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    slow = 0.02 * wave(0.8, 2_000, 3)
    shuffled = np.random.default_rng(1).permutation(slow)
    assert growth(slow, YEAR).standard_error > 2 * growth(shuffled, YEAR).standard_error


def test_the_same_seed_gives_the_same_interval(market):
    assert sharpe(market, YEAR, seed=3) == sharpe(market, YEAR, seed=3)
    assert sharpe(market, YEAR, seed=3) != sharpe(market, YEAR, seed=4)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda m: sharpe(m[:29], YEAR), "at least 30 bars"),
        (lambda m: sharpe([], YEAR), "at least 30 bars"),
        (lambda m: growth([], YEAR), "at least 30 bars"),
        (lambda m: growth(m[:29], YEAR), "at least 30 bars"),
        (lambda m: sharpe(np.zeros(100), YEAR), "do not vary"),
        (lambda m: growth(np.full(100, 0.01), YEAR), "do not vary"),
        (lambda m: sharpe_difference(m, m, YEAR), "do not vary"),
        (lambda m: sharpe_difference(0.25 * m, m, YEAR), "do not vary"),
        (lambda m: growth_difference(m, m, YEAR), "do not vary"),
        (lambda m: growth_difference(m, m + (np.arange(2_000) == 7), YEAR), "too few to tell"),
        (lambda m: growth(np.append(m, -1.0), YEAR), "lost everything"),
        (lambda m: growth_difference(np.append(m, 0), np.append(m, -1.0), YEAR), "lost everything"),
    ],
)
def test_what_cannot_be_said_is_nan_and_says_why(call, reason, market):
    found = call(market)
    assert reason in found.reason
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(found.p_value)
    assert "lost" not in reason or math.isnan(found.value)


def test_a_run_that_lost_everything_still_has_a_sharpe_ratio(market):
    found = sharpe(np.append(market, -1.0), YEAR)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sharpe([0.1, np.nan], YEAR), "finite"),
        (lambda: growth([[0.1, 0.2]], YEAR), "one row"),
        (lambda: sharpe_difference([0.1], [0.1, 0.2], YEAR), "same bars"),
        (lambda: sharpe(np.arange(40), YEAR, confidence=0.0), "between 0 and 1"),
        (lambda: sharpe(np.arange(40), YEAR, draws=10), "draws"),
        (lambda: sharpe(np.arange(40), YEAR, seed=-1), "seed"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()
