"""Layouts in TOML: what a message proposes reads the file, and what is no layout is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.data.zoo import KINDS

import delever as dl
from delever.cli.app import main
from delever.data.layout import read_layout
from delever.errors import ConfigError, SchemaError

GERMAN = next(kind for kind in KINDS if kind.name == "layout")


def proposed(path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["data", "import", str(path), *words]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    found = re.search(r"write the next line into layout.toml, .*: (layout = .*)$", said.strip())
    assert found is not None, said
    return found[1]


def test_what_the_message_proposes_reads_the_file(workspace, capsys):
    path = Path("kurse.csv")
    path.write_text(GERMAN.text([*GERMAN.head, *GERMAN.rows]))
    words = ["--venue", "kraken", "--symbol", "BTC/USD"]
    line = proposed(path, words, capsys)
    layout = Path("layout.toml")
    # What the file does not show is asked for: the names are German, the zone stands nowhere.
    assert 'timestamp = "Zeit"' in line
    assert 'stamp_pattern = "%d.%m.%Y %H:%M"' in line
    assert 'decimal = ","' in line
    layout.write_text(line)
    assert main(["data", "import", str(path), *words, "--from", "layout.toml"]) == 2
    assert "is still '?'; say what the file means" in capsys.readouterr().err
    line = line.replace('close = "?"', 'close = "Letzter"').replace('"?"', '"Umsatz"', 1)
    layout.write_text(line.replace('timezone = "?"', 'timezone = "Europe/Berlin"'))
    assert main(["data", "import", str(path), *words, "--from", "layout.toml"]) == 0
    assert "kraken/ohlcv/BTC/USD/1h: 30 rows added" in capsys.readouterr().out
    frame = dl.load("kraken/ohlcv/BTC/USD/1h").frame
    assert frame.to_numpy().tolist() == GERMAN.truth.to_numpy().tolist()
    assert frame.index.equals(GERMAN.truth.index)


@pytest.mark.parametrize(
    ("head", "row", "parts"),
    [
        ("Date,O,H,L,C,Vol", "1609459200,1,2,1,2,5", ['"Date"', '"Vol"', 'stamp_unit = "s"']),
        ("date,price_open,high", "2021-01-01,1,2", ['open = "price_open"', 'timezone = "?"']),
        ("ts;o;h;l;c;v", "1609459200000;1,5;2;1;2;5", ['stamp_unit = "ms"', 'decimal = ","']),
        ("day,open", "2021-01-01T00:00:00Z,1", ['timestamp = "day"', 'close = "?"']),
        ("time,open", "01/02/2021,1", ['stamp_pattern = "?"']),
        ("time,open", "2021/02/01 00:00:00,1", ['stamp_pattern = "%Y/%m/%d %H:%M:%S"']),
    ],
)
def test_a_proposal_says_what_the_file_shows(workspace, capsys, head, row, parts):
    path = Path("x.csv")
    path.write_text(f"{head}\n{row}\n")
    line = proposed(path, ["--venue", "v", "--symbol", "BTC/USD"], capsys)
    for part in parts:
        assert part in line


def test_a_file_without_a_header_or_volume_is_described(workspace):
    Path("layout.toml").write_text(
        '[layout]\nheader = ["day", "clock", "o", "h", "l", "c"]\nstamp_pattern = "%Y%m%d %H%M"\n'
        'timezone = "UTC"\n[layout.columns]\ntimestamp = ["day", "clock"]\nopen = "o"\nhigh = "h"\n'
        'low = "l"\nclose = "c"\nvolume = []\n'
    )
    Path("x.csv").write_text("20210101 0000,9\n".replace(" ", ",") + "20210101,0100,1,2,1,2\n")
    words = {"symbol": "BTC/USD", "layout": "layout.toml"}
    with pytest.raises(SchemaError, match=r"row 1 \(line 1\) must have 6 cells"):
        dl.import_data("x.csv", "v", **words)
    Path("x.csv").write_text("20210101,0000,1,2,1,2\n20210101,0100,2,3,1,2\n")
    dl.import_data("x.csv", "v", **words)
    frame = dl.load("v/ohlcv/BTC/USD/1h").frame
    assert frame["high"].tolist() == [2, 3]
    assert frame["volume"].isna().all()


def test_one_column_may_be_every_price_but_not_a_stamp(workspace):
    Path("x.csv").write_text("at,p\n2021-01-01T00:00:00Z,1\n2021-01-01T01:00:00Z,2\n")
    prices = ", ".join(f'{name} = "p"' for name in ("open", "high", "low", "close"))
    Path("layout.toml").write_text(
        f'layout = {{columns = {{timestamp = "at", {prices}, volume = []}}}}\n'
    )
    dl.import_data("x.csv", "v", "BTC/USD", layout="layout.toml")
    frame = dl.load("v/ohlcv/BTC/USD/1h").frame
    assert frame.iloc[:, :4].to_numpy().tolist() == [[1] * 4, [2] * 4]
    Path("layout.toml").write_text('layout = {columns = {timestamp = "at", p = "at"}}\n')
    with pytest.raises(SchemaError, match="at is said to hold numbers, and stamps or names too"):
        dl.import_data("x.csv", "v", "x", kind="series", layout="layout.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layout = ", "must be TOML"),
        ("", "must hold one table, layout"),
        ("columns = {}", "must hold one table, layout; got columns"),
        ("[layout]\ncolour = 1", "keys of layout are columns, header, .*; got colour"),
        ("[layout]\ncolumns = 1", "columns must be a table; got 1"),
        ("[layout]\ncolumns = {open = 1}", "open must be a text; got 1"),
        ('[layout]\ncolumns = {open = [""]}', "columns are named by texts"),
        ('[layout]\ndecimal = ";"', 'decimal must be "." or ","'),
        ('[layout]\nseparator = "ab"', "separator must be one character"),
        ('[layout]\ntimezone = "Mars"', "a name of the tz database"),
        ('[layout]\nstamp_unit = "h"', "stamp_unit must be s, ms, us or ns"),
        ("[layout]\ntimezone = 1", "timezone must be a text"),
    ],
)
def test_what_is_no_layout_is_refused(tmp_path: Path, text: str, said: str):
    path = tmp_path / "layout.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_layout(path)
    with pytest.raises(ConfigError, match="must be a layout in TOML"):
        read_layout(tmp_path / "absent.toml")
