"""Work done once for many evaluations of the same data, such as the combinations of a sweep.

Outside of `shared_work` nothing is kept and nothing changes. Inside it, a computation is known by
what is asked: its name, its options and the numbers of its inputs, wherever they lie. Inputs are
held as long as their result is, so that pandas copies them before anybody writes to them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

Arrays: TypeAlias = "list[npt.NDArray[Any]]"
Data: TypeAlias = pd.Series | pd.DataFrame | pd.DatetimeIndex
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", pd.Series, pd.DataFrame, np.ndarray)


class _Work:
    """Results by what was asked, the one used longest ago leaving first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self.results: OrderedDict[Hashable, tuple[Sequence[Data], Arrays, Any, int]] = OrderedDict()

    def result(
        self, key: Hashable, inputs: Sequence[Data], arrays: Arrays, compute: Callable[[], T]
    ) -> T:
        found = self.results.get(key)
        if found is not None and all(map(_same, found[1], arrays)):
            self.results.move_to_end(key)
            kept: T = found[2]
            return kept
        made = compute()
        if found is not None:  # other numbers that look alike
            self.held -= self.results.pop(key)[3]
        size = _size(made) + sum(_size(data) for data in inputs)
        self.results[key] = ([data.copy(deep=False) for data in inputs], arrays, made, size)
        self.held += size
        while self.held > self.most:
            self.held -= self.results.popitem(last=False)[1][3]
        return made


_work: ContextVar[_Work | None] = ContextVar("delever_shared_work", default=None)


@contextmanager
def shared_work(most: int = 64 * 2**20) -> Iterator[None]:
    """Keep what `shared` computes until the end of the block."""
    token = _work.set(_Work(most))
    try:
        yield
    finally:
        _work.reset(token)


def shared(
    name: str, inputs: Sequence[Data], options: tuple[Hashable, ...], compute: Callable[[], T]
) -> T:
    """Compute something, or take it from an earlier time with the same inputs."""
    work = _work.get()
    if work is None:
        return compute()
    held = [_arrays(data) for data in inputs]
    arrays: Arrays = [array for own in held if own is not None for array in own]
    if None in held:
        return compute()
    options = tuple((type(option).__name__, option) for option in options)
    key = (name, options, *map(_named, inputs), *map(_glance, arrays))
    made = work.result(key, inputs, arrays, compute)
    return made if isinstance(made, np.ndarray) else made.copy(deep=False)


def remembered(function: F) -> F:
    """Compute a function of series and options once for the same ones, while work is shared."""
    name = f"{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = (*args, *kwargs.values())
        inputs = [one for one in given if isinstance(one, Data)]
        options = tuple("" if isinstance(one, Data) else one for one in given)
        if _work.get() is None or not all(isinstance(one, Hashable) for one in options):
            return function(*args, **kwargs)
        told = (*options, *kwargs)
        return shared(name, inputs, told, lambda: function(*args, **kwargs))

    return cast(F, call)


def _arrays(data: Data) -> Arrays | None:
    """The numbers of some data and of its index; None where NumPy does not hold them."""
    arrays: Arrays = []
    for part in (data, getattr(data, "index", None)):
        if isinstance(part, pd.DatetimeIndex):
            arrays.append(part.asi8)
        elif isinstance(part, pd.RangeIndex) or part is None:
            continue
        elif isinstance(part, pd.Series) and isinstance(part.dtype, np.dtype):
            arrays.append(part.to_numpy())
        elif isinstance(part, pd.DataFrame) and part.columns.is_unique:
            if not all(isinstance(dtype, np.dtype) for dtype in part.dtypes):
                return None
            block = part.to_numpy()
            # the frame's own memory, which is one block, or each column's
            own = [block] if not block.flags.writeable else [c.to_numpy() for _, c in part.items()]
            arrays += own
        else:
            return None
    plain = all(array.dtype.kind in "biufmM" and array.itemsize <= 8 for array in arrays)
    return arrays if plain else None


def _named(data: Data) -> Hashable:
    """What is asked of beside the numbers: names, and a clock's zone or steps."""
    index = data if isinstance(data, pd.DatetimeIndex) else data.index
    steps = (index.start, index.step) if isinstance(index, pd.RangeIndex) else str(index.dtype)
    names = tuple(data.columns) if isinstance(data, pd.DataFrame) else data.name
    return type(data).__name__, names, index.name, steps


def _glance(array: npt.NDArray[Any]) -> Hashable:
    """Shape, type and some of the numbers: what looks another way is other data."""
    return array.shape, array.dtype.str, array[:: max(1, len(array) // 16)].tobytes()


def _same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    """Whether two arrays of one shape and type hold the same bytes, at best in the same place."""
    places = [(array.__array_interface__["data"], array.strides) for array in (one, other)]
    whole = f"i{one.itemsize}"
    return places[0] == places[1] or bool((one.view(whole) == other.view(whole)).all())


def _size(made: Any) -> int:
    if isinstance(made, pd.DataFrame):
        return int(made.memory_usage(deep=False).sum())
    return int(made.nbytes)
