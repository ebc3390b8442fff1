"""``delever data``: a data set dropped, replaced, mended, set aside, removed, undone, resampled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import delever as dl
from delever.cli.data_commands import print_import
from delever.cli.terminal import Json, WorkspaceOption, echo_json, print_text

ReferenceArgument = Annotated[str, typer.Argument(help="Such as bitstamp/ohlcv/BTC/USD/1d.")]
FromOption = Annotated[str, typer.Option("--from", help="UTC: 2023-01-10, or 2023-01-10T08:00.")]
UntilOption = Annotated[
    str | None, typer.Option(help="UTC, exclusive; by default no end.", show_default=False)
]
WhyOption = Annotated[str, typer.Option(help="The reason, kept with the data.")]
ReasonOption = Annotated[
    str, typer.Option(help="The reason, which every page made of the data says.")
]
LayoutOption = Annotated[
    str | None,
    typer.Option("--layout", help="Whose file it is, as --from of import.", show_default=False),
]
ByOption = Annotated[
    str | None,
    typer.Option(help="Who; by default the name you are logged in under.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``delever data``."""
    for command in (drop, replace, mend, quarantine, remove, undo, resample):
        app.command()(command)


def drop(
    reference: ReferenceArgument,
    start: FromOption,
    until: UntilOption = None,
    why: WhyOption = "",
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Take the rows of a span out. Such as a last bar that was unfinished."""
    _said(dl.data_drop(reference, start, until, why=why, by=by, workspace=workspace), as_json)


def replace(
    reference: ReferenceArgument,
    file: Annotated[Path, typer.Argument(help=".csv, .csv.gz, .parquet or .feather.")],
    start: Annotated[
        str | None,
        typer.Option("--from", help="Leave out earlier rows of the file. UTC.", show_default=False),
    ] = None,
    layout: LayoutOption = None,
    why: WhyOption = "",
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Put a file in the place of what is stored over its span."""
    _said(
        dl.data_replace(reference, file, start, layout=layout, why=why, by=by, workspace=workspace),
        as_json,
    )


def mend(
    reference: ReferenceArgument,
    file: Annotated[
        Path, typer.Option("--from", help="The mended rows alone, whole, in a file as import's.")
    ],
    why: ReasonOption,
    layout: LayoutOption = None,
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Give rows other values. The old ones are kept, and pages say so."""
    _said(
        dl.data_mend(reference, file, layout=layout, why=why, by=by, workspace=workspace), as_json
    )


def quarantine(
    reference: ReferenceArgument,
    start: Annotated[
        str, typer.Option("--from", help="UTC. Without --until it is the one row at this stamp.")
    ],
    until: Annotated[str | None, typer.Option(help="UTC, exclusive.", show_default=False)] = None,
    why: ReasonOption = "",
    release: Annotated[bool, typer.Option("--release", help="Bring the rows back.")] = False,
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Set rows aside. Kept, but missing like a hole to every run until they are released."""
    _said(
        dl.data_quarantine(
            reference, start, until, why=why, release=release, by=by, workspace=workspace
        ),
        as_json,
    )


def remove(
    reference: ReferenceArgument,
    why: WhyOption = "",
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Take a data set out of the store."""
    _said(dl.data_remove(reference, why=why, by=by, workspace=workspace), as_json)


def undo(
    reference: ReferenceArgument,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Take the last change by hand back. Until the next verify; rows that came since go too."""
    _said(dl.data_undo(reference, workspace=workspace), as_json)


def resample(
    reference: ReferenceArgument,
    timeframe: Annotated[str, typer.Argument(help="Of the coarser bars: 1w.")],
    venue: Annotated[
        str | None,
        typer.Option(help="To store them under; by default the same.", show_default=False),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Make coarser bars of a data set. Or bring those made earlier up to date."""
    done = dl.data_resample(reference, timeframe, venue=venue, workspace=workspace)
    if as_json:
        echo_json(done.to_dict()["data_sets"][0])
    else:
        print_import(done.reports[0])


def _said(done: dl.DataChange, as_json: bool) -> None:
    if as_json:
        echo_json(done.to_dict())
    else:
        print_text(done.headline)
