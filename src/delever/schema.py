"""The contract of every stored frame: columns, dtypes, index, and what a row must satisfy.

Nothing past this module repeats these checks: a frame that has been through `validate` is
UTC, strictly increasing, on its grid, finite, and self-consistent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.errors import InputError, SchemaError
from delever.units import off_grid

__all__ = ["KINDS", "Kind", "kind_of", "utc_index", "validate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A condition every row must meet: `broken` marks the rows that do not."""

    required: str
    column: str
    broken: Callable[[pd.DataFrame], pd.Series]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a kind of data set looks like.

    Attributes
    ----------
    name : str
        Its word on the command line and in the store.
    index : str
        Name of the time index: ``open_time`` for bars, ``timestamp`` for readings.
    columns : tuple of str
        Required columns, in order; empty when any numeric columns will do.
    rules : tuple of Rule
        Conditions on each row, beyond being finite.
    on_grid : bool
        Whether stamps must be open times of the timeframe.
    """

    name: str
    index: str
    columns: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    on_grid: bool = True


def _positive(column: str) -> Rule:
    return Rule(required=f"{column} > 0", column=column, broken=lambda f: f[column] <= 0)


_BAR_RULES = (
    *(_positive(column) for column in ("open", "high", "low", "close")),
    Rule(
        required="high >= max(open, close)",
        column="high",
        broken=lambda f: f["high"] < f[["open", "close"]].max(axis=1),
    ),
    Rule(
        required="low <= min(open, close)",
        column="low",
        broken=lambda f: f["low"] > f[["open", "close"]].min(axis=1),
    ),
)
_VOLUME = Rule(required="volume >= 0", column="volume", broken=lambda f: f["volume"] < 0)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="ohlcv",
            index="open_time",
            columns=("open", "high", "low", "close", "volume"),
            rules=(*_BAR_RULES, _VOLUME),
        ),
        Kind(
            name="funding",
            index="timestamp",
            columns=("funding_rate",),
            rules=(
                Rule(
                    required="|funding_rate| < 1 (a fraction per interval, never percent)",
                    column="funding_rate",
                    broken=lambda f: f["funding_rate"].abs() >= 1,
                ),
            ),
            on_grid=False,
        ),
        Kind(name="series", index="timestamp", columns=(), on_grid=False),
    )
}
"""Every kind of data set, by name."""


def kind_of(name: str) -> Kind:
    """Look a kind up by name.

    Parameters
    ----------
    name : str
        Such as ``"ohlcv"``.

    Returns
    -------
    Kind

    Raises
    ------
    InputError
        If there is no such kind; the message lists those there are.
    """
    try:
        return KINDS[name]
    except KeyError:
        raise InputError(f"kind must be one of {', '.join(KINDS)}; got {name!r}") from None


def utc_index(index: pd.Index, name: str, where: str) -> pd.DatetimeIndex:
    """Return the index as UTC in nanoseconds, refusing one without a time zone.

    Parameters
    ----------
    index : pandas.Index, shape (n,)
        Time stamps with a time zone.
    name : str
        The name the result carries.
    where : str
        What the index belongs to, for the message.

    Returns
    -------
    pandas.DatetimeIndex, shape (n,)

    Raises
    ------
    SchemaError
        If it holds no time stamps, a missing one, or naive ones.
    """
    if not isinstance(index, pd.DatetimeIndex):
        raise SchemaError(f"{where}: the index must hold time stamps; got {index.dtype}")
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
    return index.tz_convert("UTC").as_unit("ns").rename(name)


def validate(frame: pd.DataFrame, kind: str, timeframe: str | None, *, where: str) -> pd.DataFrame:
    """Check a frame against the contract of its kind and bring it into the stored form.

    Parameters
    ----------
    frame : pandas.DataFrame, shape (n, k)
        Time-indexed rows, oldest first.
    kind : str
        A name in `KINDS`.
    timeframe : str or None
        Grid of the stamps; None for irregular readings.
    where : str
        What the frame is (a file name), for the message.

    Returns
    -------
    pandas.DataFrame, shape (n, k)
        The required columns first, float64, the index UTC in nanoseconds and named by its kind.

    Raises
    ------
    SchemaError
        Naming the first offending row (counted from 1, without a header), its stamp, the value
        and the rule.
    """
    spec = kind_of(kind)
    missing = [column for column in spec.columns if column not in frame.columns]
    if missing:
        raise SchemaError(
            f"{where}: {kind} needs the columns {', '.join(spec.columns)}; "
            f"missing {', '.join(missing)}; found {', '.join(map(str, frame.columns)) or 'none'}"
        )
    if frame.empty or not len(frame.columns):
        raise SchemaError(f"{where}: at least one row and one column are required; found none")
    index = utc_index(frame.index, spec.index, where)
    _check_order(index, where)
    if timeframe is not None and spec.on_grid:
        wrong = off_grid(index, timeframe).to_numpy()
        _refuse(wrong, index, where, lambda row: f"is not an open time of {timeframe} bars in UTC")
    columns = list(spec.columns) or list(frame.columns)
    try:
        out = frame[columns].astype("float64").set_axis(index, axis=0)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"{where}: every column must be numeric; {error}") from None
    _check_values(out, spec, where)
    return out


def _check_order(index: pd.DatetimeIndex, where: str) -> None:
    steps = np.diff(index.asi8)
    back = np.flatnonzero(steps <= 0)
    if not len(back):
        return
    row = int(back[0]) + 1
    word = "repeats" if steps[row - 1] == 0 else "is earlier than the row before"
    raise SchemaError(
        f"{where}: stamps must be strictly increasing; row {row + 1} ({index[row]:%Y-%m-%d %H:%M}) "
        f"{word}; sort the file and drop duplicates"
    )


def _check_values(frame: pd.DataFrame, spec: Kind, where: str) -> None:
    index = pd.DatetimeIndex(frame.index)
    for column in frame.columns:
        values = frame[column].to_numpy()
        # A series may have undefined readings (holidays, late publication); a bar may not.
        wrong = ~np.isfinite(values) if spec.columns else np.isinf(values)
        if column == "volume" and np.isnan(values).all():
            continue  # the source reports no volume: undefined throughout, never 0
        _refuse(wrong, index, where, _saying(values, column, "a finite number"))
    for rule in spec.rules:
        values = frame[rule.column].to_numpy()
        _refuse(
            rule.broken(frame).to_numpy(), index, where, _saying(values, rule.column, rule.required)
        )


def _saying(values: np.ndarray, column: str, required: str) -> Callable[[int], str]:
    return lambda row: f"has {column} = {values[row]:g}; {required} is required"


def _refuse(
    wrong: np.ndarray, index: pd.DatetimeIndex, where: str, say: Callable[[int], str]
) -> None:
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return
    row = int(rows[0])
    more = f" ({len(rows) - 1} more such rows)" if len(rows) > 1 else ""
    raise SchemaError(
        f"{where}: row {row + 1} ({index[row]:%Y-%m-%d %H:%M}) {say(row)}{more}; "
        "correct or remove it; nothing was stored"
    )
