"""``delever run``, ``compare``, ``sweep``, ``runs`` and ``init``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import delever as dl
from delever.cli.option_values import costs_times, parse_overrides
from delever.cli.terminal import (
    ClusterOption,
    Json,
    StudySet,
    Wide,
    Workers,
    WorkspaceOption,
    count,
    echo_json,
    on_cluster,
    print_notes,
    print_rows,
    print_table,
    print_text,
    steps,
    written,
)
from delever.errors import DeleverError, InputError
from delever.study.workspaces.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

Fresh = Annotated[bool, typer.Option("--fresh", help="Run also what has a result already.")]
Really = Annotated[
    bool, typer.Option("--really", help="Costs above 2% (slippage: 5%) are meant so.")
]
WhatIf = Annotated[bool, typer.Option("--what-if", help="Also each run's counterfactuals.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    for command in (run, compare, sweep, walk, init):
        app.command()(command)


def run(
    studies: Annotated[list[Path], typer.Argument(help="Study files (TOML).", show_default=False)],
    set_: StudySet = None,
    costs: Annotated[
        str | None,
        typer.Option("--costs", metavar="xN", help="Fees and slippage N times as high: x2."),
    ] = None,
    fresh: Fresh = False,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Without the test on redrawn periods (resampled markets)."),
    ] = False,
    what_if: WhatIf = False,
    cluster: ClusterOption = None,
    really: Really = False,
    workspace: WorkspaceOption = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Run studies. The same inputs again are read from their results folder.

    Of several, one that cannot be run keeps none of the others from it: it is named at the end.
    """
    place = Workspace.find(workspace)
    files = [place.study(path) for path in studies]  # refused before pandas is imported
    from delever.study.machines.executor import default_workers

    overrides = parse_overrides(set_ or [])
    if really:
        overrides["really"] = True
    if costs is not None:
        overrides["costs_times"] = costs_times(costs)
    how: dict[str, Any] = {"fresh": fresh, "quick": quick, "workers": default_workers()}
    done: list[dl.Run] = []
    refused: dict[Path, DeleverError] = {}
    with on_cluster(cluster) as there, steps(len(studies), quiet=as_json) as begin:
        how |= {"cluster": there, "workspace": place}
        for path in files:
            try:
                done.append(dl.run(path, overrides, progress=begin(path.stem), **how))
            except DeleverError as error:
                if len(files) == 1:
                    raise
                refused[path] = error
    for path, why in refused.items():
        print_text(f"error: {path.stem} was not run: {why}", err=True)
    if as_json:
        echo_json([one.to_dict() for one in done])
    elif len(done) == 1:
        _print_run(done[0], what_if=what_if)
    elif done:
        try:
            comparison = dl.compare(*done, what_if=what_if)
        except InputError:
            _print_files(done)
            raise
        _print_comparison(comparison, comparison.store(place))
    if refused:
        raise typer.Exit(max(why.exit_code for why in refused.values()))


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(help="Finished runs: study/id, id, its first digits, folder, or a study."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="HTML file; by default in backtests/results/comparisons."
        ),
    ] = None,
    what_if: WhatIf = False,
    workspace: WorkspaceOption = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Compare finished runs over the span they share. A study stands for its newest run."""
    place = Workspace.find(workspace)
    comparison = dl.compare(*runs, what_if=what_if, workspace=place)
    page = written(comparison, output, place)
    if as_json:
        echo_json(
            {"comparison": str(page), "taken": dict(comparison.taken), **comparison.to_dict()}
        )
    else:
        for name, run in comparison.taken.items():
            typer.echo(f"{name}: {run}")
        _print_comparison(comparison, page)


def sweep(
    study: Annotated[Path, typer.Argument(help="Study file (TOML) with a [sweep] table.")],
    set_: StudySet = None,
    workers: Workers = None,
    cluster: ClusterOption = None,
    fresh: Fresh = False,
    really: Really = False,
    workspace: WorkspaceOption = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Run every combination of a sweep table. What was finished before is kept.

    Exit code 1 where every combination is refused.
    """
    place = Workspace.find(workspace)
    file = place.study(study)
    with on_cluster(cluster) as there, steps(1, quiet=as_json) as begin:
        say = begin(study.stem)
        say("reading data")
        done = dl.sweep(
            file,
            set=parse_overrides(set_ or []),
            workers=workers,
            cluster=there,
            fresh=fresh,
            really=really,
            progress=lambda n, total, left: say(f"{n:,} of {total:,}, {left:,.0f} s to go"),
            workspace=place,
        )
    if as_json:
        echo_json(done.to_dict())
    elif not done.refusal:
        _print_sweep(done)
    if done.refusal:
        print_text(f"error: {done.refusal}", err=True)
        raise typer.Exit(1)


def _print_sweep(done: dl.Sweep) -> None:
    from delever.report.figures.sweep_figures import setting_text, short
    from delever.report.format import when
    from delever.report.pages.sweep_page import compared_table
    from delever.report.sweep_words import among, decisions, label, notes, reasons, text

    print_text(done.headline)
    print_text(" ".join(done.grounds))
    beside = compared_table(done)
    if beside is not None:
        print_table("The best beside what it is compared with", beside)
    best = done.summary
    shown = [str(name) for name in best if name not in done.axes]
    values = best[shown].to_numpy(dtype=float).tolist()
    own = best[list(done.axes)].to_numpy(dtype=object).tolist()
    first = decisions(done.frame)
    decided = ["first decision"] if len(first) else []
    print_rows(
        f"Highest Sharpe ratios of {among(done)}",
        [*map(short, done.axes), *decided, *map(label, shown)],
        [
            [
                *map(setting_text, axes),
                *(when(first[place]) for _ in decided),
                *(text(*one, done.days[place]) for one in zip(row, shown, strict=True)),
            ]
            for place, axes, row in zip(best.index, own, values, strict=True)
        ],
    )
    print_notes(notes(done))
    for reason, many in reasons(done.frame)["combinations"].items():
        print_text(f"{many:,} without a result: {reason}")
    print_text(
        f"{done.resumed:,} of them were there already; {count(done.n_trials, 'trial')} ever made "
        "on this data"
    )
    assert done.folder is not None
    print_notes(done.manifest.get("notes", ()))
    typer.echo(f"frame  {done.folder / 'sweep.parquet'}")
    typer.echo(f"page   {done.folder / 'sweep.html'}")


def walk(
    study: Annotated[Path, typer.Argument(help="Study file (TOML) with a [sweep.params] table.")],
    window: Annotated[int, typer.Option("--window", help="Days that choose.")] = 1_460,
    step: Annotated[int, typer.Option("--step", help="Days a choice is held.")] = 365,
    embargo: Annotated[int, typer.Option("--embargo", help="Days between the two.")] = 1,
    anchored: Annotated[
        bool, typer.Option("--anchored", help="Choose on all days before.")
    ] = False,
    choose: Annotated[
        Literal["sharpe_ratio", "growth", "payout"],
        typer.Option("--choose", help="What is highest in the chosen combination."),
    ] = "sharpe_ratio",
    plateau: Annotated[
        bool, typer.Option("--plateau", help="By the lower of it and its neighbours' median.")
    ] = False,
    trades: Annotated[
        int, typer.Option("--trades", help="Closed trades needed in the window.")
    ] = 0,
    set_: StudySet = None,
    workers: Workers = None,
    cluster: ClusterOption = None,
    workspace: WorkspaceOption = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Choose parameters on past years, hold the choice, choose again.

    The choices held one after the other are a run with a tear-sheet of its own.
    """
    place = Workspace.find(workspace)
    file = place.study(study)
    from delever.report.format import SPEED
    from delever.report.pages.walk_page import windows_table
    from delever.study.machines.executor import default_workers

    with on_cluster(cluster) as there, steps(1, quiet=as_json) as begin:
        done = dl.walk_forward(
            file,
            window=window,
            step=step,
            embargo=embargo,
            anchored=anchored,
            choose=choose,
            plateau=plateau,
            trades=trades,
            set=parse_overrides(set_ or []),
            workers=workers or default_workers(),
            cluster=there,
            progress=begin(study.stem),
            workspace=place,
        )
        page = done.store(place)
    if as_json:
        echo_json({"page": str(page), **done.to_dict()})
        return
    print_text(done.headline)
    table = windows_table(done)
    print_table("What was chosen", table)
    if any(cell.endswith(" *") for row in table.texts for cell in row):
        print_text(SPEED)
    _print_short(done.run)
    print_notes(done.run.notes)
    typer.echo(f"page  {page}")


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
) -> None:
    """Make a workspace that runs. It holds strategies, studies, periods and sample data."""
    typer.echo(f"workspace made in {dl.init(directory).root}")
    typer.echo(f"next: cd {directory} && delever run backtests/ma200w_break.toml")


def _print_short(run: dl.Run) -> None:
    """Print the periods of a run, and a few rows about all of it."""
    from delever.report.pages.short_tables import periods_in_short, run_in_short

    if len(run.answer.protection.periods):
        print_table("", periods_in_short({run.name: run.answer}, run.benchmark))
    print_table("", run_in_short(run.answer, run.evaluation, run.benchmark))


def _print_run(run: dl.Run, *, what_if: bool) -> None:
    start, end = run.evaluation.span
    typer.secho(f"{run.name}, {start:%Y-%m-%d} to {end:%Y-%m-%d}", bold=True)
    print_text(run.headline)
    _print_short(run)
    if what_if:
        _print_what_if(
            {run.name: run.counterfactuals},
            {run.name: run.what_if.refused},
            days=365 * run.evaluation.years,
        )
    print_notes(run.notes)
    _print_files([run])


_BESIDE_EACH_OTHER = 3
"""So many runs have a column each on 80 characters; more have a row each."""


def _print_comparison(comparison: dl.Comparison, page: Path) -> None:
    from delever.report.pages.difference_tables import protection_table
    from delever.report.pages.short_tables import periods_in_short, runs_in_short

    typer.secho(f"{comparison.start:%Y-%m-%d} to {comparison.end:%Y-%m-%d}", bold=True)
    print_text(comparison.headline)
    names, benchmark = comparison.labels, comparison.benchmark
    found = dict(zip(names, comparison.answers, strict=True))
    if len(found) <= _BESIDE_EACH_OTHER:
        print_table("Points saved in each period", periods_in_short(found, benchmark))
    else:
        print_table("Points saved in a period", protection_table(found))
    measured = dict(zip(names, comparison.evaluations, strict=True))
    print_table("With 90% intervals", runs_in_short(found, measured, benchmark))
    if comparison.what_if:
        _print_what_if(comparison.counterfactuals, comparison.refused, days=comparison.days)
    print_notes(comparison.notes)
    _print_files(comparison.runs)
    typer.echo(f"comparison  {page}")


def _print_what_if(
    tables: Mapping[str, pd.DataFrame], refused: Mapping[str, Mapping[str, str]], *, days: float
) -> None:
    from delever.report.pages.run_tables import what_if_table

    table = what_if_table(tables, refused, days=days)
    if len(table.rows) > len(tables):
        print_table("What if", table)
    for run, reasons in refused.items():
        for name, reason in reasons.items():
            print_text(f"no result of {run}, {name}: {reason}")


def _print_files(runs: Sequence[dl.Run]) -> None:
    for run in runs:
        if run.folder is not None:
            again = "  (same inputs, read from the results)" if run.cached else ""
            typer.echo(f"tear-sheet  {run.folder / 'tearsheet.html'}{again}")
