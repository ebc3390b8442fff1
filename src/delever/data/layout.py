"""How a file names its columns and writes its cells, where it differs from the plain form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from delever.data.stamps import StampForm
from delever.errors import ConfigError
from delever.kinds import kind_of
from delever.toml_file import read_toml

STAMPS = ("timestamp", "open_time")
"""What the column of stamps may be called in the plain form."""

TIMESTAMP = STAMPS[0]

_KEYS = ("columns", "header", "separator", "decimal", "stamp_unit", "stamp_pattern", "timezone")
_MOMENT = r"\d{4}[./-]\d\d|\d\d[./-]\d\d[./-]\d\d|\d{10}(\d{3}){0,3}(\.0*)?$"
_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    TIMESTAMP: ("time", "date", "datetime", "unix", "ts", "opentime", "snapped_at", "t"),
    "open": ("o", "price_open", "open_price", "first", "erster", "apertura", "ouv"),
    "high": ("h", "price_high", "high_price", "max", "hoch", "haut"),
    "low": ("l", "price_low", "low_price", "min", "tief", "bas"),
    "close": ("c", "price_close", "close_price", "last", "price", "schluss", "cierre"),
    "volume": ("v", "vol", "amount", "volume_btc", "base_volume", "volumen"),
    "funding_rate": ("rate", "fundingrate", "last_funding_rate", "funding"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What has to be said about a text file beyond the plain form.

    Raises ConfigError if the decimal mark is neither a point nor a comma.
    """

    # from our names to the file's. Several columns of stamps are joined by a blank, such as
    # ``{"timestamp": ("Date", "Time")}``; of several for a value the first that is there is read,
    # and none says that the source has none.
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    header: tuple[str, ...] = ()  # names of the columns where the file has none
    separator: str | None = None  # found where it is not said
    decimal: str = "."
    above: int = 0  # lines that may stand above the header
    stamps: StampForm = field(default_factory=StampForm)

    def __post_init__(self) -> None:
        if self.decimal not in (".", ","):
            raise ConfigError(f'decimal must be "." or ","; got {self.decimal!r}')
        if self.separator is not None and len(self.separator) != 1:
            raise ConfigError(f"separator must be one character; got {self.separator!r}")

    def stamp_columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """Columns of the stamp among those of a file; empty where it is not clear."""
        wanted = self.columns.get(TIMESTAMP)
        if wanted is not None:
            told = [one for name in wanted if (one := _one(names, name)) is not None]
            return tuple(told) if len(told) == len(wanted) else ()
        found = [name for name in names if plain_name(name) in STAMPS]
        return tuple(found) if len(found) == 1 else ()

    def value_column(self, names: Sequence[str], ours: str) -> str | None:
        """Column of one of our values among those of a file."""
        found = (_one(names, name) for name in self.columns.get(ours, (ours,)))
        return next((name for name in found if name is not None), None)


PLAIN = Layout()


def plain_name(name: str) -> str:
    """A column's name as it is compared: case and blanks make no difference.

    Examples
    --------
    >>> plain_name(" Open Time ")
    'open_time'
    """
    return re.sub(r"\s+", "_", name.strip().lower())


def read_layout(path: Path) -> Layout:
    """Read a layout from a TOML file, in a table ``layout``.

    Raises ConfigError if there is no such file, or something in it is not of its form.
    """
    try:
        document = read_toml(path)
    except OSError as error:
        raise ConfigError(f"{path} must be a layout in TOML ({error.strerror})") from None
    table = document.get("layout")
    if not isinstance(table, dict) or len(document) > 1:
        raise ConfigError(f"{path} must hold one table, layout; got {', '.join(document)}")
    unknown = [key for key in table if key not in _KEYS]
    if unknown:
        raise ConfigError(f"{path}: keys of layout are {', '.join(_KEYS)}; got {unknown[0]}")
    columns, header = table.get("columns", {}), table.get("header", [])
    if not isinstance(columns, dict):
        raise ConfigError(f"{path}: columns must be a table; got {columns!r}")
    for key, value in {**table, **columns, "columns": "", "header": ""}.items():
        if not isinstance(value, str) and not (key in columns and isinstance(value, list)):
            raise ConfigError(f"{path}: {key} must be a text; got {value!r}")
        if "?" in (value if isinstance(value, str) else ()):
            raise ConfigError(f"{path}: {key} is still {value!r}; say what the file means")
    return Layout(
        columns={ours: _names(theirs, path) for ours, theirs in columns.items()},
        header=_names(header, path) if header else (),
        separator=table.get("separator"),
        decimal=table.get("decimal", "."),
        stamps=StampForm(
            unit=table.get("stamp_unit"),
            timezone=table.get("timezone"),
            pattern=table.get("stamp_pattern"),
        ),
    )


def proposal(names: Sequence[str], first: Mapping[str, str], kind: str, separator: str) -> str:
    """The layout that a file may mean, in one line of TOML; ``?`` stands where it does not show."""
    columns: dict[str, str] = {}
    for ours in (TIMESTAMP, *kind_of(kind).columns):
        same = (ours, *_SYNONYMS.get(ours, ()))
        near = [name for name in names if plain_name(name) in same] or [
            name
            for name in names
            if ours in plain_name(name) and not re.search("time|date", name, re.IGNORECASE)
        ]
        if ours == TIMESTAMP:
            near += [name for name in names if re.match(_MOMENT, first.get(name, ""))]
        columns[ours] = near[0] if near else "?"
    said: dict[str, str] = {}
    stamp = first.get(columns[TIMESTAMP], "")
    if re.fullmatch(r"\d+(\.0*)?", stamp):
        said["stamp_unit"] = {10: "s", 13: "ms", 16: "us", 19: "ns"}.get(
            len(stamp.partition(".")[0]), "?"
        )
    elif stamp and not re.search(r"(Z|UTC|[+-]\d\d:?\d\d)$", stamp):
        if not re.match(r"\d{4}-\d\d-\d\d", stamp):
            said["stamp_pattern"] = _pattern(stamp)
        said["timezone"] = "?"
    if separator != "," and any(re.search(r"\d,\d", cell) for cell in first.values()):
        said["decimal"] = ","
    inner = ", ".join(f"{ours} = {json.dumps(name)}" for ours, name in columns.items())
    rest = "".join(f", {key} = {json.dumps(value)}" for key, value in said.items())
    return f"layout = {{columns = {{{inner}}}{rest}}}"


def _pattern(stamp: str) -> str:
    """How a date may be written, as strptime says it."""
    day = re.match(r"(\d{1,4})([./-])(\d{1,2})\2(\d{2,4})", stamp)
    if day is None:
        return "?"
    point, rest = day[2], stamp[day.end() :]
    date = f"%Y{point}%m{point}%d" if len(day[1]) == 4 else f"%d{point}%m{point}%Y"
    if point == "/" and len(day[1]) != 4:
        date = "?"  # day or month first: the file must be asked
    clock = re.sub(r"\d{2}:\d{2}:\d{2}", "%H:%M:%S", rest)
    return date + re.sub(r"\d{2}:\d{2}", "%H:%M", clock)


def _one(names: Sequence[str], wanted: str) -> str | None:
    """The one column of that name: written so, or so but for its case."""
    if list(names).count(wanted) == 1:
        return wanted
    found = [name for name in names if plain_name(name) == plain_name(wanted)]
    return found[0] if len(found) == 1 else None


def _names(value: object, path: Path) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{path}: columns are named by texts; got {value!r}")
    return tuple(names)
