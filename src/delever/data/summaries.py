"""What the catalogue answers: a line of its list, what an import came to, what a check found."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from delever.data.coverage import unknown_bars
from delever.data.manifest import Manifest
from delever.data.references import Dataset, Reference

__all__ = ["Check", "Entry", "ImportReport", "Survey", "entry_of", "sample_entry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the catalogue."""

    reference: Reference  # what the data set is called
    id: str  # sha256 of its content
    rows: int  # how many rows, and stretches without
    gaps: int
    start: pd.Timestamp  # first and last stamp, UTC
    end: pd.Timestamp
    publication_lag: pd.Timedelta  # from stamp to known
    notes: tuple[str, ...]  # what a reader of results must be told


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportReport:
    """What an import came to."""

    entry: Entry  # the data set as it stands now
    added: int  # rows that were new, and rows that were stored already and agree
    present: int
    gaps: pd.DataFrame  # shape (g, 3): of the whole data set, as `delever.bars.gaps`
    ignored: tuple[str, ...]  # columns of the file that its kind has no use for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Check:
    """A data set read again from its bytes."""

    name: str  # its reference, or its folder when that cannot be read
    entry: Entry | None = None  # none when something is broken
    # as `delever.data.coverage.coverage`; None when something is broken
    coverage: pd.DataFrame | None = None
    problems: tuple[str, ...] = ()  # what is broken, one sentence each

    @property
    def unknown(self) -> int:
        """Bars nothing is known about."""
        return 0 if self.coverage is None else unknown_bars(self.coverage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a catalogue holds, as its descriptions say; no row is read."""

    entries: tuple[Entry, ...]  # the sample first
    broken: tuple[Check, ...]  # data sets whose description cannot be read


def sample_entry(dataset: Dataset) -> Entry:
    """Line of the catalogue for rows that are at hand."""
    index = pd.DatetimeIndex(dataset.frame.index)
    return Entry(
        reference=dataset.reference,
        id=dataset.id,
        rows=len(index),
        gaps=len(dataset.gaps),
        start=index[0],
        end=index[-1],
        publication_lag=dataset.publication_lag,
        notes=dataset.notes,
    )


def entry_of(manifest: Manifest) -> Entry:
    """Line of the catalogue for a stored data set."""
    return Entry(
        reference=manifest.reference,
        id=manifest.id,
        rows=manifest.rows,
        gaps=manifest.gaps,
        start=manifest.start,
        end=manifest.end,
        publication_lag=manifest.publication_lag,
        notes=manifest.notes,
    )
