"""What the command line puts on the screen: tables, notes, progress, JSON."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from delever.report.table import Table as ReportTable

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace", "-w", help="Workspace folder; by default at or above the current one."
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

Begin = Callable[[str], Callable[[str], None]]


def echo_json(document: Any) -> None:
    """Print one JSON document to standard output."""
    typer.echo(json.dumps(document, indent=2, allow_nan=False))


def print_notes(notes: Sequence[str]) -> None:
    """Print what a reader must know, one line each."""
    for note in notes:
        typer.secho(f"note: {note}", fg=typer.colors.YELLOW)


def count(number: int, word: str) -> str:
    """Write how many, with the word in its number."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def print_metrics(title: str, runs: Mapping[str, pd.DataFrame]) -> None:
    """Print the first metrics of each run, one line per metric and scope."""
    from rich.table import Table

    from delever.report.format import value
    from delever.report.pages.metric_tables import HEADLINE
    from delever.research.evaluation import SCOPES
    from delever.stats.metrics import find

    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("metric")
    table.add_column("scope", style="dim")
    for run in runs:
        table.add_column(run, justify="right")
    for name in HEADLINE:
        spec = find(name)
        scopes = [scope for scope in SCOPES if scope in spec.scopes]
        for scope in scopes:
            table.add_row(
                spec.label if scope == scopes[0] else "",
                scope,
                *(value(float(metrics[scope][name]), spec.unit) for metrics in runs.values()),
                end_section=scope == scopes[-1],
            )
    _print(table)


def print_table(title: str, table: ReportTable) -> None:
    """Print a table of a page under a title."""
    words = [column.label for column in table.columns if not column.numeric]
    print_rows(title, table.header, table.texts, left=words)


def print_rows(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str] = ()
) -> None:
    """Print rows of text under a title."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right")
    for row in rows:
        table.add_row(*row)
    _print(table)


def _print(table: Table) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 140).print(table)


@contextmanager
def steps(total: int | None, *, quiet: bool) -> Iterator[Begin]:
    """Show on standard error what is being done, while it is being done."""
    if quiet or not sys.stderr.isatty():
        yield lambda name: lambda step: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        bar = progress.add_task("", total=total)
        begun = itertools.count()

        def begin(name: str) -> Callable[[str], None]:
            progress.update(bar, completed=next(begun), description=name)
            return lambda step: progress.update(bar, description=f"{name}: {step}")

        yield begin
