"""How many trials a family is worth, against families whose worth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from delever.errors import InputError
from delever.stats.inference import probabilistic_sharpe_ratio
from delever.stats.selection import effective_trials


def equicorrelated(trials: int, correlation: float, seed: int, blocks: int = 16) -> np.ndarray:
    chance = np.random.default_rng(seed)
    common = chance.standard_normal((1, blocks))
    own = chance.standard_normal((trials, blocks))
    return math.sqrt(correlation) * common + math.sqrt(1.0 - correlation) * own


def by_simulation(trials: int, correlation: float) -> float:
    """From the 95 % point of the greatest of equicorrelated normal values."""
    chance = np.random.default_rng(0)
    greatest = np.empty(40_000)
    for first in range(0, len(greatest), 4_000):
        common = chance.standard_normal(4_000)
        own = chance.standard_normal((4_000, trials)).max(axis=1)
        greatest[first : first + 4_000] = (
            math.sqrt(correlation) * common + math.sqrt(1.0 - correlation) * own
        )
    point = float(np.quantile(greatest, 0.95))
    below = probabilistic_sharpe_ratio(point / 1e4, 10**8 + 1)  # the normal distribution at it
    return math.log(0.95) / math.log(below)


@pytest.mark.parametrize("count", [1, 7, 300])
def test_identical_trials_are_one_whatever_their_size(count: int) -> None:
    one = np.random.default_rng(1).normal(size=16)
    sizes = np.linspace(0.5, 3.0, count)[:, None]
    assert effective_trials(sizes * one + sizes) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("count", [5, 40, 1_000])
def test_independent_trials_are_as_many_as_they_are(count: int) -> None:
    chance = np.random.default_rng(2)  # a few columns are correlated in any one sample
    found = [effective_trials(chance.normal(size=(count, 16))) for _ in range(12)]
    assert 0.93 * count <= np.mean(found) <= max(found) <= count


def test_copies_of_a_few_are_those_few() -> None:
    few = np.random.default_rng(3).normal(size=(8, 16))
    assert effective_trials(np.repeat(few, 50, axis=0)) == pytest.approx(8.0, rel=0.15)


@pytest.mark.parametrize(("count", "correlation"), [(10, 0.8), (100, 0.8), (100, 0.5), (300, 0.9)])
def test_correlated_trials_are_as_many_as_their_greatest_tells(
    count: int, correlation: float
) -> None:
    found = [effective_trials(equicorrelated(count, correlation, seed)) for seed in range(24)]
    assert np.median(found) == pytest.approx(by_simulation(count, correlation), rel=0.25)


def test_blocks_that_are_wild_for_all_make_no_trials_look_alike() -> None:
    chance = np.random.default_rng(4)
    wild = np.exp(chance.normal(0.0, 0.7, 16))
    found = effective_trials(chance.normal(size=(200, 16)) * wild)
    assert found > 150


def test_trials_that_never_vary_do_not_count() -> None:
    both = np.vstack([np.zeros((3, 16)), np.full((1, 16), 0.1), equicorrelated(4, 0.0, 6)])
    assert effective_trials(both) == effective_trials(both[4:])
    assert math.isnan(effective_trials(both[:4]))


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(InputError, match="at least 4 blocks"):
        effective_trials(np.ones((3, 3)))
    with pytest.raises(InputError, match="1 not finite"):
        effective_trials([[1.0, 2.0, math.nan, 4.0]])
    with pytest.raises(InputError, match="draws must be at least 100"):
        effective_trials(np.ones((3, 8)), draws=10)
