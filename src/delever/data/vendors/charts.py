"""Text files as chart programs and data vendors publish them, one table each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from delever.data.files import RawRows, name_of, text_content, text_rows
from delever.data.layout import TIMESTAMP, Layout
from delever.data.naming import check_names, check_symbol, check_venue, coin_in, pair_in, split_pair
from delever.data.references import Reference
from delever.data.rhythm import named, timeframe_of
from delever.data.stamps import StampForm
from delever.data.vendors.foreign import FileContents, FileDescription, Found, Vendor
from delever.errors import ConfigError, SchemaError
from delever.kinds import kind_of

PRICES = ("open", "high", "low", "close")
_KRAKEN = ("timestamp", *PRICES, "volume", "trades")
_METATRADER_4 = ("date", "time", *PRICES, "ticks")
_MT_FRAMES = {"DAILY": "1d", "D1": "1d", "WEEKLY": "1w", "W1": "1w"} | {
    f"{unit}{n}": f"{n}{unit.lower()}"
    for unit in "MH"
    for n in (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30)
}
_ANY = StampForm(by_size=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameParts:
    """What a file's name says; None where it does not."""

    symbol: str | None = None
    timeframe: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartFile:
    """A file on its way: its text, what is said of it, and what its name says."""

    data: bytes
    digest: str
    where: str
    said: FileDescription
    kind: str
    base: str  # the coin of the symbol; empty where neither the command nor the name says one
    named: NameParts

    @property
    def coin(self) -> str:
        """The coin that a column of volumes is named for. Raises ConfigError if nothing says it."""
        if not self.base:
            raise ConfigError(
                f"{self.where}: its name does not say whose rows these are; give --symbol"
            )
        return self.base

    def has(self, column: str) -> bool:
        """Whether a line near the top names a column so, in any case."""
        top = self.data[:4096].decode(errors="ignore").lower()
        edge = r"[,;\t\"\r\n]"
        return re.search(rf"(?:^|{edge}){re.escape(column.lower())}(?:$|{edge})", top) is not None

    def rows(self, layout: Layout) -> RawRows:
        """Read it by a layout. Raises SchemaError if it is not of that."""
        return text_rows(self.data, self.where, self.kind, layout)


def _kraken(one: ChartFile) -> Layout:
    return Layout(header=_KRAKEN, stamps=replace(_ANY, timezone=one.said.timezone))


def _kraken_name(where: str) -> NameParts:
    found = re.match(r"([A-Z0-9.]+)_(\d+)\.csv", where)
    return NameParts() if found is None else _parts(found[1], found[2])


def _kaggle(one: ChartFile) -> Layout:
    columns = {TIMESTAMP: ("Timestamp",), "volume": (f"Volume_({one.coin})", "Volume")}
    return Layout(columns=columns, stamps=replace(_ANY, timezone=one.said.timezone))


def _coingecko(one: ChartFile) -> Layout:
    stamps = StampForm(timezone=one.said.timezone)
    return Layout(columns={TIMESTAMP: ("snapped_at",)}, stamps=stamps)


def _coingecko_name(where: str) -> NameParts:
    found = re.match(r"([a-z0-9]+-[a-z]{3,4})-", where)
    return NameParts(symbol=split_pair(found[1]) if found else None)


def _coinmetrics(one: ChartFile) -> Layout:
    columns: dict[str, tuple[str, ...]] = {TIMESTAMP: ("time" if one.has("time") else "date",)}
    if one.kind == "ohlcv":
        columns |= {name: (f"price_{name}",) for name in PRICES}
    return Layout(columns=columns, stamps=StampForm(assumed="UTC", timezone=one.said.timezone))


def _tradingview(one: ChartFile) -> Layout:
    bars = one.kind == "ohlcv" and not one.has("volume")
    columns: dict[str, tuple[str, ...]] = {TIMESTAMP: ("time",)} | ({"volume": ()} if bars else {})
    return Layout(columns=columns, stamps=StampForm(by_size=True, timezone=one.said.timezone))


def _tradingview_name(where: str) -> NameParts:
    found = re.match(r"[A-Z0-9]+_([^,]+), ?(\d*[A-Za-z]*)[._ ]", where)
    return NameParts() if found is None else _parts(found[1], found[2])


def _metatrader(one: ChartFile) -> Layout:
    clock = one.said.timezone
    if not one.has("<date>"):
        stamps = StampForm(pattern="%Y.%m.%d %H:%M", timezone=clock)
        columns = {TIMESTAMP: ("date", "time"), "volume": ()}
        return Layout(header=_METATRADER_4, columns=columns, stamps=stamps)
    timed = one.has("<time>")
    pattern = "%Y.%m.%d %H:%M:%S" if timed else "%Y.%m.%d"
    clocks = ("<date>", "<time>") if timed else ("<date>",)
    columns = {TIMESTAMP: clocks, **{name: (f"<{name}>",) for name in PRICES}, "volume": ("<vol>",)}
    return Layout(columns=columns, stamps=StampForm(pattern=pattern, timezone=clock))


def _metatrader_name(where: str) -> NameParts:
    found = re.match(r"([A-Za-z]{6,})[.#A-Za-z]*?_(M\d+|H\d+|D1|W1|Daily|Weekly)[_.]", where)
    if found is not None:
        return NameParts(symbol=found[1], timeframe=_MT_FRAMES.get(found[2].upper()))
    old = re.match(r"([A-Za-z]{6,})[.#]?(\d+)\.csv", where)
    return NameParts() if old is None else _parts(old[1], old[2])


def _cryptodatadownload(one: ChartFile) -> Layout:
    stamp = next((name for name in ("unix", "unix timestamp") if one.has(name)), "date")
    columns = {TIMESTAMP: (stamp,), "volume": (f"Volume {one.coin}", "Volume")}
    stamps = StampForm(by_size=True, assumed="UTC", timezone=one.said.timezone)
    return Layout(columns=columns, above=4, stamps=stamps)


def _cryptodatadownload_name(where: str) -> NameParts:
    found = re.match(r"[A-Za-z]+_([A-Z0-9]+)_(?:\d{4}_)?(d|1?h|minute|1?min)\.csv", where)
    words = {"d": "1d", "h": "1h", "1h": "1h", "minute": "1m", "min": "1m", "1min": "1m"}
    return NameParts() if found is None else NameParts(symbol=found[1], timeframe=words[found[2]])


def _parts(symbol: str, length: str) -> NameParts:
    """Parts of a name in which a timeframe is minutes, or a number and D or W."""
    if length.isdigit():
        return NameParts(symbol=symbol, timeframe=named(int(length)) if int(length) else None)
    unit = length[-1:].upper()
    count = length[:-1] or "1"
    return NameParts(symbol=symbol, timeframe=f"{count}{unit.lower()}" if unit in "DWH" else None)


def chart_vendor(
    name: str,
    reads: str,
    layout: Callable[[ChartFile], Layout],
    name_parts: Callable[[str], NameParts],
    *,
    kind: str = "ohlcv",
) -> Vendor:
    """A vendor whose files are one text table each, of a layout that the file decides."""

    def read(path: Path, said: FileDescription) -> FileContents:
        one = chart_file(path, said, name_parts, kind=kind)
        return FileContents(found=(found_in(one, one.rows(layout(one)), name),))

    return Vendor(name=name, reads=reads, read=read)


def chart_file(
    path: Path,
    said: FileDescription,
    name_parts: Callable[[str], NameParts],
    *,
    kind: str,
) -> ChartFile:
    """Open a file, with what is said of it and what its name says.

    Raises NotStoredError if there is no such file; SchemaError if it is no text.
    """
    data, digest = text_content(path)
    where = name_of(path)
    parts = name_parts(where)
    if said.symbol is not None:
        check_symbol(parts.symbol or said.symbol, said.symbol, where)
        check_names(where, said.symbol, said.venue)
    symbol = said.symbol or (split_pair(parts.symbol or "") or "")
    return ChartFile(
        data=data,
        digest=digest,
        where=where,
        said=said,
        kind=said.kind or kind,
        base=symbol.partition("/")[0].upper(),
        named=parts,
    )


def found_in(one: ChartFile, rows: RawRows, vendor: str) -> Found:
    """Name the rows of a file, in the order of time, without those that hold no price.

    Raises SchemaError if what was said, the file's name and the file do not say the same.
    """
    where, said = one.where, one.said
    told = [*rows.symbols, *([one.named.symbol] if one.named.symbol else [])]
    symbol = said.symbol or next((pair for one in told if (pair := split_pair(one))), None)
    if symbol is None and one.kind == "series" and told:
        symbol = told[0].upper()
    if symbol is None:
        raise ConfigError(
            f"{where}: neither it nor its name say whose rows these are; give --symbol"
        )
    for text in told:
        check_symbol(text, symbol, where)
    for text in (*rows.venues, vendor):  # some vendors are venues
        check_venue(text, said.venue, where)
    check_names(where, symbol, said.venue)
    frame = rows.frame.sort_index(kind="stable")
    prices = [name for name in PRICES if name in frame]
    notes: tuple[str, ...] = ()
    empty = frame[prices or list(map(str, frame))].isna().all(axis=1)
    if empty.any():
        count = int(empty.sum())
        word = "row" if count == 1 else "rows"
        nothing = f"without any {'price' if prices else 'value'}"
        notes = (f"{where}: {count:,} {word} {nothing} left out",)
        frame = frame[~empty]
    if "volume" in kind_of(one.kind).columns and (frame["volume"] == 0).all():
        notes = (*notes, f"{where}: no volume is reported; it is 0 throughout")
        frame = frame.assign(volume=float("nan"))
    index = pd.DatetimeIndex(frame.index)
    timeframe = said.timeframe or one.named.timeframe or timeframe_of(index, one.kind, where)
    if one.named.timeframe not in (None, timeframe):
        raise SchemaError(
            f"{where}: rows of {timeframe} were said; the file is named for {one.named.timeframe}; "
            f"give --timeframe {one.named.timeframe}, or rename the file"
        )
    return Found(
        reference=Reference(venue=said.venue, kind=one.kind, symbol=symbol, timeframe=timeframe),
        frame=frame,
        provenance={"vendor": vendor, "file": where, "sha256": one.digest},
        notes=notes,
        ignored=rows.ignored,
    )


CHARTS = (
    chart_vendor(
        "coingecko", "a CSV of CoinGecko's prices", _coingecko, _coingecko_name, kind="series"
    ),
    chart_vendor(
        "coinmetrics",
        "a CSV of Coin Metrics: metrics, or candles with --kind ohlcv",
        _coinmetrics,
        lambda where: NameParts(symbol=coin_in(where)),
        kind="series",
    ),
    chart_vendor(
        "cryptodatadownload",
        "a CSV of CryptoDataDownload",
        _cryptodatadownload,
        _cryptodatadownload_name,
    ),
    chart_vendor(
        "kaggle",
        "a CSV of Kaggle in unix seconds",
        _kaggle,
        lambda where: NameParts(symbol=pair_in(where)),
    ),
    chart_vendor("kraken", "a CSV of Kraken's OHLCVT archive", _kraken, _kraken_name),
    chart_vendor("metatrader", "a CSV of MetaTrader 4 or 5", _metatrader, _metatrader_name),
    chart_vendor("tradingview", "a CSV of TradingView's chart", _tradingview, _tradingview_name),
)
"""Vendors of one text table a file."""
