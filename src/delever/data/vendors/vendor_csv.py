"""CSV files as CryptoDataDownload and Yahoo publish them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from delever.data.files import content, name_of
from delever.data.references import Reference
from delever.data.vendors.foreign import Found, frame_of, numbers
from delever.errors import SchemaError
from delever.units import timeframe_delta

_PRICES = ("open", "high", "low", "close")
_MILLISECONDS = 10**11  # as seconds, the year 5138


def read_cryptodatadownload(path: Path, reference: Reference) -> Found:
    """Read a file of CryptoDataDownload.

    Raises NotStoredError if there is no such file; SchemaError if it is not of this form.

    Notes
    -----
    A line of advertisement stands above the header, newest rows come first, and ``unix`` changes
    from seconds to milliseconds within a file; the size of each tells. Files without it are
    stamped in UTC without saying so.
    """
    text, digest = _read(path)
    where = name_of(path)
    lines = text.splitlines()
    head = next((n for n, line in enumerate(lines[:5]) if "open" in line.lower().split(",")), None)
    if head is None:
        raise SchemaError(f"{where} must have a header with open, high, low, close; found none")
    table = frame_of("\n".join(lines[head:]), where)
    table.columns = [str(name).strip().lower() for name in table.columns]
    missing = [name for name in _PRICES if name not in table.columns]
    volume = _volume(list(table.columns), reference.symbol)
    if missing or volume is None:
        raise SchemaError(
            f"{where} must have open, high, low, close and a volume; found "
            f"{', '.join(table.columns)[:200]}"
        )
    values = numbers(table[[*_PRICES, volume]].rename(columns={volume: "volume"}), where)
    unix = next((name for name in ("unix", "unix timestamp") if name in table.columns), None)
    if unix is not None:
        counts = numbers(table[[unix]], where)[unix].to_numpy()
        if np.isnan(counts).any():
            raise SchemaError(f"{where}: every row needs its {unix} stamp; fetch the file again")
        counts = np.where(counts >= _MILLISECONDS, counts, counts * 1000)
        stamps = pd.to_datetime(counts.astype("int64"), unit="ms", utc=True)
    else:
        stamps = _dates(table["date"] if "date" in table.columns else table.iloc[:, 0], where)
    return Found(
        reference=reference,
        frame=values.set_axis(stamps, axis=0).sort_index(kind="stable"),
        provenance={"vendor": "cryptodatadownload", "file": where, "sha256": digest},
    )


def _volume(columns: list[str], symbol: str) -> str | None:
    base = symbol.partition("/")[0].lower()
    volumes = [name for name in columns if name.startswith("volume")]
    return next((name for name in volumes if name == f"volume {base}"), next(iter(volumes), None))


def read_yahoo(path: Path, reference: Reference) -> Found:
    """Read a CSV of Yahoo Finance, downloaded or written by yfinance.

    Raises NotStoredError if there is no such file; SchemaError if it is not of this form.

    Notes
    -----
    A day is stamped 00:00 UTC of its date, which is when the bar of a coin opens; the day of an
    exchange is dated by its own calendar, so give its publication lag. Days that Yahoo lists
    without any price are left out, and counted in a note.
    """
    text, digest = _read(path)
    where = name_of(path)
    lines = text.splitlines()
    if lines[:1] and lines[0].startswith("Price,"):  # yfinance: names, tickers, name of the index
        lines = ["Date," + lines[0].partition(",")[2], *lines[3:]]
    table = frame_of("\n".join(lines), where)
    table.columns = [str(name).strip().lower().replace(" ", "_") for name in table.columns]
    stamp = next((name for name in ("date", "datetime") if name in table.columns), None)
    missing = [name for name in (*_PRICES, "volume") if name not in table.columns]
    if stamp is None or missing:
        raise SchemaError(
            f"{where} must have Date, Open, High, Low, Close and Volume; found "
            f"{', '.join(table.columns)[:200]}"
        )
    wanted = [*_PRICES, "volume"]
    if reference.kind == "series" and "adj_close" in table.columns:
        wanted.append("adj_close")
    values = numbers(table[wanted], where)
    daily = timeframe_delta(reference.timeframe) >= pd.Timedelta(days=1)
    texts = table[stamp].astype("str").str.slice(0, 10) if daily else table[stamp]
    frame = values.set_axis(_dates(texts, where), axis=0)
    empty = frame[list(_PRICES)].isna().all(axis=1)
    count = int(empty.sum())
    notes = (f"{where}: {count} rows without any price left out",) if count else ()
    return Found(
        reference=reference,
        frame=frame[~empty],
        provenance={"vendor": "yahoo", "file": where, "sha256": digest},
        notes=notes,
    )


def _read(path: Path) -> tuple[str, str]:
    data, digest = content(path)
    try:
        return data.decode("utf-8-sig"), digest
    except UnicodeDecodeError:
        raise SchemaError(f"{name_of(path)} must be UTF-8 text; fetch it again") from None


def _dates(texts: pd.Series, where: str) -> pd.DatetimeIndex:
    """Stamps of texts; those without a zone are UTC."""
    stamps = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    if stamps.isna().any():
        row = int(stamps.isna().to_numpy().argmax())
        raise SchemaError(
            f"{where}: row {row + 1} is stamped {str(texts.iloc[row])[:40]!r}; a date written as "
            "2021-05-19 or 2021-05-19 08:00:00 is required"
        )
    return pd.DatetimeIndex(stamps)
