"""The tear-sheet: one run on one page, for people who decide about money."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from delever.deleveraging.membership import membership
from delever.report import figures
from delever.report.figures import Chart
from delever.report.format import multiple, percent, value, when
from delever.report.page import Block, Part, Section, Tile, block, facts, fragment, render_page
from delever.report.pages.account_tables import account_parts
from delever.report.pages.conduct import conduct_charts
from delever.report.pages.metric_tables import (
    SCOPE_LABELS,
    metrics_table,
    period_labels,
    period_returns,
    periods_table,
    phases_table,
)
from delever.report.pages.run_tables import (
    attribution_table,
    drawdowns_table,
    figures_table,
    parts_shown,
    scopes_table,
    trades_table,
    what_if_table,
)
from delever.report.table import reading
from delever.research.attribution import attribution
from delever.research.evaluation import SCOPES, Evaluation
from delever.research.what_if import AS_RUN, WhatIf, counterfactual_outcomes, is_neighbour
from delever.stats.drawdowns import deepest_drawdowns
from delever.stats.metrics import Scope
from delever.units import timeframe_delta

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
_YEAR = pd.Timedelta(days=365)


def render(
    evaluation: Evaluation,
    *,
    manifest: Mapping[str, Any],
    notes: Sequence[str] = (),
    what_if: WhatIf | None = None,
    sections: Sequence[Section] = (),
) -> str:
    """Write the tear-sheet of a run, with the sections of extensions before the small print.

    Raises InputError if a section has the id of another one.
    """
    benchmark = benchmark_name(manifest)
    return render_page(
        title=f"{evaluation.name} - tear-sheet",
        name=evaluation.name,
        span=_span(evaluation, manifest, benchmark),
        headline=headline(evaluation, benchmark),
        notes=notes,
        tiles=[_tile(evaluation, of, scope, benchmark) for of, scope in _TILES],
        blocks=[
            *_results(evaluation, manifest, what_if),
            *(section.block(evaluation) for section in sections),
            *_small_print(evaluation, manifest),
        ],
    )


def _results(
    evaluation: Evaluation, manifest: Mapping[str, Any], what_if: WhatIf | None
) -> Iterator[Block]:
    """What the run came to, held and did."""
    benchmark, name = benchmark_name(manifest), evaluation.name
    found = frames(evaluation, what_if)
    drawn = charts(evaluation, manifest=manifest, what_if=what_if)
    history, monthly, spread = drawn["history"], drawn["monthly"], drawn["distribution"]
    yield block("key", "Key figures", metrics_table(evaluation, benchmark))
    yield block("time", history.title, history, link="Over time")
    yield block("price", drawn["price"].title, drawn["price"], link="Price")
    yield block(
        "in-periods",
        "Deleveraging periods",
        periods_table(evaluation, benchmark),
        drawn.get("periods"),
        block("", "Phase by phase", phases_table(evaluation, benchmark)),
        link="Periods",
    )
    yield block("bars", monthly.title, monthly, link="Returns")
    yield block("", spread.title, spread, half=True)
    falls = drawdowns_table(found["drawdowns"], evaluation.backtest.timeframe)
    yield block("falls", "Deepest drawdowns", falls, link="Drawdowns", half=True)
    scopes = scopes_table(found["attribution"], evaluation.periods)
    parts = drawn["attribution"]
    yield block("parts", parts.title, parts, scopes, link="Attribution")
    if what_if is not None and "counterfactuals" in found:
        changed = what_if_table({name: found["counterfactuals"]}, {name: what_if.refused})
        yield block("what-if", "What if", changed, drawn.get("what_if"))
    held, _ = account_parts(evaluation.backtest, manifest)
    yield block("held", "The account", *held, link="Account")
    yield block("round-trips", "Trades", trades_table(found["trades"]))


def _small_print(evaluation: Evaluation, manifest: Mapping[str, Any]) -> Iterator[Block]:
    """What the result rests on."""
    run = evaluation.backtest
    held, costs = account_parts(run, manifest)
    sums = attribution_table(run, evaluation.benchmark, benchmark_name(manifest))
    yield block("", "From the first to the final equity", sums, half=True)
    limits: list[Part] = [fragment("tearsheet.html", "limits", "funding" in run.ledger)]
    limits += [] if held else [costs]
    yield block("limits", "What is not modelled", *limits, link="Not modelled", half=True)
    reported = figures_table(evaluation.periods)
    yield block("", "Reported figures of the periods", reported, kind="folded")
    definitions = fragment("tearsheet.html", "definitions", evaluation.registry.values())
    yield block("", "Definitions of the metrics", definitions, kind="folded")
    yield block("origin", "Provenance", dict(facts(manifest)))


def frames(evaluation: Evaluation, what_if: WhatIf | None = None) -> dict[str, pd.DataFrame]:
    """What the tables of the page are made of, and the bars and fills behind them."""
    run = evaluation.backtest
    found = {
        "metrics": evaluation.metrics,
        "benchmark": evaluation.benchmark_metrics,
        "trades": run.trades,
        "drawdowns": deepest_drawdowns(run.returns, 10),
        "attribution": attribution(evaluation),
        "fills": run.fills,
        "ledger": run.ledger,
    }
    if what_if is not None and (len(what_if.paths) or what_if.refused):
        found["counterfactuals"] = counterfactual_outcomes(evaluation, what_if)
    return found


def charts(
    evaluation: Evaluation, *, manifest: Mapping[str, Any], what_if: WhatIf | None = None
) -> dict[str, Chart]:
    """Every figure of the page, the main one first."""
    benchmark = benchmark_name(manifest)
    runs = {"strategy": evaluation.backtest, benchmark: evaluation.benchmark}
    metrics = {"strategy": evaluation.metrics, benchmark: evaluation.benchmark_metrics}
    periods = evaluation.periods
    drawn = {
        "history": figures.history(runs, periods, benchmark=benchmark, exposure="strategy"),
        "monthly": figures.monthly({name: run.returns for name, run in runs.items()}),
        "distribution": _spread(evaluation),
        "attribution": _parts(evaluation),
    }
    if periods:
        drawn["periods"] = figures.period_bars(
            period_returns(metrics, periods), benchmark=benchmark
        )
    if what_if is not None and not all(map(is_neighbour, what_if.paths["name"].unique())):
        drawn["what_if"] = _what_if_paths(evaluation, what_if)
    return drawn | conduct_charts(evaluation, benchmark)


def _parts(evaluation: Evaluation) -> Chart:
    """What made the result, by scope and period."""
    table = attribution(evaluation)
    labels = period_labels(evaluation.periods)
    scopes = table.loc[list(SCOPES) if labels else ["whole"]].rename(index=SCOPE_LABELS)
    each = table.loc[list(labels)].rename(index=labels)
    shares = each.div(each["equity_before"].where(each["equity_before"] > 0), axis=0)
    return figures.attribution_bars(scopes, shares, parts=parts_shown(table))


def _what_if_paths(evaluation: Evaluation, found: WhatIf) -> Chart:
    """Growth of the run and of its counterfactuals."""
    equities = {AS_RUN: evaluation.backtest.equity}
    equities |= {
        str(name): path["equity"]
        for name, path in found.paths.groupby("name", sort=False)
        if not is_neighbour(str(name))
    }
    grown = {name: equity / found.initial_equity for name, equity in equities.items()}
    return figures.growth_paths(grown, evaluation.backtest.timeframe)


def headline(evaluation: Evaluation, benchmark: str = "buy and hold") -> str:
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
    yearly = bars * timeframe_delta(evaluation.backtest.timeframe) >= _YEAR
    own, other = _pair(evaluation, "cagr" if yearly else "total_return", scope)
    return f"{_did(own)}{' a year' if yearly else ''} where {benchmark} {_did(other)}"


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


def _spread(evaluation: Evaluation) -> Chart:
    """Returns of the bars through any part of which a position was held."""
    run = evaluation.backtest
    carried = run.ledger["position"]
    held = (carried != 0) | (carried.shift(fill_value=0.0) != 0)
    inside = membership(pd.DatetimeIndex(run.ledger.index), run.timeframe, evaluation.periods)
    return figures.distribution(run.returns[held & inside], run.returns[held & ~inside])


def _span(evaluation: Evaluation, manifest: Mapping[str, Any], benchmark: str) -> str:
    """Bars of the run, the strategy and its parameters, and the benchmark."""
    start, end = evaluation.span
    parts = [
        f"{when(start)} to {when(end)} UTC, {len(evaluation.bars):,} bars of "
        f"{evaluation.backtest.timeframe}"
    ]
    if strategy := _said(manifest, "strategy", ""):
        params = ", ".join(f"{key} {text}" for key, text in facts(manifest.get("params", {})))
        parts.append(f"{strategy} ({params})" if params else strategy)
    return " · ".join([*parts, f"beside {benchmark}"])


def benchmark_name(manifest: Mapping[str, Any]) -> str:
    """What the benchmark of a run is called."""
    return _said(manifest, "benchmark", "buy and hold")


def _said(manifest: Mapping[str, Any], role: str, otherwise: str) -> str:
    entry = manifest.get(role)
    name = entry.get("name", otherwise) if isinstance(entry, Mapping) else otherwise
    said = str(name).replace("_", " ")
    return said if said != "strategy" else f"strategy ({role})"
