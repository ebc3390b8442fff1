"""What the distances between stamps say of a timeframe."""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.errors import SchemaError
from delever.kinds import kind_of
from delever.units import off_grid, timeframe_delta

_MINUTE = 60_000_000_000
_LENGTHS = (("w", 10_080), ("d", 1_440), ("h", 60), ("m", 1))
_RARE = 0.25
"""Share of the most frequent distance from which on another one is a rhythm too."""


def timeframe_of(index: pd.DatetimeIndex, kind: str, where: str) -> str:
    """Timeframe that rows have of themselves: their most frequent distance.

    Of funding it is the shortest one that comes back: an interval changes, holes only lengthen it.

    Raises SchemaError if they have none.
    """
    steps, counts = _distances(index)
    if not len(steps):
        raise SchemaError(
            f"{where}: one row does not say how far apart rows are; give --timeframe, such as 1d"
        )
    step = _usual(steps, counts)
    if kind == "funding":
        step = int(steps[counts > 1].min() if (counts > 1).any() else steps.min())
    elif not kind_of(kind).on_grid and counts.max() * 2 < counts.sum():
        raise SchemaError(
            f"{where}: rows are {_text(int(steps.min()))} to {_text(int(steps.max()))} apart; "
            "give the --timeframe of the series, such as 1d"
        )
    if step < 1:
        raise SchemaError(f"{where}: rows are seconds apart; a minute is the finest timeframe")
    return named(step, index)


def check_timeframe(index: pd.DatetimeIndex, kind: str, timeframe: str, where: str) -> None:
    """Hold the timeframe that was said against the stamps.

    Raises SchemaError if rows are regularly another distance apart; the message names it.

    Rows that are missing lengthen some distances; they leave enough of those that were said. Where
    no distance comes back twice, nothing speaks against what was said.
    """
    steps, counts = _distances(index)
    if not len(steps) or counts.max() < 2:
        return
    said = timeframe_delta(timeframe).value // _MINUTE
    usual = _usual(steps, counts)
    found = int(counts[steps == said].sum())
    if said == usual or found >= _RARE * counts.max():
        return
    spec = kind_of(kind)
    if kind == "funding" and _in_a_row(index, said) >= 3:
        return  # one of several intervals that it had
    if not spec.on_grid and counts.max() * 2 < counts.sum():
        return  # readings without a clock, such as one a difficulty epoch
    if usual < 1:
        raise SchemaError(f"{where}: rows are seconds apart; a minute is the finest timeframe")
    own = named(usual, index)
    mend = f"give --timeframe {own}"
    if spec.on_grid and 28 * 1440 <= usual <= 31 * 1440:
        mend = "months have no fixed length: import finer bars, or these as --kind series"
    raise SchemaError(
        f"{where}: rows of {timeframe} were said; {int(counts[steps == usual][0]):,} of "
        f"{int(counts.sum()):,} are {own} after the one before, {found or 'none'} {timeframe}; "
        f"{mend}"
    )


def _distances(index: pd.DatetimeIndex) -> tuple[np.ndarray, np.ndarray]:
    """Distances between neighbours in minutes, and how often each comes."""
    minutes = np.diff(np.sort((index.as_unit("ns").asi8 + _MINUTE // 2) // _MINUTE))
    exact = np.diff(np.sort(index.as_unit("ns").asi8))
    return np.unique(minutes[exact > 0], return_counts=True)


def _usual(steps: np.ndarray, counts: np.ndarray) -> int:
    return int(steps[np.argmax(counts)])  # the shortest of those that come as often


def _in_a_row(index: pd.DatetimeIndex, step: int) -> int:
    """Most distances of one length that follow on each other."""
    minutes = np.diff((index.as_unit("ns").asi8 + _MINUTE // 2) // _MINUTE)
    longest = run = 0
    for one in minutes == step:
        run = run + 1 if one else 0
        longest = max(longest, run)
    return longest


def named(minutes: int, index: pd.DatetimeIndex | None = None) -> str:
    """Timeframe of a length, in the longest unit, or the longest on whose grid stamps are."""
    for unit, length in _LENGTHS:
        if minutes < length or minutes % length:
            continue
        name = f"{minutes // length}{unit}"
        if unit != "w" or index is None or not off_grid(index, name).any():
            return name
    return f"{minutes}m"


def _text(minutes: int) -> str:
    return next(f"{minutes / n:.3g}{unit}" for unit, n in _LENGTHS[1:] if minutes >= n or n == 1)
