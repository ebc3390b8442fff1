"""``delever data``: its commands; here those that export and list."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from delever.cli import coverage_commands as coverage
from delever.cli import import_commands as importing
from delever.cli.listing import count, entry_json, print_broken, print_entries
from delever.cli.terminal import WorkspaceOption, echo_json, print_notes, steps

__all__ = ["app"]

app = typer.Typer(help="Import, export, list and check data sets.", no_args_is_help=True)
importing.register(app)
coverage.register(app)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


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
    from delever.data.vendors.export import export
    from delever.study.workspace import Workspace

    with steps(1, quiet=False) as begin:
        begin(reference)
        dataset = Workspace.find(workspace).catalog.load(reference)
        written = export(dataset, path, form)
    typer.echo(f"{reference}: {count(len(dataset.frame), 'row')} written to {written}")
    print_notes(dataset.notes)


@app.command("list")
def list_(workspace: WorkspaceOption = None, as_json: Json = False) -> None:
    """List what is stored. Exit code 1 where a description is too damaged to be read."""
    from delever.study.workspace import Workspace

    found = Workspace.find(workspace).catalog.survey()
    if as_json:
        echo_json(
            [entry_json(entry) | {"problems": []} for entry in found.entries]
            + [{"reference": one.name, "problems": list(one.problems)} for one in found.broken]
        )
    else:
        print_entries(found.entries)
        for one in found.broken:
            print_broken(one)
    if found.broken:
        raise typer.Exit(1)
