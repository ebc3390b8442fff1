"""Figures of claims that count, rank and compare: streaks, shares, means, ranks, ratios."""

from __future__ import annotations

from typing import Literal, cast

import numpy as np
import pandas as pd

from delever.errors import InputError, NotStoredError
from delever.research.claims.protocol import ClaimFigure, ClaimSource, computation, row_at
from delever.signals.clock import ago
from delever.signals.indicators import Average, moving_average

_NEVER = cast("pd.Timestamp", pd.NaT)


def changes(values: pd.Series, days: float | None, rows: int | None) -> pd.Series:
    """Change of each row over so many days or rows.

    Raises InputError if not exactly one of the two is given.
    """
    if (days is None) == (rows is None):
        raise InputError(f"a change needs either days or rows; got days={days} and rows={rows}")
    before = values.shift(rows) if rows is not None else ago(values, float(days or 0))
    return (values / before - 1).dropna()


@computation("number")
def streak(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    of: Literal["falls", "rises"] = "falls",
    column: str | None = None,
    timeframe: str | None = None,
) -> ClaimFigure:
    """How many rows in a row up to `at` fell, or rose, against the row before."""
    values = series.column(column, timeframe)
    moved = values.diff() < 0 if of == "falls" else values.diff() > 0
    ended = (~moved).cumsum()
    lengths = moved.groupby(ended).cumsum().astype("float64")
    return ClaimFigure(value=row_at(lengths, at, series.name), history=lengths.iloc[1:])


def _passed(values: pd.Series, below: float | None, above: float | None) -> pd.Series:
    if below is None and above is None:
        raise InputError("rows are counted below or above a level; got neither")
    passed = pd.Series(True, index=values.index)
    if below is not None:
        passed &= values < below
    if above is not None:
        passed &= values > above
    return passed


@computation("number")
def count(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    since: pd.Timestamp,
    below: float | None = None,
    above: float | None = None,
    column: str | None = None,
) -> ClaimFigure:
    """How many rows stamped from `since` to `at` lie below, above, or between two levels."""
    rows = series.between(since, at, series.column(column))
    return ClaimFigure(value=float(_passed(rows, below, above).sum()))


@computation("fraction")
def share(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    since: pd.Timestamp,
    below: float | None = None,
    above: float | None = None,
    column: str | None = None,
) -> ClaimFigure:
    """Share of the rows stamped from `since` to `at` that lie below, above, or between levels."""
    rows = series.between(since, at, series.column(column))
    return ClaimFigure(value=float(_passed(rows, below, above).mean()))


@computation("number")
def mean(
    series: ClaimSource, at: pd.Timestamp, *, since: pd.Timestamp, column: str | None = None
) -> ClaimFigure:
    """Mean of the rows stamped from `since` to `at`, both included."""
    values = series.column(column)
    length = at - since + series.step
    history = values.rolling(length).mean()
    return ClaimFigure(
        value=float(series.between(since, at, values).mean()),
        history=history.loc[values.index[0] + length - series.step :],
    )


@computation("number")
def rank(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    since: pd.Timestamp | None = None,
    of: Literal["lowest", "highest"] = "lowest",
    days: float | None = None,
    rows: int | None = None,
    column: str | None = None,
    timeframe: str | None = None,
) -> ClaimFigure:
    """Place of the row at `at` among those up to it: 1 is the lowest; equal ones share a place.

    With `days` or `rows` it is the change over so many that is ranked: the third worst week is 3.
    """
    values = series.column(column, timeframe)
    if days is not None or rows is not None:
        values = changes(values, days, rows)
    own = row_at(values, at, series.name)
    past = values[values.index <= at]
    if since is not None:
        row_at(past, since, series.name)
        past = past[past.index >= since]
    before = (past < own) if of == "lowest" else (past > own)
    return ClaimFigure(value=float(1 + before.sum()), note=f"of {len(past):,} rows")


@computation("date")
def first_below_average(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    length: int,
    average: Average,
    timeframe: str | None = None,
    column: str | None = None,
) -> ClaimFigure:
    """First row stamped at or after `at` that closes below its average of so many rows."""
    values = series.column(column, timeframe)
    line = moving_average(values, length, average)
    row_at(values, at, series.name)
    if pd.isna(line.loc[at]):
        raise NotStoredError(f"series {series.name!r} has no {length} rows by {at:%F}")
    under = values[(values.index >= at) & (values < line).to_numpy()]
    events = (values < line) & (values.shift(1) >= line.shift(1))
    return ClaimFigure(
        value=_NEVER if under.empty else under.index[0], events=events[line.notna().to_numpy()]
    )


@computation("number")
def highest_ratio(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    beside: ClaimSource,
    since: pd.Timestamp,
    column: str | None = None,
    over: str | None = None,
) -> ClaimFigure:
    """Highest ratio to another series (or another column, `over`) from `since` to `at`."""
    both = pd.concat([series.column(column), beside.column(over)], axis=1, join="inner")
    ratio = (both.iloc[:, 0] / both.iloc[:, 1]).replace([np.inf, -np.inf], np.nan).dropna()
    inside = series.between(since, at, ratio)
    return ClaimFigure(
        value=float(inside.max()), history=ratio, note=f"on {inside.idxmax():%Y-%m-%d}"
    )


COUNTS = (streak, count, share, mean, rank, first_below_average, highest_ratio)
"""The computations of this module."""
