"""The run on redrawn markets: one of them by hand, what moves and what stays, refusals, seeds."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from delever.deleveraging.drawn import drawn_periods
from delever.deleveraging.membership import membership
from delever.engine.backtest import Backtest, backtest
from delever.engine.settings import Account
from delever.errors import InputError
from delever.research.luck import NullTest
from delever.research.null_markets import KINDS, resampled_bars, simulate_bars
from delever.research.redrawn import Redrawing, Rule, drawn_market, redrawn_test
from delever.study.machines.executor import mapping
from delever.venues.costs import Costs
from delever.view import MarketView, Reading

COSTS = Costs(taker_fee=0.001, slippage=0.0005)
MARKET = MarketView(bars=simulate_bars(900, seed=11), timeframe="1d")
BEGIN = 100


def below_average(market: MarketView) -> pd.Series:
    close = market.bars["close"]
    line = close.rolling(50).mean()
    return (close > line).astype(float).where(line.notna())


def held(market: MarketView) -> pd.Series:
    return pd.Series(1.0, index=market.index)


def run_on(market: MarketView, rule: Rule, **told: object) -> Backtest:
    target = rule(market)
    return backtest(
        market.bars.iloc[BEGIN:],
        target.iloc[BEGIN:],
        timeframe="1d",
        costs=COSTS,
        initial_target=target.iloc[BEGIN - 1],
        earlier=market.bars.iloc[:BEGIN],
        **told,  # type: ignore[arg-type]
    )


def redrawing(market: MarketView = MARKET, rule: Rule = below_average, **told: object) -> Redrawing:
    return Redrawing(
        market=market,
        rule=rule,
        benchmark_rule=held,
        backtest=run_on(market, rule, **told),
        benchmark=run_on(market, held),
    )


def test_one_redrawn_market_by_hand():
    found = drawn_market(redrawing(), 7, 4)
    bars = resampled_bars(
        MARKET.bars, "1d", KINDS[4 % 3], np.random.default_rng([7, 4]), begin=BEGIN
    )
    other = MarketView(bars=bars, timeframe="1d")
    periods = drawn_periods(bars["close"], "1d", since=MARKET.index[BEGIN])
    own, benchmark = run_on(other, below_average), run_on(other, held)
    total = 0.0
    for period in periods:
        inside = membership(other.index[BEGIN:], "1d", [period])
        total += math.log(np.prod(1 + own.returns[inside]))
        total -= math.log(np.prod(1 + benchmark.returns[inside]))
    assert found.periods == len(periods) > 0
    assert found.payout == pytest.approx(total / len(periods), abs=1e-12)


def test_the_run_stands_among_markets_of_each_kind():
    told: list[tuple[int, int]] = []
    mapper = mapping(None, progress=lambda done, of: told.append((done, of)))
    found = redrawn_test(redrawing(), markets=12, seed=1, mapper=mapper)
    every = [drawn_market(redrawing(), 1, number) for number in range(12)]
    assert found.null_values == pytest.approx(np.sort([one.payout for one in every]))
    assert told == [(done, 12) for done in range(1, 13)]
    assert found.kinds is not None
    for place, kind in enumerate(KINDS):
        own = np.array([one.payout for one in every[place::3]])
        assert found.kinds[kind].draws == 4
        assert found.kinds[kind].share_worse == (own < found.statistic - 1e-9).mean()
    assert found == redrawn_test(redrawing(), markets=12, seed=1)
    assert found != redrawn_test(redrawing(), markets=12, seed=2)
    backwards = redrawn_test(
        redrawing(), markets=12, seed=1, mapper=lambda f, n: [f(x) for x in list(n)[::-1]][::-1]
    )
    assert backwards == found
    assert NullTest.from_data(found.to_data()) == found


def test_the_unit_of_price_is_free():
    bars = MARKET.bars.copy()
    bars[["open", "high", "low", "close"]] *= 1024.0
    scaled = MarketView(bars=bars, timeframe="1d")
    one, other = (redrawn_test(redrawing(each), markets=6) for each in (MARKET, scaled))
    assert other.null_values == pytest.approx(one.null_values, abs=1e-9)
    assert (other.p_value, other.periods) == (one.p_value, one.periods)


def test_exposures_of_ones_own_keep_their_dates_and_holding_is_never_worse_or_better():
    dates = pd.Series(np.tile([1.0, 0.0], 450), index=MARKET.index)
    own = redrawn_test(redrawing(rule=lambda market: dates), markets=6)
    assert own.known
    assert own.share_worse < 1
    assert redrawn_test(redrawing(rule=held), markets=6).p_value == 1.0


def test_other_series_stay_where_they_are():
    seen: list[pd.Series] = []
    mood = pd.DataFrame({"value": np.arange(900.0)}, index=MARKET.index)
    reading = Reading(frame=mood, publication_lag=pd.Timedelta(0))
    market = MarketView(bars=MARKET.bars, timeframe="1d", readings={"mood": reading})

    def rule(given: MarketView) -> pd.Series:
        seen.append(given.series("mood"))
        return held(given)

    found = redrawn_test(redrawing(market, rule), markets=3)
    assert found.notes == ("series beside the bars stay where they are in time",)
    for each in seen[1:]:
        pd.testing.assert_series_equal(each, seen[0])


def test_the_mark_of_a_redrawn_market_is_its_last_price():
    """Marks and finer bars of the real one would stand beside other prices."""
    bars, halves = MARKET.bars, MARKET.bars.set_axis(MARKET.index + pd.Timedelta("12h"))
    finer = pd.concat([bars.assign(close=bars["open"]), halves]).sort_index()
    account = Account(stop_loss=0.2, detail=finer)
    found = redrawn_test(redrawing(account=account), markets=3)
    assert found.notes == ("without detail: the bars of the last price alone",)
    assert (
        found.null_values
        == redrawn_test(redrawing(account=Account(stop_loss=0.2)), markets=3).null_values
    )


def test_where_there_is_no_test_a_sentence_says_why():
    calm = MARKET.bars.assign(**dict.fromkeys(["open", "high", "low", "close"], 100.0))
    none = redrawn_test(redrawing(MarketView(bars=calm, timeframe="1d")), markets=3)
    assert "no deleveraging period" in none.reason

    def refuses(market: MarketView) -> pd.Series:
        if market.bars is not MARKET.bars:
            raise InputError("a level is missing")
        return held(market)

    refused = redrawn_test(redrawing(rule=refuses), markets=3)
    assert "3 of 3 redrawn markets: a level is missing" in refused.reason
    assert refused.periods > 0
    with pytest.raises(InputError, match="at least 3"):
        redrawn_test(redrawing(), markets=2)
    whole = redrawing()
    index = MARKET.index
    with pytest.raises(InputError, match="whole run"):
        Redrawing(
            market=MARKET,
            rule=held,
            benchmark_rule=held,
            backtest=whole.backtest.window(index[200], index[-1]),
            benchmark=whole.benchmark,
        )
    with pytest.raises(InputError, match="last bars"):
        Redrawing(
            market=MARKET.upto(index[-10]),
            rule=held,
            benchmark_rule=held,
            backtest=whole.backtest,
            benchmark=whole.benchmark,
        )
