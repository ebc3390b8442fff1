"""``delever data``: import, list, check, as typed."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from delever.cli.app import main

ROWS = [
    "timestamp,open,high,low,close,volume",
    "2021-05-17T00:00:00Z,10,12,9,11,1",
    "2021-05-18T00:00:00Z,11,13,10,12,2",
    "2021-05-21T00:00:00Z,12,12,8,9,3",
]
WORDS = ["--venue", "bitstamp", "--symbol", "BTC/USD", "--kind", "ohlcv", "--timeframe", "1d"]
NAME = "bitstamp/ohlcv/BTC/USD/1d"


def file_of(rows: list[str]) -> str:
    Path("btc.csv").write_text("\n".join(rows) + "\n")
    return "btc.csv"


def test_import_list_and_check(workspace, capsys):
    assert main(["data", "import", file_of(ROWS), *WORDS]) == 0
    said = capsys.readouterr().out
    assert "3 rows added, 0 there already" in said
    assert "1 gap, 2 bars" in said
    assert "2021-05-19" in said
    assert main(["data", "import", file_of(ROWS), *WORDS]) == 0
    assert "0 rows added, 3 there already" in capsys.readouterr().out
    assert main(["data", "list"]) == 0
    said = capsys.readouterr().out
    assert NAME in said
    assert "sample/ohlcv/BTC/USD/1d" in said


def test_the_rows_say_their_timeframe(workspace, capsys):
    weeks = [f"2021-0{n}-0{d}T00:00:00Z,10,12,9,11,1" for n, d in ((2, 1), (2, 8), (3, 1), (3, 8))]
    file = file_of([ROWS[0].title(), *weeks])  # names of columns are in any case
    assert main(["data", "import", file, *WORDS]) == 1
    said = capsys.readouterr().err
    assert "rows of 1d were said; 2 of 3 are 1w after the one before, none 1d; give" in said
    assert main(["data", "import", file, *WORDS[:-2]]) == 0
    assert "bitstamp/ohlcv/BTC/USD/1w: 4 rows added" in capsys.readouterr().out
    file_of(["date,price", "2021-01-01,5"])
    assert main(["data", "import", file, *WORDS]) == 1
    assert "one column timestamp or open_time is required; found date, price" in (
        capsys.readouterr().err
    )
    file_of(["timestamp,o,h", "2021-01-01T00:00:00Z,5,6"])
    assert main(["data", "import", file, *WORDS]) == 1
    assert "missing open, high, low, close, volume; found timestamp, o, h" in (
        capsys.readouterr().err
    )


def test_of_several_files_the_good_ones_come_in(workspace, capsys):
    folder = Path("files")
    folder.mkdir()
    (folder / "a.csv").write_text("\n".join(ROWS[:3]) + "\n")
    (folder / "b.csv").write_text("\n".join([ROWS[0], ROWS[3]]) + "\n")
    (folder / "c.csv").write_text("no table\n")
    (folder / "d.txt").write_text("")
    assert main(["data", "import", str(folder), *WORDS]) == 1
    said = capsys.readouterr()
    assert said.out.count("bitstamp/ohlcv/BTC/USD/1d: ") == 2
    assert "left alone: d.txt" in said.out
    assert said.err.startswith("error: c.csv: one column timestamp")
    assert said.err.count("error") == 1
    assert len(workspace.catalog.load(NAME).frame) == 3
    names = [str(folder / name) for name in ("a.csv", "b.csv", "absent.csv")]
    assert main(["data", "import", *names, *WORDS]) == 1
    said = capsys.readouterr()
    assert said.out.count("0 rows added") == 2
    assert "there is no file files/absent.csv" in said.err


def test_check_says_what_is_unknown_and_complete_settles_it(workspace, capsys):
    assert main(["data", "check"]) == 0
    said = capsys.readouterr().out
    assert "sample/ohlcv/BTC/USD/1d: nothing is unknown" in said
    assert "close-only: intraday extremes unseen" in said
    assert main(["data", "import", file_of(ROWS), *WORDS]) == 0
    capsys.readouterr()
    assert main(["data", "check"]) == 1
    said = capsys.readouterr().out
    assert f"{NAME}: 2 bars are unknown" in said
    # Five days in 72 cells: two present, two unknown, one present; a shared cell shows the worst.
    assert "█" * 28 + "?" * 30 + "█" * 14 in said
    assert "█ 3 present, ░ 0 absent, ? 2 unknown" in said
    assert "2021-05-19" in said
    assert f"delever data repair {NAME}" in said
    assert main(["data", "check", NAME, "--json"]) == 1
    (check,) = json.loads(capsys.readouterr().out)
    start, end = "2021-05-19T00:00:00+00:00", "2021-05-21T00:00:00+00:00"
    assert check["holes"] == [{"start": start, "end": end, "state": "unknown", "bars": 2}]
    assert check["unknown"] == 2
    assert main(["data", "import", file_of(ROWS), *WORDS, "--complete"]) == 0
    capsys.readouterr()
    assert main(["data", "check", NAME]) == 0
    said = capsys.readouterr().out
    assert f"{NAME}: nothing is unknown" in said
    assert "█ 3 present, ░ 2 absent, ? 0 unknown" in said
    # Rows that come later, further on, leave a hole nobody has spoken for.
    file_of([ROWS[0], "2021-05-30T00:00:00Z,12,12,8,9,3"])
    assert main(["data", "import", "btc.csv", *WORDS]) == 0
    assert main(["data", "check", NAME]) == 1


def test_check_draws_a_page(workspace, capsys):
    assert main(["data", "import", file_of(ROWS), *WORDS]) == 0
    part = next((workspace.root / "data" / "store").rglob("*.parquet"))
    assert main(["data", "check", "--html", "coverage.html"]) == 1
    assert "drawn in coverage.html" in capsys.readouterr().out
    page = Path("coverage.html").read_text()
    assert NAME in page
    assert 'class="unknown" x="400" width="400"' in page  # the third and fourth of five days
    assert "://" not in page
    assert "<script src" not in page
    part.unlink()
    assert main(["data", "check", "--html", "coverage.html"]) == 1
    assert "is missing; remove" in Path("coverage.html").read_text()
    before = Path("coverage.html").read_bytes()
    file_of(ROWS)
    capsys.readouterr()
    assert main(["data", "check", "--html", "btc.csv/page.html"]) == 1
    assert "btc.csv/page.html: " in capsys.readouterr().err
    assert Path("coverage.html").read_bytes() == before


def test_json_is_one_document(workspace, capsys):
    lag = ["--publication-lag", "24h", "--note", "adjusted"]
    assert main(["data", "import", file_of(ROWS), *WORDS, *lag, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["reference"], report["added"], report["present"]) == (NAME, 3, 0)
    assert report["publication_lag_seconds"] == 24 * 3600
    assert report["notes"] == ["adjusted"]
    assert [gap["bars"] for gap in report["gaps"]] == [2]
    assert main(["data", "list", "--json"]) == 0
    entries = {entry["reference"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert entries[NAME]["id"] == report["id"]
    assert entries[NAME]["gap_count"] == 1
    assert main(["data", "check", NAME, "--json"]) == 1
    (check,) = json.loads(capsys.readouterr().out)
    assert (check["problems"], check["rows"]) == ([], 3)
    assert main(["data", "verify", NAME, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"reference": NAME, "problems": []}]


def test_bars_are_known_when_they_close_and_at_no_other_time(workspace, capsys):
    for lag in ("8h", "30d"):
        words = ["data", "import", file_of(ROWS), *WORDS, "--publication-lag", lag]
        assert main(words) == 2
        assert "publication lag of bars must be their timeframe 1d" in capsys.readouterr().err


def test_check_and_verify_fail_when_something_is_broken(workspace, capsys):
    assert main(["data", "import", file_of(ROWS), *WORDS]) == 0
    part = next((workspace.root / "data" / "store").rglob("*.parquet"))
    assert main(["data", "verify"]) == 0
    assert f"{NAME}: whole" in capsys.readouterr().out
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    for command in ("check", "verify"):
        assert main(["data", command]) == 1
        assert "broken" in capsys.readouterr().out
        assert main(["data", command, "--json"]) == 1
        assert "sha256" in json.loads(capsys.readouterr().out)[1]["problems"][0]


def test_list_names_the_damaged_beside_the_rest(workspace, capsys):
    other = ["--venue", "other", *WORDS[2:]]
    for words in (WORDS, other):
        assert main(["data", "import", file_of(ROWS), *words]) == 0
    manifest = next((workspace.root / "data" / "store" / "bitstamp").rglob("dataset.json"))
    manifest.write_text("{")
    (workspace.root / "data" / "sample" / "metadata.json").unlink()
    capsys.readouterr()
    assert main(["data", "list"]) == 1
    said = capsys.readouterr().out
    assert "other/ohlcv/BTC/USD/1d" in said
    assert "sample: broken" in said
    assert "bitstamp/ohlcv/BTC%2FUSD/1d: broken" in said
    assert "dataset.json is damaged" in said
    assert main(["data", "list", "--json"]) == 1
    listed = json.loads(capsys.readouterr().out)
    assert [bool(one["problems"]) for one in listed] == [False, True, True]
    assert main(["data", "check"]) == 1
    assert "metadata.json is missing" in capsys.readouterr().out
    assert main(["data", "check", "sample/ohlcv/BTC/USD/1d"]) == 1


def test_a_terminal_without_blocks_or_accents_is_served_all_the_same(workspace, monkeypatch):
    words = [*WORDS[:2], "--symbol", "BTC/ĐZ", *WORDS[4:]]
    told = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(told, encoding="latin-1", errors="strict"))
    assert main(["data", "import", file_of(ROWS), *words]) == 0
    assert main(["data", "list"]) == 0
    assert main(["data", "check", "bitstamp/ohlcv/BTC/ĐZ/1d"]) == 1
    sys.stdout.flush()
    said = told.getvalue().decode("latin-1")
    assert r"bitstamp/ohlcv/BTC/\u0110Z/1d: 2 bars are unknown" in said
    assert "#" * 28 + "?" * 30 + "#" * 14 in said
    assert "# 3 present, . 0 absent, ? 2 unknown" in said


def test_a_closed_output_stops_nothing(workspace, monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    assert main(["data", "import", file_of(ROWS), *WORDS]) == 0
    assert len(workspace.catalog.load(NAME).frame) == 3


def test_a_long_name_leaves_the_other_columns_readable(workspace, capsys):
    long = "A" * 190
    assert main(["data", "import", file_of(ROWS), *WORDS[:2], "--symbol", long]) == 0
    capsys.readouterr()
    assert main(["data", "list"]) == 0
    said = capsys.readouterr().out
    assert f"bitstamp/ohlcv/{long}/1d" in said
    assert "2021-05-21" in said


def test_one_row_is_no_rows(workspace, capsys):
    assert main(["data", "import", file_of(ROWS[:2]), *WORDS]) == 0
    said = capsys.readouterr().out
    assert "1 row added" in said
    assert "  1 row, 2021-05-17 to 2021-05-17" in said
    assert "1 rows" not in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["data", "import", "absent.csv", *WORDS], 1, "there is no file"),
        (["data", "import", "btc.csv", *WORDS[:-1], "1y"], 2, "timeframe must be"),
        (["data", "import", "btc.csv", *WORDS, "--kind", "candles"], 2, "kind must be one of"),
        (["data", "import", "btc.csv", *WORDS, "--venue", "sample"], 2, "must not be 'sample'"),
        (["data", "import", "btc.csv", *WORDS, "--publication-lag", "soon"], 2, "publication lag"),
        (
            ["data", "import", "btc.csv", *WORDS, "--publication-lag", "1h"],
            2,
            "known when they close",
        ),
        (["data", "import", "btc.csv", *WORDS[:-1], ""], 2, "timeframe must be"),
        (["data", "import", "btc.csv", *WORDS, "--kind", ""], 2, "kind must be one of"),
        (["data", "import", "btc.csv", *WORDS, "--note", "a\nb"], 2, "one line of text"),
        (["data", "import", "btc.csv", *WORDS, "--note", " "], 2, "one line of text"),
        (["data", "import", "", *WORDS], 2, "the path of a file or a folder is required"),
        (["data", "check", "bitstamp"], 2, "venue/kind/symbol/timeframe"),
        (["data", "check", NAME], 1, f"no data set {NAME}"),
    ],
)
def test_errors_are_one_sentence(workspace, capsys, words: list[str], code: int, said: str):
    file_of(ROWS)
    assert main(words) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
    assert not (workspace.root / "data" / "store").exists()


def test_a_long_list_of_gaps_shows_the_longest(workspace, capsys):
    pairs = [pd.Timestamp("2021-01-01") + pd.Timedelta(days=3 * n // 2) for n in range(80)]
    days = pd.DatetimeIndex(pairs).append(pd.date_range("2021-06-01", periods=2))
    rows = [f"{day:%Y-%m-%d}T00:00:00Z,1" for day in days]
    path = file_of(["timestamp,a", *rows])
    assert main(["data", "import", path, *WORDS[:4], "--kind", "series"]) == 0
    said = capsys.readouterr().out
    # 39 single days between 1 January and 29 April, and the 32 days from then to 1 June
    assert "40 gaps, 71 bars (the 30 longest below; all with --json)" in said
    assert "2021-06-01" in said
