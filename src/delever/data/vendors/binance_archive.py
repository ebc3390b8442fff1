"""Binance's public archive: zips of klines, funding rates and metrics."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from delever.data.files import content, name_of
from delever.data.references import Reference
from delever.data.vendors.foreign import Found, frame_of, numbers
from delever.errors import InputError, NotStoredError, SchemaError
from delever.kinds import kind_of

_KLINES = ("open", "high", "low", "close", "volume")
_MICROSECONDS = 10**14  # as milliseconds, the year 5138


def read_archive(path: Path, reference: Reference) -> Found:
    """Read a zip of the archive, or every zip in a folder, as one data set.

    Raises NotStoredError if there is no such file, or no zip in the folder; InputError if a file's
    name is of another symbol, timeframe or kind; SchemaError if a zip is damaged, has another
    checksum, or holds something else.

    Notes
    -----
    Stamps count milliseconds, and microseconds in spot files from 2025 on; their size tells.
    Metrics are stamped in UTC without saying so.
    """
    files = sorted(path.glob("*.zip")) if path.is_dir() else [path]
    if not files:
        raise NotStoredError(f"there is no zip in {path}; give the folder that holds them")
    frames, origins = [], []
    for file in files:
        _check_name(name_of(file), reference)
        text, digest = _content(file)
        frames.append(_rows(text, reference.kind, name_of(file)))
        origins.append({"file": name_of(file), "sha256": digest})
    frame = pd.concat(frames).sort_index(kind="stable")
    twice = frame.reset_index().duplicated().to_numpy()
    return Found(
        reference=reference,
        frame=frame[~twice],
        provenance={"archive": "binance", "files": origins},
    )


def _check_name(name: str, reference: Reference) -> None:
    pair = reference.symbol.partition(":")[0].replace("/", "")
    archive = kind_of(reference.kind).archive
    word = reference.timeframe if archive is None else archive.word
    if not name.startswith((f"{pair}-{word}-", f"{pair}_PERP-{word}-")):
        raise InputError(
            f"{name} must begin with {pair}-{word}- to hold {reference}; "
            "give its own symbol, kind and timeframe"
        )


def _content(path: Path) -> tuple[str, str]:
    (data, digest), where = content(path), name_of(path)
    beside = path.with_name(path.name + ".CHECKSUM")
    if beside.is_file():
        expected = content(beside)[0].decode(errors="replace").split()[:1]
        if expected != [digest]:
            raise SchemaError(
                f"{where} must have the sha256 of {beside.name}; it has {digest[:8]}…; "
                "fetch it again"
            )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if len(names) != 1 or not names[0].endswith(".csv"):
                raise SchemaError(f"{where} must hold one CSV file; it holds {names[:3]}")
            return archive.read(names[0]).decode(), digest
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise SchemaError(f"{where} is damaged ({error}); fetch it again") from None


def _rows(text: str, kind: str, where: str) -> pd.DataFrame:
    archive = kind_of(kind).archive
    if archive is not None:
        columns = dict(archive.columns)
        table = frame_of(text, where, needs=(archive.stamp, *columns))
        values = table[list(columns)].rename(columns=columns)
        if archive.counted:
            return _stamped(table[archive.stamp], values, where)
        stamps = pd.to_datetime(table[archive.stamp], format="ISO8601", utc=True, errors="coerce")
        return numbers(values, where).set_axis(pd.DatetimeIndex(stamps), axis=0)
    header = None if text[:1].isdigit() else 0
    table = frame_of(text, where, header=header)
    if table.shape[1] < 1 + len(_KLINES):
        raise SchemaError(f"{where} must hold klines; it has {table.shape[1]} columns")
    values = table.iloc[:, 1 : 1 + len(_KLINES)].set_axis(list(_KLINES), axis=1)
    return _stamped(table.iloc[:, 0], values, where)


def _stamped(counts: pd.Series, values: pd.DataFrame, where: str) -> pd.DataFrame:
    whole = numbers(counts.to_frame("stamp"), where)["stamp"].to_numpy()
    if not np.isfinite(whole).all():
        row = int(np.flatnonzero(~np.isfinite(whole))[0])
        raise SchemaError(f"{where}: row {row + 1} has no stamp; fetch the file again")
    micro = np.where(whole >= _MICROSECONDS, whole, whole * 1000).astype("int64")
    stamps = pd.to_datetime(micro, unit="us", utc=True)
    return numbers(values, where).set_axis(stamps, axis=0)
