"""Other programs' files: made by hand in their shapes, and read back by pandas."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from delever.cli.app import main
from delever.data.catalog import Catalog
from delever.data.references import Reference
from delever.data.vendors.export import export, harmless
from delever.data.vendors.foreign import FileDescription, Found
from delever.data.vendors.freqtrade import read_freqtrade
from delever.data.vendors.registry import read_foreign
from delever.errors import ConfigError, InputError, NotStoredError, SchemaError, StoreError

START = pd.Timestamp("2021-01-01", tz="UTC")
MS = 1_609_459_200_000  # the same instant
HOUR = 3_600_000
SECONDS = f"[[{MS // 1000},1,2,0.5,1,7]]"
PERP = Reference.parse("binanceusdm/ohlcv/BTC/USDT:USDT/1h")


def hours(*counts: float) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([START + pd.Timedelta(hours=count) for count in counts])


def read(path: Path, vendor: str, name: Reference | str) -> Found:
    """The one data set of a file, under the name that was said."""
    wanted = Reference.parse(name) if isinstance(name, str) else name
    said = FileDescription(
        venue=wanted.venue, kind=wanted.kind, symbol=wanted.symbol, timeframe=wanted.timeframe
    )
    (found,) = read_foreign([path], vendor, said).found
    assert found.reference == wanted
    return found


def read_archive(path: Path, name: Reference) -> Found:
    return read(path, "binance-archive", name)


def zipped(path: Path, text: str, *, checksum: bool = False, name: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name or path.name.replace(".zip", ".csv"), text)
    if checksum:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(path.name + ".CHECKSUM").write_text(f"{digest}  {path.name}\n")
    return path


def klines(first: int, rows: int, *, header: bool = False, micro: bool = False) -> str:
    top = (
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
        "taker_buy_quote_volume,ignore\n"
    )
    lines = []
    for row in range(first, first + rows):
        stamp = (MS + row * HOUR) * (1000 if micro else 1)
        price = f"{100 + row}.10,{102 + row}.20,{99 + row}.30,{101 + row}.40"
        lines.append(f"{stamp},{price},{row}.5,{stamp + 1},0,7,0,0,0\n")
    return (top if header else "") + "".join(lines)


def test_archive_klines_with_and_without_header_in_either_unit(tmp_path: Path):
    zipped(tmp_path / "BTCUSDT-1h-2021-01.zip", klines(0, 3), checksum=True)
    zipped(tmp_path / "BTCUSDT-1h-2021-02.zip", klines(2, 3, header=True, micro=True))
    found = read_archive(tmp_path, PERP)
    assert found.frame.index.equals(hours(0, 1, 2, 3, 4))
    assert found.frame["open"].tolist() == [100.1, 101.1, 102.1, 103.1, 104.1]
    assert found.frame["low"].tolist() == [99.3, 100.3, 101.3, 102.3, 103.3]
    assert found.frame["volume"].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert [file["file"] for file in found.provenance["files"]] == [
        "BTCUSDT-1h-2021-01.zip",
        "BTCUSDT-1h-2021-02.zip",
    ]
    catalog = Catalog(tmp_path / "data")
    catalog.add(found.frame, PERP, provenance=found.provenance)
    mark = Reference.parse("binanceusdm/mark/BTC/USDT:USDT/1h")
    catalog.add(read_archive(tmp_path / "BTCUSDT-1h-2021-01.zip", mark).frame, mark)
    assert list(catalog.load(mark).frame) == ["open", "high", "low", "close"]


@pytest.mark.parametrize("before", ["\ufeff", "\n", "\r\n\r\n", "\ufeff\n"])
def test_no_row_of_an_archive_without_a_header_is_taken_for_one(tmp_path: Path, before: str):
    path = zipped(tmp_path / "BTCUSDT-1h-2021-01.zip", before + klines(0, 3))
    assert read_archive(path, PERP).frame.index.equals(hours(0, 1, 2))


def test_a_folder_of_archives_brings_in_what_is_whole(tmp_path: Path, workspace, capsys):
    zipped(tmp_path / "BTCUSDT-1h-2021-01.zip", klines(0, 3))
    zipped(tmp_path / "BTCUSDT-1h-2021-02.zip", klines(3, 3)).write_bytes(b"PK")
    zipped(tmp_path / "ETHUSDT-1h-2021-01.zip", klines(0, 3))
    words = ["--from", "binance-archive", "--venue", "binanceusdm", "--symbol", "BTC/USDT:USDT"]
    assert main(["data", "import", str(tmp_path), *words]) == 1
    said = capsys.readouterr()
    assert f"{PERP}: 3 rows added" in said.out  # the timeframe is that of the names
    assert [line.split()[1] for line in said.err.splitlines()] == [
        "BTCUSDT-1h-2021-02.zip",
        "ETHUSDT-1h-2021-01.zip",
    ]


def test_a_folder_of_a_vendor_brings_in_every_pair(tmp_path: Path, workspace, capsys):
    hour, day = "{},1,2,0.5,1.5,{},3\n", 24 * 3600
    for name, step in (("XBTUSD_60", 3600), ("ETHEUR_1440", day), ("SOLUSD_60", day)):
        lines = [hour.format(MS // 1000 + n * step, n + 1) for n in range(4)]
        (tmp_path / f"{name}.csv").write_text("".join(lines))
    (tmp_path / "DOTUSD_60.csv").write_text("<html>\n")
    assert main(["data", "import", str(tmp_path), "--from", "kraken", "--venue", "kraken"]) == 1
    said = capsys.readouterr()
    assert "kraken/ohlcv/BTC/USD/1h: 4 rows added" in said.out
    assert "kraken/ohlcv/ETH/EUR/1d: 4 rows added" in said.out
    first, second = said.err.splitlines()
    assert first.startswith("error: DOTUSD_60.csv: row 1 (line 1) must have 7 cells")
    assert second.startswith("error: SOLUSD_60.csv: rows of 1h were said; 3 of 3 are 1d after")


def test_archive_files_that_disagree_are_refused(tmp_path: Path):
    zipped(tmp_path / "BTCUSDT-1h-2021-01.zip", klines(0, 3))
    zipped(tmp_path / "BTCUSDT-1h-2021-02.zip", klines(2, 2).replace("102.10", "102.11"))
    with pytest.raises(SchemaError, match="repeats the stamp"):
        Catalog(tmp_path / "data").add(read_archive(tmp_path, PERP).frame, PERP)


def test_archive_funding_and_metrics(tmp_path: Path):
    funding = zipped(
        tmp_path / "BTCUSDT-fundingRate-2021-01.zip",
        "calc_time,funding_interval_hours,last_funding_rate\n"
        f"{MS + 7},8,0.00010000\n{MS + 8 * HOUR},8,-0.00025\n",
    )
    rates = Reference.parse("binanceusdm/funding/BTC/USDT:USDT/8h")
    catalog = Catalog(tmp_path / "data")
    catalog.add(read_archive(funding, rates).frame, rates)
    stored = catalog.load(rates).frame
    assert stored["funding_rate"].tolist() == [0.0001, -0.00025]
    assert stored.index.equals(hours(0, 8))  # snapped to the second
    metrics = zipped(
        tmp_path / "BTCUSDT-metrics-2021-01-01.zip",
        "create_time,symbol,sum_open_interest,sum_open_interest_value,"
        "count_toptrader_long_short_ratio,sum_toptrader_long_short_ratio,"
        "count_long_short_ratio,sum_taker_long_short_vol_ratio\n"
        "2021-01-01 00:05:00,BTCUSDT,10.5,300000.25,1.1,1.2,0.9,0.8\n"
        "2021-01-01 00:00:00,BTCUSDT,10,300000,,1.2,0.95,0.8\n",
    )
    for kind, column, expected in (
        ("open_interest", "open_interest_notional", [300000, 300000.25]),
        ("long_short_ratio", "long_short_ratio", [0.95, 0.9]),
        ("series", "top_accounts_long_short_ratio", [np.nan, 1.1]),
    ):
        name = Reference(venue="binanceusdm", kind=kind, symbol="BTC/USDT:USDT", timeframe="5m")
        catalog.add(read_archive(metrics, name).frame, name)
        np.testing.assert_array_equal(catalog.load(name).frame[column], expected)
        assert catalog.load(name).frame.index.equals(hours(0, 1 / 12))


def test_archive_files_that_are_not_what_is_asked_for(tmp_path: Path):
    file = zipped(tmp_path / "BTCUSDT-1h-2021-01.zip", klines(0, 3), checksum=True)
    for wrong in ("v/ohlcv/ETH/USDT/1h", "v/ohlcv/BTC/USDT/4h", "v/funding/BTC/USDT/8h"):
        with pytest.raises(InputError, match="must begin with"):
            read_archive(file, Reference.parse(wrong))
    other = zipped(tmp_path / "mine.zip", klines(0, 3), name="ETHUSDT-1h-2021-01.csv")
    with pytest.raises(InputError, match=r"ETHUSDT-1h-2021-01.csv in mine.zip must begin with BTC"):
        read_archive(other, PERP)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NotStoredError, match="there is no zip"):
        read_archive(empty, PERP)
    data = bytearray(file.read_bytes())
    data[60] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(SchemaError, match=r"must have the sha256 of .*CHECKSUM"):
        read_archive(file, PERP)
    (tmp_path / "BTCUSDT-1h-2021-01.zip.CHECKSUM").unlink()
    with pytest.raises(SchemaError, match="is damaged"):
        read_archive(file, PERP)
    for text, name, said in (
        ("open_time,open\n", "", "missing high, low, close, volume; found open_time, open"),
        (klines(0, 1).replace("100.10", "x"), "", r"row 1 \(line 1\) has open = 'x'"),
        (klines(0, 1), "a.txt", "must hold one CSV"),
        ("1,2\n", "", r"row 1 \(line 1\) must have 12 cells"),
    ):
        with pytest.raises(SchemaError, match=said):
            read_archive(zipped(tmp_path / "BTCUSDT-1h-2021-03.zip", text, name=name), PERP)
    with pytest.raises(NotStoredError, match="there is no file"):
        read_archive(tmp_path / "BTCUSDT-1h-2099-01.zip", PERP)


def test_cryptodatadownload_newest_first_in_two_units(tmp_path: Path):
    path = tmp_path / "Binance_BTCUSDT_1h.csv"
    path.write_text(
        "https://www.CryptoDataDownload.com\n"
        "unix,date,symbol,open,high,low,close,Volume USDT,Volume BTC,tradecount\n"
        f"{MS + 2 * HOUR},2021-01-01 02:00:00,BTC/USDT,3,4,2,3.5,900,9,1\n"
        f"{MS // 1000 + 3600},2021-01-01 01:00:00,BTC/USDT,2,3,1,2.5,800,8,1\n"
        f"{MS // 1000}.0,2021-01-01 00:00:00,BTC/USDT,1,2,0.5,1.5,700,7,1\n"
    )
    found = read(path, "cryptodatadownload", "binance/ohlcv/BTC/USDT/1h")
    assert found.frame.index.equals(hours(0, 1, 2))
    assert found.frame["close"].tolist() == [1.5, 2.5, 3.5]
    assert found.frame["volume"].tolist() == [7, 8, 9]
    assert found.provenance["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    path = tmp_path / "Gemini_BTCUSD_d.csv"
    path.write_text(
        "https://www.CryptoDataDownload.com\n"
        "Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USD\n"
        "2021-01-02,BTCUSD,2,3,1,2.5,8,800\n2021-01-01,BTCUSD,1,2,0.5,1.5,7,700\n"
    )
    found = read(path, "cryptodatadownload", "gemini/ohlcv/BTC/USD/1d")
    assert found.frame.index.equals(hours(0, 24))
    assert found.frame["volume"].tolist() == [7, 8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<html>\n<body>gone</body>\n", "the column date is required; found <html>"),
        ("unix,open,high,low,close\n1,1,1,1,1\n", "missing volume; found unix, open"),
        ("unix,open,high,low,close,volume\n,1,1,1,1,1\n", "every row needs a stamp"),
        ("date,open,high,low,close,volume\n2017-07-01 11-AM,1,1,1,1,1\n", "2017-07-01 11-AM"),
        ("date,open,high,low,close,volume\n2017-07-01,1,1,1,one,1\n", "close = 'one'"),
    ],
)
def test_cryptodatadownload_files_that_cannot_be_read(tmp_path: Path, text: str, said: str):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(SchemaError, match=said):
        read(path, "cryptodatadownload", "v/ohlcv/BTC/USD/1h")


def test_yahoo_in_its_three_forms(tmp_path: Path):
    path = tmp_path / "BTC-USD.csv"
    name = Reference.parse("yahoo/ohlcv/BTC/USD/1d")
    path.write_text(
        "Date,Open,High,Low,Close,Adj Close,Volume\n"
        "2021-01-01,1,2,0.5,1.5,1.25,70\n2021-01-02,null,null,null,null,null,null\n"
        "2021-01-03,2,3,1,2.5,2.25,80\n"
    )
    found = read(path, "yahoo", name)
    assert found.frame.index.equals(hours(0, 48))
    assert found.frame["close"].tolist() == [1.5, 2.5]
    assert found.notes == ("BTC-USD.csv: 1 row without any price left out",)
    series = read(path, "yahoo", "yahoo/series/btc/1d")
    assert series.frame["adj_close"].tolist() == [1.25, 2.25]
    path.write_text(  # as yfinance writes one ticker
        "Price,Close,High,Low,Open,Volume\nTicker,BTC-USD,BTC-USD,BTC-USD,BTC-USD,BTC-USD\nDate,,,,,\n"
        "2021-01-04,1.5,2,0.5,1,70\n2021-01-05,2.5,3,1,2,80\n"
    )
    found = read(path, "yahoo", name)
    assert found.frame[["open", "close"]].to_numpy().tolist() == [[1, 1.5], [2, 2.5]]
    path = tmp_path / "x.csv"
    path.write_text(  # an exchange's day, stamped with its midnight
        "Date,Open,High,Low,Close,Volume\n2021-01-04 00:00:00-05:00,1,2,0.5,1.5,70\n"
    )
    assert read(path, "yahoo", name).frame.index.equals(hours(72))
    path.write_text("Datetime,Open,High,Low,Close,Volume\n2021-01-01 03:00:00-05:00,1,2,0.5,1,7\n")
    assert read(path, "yahoo", "yahoo/ohlcv/x/1h").frame.index.equals(hours(8))
    path.write_text("Time,Open\n1,2\n")
    with pytest.raises(SchemaError, match="the column Date is required; found Time, Open"):
        read(path, "yahoo", name)


TWO_TICKERS = (
    "Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume\n"
    "Ticker,BTC-USD,ETH-USD,BTC-USD,ETH-USD,BTC-USD,ETH-USD,BTC-USD,ETH-USD,BTC-USD,ETH-USD\n"
    "Date,,,,,,,,,,\n"
    "2021-01-01,150,15,200,20,50,5,100,10,7,70\n2021-01-02,250,25,300,30,100,10,200,20,8,80\n"
)


def test_of_several_tickers_the_one_that_was_said_is_read(tmp_path: Path):
    path = tmp_path / "download.csv"
    path.write_text(TWO_TICKERS)
    for symbol, closes in (("BTC/USD", [150, 250]), ("ETH/USD", [15, 25])):
        found = read(path, "yahoo", f"yahoo/ohlcv/{symbol}/1d")
        assert found.frame["close"].tolist() == closes
    for said in ("SOL/USD", "BTC/EUR"):
        with pytest.raises(SchemaError, match=f"it holds BTC-USD, ETH-USD; give the .* got {said}"):
            read(path, "yahoo", f"yahoo/ohlcv/{said}/1d")
    path.write_text(
        "Price,Close,High,Low,Open,Volume\nTicker,ETH-USD,ETH-USD,ETH-USD,ETH-USD,ETH-USD\n"
        "Date,,,,,\n2021-01-04,1.5,2,0.5,1,70\n2021-01-05,2.5,3,1,2,80\n"
    )
    with pytest.raises(SchemaError, match="the file says ETH-USD; give --symbol ETH/USD"):
        read(path, "yahoo", "yahoo/ohlcv/BTC/USD/1d")


def test_wall_time_needs_its_zone(tmp_path: Path):
    path = tmp_path / "hours.csv"
    lines = [f"2024-11-03 {hour:02d}:00:00,1,2,0.5,1,{n}" for n, hour in enumerate((0, 1, 1, 2))]
    path.write_text("\n".join(["Datetime,Open,High,Low,Close,Volume", *lines]) + "\n")
    said = FileDescription(venue="yahoo", symbol="BTC/USD")
    with pytest.raises(SchemaError, match=r"a time zone is required; .* or give --timezone"):
        read_foreign([path], "yahoo", said)
    # The clocks of New York were put back from 02:00 EDT to 01:00 EST on that day.
    (found,) = read_foreign([path], "yahoo", replace(said, timezone="America/New_York")).found
    assert found.reference.timeframe == "1h"
    expected = [f"2024-11-03T0{hour}:00:00Z" for hour in (4, 5, 6, 7)]
    assert found.frame.index.equals(pd.DatetimeIndex(expected, tz="UTC"))
    with pytest.raises(ConfigError, match="timezone must be a name of the tz database"):
        read_foreign([path], "yahoo", replace(said, timezone="New York"))
    path.write_text("\n".join(["Datetime,Open,High,Low,Close,Volume", lines[1], lines[3]]) + "\n")
    with pytest.raises(SchemaError, match=r"row 1 .* showed it twice; write stamps as UTC"):
        read_foreign([path], "yahoo", replace(said, timezone="America/New_York"))
    path.write_text("Datetime,Open,High,Low,Close,Volume\n2024-03-10 02:00:00,1,2,0.5,1,7\n")
    with pytest.raises(SchemaError, match="never showed it; is it another zone"):
        read_foreign([path], "yahoo", replace(said, timezone="America/New_York"))


@pytest.fixture
def freqtrade(tmp_path: Path) -> Path:
    """A data folder as freqtrade's handlers write it."""
    folder = tmp_path / "binance"
    (folder / "futures").mkdir(parents=True)
    rows = [[MS + n * HOUR, 1.0 + n, 2.0 + n, 0.5 + n, 1.5 + n, 10.0 + n] for n in range(4)]
    names = ["date", "open", "high", "low", "close", "volume"]
    table = pd.DataFrame(rows, columns=names)
    table["date"] = pd.to_datetime(table["date"], unit="ms", utc=True).dt.as_unit("ms")
    table.to_feather(folder / "BTC_USDT-1h.feather", compression="lz4")
    (folder / "ETH_BTC-1h.json").write_text(json.dumps(rows))
    (folder / "XRP_USDT-1h.json.gz").write_bytes(gzip.compress(json.dumps(rows).encode()))
    futures = folder / "futures"
    table.to_feather(futures / "BTC_USDT_USDT-1h-futures.feather", compression="lz4")
    table.assign(volume=0.0).to_feather(futures / "BTC_USDT_USDT-1h-mark.feather")
    rates = [[MS + n * 8 * HOUR, 0.0001 * (n - 1), 0, 0, 0, 0] for n in range(3)]
    (futures / "BTC_USDT_USDT-1h-funding_rate.json").write_text(json.dumps(rates))
    (folder / "BTC_USDT-trades.feather").write_bytes(b"")
    (folder / "BTC_USDT-1Mo.json").write_text("[]")
    return folder


def test_a_freqtrade_folder_is_read_whole(freqtrade: Path):
    contents = read_freqtrade(freqtrade, FileDescription(venue="binance"))
    found, left = contents.found, list(contents.left)
    by_name = {str(one.reference): one for one in found}
    assert sorted(by_name) == [
        "binance/funding/BTC/USDT:USDT/8h",
        "binance/mark/BTC/USDT:USDT/1h",
        "binance/ohlcv/BTC/USDT/1h",
        "binance/ohlcv/BTC/USDT:USDT/1h",
        "binance/ohlcv/ETH/BTC/1h",
        "binance/ohlcv/XRP/USDT/1h",
    ]
    for name in ("BTC/USDT", "BTC/USDT:USDT", "ETH/BTC", "XRP/USDT"):
        frame = by_name[f"binance/ohlcv/{name}/1h"].frame
        assert frame.index.equals(hours(0, 1, 2, 3))
        assert frame["high"].tolist() == [2, 3, 4, 5]
        assert frame["volume"].tolist() == [10, 11, 12, 13]
    rates = by_name["binance/funding/BTC/USDT:USDT/8h"].frame
    assert rates["funding_rate"].tolist() == [-0.0001, 0, 0.0001]
    assert rates.index.equals(hours(0, 8, 16))
    # Some versions fill the hours between payments with zeros.
    padded = [[MS + n * HOUR, 0.0 if n % 8 else 0.0001 * (n - 8), 0, 0, 0, 0] for n in range(20)]
    path = freqtrade / "futures" / "BTC_USDT_USDT-1h-funding_rate.json"
    path.write_text(json.dumps(padded))
    contents = read_freqtrade(freqtrade, FileDescription(venue="binance"))
    (again,) = (one for one in contents.found if one.reference.kind == "funding")
    assert str(again.reference) == "binance/funding/BTC/USDT:USDT/8h"
    assert again.frame["funding_rate"].tolist() == [-0.0008, 0, 0.0008]
    assert [line.partition(":")[0] for line in left] == [
        "BTC_USDT-1Mo.json",
        "BTC_USDT-trades.feather",
    ]


def test_a_damaged_freqtrade_file_is_named_beside_the_others(freqtrade: Path):
    for text, said in (
        ('[["a"', "is damaged"),
        ("[]", "must hold rows of date, open"),
        (SECONDS, "may count s"),
    ):
        (freqtrade / "ETH_BTC-1h.json").write_text(text)
        contents = read_freqtrade(freqtrade, FileDescription(venue="binance"))
        (failed,) = contents.failed
        assert failed.startswith("ETH_BTC-1h.json")
        assert said in failed
        assert len(contents.found) == 5
    with pytest.raises(NotStoredError, match="there is no folder"):
        read_freqtrade(freqtrade / "absent", FileDescription(venue="binance"))


def test_what_came_from_freqtrade_goes_back_as_it_was(
    freqtrade: Path, tmp_path: Path, workspace, capsys
):
    words = ["data", "import", str(freqtrade), "--from", "freqtrade", "--venue", "binance"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "binance/mark/BTC/USDT:USDT/1h: 4 rows added" in said
    assert "note: left alone: BTC_USDT-trades.feather" in said
    assert main([*words, "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [report["added"] for report in reports] == [0] * 6
    back = tmp_path / "back"
    for report in reports:
        words = ["data", "export", report["reference"], str(back), "--format", "freqtrade"]
        assert main(words) == 0
    for file in (
        "BTC_USDT-1h",
        "futures/BTC_USDT_USDT-1h-futures",
        "futures/BTC_USDT_USDT-1h-mark",
    ):
        ours = pd.read_feather(back / f"{file}.feather")
        assert str(ours["date"].dtype) == "datetime64[ms, UTC]"
        theirs = pd.read_feather(freqtrade / f"{file}.feather")
        pd.testing.assert_frame_equal(ours, theirs)
    rates = pd.read_feather(back / "futures" / "BTC_USDT_USDT-8h-funding_rate.feather")
    assert rates["open"].tolist() == [-0.0001, 0, 0.0001]
    assert (rates[["high", "low", "close", "volume"]] == 0).all(axis=None)


@pytest.mark.parametrize("form", ["csv", "parquet", "feather"])
def test_what_is_exported_can_be_imported_again(tmp_path: Path, form: str):
    rng = np.random.default_rng(5)
    index = pd.date_range(START, periods=50, freq="17min", unit="ns")
    values = rng.normal(size=(50, 2)) * 10.0 ** rng.integers(-9, 9, size=(50, 2))
    values[rng.random((50, 2)) < 0.2] = np.nan
    frame = pd.DataFrame(values, index=index + pd.to_timedelta(1, "ns"), columns=["a", "b"])
    catalog = Catalog(tmp_path / "data")
    one = catalog.add(frame, "v/series/x/17m").entry
    path = export(catalog.load("v/series/x/17m"), tmp_path / "out" / f"x.{form}", form)
    other = catalog.add(path, "w/series/x/17m").entry
    assert other.id == one.id


def test_vectorbt_reads_its_shape(tmp_path: Path):
    import vectorbt  # noqa: F401  it registers the accessor

    catalog = Catalog(tmp_path / "data")
    rows = {"open": [1.0, 2, 3], "high": [2.0, 3, 4], "low": [0.5, 1, 2], "close": [1.5, 2.5, 3.5]}
    catalog.add(pd.DataFrame(rows | {"volume": [7.0, 8, 9]}, index=hours(0, 1, 2)), PERP)
    dataset = catalog.load(PERP)
    table = pd.read_parquet(export(dataset, tmp_path / "x.parquet", "vectorbt"))
    assert table.vbt.ohlcv.close.tolist() == [1.5, 2.5, 3.5]
    assert table.vbt.ohlcv.volume.tolist() == [7, 8, 9]
    text = pd.read_csv(export(dataset, tmp_path / "x.csv", "vectorbt"), index_col="Open time")
    assert list(text) == ["Open", "High", "Low", "Close", "Volume"]
    catalog.add(pd.DataFrame({"x": [1.0]}, index=hours(0)), "v/series/x/1h")
    with pytest.raises(InputError, match="that of bars"):
        export(catalog.load("v/series/x/1h"), tmp_path / "y", "vectorbt")
    with pytest.raises(InputError, match="freqtrade has a place"):
        export(catalog.load("v/series/x/1h"), tmp_path / "y", "freqtrade")
    with pytest.raises(InputError, match="format must be one of"):
        export(dataset, tmp_path / "y", "xlsx")


def test_an_export_is_what_its_file_says(tmp_path: Path):
    catalog = Catalog(tmp_path / "data")
    catalog.add(pd.DataFrame({"x": [1.5, 2.5]}, index=hours(0, 1)), "v/series/x/1h")
    dataset = catalog.load("v/series/x/1h")
    readers = {"csv": pd.read_csv, "csv.gz": pd.read_csv, "parquet": pd.read_parquet}
    for ending, read in (readers | {"feather": pd.read_feather, "CSV": pd.read_csv}).items():
        assert read(export(dataset, tmp_path / f"f.{ending}"))["x"].tolist() == [1.5, 2.5]
    for name, form, said in (
        ("f.csv", "parquet", "ends in .csv holds csv; format says parquet"),
        ("f.parquet", "csv", "ends in .parquet holds parquet; format says csv"),
        ("f.feather", "vectorbt", "written as CSV or Parquet"),
        ("f.xlsx", None, "must end in .csv, .csv.gz, .parquet, .feather, or its format be said"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            export(dataset, tmp_path / "new" / name, form)
    assert not (tmp_path / "new").exists()
    assert pd.read_parquet(export(dataset, tmp_path / "f.data", "parquet"))["x"].sum() == 4.0


def test_foreign_files_as_typed(workspace, tmp_path: Path, capsys):
    zipped(tmp_path / "BTCUSDT-1h-2021-01.zip", klines(0, 3))
    words = ["--venue", "binanceusdm", "--timeframe", "1h", "--from", "binance-archive"]
    command = ["data", "import", str(tmp_path / "BTCUSDT-1h-2021-01.zip"), *words]
    assert main(command) == 2
    assert "--symbol is required" in capsys.readouterr().err
    assert main([*command, "--symbol", "BTC/USDT:USDT", "--complete"]) == 0
    assert "3 rows added" in capsys.readouterr().out
    assert main(["data", "check", str(PERP)]) == 0
    assert main(["data", "export", str(PERP), "bars.csv", "--format", "csv"]) == 0
    assert "3 rows written to bars.csv" in capsys.readouterr().out
    assert Path("bars.csv").read_text().splitlines()[1] == (
        "2021-01-01T00:00:00Z,100.1,102.2,99.3,101.4,0.5"
    )
    assert main(["data", "export", "v/ohlcv/x/1h", "bars.csv"]) == 1


def test_one_refused_data_set_of_a_folder_keeps_no_other_out(workspace, freqtrade, capsys):
    stored = "binance/ohlcv/BTC/USDT/1h"
    words = ["data", "import", str(freqtrade), "--venue", "binance", "--from", "freqtrade"]
    assert main(words) == 0
    whole = capsys.readouterr().out.count("rows added")
    # Rows that disagree with those stored now come for one of them, among the others.
    path = freqtrade / "BTC_USDT-1h.feather"
    table = pd.read_feather(path)
    table.assign(volume=table["volume"] + 1).to_feather(path, compression="lz4")
    assert main(words) == 1
    said = capsys.readouterr()
    assert said.out.count("0 rows added") == whole - 1
    assert said.err.startswith(f"error: {stored}: 4 rows must agree")
    assert main([*words, "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)) == whole - 1


@pytest.mark.parametrize(
    ("origin", "more", "said"),
    [
        ("freqtrade", ["--symbol", "BTC/USDT"], "takes no symbol, kind or timeframe"),
        ("freqtrade", ["--kind", "mark"], "takes no symbol, kind or timeframe"),
        ("yahoo", ["--symbol", "BTC/USD", "--stamp-unit", "s"], "--stamp-unit is for plain files"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    workspace, freqtrade, capsys, origin, more, said
):
    words = ["data", "import", str(freqtrade), "--venue", "v", "--from", origin, *more]
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_no_name_in_an_export_is_a_formula(workspace, monkeypatch, tmp_path: Path, capsys):
    names = ["=HYPERLINK(1)", "+a", "-b", "@c", "d=1", "'e"]
    frame = pd.DataFrame(np.arange(12.0).reshape(2, 6) - 6, index=hours(0, 1), columns=names)
    one = workspace.catalog.add(frame, "v/series/x/1h").entry
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["data", "export", "v/series/x/1h", "~/x.csv"]) == 0
    assert f"written to {tmp_path}/x.csv" in capsys.readouterr().out
    header, first, _ = (tmp_path / "x.csv").read_text().splitlines()
    assert header == "timestamp,'=HYPERLINK(1),'+a,'-b,'@c,d=1,'e"
    assert first == "2021-01-01T00:00:00Z,-6.0,-5.0,-4.0,-3.0,-2.0,-1.0"  # numbers are no text
    words = ["--venue", "w", "--symbol", "x", "--kind", "series"]
    assert main(["data", "import", "~/x.csv", *words]) == 0
    assert {entry.id for entry in workspace.catalog.list()[1:]} == {one.id}


def test_no_text_in_an_export_is_a_formula():
    table = pd.DataFrame({"a": ["=1+1", "-12.5 %", "+3", "text", None, "@x"], "b": range(6)})
    made = harmless(table.rename(columns={"a": "=a"}))
    assert made["'=a"].tolist()[:4] == ["'=1+1", "-12.5 %", "+3", "text"]
    assert made["'=a"].isna().tolist() == [False] * 4 + [True, False]
    assert made["'=a"].iloc[5] == "'@x"
    assert made["b"].tolist() == list(range(6))


@pytest.mark.parametrize("form", ["csv", "parquet", "feather", "vectorbt"])
def test_an_export_that_fails_leaves_the_file_before_it(workspace, monkeypatch, form: str):
    place = Path(f"bars.{form}")
    place.write_text("what was exported before")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    dataset = workspace.catalog.load("sample/ohlcv/BTC/USD/1d")
    with pytest.raises(StoreError, match=r"cannot write .*bars\..*No space left on device; give"):
        export(dataset, place, form)
    assert place.read_text() == "what was exported before"
    assert not [path for path in Path.cwd().iterdir() if path.name.startswith(".tmp")]
    monkeypatch.undo()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_export_replaces_nothing_but_files(workspace, tmp_path: Path, form: str):
    dataset = workspace.catalog.load("sample/ohlcv/BTC/USD/1d")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # as /dev/null: what is there belongs to the system
    for place in (pipe, tmp_path, Path()):
        with pytest.raises(StoreError, match="it is a folder or a device; give another path"):
            export(dataset, place, form)
    assert pipe.is_fifo()
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    export(dataset, tmp_path / "link", form)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").stat().st_size > 10_000


def test_a_csv_is_packed_where_its_name_says_so(workspace, tmp_path: Path):
    dataset = workspace.catalog.load("sample/ohlcv/BTC/USD/1d")
    path = export(dataset, tmp_path / "deep" / "bars.csv.gz", "csv")
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert len(lines) == 1 + 5385
