"""Many combinations of parameters at once: a number, or a series, for each of them.

A strategy that is asked once for many combinations is given `Choices` in place of the parameters
that vary, and what it computes from them is `Columns`. Both hold what is distinct and, for each
combination, which of it is its own, so nothing is computed twice. What only a single value can
answer is never guessed: where a strategy branches on them the combinations are *divided*, those
that go one way from those that go the other, and it is asked again; anything else is *refused*, and
the combinations are asked one by one.

Columns are an extension array of pandas so that they can stand in a frame.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.lib.mixins import NDArrayOperatorsMixin
from pandas.api.extensions import ExtensionArray, ExtensionDtype

from delever.ask import IN_NAMES, Ask, Codes
from delever.by_row import BY_ROW, PYTHON

F = TypeVar("F", bound=Callable[..., Any])

Array = npt.NDArray[Any]
_OVER_PANDAS: Final = 10_000
_LONG: Final = 2_048
"""Rows from which on pairs of series are computed one by one rather than copied side by side."""

_DTYPES: Final = (np.dtype("float64"), np.dtype("int64"), np.dtype("bool"))


class _Many(NDArrayOperatorsMixin):
    """What choices and columns have in common: operators, and no answer for all at once."""

    __array_priority__ = __pandas_priority__ = _OVER_PANDAS
    __hash__ = None  # type: ignore[assignment]

    _ask: Ask
    codes: Codes

    @property
    def ask(self) -> Ask:
        """The call they belong to, which is the one that goes on."""
        return self._ask.still()

    def __reduce_ex__(self, protocol: Any) -> Any:
        self.ask.refuse("a copy, or its bytes")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or ufunc.nout != 1:
            self.ask.refuse(f"numpy.{ufunc.__name__}, other than row by row")
        if any(isinstance(one, Columns | pd.Series) for one in inputs):
            if ufunc not in BY_ROW:
                self.ask.refuse(f"numpy.{ufunc.__name__}")
            return _row_by_row(self.ask, ufunc, inputs)
        return of_each(PYTHON.get(ufunc, ufunc), inputs, {})

    def __array_function__(self, function: Any, *_: Any) -> Any:
        self.ask.refuse(f"numpy.{function.__name__}")

    def __array__(self, *_: Any, **__: Any) -> Any:
        self.ask.refuse("the numbers as an array of NumPy")

    def __iter__(self) -> Any:
        self.ask.refuse("the values one after the other")


class Choices(_Many):
    """A number for each combination: a parameter, or what was computed from parameters."""

    def __init__(self, ask: Ask, values: Sequence[Any], codes: Codes) -> None:
        self._ask, self.values, self.codes = ask, values, codes

    def pick(self, row: int) -> Any:
        """One of the distinct values."""
        return self.values[row]

    def _divide(self, *_: Any) -> NoReturn:
        self.ask.divide(self.codes)

    def __bool__(self) -> bool:
        truth = choices(self.ask, [bool(value) for value in self.values], self.codes)
        return self.ask.divide(truth.codes) if isinstance(truth, Choices) else bool(truth)

    __int__ = __float__ = __index__ = __complex__ = __trunc__ = __floor__ = __ceil__ = _divide
    __repr__ = __hash__ = _divide  # type: ignore[assignment]

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What a single value is, for isinstance."""
        kinds = [*dict.fromkeys(map(type, self.values))]
        if len(kinds) > 1:
            own = np.array([kinds.index(type(one)) for one in self.values])
            self.ask.divide(own[self.codes])
        return kinds[0]

    def __format__(self, spec: str) -> str:
        """Stand for the number in the name of a line, which nobody reads; else it is divided."""
        return IN_NAMES if self.ask.names_a_line(sys._getframe(1)) else self._divide()

    def __round__(self, digits: int | None = None) -> Any:
        return of_each(round, (self,) if digits is None else (self, digits), {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        self.ask.refuse(f"{name} of a parameter")


class _ColumnsDtype(ExtensionDtype):
    """What pandas calls the type of columns."""

    name = "columns"
    type = object

    @classmethod
    def construct_array_type(cls) -> Any:
        return Columns


class Columns(_Many, ExtensionArray):
    """A series for each combination, on one index.

    Values that move seldom, such as those of weeks, are kept as they are: `rows` says for each row
    of the index which column is known there. The last column is then what is known before the
    first, NaN as it comes.
    """

    def __init__(
        self, ask: Ask, values: Array, codes: Codes, index: pd.Index, rows: Codes | None = None
    ) -> None:
        self._ask, self.values, self.codes, self.index, self.rows = ask, values, codes, index, rows
        self.name: object = None
        ask.cells = max(ask.cells, values.size)
        if values.dtype not in _DTYPES:
            ask.refuse(f"a series of {values.dtype}")

    @property
    def dtype(self) -> Any:
        """Of columns."""
        return _ColumnsDtype()

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return int(self.values.nbytes)

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        self.ask.refuse("the text of a series")

    def __getitem__(self, key: Any) -> Any:
        self.ask.refuse("some rows of a series")

    __setitem__ = __contains__ = __getitem__  # type: ignore[assignment]

    def __bool__(self) -> bool:
        self.ask.refuse("whether a series is true")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        self.ask.refuse(f"{name} of a series")

    def wide(self) -> Array:
        """Distinct series with a column for each row of the index."""
        return self.values if self.rows is None else self.values[:, self.rows]

    def pick(self, row: int) -> pd.Series:
        """One of the distinct series."""
        own = self.values[row] if self.rows is None else self.values[row][self.rows]
        return pd.Series(own, index=self.index, name=self.name)

    def moments(self) -> tuple[Array, Codes]:
        """Distinct series where another value may become known, and the rows of the index."""
        if self.rows is None:
            return self.values.astype(np.float64, copy=False), np.arange(len(self.index))
        rows = np.flatnonzero(np.append(True, self.rows[1:] != self.rows[:-1]))
        return self.values[:, self.rows[rows]].astype(np.float64), rows

    def like(self, values: Array) -> Columns:
        """Other values for the same combinations and rows."""
        return Columns(self.ask, values, self.codes, self.index, self.rows)

    def aligned(self, rows: Codes, index: pd.Index) -> Columns:
        """Each series as known on another clock; row -1 knows nothing yet."""
        nothing = np.full((len(self.values), 1), np.nan)
        values = np.hstack([self.wide().astype(np.float64), nothing])
        return Columns(self.ask, values, self.codes, index, rows)

    def copy(self) -> Columns:
        """The same columns, which nobody can write to."""
        return self

    def rename(self, name: str) -> Columns:
        """The same under another name."""
        self.name = name
        return self

    def isna(self) -> Any:
        """Where there is no number."""
        return self.like(np.isnan(self.values) if self.values.dtype == np.float64 else
                         np.zeros(self.values.shape, dtype=np.bool_))  # fmt: skip

    def notna(self) -> Any:
        """Where there is a number."""
        return ~self.isna()

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """As numbers, or as flags."""
        wanted = np.dtype(dtype)
        if wanted.kind not in "fb" or (wanted.kind == "b" and self.values.dtype != np.bool_):
            self.ask.refuse(f"a series as {wanted}")
        return self.like(self.values.astype(wanted))

    def where(self, kept: Any, other: Any = np.nan) -> Any:
        """Each series where a condition holds, and another value elsewhere."""
        if not (isinstance(kept, Columns | pd.Series) and isinstance(other, float | int)):
            self.ask.refuse("where, of anything but a condition and a number")
        return _row_by_row(self.ask, _kept(float(other)), (self, kept))

    def mask(self, gone: Any, other: Any = np.nan) -> Any:
        """Each series, and another value where a condition holds."""
        return self.where(~gone, other)

    def fillna(self, value: object, limit: int | None = None, copy: bool = True) -> Any:
        """Each series, and a number where there is none."""
        if limit is not None:
            self.ask.refuse("fillna with a limit")
        return self.mask(self.isna(), value)

    def shift(self, periods: int = 1, fill_value: object = None) -> Any:
        """Each series some rows later."""
        if fill_value is not None or not isinstance(periods, int) or periods < 0:
            self.ask.refuse("a shift other than by some rows forward")
        values = self.wide().astype(np.float64)
        shifted = np.full(values.shape, np.nan)
        shifted[:, periods:] = values[:, : values.shape[1] - periods]
        return Columns(self.ask, shifted, self.codes, self.index)


def choices(ask: Ask, values: Sequence[Any], codes: Codes) -> Any:
    """A value per combination, or the one that all share."""
    places: dict[tuple[type, str], int] = {}
    own = [places.setdefault((type(one), repr(one)), len(places)) for one in values]
    if len(places) == 1:
        return values[0]
    if len(places) < len(values):
        codes = np.array(own, dtype=np.intp)[codes]
        values = [values[own.index(place)] for place in range(len(places))]
    return Choices(ask, list(values), codes)


def same_for_all(ask: Ask, series: pd.Series) -> Columns:
    """A series that is the same for all combinations."""
    codes = np.zeros(ask.size, dtype=np.intp)
    return Columns(ask, series.to_numpy()[None, :], codes, series.index)


def _refused(name: str) -> Any:
    return property(lambda columns: columns.ask.refuse(f"{name} of a series"))


for _name in dir(ExtensionArray):  # what pandas would do with the elements of an array
    if not _name.startswith("_") and _name not in {*vars(Columns), "ndim", "shape"}:
        setattr(Columns, _name, _refused(_name))


def _kept(other: float) -> Callable[..., Array]:
    """What keeps values where a condition holds."""

    def kept(values: Array, condition: Array, out: Array | None = None) -> Array:
        if condition.dtype != np.bool_:
            raise TypeError("a condition must hold flags")
        if out is None:
            return np.where(condition, values, other)
        np.copyto(out, values)
        np.copyto(out, other, where=~condition)
        return out

    return kept


def _joined(many: Sequence[_Many]) -> tuple[Codes, list[Codes | None]]:
    """What is distinct in them; each must be of the call that goes on."""
    (ask,) = {one.ask for one in many}
    return ask.joined([one.codes for one in many])


class _Laid:
    """Arguments of one computation: arrays of distinct rows, and where the result belongs."""

    def __init__(self, ask: Ask, given: Sequence[Any], *, by_row: bool) -> None:
        tables = [one for one in given if isinstance(one, Columns | pd.Series)]
        first = next((one for one in tables if isinstance(one, Columns)), tables[0])
        self.ask, self.index, self.rows = ask, first.index, None
        for other in tables:
            if other.index is not self.index and not other.index.equals(self.index):
                ask.refuse("series on different indices in one computation")
        if by_row and all(isinstance(one, Columns) and one.rows is first.rows for one in tables):
            self.rows = first.rows
        self.codes, parts = _joined([one for one in given if isinstance(one, _Many)])
        own = iter(parts)
        self.held = [self._array(one) for one in given]
        # `...` of what is the same for all
        self.parts = [next(own) if isinstance(one, _Many) else ... for one in given]

    def _array(self, one: Any) -> Any:
        if isinstance(one, Columns):
            return one.values if self.rows is not None else one.wide()
        if isinstance(one, Choices):
            return np.array(one.values)[:, None]
        if isinstance(one, pd.Series):
            if one.dtype not in _DTYPES:
                self.ask.refuse(f"a series of {one.dtype}")
            return one.to_numpy()[None, :]
        return one

    @property
    def size(self) -> int:
        """Distinct series that come out."""
        return int(self.codes.max()) + 1

    def row(self, number: int) -> list[Any]:
        """What one of them is made of."""
        rows = [
            0 if part is ... else number if part is None else part[number] for part in self.parts
        ]
        held = zip(self.held, rows, strict=True)
        return [one[row] if isinstance(one, np.ndarray) else one for one, row in held]

    def whole(self) -> list[Any]:
        """What all of them are made of, side by side."""
        held = zip(self.held, self.parts, strict=True)
        return [one if part is None or part is ... else one[part] for one, part in held]

    def made(self, values: Array) -> Columns:
        """What came out."""
        return Columns(self.ask, values, self.codes, self.index, self.rows)


def _row_by_row(ask: Ask, function: Callable[..., Array], given: Sequence[Any]) -> Columns:
    laid = _Laid(ask, given, by_row=True)
    with np.errstate(all="ignore"):  # as pandas does
        first = function(*laid.row(0))
        if len(first) < _LONG or laid.size == 1:
            return laid.made(function(*laid.whole()))
        out = np.empty((laid.size, len(first)), dtype=first.dtype)
        for number, own in enumerate(out):
            function(*laid.row(number), out=own)
    return laid.made(out)


def arrays(*given: Any, by_row: bool = False) -> tuple[list[Any], Callable[[Array], Any]]:
    """Numbers of series, and what makes a series of others computed from them.

    Of columns they have a row for each distinct series, of choices a column. `by_row` says that
    each row is computed from that row of the series alone.

    Examples
    --------
    >>> (flags, least), back = arrays(pd.Series([True, False]), 2)
    >>> back(~flags).tolist()
    [False, True]
    """
    ask = next((one.ask for one in given if isinstance(one, _Many)), None)
    if ask is not None:
        laid = _Laid(ask, given, by_row=by_row)
        return laid.whole(), laid.made
    index = next(one.index for one in given if isinstance(one, pd.Series))
    held = [one.to_numpy() if isinstance(one, pd.Series) else one for one in given]
    return held, lambda values: pd.Series(values, index=index)


def any_many(given: Iterable[Any]) -> bool:
    """Whether any of some arguments stands for many combinations."""
    return any(isinstance(one, _Many) for one in given)


def at_once(function: F) -> F:
    """Mark a function that itself computes with columns and choices, by `arrays` or operators."""
    function.at_once = True  # type: ignore[attr-defined]
    return function


def of_each(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call a function once for each distinct set of its arguments, and put together what it says.

    Raises RefusedError if that is no number, series or frame of series.
    """
    given = [*args, *kwargs.values()]
    many = [one for one in given if isinstance(one, _Many)]
    ask = many[0].ask
    codes, parts = _joined(many)
    answers = []
    for number in range(int(codes.max()) + 1):
        rows = iter(number if part is None else int(part[number]) for part in parts)
        own = [one.pick(next(rows)) if isinstance(one, Choices | Columns) else one for one in given]
        named = dict(zip(kwargs, own[len(args) :], strict=True))
        answers.append(function(*own[: len(args)], **named))
    return _together(ask, answers, codes)


def _together(ask: Ask, answers: Sequence[Any], codes: Codes) -> Any:
    first = answers[0]
    if all(isinstance(one, pd.DataFrame) for one in answers):
        if any(list(one.columns) != list(first.columns) for one in answers):
            ask.refuse("frames with different columns")
        return {name: _together(ask, [one[name] for one in answers], codes) for name in first}
    if all(isinstance(one, pd.Series) for one in answers):
        if any(not one.index.equals(first.index) or one.dtype != first.dtype for one in answers):
            ask.refuse("series on different indices, or of different types")
        values = np.stack([one.to_numpy() for one in answers])
        return Columns(ask, values, codes, first.index)
    if all(isinstance(one, int | float | np.generic) for one in answers):
        return choices(ask, answers, codes)
    ask.refuse(f"a {type(first).__name__}")
