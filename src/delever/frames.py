"""The contract of every stored frame: columns, dtypes, index, and what a row must satisfy.

Nothing past this module repeats these checks: a frame that has been through `validate` is
UTC, strictly increasing, on its grid, finite, and self-consistent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.errors import SchemaError
from delever.kinds import Kind, kind_of
from delever.units import off_grid

_MOST_COLUMNS = 1_000
"""More are a table turned on its side, or no table."""


def utc_index(index: pd.Index, name: str, where: str) -> pd.DatetimeIndex:
    """Return the index as UTC in nanoseconds, refusing one without a time zone.

    Raises SchemaError if it holds no time stamps, a missing one, naive ones, or one outside
    1678..2261.
    """
    if not isinstance(index, pd.DatetimeIndex):
        raise SchemaError(
            f"{where}: the index must hold time stamps; got {index.dtype}; "
            "index the frame by a UTC DatetimeIndex"
        )
    if index.tz is None:
        first = f", first row {index[0]}" if len(index) else ""
        raise SchemaError(
            f"{where}: stamps must carry a time zone; got naive ones{first}; "
            "write them as UTC (2021-05-19T00:00:00Z) or localise the index"
        )
    if index.hasnans:
        row = int(np.flatnonzero(index.isna())[0])
        raise SchemaError(
            f"{where}: row {row + 1} has no time stamp; remove it or restore its stamp"
        )
    try:
        utc = index if str(index.tz) == "UTC" else index.tz_convert("UTC")
        exact = utc if utc.unit == "ns" else utc.as_unit("ns")
        return exact if exact.name == name else exact.rename(name)  # itself: it knows its order
    except pd.errors.OutOfBoundsDatetime:
        raise SchemaError(
            f"{where}: stamps must lie in the years 1678 to 2261; got {index.min()} to "
            f"{index.max()}; check the unit they were written in"
        ) from None


def validate(
    frame: pd.DataFrame,
    kind: str,
    timeframe: str | None,
    *,
    where: str,
    header_lines: int | None = None,
) -> pd.DataFrame:
    """Check a frame against the contract of its kind and bring it into the stored form.

    Raises SchemaError naming the first offending row (counted from 1, without a header), its stamp,
    the value and the rule.

    Notes
    -----
    NaN is refused in a bar and in a funding rate, and allowed in a series. The volume of bars may
    be NaN throughout (the source reports none), never in part. Equal content comes out as equal
    bytes: every NaN is the same one, and -0.0 becomes 0.0.
    """
    spec = kind_of(kind)
    _check_columns(frame, spec, where)
    index = utc_index(frame.index, spec.index, where)
    if spec.snap is not None:
        index = index.round(spec.snap)
    refuse = _Refusal(index=index, where=where, header_lines=header_lines)
    _check_order(index, refuse)
    if timeframe is not None and spec.on_grid:
        wrong = off_grid(index, timeframe).to_numpy()
        refuse(wrong, lambda row: f"is not an open time of {timeframe} bars in UTC")
    columns = list(spec.columns) or list(frame.columns)
    values = frame[columns].to_numpy(dtype="float64", na_value=np.nan) + 0.0
    values[np.isnan(values)] = np.nan
    out = pd.DataFrame(values, index=index, columns=columns)
    _check_values(out, spec, refuse)
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """Raises for the first row that is wrong, saying where it is."""

    index: pd.DatetimeIndex
    where: str
    header_lines: int | None

    def __call__(self, wrong: np.ndarray, say: Callable[[int], str]) -> None:
        rows = np.flatnonzero(wrong)
        if not len(rows):
            return
        row = int(rows[0])
        line = "" if self.header_lines is None else f"line {row + 1 + self.header_lines}, "
        more = "" if len(rows) == 1 else f" ({len(rows) - 1} more such row{'s' * (len(rows) > 2)})"
        stamp = self.index[row]
        clock = "%Y-%m-%d %H:%M" if stamp == stamp.floor("min") else "%Y-%m-%d %H:%M:%S.%f"
        raise SchemaError(
            f"{self.where}: row {row + 1} ({line}{stamp:{clock}}) {say(row)}{more}; "
            "correct or remove it; nothing was stored"
        )


def _check_columns(frame: pd.DataFrame, spec: Kind, where: str) -> None:
    found = ", ".join(map(str, frame.columns)) or "none"
    missing = [column for column in spec.columns if column not in frame.columns]
    if missing:
        raise SchemaError(
            f"{where}: {spec.name} needs the columns {', '.join(spec.columns)}; "
            f"missing {', '.join(missing)}; found {found}; rename or add them"
        )
    if frame.empty:
        raise SchemaError(f"{where}: at least one row and one column are required; found none")
    if len(frame.columns) > _MOST_COLUMNS:
        raise SchemaError(
            f"{where}: at most {_MOST_COLUMNS:,} columns are stored; found {len(frame.columns):,}; "
            "keep those that are needed"
        )
    if frame.columns.has_duplicates or not all(isinstance(name, str) for name in frame.columns):
        raise SchemaError(f"{where}: every column needs a name of its own; found {found}; rename")
    for name in spec.columns or frame.columns:
        dtype = frame[name].dtype
        if not pd.api.types.is_numeric_dtype(dtype) or dtype.kind not in "iuf":
            raise SchemaError(
                f"{where}: column {name} must hold numbers; it holds {dtype}; convert or remove it"
            )


def _check_order(index: pd.DatetimeIndex, refuse: _Refusal) -> None:
    steps = np.diff(index.asi8)
    wrong = np.concatenate(([False], steps <= 0))
    refuse(
        wrong,
        lambda row: (
            ("repeats the stamp of" if steps[row - 1] == 0 else "is earlier than")
            + " the row before; stamps must be strictly increasing"
        ),
    )


def _check_values(frame: pd.DataFrame, spec: Kind, refuse: _Refusal) -> None:
    for column in frame.columns:
        values = frame[column].to_numpy()
        # A series may have undefined readings (holidays, late publication); a bar may not.
        wrong = ~np.isfinite(values) if spec.columns else np.isinf(values)
        if column == "volume" and np.isnan(values).all():
            continue  # the source reports no volume: undefined throughout, never 0
        refuse(wrong, _saying(frame, (column,), "a finite number"))
    for rule in spec.rules:
        say = _saying(frame, (rule.column, *rule.beside), rule.required)
        refuse(rule.broken(frame).to_numpy(), say)


def _saying(frame: pd.DataFrame, columns: tuple[str, ...], required: str) -> Callable[[int], str]:
    def say(row: int) -> str:
        values = ", ".join(f"{name} = {float(frame[name].iloc[row])!r}" for name in columns)
        return f"has {values}; {required} is required"

    return say
