"""The page of a margin account: attribution, what if, costs and rules."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from delever.engine.backtest import backtest
from delever.engine.settings import Account
from delever.report import figures
from delever.report.pages.account_tables import account_table, costs_table, rules_table
from delever.report.pages.run_tables import parts_shown, scopes_table, trades_table, what_if_table
from delever.report.pages.tearsheet import render
from delever.research.attribution import attribution
from delever.research.evaluation import Evaluation, evaluate
from delever.research.excursions import excursions
from delever.research.what_if import WhatIf, what_if
from delever.study.runs.answering import answer_over
from delever.venues.costs import Borrow, Costs

RULES = [
    {
        "from": "2020-01-01",
        "fees_since": "2019-09-01",
        "brackets_since": None,
        "taker": 0.0005,
        "maker": -0.0001,
        "liquidation": 0.0125,
        "brackets": [[50_000.0, 0.004, 125.0], [None, 0.5, 1.0]],
    }
]


@pytest.fixture(scope="module")
def stopped(
    walk: Callable[..., pd.DataFrame], switch: Callable[..., pd.Series], evaluation: Evaluation
) -> Evaluation:
    """A spot account with a stop: it has borrow, bounds and ambiguous bars."""
    bars = walk().assign(high=lambda walked: walked["high"] * 1.06)
    run = backtest(
        bars,
        switch(bars) * 2.0 - 1.0,
        timeframe="1d",
        costs=Costs(taker_fee=0.001, slippage=0.0005) + Borrow(rate=0.2),
        initial_target=-1.0,
        account=Account(stop_loss=0.03, take_profit=0.02, bounds=True),
    )
    return evaluate(
        name="stopped",
        backtest=run,
        benchmark=evaluation.benchmark,
        bars=bars,
        periods=evaluation.periods,
    )


def numbers(row: tuple[Any, ...]) -> list[float]:
    return [float(cell.order) for cell in row if isinstance(cell.order, float)]


def test_each_row_of_the_scopes_adds_up(stopped: Evaluation) -> None:
    table = scopes_table(attribution(stopped), stopped.periods)
    assert table.header == (
        *("Quote currency", "Price moves", "Funding", "Fees", "Slippage", "Borrow"),
        *("Change of equity", "Equity before", "Return"),
    )
    labels = [row[0].text for row in table.rows]
    assert labels == ["Whole run", "Inside periods", "Outside periods", "Apr 2020", "Aug 2020"]
    equity = stopped.backtest.equity
    for row, (first, last) in zip(
        (table.rows[0], *table.rows[3:]),
        [
            ("2020-01-01", "2021-05-14"),
            ("2020-04-10", "2020-04-23"),
            ("2020-08-01", "2020-08-10"),
        ],
        strict=True,
    ):
        *parts, change, before, share = numbers(row)
        assert sum(parts) == pytest.approx(change, rel=1e-9, abs=1e-9)
        started = equity.shift(fill_value=10_000.0).loc[first]
        assert before == started
        assert change == pytest.approx(equity.loc[last] - started, rel=1e-9)
        assert share == pytest.approx(equity.loc[last] / started - 1.0, rel=1e-9)
    inside, outside = (numbers(row) for row in table.rows[1:3])
    np.testing.assert_allclose(np.add(inside, outside), numbers(table.rows[0])[:6], atol=1e-7)
    assert "Nothing came of liquidation beside fees and price moves." in table.caption
    assert [row[-1].text for row in table.rows[1:3]] == ["", ""]


def values(encoded: Any) -> list[float]:
    if not isinstance(encoded, dict):
        return list(encoded)
    return np.frombuffer(base64.b64decode(encoded["bdata"]), dtype=encoded["dtype"]).tolist()


def test_the_stacks_of_the_figure_add_up_to_their_diamonds(stopped: Evaluation) -> None:
    table = attribution(stopped)
    each = table.iloc[3:]
    shares = each.div(each["equity_before"], axis=0).set_axis(["<b>", "two"])
    chart = figures.attribution_bars(table.iloc[:3], shares, parts=parts_shown(table))
    traces = json.loads(chart.spec)["data"]
    for axis, labels in (("x", ["whole", "inside", "outside"]), ("x2", ["&lt;b&gt;", "two"])):
        own = [trace for trace in traces if trace["xaxis"] == axis]
        stacks = [values(trace["y"]) for trace in own if trace["type"] == "bar"]
        [diamonds] = [values(trace["y"]) for trace in own if trace["type"] == "scatter"]
        assert own[0]["x"] == labels
        np.testing.assert_allclose(np.sum(stacks, axis=0), diamonds, rtol=1e-9)
    assert diamonds == pytest.approx(stopped.metrics.loc["total_return", table.index[3:]].tolist())
    assert [trace["showlegend"] for trace in traces].count(True) == 6


def test_bounds_are_drawn_around_the_run(stopped: Evaluation) -> None:
    chart = figures.history({"own": stopped.backtest}, (), benchmark=None)
    traces = {trace["name"]: trace for trace in json.loads(chart.spec)["data"]}
    bounds = stopped.backtest.bounds
    assert bounds is not None
    for side in ("worst", "best"):
        drawn = traces[f"{side} the bars allow"]
        assert values(drawn["y"]) == pytest.approx((bounds[side] / 10_000.0).tolist())
        assert drawn["x"][0] == "2020-01-02"  # the close of the first bar
    assert "Dotted: the worst and the best" in chart.caption
    several = figures.history({"a": stopped.backtest, "b": stopped.backtest}, (), benchmark=None)
    assert "the bars allow" not in several.spec + several.caption
    assert bounds["best"].iloc[-1] > bounds["worst"].iloc[-1]


def test_counterfactuals_have_a_row_each_and_say_what_was_changed(
    stopped: Evaluation, read: Callable[[str], Any]
) -> None:
    found = what_if(stopped.backtest, ["costs x2", "costs x0", "leverage 2x"])
    page = render(stopped, answer_over(stopped), manifest={}, what_if=found)
    seen = read(page)
    rows = {row[0].text.split("Fees")[0]: row for row in seen.tables["what-if-table"][1:]}
    final = stopped.backtest.equity.iloc[-1]
    assert next(iter(rows)) == "as run"
    assert rows["as run"][1].text == f"{final / 10_000.0 - 1.0:.1%}".replace("-", "−")
    free = found.paths.loc[found.paths["name"] == "costs x0", "equity"].iloc[-1]
    assert rows["costs x0"][6].text == f"{free:,.0f}"
    assert free > final
    refused = next(row for name, row in rows.items() if name.startswith("leverage 2x"))
    assert [refused[place].text for place in (1, 5)] == ["n/a", "n/a"]
    assert 'id="fig-what-if"' in page
    names = [a.text for a in seen.all("a") if a.attributes["href"] == "#what-if"]
    assert names == ["What if"]


def test_paths_of_counterfactuals_are_drawn_until_ruin() -> None:
    days = pd.date_range("2021-01-01", periods=3, tz="UTC")
    paths = {
        "as run": pd.Series([1.0, 1.1, 1.21], index=days),
        "leverage 9x": pd.Series([0.5, 0.0, 0.0], index=days),
    }
    run, bold = json.loads(figures.growth_paths(paths, "1d").spec)["data"]
    assert run["x"] == ["2021-01-02", "2021-01-03", "2021-01-04"]
    assert values(run["y"]) == [1.0, 1.1, 1.21]
    assert values(bold["y"])[0] == 0.5
    assert all(one is None or np.isnan(one) for one in values(bold["y"])[1:])


def test_a_page_without_counterfactuals_or_account_has_no_place_for_them(
    evaluation: Evaluation, read: Callable[[str], Any]
) -> None:
    none = WhatIf(initial_equity=10_000.0, paths=what_if(evaluation.backtest, []).paths)
    seen = read(render(evaluation, answer_over(evaluation), manifest={}, what_if=none))
    assert not {"what-if-table", "account", "rules"} & set(seen.tables)
    assert "costs" in seen.tables
    targets = {a.attributes["href"] for a in seen.all("a")}
    assert not {"#what-if", "#held"} & targets


def test_several_runs_are_told_apart_in_the_table() -> None:
    columns = ["total_return", "points_saved", "growth_outside", "max_drawdown"]
    table = pd.DataFrame(
        [[0.1, -0.2, 0.3, -0.5, 2.0, 11_000.0], [np.nan] * 6],
        index=["as run", "leverage 2x"],
        columns=[*columns, "liquidations", "final_equity"],
    )
    made = what_if_table({"a": table, "b": table}, {"b": {"leverage 2x": "no bracket"}}, days=365.0)
    assert [row[0].text for row in made.rows] == ["a", "", "b", ""]
    assert made.texts[0] == (
        *("a", "as run", "10.0%", "-20.0", "30.0%", "-50.0%"),
        *("2", "11,000"),
    )
    assert "scaled down" in made.rows[1][1].note
    assert made.rows[3][1].note == "no bracket"
    assert len(what_if_table({"a": table}, {}, days=365.0).header) == len(made.header) - 1


def test_fees_by_rules_are_not_shown_as_none_at_all() -> None:
    by_rules = costs_table(Costs(), times=2.0, slippage={}, rules=RULES)
    assert by_rules.texts == (
        ("Stress, in these fees and slippage", "x2"),
        ("Fees", "x2, by the rules, below"),
        ("Slippage", "0.000%"),
    )
    said = costs_table(
        Costs(taker_fee=0.0004),
        times=1.0,
        slippage={"fixed": 0.0003, "volatility_share": 0.05, "impact": 0.0, "stress_multiplier": 3},
        rules=[],
    )
    assert said.texts == (
        ("Taker fee", "0.040%"),
        ("Maker fee", "0.000%"),
        ("Orders pay the fee of a", "taker"),
        ("Slippage, fixed", "0.030%"),
        ("Slippage, share of a bar's volatility", "0.05"),
        ("Slippage in stress, times", "3"),
    )
    stressed = costs_table(
        2.0 * Costs(taker_fee=0.0004),
        times=2.0,
        slippage={"fixed": 0.0003, "impact": 0.4, "stress_multiplier": 3},
        rules=[],
    )
    assert stressed.texts == (
        ("Stress, in these fees and slippage", "x2"),
        ("Taker fee", "0.080%"),
        ("Maker fee", "0.000%"),
        ("Orders pay the fee of a", "taker"),
        ("Slippage, fixed", "0.060%"),
        ("Slippage, impact coefficient", "0.8"),
        ("Slippage in stress, times", "3"),
    )


def test_rules_show_their_age_and_what_was_assumed() -> None:
    table = rules_table([*RULES, {**RULES[0], "brackets": [[None, 0.005, 100.0]]}])
    assert table.texts[0] == (
        *("2020-01-01", "2019-09-01", "0.050%", "-0.010%", "1.250%", "assumed", "2"),
        "up to 50,000: margin 0.40%, at most 125x",
    )
    assert table.rows[0][5].tone == "loss"
    assert table.texts[1][7] == "any size: margin 0.50%, at most 100x"


def test_only_what_was_set_stands_in_the_account() -> None:
    told = {"contract": "BTC/USDT:USDT", "leverage": 5, "stop_loss": 0.1, "mark": None}
    assert account_table(told).texts == (
        ("Contract", "BTC/USDT:USDT"),
        ("Leverage setting", "5x"),
        ("Stop-loss, of the entry price", "10.00%"),
    )
    assert account_table({}).rows == ()
    at_the_open = account_table({"limit_offset": 0.0, "borrow_rate": 0.0})
    assert at_the_open.texts == (("Entries rest below or above the open by", "0.00%"),)


def test_trades_of_a_margin_account_say_what_closed_them(
    stopped: Evaluation, read: Callable[[str], Any]
) -> None:
    seen = read(render(replace(stopped, name="x"), answer_over(stopped), manifest={}))
    run = stopped.backtest
    table = trades_table(run.trades.join(excursions(run.trades, stopped.bars)))
    assert table.header[-3:] == ("Funding", "Liquidation", "Status")
    ended = [row[-1].text for row in seen.tables["trades"][1:]]
    reasons = stopped.backtest.trades["exit_reason"]
    assert (reasons == "stop_loss").any()
    assert ended.count("closed, stop loss") == (reasons == "stop_loss").sum()
    assert ended.count("closed, take profit") == (reasons == "take_profit").sum()
