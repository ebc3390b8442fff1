"""Where a look-ahead check changes the future, and in which order.

A leak of one bar shows only at a cut on that very bar, so in the end every bar is asked. Those most
likely to tell come first: where the answer changes, and before the largest moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from delever.arguments import Flags, Floats
from delever.research.perturbation import Perturbation

FIRST = 32
"""Cuts of each kind that every change is tried at, before the others are asked once each."""
MOST_CHANGES = 250
MOST_MOVES = 100

_ALL: tuple[Perturbation, ...] = ("removed", "mirrored", "shuffled", "scrambled")
# An upturned future contradicts whatever was known of the next bar, so it tells most.
_ONCE: tuple[Perturbation, ...] = ("removed", "mirrored", "scrambled", "mirrored")
_THEN: tuple[Perturbation, ...] = ("mirrored", "removed", "scrambled", "shuffled")


def least_questions(
    answers: Sequence[Flags], close: Floats, points: int
) -> list[tuple[Perturbation, int]]:
    """What is asked however long it takes: changes of the future, and the rows after which.

    `answers` holds where the exposures differ from the bar before, and where any line does:
    changes of one take no places of the other.
    """
    last = len(close) - 1
    spread = _thinned(np.arange(last), points)
    groups = [spread, _before_moves(close, min(points, MOST_MOVES))]
    for moved in answers:
        changed = _thinned(1 + np.flatnonzero(moved), min(points, MOST_CHANGES))
        groups += [changed, changed - 1]
    first = sorted({int(row) for group in groups for row in _thinned(group, FIRST) if row < last})
    asked = [(change, row) for change in _ALL for row in first]
    rows = {int(row) for group in groups for row in group if row < last} - set(first)
    return asked + [(_ONCE[turn % len(_ONCE)], row) for turn, row in enumerate(_mixed(rows))]


def further_questions(rows: int) -> Iterator[tuple[Perturbation, int]]:
    """What is asked as long as there is time: every change at every row."""
    for change in _THEN:
        for row in _mixed(range(rows - 1)):
            yield change, row


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
