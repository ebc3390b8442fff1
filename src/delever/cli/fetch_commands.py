"""``delever data fetch``, ``repair`` and ``import-brackets``: history from venues and the web."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import delever as dl
from delever.cli.terminal import Json, WorkspaceOption, count, echo_json, print_notes, print_text
from delever.study.workspaces.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from delever.data.exchange.fetch import Fetched, Progress, Report
    from delever.study.settings.kept_brackets import Kept

_AGAIN = "interrupted; run the same command again to go on"


def register(app: typer.Typer) -> None:
    """Add the commands to ``delever data``."""
    app.command("fetch")(fetch)
    app.command("repair")(repair)
    app.command("import-brackets")(import_brackets)


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
    from delever.study.inputs.market import utc

    begin, end = (
        None if text is None else utc(text, option)
        for option, text in (("--since", since), ("--until", until))
    )
    with _bars(quiet=as_json) as progress:
        done = dl.fetch(
            [name for name in source.split(",") if name],
            symbols,
            kind=kind or "ohlcv",
            timeframe=timeframe,
            since=begin,
            until=end,
            progress=progress,
            workspace=workspace,
        )
    if not as_json:
        print_notes(Workspace.find(workspace).catalog.caveats)
    _show(done, as_json=as_json)


def repair(
    reference: Annotated[str, typer.Argument(help="Such as binanceusdm/ohlcv/BTC/USDT:USDT/1m.")],
    absent: Annotated[
        bool,
        typer.Option(
            "--absent", help="Ask again for what the venue did not have too; due every 30 days."
        ),
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Fetch just what is unknown. Exit code 1 if something stays unknown.

    A stretch is absent once the venue has answered without it at two times at least 6 hours apart,
    and has served later rows each time.
    """
    with _bars(quiet=as_json) as progress:
        done = dl.repair(reference, absent=absent, progress=progress, workspace=workspace)
    _show(done, as_json=as_json)


def import_brackets(
    venue: Annotated[str, typer.Argument(help="A venue with a rulebook: binanceusdm.")],
    file: Annotated[
        Path,
        typer.Argument(
            help="JSON: Binance's answer of leverageBracket, or of ccxt's fetch_leverage_tiers; or "
            "ccxt's market and tiers, which bring a contract: docs/venues.md."
        ),
    ],
    as_of: Annotated[
        str,
        typer.Option(
            help="When it was saved, UTC: a day, at whose end it was known, or a moment such as "
            "2026-11-22T08:12:00Z."
        ),
    ],
    symbol: Annotated[
        list[str] | None,
        typer.Option(
            help="Such as BTC/USDT:USDT; may be repeated. By default all the rulebook lists.",
            show_default=False,
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Import leverage brackets that were saved. For venues that give them to a key alone.

    Studies use them from the first day on which they were known.
    """
    done = dl.import_brackets(venue, file, as_of=as_of, symbols=symbol or (), workspace=workspace)
    _show(done, as_json=as_json)


@contextmanager
def _bars(*, quiet: bool) -> Iterator[Report]:
    """Draw a bar per data set on standard error: rows, rate, time left."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
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
        tasks: dict[str, TaskID] = {}
        begun = bars.get_time()

        def report(progress: Progress) -> None:
            name = str(progress.reference)
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=1.0, rows=0, rate=0.0)
                bars.tasks[-1].start_time = begun  # a bar is drawn once its first rows are there
            task = next(each for each in bars.tasks if each.id == tasks[name])
            rate = progress.rows / (task.elapsed or 1.0)
            bars.update(tasks[name], completed=progress.done, rows=progress.rows, rate=rate)

        try:
            yield report
        except KeyboardInterrupt:
            print_text(_AGAIN, err=True)
            raise


def _show(done: dl.Fetches, *, as_json: bool) -> None:
    """Print what came of each data set; end with 1 if one failed or something stays unknown."""
    from delever.data.exchange.fetch import Fetched

    if as_json:
        echo_json(done.to_dict()["results"])
    for name, result in done.results.items():
        if name in done.failed:
            print_text(f"error: {name}: {result}", err=True)
        elif as_json:
            continue
        elif isinstance(result, Fetched):
            _print(result)
        else:
            _print_brackets(name, result)  # type: ignore[arg-type]
    if done.failed or done.unknown:
        raise typer.Exit(max([1, *(error.exit_code for error in done.failed.values())]))


def _print(done: Fetched) -> None:
    typer.echo(
        f"{done.reference}: {done.added:,} rows added, {done.present:,} agree; "
        f"{done.start:%Y-%m-%d %H:%M} to {done.end:%Y-%m-%d %H:%M}"
    )
    red, again = typer.colors.RED, f"delever data repair {done.reference}"
    if done.absent:
        print_text(f"  {_stretches(done.absent)} the venue does not have, asked at two times")
    if done.unconfirmed:
        said = f"missing in three answers, unknown until asked again in 6 hours; try then: {again}"
        print_text(f"  {_stretches(done.unconfirmed)} {said}", color=red)
    if done.overdue:
        said = "should have been served by now, unknown; run the same command again later"
        print_text(f"  {_stretches(done.overdue)} {said}", color=red)
    told = {*done.lost, *done.unconfirmed, *done.overdue}
    unread = [stretch for stretch in done.unknown if stretch not in told]
    if unread:
        print_text(f"  {_stretches(unread)} unknown; try: {again}", color=red)
    if done.lost:
        print_text(f"  {_stretches(done.lost)} unknown, and no longer served", color=red)
    print_notes(done.notes)


def _stretches(spans: Sequence[tuple[pd.Timestamp, pd.Timestamp]]) -> str:
    first = f"{spans[0][0]:%Y-%m-%d %H:%M}"
    return f"{len(spans):,} stretch{'es' if len(spans) > 1 else ''} (first {first})"


def _print_brackets(name: str, kept: Kept) -> None:
    rows = kept.table.brackets
    seen = (
        f"{count(len(rows), 'bracket')} up to {rows[-1].cap:,.10g}, seen "
        f"{kept.known_at:%Y-%m-%d %H:%M}"
    )
    if kept.added:
        typer.echo(f"{name}: {seen}, used from {kept.valid_from}; added to {kept.path}")
    else:
        typer.echo(f"{name}: {seen}; the rules in force say the same; nothing added")
