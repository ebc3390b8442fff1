"""freqtrade's data folder: read whole, and written a data set at a time."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from delever.data.disk import whole
from delever.data.files import content, name_of, unzipped
from delever.data.references import Dataset, Reference
from delever.data.stamps import StampForm, stamps_of
from delever.data.vendors.foreign import FileContents, FileDescription, Found
from delever.errors import ConfigError, InputError, NotStoredError, SchemaError
from delever.kinds import KINDS, kind_of
from delever.units import timeframe_delta

_COLUMNS = ("date", "open", "high", "low", "close", "volume")
_NAME = re.compile(
    r"(?P<pair>[A-Za-z0-9_-]+?)-(?P<timeframe>\d+[A-Za-z]{1,2})(-(?P<type>[A-Za-z_]+))?"
    r"\.(?P<form>feather|json|json\.gz)"
)
_KINDS = {None: "ohlcv", "spot": "ohlcv"} | {
    kind.freqtrade: kind.name for kind in KINDS.values() if kind.freqtrade
}


def read_freqtrade(folder: Path, described: FileDescription) -> FileContents:
    """Read every data set of a folder.

    Raises ConfigError if more than the venue was said; NotStoredError if there is no such folder.
    A file that is damaged or holds something else is left out and named.

    A funding rate stands in the column ``open`` of its file; its interval is the shortest distance
    between two stamps, whatever the file's name says.
    """
    if (described.kind, described.symbol, described.timeframe) != (None, None, None):
        raise ConfigError(
            "--from freqtrade takes no symbol, kind or timeframe: the files' names say them; "
            "leave them out"
        )
    described.no_timezone("freqtrade")
    if not folder.is_dir():
        raise NotStoredError(f"there is no folder {folder}; give freqtrade's data/EXCHANGE")
    paths = [p for place in (folder, folder / "futures") for p in place.glob("*") if p.is_file()]
    found, left, failed = [], [], []
    for path in sorted(paths):
        named = _NAME.fullmatch(path.name)
        if named is None or named["type"] not in _KINDS:
            left.append(f"{name_of(path)}: no bars or funding rates in feather or json")
            continue
        parts = named["pair"].split("_")
        if len(parts) not in (2, 3):
            left.append(f"{name_of(path)}: cannot tell base and quote apart")
            continue
        symbol = "/".join(parts[:2]) + (f":{parts[2]}" if len(parts) == 3 else "")
        kind = _KINDS[named["type"]]
        try:
            timeframe_delta(named["timeframe"])
        except InputError as error:
            left.append(f"{name_of(path)}: {error}")
            continue
        try:
            frame, digest = _rows(path)
        except SchemaError as error:
            failed.append(str(error))
            continue
        timeframe = named["timeframe"]
        if kind == "funding":
            frame = _paid(frame[["open"]].rename(columns={"open": "funding_rate"}))
            timeframe = _interval(pd.DatetimeIndex(frame.index), timeframe)
        reference = Reference(venue=described.venue, kind=kind, symbol=symbol, timeframe=timeframe)
        origin = {"program": "freqtrade", "file": path.name, "sha256": digest}
        found.append(Found(reference=reference, frame=frame, provenance=origin))
    return FileContents(found=tuple(found), left=tuple(left), failed=tuple(failed))


def _rows(path: Path) -> tuple[pd.DataFrame, str]:
    import pyarrow as pa
    from pyarrow import feather

    data, digest = content(path)
    try:
        if path.name.endswith(".feather"):
            table = feather.read_table(pa.BufferReader(data)).to_pandas()
        else:
            text = unzipped(data, path.name) if path.name.endswith(".gz") else data
            table = pd.DataFrame(json.loads(text), columns=list(_COLUMNS))
    except (pa.ArrowException, OSError, EOFError, zlib.error, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SchemaError(f"{path.name} is damaged ({reason}); download it again") from None
    if tuple(table.columns) != _COLUMNS or table.empty:
        raise SchemaError(
            f"{path.name} must hold rows of {', '.join(_COLUMNS)}; found {len(table)} of "
            f"{', '.join(map(str, table.columns))}"
        )
    dates = pd.Index(table["date"], name="date")
    form = StampForm() if isinstance(dates, pd.DatetimeIndex) else StampForm(unit="ms")
    stamps = stamps_of(dates, form, name_of(path), header_lines=None)
    return table.drop(columns="date").set_axis(stamps, axis=0), digest


def _paid(rates: pd.DataFrame) -> pd.DataFrame:
    """Rates without the hours between payments, which some versions fill with zeros."""
    hours = pd.DatetimeIndex(rates.index).as_unit("ns").asi8 // pd.Timedelta(hours=1).value
    paid = rates["funding_rate"].to_numpy() != 0
    interval = int(np.gcd.reduce(hours[paid], initial=24))
    return rates[hours % interval == 0] if paid.any() and (np.diff(hours) == 1).all() else rates


def _interval(index: pd.DatetimeIndex, named: str) -> str:
    if len(index) < 2:
        return named
    hour = pd.Timedelta(hours=1).value
    hours = round(int(np.diff(index.as_unit("ns").asi8).min()) / hour)
    return f"{hours}h" if hours >= 1 else named


def write_freqtrade(dataset: Dataset, folder: Path) -> Path:
    """Write a data set where freqtrade looks for it, as feather.

    Raises InputError if freqtrade has no place for such a data set, or a bar of it has no volume;
    StoreError if the file cannot be written.
    """
    from pyarrow import Table, feather

    reference = dataset.reference
    kind, futures = reference.kind, ":" in reference.symbol
    word = kind_of(kind).freqtrade
    if not word or (kind != "ohlcv" and not futures):
        raise InputError(
            "freqtrade has a place for bars, and for mark, index, premium and funding of a "
            f"symbol such as BTC/USDT:USDT; got {reference}"
        )
    bars = _as_bars(dataset.frame, kind)
    if bars.isna().any(axis=None):
        raise InputError(f"freqtrade needs volumes; {reference} has none")
    pair = re.sub(r"[/ .@$+:]", "_", reference.symbol)
    place = folder / "futures" if futures else folder
    name = f"{pair}-{reference.timeframe}{f'-{word}' if futures else ''}.feather"
    stamps = pd.DatetimeIndex(bars.index).as_unit("ms")
    table = pd.DataFrame({"date": stamps, **{column: bars[column].to_numpy() for column in bars}})
    arrow = Table.from_pandas(table, preserve_index=False)
    with whole(place / name) as unfinished:
        feather.write_feather(arrow, str(unfinished), compression="lz4")
    return place / name


def _as_bars(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Bars, as which freqtrade keeps everything; a funding rate is an open."""
    if kind == "funding":
        zero = dict.fromkeys(_COLUMNS[2:], 0.0)
        return pd.DataFrame({"open": frame["funding_rate"], **zero}, index=frame.index)
    return frame if kind == "ohlcv" else frame.assign(volume=0.0)
