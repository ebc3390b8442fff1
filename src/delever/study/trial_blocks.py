"""Many trials of a sweep in one line of the ledger: what they share, and the id of each.

Each has the id that it would have by itself, so a run of one of them is the same trial.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from delever.arguments import Rows
from delever.study.grid import Grid

Ids = npt.NDArray[np.uint64]
"""Ids of trials, the sixteen digits of each as a number; sorted where they are kept."""

Bound = Mapping[str, Sequence[Any]]
"""Values of each parameter of a strategy, as it takes them; one where all combinations share it."""

NO_IDS: Ids = np.zeros(0, dtype=np.uint64)
_AT, _IDS = 24, '", "ids": "'
_ALL = "\0all\0"
_FEWEST = 256  # fewer stand each in a line of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialBlock:
    """Trials that differ in parameters alone."""

    trial: Mapping[str, Any]  # of any of them, from `delever.study.trials.trial_of`
    params: Bound
    places: Rows  # shape (trials, params): which value each has

    def ids(self, end: str | None) -> Ids:
        """The id of each, in order."""
        before, _, after = identity({**self.trial, "params": _ALL}, end).partition(json.dumps(_ALL))
        names = list(self.params)
        order = sorted(range(len(names)), key=names.__getitem__)
        parts = [
            [
                f"{json.dumps(names[place])}: {json.dumps(value, sort_keys=True, default=str)}"
                for value in self.params[names[place]]
            ]
            for place in order
        ]
        made = bytearray()
        for row in self.places[:, order].tolist():
            told = ", ".join([part[place] for part, place in zip(parts, row, strict=True)])
            made += hashlib.sha256(f"{before}{{{told}}}{after}".encode()).digest()[:8]
        return np.frombuffer(bytes(made), dtype=">u8").astype(np.uint64)

    def line(self, ids: Ids, told: Mapping[str, Any], end: str | None) -> str:
        """What the ledger holds of them: the values they have, and those of their ids."""
        values = {
            name: [each[place] for place in np.unique(self.places[:, number]).tolist()]
            for number, (name, each) in enumerate(self.params.items())
        }
        said = {name: each[0] if len(each) == 1 else each for name, each in values.items()}
        return block_line({**told, **self.trial, "params": said, "end": end}, ids)


def identity(trial: Mapping[str, Any], end: str | None) -> str:
    """What makes a trial the same as another: all of it but what others call its strategy."""
    named = {**trial, "strategy": {**trial["strategy"], "name": ""}, "end": end}
    return json.dumps(named, sort_keys=True, default=str)


def block_line(said: Mapping[str, Any], ids: Ids) -> str:
    """A line of many trials."""
    content = ids.astype(">u8").tobytes()
    name = hashlib.sha256(content).hexdigest()[:16]
    own = {"id": name, "ids": base64.b64encode(content).decode()}
    told = own | {key: value for key, value in said.items() if key not in own}
    return json.dumps(told, default=str)


def line_ids(line: str) -> Ids:
    """Ids of the trials that a line of the ledger holds."""
    if line.startswith(_IDS, _AT):
        begin = _AT + len(_IDS)
        content = base64.b64decode(line[begin : line.index('"', begin)])
        return np.frombuffer(content, dtype=">u8").astype(np.uint64)
    return np.array([int(line[8:_AT], 16)], dtype=np.uint64)


def joined_ids(parts: Sequence[Ids]) -> Ids:
    """Ids of several places, each once and sorted."""
    if len(parts) == 1:
        return parts[0]
    return np.unique(np.concatenate([NO_IDS, *parts]))


def unknown(ids: Ids, known: Ids) -> npt.NDArray[np.bool_]:
    """Which ids are not among those that are known, sorted, nor earlier among themselves."""
    new = np.zeros(len(ids), dtype=bool)
    new[np.unique(ids, return_index=True)[1]] = True
    at = np.searchsorted(known, ids)
    inside = at < len(known)
    new[inside] &= known[at[inside]] != ids[inside]
    return new


def grid_trials(
    grid: Grid,
    rows: Rows,
    bound: Bound,
    trial: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> tuple[list[dict[str, Any]], list[TrialBlock]]:
    """Trials of some combinations of a grid: those that stand alone, and blocks of the others."""
    places = grid.places(rows)
    rest = [place for place, axis in enumerate(grid.axes) if not axis.startswith("params.")]
    own = {axis.removeprefix("params."): place for place, axis in enumerate(grid.axes)}
    kind = np.unique(places[:, rest], axis=0, return_inverse=True)[1].ravel()
    alone: list[dict[str, Any]] = []
    blocks: list[TrialBlock] = []
    for each in range(int(kind.max(initial=-1)) + 1):
        there = np.flatnonzero(kind == each)
        if len(there) < _FEWEST:
            alone += [trial(one) for one in grid.some(rows[there])]
            continue
        at = np.zeros((len(there), len(bound)), dtype=np.int64)
        for number, name in enumerate(bound):
            if len(bound[name]) > 1:
                at[:, number] = places[there, own[name]]
        first = trial(grid[int(rows[there[0]])])
        blocks.append(TrialBlock(trial=first, params=bound, places=at))
    return alone, blocks
