"""The command line in words: exit codes, JSON, one-sentence errors."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from delever.cli.app import main
from delever.cli.terminal import print_notes, print_rows

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

QUICK = ["--set", "end=2014-06-01", "--set", "params.weeks=50"]


def test_help_and_version_answer_without_heavy_imports():
    code = (
        "import sys; from delever.cli.app import main; code = main(['--help']); "
        "heavy = {'pandas', 'numpy', 'numba', 'plotly', 'vectorbt', 'ccxt', 'pyarrow'}; "
        "assert code == 0; assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("run", "compare", "check", "init", "data"):
        assert command in done.stdout


def test_a_missing_study_is_refused_before_pandas_is_imported(workspace):
    code = (
        "import sys; from delever.cli.app import main; "
        "asked = [[each, 'none.toml'] for each in ('run', 'sweep', 'walk', 'screen')]; "
        "asked += [['unseal', 'none.toml', '--why', 'to look'], ['claims', 'none.toml']]; "
        "print([main(words) for words in asked], 'pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=workspace.root
    )
    assert done.stdout == "[2, 2, 2, 2, 2, 2] False\n"
    assert done.stderr.count("there is none at none.toml") == 6


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_a_study_runs_and_prints_its_figures(workspace, capsys):
    assert main(["run", "backtests/ma200w_break.toml", *QUICK]) == 0
    printed = capsys.readouterr().out
    assert "Helped in 0 of 2 deleveraging periods" in printed
    assert "2013-04 Mt. Gox stalls" in printed
    assert "growth a year" in printed
    assert "close-only: intraday extremes unseen" in printed
    assert "tearsheet.html" in printed
    assert main(["run", "backtests/ma200w_break.toml", *QUICK]) == 0
    assert "same inputs" in capsys.readouterr().out


def test_several_studies_are_compared_and_json_is_one_document(workspace, capsys):
    names = [f"backtests/{name}.toml" for name in ("ma200w_break", "support_breach")]
    assert main(["run", *names, *QUICK, "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)
    assert [one["study"] for one in runs] == ["ma200w_break", "support_breach"]
    assert main(["compare", *(one["folder"] for one in runs), "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert set(compared["runs"]) == {"ma200w_break", "support_breach"}
    assert compared["span"]["start"].startswith("2011-07-05")
    assert Path(compared["comparison"]).parents[1] == workspace.results / "comparisons"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "backtests/none.toml"], 2, "there is none at"),
        (["run", "backtests/ma200w_break.toml", "--set", "params.wekks=3"], 2, "wekks"),
        (["run", "backtests/ma200w_break.toml", "--set", 'data="a/ohlcv/B/1d"'], 1, "a/ohlcv/B/1d"),
        (["run", "backtests/ma200w_break.toml", "--set", 'strategy="x"'], 2, "there are:"),
        (["compare", "backtests", "data"], 2, "stored run"),
        (["check", "strategies/absent.py"], 2, "absent.py"),
        (["init", "."], 2, "empty folder"),
        (["fly"], 2, "fly"),
        (["run"], 2, "studies"),
    ],
)
def test_errors_are_one_sentence_and_an_exit_code(workspace, capsys, words, code, said):
    assert main(words) == code
    errors = capsys.readouterr().err
    assert said in errors
    assert "Traceback" not in errors


def test_debug_shows_where(workspace, capsys):
    assert main(["run", "backtests/none.toml", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_defect_is_said_in_one_line(workspace, capsys, monkeypatch):
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("delever.study.runs.run.load_any_study", broken)
    assert main(["run", "backtests/ma200w_break.toml"]) == 1
    errors = capsys.readouterr().err
    assert "defect of delever" in errors
    assert "Traceback" not in errors


def test_a_strategy_with_a_syntax_error_names_file_and_line(workspace, capsys):
    broken = workspace.strategies / "broken.py"
    broken.write_text("def broken(market:\n    return 1\n")
    words = ["run", "backtests/buy_and_hold.toml", "--set", 'strategy="broken"']
    assert main(words) == 2
    assert "broken.py:1" in capsys.readouterr().err
    assert not workspace.results.exists()


def test_check_passes_the_shipped_and_catches_a_peek(workspace, capsys):
    assert main(["check", "strategies/buy_and_hold.py", "--points", "2", "--seconds", "0"]) == 0
    assert "passed" in capsys.readouterr().out
    peek = workspace.strategies / "peek.py"
    peek.write_text(
        "import pandas as pd\n"
        "from delever.view import MarketView\n\n\n"
        "def peek(market: MarketView) -> pd.Series:\n"
        '    close = market.bars["close"]\n'
        "    return (close.shift(-1) > close).astype(float)\n"
    )
    assert main(["check", "strategies/peek.py", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["strategies/peek.py"]
    assert any("prefix invariance" in finding for finding in findings)


def test_check_refuses_to_call_silence_a_pass(workspace, capsys):
    words = ["check", "strategies/ma200w_break.py", "--set", "weeks=2000"]
    assert main(words) == 2
    assert "decides nothing" in capsys.readouterr().err


def test_init_makes_a_workspace_that_runs(tmp_path, capsys, monkeypatch):
    assert main(["init", str(tmp_path / "mine")]) == 0
    monkeypatch.chdir(tmp_path / "mine")
    assert main(["run", "backtests/buy_and_hold.toml", "--set", "end=2012-01-01"]) == 0
    assert "workspace made in" in capsys.readouterr().out


def test_periods_show_each_fall_and_the_lag_of_the_detector(workspace, capsys):
    assert main(["periods", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    covid = shown["periods"]["2020-03-covid"]
    # Closes of the sample: 9,147.09 on the 6th, the day before the start; 4,959.31 on the 12th.
    assert covid["lowest"] == "2020-03-12"
    assert covid["fall"] == pytest.approx(4959.31341437756 / 9147.08505897136 - 1)
    assert shown["alarms"] >= shown["false_alarms"]
    assert main(["periods"]) == 0
    assert "causal detector" in capsys.readouterr().out


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("delever ")


@pytest.mark.parametrize("body", ["sys.exit(0)", 'sys.exit("bye")', "raise GeneratorExit"])
def test_a_strategy_that_exits_has_not_passed(workspace, capsys, body):
    text = (
        "import sys\n"
        "import pandas as pd\n"
        "from delever.view import MarketView\n\n\n"
        "def quitter(market: MarketView) -> pd.Series:\n"
        f"    {body}\n"
    )
    (workspace.strategies / "quitter.py").write_text(text)
    assert main(["check", "strategies/quitter.py"]) == 2
    words = ["run", "backtests/buy_and_hold.toml", "--set", 'strategy="quitter"']
    assert main(words) == 2
    assert "quitter.py:7" in capsys.readouterr().err
    (workspace.strategies / "quitter.py").write_text(f"import sys\n{body}\n")
    assert main(words) == 2


def test_what_a_strategy_prints_stays_out_of_the_document(workspace, capsys):
    (workspace.strategies / "chatty.py").write_text(
        "import pandas as pd\n"
        "from delever.view import MarketView\n\n\n"
        "def chatty(market: MarketView) -> pd.Series:\n"
        '    print("hello")\n'
        "    return pd.Series(1.0, index=market.index)\n"
    )
    words = ["run", "backtests/buy_and_hold.toml", "--set", 'strategy="chatty"', "--json"]
    words += ["--set", "end=2012-01-01"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)[0]["study"] == "buy_and_hold"
    assert "hello" in printed.err


def test_runs_that_cannot_be_compared_are_named_all_the_same(workspace, capsys):
    spans = {"early": "end = 2012-01-01", "late": "start = 2013-01-01\nend = 2014-01-01"}
    for name, span in spans.items():
        study = (workspace.backtests / "buy_and_hold.toml").read_text()
        (workspace.backtests / f"{name}.toml").write_text(f"{span}\n{study}")
    assert main(["run", "backtests/early.toml", "backtests/late.toml"]) == 2
    printed = capsys.readouterr()
    assert "overlap" in printed.err
    assert printed.out.count("tear-sheet") == 2


def test_a_study_without_its_data_keeps_no_other_from_running(workspace, capsys):
    names = [f"backtests/{name}.toml" for name in ("carry", "claims_2026_02", "buy_and_hold")]
    assert main(["run", *names, "--set", "end=2012-01-01"]) == 2
    printed = capsys.readouterr()
    assert "error: carry was not run: " in printed.err
    assert "run: delever claims" in printed.err
    assert "no data set" in printed.err
    assert printed.out.count("tear-sheet") == 1


def test_a_folder_that_refuses_is_named(workspace, capsys):
    (workspace.results).write_text("in the way")
    assert main(["run", "backtests/buy_and_hold.toml"]) == 1
    errors = capsys.readouterr().err
    assert "results" in errors
    assert "defect" not in errors


def test_the_environment_names_the_workspace_from_anywhere(
    workspace, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("DELEVER_WORKSPACE", str(workspace.root))
    monkeypatch.chdir(tmp_path)
    words = ["run", "backtests/buy_and_hold.toml", "--set", "end=2012-01-01"]
    assert main(words) == 0
    assert main(["check", "strategies/buy_and_hold.py", "--points", "2", "--seconds", "0"]) == 0
    assert main(["run", "backtests/none.toml"]) == 2
    assert "backtests/none.toml" in capsys.readouterr().err


def test_exposures_a_run_would_refuse_do_not_pass_the_check(workspace, capsys):
    (workspace.strategies / "doubled.py").write_text(
        "import pandas as pd\n"
        "from delever.view import MarketView\n\n\n"
        "def doubled(market: MarketView) -> pd.Series:\n"
        "    return pd.Series(-2.0, index=market.index)\n"
    )
    words = ["check", "strategies/doubled.py", "--points", "2", "--seconds", "0"]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "doubled.py: 1 finding\n" in said
    assert "exposures must lie in [-1, 1]" in said
    assert "2010-07-18 00:00 is -2" in said
    assert main([*words, "--leverage", "2"]) == 0
    assert main([*words, "--leverage", "1.5"]) == 1
    assert main([*words, "--leverage", "nan"]) == 2
    run = ["run", "backtests/buy_and_hold.toml", "--set", 'strategy="doubled"']
    assert main(run) == 2
    assert "must lie in [-1, 1]" in capsys.readouterr().err


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_sentences_fold_on_a_terminal_and_stay_whole_in_a_pipe(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    words = "run: delever data repair binance/ohlcv/BTC/USDT/1d --since 2020-01-01"
    print_notes([f"a gap of nine bars; {words}"])
    assert capsys.readouterr().out == f"note: a gap of nine bars; {words}\n"
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    assert main(["run", "nothing.toml", "--workspace", "/nowhere/that/could/be"]) == 2
    lines = screen.getvalue().splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 40 for line in lines)
    assert " ".join(lines).startswith("error: ")


def test_words_stay_whole_in_tables_and_the_last_columns_go_first(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    row = ("2021-09-el-salvador", "-23%", "the city that was never built there", "16")
    print_rows("", ["period", "fall", "title", "bars"], [row], left=("period", "title"))
    shown = capsys.readouterr().out
    assert "2021-09-el-salvador" in shown
    assert "not shown for want of width: title; bars" in shown


def test_what_commands_do_is_said_in_eighty_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    for words in ((), ("data",), ("study",)):
        assert main([*words, "--help"]) == 0
        assert "..." not in capsys.readouterr().out.replace("COMMAND [ARGS]...", "")


def test_as_many_columns_as_fit_are_shown_and_as_wide_as_they_can_be(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    heads = ("title", "a long heading", "p", "last")
    rows = [("words that fold where they must", "1", "0.5", "2021-01-01")]
    print_rows("", heads, rows, left=heads[:1])
    shown = [line for line in capsys.readouterr().out.splitlines() if line[:1] in "┃│"]
    # 16 letters for words, 7 for the heading, 3, and 10: one too many, so the last one goes …
    assert all(len(line) <= 40 for line in shown)
    assert "last" not in "".join(shown)
    # … and what it leaves is for the others: the words take two lines, not three.
    assert sum(line.startswith("│") for line in shown) == 2
    monkeypatch.setenv("COLUMNS", "49")
    print_rows("", heads, rows, left=heads[:1])
    assert "2021-01-01" in capsys.readouterr().out


def test_long_words_break_where_their_parts_meet(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    heads = ("data set", "account.leverage", "rows")
    row = ("binance/ohlcv/BTC/USDT:USDT/4h", "3", "13,597")
    print_rows("", heads, [row], left=heads[:1])
    cells = [
        [cell.strip() for cell in line.strip("┃│").replace("┃", "│").split("│")]
        for line in capsys.readouterr().out.splitlines()
        if line[:1] in "┃│"
    ]
    names, held, rows = (list(filter(None, column)) for column in zip(*cells, strict=True))
    assert held == ["account.", "leverage", "3"]
    assert names == ["data set", "binance/ohlcv/", "BTC/USDT:USDT/4h"]
    assert rows == ["rows", "13,597"]
