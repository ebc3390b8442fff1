"""Files of the ledger: lines that are only appended to, and what others than trials hold."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from delever.data.disk import Disk
from delever.errors import StoreError

LOOKS = ".looks.jsonl"
"""Ends the name of a file of questions put to signals."""
WORTH = ".worth.jsonl"
"""Ends the name of a file of what the trials of each sweep are worth."""
_WAIT = 60.0


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Let no other process write meanwhile."""
    with Disk(root=folder).lock("", wait=_WAIT):
        yield


def append(path: Path, lines: Iterable[str]) -> None:
    """Add whole lines to a file, behind whatever a killed writer left."""
    text = "".join(f"{line}\n" for line in lines)
    if not text:
        return
    try:
        with path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    text = f"\n{text}"
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"cannot write the ledger of trials {path}: {error.strerror}") from error


def whole_lines(path: Path, begin: int = 0) -> Iterator[tuple[str, int]]:
    """Lines that end, from a byte on, each with the byte behind it."""
    try:
        with path.open("rb") as file:
            file.seek(begin)
            for line in file:
                begin += len(line)
                if line.endswith(b"}\n"):
                    yield line.decode(errors="replace"), begin
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot read the ledger of trials {path}: {error.strerror}") from error


def parsed(line: str) -> dict[str, Any] | None:
    """A line as it was written; None for what is left of one cut short."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) and "id" in said else None


def read_looks(folder: Path, market: str) -> Iterator[dict[str, Any]]:
    """Questions put to signals on a market, each once for the same data."""
    seen = set()
    for line, _ in whole_lines(folder / f"{market}{LOOKS}"):
        said = parsed(line)
        if said is not None and said["id"] not in seen:
            seen.add(said["id"])
            yield said


def read_worth(folder: Path, market: str) -> dict[str, float]:
    """Independent trials that each trial of a sweep is worth, by the sweep's id."""
    told = (parsed(line) for line, _ in whole_lines(folder / f"{market}{WORTH}"))
    return {one["id"]: one["effective"] / one["trials"] for one in told if one is not None}
