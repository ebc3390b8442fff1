"""How data sets are shown in a terminal, and described for scripts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import typer

from delever.cli.terminal import print_notes

if TYPE_CHECKING:
    import pandas as pd

    from delever.data.catalog import Check, Entry

__all__ = [
    "count",
    "day",
    "entry_json",
    "lag",
    "print_broken",
    "print_entries",
    "print_entry",
    "print_table",
]

_WIDE = 1_000
"""Characters of a line where nobody watches: longer than any reference."""


def print_entry(entry: Entry) -> None:
    """Say what a data set holds."""
    typer.echo(
        f"  {count(entry.rows, 'row')}, {day(entry.start)} to {day(entry.end)}, "
        f"known {lag(entry.publication_lag)} after the stamp, id {entry.id[:12]}"
    )
    print_notes(entry.notes)


def print_entries(entries: Sequence[Entry]) -> None:
    """Print a line per data set."""
    columns = ("data set", "rows", "gaps", "first", "last", "known after", "id")
    rows = [
        (
            str(entry.reference),
            f"{entry.rows:,}",
            f"{entry.gaps:,}",
            day(entry.start),
            day(entry.end),
            lag(entry.publication_lag),
            entry.id[:12],
        )
        for entry in entries
    ]
    print_table(columns, rows)


def print_broken(one: Check) -> None:
    """Say what is broken about a data set."""
    typer.secho(f"{one.name}: broken", fg=typer.colors.RED)
    for problem in one.problems:
        typer.echo(f"  {problem}")


def print_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows of text; nothing is cut, and the first column is folded where lines are short."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for position, column in enumerate(columns):
        right = column in ("rows", "gaps", "bars")
        justify: Literal["left", "right"] = "right" if right else "left"
        table.add_column(column, justify=justify, no_wrap=position > 0, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def count(number: int, word: str) -> str:
    """Write how many, with the word in its number."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def day(time: pd.Timestamp) -> str:
    """Write a stamp as short as it is exact."""
    return f"{time:%Y-%m-%d}" if time == time.normalize() else f"{time:%Y-%m-%d %H:%M}"


def lag(span: pd.Timedelta) -> str:
    """Write a publication lag in minutes, hours or days."""
    minutes = span.total_seconds() / 60
    if minutes % 60:
        return f"{minutes:g} min"
    return f"{minutes / 1440:g} d" if minutes and minutes % 1440 == 0 else f"{minutes / 60:g} h"


def entry_json(entry: Entry) -> dict[str, Any]:
    """Describe a data set for scripts."""
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
