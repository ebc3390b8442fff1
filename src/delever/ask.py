"""One call of a strategy for many combinations of parameters, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

Codes: TypeAlias = npt.NDArray[np.intp]
"""For each combination, which of the distinct values is its own."""


class DividedError(Exception):
    """Combinations would go different ways."""


class RefusedError(Exception):
    """What was asked has an answer for a single combination only."""


class Ask:
    """One call of a strategy for many combinations, and what came of it."""

    def __init__(self, size: int) -> None:
        self.size = size  # combinations
        self.ways: Codes | None = None  # which way each goes, once they are divided
        self.refused = ""  # why, once something was refused
        self.cells = 0  # of the largest columns
        self._joins: dict[tuple[int, ...], tuple[Any, ...]] = {}

    def divide(self, codes: Codes) -> NoReturn:
        """Say that combinations go different ways; a strategy that catches it changes nothing."""
        self.ways = codes if self.ways is None else self.ways
        raise DividedError

    def refuse(self, what: str) -> NoReturn:
        """Say that something has no answer for many at once; catching it changes nothing."""
        self.refused = self.refused or what
        raise RefusedError(what)

    def joined(self, codes: Sequence[Codes]) -> tuple[Codes, list[Codes | None]]:
        """What is distinct in several at once, and the part of each; None where that is all of it.

        The same arrays in give the same arrays out.
        """
        key = tuple(map(id, codes))
        if key not in self._joins:
            both, sizes = codes[0], [int(one.max()) + 1 for one in codes]
            for one, size in zip(codes[1:], sizes[1:], strict=True):
                both = both * size + one if one is not codes[0] else both
            _, firsts, own = np.unique(both, return_index=True, return_inverse=True)
            # One that already tells all combinations apart keeps its order, and so is not copied.
            for one, size in zip(codes, sizes, strict=True):
                if size == len(firsts):
                    own, firsts = one, np.unique(one, return_index=True)[1]
                    break
            parts = [None if one is own else one[firsts] for one in codes]
            self._joins[key] = (own, parts, codes)  # held, so that no other has their ids
        own, parts, _ = self._joins[key]
        return own, parts
