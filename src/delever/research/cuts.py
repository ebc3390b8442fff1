"""Where a look-ahead check changes the future, and in which order.

A leak of one bar shows only at a cut on that very bar, so in the end every bar is asked. Those most
likely to tell come first: where the answer changes, and before the largest moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from delever.arguments import Flags, Floats
from delever.research.perturbation import Perturbation

FIRST, NEXT = 8, 32
"""Cuts of each kind that every change is tried at: before the others are asked once, and after."""
MOST_CHANGES = 250
MOST_MOVES = 100

_ALL: tuple[Perturbation, ...] = ("removed", "mirrored", "shuffled", "scrambled")
# An upturned future contradicts whatever was known of the next bar, so it tells most.
_ONCE: tuple[Perturbation, ...] = ("removed", "mirrored", "scrambled", "mirrored")
_THEN: tuple[Perturbation, ...] = ("mirrored", "removed", "scrambled", "shuffled")


def questions(
    answers: Sequence[Flags], close: Floats, points: int
) -> tuple[list[tuple[Perturbation, int]], Iterator[tuple[Perturbation, int]]]:
    """What is asked however long it takes, and what then, as long as there is time.

    Each is a change of the future and the row after which. The first are of `points` cuts if there
    are so many; the second go on to every change at every row. `answers` holds where the exposures
    differ from the bar before, and where any line does: changes of one take no places of the other.
    """
    last = len(close) - 1
    spread = _thinned(np.arange(last), points)
    groups = [spread, _before_moves(close, min(points, MOST_MOVES))]
    for moved in answers:
        changed = _thinned(1 + np.flatnonzero(moved), min(points, MOST_CHANGES))
        groups += [changed, changed - 1]

    def every_change(count: int) -> list[tuple[Perturbation, int]]:
        rows = {int(row) for group in groups for row in _thinned(group, count) if row < last}
        return [(change, row) for change in _ALL for row in sorted(rows)]

    first = every_change(FIRST)
    rows = {int(row) for group in groups for row in group if row < last}
    rows -= {row for _, row in first}
    once = [(_ONCE[turn % len(_ONCE)], row) for turn, row in enumerate(_mixed(rows))]
    least = max(points - len(first) // len(_ALL), 0)
    further = ((change, row) for change in _THEN for row in _mixed(range(last)))
    return first + once[:least], chain(once[least:], every_change(NEXT), further)


def _before_moves(close: Floats, count: int) -> np.ndarray:
    """Rows before the largest relative moves of the close."""
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = np.abs(np.log(close[1:] / close[:-1]))
    return np.argsort(-np.where(np.isfinite(moves), moves, 0.0), kind="stable")[:count]


def _thinned(rows: np.ndarray, count: int) -> np.ndarray:
    """At most so many, evenly spread."""
    if len(rows) <= count:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, count).astype(int)])


def _mixed(rows: set[int] | range) -> list[int]:
    """In an order that covers the span evenly from the start, always the same."""
    ordered = np.array(sorted(rows), dtype=int)
    return [int(row) for row in np.random.default_rng(len(ordered)).permutation(ordered)]


def changes(columns: Mapping[str, Flags]) -> list[Flags]:
    """Where the first column differs from the bar before, and where any of the others does."""
    first, *others = columns.values()
    return [first, np.logical_or.reduce([np.zeros(len(first), bool), *others])]
