"""Work done once for many evaluations of the same data, such as the combinations of a sweep.

Outside of `shared_work` nothing is kept and nothing changes. Inside it, a computation is known by
its name, its options and the memory its inputs lie in. Inputs are held as long as their result is:
so no other data can come to lie there, and pandas copies them before anybody writes to them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import pandas as pd

Data: TypeAlias = pd.Series | pd.DataFrame | pd.DatetimeIndex
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", pd.Series, pd.DataFrame, np.ndarray)


class _Work:
    """Results by what they were made of, the one used longest ago leaving first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self.results: OrderedDict[Hashable, tuple[tuple[Data, ...], Any, int]] = OrderedDict()

    def result(self, key: Hashable, inputs: Sequence[Data], compute: Callable[[], T]) -> T:
        found = self.results.get(key)
        if found is not None:
            self.results.move_to_end(key)
            kept: T = found[1]
            return kept
        made = compute()
        size = _size(made) + sum(_size(data) for data in inputs)
        self.results[key] = (tuple(data.copy(deep=False) for data in inputs), made, size)
        self.held += size
        while self.held > self.most:
            self.held -= self.results.popitem(last=False)[1][2]
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
    """Compute something, or take it from an earlier time with the same inputs.

    Examples
    --------
    >>> weeks, asked = pd.Series([1.0, 3.0]), []
    >>> def mean():
    ...     asked.append("computed")
    ...     return weeks.rolling(2).mean()
    >>> with shared_work():
    ...     twice = [shared("mean", (weeks,), (2,), mean) for _ in range(2)]
    >>> twice[0].equals(twice[1]), asked
    (True, ['computed'])
    """
    work = _work.get()
    places = None if work is None else [_places(data) for data in inputs]
    if work is None or places is None or None in places:
        return compute()
    options = tuple((type(option).__name__, option) for option in options)
    made = work.result((name, options, tuple(places)), inputs, compute)
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


def _places(data: Data) -> Hashable | None:
    """Where the numbers of some data lie; None where NumPy does not hold them."""
    arrays: list[np.ndarray] = []
    for part in (data, getattr(data, "index", None)):
        if isinstance(part, pd.DatetimeIndex):
            arrays.append(part.asi8)
        elif isinstance(part, pd.RangeIndex) or part is None:
            continue
        elif isinstance(part, pd.Series) and isinstance(part.dtype, np.dtype):
            arrays.append(part.to_numpy())
        elif isinstance(part, pd.DataFrame) and part.columns.is_unique:
            block = part.to_numpy()
            if not block.flags.writeable:  # the frame's own memory, which is one block
                arrays.append(block)
                continue
            columns = [column for _, column in part.items()]
            if not all(isinstance(column.dtype, np.dtype) for column in columns):
                return None
            arrays += [column.to_numpy() for column in columns]
        else:
            return None
    index = getattr(data, "index", None)
    steps = (index.start, index.step) if isinstance(index, pd.RangeIndex) else ()
    names = tuple(data.columns) if isinstance(data, pd.DataFrame) else ()
    where = tuple(
        (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str)
        for array in arrays
    )
    return (*where, steps, names)


def _size(made: Any) -> int:
    if isinstance(made, pd.DataFrame):
        return int(made.memory_usage(deep=False).sum())
    return int(made.nbytes)
