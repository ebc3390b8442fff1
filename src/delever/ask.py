"""One call of a strategy for many combinations of parameters, and what comes of it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, Final, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

Codes: TypeAlias = npt.NDArray[np.intp]
"""For each combination, which of the distinct values is its own."""
Place: TypeAlias = tuple[int, int]
"""Line and column of a source."""


IN_NAMES: Final = "\N{HORIZONTAL ELLIPSIS}"
"""What stands for a number in the name of a line of the frame that a strategy returns."""


_READ_NAMES: Final = ("locals", "vars", "eval", "exec")


class DividedError(Exception):
    """Combinations would go different ways."""


class RefusedError(Exception):
    """What was asked has an answer for a single combination only."""


_going_on: ContextVar[Ask | None] = ContextVar("delever_ask", default=None)


class Ask:
    """One call of a strategy for many combinations, and what came of it."""

    def __init__(self, size: int, code: CodeType | None = None) -> None:
        self.size, self.code = size, code  # combinations, and what the strategy runs
        self.ways: Codes | None = None  # which way each goes, once they are divided
        self.refused = ""  # why, once something was refused
        self.cells = 0  # of the largest columns
        self._joins: dict[tuple[int, ...], tuple[Any, ...]] = {}

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """While the strategy is called: what it then computes of another call is refused."""
        token = _going_on.set(self)
        try:
            yield
        finally:
            _going_on.reset(token)

    def still(self) -> Ask:
        """Itself, if it is the call that goes on; what is left of another is refused."""
        now = _going_on.get()
        if now is not self:
            (now or self).refuse("a number or series that it kept from an earlier call")
        return self

    def names_a_line(self, frame: FrameType) -> bool:
        """Whether a text being made there is the name of a line of the frame it returns."""
        code = frame.f_code
        if code is not self.code:  # a function that it calls may read what it is given
            return False
        at = list(code.co_positions())[frame.f_lasti // 2]
        if None in at:
            return False
        row, last, column, end = (part or 0 for part in at)
        return any(
            begins <= (row, column)
            and (last, end) <= ends
            and getattr(frame.f_globals.get(module), "DataFrame", None) is pd.DataFrame
            for begins, ends, module in _line_names(code)
        )

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


@lru_cache(maxsize=64)
def _line_names(code: CodeType) -> list[tuple[Place, Place, str]]:
    """Where texts begin and end that are nothing but names of lines, and whose frame they name.

    Such a text is a key in `return pd.DataFrame({...})` and shows plain names, so that nothing
    between its making and the end of the strategy can read it.
    """
    try:
        text = "".join(inspect.findsource(code)[0])
        held, tree = compile(text, "", "exec", dont_inherit=True), ast.parse(text)
    except (OSError, SyntaxError):
        return []
    if code not in _codes(held):  # the file is another since
        return []
    return [
        _span(key, module)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for module, keys in _returned(function, code)
        if module not in {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
        for key in keys
        if key and _shows_names(key)
    ]


def _returned(
    function: ast.FunctionDef, code: CodeType
) -> Iterator[tuple[str, Sequence[ast.expr | None]]]:
    """The module and the keys of frames that are returned, of dictionaries that nothing reads."""
    made = {
        line.targets[0].id: line.value.keys
        for line in function.body
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Dict)
        if len(line.targets) == 1 and isinstance(line.targets[0], ast.Name)
    }
    for node in ast.walk(function):
        match node:
            case ast.Return(ast.Call(ast.Attribute(ast.Name(module), "DataFrame"), [given])):
                if isinstance(given, ast.Dict):
                    yield module, given.keys
                held = _handed_on(given)
                # Where it is made and here, and nowhere else:
                if (
                    held in made
                    and held in code.co_varnames
                    and len(_names(function, held, *_READ_NAMES)) == 2
                ):
                    yield module, made[held]


def _handed_on(given: ast.expr) -> str:
    """The dictionary whose keys become those of a frame as they are; empty for none."""
    match given:
        case ast.Name(held):
            return held
        case ast.DictComp(
            ast.Name(name),
            value,
            [
                ast.comprehension(
                    ast.Tuple([ast.Name(key), ast.Name()]),
                    ast.Call(ast.Attribute(ast.Name(held), "items"), [], []),
                    [],
                )
            ],
        ) if name == key and not _names(value, name, *_READ_NAMES):
            return held
    return ""


def _names(within: ast.AST, *names: str) -> list[ast.Name]:
    """Where names stand in a source."""
    return [one for one in ast.walk(within) if isinstance(one, ast.Name) and one.id in names]


def _span(key: ast.expr, module: str) -> tuple[Place, Place, str]:
    ends = (key.end_lineno or 0, key.end_col_offset or 0)
    return (key.lineno, key.col_offset), ends, module


def _shows_names(key: ast.expr) -> bool:
    return isinstance(key, ast.JoinedStr) and all(
        isinstance(part, ast.Constant)
        or (
            isinstance(part, ast.FormattedValue)
            and isinstance(part.value, ast.Name)
            and part.conversion == -1
            and part.format_spec is None
        )
        for part in key.values
    )


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)
