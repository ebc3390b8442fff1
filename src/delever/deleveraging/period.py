"""Deleveraging periods drawn with hindsight, for reporting."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from delever.arguments import shown
from delever.errors import ConfigError, InputError
from delever.toml_file import parse_toml

_ONE_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodFigure:
    """A reported number: what it measures, who reported it, and how they define it."""

    name: str  # what is measured, such as ``"forced liquidations"``
    value: float  # in `unit`
    unit: str  # such as ``"USD"``, ``"BTC"`` or ``"fraction"``
    definition: str  # span, venues and assets counted
    source: str  # who reported it, or the data it was computed from
    # when it was reported, UTC; None where the source gives no date
    as_of: pd.Timestamp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A deleveraging period, from `start` until before `end`, UTC."""

    id: str  # unique in its catalogue, such as ``"2020-03-covid"``
    title: str  # for headings
    start: pd.Timestamp  # open of the first bar that belongs to it
    trough: pd.Timestamp  # open of the day (of the bar, when detected) with the lowest close
    end: pd.Timestamp  # exclusive: the close of the last bar that belongs to it
    cause: str = ""  # what forced the selling
    # reported and computed numbers; sources that disagree stand side by side
    figures: tuple[PeriodFigure, ...] = ()


def chosen_periods(given: Sequence[Period] | None, path: str | Path) -> Sequence[Period]:
    """Periods that are given, else those of a catalogue.

    Raises InputError if what is given holds anything else; ConfigError as `load_catalog`.
    """
    if given is None:
        return load_catalog(path)
    if not isinstance(given, Sequence) or not all(isinstance(one, Period) for one in given):
        raise InputError(
            "periods must be a sequence of delever.deleveraging.period.Period, or None for those "
            f"of the workspace; got {shown(given)}"
        )
    return given


def load_catalog(path: str | Path) -> tuple[Period, ...]:
    """Read a catalogue of periods from a TOML file.

    The file holds an array of tables ``periods``. Dates are whole UTC days and the ``end`` day
    belongs to its period, so `Period.end` is the midnight after it.

    Raises ConfigError if the file is missing or no TOML, a key is unknown, missing or of the wrong
    type, an id repeats, the days of a period are out of order, or two periods overlap; the message
    names the file and the period.
    """
    where = Path(path)
    try:
        content = where.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"{where}: the catalogue of periods must be a file; there is none; "
            "correct the path or copy data/deleveraging.toml there"
        ) from None
    return _catalogue(where, content)


@lru_cache(maxsize=8)
def _catalogue(where: Path, content: bytes) -> tuple[Period, ...]:
    """The periods of these bytes: every run reads the same ones."""
    entries = _entries(where, content)
    periods = sorted(
        (_period(entry, number, where) for number, entry in enumerate(entries, start=1)),
        key=lambda period: period.start,
    )
    seen: set[str] = set()
    for period in periods:
        if period.id in seen:
            raise ConfigError(
                f"{where}: every id must be unique; {period.id!r} repeats; rename one of the two"
            )
        seen.add(period.id)
    for before, after in pairwise(periods):
        if after.start < before.end:
            raise ConfigError(
                f"{where}: periods must not overlap; {after.id!r} starts on "
                f"{after.start:%Y-%m-%d} and {before.id!r} ends on "
                f"{before.end - _ONE_DAY:%Y-%m-%d}; move one of them or merge the two"
            )
    return tuple(periods)


def _entries(where: Path, content: bytes) -> Sequence[object]:
    document = parse_toml(content, where)
    entries = _table(document, {"periods": list}, {}, where, "the file")["periods"]
    if not entries:
        raise ConfigError(
            f"{where}: at least one period is required; there is none; add a [[periods]] table"
        )
    return list(entries)


_PERIOD = {"id": str, "title": str, "start": dt.date, "trough": dt.date, "end": dt.date}
_FIGURE = {"name": str, "value": float, "unit": str, "definition": str, "source": str}
_SAID = {
    str: "a text that is not empty",
    dt.date: "a date such as 2020-03-12",
    float: "a finite number",
    list: "an array of tables",
}


def _period(entry: object, number: int, where: Path) -> Period:
    named = entry.get("id") if isinstance(entry, Mapping) else None
    label = f"period {named!r}" if isinstance(named, str) else f"period number {number}"
    table = _table(entry, _PERIOD | {"cause": str}, {"figures": list}, where, label)
    days = [_midnight(table[key]) for key in ("start", "trough", "end")]
    if not days[0] <= days[1] <= days[2]:
        found = ", ".join(f"{day:%Y-%m-%d}" for day in days)
        raise ConfigError(
            f"{where}: {label} must have start <= trough <= end; got {found}; correct the dates"
        )
    return Period(
        id=table["id"],
        title=table["title"],
        start=days[0],
        trough=days[1],
        end=days[2] + _ONE_DAY,
        cause=table["cause"],
        figures=tuple(
            _figure(figure, where, f"figure number {place} of {label}")
            for place, figure in enumerate(table.get("figures", []), start=1)
        ),
    )


def _figure(entry: object, where: Path, label: str) -> PeriodFigure:
    table = _table(entry, _FIGURE, {"as_of": dt.date}, where, label)
    as_of = _midnight(table["as_of"]) if "as_of" in table else None
    return PeriodFigure(
        name=table["name"],
        value=float(table["value"]),
        unit=table["unit"],
        definition=table["definition"],
        source=table["source"],
        as_of=as_of,
    )


def _table(
    entry: object,
    required: Mapping[str, type],
    optional: Mapping[str, type],
    where: Path,
    label: str,
) -> dict[str, Any]:
    """Check a table's keys and the type of every value."""
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: {label} must be a table; got {entry!r}; write [[periods]]")
    known = {**required, **optional}
    unknown = sorted(set(entry) - set(known))
    if unknown:
        raise ConfigError(
            f"{where}: {label} has the unknown key {unknown[0]!r}; "
            f"known are {', '.join(known)}; remove or rename it"
        )
    missing = [key for key in required if key not in entry]
    if missing:
        raise ConfigError(f"{where}: {label} needs {', '.join(missing)}; add what is missing")
    for key, value in entry.items():
        if not _fits(value, known[key]):
            raise ConfigError(
                f"{where}: {key} of {label} must be {_SAID[known[key]]}; got {value!r}; correct it"
            )
    return dict(entry)


def _fits(value: object, wanted: type) -> bool:
    if wanted is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and abs(float(value)) < float("inf")  # type: ignore[arg-type]
    if wanted is dt.date:  # a datetime is a date too, but has hours a whole day has not
        return isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    if wanted is str:
        return isinstance(value, str) and bool(value.strip())
    return isinstance(value, wanted)


def _midnight(day: dt.date) -> pd.Timestamp:
    return pd.Timestamp(day, tz="UTC").as_unit("ns")
