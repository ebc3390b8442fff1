"""What a strategy keeps beside its answer: containers and names of its module."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import CellType
from typing import Any, TypeAlias

import pandas as pd

from delever.ask import Ask
from delever.at_once import Columns, any_many

Holder: TypeAlias = "dict[Any, Any] | list[Any] | deque[Any]"

_EMPTY = CellType()


class StrategyState:
    """What a function's module, closure and defaults held before it was called."""

    def __init__(self, function: Callable[..., Any]) -> None:
        places = ("__globals__", "__dict__", "__kwdefaults__", "__defaults__")
        values = [getattr(function, place, None) for place in places]
        cells = getattr(function, "__closure__", None) or ()
        held = [*(values.pop() or ()), *(cell.cell_contents for cell in cells if cell != _EMPTY)]
        self.before = [(one, one.copy()) for one in _holders([*values, *held], 3)]

    def cleared_for(self, ask: Ask) -> None:
        """Take out what stands for many combinations; if there was any, the call is refused."""
        if self._cleared():
            ask.refused = ask.refused or "it keeps a series or a number from one call to the next"

    def _cleared(self) -> bool:
        found = False
        for held, before in self.before:
            if isinstance(held, dict) and isinstance(before, dict):
                own = {key for key, value in held.items() if before.get(key) is not value}
                for key in [key for key in own if holds_many(held[key])]:
                    found = True
                    del held[key]
                    if key in before:
                        held[key] = before[key]
            elif not isinstance(held, dict) and any(holds_many(one) for one in held):
                found = True
                held.clear()
                held.extend(before)
        return found


def holds_many(value: object) -> bool:
    """Whether it is, or is made of, what stands for many combinations."""
    if isinstance(value, pd.Series):
        return isinstance(value.array, Columns)
    if isinstance(value, pd.DataFrame):
        return any(isinstance(value.iloc[:, at].array, Columns) for at in range(value.shape[1]))
    if isinstance(value, dict):
        return any(map(holds_many, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_many, value))
    return any_many([value])


def _holders(values: Sequence[Any], depth: int) -> Iterator[Holder]:
    for one in values:
        if isinstance(one, dict | list | deque):
            yield one
            if depth > 1 and len(one) < 10_000:
                yield from _holders([*(one.values() if isinstance(one, dict) else one)], depth - 1)
