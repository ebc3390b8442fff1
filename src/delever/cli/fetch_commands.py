"""``delever data fetch`` and ``delever data repair``: history from venues and from the web."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from delever.cli import bracket_commands as brackets
from delever.cli.terminal import WorkspaceOption, echo_json, print_notes
from delever.errors import DeleverError, InputError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from delever.data.catalog import Catalog
    from delever.data.exchange.client import Client
    from delever.data.exchange.fetch import Fetched, Progress, Report
    from delever.study.kept_brackets import Kept

    _Result = Fetched | Kept | DeleverError

__all__ = ["register"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_AGAIN = "interrupted; run the same command again to go on"


def register(app: typer.Typer) -> None:
    """Add the commands to ``delever data``."""
    app.command("fetch")(fetch)
    app.command("repair")(repair)
    brackets.register(app)


def fetch(
    source: Annotated[
        str,
        typer.Argument(
            help="A venue as ccxt calls it, or several: binanceusdm,bybit; "
            "without symbols, series of data/sources.toml: fear_greed,vix."
        ),
    ],
    symbols: Annotated[
        list[str] | None, typer.Argument(help="ccxt's unified symbols: BTC/USDT:USDT.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="ohlcv, mark, index, premium, funding, open_interest, long_short_ratio, "
            "liquidations, dvol, or brackets (leverage brackets as they are now); may be "
            "repeated. By default ohlcv."
        ),
    ] = None,
    timeframe: Annotated[
        str | None,
        typer.Option(
            help="Such as 1m. By default 1d for bars, 1h for readings, and for funding the "
            "venue's interval (always so when fetched beside other kinds).",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="UTC; by default the venue's first row.", show_default=False),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="UTC, exclusive; by default the last finished.", show_default=False),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Fetch history into the store. What is there is kept; exit code 1 if something is unknown.

    Fetching again goes on where the last fetch ended, compares the last stored rows, and changes
    nothing else.
    """
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    sources = place.root / "data" / "sources.toml"
    names = [name for name in source.split(",") if name]
    if not symbols:
        if kind or timeframe or since or until:
            raise InputError(
                "a venue needs a symbol (delever data fetch binanceusdm BTC/USDT:USDT); a series "
                "of sources.toml takes no kind, timeframe, since or until"
            )
        _fetch_series(names, sources, place.catalog, as_json=as_json)
        return
    from delever.cli.option_values import parse_time
    from delever.data.exchange.jobs import Job, fetch_all
    from delever.data.references import Reference

    clients = _clients(names, sources)
    begin, end = (
        None if text is None else parse_time(option, text)
        for option, text in (("--since", since), ("--until", until))
    )
    for name in names:
        for symbol in symbols:
            Reference(venue=name, kind="ohlcv", symbol=symbol, timeframe="1d")
    kinds = [name for name in kind or ["ohlcv"] if name != brackets.BRACKETS]
    if not kinds and (timeframe or since or until):
        raise InputError("brackets are those of now; they take no timeframe, since or until")
    bars_too = set(kinds) != {"funding"}
    jobs = [
        Job(
            venue=name,
            kind=one,
            symbol=symbol,
            timeframe=None if one == "funding" and bars_too else timeframe,
            since=begin,
            until=end,
        )
        for name in names
        for symbol in symbols
        for one in kinds
    ]
    with _bars([str(job) for job in jobs], quiet=as_json) as report, _explained():
        results = fetch_all(jobs, place.catalog, clients, report=report)
    shown: dict[str, _Result] = {str(job): result for job, result in results.items()}
    if brackets.BRACKETS in (kind or ()):
        with _explained():
            shown |= brackets.fetch_tables(clients, symbols, place.root / "data" / "venues")
    _show(shown, as_json=as_json)


def repair(
    reference: Annotated[str, typer.Argument(help="Such as binanceusdm/ohlcv/BTC/USDT:USDT/1m.")],
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Fetch just what is unknown. Exit code 1 if something stays unknown."""
    from delever.data.exchange.fetch import repair as mend
    from delever.data.references import Reference
    from delever.data.sample_data import SAMPLE
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    wanted = Reference.parse(reference)
    if wanted.venue == SAMPLE:
        raise InputError(
            f"only what a venue serves can be repaired; {reference} is the embedded sample, which "
            "is from no exchange and stays as it is; fetch bars of a venue instead: "
            "delever data fetch"
        )
    client = _clients([wanted.venue], place.root / "data" / "sources.toml")[wanted.venue]
    with _bars([reference], quiet=as_json) as report, _explained():
        done = mend(client, place.catalog, wanted, report=report)
    _show({reference: done}, as_json=as_json)


def _clients(names: Sequence[str], sources: Path) -> dict[str, Client]:
    from delever.data.exchange.client import connect
    from delever.data.sources_file import settings_of

    return {name: connect(name, settings_of(name, sources)) for name in names}


def _fetch_series(names: Sequence[str], sources: Path, catalog: Catalog, *, as_json: bool) -> None:
    import os
    from dataclasses import replace

    from delever.data.sources_file import API_URL
    from delever.data.web import read_series, web_sources

    known = web_sources(sources)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InputError(
            f"without a symbol, fetch takes series of {sources}: {', '.join(known) or 'none'}; "
            f"got {', '.join(unknown) or 'none'}"
        )
    lines = []
    for name in names:
        series = known[name]
        redirect = os.environ.get(API_URL) or series.api_url
        data = read_series(replace(series, api_url=redirect))
        change = catalog.append(
            data.reference,
            data.frame,
            provenance=data.provenance[0],
            publication_lag=data.publication_lag,
            notes=data.notes,
        )
        lines.append({"reference": str(data.reference), "added": change.added})
        if not as_json:
            typer.echo(f"{data.reference}: {change.added:,} rows added, {change.present:,} agree")
            print_notes(data.notes)
    if as_json:
        echo_json(lines)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(_AGAIN, err=True)
        raise


@contextmanager
def _bars(names: Sequence[str], *, quiet: bool) -> Iterator[Report]:
    """Draw a bar per data set on standard error: rows, rate, time left."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rows]:>12,} rows"),
        TextColumn("{task.fields[rate]:>9,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Bars(
        *columns, console=console, transient=True, disable=quiet or not console.is_terminal
    ) as bars:
        tasks = {name: bars.add_task(name, total=1.0, rows=0, rate=0.0) for name in names}

        def report(progress: Progress) -> None:
            full = str(progress.reference)
            name = full if full in tasks else full.rpartition("/")[0]
            task = next(each for each in bars.tasks if each.id == tasks[name])
            elapsed = task.elapsed or 1.0
            bars.update(
                tasks[name],
                completed=progress.done,
                rows=progress.rows,
                rate=progress.rows / elapsed,
            )

        yield report


def _show(results: Mapping[str, _Result], *, as_json: bool) -> None:
    """Print what came of each data set; end with 1 if one failed or something stays unknown."""
    from delever.study.kept_brackets import Kept

    if as_json:
        echo_json(
            [
                brackets.describe(name, result) if isinstance(result, Kept) else _json(name, result)
                for name, result in results.items()
            ]
        )
    failed = [result for result in results.values() if isinstance(result, DeleverError)]
    for name, result in results.items():
        if isinstance(result, DeleverError):
            typer.echo(f"error: {name}: {result}", err=True)
        elif as_json:
            continue
        elif isinstance(result, Kept):
            brackets.print_brackets(name, result)
        else:
            _print(result)
    unknown = any(getattr(result, "unknown", ()) for result in results.values())
    if failed or unknown:
        raise typer.Exit(max([1, *(error.exit_code for error in failed)]))


def _print(done: Fetched) -> None:
    typer.echo(
        f"{done.reference}: {done.added:,} rows added, {done.present:,} agree; "
        f"{done.start:%Y-%m-%d %H:%M} to {done.end:%Y-%m-%d %H:%M}"
    )
    if done.absent:
        typer.echo(f"  {_stretches(done.absent)} the venue does not have, asked three times")
    unread = [stretch for stretch in done.unknown if stretch not in done.lost]
    if unread:
        again = f"try: delever data repair {done.reference}"
        typer.secho(f"  {_stretches(unread)} unknown; {again}", fg=typer.colors.RED)
    if done.lost:
        typer.secho(f"  {_stretches(done.lost)} unknown, and no longer served", fg=typer.colors.RED)
    print_notes(done.notes)


def _stretches(spans: Sequence[tuple[pd.Timestamp, pd.Timestamp]]) -> str:
    first = f"{spans[0][0]:%Y-%m-%d %H:%M}"
    return f"{len(spans):,} stretch{'es' if len(spans) > 1 else ''} (first {first})"


def _json(name: str, result: Fetched | DeleverError) -> dict[str, Any]:
    if isinstance(result, DeleverError):
        return {"reference": name, "error": str(result)}

    def spans(pairs: Sequence[tuple[pd.Timestamp, pd.Timestamp]]) -> list[list[str]]:
        return [[start.isoformat(), end.isoformat()] for start, end in pairs]

    return {
        "reference": str(result.reference),
        "added": result.added,
        "present": result.present,
        "start": result.start.isoformat(),
        "end": result.end.isoformat(),
        "absent": spans(result.absent),
        "unknown": spans(result.unknown),
        "notes": list(result.notes),
    }
