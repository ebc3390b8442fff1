"""The store: data sets as immutable Parquet parts under one manifest each.

::

    bitstamp/ohlcv/BTC%2FUSD/1d/dataset.json
                                2011-0b54f1c2.parquet      a year each; a month below one day

A write puts new parts beside the old ones, then replaces the manifest at once, then removes what
the manifest no longer names. A crash between leaves the old data set and files nobody names; the
next write removes those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from delever.bars import gaps
from delever.data.coverage import CoverageSpan, claimed
from delever.data.disk import Disk
from delever.data.manifest import Manifest, Part
from delever.data.merge import joined, new_rows, same_columns, same_lag, same_volume
from delever.data.parts import encode, periods, rows_id
from delever.data.reader import PartMissingError, read_rows
from delever.data.references import Dataset, Reference, default_lag
from delever.data.remote import Remote
from delever.errors import NotStoredError, StoreError

__all__ = ["Store", "StoreChange", "no_rows"]

_MANIFEST = "dataset.json"
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreChange:
    """What a write came to."""

    manifest: Manifest  # as it stands after the write
    added: int  # rows that were new, and rows that were stored already and agree
    present: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Data sets on a disk or behind a URL."""

    disk: Disk | Remote  # where the files are

    def folders(self) -> list[str]:
        """Folder of every data set, sorted."""
        return self.disk.find(_MANIFEST)

    def has(self, folder: str) -> bool:
        """Whether a data set is there, readable or not."""
        try:
            self.disk.read(f"{folder}/{_MANIFEST}")
        except FileNotFoundError:
            return False
        except StoreError:
            return True
        return True

    def manifest(self, folder: str) -> Manifest:
        """Manifest of a data set.

        Raises
        ------
        NotStoredError
            If there is none.
        StoreError
            If it is damaged or lies in another data set's folder.
        """
        name = f"{folder}/{_MANIFEST}"
        try:
            data = self.disk.read(name)
        except FileNotFoundError:
            raise NotStoredError(f"no data set is stored in {folder}") from None
        manifest = Manifest.from_bytes(data, name)
        if manifest.reference.folder != folder:
            raise StoreError(
                f"{name} describes {manifest.reference}, whose folder is "
                f"{manifest.reference.folder}; move it there"
            )
        return manifest

    def load(
        self,
        reference: Reference,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
    ) -> Dataset:
        """Rows of a data set; only the parts that hold them are read.

        Raises
        ------
        NotStoredError
            If there is none, or no row of it lies in the span.
        StoreError
            If a file is missing or damaged.
        """
        manifest, frame = self._settled(
            reference, lambda read: read_rows(self.disk, read, start, end)
        )
        if frame.empty:
            raise no_rows(reference, start, end, manifest.start, manifest.end)
        return Dataset(
            reference=reference,
            frame=frame,
            id=manifest.id,
            publication_lag=manifest.publication_lag,
            notes=manifest.notes,
            provenance=manifest.provenance,
        )

    def stamps(self, reference: Reference) -> tuple[Manifest, pd.DatetimeIndex]:
        """Stamps of every row, without the values.

        Raises
        ------
        NotStoredError
            If there is none.
        StoreError
            If a file is missing or damaged.
        """
        manifest, frame = self._settled(reference, lambda read: read_rows(self.disk, read))
        return manifest, pd.DatetimeIndex(frame.index)

    def _settled(
        self, reference: Reference, read: Callable[[Manifest], pd.DataFrame]
    ) -> tuple[Manifest, pd.DataFrame]:
        """Read by a manifest, and again where a writer replaced parts in between."""
        manifest = self.manifest(reference.folder)
        while True:
            try:
                return manifest, read(manifest)
            except PartMissingError:
                newer = self.manifest(reference.folder)
                if newer == manifest:
                    raise
                manifest = newer

    def add(
        self,
        frame: pd.DataFrame,
        reference: Reference,
        *,
        origin: Mapping[str, object],
        publication_lag: pd.Timedelta | None = None,
        notes: Sequence[str] = (),
        covered: Sequence[CoverageSpan] = (),
        wait: float = _PATIENCE,
    ) -> StoreChange:
        """Put rows into a data set; what is stored already must agree with them.

        Only the parts that the rows fall into are read and written again.

        Raises
        ------
        ConflictError
            If a row, the columns or the lag disagree with what is stored; nothing changes.
        NotStoredError
            If there are no rows and no data set that they could belong to.
        SchemaError
            If the rows together break the contract; nothing changes.
        StoreError
            If the store is damaged, locked or cannot be written.
        """
        folder = reference.folder
        with self.disk.lock(folder, wait=wait):
            before = self._before(frame, reference, publication_lag)
            touched = periods(pd.DatetimeIndex(frame.index), reference.timeframe)
            same = [part for part in before.parts if part.period in touched]
            stored = read_rows(self.disk, replace(before, parts=tuple(same)))
            new = new_rows(stored, frame, reference) if len(frame) else frame
            after = replace(
                before,
                notes=tuple(dict.fromkeys((*before.notes, *notes))),
                coverage=claimed(before.coverage, covered),
            )
            if len(new):
                merged = joined(stored, new) if len(stored) else new
                known = origin in before.provenance
                after = replace(
                    after,
                    provenance=before.provenance if known else (*before.provenance, origin),
                    parts=self._write_parts(merged, new, before),
                )
            if after != before:
                self.disk.write(folder, {_MANIFEST: after.to_bytes()})
            self._clean(after)
        return StoreChange(manifest=after, added=len(new), present=len(frame) - len(new))

    def _before(
        self, frame: pd.DataFrame, reference: Reference, lag: pd.Timedelta | None
    ) -> Manifest:
        """Manifest that rows are to be added to, once it is known that they may be."""
        volume = "volume" not in frame or not bool(frame["volume"].isna().all())
        if _MANIFEST in self.disk.names(reference.folder):
            manifest = self.manifest(reference.folder)
            same_lag(reference, manifest.publication_lag, lag)
            if len(frame):
                same_columns(reference, manifest.columns, tuple(frame.columns))
                same_volume(reference, manifest.volume, volume)
            return manifest
        if frame.empty:
            raise NotStoredError(f"{reference} is not stored and cannot begin without rows")
        lag = default_lag(reference) if lag is None else lag
        return Manifest.empty(reference, tuple(frame.columns), lag, volume=volume)

    def _write_parts(
        self, merged: pd.DataFrame, new: pd.DataFrame, before: Manifest
    ) -> tuple[Part, ...]:
        """Write the parts that the new rows fall into and keep the others as they are."""
        timeframe = before.reference.timeframe
        parts = {part.period: part for part in before.parts}
        touched = periods(pd.DatetimeIndex(new.index), timeframe)
        files = {}
        for period, where in periods(pd.DatetimeIndex(merged.index), timeframe).items():
            if period not in touched:
                continue
            rows = merged.iloc[where]
            index = pd.DatetimeIndex(rows.index)
            data = encode(rows)
            digest = hashlib.sha256(data).hexdigest()
            name = f"{period}-{digest[:8]}.parquet"
            files[name] = data
            parts[period] = Part(
                name=name,
                rows=len(rows),
                start=index[0],
                end=index[-1],
                gaps=len(gaps(index, timeframe)),
                sha256=digest,
                content=rows_id(rows),
            )
        self.disk.write(before.reference.folder, files)
        return tuple(sorted(parts.values(), key=lambda part: part.start))

    def _clean(self, manifest: Manifest) -> None:
        named = {_MANIFEST, *(part.name for part in manifest.parts)}
        folder = manifest.reference.folder
        for name in self.disk.names(folder):
            if name not in named and name.endswith((".parquet", ".tmp")):
                self.disk.remove(f"{folder}/{name}")


def no_rows(
    reference: Reference,
    start: pd.Timestamp | None,
    end: pd.Timestamp | None,
    first: pd.Timestamp,
    last: pd.Timestamp,
) -> NotStoredError:
    """What to raise where a span holds no row of a data set."""
    return NotStoredError(
        f"{reference} has no rows from {start or 'its start'} to {end or 'its end'}; "
        f"it holds {first} to {last}; ask for a span inside that"
    )
