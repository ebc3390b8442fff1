"""``delever sweep``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from delever.cli.terminal import WorkspaceOption, echo_json, print_rows, steps

if TYPE_CHECKING:
    from delever.study.sweep import Sweep

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(sweep)


def sweep(
    study: Annotated[Path, typer.Argument(help="Study file (TOML) with a [sweep] table.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key: sweep.samples=100."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes; by default one per core.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run also what has a result already.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Run every combination of a sweep table. What was finished before is kept."""
    from delever.study.option_values import parse_overrides
    from delever.study.sweep import run_sweep
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    with steps(1, quiet=as_json) as begin:
        say = begin(study.stem)
        say("reading data")
        done = run_sweep(
            place.file(study),
            workspace=place,
            overrides=parse_overrides(set_ or []),
            workers=workers,
            fresh=fresh,
            progress=lambda n, total, left: say(f"{n:,} of {total:,}, {left:,.0f} s to go"),
        )
    if as_json:
        echo_json(_as_json(done))
        return
    from delever.report.pages.sweep_page import label, text, top

    best = top(done.frame, 10)
    shown = ["sharpe_ratio", "cagr", "max_drawdown", "inside_total_return"]
    print_rows(
        f"{study.stem}: the highest Sharpe ratios of {len(done.frame):,} combinations",
        [*done.axes, *(label(name) for name in shown)],
        [
            [*(str(row[axis]) for axis in done.axes), *(text(row[name], name) for name in shown)]
            for _, row in best.iterrows()
        ],
        left=done.axes,
    )
    if done.manifest["failed"]:
        typer.echo(f"{done.manifest['failed']:,} combinations have no result; see column error")
    typer.echo(f"{done.resumed:,} were there already; {done.n_trials:,} ever tried on this data")
    typer.echo(f"frame  {done.folder / 'sweep.parquet'}")
    typer.echo(f"page   {done.folder / 'sweep.html'}")


def _as_json(done: Sweep) -> dict[str, Any]:
    from delever.report.pages.sweep_page import top

    best = top(done.frame, 1).drop(columns=["start", "error"]).to_dict("records")
    return {
        "sweep_id": done.manifest["sweep_id"],
        "folder": str(done.folder),
        "combinations": len(done.frame),
        "resumed": done.resumed,
        "failed": done.manifest["failed"],
        "n_trials": done.n_trials,
        "highest_sharpe_ratio": {str(key): _plain(value) for key, value in best[0].items()}
        if best
        else None,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    number = float(value)
    return number if math.isfinite(number) else None
