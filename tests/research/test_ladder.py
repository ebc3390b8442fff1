"""The way to further levels: waiting times by hand and against a loop over the bars."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError
from delever.research.null_markets import simulate_bars
from delever.research.signal.contrast import event_weights
from delever.research.signal.ladder import study_ladder
from delever.research.signal.level_break import LevelRule, Signal
from delever.research.signal.level_rules import RULES
from delever.research.signal.pool import pool_signals
from delever.research.signal.study import StudyDesign
from delever.stats.intervals import wilson_interval
from delever.view import MarketView

DESIGN = StudyDesign(draws=50)


def on(bars, events, level=100.0, symbol="A", side="below"):
    market = MarketView(bars=bars, timeframe="1d", symbol=symbol)
    flags = pd.Series(False, index=market.index)
    flags.iloc[list(events)] = True
    return Signal(
        market=market,
        event=flags,
        known=pd.Series(True, index=market.index),
        level=pd.Series(level, index=market.index),
        side=side,
    )


def path(closes, lows=None):
    index = pd.date_range("2021-01-04", periods=len(closes), freq="1D", tz="UTC", unit="ns")
    close = np.asarray(closes, dtype="float64")
    frame = {"open": close, "high": close, "low": close if lows is None else lows, "close": close}
    return pd.DataFrame(frame, index=index.rename("open_time"))


def three_breaks():
    """Thirty quiet bars, then breaks on bars 30, 60 and 90 that fall to 95, 89 and 70."""
    rng = np.random.default_rng(1)
    closes = 105 + rng.uniform(-1, 1, 125)
    closes[30:33] = [99, 97, 95]
    closes[60:64] = [94, 93, 89, 92]
    closes[90:94] = [99, 96, 85, 70]
    closes[120] = 99
    return path(closes)


def test_rungs_reached_by_hand():
    from statsmodels.duration.survfunc import SurvfuncRight

    found = study_ladder(
        pool_signals([on(three_breaks(), [30, 60, 90, 120])]), [0.9, 0.95], 10, design=DESIGN
    )
    assert found.rungs == (0.95, 0.9)
    table = found.table
    assert table["dates"].tolist() == [4, 4]
    assert table["complete"].tolist() == [3, 3]  # the last break has four bars after it
    assert table["reached"].tolist() == pytest.approx([1, 2 / 3])
    assert table["at_once"].tolist() == pytest.approx([1 / 4, 0])  # bar 60 closed at 94
    assert (table.loc[0.9, "low"], table.loc[0.9, "high"]) == pytest.approx(wilson_interval(2, 3))
    # Waits to 95: 2, 0, 2 bars and, of the last, more than 4; to 90: never in 10, 2, 2, over 4.
    waits = {0.95: ([2, 0, 2, 4], [1, 1, 1, 0]), 0.9: ([10, 2, 2, 4], [0, 1, 1, 0])}
    for rung, (waited, reached) in waits.items():
        theirs = SurvfuncRight(np.maximum(waited, 0.001), reached)
        by_bar = [
            1 - np.append(1.0, theirs.surv_prob)[np.searchsorted(theirs.surv_times, bar + 0.5)]
            for bar in range(5)
        ]
        assert found.curve(rung)["breaks"].tolist()[:5] == pytest.approx(by_bar)
    assert table["median_bars"].tolist() == [2, 2]
    # From 95 on: reached on bars 32, 60 and 92; of these bar 32 does not see 90 within 10 bars.
    assert table.loc[0.9, "before"] == 3
    assert table.loc[0.9, "onward"] == pytest.approx(2 / 3)


def test_a_touch_by_the_low_counts_and_the_low_of_the_break_itself_does_not():
    closes = np.full(80, 105.0)
    closes[40] = 99
    lows = closes.copy()
    lows[40] = 80  # before the break was known
    lows[47] = 90
    closes[:25] += np.tile([0, 1.0], 13)[:25]
    found = study_ladder(
        pool_signals([on(path(closes, lows), [40])]), [0.9, 0.85], 20, design=DESIGN
    )
    assert found.table["reached"].tolist() == [1, 0]
    assert found.curve(0.9)["breaks"].tolist() == [0.0] * 7 + [1.0] * 14
    assert found.table["median_bars"].tolist() == [7, math.inf]


def test_above_is_below_upside_down():
    bars = simulate_bars(600, seed=3)
    mirrored = (1 / bars[["open", "low", "high", "close"]]).set_axis(
        ["open", "high", "low", "close"], axis=1
    )
    rows = [100, 160, 300, 450, 590]
    below = study_ladder(
        pool_signals([on(bars, rows, bars["close"].iloc[100])]), [0.9], 30, design=DESIGN
    )
    risen = on(mirrored, rows, 1 / bars["close"].iloc[100], side="above")
    above = study_ladder(pool_signals([risen]), [1 / 0.9], 30, design=DESIGN)
    pd.testing.assert_frame_equal(
        below.table.reset_index(drop=True), above.table.reset_index(drop=True)
    )


def test_the_same_way_to_go_from_all_bars_is_what_a_loop_over_them_finds():
    bars = simulate_bars(230, seed=8)
    rows, horizon = [60, 120], 15
    level = float(bars["close"].iloc[60] * 1.02)
    pool = pool_signals([on(bars, rows, level)])
    found = study_ladder(pool, [0.93], horizon, design=DESIGN)
    close, low = bars["close"].to_numpy(), bars["low"].to_numpy()
    first = len(bars) - len(pool.index)
    starts = range(first, len(bars) - horizon)
    shares = []
    for row in rows:
        ratio = 0.93 * level / close[row]
        there = [low[s + 1 : s + 1 + horizon].min() <= close[s] * ratio for s in starts]
        shares.append(1.0 if ratio >= 1 else float(np.mean(there)))
    # 195 bars are thinned to 200 places among them: a bar more or less.
    assert found.table.loc[0.93, "all"] == pytest.approx(np.mean(shares), abs=0.011)


def test_without_meaning_breaks_reach_rungs_as_often_as_matched_bars_and_placebos(draws):
    shares = []
    for seed in range(draws(12, 30)):
        market = MarketView(bars=simulate_bars(1_500, seed=seed), timeframe="1d")
        pool = pool_signals([RULES["rolling_low"](weeks=8).on(market)])
        table = study_ladder(pool, [0.9], 20, design=DESIGN).table
        shares.append(table.loc[0.9, ["reached", "matched", "placebo", "complete"]])
    frame = pd.DataFrame(shares).astype("float64")
    weights = frame["complete"]
    mean = {name: np.average(frame[name], weights=weights) for name in frame.columns[:3]}
    error = math.sqrt(0.25 / weights.sum())
    assert abs(mean["reached"] - mean["matched"]) < 3 * error
    assert abs(mean["reached"] - mean["placebo"]) < 3 * error


def test_the_difference_to_placebos_is_nothing_where_levels_mean_nothing(draws):
    number, rows = draws(30, 150), []
    for seed in range(number):
        market = MarketView(bars=simulate_bars(1_500, seed=seed), timeframe="1d")
        pool = pool_signals([RULES["rolling_low"](weeks=8).on(market)])
        rows.append(study_ladder(pool, [0.95, 0.9], 20, design=DESIGN).table)
    table = pd.concat(rows)
    assert table[["difference", "p_value"]].notna().all(axis=None)
    inside = (table["difference_low"] <= 0) & (table["difference_high"] >= 0)
    # A family of two rungs, and intervals of 95 % of each.
    least = table["p_value"].groupby(np.arange(len(table)) // 2).min()
    assert (least <= 0.05).mean() <= 0.05 + 2 * math.sqrt(0.0475 / number) + 1 / number
    assert inside.mean() >= 0.95 - 3 * math.sqrt(0.0475 / (2 * number))
    spread = table["difference"].std() / math.sqrt(len(table))
    assert abs(table["difference"].mean()) < 4 * spread


def test_the_difference_by_hand_on_its_own_place():
    """Breaks that got to their rung, each less the share of bars that got as far; placebos too."""
    rng = np.random.default_rng(9)
    closes = 100 * np.exp(np.cumsum(rng.choice([-0.01, 0.01], 500)))
    signal = RULES["rolling_low"](weeks=2).on(MarketView(bars=path(closes), timeframe="1d"))
    pool = pool_signals([signal])
    table = study_ladder(pool, [0.97], 15, design=DESIGN, decided=0.4).table.loc[0.97]
    first = pool.rows[0][0]  # before it no volatility is known
    unit = dict(zip(pool.rows[0].tolist(), pool.volatility[pool.places[0], 0], strict=True))
    low = signal.market.bars["low"]
    gone = {
        row: math.log(closes[row] / low.iloc[row + 1 : row + 16].min()) / unit[row]
        for row in range(first, 500 - 15)
    }

    def ways(levels):
        until = first
        for row, level in enumerate(levels[: 500 - 15]):
            if row >= until and level > 0:
                way = math.log(closes[row] / (0.97 * level)) / unit[row]
                usual = np.mean([far >= way for far in gone.values()])
                yield gone[row] >= way, usual
                until = row + 15

    mine = np.array(list(ways(signal.placebo(1.0))), dtype=float)
    theirs = np.array([one for factor in DESIGN.factors() for one in ways(signal.placebo(factor))])
    assert table["reached"] == pytest.approx(mine[:, 0].mean(), abs=1e-12)
    assert table["placebo"] == pytest.approx(theirs[:, 0].mean(), abs=1e-12)
    expected = (mine[:, 0] - mine[:, 1]).mean() - (theirs[:, 0] - theirs[:, 1]).mean()
    assert table["difference"] == pytest.approx(expected, abs=1e-12)
    assert table["difference_low"] <= table["difference"] <= table["difference_high"]
    assert table["p_value"] >= 0.4  # no find below what decides
    few = study_ladder(pool_signals([on(three_breaks(), [30, 60, 90])]), [0.9], 10, design=DESIGN)
    assert math.isnan(few.table.loc[0.9, "difference"])


def test_several_markets_on_one_date_weigh_as_one():
    bars = three_breaks()
    alone = study_ladder(pool_signals([on(bars, [30, 60, 90])]), [0.95, 0.9], 10, design=DESIGN)
    twins = [on(bars, [30, 60, 90], symbol=name) for name in ("A", "B", "C")]
    together = study_ladder(pool_signals(twins), [0.95, 0.9], 10, design=DESIGN)
    pd.testing.assert_frame_equal(alone.table, together.table)
    pd.testing.assert_frame_equal(alone.curves, together.curves)


def test_curves_rise_and_the_bands_hold_them():
    market = MarketView(bars=simulate_bars(2_000, seed=2), timeframe="1d")
    pool = pool_signals([RULES["round_number"]().on(market)])
    found = study_ladder(pool, [0.95, 0.85], 40, design=DESIGN)
    assert event_weights(pool.event, 40).sum() == found.table["dates"].iloc[0]
    for rung in found.rungs:
        curves = found.curve(rung)
        assert (curves.diff().dropna() >= -1e-12).all(axis=None)
        assert (curves["low"] <= curves["breaks"] + 1e-9).all()
        assert (curves["breaks"] <= curves["high"] + 1e-9).all()
    near, far = (found.curve(rung)["breaks"] for rung in found.rungs)
    assert (near >= far).all()
    again = study_ladder(pool, [0.85, 0.95], 40, design=DESIGN)
    pd.testing.assert_frame_equal(found.curves, again.curves)


@pytest.mark.parametrize(
    ("rungs", "side", "said"),
    [([], "below", "at least one"), ([1.1], "below", "below 1"), ([0.9], "above", "above 1")],
)
def test_rungs_on_the_wrong_side_are_refused(rungs, side, said):
    with pytest.raises(InputError, match=said):
        study_ladder(pool_signals([on(three_breaks(), [30], side=side)]), rungs, 10)


def test_prices_are_the_rungs_they_are_multiples_of():
    pool = pool_signals([on(three_breaks(), [30, 60, 90, 120])])
    multiples = study_ladder(pool, [0.95, 0.9], 10, design=DESIGN)
    prices = study_ladder(pool, [90.0, 95.0], 10, design=DESIGN, absolute=True)
    assert prices.rungs == (95.0, 90.0)
    assert prices.left_out == 0
    np.testing.assert_allclose(prices.table, multiples.table, rtol=1e-12)
    np.testing.assert_allclose(prices.curves, multiples.curves, rtol=1e-12)


def test_a_break_of_a_level_that_lies_past_a_price_is_not_on_its_way_there():
    # The break of 94 on bar 60 is left out: 95 lies above it. Of 100 two are left, complete ones.
    level = np.full(125, 100.0)
    level[55:65] = 94.5
    signal = on(three_breaks(), [30, 60, 90], level)
    found = study_ladder(pool_signals([signal]), [95.0, 90.0], 10, design=DESIGN, absolute=True)
    assert found.left_out == 1
    assert found.table["dates"].tolist() == [2, 2]
    assert found.table["reached"].tolist() == [1, 1 / 2]  # 95 at once falls to 95; 90 on bar 92
    with pytest.raises(InputError, match="at least one break of a level above 101; there is none"):
        study_ladder(pool_signals([signal]), [101.0], 10, design=DESIGN, absolute=True)
    with pytest.raises(InputError, match="rungs must be prices, at least one; got -5"):
        study_ladder(pool_signals([signal]), [-5.0], 10, design=DESIGN, absolute=True)


def test_markets_broken_to_different_sides_have_no_common_ladder():
    bars = three_breaks()
    pool = pool_signals([on(bars, [30]), on(bars, [60], symbol="B", side="above")])
    with pytest.raises(InputError, match="all to one side"):
        study_ladder(pool, [0.9], 10)


def test_without_a_break_or_a_level_there_is_no_ladder():
    with pytest.raises(InputError, match="at least one break of a level; there"):
        study_ladder(pool_signals([on(three_breaks(), [])]), [0.9], 10)
    whole = on(three_breaks(), [30])
    bare = Signal(market=whole.market, event=whole.event, known=whole.known)
    with pytest.raises(InputError, match="breaks of a level"):
        study_ladder(pool_signals([bare]), [0.9], 10)
    assert isinstance(RULES["rolling_low"](), LevelRule)
