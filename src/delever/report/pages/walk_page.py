"""A walk forward: the choices, which stand before the tear-sheet of its run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from delever.report.answer_words import answer_sentence, p_value
from delever.report.figures.look import Chart
from delever.report.figures.sweep_figures import setting_text, short
from delever.report.figures.walk_figures import choices, growth_by_window, shifted_walks
from delever.report.format import day, number, percent
from delever.report.page import Block, block
from delever.report.table import Cell, Table, fraction_cell, speed_cell, tabulate, texts
from delever.research.answer import Answer
from delever.research.walking import Walked


def headline(walk: Walked, answer: Answer) -> str:
    """What choosing came to, whether it is luck, and whether the run protected."""
    pace = walk.pace
    inside, made, held = (
        walk.yearly(name) for name in ("fit_growth", "growth", "benchmark_growth")
    )
    span = "all days" if pace.anchored else f"the {pace.window:,} days"
    said = (
        f"Chosen anew every {pace.step:,} days on {span} before, it grew {percent(made)} a year "
        f"out of sample, {percent(inside)} where it was chosen, beside {percent(held)} held."
    )
    if not math.isnan(walk.p_value):
        said += (
            f" The same walk on exposures shifted in time did as well in {percent(walk.p_value)} "
            "of cases."
        )
    return f"{said} {answer_sentence(answer)}"


def charts(walk: Walked) -> dict[str, Chart]:
    """What was chosen, growth in and out of the windows, and what shifted walks grew."""
    found = {
        "choices": choices(walk.windows, walk.axes),
        "growth_by_window": growth_by_window(walk.windows),
    }
    if walk.shifted:
        found["shifted"] = shifted_walks(walk.shifted, walk.growth, p_value(walk.p_value))
    return found


def lead(walk: Walked) -> list[Block]:
    """The choices, which stand before the tear-sheet of their run."""
    return [
        block("windows", "Chosen on the years before", windows_table(walk), link="Choices"),
        *(block("", one.title, one) for one in charts(walk).values()),
    ]


def windows_table(walk: Walked) -> Table:
    """A row per choice."""

    def setting(row: dict[str, object], name: str) -> Cell:
        value = row[name]
        unknown = isinstance(value, float) and math.isnan(value)
        return Cell(text="none" if unknown else setting_text(value))

    def yearly(row: Mapping[str, Any], name: str) -> Cell:
        first, last = ("fit_start", "fit_end") if name == "fit_growth" else ("start", "end")
        days = (row[last] - row[first]) / pd.Timedelta(days=1) + 1.0
        return speed_cell(fraction_cell(row[name]), days)

    return tabulate(
        "windows",
        walk.windows,
        (
            texts("Held from", lambda row: day(row["start"])),
            *(
                texts(short(str(name)), lambda row, name=name: setting(row, name), numeric=True)
                for name in walk.axes
            ),
            texts("In its window", lambda row: yearly(row, "fit_growth"), numeric=True),
            texts("When held", lambda row: yearly(row, "growth"), numeric=True),
            texts("Holding", lambda row: yearly(row, "benchmark_growth"), numeric=True),
            texts(
                "Chosen on",
                lambda row: f"{day(row['fit_start'])} to {day(row['fit_end'])}",
                numeric=True,
            ),
        ),
        caption=caption(walk),
    )


def caption(walk: Walked) -> str:
    """How to read the table, and the walk's efficiency."""
    told = (
        "Growth is yearly, of the chosen combination's own account: where it was chosen, and then. "
    )
    if math.isnan(walk.efficiency):
        return told + "It did not grow where it was chosen, so no efficiency can be said."
    return (
        f"{told}Walk-forward efficiency, growth when held over that in the windows: "
        f"{number(walk.efficiency)}."
    )
