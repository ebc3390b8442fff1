"""A strategy that remembers, or looks elsewhere, cannot fool the check."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.research.strategy_checks import check_strategy
from delever.study.workspaces.isolation import afresh, outside
from delever.study.workspaces.strategy import load_strategy
from delever.view import MarketView

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("zoo", ROOT / "benchmarks" / "zoo.py")
assert _spec is not None
assert _spec.loader is not None
zoo = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(zoo)
EVERY = sorted((ROOT / "strategies").glob("*.py"))
STRATEGIES = [file for file in EVERY if load_strategy(file).takes == "market"]
HEAD = """\
import functools

import numpy as np
import pandas as pd

from delever.view import MarketView

"""
# Each keeps, from the first time it sees the whole history, whether tomorrow will be higher.
TOMORROW = "market.bars['close'].shift(-1, fill_value=0.0) > market.bars['close']"
REMEMBERS = {
    "a caching global": f"""
KNOWN = {{}}

def peeks(market: MarketView) -> pd.Series:
    for day, rises in ({TOMORROW}).items():
        KNOWN.setdefault(day, float(rises))
    return pd.Series([KNOWN[day] for day in market.index], index=market.index)
""",
    "an attribute of the function": f"""
def peeks(market: MarketView) -> pd.Series:
    if not hasattr(peeks, "known"):
        peeks.known = ({TOMORROW}).astype("float64")
    return peeks.known.reindex(market.index)
""",
    "a memo": f"""
@functools.lru_cache
def learned(nothing: None = None) -> dict:
    return {{}}

def peeks(market: MarketView) -> pd.Series:
    learned().setdefault("answer", ({TOMORROW}).astype("float64"))
    return learned()["answer"].reindex(market.index)
""",
    "a global frame": f"""
ANSWER = None

def peeks(market: MarketView) -> pd.Series:
    global ANSWER
    if ANSWER is None or len(ANSWER) < len(market.index):
        ANSWER = ({TOMORROW}).astype("float64")
    return ANSWER.reindex(market.index)
""",
    "an attribute of a class": f"""
class Memory:
    known: dict = {{}}

def peeks(market: MarketView) -> pd.Series:
    for day, rises in ({TOMORROW}).items():
        Memory.known.setdefault(day, float(rises))
    return pd.Series([Memory.known[day] for day in market.index], index=market.index)
""",
}


@pytest.fixture(scope="module")
def market() -> MarketView:
    rng = np.random.default_rng(6)
    index = pd.date_range("2022-01-01", periods=120, tz="UTC")
    close = pd.Series(100 * np.exp(np.cumsum(rng.normal(0, 0.02, 120))), index=index)
    bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], close))
    return MarketView(bars=bars, timeframe="1d")


def written(folder: Path, text: str) -> Path:
    file = folder / "peeks.py"
    file.write_text(HEAD + text)
    return file


@pytest.mark.parametrize("name", REMEMBERS)
def test_what_a_file_remembers_does_not_reach_the_next_question(
    name: str, tmp_path: Path, market: MarketView
) -> None:
    file = written(tmp_path, REMEMBERS[name])
    # Asked again and again it hides what it saw ...
    assert check_strategy(load_strategy(file), market, points=4) == []
    # ... loaded anew for every question it cannot.
    found = check_strategy(afresh(file), market, points=4)
    assert [finding.check for finding in found] == ["prefix invariance"]
    checked = dl.check(file, data=market).targets[0]
    assert [finding.check for finding in checked.findings] == ["prefix invariance"]
    assert checked.bars.startswith("2 bars from ")


OUTSIDE = {
    "import os": "import os\n",
    "import urllib.request": "import urllib.request\n",
    "import from pathlib": "from pathlib import Path\n",
    "import from delever.data.catalog": "from delever.data.catalog import Catalog\n",
    "open(…)": "def load():\n    with open('answers.csv') as file:\n        return file.read()\n",
    "read_csv(…)": "ANSWERS = lambda: pd.read_csv('answers.csv')\n",
    "load(…)": "ANSWERS = lambda: np.load('answers.npy')\n",
    "eval(…)": "ANSWERS = lambda: eval('1')\n",
    ".__dict__": "KEPT = lambda: pd.__dict__\n",
    "import time": "import time\n",
    "now(…)": "NOW = lambda: pd.Timestamp.now()\n",
    "Timestamp('today')": "NOW = lambda: pd.Timestamp('today')\n",
    "pd.memory is set": "def keep(values):\n    pd.memory = values\n",
    "MarketView.memory is set": "def keep(values):\n    MarketView.memory += values\n",
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_what_a_file_reaches_for_is_told_with_its_line(
    what: str, tmp_path: Path, market: MarketView
) -> None:
    honest = "def peeks(market: MarketView) -> pd.Series:\n    return market.bars.close * 0.0\n"
    file = written(tmp_path, OUTSIDE[what] + "\n" + honest)
    (finding,) = outside(file)
    assert finding.check == "self-contained"
    line = next(
        row for row, text in enumerate(file.read_text().split("\n"), 1) if _marks(text, what)
    )
    assert f"line {line}: {what};" in finding.message
    checked = dl.check(file, data=market, points=1, seconds=0.0).targets[0]
    assert [one.check for one in checked.findings] == ["self-contained"]


def _marks(text: str, what: str) -> bool:
    """Whether a line is the one that does it."""
    return what.removesuffix("…)").removesuffix(" is set").replace("import from", "from") in text


LEAKS = (
    *("shift", "share of the way", "before the worst ten days"),
    *(
        "a thousandth of what comes",
        "lru_cache",
        "an attribute of pandas",
        "a helper that remembers",
    ),
    *("the end is an exception", "kept among the readings"),
)
HONEST = ("a helper with a memo", "writes into the bars", "odd bars are refused", "dice by date")


@pytest.mark.parametrize("name", [*LEAKS, *HONEST])
def test_some_of_the_zoo(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, on all bars and by the clock, is `benchmarks/zoo.py`."""
    source = zoo.LEAKS.get(name) or zoo.HONEST[name]
    file = zoo.write(tmp_path, source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "zoo_helper", raising=False)
    checked = dl.check(file, data=zoo.zoo_market(120), points=2, seconds=0).targets[0]
    found = [one.check for one in checked.findings]
    named = ["self-contained"] if name == "an attribute of pandas" else []
    assert found == [*named, *(["prefix invariance"] if name in LEAKS else [])]
    alone = [one for one in checked.findings if "only in a new process" in one.message]
    assert bool(alone) == (name in ("an attribute of pandas", "a helper that remembers"))
    if alone:
        assert (
            "from delever.study.workspaces.fresh import Fresh" in checked.test or not checked.test
        )


@pytest.mark.parametrize("file", STRATEGIES, ids=lambda file: file.stem)
def test_the_shipped_strategies_reach_for_nothing(file: Path) -> None:
    assert outside(file) == []


def test_an_open_price_is_no_open_file(tmp_path: Path) -> None:
    text = "def peeks(market: MarketView) -> pd.Series:\n    return market.bars.open / 2\n"
    assert outside(written(tmp_path, text)) == []
