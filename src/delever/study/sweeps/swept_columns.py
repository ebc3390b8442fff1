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

from delever.arguments import Floats, Rows
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
        kept = [name for name in self.names if not _SUM.fullmatch(name)]
        if rows <= LARGE:
            return kept
        said = ("start", "first_decision", "error", *COMPARED, *SHOWN)
        return [name for name in kept if name in (*axes, *said)]

    def read(self, names: Sequence[str], rows: Rows | None = None) -> pd.DataFrame:
        """Some columns, of all combinations or of some in order.

        Raises InputError if there is no such column; StoreError if a file cannot be read.
        """
        if self.frame is not None:
            _check_there(names, self.names)
            found = self.frame[list(names)]
            return found if rows is None else found.iloc[rows].reset_index(drop=True)
        import pyarrow as pa

        whole: pd.DataFrame = pa.concat_tables(self._parts(names, rows)).to_pandas()
        return whole.reset_index(drop=True)

    def numbers(self, names: Sequence[str], rows: Rows | None = None) -> Floats:
        """The same as an array, of columns that are numbers."""
        if self.frame is not None:
            return self.read(names, rows).to_numpy(dtype=np.float64)
        parts = [
            batch.to_tensor(null_to_nan=True).to_numpy()
            for part in self._parts(names, rows)
            for batch in part.to_batches()
        ]
        return np.concatenate(parts).astype(np.float64, copy=False)

    def _parts(self, names: Sequence[str], rows: Rows | None) -> list[Any]:
        """Tables of Arrow, one a file."""
        parts, begin = [], 0
        for file in self.files:
            part = found = _table(file, names)
            if rows is not None:
                first, last = np.searchsorted(rows, [begin, begin + len(part)])
                if last - first < len(part):
                    part = part.take(rows[first:last] - begin)
                begin += found.num_rows
            parts.append(part)
        return parts


def _check_there(names: Sequence[str], there: Sequence[str]) -> None:
    if missing := [name for name in names if name not in there]:
        raise InputError(f"a column must be one of {', '.join(there)}; got {', '.join(missing)}")


def _table(file: Path, names: Sequence[str]) -> Any:
    from pyarrow.parquet import ParquetFile

    with _readable(file), ParquetFile(file) as found:
        _check_there(names, [name for name in found.schema_arrow.names if name[:2] != "__"])
        # Its threads and its data set's machinery take longer than one file of a few columns does.
        return found.read(list(names), use_threads=False)


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

    kinds = {str(name): dtype.kind for name, dtype in frame.dtypes.items()}
    numbers = [name for name, kind in kinds.items() if kind == "f"]
    rest = [name for name in kinds if name not in numbers]
    block = frame[numbers].to_numpy().T
    held = dict(zip(numbers, map(pa.array, block), strict=True))
    held |= {name: pa.array(frame[name]) for name in rest}
    buffer = io.BytesIO()
    write_table(
        pa.table({name: held[name] for name in kinds}),
        buffer,
        compression="lz4",
        use_dictionary=rest,
        use_byte_stream_split=numbers,
        write_statistics=False,
    )
    return buffer.getvalue()
