"""Rows as bytes: the Parquet parts of a data set, and the id of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from delever.errors import StoreError
from delever.kinds import Kind
from delever.units import timeframe_delta

if TYPE_CHECKING:
    import pyarrow


def content_id(frame: pd.DataFrame, timeframe: str) -> str:
    """Name of a frame's content, however it came together."""
    index = pd.DatetimeIndex(frame.index)
    ids = {period: rows_id(frame.iloc[rows]) for period, rows in periods(index, timeframe).items()}
    return combined_id(tuple(frame.columns), ids)


def combined_id(columns: Sequence[str], ids: Mapping[str, str]) -> str:
    """Id of a data set from those of its parts; `docs/data.md` says how."""
    lines = "".join(f"{period} {name}\n" for period, name in ids.items())
    return hashlib.sha256((json.dumps(sorted(columns)) + lines).encode()).hexdigest()


def rows_id(frame: pd.DataFrame) -> str:
    """Name of the content of one part; `docs/data.md` says how."""
    names = sorted(frame.columns)
    digest = hashlib.sha256(json.dumps(names).encode())
    digest.update(pd.DatetimeIndex(frame.index).as_unit("ns").asi8.astype("<i8").tobytes())
    for name in names:
        digest.update(frame[name].to_numpy().astype("<f8").tobytes())
    return digest.hexdigest()


def periods(index: pd.DatetimeIndex, timeframe: str) -> dict[str, slice]:
    """Rows of each part."""
    if index.empty:
        return {}
    daily = timeframe_delta(timeframe) >= pd.Timedelta(days=1)
    days = index.as_unit("ns").asi8.view("M8[ns]")
    stretches = days.astype("M8[Y]" if daily else "M8[M]")
    starts = np.flatnonzero(np.concatenate(([True], stretches[1:] != stretches[:-1])))
    ends = [*starts[1:].tolist(), len(index)]
    return {
        str(stretches[start]): slice(start, end)
        for start, end in zip(starts.tolist(), ends, strict=True)
    }


def encode(frame: pd.DataFrame) -> bytes:
    """Write rows as Parquet."""
    import pyarrow as pa
    from pyarrow import parquet

    name = str(frame.index.name)
    stamps = pa.array(pd.DatetimeIndex(frame.index).asi8).cast(pa.timestamp("ns", tz="UTC"))
    # NaN stays NaN: a null would cost a copy for every column read.
    columns = [pa.array(frame[column].to_numpy(), from_pandas=False) for column in frame.columns]
    table = pa.Table.from_arrays([stamps, *columns], schema=_layout(name, frame.columns))
    sink = pa.BufferOutputStream()
    parquet.write_table(
        table,
        sink,
        compression="zstd",
        use_dictionary=False,
        column_encoding={name: "DELTA_BINARY_PACKED"},
        write_page_checksum=True,
    )
    return bytes(sink.getvalue().to_pybytes())


def _layout(index: str, columns: Iterable[str]) -> pyarrow.Schema:
    """Columns of a part; none may be null, which also makes reading them cheaper."""
    import pyarrow as pa

    stamps = pa.field(index, pa.timestamp("ns", tz="UTC"), nullable=False)
    return pa.schema([stamps, *(pa.field(name, pa.float64(), nullable=False) for name in columns)])


def decode(data: bytes, kind: Kind, columns: tuple[str, ...], where: str) -> pyarrow.Table:
    """Read rows from Parquet. Raises StoreError if the bytes are damaged or hold other columns."""
    import pyarrow as pa
    from pyarrow import parquet

    expected = _layout(kind.index, columns)
    try:
        file = parquet.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        table = file.read(use_threads=False)
        found = ", ".join(f"{field.name} {field.type}" for field in table.schema)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(
            f"{where} is damaged ({reason}); remove its folder and import again"
        ) from None
    if not table.schema.equals(expected):
        raise StoreError(f"{where} must hold {', '.join(expected.names)}; it holds {found}")
    return table


def read_table(path: Path) -> pd.DataFrame:
    """A table that pandas wrote as Parquet.

    `pandas.read_parquet` gives the same, and imports pyarrow's data sets first: 0.1 s of CPU.
    """
    from pyarrow import parquet

    table: pd.DataFrame = parquet.ParquetFile(path).read(use_threads=False).to_pandas()
    return table


def assemble(tables: Sequence[pyarrow.Table], kind: Kind, columns: tuple[str, ...]) -> pd.DataFrame:
    """Put decoded parts together."""
    import pyarrow as pa

    rows = sum(table.num_rows for table in tables)
    values = np.empty((len(columns), rows))
    stamps = np.empty(rows, dtype="int64")
    end = 0
    for table in tables:
        start, end = end, end + table.num_rows
        stamps[start:end] = table.column(kind.index).cast(pa.int64()).to_numpy()
        for row, name in enumerate(columns):
            values[row, start:end] = table.column(name).to_numpy()
    index = pd.DatetimeIndex(stamps.view("M8[ns]")).tz_localize("UTC").rename(kind.index)
    return pd.DataFrame(values.T, index=index, columns=list(columns), copy=False)
