"""The door to stored data: load by reference, list, import, check."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from delever.bars import gaps
from delever.data.coverage import CoverageSpan, State, coverage, unknown_bars
from delever.data.files import read_file
from delever.data.holdout import Holdout
from delever.data.layout import PLAIN, Layout
from delever.data.manifest import Manifest
from delever.data.mender import Mender
from delever.data.parts import rows_id
from delever.data.plausibility import Doubt, implausible
from delever.data.references import Dataset, Reference, default_lag
from delever.data.sample_data import SAMPLE, load_sample
from delever.data.store import Store, StoreChange, no_rows
from delever.data.store_location import files_of
from delever.data.undo import UNDO, Step
from delever.errors import DataError, InputError, NotStoredError, StoreError
from delever.frames import validate
from delever.kinds import kind_of
from delever.units import timeframe_delta


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the catalogue."""

    reference: Reference  # what the data set is called
    id: str  # sha256 of its content
    rows: int
    gaps: int  # stretches without rows
    start: pd.Timestamp  # first and last stamp, UTC
    end: pd.Timestamp
    publication_lag: pd.Timedelta  # from stamp to known
    notes: tuple[str, ...]  # what a reader of results must be told


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportReport:
    """What an import came to."""

    entry: Entry  # the data set as it stands now
    added: int  # rows that were new
    present: int  # rows that were stored already and agree
    gaps: pd.DataFrame  # shape (g, 3): of the whole data set, as `delever.bars.gaps`
    doubts: tuple[Doubt, ...]  # what is implausible in the whole data set
    ignored: tuple[str, ...]  # columns of the file that its kind has no use for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Check:
    """A data set read again from its bytes."""

    name: str  # its reference, or its folder when that cannot be read
    entry: Entry | None = None  # none when something is broken
    coverage: pd.DataFrame | None = None  # as `delever.data.coverage.coverage`; none likewise
    problems: tuple[str, ...] = ()  # what is broken, one sentence each
    doubts: tuple[Doubt, ...] = ()  # what is implausible

    @property
    def unknown(self) -> int:
        """Bars nothing is known about."""
        return 0 if self.coverage is None else unknown_bars(self.coverage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a catalogue holds, as its descriptions say; no row is read."""

    entries: tuple[Entry, ...]  # the sample first
    broken: tuple[Check, ...]  # data sets whose description cannot be read


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every data set of a workspace."""

    # the workspace's ``data`` folder; the store is ``root/store``, or where `files_of` says
    root: Path
    sample: Path | None = None  # folder of the embedded sample; ``root/sample`` by default
    holdout: Holdout | None = None  # rows that `load` does not hand out

    @property
    def sample_folder(self) -> Path:
        """Where the sample is."""
        return self.root / SAMPLE if self.sample is None else self.sample

    @property
    def store(self) -> Store:
        """Where imported data sets are."""
        return Store(files=files_of(self.root))

    @property
    def caveats(self) -> tuple[str, ...]:
        """What whoever stores something here must be told, such as that memory forgets."""
        return files_of(self.root).caveats

    def load(
        self,
        reference: Reference | str,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
    ) -> Dataset:
        """Load a data set, or the rows of a span of it, without those that are held out.

        Raises InputError if the reference is not of its form; NotStoredError if there is no such
        data set (the message names those nearest to it), or it has no row in the span; StoreError
        if it is damaged.
        """
        found = self.whole(_parsed(reference), start, end)
        return found if self.holdout is None else self.holdout.seen(found)

    def whole(
        self,
        wanted: Reference,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
    ) -> Dataset:
        """As `load`, held-out rows among them: to make data sets of, never to be handed out."""
        if wanted.venue == SAMPLE:
            dataset = load_sample(self.sample_folder)
            if dataset is None or dataset.reference != wanted:
                raise self._not_stored(wanted)
            index = dataset.frame.index
            first = 0 if start is None else index.searchsorted(start)
            last = len(index) if end is None else index.searchsorted(end)
            if first >= last:
                raise no_rows(wanted, start, end, index[0], index[-1])
            return replace(dataset, frame=dataset.frame.iloc[first:last])
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
            entries += [] if sample is None else [_sample_entry(sample)]
        except DataError as error:
            broken.append(Check(name=SAMPLE, problems=(str(error),)))
        for folder in self.store.folders():
            try:
                entries.append(_entry(self.store.manifest(folder)))
            except DataError as error:
                broken.append(Check(name=folder, problems=(str(error),)))
        return Survey(entries=tuple(entries), broken=tuple(broken))

    def list(self) -> list[Entry]:
        """Every data set, the sample first.

        Raises StoreError if the description of one is damaged; `survey` names them all.
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
        layout: Layout = PLAIN,
        complete: bool = False,
        provenance: Mapping[str, object] | None = None,
        where: str = "",
    ) -> ImportReport:
        """Import rows; rows stored already must agree exactly, and importing twice changes nothing.

        Raises InputError if the venue is ``sample``, the lag would show bars before they close, or
        a note is not one line of text. SchemaError if a row breaks the contract; nothing changes.
        ConflictError if the rows disagree with what is stored; nothing changes. StoreError if the
        store is damaged, locked or cannot be written.
        """
        wanted = _writable(reference, publication_lag, notes)
        if isinstance(source, pd.DataFrame):
            frame = validate(source, wanted.kind, wanted.timeframe, where=where or str(wanted))
            origin = {**(provenance or {"frame": rows_id(frame)}), "rows": len(frame)}
            ignored = tuple(str(name) for name in source.columns if name not in frame.columns)
        else:
            file = read_file(
                Path(source),
                wanted.kind,
                wanted.timeframe,
                symbol=wanted.symbol,
                venue=wanted.venue,
                layout=layout,
            )
            frame, ignored = file.frame, file.ignored
            origin = {"file": file.name, "sha256": file.sha256, "rows": len(frame)}
        index = pd.DatetimeIndex(frame.index)
        end = index[-1] + timeframe_delta(wanted.timeframe)
        change = self.store.add(
            frame,
            wanted,
            origin=origin,
            publication_lag=publication_lag,
            notes=notes,
            covered=[CoverageSpan(start=index[0], end=end, state="absent")] if complete else (),
            tentative=index[-1] if kind_of(wanted.kind).on_grid else None,
        )
        return self.report(wanted, added=change.added, present=change.present, ignored=ignored)

    def report(
        self, wanted: Reference, *, added: int, present: int, ignored: tuple[str, ...] = ()
    ) -> ImportReport:
        """Say what a write came to, of the whole data set as it stands now.

        Raises NotStoredError or StoreError if it cannot be read.
        """
        manifest, whole = self.store.rows(wanted)
        return ImportReport(
            entry=_entry(manifest),
            added=added,
            present=present,
            gaps=gaps(pd.DatetimeIndex(whole.index), wanted.timeframe, wanted.kind),
            doubts=implausible(whole, wanted.kind, wanted.timeframe),
            ignored=ignored,
        )

    def append(
        self,
        reference: Reference | str,
        frame: pd.DataFrame | None = None,
        *,
        covered: Sequence[CoverageSpan | tuple[pd.Timestamp, pd.Timestamp, State]] = (),
        covered_end: pd.Timestamp | None = None,
        provenance: Mapping[str, object] | None = None,
        publication_lag: pd.Timedelta | None = None,
        notes: Sequence[str] = (),
        tentative: pd.Timestamp | None = None,
        corrects: bool = False,
        wait: float = 10.0,
    ) -> StoreChange:
        """Store rows as they arrive, and what is known about their stretch of time.

        Raises InputError if the venue is ``sample``, the lag would show bars before they close, a
        span has no length or time zone, or rows come without provenance; NotStoredError if there
        are no rows and no data set that spans could belong to; SchemaError, ConflictError or
        StoreError as for `add`.
        """
        wanted = _writable(reference, publication_lag, notes)
        spans = [
            one
            if isinstance(one, CoverageSpan)
            else CoverageSpan(start=one[0], end=one[1], state=one[2])
            for one in covered
        ]
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
            covered=spans,
            covered_end=covered_end,
            tentative=tentative,
            corrects=corrects,
            wait=wait,
        )

    def coverage(self, reference: Reference | str) -> pd.DataFrame:
        """What is known about every bar: present, absent at the venue, or unknown.

        Raises NotStoredError if there is no such data set; StoreError if it is damaged.
        """
        wanted = _parsed(reference)
        if wanted.venue == SAMPLE:
            return coverage(pd.DatetimeIndex(self.load(wanted).frame.index), wanted, ())
        try:
            manifest, index = self.store.stamps(wanted)
        except NotStoredError:
            raise self._not_stored(wanted) from None
        return coverage(index, wanted, manifest.coverage)

    def check(self, reference: Reference | str | None = None) -> tuple[Check, ...]:
        """Read data sets again from their bytes and hold them against contract and checksums.

        Raises NotStoredError if there is no such data set.
        """
        if reference is None:
            sample = self._check_sample()
            stored = [self._check_stored(folder) for folder in self.store.folders()]
            return tuple(stored) if sample is None else (sample, *stored)
        wanted = _parsed(reference)
        if wanted.venue == SAMPLE:
            sample = self._check_sample()
            if sample is None or (sample.entry and sample.entry.reference != wanted):
                raise self._not_stored(wanted)
            return (sample,)
        if not self.store.has(wanted.folder):
            raise self._not_stored(wanted)
        return (self._check_stored(wanted.folder),)

    def _check_stored(self, folder: str) -> Check:
        problems = tuple(self.store.problems(folder))
        if problems:
            return Check(name=folder, problems=problems)
        reference = self.store.manifest(folder).reference
        manifest, frame = self.store.rows(reference)
        stamps = pd.DatetimeIndex(frame.index.union(manifest.set_aside))
        return _checked(_entry(manifest), frame, coverage(stamps, reference, manifest.coverage))

    def _check_sample(self) -> Check | None:
        try:
            sample = load_sample(self.sample_folder)
        except DataError as error:
            return Check(name=SAMPLE, problems=(str(error),))
        if sample is None:
            return None
        known = coverage(pd.DatetimeIndex(sample.frame.index), sample.reference, ())
        return _checked(_sample_entry(sample), sample.frame, known)

    @property
    def mender(self) -> Mender:
        """The same data sets, to be changed by hand."""
        return Mender(files=self.store.files)

    def own(self, reference: Reference | str, *, removed: bool = False) -> Reference:
        """Name of a data set that may be changed; with `removed`, also one that was just removed.

        Raises InputError if the reference is not of its form or names the sample; NotStoredError if
        there is no such data set.
        """
        wanted = _parsed(reference)
        if wanted.venue == SAMPLE:
            raise InputError("the sample is embedded and cannot be changed; import under a venue")
        undoable = removed and bool(self.store.undoable(wanted.folder))
        if not undoable and not self.store.has(wanted.folder):
            raise self._not_stored(wanted)
        return wanted

    def forget(self, reference: Reference | str | None = None) -> dict[str, tuple[Step, ...]]:
        """Let go of what could be undone, of whole data sets; by reference.

        Raises StoreError if one cannot be read or written.
        """
        mender = self.mender
        found = mender.files.find(UNDO)
        if reference is not None:
            found = [folder for folder in found if folder == _parsed(reference).folder]
        whole = [folder for folder in found if not self.store.has(folder)]
        whole += [folder for folder in found if folder not in whole and not mender.problems(folder)]
        gone = {folder: mender.forget(folder) for folder in whole}
        return {str(steps[-1].before.reference): steps for steps in gone.values() if steps}

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


def _parsed(reference: Reference | str) -> Reference:
    return Reference.parse(reference) if isinstance(reference, str) else reference


def _writable(
    reference: Reference | str, lag: pd.Timedelta | None, notes: Sequence[str]
) -> Reference:
    """Name that rows with this lag and these notes may be stored under.

    Raises InputError if the venue is ``sample``, the lag is negative or would show bars before they
    close, or a note is not one line of text.
    """
    wanted = _parsed(reference)
    if wanted.venue == SAMPLE:
        raise InputError("venue must not be 'sample', which is embedded; import under its own")
    if lag is not None and lag < pd.Timedelta(0):
        raise InputError(f"publication lag must not be negative; got {lag}")
    if lag is not None and wanted.kind == "ohlcv" and lag != default_lag(wanted):
        raise InputError(
            f"publication lag of bars must be their timeframe {wanted.timeframe}: "
            f"they are known when they close; got {lag}; leave the lag out"
        )
    for note in notes:
        if not note.strip() or not note.isprintable():
            raise InputError(f"a note must be one line of text; got {note[:40]!r}; rewrite it")
    return wanted


def _checked(entry: Entry, frame: pd.DataFrame, known: pd.DataFrame) -> Check:
    doubts = implausible(frame, entry.reference.kind, entry.reference.timeframe)
    return Check(name=str(entry.reference), entry=entry, coverage=known, doubts=doubts)


def _entry(manifest: Manifest) -> Entry:
    return Entry(
        reference=manifest.reference,
        id=manifest.id,
        rows=manifest.rows,
        gaps=manifest.gaps,
        start=manifest.start,
        end=manifest.end,
        publication_lag=manifest.publication_lag,
        notes=manifest.said,
    )


def _sample_entry(sample: Dataset) -> Entry:
    index = pd.DatetimeIndex(sample.frame.index)
    return Entry(
        reference=sample.reference,
        id=sample.id,
        rows=len(index),
        gaps=len(sample.gaps),
        start=index[0],
        end=index[-1],
        publication_lag=sample.publication_lag,
        notes=sample.notes,
    )
