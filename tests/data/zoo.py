"""Files as vendors and programs write them, made here from one table of bars, and made wrong."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

HOURS = pd.date_range("2024-03-01", periods=30, freq="h", tz="UTC", unit="ns")
DAYS = pd.date_range("2024-01-01", periods=30, freq="D", tz="UTC", unit="ns")
MINUTES = pd.date_range("2024-03-01", periods=30, freq="min", tz="UTC", unit="ns")
PRICES = ("open", "high", "low", "close")


def bars(index: pd.DatetimeIndex) -> pd.DataFrame:
    """Bars with prices of two decimals and volumes of four; no two rows are alike."""
    rng = np.random.default_rng(len(index) + index[0].day)
    close = (60_000 * np.exp(rng.normal(0, 0.01, len(index)).cumsum())).round(2)
    start = np.r_[60_000.0, close[:-1]]
    high = (np.maximum(start, close) + rng.uniform(1, 90, len(index))).round(2)
    low = (np.minimum(start, close) - rng.uniform(1, 90, len(index))).round(2)
    volume = rng.uniform(1, 900, len(index)).round(4)
    columns = {"open": start, "high": high, "low": low, "close": close, "volume": volume}
    return pd.DataFrame(columns, index=index)


@dataclass(frozen=True)
class Specimen:
    """A file, what is said of it, and what must come of it."""

    name: str
    file: str
    data: bytes
    truth: pd.DataFrame
    reference: str  # what the data set is called where nothing is wrong
    said: Mapping[str, object] = field(default_factory=dict)  # keywords of `import_data`
    refused: str | None = None  # words of the refusal; none where the truth must be stored

    def saying(self, **said: object) -> Specimen:
        return replace(self, said={**self.said, **said})


@dataclass(frozen=True)
class Kind:
    """A layout of text: how a row is written, and how the file around it."""

    name: str
    file: str
    truth: pd.DataFrame
    reference: str
    row: Callable[[pd.Timestamp, pd.Series], str]
    head: tuple[str, ...] = ()
    said: Mapping[str, object] = field(default_factory=dict)
    pack: Callable[[bytes], bytes] = bytes
    newest_first: bool = False
    sorts: bool = True  # whether rows may come in any order
    last_is_read: bool = True  # whether the last cell of a line is of use
    twice: str | None = "repeats the stamp"  # of a row that comes twice; none where it is dropped
    separator: str = ","
    number: int = 1  # which cell of a row is a number that is read
    says_symbol: bool = True  # whether the file or its name says whose rows these are
    zoned: bool = True  # whether stamps say their zone
    headless: str = "found"  # what is said where the header is gone
    other: str = "were said"  # and of another timeframe

    @cached_property
    def rows(self) -> list[str]:
        rows = [self.row(stamp, values) for stamp, values in self.truth.iterrows()]
        return rows[::-1] if self.newest_first else rows

    @property
    def timeframe(self) -> str:
        return self.reference.rpartition("/")[2]

    def text(self, lines: Sequence[str]) -> str:
        return "".join(f"{line}\n" for line in lines)

    def broken(self, rows: Sequence[str], cell: str) -> list[str]:
        """Rows of which one holds another text for a number."""
        cells = rows[7].split(self.separator)
        cells[self.number] = cell
        return [*rows[:7], self.separator.join(cells), *rows[8:]]

    def specimen(self, lines: Sequence[str] | None = None, **changes: object) -> Specimen:
        whole = [*self.head, *self.rows] if lines is None else lines
        made = Specimen(
            name=self.name,
            file=self.file,
            data=self.pack(self.text(whole).encode()),
            truth=self.truth,
            reference=self.reference,
            said=self.said,
        )
        return replace(made, **changes)


def cells(*parts: object) -> str:
    return ",".join(str(part) for part in parts)


def ohlcv(values: pd.Series) -> tuple[float, ...]:
    return tuple(float(values[name]) for name in (*PRICES, "volume"))


def _iso(stamp: pd.Timestamp) -> str:
    return f"{stamp:%Y-%m-%dT%H:%M:%SZ}"


def _unix(stamp: pd.Timestamp) -> int:
    return int(stamp.timestamp())


def zip_of(member: str) -> Callable[[bytes], bytes]:
    def pack(data: bytes) -> bytes:
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w") as archive:
            archive.writestr(member, data)
        return whole.getvalue()

    return pack


def _yfinance(stamp: pd.Timestamp, values: pd.Series) -> str:
    start, high, low, close, volume = ohlcv(values)
    return cells(f"{stamp:%Y-%m-%d}", close, high, low, start, volume)


def _kline(stamp: pd.Timestamp, values: pd.Series) -> str:
    return cells(
        _unix(stamp) * 1000, *ohlcv(values), _unix(stamp) * 1000 + 3_599_999, 1.5, 7, 0, 0, 0
    )


def _german(stamp: pd.Timestamp, values: pd.Series) -> str:
    numbers = [str(value).replace(".", ",") for value in ohlcv(values)]
    return ";".join([f"{stamp.tz_convert('Europe/Berlin'):%d.%m.%Y %H:%M}", *numbers])


GERMAN = """
[layout]
columns = {timestamp = "Zeit", open = "Erster", high = "Hoch", low = "Tief", close = "Letzter", \
volume = "Umsatz"}
separator = ";"
decimal = ","
stamp_pattern = "%d.%m.%Y %H:%M"
timezone = "Europe/Berlin"
"""

_RATES = pd.DataFrame(
    {"funding_rate": np.linspace(-0.0004, 0.0007, 30).round(8)},
    index=pd.date_range("2024-01-01", periods=30, freq="8h", tz="UTC", unit="ns"),
)
_FEAR = pd.DataFrame({"fear": np.arange(30) * 1.25 + 11}, index=DAYS)
_COINGECKO = pd.DataFrame(
    {"price": bars(DAYS)["close"], "market_cap": bars(DAYS)["close"] * 19e6}, index=DAYS
)
_METRICS = pd.DataFrame({"AdrActCnt": np.arange(30) + 900_000.0, "PriceUSD": _COINGECKO["price"]})
_SAID = {"venue": "kraken", "symbol": "BTC/USD"}
_KRAKEN = "kraken/ohlcv/BTC/USD"

KINDS = (
    Kind(
        name="plain",
        file="btc_usd.csv",
        truth=bars(DAYS),
        reference=f"{_KRAKEN}/1d",
        row=lambda stamp, values: cells(_iso(stamp), *ohlcv(values)),
        head=("Timestamp,Open,High,Low,Close,Volume",),
        said=_SAID,
        sorts=False,
    ),
    Kind(
        name="packed",
        file="hours.csv.gz",
        truth=bars(HOURS),
        reference=f"{_KRAKEN}/1h",
        row=lambda stamp, values: ";".join([_iso(stamp), *map(str, ohlcv(values)), "BTC/USD"]),
        head=("open_time;open;high;low;close;volume;symbol",),
        said=_SAID,
        pack=gzip.compress,
        sorts=False,
        separator=";",
    ),
    Kind(
        name="counted",
        file="counted.csv",
        truth=bars(MINUTES),
        reference=f"{_KRAKEN}/1m",
        row=lambda stamp, values: cells(*ohlcv(values), _unix(stamp) * 1000),
        head=("open,high,low,close,volume,timestamp",),
        said={**_SAID, "stamp_unit": "ms"},
        sorts=False,
        number=0,
        says_symbol=False,
    ),
    Kind(
        name="funding",
        file="funding.csv",
        truth=_RATES,
        reference="bybit/funding/BTC/USDT:USDT/8h",
        row=lambda stamp, values: cells(_iso(stamp), values["funding_rate"]),
        head=("timestamp,funding_rate",),
        said={"venue": "bybit", "symbol": "BTC/USDT:USDT", "kind": "funding"},
        sorts=False,
        says_symbol=False,
    ),
    Kind(
        name="series",
        file="fear.csv",
        truth=_FEAR,
        reference="mine/series/fear/1d",
        row=lambda stamp, values: cells(_iso(stamp), values["fear"]),
        head=("timestamp,fear",),
        said={"venue": "mine", "symbol": "fear", "kind": "series"},
        sorts=False,
        says_symbol=False,
    ),
    Kind(
        name="layout",
        file="kurse.csv",
        truth=bars(HOURS),
        reference=f"{_KRAKEN}/1h",
        row=_german,
        head=("Zeit;Erster;Hoch;Tief;Letzter;Umsatz",),
        said={**_SAID, "layout": "german.toml"},
        sorts=False,
        separator=";",
        says_symbol=False,
        zoned=False,
    ),
    Kind(
        name="kraken",
        file="XBTUSD_60.csv",
        truth=bars(HOURS),
        reference=f"{_KRAKEN}/1h",
        row=lambda stamp, values: cells(_unix(stamp), *ohlcv(values), 17),
        said={"venue": "kraken", "layout": "kraken"},
        last_is_read=False,
    ),
    Kind(
        name="coingecko",
        file="btc-usd-max.csv",
        truth=_COINGECKO,
        reference="coingecko/series/BTC/USD/1d",
        row=lambda stamp, values: cells(f"{stamp:%Y-%m-%d %H:%M:%S} UTC", *values),
        head=("snapped_at,price,market_cap",),
        said={"venue": "coingecko", "layout": "coingecko"},
    ),
    Kind(
        name="kaggle",
        file="btcusd_1-min_data.csv",
        truth=bars(MINUTES),
        reference="bitstamp/ohlcv/BTC/USD/1m",
        row=lambda stamp, values: cells(f"{_unix(stamp)}.0", *ohlcv(values), 1.5, 2.5),
        head=("Timestamp,Open,High,Low,Close,Volume_(BTC),Volume_(Currency),Weighted_Price",),
        said={"venue": "bitstamp", "layout": "kaggle"},
        last_is_read=False,
    ),
    Kind(
        name="tradingview",
        file="KRAKEN_BTCUSD, 60.csv",
        truth=bars(HOURS),
        reference=f"{_KRAKEN}/1h",
        row=lambda stamp, values: cells(
            _unix(stamp), *ohlcv(values)[:4], 1.5, 2.5, values["volume"]
        ),
        head=("time,open,high,low,close,Plot,Plot,Volume",),
        said={"venue": "kraken", "layout": "tradingview"},
    ),
    Kind(
        name="metatrader 5",
        file="BTCUSD_H1_202403010000_202403020500.csv",
        truth=bars(HOURS),
        reference="broker/ohlcv/BTC/USD/1h",
        row=lambda stamp, values: "\t".join(
            [f"{stamp.tz_convert('Europe/Athens'):%Y.%m.%d\t%H:%M:%S}"]
            + [str(value) for value in (*ohlcv(values)[:4], 21, values["volume"], 7)]
        ),
        head=("<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",),
        said={"venue": "broker", "layout": "metatrader", "timezone": "Europe/Athens"},
        separator="\t",
        number=2,
        headless="cells",
        zoned=False,
        last_is_read=False,
    ),
    Kind(
        name="metatrader 4",
        file="BTCUSD60.csv",
        truth=bars(HOURS).assign(volume=np.nan),
        reference="broker/ohlcv/BTC/USD/1h",
        row=lambda stamp, values: cells(
            f"{stamp:%Y.%m.%d,%H:%M}", *(values[name] for name in PRICES), 21
        ),
        number=2,
        zoned=False,
        said={"venue": "broker", "layout": "metatrader", "timezone": "UTC"},
        last_is_read=False,
    ),
    Kind(
        name="coinmetrics",
        file="btc.csv",
        truth=_METRICS,
        reference="coinmetrics/series/BTC/1d",
        row=lambda stamp, values: cells(f"{stamp:%Y-%m-%d}", *values),
        head=("time,AdrActCnt,PriceUSD",),
        said={"venue": "coinmetrics", "layout": "coinmetrics"},
        zoned=False,
    ),
    Kind(
        name="candles",
        file="download.csv",
        truth=bars(HOURS),
        reference="coinbase/ohlcv/BTC/USD/1h",
        row=lambda stamp, values: cells(
            "coinbase-btc-usd-spot", f"{stamp:%Y-%m-%dT%H:%M:%S}.000000000Z", *ohlcv(values), 9
        ),
        number=2,
        head=("market,time,price_open,price_high,price_low,price_close,volume,vwap",),
        said={"venue": "coinbase", "layout": "coinmetrics", "kind": "ohlcv"},
        last_is_read=False,
    ),
    Kind(
        name="yahoo",
        file="BTC-USD.csv",
        truth=bars(DAYS),
        reference="yahoo/ohlcv/BTC/USD/1d",
        row=lambda stamp, values: cells(
            f"{stamp:%Y-%m-%d}", *ohlcv(values)[:4], values["close"], values["volume"]
        ),
        head=("Date,Open,High,Low,Close,Adj Close,Volume",),
        said={"venue": "yahoo", "layout": "yahoo"},
    ),
    Kind(
        name="yfinance",
        file="download.csv",
        truth=bars(DAYS),
        reference="yahoo/ohlcv/BTC/USD/1d",
        row=_yfinance,
        head=(
            "Price,Close,High,Low,Open,Volume",
            "Ticker,BTC-USD,BTC-USD,BTC-USD,BTC-USD,BTC-USD",
            "Date,,,,,",
        ),
        said={"venue": "yahoo", "layout": "yahoo"},
    ),
    Kind(
        name="cryptodatadownload",
        file="Bitstamp_BTCUSD_1h.csv",
        truth=bars(HOURS),
        reference="bitstamp/ohlcv/BTC/USD/1h",
        row=lambda stamp, values: cells(
            _unix(stamp), f"{stamp:%Y-%m-%d %H:%M:%S}", "BTC/USD", *ohlcv(values), 99.5
        ),
        number=3,
        head=(
            "https://www.CryptoDataDownload.com",
            "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD",
        ),
        said={"venue": "bitstamp", "layout": "cryptodatadownload"},
        newest_first=True,
        last_is_read=False,
    ),
    Kind(
        name="archive",
        file="BTCUSDT-1h-2024-03.zip",
        truth=bars(HOURS),
        reference="binance/ohlcv/BTC/USDT/1h",
        row=_kline,
        said={"venue": "binance", "layout": "binance-archive", "symbol": "BTC/USDT"},
        pack=zip_of("BTCUSDT-1h-2024-03.csv"),
        last_is_read=False,
        other="must begin with BTCUSDT-2h-",
        twice=None,
    ),
)
"""Layouts of text."""
