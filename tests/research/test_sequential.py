"""Looks at a signal whenever one likes: fair where there is nothing, and blind to what comes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.research.null_markets import simulate_bars
from delever.research.signal.family import family_tests
from delever.research.signal.level_break import Signal
from delever.research.signal.level_rules import RULES
from delever.research.signal.pool import forward_outcomes, pool_signals
from delever.research.signal.sequential import sequential
from delever.research.signal.study import StudyDesign, study_signal
from delever.stats.families import holm
from delever.view import MarketView

HORIZON = 5


def at_random(bars: pd.DataFrame, rng: np.random.Generator, share: float = 0.08) -> Signal:
    market = MarketView(bars=bars, timeframe="1d", symbol="A")
    event = pd.Series(rng.random(len(bars)) < share, index=market.index)
    return Signal(market=market, event=event, known=pd.Series(True, index=market.index))


def bet(signal: Signal) -> pd.DataFrame:
    pool = pool_signals([signal])
    return sequential(forward_outcomes(pool, HORIZON), pool.index, None)


def test_ranks_and_stakes_are_those_of_a_plain_loop() -> None:
    bars = simulate_bars(400, seed=3)
    signal = at_random(bars, np.random.default_rng(1))
    pool = pool_signals([signal])
    ahead = forward_outcomes(pool, HORIZON)
    scaled = ahead.forward[:, 0] / ahead.volatility[:, 0]
    rows, last = [], -HORIZON
    for row in np.flatnonzero(ahead.event[:, 0]):
        if row >= last + HORIZON:
            rows.append(row)
            last = row
    stakes, expected = dict.fromkeys([s / 10 for s in range(-10, 11) if s], 1.0), []
    for row in rows:
        if row < 12 * HORIZON:
            continue
        past = scaled[: row - HORIZON + 1]
        rank = (past < scaled[row]).mean()
        stakes = {s: stake * (1 + s * (2 * rank - 1)) for s, stake in stakes.items()}
        expected.append((pool.index[row], rank, np.mean(list(stakes.values()))))
    found = sequential(ahead, pool.index, None)
    assert found["time"].tolist() == [time for time, _, _ in expected]
    np.testing.assert_allclose(found["rank"], [rank for _, rank, _ in expected], rtol=1e-12)
    np.testing.assert_allclose(found["e_value"], [value for *_, value in expected], rtol=1e-12)
    assert (found["known"] - found["time"] == pd.Timedelta(days=HORIZON)).all()


@given(st.integers(0, 10_000), st.integers(150, 399))
def test_what_comes_later_adds_rows_and_changes_none(seed, cut):
    bars = simulate_bars(400, seed=seed)
    signal = at_random(bars, np.random.default_rng(seed))
    short = Signal(
        market=MarketView(bars=bars.iloc[:cut], timeframe="1d", symbol="A"),
        event=signal.event.iloc[:cut],
        known=signal.known.iloc[:cut],
    )
    whole, part = bet(signal), bet(short)
    pd.testing.assert_frame_equal(whole.iloc[: len(part)], part)


def test_who_stops_when_it_looks_good_is_seldom_wrong() -> None:
    ever = []
    for seed in range(80):
        bars = simulate_bars(500, seed=seed)
        ever.append(bet(at_random(bars, np.random.default_rng(seed)))["e_value"].max())
    assert np.mean(np.array(ever) >= 20.0) <= 0.06
    assert np.mean(np.array(ever) >= 2.0) > 0.1  # it does bet


def test_an_effect_is_found_in_time() -> None:
    found = []
    for seed in range(20):
        bars = simulate_bars(900, seed=seed)
        signal = at_random(bars, np.random.default_rng(seed), share=0.04)
        lift = np.zeros(len(bars))
        for row in np.flatnonzero(signal.event):
            lift[row + 2 : row + 2 + HORIZON] = 0.015
        moved = bars.mul(np.exp(lift.cumsum()), axis=0)
        other = MarketView(bars=moved, timeframe="1d", symbol="A")
        found.append(bet(Signal(market=other, event=signal.event, known=signal.known)))
    assert np.mean([table["e_value"].max() >= 20.0 for table in found]) >= 0.8


def test_events_of_several_coins_at_once_are_one_bet() -> None:
    rng = np.random.default_rng(2)
    one = at_random(simulate_bars(400, seed=1), rng)
    twin = Signal(
        market=MarketView(bars=one.market.bars, timeframe="1d", symbol="B"),
        event=one.event,
        known=one.known,
    )
    pool = pool_signals([one, twin])
    both = sequential(forward_outcomes(pool, HORIZON), pool.index, None)
    alone = bet(one)
    pd.testing.assert_frame_equal(both, alone)


def test_few_bars_before_an_event_bet_nothing() -> None:
    bars = simulate_bars(100, seed=1)
    market = MarketView(bars=bars, timeframe="1d", symbol="A")
    signal = RULES["rolling_low"](weeks=4).on(market)
    pool = pool_signals([signal])
    ahead = forward_outcomes(pool, HORIZON)
    assert sequential(ahead, pool.index, np.zeros(ahead.there.shape)).empty


@pytest.mark.parametrize("worth", [0.0, 1.0])
def test_equal_returns_share_their_rank(worth) -> None:
    bars = simulate_bars(300, seed=1)
    flat = bars.assign(**dict.fromkeys(("open", "high", "low", "close"), 100.0 + worth))
    flat.iloc[::7] *= 1.001  # volatility is known
    table = bet(at_random(flat, np.random.default_rng(1)))
    assert table["rank"].between(0.0, 1.0).all()
    assert (table["e_value"] > 0.0).all()


def test_signals_that_come_together_lose_nothing_by_stepm() -> None:
    design = StudyDesign(horizons=(HORIZON,), decides=HORIZON, draws=10)
    one = at_random(simulate_bars(500, seed=4), np.random.default_rng(3), share=0.03)
    other = at_random(one.market.bars, np.random.default_rng(8), share=0.03)
    index = one.market.index
    late = Signal(
        market=one.market, event=other.event, known=pd.Series(index > index[90], index=index)
    )
    pools = [pool_signals([each]) for each in (one, one, late)]
    studies = [study_signal(pool.signals, name="x", design=design, pool=pool) for pool in pools]
    found = family_tests(studies, pools, [None, None, None])
    assert len({len(pool.index) for pool in pools}) == 2  # one calendar is made of them
    assert found["p_holm"].iloc[0] == pytest.approx(min(1.0, holm(found["p_alone"])[0]))
    twins = family_tests(studies[:2], pools[:2], [None, None])
    assert twins["p_stepm"].tolist() == pytest.approx(twins["p_alone"].tolist(), abs=1e-12)
    assert twins["p_holm"].iloc[0] == min(1.0, 2.0 * twins["p_alone"].iloc[0])
    assert twins["false_discoveries"].tolist() == twins["p_alone"].tolist()
    assert (found["p_stepm"] >= found["p_alone"] - 0.02).all()
