"""What the command line puts on the screen: tables, notes, progress, JSON."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from delever.report.table import Table as ReportTable
    from delever.study.kept.result import Result
    from delever.study.machines.cluster import Cluster
    from delever.study.workspaces.workspace import Workspace

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace", "-w", help="Workspace folder; by default at or above the current one."
    ),
]

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="HTML file; by default a folder of its own in backtests/results, see delever runs.",
    ),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter: weeks=150.")
]
Series = Annotated[
    list[str] | None,
    typer.Option("--series", metavar="NAME=REFERENCE", help="A reading that is needed."),
]
SAMPLE = "sample/ohlcv/BTC/USD/1d"
"""What is studied where nothing is named."""

StudySet = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key: params.weeks=150."),
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Processes; by default one per core.")
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="ADDRESS", help="Dask: tcp://HOST:8786, or local:4 for processes here."
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

_asked: dict[str, bool] = {}
"""Whether every column is asked for; empty where a command has no such option."""


def begin_command() -> None:
    """Forget what an earlier command of this process was asked for."""
    _asked.clear()


def _widen(value: bool) -> bool:
    _asked["wide"] = value
    return value


Wide = Annotated[
    bool, typer.Option("--wide", help="Show every column of every table.", callback=_widen)
]
"""Read where tables are printed, by `_width`."""

_PARTS = re.compile(r"[^_/.]*[_/.]|[^_/.]+")
_NARROW, _WIDE, _FOLDED, _WHOLE = 80, 1_000, 16, 24

Begin = Callable[[str], Callable[[str], None]]


def written(result: Result, output: Path | None, place: Workspace) -> Path:
    """Write the page of a result where it is asked for, else store it among the results."""
    return result.store(place) if output is None else result.page(output)


def echo_json(document: Any) -> None:
    """Print one JSON document to standard output."""
    typer.echo(json.dumps(document, indent=2, allow_nan=False))


def print_notes(notes: Sequence[str]) -> None:
    """Print what a reader must know, one after the other."""
    for note in notes:
        print_text(f"note: {note}", color=typer.colors.YELLOW)


def count(number: int, word: str) -> str:
    """Write how many, with the word in its number."""
    from delever.arguments import counted  # loads pandas, which --help does without

    return counted(number, word)


def print_table(title: str, table: ReportTable) -> None:
    """Print a table of a page under a title."""
    words = [column.label for column in table.columns if not column.numeric]
    print_rows(title, table.header, table.texts, left=words)


def print_rows(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str] = ()
) -> None:
    """Print rows of text under a title: words fold, numbers are shown whole or not at all."""
    from rich.console import Console
    from rich.table import Table

    widths = _widths(columns, rows, left, _width())
    table = Table(title=title or None, title_justify="left", title_style="bold")
    for place, width in enumerate(widths):
        words = columns[place] in left
        table.add_column(
            "\n".join(_wrapped(columns[place], width)),
            justify="left" if words else "right",
            overflow="fold",
            width=width,
        )
    for row in rows:
        cells = zip(columns, row, widths, strict=False)
        table.add_row(
            *(_folded(text, width) if name in left else text for name, text, width in cells)
        )
    Console(width=max(_width(), _NARROW)).print(table)
    if len(widths) < len(columns):
        gone = "; ".join(columns[len(widths) :])
        more = " (--wide shows them)" if _asked else ""
        print_text(f"not shown for want of width: {gone}{more}")


def print_text(
    text: str, *, color: str | None = None, bold: bool = False, err: bool = False
) -> None:
    """Print a sentence; on a terminal broken between words, where it is piped in one line."""
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        indent = " " * (len(text) - len(text.lstrip()))
        text = textwrap.fill(
            text.lstrip(),
            _width(),
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    typer.secho(text, fg=color, bold=bold or None, err=err)


def _width() -> int:
    """Columns to print on: with --wide without end, else those of the terminal, else 80."""
    if _asked.get("wide"):
        return _WIDE
    return shutil.get_terminal_size((_NARROW, 24)).columns


def _widths(
    columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str], room: int
) -> list[int]:
    """Widths of the columns that fit: as many as can, then as wide as they would be.

    Words give way down to `_FOLDED`, one of up to `_WHOLE` letters stays in one piece; headings
    down to their longest part; numbers not at all.
    """
    wanted, least = [], []
    for place, name in enumerate(columns):
        lines = [line for row in rows for line in row[place].split("\n")]
        shown = max(map(len, lines), default=0)
        parts = max(
            (len(part) for word in name.split() for part in _PARTS.findall(word)), default=0
        )
        if name in left:
            longest = max((len(word) for line in lines for word in line.split()), default=0)
            wanted.append(max(shown, len(name), 1))
            narrow = max(longest if longest <= _WHOLE else 0, _FOLDED, parts)
            least.append(min(narrow, wanted[-1]))
        else:
            wanted.append(max(shown, *map(len, _wrapped(name, max(shown, 14))), 1))
            least.append(max(shown, parts, 1))
    kept = 1
    while kept < len(columns) and sum(least[: kept + 1]) + 3 * (kept + 1) + 1 <= room:
        kept += 1
    widths = least[:kept]
    for _ in range(room - sum(widths) - 3 * kept - 1):
        squeezed = [place for place in range(kept) if widths[place] < wanted[place]]
        if not squeezed:
            break
        widths[max(squeezed, key=lambda place: wanted[place] / widths[place])] += 1
    return widths


def _folded(text: str, width: int) -> str:
    """A cell in lines of at most so many letters."""
    return "\n".join(piece for line in text.split("\n") for piece in _wrapped(line, width))


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of a text, broken after spaces; words that are longer, after what joins their parts.

    Examples
    --------
    >>> _wrapped("account.leverage of ma200w_break", 12)
    ['account.', 'leverage of', 'ma200w_break']
    """
    words = []
    for word in text.split(" "):
        piece = ""
        for part in _PARTS.findall(word) if len(word) > width else [word]:
            if piece and len(piece + part) > width:
                words.append(piece)
                piece = ""
            piece += part
        words.append(piece)
    return textwrap.wrap(" ".join(words), width, break_on_hyphens=False) or [""]


@contextmanager
def on_cluster(address: str | None) -> Iterator[Cluster | None]:
    """Connect to a cluster, and say where it is and where it shows what it does."""
    if address is None:
        yield None
        return
    from delever.study.machines.cluster import open_cluster

    with open_cluster(address) as there:
        print_text(there.headline, err=True)
        yield there


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
