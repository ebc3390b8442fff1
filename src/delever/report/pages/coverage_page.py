"""What is known about every bar of a data set, drawn as a strip: in a terminal and on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import pandas as pd

from delever.report.format import when, whole
from delever.report.page import Block, block, fragment, render_page
from delever.report.table import numbers, tabulate, texts

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


def render(
    tables: Mapping[str, pd.DataFrame],
    broken: Mapping[str, tuple[str, ...]],
    *,
    notes: Sequence[str] = (),
) -> str:
    """Draw data sets on one page, with what is doubtful of them above."""
    return render_page(
        title="Coverage",
        notes=list(notes),
        span="What is known about every bar: present; absent at the venue, which said so at two "
        "times; or unknown. A cell of a strip shows the worst of what it spans.",
        blocks=[
            *(block("", f"{name}: broken", told, kind="notes") for name, told in broken.items()),
            *(_block(place, name, table) for place, (name, table) in enumerate(tables.items())),
        ],
    )


def _block(place: int, name: str, table: pd.DataFrame) -> Block:
    """A data set as the page shows it: its strip, and the worst and longest stretches."""
    first, last = table["start"].iloc[0], table["end"].iloc[-1]
    stretches, at = [], 0
    for state, group in groupby(strip(table, _CELLS)):
        width = len(list(group))
        stretches.append((state, at, width))
        at += width
    counts = table.groupby("state")["bars"].sum()
    drawn = fragment(
        "coverage.html",
        "strip",
        name,
        f"{when(first)} to {when(last)}, UTC",
        {state: f"{int(counts.get(state, 0)):,}" for state in STATES},
        stretches,
        _years(first, last),
        _CELLS,
    )
    holes = table[table["state"] != "present"].sort_values(
        ["state", "bars"], ascending=False, kind="stable"
    )
    left = len(holes) - _LISTED
    listed = tabulate(
        f"holes-{place}",
        holes.head(_LISTED),
        (
            texts("From", lambda row: when(row["start"])),
            texts("To, exclusive", lambda row: when(row["end"])),
            texts("State", "state"),
            numbers("Bars", "bars", whole),
        ),
        caption=f"and {left} shorter stretches." if left > 0 else "",
        empty="Nothing is missing.",
    )
    return block("", name, drawn, listed)


def _years(first: pd.Timestamp, last: pd.Timestamp) -> list[tuple[int, str]]:
    """Cell and name of each new year."""
    starts = [pd.Timestamp(year, 1, 1, tz="UTC") for year in range(first.year + 1, last.year + 1)]
    return [
        (round((start - first) / (last - first) * _CELLS), str(start.year))
        for start in starts
        if start < last
    ]
