"""The way to further levels as a table."""

from __future__ import annotations

import math

import pandas as pd

from delever.report.format import NOT_AVAILABLE, number, percent, price
from delever.report.table import Cell, Column, Group, Table, number_cell
from delever.research.signal.forward import FEWEST_EVENTS
from delever.research.signal.ladder import Ladder

__all__ = ["ladder_table", "rung_title"]


def ladder_table(ladder: Ladder) -> Table:
    """How often and how soon further levels were reached, a row per level."""
    rows = []
    for rung, row in ladder.table.iterrows():
        rows.append(
            (
                _rung(ladder, float(str(rung))),
                number_cell(row["complete"], lambda known: number(known, 0)),
                *_share(row, ("reached", "low", "high"), row["complete"]),
                *(
                    number_cell(row[kind], lambda known: percent(known, 0))
                    for kind in ("all", "matched", "placebo", "at_once")
                ),
                Cell(text=_bars(row["median_bars"]), note=_wait(row)),
                *_share(row, ("onward", "onward_low", "onward_high"), row["before"]),
            )
        )
    return Table(
        id="ladder",
        groups=(
            Group(label="", width=2),
            Group(label="reached", width=2),
            Group(label="the same way to go", width=3),
            Group(label="", width=2),
            Group(label="from the level before", width=2),
        ),
        columns=(
            Column(label="Level", numeric=False),
            Column(label="Breaks", title=f"with {ladder.horizon} bars after them"),
            Column(label=f"in {ladder.horizon} bars"),
            Column(label="95% interval"),
            Column(label="all bars"),
            Column(label="matched bars", title="about as volatile"),
            Column(label="placebos"),
            Column(label="at once", title="the break itself closed beyond it"),
            Column(label="Half by bar"),
            Column(label="went on"),
            Column(label="95% interval"),
        ),
        rows=tuple(rows),
        caption="From the close of the break. Half by bar: bars until half of the breaks had got "
        f"there, breaks at the data's edge included. Shares of fewer than {FEWEST_EVENTS} breaks "
        "stand in brackets: too few to say." + _left_out(ladder),
    )


def rung_title(ladder: Ladder, rung: float) -> str:
    """What a further level is called: its price, or its multiple of the broken one."""
    return price(rung) if ladder.absolute else f"{rung:g} of the broken level"


def _share(row: pd.Series, names: tuple[str, str, str], number_of: float) -> tuple[Cell, Cell]:
    """A share and its interval, quiet where it is of too few."""
    share, low, high = (float(row[name]) for name in names)
    if math.isnan(low):
        return Cell(text=NOT_AVAILABLE, tone="quiet"), Cell(text="")
    written, span = percent(share, 0), f"{percent(low, 0)} to {percent(high, 0)}"
    if number_of < FEWEST_EVENTS:
        return Cell(text=f"({written})", order=share, tone="quiet"), Cell(text=span, tone="quiet")
    return Cell(text=written, order=share), Cell(text=span)


def _rung(ladder: Ladder, rung: float) -> Cell:
    if ladder.absolute:
        return Cell(text=price(rung))
    return Cell(text=f"{rung:g} of it", title="of the broken level")


def _left_out(ladder: Ladder) -> str:
    if not ladder.left_out:
        return ""
    return (
        f" {ladder.left_out} breaks of other levels are left out: from them these prices are not "
        "on the way."
    )


def _bars(bars: float) -> str:
    return "never" if math.isinf(bars) else number(bars, 0)


def _wait(row: pd.Series) -> str:
    low, high = _bars(row["median_low"]), _bars(row["median_high"])
    return "" if low == high else f"{low} to {high}"
