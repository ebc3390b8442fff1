"""Several runs over one span, side by side: a page, and the table a terminal prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from delever.engine.backtest import Backtest
from delever.errors import InputError
from delever.report import figures
from delever.report.format import when
from delever.report.page import Block, block, facts, render_page
from delever.report.pages.difference_tables import (
    against_table,
    correlation_table,
    pairs_table,
    protection_table,
    saved_table,
)
from delever.report.pages.metric_tables import (
    SCOPE_LABELS,
    metric_name,
    period_dates,
    period_returns,
    scope_cell,
    shown_metrics,
)
from delever.report.pages.rungs_table import compared_rungs
from delever.report.table import (
    Cell,
    Column,
    Table,
    fraction_cell,
    listed,
    mark_best,
    reading,
    tabulate,
    texts,
)
from delever.research.answer import Answer
from delever.research.differences import Differences
from delever.research.evaluation import SCOPES, Evaluation
from delever.research.rungs import Rung
from delever.stats.metrics import REGISTRY, Scope

_SUMMARY: tuple[tuple[str, Scope, str], ...] = (
    ("total_return", "whole", "Return"),
    ("cagr", "whole", "CAGR"),
    ("max_drawdown", "whole", "Max DD"),
    ("sharpe_ratio", "whole", "Sharpe"),
    ("exposure", "whole", "Exposure"),
    ("trades", "whole", "Trades"),
)
# Returns are ratios of equities: runs that hold the same differ by rounding alone.
_SAME = 1e-9


def render(
    evaluations: Mapping[str, Evaluation],
    *,
    span: tuple[pd.Timestamp, pd.Timestamp],
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    notes: Sequence[str] = (),
    assumptions: Sequence[str] = (),
    benchmark: str = "buy and hold",
    what_if: Table | None = None,
    headline: str = "",
    answers: Mapping[str, Answer] | None = None,
    found: Differences | None = None,
    rungs: Mapping[str, list[Rung]] | None = None,
) -> str:
    """Write the comparison of several runs, with their answers and how they differ.

    Raises InputError if there is no evaluation.
    """
    _, columns = _compared(evaluations, benchmark)
    first = next(iter(evaluations.values()))
    drawn = charts(evaluations, benchmark=benchmark)
    chosen = {name: dict(facts(each)) for name, each in (parameters or {}).items()}
    summary = summary_table(evaluations, benchmark=benchmark)
    return render_page(
        title="Comparison - " + ", ".join(evaluations),
        name=", ".join(evaluations),
        span=f"{when(span[0])} to {when(span[1])} UTC · beside {benchmark}",
        headline=headline,
        notes=[note for note in notes if note not in assumptions],
        blocks=[
            block("headline", "Summary", protection_table(answers) if answers else None, summary),
            block(
                "differences",
                f"Against {benchmark}",
                None if found is None else found.reason or against_table(found, benchmark),
            ),
            block("time", drawn["history"].title, drawn["history"], link="Over time"),
            block(
                "in-periods",
                "Deleveraging periods",
                saved_table(answers) if answers else None,
                drawn.get("periods"),
                _periods_table(columns, first),
                link="Periods",
            ),
            block(
                "pairs",
                "Against each other",
                None if found is None else found.reason or pairs_table(found),
            ),
            block("proven", "How far each is proven", compared_rungs(rungs) if rungs else None),
            block("correlation", "Correlation", found and correlation_table(found)),
            *_scope_blocks(evaluations, columns),
            block("what-if", "What if", what_if),
            block("chosen", "Parameters", _parameters_table(chosen)),
            block("assumptions", "Assumptions", list(assumptions)),
        ],
    )


def charts(
    evaluations: Mapping[str, Evaluation], *, benchmark: str = "buy and hold"
) -> dict[str, figures.Chart]:
    """Every figure of the page, the main one first."""
    runs, metrics = _compared(evaluations, benchmark)
    benchmarks = [name for name in runs if name not in evaluations]
    grey = benchmarks[0] if len(benchmarks) == 1 else _itself(evaluations)
    periods = next(iter(evaluations.values())).periods
    drawn = {"history": figures.history(runs, periods, benchmark=grey)}
    if periods:
        drawn["periods"] = figures.period_bars(period_returns(metrics, periods), benchmark=grey)
    return drawn


def summary_table(
    evaluations: Mapping[str, Evaluation], *, benchmark: str = "buy and hold"
) -> Table:
    """The headline metrics of each run, a row each, for a terminal as for a page.

    Raises InputError if there is no evaluation.
    """
    _, columns = _compared(evaluations, benchmark)
    cells = [
        mark_best(
            [scope_cell(frame, REGISTRY[name], scope) for frame in columns.values()],
            REGISTRY[name].better,
        )
        for name, scope, _ in _SUMMARY
    ]
    rows = [
        (Cell(text=label), *values)
        for label, values in zip(columns, zip(*cells, strict=True), strict=True)
    ]
    headings = (
        Column(label=label, title=f"{REGISTRY[name].label}, {SCOPE_LABELS[scope].lower()}")
        for name, scope, label in _SUMMARY
    )
    return listed(
        "summary",
        ("Run", *headings),
        rows,
        caption="Of the whole span. The best of each column is set off. A run that began before "
        "the span carries its position in; another pays to enter.",
    )


def _compared(
    evaluations: Mapping[str, Evaluation], benchmark: str
) -> tuple[dict[str, Backtest], dict[str, pd.DataFrame]]:
    """Runs and their metrics, the benchmarks' last; one benchmark where all are the same."""
    if not evaluations:
        raise InputError("a comparison needs at least one run; got none")
    beside = _benchmarks(evaluations, benchmark)
    runs = {name: each.backtest for name, each in evaluations.items()}
    metrics = {name: each.metrics for name, each in evaluations.items()}
    return (
        runs | {name: each.benchmark for name, each in beside.items()},
        metrics | {name: each.benchmark_metrics for name, each in beside.items()},
    )


def _benchmarks(evaluations: Mapping[str, Evaluation], name: str) -> dict[str, Evaluation]:
    """One evaluation for each benchmark that differs, by what to call the benchmark.

    None where all share one and a run is that benchmark itself.
    """
    distinct = own_benchmarks(evaluations)
    if len(distinct) > 1:
        return {f"{name} ({run})": each for run, each in distinct.items()}
    if _itself(evaluations) is not None:
        return {}
    return {
        name if name not in evaluations else f"{name} (benchmark)": next(iter(distinct.values()))
    }


def own_benchmarks(evaluations: Mapping[str, Evaluation]) -> dict[str, Evaluation]:
    """The first run with each benchmark that did something else than those before."""
    distinct: dict[str, Evaluation] = {}
    for run, each in evaluations.items():
        if not any(_alike(each.benchmark, other.benchmark) for other in distinct.values()):
            distinct[run] = each
    return distinct


def _itself(evaluations: Mapping[str, Evaluation]) -> str | None:
    """The run that did what every run's benchmark did."""
    benchmarks = [each.benchmark for each in evaluations.values()]
    for name, each in evaluations.items():
        if all(_alike(each.backtest, other) for other in benchmarks):
            return name
    return None


def _alike(one: Backtest, other: Backtest) -> bool:
    """Whether two runs did the same, but for the cost of entering on the first bar.

    A run that began before the span carries its position in; another pays to enter.
    """
    if not one.ledger.index.equals(other.ledger.index):
        return False
    room = np.full(len(one.ledger), _SAME)
    room[0] += one.costs.fee + one.costs.slippage
    apart = np.abs(one.returns.to_numpy() - other.returns.to_numpy())
    return bool((apart <= room * (1 + one.returns.abs())).all())


def _scope_blocks(
    evaluations: Mapping[str, Evaluation], columns: Mapping[str, pd.DataFrame]
) -> Iterator[Block]:
    """Every metric of the whole run, and folded those of the scopes."""
    for scope in SCOPES:
        ids = ("key", "") if scope == "whole" else ("", "folded")
        table = _scope_table(evaluations, columns, scope)
        yield block(ids[0], SCOPE_LABELS[scope], table, link="Key figures", kind=ids[1])


def _scope_table(
    evaluations: Mapping[str, Evaluation], columns: Mapping[str, pd.DataFrame], scope: Scope
) -> Table:
    measured = {name: spec for each in evaluations.values() for name, spec in each.registry.items()}
    rows = [
        (
            metric_name(spec),
            *mark_best([scope_cell(frame, spec, scope) for frame in columns.values()], spec.better),
        )
        for spec in shown_metrics(measured)
        if scope in spec.scopes
    ]
    return listed(f"metrics-{scope}", ("", *columns), rows, limit=12)


def _periods_table(columns: Mapping[str, pd.DataFrame], first: Evaluation) -> Table:
    rows = []
    for period in first.periods:
        about = Cell(text=period.title, note=period_dates(period))
        shown = [
            [fraction_cell(reading(frame, name, period.id)) for frame in columns.values()]
            for name in ("total_return", "max_drawdown")
        ]
        rows.append((about, *(cell for cells in shown for cell in mark_best(cells, "higher"))))
    return listed(
        "periods",
        ("Period", *columns, *columns),
        rows,
        groups=(("", 1), ("Return", len(columns)), ("Max drawdown", len(columns))),
        caption="The best of each period is set off.",
        empty="No deleveraging period of the catalogue lies in this span.",
    )


def _parameters_table(chosen: Mapping[str, Mapping[str, str]]) -> Table:
    keys = list(dict.fromkeys(key for each in chosen.values() for key in each))
    # What differs stands first: it is what the comparison is about.
    keys.sort(key=lambda key: len({each.get(key, "-") for each in chosen.values()}) == 1)
    return tabulate(
        "parameters",
        keys,
        (
            texts("Parameter", str),
            *(texts(name, lambda key, own=own: own.get(key, "-")) for name, own in chosen.items()),
        ),
        caption="Those that differ stand first.",
        empty="None of the runs takes parameters.",
    )
