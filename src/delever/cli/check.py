"""``delever check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from delever.cli.listing import count
from delever.cli.screen import WorkspaceOption, echo_json, steps

if TYPE_CHECKING:
    from delever.study.check import Checked

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(check)


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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
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
        _print(found, test=test)
    if any(one.findings for one in found):
        raise typer.Exit(1)


def _print(found: Sequence[Checked], *, test: bool) -> None:
    for one in found:
        said = count(len(one.findings), "finding") if one.findings else "passed"
        typer.echo(f"{one.name}: {said}")
        for finding in one.findings:
            typer.echo(f"  - {finding}")
        if one.test:
            typer.echo(f"  smallest market that shows it: {one.bars}")
            typer.echo(f"\n{one.test}" if test else "  as a test to paste: --as-test")
