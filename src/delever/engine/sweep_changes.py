"""The compiled search for where targets change."""

from __future__ import annotations

import math
from typing import Any

from delever.arguments import Floats
from delever.engine.compiled import compiled
from delever.engine.steps import Ints


@compiled(nogil=True)
def find_changes(
    targets: Floats,
    rows: Ints,
    size: int,
    firsts: Ints,
    ends: Ints,
    bars: Ints,
    asked: Floats,
    sound: Any,
) -> None:
    """Find where targets change; see `delever.engine.sweep_accounts.changes_each`."""
    found = 0
    for row in range(len(targets)):
        own = targets[row]
        column = 0
        while column < len(own) and math.isnan(own[column]):
            column += 1
        firsts[row], sound[row], held = column, True, 0.0
        while column < len(own):
            target = own[column]
            if target != held:
                held = target
                sound[row] &= math.isfinite(target)
                if rows[column] + 1 < size:  # else no open is left
                    bars[found], asked[found] = rows[column] + 1, target
                    found += 1
            column += 1
        ends[row] = found
