"""Files in: every layout that is promised, and a clear word for everything else."""

from __future__ import annotations

import gzip
import hashlib
import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.data.files import read_file
from delever.data.layout import Layout
from delever.data.stamps import StampForm, StampUnit
from delever.errors import DeleverError, NotStoredError, SchemaError

HEADER = b"timestamp,open,high,low,close,volume\n"
DAYS = [
    b"2021-05-17T00:00:00Z,10,12,9,11,1.5",
    b"2021-05-18T00:00:00Z,11,13,10,12,2.5",
    b"2021-05-19T00:00:00Z,12,12,8,9,0",
]
PLAIN = HEADER + b"\n".join(DAYS) + b"\n"
EXPECTED = [[10, 12, 9, 11, 1.5], [11, 13, 10, 12, 2.5], [12, 12, 8, 9, 0]]
STAMPS = [pd.Timestamp(day, tz="UTC") for day in ("2021-05-17", "2021-05-18", "2021-05-19")]


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def refused(path: Path, *said: str, kind: str = "ohlcv") -> None:
    with pytest.raises(SchemaError) as error:
        read_file(path, kind, "1d")
    for words in (path.name, *said):
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("plain.csv", PLAIN),
        ("packed.csv.gz", gzip.compress(PLAIN, mtime=0)),
        ("windows.csv", b"\xef\xbb\xbf" + PLAIN.replace(b"\n", b"\r\n")),
        ("quoted_last_cell.csv", PLAIN.replace(b",0\n", b',"0"')),
        ("blank_last_lines.csv", PLAIN + b"\n\n"),
        ("open_time.csv", PLAIN.replace(b"timestamp", b"open_time")),
        ("offsets.csv", PLAIN.replace(b"T00:00:00Z", b" 02:00:00+02:00")),
        ("fractions.csv", PLAIN.replace(b"00Z", b"00.000Z")),
        ("semicolons.csv", PLAIN.replace(b",", b";")),
        ("tabs.csv", PLAIN.replace(b",", b"\t")),
        ("bars.csv", PLAIN.replace(b",", b"|")),
        ("capitals.CSV", PLAIN.title().replace(b"t0", b"T0").replace(b"0z", b"0Z")),
        ("lines_above.csv", b"\n\r\n" + PLAIN),
        ("marked.csv", PLAIN.decode().encode("utf-16")),
        ("quoted.csv", PLAIN.replace(b",12,", b',"12",')),
    ],
)
def test_text_files(tmp_path: Path, name: str, data: bytes):
    rows = read_file(put(tmp_path, name, data), "ohlcv", "1d")
    assert rows.frame.to_numpy().tolist() == EXPECTED
    assert rows.frame.index.tolist() == STAMPS
    assert rows.frame.index.name == "open_time"
    assert rows.ignored == ()
    assert rows.name == name
    assert rows.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_tables_with_the_stamp_as_a_column(tmp_path: Path, suffix: str, unit: str):
    index = pd.DatetimeIndex(STAMPS).as_unit(unit)
    frame = pd.DataFrame(EXPECTED, columns=HEADER.decode().strip().split(",")[1:])
    frame.insert(0, "timestamp", index)
    path = tmp_path / f"bars.{suffix}"
    getattr(frame, f"to_{suffix}")(path)
    rows = read_file(path, "ohlcv", "1d")
    assert rows.frame.to_numpy().tolist() == EXPECTED
    assert rows.frame.index.tolist() == STAMPS


def test_a_table_with_the_stamp_as_its_index(tmp_path: Path):
    index = pd.DatetimeIndex(STAMPS, name="open_time").tz_convert("Asia/Tokyo")
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [0.5, np.nan, 2]}, index=index)
    frame.to_parquet(tmp_path / "a.parquet")
    rows = read_file(tmp_path / "a.parquet", "series", "1d")
    assert rows.frame.index.tolist() == STAMPS
    np.testing.assert_array_equal(rows.frame.to_numpy(), [[1, 0.5], [2, np.nan], [3, 2]])


def test_columns_without_a_use_are_named_and_may_hold_anything(tmp_path: Path):
    body = b"close_time,timestamp,funding_rate,mark\nx,2021-05-17T00:00:00Z,0.0001,y\n"
    rows = read_file(put(tmp_path, "f.csv", body), "funding", "8h")
    assert rows.frame.columns.tolist() == ["funding_rate"]
    assert rows.ignored == ("close_time", "mark")


def test_a_series_has_any_numbers_and_empty_cells_are_undefined(tmp_path: Path):
    body = b"timestamp,total,IBIT\n2024-01-11T00:00:00Z,655.3,\n2024-01-12T00:00:00Z,nan,-3\n"
    rows = read_file(put(tmp_path, "etf.csv", body), "series", "1d")
    np.testing.assert_array_equal(rows.frame.to_numpy(), [[655.3, np.nan], [np.nan, -3]])
    assert rows.frame.index.name == "timestamp"


def read_counted(path: Path, unit: StampUnit | None) -> pd.DataFrame:
    return read_file(path, "series", "1d", layout=Layout(stamps=StampForm(unit=unit))).frame


@pytest.mark.parametrize(
    ("unit", "stamp"),
    [
        ("s", b"1621209600"),
        ("ms", b"1621209600000"),
        ("us", b"1621209600000000"),
        ("ns", b"1621209600000000000"),
    ],
)
def test_whole_number_stamps_only_where_it_is_said_what_they_count(
    tmp_path: Path, unit: str, stamp: bytes
):
    path = put(tmp_path, "n.csv", b"timestamp,a\n" + stamp + b",1\n")
    assert read_counted(path, unit).index.tolist() == STAMPS[:1]
    said = repr(stamp.decode())
    refused(path, "row 1 (line 2)", said, f"--stamp-unit {unit} if it", kind="series")
    pd.DataFrame({"timestamp": [int(stamp)], "a": [1.0]}).to_parquet(tmp_path / "n.parquet")
    table = tmp_path / "n.parquet"
    assert read_counted(table, unit).index.tolist() == STAMPS[:1]
    refused(table, "row 1", "--stamp-unit", kind="series")


def test_the_wrong_unit_is_noticed(tmp_path: Path):
    path = put(tmp_path, "n.csv", b"timestamp,a\n1621209600000,1\n")
    with pytest.raises(SchemaError, match="before 2009 or after tomorrow; it may count ms"):
        read_counted(path, "s")
    path = put(tmp_path, "z.csv", b"timestamp,a\n2021-05-17T00:00:00Z,1\n")
    with pytest.raises(SchemaError, match="whole numbers of ms are required"):
        read_counted(path, "ms")
    path = put(tmp_path, "t.csv", b"timestamp,a\n1970-01-19T18:20:09Z,1\n1970-01-20T18:20:09Z,1\n")
    with pytest.raises(SchemaError, match=r"row 2 \(line 3\).* before there was a coin; check the"):
        read_file(path, "series", "1d")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"2021-05-18,11,13,10,12,2", "row 2 (line 3) has timestamp = '2021-05-18'; a time zone"),
        (b"2021-05-18T00:00:00,11,13,10,12,2", "a time zone is required"),
        (b"2021-05-18 00:00,11,13,10,12,2", "a time zone is required"),
        (b"18.05.2021,11,13,10,12,2", "a time stamp is required"),
        (b"2021-02-30T00:00:00Z,11,13,10,12,2", "there is no such day"),
        (b",11,13,10,12,2", "timestamp = nothing; every row needs a stamp"),
        (b"", "timestamp = nothing; every row needs a stamp"),
        (b"9999-05-18T00:00:00Z,11,13,10,12,2", "nothing is known after tomorrow"),
        (b"2021-05-18T00:00:00Z,11,13,10,12", "row 2 (line 3) must have 6 cells"),
        (b"2021-05-18T00:00:00Z,11,13,10,12,2,7", "got 7"),
        (b"2021-05-18T00:00:00Z,11,13,10,n/a,2", "row 2 (line 3) has close = 'n/a'; a number"),
        (b'2021-05-18T00:00:00Z,11,13,10,"12,0",2', "has close = '12,0'"),
        (b"2021-05-18T00:00:00Z,11,13,10,True,2", "has close = 'True'"),
        (b"2021-05-18T00:00:00Z,11,13,10,\xff,2", "line 3 holds b'\\xff,2"),
        (b"\xff\xfe,11,13,10,12,2", "line 3 holds b'\\xff\\xfe"),
        (b"2021-05-18T00:00:00Z,11,13,10,,2", "row 2 (line 3, 2021-05-18 00:00) has close = nan"),
        (b"2021-05-18T00:00:00Z,11,13,10,inf,2", "has close = inf"),
        (b"2021-05-18T00:00:00Z,11,9,10,12,2", "row 2 (line 3, 2021-05-18 00:00) has high = 9.0"),
        (b"2021-05-18T06:00:00Z,11,13,10,12,2", "is not an open time of 1d bars"),
        (b"2021-05-17T00:00:00Z,10,12,9,11,1.5", "repeats the stamp of the row before"),
        (b"2021-05-16T00:00:00Z,10,12,9,11,1.5", "is earlier than the row before"),
    ],
)
def test_a_bad_line_is_named_with_its_value_and_the_mend(tmp_path: Path, line: bytes, said: str):
    path = put(tmp_path, "bad.csv", HEADER + b"\n".join([DAYS[0], line, DAYS[2]]) + b"\n")
    refused(path, said)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("empty.csv", b"", "got an empty file"),
        ("blank.csv", b"\n \n", "got an empty file"),
        ("header.csv", HEADER, "at least one row"),
        ("binary.csv", b"PAR1\x15\x04\x15\x93PAR1", "text in UTF-8 is required; line 1"),
        ("control.csv", b"PAR1\x15\x04\x15PAR1", "no readable text"),
        ("unmarked.csv", PLAIN.decode().encode("utf-16-le"), "line 1 holds a zero byte"),
        ("odd.csv", PLAIN.decode().encode("utf-16")[:-1], "text in UTF-8 is required; line"),
        ("nameless.csv", b"timestamp,,close\n1,2,3\n", "found timestamp, (unnamed), close"),
        ("cut.csv", PLAIN[:-2], "the last line (4) must end with a line break"),
        ("endless.csv", b"timestamp," + b"a" * 200_000 + b"\n1,2\n", "the header cannot be read"),
        (
            "twice.csv",
            b"timestamp,a,a\n1,2,3\n",
            "every column needs a name of its own, whatever its case; found timestamp, a, a",
        ),
        ("cases.csv", b"timestamp,a,A\n1,2,3\n", "found timestamp, a, A"),
        (
            "clockless.csv",
            b"date,close\n2021-05-17,1\n",
            "one column timestamp or open_time is required; found date, close",
        ),
        ("both.csv", b"timestamp,open_time,a\n1,2,3\n", "found timestamp, open_time, a"),
        ("colons.csv", PLAIN.replace(b",", b":"), "found timestamp:open"),
        (
            "comma.csv",
            PLAIN.replace(b",", b";").replace(b"1.5", b"1,5"),
            "volume = '1,5'; a number",
        ),
        (
            "narrow.csv",
            b"timestamp,close\n2021-05-17T00:00:00Z,1\n",
            "missing open, high, low, vol",
        ),
        ("text.csv.gz", PLAIN, "gzip stream is damaged"),
        ("cut.csv.gz", gzip.compress(PLAIN * 50, mtime=0)[:-9], "gzip stream is damaged"),
        ("garbage.parquet", b"no parquet", "no readable parquet"),
        ("garbage.feather", b"no feather", "no readable feather"),
        ("empty.parquet", b"", "no readable parquet"),
        ("notes.txt", PLAIN, "must end in .csv, .csv.gz, .parquet, .feather"),
        ("archive.gz", gzip.compress(PLAIN, mtime=0), "must end in"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(
    tmp_path: Path, name: str, data: bytes, said: str
):
    refused(put(tmp_path, name, data), said)


def test_a_path_that_is_no_file_is_refused(tmp_path: Path):
    with pytest.raises(NotStoredError, match="there is no file"):
        read_file(tmp_path / "absent.csv", "ohlcv", "1d")
    (tmp_path / "folder.csv").mkdir()
    refused(tmp_path / "folder.csv", "must be a file; it is a folder or a device")
    os.mkfifo(tmp_path / "pipe.csv")  # reading it would wait for ever
    refused(tmp_path / "pipe.csv", "must be a file; it is a folder or a device")
    (tmp_path / "round.csv").symlink_to(tmp_path / "round.csv")
    refused(tmp_path / "round.csv", "cannot be read")


def test_a_name_that_is_no_text_becomes_one(tmp_path: Path):
    rows = read_file(put(tmp_path, os.fsdecode(b"g\xffd.csv"), PLAIN), "ohlcv", "1d")
    assert rows.name == r"g\udcffd.csv"
    rows.name.encode()


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pd.date_range("2021-05-17", periods=2), "naive"),
        ([1.5, 2.5], "must hold time stamps; it holds float64"),
        (pd.date_range("2021-05-17", periods=2).date, "must hold time stamps"),
        ([True, False], "must hold time stamps"),
        (["2021-05-17", "2021-05-18"], "a time zone is required"),
    ],
)
def test_a_table_without_a_clock_is_refused(tmp_path: Path, column: object, said: str):
    pd.DataFrame({"timestamp": column, "a": [1.0, 2.0]}).to_parquet(tmp_path / "t.parquet")
    refused(tmp_path / "t.parquet", said, kind="series")


@pytest.mark.parametrize("column", [["x", "y"], [True, False], [Decimal("1.5"), Decimal(2)]])
def test_a_table_of_something_else_than_numbers_is_refused(tmp_path: Path, column: list[object]):
    frame = pd.DataFrame({"timestamp": STAMPS[:2], "a": column})
    frame.to_feather(tmp_path / "t.feather")
    refused(tmp_path / "t.feather", "column a must hold numbers", kind="series")


@settings(max_examples=40)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_read_to_its_last_bit(tmp_path_factory: pytest.TempPathFactory, x: float):
    path = tmp_path_factory.getbasetemp() / "exact.csv"
    path.write_text(f"timestamp,a\n2021-05-17T00:00:00Z,{x!r}\n")
    assert read_file(path, "series", "1d").frame["a"].iloc[0] == x


def outcome(path: Path, unit: str | None) -> pd.DataFrame | str:
    try:
        return read_counted(path, unit)
    except DeleverError as error:
        return str(error)


@settings(max_examples=150)
@given(
    st.sampled_from([".csv", ".csv.gz", ".parquet", ".feather"]),
    st.binary(max_size=60) | st.text('0129-:TZ,.\n\r"+ eENan', max_size=60).map(str.encode),
    st.booleans(),
    st.sampled_from([None, "s", "ms", "us"]),
)
def test_no_bytes_at_all_bring_anything_but_rows_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    body: bytes,
    headed: bool,
    unit: str | None,
):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    data = b"timestamp,a\n" + body if headed else body
    path.write_bytes(gzip.compress(data) if suffix == ".csv.gz" and headed else data)
    got = outcome(path, unit)
    if isinstance(got, str):
        assert path.name in got
    else:
        assert got.index.is_monotonic_increasing
        assert np.isfinite(got["a"].dropna()).all()


@pytest.mark.parametrize("ending", ["csv.gz", "zip"])
def test_a_packed_file_is_unpacked_no_further_than_its_bound(tmp_path, monkeypatch, ending):
    """Zeros pack a thousandfold: what is small on the disk may be larger than the memory."""
    import zipfile

    from delever.data.vendors.binance_archive import _content

    monkeypatch.setattr("delever.data.files.LARGEST_FILE", 1 << 20)
    monkeypatch.setattr("delever.data.vendors.binance_archive.LARGEST_FILE", 1 << 20)
    path = tmp_path / f"BTCUSDT-1h-2024-01.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("BTCUSDT-1h-2024-01.csv", b"0" * (1 << 24))
    else:
        path.write_bytes(gzip.compress(b"0" * (1 << 24)))
    assert path.stat().st_size < 1 << 16
    with pytest.raises(SchemaError, match="must unpack to at most 1 MiB; it holds more"):
        _content(path) if ending == "zip" else read_file(path, "ohlcv", "1h")
