"""How far a strategy is proven: what it passed, what it failed, and what was never asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from delever.research.answer import LEVEL, Answer
from delever.research.evaluation import Evaluation
from delever.research.luck import NullTest
from delever.research.what_if import AS_RUN, WhatIf, counterfactual_outcomes, is_neighbour
from delever.stats.bootstrap import Estimate
from delever.stats.returns import total_return

_HALF = 0.5
"""Of its growth above holding, what has to be left at other costs, later, or with neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One question put to a strategy."""

    name: str
    passed: bool | None  # None: not asked, or too little to tell
    figure: str  # what was found, in a few words; empty where nothing was
    how: str  # what asks it


def standing(rungs: Iterable[Rung], answer: Answer) -> str:
    """One word for how far it is proven: ``refuted``, ``unproven`` or ``standing``.

    ``standing`` where every rung was asked and passed; ``refuted`` where the strategy was ruined,
    or both tests of luck say harm; ``unproven`` otherwise.
    """
    if answer.verdict in ("ruined", "harmful"):
        return "refuted"
    return "standing" if all(rung.passed for rung in rungs) else "unproven"


def own_rungs(evaluation: Evaluation, answer: Answer, found: WhatIf) -> list[Rung]:
    """What a run by itself tells."""
    estimates = answer.estimates
    above = _above_holding(evaluation, found)
    neighbours = [value for name, value in above.items() if is_neighbour(name)]
    stressed = [above[name] for name in ("costs x2", "1 bar later") if name in above]
    return [
        _interval("beats holding", estimates["growth_difference"], "a year above it"),
        _interval("beats cash", estimates["growth"], "a year"),
        _tested("at the right time", answer.timing, "its own shifts in time"),
        _tested("beyond hindsight", answer.redrawn, "resampled markets"),
        _kept("costs twice as high, a bar late", above[AS_RUN], stressed, "delever run"),
        _kept(
            "neighbouring parameters",
            above[AS_RUN],
            [float(np.median(neighbours))] if neighbours else [],
            "delever run, of parameters that are numbers",
        ),
    ]


def out_of_sample(growth: float, held: float, p_value: float) -> Rung:
    """Whether a walk's choices grew more than holding, and more than those of shifted walks."""
    shifted = (
        "no shifted walks beside it"
        if math.isnan(p_value)
        else f"shifted walks do as well in {p_value:.0%}"
    )
    known = not (growth > held and math.isnan(p_value))
    return Rung(
        name="chosen out of sample",
        passed=growth > held and p_value <= LEVEL if known else None,
        figure=f"{growth:+.1%} a year, {held:+.1%} held; {shifted}",
        how="delever walk",
    )


def _interval(name: str, estimate: Estimate, unit: str) -> Rung:
    if math.isnan(estimate.low):
        return Rung(name=name, passed=None, figure="", how="delever run")
    value, low = (math.expm1(one) for one in (estimate.value, estimate.low))
    figure = f"{value:+.1%} {unit}, 90% interval from {low:+.1%}"
    return Rung(name=name, passed=estimate.low > 0.0, figure=figure, how="delever run")


def _tested(name: str, test: NullTest | None, what: str) -> Rung:
    if test is None or not test.known:
        figure = "" if test is None else test.reason
        return Rung(name=name, passed=None, figure=figure, how="delever run without --quick")
    passed = test.p_value <= LEVEL and test.share_worse > 0.5
    figure = f"better than {test.share_worse:.0%} of {what}, p = {test.p_value:.3f}"
    return Rung(name=name, passed=passed, figure=figure, how="delever run")


def _above_holding(evaluation: Evaluation, found: WhatIf) -> dict[str, float]:
    """Log growth a year above the benchmark's, of the run and of its counterfactuals."""
    held = float(np.log1p(total_return(evaluation.benchmark.returns)))
    table = counterfactual_outcomes(evaluation, found)["total_return"].dropna()
    with np.errstate(divide="ignore"):
        return {
            str(name): float((np.log1p(value) - held) / evaluation.years)
            for name, value in table.items()
        }


def _kept(name: str, own: float, others: Sequence[float], how: str) -> Rung:
    if not others:
        return Rung(name=name, passed=None, figure="", how=how)
    worst = min(others)
    figure = f"{math.expm1(worst):+.1%} a year above holding, {math.expm1(own):+.1%} as run"
    return Rung(name=name, passed=own > 0.0 and worst >= _HALF * own, figure=figure, how=how)
