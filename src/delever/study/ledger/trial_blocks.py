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
from delever.study.settings.grid import Grid

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
    """Trials of one strategy on one market."""

    # each kind of trial there is, from `trials.trial_of`, whatever its parameters
    kinds: Sequence[Mapping[str, Any]]
    params: Bound
    kind: Rows  # shape (trials,): of which kind each is
    places: Rows  # shape (trials, params): which value each has

    def ids(self, end: str | None) -> Ids:
        """The id of each, in order."""
        around = [
            identity({**one, "params": _ALL}, end).partition(json.dumps(_ALL)) for one in self.kinds
        ]
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
        for kind, row in zip(self.kind.tolist(), self.places[:, order].tolist(), strict=True):
            told = ", ".join([part[place] for part, place in zip(parts, row, strict=True)])
            before, _, after = around[kind]
            made += hashlib.sha256(f"{before}{{{told}}}{after}".encode()).digest()[:8]
        return np.frombuffer(bytes(made), dtype=">u8").astype(np.uint64)

    def line(self, ids: Ids, told: Mapping[str, Any], end: str | None) -> str:
        """What the ledger holds of them: the values they have, and those of their ids."""
        params = {
            name: _values([each[place] for place in np.unique(self.places[:, number]).tolist()])
            for number, (name, each) in enumerate(self.params.items())
        }
        said = _values(self.kinds)
        return block_line({**told, **said, "params": params, "end": end}, ids)


def _values(several: Sequence[Any]) -> Any:
    """One value, or the list of those there are; of tables, key by key."""
    if all(isinstance(each, Mapping) for each in several):
        return {key: _values([each[key] for each in several]) for key in several[0]}
    found = list({json.dumps(each, default=str): each for each in several}.values())
    return found[0] if len(found) == 1 else found


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
    """Ids of several places, each once and sorted; the first of them are so already."""
    known, *others = parts or [NO_IDS]
    for ids in others:
        # A few are put among very many: to sort all of them again would take most of the time.
        new = np.sort(ids[unknown(ids, known)])
        known = np.insert(known, np.searchsorted(known, new), new)
    return known


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
    """Trials of some combinations of a grid: a few each by itself, more together."""
    if len(rows) < _FEWEST:
        return [trial(one) for one in grid.some(rows)], []
    places = grid.places(rows)
    rest = [place for place, axis in enumerate(grid.axes) if not axis.startswith("params.")]
    own = {axis.removeprefix("params."): place for place, axis in enumerate(grid.axes)}
    _, first, kind = np.unique(places[:, rest], axis=0, return_index=True, return_inverse=True)
    at = np.zeros((len(rows), len(bound)), dtype=np.int64)
    for number, name in enumerate(bound):
        if len(bound[name]) > 1:
            at[:, number] = places[:, own[name]]
    kinds = [trial(one) for one in grid.some(rows[first])]
    return [], [TrialBlock(kinds=kinds, params=bound, kind=kind.ravel(), places=at)]
