"""``delever check``, ``screen``, ``periods``, ``claims`` and ``state``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

import delever as dl
from delever.cli.option_values import parse_named, parse_overrides
from delever.cli.terminal import (
    SAMPLE,
    Json,
    Output,
    Series,
    Set,
    StudySet,
    Wide,
    WorkspaceOption,
    count,
    echo_json,
    print_notes,
    print_rows,
    print_table,
    print_text,
    steps,
    written,
)
from delever.study.workspaces.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    for command in (check, screen, periods, claims, state):
        app.command()(command)


def screen(
    study: Annotated[Path, typer.Argument(help="Study file (TOML) of spot.", show_default=False)],
    set_: StudySet = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="HTML file.")] = None,
    workspace: WorkspaceOption = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Run a spot study by this engine, vectorbt and exact decimals.

    What sets vectorbt apart is told step by step. Exit code 1 where the engines do not agree.
    """
    place = Workspace.find(workspace)
    file = place.study(study)
    from delever.report.pages.run_tables import engines_table, steps_table

    with steps(1, quiet=as_json) as begin:
        begin(study.stem)("running")
        done = dl.screen(file, set=parse_overrides(set_ or []), workspace=place)
    assert isinstance(done, dl.Engines)
    page = None if output is None else done.page(output)
    if as_json:
        echo_json({"page": page and str(page), "agrees": done.agrees, **done.to_dict()})
    else:
        print_text(done.headline)
        print_table("By engine", engines_table(done.engines))
        print_table("What sets vectorbt apart", steps_table(done.steps))
        print_notes(done.notes)
        if page is not None:
            typer.echo(f"page  {page}")
    if not done.agrees:
        raise typer.Exit(1)


def check(
    targets: Annotated[
        list[str],
        typer.Argument(
            help="Strategy files (Python), features by name, or the word features for all.",
            show_default=False,
        ),
    ],
    data: Annotated[
        str, typer.Option("--data", help="Bars to check on.", metavar="REFERENCE")
    ] = SAMPLE,
    series: Series = None,
    set_: Set = None,
    points: Annotated[
        int, typer.Option("--points", help="Cuts to try at least, to 10,000; features share them.")
    ] = 1_000,
    seconds: Annotated[
        float, typer.Option("--seconds", help="To go on for with other cuts; features share them.")
    ] = 10.0,
    leverage: Annotated[
        float,
        typer.Option("--leverage", help="Largest exposure that the study's account takes."),
    ] = 1.0,
    test: Annotated[
        bool, typer.Option("--as-test", help="Print each counterexample as a pytest.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Check strategies and features for peeking. Units and holes, too; exit code 1 on findings.

    Of all features, those that these bars or series do not suffice for are skipped and counted.
    """
    every = "features" in targets  # as many as the series suffice for
    with steps(None if every else len(targets), quiet=as_json) as begin:
        found = dl.check(
            *targets,
            data=data,
            series=parse_named("--series", series or []),
            params=parse_overrides(set_ or []),
            points=points,
            seconds=seconds,
            leverage=leverage,
            progress=lambda name: begin(Path(name).stem)("changing the future"),
            workspace=Workspace.find(workspace),
        )
    if as_json:
        echo_json(found.to_dict())
    else:
        _print_checked(found, test=test)
        if every:
            print_text(found.headline)
            if found.missing:
                without = ", ".join(found.missing)
                print_text(f"features of these series are not among them: {without} (--series)")
    if not found.passed:
        raise typer.Exit(1)


def _print_checked(found: dl.Checked, *, test: bool) -> None:
    for one in found.targets:
        if one.skipped:
            print_text(f"{one.name}: skipped: {one.skipped}", color=typer.colors.YELLOW)
            continue
        said = count(len(one.findings), "finding") if one.findings else "passed"
        if one.asked and not one.findings:
            said += f", with the future changed after {one.asked:,} of {count(one.of, 'bar')}"
            said += "" if one.asked == one.of else "; --seconds for more"
        print_text(f"{one.name}: {said}", err=test)  # what is to be pasted stands alone
        for finding in one.findings:
            print_text(f"  - {finding}", err=test)
        if one.test:
            print_text(f"  smallest market that shows it: {one.bars}", err=test)
            typer.echo(one.test if test else "  as a test to paste: --as-test")


def periods(
    data: Annotated[
        str, typer.Option("--data", help="Bars to measure them on.", metavar="REFERENCE")
    ] = SAMPLE,
    workspace: WorkspaceOption = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Show the deleveraging periods on a data set. Says how late a causal detector sees them."""
    from delever.report.format import day, percent

    found = dl.periods(data, workspace=Workspace.find(workspace))
    if as_json:
        echo_json(found.to_dict())
        return
    lags = {str(name): float(lag) for name, lag in found.detection.periods["lag"].items()}
    print_rows(
        f"Deleveraging periods on {data} (drawn with hindsight)",
        ["period", "fall", "detected", "lowest", "title", "bars"],
        [
            (
                str(period),
                percent(row["fall"]),
                _lag(lags.get(str(period))),
                day(row["lowest"]),
                row["title"],
                str(row["bars"]),
            )
            for period, row in found.falls.iterrows()
        ],
        left=("period", "title"),
    )
    print_rows(
        "Causal rules against them, the default first",
        ["rule", "found", "lag", "precision", "recall", "alarms", "false"],
        [
            (
                str(rule),
                f"{row['detected']:.0f} of {row['periods']:.0f}",
                "" if math.isnan(row["median_lag_hours"]) else f"{row['median_lag_hours']:.0f} h",
                percent(row["bar_precision"], 0),
                percent(row["bar_recall"], 0),
                f"{row['alarms']:.0f}",
                f"{row['false_alarms']:.0f}",
            )
            for rule, row in found.beside.iterrows()
        ],
        left=("rule",),
    )
    print_text(found.headline)
    print_notes(found.notes)


def _lag(bars: float | None) -> str:
    if bars is None:
        return "n/a"  # the data cover the period only in part
    return "not" if math.isnan(bars) else f"after {count(round(bars), 'bar')}"


def claims(
    file: Annotated[Path, typer.Argument(help="A file of claims (TOML).", show_default=False)],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="NAME=REFERENCE", help="A series, in place of the file's."),
    ] = None,
    output: Output = None,
    workspace: WorkspaceOption = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Audit what was claimed about a market. Confirmed, contradicted, depends, or not testable."""
    place = Workspace.find(workspace)
    file = place.claims(file)
    from delever.report.pages.claims_page import claims_table

    audit = dl.claims(file, data=parse_named("--data", data or []), workspace=place)
    page = written(audit, output, place)
    if as_json:
        echo_json({"page": str(page), **audit.to_dict()})
        return
    print_text(audit.headline)
    for name, what in audit.missing.items():
        print_text(f"not there: {name} ({what})", color=typer.colors.YELLOW)
    print_table(audit.title, claims_table(audit.audited))
    for one in audit.audited:
        print_text(f"{one.claim.id}, {one.verdict}: {one.claim.statement}")
        for measured in one.measured:
            if said := measured.missing or measured.note:
                print_text(f"  {one.claim.id}, {measured.definition.label}: {said}")
    print_notes(audit.notes)
    typer.echo(f"audit  {page}")


def state(
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="UTC: 2026-02-06; by default the last bar."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="REFERENCE", help="Bars; by default daily ones stored."),
    ] = None,
    series: Series = None,
    days: Annotated[int, typer.Option("--days", help="To reach a support in, up to 3,650.")] = 30,
    output: Output = None,
    workspace: WorkspaceOption = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Show where the market stands. Levels, stress, phase, what lies below, and what is missing."""
    from delever.report.pages.state_page import levels_table, readings_table, supports_table
    from delever.study.inputs.market import utc

    place = Workspace.find(workspace)
    report = dl.state(
        None if at is None else utc(at, "--at"),
        data=data,
        series=parse_named("--series", series or []),
        days=days,
        workspace=place,
    )
    page = written(report, output, place)
    if as_json:
        echo_json({"page": str(page), **report.to_dict()})
        return
    print_text(report.headline, bold=True)
    print_text(f"data  {report.source}")
    print_table("Nearest supports", supports_table(report.state))
    print_table("Levels", levels_table(report.state))
    print_table("Stress", readings_table(report.state))
    print_notes(report.notes)
    for name, why in report.state.missing.items():
        print_text(f"missing: {name}: {why}", color=typer.colors.YELLOW)
    typer.echo(f"state  {page}")
