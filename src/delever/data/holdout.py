"""A holdout: rows that nothing reads before a look at them is recorded."""

from __future__ import annotations

import datetime as dt
import getpass
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from delever.arguments import counted
from delever.data.references import Dataset
from delever.errors import ConfigError, InputError, NotStoredError
from delever.toml_file import read_toml

FILE, LOOKS = "holdout.toml", "holdout_looks.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdout:
    """What is held out of every data set, and the looks that were taken at it."""

    since: pd.Timestamp  # UTC: what was known later is held out
    looks_file: Path
    look: Mapping[str, Any] | None = None  # the one that this reader takes; None: it is sealed

    @property
    def looks(self) -> list[dict[str, Any]]:
        """Every look: ``look`` (its number), ``time``, ``by``, ``study``, ``why``, ``from``."""
        if not self.looks_file.is_file():
            return []
        lines = self.looks_file.read_text(encoding="utf-8").splitlines()
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise ConfigError(
                f"{self.looks_file} must hold a look on each line; {error}; mend the line by hand"
            ) from None

    def unsealed(self, study: str, why: str) -> Holdout:
        """Record a look, then open it. Raises InputError without a reason."""
        if not why.strip():
            raise InputError("a look at the holdout needs a reason, which is recorded; got none")
        self.looks_file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.looks_file}.lock"):
            look = {
                "look": len(self.looks) + 1,
                "time": f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
                "by": getpass.getuser(),
                "study": study,
                "why": why.strip(),
                "from": f"{self.since:%Y-%m-%d}",
            }
            with self.looks_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(look) + "\n")
        return replace(self, look=look)

    def seen(self, data: Dataset) -> Dataset:
        """A data set as this reader may see it, with a note of it.

        Raises NotStoredError if all of it is held out.
        """
        index = pd.DatetimeIndex(data.frame.index)
        open_rows = index + data.publication_lag <= self.since
        if open_rows.all():
            return data
        day = f"{self.since:%Y-%m-%d}"
        if self.look is not None:
            said = (
                f"the holdout from {day} on was looked at: look {self.look['look']} of this "
                f"workspace, {str(self.look['time'])[:10]}, {self.look['why']}"
            )
            return replace(data, notes=(*data.notes, said))
        if not open_rows.any():
            raise NotStoredError(
                f"{data.reference} has no row before the holdout, which begins {day}; "
                "see data/holdout.toml and: delever unseal"
            )
        return replace(
            data,
            frame=data.frame[open_rows],
            # What is made of these rows is not what is made of all.
            id=hashlib.sha256(f"{data.id} before {self.since.isoformat()}".encode()).hexdigest(),
            notes=(*data.notes, f"sealed: {counted(int((~open_rows).sum()), 'row')} from {day} on"),
        )


def read_holdout(folder: Path) -> Holdout | None:
    """The holdout of a workspace's ``data`` folder, if it has one.

    Raises ConfigError if its file says none.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        since = read_toml(path)["holdout"]["from"]
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} must hold a table [holdout] with from = 2024-01-01 or another day; {error!r}"
        ) from None
    if not isinstance(since, dt.date):
        raise ConfigError(f"{path}: from must be a day such as 2024-01-01; got {since!r}")
    stamp = pd.Timestamp(since)
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    return Holdout(since=stamp, looks_file=folder / LOOKS)
