"""Rows from files: CSV, gzipped CSV, Parquet and Feather, in the stored form of their kind."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from delever.data.bounds import LARGEST_FILE, joined, pieces
from delever.data.layout import PLAIN, TIMESTAMP, Layout, plain_name, proposal
from delever.data.naming import check_names, check_symbol, check_venue
from delever.data.rhythm import check_timeframe, timeframe_of
from delever.data.stamps import stamps_of
from delever.data.text_table import TextTable, open_text, text_of
from delever.errors import NotStoredError, SchemaError
from delever.frames import validate
from delever.kinds import kind_of

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".feather")
_SYMBOLS = ("symbol", "pair", "ticker", "instrument", "asset", "market")
_VENUES = ("exchange", "venue")
"""Columns that say whose rows these are, and from where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRows:
    """What a file held."""

    frame: pd.DataFrame  # shape (n, k): rows in the stored form of their kind
    timeframe: str  # as it was said, or that of the rows
    ignored: tuple[str, ...]  # columns of the file that its kind has no use for
    name: str  # the file's name, without its folder
    sha256: str  # of the file's bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRows:
    """Columns of a file under our names, before they are held against the contract."""

    frame: pd.DataFrame  # shape (n, k), indexed in UTC, in the file's order
    ignored: tuple[str, ...]
    symbols: tuple[str, ...]  # whose rows these are, where a column says so
    venues: tuple[str, ...]  # and from where
    header_lines: int | None  # lines above the first row; None in a table


def read_file(
    path: Path,
    kind: str,
    timeframe: str | None,
    *,
    symbol: str = "",
    venue: str = "",
    layout: Layout = PLAIN,
) -> FileRows:
    """Read a file and check it against what is said of it and the contract of its kind.

    Raises NotStoredError if there is no such file; SchemaError if it is not what its name says, or
    of another timeframe or symbol than was said, or a row breaks the contract.
    """
    where = name_of(path)
    if not where.lower().endswith(SUFFIXES):
        raise SchemaError(
            f"a file must end in {', '.join(SUFFIXES)}; got {str(path)!r}; convert it"
        )
    data, digest = content(path)
    if where.lower().endswith((".csv", ".csv.gz")):
        text = unzipped(data, where) if where.lower().endswith(".gz") else data
        rows = text_rows(text, where, kind, layout)
    else:
        rows = _table_rows(data, kind, where, layout)
    for one in rows.symbols:
        check_symbol(one, symbol, where)
    for one in rows.venues:
        check_venue(one, venue, where)
    check_names(where, symbol, venue)
    index = pd.DatetimeIndex(rows.frame.index)
    if timeframe is None:
        timeframe = timeframe_of(index, kind, where)
    check_timeframe(index, kind, timeframe, where)
    frame = validate(rows.frame, kind, timeframe, where=where, header_lines=rows.header_lines)
    return FileRows(
        frame=frame, timeframe=timeframe, ignored=rows.ignored, name=where, sha256=digest
    )


def text_rows(data: bytes, where: str, kind: str, layout: Layout) -> RawRows:
    """Read a text file by a layout, in the order it has.

    Raises SchemaError if a column is missing or written twice, a cell is no number, a stamp is
    none, or the last line may have been cut.
    """
    table = open_text(
        data,
        where,
        is_header=lambda names: bool(layout.stamp_columns(names)),
        names=layout.header,
        separator=layout.separator,
        above=layout.above,
    )
    first = _first_row(table)
    chosen = _choose(table.names, kind, where, layout, first, table.separator)
    texts = [*chosen.stamps, *chosen.symbols, *chosen.venues]
    raw = table.read(texts, list(chosen.values.values()), decimal=layout.decimal)
    stamp, others = raw[chosen.stamps[0]], raw[list(chosen.stamps[1:])]
    joined = stamp if others.empty else stamp.str.cat(others, sep=" ")
    index = pd.Index(joined, name=chosen.stamps[0])
    stamps = stamps_of(index, layout.stamps, where, header_lines=table.header_lines)
    return RawRows(
        frame=_values(raw, chosen).set_axis(stamps, axis=0),
        ignored=chosen.ignored,
        symbols=_distinct(raw, chosen.symbols),
        venues=_distinct(raw, chosen.venues),
        header_lines=table.header_lines,
    )


def text_content(path: Path) -> tuple[bytes, str]:
    """Text of a file in UTF-8, unpacked where it ends in .gz, and the sha256 of its bytes.

    Raises NotStoredError or SchemaError as `content`, and SchemaError if it is no text.
    """
    data, digest = content(path)
    where = name_of(path)
    text = unzipped(data, where) if where.lower().endswith(".gz") else data
    return text_of(text, where).encode(), digest


def unzipped(data: bytes, where: str) -> bytes:
    """What gzip has packed. Raises SchemaError if it is damaged, or too large once unpacked."""
    try:
        with gzip.open(io.BytesIO(data)) as packed:
            return joined(pieces(packed), LARGEST_FILE, where)
    except (OSError, EOFError, zlib.error) as error:
        raise SchemaError(
            f"{where}: the gzip stream is damaged or cut short ({error}); fetch the file again"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """Which columns of a file are read."""

    stamps: tuple[str, ...]
    values: dict[str, str]  # from our names to the file's
    undefined: tuple[str, ...]  # of our names, those that the source has nothing for
    copied: tuple[str, ...]  # those that the only value of a row stands for, too
    symbols: tuple[str, ...]
    venues: tuple[str, ...]
    ignored: tuple[str, ...]


def _choose(
    names: Sequence[str],
    kind: str,
    where: str,
    layout: Layout,
    first: dict[str, str],
    separator: str,
) -> _Chosen:
    """Find the columns of stamps and values among those of a file."""
    found = ", ".join(name or "(unnamed)" for name in names)[:200]
    mend = "is it a file of this layout?"
    if not layout.columns:
        mend = (
            "rename them, or write the next line into layout.toml, correct it and give "
            f"--from layout.toml: {proposal(names, first, kind, separator)}"
        )
    stamps = layout.stamp_columns(names)
    if not stamps:
        asked = layout.columns.get(TIMESTAMP)
        what = f"the column {' and '.join(asked)}" if asked else "one column timestamp or open_time"
        raise SchemaError(f"{where}: {what} is required; found {found}; {mend}")
    required = kind_of(kind).columns
    plain = {plain_name(name) for name in names}
    if "" in names or (len(plain) < len(names) and not layout.columns):
        raise SchemaError(
            f"{where}: every column needs a name of its own, whatever its case; found {found}; "
            "rename"
        )
    texts = [name for name in names if required or not _number(first.get(name, ""))]
    symbols = tuple(name for name in texts if plain_name(name) in _SYMBOLS)
    venues = tuple(name for name in texts if plain_name(name) in _VENUES)
    others = [name for name in names if name not in (*stamps, *symbols, *venues)]
    values, undefined, copied = _value_columns(names, others, kind, layout, (where, found, mend))
    used = (*stamps, *values.values())
    both = [name for name in values.values() if name in (*stamps, *symbols, *venues)]
    if both:
        raise SchemaError(
            f"{where}: {both[0]} is said to hold numbers, and stamps or names too; correct "
            "the layout"
        )
    ignored = tuple(name for name in names if name not in used)
    return _Chosen(
        stamps=stamps,
        values=values,
        undefined=undefined,
        copied=copied,
        symbols=symbols,
        venues=venues,
        ignored=ignored,
    )


def _value_columns(
    names: Sequence[str], others: Sequence[str], kind: str, layout: Layout, said: Sequence[str]
) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """Our names of values with the file's, those it has nothing for, those its one value is too."""
    required = kind_of(kind).columns
    where, found, mend = said
    undefined: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    wanted = required or tuple(name for name in layout.columns if name != TIMESTAMP)
    if not wanted:
        if not others:
            raise SchemaError(
                f"{where}: a {kind} needs a column beside its stamps; found {found}; add one"
            )
        return {name: name for name in others}, undefined, copied
    columns = {ours: layout.value_column(names, ours) for ours in wanted}
    values = {ours: theirs for ours, theirs in columns.items() if theirs is not None}
    undefined = tuple(ours for ours in wanted if layout.columns.get(ours) == ())
    missing = [ours for ours in wanted if ours not in (*values, *undefined)]
    one_value = len(required) == 1 or kind_of(kind).of_currency
    if missing and len(others) == 1 and one_value and not layout.columns:
        values, missing, copied = {wanted[0]: others[0]}, [], tuple(wanted[1:])
    if missing:
        raise SchemaError(
            f"{where}: {kind} needs the columns {', '.join(wanted)}; missing "
            f"{', '.join(missing)}; found {found}; {mend}"
        )
    return values, undefined, copied


def _values(raw: pd.DataFrame, chosen: _Chosen) -> pd.DataFrame:
    values = raw[list(chosen.values.values())].set_axis(list(chosen.values), axis=1)
    for name in chosen.copied:
        values = values.assign(**{name: values.iloc[:, 0]})
    return values.assign(**dict.fromkeys(chosen.undefined, float("nan")))


def _first_row(table: TextTable) -> dict[str, str]:
    """Cells of the first row by column, for what they look like."""
    line = table.body.partition(b"\n")[0].decode()
    try:
        cells = next(csv.reader([line], delimiter=table.separator), [])
    except csv.Error:
        return {}  # reading it says what is wrong
    return {name: cell.strip() for name, cell in zip(table.names, cells, strict=False)}


def _number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def _distinct(raw: pd.DataFrame, columns: Sequence[str]) -> tuple[str, ...]:
    found = (str(one) for name in columns for one in raw[name].dropna().unique()[:5].tolist())
    return tuple(one for one in found if not _number(one))


def _counts(cell: pyarrow.DataType) -> bool:
    """Whether cells of a table are numbers or stamps."""
    import pyarrow as pa

    types = pa.types
    return bool(types.is_integer(cell) or types.is_floating(cell) or types.is_temporal(cell))


def _table_rows(data: bytes, kind: str, where: str, layout: Layout) -> RawRows:
    import pyarrow as pa
    from pyarrow import feather, parquet

    word = where.rsplit(".", 1)[1].lower()
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
    typed = {name: table.schema.field(name).type for name in table.column_names}
    first = {name: "text" for name, one in typed.items() if not _counts(one)}
    chosen = _choose(table.column_names, kind, where, layout, first, ",")
    for name in chosen.values.values():
        if not (pa.types.is_integer(typed[name]) or pa.types.is_floating(typed[name])):
            raise SchemaError(
                f"{where}: column {name} must hold numbers; it holds {typed[name]}; convert or "
                "remove it"
            )
    read = dict.fromkeys([*chosen.stamps, *chosen.symbols, *chosen.venues, *chosen.values.values()])
    raw: pd.DataFrame = table.select(list(read)).replace_schema_metadata(None).to_pandas()
    if len(chosen.stamps) > 1:
        raise SchemaError(f"{where}: one column of stamps is required in a table; join them")
    index = pd.Index(raw[chosen.stamps[0]], name=chosen.stamps[0])
    stamps = stamps_of(index, layout.stamps, where, header_lines=None)
    return RawRows(
        frame=_values(raw, chosen).set_axis(stamps, axis=0),
        ignored=chosen.ignored,
        symbols=_distinct(raw, chosen.symbols),
        venues=_distinct(raw, chosen.venues),
        header_lines=None,
    )


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
