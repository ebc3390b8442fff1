"""``delever data check`` and ``delever data verify``: what is known about every bar, and damage."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from delever.cli.listing import day, entry_json, print_broken, print_entry, print_table
from delever.cli.terminal import WorkspaceOption, echo_json, steps

if TYPE_CHECKING:
    import pandas as pd

    from delever.data.catalog import Check

__all__ = ["holes_json", "print_coverage", "register"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
ReferenceArgument = Annotated[
    str | None, typer.Argument(help="Such as bitstamp/ohlcv/BTC/USD/1d; all by default.")
]
_SHOWN = 30
_CELLS = 72
_COLOURS = {"present": typer.colors.GREEN, "absent": None, "unknown": typer.colors.RED}
_MARKS = {"present": "█", "absent": "░", "unknown": "?"}
_PLAIN = {"present": "#", "absent": ".", "unknown": "?"}
"""Where the terminal has no blocks."""


def register(app: typer.Typer) -> None:
    """Add the commands to ``delever data``."""
    app.command("check")(check)
    app.command("verify")(verify)


def check(
    reference: ReferenceArgument = None,
    html: Annotated[
        Path | None, typer.Option(help="Also draw it on a page here.", show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Show what is present, absent or unknown. Exit code 1 where something is unknown or broken.

    Exit code 1 if one is unknown, or a data set is broken.
    """
    checks = _checks(reference, workspace, quiet=as_json)
    if html is not None:
        _write_page(html, checks)
    if as_json:
        echo_json([_check_json(one) for one in checks])
    else:
        for one in checks:
            _print_check(one)
        if html is not None:
            typer.echo(f"drawn in {html}")
    if any(one.problems or one.unknown for one in checks):
        raise typer.Exit(1)


def verify(
    reference: ReferenceArgument = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Hold every stored byte to its checksum. The contract of the kind and the id are held, too.

    Exit code 1 if one is wrong.
    """
    checks = _checks(reference, workspace, quiet=as_json)
    if as_json:
        echo_json([{"reference": one.name, "problems": list(one.problems)} for one in checks])
    else:
        for one in checks:
            if one.problems:
                print_broken(one)
            else:
                typer.secho(f"{one.name}: whole", fg=typer.colors.GREEN)
    if any(one.problems for one in checks):
        raise typer.Exit(1)


def _checks(reference: str | None, workspace: Path | None, *, quiet: bool) -> Sequence[Check]:
    from delever.study.workspace import Workspace

    catalog = Workspace.find(workspace).catalog
    with steps(1, quiet=quiet) as begin:
        begin(reference or "every data set")
        return catalog.check(reference)


def _write_page(path: Path, checks: Sequence[Check]) -> None:
    from delever.data.disk import write_page
    from delever.report.pages.coverage_page import render

    tables = {one.name: one.coverage for one in checks if one.coverage is not None}
    page = render(tables, {one.name: one.problems for one in checks if one.problems})
    write_page(path, page)


def _print_check(one: Check) -> None:
    if one.entry is None or one.coverage is None:
        print_broken(one)
        return
    if one.unknown:
        typer.secho(
            f"{one.name}: {one.unknown:,} {'bar is' if one.unknown == 1 else 'bars are'} unknown",
            fg=typer.colors.RED,
        )
    else:
        typer.secho(f"{one.name}: nothing is unknown", fg=typer.colors.GREEN)
    print_entry(one.entry)
    print_coverage(one.coverage)
    if one.unknown:
        typer.echo(
            f"  Nobody has said whether these bars exist. From a venue: delever data repair "
            f"{one.name}\n  From files: import the rest, or import again with --complete where "
            "the source has no more."
        )


def print_coverage(table: pd.DataFrame) -> None:
    """Draw the strip, count the bars of each state, and list the longest stretches without rows."""
    from delever.report.pages.coverage_page import STATES, strip

    marks = _marks()
    cells = "".join(typer.style(marks[state], fg=_COLOURS[state]) for state in strip(table, _CELLS))
    typer.echo(f"  {cells}")
    counts = table.groupby("state")["bars"].sum()
    typer.echo("  " + ", ".join(f"{marks[s]} {int(counts.get(s, 0)):,} {s}" for s in STATES))
    holes = table[table["state"] != "present"]
    if holes.empty:
        return
    shown = holes.sort_values(["state", "bars"], ascending=False, kind="stable").head(_SHOWN)
    if len(shown) < len(holes):
        typer.echo(
            f"  {len(holes):,} stretches without rows (the {_SHOWN} longest below, unknown ones "
            "first; all with --json)"
        )
    rows = [
        (day(start), day(end), state, f"{bars:,}")
        for start, end, state, bars in shown.sort_index().itertuples(index=False)
    ]
    print_table(("first missing", "up to", "state", "bars"), rows)
    sys.stdout.flush()


def _marks() -> Mapping[str, str]:
    try:
        "".join(_MARKS.values()).encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return _PLAIN
    return _MARKS


def _check_json(one: Check) -> dict[str, Any]:
    about = {"reference": one.name} if one.entry is None else entry_json(one.entry)
    holes = [] if one.coverage is None else holes_json(one.coverage)
    return about | {"unknown": one.unknown, "holes": holes, "problems": list(one.problems)}


def holes_json(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Stretches without rows, for scripts."""
    holes = table[table["state"] != "present"]
    return [
        {"start": start.isoformat(), "end": end.isoformat(), "state": state, "bars": int(bars)}
        for start, end, state, bars in holes.itertuples(index=False)
    ]
