"""The comparison of events with others: weights by hand, shifts against a loop, its honesty."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.research.signal.contrast import (
    compare,
    contrast_pattern,
    evenly,
    event_weights,
    family_p_values,
    independent_trials,
    known_volatility,
    matched_weights,
    shifted,
)


def test_events_of_one_cluster_share_a_weight_and_overlapping_ones_of_a_market_do_not_count():
    event = np.zeros((12, 3), dtype=bool)
    event[2, [0, 2]] = True  # one date, two markets
    event[4, 1] = True  # within five bars of it: the third of the cluster
    event[5, 0] = True  # of a market whose first counts
    event[7, 1] = True  # within five bars of that market's own
    event[9, [0, 1]] = True
    weights = event_weights(event, 5)
    expected = np.zeros((12, 3))
    expected[[2, 2, 4], [0, 2, 1]] = 1 / 3
    expected[9, [0, 1]] = 0.5
    assert np.array_equal(weights, expected)


def test_all_bars_and_alike_bars_carry_what_the_events_carried():
    rng = np.random.default_rng(1)
    volatility = rng.permutation(np.arange(400.0)).reshape(200, 2) + 1
    weights = event_weights(rng.random((200, 2)) < 0.05, 3)
    for others in (
        evenly(weights, np.full(weights.shape, True)),
        matched_weights(weights, volatility),
    ):
        assert others.sum(axis=0) == pytest.approx(weights.sum(axis=0))
        assert (others >= -1e-15).all()


def test_alike_are_the_nearest_tenth_in_rank_of_volatility():
    volatility = np.random.default_rng(2).permutation(300.0 + np.arange(300))[:, None]
    weights = np.zeros((300, 1))
    row = int(np.flatnonzero(volatility[:, 0] == 450)[0])
    weights[row] = 2.0
    chosen = np.sort(volatility[matched_weights(weights, volatility)[:, 0] > 1e-12, 0])
    assert chosen.tolist() == list(range(435, 465))
    weights[:] = 0
    weights[int(np.argmax(volatility))] = 1.0
    chosen = np.sort(volatility[matched_weights(weights, volatility)[:, 0] > 1e-12, 0])
    assert chosen.tolist() == list(range(570, 600))


@settings(max_examples=30)
@given(seed=st.integers(0, 30), rows=st.integers(40, 90), symbols=st.integers(1, 3))
def test_shifts_as_a_loop_rolls_them(seed, rows, symbols):
    rng = np.random.default_rng(seed)
    forward = rng.normal(0, 0.1, (rows, symbols))
    volatility = rng.uniform(0.01, 0.05, (rows, symbols))
    weights = event_weights(rng.random((rows, symbols)) < 0.15, 4)
    if not weights.sum():
        weights[3, 0] = 1.0
    others = rng.random((rows, symbols))
    found, chance = compare(weights, others, forward, volatility, 4)
    pattern = weights / weights.sum() - others / others.sum()
    scaled = forward / (volatility * 2.0)
    scaled -= scaled.mean(axis=0)
    rolled = np.array([(np.roll(pattern, k, axis=0) * scaled).sum() for k in range(rows)])
    after = (others * scaled**2).sum() / others.sum()
    rolled[1:] *= (after / (scaled**2).mean()) ** 0.25
    unit = (weights / weights.sum() * volatility * 2.0).sum()
    means = [(w / w.sum() * forward).sum() for w in (weights, others)]
    assert found.difference == pytest.approx(means[0] - means[1], abs=1e-12)
    assert found.adjusted == pytest.approx(rolled[0] * unit, abs=1e-12)
    far = np.abs(rolled) >= abs(rolled[0]) - 1e-12
    assert found.p_value == pytest.approx(far.mean(), abs=1e-9)
    assert found.p_value >= 1 / rows
    assert chance == pytest.approx(rolled * unit, abs=1e-12)
    tails = np.quantile(rolled, [0.975, 0.025]) * unit
    assert (found.low, found.high) == pytest.approx(tuple(found.adjusted - tails), abs=1e-12)


def test_trials_of_a_cluster_are_as_many_as_vary_like_its_share():
    """Shares of coins that rise, of 4,000 clusters of three, two and one."""
    rng = np.random.default_rng(8)
    rose = rng.multivariate_normal(np.zeros(3), 0.4 + 0.6 * np.eye(3), 4_000) > 0
    numbers = np.repeat(np.arange(4_000), 3)
    symbols, there = np.tile(np.arange(3), 4_000), np.ones(12_000, dtype=bool)
    there[3 * 1_000 + 2 : 3 * 2_000 : 3] = False
    for place in (1, 2):
        there[3 * 2_000 + place :: 3] = False
    shares = (1.0 / np.bincount(numbers[there]))[numbers[there]]
    alike = 0.4 + 0.6 * np.eye(3)
    trials = independent_trials(shares, symbols[there], numbers[there], alike)
    means = np.bincount(numbers[there], shares * rose.ravel()[there])
    assert trials / 4_000 == pytest.approx(0.25 / means.var(), rel=0.06)
    alone = independent_trials(np.ones(5), np.zeros(5, dtype=int), np.arange(5), np.ones((1, 1)))
    assert alone == pytest.approx(5)


def test_an_effect_is_measured_in_full_and_its_interval_holds_it():
    rng = np.random.default_rng(5)
    forward = rng.normal(0, 0.04, (2_000, 1))
    event = np.zeros((2_000, 1), dtype=bool)
    event[rng.choice(480, 48, replace=False) * 4 + 20] = True
    forward[event] += 0.05
    volatility = np.full((2_000, 1), 0.02)
    weights = event_weights(event, 4)
    found, _ = compare(weights, evenly(weights, forward < np.inf), forward, volatility, 4)
    # 48 events of deviation 0.04: a standard error of 0.0058.
    assert found.difference == pytest.approx(0.05, abs=3 * 0.0058)
    assert found.adjusted == pytest.approx(found.difference)
    assert found.low < 0.05 < found.high
    assert found.p_value < 0.01


def test_wild_times_do_not_decide():
    """Events in wild times only, no effect: raw means differ a lot, and it must not matter."""
    rejected = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        volatility = np.where(np.arange(600) % 200 < 40, 0.08, 0.01)[:, None]
        forward = rng.normal(0, 1, (600, 1)) * volatility
        event = (volatility > 0.05) & (rng.random((600, 1)) < 0.3)
        weights = event_weights(event, 1)
        found, _ = compare(weights, evenly(weights, forward < np.inf), forward, volatility, 1)
        rejected += found.p_value <= 0.05
    # Binomial: 10 expected, 3.1 the deviation.
    assert 2 <= rejected <= 19


def test_volatility_knows_only_the_past_and_follows_it():
    rng = np.random.default_rng(6)
    close = pd.Series(np.exp(np.cumsum(rng.normal(0, 0.02, 400))))
    known = known_volatility(close)
    assert known.isna().sum() == 20
    assert known.iloc[-1] == pytest.approx(0.02, rel=0.35)
    assert known_volatility(close.iloc[:300]).equals(known.iloc[:300])
    jump = known_volatility(pd.concat([close, pd.Series([close.iloc[-1] * 0.7])]))
    assert jump.iloc[-1] > 3 * known.iloc[-1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weights": np.zeros((9, 1))}, "weights must sum"),
        ({"others": np.zeros((9, 1))}, "others must sum"),
        ({"forward": np.full((9, 1), np.nan)}, "must be finite"),
        ({"volatility": np.zeros((9, 1))}, "above 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, said):
    given_ = {name: np.ones((9, 1)) for name in ("others", "forward", "volatility")}
    given_["weights"] = np.eye(9, 1)
    with pytest.raises(InputError, match=said):
        compare(**(given_ | change), horizon=1)


def test_shifts_onto_bars_that_a_market_lacks_keep_their_variance():
    """A market of half the history: where its events fall outside, the others speak for them."""
    rng = np.random.default_rng(7)
    common = rng.normal(size=(4_000, 1))
    values = common + 0.5 * rng.normal(size=(4_000, 2))
    values[:2_000, 1] = np.nan
    weights = np.zeros((4_000, 2))
    rows = rng.choice(np.arange(2_000, 4_000), 12, replace=False)
    weights[rows] = 0.5  # all events on bars of both
    pattern = contrast_pattern(weights, evenly(weights, np.isfinite(values)))
    chance = shifted(pattern, values)
    # Twelve means of two with a variance of 1.25 and a correlation of 0.8.
    expected = math.sqrt(1.25 * 0.9 / 12)
    assert chance[:1_900].std() == pytest.approx(expected, rel=0.1)
    assert chance[2_000:3_000].std() == pytest.approx(expected, rel=0.15)
    lonely = np.zeros((4_000, 2))
    lonely[rows, 1] = 1.0
    gone = shifted(contrast_pattern(lonely, evenly(lonely, np.isfinite(values))), values)
    assert np.isnan(gone).sum() > 100  # fewer than a quarter of the events on bars there are
    assert np.isfinite(gone[0])


def test_a_family_is_corrected_by_the_largest_of_it():
    rng = np.random.default_rng(8)
    chance = rng.normal(size=(3, 500)) * np.array([[1.0], [10.0], [0.1]])
    chance[2] = chance[0] / 10  # the same test in other units adds nothing
    chance[:, 0] = [2.5, 5.0, 0.25]
    alone = [family_p_values([one])[0] for one in chance]
    together = family_p_values(list(chance))
    far = np.abs(chance) / chance.std(axis=1, keepdims=True)
    expected = [(far.max(axis=0) >= own - 1e-12).mean() for own in far[:, 0]]
    assert together == pytest.approx(expected)
    assert all(one <= other for one, other in zip(alone, together, strict=True))
    assert together[0] == pytest.approx(together[2], abs=0.003)
    assert family_p_values([chance[0], chance[0]]) == [alone[0], alone[0]]
    assert family_p_values([np.zeros(9)]) == [1.0]
