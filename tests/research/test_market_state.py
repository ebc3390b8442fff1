"""The state of a market at a moment: nothing later is in it, and each part is what it says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from delever.deleveraging.phase_machine import market_phases
from delever.errors import InputError
from delever.research.state import MarketState, market_state
from delever.view import MarketView, Reading


@pytest.fixture(scope="module")
def market() -> MarketView:
    rng = np.random.default_rng(21)
    rows = 1_600
    index = pd.date_range("2018-01-01", periods=rows, tz="UTC", name="open_time")
    close = 10_000 * np.exp(np.cumsum(rng.normal(0.0005, 0.03, rows)))
    opens = np.concatenate([[10_000.0], close[:-1]])
    bars = pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, close) * 1.01,
            "low": np.minimum(opens, close) * 0.99,
            "close": close,
            "volume": rng.exponential(10, rows),
        },
        index=index,
    )
    fear = pd.DataFrame({"fng": rng.integers(1, 100, rows).astype(float)}, index=index)
    long_ago = pd.DataFrame({"dvol": [50.0, 60.0]}, index=index[[0, 1]])
    return MarketView(
        bars=bars,
        timeframe="1d",
        readings={
            "fear_greed": Reading(frame=fear, publication_lag=pd.Timedelta("1h")),
            "dvol": Reading(frame=long_ago, publication_lag=pd.Timedelta("1D")),
        },
    )


@pytest.fixture(scope="module")
def state(market: MarketView) -> MarketState:
    return market_state(market, supports=6)


def test_a_past_moment_knows_nothing_of_what_followed(market: MarketView) -> None:
    at = market.close_time[1_499]
    then, again = market_state(market, at), market_state(market.upto(at))
    assert repr(then) == repr(again)
    assert then.time == at
    assert then.price == market.bars["close"].iloc[1_499]
    late = market_state(market, at + pd.Timedelta("23h"))
    assert late.time == at


def test_the_averages_are_of_two_hundred_closed_weeks(
    market: MarketView, state: MarketState
) -> None:
    # 2018-01-01 is a Monday: 1,600 days are 228 weeks and 4 days.
    sundays = market.bars["close"].to_numpy()[6::7]
    assert len(sundays) == 228
    level = {one.name: one for one in state.levels}
    sma = sundays[-200:].mean()
    assert level["200-week sma"].price == pytest.approx(sma)
    assert level["200-week sma"].distance == pytest.approx(sma / state.price - 1)
    weights = np.arange(1, 201)
    assert level["200-week wma"].price == pytest.approx((sundays[-200:] * weights).sum() / 20_100)
    prices = [one.price for one in state.levels]
    assert prices == sorted(prices, reverse=True)


def test_supports_are_the_nearest_levels_below(market: MarketView, state: MarketState) -> None:
    below = [one for one in state.levels if one.price < state.price]
    assert [one.level for one in state.supports] == below[:6]
    nearest = state.supports[0]
    low, close = (market.bars[name].to_numpy() for name in ("low", "close"))
    fell = [
        low[row + 1 : row + 31].min() <= (1 + nearest.level.distance) * close[row]
        for row in range(len(close) - 30)
    ]
    assert nearest.unconditional.rate == pytest.approx(np.mean(fell))
    assert nearest.unconditional.effective == pytest.approx(len(fell) / 30, rel=0.02)
    assert nearest.unconditional.low < nearest.unconditional.rate <= nearest.unconditional.high


def test_what_followed_in_the_same_phase_is_counted_in_ranges(
    market: MarketView, state: MarketState
) -> None:
    phases = market_phases(market).to_numpy()
    high, low, close = (market.bars[name].to_numpy() for name in ("high", "low", "close"))
    # Wilder's range, by its recursion.
    true = np.maximum(high - low, np.abs(high - np.append(np.nan, close[:-1])))
    true = np.fmax(true, np.abs(low - np.append(np.nan, close[:-1])))
    true[0] = high[0] - low[0]
    wilder = np.full(len(true), np.nan)
    wilder[13] = true[:14].mean()
    for row in range(14, len(true)):
        wilder[row] = wilder[row - 1] + (true[row] - wilder[row - 1]) / 14
    starts = [row for row in range(13, len(close) - 30) if phases[row] == state.phase]
    for support in state.supports:
        ranges = (state.price - support.level.price) / wilder[-1]
        assert support.ranges == pytest.approx(ranges)
        goal = close - ranges * wilder
        fell = [low[row + 1 : row + 31].min() <= goal[row] for row in starts]
        assert support.same_phase.rate == pytest.approx(np.mean(fell))
        pairs = np.abs(np.subtract.outer(starts, starts))
        worth = len(starts) ** 2 / np.maximum(0, 1 - pairs / 30).sum()
        assert support.same_phase.effective == pytest.approx(worth)


def test_a_phase_that_was_seldom_says_nothing(market: MarketView) -> None:
    # Shortly after the first phases are known there are not five stretches of 30 days of any.
    young = market_state(market, market.close_time[420])
    assert young.phase
    assert all(
        np.isnan(one.same_phase.rate) and one.same_phase.effective < 5 for one in young.supports
    )
    assert all(one.unconditional.rate >= 0 for one in young.supports)


def test_percentiles_are_in_the_readings_own_past(market: MarketView, state: MarketState) -> None:
    fear = next(one for one in state.readings if one.feature == "fear_greed")
    # The row of the next day is published an hour after the last close.
    past = market.readings["fear_greed"].frame["fng"].to_numpy()
    assert fear.value == past[-1]
    equal = (past == past[-1]).sum()
    assert fear.values == len(past)
    assert fear.percentile == pytest.approx(((past < past[-1]).sum() + equal / 2) / len(past))


def test_what_is_missing_or_silent_is_named(state: MarketState) -> None:
    assert state.missing["funding"] == "not there"
    assert state.missing["dvol"] == "nothing since 2018-01-03"
    assert "fear_greed" not in state.missing
    assert state.phase
    assert state.since is not None
    assert 0 < state.stress < 1


def test_a_young_market_has_no_phase_and_no_average_yet(market: MarketView) -> None:
    state = market_state(market, market.close_time[40])
    assert (state.phase, state.since) == ("", None)
    assert np.isnan(state.stress)
    assert np.isnan(next(one.price for one in state.levels if "200-week sma" in one.name))
    with pytest.raises(InputError, match="no bar had closed by 2017-12-31"):
        market_state(market, pd.Timestamp("2017-12-31", tz="UTC"))
    with pytest.raises(InputError, match="days must be a whole number, from 1 to 3,650; got 0"):
        market_state(market, days=0)
