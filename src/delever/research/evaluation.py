"""A backtest measured inside and outside deleveraging periods, beside its benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.bars import close_times
from delever.deleveraging.membership import overlapping, per_period
from delever.deleveraging.period import Period
from delever.deleveraging.phases import PHASES, phases
from delever.engine.backtest import Backtest
from delever.errors import InputError
from delever.stats.metrics import Sample, compute_scopes
from delever.units import periods_per_year

__all__ = ["SCOPES", "Evaluation", "common_span", "evaluate", "scope_masks", "windowed"]

SCOPES = ("whole", "inside", "outside")
"""The scopes that make up a run; phases and single periods are further ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One strategy's run, its benchmark's, and every metric in every scope."""

    name: str  # name of the study
    backtest: Backtest  # over the same bars
    benchmark: Backtest
    bars: pd.DataFrame  # shape (n, 5): the bars of the run, without warm-up bars
    periods: tuple[Period, ...]  # those that hold at least one bar of the run, in order of time
    # rows: metric names of the registry. Columns: ``whole``, ``inside``, ``outside``, the phases
    # (``build_up``, ``cascade``, ``washout``, ``recovery``, over all periods the run covers whole;
    # one period's recovery may be another's build-up) and each period's id.
    metrics: pd.DataFrame
    benchmark_metrics: pd.DataFrame  # the same for the benchmark

    @property
    def span(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Open of the first bar and close of the last, UTC."""
        index = pd.DatetimeIndex(self.bars.index)
        return index[0], close_times(index[-1:], self.backtest.timeframe)[0]

    @property
    def cut_periods(self) -> tuple[Period, ...]:
        """Periods the run sees only in part, because it begins or ends inside them."""
        start, end = self.span
        return tuple(p for p in self.periods if p.start < start or p.end > end)

    def _repr_html_(self) -> str:
        return self.metrics[list(SCOPES)]._repr_html_()  # type: ignore[no-any-return, operator]


def evaluate(
    *,
    name: str,
    backtest: Backtest,
    benchmark: Backtest,
    bars: pd.DataFrame,
    periods: Sequence[Period],
) -> Evaluation:
    """Measure a backtest over the whole run, inside all periods, outside, and in each.

    Raises
    ------
    InputError
        If the benchmark ran over other bars.
    """
    if not benchmark.ledger.index.equals(backtest.ledger.index):
        raise InputError(f"{name}: the benchmark must run over the same bars as the strategy")
    index = pd.DatetimeIndex(backtest.ledger.index)
    timeframe = backtest.timeframe
    seen = overlapping(periods, index, timeframe)
    each = scope_masks(index, timeframe, seen)
    scopes = {scope: each.pop(scope) for scope in SCOPES}
    scopes |= _phase_masks(bars["close"], timeframe, seen) | each
    return Evaluation(
        name=name,
        backtest=backtest,
        benchmark=benchmark,
        bars=bars,
        periods=seen,
        metrics=_measure(backtest, benchmark, scopes),
        benchmark_metrics=_measure(benchmark, benchmark, scopes),
    )


def scope_masks(
    index: pd.DatetimeIndex, timeframe: str, periods: Sequence[Period]
) -> dict[str, npt.NDArray[np.bool_]]:
    """Which bars belong to each of `SCOPES`, and to each period."""
    each = {name: mask.to_numpy() for name, mask in per_period(index, timeframe, periods).items()}
    inside = np.logical_or.reduce([np.zeros(len(index), bool), *each.values()])
    return {"whole": np.ones(len(index), bool), "inside": inside, "outside": ~inside} | each


def _phase_masks(
    close: pd.Series, timeframe: str, periods: Sequence[Period]
) -> dict[str, np.ndarray]:
    """Bars in each phase of any period that the bars cover whole, with a bar before it."""
    index = pd.DatetimeIndex(close.index)
    closes = close_times(index, timeframe)
    masks = {phase: np.zeros(len(index), bool) for phase in PHASES}
    for period in periods:
        if closes[0] <= period.start and period.end <= closes[-1]:
            phase = phases(period, close, timeframe)
            rows = index.get_indexer(pd.DatetimeIndex(phase.index))
            for name in PHASES:
                masks[name][rows[phase.to_numpy() == name]] = True
    return masks


def common_span(evaluations: Sequence[Evaluation]) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The stretch of time that every evaluation covers.

    Raises
    ------
    InputError
        If there is none.
    """
    start = max(e.span[0] for e in evaluations)
    end = min(e.span[1] for e in evaluations)
    if start >= end:
        spans = "; ".join(
            f"{e.name} {e.span[0]:%Y-%m-%d}..{e.span[1]:%Y-%m-%d}" for e in evaluations
        )
        raise InputError(f"runs must overlap in time to be compared; got {spans}")
    return start, end


def windowed(
    evaluation: Evaluation,
    start: pd.Timestamp,
    end: pd.Timestamp,
    periods: Sequence[Period] | None = None,
) -> Evaluation:
    """Measure the same run again over a part of its span."""
    if (start, end) == evaluation.span:
        return evaluation
    index = pd.DatetimeIndex(evaluation.bars.index)
    inside = (index >= start) & (close_times(index, evaluation.backtest.timeframe) <= end)
    return evaluate(
        name=evaluation.name,
        backtest=evaluation.backtest.window(start, end),
        benchmark=evaluation.benchmark.window(start, end),
        bars=evaluation.bars.loc[inside],
        periods=evaluation.periods if periods is None else periods,
    )


def _measure(
    backtest: Backtest, benchmark: Backtest, scopes: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    sample = Sample(
        returns=backtest.returns,
        benchmark=benchmark.returns,
        exposure=backtest.ledger["exposure"],
        turnover=backtest.ledger["turnover"],
        trades=backtest.trades,
        periods_per_year=periods_per_year(backtest.timeframe),
    )
    return compute_scopes(sample, scopes)
