"""The sign-flip test against every sign vector, and its interval against the test."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from delever.errors import InputError
from delever.stats.intervals import detectable_deviations
from delever.stats.sign_flip import sign_flip

numbers = st.integers(-50, 50).map(lambda number: number / 8)  # sums of eighths are exact
rows = st.lists(numbers, min_size=1, max_size=9)


def brute_force(values, mean):
    """Share of all sign vectors whose sum is as far from zero as the one observed."""
    apart = np.asarray(values) - mean
    signs = np.array(list(itertools.product([1, -1], repeat=len(apart))))
    return float((np.abs(signs @ apart) >= abs(apart.sum()) - 1e-12).mean())


@given(values=rows, mean=numbers)
def test_the_p_value_is_the_share_of_sign_vectors_as_far_out(values, mean):
    assert sign_flip(values, mean=mean).p_value == brute_force(values, mean)


def test_the_p_value_of_darwins_maize_as_fisher_found_it():
    """Fisher (1935), section 21: 15 pairs, 863 of 32,768 sums as large as 314; twice that here."""
    pairs = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    assert sum(pairs) == 314
    assert sign_flip(pairs).p_value == pytest.approx(2 * 863 / 32_768, abs=1e-12)


@given(values=st.lists(numbers, min_size=5, max_size=8, unique=True), gap=st.floats(0.001, 1.0))
def test_the_interval_holds_exactly_what_the_test_does_not_reject(values, gap):
    found = sign_flip(values, confidence=0.9)
    for end, outwards in ((found.low, -1.0), (found.high, 1.0)):
        assert brute_force(values, end) > 0.1
        assert brute_force(values, end + outwards * gap) <= 0.1


def test_the_interval_of_symmetric_values_by_hand():
    """At 90 % one subset of 1 to 5 is left out at either end: the lowest and the highest mean."""
    found = sign_flip([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.low, found.high) == (1.0, 5.0)
    assert found.p_value == found.smallest_p == 0.0625
    assert found.mean == 3.0


@given(
    values=st.lists(numbers, min_size=5, max_size=8),
    shift=numbers,
    factor=st.sampled_from([0.5, 2]),
)
def test_mean_and_interval_move_with_the_values(values, shift, factor):
    one = sign_flip(values)
    other = sign_flip([factor * (value + shift) for value in values])
    turned = sign_flip([-value for value in values])
    for name in ("mean", "low", "high"):
        moved = factor * (getattr(one, name) + shift)
        assert getattr(other, name) == pytest.approx(moved, abs=1e-9, nan_ok=True)
    assert (turned.low, turned.high) == pytest.approx((-one.high, -one.low), abs=1e-12, nan_ok=True)
    assert turned.p_value == one.p_value


@given(values=rows, zeros=st.integers(1, 4))
def test_values_of_zero_change_no_p_value_and_do_not_count(values, zeros):
    one, more = sign_flip(values), sign_flip([*values, *[0.0] * zeros])
    assert more.p_value == one.p_value
    assert more.smallest_p == one.smallest_p
    assert more.differing == one.differing == sum(value != 0 for value in values)


def test_it_says_when_it_cannot_reject():
    three = sign_flip([0.176, -0.093, -0.032, *[0.0] * 9])
    assert (three.differing, three.smallest_p, three.can_reject) == (3, 0.25, False)
    assert three.low < 0 < three.high
    six = sign_flip([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert (six.smallest_p, six.can_reject) == (0.03125, True)


def test_one_value_left_out():
    found = sign_flip([1.0, 2.0, 12.0, 1.0])
    assert (found.lowest, found.highest) == (pytest.approx(4 / 3), 5.0)
    assert found.most_influential == 2


def test_drawn_signs_agree_with_all_of_them():
    rng = np.random.default_rng(5)
    values = rng.standard_normal(20) + 0.4
    more = np.append(values, 0.0)  # 21 values, so that signs are drawn; the zero changes nothing
    every, drawn = sign_flip(values), sign_flip(more, draws=200_000, seed=1)
    assert every.exact
    assert not drawn.exact
    assert drawn.p_value == every.p_value
    shifted = np.append(values, 0.001)
    close = sign_flip(shifted, draws=200_000, seed=1)
    # 200,000 draws know a share of 5 % to 0.05 points; the added value moves less.
    assert close.p_value == pytest.approx(every.p_value, abs=0.003)
    assert close.low == pytest.approx(every.low * 20 / 21, abs=0.02)
    assert close == sign_flip(shifted, draws=200_000, seed=1)


def test_the_interval_of_many_values_is_students():
    values = np.random.default_rng(6).standard_normal(200)
    found = sign_flip(values, draws=100_000)
    low, high = scipy_stats.t.interval(
        0.9, 199, loc=values.mean(), scale=values.std(ddof=1) / math.sqrt(200)
    )
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


@pytest.mark.parametrize("count", [6, 12, 20])
def test_the_detectable_mean_is_found_four_times_in_five(count):
    """By simulation of the t test that the figure is about."""
    effect = detectable_deviations(degrees=count - 1) / math.sqrt(count)
    values = np.random.default_rng(7).standard_normal((20_000, count)) + effect
    found = (scipy_stats.ttest_1samp(values, 0.0, axis=1).pvalue <= 0.05).mean()
    assert found == pytest.approx(0.8, abs=0.01)
    scale = sign_flip(values[0]).detectable / values[0].std(ddof=1)
    assert scale == pytest.approx(effect)


def test_what_cannot_be_said_is_nan_and_says_why():
    nothing = sign_flip([])
    assert math.isnan(nothing.mean)
    assert nothing.reason == "there are no values"
    few = sign_flip([1.0, 2.0, 3.0, 4.0])
    assert math.isnan(few.low)
    assert few.reason == "an interval at 90% needs at least 5 values; got 4"
    assert math.isnan(few.detectable)
    same = sign_flip([0.0] * 12)
    assert (same.p_value, same.smallest_p, same.differing) == (1.0, 1.0, 0)
    assert same.reason == "the values do not vary"
    assert math.isnan(same.low)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sign_flip([1.0, np.nan]), "finite"),
        (lambda: sign_flip([[1.0, 2.0]]), "one row"),
        (lambda: sign_flip([1.0], confidence=1.0), "between 0 and 1"),
        (lambda: sign_flip([1.0], mean=np.inf), "finite"),
        (lambda: sign_flip([1.0], draws=0), "draws"),
        (lambda: sign_flip([1.0], seed=-1), "seed"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()
