"""The verdict's words, on planted rules: protective, harmful, useless, small, lucky, too few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from delever.deleveraging.period import Period
from delever.engine.backtest import backtest
from delever.report.answer_words import answer_sentence
from delever.research.answer import Answer, answer
from delever.research.evaluation import evaluate
from delever.research.luck import NullTest, null_test, timing_test
from delever.venues.costs import Costs

PERIODS, LENGTH, GAP = 12, 8, 60


def planted(periods: int = PERIODS) -> tuple[pd.DataFrame, tuple[Period, ...]]:
    """A seeded walk that falls in periods of eight days, every sixty days."""
    steps = np.random.default_rng(5).normal(0.001, 0.02, GAP * (periods + 1))
    index = pd.date_range("2015-01-01", periods=len(steps), tz="UTC", unit="ns", name="open_time")
    found = []
    for number in range(periods):
        first = GAP * (number + 1) - LENGTH
        steps[first : first + LENGTH] -= 0.03
        found.append(
            Period(
                id=f"p{number}",
                title=f"Fall {number}",
                start=index[first],
                trough=index[first + LENGTH - 1],
                end=index[first + LENGTH],
            )
        )
    close = pd.Series(100 * np.exp(np.cumsum(steps)), index=index)
    opened = close.shift(fill_value=100.0)
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    frame = {"open": opened, "high": high, "low": low, "close": close, "volume": np.nan}
    return pd.DataFrame(frame), tuple(found)


def answer_to(target: pd.Series, *, periods: int = PERIODS, tested: bool = True) -> Answer:
    bars, drawn = planted(periods)
    costs = Costs(taker_fee=0.001, slippage=0.0005)
    run, held = (
        backtest(bars, asked, timeframe="1d", costs=costs, initial_target=float(asked.iloc[0]))
        for asked in (target, target * 0 + 1)
    )
    evaluation = evaluate(name="rule", backtest=run, benchmark=held, bars=bars, periods=drawn)
    timing = timing_test(run, held, drawn, shifts=199) if tested else None
    # What the test on redrawn periods says is planted: as the timing test.
    return answer(evaluation, bars["close"], "1d", timing=timing, redrawn=timing, draws=200)


def exposures(inside: float, outside: float, periods: int = PERIODS) -> pd.Series:
    """One exposure from a day before each period to its last day, another one elsewhere."""
    bars, drawn = planted(periods)
    target = pd.Series(outside, index=bars.index)
    for period in drawn:
        day = pd.Timedelta(days=1)
        target[(target.index >= period.start - day) & (target.index < period.end - day)] = inside
    return target


def test_a_rule_that_leaves_in_time_is_protective() -> None:
    found = answer_to(exposures(0.0, 1.0))
    assert found.verdict == "protective"
    assert found.protection.count("helped") == PERIODS
    assert "Its timing was better than luck (timing: better than all " in answer_sentence(found)


def test_its_mirror_is_harmful() -> None:
    found = answer_to(exposures(1.0, 0.0))
    assert found.verdict == "harmful"
    assert "Its timing did harm" in answer_sentence(found)


def test_a_constant_half_is_small_not_skilled() -> None:
    bars, _ = planted()
    wobble = np.resize([0.5, 0.5 + 1e-9], len(bars))  # set anew each bar
    found = answer_to(pd.Series(wobble, index=bars.index))
    assert found.timing is not None
    assert found.timing.p_value > 0.05
    assert found.verdict == "mechanical"
    assert "a constant position of 50% would have saved 100% of it" in answer_sentence(found)


def test_a_random_rule_is_luck() -> None:
    bars, _ = planted()
    switches = np.random.default_rng(2).random(len(bars)) < 0.05
    target = pd.Series((np.cumsum(switches) % 2).astype(float), index=bars.index)
    found = answer_to(target)
    assert found.verdict in {"luck", "mechanical"}
    assert "better than luck" not in answer_sentence(found)


def test_what_is_always_in_does_nothing() -> None:
    found = answer_to(exposures(1.0, 1.0))
    assert found.verdict == "nothing"
    assert "did nothing in 12: 0.0 points a period" in answer_sentence(found)
    assert "nan" not in answer_sentence(found).lower()


def test_five_periods_are_too_few() -> None:
    found = answer_to(exposures(0.0, 1.0, 5), periods=5)
    assert found.verdict == "too few"
    assert "Too few periods to tell skill from luck: at least 6 are needed" in answer_sentence(
        found
    )


def test_without_a_test_the_sentence_says_so() -> None:
    assert answer_to(exposures(0.0, 1.0), tested=False).verdict == "untested"


def test_all_and_none_are_said_as_they_are_and_never_made_by_rounding() -> None:
    def beaten(statistic: float) -> str:
        return null_test(statistic, np.linspace(0.0, 1.0, 1_000), periods=PERIODS).beaten

    assert [beaten(value) for value in (2.0, 0.9985, 0.5005, 0.0015, -1.0)] == [
        *("all of", "over 99% of", "50% of", "under 1% of", "none of")
    ]


def test_both_tests_must_agree_on_skill() -> None:
    found = answer_to(exposures(0.0, 1.0))
    usual = null_test(0.1, np.linspace(0.0, 0.2, 399), periods=PERIODS)
    assert replace(found, redrawn=usual).verdict == "luck"
    alone = replace(found, redrawn=NullTest(reason="too short"))
    assert alone.verdict == "untested"
    assert "needs both tests (timing: better than all " in answer_sentence(alone)
    assert replace(found, redrawn=None).verdict == "untested"
    assert replace(alone, timing=usual).verdict == "luck"


@pytest.mark.parametrize(("drawn", "causal", "apart"), [(0.05, -0.03, True), (0.05, 0.02, False)])
def test_drawn_and_detected_periods_may_disagree(drawn: float, causal: float, apart: bool) -> None:
    found = answer_to(exposures(0.0, 1.0), tested=False)
    other = replace(
        found,
        saved=replace(found.saved, mean=drawn),
        causal_saved=replace(found.saved, mean=causal),
    )
    assert other.disagrees is apart
