"""A backtest measured inside and outside deleveraging periods, beside its benchmark."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.bars import close_times, elapsed_years, missing_bars
from delever.deleveraging.membership import overlapping, per_period
from delever.deleveraging.period import Period
from delever.deleveraging.phases import PHASES, phases
from delever.engine.backtest import Backtest
from delever.errors import InputError
from delever.stats.metrics import (
    SCOPES,
    AsMetric,
    Metric,
    Sample,
    Scope,
    compute_scopes,
    find,
    register,
)

__all__ = [
    "SCOPES",
    "Evaluation",
    "common_span",
    "evaluate",
    "sample_of",
    "scope_masks",
    "windowed",
]

_SCOPES: Mapping[str, Scope] = MappingProxyType(
    {scope: scope for scope in SCOPES} | dict.fromkeys(PHASES, "phase")
)

_HELD = frozenset({"exposure", "turnover", "trades", "closed_pnl"})
"""What metrics read of an account that returns alone do not show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One strategy's run, its benchmark's, and every metric in every scope."""

    name: str  # name of the study
    backtest: Backtest  # over the same bars
    benchmark: Backtest
    bars: pd.DataFrame  # shape (n, 5): the bars of the run, without warm-up bars
    # shape (n, k): what the strategy looked at at each close, on the price scale; often no column
    lines: pd.DataFrame
    periods: tuple[Period, ...]  # those that hold at least one bar of the run, in order of time
    registry: Mapping[str, Metric]  # what was measured: the package's metrics and the user's
    # rows: names of the registry. Columns: ``whole``, ``inside``, ``outside``, the phases
    # (``build_up``, ``cascade``, ``washout``, ``recovery``, over all periods the run covers whole;
    # one period's recovery may be another's build-up) and each period's id. NaN where a metric is
    # undefined, as it is outside its scopes.
    metrics: pd.DataFrame
    benchmark_metrics: pd.DataFrame  # the same for the benchmark
    undecided: int = 0  # bars at the beginning that were flat because nothing had been decided yet
    # shape (n, symbols): of a run of several, the last close of each at each row, NaN before one;
    # its ``bars`` are then an index of all of them in equal parts
    closes: pd.DataFrame | None = None

    @property
    def span(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Open of the first bar and close of the last, UTC."""
        index = pd.DatetimeIndex(self.bars.index)
        return index[0], close_times(index[-1:], self.backtest.timeframe)[0]

    @property
    def years(self) -> float:
        """Elapsed years of 365 days."""
        return elapsed_years(pd.DatetimeIndex(self.bars.index), self.backtest.timeframe)

    @property
    def missing(self) -> int:
        """How many bars are missing between the first and the last."""
        return missing_bars(pd.DatetimeIndex(self.bars.index), self.backtest.timeframe)

    @property
    def cut_periods(self) -> tuple[Period, ...]:
        """Periods the run sees only in part, because it begins or ends inside them."""
        start, end = self.span
        return tuple(p for p in self.periods if p.start < start or p.end > end)

    def scope(self, column: str) -> Scope:
        """What of the run a column of the metrics is about."""
        return _SCOPES.get(column, "period")

    def metric(self, name: str) -> Metric:
        """Look up what was measured.

        Raises InputError if there is no such metric; the message lists those there are.
        """
        return find(name, self.registry)

    def _repr_html_(self) -> str:
        return self.metrics[list(SCOPES)]._repr_html_()  # type: ignore[no-any-return, operator]


def evaluate(
    *,
    name: str,
    backtest: Backtest,
    benchmark: Backtest,
    bars: pd.DataFrame,
    periods: Sequence[Period],
    metrics: Iterable[AsMetric] = (),
    lines: pd.DataFrame | None = None,
    undecided: int = 0,
    closes: pd.DataFrame | None = None,
) -> Evaluation:
    """Measure a backtest over the whole run, inside all periods, outside, and in each.

    `bars` are those of the run, without warm-up bars; `lines` what the strategy looked at; `closes`
    the last closes of each of several symbols. The first `undecided` bars, before a decision was in
    force, belong to the whole alone. Periods without a bar of the run are left out.

    Raises InputError if the benchmark ran over other bars, or a metric has the name or label of
    another.
    """
    if not benchmark.ledger.index.equals(backtest.ledger.index):
        raise InputError(f"{name}: the benchmark must run over the same bars as the strategy")
    index = pd.DatetimeIndex(backtest.ledger.index)
    timeframe = backtest.timeframe
    seen = overlapping(periods, index, timeframe)
    each = scope_masks(index, timeframe, seen)
    parts: dict[str, np.ndarray] = {scope: each.pop(scope) for scope in SCOPES}
    for scope in ("inside", "outside"):  # flat for want of history is no performance
        parts[scope] &= np.arange(len(index)) >= undecided
    parts |= _phase_masks(bars["close"], timeframe, seen) | each
    registry = register(metrics)
    return Evaluation(
        name=name,
        backtest=backtest,
        benchmark=benchmark,
        bars=bars,
        lines=pd.DataFrame(index=bars.index) if lines is None else lines,
        periods=seen,
        registry=registry,
        metrics=_measure(backtest, benchmark, parts, registry),
        benchmark_metrics=_measure(benchmark, benchmark, parts, registry),
        undecided=undecided,
        closes=closes,
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
    """The stretch of time that every evaluation covers. Raises InputError if there is none."""
    start = max(e.span[0] for e in evaluations)
    end = min(e.span[1] for e in evaluations)
    if start >= end:
        spans = "; ".join(
            f"{e.name} {e.span[0]:%Y-%m-%d}..{e.span[1]:%Y-%m-%d}" for e in evaluations
        )
        raise InputError(f"runs must overlap in time to be compared; got {spans}")
    return start, end


def windowed(evaluation: Evaluation, start: pd.Timestamp, end: pd.Timestamp) -> Evaluation:
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
        lines=evaluation.lines.loc[inside],
        periods=evaluation.periods,
        metrics=evaluation.registry.values(),
        undecided=max(evaluation.undecided - int((index < start).sum()), 0),
        closes=None if evaluation.closes is None else evaluation.closes.loc[inside],
    )


def sample_of(backtest: Backtest, benchmark: Backtest | None) -> Sample:
    """What metrics read of a run, beside its benchmark where there is one."""
    return Sample(
        returns=backtest.returns,
        benchmark=None if benchmark is None else benchmark.returns,
        exposure=backtest.ledger["exposure"],
        turnover=backtest.ledger["turnover"],
        trades=backtest.trades,
        timeframe=backtest.timeframe,
    )


def _measure(
    backtest: Backtest,
    benchmark: Backtest,
    parts: Mapping[str, np.ndarray],
    registry: Mapping[str, Metric],
) -> pd.DataFrame:
    sample = sample_of(backtest, benchmark)
    table = compute_scopes(sample, parts, registry.values(), scopes=_SCOPES)
    if not backtest.known:
        unseen = [
            name
            for name, each in registry.items()
            if _HELD.intersection(inspect.signature(each.compute).parameters)
        ]
        table.loc[unseen] = np.nan
    return table
