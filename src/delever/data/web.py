"""Series from the web, as ``data/sources.toml`` describes them: address, columns, lag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pandas as pd

from delever.data.exchange.venue_settings import read_sources
from delever.data.references import Reference, parse_lag
from delever.errors import ConfigError

__all__ = ["HttpSource", "web_sources"]

_UNITS = ("s", "ms", "us")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSource:
    """One series on the web."""

    name: str  # what it is called in ``sources.toml``, and its symbol
    url: str  # http or https
    format: Literal["csv", "json"]  # of the body
    venue: str  # first part of its reference
    timeframe: str  # last part of its reference
    publication_lag: pd.Timedelta  # from a row's stamp to the moment it was known
    # from our name to theirs, or to its place (``"1"``) where there is no header
    columns: Mapping[str, str]
    # name of the column or key that holds the stamps; empty for a CSV file's first column
    stamp: str = ""
    # ``"s"``, ``"ms"``, ``"us"`` for numbers; empty for dates as ISO writes them, in UTC
    stamp_unit: str = ""
    rows: str = ""  # keys that lead to the list of rows in a JSON document, joined by dots
    header: bool = True  # whether a CSV file's first line names its columns
    missing: tuple[str, ...] = ("", ".", "NaN", "nan", "null")  # what stands for no value
    note: str = ""  # what a reader of results must be told
    # where to ask instead, with ``{host}`` for the host of `url`; empty to ask there
    api_url: str = ""

    @property
    def reference(self) -> Reference:
        """What the data set is called."""
        return Reference(
            venue=self.venue, kind="series", symbol=self.name, timeframe=self.timeframe
        )


def web_sources(path: Path) -> dict[str, HttpSource]:
    """Read the ``[series]`` of ``sources.toml``.

    Raises
    ------
    ConfigError
        If a series lacks a setting, or one is unknown or not of its form.
    """
    return {
        name: _source(name, table, path) for name, table in read_sources(path)["series"].items()
    }


def _source(name: str, table: Mapping[str, object], path: Path) -> HttpSource:
    where = f"{path}, series.{name}"
    known = {item.name for item in fields(HttpSource)} - {"name"}
    unknown = sorted(set(table) - known)
    if unknown:
        raise ConfigError(f"{where}: settings are {', '.join(sorted(known))}; got {unknown[0]}")
    needed = ("url", "format", "venue", "timeframe", "publication_lag", "columns")
    lacking = [item for item in needed if item not in table]
    if lacking:
        raise ConfigError(f"{where} must say {', '.join(needed)}; it lacks {', '.join(lacking)}")
    columns = table["columns"]
    if not isinstance(columns, dict) or not columns:
        raise ConfigError(f"{where}: columns must be a table of names; got {columns!r}")
    for item in needed[:-1]:
        if not isinstance(table[item], str):
            raise ConfigError(f"{where}: {item} must be text; got {table[item]!r}")
    if table["format"] not in ("csv", "json"):
        raise ConfigError(f"{where}: format must be csv or json; got {table['format']!r}")
    if table.get("stamp_unit", "") not in ("", *_UNITS):
        raise ConfigError(
            f"{where}: stamp_unit must be {', '.join(_UNITS)} or empty; got {table['stamp_unit']!r}"
        )
    if urlsplit(str(table["url"])).scheme not in ("http", "https"):
        raise ConfigError(f"{where}: url must be http or https; got {table['url']!r}")
    rest: dict[str, Any] = dict(table)
    rest["publication_lag"] = parse_lag(str(table["publication_lag"]))
    rest["columns"] = {str(ours): str(theirs) for ours, theirs in columns.items()}
    rest["missing"] = tuple(rest.get("missing", HttpSource.__dataclass_fields__["missing"].default))
    return HttpSource(name=name, **rest)
