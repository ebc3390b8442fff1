"""``delever run``, ``compare`` and ``init``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from delever.cli.terminal import WorkspaceOption, echo_json, print_notes, steps
from delever.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from delever.study.compare import Comparison
    from delever.study.run import Run

__all__ = ["register"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    for command in (run, compare, init):
        app.command()(command)


def run(
    studies: Annotated[list[Path], typer.Argument(help="Study files (TOML).", show_default=False)],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key: params.weeks=150."),
    ] = None,
    costs: Annotated[
        str | None,
        typer.Option("--costs", metavar="xN", help="Fees and slippage N times as high: x2."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run even where the result is there.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Run studies. The same inputs again are read from their results folder."""
    from delever.study.compare import compare as compare_runs
    from delever.study.option_values import costs_times, parse_overrides
    from delever.study.run import run_study
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    overrides = parse_overrides(set_ or [])
    if costs is not None:
        overrides["costs_times"] = costs_times(costs)
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
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Also each run's counterfactuals.")
    ] = False,
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
    page = comparison.page(output or place.results / "comparison.html", what_if=what_if)
    if as_json:
        echo_json(_comparison_json(comparison, page))
    else:
        _print_comparison(comparison, page, what_if=what_if)


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
        "attribution": _plain(run.attribution),
        "counterfactuals": _plain(run.counterfactuals),
        **json.loads(metrics_json(run.evaluation)),
    }


def _comparison_json(comparison: Comparison, page: Path) -> dict[str, Any]:
    from delever.study.archive import metrics_json

    return {
        "comparison": str(page),
        "span": {"start": str(comparison.start), "end": str(comparison.end)},
        "notes": comparison.notes,
        "counterfactuals": {
            label: _plain(table) for label, table in comparison.counterfactuals.items()
        },
        "runs": {
            label: json.loads(metrics_json(evaluation))
            for label, evaluation in zip(comparison.labels, comparison.evaluations, strict=True)
        },
    }


def _print_run(run: Run) -> None:
    from delever.cli.terminal import print_metrics
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
    _print_what_if({run.name: run.counterfactuals}, {run.name: run.what_if.refused})
    print_notes(run.notes)
    _print_files([run])


def _print_comparison(comparison: Comparison, page: Path, *, what_if: bool = False) -> None:
    from delever.cli.terminal import print_metrics
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
    if what_if:
        _print_what_if(comparison.counterfactuals, comparison.refused)
    print_notes(comparison.notes)
    _print_files(comparison.runs)
    typer.echo(f"comparison  {page}")


def _print_what_if(
    tables: Mapping[str, pd.DataFrame], refused: Mapping[str, Mapping[str, str]]
) -> None:
    from delever.cli.terminal import print_rows
    from delever.report.pages.what_if_table import what_if_table

    table = what_if_table(tables, refused)
    words = [column.label for column in table.columns if not column.numeric]
    if len(table.rows) > len(tables):
        print_rows("What if", table.header, table.texts, left=words)
    for run, reasons in refused.items():
        for name, reason in reasons.items():
            typer.echo(f"no result of {run}, {name}: {reason}")


def _plain(table: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    return {
        str(row): {
            str(name): float(value) if math.isfinite(value) else None
            for name, value in values.items()
        }
        for row, values in table.iterrows()
    }


def _print_files(runs: Sequence[Run]) -> None:
    for run in runs:
        if run.folder is not None:
            again = "  (same inputs, read from the results)" if run.cached else ""
            typer.echo(f"tear-sheet  {run.folder / 'tearsheet.html'}{again}")
