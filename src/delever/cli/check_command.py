"""``delever check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from delever.cli.listing import count
from delever.cli.terminal import WorkspaceOption, echo_json, steps

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
    points: Annotated[int, typer.Option("--points", help="Cuts to try, up to 10,000.")] = 32,
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
    """Check strategies and features for peeking. Units and holes, too; exit code 1 on findings.

    Of all features, those that these bars or series do not suffice for are skipped and counted.
    """
    from delever.signals.features import available
    from delever.study.check import ALL_FEATURES, Ground, check_target, names, view_of
    from delever.study.option_values import parse_named, parse_overrides
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
    wanted = {
        str(place.file(Path(name))) if name.endswith(".py") else name: name in targets
        for target in targets
        for name in names(target, market)
    }
    found = []
    with steps(len(wanted), quiet=as_json) as begin:
        for name, by_name in wanted.items():
            begin(Path(name).stem)("changing the future")
            found.append(check_target(name, ground=ground, market=market, skip=not by_name))
    if as_json:
        echo_json({one.name: _json(one) for one in found})
    else:
        _print(found, test=test)
        if ALL_FEATURES in targets:
            _print_count(found, available(market)[1])
    if any(one.findings for one in found):
        raise typer.Exit(1)


def _json(one: Checked) -> list[str] | dict[str, str]:
    return {"skipped": one.skipped} if one.skipped else [str(each) for each in one.findings]


def _print_count(found: Sequence[Checked], missing: Sequence[str]) -> None:
    """Say how many were checked, and what was missing for the others."""
    skipped = sum(bool(one.skipped) for one in found)
    wrong = sum(bool(one.findings) for one in found)
    typer.echo(f"{len(found) - skipped - wrong} passed, {wrong} with findings, {skipped} skipped")
    if missing:
        typer.echo(f"features of these series are not among them: {', '.join(missing)} (--series)")


def _print(found: Sequence[Checked], *, test: bool) -> None:
    for one in found:
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
