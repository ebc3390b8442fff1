"""Tables of metrics: by scope and by deleveraging period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import pandas as pd

from delever.deleveraging.period import Period
from delever.report.format import day, value
from delever.report.table import (
    Cell,
    Column,
    Field,
    Group,
    Table,
    fraction_cell,
    mark_best,
    metric_cell,
    numbers,
    reading,
    tabulate,
    texts,
)
from delever.research.evaluation import SCOPES, Evaluation
from delever.stats.metrics import Metric, Scope

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

_PHASES = {
    "build_up": "The 30 days before the period.",
    "cascade": "From the start to the lowest close.",
    "washout": "From there to the period's end.",
    "recovery": "After it, until half the fall is regained, for 30 days at most.",
}


def metrics_table(evaluation: Evaluation, benchmark: str) -> Table:
    """Every metric in the three scopes, beside the benchmark's."""
    rows = []
    for spec in shown_metrics(evaluation.registry):
        row = [metric_name(spec)]
        for scope in SCOPES:
            pair = [scope_cell(frame, spec, scope) for frame in _both(evaluation)]
            if spec.against_benchmark:
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


def shown_metrics(registry: Mapping[str, Metric]) -> list[Metric]:
    """Metrics in the order of a page: the headline ones first."""
    first = [registry[name] for name in HEADLINE]
    return [*first, *(spec for spec in registry.values() if spec not in first)]


def scope_cell(metrics: pd.DataFrame, spec: Metric, scope: Scope) -> Cell:
    """Write a metric in a scope; empty where it is not defined in it."""
    if scope not in spec.scopes:
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


def period_returns(runs: Mapping[str, pd.DataFrame], periods: Sequence[Period]) -> pd.DataFrame:
    """Return in each period (rows, by short name) of each run, from the metrics of the runs."""
    labels = period_labels(periods)
    returns = {name: metrics.loc["total_return", list(labels)] for name, metrics in runs.items()}
    return pd.DataFrame(returns, dtype="float64").rename(index=labels)


def period_dates(period: Period) -> str:
    """First and last day of a period, both of them inside, UTC."""
    return f"{day(period.start)} to {day(period.end - pd.Timedelta(1, unit='ns'))}"


def periods_table(evaluation: Evaluation, benchmark: str) -> Table:
    """What each deleveraging period did to the strategy and to the benchmark."""
    parts = []
    for period in evaluation.periods:
        part = " The run covers it only in part." if period in evaluation.cut_periods else ""
        room = max((period.end - period.start) * 0.6, pd.Timedelta(days=10))
        about = Cell(
            text=period.title,
            order=f"{period.start:%Y-%m-%d %H:%M}",
            note=f"{period_dates(period)}. {period.cause}{part}".strip(),
            zoom=(f"{period.start - room:%Y-%m-%d %H:%M}", f"{period.end + room:%Y-%m-%d %H:%M}"),
        )
        parts.append((about, period.id))
    return _outcomes(evaluation, benchmark, id_="periods", scope="period", parts=parts)


def phases_table(evaluation: Evaluation, benchmark: str) -> Table:
    """What each phase, over all periods, did to the strategy and to the benchmark."""
    parts = []
    for phase, rule in _PHASES.items():
        bars = reading(evaluation.metrics, "bars", phase)
        if bars:
            about = Cell(text=phase.replace("_", "-"), note=f"{bars:.0f} bars. {rule}")
            parts.append((about, phase))
    return _outcomes(
        evaluation,
        benchmark,
        id_="phases",
        scope="phase",
        parts=parts,
        caption="Drawn with hindsight, over the periods the run covers whole. "
        "One period's recovery may be the next one's build-up.",
    )


def _outcomes(
    evaluation: Evaluation,
    benchmark: str,
    *,
    id_: str,
    scope: Literal["period", "phase"],
    parts: Sequence[tuple[Cell, str]],
    caption: str = "",
) -> Table:
    """Returns, loss avoided where it is defined, drawdowns and exposure in each part of a run."""
    own, other = _both(evaluation)
    avoided, exposure = evaluation.metric("loss_avoided"), evaluation.metric("exposure")

    def measured(label: str, metrics: pd.DataFrame, name: str, **more: Any) -> Field:
        form = partial(value, unit=exposure.unit) if name == exposure.name else fraction_cell
        return numbers(label, lambda part: reading(metrics, name, part[1]), form, **more)

    returns = [
        measured("strategy", own, "total_return"),
        measured(benchmark, other, "total_return"),
    ]
    if scope in avoided.scopes:
        returns.append(measured("loss avoided", own, avoided.name, title=avoided.formula))
    return tabulate(
        id_,
        parts,
        (
            texts(scope.capitalize(), lambda part: part[0]),
            *returns,
            measured("strategy", own, "max_drawdown"),
            measured(benchmark, other, "max_drawdown"),
            measured("exposure", own, exposure.name, title=exposure.formula),
        ),
        groups=(
            Group(label="", width=1),
            Group(label="Return", width=len(returns)),
            Group(label="Max drawdown", width=2),
            Group(label="Mean", width=1),
        ),
        caption=caption,
        empty="No deleveraging period of the catalogue lies in this run.",
    )


def _both(evaluation: Evaluation) -> tuple[pd.DataFrame, pd.DataFrame]:
    return evaluation.metrics, evaluation.benchmark_metrics
