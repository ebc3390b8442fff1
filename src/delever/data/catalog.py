"""The door to stored data: load by reference, list, import, check."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from delever.bars import gaps
from delever.data.coverage import CoverageSpan, State, coverage
from delever.data.files import StampUnit
from delever.data.intake import take_in, writable
from delever.data.references import Dataset, Reference
from delever.data.sample_data import SAMPLE, load_sample
from delever.data.store import Store, StoreChange, no_rows
from delever.data.store_location import place_of
from delever.data.summaries import Check, Entry, ImportReport, Survey, entry_of, sample_entry
from delever.data.verify import check_sample, check_stored
from delever.errors import DataError, InputError, NotStoredError, StoreError
from delever.frames import validate
from delever.units import timeframe_delta

__all__ = ["Catalog"]


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every data set of a workspace.

    Examples
    --------
    >>> Catalog(Path("data")).load("sample/ohlcv/BTC/USD/1d").notes
    ('close-only: intraday extremes unseen',)
    """

    # the workspace's ``data`` folder; the store is ``root/store``, or where `place_of` says
    root: Path
    sample: Path | None = None  # folder of the embedded sample; ``root/sample`` by default

    @property
    def sample_folder(self) -> Path:
        """Where the sample is."""
        return self.root / SAMPLE if self.sample is None else self.sample

    @property
    def store(self) -> Store:
        """Where imported data sets are."""
        return Store(disk=place_of(self.root))

    def load(
        self,
        reference: Reference | str,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
    ) -> Dataset:
        """Load a data set, or the rows of a span of it.

        Raises
        ------
        InputError
            If the reference is not of its form.
        NotStoredError
            If there is no such data set (the message names those nearest to it), or it has no row
            in the span.
        StoreError
            If it is damaged.
        """
        wanted = Reference.parse(reference) if isinstance(reference, str) else reference
        if wanted.venue == SAMPLE:
            dataset = load_sample(self.sample_folder)
            if dataset is None or dataset.reference != wanted:
                raise self._not_stored(wanted)
            frame = dataset.frame.loc[_span(dataset.frame, start, end)]
            if frame.empty:
                raise no_rows(wanted, start, end, *dataset.frame.index[[0, -1]])
            return replace(dataset, frame=frame)
        try:
            return self.store.load(wanted, start, end)
        except NotStoredError:
            if self.store.has(wanted.folder):
                raise  # it is there, and holds nothing in this span
            raise self._not_stored(wanted) from None

    def survey(self) -> Survey:
        """Every data set, and which of them are too damaged to be described."""
        entries, broken = [], []
        try:
            sample = load_sample(self.sample_folder)
            entries += [] if sample is None else [sample_entry(sample)]
        except DataError as error:
            broken.append(Check(name=SAMPLE, problems=(str(error),)))
        for folder in self.store.folders():
            try:
                entries.append(entry_of(self.store.manifest(folder)))
            except DataError as error:
                broken.append(Check(name=folder, problems=(str(error),)))
        return Survey(entries=tuple(entries), broken=tuple(broken))

    def list(self) -> list[Entry]:
        """Every data set, the sample first.

        Raises
        ------
        StoreError
            If the description of one is damaged; `survey` names them all.
        """
        found = self.survey()
        for one in found.broken:
            raise StoreError(one.problems[0])
        return list(found.entries)

    def add(
        self,
        source: pd.DataFrame | Path | str,
        reference: Reference | str,
        *,
        publication_lag: pd.Timedelta | None = None,
        notes: Sequence[str] = (),
        stamp_unit: StampUnit | None = None,
        complete: bool = False,
        provenance: Mapping[str, object] | None = None,
    ) -> ImportReport:
        """Import rows; rows stored already must agree exactly, and importing twice changes nothing.

        Raises
        ------
        InputError
            If the venue is ``sample``, the lag would show bars before they close, or a note is
            not one line of text.
        SchemaError
            If a row breaks the contract; nothing changes.
        ConflictError
            If the rows disagree with what is stored; nothing changes.
        StoreError
            If the store is damaged, locked or cannot be written.
        """
        wanted = writable(reference, publication_lag, notes)
        taken = take_in(source, wanted, stamp_unit=stamp_unit, provenance=provenance)
        change = self.store.add(
            taken.frame,
            wanted,
            origin=taken.origin,
            publication_lag=publication_lag,
            notes=notes,
            covered=[_whole(taken.frame, wanted)] if complete else (),
        )
        return ImportReport(
            entry=entry_of(change.manifest),
            added=change.added,
            present=change.present,
            gaps=gaps(self.store.stamps(wanted)[1], wanted.timeframe),
            ignored=taken.ignored,
        )

    def append(
        self,
        reference: Reference | str,
        frame: pd.DataFrame | None = None,
        *,
        covered: Sequence[tuple[pd.Timestamp, pd.Timestamp, State]] = (),
        provenance: Mapping[str, object] | None = None,
        publication_lag: pd.Timedelta | None = None,
        notes: Sequence[str] = (),
        wait: float = 10.0,
    ) -> StoreChange:
        """Store rows as they arrive, and what is known about their stretch of time.

        Each call is whole once it returns, and costs as much as the years or months it touches.

        Raises
        ------
        InputError
            If the venue is ``sample``, the lag would show bars before they close, a claim has no
            length or time zone, or rows come without provenance.
        NotStoredError
            If there are no rows and no data set that claims could belong to.
        SchemaError, ConflictError, StoreError
            As for `add`.
        """
        wanted = writable(reference, publication_lag, notes)
        claims = [CoverageSpan(start=start, end=end, state=state) for start, end, state in covered]
        if frame is None or frame.empty:
            rows = pd.DataFrame(index=pd.DatetimeIndex([], tz="UTC"))
        elif provenance is None:
            raise InputError(f"rows of {wanted} need provenance; say where they come from")
        else:
            rows = validate(frame, wanted.kind, wanted.timeframe, where=str(wanted))
        return self.store.add(
            rows,
            wanted,
            origin=provenance or {},
            publication_lag=publication_lag,
            notes=notes,
            covered=claims,
            wait=wait,
        )

    def coverage(self, reference: Reference | str) -> pd.DataFrame:
        """What is known about every bar: present, absent at the venue, or unknown.

        Raises
        ------
        NotStoredError
            If there is no such data set.
        StoreError
            If it is damaged.
        """
        wanted = Reference.parse(reference) if isinstance(reference, str) else reference
        if wanted.venue == SAMPLE:
            return coverage(pd.DatetimeIndex(self.load(wanted).frame.index), wanted.timeframe, ())
        try:
            manifest, index = self.store.stamps(wanted)
        except NotStoredError:
            raise self._not_stored(wanted) from None
        return coverage(index, wanted.timeframe, manifest.coverage)

    def check(self, reference: Reference | str | None = None) -> tuple[Check, ...]:
        """Read data sets again from their bytes and hold them against contract and checksums.

        Raises
        ------
        NotStoredError
            If there is no such data set.
        """
        if reference is None:
            sample = check_sample(self.sample_folder)
            stored = [check_stored(self.store, folder) for folder in self.store.folders()]
            return tuple(stored) if sample is None else (sample, *stored)
        wanted = Reference.parse(reference) if isinstance(reference, str) else reference
        if wanted.venue == SAMPLE:
            sample = check_sample(self.sample_folder)
            if sample is None or (sample.entry and sample.entry.reference != wanted):
                raise self._not_stored(wanted)
            return (sample,)
        if not self.store.has(wanted.folder):
            raise self._not_stored(wanted)
        return (check_stored(self.store, wanted.folder),)

    def _not_stored(self, wanted: Reference) -> NotStoredError:
        names = [str(entry.reference) for entry in self.survey().entries]
        near = difflib.get_close_matches(str(wanted), names, n=3)
        if near:
            there = f"did you mean {' or '.join(near)}?"
        else:
            there = f"there are: {', '.join(names) or 'none'}"
        return NotStoredError(
            f"no data set {wanted}; {there}; import one with: delever data import"
        )


def _whole(frame: pd.DataFrame, reference: Reference) -> CoverageSpan:
    index = pd.DatetimeIndex(frame.index)
    end = index[-1] + timeframe_delta(reference.timeframe)
    return CoverageSpan(start=index[0], end=end, state="absent")


def _span(frame: pd.DataFrame, start: pd.Timestamp | None, end: pd.Timestamp | None) -> pd.Series:
    stamps = frame.index.to_series()
    inside = pd.Series(True, index=frame.index)
    if start is not None:
        inside &= stamps >= start
    if end is not None:
        inside &= stamps < end
    return inside
