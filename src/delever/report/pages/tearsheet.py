"""The tear-sheet: one run on one page, for people who decide about money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from delever.deleveraging.membership import membership
from delever.report import figures
from delever.report.format import multiple, percent, value, when
from delever.report.page import facts, render_page
from delever.report.pages.attribution_tables import attribution_table, parts_shown, scopes_table
from delever.report.pages.metric_tables import (
    SCOPE_LABELS,
    metrics_table,
    period_labels,
    periods_table,
    phases_table,
)
from delever.report.pages.run_tables import drawdowns_table, figures_table, trades_table
from delever.report.pages.sections import account_tables, what_if_table_of
from delever.report.table import reading
from delever.research.attribution import attribution
from delever.research.evaluation import SCOPES, Evaluation
from delever.research.what_if import AS_RUN, WhatIf
from delever.stats.metrics import Scope
from delever.units import timeframe_delta

__all__ = ["charts", "render", "verdict"]

_TILES: tuple[tuple[str, Scope], ...] = (
    ("total_return", "whole"),
    ("cagr", "whole"),
    ("max_drawdown", "whole"),
    ("sharpe_ratio", "whole"),
    ("time_in_market", "whole"),
    ("total_return", "inside"),
    ("loss_avoided", "inside"),
    ("cost_of_protection", "outside"),
)
_SECTIONS = {
    "key": "Key figures",
    "time": "Over time",
    "in-periods": "Periods",
    "bars": "Returns",
    "falls": "Drawdowns",
    "parts": "Attribution",
    "what-if": "What if",
    "held": "Account",
    "round-trips": "Trades",
    "limits": "Not modelled",
    "origin": "Provenance",
}
_YEAR = pd.Timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A headline number and what stands beside it."""

    label: str
    value: str
    beside: str


def render(
    evaluation: Evaluation,
    *,
    manifest: Mapping[str, Any],
    notes: Sequence[str] = (),
    what_if: WhatIf | None = None,
) -> str:
    """Write the tear-sheet of a run."""
    benchmark = _said(manifest, "benchmark", "buy and hold")
    drawn = charts(evaluation, manifest=manifest, what_if=what_if)
    changed = what_if_table_of(evaluation, what_if)
    held_as = account_tables(evaluation, manifest)
    absent = {"what-if"} if changed is None else set()
    absent |= set() if held_as["account"].rows or held_as["rules"].rows else {"held"}
    return render_page(
        "tearsheet.html",
        sections=[entry for entry in _SECTIONS.items() if entry[0] not in absent],
        title=f"{evaluation.name} - tear-sheet",
        name=evaluation.name,
        strategy=_said(manifest, "strategy", ""),
        params=dict(facts(manifest.get("params", {}))),
        span=_span(evaluation),
        verdict=verdict(evaluation, benchmark),
        notes=list(notes),
        tiles=[_tile(evaluation, name, scope, benchmark) for name, scope in _TILES],
        benchmark=benchmark,
        metrics=metrics_table(evaluation, benchmark),
        charts=drawn,
        periods=periods_table(evaluation, benchmark),
        phases=phases_table(evaluation, benchmark),
        drawdowns=drawdowns_table(evaluation.backtest),
        trades=trades_table(evaluation.backtest),
        attribution=attribution_table(evaluation.backtest, evaluation.benchmark, benchmark),
        parts=scopes_table(attribution(evaluation), evaluation.periods),
        what_if=changed,
        figures=figures_table(evaluation.periods),
        definitions=list(evaluation.registry.values()),
        **held_as,
        margin_account="funding" in evaluation.backtest.ledger,
        provenance=list(facts(manifest)),
    )


def charts(
    evaluation: Evaluation, *, manifest: Mapping[str, Any], what_if: WhatIf | None = None
) -> dict[str, figures.Chart]:
    """Every figure of the page, the main one first."""
    benchmark = _said(manifest, "benchmark", "buy and hold")
    runs = {"strategy": evaluation.backtest, benchmark: evaluation.benchmark}
    returns, held, inside = evaluation.backtest.returns, _held(evaluation), _inside(evaluation)
    drawn = {
        "history": figures.history(
            runs, evaluation.periods, benchmark=benchmark, exposure="strategy"
        ),
        "monthly": figures.monthly({name: run.returns for name, run in runs.items()}),
        "distribution": figures.distribution(returns[held & inside], returns[held & ~inside]),
        "attribution": _parts(evaluation),
    }
    if evaluation.periods:
        drawn["periods"] = figures.period_bars(
            _period_returns(evaluation, benchmark), benchmark=benchmark
        )
    if what_if is not None and len(what_if.paths):
        drawn["what_if"] = _what_if_paths(evaluation, what_if)
    return drawn


def _parts(evaluation: Evaluation) -> figures.Chart:
    """What made the result, by scope and period."""
    table = attribution(evaluation)
    labels = period_labels(evaluation.periods)
    scopes = table.loc[list(SCOPES) if labels else ["whole"]].rename(index=SCOPE_LABELS)
    each = table.loc[list(labels)].rename(index=labels)
    shares = each.div(each["equity_before"].where(each["equity_before"] > 0), axis=0)
    return figures.attribution_bars(scopes, shares, parts=parts_shown(table))


def _what_if_paths(evaluation: Evaluation, found: WhatIf) -> figures.Chart:
    """Growth of the run and of its counterfactuals."""
    equities = {AS_RUN: evaluation.backtest.equity}
    equities |= {
        str(name): path["equity"] for name, path in found.paths.groupby("name", sort=False)
    }
    grown = {name: equity / found.initial_equity for name, equity in equities.items()}
    return figures.growth_paths(grown, evaluation.backtest.timeframe)


def verdict(evaluation: Evaluation, benchmark: str = "buy and hold") -> str:
    """The run in one or two sentences made of numbers."""
    count = len(evaluation.periods)
    parts = []
    if count:
        own, other = _pair(evaluation, "total_return", "inside")
        periods = "1 deleveraging period" if count == 1 else f"{count} deleveraging periods"
        parts.append(f"Inside {periods} it {_did(own)} where {benchmark} {_did(other)}")
    scope = "outside" if count else "whole"
    bars = reading(evaluation.metrics, "bars", scope)
    if bars:
        where = "outside" if count else "Over the whole run"
        parts.append(f"{where} it {_against(evaluation, scope, benchmark)}")
    ruined = pd.DatetimeIndex(evaluation.backtest.ledger.index[evaluation.backtest.equity <= 0])
    if len(ruined):
        parts.append(f"the account was ruined on {when(ruined[0])}")
    deepest, other = _pair(evaluation, "max_drawdown", "whole")
    return (
        f"{'; '.join(parts)}. Its deepest drawdown was {percent(abs(deepest))}, "
        f"that of {benchmark} {percent(abs(other))}."
    )


def _against(evaluation: Evaluation, scope: str, benchmark: str) -> str:
    bars = reading(evaluation.metrics, "bars", scope)
    yearly = bars * _bar(evaluation) >= _YEAR
    own, other = _pair(evaluation, "cagr" if yearly else "total_return", scope)
    return f"{_did(own)}{' a year' if yearly else ''} where {benchmark} {_did(other)}"


def _bar(evaluation: Evaluation) -> pd.Timedelta:
    return timeframe_delta(evaluation.backtest.timeframe)


def _did(fraction: float) -> str:
    text = percent(abs(fraction))
    if text == percent(0.0):
        return "stood still"
    return f"{'made' if fraction > 0 else 'lost'} {text}"


def _pair(evaluation: Evaluation, name: str, scope: str) -> tuple[float, float]:
    return (
        reading(evaluation.metrics, name, scope),
        reading(evaluation.benchmark_metrics, name, scope),
    )


def _tile(evaluation: Evaluation, name: str, scope: str, benchmark: str) -> Tile:
    spec = evaluation.metric(name)
    own, other = _pair(evaluation, name, scope)
    where = {"whole": "", "inside": " inside periods", "outside": " outside periods"}[scope]
    if (name, scope) == ("total_return", "whole"):
        own_text, other_text = multiple(1 + own), multiple(1 + other)
        label = "Wealth multiplied"
    else:
        own_text, other_text = value(own, spec.unit), value(other, spec.unit)
        label = f"{spec.label}{where}"
    beside = f"against {benchmark}" if spec.against_benchmark else f"{benchmark} {other_text}"
    return Tile(label=label, value=own_text, beside=beside)


def _inside(evaluation: Evaluation) -> pd.Series:
    index = pd.DatetimeIndex(evaluation.backtest.ledger.index)
    return membership(index, evaluation.backtest.timeframe, evaluation.periods)


def _held(evaluation: Evaluation) -> pd.Series:
    """Bars through any part of which a position was held."""
    carried = evaluation.backtest.ledger["position"]
    return (carried != 0) | (carried.shift(fill_value=0.0) != 0)


def _period_returns(evaluation: Evaluation, benchmark: str) -> pd.DataFrame:
    ids = [period.id for period in evaluation.periods]
    return pd.DataFrame(
        {
            "strategy": evaluation.metrics.loc["total_return", ids].to_numpy(),
            benchmark: evaluation.benchmark_metrics.loc["total_return", ids].to_numpy(),
        },
        index=pd.Index(period_labels(evaluation.periods).values()),
        dtype=np.float64,
    )


def _span(evaluation: Evaluation) -> str:
    start, end = evaluation.span
    bars = len(evaluation.bars)
    return f"{when(start)} to {when(end)} UTC, {bars:,} bars of {evaluation.backtest.timeframe}"


def _said(manifest: Mapping[str, Any], role: str, otherwise: str) -> str:
    entry = manifest.get(role)
    name = entry.get("name", otherwise) if isinstance(entry, Mapping) else otherwise
    said = str(name).replace("_", " ")
    return said if said != "strategy" else f"strategy ({role})"
