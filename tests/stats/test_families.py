"""Families of runs against hand-made cases, another library and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.errors import InputError
from delever.stats.bootstrap import growth_difference, sharpe_difference
from delever.stats.families import against, best_set, holm, pairwise, stepdown

YEAR = 365.0
probabilities = st.lists(st.floats(0.001, 1.0), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def market():
    return np.random.default_rng(1).standard_t(5, 1_000) * 0.02 + 0.001


@pytest.fixture(scope="module")
def runs(market):
    """One much better than the market, three that differ from it by chance alone."""
    rng = np.random.default_rng(2)
    noise = rng.normal(0.0, 0.01, (1_000, 4))
    return market[:, None] + noise + np.array([0.0, 0.004, 0.0, 0.0])


def test_holm_as_published():
    """Holm (1979), by hand: sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, math.nan, 0.01]).tolist() == pytest.approx([0.5, math.nan, 0.02], nan_ok=True)
    assert holm([]).size == 0


@given(values=probabilities)
def test_holm_lies_between_the_p_value_and_bonferronis(values):
    found = holm(values)
    assert (found >= np.array(values) - 1e-15).all()
    assert (found <= np.minimum(np.array(values) * len(values), 1.0) + 1e-15).all()
    assert (np.diff(found[np.argsort(values, kind="stable")]) >= 0).all()


def test_stepdown_by_hand():
    """Three draws of two: the largest are 3, 1, 4, then of what is left 2, 1, 0."""
    drawn = np.array([[3.0, 2.0], [0.5, 1.0], [4.0, 0.0]])
    assert stepdown(np.array([3.5, 0.5]), drawn).tolist() == [2 / 4, 3 / 4]
    assert stepdown(np.array([5.0, math.nan]), drawn).tolist() == pytest.approx(
        [1 / 4, math.nan], nan_ok=True
    )
    assert np.isnan(stepdown(np.array([math.nan]), drawn[:, :1])).all()


@given(seed=st.integers(0, 1_000), count=st.integers(1, 6))
def test_stepdown_is_no_less_than_alone_and_no_more_than_the_largest(seed, count):
    rng = np.random.default_rng(seed)
    observed, drawn = np.abs(rng.normal(size=count)), np.abs(rng.normal(size=(50, count)))
    found = stepdown(observed, drawn)
    alone = (1 + (drawn >= observed).sum(axis=0)) / 51
    largest = (1 + (drawn.max(axis=1)[:, None] >= observed).sum(axis=0)) / 51
    assert (found >= alone).all()
    assert found[observed.argmax()] == largest[observed.argmax()]
    assert (np.diff(found[np.argsort(-observed)]) >= 0).all()


def test_one_run_against_one_benchmark_is_the_difference_alone(market, runs):
    for measure, alone in (("growth", growth_difference), ("sharpe", sharpe_difference)):
        row = against(runs[:, [1]], market, YEAR, measure=measure, seed=4).iloc[0]
        one = alone(runs[:, 1], market, YEAR, seed=4)
        for name in ("value", "low", "high", "standard_error", "p_value"):
            assert row[name] == pytest.approx(getattr(one, name), rel=1e-9)
        assert row["p_holm"] == row["p_stepdown"] == row["p_value"]


def test_the_better_run_is_found_and_no_other(market, runs):
    from arch.bootstrap import StepM

    found = against(runs, market, YEAR)
    assert (found["p_stepdown"] <= 0.05).tolist() == [False, True, False, False]
    assert (found["p_stepdown"] >= found["p_value"]).all()
    assert (found["p_stepdown"] <= found["p_holm"] + 0.01).all()
    step = StepM(-market, -runs, size=0.05, block_size=8, reps=500, seed=3)
    step.compute()
    assert step.superior_models == [1]


def test_runs_beside_benchmarks_of_their_own(market, runs):
    each = np.stack([market, market[::-1], market, market], axis=1)
    found = against(runs, each, YEAR)
    shared = against(runs, market, YEAR)
    assert found["value"].iloc[[0, 2, 3]].tolist() == shared["value"].iloc[[0, 2, 3]].tolist()
    other = growth_difference(runs[:, 1], market[::-1], YEAR)
    assert found["value"].iloc[1] == pytest.approx(other.value)


def test_pairs_are_every_two_and_turn_round(runs):
    found = pairwise(runs, YEAR, measure="sharpe").set_index(["first", "second"])
    assert found.index.tolist() == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    turned = pairwise(runs[:, ::-1], YEAR, measure="sharpe").set_index(["first", "second"])
    assert turned.loc[(2, 3), "value"] == pytest.approx(-found.loc[(0, 1), "value"])
    assert turned.loc[(2, 3), "p_value"] == found.loc[(0, 1), "p_value"]
    clear = found["p_holm"] <= 0.05
    assert clear[clear].index.tolist() == [(0, 1), (1, 2), (1, 3)]


def test_the_set_of_the_best_is_that_of_another_library(runs):
    """Two of four runs equally good, the others worse by little and by much."""
    from arch.bootstrap import MCS

    logs = np.log1p(runs)
    logs[:, 2] += logs[:, 1].mean() - logs[:, 2].mean()
    logs[:, 0] += logs[:, 1].mean() - logs[:, 0].mean() - 0.0006
    found = best_set(np.expm1(logs), draws=2_000, seed=1)
    other = MCS(-logs, size=0.1, reps=2_000, block_size=63, method="R", seed=2)
    other.compute()
    expected = other.pvalues["Pvalue"].sort_index().to_numpy()
    assert (found > 0.1).tolist() == (expected > 0.1).tolist()
    # The blocks are drawn otherwise, and are not quite as long.
    assert found == pytest.approx(expected, abs=0.1)
    assert found.max() == 1.0


def test_runs_that_do_not_differ_stay_or_leave_together(market, runs):
    twice = np.stack([market, market, runs[:, 1], runs[:, 1]], axis=1)
    assert best_set(twice).tolist() == pytest.approx([0.001, 0.001, 1.0, 1.0], abs=0.01)
    assert best_set(np.stack([market, market], axis=1)).tolist() == [1.0, 1.0]
    found = pairwise(twice, YEAR)
    same = found.loc[found["reason"] != ""]
    assert same[["first", "second"]].to_numpy().tolist() == [[0, 1], [2, 3]]
    assert same["p_holm"].isna().all()
    assert (same["value"] == 0.0).all()


def test_a_run_like_its_benchmark_or_ruined_stands_in_no_family(market, runs):
    ruined = np.where(np.arange(1_000) == 500, -1.0, market)
    columns = np.stack([market, runs[:, 1], ruined, np.zeros(1_000)], axis=1)
    found = against(columns, market, YEAR)
    assert found["reason"].str[:10].tolist() == ["the bars d", "", "a bar lost", ""]
    assert found["p_stepdown"].isna().tolist() == [True, False, True, False]
    assert np.isnan(best_set(columns)).all()
    nothing = against(np.stack([market, ruined], axis=1), market, YEAR)
    assert nothing["p_stepdown"].isna().all()
    assert against(columns[:20], market[:20], YEAR)["reason"].str.len().min() > 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: against(np.zeros(9), np.zeros(9), YEAR), "column per run"),
        (lambda: against(np.zeros((9, 2)), np.zeros(8), YEAR), "same bars"),
        (lambda: against(np.zeros((9, 3)), np.zeros((9, 2)), YEAR), "as many as runs"),
        (lambda: against(np.full((9, 2), np.nan), np.zeros(9), YEAR), "finite"),
        (lambda: pairwise(np.zeros((9, 2)), YEAR, measure="wealth"), "measure"),
        (lambda: best_set(np.zeros((9, 2)), draws=3), "draws"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()
