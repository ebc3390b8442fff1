"""CSV files of Yahoo Finance: the site's, and those yfinance writes."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

from delever.data.layout import TIMESTAMP, Layout
from delever.data.naming import split_pair
from delever.data.stamps import StampForm
from delever.data.vendors.charts import PRICES, ChartFile, NameParts, chart_file, found_in
from delever.data.vendors.foreign import FileContents, FileDescription
from delever.errors import SchemaError

_CLOCKS = ("Date", "Datetime")


def read_yahoo(path: Path, said: FileDescription) -> FileContents:
    """Read a CSV of Yahoo Finance, downloaded or written by yfinance.

    Raises NotStoredError if there is no such file; SchemaError if it is not of this form, or holds
    several tickers and not the one that was said.

    A day is stamped 00:00 UTC of its date, which is when the bar of a coin opens; the day of an
    exchange is dated by its own calendar, so give its publication lag. Rows without any price are
    left out, and counted in a note.
    """
    one = _one_ticker(chart_file(path, said, _name_parts, kind="ohlcv"))
    clock = "Datetime" if one.has("datetime") else "Date"
    columns = {TIMESTAMP: (clock,)}
    if one.kind == "series":
        columns |= {name: (name,) for name in (*PRICES, "volume")}
        columns |= {"adj_close": ("adj close",)} if one.has("adj close") else {}
    stamps = StampForm(
        by_day=clock == "Date",
        assumed="UTC" if clock == "Date" else None,
        timezone=said.timezone if clock == "Datetime" else None,
    )
    if clock == "Date":
        said.no_timezone("yahoo that hold days")
    rows = one.rows(Layout(columns=columns, stamps=stamps))
    return FileContents(found=(found_in(one, rows, "yahoo"),))


def _name_parts(where: str) -> NameParts:
    found = re.match(r"([A-Z0-9]+-[A-Z]{3,4})(?:[. _(]|$)", where)
    return NameParts(symbol=found[1] if found else None)


def _one_ticker(one: ChartFile) -> ChartFile:
    """The file with one header, as yfinance writes three: names, tickers, name of the index.

    Raises SchemaError if it holds several tickers and not the one that was said.
    """
    body = one.data.lstrip(b"\r\n")
    above = one.data[: len(one.data) - len(body)].count(b"\n")
    top = [next(csv.reader([line]), []) for line in body.decode().split("\n", 3)[:3]]
    if len(top) < 3 or top[2][:1] not in [[clock] for clock in _CLOCKS] or any(top[2][1:]):
        return one
    names, tickers = (top[1], top[0]) if top[0][:1] == ["Ticker"] else (top[0], top[1])
    held = list(dict.fromkeys(ticker for ticker in tickers[1:] if ticker))
    symbol = (one.said.symbol or "").partition(":")[0]
    fits = [name for name in held if symbol in (name, split_pair(name), name.partition("-")[0])]
    if len(held) > 1 and len(fits) != 1:
        raise SchemaError(
            f"{one.where}: it holds {', '.join(held)[:200]}; give the --symbol of one of them; got "
            f"{symbol or 'none'}"
        )
    ticker = (fits or held or [""])[0]
    cells = [
        name if own == ticker else f"{name} of {own}"
        for name, own in zip(names[1:], tickers[1:], strict=False)
    ]
    header = ",".join([top[2][0], *cells])
    rest = body.split(b"\n", 3)[3:]
    # Empty lines keep the numbers of the lines that are named in messages.
    data = b"\n" * (above + 2) + header.encode() + b"\n" + (rest[0] if rest else b"")
    return replace(one, data=data, named=replace(one.named, symbol=ticker or one.named.symbol))
