"""Tables of metrics: by scope and by deleveraging period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd

from delever.deleveraging.period import Period
from delever.report.format import day, value
from delever.report.table import (
    Cell,
    Field,
    Form,
    Table,
    fraction_cell,
    listed,
    mark_best,
    metric_cell,
    numbers,
    reading,
    speed_cell,
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
    """Every metric of the whole run and its mean over the periods, beside the benchmark's."""
    rows = []
    for spec in shown_metrics(evaluation.registry):
        whole = [scope_cell(frame, spec, "whole") for frame in _both(evaluation)]
        mean = [_period_mean(evaluation, frame, spec) for frame in _both(evaluation)]
        pairs = [
            (pair[0], Cell(text="")) if spec.against_benchmark else mark_best(pair, spec.better)
            for pair in (whole, mean)
        ]
        if any(cell.text for pair in pairs for cell in pair):
            rows.append((metric_name(spec), *pairs[0], *pairs[1]))
    return listed(
        "metrics",
        ("", *("strategy", benchmark) * 2),
        rows,
        groups=(("", 1), (SCOPE_LABELS["whole"], 2), ("Mean of a period", 2)),
        limit=len(HEADLINE),
        caption="The better of the two is set off." + missing_words(evaluation),
    )


def missing_words(evaluation: Evaluation) -> str:
    """How many bars are missing, and what that means for a year; empty where none is."""
    missing = evaluation.missing
    if not missing:
        return ""
    are = "bar is" if missing == 1 else "bars are"
    return (
        f" {missing:,} {are} missing between the first and the last: years are elapsed time, and "
        "what was held at a close was held until the next bar."
    )


def scopes_joined_table(evaluation: Evaluation, benchmark: str) -> Table:
    """Every metric over the bars inside and outside periods, each joined into one path."""
    rows = []
    for spec in shown_metrics(evaluation.registry):
        row = [metric_name(spec)]
        for scope in SCOPES[1:]:
            own, other = (scope_cell(frame, spec, scope) for frame in _both(evaluation))
            row += [own, Cell(text="") if spec.against_benchmark else other]
        rows.append(tuple(row))
    return listed(
        "scopes-joined",
        ("", *("strategy", benchmark) * 2),
        rows,
        groups=(("", 1), *((SCOPE_LABELS[scope], 2) for scope in SCOPES[1:])),
        caption="The bars of a scope are joined into a path that nobody walked: its yearly figures "
        "take their time for the only one there was, and a drawdown may span two periods.",
    )


def _period_mean(evaluation: Evaluation, metrics: pd.DataFrame, spec: Metric) -> Cell:
    """Mean over the periods; none of a yearly speed, which a few days blow up."""
    if "period" not in spec.scopes or spec.yearly or not evaluation.periods:
        return Cell(text="")
    values = metrics[[period.id for period in evaluation.periods]].loc[spec.name]
    return metric_cell(float(values.to_numpy().mean()), spec)


def shown_metrics(registry: Mapping[str, Metric]) -> list[Metric]:
    """Metrics in the order of a page: the headline ones first."""
    first = [registry[name] for name in HEADLINE]
    return [*first, *(spec for spec in registry.values() if spec not in first)]


def scope_cell(metrics: pd.DataFrame, spec: Metric, scope: Scope) -> Cell:
    """Write a metric in a scope, marked if yearly and of less; empty where it is not defined."""
    if scope not in spec.scopes:
        return Cell(text="")
    cell = metric_cell(reading(metrics, spec.name, scope), spec)
    return speed_cell(cell, reading(metrics, "days", scope)) if spec.yearly else cell


def metric_name(spec: Metric) -> Cell:
    """Name of a metric, with its unit where the number does not show it."""
    unit = {"days": ", days", "per_year": ", per year"}.get(spec.unit, "")
    return Cell(text=f"{spec.label}{unit}", title=spec.formula)


def period_labels(periods: Sequence[Period]) -> dict[str, str]:
    """A short name for each period: the month it begins in, and the day where months repeat."""
    months = [f"{period.start:%b %Y}" for period in periods]
    return {
        period.id: month if months.count(month) == 1 else f"{period.start:%d %b %Y}"
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


def phases_table(evaluation: Evaluation, benchmark: str) -> Table:
    """What each phase, over all periods, did to the strategy and to the benchmark."""
    own, other = _both(evaluation)
    exposure = evaluation.metric("exposure")
    parts = []
    for phase, rule in _PHASES.items():
        bars = reading(own, "bars", phase)
        if bars:
            about = Cell(text=phase.replace("_", "-"), note=f"{bars:.0f} bars. {rule}")
            parts.append((about, phase))

    def measured(label: str, metrics: pd.DataFrame, name: str, form: Form = fraction_cell) -> Field:
        return numbers(label, lambda part: reading(metrics, name, part[1]), form)

    return tabulate(
        "phases",
        parts,
        (
            texts("Phase", lambda part: part[0]),
            measured("strategy", own, "total_return"),
            measured(benchmark, other, "total_return"),
            measured("strategy", own, "max_drawdown"),
            measured(benchmark, other, "max_drawdown"),
            measured("exposure", own, "exposure", partial(value, unit=exposure.unit)),
        ),
        groups=(("", 1), ("Return", 2), ("Max drawdown", 2), ("Mean", 1)),
        caption="Drawn with hindsight, over the periods the run covers whole. "
        "One period's recovery may be the next one's build-up.",
    )


def _both(evaluation: Evaluation) -> tuple[pd.DataFrame, pd.DataFrame]:
    return evaluation.metrics, evaluation.benchmark_metrics
