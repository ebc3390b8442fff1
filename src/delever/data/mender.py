"""Changes by hand: dropped, replaced, mended, set aside, removed, and undone.

Each is one write of the store: a crash leaves the data set as it was or as it should be, and the
way back is on the disk before anything changes.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from delever.data.coverage import CoverageSpan, overlaid
from delever.data.manifest import Manifest, SetAside
from delever.data.references import Reference
from delever.data.store import MANIFEST, PATIENCE, Store
from delever.data.undo import UNDO, Step, steps_to_bytes
from delever.errors import InputError, NotStoredError
from delever.kinds import kind_of
from delever.units import timeframe_delta

Altered: TypeAlias = tuple[pd.DataFrame, Manifest, dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who changes a data set, when, and why."""

    who: str
    when: pd.Timestamp  # UTC
    why: str

    @property
    def record(self) -> dict[str, object]:
        """As provenance keeps it."""
        return {"who": self.who, "when": f"{self.when:%Y-%m-%dT%H:%M:%SZ}", "why": self.why}


def signed(why: str, by: str | None, *, needed: bool = False) -> Signature:
    """Sign a change now, by the name this user is logged in under where none is given.

    Raises InputError if a reason is needed and not given, nobody knows who it is, or a text is not
    one line.
    """
    if needed and not why.strip():
        raise InputError(
            "a reason is required, as pages say it; got none; give one, such as --why 'no trade at "
            "1.50 on any other venue'"
        )
    if by is None:
        try:
            by = getpass.getuser()
        except (OSError, KeyError, ImportError):
            raise InputError("who changes it is not known here; give a name with --by") from None
    for name, text in (("why", why), ("by", by)):
        if text and not text.isprintable():
            raise InputError(f"{name} must be one line of text; got {text[:40]!r}")
    return Signature(who=by, when=pd.Timestamp.now("UTC"), why=why.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a change by hand came to."""

    record: Mapping[str, object]  # what provenance says of it
    manifest: Manifest | None  # as it stands now; None where the data set is removed


class Mender(Store):
    """A store whose data sets are changed by hand."""

    def drop(
        self, reference: Reference, start: pd.Timestamp, end: pd.Timestamp | None, by: Signature
    ) -> Change:
        """Take the rows of a span out, its end exclusive.

        Raises NotStoredError, InputError if the span holds none of its rows or all of them, or
        StoreError.
        """

        def alter(manifest: Manifest, rows: pd.DataFrame) -> Altered:
            gone = _span(rows, start, end, manifest)
            kept = rows[~gone]
            after = replace(manifest, coverage=_unsaid(manifest, rows[gone].index))
            return kept, after, {"change": "drop", **_extent(rows[gone])}

        return self._change(reference, alter, by)

    def put(
        self,
        reference: Reference,
        new: pd.DataFrame,
        start: pd.Timestamp | None,
        origin: Mapping[str, object],
        by: Signature,
        *,
        whole: bool = False,
    ) -> Change:
        """Put rows in the place of all that are stored from a stamp to the last new one.

        Raises NotStoredError, InputError if no new row lies there, ConflictError if columns or
        volumes differ, or StoreError.
        """

        def alter(manifest: Manifest, rows: pd.DataFrame) -> Altered:
            given = new if start is None else new.loc[start:]
            if given.empty:
                raise InputError(
                    f"rows to put into {reference} must lie at or after {start:%Y-%m-%d %H:%M}; "
                    f"the last one stands at {new.index[-1]:%Y-%m-%d %H:%M}; give an earlier --from"
                )
            given = self._fitting(manifest, given)
            first, last = given.index[0] if start is None else start, given.index[-1]
            replaced = ((rows.index >= first) & (rows.index <= last)) | whole
            lost = rows.index[replaced].difference(given.index)
            after = replace(manifest, coverage=_unsaid(manifest, lost))
            on_grid = kind_of(reference.kind).on_grid
            after = replace(
                after,
                quarantined=_outside(manifest, given.index),
                tentative=given.index[-1] if on_grid else None,  # as an import of a file
            )
            record = {"change": "replace", **_extent(given), **origin}
            record["replaced"] = int(replaced.sum())
            return pd.concat([rows[~replaced], given]).sort_index(), after, record

        return self._change(reference, alter, by)

    def mend(
        self,
        reference: Reference,
        new: pd.DataFrame,
        origin: Mapping[str, object],
        by: Signature,
    ) -> Change:
        """Give stored or quarantined rows other values; the record keeps the old ones.

        Raises NotStoredError, InputError if a row is not there or nothing differs, ConflictError if
        columns or volumes differ, or StoreError.
        """

        def alter(manifest: Manifest, rows: pd.DataFrame) -> Altered:
            given = self._fitting(manifest, new)
            old = pd.concat([rows, _values(manifest)]).reindex(given.index)
            missing = given.index.difference(rows.index.union(manifest.set_aside))
            if len(missing):
                raise InputError(
                    f"a row that is mended must be stored or quarantined; {reference} has none at "
                    f"{missing[0]:%Y-%m-%d %H:%M}; new rows are imported"
                )
            if old.equals(given) and not given.index.isin(manifest.set_aside).any():
                raise InputError(f"nothing to mend: {reference} holds these values already")
            open_ = None if manifest.tentative in given.index else manifest.tentative
            after = replace(manifest, quarantined=_outside(manifest, given.index), tentative=open_)
            record = {
                "change": "mend",
                **_extent(given),
                **origin,
                "before": [_said(row) for row in _set_aside(old, by)],
                "after": [_said(row) for row in _set_aside(given, by)],
            }
            kept = rows[~rows.index.isin(given.index)]
            return pd.concat([kept, given]).sort_index(), after, record

        return self._change(reference, alter, by)

    def quarantine(
        self, reference: Reference, start: pd.Timestamp, end: pd.Timestamp | None, by: Signature
    ) -> Change:
        """Set the rows of a span aside: kept, and seen by nobody until they are released."""

        def alter(manifest: Manifest, rows: pd.DataFrame) -> Altered:
            aside = _span(rows, start, end, manifest)
            kept = sorted([*manifest.quarantined, *_set_aside(rows[aside], by)], key=_when)
            after = replace(manifest, quarantined=tuple(kept))
            return rows[~aside], after, {"change": "quarantine", **_extent(rows[aside])}

        return self._change(reference, alter, by)

    def release(
        self, reference: Reference, start: pd.Timestamp, end: pd.Timestamp | None, by: Signature
    ) -> Change:
        """Bring quarantined rows of a span back as they were. Raises as `drop`."""

        def alter(manifest: Manifest, rows: pd.DataFrame) -> Altered:
            aside = _values(manifest)
            back = aside[_span(aside, start, end, manifest, what="quarantined rows")]
            after = replace(manifest, quarantined=_outside(manifest, back.index))
            return (
                pd.concat([rows, back]).sort_index(),
                after,
                {"change": "release", **_extent(back)},
            )

        return self._change(reference, alter, by)

    def remove(self, reference: Reference, by: Signature) -> Change:
        """Take a data set out of the store. Raises NotStoredError or StoreError."""
        folder = reference.folder
        with self.files.lock(folder, wait=PATIENCE):
            before = self.manifest(folder)
            record = {"change": "remove", "rows": before.rows, **by.record}
            self._remember(Step(record=record, before=before))
            self.files.remove(f"{folder}/{MANIFEST}")
        return Change(record=record, manifest=None)

    def undo(self, reference: Reference) -> Change:
        """Make a data set what it was before the last change; rows that came since go too.

        Raises NotStoredError if there is no change that was not verified yet; StoreError.
        """
        folder = reference.folder
        with self.files.lock(folder, wait=PATIENCE):
            now = self.manifest(folder) if MANIFEST in self.files.names(folder) else None
            steps = list(self.undoable(folder))
            while steps and steps[-1].before == now:  # a crash kept the change from being made
                steps.pop()
            if not steps:
                raise NotStoredError(
                    f"nothing to undo in {reference}: a change by hand can be undone until the "
                    "next: delever data verify"
                )
            step = steps.pop()
            self.files.write(folder, {MANIFEST: step.before.to_bytes()})
            self._keep(folder, steps)
            self._clean(step.before)
        return Change(record=step.record, manifest=step.before)

    def forget(self, folder: str) -> tuple[Step, ...]:
        """Let go of what could be undone, and of the rows kept for it. Raises StoreError."""
        with self.files.lock(folder, wait=PATIENCE):
            steps = self.undoable(folder)
            if steps:
                self._keep(folder, ())
                there = MANIFEST in self.files.names(folder)
                kept = self.manifest(folder) if there else replace(steps[-1].before, parts=())
                self._clean(kept)
                steps = tuple(step for step in steps if step.before != kept)
        return steps

    def _change(
        self,
        reference: Reference,
        alter: Callable[[Manifest, pd.DataFrame], Altered],
        by: Signature,
    ) -> Change:
        folder = reference.folder
        with self.files.lock(folder, wait=PATIENCE):
            before = self.manifest(folder)
            stored = self._rows(before)
            rows, after, record = alter(before, stored)
            if rows.empty:
                raise InputError(
                    f"{reference} must keep a row; these are all it has; to take it out of the "
                    f"store: delever data remove {reference}"
                )
            rows = rows.set_axis(rows.index.rename(stored.index.name), axis=0)
            touched = pd.DataFrame(index=_touched(stored, rows))
            record = {**record, **by.record}
            self._remember(Step(record=record, before=before))
            after = replace(
                after,
                provenance=(*before.provenance, record),
                tentative=after.tentative if after.tentative == rows.index[-1] else None,
                parts=self._write_parts(rows, touched, before),
            )
            self.files.write(folder, {MANIFEST: after.to_bytes()})
            self._clean(after)
        return Change(record=record, manifest=after)

    def _fitting(self, manifest: Manifest, given: pd.DataFrame) -> pd.DataFrame:
        """Rows in the columns of a data set. Raises ConflictError if they have others."""
        volume = "volume" not in given or not bool(given["volume"].isna().all())
        manifest.require_columns(tuple(given.columns), volume=volume)
        return given[list(manifest.columns)]

    def _remember(self, step: Step) -> None:
        folder = step.before.reference.folder
        kept = [one for one in self.undoable(folder) if one.before != step.before]
        self._keep(folder, [*kept, step])

    def _keep(self, folder: str, steps: list[Step] | tuple[()]) -> None:
        if steps:
            self.files.write(folder, {UNDO: steps_to_bytes(steps)})
        else:
            self.files.remove(f"{folder}/{UNDO}")


def _span(
    rows: pd.DataFrame,
    start: pd.Timestamp,
    end: pd.Timestamp | None,
    manifest: Manifest,
    *,
    what: str = "rows",
) -> np.ndarray:
    """Which rows lie in a span. Raises InputError where none does."""
    inside = rows.index >= start
    if end is not None:
        inside &= rows.index < end
    if not inside.any():
        until = "" if end is None else f" and before {end:%Y-%m-%d %H:%M}"
        holds = (
            f"it holds {rows.index[0]:%Y-%m-%d %H:%M} to {rows.index[-1]:%Y-%m-%d %H:%M}"
            if len(rows)
            else "it has none"
        )
        raise InputError(
            f"{manifest.reference} must have {what} from {start:%Y-%m-%d %H:%M}{until}; {holds}"
        )
    return np.asarray(inside)


def _touched(stored: pd.DataFrame, rows: pd.DataFrame) -> pd.DatetimeIndex:
    """Stamps at which two frames differ."""
    either = stored.index.union(rows.index)
    ours, theirs = stored.reindex(either), rows.reindex(either)
    same = ((ours == theirs) | (ours.isna() & theirs.isna())).all(axis=1).to_numpy()
    both = either.isin(stored.index) & either.isin(rows.index)
    return pd.DatetimeIndex(either[~(same & both)])


def _extent(rows: pd.DataFrame) -> dict[str, object]:
    """How many rows, and from when to when."""
    return {
        "rows": len(rows),
        "first": f"{rows.index[0]:%Y-%m-%dT%H:%M:%SZ}",
        "last": f"{rows.index[-1]:%Y-%m-%dT%H:%M:%SZ}",
    }


def _unsaid(manifest: Manifest, gone: pd.Index) -> tuple[CoverageSpan, ...]:
    """Coverage once rows are gone: what was called absent beside them is not absent in them."""
    if not any(span.state == "absent" for span in manifest.coverage):
        return manifest.coverage
    step = timeframe_delta(manifest.reference.timeframe)
    runs = (gone.to_series().diff() > step).cumsum()
    said = [
        CoverageSpan(start=stamps.index[0], end=stamps.index[-1] + step, state="unknown")
        for _, stamps in runs.groupby(runs)
    ]
    return overlaid(manifest.coverage, said)


def _set_aside(rows: pd.DataFrame, by: Signature) -> list[SetAside]:
    return [
        SetAside(
            time=stamp,
            values={
                name: None if np.isnan(value) else float(value)
                for name, value in zip(rows.columns, values, strict=True)
            },
            **{name: str(text) for name, text in by.record.items()},
        )
        for stamp, values in zip(rows.index, rows.to_numpy(), strict=True)
    ]


def _said(row: SetAside) -> dict[str, Any]:
    return {"time": f"{row.time:%Y-%m-%dT%H:%M:%SZ}", **row.values}


def _when(row: SetAside) -> pd.Timestamp:
    return row.time


def _values(manifest: Manifest) -> pd.DataFrame:
    """Quarantined rows as they were stored."""
    return pd.DataFrame(
        [row.values for row in manifest.quarantined],
        index=manifest.set_aside,
        columns=list(manifest.columns),
        dtype="float64",
    )


def _outside(manifest: Manifest, stamps: pd.Index) -> tuple[SetAside, ...]:
    """Quarantined rows at other stamps than these."""
    return tuple(row for row in manifest.quarantined if row.time not in stamps)
