"""Halving the time of many trials: against a plain loop, worked numbers and populations."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.errors import InputError
from delever.stats.overfitting import overfitting

VECTORS = Path(__file__).parents[2] / ".." / "shared" / "vectors" / "cscv_returns.csv.gz"


def sums_of(returns: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Of returns of shape (bars, trials)."""
    parts = np.split(returns[: len(returns) // blocks * blocks], blocks)
    sums = np.stack([part.sum(axis=0) for part in parts], axis=1)
    squares = np.stack([(part**2).sum(axis=0) for part in parts], axis=1)
    return sums, squares, [len(part) for part in parts]


def by_loop(returns: np.ndarray, blocks: int) -> tuple[list[float], list[float], list[float]]:
    parts = np.split(returns, blocks)
    inside, outside, logits = [], [], []
    for taken in combinations(range(blocks), blocks // 2):
        own = np.concatenate([parts[k] for k in taken])
        other = np.concatenate([parts[k] for k in range(blocks) if k not in taken])
        best = int((own.mean(axis=0) / own.std(axis=0, ddof=1)).argmax())
        ratios = other.mean(axis=0) / other.std(axis=0, ddof=1)
        rank = (ratios <= ratios[best]).sum() / (returns.shape[1] + 1)
        inside.append(own[:, best].mean() / own[:, best].std(ddof=1))
        outside.append(ratios[best])
        logits.append(np.log(rank / (1.0 - rank)))
    return inside, outside, logits


@given(st.integers(0, 10_000), st.sampled_from([4, 6, 8]), st.integers(2, 12))
def test_every_split_is_that_of_a_plain_loop(seed, blocks, trials):
    returns = np.random.default_rng(seed).standard_t(4, size=(blocks * 9, trials))
    found = overfitting(*sums_of(returns, blocks))
    inside, outside, logits = by_loop(returns, blocks)
    np.testing.assert_allclose(found.inside, inside, rtol=1e-9)
    np.testing.assert_allclose(found.outside, outside, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.logits, logits, rtol=1e-12)
    slope = np.polyfit(inside, outside, 1)[0]
    assert found.slope == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("blocks", "splits", "probability", "median", "slope", "loss"),
    [
        (8, 70, 0.171429, 1.504077, -0.810472, 0.085714),
        (16, 12_870, 0.065657, 2.302585, -0.513592, 0.052603),
    ],
)
def test_the_worked_matrix(blocks, splits, probability, median, slope, loss):
    """Ten columns of logistic maps, two of them shifted up and one down."""
    if not VECTORS.is_file():
        pytest.skip("worked numbers are not beside this checkout (../shared/vectors)")
    found = overfitting(*sums_of(pd.read_csv(VECTORS).to_numpy(), blocks))
    assert found.splits == splits
    assert found.probability == pytest.approx(probability, abs=5e-7)
    assert np.median(found.logits) == pytest.approx(median, abs=5e-7)
    assert found.slope == pytest.approx(slope, abs=5e-7)
    assert found.loss == pytest.approx(loss, abs=5e-7)


def test_luck_is_one_half_and_an_edge_is_found():
    rng = np.random.default_rng(7)
    null = [overfitting(*sums_of(rng.normal(size=(400, 60)), 8)).probability for _ in range(40)]
    assert 0.43 < np.mean(null) < 0.57
    edge = rng.normal(size=(1_000, 60))
    edge[:, :6] += 0.2
    assert overfitting(*sums_of(edge, 8)).probability < 0.02


def test_equal_trials_share_the_middle_of_their_ranks():
    one = np.random.default_rng(1).normal(size=(64, 1))
    found = overfitting(*sums_of(np.repeat(one, 9, axis=1), 8))
    np.testing.assert_allclose(found.logits, 0.0, atol=1e-12)


def test_a_trial_that_earns_nothing_has_a_ratio_of_zero():
    returns = np.random.default_rng(2).normal(-0.5, 1.0, size=(80, 3))
    returns[:, 1] = 0.0
    found = overfitting(*sums_of(returns, 8))
    assert (found.chosen == 1).all()
    assert (found.inside == 0.0).all()
    assert found.loss == 0.0


@pytest.mark.parametrize(
    ("trials", "blocks", "counts"), [(3, 5, 5), (1, 4, 4), (3, 18, 18), (3, 4, 3)]
)
def test_other_shapes_are_refused(trials, blocks, counts):
    with pytest.raises(InputError, match="even number of blocks"):
        overfitting(*np.ones((2, trials, blocks)), [9] * counts)
