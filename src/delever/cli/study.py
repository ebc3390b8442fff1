"""``delever run``, ``compare``, ``check``, ``periods`` and ``init``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from delever.cli.listing import count
from delever.cli.screen import WorkspaceOption, echo_json, print_notes, steps
from delever.errors import InputError

if TYPE_CHECKING:
    from delever.study.compare import Comparison
    from delever.study.run import Run

__all__ = ["register"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    for command in (run, compare, check, periods, init):
        app.command()(command)


def run(
    studies: Annotated[list[Path], typer.Argument(help="Study files (TOML).", show_default=False)],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key: params.weeks=150."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run even where the result is there.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Run studies. The same inputs again are read from their results folder."""
    from delever.study.compare import compare as compare_runs
    from delever.study.run import run_study
    from delever.study.words import parse_overrides
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    overrides = parse_overrides(set_ or [])
    runs = []
    with steps(len(studies), quiet=as_json) as begin:
        for path in studies:
            runs.append(
                run_study(
                    place.file(path),
                    workspace=place,
                    overrides=overrides,
                    fresh=fresh,
                    report=begin(path.stem),
                )
            )
    if as_json:
        echo_json([_as_json(one) for one in runs])
    elif len(runs) == 1:
        _print_run(runs[0])
    else:
        try:
            comparison = compare_runs(*runs)
        except InputError:
            _print_files(runs)
            raise
        page = comparison.page(place.results / "comparison.html")
        _print_comparison(comparison, page)


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(help="Finished runs: folder, id, or study with one run."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="HTML file; by default results/comparison.html."),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Compare finished runs over the span they share."""
    from delever.study.archive import find_run
    from delever.study.compare import compare as compare_runs
    from delever.study.run import load_run
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    comparison = compare_runs(*(load_run(find_run(place.results, one)) for one in runs))
    page = comparison.page(output or place.results / "comparison.html")
    if as_json:
        echo_json(_comparison_json(comparison, page))
    else:
        _print_comparison(comparison, page)


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
    ] = "sample/ohlcv/BTC/USD/1d",
    series: Annotated[
        list[str] | None,
        typer.Option("--series", metavar="NAME=REFERENCE", help="A reading they ask for."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter: weeks=150."),
    ] = None,
    points: Annotated[int, typer.Option("--points", min=1, help="Cuts to try.")] = 32,
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
    """Check strategies and features for peeking. Units and holes, too; exit code 1 on findings."""
    from delever.study.check import Ground, check_target, names, view_of
    from delever.study.words import parse_named, parse_overrides
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    ground = Ground(
        data=data,
        series=parse_named("--series", series or []),
        params=parse_overrides(set_ or []),
        points=points,
        leverage=leverage,
    )
    market = view_of(ground, place)
    wanted = [
        str(place.file(Path(name))) if name.endswith(".py") else name
        for target in targets
        for name in names(target, market)
    ]
    found = []
    with steps(len(wanted), quiet=as_json) as begin:
        for name in wanted:
            begin(Path(name).stem)("changing the future")
            found.append(check_target(name, ground=ground, market=market))
    if as_json:
        echo_json({one.name: [str(finding) for finding in one.findings] for one in found})
    else:
        for one in found:
            said = count(len(one.findings), "finding") if one.findings else "passed"
            typer.echo(f"{one.name}: {said}")
            for finding in one.findings:
                typer.echo(f"  - {finding}")
            if one.test:
                typer.echo(f"  smallest market that shows it: {one.bars}")
                typer.echo(f"\n{one.test}" if test else "  as a test to paste: --as-test")
    if any(one.findings for one in found):
        raise typer.Exit(1)


def periods(
    data: Annotated[
        str, typer.Option("--data", help="Bars to measure them on.", metavar="REFERENCE")
    ] = "sample/ohlcv/BTC/USD/1d",
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Show the deleveraging periods on a data set. Says how late a causal detector sees them."""
    from delever.cli.screen import print_rows
    from delever.report.format import day, number, percent
    from delever.study import episodes
    from delever.study.notebook import periods as load_periods
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    dataset = place.catalog.load(data)
    catalogue = load_periods(workspace=place.root)
    seen, report = episodes.falls(dataset, catalogue), episodes.detection(dataset, catalogue)
    lags = {str(name): float(lag) for name, lag in report.periods["lag"].items()}
    median = report.periods["lag"].median()
    if as_json:
        echo_json(
            {
                "data": data,
                "periods": {
                    str(period): {
                        "title": row["title"],
                        "bars": int(row["bars"]),
                        "fall": _finite(row["fall"]),
                        "lowest": day(row["lowest"]),
                        "lag": _finite(lags.get(str(period), math.nan)),
                    }
                    for period, row in seen.iterrows()
                },
                "period_recall": _finite(report.period_recall),
                "bar_precision": _finite(report.bar_precision),
                "bar_recall": _finite(report.bar_recall),
                "alarms": report.alarms,
                "false_alarms": report.false_alarms,
            }
        )
        return
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
            for period, row in seen.iterrows()
        ],
        left=("period", "title"),
    )
    typer.echo(
        f"causal detector: {percent(report.period_recall, 0)} of the periods found, half of those "
        f"within {number(median, 1)} bars; {report.alarms} alarms, {report.false_alarms} of "
        f"them false; {percent(report.bar_precision, 0)} of the bars it marks lie in a period"
    )


def _lag(bars: float | None) -> str:
    if bars is None:
        return "n/a"  # the data cover the period only in part
    return "not detected" if math.isnan(bars) else f"{bars:.0f} bars"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
) -> None:
    """Make a workspace that runs. It holds strategies, studies, periods and sample data."""
    from delever.study.workspace import create

    place = create(directory)
    typer.echo(f"workspace made in {place.root}")
    typer.echo(f"next: cd {directory} && delever run backtests/ma200w_break.toml")


def _as_json(run: Run) -> dict[str, Any]:
    from delever.study.archive import metrics_json

    if run.folder is None:
        raise InputError("only a stored run has a folder to report")
    return {
        "run_id": run.manifest["run_id"],
        "folder": str(run.folder),
        "tearsheet": str(run.folder / "tearsheet.html"),
        "cached": run.cached,
        "span": run.manifest["span"],
        "notes": list(run.notes),
        **json.loads(metrics_json(run.evaluation)),
    }


def _comparison_json(comparison: Comparison, page: Path) -> dict[str, Any]:
    from delever.study.archive import metrics_json

    return {
        "comparison": str(page),
        "span": {"start": str(comparison.start), "end": str(comparison.end)},
        "notes": comparison.notes,
        "runs": {
            label: json.loads(metrics_json(evaluation))
            for label, evaluation in zip(comparison.labels, comparison.evaluations, strict=True)
        },
    }


def _print_run(run: Run) -> None:
    from delever.cli.screen import print_metrics
    from delever.research.evaluation import SCOPES
    from delever.study.compare import HEADLINE

    measured, held = run.evaluation.metrics, run.evaluation.benchmark_metrics
    start, end = run.evaluation.span
    print_metrics(
        f"{run.name}, {start:%Y-%m-%d} to {end:%Y-%m-%d}",
        {
            run.name: {scope: measured[scope] for scope in SCOPES},
            run.manifest["benchmark"]["name"]: {scope: held[scope] for scope in SCOPES},
        },
        HEADLINE,
    )
    print_notes(run.notes)
    _print_files([run])


def _print_comparison(comparison: Comparison, page: Path) -> None:
    from delever.cli.screen import print_metrics
    from delever.research.evaluation import SCOPES
    from delever.study.compare import HEADLINE

    print_metrics(
        f"{comparison.start:%Y-%m-%d} to {comparison.end:%Y-%m-%d}",
        {
            label: {scope: evaluation.metrics[scope] for scope in SCOPES}
            for label, evaluation in zip(comparison.labels, comparison.evaluations, strict=True)
        },
        HEADLINE,
    )
    print_notes(comparison.notes)
    _print_files(comparison.runs)
    typer.echo(f"comparison  {page}")


def _print_files(runs: Sequence[Run]) -> None:
    for run in runs:
        if run.folder is not None:
            again = "  (same inputs, read from the results)" if run.cached else ""
            typer.echo(f"tear-sheet  {run.folder / 'tearsheet.html'}{again}")
