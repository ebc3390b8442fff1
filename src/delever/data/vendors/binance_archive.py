"""Binance's public archive: zips of klines, funding rates and metrics."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from delever.data.bounds import LARGEST_FILE, joined, pieces
from delever.data.files import content, name_of, text_rows
from delever.data.layout import TIMESTAMP, Layout
from delever.data.naming import check_venue
from delever.data.references import Reference
from delever.data.rhythm import timeframe_of
from delever.data.stamps import StampForm
from delever.data.text_table import text_of
from delever.data.vendors.foreign import FileContents, FileDescription, Found
from delever.errors import DataError, InputError, NotStoredError, SchemaError
from delever.kinds import kind_of

_KLINES = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume"),
    *("count", "taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)
_NAME = re.compile(r"[A-Z0-9_]+-[A-Za-z0-9]+-\d{4}-\d\d")
_COUNTED = StampForm(by_size=True)


def read_archive(path: Path, said: FileDescription) -> FileContents:
    """Read a zip of the archive, or every zip in a folder, as one data set.

    Raises NotStoredError if there is no such file, or no zip in the folder; InputError if a file's
    name is of another symbol, timeframe or kind; SchemaError if a zip is damaged, has another
    checksum, or holds something else. In a folder such files are left out and named.

    Stamps count milliseconds, and microseconds in spot files from 2025 on; their size tells.
    Metrics are stamped in UTC without saying so.
    """
    said.no_timezone("binance-archive")
    reference = said.reference()
    files = sorted(path.glob("*.zip")) if path.is_dir() else [path]
    if not files:
        raise NotStoredError(f"there is no zip in {path}; give the folder that holds them")
    timeframe = said.timeframe
    frames, origins, failed = [], [], []
    for file in files:
        try:
            member, data, digest = _content(file)
            timeframe = timeframe or _named_timeframe(member)
            _check_name(file, member, _prefixes(reference, timeframe))
            check_venue("binance", said.venue, name_of(file))
            frames.append(_rows(data, reference.kind, name_of(file)))
        except (DataError, InputError) as error:
            if not path.is_dir():
                raise
            failed.append(str(error))
            continue
        origins.append({"file": name_of(file), "sha256": digest})
    if not frames:
        return FileContents(found=(), failed=tuple(failed))
    frame = pd.concat(frames).sort_index(kind="stable")
    frame = frame[~frame.reset_index().duplicated().to_numpy()]
    own = timeframe or timeframe_of(pd.DatetimeIndex(frame.index), reference.kind, name_of(path))
    found = Found(
        reference=Reference(
            venue=said.venue, kind=reference.kind, symbol=reference.symbol, timeframe=own
        ),
        frame=frame,
        provenance={"archive": "binance", "files": origins},
    )
    return FileContents(found=(found,), failed=tuple(failed))


def _named_timeframe(member: str) -> str | None:
    """Timeframe in the name of a file of klines."""
    found = re.match(r"[^-]+-(\d+[mhdw])-", member)
    return None if found is None else found[1]


def _prefixes(reference: Reference, timeframe: str | None) -> tuple[str, str]:
    pair = reference.symbol.partition(":")[0].replace("/", "")
    archive = kind_of(reference.kind).archive
    word = (timeframe or reference.timeframe) if archive is None else archive.word
    return f"{pair}-{word}-", f"{pair}_PERP-{word}-"


def _check_name(file: Path, member: str, prefixes: Sequence[str]) -> None:
    """Hold a zip's name, unless it was renamed, and that of the file in it against what was said.

    Raises InputError if one is of something else.
    """
    where = name_of(file)
    for name, called in ((where, where), (member, f"{member} in {where}")):
        renamed = name == where and not _NAME.match(name)
        if not renamed and not name.startswith(tuple(prefixes)):
            raise InputError(
                f"{called} must begin with {prefixes[0]} to be what was said; give its own "
                "symbol, kind and timeframe"
            )


def _content(path: Path) -> tuple[str, bytes, str]:
    """Name and bytes of the one file in a zip, and the sha256 of the zip."""
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
            with archive.open(names[0]) as packed:
                return names[0], joined(pieces(packed), LARGEST_FILE, where), digest
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise SchemaError(f"{where} is damaged ({error}); fetch it again") from None


def _rows(data: bytes, kind: str, where: str) -> pd.DataFrame:
    archive = kind_of(kind).archive
    if archive is not None:
        columns = {ours: (theirs,) for theirs, ours in archive.columns.items()}
        stamps = _COUNTED if archive.counted else StampForm(assumed="UTC")
        layout = Layout(columns={TIMESTAMP: (archive.stamp,), **columns}, stamps=stamps)
        return text_rows(data, where, kind, layout).frame
    first = text_of(data, where).strip().partition(",")[0].strip(' "')
    headed = not first.isdigit()
    layout = Layout(
        columns={TIMESTAMP: ("open_time",)}, header=() if headed else _KLINES, stamps=_COUNTED
    )
    return text_rows(data, where, kind, layout).frame
