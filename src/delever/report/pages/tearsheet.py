"""The tear-sheet: one run on one page, for people who decide about money."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from delever.arguments import counted
from delever.deleveraging.membership import membership
from delever.report import figures
from delever.report.answer_words import answer_sentence
from delever.report.figures import Chart
from delever.report.format import when
from delever.report.page import Block, Part, Section, block, facts, fragment, render_page
from delever.report.pages.account_tables import account_parts
from delever.report.pages.answer_tables import (
    answer_tiles,
    detected_words,
    insurance_table,
    ledger,
    luck_table,
    made_tests,
    statistics_table,
)
from delever.report.pages.conduct import cards_block, conduct_charts, over_time_blocks
from delever.report.pages.joint_blocks import (
    joint_blocks,
    joint_charts,
    joint_frames,
    legs_parts,
    nearest_block,
)
from delever.report.pages.metric_tables import (
    SCOPE_LABELS,
    metrics_table,
    period_labels,
    period_returns,
    phases_table,
    scopes_joined_table,
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
from delever.report.pages.rungs_table import rungs_block
from delever.research.answer import Answer
from delever.research.attribution import attribution
from delever.research.evaluation import SCOPES, Evaluation, sample_of
from delever.research.excursions import excursions
from delever.research.portfolio_parts import portfolio_of
from delever.research.rungs import Rung, own_rungs
from delever.research.what_if import AS_RUN, WhatIf, counterfactual_outcomes, is_neighbour
from delever.stats.drawdowns import deepest_drawdowns


def render(
    evaluation: Evaluation,
    found: Answer,
    *,
    manifest: Mapping[str, Any],
    notes: Sequence[str] = (),
    what_if: WhatIf | None = None,
    sections: Sequence[Section] = (),
    said: str | None = None,
    lead: Sequence[Block] = (),
    told: Sequence[Rung] = (),
) -> str:
    """Write the tear-sheet of a run, with the sections of extensions before the small print.

    Raises InputError if a section has the id of another one.
    """
    benchmark = benchmark_name(manifest)
    return render_page(
        title=f"{evaluation.name} - tear-sheet",
        name=evaluation.name,
        span=_span(evaluation, manifest, benchmark),
        headline=said or answer_sentence(found),
        notes=[note for note in notes if note not in manifest.get("assumptions", ())],
        tiles=answer_tiles(found, evaluation, benchmark),
        blocks=[
            *lead,
            *_results(evaluation, found, manifest, what_if, told),
            *(section.block(evaluation) for section in sections),
            *_small_print(evaluation, manifest),
        ],
    )


def _results(
    evaluation: Evaluation,
    answer: Answer,
    manifest: Mapping[str, Any],
    what_if: WhatIf | None,
    told: Sequence[Rung],
) -> Iterator[Block]:
    """What the run came to, held and did."""
    benchmark, name = benchmark_name(manifest), evaluation.name
    found = frames(evaluation, answer, what_if)
    drawn = charts(evaluation, answer, manifest=manifest, what_if=what_if)
    history, monthly, spread = drawn["history"], drawn["monthly"], drawn["distribution"]
    yield block("time", history.title, history, link="Over time")
    seen = "Price" if evaluation.closes is None else "Holdings"
    yield block("price", drawn["price"].title, drawn["price"], link=seen)
    yield from _protection(evaluation, answer, benchmark, drawn)
    yield cards_block(evaluation, benchmark, hindsight=not answer.detected)
    if what_if is not None:
        yield rungs_block(own_rungs(evaluation, answer, what_if), answer, told)
    yield block("key", "Key figures", metrics_table(evaluation, benchmark))
    yield from over_time_blocks(evaluation, drawn, benchmark)
    yield block("bars", monthly.title, monthly, link="Returns")
    yield block("", spread.title, spread, half=True)
    falls = drawdowns_table(found["drawdowns"])
    yield block("falls", "Deepest drawdowns", falls, link="Drawdowns", half=True)
    scopes = scopes_table(found["attribution"], evaluation.periods)
    parts = drawn["attribution"]
    yield block("parts", parts.title, parts, scopes, link="Attribution")
    yield from joint_blocks(evaluation, found, benchmark)
    yield nearest_block(evaluation)
    if what_if is not None and "counterfactuals" in found:
        changed = what_if_table(
            {name: found["counterfactuals"]}, {name: what_if.refused}, days=365 * evaluation.years
        )
        yield block("what-if", "What if", changed, drawn.get("what_if"))
    held, _ = account_parts(evaluation.backtest, manifest)
    legs = legs_parts(evaluation)
    yield block("held", "The account", *held, *legs, drawn.get("margin"), link="Account")
    yield block("round-trips", "Trades", trades_table(found["trades"]))


def _protection(
    evaluation: Evaluation, answer: Answer, benchmark: str, drawn: Mapping[str, Chart]
) -> Iterator[Block]:
    """The periods as insurance, what luck would have done, and how sure the figures are."""
    drawn_periods = {period.id: period for period in evaluation.periods}
    yield block(
        "in-periods",
        "Detected periods" if answer.detected else "Deleveraging periods",
        insurance_table(
            answer.protection,
            drawn_periods,
            benchmark,
            cut=[period.id for period in evaluation.cut_periods],
        ),
        drawn.get("periods"),
        link="Periods",
    )
    if answer.causal is not None:
        yield block(
            "detected",
            "The same on periods detected as they began",
            detected_words(answer),
            insurance_table(answer.causal, {}, benchmark, id_="detected-periods"),
            kind="folded",
            link="Detected",
        )
    yield block(
        "insurance", "The account of the insurance", ledger(answer), link="Insurance", half=True
    )
    yield block(
        "luck", "Is it luck?", luck_table(answer), drawn.get("luck"), link="Luck", half=True
    )
    yield block("sure", "How sure", statistics_table(answer, benchmark), link="Intervals")
    yield block("", "Phase by phase", phases_table(evaluation, benchmark), kind="folded")


def _small_print(evaluation: Evaluation, manifest: Mapping[str, Any]) -> Iterator[Block]:
    """What the result rests on."""
    run = evaluation.backtest
    held, costs = account_parts(run, manifest)
    sums = attribution_table(run, evaluation.benchmark, benchmark_name(manifest))
    yield block("", "From the first to the final equity", sums, half=True)
    several = portfolio_of(evaluation)
    steps = several is not None and several.margin.in_steps
    limits: list[Part] = [fragment("tearsheet.html", "limits", "funding" in run.ledger, steps)]
    limits += [] if held or several else [costs]  # those of legs stand with them
    yield block("limits", "What is not modelled", *limits, link="Not modelled", half=True)
    assumed = list(manifest.get("assumptions", ()))
    yield block("assumptions", "Assumptions", assumed)
    reported = figures_table(evaluation.periods)
    joined = scopes_joined_table(evaluation, benchmark_name(manifest))
    yield block("", "Inside and outside, each joined into one path", joined, kind="folded")
    yield block("", "Reported figures of the periods", reported, kind="folded")
    definitions = fragment("tearsheet.html", "definitions", evaluation.registry.values())
    yield block("", "Definitions of the metrics", definitions, kind="folded")
    yield block("origin", "Provenance", dict(facts(manifest)), kind="folded")


def frames(
    evaluation: Evaluation, answer: Answer, what_if: WhatIf | None = None
) -> dict[str, pd.DataFrame]:
    """What the tables of the page are made of, and the bars and fills behind them."""
    run = evaluation.backtest
    found = {
        "periods": answer.protection.periods,
        "estimates": pd.DataFrame({name: asdict(one) for name, one in answer.estimates.items()}).T,
        "metrics": evaluation.metrics,
        "benchmark": evaluation.benchmark_metrics,
        "trades": _trades(evaluation),
        "drawdowns": deepest_drawdowns(run.returns, 10, sample_of(run, None).elapsed),
        "attribution": attribution(evaluation),
        "fills": run.fills,
        "ledger": run.ledger,
    }
    if what_if is not None and (len(what_if.paths) or what_if.refused):
        found["counterfactuals"] = counterfactual_outcomes(evaluation, what_if)
    return found | joint_frames(evaluation)


def _trades(evaluation: Evaluation) -> pd.DataFrame:
    """Round trips with how far the price went meanwhile, where one symbol was traded."""
    trades = evaluation.backtest.trades
    return trades if "symbol" in trades else trades.join(excursions(trades, evaluation.bars))


def charts(
    evaluation: Evaluation,
    answer: Answer,
    *,
    manifest: Mapping[str, Any],
    what_if: WhatIf | None = None,
) -> dict[str, Chart]:
    """Every figure of the page, the main one first."""
    benchmark = benchmark_name(manifest)
    runs = {"strategy": evaluation.backtest, benchmark: evaluation.benchmark}
    metrics = {"strategy": evaluation.metrics, benchmark: evaluation.benchmark_metrics}
    periods = evaluation.periods
    drawn = {
        "history": figures.history(
            *(runs, periods),
            benchmark=benchmark,
            exposure="strategy" if evaluation.backtest.known else None,
        ),
        "monthly": figures.monthly({name: run.returns for name, run in runs.items()}),
        "distribution": _spread(evaluation),
        "attribution": _parts(evaluation),
    }
    if periods:
        drawn["periods"] = figures.period_bars(
            period_returns(metrics, periods), benchmark=benchmark
        )
    if tests := made_tests(answer):
        drawn["luck"] = figures.luck(tests)
    if what_if is not None and not all(map(is_neighbour, what_if.paths["name"].unique())):
        drawn["what_if"] = _what_if_paths(evaluation, what_if)
    return drawn | conduct_charts(evaluation, benchmark) | joint_charts(evaluation)


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


def _spread(evaluation: Evaluation) -> Chart:
    """Returns of the bars through any part of which a position was held."""
    run = evaluation.backtest
    carried = run.ledger["position" if "position" in run.ledger else "gross_exposure"]
    held = (carried != 0) | (carried.shift(fill_value=0.0) != 0)
    inside = membership(pd.DatetimeIndex(run.ledger.index), run.timeframe, evaluation.periods)
    return figures.distribution(run.returns[held & inside], run.returns[held & ~inside])


def _span(evaluation: Evaluation, manifest: Mapping[str, Any], benchmark: str) -> str:
    """Bars of the run, the strategy and its parameters, and the benchmark."""
    start, end = evaluation.span
    parts = [
        f"{when(start)} to {when(end)} UTC, {counted(len(evaluation.bars), 'bar')} of "
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
