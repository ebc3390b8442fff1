"""Data sets read again from their bytes: what is broken, and what is known about every bar."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from delever.data.coverage import coverage
from delever.data.parts import content_id
from delever.data.reader import read_rows
from delever.data.sample_data import SAMPLE, load_sample
from delever.data.store import Store
from delever.data.summaries import Check, entry_of, sample_entry
from delever.errors import DataError, StoreError
from delever.frames import validate

__all__ = ["check_sample", "check_stored", "verify"]


def check_stored(store: Store, folder: str) -> Check:
    """Hold a stored data set against its checksums and the contract of its kind."""
    problems = tuple(verify(store, folder))
    if problems:
        return Check(name=folder, problems=problems)
    reference = store.manifest(folder).reference
    manifest, index = store.stamps(reference)
    known = coverage(index, reference.timeframe, manifest.coverage)
    return Check(name=str(reference), entry=entry_of(manifest), coverage=known)


def check_sample(folder: Path) -> Check | None:
    """Hold the sample against its description."""
    try:
        sample = load_sample(folder)
    except DataError as error:
        return Check(name=SAMPLE, problems=(str(error),))
    if sample is None:
        return None
    known = coverage(pd.DatetimeIndex(sample.frame.index), sample.reference.timeframe, ())
    return Check(name=str(sample.reference), entry=sample_entry(sample), coverage=known)


def verify(store: Store, folder: str) -> list[str]:
    """Everything wrong with a stored data set, read from its bytes up."""
    try:
        manifest = store.manifest(folder)
    except DataError as error:
        return [str(error)]
    problems = []
    for part in manifest.parts:
        name = f"{folder}/{part.name}"
        try:
            found = hashlib.sha256(store.disk.read(name)).hexdigest()
        except FileNotFoundError:
            problems.append(f"{name} is missing; remove the folder and import again")
            continue
        except StoreError as error:
            problems.append(str(error))
            continue
        if found != part.sha256:
            problems.append(
                f"{name} is damaged: its sha256 must be {part.sha256[:8]}… and is {found[:8]}…; "
                "remove the folder and import again"
            )
    if problems:
        return problems
    reference = manifest.reference
    try:
        frame = read_rows(store.disk, manifest)
        validate(frame, reference.kind, reference.timeframe, where=folder)
    except DataError as error:
        return [str(error)]
    found = content_id(frame, reference.timeframe)
    if found != manifest.id:
        problems.append(
            f"{folder} must have the id {manifest.id[:8]}… of its manifest; it has {found[:8]}…; "
            "remove the folder and import again"
        )
    return problems
