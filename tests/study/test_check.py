"""Strategies and features are checked by name; a counterexample is a test that can be pasted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main
from delever.errors import InputError
from delever.study.workspaces.workspace import Workspace
from delever.view import MarketView

DATA = "kraken/ohlcv/BTC/USD/1d"
PEEKS = '''
import pandas as pd
from delever.view import MarketView


def peeks(market: MarketView, *, ahead: int = 1) -> pd.Series:
    """Knows tomorrow's close."""
    close = market.bars["close"]
    return (close.shift(-ahead) > close).astype("float64")
'''


@pytest.fixture
def stored(workspace: Workspace) -> Workspace:
    rng = np.random.default_rng(3)
    index = pd.date_range("2023-01-01", periods=400, tz="UTC", name="open_time")
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 400)))
    prices = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
    bars = pd.DataFrame(prices | {"volume": 1.0}, index=index)
    workspace.catalog.add(bars, DATA)
    # An index that says at 00:00 how the day will end, declared as if it were known by then.
    fear = pd.DataFrame({"value": close.round(1)}, index=index.rename("timestamp"))
    for venue, lag in (("early", "0h"), ("honest", "1min")):
        fear_name = f"{venue}/series/FEAR/1d"
        workspace.catalog.add(fear, fear_name, publication_lag=pd.Timedelta(lag))
    (workspace.strategies / "peeks.py").write_text(PEEKS)
    return workspace


def run_printed(text: str) -> None:
    """Run the test that stands in the output, as pytest would."""
    source = text[text.index("import numpy") :]
    names: dict[str, object] = {}
    exec(compile(source, "pasted.py", "exec"), names)
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    test()  # type: ignore[operator]


def test_the_counterexample_fails_as_a_test_until_it_is_mended(
    stored: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "check",
        "strategies/peeks.py",
        "--data",
        DATA,
        "--points",
        "2",
        "--seconds",
        "0",
        "--as-test",
    ]
    assert main([*words, "--set", "ahead=2"]) == 1
    said, findings = capsys.readouterr()
    assert "smallest market that shows it: 3 bars from " in findings
    assert "'ahead': 2" in said
    compile(said, "test_pasted.py", "exec")  # what is printed is a test and nothing else
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        run_printed(said)
    (stored.strategies / "peeks.py").write_text(PEEKS.replace("shift(-ahead)", "shift(ahead)"))
    run_printed(said)
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("strategies/peeks.py: passed, with the future changed after ")


def test_a_line_that_peeks_is_named_and_printed_as_a_test(
    stored: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    source = PEEKS.replace(
        'return (close.shift(-ahead) > close).astype("float64")',
        'answer = {"exposure": 1.0, "next close": close.shift(-ahead)}\n'
        "    return pd.DataFrame(answer, index=market.index)",
    )
    (stored.strategies / "peeks.py").write_text(source)
    words = [
        "check",
        "strategies/peeks.py",
        "--data",
        DATA,
        "--points",
        "2",
        "--seconds",
        "0",
        "--as-test",
    ]
    assert main(words) == 1
    said, findings = capsys.readouterr()
    assert "prefix invariance: line 'next close', bar 20" in findings
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        run_printed(said)
    (stored.strategies / "peeks.py").write_text(source.replace("shift(-ahead)", "shift(ahead)"))
    run_printed(said)
    assert main(words) == 0


def test_a_reading_declared_too_early_is_found_and_printed(
    stored: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["check", "fear_greed", "--data", DATA, "--points", "2", "--seconds", "0", "--as-test"]
    assert main([*words, "--series", "fear_greed=early/series/FEAR/1d"]) == 1
    said, findings = capsys.readouterr()
    assert "no earlier than they can have been published" in findings
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        run_printed(said)
    run_printed(said.replace("early/series", "honest/series"))
    assert main([*words, "--series", "fear_greed=honest/series/FEAR/1d"]) == 0


def test_every_feature_the_series_suffice_for_is_checked(
    stored: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "check",
        "fall_speed",
        "volume_shock",
        "--data",
        DATA,
        "--points",
        "1",
        "--seconds",
        "0",
        "--json",
    ]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == {"fall_speed": [], "volume_shock": []}


def test_what_cannot_be_checked_is_named(stored: Workspace) -> None:
    with pytest.raises(InputError, match=r"needs the series funding .*--series"):
        dl.check("funding_zscore", data=DATA, workspace=stored)
    with pytest.raises(InputError, match="measures nothing on the 400 bars"):
        dl.check("ma200w_distance", data=DATA, workspace=stored)
    with pytest.raises(InputError, match=r"'features' or one of fall_speed.*got 'fall'"):
        dl.check("fall", data=DATA, workspace=stored)


def test_the_shipped_strategies_pass_by_path(
    stored: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("strategies") / "support_breach.py"
    assert (
        main(
            [
                "check",
                str(path),
                "--data",
                DATA,
                "--points",
                "2",
                "--seconds",
                "0",
                "--set",
                "weeks=4",
            ]
        )
        == 0
    )
    assert capsys.readouterr().out.startswith(f"{path}: passed, with the future changed after ")


def test_what_was_not_asked_is_counted() -> None:
    calls = []

    def holds(market: MarketView) -> pd.Series:
        """Holds, and keeps how many bars it was shown."""
        calls.append(len(market.index))
        return pd.Series(1.0, market.index)

    days = pd.date_range("2023-01-01", periods=30, tz="UTC", name="open_time")
    few = MarketView(bars=pd.DataFrame({"close": np.arange(1.0, 31.0)}, days), timeframe="1d")
    [one] = dl.check(holds, data=few, points=2, seconds=0).targets
    cuts = {shown for shown in calls if shown < 30}  # at each, the later bars are once gone
    assert (one.findings, one.asked, one.of) == ((), len(cuts), 29)
    assert 2 <= len(cuts) < 29
    [one] = dl.check(holds, data=few, points=2, seconds=60).targets
    assert (one.asked, one.of) == (29, 29)


NETWORK = """
import pandas as pd
from delever.view import MarketView


def halved(market: MarketView) -> pd.Series:
    return (market.series("subsidy") < 10).astype("float64").reindex(market.index)
"""


def test_features_know_the_network_and_strategies_what_their_study_names(
    stored: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    days = pd.date_range("2023-01-01", periods=400, tz="UTC", name="timestamp")
    difficulty = pd.DataFrame({"difficulty": np.linspace(1e12, 2e12, 400)}, index=days)
    stored.catalog.add(
        difficulty, "made/series/DIFFICULTY/1d", publication_lag=pd.Timedelta(1, "D")
    )
    words = [
        "--data",
        DATA,
        "--points",
        "1",
        "--seconds",
        "0",
        "--series",
        "difficulty=made/series/DIFFICULTY/1d",
    ]
    assert main(["check", "shutdown_price", *words]) == 0
    assert re.fullmatch(
        r"shutdown_price: passed, with the future changed after \d+ of 399 bars; "
        r"--seconds for more\n",
        capsys.readouterr().out,
    )
    (stored.strategies / "halved.py").write_text(NETWORK)
    assert main(["check", "strategies/halved.py", *words]) == 2
    assert "got 'subsidy', there are: difficulty" in capsys.readouterr().err
