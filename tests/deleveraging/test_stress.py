"""The composite index: ranks against the past only, weights, and what is missing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signals.markets import made_up

from delever.deleveraging.phase_machine import MARKET_PHASES, market_phases
from delever.deleveraging.stress import BUILD_UP, STRESS, Component, past_rank, stress_index
from delever.errors import InputError
from delever.signals.features import FEATURES, measure
from delever.view import MarketView

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
PRICE = ("fall_speed", "volatility_close_to_close", "volume_shock")


@pytest.fixture(scope="module")
def market() -> MarketView:
    return made_up(days=500)


@QUICK
@given(
    st.lists(st.one_of(st.integers(0, 5).map(float), st.just(math.nan)), max_size=30),
    st.integers(1, 5),
)
def test_a_rank_counts_the_past_and_half_of_the_ties(values: list[float], least: int) -> None:
    got = past_rank(pd.Series(values, dtype=float), least)
    for row, value in enumerate(values):
        past = [other for other in values[: row + 1] if not math.isnan(other)]
        if math.isnan(value) or len(past) < least:
            assert math.isnan(got.iloc[row])
        else:
            below = sum(other < value for other in past)
            ties = sum(other == value for other in past)
            assert got.iloc[row] == pytest.approx((below + ties / 2) / len(past))


def test_every_component_is_a_feature_and_every_group_weighs_the_same() -> None:
    for part in (*STRESS, *BUILD_UP):
        assert part.feature in FEATURES
        assert part.sign in (-1, 1)
    weights = {part.feature: part.weight for part in STRESS}
    assert sum(weights[name] for name in PRICE) == pytest.approx(1.0)
    assert sum(weights.values()) == pytest.approx(5.0)
    assert len(weights) == len(STRESS)


def test_the_index_is_the_rank_of_the_weighted_mean_of_ranks(market: MarketView) -> None:
    parts = (
        Component(feature="fear_greed", sign=-1, weight=3.0),
        Component(feature="vix_change", sign=1, weight=1.0),
    )
    got = stress_index(market, parts, days=20)
    fear = past_rank(-measure("fear_greed", market), 20)
    vix = past_rank(measure("vix_change", market), 20)
    both = (3 * fear + vix) / 4
    mean = both.where(vix.notna(), fear)
    np.testing.assert_allclose(got.value, past_rank(mean, 20), atol=1e-12)
    assert got.missing == ()
    assert got.value.first_valid_index() == market.index[38]
    assert set(got.coverage.iloc[21:]) == {1.0}


def test_missing_inputs_drop_out_and_are_named(market: MarketView) -> None:
    bare = replace(market, readings={})
    got = stress_index(bare)
    assert set(got.ranks.columns) == set(PRICE)
    assert set(got.missing) == {part.feature for part in STRESS} - set(PRICE)
    assert got.coverage.iloc[-1] == pytest.approx(1 / 5)
    assert got.value.notna().any()
    assert set(got.missing_at(0)) == {part.feature for part in STRESS}
    # Nothing is made up: too little coverage is no index at all.
    assert stress_index(bare, least_coverage=0.3).value.isna().all()
    assert stress_index(bare, STRESS[:3], least_coverage=1.0).value.notna().any()
    assert stress_index(bare, BUILD_UP).value.isna().all()


def test_a_stale_reading_drops_out_of_the_bars_it_says_nothing_about(market: MarketView) -> None:
    cut = market.index[400]
    old = {**market.readings, "dvol": market.readings["dvol"].upto(cut)}
    got = stress_index(replace(market, readings=old))
    assert got.missing == ()
    assert got.missing_at(395) == ()
    assert set(got.missing_at(-1)) == {"dvol", "dvol_jump"}
    assert got.coverage.iloc[-1] == pytest.approx(4 / 5)


def test_neither_index_nor_phase_sees_the_future(market: MarketView) -> None:
    """A crash of a week from the 400th bar on, in fear and volume; then most is won back."""
    shape = np.interp(np.arange(500), [0, 400, 407, 440, 499], [0, 0, -0.6, -0.25, -0.25])
    prices = market.bars[["open", "high", "low", "close"]].mul(np.exp(shape), axis=0)
    busy = np.where((shape < 0) & (np.arange(500) < 415), 10.0, 1.0)
    some = ("funding", "open_interest")
    readings = {name: market.readings[name] for name in some}
    fear = market.readings["fear_greed"]
    readings["fear_greed"] = replace(fear, frame=fear.frame.div(busy, axis=0))
    bars = market.bars.assign(volume=market.bars["volume"] * busy, **prices)
    seen = replace(market, bars=bars, readings=readings)
    found = market_phases(seen)
    index = stress_index(seen).value
    assert set(found.dropna()) == set(MARKET_PHASES)
    # Cut before, inside and after the crash, and while the phases change.
    for bar in (380, 402, 405, 409, 415, 450):
        past = seen.upto(seen.close_time[bar])
        pd.testing.assert_series_equal(market_phases(past), found.iloc[: bar + 1])
        pd.testing.assert_series_equal(stress_index(past).value, index.iloc[: bar + 1])
    falling = found.iloc[400:408]
    assert falling.iloc[-1] == "cascade"
    assert "cascade" not in set(found.iloc[415:].dropna())


def test_the_price_of_a_coin_may_be_counted_in_cents(market: MarketView) -> None:
    prices = ["open", "high", "low", "close"]
    cents = replace(market, bars=market.bars.assign(**(market.bars[prices] * 1024)), readings={})
    dollars = replace(market, readings={})
    np.testing.assert_allclose(
        stress_index(cents).value, stress_index(dollars).value, rtol=0, atol=1e-12
    )


def test_refuses_an_index_of_nothing(market: MarketView) -> None:
    with pytest.raises(InputError, match="at least one component"):
        stress_index(market, ())
    with pytest.raises(InputError, match="least_coverage"):
        stress_index(market, least_coverage=0.0)
    with pytest.raises(InputError, match="at least 1 value; got least=0"):
        past_rank(pd.Series([1.0]), 0)
