"""The ``delever`` command: its groups, its exit codes, its words for errors.

Nothing heavy is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

import gc
import io
import os
import sys
import traceback
from typing import Annotated

import typer

from delever.cli import data_commands as data
from delever.cli import fetch_commands as fetch
from delever.cli import mend_commands as mending
from delever.cli import research_commands as research
from delever.cli import result_commands as results
from delever.cli import run_commands as runs
from delever.cli import study_commands as studies
from delever.cli.terminal import begin_command, print_text
from delever.errors import DeleverError

INTERRUPTED = 130
"""Exit code after Ctrl-C, by convention."""

app = typer.Typer(
    name="delever",
    help="Backtests and signal research for the moments when leverage leaves a market.",
    epilog="Exit codes: 0 done, 1 refused or found wanting, 2 asked for something that cannot be, "
    "130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its import alone would double the time to the first word
)
fetch.register(data.app)
mending.register(data.app)
app.add_typer(data.app, name="data")
runs.register(app)
results.register(app)
research.register(app)
studies.register(app)


def _version(asked: bool) -> None:
    if asked:
        from delever import __version__

        typer.echo(f"delever {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Take the options that every command has."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # Products of small matrices: threads for them wait for each other longer than they compute.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _open_streams()
    begin_command()
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        app(args=words, prog_name="delever")  # ends in SystemExit, whatever it was told
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            typer.echo("interrupted; what was stored before is whole", err=True)
        return stop.code if isinstance(stop.code, int) else 0
    except DeleverError as error:
        return _failed(debug, str(error), error.exit_code)
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        return _failed(debug, f"the system refused{place}: {error.strerror or error}", 1)
    except Exception as error:  # noqa: BLE001  the last net: a defect, said in one line
        return _failed(
            debug,
            f"{type(error).__name__}: {error}; this is a defect of delever: "
            "run again with --debug and report the traceback",
            1,
        )
    return 0


def _open_streams() -> None:
    """Let no letter and no closed stream stop a command whose work is done."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.StringIO())
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _failed(debug: bool, message: str, code: int) -> int:
    """Say what went wrong in one line; with `debug`, where."""
    if debug:
        traceback.print_exc()
    print_text(f"error: {message}", err=True)
    return code


def _entry() -> None:
    # A tenth of a short command's time was spent looking for garbage among what imports made.
    gc.set_threshold(50_000)
    code = main()
    gc.freeze()
    sys.exit(code)
