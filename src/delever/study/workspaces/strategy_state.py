"""What a strategy keeps beside its answer: containers, objects and names of its module."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from types import CellType, CodeType, FunctionType, SimpleNamespace
from typing import Any, Final

import pandas as pd

from delever.ask import Ask
from delever.at_once import Columns, any_many

_EMPTY = CellType()
_DEPTH = 3
_TYPES: Final = {
    *("type", "__class__", "is_integer", "is_float", "is_number", "is_scalar", "isscalar"),
}
_OF_SERIES: Final = {"Series", "DataFrame", "ndarray", "Index"}


class _Attributes(MutableMapping[str, Any]):
    """What a class, or an object with slots, holds by name."""

    def __init__(self, of: Any) -> None:
        self.of = of

    def __getitem__(self, name: str) -> Any:
        return vars(self.of)[name] if isinstance(self.of, type) else getattr(self.of, name)

    def __setitem__(self, name: str, value: Any) -> None:
        (type if isinstance(self.of, type) else object).__setattr__(self.of, name, value)

    def __delitem__(self, name: str) -> None:
        (type if isinstance(self.of, type) else object).__delattr__(self.of, name)

    def __iter__(self) -> Iterator[str]:
        if isinstance(self.of, type):
            return iter(list(vars(self.of)))
        slots = [name for of in type(self.of).__mro__ for name in getattr(of, "__slots__", ())]
        return iter([name for name in slots if hasattr(self.of, name)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def copy(self) -> dict[str, Any]:
        """The same as a dictionary of its own."""
        return dict(self)


class StrategyState:
    """What a function's module, closure and defaults held before it was called."""

    def __init__(self, function: Callable[..., Any]) -> None:
        places = ("__globals__", "__dict__", "__kwdefaults__", "__defaults__")
        values = [getattr(function, place, None) for place in places]
        cells = getattr(function, "__closure__", None) or ()
        held = [*(values.pop() or ()), *(cell.cell_contents for cell in cells if cell != _EMPTY)]
        module = getattr(function, "__module__", "")
        self.before: list[tuple[Any, Any]] = [
            (one, one.copy()) for one in _holders([*values, *held], _DEPTH, module)
        ]

    def cleared_for(self, ask: Ask) -> None:
        """Take out what stands for many combinations; if there was any, the call is refused."""
        if self._cleared():
            ask.refused = ask.refused or "it keeps a series or a number from one call to the next"

    def _cleared(self) -> bool:
        found = False
        for held, before in self.before:
            if isinstance(held, MutableMapping):
                own = {key for key, value in held.items() if before.get(key) is not value}
                for key in [key for key in own if holds_many(held[key])]:
                    found = True
                    del held[key]
                    if key in before:
                        held[key] = before[key]
            elif any(holds_many(one) for one in held):
                found = True
                held.clear()
                held.extend(before)
        return found


def looks_at_types(function: Callable[..., Any]) -> bool:
    """Whether it, or what it calls of its own module, asks what type something has."""
    code, own = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    left: list[Any] = [code]
    seen: set[CodeType] = set()
    while left:
        one = left.pop()
        if isinstance(one, type) and one.__module__ == function.__module__:
            left += vars(one).values()
        if isinstance(one, FunctionType) and one.__globals__ is own:
            left.append(one.__code__)
        if isinstance(one, CodeType) and one not in seen:
            seen.add(one)
            left += [*one.co_consts, *(own.get(name) for name in one.co_names)]
    names = {name for one in seen for name in one.co_names}
    return bool(names & _TYPES) or ("isinstance" in names and bool(names & _OF_SERIES))


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


def _holders(values: Sequence[Any], depth: int, module: str) -> Iterator[Any]:
    """What can be written to, so many containers deep."""
    for one in values:
        held: Any
        if isinstance(one, dict | list | deque):
            held = one
        elif isinstance(one, SimpleNamespace | FunctionType) or type(one).__module__ == module:
            held = vars(one) if hasattr(one, "__dict__") else _Attributes(one)
        elif isinstance(one, type) and one.__module__ == module:
            held = _Attributes(one)
        else:
            continue
        yield held
        if depth > 1 and len(held) < 10_000:
            inner = [*(held.values() if isinstance(held, MutableMapping) else held)]
            yield from _holders(inner, depth - 1, module)
