"""What became of breaks that went on, level after level, as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from delever.report.format import (
    interval,
    number,
    price,
    three_digits,
    whole,
    whole_percent,
)
from delever.report.table import (
    Cell,
    Field,
    Table,
    interval_cell,
    intervals,
    number_cell,
    numbers,
    tabulate,
    texts,
)
from delever.research.signal.forward import FEWEST_EVENTS
from delever.research.signal.ladder import Ladder


def ladder_table(ladder: Ladder) -> Table:
    """How often and how soon further levels were reached, a row per level."""
    left_out = (
        f" {ladder.left_out} breaks of other levels are left out: from them these prices are not "
        "on the way."
    )
    return tabulate(
        "ladder",
        ladder.table,
        (
            texts(
                "Level",
                lambda row: (
                    price(row["rung"])
                    if ladder.absolute
                    else Cell(text=f"{row['rung']:g} of it", title="of the broken level")
                ),
            ),
            *_share(f"in {ladder.horizon} bars", "reached", "", "complete", 1 - ladder.alpha),
            numbers("Difference", "difference", _points, title="to the placebos"),
            intervals(1 - ladder.alpha, "difference_low", "difference_high", _points),
            numbers("p", "p_value", three_digits, title="corrected for the number of levels"),
            numbers("placebos", "placebo", whole_percent, title="breaks of theirs, to theirs"),
            numbers("all bars", "all", whole_percent, title="the same way from their closes"),
            numbers("matched bars", "matched", whole_percent, title="the same, about as volatile"),
            numbers("Complete", "complete", whole, title=f"with {ladder.horizon} bars after them"),
            numbers("Breaks", "dates", whole, title="clusters of breaks that do not overlap"),
            numbers("at once", "at_once", whole_percent, title="the break itself closed beyond it"),
            texts("Half by bar", _median_wait, numeric=True),
            *_share("went on", "onward", "onward_", "before", 1 - ladder.alpha),
        ),
        groups=(
            ("", 1),
            ("reached", 2),
            ("reached less placebos", 3),
            ("beside it", 3),
            ("", 4),
            ("from the level before", 2),
        ),
        caption="From the close of the break; shares are of the complete ones. Beside it: from all "
        "and from matched bars the same way; of breaks of placebo levels, those that reached the "
        "same multiple of theirs. Reached less placebos: in percentage points, at equal ways: "
        "each less the share of all bars that went as far in units of volatility; p is that of the "
        "largest of these differences under chance, and never below the p of the test that "
        "decides. Half by bar: bars until half of the breaks had got there, breaks at the data's "
        "edge included; its interval is wider than it need be. Shares of fewer than "
        f"{FEWEST_EVENTS} breaks stand in "
        "brackets: too few to say." + (left_out if ladder.left_out else ""),
    )


def rung_title(ladder: Ladder, rung: float) -> str:
    """What a further level is called: its price, or its multiple of the broken one."""
    return price(rung) if ladder.absolute else f"{rung:g} of the broken level"


def _points(value: float) -> str:
    return number(100 * value, 0)


def _share(
    label: str, share: str, bounds: str, count: str, confidence: float
) -> tuple[Field, Field]:
    """Columns of a share and of its interval, quiet where it is of too few."""
    low, high = f"{bounds}low", f"{bounds}high"

    def written(row: Mapping[str, Any]) -> Cell:
        cell = number_cell(row[share], whole_percent)
        if cell.order is None or row[count] >= FEWEST_EVENTS:
            return cell
        return replace(cell, text=f"({cell.text})", tone="quiet")

    def span(row: Mapping[str, Any]) -> Cell:
        if math.isnan(row[low]):
            return Cell(text="")
        cell = interval_cell(row[low], row[high], whole_percent)
        return cell if row[count] >= FEWEST_EVENTS else replace(cell, tone="quiet")

    return texts(label, written, numeric=True), texts(
        f"{whole_percent(confidence)} interval", span, numeric=True
    )


def _median_wait(row: Mapping[str, Any]) -> Cell:
    low, high = row["median_low"], row["median_high"]
    note = "" if _bars(low) == _bars(high) else interval(low, high, _bars)
    return Cell(text=_bars(row["median_bars"]), note=note)


def _bars(bars: float) -> str:
    return "never" if math.isinf(bars) else whole(bars)
