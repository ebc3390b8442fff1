"""Files of other programs and vendors: what is asked of a reader of them, and its tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from delever.data.references import Reference
from delever.data.rhythm import timeframe_of
from delever.data.text_table import open_text
from delever.errors import ConfigError, SchemaError


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDescription:
    """What whoever imports a file says of it; None where it is left to the file."""

    venue: str  # where the rows come from, as in a reference
    kind: str | None = None
    symbol: str | None = None
    timeframe: str | None = None
    timezone: str | None = None  # of stamps that carry none, by its name in the tz database

    def reference(self) -> Reference:
        """Name of the data set, bars of a day unless it is said otherwise.

        Raises ConfigError if there is no symbol.
        """
        if self.symbol is None:
            raise ConfigError(
                "--symbol is required, such as BTC/USD, where neither the file nor its name say it"
            )
        return Reference(
            venue=self.venue,
            kind="ohlcv" if self.kind is None else self.kind,
            symbol=self.symbol,
            timeframe="1d" if self.timeframe is None else self.timeframe,
        )

    def no_timezone(self, vendor: str) -> None:
        """Refuse a time zone where stamps say their own. Raises ConfigError."""
        if self.timezone is not None:
            raise ConfigError(f"files of {vendor} are stamped in UTC; leave --timezone out")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """Rows of a file under the name they are to have."""

    reference: Reference  # what the data set is to be called
    # indexed in UTC, in the order of time. It is held against the contract of its kind when
    # it is stored, so a reader need not check prices or repeated stamps
    frame: pd.DataFrame
    # where the rows come from, JSON-able: a file's name and sha256
    provenance: Mapping[str, object]
    notes: tuple[str, ...] = ()  # what a reader of results must be told, one line each
    ignored: tuple[str, ...] = ()  # columns of the file that the kind has no use for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileContents:
    """Everything a file or a folder held."""

    found: tuple[Found, ...]  # one for each data set
    left: tuple[str, ...] = ()  # files that were left alone, and why, one line each
    # files that should have been read and could not, one sentence each
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A layout of files that can be imported.

    Attributes
    ----------
    name : str
        Its word after ``delever data import --from``.
    reads : str
        What may be given: "a CSV of Yahoo".
    read : callable
        ``(path, description) -> FileContents``. Raises `NotStoredError` where there is no such
        file, `SchemaError` where it is of another layout or damaged, `InputError` where the
        description does not fit it. `one_set` makes one from ``(path, reference) -> Found``.
    folders : bool
        Whether `read` takes a folder; otherwise it is given the files of one.

    Examples
    --------
    >>> def read_ticks(path: Path, reference: Reference) -> Found:
    ...     text = path.read_text()
    ...     table = frame_of(text, path.name, needs=("day", "open", "high", "low", "close"))
    ...     days = pd.DatetimeIndex(pd.to_datetime(table.pop("day"), utc=True))
    ...     bars = numbers(table, path.name).assign(volume=float("nan")).set_axis(days, axis=0)
    ...     return Found(reference=reference, frame=bars, provenance={"file": path.name})
    >>> VENDORS = (Vendor(name="ticks", reads="a CSV of Ticks Ltd", read=one_set(read_ticks)),)
    """

    name: str
    reads: str
    read: Callable[[Path, FileDescription], FileContents]
    folders: bool = False


def one_set(
    read: Callable[[Path, Reference], Found],
) -> Callable[[Path, FileDescription], FileContents]:
    """Make a vendor's `read` from a reader of one data set, whose name the user says.

    Where no timeframe was said, the reader is told ``1d`` and the stamps that it returns decide.
    """

    def read_one(path: Path, said: FileDescription) -> FileContents:
        said.no_timezone("this layout")
        found = read(path, said.reference())
        if said.timeframe is None:
            index = pd.DatetimeIndex(found.frame.index)
            own = timeframe_of(index, found.reference.kind, path.name)
            found = replace(found, reference=replace(found.reference, timeframe=own))
        return FileContents(found=(found,))

    return read_one


def frame_of(text: str, where: str, *, needs: Sequence[str] = ()) -> pd.DataFrame:
    """Read CSV text with a header, every cell as it stands, empty where it is ``nan`` or ``null``.

    Raises SchemaError if it is no CSV, holds no row, lacks a column, or its last line may have been
    cut.
    """
    table = open_text(text.encode(), where, is_header=lambda names: set(needs) <= set(names))
    missing = [name for name in needs if name not in table.names]
    if missing:
        raise SchemaError(
            f"{where} needs the columns {', '.join(missing)}; found "
            f"{', '.join(table.names)[:200]}; is it of another kind?"
        )
    return table.read(table.names, []).fillna("")


def numbers(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Turn cells into numbers; empty cells, ``nan`` and ``null`` are undefined.

    Raises SchemaError if a cell holds anything else.
    """
    columns = {}
    for name in table.columns:
        texts = table[name].astype("str").str.strip()
        undefined = texts.str.lower().isin(("", "nan", "null"))
        try:
            columns[name] = [
                float("nan") if empty else float(cell)
                for cell, empty in zip(texts, undefined, strict=True)
            ]
        except ValueError:
            wrong = pd.to_numeric(texts.mask(undefined), errors="coerce").isna() & ~undefined
            row = int(wrong.to_numpy().argmax())
            raise SchemaError(
                f"{where}: row {row + 1} has {name} = {texts.iloc[row][:40]!r}; a number is "
                "required; correct it or fetch the file again"
            ) from None
    return pd.DataFrame(columns, index=table.index, dtype="float64")
