"""Deviations, tails and moments, against empyrical, scipy and hand cases."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import empyrical
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from delever.stats import risk

HEAVY = np.random.default_rng(11).standard_t(3, 2_000) * 0.03
SIZES = (1, 2, 3, 19, 20, 21, 39, 40, 41, 100, 2_000)
ALL: tuple[Callable[[list[float]], float], ...] = (
    lambda r: risk.volatility(r, 365.0),
    lambda r: risk.downside_deviation(r, 365.0),
    risk.value_at_risk,
    risk.expected_shortfall,
    risk.worst_bar,
    risk.best_bar,
    risk.skewness,
    risk.kurtosis,
)


@pytest.mark.parametrize("function", ALL)
def test_no_bars_and_nan_are_undefined(function: Callable[[list[float]], float]) -> None:
    assert math.isnan(function([]))
    assert math.isnan(function([0.1, math.nan, -0.1]))


@pytest.mark.parametrize("periods", [365.0, 365 / 7, 8_760.0])
def test_deviations_equal_empyrical(periods: float) -> None:
    assert risk.volatility(HEAVY, periods) == pytest.approx(
        empyrical.annual_volatility(HEAVY, annualization=periods), rel=1e-12
    )
    assert risk.downside_deviation(HEAVY, periods) == pytest.approx(
        empyrical.downside_risk(HEAVY, annualization=periods), rel=1e-12
    )


@pytest.mark.parametrize("size", SIZES)
def test_tails_equal_empyrical(size: int) -> None:
    values = HEAVY[:size]
    assert risk.value_at_risk(values) == pytest.approx(empyrical.value_at_risk(values), rel=1e-12)
    assert risk.expected_shortfall(values) == pytest.approx(
        empyrical.conditional_value_at_risk(values), rel=1e-12
    )


def test_tails_by_hand() -> None:
    # 41 bars: the 5 % quantile stands on the third lowest, whose tail is the three lowest.
    values = [-0.30, -0.20, -0.10, *[0.01] * 38]
    assert risk.value_at_risk(values) == pytest.approx(-0.10)
    assert risk.expected_shortfall(values) == pytest.approx(-0.20)


def test_equal_returns_at_the_edge_do_not_widen_the_tail() -> None:
    # 41 bars: value at risk 0, tail of three bars, though 38 others also lie at 0.
    values = [-0.30, *[0.0] * 40]
    assert risk.value_at_risk(values) == 0.0
    assert risk.expected_shortfall(values) == pytest.approx(-0.10)


@given(st.lists(st.floats(-1.0, 3.0), min_size=1, max_size=80))
def test_the_tail_lies_between_the_worst_bar_and_its_edge(values: list[float]) -> None:
    shortfall = risk.expected_shortfall(values)
    assert risk.worst_bar(values) <= shortfall + 1e-12
    assert shortfall <= risk.value_at_risk(values) + 1e-12
    assert risk.worst_bar(values) == min(values)
    assert risk.best_bar(values) == max(values)


@pytest.mark.parametrize("size", [2, 3, 10, 2_000])
def test_moments_equal_scipy(size: int) -> None:
    values = HEAVY[:size]
    assert risk.skewness(values) == pytest.approx(scipy.stats.skew(values), rel=1e-9, abs=1e-9)
    expected = scipy.stats.kurtosis(values, fisher=False)
    assert risk.kurtosis(values) == pytest.approx(expected, rel=1e-9)


def test_moments_by_hand() -> None:
    # Two equal masses: kurtosis 1, the least there is. One in ten: skew -8/3, kurtosis 73/9.
    assert risk.kurtosis([-0.1, 0.1]) == pytest.approx(1.0)
    rare = [-0.1] + [0.0] * 9
    assert risk.skewness(rare) == pytest.approx(-8 / 3)
    assert risk.kurtosis(rare) == pytest.approx(73 / 9)


def test_volatility_is_the_sample_deviation() -> None:
    values = [0.01, -0.01, 0.03]
    assert risk.volatility(values, 1.0) == pytest.approx(statistics.stdev(values), rel=1e-12)
    assert math.isnan(risk.volatility([0.01], 365.0))


def test_downside_counts_every_bar() -> None:
    assert risk.downside_deviation([0.5, -0.2, 0.1, 0.0], 1.0) == pytest.approx(0.1)
    assert risk.downside_deviation([0.5, 0.0], 365.0) == 0.0
    assert risk.downside_deviation([-0.1], 1.0) == pytest.approx(0.1)


def test_rounding_is_no_spread() -> None:
    equity = 10_000.0 * 1.001 ** np.arange(500)
    steady = equity[1:] / equity[:-1] - 1.0
    assert np.ptp(steady) > 0.0
    assert risk.volatility(steady, 365.0) == 0.0
    assert math.isnan(risk.skewness(steady))
    assert math.isnan(risk.kurtosis(steady))
    assert risk.downside_deviation([-2e-16, 0.0, 1e-16], 365.0) == 0.0


@given(st.lists(st.integers(-90, 200), min_size=2, max_size=60), st.integers(2, 50))
def test_deviations_scale_and_moments_do_not(percents: list[int], divisor: int) -> None:
    values = np.array(percents) / 100
    small = values / divisor
    assert risk.volatility(values, 365.0) == pytest.approx(divisor * risk.volatility(small, 365.0))
    assert risk.downside_deviation(values, 365.0) == pytest.approx(
        divisor * risk.downside_deviation(small, 365.0)
    )
    for moment in (risk.skewness, risk.kurtosis):
        assert moment(values) == pytest.approx(moment(small), abs=1e-9, nan_ok=True)
