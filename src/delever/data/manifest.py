"""`dataset.json`: what a stored data set is made of. A data set is what its manifest says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from delever.arguments import counted
from delever.bars import gaps
from delever.data.coverage import CoverageSpan
from delever.data.parts import combined_id
from delever.data.references import Reference
from delever.errors import ConflictError, InputError, StoreError
from delever.kinds import kind_of

_FORMAT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One immutable Parquet file of a data set."""

    name: str  # its file, named by period and content
    rows: int  # how many it holds
    start: pd.Timestamp  # first and last stamp, UTC
    end: pd.Timestamp
    gaps: int  # stretches without rows between its first and its last, and as `Manifest.gaps` says
    sha256: str  # of the file
    content: str  # `delever.data.parts.rows_id` of its rows

    @property
    def period(self) -> str:
        """The year or month it holds."""
        return self.name.rpartition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A quarantined row: kept, and seen by nobody until it is released."""

    time: pd.Timestamp  # its stamp, UTC
    values: Mapping[str, float | None]  # by column; None where undefined
    who: str
    when: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything known about a stored data set beside its rows."""

    reference: Reference  # what it is called
    columns: tuple[str, ...]  # in order
    publication_lag: pd.Timedelta  # from stamp to known
    # whether the rows' volumes are known; all of them are or none. True where there are none to
    # know.
    volume: bool
    notes: tuple[str, ...] = ()  # what a reader of results must be told
    provenance: tuple[Mapping[str, object], ...] = ()  # one record per origin that added rows
    # what is known about stretches without rows, in the order of time, none overlapping
    coverage: tuple[CoverageSpan, ...] = ()
    # stamp of the last row, where it was the newest there was and nothing later proved it final
    tentative: pd.Timestamp | None = None
    quarantined: tuple[SetAside, ...] = ()  # rows set aside by hand, in the order of time
    parts: tuple[Part, ...] = ()  # in the order of time; a stored manifest has at least one

    @property
    def set_aside(self) -> pd.DatetimeIndex:
        """Stamps of the quarantined rows."""
        times = [row.time for row in self.quarantined]
        return pd.DatetimeIndex(times, dtype="datetime64[ns, UTC]")

    @property
    def said(self) -> tuple[str, ...]:
        """What a reader of results must be told: the notes, and what was changed by hand."""
        mended = [said for record in self.provenance if (said := _of_mend(record))]
        made = [record for record in self.provenance if "resampled" in record][-1:]
        return (
            *self.notes,
            *(line for record in made for line in _of_resampling(record)),
            *mended,
            *_of_quarantine(self.quarantined),
        )

    @property
    def id(self) -> str:
        """`delever.data.parts.content_id` of all rows."""
        return combined_id(self.columns, {part.period: part.content for part in self.parts})

    @property
    def gaps(self) -> int:
        """Stretches without rows where some are due."""
        if kind_of(self.reference.kind).own_intervals:  # a part counts what follows it too
            return sum(part.gaps for part in self.parts)
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

    def require_lag(self, lag: pd.Timedelta | None) -> None:
        """Refuse another publication lag: an import may repeat it but not change it.

        Raises ConflictError if the two differ.
        """
        if lag is not None and lag != self.publication_lag:
            raise ConflictError(
                f"{self.reference} is stored with a publication lag of {self.publication_lag}; "
                f"got {lag}; leave it out, or store under another symbol; nothing was stored"
            )

    def require_columns(self, found: tuple[str, ...], *, volume: bool) -> None:
        """Refuse rows of other columns (in any order), and bars with volumes beside bars without.

        Raises ConflictError if they differ.
        """
        if set(self.columns) != set(found):
            raise ConflictError(
                f"{self.reference} is stored with the columns {', '.join(self.columns)}; "
                f"got {', '.join(found)}; bring the same ones, or store under another symbol; "
                "nothing was stored"
            )
        if self.volume != volume:
            has, got = ("with", "without") if self.volume else ("without", "with")
            raise ConflictError(
                f"{self.reference} is stored {has} volumes; got bars {got}; volume must be known "
                "for every bar or for none; store them under another symbol; nothing was stored"
            )

    def to_bytes(self) -> bytes:
        """Write it as JSON; the same for the same manifest."""
        document = {
            "format": _FORMAT,
            "reference": str(self.reference),
            "id": self.id,
            "columns": self.columns,
            "rows": self.rows,
            "start": self.start,
            "end": self.end,
            "publication_lag": self.publication_lag.isoformat(),
            "volume": self.volume,
            "notes": self.notes,
            "provenance": [dict(record) for record in self.provenance],
            "coverage": [_said(span) for span in self.coverage],
            "parts": [asdict(part) for part in self.parts],
        }
        if self.tentative is not None:
            document["tentative"] = self.tentative
        if self.quarantined:
            document["quarantined"] = [asdict(row) for row in self.quarantined]
        text = json.dumps(document, indent=2, ensure_ascii=False, default=_stamp)
        return (text + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Manifest:
        """Read it from JSON. Raises StoreError if it is damaged or of another format."""
        try:
            document: dict[str, Any] = json.loads(data)
            if document["format"] != _FORMAT:
                raise StoreError(
                    f"{where} has format {document['format']}; this version reads {_FORMAT}; "
                    "use the version that wrote it, or import the data again"
                )
            manifest = cls(
                reference=Reference.parse(document["reference"]),
                columns=tuple(document["columns"]),
                publication_lag=pd.Timedelta(document["publication_lag"]).as_unit("ns"),
                volume=bool(document["volume"]),
                notes=tuple(document["notes"]),
                provenance=tuple(document["provenance"]),
                coverage=tuple(CoverageSpan(**_dated(span)) for span in document["coverage"]),
                tentative=_dated(document).get("tentative"),
                quarantined=tuple(_row(row) for row in document.get("quarantined", ())),
                parts=tuple(_part(part) for part in document["parts"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError, InputError) as error:
            raise StoreError(
                f"{where} is damaged ({type(error).__name__}: {error}); "
                "remove its folder and import the data again"
            ) from None
        parts = manifest.parts
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


def _dated(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of JSON with its texts of time as stamps."""
    times = {
        name: pd.Timestamp(record[name]).tz_convert("UTC").as_unit("ns")
        for name in ("start", "end", "asked", "tentative")
        if name in record
    }
    return {**record, **times}


def _said(span: CoverageSpan) -> dict[str, Any]:
    """A span without what is not said."""
    return {name: value for name, value in asdict(span).items() if value is not None}


def _part(record: Mapping[str, Any]) -> Part:
    numbers = {name: int(record[name]) for name in ("rows", "gaps")}
    texts = {name: str(record[name]) for name in ("name", "sha256", "content")}
    return Part(**{**_dated(record), **numbers, **texts})


def _row(record: Mapping[str, Any]) -> SetAside:
    time = pd.Timestamp(record["time"]).tz_convert("UTC").as_unit("ns")
    values = {str(k): None if v is None else float(v) for k, v in record["values"].items()}
    return SetAside(time=time, values=values, **{k: str(record[k]) for k in ("who", "when", "why")})


def _of_resampling(record: Mapping[str, Any]) -> list[str]:
    """What the bars were made of, and what was said of those."""
    less = ""
    if record["partial"]:
        less = (
            f"; {counted(int(record['partial']), 'bar')} made of fewer than there should be, first "
            f"{_short(record['first_partial'])}"
        )
    return [f"resampled from {record['resampled']}{less}", *record["notes"]]


def _of_mend(record: Mapping[str, Any]) -> str:
    """What a record of mended rows comes to in one line; empty for any other record."""
    if record.get("change") != "mend":
        return ""
    changed = [
        f"{name} {old[name]:.6g} to {new[name]:.6g}"
        for old, new in zip(record["before"], record["after"], strict=True)
        for name in new
        if name != "time" and None not in (old[name], new[name]) and old[name] != new[name]
    ]
    more = f" and {len(changed) - 3} more values" if len(changed) > 3 else ""
    rows = f"{counted(int(record['rows']), 'row')} {_between(record['first'], record['last'])}"
    return f"mended by hand: {rows} ({', '.join(changed[:3])}{more}; {_signed(record)})"


def _of_quarantine(rows: tuple[SetAside, ...]) -> list[str]:
    """One line for each reason, of what is missing for it."""
    reasons: dict[tuple[str, str], list[SetAside]] = {}
    for row in rows:
        reasons.setdefault((row.who, row.why), []).append(row)
    return [
        f"quarantined by hand, and missing like a hole: {counted(len(same), 'row')} "
        f"{_between(_stamp(same[0].time), _stamp(same[-1].time))} ({_signed(asdict(same[-1]))})"
        for same in reasons.values()
    ]


def _between(first: str, last: str) -> str:
    """Two stamps of JSON, as short as they are exact."""
    return f"of {_short(first)}" if first == last else f"from {_short(first)} to {_short(last)}"


def _short(stamp: str) -> str:
    return stamp.replace("T00:00:00Z", "").replace("T", " ").removesuffix(":00Z")


def _signed(record: Mapping[str, Any]) -> str:
    return f"{record['why']}; by {record['who']} on {record['when'][:10]}"
