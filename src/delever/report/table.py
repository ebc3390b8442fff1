"""Tables as values: what a page, a terminal or a test reads is the same text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Literal, TypeAlias

import pandas as pd

from delever.report.format import (
    MARK,
    NOT_AVAILABLE,
    SPEED,
    figure,
    interval,
    money,
    percent,
    points,
    speed,
    value,
    when,
    whole_percent,
)
from delever.stats.metrics import Metric


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
    figure: str = ""  # id of the one it leads to; empty for the first over time
    gauge: bool = False  # whether a bar shows `order`, a fraction of 1
    href: str = ""  # where the text leads to


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Heading of a column; numbers stand to the right, web addresses may become links."""

    label: str
    numeric: bool = True
    title: str = ""
    links: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells under headings."""

    id: str  # fixed name of its element
    columns: tuple[Column, ...]  # headings
    rows: tuple[tuple[Cell, ...], ...]  # as many cells each as there are columns
    # headings over the headings and how many columns each spans, all of them together
    groups: tuple[tuple[str, int], ...] = ()
    caption: str = ""  # how to read it
    sortable: bool = False  # whether a click on a heading sorts
    limit: int = 0  # rows shown at first; 0 shows all
    empty: str = ""  # what a page says in place of a table without rows

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
        widths = [width for _, width in self.groups[:-1]]
        return tuple(sum(widths[: place + 1]) for place in range(len(widths)))


Field: TypeAlias = tuple[Column, Callable[[Any], Cell]]
"""A column and how its cell is made from what a row is about."""
Value: TypeAlias = Any
"""What a cell shows: a key or attribute of what the row is about, or a function of it."""
Form: TypeAlias = Callable[[float], Cell | str]
"""How a number is written."""


def tabulate(
    id: str, rows: pd.DataFrame | Iterable[Any], fields: Sequence[Field], **more: Any
) -> Table:
    """Make a table of a row for each of `rows`; `more` are further fields of `Table`.

    A row of a frame is a mapping that holds its labels as well.
    """
    if isinstance(rows, pd.DataFrame):
        rows = rows.reset_index().to_dict("records")
    cells = [tuple(write(row) for _, write in fields) for row in rows]
    return listed(id, [column for column, _ in fields], cells, **more)


def listed(
    id: str,
    heads: Sequence[str | Column],
    rows: Iterable[Sequence[Cell]],
    *,
    caption: str = "",
    **more: Any,
) -> Table:
    """Make a table of cells, words in the first column and numbers in those headed by a text."""
    made = tuple(map(tuple, rows))
    if any(cell.text.endswith(MARK) for row in made for cell in row):
        caption = f"{caption} {SPEED}".strip()
    return Table(
        id=id,
        columns=tuple(
            head if isinstance(head, Column) else Column(label=head, numeric=place > 0)
            for place, head in enumerate(heads)
        ),
        rows=made,
        caption=caption,
        **more,
    )


def frame_table(id: str, frame: pd.DataFrame) -> Table:
    """Any frame as a table: its labels where they say something, then its columns."""
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name:
        frame = frame.reset_index()
    return tabulate(
        id,
        frame,
        [
            numbers(str(name), name, figure)
            if values.dtype.kind in "iuf"
            else texts(str(name), _shown(name))
            for name, values in frame.items()
        ],
        sortable=True,
        limit=25,
    )


def _shown(name: Any) -> Callable[[Any], str]:
    """Writes one entry of a row: a stamp as a date, anything else as it is."""
    return lambda row: when(row[name]) if isinstance(row[name], pd.Timestamp) else str(row[name])


def texts(label: str, value: Value, *, numeric: bool = False, **more: Any) -> Field:
    """A column of texts, or of cells."""

    def write(row: Any) -> Cell:
        made = _value(row, value)
        return made if isinstance(made, Cell) else Cell(text=str(made))

    return Column(label=label, numeric=numeric, **more), write


def numbers(label: str, value: Value, form: Form, title: str = "") -> Field:
    """A column of numbers that sort, each written by `form`."""
    column = Column(label=label, title=title)
    return column, lambda row: number_cell(float(_value(row, value)), form)


def intervals(
    confidence: float, low: Value, high: Value, form: Callable[[float], str] = percent, **more: Any
) -> Field:
    """A column of intervals, headed by their confidence."""
    return texts(
        f"{whole_percent(confidence)} interval",
        lambda row: interval_cell(_value(row, low), _value(row, high), form),
        numeric=True,
        **more,
    )


def _value(row: Any, value: Value) -> Any:
    if callable(value):
        return value(row)
    return row[value] if isinstance(row, Mapping | tuple) else attrgetter(value)(row)


def number_cell(amount: float, form: Form) -> Cell:
    """Write a number that sorts."""
    if math.isnan(amount):
        return Cell(text=NOT_AVAILABLE, tone="quiet")
    made = form(amount)
    return made if isinstance(made, Cell) else Cell(text=made, order=amount)


def interval_cell(low: float, high: float, form: Callable[[float], str]) -> Cell:
    """Write both ends of an interval."""
    return Cell(text=interval(low, high, form), tone="quiet" if math.isnan(low) else "")


def reading(metrics: pd.DataFrame, name: str, scope: str) -> float:
    """Value of one metric in one scope; NaN where it was not measured."""
    values: pd.Series[float] = metrics[scope]
    return float(values.get(name, math.nan))


def metric_cell(amount: float, metric: Metric) -> Cell:
    """Write a metric."""
    return number_cell(amount, lambda known: value(known, metric.unit))


def speed_cell(cell: Cell, days: float) -> Cell:
    """Mark a yearly figure of so many days where they are less than a year."""
    return replace(cell, text=speed(cell.text, days))


def _toned(amount: float, form: Form) -> Cell:
    cell = number_cell(amount, form)
    return replace(cell, tone="loss") if cell.text.startswith("-") else cell


def fraction_cell(amount: float) -> Cell:
    """Write a fraction as a percentage, a negative one in the tone of a loss."""
    return _toned(amount, percent)


def points_cell(fraction: float) -> Cell:
    """Write points saved with their sign, points lost in the tone of a loss."""
    return _toned(fraction, points)


def money_cell(amount: float) -> Cell:
    """Write an amount of money, a negative one in the tone of a loss."""
    return _toned(amount, money)


def time_cell(stamp: pd.Timestamp, **more: Any) -> Cell:
    """Write a stamp that sorts; `more` are further fields of `Cell`."""
    order = None if pd.isna(stamp) else f"{stamp:%Y-%m-%d %H:%M}"
    return Cell(text=when(stamp), order=order, **more)


def stretch(begin: pd.Timestamp, end: pd.Timestamp) -> tuple[str, str]:
    """Both ends of what a click on a cell shows in a figure."""
    return f"{begin:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}"


def mark_best(cells: Sequence[Cell], better: Literal["higher", "lower"] | None) -> tuple[Cell, ...]:
    """Set off the best of several cells."""
    texts = {cell.order: cell.text for cell in cells if isinstance(cell.order, float)}
    if better is None or len(set(texts.values())) < 2:
        return tuple(cells)
    best = texts[max(texts) if better == "higher" else min(texts)]
    return tuple(replace(cell, tone="best") if cell.text == best else cell for cell in cells)
