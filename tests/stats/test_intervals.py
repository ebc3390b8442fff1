"""Intervals and waiting times against statsmodels, scipy and cases counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from delever.errors import InputError
from delever.stats import intervals


@given(trials=st.integers(1, 400), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_wilson_interval_is_that_of_statsmodels_and_holds_the_share(trials, share, confidence):
    from statsmodels.stats.proportion import proportion_confint

    hits = round(share * trials)
    low, high = intervals.wilson_interval(hits, trials, confidence)
    theirs = proportion_confint(hits, trials, alpha=1 - confidence, method="wilson")
    assert (low, high) == pytest.approx(theirs, abs=1e-9)
    assert 0 <= low <= hits / trials <= high <= 1


def test_wilson_interval_without_trials_is_undefined():
    assert all(math.isnan(end) for end in intervals.wilson_interval(0, 0))


def test_detectable_effect_is_found_with_the_stated_power():
    effect = intervals.detectable_deviations(0.05, 0.8)
    quantile = scipy_stats.norm.isf(0.025)
    found = scipy_stats.norm.sf(quantile - effect) + scipy_stats.norm.cdf(-quantile - effect)
    assert found == pytest.approx(0.8, abs=1e-5)


@given(
    cases=st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=40),
    horizon=st.integers(0, 40),
)
def test_waiting_times_are_the_product_limit_estimate_of_statsmodels(cases, horizon):
    from statsmodels.duration.survfunc import SurvfuncRight

    waited, reached = (np.array(column) for column in zip(*cases, strict=True))
    found = intervals.reached_within(waited, reached, horizon)
    theirs = SurvfuncRight(waited, reached.astype(int))
    known = dict(zip(theirs.surv_times.tolist(), (1 - theirs.surv_prob).tolist(), strict=True))
    expected, last = [], 0.0
    for bar in range(horizon + 1):
        last = known.get(bar, last)
        watched = bar <= waited.max() or last == pytest.approx(1.0)
        expected.append(last if watched else math.nan)
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_waiting_times_by_hand():
    """Five cases; one is reached at once, one is lost after 2 bars, one never reached in 4."""
    waited, reached = [0, 1, 2, 3, 4], [True, True, False, True, False]
    found = intervals.reached_within(waited, reached, 6)
    half = 1 - 4 / 5 * 3 / 4
    assert found[:5] == pytest.approx([1 / 5, 1 - 4 / 5 * 3 / 4, half, 1 - 0.6 / 2, 1 - 0.6 / 2])
    assert np.isnan(found[5:]).all()


def test_without_cases_nothing_is_known():
    assert np.isnan(intervals.reached_within([], [], 3)).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: intervals.wilson_interval(3, 2), "between 0 and trials"),
        (lambda: intervals.detectable_deviations(0.05, 0.2), "power"),
        (lambda: intervals.reached_within([1, 2], [True], 3), "one entry"),
        (lambda: intervals.reached_within([-1], [True], 3), ">= 0"),
        (lambda: intervals.reached_within([1], [True], -1), "horizon"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()
