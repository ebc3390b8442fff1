"""What is known about every bar of a data set, drawn as a strip: in a terminal and on a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from delever.report.format import when
from delever.report.page import render_page

__all__ = ["STATES", "render", "strip"]

STATES = ("present", "absent", "unknown")
"""From the best a stretch can be to the worst."""

_CELLS = 1000
_LISTED = 200


def strip(table: pd.DataFrame, cells: int) -> tuple[str, ...]:
    """Draw a data set in so many cells, each the worst of what it spans.

    Examples
    --------
    >>> days = pd.date_range("2021-01-01", periods=4, tz="UTC")
    >>> table = pd.DataFrame({"start": days[:3], "end": days[1:]})
    >>> strip(table.assign(state=["present", "unknown", "present"]), 6)
    ('present', 'present', 'unknown', 'unknown', 'present', 'present')
    """
    starts = pd.DatetimeIndex(table["start"]).as_unit("ns").asi8
    ends = pd.DatetimeIndex(table["end"]).as_unit("ns").asi8
    rank = table["state"].map(STATES.index).to_numpy()
    origin, span = int(starts[0]), int(ends[-1] - starts[0])
    first = (starts - origin) / span * cells
    last = np.ceil((ends - origin) / span * cells)
    worst = np.zeros(cells, dtype="int64")
    for low, high, state in zip(first.astype("int64"), last.astype("int64"), rank, strict=True):
        np.maximum(worst[low:high], state, out=worst[low:high])
    return tuple(STATES[state] for state in worst)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """Neighbouring cells of one state."""

    state: str
    start: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """A data set as the page shows it."""

    name: str
    first: str
    last: str
    runs: tuple[_Stretch, ...]
    years: tuple[tuple[int, str], ...]
    counts: tuple[tuple[str, str], ...]
    holes: tuple[tuple[str, str, str, str], ...]
    left: int


def render(tables: Mapping[str, pd.DataFrame], broken: Mapping[str, tuple[str, ...]]) -> str:
    """Draw data sets on one page."""
    drawn = [_drawn(name, table) for name, table in tables.items()]
    return render_page(
        "coverage.html", title="Coverage", drawn=drawn, broken=broken, cells=_CELLS, states=STATES
    )


def _drawn(name: str, table: pd.DataFrame) -> _Drawn:
    first, last = table["start"].iloc[0], table["end"].iloc[-1]
    runs, at = [], 0
    for state, group in groupby(strip(table, _CELLS)):
        width = len(list(group))
        runs.append(_Stretch(state=state, start=at, width=width))
        at += width
    # The worst and the longest stretches first, as many as a page can bear.
    holes = table[table["state"] != "present"].sort_values(
        ["state", "bars"], ascending=False, kind="stable"
    )
    shown = holes.head(_LISTED)
    counts = table.groupby("state")["bars"].sum()
    return _Drawn(
        name=name,
        first=when(first),
        last=when(last),
        runs=tuple(runs),
        years=tuple(_years(first, last)),
        counts=tuple((state, f"{int(counts.get(state, 0)):,}") for state in STATES),
        holes=tuple(
            (when(start), when(end), str(state), f"{bars:,}")
            for start, end, state, bars in shown[["start", "end", "state", "bars"]].itertuples(
                index=False
            )
        ),
        left=len(holes) - len(shown),
    )


def _years(first: pd.Timestamp, last: pd.Timestamp) -> list[tuple[int, str]]:
    """Cell and name of each new year."""
    starts = [pd.Timestamp(year, 1, 1, tz="UTC") for year in range(first.year + 1, last.year + 1)]
    return [
        (round((start - first) / (last - first) * _CELLS), str(start.year))
        for start in starts
        if start < last
    ]
