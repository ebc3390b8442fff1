"""``delever runs``, ``open``, ``export``, ``select`` and ``trials``: what was stored."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Annotated, Literal

import typer

import delever as dl
from delever.cli.terminal import (
    Json,
    Wide,
    WorkspaceOption,
    echo_json,
    print_notes,
    print_rows,
    print_table,
    print_text,
)
from delever.errors import InputError
from delever.study.workspaces.workspace import Workspace

What = Annotated[
    str,
    typer.Argument(
        help="Any name that is printed: study/id, id, its first digits, a folder or a file in it, "
        "or a study: its newest run.",
        show_default=False,
    ),
]

_WIDTH = 80


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command()(runs)
    app.command("open")(open_)
    app.command()(export)
    app.command()(select)
    app.command()(verdict)
    app.command()(unseal)
    app.command()(holdout)
    app.command()(trials)


def runs(
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="Only: run, sweep, walk, signal, comparison, claims or state."),
    ] = None,
    study: Annotated[
        str | None, typer.Option("--study", help="Only what belongs to a study, or is called so.")
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Also write backtests/results/index.html anew.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """List what is stored, the newest first. Runs, sweeps, comparisons, studies, claims, states.

    Runs lie in backtests/results/STUDY/ID, sweeps in STUDY/sweeps/ID, the others in signals,
    comparisons, claims and states, each in a folder NAME-ID. The same inputs have the same id.
    Exit code 1 where something stored is damaged.
    """
    from delever.report.pages.index_page import params_text, span
    from delever.study.kept.stored import write_index

    found = dl.runs(kind=kind, study=study, workspace=workspace)
    index = write_index(found.results) if page else None
    if as_json:
        echo_json({**found.to_dict(), "index": None if index is None else str(index)})
    else:
        for row in found.frame.reset_index().to_dict("records"):
            typer.secho(row["name"], bold=True)  # in one piece, to be copied
            about = (
                row["kind"],
                f"made {row['made']:%Y-%m-%d %H:%M}",
                span(row["start"], row["end"]),
            )
            _say("; ".join(part for part in (*about, params_text(row["params"])) if part))
            _say(row["headline"])
            _say(f"damaged: {row['damage']}" if row["damage"] else "", fg=typer.colors.RED)
        print_text(found.headline)
        typer.echo(f"in    {found.results}")
        if index is not None:
            typer.echo(f"page  {index}")
    if (found.frame["damage"] != "").any():
        raise typer.Exit(1)


def open_(
    what: What,
    print_: Annotated[bool, typer.Option("--print", help="Print the path alone.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Open a stored page in a browser, and print its path."""
    import webbrowser

    from delever.study.runs.shelf import find

    found = find(Workspace.find(workspace), what)
    typer.echo(found.said, err=True)
    typer.echo(found.stored.page)
    if found.stored.damage:
        raise InputError(f"{found.stored.name} is damaged: {found.stored.damage}; make it again")
    if not print_ and not webbrowser.open(found.stored.page.as_uri()):
        raise InputError("a browser is required to open it; none could be started; use the path")


def export(
    what: What,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the files.")],
    form: Annotated[
        Literal["csv", "parquet"], typer.Option("--format", help="Of the tables.")
    ] = "csv",
    png: Annotated[
        bool, typer.Option("--png", help="Also its figures; needs kaleido and a Chrome.")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the tables of a result, its summary and its figures.

    Data sets are written by: delever data export.
    """
    for path in dl.result(what, workspace=workspace).export(folder, form=form, png=png):
        typer.echo(path)


def select(
    what: What,
    workspace: WorkspaceOption = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """What choosing from a sweep came to on bars that had no say in it.

    Every deleveraging period is left out once, every quarter of the time, and every half; the best
    of the first half are tested against holding on the second.
    """
    from delever.report.pages import choosing_tables as tables
    from delever.report.sweep_words import family_facts
    from delever.study.kept.result import plain
    from delever.study.runs.shelf import find

    place = Workspace.find(workspace)
    found = dl.result(find(place, what, ("sweep",)).folder, workspace=place)
    assert isinstance(found, dl.Sweep)
    if as_json:
        kept = {name: plain(found.kept()[name]) for name in ("choosing", "finalists", "deflation")}
        echo_json({"headline": found.headline, **kept})
        return
    print_text(found.headline)
    if found.choosing is None or found.choosing.overfitting is None:
        raise InputError(
            f"choosing on part of the time needs at least two combinations and 16 blocks; {what} "
            "has too few bars or combinations"
        )
    facts = {**tables.facts_of(found.choosing), **family_facts(found)}
    if len(found.choosing.periods):
        print_table("Every period left out", tables.left_out_table(found))
    print_table("Every quarter of the time left out", tables.eras_table(found))
    if found.finalists is not None:
        print_table("The best of the first half, in the second", tables.finalists_table(found))
        facts |= tables.finalists_facts(found.finalists)
    for name, said in facts.items():
        print_text(f"{name}: {said}")


def verdict(what: What, workspace: WorkspaceOption = None, as_json: Json = False) -> None:
    """How far a strategy is proven. Every rung it passed, failed, or was never asked.

    Looks at the run, and at the newest sweep, walk and unsealed run of the same strategy and data.
    """
    from delever.report.pages.rungs_table import rungs_table

    found = dl.verdict(what, workspace=workspace)
    if as_json:
        echo_json({"word": found.word, **found.to_dict()})
        return
    print_text(found.headline)
    print_table("", rungs_table(found.rungs))


def unseal(
    study: Annotated[Path, typer.Argument(help="Study file (TOML).", show_default=False)],
    why: Annotated[
        str, typer.Option("--why", help="The reason; it is recorded.", show_default=False)
    ],
    workspace: WorkspaceOption = None,
    as_json: Json = False,
) -> None:
    """Run a study over the holdout too. The look is recorded first, and counts whatever comes."""
    place = Workspace.find(workspace)
    file = place.study(study)
    done = dl.unseal(file, why=why, workspace=place)
    if as_json:
        echo_json(done.to_dict())
        return
    print_text(done.headline)
    print_notes(done.notes)
    assert done.folder is not None
    typer.echo(f"tear-sheet  {done.folder / 'tearsheet.html'}")


def holdout(workspace: WorkspaceOption = None, as_json: Json = False) -> None:
    """Say what is held out, and who looked at it."""
    found = dl.holdout(workspace=workspace)
    if as_json:
        echo_json(found.to_dict())
        return
    print_text(found.headline)
    if len(found.frame):
        names = ["look", "time", "by", "study", "why"]
        rows = found.frame[names].astype(str).to_numpy().tolist()
        print_rows("", names, rows, left=["by", "study", "why"])


def _say(text: str, fg: str | None = None) -> None:
    """Print a text under an entry, folded between words."""
    if text:
        width = min(shutil.get_terminal_size((_WIDTH, 24)).columns, 2 * _WIDTH)
        lines = textwrap.wrap(
            text,
            width,
            initial_indent="  ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines:
            typer.secho(line, fg=fg)


def trials(
    data: Annotated[
        str | None,
        typer.Argument(help="Only this market: bitstamp/ohlcv/BTC/USD/1d.", show_default=False),
    ] = None,
    merge: Annotated[
        Path | None,
        typer.Option("--merge", help="Another workspace, whose trials are appended first."),
    ] = None,
    workspace: WorkspaceOption = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """List everything ever tried, by market. Runs, combinations of sweeps, backtests of notebooks.

    The best of many is lucky as well as good; pages show this number. A market is known by its
    prices, whatever file or name they came under. Deleting the files forgets the trials.
    """
    found = dl.trials(data, merge_from=merge, workspace=workspace)
    if as_json:
        echo_json(found.to_dict())
        return
    print_text(found.headline)
    groups = ["study", "strategy", "by", "data"]
    for market, row in found.markets.iterrows():
        since = f": {row['trials']:,} since {row['since']}" if row["trials"] else ""
        typer.secho(f"{row['data']}{since}", bold=True)
        own = found.frame[found.frame["market"] == market]
        counts = own.groupby(groups, sort=False)["trials"].sum().reset_index()
        columns = ["Study", "Trials", "Strategy", "First by", "Data"]
        counts.insert(1, "trials", counts.pop("trials"))
        rows = [list(map(str, each)) for each in counts.to_numpy().tolist()]
        if rows:
            print_rows("", columns, rows, left=[columns[0], *columns[2:]])
        typer.echo(f"in  {row['file']}")
        asked = found.signals[found.signals["market"] == market]
        if len(asked):
            grouped = asked.groupby(["signal", "horizon", "data"], sort=False)["end"]
            seen = grouped.agg(["size", "max"]).reset_index()
            columns = ["Signal", "Held", "Data", "Looks", "Data to"]
            rows = [list(map(str, each)) for each in seen.to_numpy().tolist()]
            print_rows("", columns, rows, left=["Signal", "Data"])
