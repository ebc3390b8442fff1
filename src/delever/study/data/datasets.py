"""Data sets of a workspace: imported, listed, checked, and written for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from delever.arguments import shown
from delever.data.catalog import Check, Entry, ImportReport
from delever.data.lineage import store_resampled
from delever.data.mender import signed
from delever.data.plausibility import Doubt
from delever.data.references import Dataset, parse_lag
from delever.data.rhythm import check_timeframe, timeframe_of
from delever.data.stamps import StampUnit
from delever.data.vendors.export import Format
from delever.data.vendors.export import export as write
from delever.data.vendors.foreign import FileContents, FileDescription, Found
from delever.data.vendors.registry import read_foreign
from delever.errors import DataError, InputError
from delever.frames import utc_index
from delever.study.inputs.known_readings import known_as
from delever.study.kept.result import Result, plain
from delever.study.workspaces.workspace import Workspace

Place = Workspace | Path | str | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DataList(Result):
    """What a workspace stores; `data_list` makes it."""

    entries: tuple[Entry, ...]  # the sample first
    broken: tuple[Check, ...]  # data sets whose description cannot be read
    notes: tuple[str, ...] = ()  # what must be known of the store, such as that it forgets

    @property
    def headline(self) -> str:
        """How many data sets there are, and how many cannot be read."""
        rows = sum(entry.rows for entry in self.entries)
        broken = f"; {len(self.broken)} cannot be read" if self.broken else ""
        return f"Data sets stored: {len(self.entries)}, with {rows:,} rows{broken}."

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """``data sets``: one row each, by reference."""
        rows = [described(entry) for entry in self.entries]
        return {"data sets": pd.DataFrame(rows).set_index("reference") if rows else pd.DataFrame()}

    def to_dict(self) -> dict[str, Any]:
        """The headline, and ``data_sets`` with what is broken about each."""
        broken = [{"reference": one.name, "problems": list(one.problems)} for one in self.broken]
        whole: list[dict[str, Any]] = [
            described(entry) | {"problems": []} for entry in self.entries
        ]
        return {"headline": self.headline, "data_sets": whole + broken}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Imports(Result):
    """What an import came to; `import_data` makes it."""

    reports: tuple[ImportReport, ...]  # one for each data set
    left: tuple[str, ...] = ()  # files of a folder that were left alone, and why
    failed: tuple[str, ...] = ()  # what could not be stored, one sentence each
    notes: tuple[str, ...] = ()  # what must be known of the store, such as that it forgets

    @property
    def headline(self) -> str:
        """How many rows are new, and what failed."""
        added = sum(report.added for report in self.reports)
        failed = f"; failed: {len(self.failed)}" if self.failed else ""
        return f"Data sets imported: {len(self.reports)}, {added:,} rows added{failed}."

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """``data sets``, and under each reference its gaps."""
        rows = [
            described(report.entry) | {"added": report.added, "present": report.present}
            for report in self.reports
        ]
        each = {str(report.entry.reference): report.gaps for report in self.reports}
        return {
            "data sets": pd.DataFrame(rows).set_index("reference") if rows else pd.DataFrame(),
            **each,
        }

    def to_dict(self) -> dict[str, Any]:
        """The headline, ``data_sets``, and what was left alone or failed."""
        return {
            "headline": self.headline,
            "data_sets": [
                described(report.entry)
                | {
                    "added": report.added,
                    "present": report.present,
                    "gaps": plain(report.gaps[["start", "end", "bars"]].to_dict("records")),
                    "implausible": [found_doubt(found) for found in report.doubts],
                    "ignored": report.ignored,
                }
                for report in self.reports
            ],
            "left": list(self.left),
            "failed": list(self.failed),
            "notes": list(self.notes),
        }


def data_list(*, workspace: Place = None) -> DataList:
    """List what a workspace stores; no row is read.

    Parameters
    ----------
    workspace : path, optional
        By default the one at or above the current folder.

    Examples
    --------
    >>> import delever as dl
    >>> dl.data_list().tables["data sets"].loc["sample/ohlcv/BTC/USD/1d", "rows"]
    np.int64(5385)
    """
    catalog = Workspace.find(workspace, or_shipped=True).catalog
    found = catalog.survey()
    return DataList(entries=found.entries, broken=found.broken, notes=catalog.caveats)


def import_data(
    source: Path | str | pd.DataFrame | Sequence[Path | str],
    venue: str,
    symbol: str | None = None,
    *,
    kind: str | None = None,
    timeframe: str | None = None,
    layout: str | None = None,
    publication_lag: str | pd.Timedelta | None = None,
    stamp_unit: StampUnit | None = None,
    timezone: str | None = None,
    notes: Sequence[str] = (),
    complete: bool = False,
    workspace: Place = None,
) -> Imports:
    """Store rows of files, of folders, or of a DataFrame.

    Rows that are stored already must agree; importing twice changes nothing. Of several files
    those that can be stored are, and the others are in `Imports.failed`.

    Parameters
    ----------
    source : path, sequence of paths, or pandas.DataFrame of shape (n, k)
        ``.csv``, ``.csv.gz``, ``.parquet`` or ``.feather``, or a folder of them; with `layout` what
        that names. A frame is indexed by stamp in UTC and has the columns of its kind.
    venue : str
        Where the rows come from, such as ``"bitstamp"``.
    symbol : str, optional
        ccxt's unified symbol, or the name of a series. Files of vendors mostly say it themselves;
        one that says another is refused.
    kind : str, optional
        ``"ohlcv"`` (the default), ``"funding"``, ``"series"`` or another of `delever.frames.KINDS`.
    timeframe : str, optional
        By default the distance at which most rows follow each other. One that the rows do not have
        is refused.
    layout : str, optional
        Whose file it is: ``"binance-archive"``, ``"coingecko"``, ``"coinmetrics"``,
        ``"cryptodatadownload"``, ``"freqtrade"``, ``"kaggle"``, ``"kraken"``, ``"metatrader"``,
        ``"tradingview"``, ``"yahoo"``, a vendor of an extension, or the path of a layout in TOML.
    publication_lag : str or pandas.Timedelta, optional
        From a row's stamp to when it was known, >= 0: ``"8h"``. By default one timeframe, and 0
        for funding.
    stamp_unit : {"s", "ms", "us", "ns"}, optional
        What stamps count where they are whole numbers.
    timezone : str, optional
        Where the clock hung that stamps without an offset were read from: ``"UTC"``,
        ``"America/New_York"``. Without it such stamps are refused.
    notes : sequence of str
        What a reader of results must be told.
    complete : bool
        Whether the source has nothing between these rows: holes are then absent, not unknown.
    workspace : path, optional
        By default the one at or above the current folder.

    Raises
    ------
    SchemaError
        If a file is not what is said of it, or a row breaks the contract of its kind; the message
        names file, row and mend.
    ConflictError
        If rows disagree with what is stored; nothing changes.
    ConfigError
        If the layout is unknown, or an argument does not go with it.

    Examples
    --------
    >>> import delever as dl, pandas as pd, tempfile
    >>> place = dl.init(tempfile.mkdtemp())
    >>> days = pd.date_range("2026-01-01", periods=3, tz="UTC")
    >>> index = pd.DataFrame({"value": [24.0, 25.0, 23.0]}, days)
    >>> kept = dl.import_data(index, "mine", "FEAR", kind="series", workspace=place)
    >>> kept.headline
    'Data sets imported: 1, 3 rows added.'
    """
    place = Workspace.find(workspace)
    lag = parse_lag(publication_lag) if isinstance(publication_lag, str) else publication_lag
    said = FileDescription(
        venue=venue, kind=kind, symbol=symbol, timeframe=timeframe, timezone=timezone
    )
    alone = isinstance(source, (str, Path)) and not Path(source).expanduser().is_dir()
    if isinstance(source, pd.DataFrame):
        alone = True
        contents = _of_frame(source, said, layout)
    else:
        given = [source] if isinstance(source, (str, Path)) else source
        if not given or "" in given:
            raise InputError("the path of a file or a folder is required; got an empty one")
        contents = read_foreign(
            [Path(one).expanduser() for one in given],
            layout,
            said,
            stamp_unit=stamp_unit,
            vendors=place.extensions.vendors,
        )
    reports: list[ImportReport] = []
    failed = list(contents.failed)
    for one in contents.found:
        try:
            reports.append(
                _stored(place, one, lag=lag, notes=(*notes, *one.notes), complete=complete)
            )
        except DataError as error:  # what fails does not stop the others
            if alone:
                raise
            failed.append(str(error))
    return Imports(
        reports=tuple(reports),
        left=tuple(contents.left),
        failed=tuple(failed),
        notes=place.catalog.caveats,
    )


def _of_frame(frame: pd.DataFrame, said: FileDescription, layout: str | None) -> FileContents:
    if layout is not None or said.timezone is not None:
        wrong = f"layout={layout!r}" if layout is not None else f"timezone={said.timezone!r}"
        raise InputError(
            f"a file has a layout and a zone; got a DataFrame with {wrong}; localise it"
        )
    reference = said.reference()
    if said.timeframe is None:
        index = utc_index(frame.index, str(frame.index.name), str(reference))
        reference = replace(reference, timeframe=timeframe_of(index, reference.kind, "the frame"))
    return FileContents(found=(Found(reference=reference, frame=frame, provenance={}),))


def _stored(
    place: Workspace, one: Found, *, lag: pd.Timedelta | None, notes: Sequence[str], complete: bool
) -> ImportReport:
    """Store one data set of those found, held against its stamps and its contract."""
    files = one.provenance.get("files")
    only = files[0] if isinstance(files, list) and len(files) == 1 else one.provenance
    where = str(only.get("file", one.reference))
    if isinstance(one.frame.index, pd.DatetimeIndex):  # otherwise the contract says what is wrong
        check_timeframe(one.frame.index, one.reference.kind, one.reference.timeframe, where)
    report = place.catalog.add(
        one.frame,
        one.reference,
        publication_lag=lag,
        notes=notes,
        provenance=one.provenance or None,
        complete=complete,
        where=where,
    )
    return replace(report, ignored=(*one.ignored, *report.ignored))


def data_resample(
    reference: str,
    timeframe: str,
    *,
    venue: str | None = None,
    workspace: Place = None,
) -> Imports:
    """Store coarser bars made of a data set's own; again, it brings them up to date.

    Parameters
    ----------
    reference : str
        The finer bars.
    timeframe : str
        Of the bars to make, such as ``"1w"``: a whole multiple on the same grid.
    venue : str, optional
        To store them under; by default that of the finer bars.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Imports
        Bars that began before the data, or are not closed, are not there.

    Raises
    ------
    NotStoredError
        If there is no such data set.
    InputError
        If it holds no bars, or they do not fill one of `timeframe`.
    ConflictError
        If what is stored under the name was not made of this data set.

    Examples
    --------
    >>> import delever as dl, pandas as pd, tempfile
    >>> place = dl.init(tempfile.mkdtemp())
    >>> days = pd.date_range("2026-02-02", periods=13, tz="UTC")
    >>> close = pd.Series(range(1, 14), days, dtype=float)
    >>> bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close", "volume"], close))
    >>> kept = dl.import_data(bars, "mine", "BTC/USD", workspace=place)
    >>> made = dl.data_resample("mine/ohlcv/BTC/USD/1d", "1w", workspace=place)
    >>> dl.load("mine/ohlcv/BTC/USD/1w", workspace=place).frame["volume"].tolist()
    [28.0]
    """
    place = Workspace.find(workspace)
    signature = signed(f"bars of {reference} anew", None)
    report = store_resampled(place.catalog, reference, timeframe, venue=venue, by=signature)
    return Imports(reports=(report,))


def export(
    data: str | Dataset,
    path: Path | str,
    form: Format | None = None,
    *,
    workspace: Place = None,
) -> Path:
    """Write a data set for another program.

    Parameters
    ----------
    data : str or Dataset
        A reference, or a loaded data set.
    path : path
        File to write; for freqtrade its folder ``data/EXCHANGE``.
    form : {"parquet", "csv", "feather", "freqtrade", "vectorbt"}, optional
        In whose shape; by default as the file ends: ``.csv``, ``.csv.gz``, ``.parquet`` or
        ``.feather``.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    NotStoredError
        If there is no such data set.
    InputError
        If the form has no place for data of this kind, the file ends as one of another form, or
        neither says the form.
    """
    stored = data
    if isinstance(data, str):
        stored = Workspace.find(workspace, or_shipped=True).catalog.load(data)
    if not isinstance(stored, Dataset):
        raise InputError(f"export takes a reference or a loaded data set; got {shown(data)}")
    return write(stored, Path(path).expanduser(), form)


def described(entry: Entry) -> dict[str, Any]:
    """A data set as documents and tables have it."""
    known = known_as(entry.reference)
    return {
        "reference": str(entry.reference),
        "reading": "" if known is None else known.name,
        "id": entry.id,
        "rows": entry.rows,
        "gap_count": entry.gaps,
        "start": entry.start.isoformat(),
        "end": entry.end.isoformat(),
        "publication_lag_seconds": entry.publication_lag.total_seconds(),
        "notes": list(entry.notes),
    }


def found_doubt(doubt: Doubt) -> dict[str, Any]:
    """What is implausible, as documents have it."""
    return {"rule": doubt.rule, "said": doubt.said, "stamps": plain(list(doubt.stamps))}
