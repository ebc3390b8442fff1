"""What a worker of a cluster does: asks for the files it lacks, refuses a stranger, runs a task.

Files come by the hash of their content and stay in a folder of the worker's machine, so that none
comes twice. A task is told apart from what it needs: it comes last, and is small.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from delever.data.disk import Disk
from delever.errors import DataError, SimulationError
from delever.study.kept.provenance import code_sha256, versions

CACHE = "DELEVER_CACHE"
"""Environment variable: the folder in which a worker keeps what it was given."""

_ONE = threading.Lock()  # a task uses all of its process


class Lacking(NamedTuple):
    """What a worker needs before it can begin."""

    worker: str  # its address
    hashes: tuple[str, ...]


def stamp() -> dict[str, str]:
    """What must be the same wherever a number is computed."""
    return {"code": code_sha256()[:12], **versions()}


def errand(
    expected: Mapping[str, str], files: Mapping[str, str], function: str, args: Sequence[Any]
) -> Any:
    """Run a function that was carried here, by the hash of its pickle, or say what is lacking.

    `expected` is the `stamp` of who asks; `files` are hashes by names in a workspace, to which the
    function is moved if there are any.

    Raises SimulationError if this worker runs other code or other versions; what the function
    raises.
    """
    there = stamp()
    other = [name for name in sorted({*expected, *there}) if expected.get(name) != there.get(name)]
    if other:
        raise SimulationError(
            f"worker {_address()} must run what the client runs; it has "
            f"{', '.join(f'{name} {there.get(name)}' for name in other)} where the client has "
            f"{', '.join(f'{name} {expected.get(name)}' for name in other)}; install the same "
            "there and start it again"
        )
    with _ONE:
        lacking = tuple(sha for sha in (function, *files.values()) if not _blob(sha).is_file())
        if lacking:
            return Lacking(_address(), tuple(dict.fromkeys(lacking)))
        try:
            ready = _function(function, tuple(sorted(files.items())))
        except ImportError as error:
            raise SimulationError(
                f"worker {_address()} must have installed what is used here; {error}; install it "
                "there and start it again"
            ) from None
        try:
            return ready(*args)
        except DataError as error:
            raise type(error)(f"worker {_address()}: {error}") from None


def keep(contents: Mapping[str, bytes]) -> None:
    """Store files under the hash of their content.

    Raises StoreError if the folder cannot be written.
    """
    Disk(root=cache_folder()).write("files", contents)


def cache_folder() -> Path:
    """Where a worker keeps what it was given."""
    told = os.environ.get(CACHE)
    if told:
        return Path(told)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "delever"


@lru_cache(maxsize=2)
def _function(sha: str, files: tuple[tuple[str, str], ...]) -> Any:
    function = pickle.loads(_checked(sha))
    return function.at(_unpacked(files)) if files else function


def _unpacked(files: tuple[tuple[str, str], ...]) -> Path:
    """A workspace that holds these files and nothing else."""
    name = hashlib.sha256(repr(files).encode()).hexdigest()[:16]
    folder = cache_folder() / "workspaces"
    root = folder / name
    if root.is_dir():
        return root
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
    try:
        for path, sha in files:
            target = made / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_checked(sha))
        made.rename(root)
    except OSError:
        if not root.is_dir():  # another process was first otherwise
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return root


def _checked(sha: str) -> bytes:
    content = _blob(sha).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha:
        _blob(sha).unlink()
        raise SimulationError(
            f"{_blob(sha)} on worker {_address()} must hold what its name says; it was damaged and "
            "is removed now; run again"
        )
    return content


def _blob(sha: str) -> Path:
    return cache_folder() / "files" / sha


def _address() -> str:
    from distributed import get_worker

    return str(get_worker().address)
