"""A signal study: what it counts and compares, when it is silent, how often it cries wolf."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError
from delever.research.null_markets import simulate_bars
from delever.research.signal.contrast import compare, matched_weights
from delever.research.signal.level_break import Signal
from delever.research.signal.level_rules import RULES
from delever.research.signal.placebo import placebo_breaks, placebo_events
from delever.research.signal.pool import forward_outcomes, pool_signals
from delever.research.signal.study import StudyDesign, study_signal
from delever.stats.intervals import wilson_interval
from delever.view import MarketView

DESIGN = StudyDesign(horizons=(5, 20), decides=5, draws=40)


def signal(bars, rows, symbol="A", notes=()):
    market = MarketView(bars=bars, timeframe="1d", symbol=symbol, notes=notes)
    event = pd.Series(False, index=market.index)
    event.iloc[list(rows)] = True
    return Signal(market=market, event=event, known=pd.Series(True, index=market.index))


def test_outcomes_are_those_of_the_distinct_events():
    bars = simulate_bars(300, seed=1)
    rows = [40, 43, 60, 100, 104, 140, 200, 250, 297]
    study = study_signal([signal(bars, rows)], name="x", design=DESIGN)
    forward = (bars["close"].shift(-5) / bars["open"].shift(-1) - 1).to_numpy()
    chosen = [40, 60, 100, 140, 200, 250]
    row = study.outcomes.loc[5]
    assert row["events"] == 8  # the last one's five bars are not over
    assert row["distinct"] == 6
    assert row["mean"] == pytest.approx(forward[chosen].mean())
    assert row["median"] == pytest.approx(np.median(forward[chosen]))
    assert row["q05"] == pytest.approx(np.quantile(forward[chosen], 0.05))
    hits = int((forward[chosen] > 0).sum())
    assert row["hit_rate"] == pytest.approx(hits / 6)
    assert (row["hit_low"], row["hit_high"]) == pytest.approx(wilson_interval(0.8 * hits, 4.8))
    wide = study_signal([signal(bars, rows)], name="x", design=replace(DESIGN, alpha=0.2))
    assert wide.outcomes.loc[5, "hit_low"] == pytest.approx(
        wilson_interval(0.8 * hits, 4.8, 0.8)[0]
    )
    lows = [bars["low"].iloc[r + 1 : r + 6].min() / bars["open"].iloc[r + 1] - 1 for r in chosen]
    assert row["adverse"] == pytest.approx(np.mean(lows))
    assert study.outcomes.loc[20, "distinct"] == 6
    listed = study.events
    assert listed["time"].tolist() == [bars.index[row] for row in rows]
    assert listed.loc[listed["counted"], "time"].tolist() == [bars.index[row] for row in chosen]
    assert listed[5].tolist()[:8] == pytest.approx(forward[rows[:8]])
    assert math.isnan(listed[5].iloc[8])
    assert study.against == "matched"
    assert math.isnan(study.placebo_rank)
    assert study.end == bars.index[-6]
    assert study.start == bars.index[20]


def test_the_base_of_all_bars_is_their_mean():
    bars = simulate_bars(300, seed=2)
    study = study_signal([signal(bars, range(30, 290, 25))], name="x", design=DESIGN)
    forward = (bars["close"].shift(-5) / bars["open"].shift(-1) - 1).iloc[20:].dropna()
    row = study.comparisons.loc[(5, "all")]
    assert row["mean"] == pytest.approx(forward.mean())
    assert row["difference"] == pytest.approx(study.outcomes.loc[5, "mean"] - forward.mean())


def test_with_few_events_nothing_is_tested_and_nothing_said():
    bars = simulate_bars(300, seed=3)
    study = study_signal([signal(bars, [50, 100, 150, 200])], name="x", design=DESIGN)
    assert study.outcomes.loc[5, "distinct"] == 4
    assert study.comparisons.isna().all(axis=None)
    assert study.verdict == "too few"
    assert not study.rejects


def test_a_signal_that_never_came_is_a_study_without_figures():
    study = study_signal([signal(simulate_bars(300, seed=3), [])], name="x", design=DESIGN)
    assert study.outcomes[["events", "distinct", "effective"]].eq(0).all(axis=None)
    assert study.outcomes[["mean", "hit_rate", "hit_low", "q95"]].isna().all(axis=None)
    assert study.events.empty
    assert study.verdict == "too few"


def test_markets_are_pooled_on_all_their_bars_and_by_date():
    """The second market begins 50 bars later: what came before then is the first one's alone."""
    one, other = simulate_bars(300, seed=4), simulate_bars(200, seed=5, start="2010-02-23")
    assert other.index[0] == one.index[50]
    rows = [60, 90, 120, 150, 180, 210]
    alone = [signal(one, [30, *rows]), signal(other, [r - 50 for r in rows[1:]], "B")]
    study = study_signal(alone, name="x", design=DESIGN)
    assert study.symbols == ("A", "B")
    assert study.start == one.index[20]
    assert study.notes == ()
    assert study.outcomes.loc[5, "distinct"] == 7
    assert study.outcomes.loc[5, "events"] == 12
    means = [bars["close"].shift(-5) / bars["open"].shift(-1) - 1 for bars in (one, other)]
    by_date = [means[0].iloc[r] for r in (30, 60)]
    by_date += [(means[0].iloc[r] + means[1].iloc[r - 50]) / 2 for r in rows[1:]]
    assert study.outcomes.loc[5, "mean"] == pytest.approx(np.mean(by_date))
    assert study.outcomes.loc[5, "median"] == pytest.approx(np.median(by_date))
    # Two independent markets have nearly twice the events of one to show, and never more.
    assert 7 < study.outcomes.loc[5, "effective"] <= 12
    assert study.events["counted"].all()


def test_pooling_takes_no_event_away():
    """Markets with no bar in common: as many events as both have."""
    one = signal(simulate_bars(300, seed=6), range(40, 280, 30))
    other = signal(simulate_bars(300, seed=7, start="2015-01-05"), range(60, 280, 40), "B")
    together = study_signal([one, other], name="x", design=DESIGN)
    apart = [study_signal([each], name="x", design=DESIGN).outcomes for each in (one, other)]
    for field in ("events", "distinct"):
        assert together.outcomes[field].tolist() == (apart[0] + apart[1])[field].tolist()
    assert together.comparisons["p_value"].between(0, 1).all()


def test_what_else_is_tested_is_corrected_and_never_says_more_than_what_decides():
    bars = simulate_bars(900, seed=12)
    watched = RULES["rolling_low"](weeks=8).on(MarketView(bars=bars, timeframe="1d", symbol="A"))
    study = study_signal([watched], name="x", design=DESIGN, calibrated=False)
    pool = pool_signals([watched])
    ahead = forward_outcomes(pool, 5)
    others = placebo_breaks(placebo_events(pool, DESIGN.factors()), ahead)[0]
    alone, _ = compare(ahead.weights(), others, ahead.forward, ahead.volatility, 5)
    assert study.deciding["p_value"] == alone.p_value
    rest = study.comparisons["p_value"].drop((5, "placebo"))
    assert (rest >= alone.p_value).all()
    matched = matched_weights(ahead.weights(), ahead.volatility)
    plain, _ = compare(ahead.weights(), matched, ahead.forward, ahead.volatility, 5)
    assert rest[5, "matched"] > plain.p_value


def test_a_market_and_its_twin_say_no_more_than_the_market():
    """The same prices under two names: as many distinct dates, the same p-values."""
    bars = simulate_bars(800, seed=6)
    rows = range(100, 780, 30)
    alone = study_signal([signal(bars, rows)], name="x", design=DESIGN)
    twins = [signal(bars, rows, name) for name in ("A", "B")]
    together = study_signal(twins, name="x", design=DESIGN)
    pd.testing.assert_frame_equal(alone.comparisons, together.comparisons)
    assert (alone.outcomes["distinct"] == together.outcomes["distinct"]).all()
    assert (alone.outcomes["effective"] == together.outcomes["effective"]).all()


def test_placebos_are_the_rule_on_each_factor():
    bars = simulate_bars(700, seed=7)
    watched = RULES["rolling_low"](weeks=6).on(MarketView(bars=bars, timeframe="1d", symbol="A"))
    pool = pool_signals([watched])
    ahead = forward_outcomes(pool, 5)
    factors = np.array([0.9, 1.0, 1.1])
    total, drawn = placebo_breaks(placebo_events(pool, factors), ahead)
    study = study_signal([watched], name="x", design=DESIGN)
    own = drawn[drawn["factor"] == 1.0].iloc[0]
    assert own["distinct"] == study.outcomes.loc[5, "distinct"]
    assert own["mean"] == pytest.approx(study.outcomes.loc[5, "mean"])
    assert total.sum() == pytest.approx(drawn["distinct"].sum())
    assert len(study.placebos) == 40 * 2
    mine = study.placebos[study.placebos["horizon"] == 5]
    weighted = np.average(mine["mean"].fillna(0), weights=mine["distinct"])
    assert study.comparisons.loc[(5, "placebo"), "mean"] == pytest.approx(weighted)
    assert study.placebo_rank == pytest.approx((mine["mean"].dropna() < own["mean"]).mean())
    again = study_signal([watched], name="x", design=DESIGN)
    pd.testing.assert_frame_equal(study.comparisons, again.comparisons)


def test_the_future_beyond_the_horizon_changes_nothing():
    bars = simulate_bars(500, seed=8)
    rows = range(50, 400, 30)
    whole = study_signal([signal(bars, rows)], name="x", design=DESIGN)
    part = study_signal([signal(bars.iloc[:420], rows)], name="x", design=DESIGN)
    pd.testing.assert_series_equal(
        whole.outcomes.loc[5].drop("effective"), part.outcomes.loc[5].drop("effective")
    )


@pytest.mark.parametrize(
    ("figures", "matters", "verdict", "rejects"),
    [
        ((0.001, -0.20, -0.30, -0.10), None, "lower", True),
        ((0.001, 0.20, 0.10, 0.30), 0.3, "higher", True),
        ((0.60, -0.02, -0.12, 0.08), None, "undecided", False),
        ((0.60, -0.02, -0.12, 0.08), 0.10, "undecided", False),  # would not have been found
        ((0.60, -0.02, -0.12, 0.08), 0.15, "negligible", False),
        ((0.06, -0.08, -0.18, 0.02), 0.15, "undecided", False),  # may be as large for all we know
        ((0.06, 0.08, -0.02, 0.18), 0.15, "undecided", False),
        ((math.nan, 0.5, 0.4, 0.6), 0.2, "too few", False),
    ],
)
def test_the_test_decides_and_nothing_is_negligible_that_would_not_have_been_found(
    figures, matters, verdict, rejects
):
    study = study_signal([signal(simulate_bars(300, seed=9), range(30, 280, 25))], name="x")
    rows = study.comparisons.copy()
    rows.loc[(30, "matched"), ["p_value", "adjusted", "low", "high"]] = figures
    power = study.power.assign(effect=[0.05, 0.10, 0.15, 0.075, 0.15, 0.225])
    changed = replace(
        study, comparisons=rows, power=power, design=replace(study.design, smallest_effect=matters)
    )
    assert changed.detectable == 0.15
    assert changed.verdict == verdict
    assert changed.rejects is rejects


def null_p_values(seed):
    bars = simulate_bars(1_500, seed=seed)
    watched = RULES["rolling_low"](weeks=10).on(MarketView(bars=bars, timeframe="1d"))
    design = StudyDesign(horizons=(10,), decides=10, draws=60, seed=seed)
    study = study_signal([watched], name="null", design=design, calibrated=False)
    return study.comparisons["p_value"].loc[10]


def test_where_levels_mean_nothing_it_rejects_about_one_time_in_twenty(draws):
    """Of 150 markets, GARCH with jumps, 7.5 are expected to reject, give or take 2.7.

    The whole promise, 300 longer markets of each of eight kinds, is `benchmarks/null_study.py`.
    """
    markets = draws(50, 150)
    found = pd.DataFrame([null_p_values(seed) for seed in range(markets)])
    assert found.notna().all(axis=None)
    shares = (found <= 0.05).mean()
    # Two deviations of a share, rounded up to a whole market.
    most = 0.05 + 2 * math.sqrt(0.05 * 0.95 / markets) + 1 / markets
    for against in ("all", "matched", "placebo"):
        assert shares[against] <= most, against
    assert shares["placebo"] >= 0.01
    # Not only at 5 %: p-values spread over the whole unit interval.
    assert found["placebo"].quantile([0.25, 0.5, 0.75]).tolist() == pytest.approx(
        [0.25, 0.5, 0.75], abs=3 * math.sqrt(0.25 / markets)
    )


def test_pooled_coins_that_move_together_reject_about_one_time_in_twenty(draws):
    """Three coins with a correlation of 0.7 that begin at different times, on one calendar."""
    markets, found = draws(40, 150), []
    for seed in range(markets):
        rng = np.random.default_rng([seed, 5])
        signals = []
        common = rng.standard_t(5, 1_200)
        for name, begin in zip("ABC", (0, 200, 600), strict=True):
            own = 0.02 * (math.sqrt(0.7) * common + math.sqrt(0.3) * rng.standard_t(5, 1_200))
            close = np.exp(np.cumsum(own))[begin:]
            index = pd.date_range("2015-01-05", periods=1_200, freq="1D", tz="UTC", unit="ns")
            columns = dict.fromkeys(("open", "high", "low", "close"), close)
            bars = pd.DataFrame(columns, index=index[begin:].rename("open_time"))
            market = MarketView(bars=bars, timeframe="1d", symbol=name)
            signals.append(RULES["rolling_low"](weeks=10).on(market))
        design = StudyDesign(horizons=(10,), decides=10, draws=40, seed=seed)
        study = study_signal(signals, name="null", design=design, calibrated=False)
        found.append(study.deciding["p_value"])
        assert study.outcomes.loc[10, "effective"] < study.outcomes.loc[10, "events"]
    rejected = np.mean(np.array(found) <= 0.05)
    assert rejected <= 0.05 + 2 * math.sqrt(0.0475 / markets) + 1 / markets


def test_where_a_break_is_followed_by_a_fall_it_is_found(draws):
    """After each break of the low the price loses a fifth of a deviation a bar for ten bars."""
    found, markets = 0, draws(6, 12)
    for seed in range(markets):
        rng = np.random.default_rng(seed)
        prices, fall = [100.0], 0
        for _ in range(1_500):
            broke = len(prices) > 60 and prices[-1] < min(prices[-61:-1])
            fall = 10 if broke and not fall else max(0, fall - 1)
            prices.append(prices[-1] * math.exp(rng.normal(-0.012 if fall else 0.0015, 0.02)))
        index = pd.date_range("2015-01-05", periods=1_500, freq="1D", tz="UTC", unit="ns")
        opens, closes = np.array(prices[:-1]), np.array(prices[1:])
        bars = pd.DataFrame(
            {
                "open": opens,
                "high": np.maximum(opens, closes),
                "low": np.minimum(opens, closes),
                "close": closes,
                "volume": np.nan,
            },
            index=index.rename("open_time"),
        )
        watched = RULES["rolling_low"](weeks=8).on(MarketView(bars=bars, timeframe="1d"))
        design = StudyDesign(horizons=(10,), decides=10, draws=60, placebo_distance=0.25, seed=seed)
        study = study_signal([watched], name="planted", design=design, calibrated=False)
        found += study.deciding["p_value"] <= 0.05
        assert study.deciding["adjusted"] < 0.02
    assert found >= 0.75 * markets


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"horizons": (7,)}, "must be one of them"),
        ({"horizons": (7, 7, 30)}, "must differ"),
        ({"horizons": ()}, "at least one"),
        ({"smallest_effect": -0.1}, "smallest effect"),
        ({"draws": 0}, "draws"),
        ({"alpha": 1.0}, "alpha"),
    ],
)
def test_plans_that_cannot_be_are_refused(settings, said):
    with pytest.raises(InputError, match=said):
        StudyDesign(**settings)


def test_markets_that_do_not_fit_are_refused():
    bars = simulate_bars(120, seed=10)
    one = signal(bars, [50])
    with pytest.raises(InputError, match="at least one market"):
        study_signal([], name="x")
    with pytest.raises(InputError, match="different symbols"):
        study_signal([one, one], name="x")
    with pytest.raises(InputError, match="there are none"):
        study_signal([signal(simulate_bars(15, seed=11), [9])], name="x")
    with pytest.raises(InputError, match="shorter horizon"):
        study_signal([one], name="x", design=StudyDesign(horizons=(110,), decides=110))
