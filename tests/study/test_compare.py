"""Runs are compared over what they share, and say where they differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.cli.run_commands import _print_comparison
from delever.errors import InputError

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]


@pytest.fixture
def market(workspace):
    return dl.market("sample/ohlcv/BTC/USD/1d").upto(pd.Timestamp("2015-06-01", tz="UTC"))


def test_every_run_is_measured_over_the_common_span(market):
    long = dl.backtest(market, "buy_and_hold")
    short = dl.backtest(market, "ma200w_break", weeks=100)
    both = dl.compare(long, short)
    assert (both.start, both.end) == short.evaluation.span
    spans = {evaluation.span for evaluation in both.evaluations}
    assert spans == {(both.start, both.end)}
    held = long.equity
    before = held.loc[held.index < both.start].iloc[-1]
    expected = held.iloc[-1] / before - 1
    got = both.metrics.loc["total_return", ("buy_and_hold", "whole")]
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert any("different spans" in note for note in both.notes)


def test_differing_costs_and_equal_names_are_told_apart(market):
    cheap = dl.backtest(market, "buy_and_hold", costs=dl.Costs())
    dear = dl.backtest(market, "buy_and_hold", costs=dl.Costs(taker_fee=0.01))
    both = dl.compare(cheap, dear)
    assert len(set(both.labels)) == 2
    assert "the runs pay different costs" in both.notes
    assert sum("close-only" in note for note in both.notes) == 1


@pytest.mark.drawn(True)
def test_benchmarks_of_their_own_are_named_and_none_stands_for_all(workspace, market, capsys):
    beside = {"one": "buy_and_hold", "other": "ma200w_break"}
    made = [
        dl.backtest(
            market, "support_breach", weeks=9, start="2012-01-01", benchmark=held, name=name
        )
        for name, held in beside.items()
    ]
    both = dl.compare(*made)
    assert both.benchmark is None
    told = (
        "each run is held against a benchmark of its own: one against buy and hold, other against"
    )
    assert f"{told} ma200w_break" in " ".join(both.notes).replace("ma200w break", "ma200w_break")
    assert "Against its benchmark" in both.html()
    assert dl.compare(*made[:1], dl.backtest(market, "buy_and_hold")).benchmark == "buy and hold"
    _print_comparison(both, workspace.root / "comparison.html")
    said = capsys.readouterr().out
    tables = [line for line in said.splitlines() if line[:1] in "┏┃┡│└"]
    assert tables
    assert not any("hold" in line for line in tables)


def test_the_latest_count_of_trials_on_a_market_is_told_once(workspace, market):
    made = [
        dl.backtest(market, "support_breach", weeks=weeks, name=f"w{weeks}") for weeks in (9, 8, 7)
    ]
    known = [run.manifest["n_trials"] for run in made]
    assert known == [1, 2, 3]
    both = dl.compare(*made)
    told = [note for note in both.notes if "trials on these data" in note]
    assert len(told) == 1
    assert told[0].startswith("these are among 3 trials on these data")
    assert told[0] in both.assumptions
    later = dl.market(market.bars**1.1, timeframe="1d", symbol="ETH/USD")
    apart = dl.compare(*made[:2], dl.backtest(later, "buy_and_hold", name="other"))
    told = [note for note in apart.notes if "trials on these data" in note]
    assert told == [note for note in told if note.startswith("w9, w8: these are among 2 trials")]


def test_one_run_or_no_common_span_is_refused(market):
    early = dl.backtest(market, "buy_and_hold", end="2012-01-01")
    late = dl.backtest(market, "buy_and_hold", start="2013-01-01")
    with pytest.raises(InputError, match="at least two"):
        dl.compare(early)
    with pytest.raises(InputError, match="overlap"):
        dl.compare(early, late)
    with pytest.raises(InputError, match="no more than 30; got 31"):
        dl.compare(*[early] * 31)


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_the_page_is_written_and_the_notebook_renders(market, tmp_path):
    runs = dl.backtest(market, "buy_and_hold"), dl.backtest(market, "support_breach", weeks=20)
    both = dl.compare(*runs)
    page = both.page(tmp_path / "new" / "comparison.html")
    text = page.read_text(encoding="utf-8")
    assert "support_breach" in text
    assert "<table" in both._repr_html_()
    assert "<table" in runs[0]._repr_html_()


@pytest.fixture
def three(market):
    since = {"start": "2012-06-01"}
    return dl.compare(
        dl.backtest(market, "buy_and_hold", **since),
        dl.backtest(market, "support_breach", weeks=20, **since),
        dl.backtest(market, "support_breach", weeks=30, name="slower", **since),
    )


def test_differences_are_those_of_the_runs_and_stand_in_the_tables(three):
    hold, fast, slow = (each.backtest.returns for each in three.evaluations)
    tables = three.tables
    found = tables["differences"]
    assert found.index.tolist() == list(three.labels)
    assert found.loc["buy_and_hold", ("growth", "reason")] == "the bars do not vary"
    expected = (np.log1p(fast) - np.log1p(hold)).mean() * 365
    assert found.loc["support_breach", ("growth", "value")] == pytest.approx(expected)
    pairs = tables["pairs"]
    ratio = [each.mean() / each.std() * 365**0.5 for each in (fast, slow)]
    got = pairs.loc[("support_breach", "slower"), ("sharpe", "value")]
    assert got == pytest.approx(ratio[0] - ratio[1])
    saved = tables["points_saved"]
    assert saved.index.tolist() == [period.id for period in three.evaluations[0].periods]
    assert (saved["buy_and_hold"] == 0.0).all()
    run, first = three.evaluations[1], saved.index[0]
    made, held = (each.loc["total_return", first] for each in (run.metrics, run.benchmark_metrics))
    assert saved.loc[first, "support_breach"] == pytest.approx(made - held)
    assert tables["correlation"].loc["buy_and_hold", "slower"] == pytest.approx(hold.corr(slow))


def test_parameters_that_differ_stand_first(three):
    table = three.parameters
    assert table.index[0] == "weeks"
    assert table.loc["weeks"].tolist()[1:] == ["20", "30"]


def test_a_note_of_some_runs_is_said_once_behind_their_names(market):
    since = {"start": "2012-06-01"}
    account = dl.Account(
        contract="BTC/USDT:USDT", rules="generic", leverage=2, funding_policy="missing-is-zero"
    )
    compared = dl.compare(
        dl.backtest(market, "buy_and_hold", **since),
        *(
            dl.backtest(market, "support_breach", weeks=n, name=f"w{n}", account=account, **since)
            for n in (20, 30)
        ),
    )
    [said] = [note for note in compared.notes if "mark: none given" in note]
    assert said.startswith("w20, w30: mark")
    assert {said.removeprefix("w20, w30: ")} <= set(compared.runs[1].notes)


@pytest.mark.otherwise(True)
def test_the_document_for_scripts_has_everything_and_no_nan(three):
    import json

    document = json.loads(json.dumps(three.to_dict(), allow_nan=False))
    found = document["differences"]
    assert set(found["against_benchmark"]) == {"growth", "sharpe"}
    slower = found["against_benchmark"]["growth"]["slower"]
    assert slower["low"] < slower["value"] < slower["high"]
    assert slower["p_value"] <= slower["p_stepdown"]
    assert found["against_benchmark"]["growth"]["buy_and_hold"]["low"] is None
    assert [(pair["first"], pair["second"]) for pair in found["pairs"]["sharpe"]] == [
        ("buy_and_hold", "support_breach"),
        ("buy_and_hold", "slower"),
        ("support_breach", "slower"),
    ]
    assert set(found["may_be_best"]) == set(three.labels)
    first = three.evaluations[0].periods[0].id
    assert document["points_saved"][first]["buy_and_hold"] == 0.0
    assert document["parameters"]["weeks"]["slower"] == "30"


@pytest.mark.drawn(True)
def test_runs_on_other_bars_are_not_tested_and_say_so(market):
    weeks = market.resample("1w")[["open", "high", "low", "close"]].assign(volume=1.0)
    coarse = dl.market(weeks, timeframe="1w")
    slow = dl.backtest(coarse, "buy_and_hold", start="2012-06-04", end="2015-04-27")
    days = dl.backtest(market, "support_breach", start="2012-06-04", end="2015-04-27")
    both = dl.compare(slow, days)
    assert both.tables["differences"].empty
    assert both.tables["may_be_best"]["p_value"].isna().all()
    assert both.differences.reason in both.notes
    assert both.differences.reason in both.html()
