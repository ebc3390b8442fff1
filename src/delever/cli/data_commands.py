"""``delever data``: import, export, list, check and verify."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

import delever as dl
from delever.cli.terminal import (
    Json,
    Wide,
    WorkspaceOption,
    count,
    echo_json,
    print_notes,
    print_rows,
    print_text,
    steps,
)

if TYPE_CHECKING:
    import pandas as pd

    from delever.data.catalog import Check, Entry, ImportReport
    from delever.data.plausibility import Doubt

app = typer.Typer(help="Import, export, list and check data sets.", no_args_is_help=True)

ReferenceArgument = Annotated[
    str | None, typer.Argument(help="Such as bitstamp/ohlcv/BTC/USD/1d; all by default.")
]
FilesArgument = Annotated[
    list[str],
    typer.Argument(
        help=".csv, .csv.gz, .parquet or .feather, or a folder of them; with --from, what that "
        "names."
    ),
]
VenueOption = Annotated[str, typer.Option(help="Where the rows come from: bitstamp.")]
SymbolOption = Annotated[
    str | None,
    typer.Option(
        help="ccxt's unified symbol, or a name: BTC/USD. Vendors' files mostly say it themselves.",
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
TimeframeOption = Annotated[
    str | None, typer.Option(help="Such as 4h. By default that of the rows.", show_default=False)
]
LayoutOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Whose file it is: binance-archive, coingecko, coinmetrics, cryptodatadownload, "
        "freqtrade, kaggle, kraken, metatrader, tradingview, yahoo; or a layout in TOML.",
        show_default=False,
    ),
]
LagOption = Annotated[
    str | None,
    typer.Option(
        help="From a row's stamp to when it was known: 8h. "
        "By default one timeframe, and 0 for funding.",
        show_default=False,
    ),
]
UnitOption = Annotated[
    Literal["s", "ms", "us", "ns"] | None,
    typer.Option(help="What stamps count, where they are whole numbers.", show_default=False),
]
ZoneOption = Annotated[
    str | None,
    typer.Option(help="Of stamps that carry no offset: UTC, America/New_York.", show_default=False),
]
NoteOption = Annotated[
    list[str] | None,
    typer.Option(help="What a reader of results must be told; may be repeated."),
]
CompleteOption = Annotated[
    bool,
    typer.Option(
        help="The source has nothing between these rows beside them: holes are absent there, "
        "not unknown."
    ),
]

_SHOWN = 30
_CELLS = 72
_WIDE = 1_000
"""Characters of a line where nobody watches: longer than any reference."""

_COLOURS = {"present": typer.colors.GREEN, "absent": None, "unknown": typer.colors.RED}
_MARKS = {"present": "█", "absent": "░", "unknown": "?"}
_PLAIN = {"present": "#", "absent": ".", "unknown": "?"}
"""Where the terminal has no blocks."""


@app.command("import")
def import_(
    files: FilesArgument,
    venue: VenueOption,
    symbol: SymbolOption = None,
    kind: KindOption = None,
    timeframe: TimeframeOption = None,
    layout: LayoutOption = None,
    publication_lag: LagOption = None,
    stamp_unit: UnitOption = None,
    timezone: ZoneOption = None,
    note: NoteOption = None,
    complete: CompleteOption = False,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Import files. Rows stored already must agree, and importing twice changes nothing.

    Of several, those that can be stored are, the others are named, and the exit code is 1.
    """
    with steps(1, quiet=as_json) as begin:
        begin(Path(files[0]).name if len(files) == 1 else count(len(files), "file"))
        done = dl.import_data(
            files[0] if len(files) == 1 else files,
            venue,
            symbol,
            kind=kind,
            timeframe=timeframe,
            layout=layout,
            publication_lag=publication_lag,
            stamp_unit=stamp_unit,
            timezone=timezone,
            notes=note or (),
            complete=complete,
            workspace=workspace,
        )
    if as_json:
        documents = done.to_dict()["data_sets"]
        echo_json(documents if layout is not None or len(documents) != 1 else documents[0])
    else:
        for report in done.reports:
            print_import(report)
        print_notes([*(f"left alone: {line}" for line in done.left), *done.notes])
    for message in done.failed:
        print_text(f"error: {message}", err=True)
    if done.failed:
        raise typer.Exit(1)


@app.command("export")
def export_(
    reference: Annotated[str, typer.Argument(help="Such as bitstamp/ohlcv/BTC/USD/1d.")],
    path: Annotated[
        Path, typer.Argument(help="File to write; for freqtrade its folder data/EXCHANGE.")
    ],
    form: Annotated[
        Literal["parquet", "csv", "feather", "freqtrade", "vectorbt"] | None,
        typer.Option(
            "--format", help="In whose shape; by default as the file ends.", show_default=False
        ),
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Write a data set for another program. Results are written by: delever export."""
    with steps(1, quiet=False) as begin:
        begin(reference)
        data = dl.load(reference, workspace=workspace)
        written = dl.export(data, path, form, workspace=workspace)
    typer.echo(f"{reference}: {count(len(data.frame), 'row')} written to {written}")
    print_notes(data.notes)


@app.command("list")
def list_(workspace: WorkspaceOption = None, wide: Wide = False, as_json: Json = False) -> None:
    """List what is stored. Exit code 1 where a description is too damaged to be read."""
    from delever.report.format import when

    found = dl.data_list(workspace=workspace)
    if as_json:
        echo_json(found.to_dict()["data_sets"])
    else:
        columns = ("data set", "first", "last", "rows", "gaps", "reading", "known after", "id")
        readings = found.tables["data sets"]["reading"].tolist() if found.entries else []
        rows = [
            (
                str(entry.reference),
                when(entry.start),
                when(entry.end),
                f"{entry.rows:,}",
                f"{entry.gaps:,}",
                reading,
                _lag(entry.publication_lag),
                entry.id[:12],
            )
            for entry, reading in zip(found.entries, readings, strict=True)
        ]
        if sys.stdout.isatty():
            print_rows("", columns, rows, left=("data set", "reading"))
        else:
            _print_table(columns, rows)
        for one in found.broken:
            _print_broken(one)
        print_notes(found.notes)
    if found.broken:
        raise typer.Exit(1)


@app.command()
def check(
    reference: ReferenceArgument = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Bars of the same market from another venue, to hold these against.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Also draw it on a page here.", show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Show what is present, absent or unknown. Exit code 1 where something is unknown or broken."""
    with steps(1, quiet=as_json) as begin:
        begin(reference or "every data set")
        found = dl.data_check(reference, against=against, workspace=workspace)
    if html is not None:
        found.page(html)
    if as_json:
        echo_json(found.to_dict()["data_sets"])
    else:
        for one in found.checks:
            _print_check(one)
        if found.against is not None:
            print_notes([f"beside {found.against.other}: {line}" for line in found.against.said])
        if html is not None:
            typer.echo(f"drawn in {html}")
    if any(one.problems or one.unknown for one in found.checks):
        raise typer.Exit(1)


@app.command()
def verify(
    reference: ReferenceArgument = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Hold stored bytes to their checksums, contract and id. Exit code 1 if one is wrong.

    Of whole data sets, changes by hand cannot be undone afterwards.
    """
    with steps(1, quiet=as_json) as begin:
        begin(reference or "every data set")
        done = dl.data_verify(reference, workspace=workspace)
    checks = done.checks
    if as_json:
        echo_json([{"reference": one.name, "problems": list(one.problems)} for one in checks])
    else:
        for one in checks:
            if one.problems:
                _print_broken(one)
            else:
                typer.secho(f"{one.name}: whole", fg=typer.colors.GREEN)
        print_notes(done.forgotten)
    if any(one.problems for one in checks):
        raise typer.Exit(1)


def print_import(report: ImportReport) -> None:
    """Print what came to be stored, its gaps, and what is doubtful of it."""
    typer.echo(
        f"{report.entry.reference}: {count(report.added, 'row')} added, "
        f"{report.present:,} there already"
    )
    _print_entry(report.entry)
    if report.ignored:
        print_notes([f"columns ignored: {', '.join(report.ignored)}"])
    _print_gaps(report.gaps)
    _print_doubts(report.doubts)


def _print_check(one: Check) -> None:
    if one.entry is None or one.coverage is None:
        _print_broken(one)
        return
    if one.unknown:
        typer.secho(
            f"{one.name}: {one.unknown:,} {'bar is' if one.unknown == 1 else 'bars are'} unknown",
            fg=typer.colors.RED,
        )
    else:
        typer.secho(f"{one.name}: nothing is unknown", fg=typer.colors.GREEN)
    _print_entry(one.entry)
    _print_coverage(one.coverage)
    _print_doubts(one.doubts)
    if one.unknown:
        print_text(
            "  Nobody has said whether these bars exist. From a venue: delever data repair "
            f"{one.name}"
        )
        print_text(
            "  From files: import the rest, or import again with --complete where the source has "
            "no more."
        )


def _print_coverage(table: pd.DataFrame) -> None:
    """Draw the strip, count the bars of each state, and list the longest stretches without rows."""
    from delever.report.format import when
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
        print_text(
            f"  {count(len(holes), 'stretch')} without rows (the {_SHOWN} longest below, unknown "
            "ones first; all with --json)"
        )
    rows = [
        (when(start), when(end), state, f"{bars:,}")
        for start, end, state, bars in shown.sort_index().itertuples(index=False)
    ]
    _print_table(("first missing", "up to", "state", "bars"), rows)
    sys.stdout.flush()


def _marks() -> Mapping[str, str]:
    try:
        "".join(_MARKS.values()).encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return _PLAIN
    return _MARKS


def _print_gaps(gaps: pd.DataFrame) -> None:
    from delever.report.format import when

    if gaps.empty:
        typer.echo("  no gaps")
        return
    shown = gaps.sort_values("bars", ascending=False, kind="stable").head(_SHOWN).sort_index()
    left = len(gaps) > len(shown)
    typer.echo(
        f"  {count(len(gaps), 'gap')}, {count(int(gaps['bars'].sum()), 'bar')}"
        + (f" (the {_SHOWN} longest below; all with --json)" if left else "")
    )
    rows = [
        (when(start), when(end), str(bars))
        for start, end, bars in zip(shown["start"], shown["end"], shown["bars"], strict=True)
    ]
    _print_table(("first missing", "next present", "bars"), rows)


def _print_entry(entry: Entry) -> None:
    from delever.report.format import when

    print_text(
        f"  {count(entry.rows, 'row')}, {when(entry.start)} to {when(entry.end)}, "
        f"known {_lag(entry.publication_lag)} after the stamp, id {entry.id[:12]}"
    )
    print_notes(entry.notes)


def _print_doubts(doubts: Sequence[Doubt]) -> None:
    print_notes([f"implausible: {doubt.said}" for doubt in doubts])


def _print_broken(one: Check) -> None:
    typer.secho(f"{one.name}: broken", fg=typer.colors.RED)
    for problem in one.problems:
        print_text(f"  {problem}")


def _print_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows of text; nothing is cut, and the first column is folded where lines are short."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for position, column in enumerate(columns):
        right = column in ("rows", "gaps", "bars")
        table.add_column(
            column, justify="right" if right else "left", no_wrap=position > 0, overflow="fold"
        )
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def _lag(span: pd.Timedelta) -> str:
    """A publication lag in minutes, hours or days."""
    minutes = span.total_seconds() / 60
    if minutes % 60:
        return f"{minutes:g} min"
    return f"{minutes / 1440:g} d" if minutes and minutes % 1440 == 0 else f"{minutes / 60:g} h"
