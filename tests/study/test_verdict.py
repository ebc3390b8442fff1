"""The ladder of proof: its rungs are what runs, sweeps, walks and looks at the holdout say."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main
from delever.research.rungs import Rung, out_of_sample, standing

pytestmark = pytest.mark.drawn(False)

SAMPLE = "sample/ohlcv/BTC/USD/1d"
GRID = (
    f'strategy = "ma200w_break"\ndata = "{SAMPLE}"\nstart = 2013-01-01\nend = 2017-01-01\n'
    "[params]\nweeks = 20\n[sweep.params]\nweeks = [10, 20, 40]\n"
)


def rungs(found: dl.Standing) -> dict[str, bool | None]:
    return {rung.name: rung.passed for rung in found.rungs}


@pytest.mark.drawn(True)
def test_what_was_never_asked_is_not_passed(workspace) -> None:
    run = dl.run("backtests/buy_and_hold.toml", quick=True)
    found = dl.verdict(run)
    assert found.word == "unproven"
    told = rungs(found)
    assert told["beats cash"]
    assert not told["beats holding"]  # it is the benchmark
    for name in ("chosen out of sample", "chosen without a period", "on the holdout"):
        assert told[name] is None
    page = (run.folder / "tearsheet.html").read_text()
    assert "How far it is proven: unproven" in page
    assert [rung["name"] for rung in run.to_dict()["rungs"]] == list(told)[:6]


def test_foresight_passes_what_a_run_tells_by_itself() -> None:
    market = dl.market(SAMPLE, end="2022-01-01")
    up = market.bars["close"].shift(-1) > market.bars["open"].shift(-1)
    rng = np.random.default_rng(1)  # right in 70 % of days, so that a bar late is no ruin
    right = pd.Series(rng.random(len(up)) < 0.7, index=up.index)
    target = (up == right).astype(float).rolling(3).max().fillna(0.0)
    found = dl.verdict(dl.backtest(market, target, start="2015-01-01"))
    assert rungs(found)["beats holding"]
    assert found.word == "unproven"  # a walk, a sweep and a holdout were never asked


def test_sweeps_walks_and_looks_of_the_same_strategy_and_data_are_read(workspace, capsys) -> None:
    (workspace.root / "backtests" / "grid.toml").write_text(GRID)
    (workspace.root / "data" / "holdout.toml").write_text("[holdout]\nfrom = 2016-01-01\n")
    dl.run("backtests/grid.toml", quick=True)
    swept = dl.sweep("backtests/grid.toml", workers=1)
    walk = dl.walk_forward("backtests/grid.toml", window=700, shifts=19)
    walk.store()
    seen = dl.unseal("backtests/grid.toml", why="at last")
    found = dl.verdict(seen)
    told = {rung.name: rung for rung in found.rungs}
    assert f"p = {swept.choosing.gained['payout'].p_value:.3f}" in (
        told["chosen without a period"].figure
    )
    assert f"{walk.yearly('growth'):+.1%} a year" in told["chosen out of sample"].figure
    assert f"{swept.deflation.above:+.2f} of Sharpe ratio" in told["after deflation"].figure
    returns = seen.evaluation.backtest.returns["2016-01-01":]
    assert f"{np.prod(1 + returns) - 1:+.1%}" in told["on the holdout"].figure
    dearer = dl.run("backtests/grid.toml", {"costs_times": 2.0}, quick=True)
    others = {rung.name: rung.figure for rung in dl.verdict(dearer).rungs}
    for name, kind in (("chosen out of sample", "walk"), ("after deflation", "sweep")):
        assert others[name] == f"no {kind} of it holds this account alone"
    assert others["on the holdout"] == ""
    other = dl.run("backtests/support_breach.toml", quick=True)
    assert rungs(dl.verdict(other))["chosen out of sample"] is None
    capsys.readouterr()
    assert main(["verdict", "grid"]) == 0
    said = capsys.readouterr().out
    assert "chosen out" in said
    tables = [line for line in said.splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, tables)) <= 80


@pytest.mark.drawn(True)
def test_a_comparison_shows_the_rungs_of_each(workspace) -> None:
    market = dl.market(SAMPLE, end="2016-01-01")
    runs = [dl.backtest(market, name) for name in ("buy_and_hold", "support_breach")]
    compared = dl.compare(*runs)
    assert list(compared.rungs) == ["buy_and_hold", "support_breach"]
    assert "How far each is proven" in compared.html()
    assert set(compared.to_dict()["rungs"]) == set(compared.rungs)


@pytest.mark.parametrize(
    ("said", "passed", "word"),
    [
        ("ruined", True, "refuted"),
        ("harmful", None, "refuted"),
        ("luck", True, "standing"),
        ("protective", None, "unproven"),
        ("protective", False, "unproven"),
    ],
)
def test_the_word_follows_the_answer_and_the_rungs(said, passed, word) -> None:
    rung = Rung(name="any", passed=passed, figure="", how="")
    assert standing([rung], SimpleNamespace(verdict=said)) == word


def test_a_walk_without_shifted_ones_is_no_proof_and_says_so():
    nothing = float("nan")
    unasked = out_of_sample(0.2, 0.1, nothing)
    assert unasked.passed is None
    assert unasked.figure == "+20.0% a year, +10.0% held; no shifted walks beside it"
    assert out_of_sample(0.1, 0.2, nothing).passed is False
    assert out_of_sample(0.2, 0.1, 0.04).passed
    assert not out_of_sample(0.2, 0.1, 0.06).passed
