"""The store: data sets as immutable Parquet parts under one manifest each.

A write puts new parts beside the old ones, then replaces the manifest at once, then removes what
the manifest no longer names. A crash between leaves the old data set and files nobody names; the
next write removes those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from delever.bars import gaps
from delever.data.correction import Correction, correction_of
from delever.data.coverage import CoverageSpan, overlaid
from delever.data.manifest import Manifest, Part
from delever.data.parts import assemble, content_id, decode, encode, periods, rows_id
from delever.data.references import Dataset, Reference, default_lag
from delever.data.store_location import Files
from delever.data.undo import UNDO, Step, steps_from_bytes
from delever.errors import ConflictError, DataError, NotStoredError, StoreError
from delever.frames import validate
from delever.kinds import kind_of

if TYPE_CHECKING:
    import pyarrow

MANIFEST = "dataset.json"
"""The file that says what a data set is."""

PATIENCE = 10.0
"""Seconds that a writer waits for another."""

_READERS = 4


class PartMissingError(StoreError):
    """A part that a manifest names is not there: lost, or replaced since the manifest was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreChange:
    """What a write came to."""

    manifest: Manifest  # as it stands after the write
    added: int  # rows that were new
    present: int  # rows that were stored already and agree
    correction: Correction | None = None  # of a last row that was not final


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Data sets on a disk or behind a URL."""

    files: Files  # where they are

    def folders(self) -> list[str]:
        """Folder of every data set, sorted."""
        return self.files.find(MANIFEST)

    def has(self, folder: str) -> bool:
        """Whether a data set is there, readable or not."""
        try:
            self.files.read(f"{folder}/{MANIFEST}")
        except FileNotFoundError:
            return False
        except StoreError:
            return True
        return True

    def manifest(self, folder: str) -> Manifest:
        """Manifest of a data set.

        Raises NotStoredError if there is none; StoreError if it is damaged or lies in another data
        set's folder.
        """
        name = f"{folder}/{MANIFEST}"
        try:
            data = self.files.read(name)
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

        Raises NotStoredError if there is none, or no row of it lies in the span; StoreError if a
        file is missing or damaged.
        """
        manifest, frame = self._settled(reference, lambda read: self._rows(read, start, end))
        if frame.empty:
            raise no_rows(reference, start, end, manifest.start, manifest.end)
        return Dataset(
            reference=reference,
            frame=frame,
            id=manifest.id,
            publication_lag=manifest.publication_lag,
            notes=manifest.said,
            provenance=manifest.provenance,
        )

    def rows(self, reference: Reference) -> tuple[Manifest, pd.DataFrame]:
        """Every row, and the manifest it is stored by.

        Raises NotStoredError if there is none; StoreError if a file is missing or damaged.
        """
        return self._settled(reference, self._rows)

    def stamps(self, reference: Reference) -> tuple[Manifest, pd.DatetimeIndex]:
        """Stamps of every row, the quarantined ones among them; raises as `rows`."""
        manifest, frame = self.rows(reference)
        return manifest, pd.DatetimeIndex(frame.index.union(manifest.set_aside))

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

    def _rows(
        self,
        manifest: Manifest,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
    ) -> pd.DataFrame:
        """Rows of the parts that a span touches, read on several threads."""
        parts = [
            part
            for part in manifest.parts
            if (start is None or part.end >= start) and (end is None or part.start < end)
        ]
        with ThreadPoolExecutor(min(_READERS, max(1, len(parts)))) as pool:
            tables = list(pool.map(lambda part: self._table(manifest, part), parts))
        frame = assemble(tables, kind_of(manifest.reference.kind), manifest.columns)
        index = pd.DatetimeIndex(frame.index)
        first = 0 if start is None else int(index.searchsorted(start))
        last = len(index) if end is None else int(index.searchsorted(end))
        return frame if (first, last) == (0, len(index)) else frame.iloc[first:last]

    def _table(self, manifest: Manifest, part: Part) -> pyarrow.Table:
        folder, kind = manifest.reference.folder, kind_of(manifest.reference.kind)
        name = f"{folder}/{part.name}"
        try:
            data = self.files.read(name)
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

    def add(
        self,
        frame: pd.DataFrame,
        reference: Reference,
        *,
        origin: Mapping[str, object],
        publication_lag: pd.Timedelta | None = None,
        notes: Sequence[str] = (),
        covered: Sequence[CoverageSpan] = (),
        covered_end: pd.Timestamp | None = None,
        tentative: pd.Timestamp | None = None,
        corrects: bool = False,
        wait: float = PATIENCE,
    ) -> StoreChange:
        """Put rows into a data set; what is stored already must agree with them.

        Only the parts that the rows fall into are read and written again. Nothing stays said of
        coverage after `covered_end`. `tentative` is the stamp of a last row that nothing later has
        proven final; with `corrects`, the next rows may hold it otherwise, which is recorded.

        Raises ConflictError if a row, the columns or the lag disagree with what is stored; nothing
        changes. NotStoredError if there are no rows and no data set that they could belong to.
        StoreError if the store is damaged, locked or cannot be written.
        """
        folder = reference.folder
        with self.files.lock(folder, wait=wait):
            before = self._before(frame, reference, publication_lag)
            frame = frame[~frame.index.isin(before.set_aside)] if before.quarantined else frame
            touched = periods(pd.DatetimeIndex(frame.index), reference.timeframe)
            own = kind_of(reference.kind).own_intervals  # what is missing shows in all its stamps
            same = [part for part in before.parts if own or part.period in touched]
            stored = self._rows(replace(before, parts=tuple(same)))
            mend = correction_of(stored, frame, before.tentative) if corrects else None
            stored = stored if mend is None else stored.drop(index=mend.stamp)
            new = _new_rows(stored, frame, reference) if len(frame) else frame
            after = replace(
                before,
                notes=tuple(dict.fromkeys((*before.notes, *notes))),
                coverage=overlaid(before.coverage, covered, covered_end),
            )
            if len(new):
                merged = pd.concat([stored, new]).sort_index() if len(stored) else new
                records = [origin] if mend is None else [origin, {**origin, **mend.record}]
                after = replace(
                    after,
                    provenance=(
                        *before.provenance,
                        *(one for one in records if one not in before.provenance),
                    ),
                    parts=self._write_parts(merged, new, before),
                )
            looked_at = corrects and before.tentative in frame.index
            open_ = {tentative, None if looked_at else before.tentative}
            after = replace(after, tentative=after.end if after.end in open_ else None)
            if after != before:
                self.files.write(folder, {MANIFEST: after.to_bytes()})
            self._clean(after)
        return StoreChange(
            manifest=after,
            added=len(new) - (mend is not None),
            present=len(frame) - len(new),
            correction=mend,
        )

    def _before(
        self, frame: pd.DataFrame, reference: Reference, lag: pd.Timedelta | None
    ) -> Manifest:
        """Manifest that rows are to be added to, once it is known that they may be."""
        volume = "volume" not in frame or not bool(frame["volume"].isna().all())
        if MANIFEST in self.files.names(reference.folder):
            manifest = self.manifest(reference.folder)
            manifest.require_lag(lag)
            if len(frame):
                manifest.require_columns(tuple(frame.columns), volume=volume)
            return manifest
        if frame.empty:
            raise NotStoredError(f"{reference} is not stored and cannot begin without rows")
        return Manifest(
            reference=reference,
            columns=tuple(frame.columns),
            publication_lag=default_lag(reference) if lag is None else lag,
            volume=volume,
        )

    def _write_parts(
        self, merged: pd.DataFrame, new: pd.DataFrame, before: Manifest
    ) -> tuple[Part, ...]:
        """Write the parts that the new rows fall into and keep the others as they are."""
        timeframe = before.reference.timeframe
        touched = periods(pd.DatetimeIndex(new.index), timeframe)
        parts = {part.period: part for part in before.parts if part.period not in touched}
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
        self.files.write(before.reference.folder, files)
        ordered = sorted(parts.values(), key=lambda part: part.start)
        if not kind_of(before.reference.kind).own_intervals:
            return tuple(ordered)
        found = gaps(pd.DatetimeIndex(merged.index), timeframe, before.reference.kind)["start"]
        starts = pd.DatetimeIndex([part.start for part in ordered])
        behind = starts.searchsorted(pd.DatetimeIndex(found), side="right") - 1
        counts = np.bincount(behind, minlength=len(ordered)).tolist()
        return tuple(replace(part, gaps=n) for part, n in zip(ordered, counts, strict=True))

    def undoable(self, folder: str) -> tuple[Step, ...]:
        """Changes by hand that were not verified yet, the newest last. Raises StoreError."""
        if UNDO not in self.files.names(folder):
            return ()
        name = f"{folder}/{UNDO}"
        return steps_from_bytes(self.files.read(name), name)

    def _clean(self, manifest: Manifest) -> None:
        folder = manifest.reference.folder
        kept = [manifest, *(step.before for step in self.undoable(folder))]
        named = {part.name for one in kept for part in one.parts}
        for name in self.files.names(folder):
            if name not in named and name.endswith((".parquet", ".tmp")):
                self.files.remove(f"{folder}/{name}")

    def problems(self, folder: str) -> list[str]:
        """Everything wrong with a data set, read from its bytes up."""
        try:
            manifest = self.manifest(folder)
        except DataError as error:
            return [str(error)]
        found = [said for part in manifest.parts if (said := self._damage(folder, part))]
        if found:
            return found
        timeframe = manifest.reference.timeframe
        try:
            frame = self._rows(manifest)
            validate(frame, manifest.reference.kind, timeframe, where=folder)
        except DataError as error:
            return [str(error)]
        content = content_id(frame, timeframe)
        if content == manifest.id:
            return []
        return [
            f"{folder} must have the id {manifest.id[:8]}… of its manifest; it has "
            f"{content[:8]}…; remove the folder and import again"
        ]

    def _damage(self, folder: str, part: Part) -> str | None:
        name = f"{folder}/{part.name}"
        try:
            found = hashlib.sha256(self.files.read(name)).hexdigest()
        except FileNotFoundError:
            return f"{name} is missing; remove the folder and import again"
        except StoreError as error:
            return str(error)
        if found == part.sha256:
            return None
        return (
            f"{name} is damaged: its sha256 must be {part.sha256[:8]}… and is {found[:8]}…; "
            "remove the folder and import again"
        )


def _new_rows(stored: pd.DataFrame, frame: pd.DataFrame, reference: Reference) -> pd.DataFrame:
    """Rows whose stamps are not stored yet; those that are must agree (two NaN do).

    Raises ConflictError if one differs in any value.
    """
    frame = frame[list(stored.columns)]
    common = frame.index.isin(stored.index)
    theirs = frame.loc[common]
    ours = stored.loc[theirs.index].to_numpy()
    values = theirs.to_numpy()
    differ = ~((ours == values) | (np.isnan(ours) & np.isnan(values)))
    if differ.any():
        rows = differ.any(axis=1)
        row = int(np.flatnonzero(rows)[0])
        column = int(np.flatnonzero(differ[row])[0])
        count = int(rows.sum())
        raise ConflictError(
            f"{reference}: {count} row{'s' * (count > 1)} must agree with what is stored; first at "
            f"{theirs.index[row]:%Y-%m-%d %H:%M}, {frame.columns[column]} is stored as "
            f"{float(ours[row, column])!r}, got {float(values[row, column])!r}; correct the source "
            "or store it under another venue; where the stored row is the wrong one, such as a bar "
            f"that was unfinished: delever data drop {reference} --from "
            f"{theirs.index[row]:%Y-%m-%dT%H:%M}, or delever data replace {reference} FILE; "
            "nothing was stored"
        )
    return frame.loc[~common]


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
