"""Models of slippage by hand, and what holds of costs as objects."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.venues.costs import Borrow, CostPart, Costs, Fee, VenueFees
from delever.venues.slippage import (
    FixedSlippage,
    Impact,
    Slippage,
    StressSlippage,
    VolatilitySlippage,
)

BARS = pd.DataFrame(
    {"high": [110.0, 100.0], "low": [100.0, 100.0], "close": [100.0, 90.0], "volume": [50.0, 4.0]}
)
SIGMA = math.log(1.1) / (2.0 * math.sqrt(math.log(2.0)))
"""Volatility of the first bar; of both it is this over the root of two."""


def said(model: Slippage, bars: pd.DataFrame = BARS) -> list[float]:
    return np.broadcast_to(np.asarray(model.fraction(bars)), len(bars)).tolist()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: FixedSlippage(share=-0.001), "share"),
        (lambda: FixedSlippage(share=1.0), "share"),
        (lambda: VolatilitySlippage(share=math.nan), "strength"),
        (lambda: VolatilitySlippage(share=0.1, bars=0), "1 or more bars"),
        (lambda: Impact(coefficient=math.inf), "strength"),
        (lambda: StressSlippage(models=(), in_stress=0.5), "in_stress"),
        (lambda: StressSlippage(models=(), in_stress=2.0), "detector"),
        (lambda: Borrow(rate=-0.1), "rate"),
        (lambda: VenueFees(multiple=math.nan), "multiple"),
        (lambda: Fee(taker=1.0), "taker_fee"),
        (lambda: Costs(parts=(0.1,)), "cost parts"),
        (lambda: -1.0 * Costs(), "factor"),
    ],
)
def test_numbers_have_bounds(make: Any, field: str) -> None:
    with pytest.raises(InputError, match=field):
        make()


def test_each_model_by_hand() -> None:
    assert said(FixedSlippage(share=0.0005)) == [0.0005, 0.0005]
    volatile = [0.1 * SIGMA, 0.1 * SIGMA / math.sqrt(2.0)]
    assert said(VolatilitySlippage(share=0.1)) == pytest.approx(volatile, rel=1e-14)
    last = VolatilitySlippage(share=0.1, bars=1)
    assert said(last) == pytest.approx([0.1 * SIGMA, 0.0], abs=1e-15)
    impact = Impact(coefficient=0.8)
    # 0.8 sigma for an order as large as what was traded: 50 coins at 100, and 4 at 90.
    roots = [0.8 * SIGMA / math.sqrt(5_000.0), 0.8 * SIGMA / math.sqrt(2.0 * 360.0)]
    assert impact.impact(BARS, inverse=False).tolist() == pytest.approx(roots, rel=1e-14)
    coins = [0.8 * SIGMA / math.sqrt(50.0), 0.8 * SIGMA / math.sqrt(8.0)]
    assert impact.impact(BARS, inverse=True).tolist() == pytest.approx(coins, rel=1e-14)


def test_stress_multiplies_what_is_known_at_the_close() -> None:
    models = (FixedSlippage(share=0.001), Impact(coefficient=0.8))
    model = StressSlippage(models=models, in_stress=3.0, detector=lambda close: close < 95.0)
    assert said(model) == pytest.approx([0.001, 0.003])
    alone, stressed = (np.asarray(m.impact(BARS, inverse=False)) for m in (models[1], model))
    assert stressed.tolist() == pytest.approx((alone * [1.0, 3.0]).tolist())
    assert model.at_first == 0.001
    assert math.isnan(VolatilitySlippage(share=0.1).at_first)


def test_a_model_without_its_data_is_refused() -> None:
    with pytest.raises(InputError, match="needs a column volume"):
        Impact(coefficient=1.0).impact(BARS.drop(columns="volume"), inverse=False)


def test_an_empty_bar_has_the_volume_of_the_last_that_was_not() -> None:
    model = Impact(coefficient=0.8, bars=1)
    bars = pd.DataFrame(
        {"high": 110.0, "low": 100.0, "close": [100.0, 105.0, 105.0, 102.0]},
    ).assign(volume=[0.0, 50.0, np.nan, 0.0])
    sigma = math.log(1.1) / math.sqrt(4.0 * math.log(2.0))
    root = 0.8 * sigma / math.sqrt(50.0 * 105.0)
    found = model.impact(bars, inverse=False).tolist()
    assert math.isnan(found[0])  # nothing was ever traded before
    assert found[1:] == pytest.approx([root] * 3, rel=1e-14)


def test_volatility_is_that_of_a_random_walk() -> None:
    # 400 bars of 2,000 steps; the estimator's own error is about 2 %, its bias from steps 3 %.
    steps = np.random.default_rng(7).normal(0.0, 0.02 / math.sqrt(2_000), size=(400, 2_000))
    paths = np.exp(np.cumsum(steps, axis=1))
    paths = np.concatenate([np.ones((400, 1)), paths], axis=1)
    bars = pd.DataFrame({"high": paths.max(axis=1), "low": paths.min(axis=1)})
    assert said(VolatilitySlippage(share=1.0, bars=400), bars)[-1] == pytest.approx(0.02, rel=0.06)


parts = st.sampled_from(
    [
        Fee(taker=0.0005, maker=-0.0001),
        Fee(maker=0.0002),
        FixedSlippage(share=0.0003),
        VolatilitySlippage(share=0.1),
        Impact(coefficient=1.0),
        VenueFees(),
        Borrow(rate=0.05),
        Costs(taker_fee=0.001, slippage=0.0005),
    ]
)


def paid(costs: CostPart) -> tuple[float, ...]:
    """What costs come to on two bars, as numbers."""
    total = costs.added_to(Costs())
    models = [part for part in total.parts if isinstance(part, Slippage)]
    fractions = [sum(each) for each in zip(*map(said, models), strict=True)] or [0.0, 0.0]
    impacts = sum(np.sum(model.impact(BARS, inverse=False)) for model in models)
    venue = sum(part.multiple for part in total.parts if isinstance(part, VenueFees))
    borrow = sum(part.rate for part in total.parts if isinstance(part, Borrow))
    return (total.taker_fee, total.maker_fee, total.slippage, *fractions, impacts, venue, borrow)


@settings(max_examples=200)
@given(one=parts, other=parts, third=parts, factor=st.sampled_from([0.0, 0.5, 2.0, 3.0]))
def test_costs_add_and_multiply(
    one: CostPart, other: CostPart, third: CostPart, factor: float
) -> None:
    assert paid((one + other) + third) == pytest.approx(paid(one + (other + third)))
    assert paid(one + other) == pytest.approx(paid(other + one))
    twice, apart = paid(factor * (one + other)), paid(factor * one + factor * other)
    rebates = min(paid(one)[1], paid(other)[1]) < 0.0  # a rebate stays, whatever the factor
    for place, (whole, split) in enumerate(zip(twice, apart, strict=True)):
        assert whole == pytest.approx(split) or (place == 1 and rebates)
    if not rebates:
        assert twice == pytest.approx([factor * value for value in paid(one + other)])


def test_stress_leaves_rebates_and_borrow_alone() -> None:
    costs = Fee(taker=0.001, maker=-0.0001) + VolatilitySlippage(share=0.1) + Borrow(rate=0.05)
    stressed = costs.stressed(3.0)
    assert (stressed.taker_fee, stressed.maker_fee) == (0.003, -0.0001)
    assert paid(stressed)[-1] == 0.05
    assert paid(stressed)[3] == pytest.approx(0.3 * SIGMA)
    assert 2.0 * Borrow(rate=0.05) == Borrow(rate=0.1)
    assert costs.stressed(1.0).taker_fee == costs.taker_fee
