"""Rows of what a web server sends: CSV or JSON, as a source describes it."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import numpy as np
import pandas as pd

from delever.data.web import HttpSource
from delever.errors import SchemaError

__all__ = ["rows_of"]

_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
"""Thousands set apart; other commas may be a decimal point, and then are no such number."""


def rows_of(body: bytes, source: HttpSource) -> pd.DataFrame:
    """Rows of a body, oldest first.

    Raises
    ------
    SchemaError
        If the body is not of its format, lacks a column, or holds text where a number is due.
    """
    try:
        text = body.decode("utf-8-sig")
        records = _from_json(text, source) if source.format == "json" else _from_csv(text, source)
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise SchemaError(f"{source.url}: the body must be {source.format}: {error}") from error
    stamp = source.stamp or (next(iter(records[0])) if records else "")
    names = [stamp, *source.columns.values()]
    for record in records[:1]:
        lacking = [name for name in names if name not in record]
        if lacking:
            raise SchemaError(
                f"{source.url}: rows must hold {', '.join(names)}; they lack {', '.join(lacking)}; "
                f"found {', '.join(map(str, record))}; correct series.{source.name}"
            )
    index = _stamps([record.get(stamp) for record in records], source)
    values = np.array(
        [[_number(record.get(n), source) for n in source.columns.values()] for record in records],
        dtype=float,
    ).reshape(len(records), len(source.columns))
    frame = pd.DataFrame(values, index=index, columns=list(source.columns))
    return frame[~frame.isna().all(axis=1)].sort_index(kind="stable")


def _from_json(text: str, source: HttpSource) -> list[dict[str, Any]]:
    found: Any = json.loads(text)
    for key in filter(None, source.rows.split(".")):
        if not isinstance(found, dict) or key not in found:
            raise SchemaError(
                f"{source.url}: rows must be found at {source.rows}; there is no {key}; "
                f"correct series.{source.name}"
            )
        found = found[key]
    if not isinstance(found, list):
        raise SchemaError(f"{source.url}: rows must be a list; got {type(found).__name__}")
    return [
        row if isinstance(row, dict) else {str(i): cell for i, cell in enumerate(row)}
        for row in found
    ]


def _from_csv(text: str, source: HttpSource) -> list[dict[str, Any]]:
    lines = [line for line in csv.reader(io.StringIO(text)) if line]
    if not lines:
        return []
    width = len(lines[0])
    names = (
        [cell.strip() for cell in lines.pop(0)] if source.header else list(map(str, range(width)))
    )
    for number, line in enumerate(lines, start=1 + source.header):
        if len(line) != width:
            raise SchemaError(
                f"{source.url}: line {number} must hold {width} cells; it holds {len(line)}"
            )
    return [dict(zip(names, line, strict=True)) for line in lines]


def _number(cell: object, source: HttpSource) -> float:
    if cell is None or (isinstance(cell, str) and cell.strip() in source.missing):
        return float("nan")
    text = str(cell).strip()
    try:
        return float(text.replace(",", "") if _GROUPED.fullmatch(text) else text)
    except ValueError:
        raise SchemaError(
            f"{source.url}: a value must be a number such as 0.5 or 1,234.5; got {cell!r}; "
            f"correct series.{source.name}"
        ) from None


def _stamps(cells: list[object], source: HttpSource) -> pd.DatetimeIndex:
    try:
        if source.stamp_unit:
            counts = np.array([int(str(cell)) for cell in cells], dtype="int64")
            dates = counts.astype(f"M8[{source.stamp_unit}]")
            index = pd.DatetimeIndex(dates).tz_localize("UTC")
        else:
            index = pd.DatetimeIndex(pd.to_datetime([str(cell) for cell in cells], utc=True))
    except (ValueError, OverflowError) as error:
        raise SchemaError(
            f"{source.url}: stamps must be {source.stamp_unit or 'ISO dates'}: {error}; "
            f"correct series.{source.name}"
        ) from error
    return index.as_unit("ns").rename("timestamp")
