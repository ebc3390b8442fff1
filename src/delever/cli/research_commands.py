"""``delever check``, ``periods``, ``study signal``, ``claims`` and ``state``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

import delever as dl
from delever.cli.terminal import (
    Json,
    WorkspaceOption,
    count,
    echo_json,
    print_notes,
    print_rows,
    print_table,
    steps,
    written,
)

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="HTML file; by default a folder of its own in backtests/results, see delever runs.",
    ),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter: weeks=150.")
]
Series = Annotated[
    list[str] | None,
    typer.Option("--series", metavar="NAME=REFERENCE", help="A reading that is needed."),
]
SAMPLE = "sample/ohlcv/BTC/USD/1d"


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    for command in (check, periods, claims, state):
        app.command()(command)
    study = typer.Typer(help="Ask what happened after events.", no_args_is_help=True)
    study.callback()(_group)
    study.command()(signal)
    app.add_typer(study, name="study")


def _group() -> None:
    """Keep ``signal`` a word of its own while it is the only one."""


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
        int, typer.Option("--points", help="Cuts to try at least, up to 10,000.")
    ] = 1_000,
    seconds: Annotated[
        float, typer.Option("--seconds", help="To go on for with other cuts.")
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
    from delever.cli.option_values import parse_named, parse_overrides
    from delever.study.workspace import Workspace

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
            typer.echo(found.headline)
            if found.missing:
                without = ", ".join(found.missing)
                typer.echo(f"features of these series are not among them: {without} (--series)")
    if not found.passed:
        raise typer.Exit(1)


def _print_checked(found: dl.Checked, *, test: bool) -> None:
    for one in found.targets:
        if one.skipped:
            typer.secho(f"{one.name}: skipped: {one.skipped}", fg=typer.colors.YELLOW)
            continue
        said = count(len(one.findings), "finding") if one.findings else "passed"
        typer.echo(f"{one.name}: {said}", err=test)  # what is to be pasted stands alone
        for finding in one.findings:
            typer.echo(f"  - {finding}", err=test)
        if one.test:
            typer.echo(f"  smallest market that shows it: {one.bars}", err=test)
            typer.echo(one.test if test else "  as a test to paste: --as-test")


def periods(
    data: Annotated[
        str, typer.Option("--data", help="Bars to measure them on.", metavar="REFERENCE")
    ] = SAMPLE,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Show the deleveraging periods on a data set. Says how late a causal detector sees them."""
    from delever.report.format import day, percent
    from delever.study.workspace import Workspace

    found = dl.periods(data, workspace=Workspace.find(workspace))
    if as_json:
        echo_json(found.to_dict())
        return
    lags = {str(name): float(lag) for name, lag in found.detection.periods["lag"].items()}
    print_rows(
        f"Deleveraging periods on {data} (drawn with hindsight)",
        ["period", "title", "bars", "fall", "lowest close", "detected after"],
        [
            (
                str(period),
                row["title"],
                str(row["bars"]),
                percent(row["fall"]),
                day(row["lowest"]),
                _lag(lags.get(str(period))),
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
    typer.echo(found.headline)
    print_notes(found.notes)


Markets = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="REFERENCE", help="Bars; repeated, markets are pooled."),
]
Horizons = Annotated[
    list[int] | None,
    typer.Option("--horizon", metavar="BARS", help="Bars held; may be repeated."),
]
Decides = Annotated[int, typer.Option("--decides", help="The horizon that the verdict is about.")]
Draws = Annotated[int, typer.Option("--draws", help="Placebo levels, up to 100,000.")]
SmallestEffect = Annotated[
    float | None, typer.Option("--smallest-effect", help="Smallest effect that matters: 0.05.")
]
Rungs = Annotated[
    list[float] | None,
    typer.Option("--rung", help="A further level, as a multiple of the broken one: 0.9."),
]
Prices = Annotated[
    list[float] | None,
    typer.Option("--price", help="A further level as a price, in place of --rung: 65000."),
]
RungBars = Annotated[int, typer.Option("--rung-bars", help="Bars to get there.")]
Benchmark = Annotated[
    str | None,
    typer.Option("--benchmark", metavar="REFERENCE", help="Market of the event study."),
]
Seed = Annotated[int, typer.Option("--seed", help="Of the placebo levels, >= 0.")]


def _lag(bars: float | None) -> str:
    if bars is None:
        return "n/a"  # the data cover the period only in part
    return "not detected" if math.isnan(bars) else f"{bars:.0f} bars"


def signal(
    name: Annotated[
        str, typer.Argument(help="A rule, such as average or round_number, or an event feature.")
    ],
    data: Markets = None,
    set_: Set = None,
    series: Series = None,
    horizon: Horizons = None,
    decides: Decides = 30,
    draws: Draws = 1_000,
    smallest_effect: SmallestEffect = None,
    rung: Rungs = None,
    price: Prices = None,
    rung_bars: RungBars = 90,
    benchmark: Benchmark = None,
    seed: Seed = 0,
    output: Output = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Study a signal: what came after its events, compared with placebo levels."""
    from delever.cli.option_values import parse_named, parse_overrides
    from delever.report.pages import signal_page as tables
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    horizons = tuple(sorted({*(horizon or (7, 30, 90)), decides}))
    report = dl.signal_study(
        name,
        data or [SAMPLE],
        parse_overrides(set_ or []),
        design=dl.StudyDesign(
            horizons=horizons,
            decides=decides,
            draws=draws,
            smallest_effect=smallest_effect,
            seed=seed,
        ),
        series=parse_named("--series", series or []),
        rungs=rung,
        prices=price or (),
        rung_bars=rung_bars,
        benchmark=benchmark,
        workspace=place,
    )
    page = written(report, output, place)
    if as_json:
        echo_json({"page": str(page), **report.to_dict()})
        return
    print_table(report.study.name, tables.outcome_table(report.study))
    print_table("beside others", tables.comparison_table(report.study))
    print_table("what would have been found", tables.power_table(report.study))
    if report.ladder is not None:
        print_table("further levels", tables.ladder_table(report.ladder))
    if report.abnormal is not None:
        print_table("abnormal returns", tables.abnormal_table(report.abnormal))
    typer.echo(report.headline)
    print_notes(report.notes)
    typer.echo(f"study  {page}")


def claims(
    file: Annotated[Path, typer.Argument(help="A file of claims (TOML).", show_default=False)],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="NAME=REFERENCE", help="A series, in place of the file's."),
    ] = None,
    output: Output = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Audit what was claimed about a market. Confirmed, contradicted, depends, or not testable."""
    from delever.cli.option_values import parse_named
    from delever.report.pages.claims_page import claims_table, counts
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    audit = dl.claims(file, data=parse_named("--data", data or []), workspace=place)
    page = written(audit, output, place)
    if as_json:
        echo_json({"page": str(page), **audit.to_dict()})
        return
    print_table(audit.title, claims_table(audit.audited))
    for one in audit.audited:
        for measured in one.measured:
            if measured.missing:
                typer.echo(f"{one.claim.id}, {measured.definition.label}: {measured.missing}")
    typer.echo(", ".join(f"{seen} {verdict}" for verdict, seen in counts(audit.audited).items()))
    for name, what in audit.missing.items():
        typer.secho(f"not there: {name} ({what})", fg=typer.colors.YELLOW)
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
    as_json: Json = False,
) -> None:
    """Show where the market stands. Levels, stress, phase, what lies below, and what is missing."""
    from delever.cli.option_values import parse_named
    from delever.report.pages.state_page import levels_table, readings_table, supports_table
    from delever.study.market import utc
    from delever.study.workspace import Workspace

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
    typer.secho(report.headline, bold=True)
    print_table("Nearest supports", supports_table(report.state))
    print_table("Levels", levels_table(report.state))
    print_table("Stress", readings_table(report.state))
    print_notes(report.notes)
    for name, why in report.state.missing.items():
        typer.secho(f"missing: {name}: {why}", fg=typer.colors.YELLOW)
    typer.echo(f"state  {page}")
