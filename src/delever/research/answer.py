"""The answer of a run: did it protect, what did it cost, and is it more than luck.

The period is the unit of what happened inside, the bar of everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from delever.deleveraging.detect import detect, detected_periods
from delever.deleveraging.membership import membership
from delever.deleveraging.period import Period
from delever.research.evaluation import Evaluation
from delever.research.luck import NullTest
from delever.research.protection import SAME, Protection, protection
from delever.stats.bootstrap import (
    Estimate,
    growth,
    growth_difference,
    sharpe,
    sharpe_difference,
)
from delever.stats.returns import daily_returns
from delever.stats.sign_flip import MeanOfFew, sign_flip

LEVEL = 0.05
"""A test says more than luck at or below this two-sided p-value."""

CONFIDENCE = 0.9
"""Of every interval."""

FEWEST = 6
"""Periods below which the sign-flip test cannot reach `LEVEL`: 2 / 2 ** 5 is above it."""

_BY_SIZE, _BOTH = 0.75, 2

Verdict = Literal[
    "ruined",
    "no periods",
    "too few",
    "harmful",
    "protective",
    "nothing",
    "mechanical",
    "luck",
    "untested",
]
"""What may be said of the protection, by the rules of docs/methods.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A run's protection, how sure it is, and what luck would have done."""

    protection: Protection  # on the periods of the run
    detected: bool  # whether those are detected ones, for want of periods drawn with hindsight
    saved: MeanOfFew  # mean points saved per period
    payout: MeanOfFew  # mean log payout per period
    # on the periods that a causal detector saw, known when they began; None where there are none,
    # or they are those of the run
    causal: Protection | None
    causal_saved: MeanOfFew | None
    # by name: `sharpe_ratio` and `growth` (log, a year), each with `benchmark_` and `_difference`,
    # and `premium`, the difference of growth outside periods, a year of the run
    estimates: Mapping[str, Estimate]
    timing: NullTest | None
    redrawn: NullTest | None
    liquidations: int  # times that a position was closed by force

    @property
    def verdict(self) -> Verdict:
        """What may be said of the protection."""
        return verdict(self)

    @property
    def disagrees(self) -> bool:
        """Whether detected periods tell another story: help in one place, harm in the other."""
        if self.causal_saved is None:
            return False
        drawn, causal = self.saved.mean, self.causal_saved.mean
        return bool(max(drawn, causal) > 0.0 > min(drawn, causal)) and not (
            max(abs(drawn), abs(causal)) < SAME
        )


def verdict(found: Answer) -> Verdict:
    """Say what may be said of a run's protection: the first rule of docs/methods.md that holds."""
    if found.protection.ruined is not None:
        return "ruined"
    shown = found.protection.insured
    if shown.empty:
        return "too few" if found.protection.count("not begun") else "no periods"
    if len(shown) < FEWEST:
        return "too few"
    tests = [test for test in (found.timing, found.redrawn) if test is not None and test.known]
    surprising = all(test.p_value <= LEVEL for test in tests)  # as far as they were made
    if surprising and len(tests) == _BOTH:
        if all(test.share_worse < 0.5 for test in tests):
            return "harmful"
        if all(test.share_worse > 0.5 for test in tests) and found.payout.mean > 0:
            return "protective"
    if (shown["outcome"] == "nothing").all():
        return "nothing"
    by_size = 1.0 - float((shown["timing"] ** 2).sum() / (shown["payout"] ** 2).sum())
    if found.payout.low > 0 and by_size >= _BY_SIZE:
        return "mechanical"
    return "untested" if surprising and len(tests) < _BOTH else "luck"


def answer(
    evaluation: Evaluation,
    closes: pd.Series,
    timeframe: str,
    *,
    timing: NullTest | None = None,
    redrawn: NullTest | None = None,
    draws: int = 1_000,
    seed: int = 0,
) -> Answer:
    """Answer for a run; periods are detected on `closes`, with what came before the run."""
    run, benchmark = evaluation.backtest, evaluation.benchmark
    causal = causal_periods(closes, timeframe)
    split_of = partial(protection, run, benchmark, undecided=evaluation.undecided)
    split = split_of(evaluation.periods or causal)
    beside = split_of(causal) if evaluation.periods else None
    if beside is not None and beside.periods.empty:
        beside = None

    def mean(column: str, of: Protection) -> MeanOfFew:
        values = of.insured[column]
        return sign_flip(values[np.isfinite(values)], confidence=CONFIDENCE, seed=seed)

    return Answer(
        protection=split,
        detected=not evaluation.periods,
        saved=mean("points_saved", split),
        payout=mean("payout", split),
        causal=beside,
        causal_saved=None if beside is None else mean("points_saved", beside),
        estimates=estimates(evaluation, evaluation.periods or causal, draws=draws, seed=seed),
        timing=timing,
        redrawn=redrawn,
        liquidations=int((run.fills["reason"] == "liquidation").sum()),
    )


def causal_periods(closes: pd.Series, timeframe: str) -> tuple[Period, ...]:
    """Periods as the causal detector saw them, on bars of any timeframe."""
    return detected_periods(detect(closes), closes, timeframe)


def estimates(
    evaluation: Evaluation, periods: Sequence[Period], *, draws: int, seed: int
) -> dict[str, Estimate]:
    """Figures of the bars with their intervals, of the run, its benchmark and their difference."""
    run, benchmark = evaluation.backtest, evaluation.benchmark
    # Bars finer than a day follow each other too closely for blocks of them to be long enough.
    own, other = daily_returns(run.returns), daily_returns(benchmark.returns)
    options: dict[str, Any] = {
        "periods_per_year": len(own) / evaluation.years,
        "confidence": CONFIDENCE,
        "draws": draws,
        "seed": seed,
    }
    outside = ~membership(pd.DatetimeIndex(run.ledger.index), run.timeframe, periods).to_numpy()
    own_outside, other_outside = (daily_returns(each.returns[outside]) for each in (run, benchmark))
    # A premium is said per year of the run, not per year outside.
    rarer = options | {"periods_per_year": len(own_outside) / evaluation.years}
    return {
        "sharpe_ratio": sharpe(own, **options),
        "benchmark_sharpe_ratio": sharpe(other, **options),
        "sharpe_ratio_difference": sharpe_difference(own, other, **options),
        "growth": growth(own, **options),
        "benchmark_growth": growth(other, **options),
        "growth_difference": growth_difference(own, other, **options),
        "premium": growth_difference(own_outside, other_outside, **rarer),
    }
