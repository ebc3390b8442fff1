"""`dataset.json`: what a stored data set is made of. A data set is what its manifest says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from delever.data.source import Reference
from delever.errors import InputError, StoreError

__all__ = ["Manifest", "Part"]

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One immutable Parquet file of a data set.

    Attributes
    ----------
    name : str
        Its file, named by period and content.
    rows : int
        How many it holds.
    start, end : pandas.Timestamp
        First and last stamp, UTC.
    sha256 : str
        Of the file.
    """

    name: str
    rows: int
    start: pd.Timestamp
    end: pd.Timestamp
    sha256: str

    @property
    def period(self) -> str:
        """The year or month it holds."""
        return self.name.rpartition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything known about a stored data set beside its rows.

    Attributes
    ----------
    reference : Reference
        What it is called.
    id : str
        `delever.data.parts.content_id` of its rows.
    columns : tuple of str
        In order.
    publication_lag : pandas.Timedelta
        From stamp to known.
    gaps : int
        Stretches of the grid without rows.
    notes : tuple of str
        What a reader of results must be told.
    provenance : tuple of mapping
        One JSON-able record per import that added rows.
    parts : tuple of Part
        In the order of time.
    """

    reference: Reference
    id: str
    columns: tuple[str, ...]
    publication_lag: pd.Timedelta
    gaps: int
    notes: tuple[str, ...]
    provenance: tuple[Mapping[str, object], ...]
    parts: tuple[Part, ...]

    @classmethod
    def empty(
        cls, reference: Reference, columns: tuple[str, ...], publication_lag: pd.Timedelta
    ) -> Manifest:
        """Manifest of a data set without rows, which is never stored.

        Parameters
        ----------
        reference : Reference
            What the data set will be called.
        columns : tuple of str
            In order.
        publication_lag : pandas.Timedelta
            From stamp to known.

        Returns
        -------
        Manifest
        """
        return cls(
            reference=reference,
            id="",
            columns=columns,
            publication_lag=publication_lag,
            gaps=0,
            notes=(),
            provenance=(),
            parts=(),
        )

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
            "gaps": self.gaps,
            "notes": list(self.notes),
            "provenance": [dict(record) for record in self.provenance],
            "parts": [
                {
                    "name": part.name,
                    "rows": part.rows,
                    "start": _stamp(part.start),
                    "end": _stamp(part.end),
                    "sha256": part.sha256,
                }
                for part in self.parts
            ],
        }
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Manifest:
        """Read it from JSON.

        Parameters
        ----------
        data : bytes
            Content of ``dataset.json``.
        where : str
            Its path, for the message.

        Returns
        -------
        Manifest

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
                    sha256=str(part["sha256"]),
                )
                for part in document["parts"]
            )
            lag = pd.Timedelta(document["publication_lag"]).as_unit("ns")
            manifest = cls(
                reference=Reference.parse(document["reference"]),
                id=str(document["id"]),
                columns=tuple(document["columns"]),
                publication_lag=lag,
                gaps=int(document["gaps"]),
                notes=tuple(document["notes"]),
                provenance=tuple(document["provenance"]),
                parts=parts,
            )
        except (ValueError, KeyError, TypeError, InputError) as error:
            raise StoreError(
                f"{where} is damaged ({type(error).__name__}: {error}); "
                "remove its folder and import the data again"
            ) from None
        if not parts or any("/" in part.name or part.rows < 1 for part in parts):
            raise StoreError(
                f"{where} is damaged: it must name parts beside itself that hold rows; "
                "remove its folder and import the data again"
            )
        return manifest


def _stamp(time: pd.Timestamp) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _parsed(text: str) -> pd.Timestamp:
    return pd.Timestamp(text).tz_convert("UTC").as_unit("ns")
