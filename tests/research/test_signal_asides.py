"""A signal split by conditions, varied, and planned."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from delever.errors import InputError
from delever.report.pages.signal_asides import condition_table, map_sentence, plan_sentence
from delever.research.null_markets import simulate_bars
from delever.research.signal.conditions import study_conditions
from delever.research.signal.level_break import Signal
from delever.research.signal.level_rules import RULES
from delever.research.signal.pool import forward_outcomes, pool_signals
from delever.research.signal.robustness import map_signals
from delever.research.signal.study import StudyDesign, study_signal
from delever.research.signal.study_plan import plan_study
from delever.view import MarketView


def market(seed, bars=1_500, symbol="A"):
    return MarketView(bars=simulate_bars(bars, seed=seed), timeframe="1d", symbol=symbol)


def own_events(seen, rows):
    event = pd.Series(False, index=seen.index)
    event.iloc[list(rows)] = True
    return Signal(market=seen, event=event, known=pd.Series(True, index=seen.index))


def test_conditions_are_two_way_tables_tested_exactly():
    pool = pool_signals([own_events(market(1, 600), range(40, 580, 20))])
    ahead = forward_outcomes(pool, 10)
    rose = ahead.forward[:, 0] > 0
    rng = np.random.default_rng(2)
    fair = (rng.random((len(rose), 1)) < 0.5).astype(float)
    fair[np.flatnonzero(ahead.event)[:3]] = np.nan
    table = study_conditions(pool, {"fair": fair, "told": rose[:, None].astype(float)}, 10)
    events = np.flatnonzero(ahead.event[:, 0])
    held = fair[events, 0]
    counts = [
        [int((rose[events] & (held == side)).sum()), int((~rose[events] & (held == side)).sum())]
        for side in (1.0, 0.0)
    ]
    row = table.loc["fair"]
    assert row[["with_rose", "without_rose"]].tolist() == [counts[0][0], counts[1][0]]
    assert row["with_events"] + row["without_events"] == len(events) - 3
    assert row["unknown"] == 3
    exact = scipy_stats.fisher_exact(counts)[1]
    told = table.loc["told", "p_value"]
    assert told < 0.001  # all that rose are on one side
    assert row["p_value"] == pytest.approx(max(exact, told))
    assert table.loc["told", "least"] == pytest.approx(told)
    assert row["least"] <= row["p_value"]
    assert table.loc["told", "with_usual"] == 1.0
    mine = ahead.forward[events][held == 1.0]
    assert row["with_mean"] == pytest.approx(mine.mean())


def test_cells_of_three_are_said_to_be_too_few():
    pool = pool_signals([own_events(market(3, 400), range(40, 360, 40))])
    few = np.zeros((len(pool.index), 1))
    few[np.flatnonzero(pool.event)[:2]] = 1.0
    table = study_conditions(pool, {"few": few, "never": np.zeros_like(few)}, 10)
    assert table.loc["few", "least"] > 0.03  # 2 of 8: one of 28 ways
    assert math.isnan(table.loc["never", "p_value"])
    written = condition_table(table, 10)
    assert [row[1].note for row in written.rows] == ["too few to say"] * 2
    assert written.rows[0][4].note == ""
    for decided, least in ((math.nan, 0.0), (0.97, 0.97)):
        gated = study_conditions(pool, {"few": few}, 10, decided=decided)
        assert gated["p_value"].tolist() == [max(table.loc["few", "p_value"], least)]


def test_conditions_without_a_meaning_are_found_seldom(draws):
    """Volatility above its median, and a coin: Fisher's test is exact and so on the safe side."""
    rejected, number = 0, draws(40, 200)
    for seed in range(number):
        pool = pool_signals([RULES["rolling_low"](weeks=8).on(market(seed, 1_200))])
        wild = (pool.volatility > np.nanmedian(pool.volatility)).astype(float)
        coin = np.random.default_rng(seed).integers(0, 2, wild.shape).astype(float)
        table = study_conditions(pool, {"wild": wild, "coin": coin}, 10)
        rejected += bool((table["p_value"] <= 0.05).any())
    assert rejected <= 0.05 * number + 2 * math.sqrt(0.0475 * number)


DESIGN = StudyDesign(horizons=(5, 20), decides=5, draws=40)


def variants(*markets):
    return {
        f"{weeks} weeks": [RULES["rolling_low"](weeks=weeks).on(one) for one in markets]
        for weeks in (6, 8, 12)
    }


def test_a_cell_of_a_map_is_the_study_of_its_variant():
    seen = market(4)
    found = map_signals(variants(seen), design=DESIGN)
    assert len(found.cells) == 3 * 2
    signal = RULES["rolling_low"](weeks=6).on(seen)
    study = study_signal([signal], name="x", design=DESIGN, calibrated=False)
    cell = found.cells.sort_index().loc[("6 weeks", "A", 5)]
    assert cell["distinct"] == study.outcomes.loc[5, "distinct"]
    assert cell["adjusted"] == pytest.approx(study.deciding["adjusted"], rel=1e-9)
    assert cell["p_value"] >= study.deciding["p_value"]
    only = map_signals({"6 weeks": variants(seen)["6 weeks"]}, design=DESIGN)
    assert only.cells["p_value"].min() <= found.cells["p_value"].xs("6 weeks").min()
    assert "Of 6 cells" in map_sentence(found)
    gated = map_signals(variants(seen), design=DESIGN, decided=0.9).cells["p_value"]
    assert gated.tolist() == found.cells["p_value"].clip(lower=0.9).tolist()
    with pytest.raises(InputError, match="at least one variant"):
        map_signals({})


def test_more_markets_cost_more_correction():
    one, other = market(5, symbol="A"), market(6, symbol="B")
    alone = map_signals(variants(one), design=DESIGN).cells["p_value"]
    both = map_signals(variants(one, other), design=DESIGN).cells
    assert len(both) == 12
    assert (both["p_value"].loc[alone.index] >= alone).all()


def test_a_map_of_nothing_shows_any_find_in_one_of_twenty(draws):
    number = draws(30, 150)
    found = sum(
        map_signals(variants(market(seed, 1_200)), design=DESIGN).found > 0
        for seed in range(200, 200 + number)
    )
    assert found <= 0.05 * number + 2 * math.sqrt(0.0475 * number)


def test_a_plan_grows_by_the_root_and_agrees_with_a_study():
    seen = market(7, 3_000)
    signal = RULES["rolling_low"](weeks=10).on(seen)
    pool = pool_signals([signal])
    plan = plan_study(pool, 0.05, design=StudyDesign(horizons=(20,), decides=20, draws=60))
    effects = plan.table["effect"]
    assert effects.is_monotonic_decreasing
    assert effects[5] / effects[27] == pytest.approx(math.sqrt(27 / 5), rel=0.35)
    study = study_signal(
        [signal], name="x", design=StudyDesign(horizons=(20,), decides=20, draws=60)
    )
    planned = np.interp(plan.distinct, effects.index, effects)
    assert planned == pytest.approx(study.power["effect"].xs(1.0, level=1).mean(), rel=0.4)
    assert plan.events > plan.distinct
    assert plan.more_years == pytest.approx(
        (plan.events - plan.distinct) * plan.years / plan.distinct
    )
    # Coins that move together by 0.7 are worth at most 1 / 0.7 coins.
    assert math.isinf(plan.coins) == (plan.distinct <= plan.events * 0.7)
    assert "found in 80%" in plan_sentence(plan)
    large = plan_study(pool, 0.9, design=StudyDesign(horizons=(20,), decides=20, draws=60))
    assert large.events == 5
    assert "suffice" in plan_sentence(large)
    assert large.coins == 1


def test_a_plan_needs_a_history():
    pool = pool_signals([own_events(market(8, 120), [60])])
    with pytest.raises(InputError, match="at least 5 holding periods"):
        plan_study(pool, 0.1, design=StudyDesign(horizons=(60,), decides=60))
    with pytest.raises(InputError, match="between 0 and 1"):
        plan_study(pool, 0.0)
