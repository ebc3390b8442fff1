"""``delever data import``: plain files, and those of other programs and vendors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from delever.cli.listing import count, day, entry_json, print_entry, print_table
from delever.cli.terminal import WorkspaceOption, echo_json, print_notes, steps
from delever.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

    from delever.data.catalog import ImportReport

__all__ = ["register"]

_GAPS_SHOWN = 30

File = Annotated[
    Path,
    typer.Argument(help=".csv, .csv.gz, .parquet or .feather; with --from, what that names."),
]
Venue = Annotated[str, typer.Option(help="Where the rows come from: bitstamp.")]
Symbol = Annotated[
    str | None,
    typer.Option(
        help="ccxt's unified symbol, or a name: BTC/USD. freqtrade's files say it themselves.",
        show_default=False,
    ),
]
KindOption = Annotated[
    str | None,
    typer.Option(
        help="ohlcv, mark, index, premium, funding, series, … By default ohlcv.",
        show_default=False,
    ),
]
Timeframe = Annotated[
    str | None, typer.Option(help="Such as 4h. By default 1d.", show_default=False)
]
Origin = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Whose file it is: a zip of Binance's archive or a folder of them, a CSV of "
        "CryptoDataDownload or Yahoo, freqtrade's data/EXCHANGE.",
        show_default=False,
    ),
]
Lag = Annotated[
    str | None,
    typer.Option(
        help="From a row's stamp to when it was known: 8h. "
        "By default one timeframe, and 0 for funding.",
        show_default=False,
    ),
]
Unit = Annotated[
    Literal["s", "ms", "us"] | None,
    typer.Option(help="What stamps count, where they are whole numbers.", show_default=False),
]
Note = Annotated[
    list[str] | None,
    typer.Option(help="What a reader of results must be told; may be repeated."),
]
Complete = Annotated[
    bool,
    typer.Option(
        help="The source has nothing between these rows beside them: holes are absent there, "
        "not unknown."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def register(app: typer.Typer) -> None:
    """Add the command to ``delever data``."""
    app.command("import")(import_)


def import_(
    file: File,
    venue: Venue,
    symbol: Symbol = None,
    kind: KindOption = None,
    timeframe: Timeframe = None,
    origin: Origin = None,
    publication_lag: Lag = None,
    stamp_unit: Unit = None,
    note: Note = None,
    complete: Complete = False,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Import a file. Rows stored already must agree, and importing twice changes nothing."""
    from delever.data.references import parse_lag
    from delever.data.vendors.foreign import FileDescription
    from delever.data.vendors.registry import read_foreign
    from delever.study.workspace import Workspace

    if origin is not None and stamp_unit is not None:
        raise ConfigError(f"--stamp-unit is for plain files; those of {origin} say it themselves")
    add = partial(
        Workspace.find(workspace).catalog.add,
        publication_lag=None if publication_lag is None else parse_lag(publication_lag),
        complete=complete,
    )
    notes = tuple(note or ())
    said = FileDescription(venue=venue, kind=kind, symbol=symbol, timeframe=timeframe)
    reports: list[ImportReport] = []
    left: Sequence[str] = ()
    failed: list[str] = []
    with steps(1, quiet=as_json) as begin:
        begin(file.name)
        if origin is None:
            reports.append(add(file, said.reference(), notes=notes, stamp_unit=stamp_unit))
        else:
            contents = read_foreign(file, origin, said)
            left = contents.left
            for one in contents.found:
                told = (*notes, *one.notes)
                try:
                    reports.append(
                        add(one.frame, one.reference, notes=told, provenance=one.provenance)
                    )
                except DataError as error:  # what fails does not stop the others
                    failed.append(str(error))
    if as_json:
        documents = [_report_json(report) for report in reports]
        echo_json(documents if origin is not None else documents[0])
    else:
        _print_reports(reports, left)
    for message in failed:
        typer.echo(f"error: {message}", err=True)
    if failed:
        raise typer.Exit(1)


def _print_reports(reports: Sequence[ImportReport], left: Sequence[str]) -> None:
    for report in reports:
        typer.echo(
            f"{report.entry.reference}: {count(report.added, 'row')} added, "
            f"{report.present:,} there already"
        )
        print_entry(report.entry)
        if report.ignored:
            print_notes([f"columns ignored: {', '.join(report.ignored)}"])
        _print_gaps(report.gaps)
    print_notes([f"left alone: {line}" for line in left])


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


def _report_json(report: ImportReport) -> dict[str, Any]:
    counts = {"added": report.added, "present": report.present}
    gaps = _gaps_json(report.gaps)
    return entry_json(report.entry) | counts | {"gaps": gaps, "ignored": report.ignored}


def _gaps_json(gaps: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"start": start.isoformat(), "end": end.isoformat(), "bars": int(bars)}
        for start, end, bars in zip(gaps["start"], gaps["end"], gaps["bars"], strict=True)
    ]
