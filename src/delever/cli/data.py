"""``delever data``: import files, list what is stored, export it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from delever.cli import coverage
from delever.cli.listing import count, day, entry_json, lag, print_entry, print_table
from delever.cli.screen import WorkspaceOption, echo_json, print_notes, steps

if TYPE_CHECKING:
    import pandas as pd

    from delever.data.entry import ImportReport
    from delever.data.interop.found import Found
    from delever.data.source import Reference


__all__ = ["app"]

app = typer.Typer(help="Import, export, list and check data sets.", no_args_is_help=True)
coverage.register(app)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_GAPS_SHOWN = 30


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(help=".csv, .csv.gz, .parquet or .feather; with --from, what that names."),
    ],
    venue: Annotated[str, typer.Option(help="Where the rows come from: bitstamp.")],
    symbol: Annotated[
        str | None,
        typer.Option(
            help="ccxt's unified symbol, or a name: BTC/USD. freqtrade's files say it themselves.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str, typer.Option(help="ohlcv, mark, index, premium, funding, series, …")
    ] = "ohlcv",
    timeframe: Annotated[str, typer.Option(help="Such as 1d, 4h.")] = "1d",
    origin: Annotated[
        Literal["binance-archive", "cryptodatadownload", "freqtrade", "yahoo"] | None,
        typer.Option(
            "--from",
            help="Whose file it is: a zip of Binance's archive or a folder of them, a CSV of "
            "CryptoDataDownload or Yahoo, freqtrade's data/EXCHANGE.",
            show_default=False,
        ),
    ] = None,
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
    """Import a file. Rows stored already must agree, and importing twice changes nothing."""
    from delever.data.source import parse_lag
    from delever.study.workspace import Workspace

    catalog = Workspace.find(workspace).catalog
    known_after = None if publication_lag is None else parse_lag(publication_lag)
    notes, reports = tuple(note or ()), []
    with steps(1, quiet=as_json) as begin:
        begin(file.name)
        if origin is None:
            report = catalog.add(
                file,
                _reference(venue, kind, symbol, timeframe),
                publication_lag=known_after,
                notes=notes,
                stamp_unit=stamp_unit,
                complete=complete,
            )
            reports.append(report)
            left: list[str] = []
        else:
            found, left = _foreign(origin, file, venue, kind, symbol, timeframe)
            for one in found:
                report = catalog.add(
                    one.frame,
                    one.reference,
                    publication_lag=known_after,
                    notes=(*notes, *one.notes),
                    complete=complete,
                    provenance=one.provenance,
                )
                reports.append(report)
    if as_json:
        documents = [_report_json(report) for report in reports]
        echo_json(documents[0] if origin is None else documents)
        return
    for report in reports:
        _print_report(report)
    if left:
        print_notes([f"left alone: {line}" for line in left])


def _reference(venue: str, kind: str, symbol: str | None, timeframe: str) -> Reference:
    from delever.data.source import Reference
    from delever.errors import ConfigError

    if symbol is None:
        raise ConfigError("--symbol is required, such as BTC/USD; only freqtrade's files say it")
    return Reference(venue=venue, kind=kind, symbol=symbol, timeframe=timeframe)


def _foreign(
    origin: str, path: Path, venue: str, kind: str, symbol: str | None, timeframe: str
) -> tuple[list[Found], list[str]]:
    from delever.data.interop.archive import read_archive
    from delever.data.interop.freqtrade import read_freqtrade
    from delever.data.interop.vendors import read_cryptodatadownload, read_yahoo

    if origin == "freqtrade":
        return read_freqtrade(path, venue)
    readers = {
        "binance-archive": read_archive,
        "cryptodatadownload": read_cryptodatadownload,
        "yahoo": read_yahoo,
    }
    return [readers[origin](path, _reference(venue, kind, symbol, timeframe))], []


def _print_report(report: ImportReport) -> None:
    typer.echo(
        f"{report.entry.reference}: {count(report.added, 'row')} added, "
        f"{report.present:,} there already"
    )
    print_entry(report.entry)
    if report.ignored:
        print_notes([f"columns ignored: {', '.join(report.ignored)}"])
    _print_gaps(report.gaps)


def _report_json(report: ImportReport) -> dict[str, Any]:
    counts = {"added": report.added, "present": report.present}
    gaps = _gaps_json(report.gaps)
    return entry_json(report.entry) | counts | {"gaps": gaps, "ignored": report.ignored}


@app.command("export")
def export_(
    reference: Annotated[str, typer.Argument(help="Such as bitstamp/ohlcv/BTC/USD/1d.")],
    path: Annotated[
        Path, typer.Argument(help="File to write; for freqtrade its folder data/EXCHANGE.")
    ],
    form: Annotated[
        Literal["parquet", "csv", "feather", "freqtrade", "vectorbt"],
        typer.Option("--format", help="In whose shape."),
    ] = "parquet",
    workspace: WorkspaceOption = None,
) -> None:
    """Write a data set for another program."""
    from delever.data.interop.export import export
    from delever.study.workspace import Workspace

    with steps(1, quiet=False) as begin:
        begin(reference)
        dataset = Workspace.find(workspace).catalog.load(reference)
        written = export(dataset, path, form)
    typer.echo(f"{reference}: {count(len(dataset.frame), 'row')} written to {written}")
    print_notes(dataset.notes)


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
