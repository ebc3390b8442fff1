"""The door: what a study file may say, and the words it is refused with."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pandas as pd
import pytest

from delever.cli.option_values import parse_overrides
from delever.errors import ConfigError
from delever.study.settings.account_table import AccountTable, SlippageConfig
from delever.study.settings.config import (
    CostsConfig,
    Study,
    SweepConfig,
)
from delever.study.settings.grid import combinations
from delever.study.settings.portfolio_config import load_study

MINIMAL = 'strategy = "buy_and_hold"\ndata = "sample/ohlcv/BTC/USD/1d"\n'


def study(tmp_path: Path, text: str = MINIMAL, **overrides: object):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load_study(path, {key.replace("__", "."): value for key, value in overrides.items()})


def test_the_file_names_the_study_and_defaults_are_stated(tmp_path):
    read = study(tmp_path)
    assert read.name == "mine"
    assert read.start == "warm"
    assert read.start_time is None
    assert read.spot_costs() == read.said_costs()
    assert read.spot_costs().fee == 0.001
    assert read.benchmark == "buy_and_hold"


def test_dates_are_utc_days_and_offsets_are_converted(tmp_path):
    read = study(tmp_path, MINIMAL + "start = 2015-01-01\nend = 2016-01-01T02:00:00+02:00\n")
    assert read.start_time == pd.Timestamp("2015-01-01", tz="UTC")
    assert read.end_time == pd.Timestamp("2016-01-01", tz="UTC")


def test_overrides_reach_into_tables_and_win(tmp_path):
    read = study(tmp_path, MINIMAL + "[params]\nweeks = 200\n", params__weeks=150, name="other")
    assert read.params == {"weeks": 150}
    assert read.name == "other"


def test_override_texts_are_toml_or_text():
    given = ["params.weeks=150", "params.average=ema", "start=2015-01-01", "params.levels=[1.0,2]"]
    read = parse_overrides(given)
    assert read["params.weeks"] == 150
    assert read["params.average"] == "ema"
    assert str(read["start"]) == "2015-01-01"
    assert read["params.levels"] == [1.0, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MINIMAL + "strateggy = 1\n", "unknown key 'strateggy'; there are: name, strategy"),
        (
            MINIMAL + "weeks = 60\n",
            "unknown key 'weeks'; .*; a parameter .* is written params.weeks$",
        ),
        (MINIMAL + "[costs]\ntaker = 1\n", "unknown key 'costs.taker'; there are: maker_fee"),
        (MINIMAL + "[costs]\ntaker_fee = -0.1\n", "costs.taker_fee must be: .* got -0.1"),
        (MINIMAL + "initial_equity = 0\n", "initial_equity must be: .* got 0"),
        (MINIMAL + 'start = "soon"\n', "start.*soon"),
        (MINIMAL + 'name = "../x"\n', "name must be: .*letters"),
        (MINIMAL + 'name = "comparison.html"\n', "name must be: .*letters"),
        (MINIMAL + "initial_equity = inf\n", "initial_equity"),
        (MINIMAL + "initial_equity = true\n", "initial_equity"),
        (MINIMAL + '[costs]\nslippage = "0.1"\n', "costs.slippage"),
        (MINIMAL + 'name = "nul"\n', "no name that Windows reserves"),
        (MINIMAL + "start = 5\n", "start.*UTC date"),
        (MINIMAL + "end = 9999-01-01\n", "end must be: .*UTC date"),
        (MINIMAL + "start = 2016-01-01\nend = 2015-01-01\n", "start must be before end"),
        ('data = "x"\n', "strategy is required and missing"),
        ("strategy = \n", "must be TOML"),
        *(
            (f"{MINIMAL}[sweep.params]\nweeks = {{ {axis} }}\n", f"sweep.params.weeks{words}$")
            for axis, words in (
                ("from = 9, to = 5, step = 1", r" must be: a range that rises, .*; got \{.*\}"),
                ("from = 5, to = 9, step = 0", ".step must be: greater than 0; got 0"),
                ("from = 1, to = 1e9, step = 1", " must be: at most 10,000,000 values.*"),
                ('from = "a", to = 9', '.from must be: a number; got "a"'),
                ("to = 9", ".from is required and missing"),
                ('from = 1, to = 9, scale = "log"', ".scale'; there are: from, to, step"),
            )
        ),
    ],
)
def test_what_is_wrong_is_named_with_the_file_and_the_mend(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said) as refused:
        study(tmp_path, text)
    assert "mine.toml" in str(refused.value)


def test_a_missing_file_and_a_bad_override_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is none at"):
        load_study(tmp_path / "nothing.toml")
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        parse_overrides(["weeks"])
    with pytest.raises(ConfigError, match="'strategy' is not a table"):
        study(tmp_path, strategy__weeks=1)


def test_the_page_of_studies_names_every_key_there_is():
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
    first, second = (block.split("```")[0] for block in page.split("```toml")[1:])
    table = tomllib.loads(first + second)
    read = Study.model_validate({"name": "page", **table})
    for model, said in (
        (Study, {"name", "sweep", *table}),
        (CostsConfig, set(table["costs"])),
        (AccountTable.model, set(table["account"])),
        (SlippageConfig, set(table["account"]["slippage"])),
    ):
        assert set(model.model_fields) - said == set(), model.__name__
    assert read.account is not None
    assert read.account.slippage is not None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[costs]\ntaker_fee = 0.1\n", "taker_fee is a fraction, and 0.1 of it are 10 per cent"),
        ("[costs]\nmaker_fee = -0.025\n", "maker_fee .* ten basis points are 0.001"),
        ("[costs]\nslippage = 0.06\n", "slippage .* more than 0.05 is meant, say so: --really"),
        ("[account]\nborrow_rate = 5.0\n", "borrow_rate .* 500 per cent"),
        ("[account.slippage]\nfixed = 0.5\n", "account.slippage: fixed"),
    ],
)
def test_a_percentage_written_for_a_fraction_is_refused_unless_it_is_meant(
    tmp_path, more, said
) -> None:
    path = tmp_path / "dear.toml"
    path.write_text(MINIMAL + more)
    with pytest.raises(ConfigError, match=said):
        load_study(path)
    assert load_study(path, {"really": True}).really


def test_costs_at_the_bounds_need_no_word(tmp_path) -> None:
    path = tmp_path / "dear.toml"
    path.write_text(MINIMAL + "[costs]\ntaker_fee = 0.02\nslippage = 0.05\n")
    assert load_study(path).costs.taker_fee == 0.02


def test_a_sample_knows_how_many_were_asked_for() -> None:
    few = SweepConfig.model_validate(
        {"choose": "random", "samples": 40, "seed": 1, "params": {"weeks": {"from": 1, "to": 5}}}
    )
    assert (combinations(few).asked, len(combinations(few))) == (40, 5)
    grid = SweepConfig.model_validate(
        {"params": {"weeks": [50, 50, 60]}, "costs": {"slippage": [0.0, 0.001]}}
    )
    assert (combinations(grid).asked, len(combinations(grid))) == (6, 4)
