"""The embedded sample: one small data set that comes with every workspace."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

from delever.data.files import read_file
from delever.data.parts import content_id
from delever.data.references import Dataset, Reference, default_lag
from delever.errors import InputError, StoreError

SAMPLE = "sample"
"""The venue of the sample, and the name of its folder."""

_ORIGIN = ("package", "version", "path", "licence")


def load_sample(folder: Path) -> Dataset | None:
    """Load the sample that a folder's ``metadata.json`` describes.

    Raises StoreError if the description is missing or damaged, or the file is not the one it
    describes.
    """
    described = folder / "metadata.json"
    try:
        if not described.is_file():
            if folder.is_dir() and any(folder.iterdir()):
                raise StoreError(
                    f"{described} is missing, which describes what lies there; restore it"
                )
            return None
        about: dict[str, Any] = json.loads(described.read_bytes())
        parts = {name: str(about[name]) for name in ("kind", "symbol", "timeframe")}
        reference = Reference(venue=SAMPLE, **parts)
        file, expected = str(about["file"]), str(about["sha256"])
        notes = tuple(str(note) for note in about["notes"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, InputError) as error:
        raise StoreError(
            f"{described} is damaged ({type(error).__name__}: {error}); restore it"
        ) from None
    try:
        found = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    except OSError as error:
        raise StoreError(f"cannot read {folder / file}: {error.strerror}; restore it") from None
    if found != expected:
        raise StoreError(
            f"{folder / file} must have the sha256 {expected[:8]}… of its metadata.json; it has "
            f"{found[:8]}…; restore it"
        )
    frame, own_id = _read(folder / file, found, reference.kind, reference.timeframe)
    origin = {"file": file, "sha256": expected}
    origin |= {name: about[name] for name in _ORIGIN if name in about}
    return Dataset(
        reference=reference,
        frame=frame.copy(deep=False),  # what is written into it copies first
        id=own_id,
        publication_lag=default_lag(reference),
        notes=notes,
        provenance=(origin,),
    )


_kept: dict[tuple[str, ...], tuple[pd.DataFrame, str]] = {}  # the last sample that was read


def _read(file: Path, sha256: str, kind: str, timeframe: str) -> tuple[pd.DataFrame, str]:
    """Rows of a file of these bytes, and the id of their content; nobody may write into them."""
    key = (file.name, sha256, kind, timeframe)
    known = _kept.get(key)
    if known is None:
        frame = read_file(file, kind, timeframe).frame
        known = frame, content_id(frame, timeframe)
        _kept.clear()
        _kept[key] = known
    return known
