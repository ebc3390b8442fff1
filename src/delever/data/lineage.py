"""Data sets made of others: coarser bars from finer ones, stored with what they came from."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from delever.arguments import counted
from delever.bars import resample
from delever.data.catalog import Catalog, ImportReport
from delever.data.mender import Signature
from delever.data.references import Dataset, Reference
from delever.errors import ConflictError, InputError
from delever.frames import validate
from delever.kinds import kind_of
from delever.units import floor_to, timeframe_delta


def store_resampled(
    catalog: Catalog, reference: str, timeframe: str, *, venue: str | None, by: Signature
) -> ImportReport:
    """Store coarser bars made of a data set's own, or bring those made earlier up to date.

    Raises NotStoredError if there is no such data set; InputError if it holds no bars, they do not
    fill bars of `timeframe`, or fill none of them; ConflictError if something else is stored under
    the name; StoreError.
    """
    source = catalog.whole(Reference.parse(reference))
    if "close" not in kind_of(source.reference.kind).columns:
        raise InputError(
            f"bars are resampled; {reference} holds rows of kind {source.reference.kind}"
        )
    finer = source.reference.timeframe
    if timeframe_delta(timeframe) <= timeframe_delta(finer):
        raise InputError(f"{timeframe} must be coarser than the {finer} of {reference}")
    wanted = replace(source.reference, timeframe=timeframe, venue=venue or source.reference.venue)
    made = resample(source.frame, finer, timeframe)
    if made.empty:
        raise InputError(
            f"{reference} must fill a bar of {timeframe} from its start to its end; its "
            f"{counted(len(source.frame), 'bar')} cannot"
        )
    frame = validate(made, wanted.kind, timeframe, where=str(wanted))
    record = _record(source, frame, timeframe)
    if not catalog.store.has(wanted.folder):
        return catalog.add(frame, wanted, provenance=record)
    wanted = catalog.own(wanted)
    before = catalog.whole(wanted)
    _require_lineage(before, str(source.reference))
    if before.frame.equals(frame) and before.provenance[-1]["id"] == source.id:
        return catalog.report(wanted, added=0, present=len(frame))
    catalog.mender.put(wanted, frame, None, record, by, whole=True)
    new = len(frame.index.difference(before.frame.index))
    return catalog.report(wanted, added=new, present=len(frame) - new)


def _record(source: Dataset, made: pd.DataFrame, timeframe: str) -> dict[str, object]:
    """What the bars are made of, as provenance keeps it."""
    index = pd.DatetimeIndex(source.frame.index)
    width = timeframe_delta(timeframe) // timeframe_delta(source.reference.timeframe)
    held = pd.Series(1, floor_to(index, timeframe)).groupby(level=0).sum().reindex(made.index)
    partial = made.index[held.to_numpy() < width]
    return {
        "resampled": str(source.reference),
        "id": source.id,
        "partial": len(partial),
        "first_partial": f"{partial[0]:%Y-%m-%dT%H:%M:%SZ}" if len(partial) else None,
        "notes": list(source.notes),
    }


def _require_lineage(stored: Dataset, reference: str) -> None:
    """Refuse to write over bars that were not made of this data set."""
    others = [one for one in stored.provenance if one.get("resampled") != reference]
    if others:
        raise ConflictError(
            f"{stored.reference} must hold nothing but bars made of {reference}; it holds others "
            "already; store these under another --venue, or remove it first: delever data remove "
            f"{stored.reference}"
        )
