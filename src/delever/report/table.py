"""Tables as values: what a page, a terminal or a test reads is the same text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from delever.report.format import NOT_AVAILABLE, percent, value
from delever.stats.metrics import Metric

__all__ = [
    "Cell",
    "Column",
    "Group",
    "Table",
    "fraction_cell",
    "mark_best",
    "metric_cell",
    "number_cell",
    "reading",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One entry."""

    text: str  # as it is shown
    order: float | str | None = None  # what the column sorts by; None sorts last
    tone: Literal["", "best", "loss", "quiet"] = ""  # how it is set off
    note: str = ""  # smaller text under it
    title: str = ""  # shown when pointed at
    # from and to, for a button that shows this stretch in the figure
    zoom: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Heading of a column; numbers stand to the right, web addresses may become links."""

    label: str
    numeric: bool = True
    title: str = ""
    links: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A heading over `width` neighbouring columns."""

    label: str
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells under headings."""

    id: str  # fixed name of its element
    columns: tuple[Column, ...]  # headings
    rows: tuple[tuple[Cell, ...], ...]  # as many cells each as there are columns
    groups: tuple[Group, ...] = ()  # headings over the headings; their widths add up to the columns
    caption: str = ""  # how to read it
    sortable: bool = False  # whether a click on a heading sorts
    limit: int = 0  # rows shown at first; 0 shows all

    @property
    def header(self) -> tuple[str, ...]:
        """Labels of the columns."""
        return tuple(column.label for column in self.columns)

    @property
    def texts(self) -> tuple[tuple[str, ...], ...]:
        """What each cell says, row by row."""
        return tuple(tuple(cell.text for cell in row) for row in self.rows)

    @property
    def edges(self) -> tuple[int, ...]:
        """Columns with which a group begins, the first group aside."""
        widths = [group.width for group in self.groups[:-1]]
        return tuple(sum(widths[: place + 1]) for place in range(len(widths)))


def number_cell(amount: float, write: Callable[[float], str]) -> Cell:
    """Write a number that sorts."""
    if math.isnan(amount):
        return Cell(text=NOT_AVAILABLE, tone="quiet")
    return Cell(text=write(amount), order=amount)


def reading(metrics: pd.DataFrame, name: str, scope: str) -> float:
    """Value of one metric in one scope; NaN where it was not measured."""
    values: pd.Series[float] = metrics[scope]
    return float(values.get(name, math.nan))


def metric_cell(amount: float, metric: Metric) -> Cell:
    """Write a metric."""
    return number_cell(amount, lambda known: value(known, metric.unit))


def fraction_cell(amount: float) -> Cell:
    """Write a fraction as a percentage, a negative one in the tone of a loss."""
    cell = number_cell(amount, percent)
    return replace(cell, tone="loss") if cell.text.startswith("-") else cell


def mark_best(cells: Sequence[Cell], better: Literal["higher", "lower"] | None) -> tuple[Cell, ...]:
    """Set off the best of several cells."""
    texts = {cell.order: cell.text for cell in cells if isinstance(cell.order, float)}
    if better is None or len(set(texts.values())) < 2:
        return tuple(cells)
    best = texts[max(texts) if better == "higher" else min(texts)]
    return tuple(replace(cell, tone="best") if cell.text == best else cell for cell in cells)
