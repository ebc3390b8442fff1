"""Answers of a strategy file in a process that has never seen the market.

What a strategy writes on pandas, or a helper of its own keeps, outlives the file's being run anew;
it does not reach another process. One process that runs no strategy waits, and forks for every
question; where there is no fork, one is started for every question.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
import sysconfig
import weakref
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import pandas as pd
from pydantic import create_model

from delever.arguments import Floats
from delever.errors import StrategyError
from delever.research.decision import Decided
from delever.research.lookahead import Seen, ask
from delever.study.workspaces.strategy import load_strategy

_START: Final = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from delever.study.workspaces.fresh import serve; serve()"
)


class Fresh:
    """A strategy file, called like its function, that answers each time from a new process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, market: Seen, **params: object) -> Decided:
        """Answer from a process of its own.

        Raises StrategyError if the strategy raises, or its process ends without an answer.
        """
        answer = _server().ask(self.path, market, params)
        if isinstance(answer, str):
            raise StrategyError(answer)
        if list(answer) == [""]:
            return pd.Series(answer[""], index=market.index)
        return pd.DataFrame(dict(answer), index=market.index)


@cache
def _server() -> _Server:
    """The one that waits, until this process ends."""
    return _Server()


class _Server:
    """A process that is asked questions and has never run a strategy."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def ask(
        self, path: Path, market: Seen, params: Mapping[str, object]
    ) -> Mapping[str, Floats] | str:
        """An answer by column, or what was raised."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump((Path.cwd(), _places(), path, market, params), process.stdin)
            process.stdin.flush()
            answer: Mapping[str, Floats] | str = pickle.load(process.stdout)
        except (BrokenPipeError, EOFError):
            return f"{path}: the process that was to answer ended with code {process.wait()}"
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # a process with threads can't fork
            )
            weakref.finalize(self, _end, self.process)
            assert self.process.stdin is not None
            pickle.dump(_places(), self.process.stdin)
        return self.process


def _places() -> list[str]:
    """Where modules are looked for, wherever the other process stands."""
    return [str(Path(entry).resolve()) for entry in sys.path]


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()  # nothing more will be asked
    process.stdout.close()
    process.wait()


def serve() -> None:
    """Answer what comes on standard input until it ends; a process for each question."""
    questions = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a strategy prints is not an answer
    create_model("First", parameter=(float, 1.0))  # pydantic looks for its plugins once a process
    while True:
        try:
            folder, places, path, market, params = pickle.load(questions)
        except EOFError:
            return
        os.chdir(folder)
        sys.path[:] = places
        if not hasattr(os, "fork"):
            answers.write(pickle.dumps(_answer(path, market, params)))
            answers.flush()
            return
        answer, imported = _in_a_fork(path, market, params)
        answers.write(pickle.dumps(answer))
        answers.flush()
        for name in imported:  # so that the next one need not
            with suppress(ImportError):  # made while running, not found: each makes it for itself
                importlib.import_module(name)


def _in_a_fork(
    path: Path, market: Seen, params: dict[str, Any]
) -> tuple[dict[str, Floats] | str, list[str]]:
    """An answer, and the installed modules that it took."""
    there = set(sys.modules)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            answer = _answer(path, market, params)
            pickle.dump((answer, _installed(set(sys.modules) - there)), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if not said:
        return f"{path}: the process that was to answer ended with status {status}", []
    answered: tuple[dict[str, Floats] | str, list[str]] = pickle.loads(said)
    return answered


def _installed(names: set[str]) -> list[str]:
    """Those modules that stand among the installed ones, and not in a folder of the user's."""
    roots = tuple({sysconfig.get_path(place) for place in ("stdlib", "purelib", "platlib")})
    package = str(Path(__file__).parents[2])
    files = {name: getattr(sys.modules.get(name), "__file__", None) or "" for name in names}
    return sorted(name for name, file in files.items() if file.startswith((*roots, package)))


def _answer(path: Path, market: Seen, params: dict[str, Any]) -> dict[str, Floats] | str:
    try:
        strategy = load_strategy(path)
        return ask(lambda seen: strategy(seen, **params), market)
    except Exception as error:  # noqa: BLE001 - the one who asked is told what was raised
        return str(error)
