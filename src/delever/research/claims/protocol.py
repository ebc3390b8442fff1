"""What a claim computation is given, what it returns, and how a function becomes one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_type_hints

import pandas as pd

from delever.bars import resample
from delever.errors import InputError, NotStoredError
from delever.units import timeframe_delta

ClaimUnit: TypeAlias = Literal["number", "fraction", "date"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSource:
    """A series that claims are measured on."""

    name: str  # what the claims call it
    frame: pd.DataFrame  # shape (n, k): indexed by stamp, UTC, increasing; for bars the open time
    timeframe: str  # of the rows
    main: str = ""  # the column that is meant where none is named; empty: the only one, or closes

    @property
    def step(self) -> pd.Timedelta:
        """From one row to the next."""
        return timeframe_delta(self.timeframe)

    def column(self, name: str | None, timeframe: str | None = None) -> pd.Series:
        """One column, without missing values; None is the main one, the only one, or the closes.

        Raises InputError if there is no such column.
        """
        frame = self.frame
        if timeframe is not None and timeframe != self.timeframe:
            frame = resample(frame, self.timeframe, timeframe)
        columns = list(frame.columns)
        chosen = name or self.main or (columns[0] if len(columns) == 1 else "close")
        if chosen not in columns:
            raise InputError(
                f"series {self.name!r} has the columns {', '.join(columns)}; got {chosen!r}; "
                "say which with column"
            )
        return frame[chosen].dropna()

    def at(self, stamp: pd.Timestamp, column: str | None = None) -> float:
        """Value of the row with a stamp. Raises NotStoredError if there is none."""
        return row_at(self.column(column), stamp, self.name)

    def between(self, first: pd.Timestamp, last: pd.Timestamp, values: pd.Series) -> pd.Series:
        """Rows of a column from `first` to `last`, both included.

        Raises NotStoredError if the column does not reach over both.
        """
        if values.empty or values.index[0] > first or values.index[-1] + self.step <= last:
            held = "nothing" if values.empty else f"{values.index[0]:%F} to {values.index[-1]:%F}"
            raise NotStoredError(f"series {self.name!r} covers {held}, not {first:%F} to {last:%F}")
        inside = values.loc[first:last]
        if inside.empty:
            raise NotStoredError(f"series {self.name!r} has no row from {first:%F} to {last:%F}")
        return inside


def row_at(values: pd.Series, stamp: pd.Timestamp, name: str) -> float:
    """Value of the row with a stamp.

    Raises NotStoredError if there is none; it says what series `name` has.
    """
    if values.empty or not values.index[0] <= stamp <= values.index[-1]:
        held = (
            "is empty" if values.empty else f"covers {values.index[0]:%F} to {values.index[-1]:%F}"
        )
        raise NotStoredError(f"series {name!r} {held}, not {stamp:%F}")
    if stamp not in values.index:
        raise NotStoredError(f"series {name!r} has no row stamped {stamp:%F %H:%M}")
    return float(values.loc[stamp])


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFigure:
    """What a computation gave."""

    # A timestamp where the answer is a date; NaT when there is no such date in the data
    value: float | pd.Timestamp
    # the same figure at the rows of the past; None where a base rate would mean nothing
    history: pd.Series | None = None
    # past rows at which something as rare happened, where the computation itself says what
    events: pd.Series | None = None
    note: str = ""  # what was measured, where a reader might take it for something else


@dataclass(frozen=True, slots=True, kw_only=True)
class Computation:
    """A function that claims may name, and the unit of its figure; see `computation`."""

    name: str
    unit: ClaimUnit
    compute: Callable[..., ClaimFigure]

    def options(self) -> dict[str, tuple[Any, Any]]:
        """Type and default of each keyword of the function; ``...`` where it must be given."""
        hints = get_type_hints(self.compute)
        return {
            one.name: (hints[one.name], ... if one.default is one.empty else one.default)
            for one in inspect.signature(self.compute).parameters.values()
            if one.kind is one.KEYWORD_ONLY
        }


def computation(unit: ClaimUnit) -> Callable[[Callable[..., ClaimFigure]], Computation]:
    """Make a function one that claims may name.

    Parameters
    ----------
    unit : {"number", "fraction", "date"}
        Of its figure.

    Returns
    -------
    callable
        A decorator. The function takes a `ClaimSource`, the stamp of the row that the claim is
        about, and keywords: the options a claim may set, with their types and defaults. An option
        of type `ClaimSource` is set to the name of a series. Where the data do not reach the
        function raises a `NotStoredError`, and the claim is not testable.

    Examples
    --------
    >>> @computation("fraction")
    ... def share_below(series: ClaimSource, at: pd.Timestamp, *, level: float) -> ClaimFigure:
    ...     below = series.column(None)[:at] < level
    ...     return ClaimFigure(value=float(below.mean()))
    >>> share_below.name, share_below.unit
    ('share_below', 'fraction')
    """
    return lambda function: Computation(name=function.__name__, unit=unit, compute=function)
