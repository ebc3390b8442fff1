"""Tests of many trials at once: against arch, exact signs, and families with nothing in them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError
from delever.stats.blocks import Blocks, Influence, long_run_error
from delever.stats.superior import _superior, best_of_many, sharpe_parts, superior

REPS, BARS = 2_000, 1_000


VECTORS = Path(__file__).parents[2] / ".." / "shared" / "vectors" / "cscv_returns.csv.gz"


def logistic_maps() -> np.ndarray:
    """Ten chaotic columns of one scale, the fourth with an edge."""
    state, rows = np.linspace(0.11, 0.83, 10), []
    for _ in range(BARS):
        state = 3.99 * state * (1.0 - state)
        rows.append(state)
    made = np.array(rows) - np.mean(rows, axis=0)
    made[:, 3] += 0.03
    return made


def drawn_by_arch(seed: int, reps: int) -> Blocks:
    """The blocks of arch's stationary bootstrap, as runs of bars that follow each other."""
    from arch.bootstrap import StationaryBootstrap

    source = StationaryBootstrap(5, np.arange(BARS), seed=seed)
    bars = np.array([data[0][0] for data in source.bootstrap(reps)])
    begins = np.ones(bars.shape, dtype=bool)
    begins[:, 1:] = bars[:, 1:] != (bars[:, :-1] + 1) % BARS
    starts, lengths = np.zeros((2, reps, begins.sum(axis=1).max()), dtype=int)
    for draw, row in enumerate(begins):
        at = np.flatnonzero(row)
        starts[draw, : len(at)] = bars[draw, at]
        lengths[draw, : len(at)] = np.diff(np.append(at, BARS))
    return Blocks(starts=starts, lengths=lengths)


def errors(returns: np.ndarray) -> np.ndarray:
    return np.array([long_run_error(Influence.of(column), 5.0) for column in returns.T])


def test_the_test_of_superior_ability_is_that_of_arch_on_its_own_draws() -> None:
    from arch.bootstrap import SPA, StepM

    returns = logistic_maps()
    asked = {"block_size": 5, "reps": 400, "seed": 42}
    theirs, steps = SPA(np.zeros(BARS), -returns, **asked), StepM(np.zeros(BARS), -returns, **asked)
    theirs.compute()
    steps.compute()
    found = _superior(returns, drawn_by_arch(42, 400), errors(returns), studentised=False)
    ours = np.array([found.lower, found.consistent, found.upper])
    # What was seen is one of our draws.
    np.testing.assert_allclose(ours * 401 - 1, theirs.pvalues * 400, atol=1e-9)
    assert 0.0 < theirs.pvalues["consistent"] < 0.05
    assert np.flatnonzero(found.p_values <= 0.05).tolist() == steps.superior_models == [3]


@pytest.mark.skipif(not VECTORS.is_file(), reason="the shared vectors are not here")
def test_the_published_matrix_has_its_published_p_values() -> None:
    returns = pd.read_csv(VECTORS).to_numpy()
    found = _superior(returns, drawn_by_arch(42, REPS), errors(returns), studentised=False)
    ours = np.array([found.lower, found.consistent, found.upper])
    # arch 8.0, stationary, 2,000 resamples, seed 42, blocks of 5.
    np.testing.assert_allclose((ours * (REPS + 1) - 1) / REPS, [0.014, 0.014, 0.015], atol=1e-9)
    assert np.flatnonzero(found.p_values <= 0.1).tolist() == [3]
    for studentised in (False, True):
        own = superior(returns, block=5.0, draws=REPS, seed=42, studentised=studentised)
        assert [own.lower, own.consistent, own.upper] == pytest.approx([0.018] * 3, abs=7e-3)
        assert np.flatnonzero(own.p_values <= 0.1).tolist() == [3]


def test_poor_trials_are_set_aside() -> None:
    made = np.random.default_rng(4).normal(size=(600, 40))
    made[:, 1:] -= 0.4
    made[:, 0] += 0.075
    found = superior(made, block=2.0)
    alone = superior(made[:, :1], block=2.0)
    assert found.consistent == pytest.approx(alone.consistent, abs=0.01)
    assert found.lower <= found.consistent < found.upper


def test_signs_are_those_of_all_patterns() -> None:
    parts = np.random.default_rng(7).normal(0.4, 1.0, size=(6, 8))
    unit = parts / np.sqrt((parts**2).sum(axis=1, keepdims=True))
    patterns = np.array(list(itertools.product([-1.0, 1.0], repeat=8)))
    largest = (unit @ patterns.T).max(axis=0)
    exact = [(largest >= own - 1e-9).mean() for own in unit.sum(axis=1)]
    found = best_of_many(parts, draws=20_000)
    np.testing.assert_allclose(found.p_values, exact, atol=0.012)


def test_stepwise_finds_at_least_what_the_first_step_does() -> None:
    rng = np.random.default_rng(11)
    more = 0
    for _ in range(40):
        parts = rng.normal(size=(30, 16))
        parts[:4] += 1.6
        parts[4:8] += 1.1
        found = best_of_many(parts, draws=399)
        assert (found.better >= (found.p_values <= 0.05)).all()
        more += int(found.better.sum() > (found.p_values <= 0.05).sum())
    assert more > 0


@pytest.mark.parametrize("together", [0.0, 0.8])
def test_the_best_of_worthless_trials_is_called_skill_in_one_case_of_twenty(together) -> None:
    rng, called, populations = np.random.default_rng(5), 0, 400
    for _ in range(populations):
        made = np.sqrt(1.0 - together) * rng.standard_t(3, size=(40, 16))
        made += np.sqrt(together) * rng.standard_t(3, size=(1, 16))
        made *= np.exp(rng.normal(size=16))  # blocks are wild or quiet for all
        called += best_of_many(made, draws=199).p_value <= 0.05
    assert 0.025 * populations <= called <= 0.08 * populations


def test_parts_add_up_to_the_sharpe_ratio_and_move_as_it_does() -> None:
    returns = np.random.default_rng(3).normal(0.1, 1.0, size=(2, 90))
    cut = [0, 20, 50, 90]
    sums, squares = (np.add.reduceat(one, cut[:-1], axis=1) for one in (returns, returns**2))
    bars = np.diff(cut).astype(float)
    parts = sharpe_parts(sums, squares, bars)
    ratio = returns.mean(axis=1) / returns.std(axis=1)
    np.testing.assert_allclose(parts.sum(axis=1), ratio, rtol=1e-12)
    # One more of a bar in the first block moves the ratio as far as its own part says.
    more = 1e-5
    weights = np.ones(90)
    weights[:20] += more
    mean = (weights * returns).sum(axis=1) / weights.sum()
    spread = np.sqrt((weights * (returns - mean[:, None]) ** 2).sum(axis=1) / weights.sum())
    moved = (mean / spread - ratio) / more
    np.testing.assert_allclose(parts[:, 0] - 20 * ratio / 90, moved, rtol=1e-3)


def test_what_does_not_vary_has_no_p_value() -> None:
    parts = np.vstack([np.zeros(16), np.random.default_rng(1).normal(size=(3, 16))])
    found = best_of_many(parts)
    assert np.isnan(found.p_values[0])
    assert not found.better[0]
    assert np.isnan(best_of_many(parts[:1]).p_value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: best_of_many(np.ones((3, 3))), "at least 4 blocks"),
        (lambda: best_of_many([[1.0, 2.0, np.nan, 4.0]]), "1 not finite"),
        (lambda: best_of_many(np.ones((3, 8)), draws=10), "draws must be"),
        (lambda: best_of_many(np.ones((3, 8)), level=1.0), "level must lie"),
        (lambda: superior(np.ones((20, 2))), "at least 30 bars"),
        (lambda: superior(np.ones((40, 2)), block=1.0), "block must be above 1"),
    ],
)
def test_what_cannot_be_tested_is_refused(call, words) -> None:
    with pytest.raises(InputError, match=words):
        call()
