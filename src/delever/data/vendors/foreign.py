"""Files of other programs and vendors: what is asked of a reader of them, and its tools."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from delever.data.references import Reference
from delever.errors import ConfigError, SchemaError


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDescription:
    """What whoever imports a file says of it; None where it is left to the file."""

    venue: str  # where the rows come from, as in a reference
    kind: str | None = None
    symbol: str | None = None
    timeframe: str | None = None

    def reference(self) -> Reference:
        """Name of the data set, bars of a day unless it is said otherwise.

        Raises ConfigError if there is no symbol.
        """
        if self.symbol is None:
            raise ConfigError(
                "--symbol is required, such as BTC/USD; only freqtrade's files say it"
            )
        return Reference(
            venue=self.venue,
            kind="ohlcv" if self.kind is None else self.kind,
            symbol=self.symbol,
            timeframe="1d" if self.timeframe is None else self.timeframe,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """Rows of a file under the name they are to have.

    Attributes
    ----------
    reference : Reference
        What the data set is to be called.
    frame : pandas.DataFrame, shape (n, k)
        Indexed in UTC, in the order of time. It is held against the contract of its kind when
        it is stored, so a reader need not check prices or repeated stamps.
    provenance : mapping of str to object
        Where the rows come from, JSON-able: a file's name and sha256.
    notes : tuple of str
        What a reader of results must be told, one line each.
    """

    reference: Reference
    frame: pd.DataFrame
    provenance: Mapping[str, object]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileContents:
    """Everything a file or a folder held.

    Attributes
    ----------
    found : tuple of Found
        One for each data set.
    left : tuple of str
        Files that were left alone, and why, one line each.
    """

    found: tuple[Found, ...]
    left: tuple[str, ...] = ()


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


def one_set(
    read: Callable[[Path, Reference], Found],
) -> Callable[[Path, FileDescription], FileContents]:
    """Make a vendor's `read` from a reader of one data set, whose name the user says."""
    return lambda path, said: FileContents(found=(read(path, said.reference()),))


def frame_of(
    text: str, where: str, *, needs: Sequence[str] = (), header: int | None = 0
) -> pd.DataFrame:
    """Read CSV text, every cell as it stands.

    Raises SchemaError if it is no CSV, holds no row, or lacks a column.
    """
    try:
        table: pd.DataFrame = pd.read_csv(
            io.StringIO(text), header=header, dtype="str", keep_default_na=False
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SchemaError(f"{where} cannot be read as CSV ({error}); fetch it again") from None
    missing = [name for name in needs if name not in table.columns]
    if missing or table.empty:
        found = ", ".join(map(str, table.columns))
        what = f"the columns {', '.join(missing)}" if missing else "rows"
        raise SchemaError(f"{where} needs {what}; found {found[:200]}; is it of another kind?")
    return table


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
