"""Rows of a stored data set: the parts that hold them, read on several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pandas as pd

from delever.data.disk import Disk
from delever.data.manifest import Manifest, Part
from delever.data.parts import assemble, decode
from delever.data.remote import Remote
from delever.errors import StoreError
from delever.frames import Kind, kind_of

if TYPE_CHECKING:
    import pyarrow

__all__ = ["PartMissingError", "read_rows"]

_READERS = 4


class PartMissingError(StoreError):
    """A part that a manifest names is not there: lost, or replaced since the manifest was read."""


def read_rows(
    disk: Disk | Remote,
    manifest: Manifest,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Read what a manifest names.

    Raises
    ------
    PartMissingError
        If a part is not there.
    StoreError
        If a part is damaged, or is not what the manifest says.
    """
    kind = kind_of(manifest.reference.kind)
    parts = [
        part
        for part in manifest.parts
        if (start is None or part.end >= start) and (end is None or part.start < end)
    ]
    with ThreadPoolExecutor(min(_READERS, max(1, len(parts)))) as pool:
        tables = list(pool.map(lambda part: _table(disk, manifest, kind, part), parts))
    frame = assemble(tables, kind, manifest.columns)
    index = pd.DatetimeIndex(frame.index)
    first = 0 if start is None else int(index.searchsorted(start))
    last = len(index) if end is None else int(index.searchsorted(end))
    return frame if (first, last) == (0, len(index)) else frame.iloc[first:last]


def _table(disk: Disk | Remote, manifest: Manifest, kind: Kind, part: Part) -> pyarrow.Table:
    folder = manifest.reference.folder
    name = f"{folder}/{part.name}"
    try:
        data = disk.read(name)
    except FileNotFoundError:
        raise PartMissingError(
            f"{name} is missing; remove the store's folder {folder} and import again"
        ) from None
    table = decode(data, kind, manifest.columns, name)
    stamps = table.column(kind.index)
    span = [stamps[row].value for row in (0, -1)] if len(stamps) else []
    if len(stamps) != part.rows or span != [part.start.value, part.end.value]:
        raise StoreError(
            f"{name} must hold {part.rows} rows from {part.start} to {part.end}; it holds "
            f"{len(stamps)}; remove the store's folder {folder} and import again"
        )
    return table
