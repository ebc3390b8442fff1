"""Ratios, captures and trade statistics, against empyrical and by hand."""

from __future__ import annotations

import math

import empyrical
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from delever.stats import performance
from delever.stats.returns import total_return

RNG = np.random.default_rng(3)
MARKET = RNG.standard_t(3, 1_200) * 0.025 + 0.001
STRATEGY = 0.6 * MARKET + RNG.normal(0.0, 0.01, MARKET.size)
PNL = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50)


@pytest.mark.parametrize("periods", [365.0, 365 / 7, 2_190.0])
def test_ratios_equal_empyrical(periods: float) -> None:
    for ours, theirs in (
        (performance.sharpe_ratio, empyrical.sharpe_ratio),
        (performance.sortino_ratio, empyrical.sortino_ratio),
        (performance.calmar_ratio, empyrical.calmar_ratio),
    ):
        expected = theirs(STRATEGY, annualization=periods)
        assert ours(STRATEGY, periods) == pytest.approx(expected, rel=1e-10)


def test_sharpe_by_hand() -> None:
    # Mean 0.01, deviations -0.02, 0, 0.02: sample variance 0.0004.
    assert performance.sharpe_ratio([-0.01, 0.01, 0.03], 4.0) == pytest.approx(0.01 / 0.02 * 2)


def test_ratios_without_a_denominator_are_undefined() -> None:
    steady = [0.001] * 10
    assert math.isnan(performance.sharpe_ratio(steady, 365.0))
    assert math.isnan(performance.sortino_ratio(steady, 365.0))
    assert math.isnan(performance.calmar_ratio(steady, 365.0))
    for function in (
        performance.sharpe_ratio,
        performance.sortino_ratio,
        performance.calmar_ratio,
    ):
        assert math.isnan(function([], 365.0))
        assert math.isnan(function([0.1, math.nan], 365.0))
    assert math.isnan(performance.sharpe_ratio([-0.1], 365.0))
    assert math.isnan(performance.sortino_ratio([-0.1], 365.0))


@given(st.integers(1, 40))
def test_sharpe_does_not_change_with_the_size_of_the_bet(divisor: int) -> None:
    full = performance.sharpe_ratio(STRATEGY, 365.0)
    assert performance.sharpe_ratio(STRATEGY / divisor, 365.0) == pytest.approx(full, rel=1e-9)


def test_hit_rate_and_profit_factor_by_hand() -> None:
    net_pnl = [100.0, -50.0, 0.0, 25.0, -12.5]
    assert performance.hit_rate(net_pnl) == pytest.approx(2 / 5)
    assert performance.profit_factor(net_pnl) == pytest.approx(125.0 / 62.5)
    assert performance.profit_factor([-1.0]) == 0.0


def test_trade_statistics_without_trades_or_losses_are_undefined() -> None:
    assert math.isnan(performance.hit_rate([]))
    assert math.isnan(performance.hit_rate([1.0, math.nan]))
    assert math.isnan(performance.profit_factor([]))
    assert math.isnan(performance.profit_factor([3.0, 1.0]))
    assert math.isnan(performance.profit_factor([3.0, math.nan, -1.0]))


@given(PNL)
def test_trading_the_other_way_turns_the_statistics_over(net_pnl: list[float]) -> None:
    mirrored = [-value for value in net_pnl]
    zeros = net_pnl.count(0.0) / len(net_pnl)
    both = performance.hit_rate(net_pnl) + performance.hit_rate(mirrored)
    assert both + zeros == pytest.approx(1.0)
    product = performance.profit_factor(net_pnl) * performance.profit_factor(mirrored)
    assert math.isnan(product) or product == pytest.approx(1.0) or product == 0.0


def test_captures_by_hand() -> None:
    market = [0.21, -0.19, 0.0, 0.0, -0.19]
    half = [0.10, -0.10, 0.5, 0.0, -0.10]
    assert performance.up_capture(half, market) == pytest.approx(0.10 / 0.21)
    assert performance.down_capture(half, market) == pytest.approx(0.10 / 0.19)
    # Two falling bars of 0 and -0.36: their geometric mean is 0.8 - 1.
    assert performance.down_capture([0.0, -0.36], [-0.2, -0.2]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (performance.up_capture, empyrical.up_capture),
        (performance.down_capture, empyrical.down_capture),
    ],
)
def test_captures_equal_empyrical_per_bar(ours, theirs) -> None:  # type: ignore[no-untyped-def]
    # A yearly bar has an annualisation of one, which leaves empyrical's means per bar as ours are.
    expected = theirs(STRATEGY, MARKET, period="yearly")
    assert ours(STRATEGY, MARKET) == pytest.approx(expected, rel=1e-9)


def test_annualised_captures_would_depend_on_the_length_of_the_bar() -> None:
    per_bar = performance.up_capture(STRATEGY, MARKET)
    annualised = empyrical.up_capture(STRATEGY, MARKET, period="daily")
    assert per_bar == pytest.approx(0.6, abs=0.05)  # what the strategy was built to hold
    assert annualised < 0.25  # the same bars, the means raised to the 252nd power


def test_captures_follow_scipys_geometric_mean() -> None:
    up = MARKET > 0
    expected = (scipy.stats.gmean(1 + STRATEGY[up]) - 1) / (scipy.stats.gmean(1 + MARKET[up]) - 1)
    assert performance.up_capture(STRATEGY, MARKET) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("bars", [3_000, 60_000])
def test_captures_survive_more_falls_than_a_float_can_multiply(bars: int) -> None:
    market = np.full(bars, -0.04)
    assert np.prod(1 + market) < 1e-16  # one added to it is lost; 0.96 ** 60000 is zero
    half = np.where(np.arange(bars) % 2, 0.0, -0.04)
    expected = (1 - math.sqrt(0.96)) / 0.04
    assert performance.down_capture(half, market) == pytest.approx(expected, rel=1e-10)


def test_captures_of_the_market_itself_cash_and_nothing() -> None:
    assert performance.up_capture(MARKET, MARKET) == 1.0
    assert performance.down_capture(MARKET, MARKET) == 1.0
    assert performance.down_capture(np.zeros_like(MARKET), MARKET) == 0.0
    assert performance.down_capture(-MARKET, MARKET) < 0.0
    assert math.isnan(performance.up_capture([0.1], [-0.1]))
    assert math.isnan(performance.up_capture([0.1, 0.1], [0.1, math.nan]))
    assert math.isnan(performance.down_capture([], []))
    assert performance.down_capture([-1.0, 0.2], [-0.5, -0.5]) == pytest.approx(2.0)


def test_protection_by_hand() -> None:
    # Buy and hold 0.5 * 0.8 = 0.4; the strategy 0.9 * 0.9 = 0.81, over two half years.
    market, strategy = [-0.5, -0.2], [-0.1, -0.1]
    assert performance.loss_avoided(strategy, market) == pytest.approx(0.41)
    assert performance.cost_of_protection(strategy, market, 2.0) == pytest.approx(-0.41)
    # 2 half-year bars of +21 % against +10 %: 1.4641 - 1.21 a year.
    assert performance.cost_of_protection([0.1, 0.1], [0.21, 0.21], 2.0) == pytest.approx(0.2541)
    assert math.isnan(performance.loss_avoided([], []))
    assert math.isnan(performance.cost_of_protection([], [], 365.0))


@given(st.lists(st.floats(-0.9, 1.0), min_size=1, max_size=40))
def test_cash_avoids_exactly_what_the_market_lost(market: list[float]) -> None:
    cash = [0.0] * len(market)
    assert performance.loss_avoided(cash, market) == pytest.approx(-total_return(market))
    assert performance.loss_avoided(market, market) == 0.0


def test_exposure_and_turnover_by_hand() -> None:
    exposure = [0.0, 1.0, -0.5, 0.0]
    assert performance.mean_exposure(exposure) == pytest.approx(0.375)
    assert performance.time_in_market(exposure) == pytest.approx(0.5)
    # Three trades of 1, 1.5 and 0.5 times equity in four bars of a quarter year each.
    assert performance.yearly_turnover([1.0, 1.5, 0.5, 0.0], 4.0) == pytest.approx(3.0)
    assert performance.yearly_turnover([1.0, 1.5], 4.0) == pytest.approx(5.0)
    for function in (
        performance.mean_exposure,
        performance.time_in_market,
        lambda x: performance.yearly_turnover(x, 365.0),
    ):
        assert math.isnan(function([]))
        assert math.isnan(function([1.0, math.nan]))
