"""`dataset.json`: what a stored data set is made of. A data set is what its manifest says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from delever.bars import gaps
from delever.data.coverage import CoverageSpan
from delever.data.parts import combined_id
from delever.data.references import Reference
from delever.errors import InputError, StoreError

__all__ = ["Manifest", "Part"]

_FORMAT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One immutable Parquet file of a data set."""

    name: str  # its file, named by period and content
    rows: int  # how many it holds
    start: pd.Timestamp  # first and last stamp, UTC
    end: pd.Timestamp
    gaps: int  # stretches of the grid without rows, between its first and its last
    sha256: str  # of the file
    content: str  # `delever.data.parts.rows_id` of its rows

    @property
    def period(self) -> str:
        """The year or month it holds."""
        return self.name.rpartition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything known about a stored data set beside its rows."""

    reference: Reference  # what it is called
    columns: tuple[str, ...]  # in order
    publication_lag: pd.Timedelta  # from stamp to known
    # whether the rows' volumes are known; all of them are or none. True where there are none to
    # know.
    volume: bool
    notes: tuple[str, ...]  # what a reader of results must be told
    provenance: tuple[Mapping[str, object], ...]  # one JSON-able record per origin that added rows
    # what is known about stretches without rows, in the order of time, none overlapping
    coverage: tuple[CoverageSpan, ...]
    parts: tuple[Part, ...]  # in the order of time

    @classmethod
    def empty(
        cls,
        reference: Reference,
        columns: tuple[str, ...],
        publication_lag: pd.Timedelta,
        *,
        volume: bool,
    ) -> Manifest:
        """Manifest of a data set without rows, which is never stored."""
        return cls(
            reference=reference,
            columns=columns,
            publication_lag=publication_lag,
            volume=volume,
            notes=(),
            provenance=(),
            coverage=(),
            parts=(),
        )

    @property
    def id(self) -> str:
        """`delever.data.parts.content_id` of all rows."""
        return combined_id(self.columns, {part.period: part.content for part in self.parts})

    @property
    def gaps(self) -> int:
        """Stretches of the grid without rows."""
        starts = [part.start for part in self.parts[1:]]
        ends = [part.end for part in self.parts[:-1]]
        between = sum(
            len(gaps(pd.DatetimeIndex(pair), self.reference.timeframe))
            for pair in zip(ends, starts, strict=True)
        )
        return between + sum(part.gaps for part in self.parts)

    @property
    def rows(self) -> int:
        """How many rows all parts hold."""
        return sum(part.rows for part in self.parts)

    @property
    def start(self) -> pd.Timestamp:
        """First stamp."""
        return self.parts[0].start

    @property
    def end(self) -> pd.Timestamp:
        """Last stamp."""
        return self.parts[-1].end

    def to_bytes(self) -> bytes:
        """Write it as JSON; the same for the same manifest."""
        document = {
            "format": _FORMAT,
            "reference": str(self.reference),
            "id": self.id,
            "columns": list(self.columns),
            "rows": self.rows,
            "start": _stamp(self.start),
            "end": _stamp(self.end),
            "publication_lag": self.publication_lag.isoformat(),
            "volume": self.volume,
            "notes": list(self.notes),
            "provenance": [dict(record) for record in self.provenance],
            "coverage": [
                {"start": _stamp(claim.start), "end": _stamp(claim.end), "state": claim.state}
                for claim in self.coverage
            ],
            "parts": [
                {
                    "name": part.name,
                    "rows": part.rows,
                    "start": _stamp(part.start),
                    "end": _stamp(part.end),
                    "gaps": part.gaps,
                    "sha256": part.sha256,
                    "content": part.content,
                }
                for part in self.parts
            ],
        }
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Manifest:
        """Read it from JSON.

        Raises
        ------
        StoreError
            If it is damaged or of another format.
        """
        try:
            document: dict[str, Any] = json.loads(data)
            if document["format"] != _FORMAT:
                raise StoreError(
                    f"{where} has format {document['format']}; this version reads {_FORMAT}; "
                    "use the version that wrote it, or import the data again"
                )
            parts = tuple(
                Part(
                    name=str(part["name"]),
                    rows=int(part["rows"]),
                    start=_parsed(part["start"]),
                    end=_parsed(part["end"]),
                    gaps=int(part["gaps"]),
                    sha256=str(part["sha256"]),
                    content=str(part["content"]),
                )
                for part in document["parts"]
            )
            coverage = tuple(
                CoverageSpan(
                    start=_parsed(claim["start"]), end=_parsed(claim["end"]), state=claim["state"]
                )
                for claim in document["coverage"]
            )
            lag = pd.Timedelta(document["publication_lag"]).as_unit("ns")
            manifest = cls(
                reference=Reference.parse(document["reference"]),
                columns=tuple(document["columns"]),
                publication_lag=lag,
                volume=bool(document["volume"]),
                notes=tuple(document["notes"]),
                provenance=tuple(document["provenance"]),
                coverage=coverage,
                parts=parts,
            )
        except (ValueError, KeyError, TypeError, RecursionError, InputError) as error:
            raise StoreError(
                f"{where} is damaged ({type(error).__name__}: {error}); "
                "remove its folder and import the data again"
            ) from None
        if not parts or any("/" in part.name or part.rows < 1 for part in parts):
            raise StoreError(
                f"{where} is damaged: it must name parts beside itself that hold rows; "
                "remove its folder and import the data again"
            )
        if document["id"] != manifest.id:
            raise StoreError(
                f"{where} is damaged: its id must be {manifest.id[:8]}…, that of its columns and "
                f"parts, and is {str(document['id'])[:8]}…; remove its folder and import again"
            )
        return manifest


def _stamp(time: pd.Timestamp) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _parsed(text: str) -> pd.Timestamp:
    return pd.Timestamp(text).tz_convert("UTC").as_unit("ns")
