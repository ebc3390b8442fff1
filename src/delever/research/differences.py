"""How runs differ from their benchmarks and from each other, and whether by more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.engine.backtest import Backtest
from delever.research.answer import Answer
from delever.research.evaluation import Evaluation
from delever.stats.families import Measure, against, best_set, pairwise
from delever.stats.returns import daily_returns
from delever.units import DAYS_PER_YEAR

MEASURES: tuple[Measure, ...] = ("growth", "sharpe")
_CONFIDENCE = 0.9
_NOT_TESTED = "the runs do not stand on the same bars, so their differences are not tested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Several runs beside their benchmarks and beside each other, over one span.

    What cannot be said is NaN, and its ``reason`` says why.
    """

    # by measure, a row per run: what `delever.stats.families.against` found, each per year
    benchmark: Mapping[Measure, pd.DataFrame]
    # by measure, a row per pair, labelled by both: the first run less the second
    pairs: Mapping[Measure, pd.DataFrame]
    # by run: how well it may be the one that grows most, `delever.stats.families.best_set`
    best: pd.Series
    correlation: pd.DataFrame  # of daily returns, or of bars longer than a day
    confidence: float
    days: float  # elapsed, of the span
    reason: str = ""  # why nothing is tested


def differences(runs: Mapping[str, Evaluation]) -> Differences:
    """Compare runs, by label, that were measured over the same span.

    Bars shorter than a day are compounded to days first. A benchmark that several runs share is one
    and the same for all of them; else each run stands beside its own.
    """
    done = list(runs.values())
    returns = [_days(each.backtest) for each in done]
    beside = [_days(each.benchmark) for each in done]
    alike = all(each.index.equals(returns[0].index) for each in [*returns, *beside])
    joined = pd.concat(returns, axis=1, join="inner", keys=list(runs), sort=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = joined.corr()
    labels = list(runs)
    beside_it: dict[Measure, pd.DataFrame] = {}
    pairs: dict[Measure, pd.DataFrame] = {}
    best = pd.Series(np.nan, index=labels)
    if alike:
        yearly = len(joined) / done[0].years
        each, bench = joined.to_numpy(), np.stack([row.to_numpy() for row in beside], axis=1)
        for m in MEASURES:
            one = against(each, bench, yearly, measure=m, confidence=_CONFIDENCE)
            two = pairwise(each, yearly, measure=m, confidence=_CONFIDENCE)
            beside_it[m], pairs[m] = one.set_axis(labels), _labelled(two, labels)
        best = pd.Series(best_set(each), index=labels)
    return Differences(
        benchmark=beside_it,
        pairs=pairs,
        best=best,
        correlation=correlation,
        confidence=_CONFIDENCE,
        days=done[0].years * DAYS_PER_YEAR,
        reason="" if alike else _NOT_TESTED,
    )


def _days(run: Backtest) -> pd.Series:
    return daily_returns(run.returns)


def _labelled(table: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Rows named by the two runs compared."""
    names = [[labels[place] for place in table[end]] for end in ("first", "second")]
    index = pd.MultiIndex.from_arrays(names, names=["first", "second"])
    return table.drop(columns=["first", "second"]).set_axis(index)


def points_saved(answers: Mapping[str, Answer]) -> pd.DataFrame:
    """Return less the benchmark's, a row per period in order of time and a column per run."""
    frames = [each.protection.periods for each in answers.values()]
    order = pd.concat([frame["start"] for frame in frames]).groupby(level=0).min().sort_values()
    columns = {
        label: frame["points_saved"].reindex(order.index)
        for label, frame in zip(answers, frames, strict=True)
    }
    return pd.DataFrame(columns, index=order.index.rename("period"))
