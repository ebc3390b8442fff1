"""``delever study signal``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from delever.cli.terminal import WorkspaceOption, echo_json, print_notes

if TYPE_CHECKING:
    import pandas as pd

    from delever.study.signal_studies import SignalReport

__all__ = ["app"]

Horizons = typer.Option("--horizon", metavar="BARS", help="Bars held; may be repeated.")


app = typer.Typer(help="Ask what happened after events.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep ``signal`` a word of its own while it is the only one."""


@app.command()
def signal(
    name: Annotated[
        str, typer.Argument(help="A rule, such as average or round_number, or an event feature.")
    ],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="REFERENCE", help="Bars; repeated, markets are pooled."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the rule: weeks=100."),
    ] = None,
    series: Annotated[
        list[str] | None,
        typer.Option("--series", metavar="NAME=REFERENCE", help="A reading that the rule needs."),
    ] = None,
    horizon: Annotated[list[int] | None, Horizons] = None,
    decides: Annotated[
        int, typer.Option("--decides", help="The horizon that the verdict is about.")
    ] = 30,
    draws: Annotated[int, typer.Option("--draws", help="Placebo levels, up to 100,000.")] = 1_000,
    smallest_effect: Annotated[
        float | None, typer.Option("--smallest-effect", help="Smallest effect that matters: 0.05.")
    ] = None,
    rung: Annotated[
        list[float] | None,
        typer.Option("--rung", help="A further level, as a multiple of the broken one: 0.9."),
    ] = None,
    price: Annotated[
        list[float] | None,
        typer.Option("--price", help="A further level as a price, in place of --rung: 65000."),
    ] = None,
    rung_bars: Annotated[int, typer.Option("--rung-bars", help="Bars to get there.")] = 90,
    benchmark: Annotated[
        str | None,
        typer.Option("--benchmark", metavar="REFERENCE", help="Market of the event study."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the placebo levels, >= 0.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML file; by default in the results.")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Study a signal: what came after its events, compared with placebo levels."""
    from delever.research.signal.study import StudyDesign
    from delever.study.option_values import parse_named, parse_overrides
    from delever.study.signal_studies import run_signal_study, signal_page
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    horizons = tuple(sorted({*(horizon or (7, 30, 90)), decides}))
    report = run_signal_study(
        name,
        data or ["sample/ohlcv/BTC/USD/1d"],
        workspace=place,
        params=parse_overrides(set_ or []),
        series=parse_named("--series", series or []),
        design=StudyDesign(
            horizons=horizons,
            decides=decides,
            draws=draws,
            smallest_effect=smallest_effect,
            seed=seed,
        ),
        rungs=rung,
        prices=price or (),
        rung_bars=rung_bars,
        benchmark=benchmark,
    )
    asked = {"params": set_, "data": data, "prices": price, "series": series}
    page = report.page(output or place.results / signal_page(name, asked))
    if as_json:
        echo_json(_as_json(report, page))
    else:
        _print(report, page)


def _print(report: SignalReport, page: Path) -> None:
    from delever.cli.terminal import print_rows
    from delever.report.pages import signal_page as tables
    from delever.report.pages.ladder_table import ladder_table

    study = report.study
    shown = [tables.outcome_table(study), tables.comparison_table(study)]
    titles = [study.name, "beside others"]
    if report.ladder is not None:
        shown.append(ladder_table(report.ladder))
        titles.append("further levels")
    if report.abnormal is not None:
        shown.append(tables.abnormal_table(report.abnormal))
        titles.append("abnormal returns")
    for title, table in zip(titles, shown, strict=True):
        words = [column.label for column in table.columns if not column.numeric]
        print_rows(title, table.header, table.texts, left=words)
    typer.echo(tables.sentence(study))
    print_notes(report.notes)
    typer.echo(f"study  {page}")


def _as_json(report: SignalReport, page: Path) -> dict[str, Any]:
    from delever.report.pages.signal_page import sentence

    study = report.study
    return {
        "study": study.name,
        "page": str(page),
        "data": list(report.data),
        "span": {"start": str(study.start), "end": str(study.end)},
        "verdict": study.verdict,
        "sentence": sentence(study),
        "rejects": study.rejects,
        "placebo_rank": _finite(study.placebo_rank),
        "outcomes": {str(name): _row(row) for name, row in study.outcomes.iterrows()},
        "comparisons": {
            " ".join(map(str, key)): _row(row)
            for key, (_, row) in zip(
                study.comparisons.index, study.comparisons.iterrows(), strict=True
            )
        },
        "ladder": None
        if report.ladder is None
        else {str(name): _row(row) for name, row in report.ladder.table.iterrows()},
        "abnormal": None
        if report.abnormal is None
        else {str(name): _row(row) for name, row in report.abnormal.tests.iterrows()},
        "notes": list(report.notes),
    }


def _row(row: pd.Series) -> dict[str, float | None]:
    return {str(key): _finite(value) for key, value in row.items()}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
