"""Inference against published worked numbers and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.errors import InputError
from delever.stats import inference
from delever.stats.blocks import block_length

DAYS = 250


@pytest.mark.parametrize(
    ("skew", "kurtosis", "expected"), [(0.0, 3.0, 0.98167), (-2.448, 10.164, 0.91336)]
)
def test_probabilistic_sharpe_ratio_as_published(skew, kurtosis, expected):
    """Bailey and Lopez de Prado (2012), a monthly Sharpe ratio of 0.458 over 24 months."""
    found = inference.probabilistic_sharpe_ratio(0.458, 24, skew=skew, kurtosis=kurtosis)
    assert found == pytest.approx(expected, abs=5e-6)


def test_deflated_sharpe_ratio_as_published():
    """Bailey and Lopez de Prado (2014), the worked example: 100 trials, 5 years of days."""
    variance = 0.5 / DAYS
    assert inference.expected_maximum_sharpe(variance, 100) == pytest.approx(0.113172, abs=5e-7)
    found = inference.deflated_sharpe_ratio(
        2.5 / math.sqrt(DAYS), 1250, variance=variance, n_trials=100, skew=-3, kurtosis=10
    )
    assert found == pytest.approx(0.900397, abs=5e-7)


@pytest.mark.parametrize(("per_year", "years"), [(250, 2.7312), (52, 2.8288), (12, 3.2398)])
def test_minimum_track_record_as_published(per_year, years):
    """Bailey and Lopez de Prado (2012): Sharpe ratio 2 against 1 a year, 95 %, normal returns."""
    root = math.sqrt(per_year)
    bars = inference.minimum_track_record(2 / root, threshold=1 / root)
    assert bars / per_year == pytest.approx(years, abs=5e-5)


@given(sharpe=st.floats(0.01, 0.5), threshold=st.floats(-0.2, 0.0), skew=st.floats(-2, 2))
def test_after_the_minimum_track_record_the_probability_is_the_confidence(sharpe, threshold, skew):
    moments = {"threshold": threshold, "skew": skew, "kurtosis": 3 + skew**2}
    bars = math.ceil(inference.minimum_track_record(sharpe, confidence=0.9, **moments))
    if bars > 3:
        assert inference.probabilistic_sharpe_ratio(sharpe, bars, **moments) >= 0.9
        assert inference.probabilistic_sharpe_ratio(sharpe, bars - 1, **moments) < 0.9


def test_more_trials_deflate_more_and_one_trial_not_at_all():
    given_ = {"variance": 0.002, "skew": -1.0, "kurtosis": 5.0}
    found = [
        inference.deflated_sharpe_ratio(0.1, 1000, n_trials=n, **given_) for n in (1, 2, 10, 1000)
    ]
    assert found[0] == inference.probabilistic_sharpe_ratio(0.1, 1000, skew=-1, kurtosis=5)
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


def test_expected_maximum_is_near_the_mean_of_simulated_maxima():
    maxima = np.random.default_rng(2).standard_normal((20_000, 100)).max(axis=1)
    assert inference.expected_maximum_sharpe(1.0, 100) == pytest.approx(maxima.mean(), rel=0.02)


def test_a_track_record_no_better_than_the_threshold_never_suffices():
    assert inference.minimum_track_record(0.1, threshold=0.1) == math.inf


def test_block_length_as_in_the_published_check_of_the_method():
    """The series and its lengths come from the test-suite of arch, which corrects the program."""
    values = np.random.RandomState(0).standard_normal(10_100)
    for row in range(1, len(values)):
        values[row] += 0.3 * values[row - 1]
    assert block_length(values[100:]) == pytest.approx(13.635665, abs=1e-6)
    assert block_length(values[100:], "circular") == pytest.approx(15.60894, abs=1e-5)


@pytest.mark.parametrize(
    ("autocorrelation", "threshold", "expected"),
    [(0.0, 0.0, 0.987), (0.2, 0.0, 0.966), (0.2, 0.1, 0.9)],
)
def test_probabilistic_sharpe_ratio_as_published_in_2026(autocorrelation, threshold, expected):
    """Lopez de Prado, Lipton and Zoonekynd (2026): mean 0.036, deviation 0.079, 24 months."""
    found = inference.probabilistic_sharpe_ratio(
        0.036 / 0.079,
        24,
        threshold=threshold,
        skew=-2.448,
        kurtosis=10.164,
        form="2026",
        autocorrelation=autocorrelation,
    )
    # Published to three digits, from a mean and a deviation that are rounded, too.
    assert found == pytest.approx(expected, abs=6e-4)


def test_the_two_forms_agree_where_the_estimate_is_the_threshold():
    for form in ("2012", "2026"):
        assert inference.probabilistic_sharpe_ratio(0.2, 99, threshold=0.2, form=form) == 0.5


def test_the_form_of_2026_has_the_variance_of_the_ratios_of_autoregressions():
    rng = np.random.default_rng(11)
    values = rng.standard_normal((4_000, 400))
    for row in range(1, 400):
        values[:, row] = 0.3 * values[:, row - 1] + values[:, row] * math.sqrt(1 - 0.3**2)
    ratios = values.mean(axis=1) / values.std(axis=1, ddof=1)
    found = [
        inference.probabilistic_sharpe_ratio(ratio, 400, form="2026", autocorrelation=0.3)
        for ratio in ratios.tolist()
    ]
    # Under the hypothesis a probability is uniform: a tenth of them above 0.9, give or take.
    assert np.mean(np.array(found) > 0.9) == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: inference.probabilistic_sharpe_ratio(1, 1), "at least 2"),
        (lambda: inference.probabilistic_sharpe_ratio(0.1, 99, kurtosis=0.0), "excess"),
        (lambda: inference.expected_maximum_sharpe(1.0, 0.5), "n_trials >= 1"),
        (lambda: inference.minimum_track_record(1.0, confidence=0.4), "between 0.5 and 1"),
        (lambda: block_length([1.0] * 20), "all are equal"),
        (lambda: block_length([1.0] * 9), "at least 10"),
        (lambda: block_length([1.0, np.nan] * 9), "finite"),
        (lambda: block_length(np.arange(20), "square"), "scheme"),
        (lambda: inference.probabilistic_sharpe_ratio(1, 9, form="2020"), "2012"),
        (lambda: inference.probabilistic_sharpe_ratio(1, 9, autocorrelation=0.1), "2026"),
        (
            lambda: inference.probabilistic_sharpe_ratio(1, 9, form="2026", autocorrelation=1.0),
            "between -1 and 1",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()


# Lopez de Prado, Lipton and Zoonekynd (2026): a monthly record of two years.
RECORD = {"skew": -2.448, "kurtosis": 10.164}
MONTHLY = 0.036 / 0.079


@pytest.mark.parametrize(
    ("autocorrelation", "record", "psr", "power", "planned", "observed", "deflated"),
    [
        (0.0, 7.909, 0.987, 0.758, 0.543, 0.173, 0.416),
        (0.2, 11.863, 0.966, 0.677, 0.571, 0.361, 0.427),
    ],
)
def test_the_family_of_2026_as_published(
    autocorrelation, record, psr, power, planned, observed, deflated
):
    shape = {**RECORD, "autocorrelation": autocorrelation}
    new = {**shape, "form": "2026"}
    found = inference.minimum_track_record(MONTHLY, confidence=0.9, **new)
    assert found == pytest.approx(record, abs=5e-4)
    sure = inference.probabilistic_sharpe_ratio(MONTHLY, 24, **new)
    assert sure == pytest.approx(psr, abs=5e-4)
    strong = inference.sharpe_power(0.5, 24, level=0.1, **shape)
    assert strong == pytest.approx(power, abs=5e-4)
    assert inference.false_discovery_rate(0.1, strong, 0.1) == pytest.approx(planned, abs=5e-4)
    level = 1.0 - sure
    as_much = inference.sharpe_power(0.5, 24, level=level, **shape)
    assert inference.false_discovery_rate(level, as_much, 0.1) == pytest.approx(observed, abs=5e-4)
    best = inference.deflated_sharpe_ratio(MONTHLY, 24, variance=0.1, n_trials=10, **new)
    assert best == pytest.approx(deflated, abs=5e-4)


def test_a_backtest_is_long_enough_for_as_many_trials_as_published():
    """Bailey and others (2014): 45 independent trials in five years for a ratio of 1."""
    assert inference.minimum_backtest_length(1.0, 45) == pytest.approx(5.0, abs=0.05)
    assert inference.minimum_backtest_length(2.0, 45) == pytest.approx(1.25, abs=0.02)
    assert math.isinf(inference.minimum_backtest_length(-0.1, 45))


@pytest.mark.parametrize("count", [1.0, 3.5, 10.0, 2_000.0])
def test_the_greatest_of_normal_values_varies_as_its_distribution_says(count):
    from scipy.integrate import quad
    from scipy.stats import norm

    def moment(power):
        def density(x):
            return x**power * count * norm.pdf(x) * np.exp((count - 1) * norm.logcdf(x))

        return quad(density, -10, 12, limit=500, points=[0, 3, 5])[0]

    expected = moment(2) - moment(1) ** 2
    assert inference._variance_of_greatest(count) == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: inference.sharpe_power(0.1, 1), "bars"),
        (lambda: inference.sharpe_power(0.1, 50, level=0.0), "level"),
        (lambda: inference.false_discovery_rate(0.1, 0.5, 1.0), "prior"),
        (lambda: inference.minimum_track_record(0.1, autocorrelation=0.2), "2012"),
        (
            lambda: inference.deflated_sharpe_ratio(0.1, 50, variance=0.1, n_trials=3, form="1999"),
            "2014 or 2026",
        ),
    ],
)
def test_what_the_family_of_2026_refuses(call, said):
    with pytest.raises(InputError, match=said):
        call()
