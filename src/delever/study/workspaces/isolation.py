"""A strategy file that remembers nothing between two questions, and what it reaches for outside.

A check asks a strategy about one past with different futures. What the file kept from the
question before would answer the next one, and hide that the future was seen.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from delever.research.decision import Decided
from delever.research.lookahead import Seen
from delever.research.strategy_checks import Finding
from delever.study.workspaces.strategy import execute, load_strategy

_MODULES: Final = """
aiohttp builtins ccxt ctypes ftplib gc glob http httpx importlib inspect io joblib
multiprocessing os pathlib pickle pyarrow requests shelve shutil socket sqlite3 subprocess
sys tempfile threading time urllib
"""
_NAMES: Final = """
__import__ compile delattr eval exec globals input open setattr vars
"""
_METHODS: Final = """
fromfile genfromtxt load loadtxt memmap now open read_bytes read_text save savez today
tofile utcnow write_bytes write_text
"""
_INNER: Final = """
__builtins__ __dict__ __globals__ __setattr__
"""
_CLOCKED: Final = """
Timestamp datetime64 to_datetime
"""


def afresh(path: Path) -> Callable[..., Decided]:
    """A strategy whose file is run anew for every question."""
    loaded = load_strategy(path)
    source = loaded.path.read_bytes()

    def answer(market: Seen, **params: object) -> Decided:
        function = getattr(execute(loaded.path, source, loaded.sha256), loaded.name)
        return replace(loaded, function=function)(market, **params)

    return answer


def outside(path: Path) -> list[Finding]:
    """What a strategy file names that could tell it more than its market does.

    It goes by names. A file that means to hide what it reads can; one that does not, cannot
    forget that it does.
    """
    found = sorted(set(_reaches(ast.parse(path.read_bytes(), filename=str(path)))))
    if not found:
        return []
    lines = "; ".join(f"line {line}: {what}" for line, what in found)
    return [
        Finding(
            check="self-contained",
            message="a strategy must answer from the market it is given and nothing else; "
            f"{lines}; what is read or kept elsewhere may know the future, which no question here "
            "can show: store it as a data set and name it in [series]",
        )
    ]


def _reaches(tree: ast.Module) -> Iterator[tuple[int, str]]:
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                imported.add(name.asname or name.name.partition(".")[0])
                if _forbidden(name.name):
                    yield node.lineno, f"import {name.name}"
        elif isinstance(node, ast.ImportFrom):
            imported.update(name.asname or name.name for name in node.names)
            if node.module and _forbidden(node.module):
                yield node.lineno, f"import from {node.module}"
        elif isinstance(node, ast.Call):
            called = _called(node.func)
            if called:
                yield node.lineno, f"{called}(…)"
            elif asked := _asks_the_clock(node):
                yield node.lineno, asked
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            owner = node.value
            if isinstance(owner, ast.Name) and owner.id in imported:
                yield node.lineno, f"{owner.id}.{node.attr} is set"
        elif isinstance(node, ast.Attribute) and node.attr in _INNER.split():
            yield node.lineno, f".{node.attr}"


def _forbidden(module: str) -> bool:
    return module.partition(".")[0] in _MODULES.split() or module.startswith(
        ("delever.data", "delever.study")
    )


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Name):
        return function.id if function.id in _NAMES.split() else ""
    if isinstance(function, ast.Attribute):
        reads = function.attr in _METHODS.split() or function.attr.startswith("read_")
        return function.attr if reads else ""
    return ""


def _asks_the_clock(call: ast.Call) -> str:
    """The words of a call such as ``pd.Timestamp("now")``; empty for any other."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    said = [one.value for one in call.args if isinstance(one, ast.Constant)]
    if name in _CLOCKED.split() and said and said[0] in ("now", "today"):
        return f"{name}({said[0]!r})"
    return ""
