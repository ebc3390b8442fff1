"""What several rooms ask of their arguments, refused in one sentence where it is not so."""

from __future__ import annotations

import inspect
import numbers
import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from types import MappingProxyType
from typing import ParamSpec, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.at_once import any_many, of_each
from delever.errors import DataError, DeleverError, InputError

Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.intp]
"""Positions of rows in a frame or array."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Mapper(Protocol):
    """`map` of a function over numbers, in order; here or in other processes."""

    def __call__(self, function: Callable[[int], _R], numbers: Iterable[int], /) -> Iterable[_R]:
        """What the function makes of each."""


FARTHEST = 1.25
"""Furthest that two prices of one thing stand apart in the median, as a ratio."""

MOST_SEED = 2**32 - 1
"""Largest seed: any generator takes it."""


def whole_number(name: str, value: object, least: int, most: int | None = None) -> None:
    """Refuse what is not a whole number in its range.

    Raises InputError if it is anything else; True and False are not numbers.
    """
    fits = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not fits or value < least or (most is not None and value > most):  # type: ignore[operator]
        span = f"at least {least:,}" if most is None else f"from {least:,} to {most:,}"
        raise InputError(f"{name} must be a whole number, {span}; got {shown(value)}")


def one_of(
    name: str, value: object, known: Iterable[object], error: type[DeleverError] = InputError
) -> None:
    """Refuse what is none of those that are known, which the message lists.

    Raises `error` if it is another.

    Examples
    --------
    >>> one_of("form", "csv", ("csv", "parquet"))
    """
    there = tuple(known)
    if value not in there:
        got = repr(value) if isinstance(value, str) else shown(value)
        raise error(f"{name} must be one of {', '.join(map(str, there))}; got {got}")


def price_ratio(name: str, theirs: Floats, ours: Floats) -> float:
    """How many times one price of a thing is another of it, in the median.

    Raises DataError beyond `FARTHEST`: mark and last price of one contract, or the bars of two
    venues, never stand so far apart, and those of a contract on 1,000 coins do.

    Examples
    --------
    >>> price_ratio("mark", np.array([101.0, 100.0]), np.array([100.0, 100.0]))
    1.005
    """
    ratio = float(np.median(theirs / ours))
    if 1.0 / FARTHEST <= ratio <= FARTHEST:
        return ratio
    raise DataError(
        f"{name} must stand on the price scale of the bars; over {len(ours):,} prices it is "
        f"{ratio:,.6g} times theirs in the median; give that of the same coin, of the same "
        "multiplier (a contract on 1000SHIB is quoted per 1,000 coins) and in a quote currency of "
        "the same worth"
    )


def checked(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Check the arguments of a function against what its annotations say.

    Examples
    --------
    >>> @checked
    ... def twice(values: pd.Series) -> pd.Series:
    ...     return 2 * values
    >>> twice("abc")
    Traceback (most recent call last):
    ...
    delever.errors.InputError: twice: values must be a pandas.Series; got 'abc' (str)
    """
    return _guarded(function, same_rows=False)


def aligned(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """As `checked`, and every series and frame must stand on one index."""
    return _guarded(function, same_rows=True)


def _kind(annotation: str) -> str:
    return re.sub(r"Annotated\[(\w+), .*\]", r"\1", annotation).removesuffix(" | None")


def _guarded(function: Callable[_P, _R], *, same_rows: bool) -> Callable[_P, _R]:
    names = list(inspect.signature(function).parameters)
    checks = [
        (name, _CHECKS[kind], "None" in text)
        for name, text in getattr(function, "__annotations__", {}).items()
        if name != "return" and (kind := _kind(str(text))) in _CHECKS
    ]
    where = getattr(function, "__name__", "function")
    itself = getattr(function, "at_once", False)

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if any_many(args) or (kwargs and any_many(kwargs.values())):
            answer: _R = function(*args, **kwargs) if itself else of_each(call, args, kwargs)
            return answer
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        for name, check, optional in checks:
            if name in given and not (optional and given[name] is None):
                check(f"{where}: {name}", given[name])
        if same_rows:
            _one_index(where, given)
        try:
            return function(*args, **kwargs)
        except (OverflowError, pd.errors.OutOfBoundsTimedelta):
            raise InputError(f"{where}: a number is larger than what it can compute with") from None
        except KeyError as error:
            _missing_column(where, given, error)
            raise

    return call


def _missing_column(where: str, given: Mapping[str, object], error: KeyError) -> None:
    """Say it in words where a key that was not found is a column that a frame lacks."""
    key = error.args[0] if error.args else None
    for name, value in given.items():
        if isinstance(value, pd.DataFrame) and isinstance(key, str) and key not in value.columns:
            there = ", ".join(map(str, value.columns)) or "none"
            raise InputError(f"{where}: {name} must have the column {key}; found {there}") from None


def _one_index(where: str, given: Mapping[str, object]) -> None:
    tables = [
        (name, value)
        for name, value in given.items()
        if isinstance(value, pd.Series | pd.DataFrame)
    ]
    for name, value in tables[1:]:
        first, other = tables[0]
        if not value.index.equals(other.index):
            zones = [getattr(each.index, "tz", None) for each in (value, other)]
            if zones[0] != zones[1] and len(value) == len(other):
                raise InputError(
                    f"{where}: {name} must stand on the index of {first}; its time zone is "
                    f"{zones[0] or 'none'} and that of {first} {zones[1] or 'none'}; give both "
                    "one, with tz_localize or tz_convert"
                )
            raise InputError(
                f"{where}: {name} must stand on the index of {first}; got "
                f"{counted(len(value), 'row')} for "
                f"{len(other)}, or other labels; reindex it"
            )


def _series(name: str, value: object) -> None:
    if not isinstance(value, pd.Series):
        raise InputError(f"{name} must be a pandas.Series; got {shown(value)}")
    _numeric(name, [value])


def _frame(name: str, value: object) -> None:
    if not isinstance(value, pd.DataFrame):
        raise InputError(f"{name} must be a pandas.DataFrame; got {shown(value)}")
    for column in _PRICES:
        if column in value.columns:
            _numeric(f"{name}: {column}", [value[column]])


def _series_or_frame(name: str, value: object) -> None:
    if not isinstance(value, pd.Series | pd.DataFrame):
        raise InputError(f"{name} must be a pandas.Series or DataFrame; got {shown(value)}")
    _numeric(name, [value[column] for column in value] if isinstance(value, pd.DataFrame) else
             [value])  # fmt: skip


def _numeric(name: str, columns: Iterable[pd.Series]) -> None:
    for column in columns:
        if column.dtype.kind in "fiub":
            continue
        if pd.api.types.is_string_dtype(column) and len(column):
            raise InputError(f"{name} must hold numbers; got {column.dtype}; convert it to floats")


def _array(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        try:
            np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            pass
        else:
            return
    raise InputError(f"{name} must hold numbers; got {shown(value)}")


def _number(name: str, value: object) -> None:
    if not isinstance(value, numbers.Real | np.floating) or isinstance(value, bool):
        raise InputError(f"{name} must be a number; got {shown(value)}")


def _series_or_number(name: str, value: object) -> None:
    (_series if isinstance(value, pd.Series) else _number)(name, value)


def _numbers(name: str, value: object) -> None:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InputError(f"{name} must be a sequence of numbers; got {shown(value)}")
    for each in value:
        _number(f"{name}: each", each)


def _count(name: str, value: object) -> None:
    whole_number(name, value, -_MOST_COUNT, _MOST_COUNT)


_MOST_COUNT = 2**31 - 1
_PRICES = ("open", "high", "low", "close", "volume")
_CHECKS: Mapping[str, Callable[[str, object], None]] = MappingProxyType(
    {
        "pd.Series": _series,
        "pd.DataFrame": _frame,
        "ArrayLike": _array,
        "pd.Series | float": _series_or_number,
        "Target": _series_or_frame,
        "Sequence[float]": _numbers,
        "float": _number,
        "int": _count,
    }
)


def counted(number: int, word: str) -> str:
    """Write how many, with the word in its number.

    Examples
    --------
    >>> counted(1, "gap"), counted(1_200, "gap"), counted(2, "stretch")
    ('1 gap', '1,200 gaps', '2 stretches')
    """
    plural = "es" if word.endswith(("ch", "sh", "s", "x")) else "s"
    return f"{number:,} {word}{'' if number == 1 else plural}"


def shown(value: object) -> str:
    """Write a value short enough for a sentence about it."""
    if isinstance(value, pd.Series | pd.DataFrame):
        return f"a {type(value).__name__} of shape {value.shape}"
    text = " ".join(repr(value).split())
    if isinstance(value, int | float) and not isinstance(value, bool) and len(text) <= 60:
        return text
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
