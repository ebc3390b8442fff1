"""``delever data``: import files, list what is stored, check it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from delever.cli import coverage
from delever.cli.listing import count, day, entry_json, lag, print_entry, print_table
from delever.cli.screen import WorkspaceOption, echo_json, print_notes, steps

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["app"]

app = typer.Typer(help="Import, export, list and check data sets.", no_args_is_help=True)
coverage.register(app)

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
    complete: Annotated[
        bool,
        typer.Option(
            help="The source has nothing between these rows beside them: holes are absent there, "
            "not unknown."
        ),
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Import a file; rows stored already must agree, and importing twice changes nothing."""
    from delever.data.source import Reference, parse_lag
    from delever.study.workspace import Workspace

    catalog = Workspace.find(workspace).catalog
    reference = Reference(venue=venue, kind=kind, symbol=symbol, timeframe=timeframe)
    known_after = None if publication_lag is None else parse_lag(publication_lag)
    with steps(1, quiet=as_json) as begin:
        begin(file.name)
        report = catalog.add(
            file,
            reference,
            publication_lag=known_after,
            notes=note or (),
            stamp_unit=stamp_unit,
            complete=complete,
        )
    if as_json:
        counts = {"added": report.added, "present": report.present}
        gaps = _gaps_json(report.gaps)
        echo_json(entry_json(report.entry) | counts | {"gaps": gaps, "ignored": report.ignored})
        return
    typer.echo(f"{reference}: {count(report.added, 'row')} added, {report.present:,} there already")
    print_entry(report.entry)
    if report.ignored:
        print_notes([f"columns ignored: {', '.join(report.ignored)}"])
    _print_gaps(report.gaps)


@app.command("list")
def list_(workspace: WorkspaceOption = None, as_json: Json = False) -> None:
    """List what is stored."""
    from delever.study.workspace import Workspace

    entries = Workspace.find(workspace).catalog.list()
    if as_json:
        echo_json([entry_json(entry) for entry in entries])
        return
    columns = ("data set", "rows", "gaps", "first", "last", "known after", "id")
    rows = [
        (
            str(entry.reference),
            f"{entry.rows:,}",
            str(entry.gaps),
            day(entry.start),
            day(entry.end),
            lag(entry.publication_lag),
            entry.id[:12],
        )
        for entry in entries
    ]
    print_table(columns, rows)


def _print_gaps(gaps: pd.DataFrame) -> None:
    if gaps.empty:
        typer.echo("  no gaps")
        return
    shown = gaps.sort_values("bars", ascending=False, kind="stable").head(_GAPS_SHOWN).sort_index()
    left = len(gaps) > len(shown)
    typer.echo(
        f"  {count(len(gaps), 'gap')}, {count(int(gaps['bars'].sum()), 'bar')}"
        + (f" (the {_GAPS_SHOWN} longest below; all with --json)" if left else "")
    )
    rows = [
        (day(start), day(end), str(bars))
        for start, end, bars in zip(shown["start"], shown["end"], shown["bars"], strict=True)
    ]
    print_table(("first missing", "next present", "bars"), rows)


def _gaps_json(gaps: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"start": start.isoformat(), "end": end.isoformat(), "bars": int(bars)}
        for start, end, bars in zip(gaps["start"], gaps["end"], gaps["bars"], strict=True)
    ]
