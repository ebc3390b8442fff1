"""Strategy files: what loads, what is refused and with which words, and what a target must be."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from delever.errors import ConfigError, StrategyError
from delever.study.workspaces.strategy import Strategy, load_strategy
from delever.view import MarketView

HEAD = """
from __future__ import annotations
from typing import Annotated, Literal
import pandas as pd
from annotated_types import Ge, Le
from delever.view import MarketView, Price
"""

FULL = (
    HEAD
    + '''
def rule(
    market: MarketView,
    *,
    weeks: Annotated[int, Ge(2), Le(500)] = 200,
    share: float = 0.5,
    kind: Literal["sma", "ema"] = "sma",
    short: bool = False,
    floor: Annotated[float, Price()] | None = None,
    levels: tuple[Annotated[float, Price()], ...] = (),
) -> pd.Series:
    """Hold a share.

    More about it.
    """
    return pd.Series(share, index=market.index)
'''
)


def write(folder: Path, body: str, name: str = "rule") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(body)
    return path


def load(folder: Path, body: str, name: str = "rule") -> Strategy:
    return load_strategy(write(folder, body, name))


@pytest.fixture
def market() -> MarketView:
    index = pd.date_range("2021-01-01", periods=5, tz="UTC")
    close = pd.Series([1.0, 2, 3, 4, 5], index=index)
    return MarketView(
        bars=pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close)), timeframe="1d"
    )


def test_a_file_becomes_a_strategy(tmp_path: Path, market: MarketView) -> None:
    strategy = load(tmp_path, FULL)
    assert (strategy.name, strategy.summary) == ("rule", "Hold a share.")
    assert strategy.path == (tmp_path / "rule.py").resolve()
    assert strategy.sha256 == hashlib.sha256(FULL.encode()).hexdigest()
    assert strategy.price_parameters == ("floor", "levels")
    schema = strategy.parameters.model_json_schema()["properties"]
    assert schema["weeks"] == {
        "default": 200, "minimum": 2, "maximum": 500, "title": "Weeks", "type": "integer",
    }  # fmt: skip
    target = strategy.target(market, {"share": 1})
    assert target.tolist() == [1.0] * 5
    assert target.name == "target_exposure"
    assert strategy(market, share=0.25).tolist() == [0.25] * 5


def test_bind_fills_in_defaults_and_takes_lists_for_tuples(tmp_path: Path) -> None:
    strategy = load(tmp_path, FULL)
    assert strategy.bind({}) == {
        "weeks": 200, "share": 0.5, "kind": "sma", "short": False, "floor": None, "levels": (),
    }  # fmt: skip
    bound = strategy.bind({"levels": [1, 2.5], "weeks": np.int64(20), "share": np.float64(0.1)})
    assert (bound["levels"], bound["weeks"], bound["share"]) == ((1.0, 2.5), 20, 0.1)
    assert strategy.bind(bound) == bound


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"week": 3}, "has the parameters weeks, share, kind, .*; got 'week'"),
        ({"weeks": 1}, "weeks must be greater than or equal to 2; got 1"),
        ({"weeks": 501}, "weeks must be less than or equal to 500; got 501"),
        ({"weeks": 20.0}, "weeks must be a valid integer; got 20.0"),
        ({"weeks": "20"}, "weeks must be a valid integer; got '20'"),
        ({"weeks": True}, "weeks must be a valid integer; got True"),
        ({"short": 1}, "short must be a valid boolean; got 1"),
        ({"share": float("nan")}, "share must be a finite number; got nan"),
        ({"kind": "wma"}, "kind must be 'sma' or 'ema'; got 'wma'"),
        ({"levels": [1.0, "a"]}, r"levels\.1 must be a valid number; got 'a'"),
        ({"levels": 3}, "levels must be a valid array; got 3"),
        ({"weeks": object()}, "must be numbers, strings, booleans or lists of them; .* object"),
        ({"weeks": 1, "kind": 0}, "weeks must be .*; parameter kind must be"),
    ],
)
def test_bind_names_what_is_wrong(tmp_path: Path, params: dict[str, object], said: str) -> None:
    strategy = load(tmp_path, FULL)
    with pytest.raises(ConfigError, match=f"strategy rule.*{said}"):
        strategy.bind(params)


def test_a_parameter_without_default_must_be_given(tmp_path: Path) -> None:
    body = HEAD + "def rule(market: MarketView, *, weeks: int) -> pd.Series: ...\n"
    strategy = load(tmp_path, body)
    with pytest.raises(ConfigError, match="parameter weeks is required; got none"):
        strategy.bind({})
    assert strategy.bind({"weeks": 3}) == {"weeks": 3}


def test_a_strategy_without_parameters_says_so(tmp_path: Path) -> None:
    strategy = load(tmp_path, HEAD + "def rule(market: MarketView) -> pd.Series: ...\n")
    assert strategy.bind({}) == {}
    with pytest.raises(ConfigError, match=r"has the parameters \(none\); got 'weeks'"):
        strategy.bind({"weeks": 3})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def rule(market:\n", r"rule\.py:1: .*: def rule\(market:"),
        ("x = 1\nx = = 2\n", r"rule\.py:2: invalid syntax: x = = 2"),
        ("x = 1\n", "must define one function of its own name, rule; found none"),
        ("rule = 3\n", "must define one function of its own name"),
        ("a = 1\nb = a / 0\n", r"rule\.py:2: ZeroDivisionError: division by zero"),
        ("import no_such_library\n", r"rule\.py:1: ModuleNotFoundError: .*no_such_library"),
        ("def rule(): ...\n", r"rule\.py:1: rule must take the market first"),
        ("def rule(bars, *, n: int = 1): ...\n", "rule must take the market first"),
        ("def rule(*, market): ...\n", "rule must take the market first"),
        ("def rule(market, n: int = 1): ...\n", "parameter n must be keyword-only"),
        ("def rule(market, *args: int): ...\n", "parameter args must be keyword-only"),
        ("def rule(market, **more: int): ...\n", "parameter more must be keyword-only"),
        ("\n\ndef rule(market, *, n=1): ...\n", r"rule\.py:3: rule: parameter n must have a type"),
        ("def rule(market, *, n: 'Missing' = 1): ...\n", "annotations must be types; .*Missing"),
        ("class T: ...\ndef rule(market, *, n: T = 1): ...\n", "type cannot be checked; .*T"),
        ("def rule(market, *, copy: int = 1): ...\n", "name copy is reserved"),
        ("def rule(market, *, _n: int = 1): ...\n", "name _n is reserved"),
        ("def rule(market, *, n: int = '1'): ...\n", "default of parameter n must be a valid int"),
        (
            HEAD + "def rule(market, *, m: int, n: Annotated[int, Ge(2)] = 1): ...\n",
            "default of parameter n must be greater than or equal to 2; got 1$",
        ),
        ("x = '\\0'\n\0", r"rule\.py.*null byte"),
    ],
)
def test_a_file_that_cannot_be_a_strategy_is_refused(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        load(tmp_path, body)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"gone\.py: a strategy file must be readable; No such"):
        load_strategy(tmp_path / "gone.py")


def test_files_of_one_name_do_not_meet_and_an_edit_is_seen(
    tmp_path: Path, market: MarketView
) -> None:
    body = (
        HEAD
        + "def rule(market: MarketView) -> pd.Series:\n    return pd.Series(VALUE, market.index)\n"
    )
    one = load(tmp_path / "a", body + "VALUE = 0.25\n")
    two = load(tmp_path / "b", body + "VALUE = 0.75\n")
    edited = load(tmp_path / "a", body + "VALUE = 0.50\n")  # same size, same second
    got = [strategy.target(market).iloc[0] for strategy in (one, two, edited)]
    assert got == [0.25, 0.75, 0.5]
    assert not list(tmp_path.rglob("*.pyc"))


def test_dataclasses_in_a_strategy_file_work(tmp_path: Path, market: MarketView) -> None:
    body = HEAD + (
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Rule:\n    size: float = 0.5\n"
        "def rule(market: MarketView) -> pd.Series:\n"
        "    return pd.Series(Rule().size, market.index)\n"
    )
    assert load(tmp_path, body).target(market).iloc[0] == 0.5


def returning(expression: str) -> str:
    """A rule of one line, and below it `answer`: exposures of 1 in a frame with lines."""
    return HEAD + (
        f"def rule(market: MarketView) -> pd.Series:\n    return {expression}\n"
        "def answer(market, **lines):\n"
        "    return pd.DataFrame({'exposure': 1.0, **lines}, index=market.index)\n"
    )


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("market.bars['closing']", r"rule\.py:8: KeyError: 'closing'"),
        ("market.series('fear')", r"rule\.py:8: InputError: series must be one the study names"),
        ("None", "must return a pandas Series of exposures, or a DataFrame .*; got NoneType"),
        ("market.bars", "must have the column 'exposure', beside its lines; got 'open', 'high'"),
        ("answer(market, stop_price=1.0)", "losing side of the close it was decided at; got stop_"),
        ("answer(market, take_profit_price=1.0)", "winning side of the close .*the close of 1"),
        ("answer(market, leverage='2')", "leverage must hold numbers, NaN for none; got dtype"),
        (
            "answer(market, limit_price_10=1.0)",
            "must be numbered from 2 to 9; got 'limit_price_10'",
        ),
        ("answer(market).iloc[1:]", "4 rows for 5 bars, and row 1 is 2021-01-02"),
        ("answer(market).set_axis([1], axis=1)", r"must be texts, each there once; got \[1\]"),
        ("answer(market)[['exposure'] * 2]", "must be texts, each there once"),
        ("answer(market).shift(-1)", "bar 2021-01-05 00:00 must be a finite number; got nan"),
        ("market.bars['close'].iloc[1:]", "4 rows for 5 bars, and row 1 is 2021-01-02"),
        ("market.bars['close'].reset_index(drop=True)", "row 1 is 0 instead of 2021-01-01"),
        ("market.bars['close'] > 2", "exposures must be numbers; got dtype bool"),
        ("market.bars['close'].astype(str)", "exposures must be numbers; got dtype"),
        ("market.bars['close'].shift(-1)", "bar 2021-01-05 00:00 must be a finite number; got nan"),
        ("market.bars['close'] / 0", "bar 2021-01-01 00:00 must be a finite number; got inf"),
    ],
)
def test_a_broken_target_is_refused(
    tmp_path: Path, market: MarketView, expression: str, said: str
) -> None:
    strategy = load(tmp_path, returning(expression))
    with pytest.raises(StrategyError, match=said) as caught:
        strategy.target(market)
    assert str(strategy.path) in str(caught.value)


def test_a_strategy_names_the_lines_it_looked_at(tmp_path: Path, market: MarketView) -> None:
    body = returning("answer(market, line=market.bars['close'].shift(2).astype('Float64'), low=1)")
    strategy = load(tmp_path, body)
    decision = strategy.decide(market)
    pd.testing.assert_series_equal(decision.target, strategy.target(market))
    assert decision.target.tolist() == [1.0] * 5
    assert list(decision.lines) == ["line", "low"]
    assert decision.lines.dtypes.tolist() == ["float64", "float64"]
    np.testing.assert_array_equal(decision.lines["line"], [np.nan, np.nan, 1.0, 2.0, 3.0])
    assert load(tmp_path, returning("market.bars['close']")).decide(market).lines.shape == (5, 0)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("answer(market, line='high')", "line 'line' must hold prices; got dtype"),
        ("answer(market, line=market.bars['close'] > 2)", "must hold prices; got dtype bool"),
        (
            "answer(market, line=1 / (market.bars['close'] - 2))",
            "line 'line', bar 2021-01-02 00:00: a price or NaN is required; got inf",
        ),
    ],
)
def test_a_line_that_holds_no_prices_is_refused_where_lines_are_read(
    tmp_path: Path, market: MarketView, expression: str, said: str
) -> None:
    strategy = load(tmp_path, returning(expression))
    assert strategy.target(market).tolist() == [1.0] * 5
    with pytest.raises(StrategyError, match=said):
        strategy.decide(market)


def test_undefined_before_the_first_value_is_fine(tmp_path: Path, market: MarketView) -> None:
    target = load(tmp_path, returning("market.bars['close'].shift(2)")).target(market)
    np.testing.assert_array_equal(target, [np.nan, np.nan, 1.0, 2.0, 3.0])
    missing = returning("market.bars['close'].astype('Float64').shift(2)")
    np.testing.assert_array_equal(load(tmp_path, missing).target(market), target)


def test_what_a_strategy_does_to_its_bars_stays_with_it(tmp_path: Path, market: MarketView) -> None:
    body = HEAD + (
        "def rule(market: MarketView) -> pd.Series:\n"
        "    market.bars['close'] = 0.0\n"
        "    return market.bars['close']\n"
    )
    assert load(tmp_path, body).target(market).tolist() == [0.0] * 5
    assert market.bars["close"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_an_error_in_a_helper_names_the_line_of_the_file(
    tmp_path: Path, market: MarketView
) -> None:
    body = HEAD + (
        "def rule(market: MarketView) -> pd.Series:\n"
        "    return helper(market)\n"
        "def helper(market):\n"
        "    return market.resample('1h')\n"
        "def unused():\n"
        "    return 1\n"
    )
    with pytest.raises(StrategyError, match=r"rule\.py:10: "):
        load(tmp_path, body).target(market)


def test_a_path_that_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    for name, said in (("pipe", "device"), ("folder", "device"), ("loop", "readable")):
        with pytest.raises(StrategyError, match=said):
            load_strategy(tmp_path / f"{name}.py")


def test_nesting_that_the_compiler_cannot_hold_is_said(tmp_path):
    path = tmp_path / "deep.py"
    path.write_text("deep = " + "-" * 100_000 + "1\n")
    with pytest.raises(StrategyError, match="nested too deeply"):
        load_strategy(path)
    path.write_text("deep = " + "(" * 5_000 + ")" * 5_000 + "\n")
    with pytest.raises(StrategyError, match=r"deep\.py:1: too many nested") as caught:
        load_strategy(path)
    assert len(str(caught.value)) < 400
