"""``delever data``: import files, list what is stored, check it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from delever.cli.screen import WorkspaceOption, echo_json, print_notes, steps

if TYPE_CHECKING:
    import pandas as pd

    from delever.data.entry import Check, Entry

__all__ = ["app"]

app = typer.Typer(help="Import, list and check data sets.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_GAPS_SHOWN = 30


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help=".csv, .csv.gz, .parquet or .feather")],
    venue: Annotated[str, typer.Option(help="Where the rows come from: bitstamp.")],
    symbol: Annotated[str, typer.Option(help="ccxt's unified symbol, or a name: BTC/USD.")],
    kind: Annotated[str, typer.Option(help="ohlcv, funding or series.")] = "ohlcv",
    timeframe: Annotated[str, typer.Option(help="Such as 1d, 4h.")] = "1d",
    publication_lag: Annotated[
        str | None,
        typer.Option(
            help="From a row's stamp to when it was known: 8h. "
            "By default one timeframe, and 0 for funding.",
            show_default=False,
        ),
    ] = None,
    stamp_unit: Annotated[
        Literal["s", "ms", "us"] | None,
        typer.Option(help="What stamps count, where they are whole numbers.", show_default=False),
    ] = None,
    note: Annotated[
        list[str] | None,
        typer.Option(help="What a reader of results must be told; may be repeated."),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Import a file; rows stored already must agree, and importing twice changes nothing."""
    from delever.data.source import Reference, parse_lag
    from delever.study.workspace import Workspace

    catalog = Workspace.find(workspace).catalog
    reference = Reference(venue=venue, kind=kind, symbol=symbol, timeframe=timeframe)
    lag = None if publication_lag is None else parse_lag(publication_lag)
    with steps(1, quiet=as_json) as begin:
        begin(file.name)
        report = catalog.add(
            file, reference, publication_lag=lag, notes=note or (), stamp_unit=stamp_unit
        )
    if as_json:
        counts = {"added": report.added, "present": report.present}
        gaps = _gaps_json(report.gaps)
        echo_json(_entry_json(report.entry) | counts | {"gaps": gaps, "ignored": report.ignored})
        return
    typer.echo(
        f"{reference}: {_count(report.added, 'row')} added, {report.present:,} there already"
    )
    _print_entry(report.entry)
    if report.ignored:
        print_notes([f"columns ignored: {', '.join(report.ignored)}"])
    _print_gaps(report.gaps)


@app.command("list")
def list_(workspace: WorkspaceOption = None, as_json: Json = False) -> None:
    """List what is stored."""
    from delever.study.workspace import Workspace

    entries = Workspace.find(workspace).catalog.list()
    if as_json:
        echo_json([_entry_json(entry) for entry in entries])
        return
    columns = ("data set", "rows", "gaps", "first", "last", "known after", "id")
    rows = [
        (
            str(entry.reference),
            f"{entry.rows:,}",
            str(entry.gaps),
            _day(entry.start),
            _day(entry.end),
            _lag(entry.publication_lag),
            entry.id[:12],
        )
        for entry in entries
    ]
    _print_table(columns, rows)


@app.command("check")
def check(
    reference: Annotated[
        str | None, typer.Argument(help="Such as bitstamp/ohlcv/BTC/USD/1d; all by default.")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Read data sets again from their bytes; exit code 1 if one is broken. Gaps are listed."""
    from delever.study.workspace import Workspace

    catalog = Workspace.find(workspace).catalog
    with steps(1, quiet=as_json) as begin:
        begin(reference or "every data set")
        checks = catalog.check(reference)
    if as_json:
        echo_json([_check_json(one) for one in checks])
    else:
        for one in checks:
            _print_check(one)
    if any(one.problems for one in checks):
        raise typer.Exit(1)


def _print_check(one: Check) -> None:
    if one.entry is None or one.gaps is None:
        typer.secho(f"{one.name}: broken", fg=typer.colors.RED)
        for problem in one.problems:
            typer.echo(f"  {problem}")
        return
    typer.secho(f"{one.name}: whole", fg=typer.colors.GREEN)
    _print_entry(one.entry)
    _print_gaps(one.gaps)


def _print_entry(entry: Entry) -> None:
    typer.echo(
        f"  {entry.rows:,} rows, {_day(entry.start)} to {_day(entry.end)}, "
        f"known {_lag(entry.publication_lag)} after the stamp, id {entry.id[:12]}"
    )
    print_notes(entry.notes)


def _print_gaps(gaps: pd.DataFrame) -> None:
    if gaps.empty:
        typer.echo("  no gaps")
        return
    shown = gaps.sort_values("bars", ascending=False, kind="stable").head(_GAPS_SHOWN).sort_index()
    left = len(gaps) > len(shown)
    typer.echo(
        f"  {_count(len(gaps), 'gap')}, {_count(int(gaps['bars'].sum()), 'bar')}"
        + (f" (the {_GAPS_SHOWN} longest below; all with --json)" if left else "")
    )
    rows = [
        (_day(start), _day(end), str(bars))
        for start, end, bars in zip(shown["start"], shown["end"], shown["bars"], strict=True)
    ]
    _print_table(("first missing", "next present", "bars"), rows)


def _print_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    table = Table()
    for position, column in enumerate(columns):
        right = column in ("rows", "gaps", "bars")
        table.add_column(column, justify="right" if right else "left", no_wrap=position == 0)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _day(time: pd.Timestamp) -> str:
    return f"{time:%Y-%m-%d}" if time == time.normalize() else f"{time:%Y-%m-%d %H:%M}"


def _lag(lag: pd.Timedelta) -> str:
    hours = lag.total_seconds() / 3600
    return f"{hours / 24:g} d" if hours and hours % 24 == 0 else f"{hours:g} h"


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "reference": str(entry.reference),
        "id": entry.id,
        "rows": entry.rows,
        "gap_count": entry.gaps,
        "start": entry.start.isoformat(),
        "end": entry.end.isoformat(),
        "publication_lag_seconds": entry.publication_lag.total_seconds(),
        "notes": list(entry.notes),
    }


def _check_json(one: Check) -> dict[str, Any]:
    about = {"reference": one.name} if one.entry is None else _entry_json(one.entry)
    gaps = [] if one.gaps is None else _gaps_json(one.gaps)
    return about | {"gaps": gaps, "problems": list(one.problems)}


def _gaps_json(gaps: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"start": start.isoformat(), "end": end.isoformat(), "bars": int(bars)}
        for start, end, bars in zip(gaps["start"], gaps["end"], gaps["bars"], strict=True)
    ]
