"""Series from the web, as ``data/sources.toml`` describes them: asked for politely, read whole."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from delever.data.bounds import (
    LARGEST_BODY,
    REDIRECTS,
    OverdueError,
    checked_url,
    in_time,
    joined,
    pieces,
    redirected_to,
)
from delever.data.pacing import WHOLE, MayPassError, Pacing, persistently, retry_after
from delever.data.references import Dataset, Reference, parse_lag
from delever.data.sources_file import read_sources
from delever.errors import ConfigError, SchemaError, VenueError
from delever.frames import validate

_UNITS = ("s", "ms", "us")
_AGENT = "delever (historical series for research)"
_FINAL = (400, 401, 403, 404, 410, 451)  # statuses that asking again would not change
# Thousands set apart; other commas may be a decimal point, and then are no such number.
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")


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

    Raises ConfigError if a series lacks a setting, or one is unknown or not of its form.
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
    checked_url(str(table["url"]), f"{where}: url")
    if table.get("api_url"):
        checked_url(str(table["api_url"]), f"{where}: api_url")
    rest: dict[str, Any] = dict(table)
    rest["publication_lag"] = parse_lag(str(table["publication_lag"]))
    rest["columns"] = {str(ours): str(theirs) for ours, theirs in columns.items()}
    rest["missing"] = tuple(rest.get("missing", HttpSource.__dataclass_fields__["missing"].default))
    return HttpSource(name=name, **rest)


def read_series(
    source: HttpSource, *, pacing: Pacing | None = None, now: pd.Timestamp | None = None
) -> Dataset:
    """Read what was known of a series at a moment, by default that of the answer.

    Raises VenueError if the server refuses or does not answer, or has no row yet; SchemaError if
    what it sends is not what `source` describes.
    """
    body, date = _get(source, pacing or Pacing())
    frame = rows_of(body, source)
    moment = now if now is not None else date
    stamps = pd.DatetimeIndex(frame.index)
    frame = frame.loc[stamps <= moment - source.publication_lag]
    if frame.empty:
        raise VenueError(f"{source.url} has no row that was known on {moment:%Y-%m-%d %H:%M}")
    return Dataset(
        reference=source.reference,
        frame=validate(frame, "series", source.timeframe, where=source.url),
        id="",
        publication_lag=source.publication_lag,
        notes=(source.note,) if source.note else (),
        provenance=({"url": source.url},),
    )


def _get(source: HttpSource, pacing: Pacing) -> tuple[bytes, pd.Timestamp]:
    """Body and server date, asked for again while that may help."""
    url = _address(source)
    try:
        return persistently(lambda: _once(source, url, pacing.timeout), pacing, who=source.url)
    except MayPassError as trouble:
        raise VenueError(
            f"{source.url} failed {pacing.attempts} times, last with {trouble}"
        ) from trouble


def _address(source: HttpSource) -> str:
    if not source.api_url:
        return source.url
    parts = urlsplit(source.url)
    query = f"?{parts.query}" if parts.query else ""
    url = source.api_url.rstrip("/").replace("{host}", parts.netloc) + parts.path + query
    return checked_url(url, "api_url, in sources.toml or the environment,")


def _once(source: HttpSource, url: str, timeout: float) -> tuple[bytes, pd.Timestamp]:
    import http.client
    from urllib.error import HTTPError, URLError

    try:
        body, headers = in_time(WHOLE * timeout, lambda: _read(source, url, timeout))
    except OverdueError as error:
        raise MayPassError(str(error)) from error
    except HTTPError as error:
        error.close()
        if error.code in _FINAL:
            raise VenueError(
                f"{source.url} answers {error.code}, and asking again would not change that; "
                f"correct the url of series.{source.name} in sources.toml, or import a file"
            ) from error
        asked = retry_after(dict(error.headers))
        raise MayPassError(f"status {error.code}", asked=asked) from error
    except (URLError, http.client.HTTPException, OSError) as error:
        raise MayPassError(f"{type(error).__name__}: {error}") from error
    if not body.strip() or body.lstrip()[:1] == b"<":
        trouble = "a page instead of data" if body.strip() else "an empty body"
        raise MayPassError(trouble, asked=retry_after(headers))
    return body, _date(headers)


def _read(source: HttpSource, url: str, timeout: float) -> tuple[bytes, dict[str, str]]:
    """Body and headers of one answer, redirects of the same host followed."""
    from http.client import IncompleteRead
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class SameHost(HTTPRedirectHandler):
        max_redirections = REDIRECTS

        def redirect_request(
            self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
        ) -> Request | None:
            try:
                redirected_to(req.full_url, newurl, f"series.{source.name}")
            except VenueError:
                fp.close()
                raise
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    asked = Request(url, headers={"User-Agent": _AGENT})
    with build_opener(SameHost).open(asked, timeout=timeout) as answer:
        body = joined(pieces(answer), LARGEST_BODY, source.url)
        if answer.length:  # announced, and not sent
            raise IncompleteRead(body, answer.length)
        return body, dict(answer.headers)


def _date(headers: Mapping[str, str]) -> pd.Timestamp:
    from email.utils import parsedate_to_datetime

    text = {name.lower(): value for name, value in headers.items()}.get("date")
    if text is None:
        return pd.Timestamp.now(tz="UTC")
    return pd.Timestamp(parsedate_to_datetime(text)).tz_convert("UTC")


def rows_of(body: bytes, source: HttpSource) -> pd.DataFrame:
    """Rows of a body, oldest first.

    Raises SchemaError if the body is not of its format, lacks a column, or holds text where a
    number is due.
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
