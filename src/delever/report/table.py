"""Tables as values: what a page, a terminal or a test reads is the same text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from delever.report.format import NOT_AVAILABLE, percent, value
from delever.stats.registry import Metric

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
    """One entry.

    Attributes
    ----------
    text : str
        As it is shown.
    order : float, str or None
        What the column sorts by; None sorts last.
    tone : {"", "best", "loss", "quiet"}
        How it is set off.
    note : str
        Smaller text under it.
    title : str
        Shown when pointed at.
    zoom : tuple of str, or None
        From and to, for a button that shows this stretch in the figure.
    """

    text: str
    order: float | str | None = None
    tone: Literal["", "best", "loss", "quiet"] = ""
    note: str = ""
    title: str = ""
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
    """Rows of cells under headings.

    Attributes
    ----------
    id : str
        Fixed name of its element.
    columns : tuple of Column
        Headings.
    rows : tuple of tuple of Cell
        As many cells each as there are columns.
    groups : tuple of Group
        Headings over the headings; their widths add up to the columns.
    caption : str
        How to read it.
    sortable : bool
        Whether a click on a heading sorts.
    limit : int
        Rows shown at first; 0 shows all.
    """

    id: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    groups: tuple[Group, ...] = ()
    caption: str = ""
    sortable: bool = False
    limit: int = 0

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
    """Write a number that sorts.

    Parameters
    ----------
    amount : float
        NaN reads ``n/a``, quietly, and sorts last.
    write : callable
        From the number to its text.

    Returns
    -------
    Cell
    """
    if math.isnan(amount):
        return Cell(text=NOT_AVAILABLE, tone="quiet")
    return Cell(text=write(amount), order=amount)


def reading(metrics: pd.DataFrame, name: str, scope: str) -> float:
    """Value of one metric in one scope.

    Parameters
    ----------
    metrics : pandas.DataFrame, shape (metrics, scopes)
        As in an `Evaluation`.
    name, scope : str
        Row and column.

    Returns
    -------
    float
    """
    values: pd.Series[float] = metrics[scope]
    return float(values.loc[name])


def metric_cell(amount: float, metric: Metric) -> Cell:
    """Write a metric.

    Parameters
    ----------
    amount : float
        As computed; NaN reads ``n/a``, quietly.
    metric : Metric
        Gives the unit.

    Returns
    -------
    Cell
    """
    return number_cell(amount, lambda known: value(known, metric.unit))


def fraction_cell(amount: float) -> Cell:
    """Write a fraction as a percentage, a negative one in the tone of a loss.

    Parameters
    ----------
    amount : float
        Fraction; NaN reads ``n/a``, quietly.

    Returns
    -------
    Cell
    """
    cell = number_cell(amount, percent)
    return replace(cell, tone="loss") if cell.text.startswith("-") else cell


def mark_best(cells: Sequence[Cell], better: Literal["higher", "lower"] | None) -> tuple[Cell, ...]:
    """Set off the best of several cells.

    Parameters
    ----------
    cells : sequence of Cell
        With numbers as their order.
    better : {"higher", "lower"} or None
        Which way is to be preferred; None marks nothing.

    Returns
    -------
    tuple of Cell
        Those that read like the best are marked as well; nothing is where all read the same.
    """
    texts = {cell.order: cell.text for cell in cells if isinstance(cell.order, float)}
    if better is None or len(set(texts.values())) < 2:
        return tuple(cells)
    best = texts[max(texts) if better == "higher" else min(texts)]
    return tuple(replace(cell, tone="best") if cell.text == best else cell for cell in cells)
