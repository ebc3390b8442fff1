"""Tables of metrics: by scope and by deleveraging period."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from delever.deleveraging.period import Period
from delever.report.format import day
from delever.report.table import (
    Cell,
    Column,
    Group,
    Table,
    fraction_cell,
    mark_best,
    metric_cell,
    reading,
)
from delever.research.evaluation import SCOPES, Evaluation
from delever.stats.metrics import Metric, metric

__all__ = [
    "HEADLINE",
    "SCOPE_LABELS",
    "metric_name",
    "metrics_table",
    "period_dates",
    "period_labels",
    "periods_table",
    "phases_table",
    "scope_cell",
    "shown_metrics",
]

SCOPE_LABELS = {"whole": "Whole run", "inside": "Inside periods", "outside": "Outside periods"}
"""What the scopes are called on a page."""


HEADLINE = (
    "total_return",
    "cagr",
    "max_drawdown",
    "loss_avoided",
    "cost_of_protection",
    "volatility",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "exposure",
    "turnover",
    "trades",
)
"""The metrics that are shown first."""

_BESIDE_BENCHMARK = {
    "up_capture": SCOPES,
    "down_capture": SCOPES,
    "loss_avoided": ("inside",),
    "cost_of_protection": ("outside",),
}
"""Metrics that measure a run against its benchmark, and the scopes they are meant for."""


_PHASES = {
    "build_up": "The 30 days before the period.",
    "cascade": "From the start to the lowest close.",
    "washout": "From there to the period's end.",
    "recovery": "After it, until half the fall is regained, for 30 days at most.",
}


def metrics_table(evaluation: Evaluation, benchmark: str) -> Table:
    """Every metric in the three scopes, beside the benchmark's."""
    rows = []
    for spec in shown_metrics(evaluation.metrics):
        row = [metric_name(spec)]
        for scope in SCOPES:
            pair = [scope_cell(frame, spec, scope) for frame in _both(evaluation)]
            if spec.name in _BESIDE_BENCHMARK:
                row.extend((pair[0], Cell(text="")))
            else:
                row.extend(mark_best(pair, spec.better))
        rows.append(tuple(row))
    return Table(
        id="metrics",
        columns=(
            Column(label="", numeric=False),
            *(Column(label=label) for _ in SCOPES for label in ("strategy", benchmark)),
        ),
        groups=(
            Group(label="", width=1),
            *(Group(label=SCOPE_LABELS[scope], width=2) for scope in SCOPES),
        ),
        rows=tuple(rows),
        limit=len(HEADLINE),
        caption="The better of the two is set off. The bars of a scope are joined into one path, "
        "so yearly figures take them for the only bars there were.",
    )


def shown_metrics(metrics: pd.DataFrame, scope: str | None = None) -> list[Metric]:
    """Metrics of a frame in the order of a page: the headline ones first.

    Raises
    ------
    InputError
        If a name is not in the registry.
    """
    first = [name for name in HEADLINE if name in metrics.index]
    ordered = [*first, *metrics.index.difference(first, sort=False)]
    return [metric(name) for name in ordered if scope is None or _meant_for(name, scope)]


def scope_cell(metrics: pd.DataFrame, spec: Metric, scope: str) -> Cell:
    """Write a metric in a scope; empty where it is not meant for that scope."""
    if not _meant_for(spec.name, scope):
        return Cell(text="")
    return metric_cell(reading(metrics, spec.name, scope), spec)


def metric_name(spec: Metric) -> Cell:
    """Name of a metric, with its unit where the number does not show it."""
    unit = {"days": ", days", "per_year": ", per year"}.get(spec.unit, "")
    return Cell(text=f"{spec.label}{unit}", title=spec.formula)


def period_labels(periods: Sequence[Period]) -> dict[str, str]:
    """A short name for each period: the month of its trough, and the day where months repeat."""
    months = [f"{period.trough:%b %Y}" for period in periods]
    return {
        period.id: month if months.count(month) == 1 else f"{period.trough:%d %b %Y}"
        for period, month in zip(periods, months, strict=True)
    }


def period_dates(period: Period) -> str:
    """First and last day of a period, both of them inside, UTC."""
    return f"{day(period.start)} to {day(period.end - pd.Timedelta(1, unit='ns'))}"


def periods_table(evaluation: Evaluation, benchmark: str) -> Table:
    """What each deleveraging period did to the strategy and to the benchmark."""
    rows = []
    for period in evaluation.periods:
        part = " The run covers it only in part." if period in evaluation.cut_periods else ""
        room = max((period.end - period.start) * 0.6, pd.Timedelta(days=10))
        about = Cell(
            text=period.title,
            order=f"{period.start:%Y-%m-%d %H:%M}",
            note=f"{period_dates(period)}. {period.cause}{part}".strip(),
            zoom=(f"{period.start - room:%Y-%m-%d %H:%M}", f"{period.end + room:%Y-%m-%d %H:%M}"),
        )
        rows.append((about, *_outcome(evaluation, period.id)))
    return _outcomes("periods", "Period", rows, benchmark)


def phases_table(evaluation: Evaluation, benchmark: str) -> Table:
    """What each phase, over all periods, did to the strategy and to the benchmark."""
    rows = []
    for phase, rule in _PHASES.items():
        bars = reading(evaluation.metrics, "bars", phase)
        if bars:
            about = Cell(text=phase.replace("_", "-"), note=f"{bars:.0f} bars. {rule}")
            rows.append((about, *_outcome(evaluation, phase)))
    return _outcomes(
        "phases",
        "Phase",
        rows,
        benchmark,
        caption="Drawn with hindsight, over the periods the run covers whole. "
        "One period's recovery may be the next one's build-up.",
    )


def _outcome(evaluation: Evaluation, scope: str) -> tuple[Cell, ...]:
    """Returns, loss avoided, drawdowns and exposure in one scope."""
    own, other = _both(evaluation)
    shown = (
        (own, "total_return"),
        (other, "total_return"),
        (own, "loss_avoided"),
        (own, "max_drawdown"),
        (other, "max_drawdown"),
    )
    values = [fraction_cell(reading(frame, name, scope)) for frame, name in shown]
    return (*values, metric_cell(reading(own, "exposure", scope), metric("exposure")))


def _outcomes(
    id_: str, first: str, rows: Sequence[tuple[Cell, ...]], benchmark: str, caption: str = ""
) -> Table:
    """Rows of `_outcome` under their headings."""
    return Table(
        id=id_,
        columns=(
            Column(label=first, numeric=False),
            Column(label="strategy"),
            Column(label=benchmark),
            Column(label="loss avoided", title=metric("loss_avoided").formula),
            Column(label="strategy"),
            Column(label=benchmark),
            Column(label="exposure", title=metric("exposure").formula),
        ),
        groups=(
            Group(label="", width=1),
            Group(label="Return", width=3),
            Group(label="Max drawdown", width=2),
            Group(label="Mean", width=1),
        ),
        rows=tuple(rows),
        caption=caption,
    )


def _meant_for(name: str, scope: str) -> bool:
    return scope in _BESIDE_BENCHMARK.get(name, SCOPES)


def _both(evaluation: Evaluation) -> tuple[pd.DataFrame, pd.DataFrame]:
    return evaluation.metrics, evaluation.benchmark_metrics
