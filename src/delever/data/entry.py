"""What the catalogue answers: a line of its list, what an import came to, what a check found."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from delever.data.coverage import unknown_bars
from delever.data.manifest import Manifest
from delever.data.source import Dataset, Reference

__all__ = ["Check", "Entry", "ImportReport", "Survey", "entry_of", "sample_entry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the catalogue.

    Attributes
    ----------
    reference : Reference
        What the data set is called.
    id : str
        sha256 of its content.
    rows, gaps : int
        How many rows, and stretches without.
    start, end : pandas.Timestamp
        First and last stamp, UTC.
    publication_lag : pandas.Timedelta
        From stamp to known.
    notes : tuple of str
        What a reader of results must be told.
    """

    reference: Reference
    id: str
    rows: int
    gaps: int
    start: pd.Timestamp
    end: pd.Timestamp
    publication_lag: pd.Timedelta
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportReport:
    """What an import came to.

    Attributes
    ----------
    entry : Entry
        The data set as it stands now.
    added, present : int
        Rows that were new, and rows that were stored already and agree.
    gaps : pandas.DataFrame, shape (g, 3)
        Of the whole data set, as `delever.bars.gaps`.
    ignored : tuple of str
        Columns of the file that its kind has no use for.
    """

    entry: Entry
    added: int
    present: int
    gaps: pd.DataFrame
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Check:
    """A data set read again from its bytes.

    Attributes
    ----------
    name : str
        Its reference, or its folder when that cannot be read.
    entry : Entry or None
        None when something is broken.
    coverage : pandas.DataFrame or None
        As `delever.data.coverage.coverage`; None when something is broken.
    problems : tuple of str
        What is broken, one sentence each.
    """

    name: str
    entry: Entry | None = None
    coverage: pd.DataFrame | None = None
    problems: tuple[str, ...] = ()

    @property
    def unknown(self) -> int:
        """Bars nothing is known about."""
        return 0 if self.coverage is None else unknown_bars(self.coverage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a catalogue holds, as its descriptions say; no row is read.

    Attributes
    ----------
    entries : tuple of Entry
        The sample first.
    broken : tuple of Check
        Data sets whose description cannot be read.
    """

    entries: tuple[Entry, ...]
    broken: tuple[Check, ...]


def sample_entry(dataset: Dataset) -> Entry:
    """Line of the catalogue for rows that are at hand.

    Parameters
    ----------
    dataset : Dataset
        The embedded sample.

    Returns
    -------
    Entry
    """
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
    """Line of the catalogue for a stored data set.

    Parameters
    ----------
    manifest : Manifest
        As stored.

    Returns
    -------
    Entry
    """
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
