"""Columns of all combinations of a sweep, from memory or from the files they were stored in."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delever.arguments import Rows
from delever.engine.sweep_metrics import PART_SUMS
from delever.errors import InputError, StoreError
from delever.report.pages.sweep_page import SHOWN
from delever.report.sweep_words import COMPARED

_SUM = re.compile(rf"(block|before|after|period|near)_.+_({'|'.join(PART_SUMS)})")

LARGE = 100_000
"""A sweep of more combinations keeps the columns of its page in memory, others on the disk."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweptColumns:
    """A row per combination, in order; a column is read when it is asked for."""

    frame: pd.DataFrame | None = None  # in memory
    files: Sequence[Path] = ()  # else: Parquet, one after the other

    @property
    def names(self) -> list[str]:
        """Of all columns, in order."""
        if self.frame is not None:
            return [str(name) for name in self.frame]
        from pyarrow.parquet import read_schema

        if not self.files:
            raise StoreError(
                "columns beside the frame lie in the folder chunks of a sweep; there is none: run "
                "it with --fresh"
            )
        with _readable(self.files[0]):
            return [name for name in read_schema(self.files[0]).names if name[:2] != "__"]

    @property
    def sums(self) -> list[str]:
        """Names of the sums over parts of the time."""
        return [name for name in self.names if _SUM.fullmatch(name)]

    def small(self, axes: Sequence[str], rows: int) -> list[str]:
        """Names of those that are kept in memory: all but sums, of a large sweep those shown."""
        left = {*self.sums}
        if rows <= LARGE:
            return [name for name in self.names if name not in left]
        said = ("start", "first_decision", "error", *COMPARED, *SHOWN)
        return [name for name in self.names if name in (*axes, *said)]

    def read(self, names: Sequence[str], rows: Rows | None = None) -> pd.DataFrame:
        """Some columns, of all combinations or of some in order.

        Raises InputError if there is no such column; StoreError if a file cannot be read.
        """
        there = self.names
        if missing := [name for name in names if name not in there]:
            raise InputError(
                f"a column must be one of {', '.join(there)}; got {', '.join(missing)}"
            )
        if self.frame is not None:
            found = self.frame[list(names)]
            return found if rows is None else found.iloc[rows].reset_index(drop=True)
        import pyarrow as pa

        parts: list[Any] = []
        begin = 0
        for file in self.files:
            part = _table(file, names)
            if rows is not None:
                first, last = np.searchsorted(rows, [begin, begin + len(part)])
                begin += len(part)
                part = part.take(rows[first:last] - (begin - len(part)))
            parts.append(part)
        whole: pd.DataFrame = pa.concat_tables(parts).to_pandas(self_destruct=True)
        return whole.reset_index(drop=True)


def _table(file: Path, names: Sequence[str]) -> Any:
    from pyarrow.parquet import read_table

    with _readable(file):
        return read_table(file, columns=list(names))


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    from pyarrow import ArrowException

    try:
        yield
    except (OSError, ValueError, ArrowException) as error:
        raise StoreError(f"{file} must be readable; {error}; run the sweep with --fresh") from None


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """A frame as a Parquet file; numbers are kept byte by byte, which packs and reads fastest."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    numbers = [str(name) for name in frame if frame[name].dtype.kind == "f"]
    rest = [str(name) for name in frame if str(name) not in numbers]
    buffer = io.BytesIO()
    write_table(
        pa.Table.from_pandas(frame),
        buffer,
        compression="zstd",
        compression_level=1,
        use_dictionary=rest,
        use_byte_stream_split=numbers,
        write_statistics=False,
    )
    return buffer.getvalue()
