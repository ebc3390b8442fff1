"""What cannot be is refused in one sentence, before anything is done."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from delever.cli.app import main

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

SAMPLE = "sample/ohlcv/BTC/USD/1d"
DEEP = "[" * 3_000 + "]" * 3_000
CLAIMS = """title = "One claim"
[series.coin]
what = "daily bars"
data = "sample/ohlcv/BTC/USD/1d"
[[claim]]
id = "price"
statement = "A price."
said = 2023-01-05
[[claim.measure]]
label = "close"
compute = "value"
series = "coin"
at = 2023-01-05
column = "close"
expects = { above = 1 }
"""


def refused(capsys: pytest.CaptureFixture[str], words: list[str], code: int = 2) -> str:
    """The one line that a refused command says."""
    assert main(words) == code
    said = capsys.readouterr().err.rstrip("\n")
    assert said.startswith("error: ")
    assert "\n" not in said
    assert "defect" not in said
    return said


@pytest.mark.parametrize("depth", [33, 300, 900, 3_000])
def test_toml_nested_out_of_all_measure(workspace, capsys, depth):
    lists = "[" * depth + "]" * depth
    study = 'strategy = "buy_and_hold"\ndata = "x"\n'
    Path("deep.toml").write_text(f"{study}[params]\nlevels = {lists}\n")
    assert "deep.toml: tables and lists must be nested at most 32 deep" in refused(
        capsys, ["run", "deep.toml"]
    )
    Path("deep.toml").write_text(f"{CLAIMS}deep = {lists}\n")
    assert "deep.toml: tables and lists must be nested at most 32 deep" in refused(
        capsys, ["claims", "deep.toml"]
    )
    Path("plain.toml").write_text(study)
    said = refused(capsys, ["run", "plain.toml", "--set", f"params.levels={lists}"])
    assert "nested" in said


def test_other_toml_nested_out_of_all_measure(workspace, capsys):
    for name, words in (
        ("data/deleveraging.toml", ["run", "backtests/buy_and_hold.toml"]),
        ("data/bitcoin.toml", ["state"]),
        ("data/sources.toml", ["data", "fetch", "fear_greed"]),
    ):
        before = Path(name).read_text()
        Path(name).write_text(f"deep = {DEEP}\n")
        assert name in refused(capsys, words)
        Path(name).write_text(before)


def test_a_number_too_long_to_be_read(workspace, capsys):
    Path("long.toml").write_text(f"strategy = 'x'\ndata = 'x'\ninitial_equity = {'9' * 5_000}\n")
    assert "long.toml: a study must be TOML" in refused(capsys, ["run", "long.toml"])


@pytest.mark.parametrize(
    ("words", "span"),
    [
        (
            ["study", "signal", "average", "--seed", "-1"],
            "seed must be a whole number, from 0 to 4,294,967,295; got -1",
        ),
        (
            ["study", "signal", "average", "--draws", "99999999999"],
            "draws must be a whole number, from 1 to 100,000; got 99999999999",
        ),
        (
            ["state", "--days", "999999999"],
            "days must be a whole number, from 1 to 3,650; got 999999999",
        ),
        (
            ["check", "features", "--points", "99999999999"],
            "points must be a whole number, from 1 to 10,000; got 99999999999",
        ),
    ],
)
def test_a_number_out_of_its_range_is_told_the_range(workspace, capsys, words, span):
    assert span in refused(capsys, words)


@pytest.mark.parametrize("amount", ["1e308", "1e16", "1e-7", "0", "-1"])
def test_an_account_begins_with_what_a_double_can_count(workspace, capsys, amount):
    words = ["run", "backtests/buy_and_hold.toml", "--set", f"initial_equity={amount}"]
    assert "initial_equity must be:" in refused(capsys, words)


def test_features_that_measure_nothing_are_skipped_and_counted(workspace, capsys):
    Path("few.csv").write_text(
        "timestamp,open,high,low,close,volume\n"
        + "".join(
            f"2021-01-{day:02d}T00:00:00Z,{day},{day + 1},{day - 1}.5,{day},\n"
            for day in range(1, 32)
        )
    )
    words = ["--venue", "bitstamp", "--symbol", "BTC/USD", "--kind", "ohlcv", "--timeframe", "1d"]
    assert main(["data", "import", "few.csv", *words]) == 0
    capsys.readouterr()
    on = ["--data", "bitstamp/ohlcv/BTC/USD/1d", "--points", "1", "--seconds", "0"]
    assert main(["check", "features", *on]) == 0
    said = capsys.readouterr().out
    assert "ma200w_distance: skipped: feature ma200w_distance measures nothing on the 31" in said
    assert "round_support: passed" in said
    assert " skipped\n" in said
    assert "features of these series are not among them: funding, " in said
    assert main(["check", "features", "--json", *on]) == 0
    document = json.loads(capsys.readouterr().out)
    skipped = [name for name, each in document.items() if isinstance(each, dict)]
    assert f"{len(document) - len(skipped)} passed, 0 with findings, {len(skipped)} skipped" in said
    assert "measures nothing" in refused(capsys, ["check", "ma200w_distance", *on])


def test_volumes_that_are_not_there_are_named(workspace, capsys):
    assert "they hold no volume" in refused(capsys, ["check", "volume_shock"])


def test_a_span_that_ends_before_it_begins_asks_no_venue(workspace, capsys, monkeypatch):
    monkeypatch.setenv("DELEVER_API_URL", "http://127.0.0.1:1")  # nobody answers there
    span = ["--since", "2024-02-01", "--until", "2024-01-01"]
    for kind in ("ohlcv", "funding"):
        words = ["data", "fetch", "binanceusdm", "BTC/USDT:USDT", "--kind", kind, *span]
        assert "the start must be before the end; got since 2024-02-01" in refused(capsys, words)


@pytest.mark.parametrize("text", ["soon", "NaT", "nan", "3000-01-01", "99999-01-01", ""])
def test_a_time_that_is_none_is_refused(workspace, capsys, text):
    said = refused(capsys, ["data", "fetch", "bybit", "BTC/USDT:USDT", "--since", text])
    assert f"--since must be a date or a time in UTC, such as 2021-05-19; got {text!r}" in said
    assert "--at must be" in refused(capsys, ["state", "--at", text])


def test_a_symbol_of_two_lines_is_refused_in_one(workspace, capsys):
    for kind in ("ohlcv", "brackets"):
        words = ["data", "fetch", "bybit", "BTC/USDT\n:USDT", "--kind", kind]
        assert "symbol must be printable characters" in refused(capsys, words)


def test_the_sample_is_of_no_exchange(workspace, capsys):
    said = refused(capsys, ["data", "repair", SAMPLE])
    assert "is from no exchange" in said
    assert "did you mean" not in said


def test_a_page_is_written_whole_or_not_at_all(workspace, capsys, monkeypatch):
    Path("claims.toml").write_text(CLAIMS)
    runs = ["backtests/buy_and_hold.toml", "backtests/ma200w_break.toml"]
    assert main(["run", *runs, "--quick", "--set", "end=2015-06-01"]) == 0
    commands = {
        "claims": ["claims", "claims.toml"],
        "state": ["state"],
        "signal": ["study", "signal", "average", "--draws", "1", "--horizon", "7"],
        "comparison": ["compare", "buy_and_hold", "ma200w_break"],
    }
    write = Path.write_text

    def full(path: Path, text: str, *args: object, **kwargs: object) -> int:
        write(path, text[:100])
        raise OSError(errno.ENOSPC, "No space left on device")  # as it comes: it names no file

    for name, words in commands.items():
        page = Path(f"{name}.html")
        page.write_text("before")
        before = set(Path.cwd().iterdir())
        with monkeypatch.context() as disk:
            disk.setattr(Path, "write_text", full)
            capsys.readouterr()
            said = refused(capsys, [*words, "--output", str(page)], code=1)
        assert f"{name}.html: No space left on device" in said
        assert page.read_text() == "before"
        assert set(Path.cwd().iterdir()) == before
    with monkeypatch.context() as disk:
        disk.setattr(Path, "write_text", full)
        capsys.readouterr()
        said = refused(capsys, ["run", runs[0], "--set", "initial_equity=5"], code=1)
    assert "buy_and_hold" in said
    assert "No space left on device" in said
