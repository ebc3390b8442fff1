"""Rows on their way into the store: under which name and lag, from where, in what form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from delever.data.files import StampUnit, read_file
from delever.data.parts import rows_id
from delever.data.references import Reference, default_lag
from delever.data.sample_data import SAMPLE
from delever.errors import InputError
from delever.frames import validate

__all__ = ["Intake", "take_in", "writable"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Intake:
    """Rows that satisfy the contract of their kind."""

    frame: pd.DataFrame  # shape (n, k): in the stored form of their kind
    origin: Mapping[str, object]  # JSON-able record of where they come from
    ignored: tuple[str, ...]  # columns that their kind has no use for


def writable(
    reference: Reference | str, lag: pd.Timedelta | None, notes: Sequence[str] = ()
) -> Reference:
    """Name that rows with this lag and these notes may be stored under.

    Raises
    ------
    InputError
        If the venue is ``sample``, the lag is negative or would show bars before they close, or a
        note is not one line of text.
    """
    wanted = Reference.parse(reference) if isinstance(reference, str) else reference
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


def take_in(
    source: pd.DataFrame | Path | str,
    reference: Reference,
    *,
    stamp_unit: StampUnit | None = None,
    provenance: Mapping[str, object] | None = None,
) -> Intake:
    """Read rows and hold them against the contract of their kind.

    Raises
    ------
    NotStoredError
        If there is no such file.
    SchemaError
        If a row breaks the contract.
    """
    if not isinstance(source, pd.DataFrame):
        rows = read_file(Path(source), reference.kind, reference.timeframe, stamp_unit=stamp_unit)
        origin = {"file": rows.name, "sha256": rows.sha256, "rows": len(rows.frame)}
        return Intake(frame=rows.frame, origin=origin, ignored=rows.ignored)
    frame = validate(source, reference.kind, reference.timeframe, where=str(reference))
    return Intake(
        frame=frame,
        origin={**(provenance or {"frame": rows_id(frame)}), "rows": len(frame)},
        ignored=tuple(str(name) for name in source.columns if name not in frame.columns),
    )
