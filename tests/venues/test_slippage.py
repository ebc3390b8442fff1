from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.venues.slippage import Slippage, borrow_cost, range_volatility, slippage_fraction


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fixed", -0.001),
        ("volatility_share", math.nan),
        ("impact", math.inf),
        ("stress_multiplier", 0.5),
    ],
)
def test_parameters_have_bounds(field: str, value: float) -> None:
    with pytest.raises(InputError, match=field):
        Slippage(**{field: value})


def test_each_part_by_hand() -> None:
    assert slippage_fraction(Slippage(fixed=0.0005)) == 0.0005
    # A tenth of 2 % of volatility.
    assert slippage_fraction(Slippage(volatility_share=0.1), volatility=0.02) == pytest.approx(
        0.002, rel=1e-15
    )
    # An order of 1 % of the bar: 0.8 * 2 % * 0.1.
    assert slippage_fraction(
        Slippage(impact=0.8), order_notional=1e4, bar_notional=1e6, volatility=0.02
    ) == pytest.approx(0.0016, rel=1e-15)
    everything = Slippage(fixed=0.0005, volatility_share=0.1, impact=0.8, stress_multiplier=3.0)
    known = {"order_notional": 1e4, "bar_notional": 1e6, "volatility": 0.02}
    assert slippage_fraction(everything, **known) == pytest.approx(0.0041, rel=1e-14)
    assert slippage_fraction(everything, **known, stressed=True) == pytest.approx(0.0123, rel=1e-14)


def test_a_fill_never_happens_at_nothing() -> None:
    assert slippage_fraction(Slippage(fixed=0.6, stress_multiplier=9.0), stressed=True) == 0.99


def test_nothing_is_asked_for_that_is_not_needed() -> None:
    assert slippage_fraction(Slippage(), order_notional=1e9) == 0.0
    assert slippage_fraction(Slippage(impact=1.0)) == 0.0  # no order, no impact


def test_a_part_without_its_data_is_refused() -> None:
    with pytest.raises(InputError, match="volatility of the bars before"):
        slippage_fraction(Slippage(volatility_share=0.1))
    with pytest.raises(InputError, match="notional traded in the bar before"):
        slippage_fraction(Slippage(impact=1.0), order_notional=1.0, volatility=0.01)
    with pytest.raises(InputError, match="notional traded"):
        slippage_fraction(
            Slippage(impact=1.0), order_notional=1.0, bar_notional=0.0, volatility=0.01
        )


@settings(max_examples=500)
@given(order=st.floats(1.0, 1e8), volume=st.floats(1e3, 1e10), volatility=st.floats(0.0001, 0.01))
def test_four_times_the_order_costs_twice_the_impact(
    order: float, volume: float, volatility: float
) -> None:
    model = Slippage(impact=0.001)
    known = {"bar_notional": volume, "volatility": volatility}
    once = slippage_fraction(model, order_notional=order, **known)
    assert slippage_fraction(model, order_notional=4 * order, **known) == pytest.approx(2 * once)


def test_range_volatility_by_hand_and_on_a_random_walk() -> None:
    # ln(110 / 100) / sqrt(4 ln 2) = 0.0953101798 / 1.6651092223
    assert range_volatility([110.0], [100.0]) == pytest.approx(0.0572396, rel=1e-5)
    assert math.isnan(range_volatility([], []))
    assert math.isnan(range_volatility([math.nan], [1.0]))
    # 400 bars of 2,000 steps; the estimator's own error is about 2 %, its bias from steps 3 %.
    steps = np.random.default_rng(7).normal(0.0, 0.02 / math.sqrt(2_000), size=(400, 2_000))
    paths = np.exp(np.cumsum(steps, axis=1))
    paths = np.concatenate([np.ones((400, 1)), paths], axis=1)
    estimate = range_volatility(paths.max(axis=1).tolist(), paths.min(axis=1).tolist())
    assert estimate == pytest.approx(0.02, rel=0.06)


def test_borrowing_by_hand() -> None:
    # 2 BTC at 50,000 for 12 hours at 3.65 % a year: 100,000 * 0.0365 / 730.
    assert borrow_cost(-2.0, 50_000.0, 0.0365, 12.0) == pytest.approx(5.0, rel=1e-14)
    assert borrow_cost(2.0, 50_000.0, 0.0365, 12.0) == 0.0
