"""Rows from files: CSV, gzipped CSV, Parquet and Feather, in the stored form of their kind."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from delever.errors import NotStoredError, SchemaError
from delever.frames import validate
from delever.kinds import kind_of

if TYPE_CHECKING:
    import pyarrow

StampUnit = Literal["s", "ms", "us"]
"""What whole-number stamps count since 1970-01-01 UTC."""

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".feather")
_STAMPS = ("timestamp", "open_time")
_SEPARATORS = (",", ";", "\t")
_UNDEFINED = ("", "nan", "NaN")
_DATE = r"\d{4}-\d{2}-\d{2}"
_TIME = r"\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
_ZONED = rf"^{_DATE}[T ]{_TIME} ?(Z|[+-]\d{{2}}(:?\d{{2}})?)$"
_NAIVE = rf"^{_DATE}([T ]{_TIME})?$"
_WHOLE = r"^-?\d{1,18}$"
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
_FARTHEST = 1 << 33  # seconds; 272 years either side of 1970, inside what nanoseconds can count
_YEARS = "a year from 1700 to 2200 is required; check its unit"
_ZONE_MEND = "write stamps as UTC, such as 2021-05-19T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRows:
    """What a file held."""

    frame: pd.DataFrame  # shape (n, k): rows in the stored form of their kind
    ignored: tuple[str, ...]  # columns of the file that its kind has no use for
    name: str  # the file's name, without its folder
    sha256: str  # of the file's bytes


def read_file(
    path: Path, kind: str, timeframe: str, *, stamp_unit: StampUnit | None = None
) -> FileRows:
    """Read a file and check it against the contract of its kind.

    Raises NotStoredError if there is no such file; SchemaError if it is not what its name says, or
    a row breaks the contract.

    Notes
    -----
    The columns of a text file are set apart by commas, semicolons or tabs; fractions are written
    with a point. A column (or the index) called ``timestamp`` or ``open_time`` holds the stamps,
    with their zone. Empty cells and ``nan`` are undefined; nothing else that is not a number is
    accepted.
    """
    if not path.name.endswith(SUFFIXES):
        raise SchemaError(
            f"a file must end in {', '.join(SUFFIXES)}; got {str(path)!r}; convert it"
        )
    data, digest = content(path)
    where = name_of(path)
    if path.name.endswith((".csv", ".csv.gz")):
        text = _unzip(data, where) if path.name.endswith(".gz") else data
        raw, ignored = _from_csv(text, kind, where)
        header_lines = 1
    else:
        raw, ignored = _from_table(data, kind, where)
        header_lines = None
    stamps = _stamps_of(raw, where, stamp_unit, header_lines)
    frame = validate(
        raw.set_axis(stamps, axis=0), kind, timeframe, where=where, header_lines=header_lines
    )
    return FileRows(frame=frame, ignored=ignored, name=where, sha256=digest)


def _unzip(data: bytes, where: str) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise SchemaError(
            f"{where}: the gzip stream is damaged or cut short ({error}); fetch the file again"
        ) from None


def _choose(names: Sequence[str], kind: str, where: str) -> tuple[str, list[str], tuple[str, ...]]:
    """Stamp column, columns to read, columns to leave."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or "" in names:
        what = f"repeats {', '.join(repeated)}" if repeated else "leaves a column unnamed"
        raise SchemaError(
            f"{where}: every column needs a name of its own; the header {what}; rename"
        )
    stamps = [name for name in _STAMPS if name in names]
    if len(stamps) != 1:
        found = "both" if stamps else ", ".join(names)[:200]
        raise SchemaError(
            f"{where}: exactly one column must be called timestamp or open_time; "
            f"found {found}; rename it"
        )
    required = kind_of(kind).columns
    others = [name for name in names if name != stamps[0]]
    values = [name for name in others if not required or name in required]
    return stamps[0], values, tuple(name for name in others if name not in values)


def _from_csv(data: bytes, kind: str, where: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    body = data.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    try:
        header = body.split(b"\n", 1)[0].decode()
    except UnicodeDecodeError:
        header = ""
    header = header.rstrip("\r")
    if not header or not header.replace("\t", " ").isprintable():
        raise SchemaError(
            f"{where}: a CSV file in UTF-8 with a header line is required; got "
            f"{'an empty file' if not data.strip() else 'no readable text in its first line'}; "
            "save it so"
        )
    if b"\n" not in body:
        raise SchemaError(f"{where}: at least one row below the header is required; found none")
    try:
        names, separator = _columns(header)
    except csv.Error as error:
        raise SchemaError(f"{where}: the header cannot be read ({error}); correct it") from None
    stamp, values, ignored = _choose(names, kind, where)
    types = {stamp: pa.string()} | dict.fromkeys(values, pa.float64())
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(body),
            read_options=arrow_csv.ReadOptions(
                column_names=names, skip_rows=1, use_threads=False, block_size=1 << 22
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=separator, ignore_empty_lines=False),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=list(_UNDEFINED),
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        raise SchemaError(f"{where}: {_explain(str(error), list(names))}") from None
    return _frame(table, stamp), ignored


def _columns(header: str) -> tuple[list[str], str]:
    """Names of the columns, and the separator between them: the first that sets a stamp apart."""
    split = {
        separator: [name.strip() for name in next(csv.reader([header], delimiter=separator))]
        for separator in _SEPARATORS
    }
    chosen = next(
        (
            separator
            for separator in _SEPARATORS
            if any(name in split[separator] for name in _STAMPS)
        ),
        ",",
    )
    return split[chosen], chosen


def _explain(message: str, names: list[str]) -> str:
    """Say where pyarrow's CSV reader stopped in the words of this project."""
    cell = re.search(r"CSV column #(\d+): Row #(\d+): .*invalid value '(.*)", message, re.DOTALL)
    if cell:
        column, line, value = names[int(cell[1])], int(cell[2]), cell[3].rstrip("'\n")[:40]
        return (
            f"row {line - 1} (line {line}) has {column} = {value!r}; "
            "a number such as 0.5, or an empty cell, is required; correct it or remove the column"
        )
    ragged = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message)
    if ragged:
        line = int(ragged[1])
        return (
            f"row {line - 1} (line {line}) must have {ragged[2]} cells as the header does; "
            f"got {ragged[3]}; correct or remove it"
        )
    return f"the file cannot be read as CSV ({message.splitlines()[0]}); correct it"


def _from_table(data: bytes, kind: str, where: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    import pyarrow as pa
    from pyarrow import feather, parquet

    word = where.rsplit(".", 1)[1]
    try:
        if word == "parquet":
            table = parquet.read_table(pa.BufferReader(data))
        else:
            table = feather.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise SchemaError(
            f"{where}: this is no readable {word} ({reason}); write it again"
        ) from None
    stamp, values, ignored = _choose(table.column_names, kind, where)
    for name in values:
        kind_of_cell = table.schema.field(name).type
        if not (pa.types.is_integer(kind_of_cell) or pa.types.is_floating(kind_of_cell)):
            raise SchemaError(
                f"{where}: column {name} must hold numbers; it holds {kind_of_cell}; "
                "convert or remove it"
            )
    return _frame(table.select([stamp, *values]), stamp), ignored


def _frame(table: pyarrow.Table, stamp: str) -> pd.DataFrame:
    frame: pd.DataFrame = table.replace_schema_metadata(None).to_pandas()
    return frame.set_index(stamp)


def _stamps_of(
    raw: pd.DataFrame, where: str, unit: StampUnit | None, header_lines: int | None
) -> pd.DatetimeIndex:
    """Turn the raw index into stamps with a zone."""
    index = raw.index
    if isinstance(index, pd.DatetimeIndex):
        return index
    if pd.api.types.is_integer_dtype(index.dtype):
        texts = pd.Series(index.astype("str"))
    elif index.inferred_type == "string":
        texts = pd.Series(index)
    else:
        raise SchemaError(f"{where}: {index.name} must hold time stamps; it holds {index.dtype}")

    def refuse(wrong: Any, why: str) -> None:
        rows = np.flatnonzero(wrong)
        if len(rows):
            row = int(rows[0])
            line = f" (line {row + 1 + header_lines})" if header_lines is not None else ""
            value = "nothing" if pd.isna(texts[row]) else repr(texts[row][:40])
            raise SchemaError(f"{where}: row {row + 1}{line} has {index.name} = {value}; {why}")

    refuse(texts.isna(), "every row needs a stamp; remove it or restore its stamp")
    if unit is not None:
        refuse(~texts.str.fullmatch(_WHOLE), f"whole numbers of {unit} are required; {_ZONE_MEND}")
        counts = texts.astype("int64").to_numpy()
        refuse(np.abs(counts) > _FARTHEST * _PER_SECOND[unit], _YEARS)
        return _in_range(pd.to_datetime(counts, unit=unit, utc=True), refuse)
    zoned = texts.str.fullmatch(_ZONED)
    if not zoned.all():
        whole = texts.str.fullmatch(_WHOLE)
        refuse(whole, "what it counts is not said; give --stamp-unit s, ms or us")
        refuse(texts.str.fullmatch(_NAIVE), f"a time zone is required; {_ZONE_MEND}")
        refuse(~zoned, f"a time stamp is required; {_ZONE_MEND}")
    parsed = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    refuse(parsed.isna(), "there is no such day or time; correct it")
    return _in_range(pd.DatetimeIndex(parsed), refuse)


def _in_range(stamps: pd.DatetimeIndex, refuse: Any) -> pd.DatetimeIndex:
    years = stamps.year
    refuse((years < 1700) | (years > 2200), _YEARS)
    return stamps


def content(path: Path) -> tuple[bytes, str]:
    """Bytes of a file, and their sha256.

    Raises NotStoredError if there is no such file; SchemaError if it cannot be read, or is a folder
    or a device.
    """
    try:
        if path.exists() and not path.is_file():
            raise SchemaError(
                f"{path} must be a file; it is a folder or a device; give the path of a file"
            )
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotStoredError(f"there is no file {path}; give the path of an existing one") from None
    except OSError as error:
        raise SchemaError(
            f"{path}: the file cannot be read ({error.strerror}); give a readable file"
        ) from None
    return data, hashlib.sha256(data).hexdigest()


def name_of(path: Path) -> str:
    """Name of a file, without its folder, as text that can be stored and printed anywhere."""
    return path.name.encode("utf-8", "backslashreplace").decode()
