"""How the loops are compiled, and where what was compiled is kept.

numba's own cache follows the file of each function, so arithmetic that a loop imports could go
stale in it. Here the folder is named by a hash over all sources of this package: another source,
another folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.dispatcher import Dispatcher
from numba.np.unsafe.ndarray import to_fixed_tuple

from delever.arguments import one_of
from delever.engine.by_reference import by_reference

F = TypeVar("F", bound=Callable[..., Any])
_njit: Any = numba.njit  # its annotations do not own up to all options
_Library: Any = JITCodeLibrary
_Compiler: Any = Compiler


numbers: Any = to_fixed_tuple
"""Inside a compiled function: a row of an array as a tuple, of a length the compiler knows."""


def compiled(**options: Any) -> Callable[[F], F]:
    """Compile a loop that Python calls, and keep it on disk.

    It goes without counting references (`_nrt`), as the loops allocate nothing.
    """

    def compile_(function: F) -> F:
        made: Any = _njit(_nrt=False, error_model="numpy", **options)(function)
        if cache_folder() is not None:
            made._cache = _KeyedCache(function)  # type: ignore[no-untyped-call]
        result: F = made
        return result

    return compile_


class _PartLibrary(_Library):  # type: ignore[misc]
    """Code of a part, which is made machine code in the loop it is linked into, and not alone.

    numba would do so for each function with all that it calls: at each level for the same lines.
    """

    @property
    def codegen(self) -> Any:
        """Itself, as of the codegen only `set_env` is asked for."""
        return self

    def set_env(self, name: str, env: Any) -> None:
        """Nothing: where only numbers and records come and go, no object of Python is needed."""

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0

    def _optimize_final_module(self) -> None:
        # Without it a loop takes up to half as long again.
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _PartCompiler(_Compiler):  # type: ignore[misc]
    def __init__(self, typing: Any, target: Any, library: Any, *rest: Any) -> None:
        super().__init__(typing, target, library or _PartLibrary(target.codegen(), "part"), *rest)


def inner(**options: Any) -> Callable[[F], F]:
    """Compile a part of a loop, which only compiled functions call: half the work."""
    part: Callable[[F], F] = _njit(
        _nrt=False,
        error_model="numpy",
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        pipeline_class=_PartCompiler,
        **options,
    )
    return part


inlined = partial(inner, forceinline=True)
"""The same, put in the place of its call."""


def by_engine(loop: F, engine: str) -> F:
    """A compiled loop, or the same lines as Python runs them: slow, for a debugger.

    Raises InputError if there is no such engine.
    """
    one_of("engine", engine, ("numba", "python"))
    return loop if engine == "numba" else _as_python(loop)


@cache
def _as_python(loop: Any) -> Any:
    made: dict[Any, FunctionType] = {}

    def uncompiled(each: Any) -> Any:
        """A function without its compilation, in whose module no other is compiled either."""
        if each is by_reference:
            return lambda held: held
        if each is numbers:
            return lambda row, _: tuple(row)
        if not isinstance(each, Dispatcher):
            return each
        if each not in made:
            function = each.py_func
            names: dict[str, Any] = {}
            made[each] = FunctionType(function.__code__, names, None, function.__defaults__)
            names |= {name: uncompiled(value) for name, value in function.__globals__.items()}
        return made[each]

    plain = uncompiled(loop)

    def run(*given: Any) -> Any:
        with np.errstate(all="ignore"):  # as compiled
            return plain(*map(_with_fields, given))

    return run


def _with_fields(given: Any) -> Any:
    """Arrays of records, in tuples too, whose records have their fields as attributes."""
    if isinstance(given, tuple):
        return type(given)(*map(_with_fields, given))
    return given.view(np.recarray) if given.dtype.names else given


@cache
def cache_folder() -> Path | None:
    """Folder of what was compiled from these sources; None where nothing can be written."""
    sources = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        sources.update(path.name.encode() + b"\0" + path.read_bytes())
    for place in _places():
        folder = place / f"numba-{sources.hexdigest()[:16]}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        if not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid():
            return folder  # what is loaded from here is run, so nobody else may write it
    return None


def _places() -> list[Path]:
    """Where it may be kept, the best first."""
    if asked := os.environ.get("NUMBA_CACHE_DIR"):
        return [Path(asked)]
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
    user = str(getattr(os, "getuid", lambda: "user")())
    return [
        Path(home).expanduser() / "delever",
        Path(__file__).parent / "__pycache__",
        Path(tempfile.gettempdir()) / f"delever-{user}",
    ]


class _Locator:
    """What numba asks of a place: one folder, and sources that never change in it."""

    def __init__(self, function: Any) -> None:
        self.line = function.__code__.co_firstlineno

    def ensure_cache_path(self) -> None:
        Path(self.get_cache_path()).mkdir(mode=0o700, parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return ""

    def get_disambiguator(self) -> str:
        return str(self.line)

    @classmethod
    def from_function(cls, function: Any, _: str) -> _Locator:
        return cls(function)


class _KeyedFiles(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # type: ignore  # noqa: RUF012


class _KeyedCache(FunctionCache):
    _impl_class = _KeyedFiles
