"""Data sets changed by hand, with who, when and why; every change can be undone until verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from delever.arguments import counted
from delever.data.mender import Change, signed
from delever.data.parts import rows_id
from delever.data.references import Reference
from delever.data.rhythm import check_timeframe
from delever.data.vendors.foreign import FileDescription
from delever.data.vendors.registry import read_foreign
from delever.errors import InputError
from delever.frames import validate
from delever.study.inputs.market import utc
from delever.study.kept.result import Result
from delever.study.workspaces.workspace import Workspace

Place = Workspace | Path | str | None
When = str | pd.Timestamp


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DataChange(Result):
    """What a change of a data set by hand came to.

    Attributes
    ----------
    reference : str
        The data set.
    record : mapping
        What provenance says of the change: what, how many rows, who, when, why.
    rows : int
        How many rows the data set has now; 0 where it was removed.
    undone : bool
        Whether the change was taken back.
    records : pandas.DataFrame
        Every change by hand that is in force, in their order.
    """

    reference: str
    record: Mapping[str, object]
    rows: int
    undone: bool
    records: pd.DataFrame

    @property
    def headline(self) -> str:
        """What was done, to how many rows, and how many there are now."""
        rows = counted(int(str(self.record["rows"])), "row")
        done = f"{_DONE[str(self.record['change'])]} {rows}{_extent(self.record)}"
        said = f"{self.reference}: {'undone: ' if self.undone else ''}{done}; "
        said += (
            f"{counted(self.rows, 'row')} now" if self.rows else "nothing is stored under it now"
        )
        if self.undone:
            return f"{said}."
        return (
            f"{said}. Until the next delever data verify it is undone by: "
            f"delever data undo {self.reference}"
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """``changes``: every change by hand that is in force."""
        return {"changes": self.records}

    def to_dict(self) -> dict[str, Any]:
        """The headline, the reference, the rows there are, and the record."""
        return {
            "headline": self.headline,
            "reference": self.reference,
            "rows": self.rows,
            "undone": self.undone,
            "record": dict(self.record),
        }


_DONE = {
    "drop": "dropped",
    "replace": "replaced by",
    "mend": "mended",
    "quarantine": "quarantined",
    "release": "released",
    "remove": "removed with",
}


def data_drop(
    reference: str,
    start: When,
    end: When | None = None,
    *,
    why: str = "",
    by: str | None = None,
    workspace: Place = None,
) -> DataChange:
    """Take the rows of a span out of a data set.

    Parameters
    ----------
    reference : str
        Such as ``"bitstamp/ohlcv/BTC/USD/1d"``.
    start, end : str or pandas.Timestamp
        UTC; the end is exclusive and by default open.
    why, by : str, optional
        The reason, and who; by default the name this user is logged in under.
    workspace : path, optional
        By default the one at or above the current folder.

    Raises
    ------
    NotStoredError
        If there is no such data set.
    InputError
        If the span holds none of its rows, or all of them.

    Examples
    --------
    >>> import delever as dl, pandas as pd, tempfile
    >>> place = dl.init(tempfile.mkdtemp())
    >>> days = pd.date_range("2026-01-01", periods=3, tz="UTC")
    >>> fear = pd.DataFrame({"value": [24.0, 25.0, 23.0]}, days)
    >>> kept = dl.import_data(fear, "mine", "FEAR", kind="series", workspace=place)
    >>> done = dl.data_drop("mine/series/FEAR/1d", "2026-01-03", by="ann", workspace=place)
    >>> done.rows, dl.data_undo("mine/series/FEAR/1d", workspace=place).rows
    (2, 3)
    """
    place, wanted = _at(reference, workspace)
    made = place.catalog.mender.drop(wanted, *_span(start, end), signed(why, by))
    return _change(wanted, made)


def data_replace(
    reference: str,
    source: Path | str | pd.DataFrame,
    start: When | None = None,
    *,
    layout: str | None = None,
    why: str = "",
    by: str | None = None,
    workspace: Place = None,
) -> DataChange:
    """Put the rows of a file in the place of all that are stored over the file's span.

    Parameters
    ----------
    reference : str
        The data set.
    source : path or pandas.DataFrame
        A file, or a frame indexed by stamp in UTC.
    start : str or pandas.Timestamp, optional
        Earlier rows of the file are left out; by default none.
    layout : str, optional
        Whose file it is, as for `delever.import_data`.
    why, by, workspace
        As for `delever.data_drop`.

    Raises
    ------
    NotStoredError
        If there is no such data set or file.
    SchemaError
        If a row breaks the contract of its kind.
    ConflictError
        If its columns or volumes are not those that are stored.
    """
    place, wanted = _at(reference, workspace)
    frame, origin = _read(source, wanted, layout, place)
    check_timeframe(pd.DatetimeIndex(frame.index), wanted.kind, wanted.timeframe, str(source)[:99])
    first = None if start is None else utc(start, "start")
    made = place.catalog.mender.put(wanted, frame, first, origin, signed(why, by))
    return _change(wanted, made)


def data_mend(
    reference: str,
    source: Path | str | pd.DataFrame,
    *,
    why: str,
    layout: str | None = None,
    by: str | None = None,
    workspace: Place = None,
) -> DataChange:
    """Give some rows other values; every page made of them says so.

    Parameters
    ----------
    reference : str
        The data set.
    source : path or pandas.DataFrame
        The mended rows alone, whole, at stamps that are stored or quarantined.
    why : str
        The reason, for every reader of a result.
    layout, by, workspace
        As for `delever.data_replace`.

    Raises
    ------
    NotStoredError
        If there is no such data set or file.
    InputError
        If a row is not there, nothing differs, or no reason is given.
    SchemaError, ConflictError
        As for `delever.data_replace`.
    """
    place, wanted = _at(reference, workspace)
    frame, origin = _read(source, wanted, layout, place)
    made = place.catalog.mender.mend(wanted, frame, origin, signed(why, by, needed=True))
    return _change(wanted, made)


def data_quarantine(
    reference: str,
    start: When,
    end: When | None = None,
    *,
    why: str = "",
    release: bool = False,
    by: str | None = None,
    workspace: Place = None,
) -> DataChange:
    """Set rows aside: kept in the store, and missing like a hole to every run until released.

    Parameters
    ----------
    reference : str
        The data set.
    start, end : str or pandas.Timestamp
        UTC; the end is exclusive. Without an end it is the one row at `start`.
    why : str
        The reason, for every reader of a result; not needed for a release.
    release : bool
        Bring quarantined rows of the span back as they were.
    by, workspace
        As for `delever.data_drop`.

    Raises
    ------
    NotStoredError
        If there is no such data set.
    InputError
        If the span holds no such row or all of them, or no reason is given.
    """
    place, wanted = _at(reference, workspace)
    first, last = _span(start, end)
    last = first + pd.Timedelta(1) if last is None else last
    signature = signed(why, by, needed=not release)
    mender = place.catalog.mender
    made = (mender.release if release else mender.quarantine)(wanted, first, last, signature)
    return _change(wanted, made)


def data_remove(
    reference: str, *, why: str = "", by: str | None = None, workspace: Place = None
) -> DataChange:
    """Take a data set out of the store.

    Parameters
    ----------
    reference : str
        The data set.
    why, by, workspace
        As for `delever.data_drop`.

    Raises
    ------
    NotStoredError
        If there is no such data set.
    """
    place, wanted = _at(reference, workspace)
    return _change(wanted, place.catalog.mender.remove(wanted, signed(why, by)))


def data_undo(reference: str, *, workspace: Place = None) -> DataChange:
    """Make a data set what it was before its last change by hand; rows that came since go too.

    Parameters
    ----------
    reference : str
        The data set.
    workspace : path, optional
        By default the one at or above the current folder.

    Raises
    ------
    NotStoredError
        If there is no change that was not verified yet.
    """
    place, wanted = _at(reference, workspace, removed=True)
    return _change(wanted, place.catalog.mender.undo(wanted), undone=True)


def _at(reference: str, workspace: Place, *, removed: bool = False) -> tuple[Workspace, Reference]:
    place = Workspace.find(workspace)
    return place, place.catalog.own(reference, removed=removed)


def _span(start: When, end: When | None) -> tuple[pd.Timestamp, pd.Timestamp | None]:
    first, last = utc(start, "start"), None if end is None else utc(end, "end")
    if last is not None and last <= first:
        raise InputError(f"a span must end after it starts; got {first} to {last}")
    return first, last


def _read(
    source: Path | str | pd.DataFrame, wanted: Reference, layout: str | None, place: Workspace
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Rows that keep the contract of their kind, and what provenance calls them."""
    if isinstance(source, pd.DataFrame):
        if layout is not None:
            raise InputError(f"a layout is that of a file; got a DataFrame with layout={layout!r}")
        frame = validate(source, wanted.kind, wanted.timeframe, where=str(wanted))
        return frame, {"frame": rows_id(frame)}
    said = FileDescription(
        venue=wanted.venue, kind=wanted.kind, symbol=wanted.symbol, timeframe=wanted.timeframe
    )
    path = Path(source).expanduser()
    contents = read_foreign([path], layout, said, vendors=place.extensions.vendors)
    rows = [one for one in contents.found if one.reference == wanted]
    if len(rows) != 1:
        held = ", ".join(str(one.reference) for one in contents.found) or "no data set"
        raise InputError(f"{path.name} must hold {wanted} once; it holds {held}")
    frame = validate(rows[0].frame, wanted.kind, wanted.timeframe, where=path.name)
    return frame, dict(rows[0].provenance)


def _change(wanted: Reference, made: Change, *, undone: bool = False) -> DataChange:
    records = [] if made.manifest is None else made.manifest.provenance
    shown = ("when", "change", "rows", "first", "last", "who", "why")
    return DataChange(
        reference=str(wanted),
        record=made.record,
        rows=0 if made.manifest is None else made.manifest.rows,
        undone=undone,
        records=pd.DataFrame(
            [{name: one.get(name, "") for name in shown} for one in records if "change" in one],
            columns=list(shown),
        ),
    )


def _extent(record: Mapping[str, object]) -> str:
    if "first" not in record:
        return ""
    first, last = (
        str(record[name]).replace("T00:00:00Z", "").replace("T", " ").removesuffix(":00Z")
        for name in ("first", "last")
    )
    return f" of {first}" if first == last else f" from {first} to {last}"
