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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from delever.bars import gaps
from delever.data.disk import Disk
from delever.data.manifest import Manifest, Part
from delever.data.merge import joined, new_rows, same_lag
from delever.data.parts import content_id, decode, encode, periods
from delever.data.source import Dataset, Reference, default_lag
from delever.errors import DataError, NotStoredError, StoreError
from delever.schema import kind_of, validate

__all__ = ["Change", "Store"]

_MANIFEST = "dataset.json"
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Change:
    """What a write came to.

    Attributes
    ----------
    manifest : Manifest
        As it stands after the write.
    added, present : int
        Rows that were new, and rows that were stored already and agree.
    gaps : pandas.DataFrame, shape (g, 3)
        Of the whole data set, as `delever.bars.gaps`.
    """

    manifest: Manifest
    added: int
    present: int
    gaps: pd.DataFrame


class _PartMissingError(StoreError):
    """A part that a manifest names is not there: lost, or replaced since the manifest was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Data sets on a disk.

    Attributes
    ----------
    disk : Disk
        Where the files are.
    """

    disk: Disk

    def folders(self) -> list[str]:
        """Folder of every data set, sorted."""
        return self.disk.find(_MANIFEST)

    def manifest(self, folder: str) -> Manifest:
        """Manifest of a data set.

        Parameters
        ----------
        folder : str
            `Reference.folder`.

        Returns
        -------
        Manifest

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

    def load(self, reference: Reference) -> Dataset:
        """Rows of a data set.

        Parameters
        ----------
        reference : Reference
            What it is called.

        Returns
        -------
        Dataset

        Raises
        ------
        NotStoredError
            If there is none.
        StoreError
            If a file is missing or damaged.
        """
        manifest = self.manifest(reference.folder)
        while True:
            try:
                frame = self._rows(manifest)
                break
            except _PartMissingError:
                newer = self.manifest(reference.folder)
                if newer == manifest:
                    raise
                manifest = newer  # a writer replaced the parts between the two reads
        return Dataset(
            reference=reference,
            frame=frame,
            id=manifest.id,
            publication_lag=manifest.publication_lag,
            notes=manifest.notes,
            provenance=manifest.provenance,
        )

    def add(
        self,
        frame: pd.DataFrame,
        reference: Reference,
        *,
        origin: Mapping[str, object],
        publication_lag: pd.Timedelta | None = None,
        notes: Sequence[str] = (),
        wait: float = _PATIENCE,
    ) -> Change:
        """Put rows into a data set; what is stored already must agree with them.

        Parameters
        ----------
        frame : pandas.DataFrame, shape (n, k)
            In the stored form of its kind.
        reference : Reference
            What the data set is called.
        origin : mapping
            JSON-able record of where the rows come from.
        publication_lag : pandas.Timedelta, optional
            As stored by default, and `default_lag` for a new data set.
        notes : sequence of str
            Added to those stored.
        wait : float
            Seconds to wait for another writer.

        Returns
        -------
        Change

        Raises
        ------
        ConflictError
            If a row, the columns or the lag disagree with what is stored; nothing changes.
        SchemaError
            If the rows together break the contract; nothing changes.
        StoreError
            If the store is damaged, locked or cannot be written.
        """
        folder = reference.folder
        with self.disk.lock(folder, wait=wait):
            if _MANIFEST in self.disk.names(folder):
                before = self.manifest(folder)
                lag = same_lag(reference, before.publication_lag, publication_lag)
                stored = self._rows(before)
                new = new_rows(stored, frame, reference)
                merged = joined(stored, new, reference) if len(new) else stored
            else:
                lag = default_lag(reference) if publication_lag is None else publication_lag
                before = Manifest.empty(reference, tuple(frame.columns), lag)
                new = merged = frame
            missing = gaps(pd.DatetimeIndex(merged.index), reference.timeframe)
            after = replace(before, notes=tuple(dict.fromkeys((*before.notes, *notes))))
            if len(new):
                after = replace(
                    after,
                    id=content_id(merged),
                    gaps=len(missing),
                    provenance=(*before.provenance, origin),
                    parts=self._write_parts(merged, new, before),
                )
            if after != before:
                self.disk.write(folder, {_MANIFEST: after.to_bytes()})
                self._clean(after)
        present = len(frame) - len(new)
        return Change(manifest=after, added=len(new), present=present, gaps=missing)

    def verify(self, folder: str) -> list[str]:
        """Everything wrong with a data set, read from its bytes up.

        Parameters
        ----------
        folder : str
            `Reference.folder`.

        Returns
        -------
        list of str
            One sentence each; empty when all is well.
        """
        try:
            manifest = self.manifest(folder)
        except DataError as error:
            return [str(error)]
        problems = []
        for part in manifest.parts:
            name = f"{folder}/{part.name}"
            try:
                found = hashlib.sha256(self.disk.read(name)).hexdigest()
            except FileNotFoundError:
                problems.append(f"{name} is missing; remove the folder and import again")
                continue
            except StoreError as error:
                problems.append(str(error))
                continue
            if found != part.sha256:
                problems.append(
                    f"{name} is damaged: its sha256 must be {part.sha256[:8]}… and is {found[:8]}…"
                )
        if problems:
            return problems
        try:
            frame = self._rows(manifest)
            kind = manifest.reference.kind
            validate(frame, kind, manifest.reference.timeframe, where=folder)
        except DataError as error:
            return [str(error)]
        if content_id(frame) != manifest.id:
            problems.append(f"{folder} must have the id {manifest.id[:8]}… of its manifest")
        return problems

    def _rows(self, manifest: Manifest) -> pd.DataFrame:
        folder = manifest.reference.folder
        kind = kind_of(manifest.reference.kind)
        frames = []
        for part in manifest.parts:
            name = f"{folder}/{part.name}"
            try:
                data = self.disk.read(name)
            except FileNotFoundError:
                raise _PartMissingError(
                    f"{name} is missing; remove the store's folder {folder} and import again"
                ) from None
            rows = decode(data, kind, manifest.columns, name)
            if len(rows) != part.rows or (rows.index[0], rows.index[-1]) != (part.start, part.end):
                raise StoreError(
                    f"{name} must hold {part.rows} rows from {part.start} to {part.end}; it holds "
                    f"{len(rows)}; remove the store's folder {folder} and import again"
                )
            frames.append(rows)
        return pd.concat(frames)

    def _write_parts(
        self, merged: pd.DataFrame, new: pd.DataFrame, before: Manifest
    ) -> tuple[Part, ...]:
        """Write the parts that the new rows fall into and keep the others as they are."""
        reference = before.reference
        kept = {part.period: part for part in before.parts}
        touched = periods(pd.DatetimeIndex(new.index), reference.timeframe)
        parts, files = [], {}
        for period, where in periods(pd.DatetimeIndex(merged.index), reference.timeframe).items():
            if period not in touched:
                parts.append(kept[period])
                continue
            rows = merged.iloc[where]
            data = encode(rows)
            digest = hashlib.sha256(data).hexdigest()
            name = f"{period}-{digest[:8]}.parquet"
            files[name] = data
            start, end = rows.index[0], rows.index[-1]
            parts.append(Part(name=name, rows=len(rows), start=start, end=end, sha256=digest))
        self.disk.write(reference.folder, files)
        return tuple(parts)

    def _clean(self, manifest: Manifest) -> None:
        named = {_MANIFEST, *(part.name for part in manifest.parts)}
        folder = manifest.reference.folder
        for name in self.disk.names(folder):
            if name not in named and name.endswith((".parquet", ".tmp")):
                self.disk.remove(f"{folder}/{name}")
