"""What a page and a terminal say of a signal study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from delever.report.pages import signal_page as page
from delever.report.pages.ladder_table import ladder_table
from delever.research.null_markets import simulate_bars
from delever.research.signal.event_study import event_study
from delever.research.signal.ladder import study_ladder
from delever.research.signal.level_rules import RULES
from delever.research.signal.pool import pool_signals
from delever.research.signal.study import StudyDesign, study_signal
from delever.view import MarketView


@pytest.fixture(scope="module")
def parts():
    market = MarketView(bars=simulate_bars(900, seed=1), timeframe="1d", symbol="A <b>")
    signal = RULES["rolling_low"](weeks=8).on(market)
    design = StudyDesign(horizons=(5, 10), decides=10, draws=30)
    study = study_signal([signal], name="break of the low", design=design)
    ladder = study_ladder(pool_signals([signal]), [0.95, 0.9], 20, design=design)
    returns = market.bars[["close"]].pct_change(fill_method=None)
    events = pd.DataFrame({"close": signal.event})
    return study, ladder, event_study(returns, events)


def test_a_page_says_what_the_tables_say_and_loads_nothing(parts):
    study, ladder, abnormal = parts
    beside = {"data": ("x/ohlcv/A/1d",), "notes": ("mind this",)}
    text = page.render(study, ladder, abnormal, **beside)
    assert text == page.render(study, ladder, abnormal, **beside)
    for said in ("break of the low", "mind this", "x/ohlcv/A/1d", "A &lt;b&gt;"):
        assert said in text
    assert page.headline(study).replace(" -", " \N{MINUS SIGN}") in text
    assert "A <b>" not in text
    assert text.count('data-chart="') == 1 + 2 + 1
    assert "default-src 'none'" in text
    bare = page.render(study, None, None, data=(), notes=())
    assert "no way to further levels" in bare
    assert "No event could be used" in bare


def test_tables_write_the_figures(parts):
    study, ladder, abnormal = parts
    row = study.outcomes.loc[10]
    written = page.outcome_table(study).texts[1]
    assert written[:3] == ("10 bars", f"{row['distinct']:.0f}", f"{100 * row['mean']:.1f}%")
    assert written[5] == f"{row['events']:.0f}"
    compared = page.comparison_table(study)
    assert len(compared.rows) == 6
    marked = [cells[0].note != "" for cells in compared.rows]
    assert marked == [False] * 5 + [True]
    assert compared.texts[5][4] == f"{study.deciding['p_value']:.3f}"
    assert ladder_table(ladder).texts[0][1] == f"{100 * ladder.table['reached'].iloc[0]:.0f}%"
    (row,) = page.abnormal_table(abnormal).texts
    assert row[1] == str(len(abnormal.events))
    assert row[4] == f"{100 * abnormal.mean:.1f}%"
    power = page.power_table(study).texts
    assert [row[2] for row in power] == ["0.5 times", "1 times", "1.5 times"] * 2
    without = replace(study, power=study.power.assign(effect=np.inf, found=np.nan))
    assert [row[1:] for row in page.power_table(without).texts] == [
        ("however much", "1 times", "too seldom")
    ] * 2
    assert power[1][1] == f"{100 * study.power.loc[('rise', 1.0), 'effect']:.1f}%"
    assert len(page.event_table(study).rows) == len(study.events)


@pytest.mark.parametrize(
    ("figures", "smallest_effect", "said"),
    [
        ((0.001, -0.2, -0.3, -0.1), None, "Returns are lower"),
        ((0.6, 0.02, -0.08, 0.12), None, "No verdict"),
        ((0.6, 0.02, -0.08, 0.12), 0.2, "No effect of 20.0%"),
        ((float("nan"),) * 4, None, "nothing is tested"),
    ],
)
def test_the_sentence_says_the_verdict_and_what_could_have_been_seen(
    parts, figures, smallest_effect, said
):
    study = parts[0]
    rows = study.comparisons.copy()
    rows.loc[(10, "placebo"), ["p_value", "adjusted", "low", "high"]] = figures
    changed = replace(
        study,
        comparisons=rows,
        power=study.power.assign(effect=[0.05, 0.1, 0.15, 0.075, 0.15, 0.225]),
        design=replace(study.design, smallest_effect=smallest_effect),
    )
    written = page.headline(changed)
    assert said in written
    assert ("No verdict" in written) == (changed.verdict in {"undecided", "too few"})
    if changed.verdict != "too few":
        assert "a rise of 10.0% or a fall of 15.0% is found in 80% of such samples" in written


def test_shares_of_few_breaks_are_set_back(parts):
    ladder = parts[1]
    few = replace(ladder, table=ladder.table.assign(complete=4.0, before=4.0))
    for given, tone in ((ladder, ""), (few, "quiet")):
        for row in ladder_table(given).rows:
            assert {row[1].tone, row[2].tone, row[13].tone, row[14].tone} == {tone}
            assert row[1].text.startswith("(") == bool(tone)
