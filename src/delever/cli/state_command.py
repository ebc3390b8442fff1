"""``delever state``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from delever.cli.terminal import WorkspaceOption, echo_json, print_notes

if TYPE_CHECKING:
    from delever.research.base_rates import BaseRate
    from delever.study.state_report import StateReport

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(state)


def state(
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="UTC: 2026-02-06; by default the last bar."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="REFERENCE", help="Bars; by default daily ones stored."),
    ] = None,
    series: Annotated[
        list[str] | None,
        typer.Option("--series", metavar="NAME=REFERENCE", help="A reading, if not found by name."),
    ] = None,
    days: Annotated[int, typer.Option("--days", help="To reach a support in, up to 3,650.")] = 30,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML file; by default in the results.")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show where the market stands. Levels, stress, phase, what lies below, and what is missing."""
    from delever.study.option_values import parse_named, parse_time
    from delever.study.state_report import state_of
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    report = state_of(
        place,
        data=data,
        series=parse_named("--series", series or []),
        at=None if at is None else parse_time("--at", at),
        days=days,
    )
    page = report.page(output or place.results / "state.html")
    if as_json:
        echo_json(_as_json(report, page))
    else:
        _print(report, page)


def _print(report: StateReport, page: Path) -> None:
    from delever.cli.terminal import print_rows
    from delever.report.pages.state_page import (
        headline,
        levels_table,
        readings_table,
        supports_table,
    )

    typer.secho(headline(report.state), bold=True)
    for title, table in (
        ("Nearest supports", supports_table(report.state)),
        ("Levels", levels_table(report.state)),
        ("Stress", readings_table(report.state)),
    ):
        words = [column.label for column in table.columns if not column.numeric]
        print_rows(title, table.header, table.texts, left=words)
    print_notes(report.notes)
    for name, why in report.state.missing.items():
        typer.secho(f"missing: {name}: {why}", fg=typer.colors.YELLOW)
    typer.echo(f"state  {page}")


def _as_json(report: StateReport, page: Path) -> dict[str, Any]:
    now = report.state
    return {
        "time": f"{now.time:%Y-%m-%dT%H:%M:%SZ}",
        "price": now.price,
        "phase": now.phase or None,
        "stress": _finite(now.stress),
        "coverage": _finite(now.coverage),
        "levels": {one.name: _finite(one.price) for one in now.levels},
        "readings": {
            one.feature: {"value": _finite(one.value), "percentile": _finite(one.percentile)}
            for one in now.readings
        },
        "supports": [
            {
                "level": one.level.name,
                "price": one.level.price,
                "ranges": _finite(one.ranges),
                "unconditional": _reach(one.unconditional),
                "same_phase": _reach(one.same_phase),
            }
            for one in now.supports
        ],
        "days": now.days,
        "data": dict(report.data),
        "missing": dict(now.missing),
        "page": str(page),
    }


def _reach(found: BaseRate) -> dict[str, float | None]:
    return {name: _finite(getattr(found, name)) for name in ("rate", "low", "high", "effective")}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
