from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.deleveraging.period import Period
from delever.report import figures
from delever.report.figures.time_axis import shades, thin
from delever.research.evaluation import Evaluation


def values(encoded: Any) -> list[float | None]:
    """Numbers of a trace, from plotly's typed arrays or a plain list."""
    if not isinstance(encoded, dict):
        return list(encoded)
    flat = np.frombuffer(base64.b64decode(encoded["bdata"]), dtype=encoded["dtype"])
    shape = [int(part) for part in str(encoded.get("shape", flat.size)).split(",")]
    return flat.reshape(shape).tolist()


def test_curves_begin_at_the_first_open_and_stand_at_the_closes(evaluation: Evaluation) -> None:
    chart = figures.history(
        {"own": evaluation.backtest, "hold": evaluation.benchmark},
        evaluation.periods,
        benchmark="hold",
        exposure="own",
    )
    spec = json.loads(chart.spec)
    growth, other, fall, _, held = spec["data"]
    equity = evaluation.backtest.ledger["equity"]
    assert growth["x"][:2] == ["2020-01-01", "2020-01-02"]
    assert len(growth["x"]) == len(equity) + 1
    assert values(growth["y"]) == pytest.approx([1.0, *(equity / 10_000.0)])
    wealth = np.array(values(growth["y"]))
    assert values(fall["y"]) == pytest.approx(list(wealth / np.maximum.accumulate(wealth) - 1))
    assert values(held["y"])[1:] == list(evaluation.backtest.ledger["exposure"])
    assert (growth["name"], other["name"], held["line"]["shape"]) == ("own", "hold", "vh")
    assert "template" not in spec["layout"]


def test_each_period_is_shaded_from_start_to_end_and_labelled(evaluation: Evaluation) -> None:
    chart = figures.history(
        {"own": evaluation.backtest}, evaluation.periods, benchmark=None, exposure=None
    )
    layout = json.loads(chart.spec)["layout"]
    assert [(s["x0"], s["x1"]) for s in layout["shapes"]] == [
        ("2020-04-10", "2020-04-24"),
        ("2020-08-01", "2020-08-11"),
    ]
    assert [a["text"] for a in layout["annotations"]] == ["Apr 2020", "Aug 2020"]
    assert "The fall" in layout["annotations"][0]["hovertext"]


def test_labels_of_periods_close_to_each_other_stand_in_tiers(
    build: Callable[..., Evaluation], walk: Callable[..., pd.DataFrame]
) -> None:
    def at(start: str) -> Period:
        first = pd.Timestamp(start, tz="UTC")
        last = first + pd.Timedelta(days=2)
        return Period(id=start, title=start, start=first, trough=first, end=last)

    periods = tuple(at(start) for start in ("2020-03-01", "2020-03-05", "2020-03-09", "2020-09-01"))
    run = build(walk(), 1.0, periods)
    chart = figures.history({"own": run.backtest}, run.periods, benchmark=None)
    shifts = [a["yshift"] for a in json.loads(chart.spec)["layout"]["annotations"]]
    assert len(set(shifts[:2])) == 2
    assert shifts[3] == shifts[0]


def test_buttons_switch_the_axis_there_and_back(evaluation: Evaluation) -> None:
    chart = figures.history({"own": evaluation.backtest}, (), benchmark=None)
    axis = json.loads(chart.spec)["layout"]["yaxis"]
    log, linear = (json.loads(arguments) for _, _, arguments, _ in chart.buttons)
    assert axis["type"] == log["yaxis.type"] == "log"
    assert log["yaxis.dtick"] == axis.get("dtick")
    assert (linear["yaxis.type"], linear["yaxis.dtick"]) == ("linear", None)


def test_a_figure_stands_on_its_own_and_the_page_lays_its_look_under_it(
    evaluation: Evaluation,
) -> None:
    chart = figures.monthly(
        {"own": evaluation.backtest.returns, "<b>": evaluation.benchmark.returns}
    )
    assert chart.figure.layout.template.to_plotly_json() == {}  # a page lays none on twice
    layout = chart.alone.layout
    assert (layout.height, layout.template.layout.paper_bgcolor) == (chart.height, "#ffffff")
    assert layout.template.data.to_plotly_json() == {}  # nothing of plotly's own look
    assert [button.label for button in layout.updatemenus[0].buttons] == ["own", "&lt;b&gt;"]
    assert [(label, pressed) for label, *_, pressed in chart.buttons] == [
        ("own", True),
        ("<b>", False),
    ]
    assert not {"template", "height", "updatemenus"} & set(json.loads(chart.spec)["layout"])


def test_months_and_years_are_compounded(evaluation: Evaluation) -> None:
    chart = figures.monthly({"own": evaluation.backtest.returns})
    trace = json.loads(chart.spec)["data"][0]
    grid = np.array(values(trace["z"]))
    equity = evaluation.backtest.ledger["equity"]
    closes = equity.groupby([equity.index.year, equity.index.month]).last()
    april = closes[(2020, 4)] / closes[(2020, 3)] - 1
    assert grid[trace["y"].index("2020"), trace["x"].index("Apr")] == pytest.approx(april)
    year = closes[(2020, 12)] / 10_000.0 - 1
    assert grid[trace["y"].index("2020"), trace["x"].index("Year")] == pytest.approx(year)
    assert trace["text"][0][3] == f"{100 * april:.1f}%"
    assert trace["text"][-1][11] == ""  # the run ends before December 2021


def test_histograms_hold_every_bar_once() -> None:
    inside = pd.Series([-0.9, -0.1, 0.0, 0.1])
    outside = pd.Series(np.linspace(-0.05, 0.05, 300))
    traces = json.loads(figures.distribution(inside, outside).spec)["data"]
    shares = {trace["name"].split()[0]: sum(values(trace["y"])) for trace in traces}
    assert shares == pytest.approx({"outside": 1.0, "inside": 1.0})
    assert [trace["name"] for trace in traces] == ["outside (300 bars)", "inside (4 bars)"]


def test_an_empty_side_is_not_drawn() -> None:
    none = pd.Series(dtype="float64")
    assert json.loads(figures.distribution(none, none).spec)["data"] == []
    traces = json.loads(figures.distribution(none, pd.Series([0.0, 0.0])).spec)["data"]
    assert [trace["name"] for trace in traces] == ["outside (2 bars)"]


def test_hostile_names_cannot_leave_the_script_or_become_markup(evaluation: Evaluation) -> None:
    name = "</script><b>x</b>"
    for chart in (
        figures.history({name: evaluation.backtest}, evaluation.periods, benchmark=None),
        figures.monthly({name: evaluation.backtest.returns}),
        figures.period_bars(pd.DataFrame({name: [0.1]}, index=[name]), benchmark=None),
    ):
        assert "<" not in chart.spec
        assert "</script>" not in json.dumps(json.loads(chart.spec))  # escaped for plotly as well


@settings(max_examples=30)
@given(st.integers(1, 3), st.integers(8_001, 60_000), st.integers(0, 2**32 - 1))
def test_thinning_keeps_ends_and_extremes(columns: int, rows: int, seed: int) -> None:
    walks = np.random.default_rng(seed).normal(size=(rows, columns)).cumsum(axis=0)
    kept = thin(walks)
    assert len(kept) <= 8_100
    assert (kept[0], kept[-1]) == (0, rows - 1)
    assert (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(walks[kept].min(axis=0), walks.min(axis=0))
    np.testing.assert_array_equal(walks[kept].max(axis=0), walks.max(axis=0))


def test_few_points_are_not_thinned() -> None:
    assert thin(np.full((8_000, 2), np.nan)).tolist() == list(range(8_000))


def test_looks_differ_in_ink_and_share_the_palette() -> None:
    looks = json.loads(figures.themes())
    assert set(looks) == {"light", "dark"}
    light, dark = (looks[name]["layout"] for name in ("light", "dark"))
    assert light["font"]["color"] != dark["font"]["color"]
    assert light["colorway"] == dark["colorway"]


def test_levels_that_are_prices_near_each_other_have_figures_of_their_own() -> None:
    kinds = ("breaks", "low", "high", "all", "matched", "placebo")
    curves = pd.DataFrame(0.5, index=pd.RangeIndex(2, name="bars"), columns=kinds)
    prices = (98_000_000.0, 98_000_050.0)
    near, nearer = (figures.rung_curves(curves, price, "a price") for price in prices)
    assert near.id != nearer.id
    labels = {(one["name"], one["hovertemplate"].partition("<extra>")[2])
              for one in json.loads(near.spec)["data"] if "name" in one}  # fmt: skip
    assert ("these breaks", "these breaks</extra>") in labels


def priced(evaluation: Evaluation, lines: pd.DataFrame | None = None, **changed: Any) -> Any:
    bars, trades = evaluation.bars, evaluation.backtest.trades
    return figures.price_figure(
        bars["close"],
        bars[[]] if lines is None else lines,
        changed.get("trades", trades),
        changed.get("fills", evaluation.backtest.fills),
        changed.get("periods", evaluation.periods),
        timeframe="1d",
    )


def test_the_price_has_the_lines_of_the_strategy_and_a_mark_for_each_trade(
    evaluation: Evaluation,
) -> None:
    close = evaluation.bars["close"]
    lines = pd.DataFrame({"20-day <sma>": close.rolling(20).mean(), "low": close.cummin()})
    chart = priced(evaluation, lines)
    spec = json.loads(chart.spec)
    price, average, low, enters, leaves = spec["data"]
    assert [trace["name"] for trace in spec["data"]] == [
        *("close", "20-day &lt;sma&gt;", "low", "enters long", "leaves"),
    ]
    assert price["x"][:1] == ["2020-01-02"]  # the close of the first daily bar
    assert values(price["y"]) == pytest.approx(list(close))
    np.testing.assert_allclose(
        np.array(values(average["y"]), dtype=float), lines["20-day <sma>"], rtol=1e-12
    )
    assert values(low["y"]) == pytest.approx(list(lines["low"]))
    trades = evaluation.backtest.trades
    done = trades[trades["exit_time"].notna()]
    assert values(enters["y"]) == pytest.approx(list(trades["entry_price"]))
    assert enters["x"] == [f"{time:%Y-%m-%d}" for time in trades["entry_time"]]
    assert values(leaves["y"]) == pytest.approx(list(done["exit_price"]))
    first = done.iloc[0]
    assert f"result {first['return']:.1%}" in leaves["text"][0]
    assert f"entered {first['entry_time']:%Y-%m-%d}" in leaves["text"][0]
    assert len(spec["layout"]["shapes"]) == len(evaluation.periods)
    assert chart.title == "Price, and what the strategy saw and did"


def test_fills_that_only_change_the_size_are_marked_apart(evaluation: Evaluation) -> None:
    fills = evaluation.backtest.fills.iloc[:4].assign(
        quantity=[2.0, 1.0, -2.0, -1.0],
        position=[2.0, 3.0, 1.0, 0.0],
        exposure=[0.5, 0.75, 0.25, 0],
    )
    trace = priced(evaluation, fills=fills).figure.data[-1]
    assert trace.name == "changes its size"
    assert list(trace.y) == fills["price"].tolist()[1:3]
    assert [text.partition("exposure ")[2] for text in trace.text] == [
        *("75.0% after it", "25.0% after it"),
    ]
    flips = fills.assign(position=[2.0, -1.0, 1.0, 0.0])
    assert priced(evaluation, fills=flips).figure.data[-1].name == "leaves"


def test_only_what_lies_in_the_figure_is_shaded(evaluation: Evaluation) -> None:
    fall, dip = evaluation.periods
    assert len(shades((fall, dip), fall.end, dip.end)) == 1
    assert shades((fall,), dip.start, dip.end) == []


def test_forced_exits_have_marks_of_their_own(evaluation: Evaluation) -> None:
    trades = evaluation.backtest.trades.iloc[:5].assign(
        exit_reason=["target", "stop_loss", "take_profit", "trailing_stop", "liquidation"],
        status=["closed"] * 4 + ["liquidated"],
        side=[1, -1, 1, -1, 1],
    )
    names = [trace.name for trace in priced(evaluation, trades=trades).figure.data[1:]]
    assert names == [
        *("enters long", "enters short", "leaves", "stop", "trailing stop", "profit taken"),
        "liquidated",
    ]


def test_a_price_without_lines_or_trades_says_so(evaluation: Evaluation) -> None:
    chart = priced(evaluation, trades=evaluation.backtest.trades.iloc[:0], periods=())
    assert [trace.name for trace in chart.figure.data] == ["close"]
    assert "names no lines" in chart.caption
    assert chart.title == "Price and trades"


def test_of_many_trades_the_largest_results_are_marked(evaluation: Evaluation) -> None:
    one = evaluation.backtest.trades.iloc[:1]
    many = pd.concat([one] * 2_000, ignore_index=True)
    many["net_pnl"] = np.arange(2_000.0) * np.where(np.arange(2_000) % 2, 1, -1)
    many["entry_price"] = np.arange(2_000.0)
    chart = priced(evaluation, trades=many)
    assert min(values(json.loads(chart.spec)["data"][1]["y"])) == 500.0
    assert "the 1,500 of 2,000 trades with the largest results" in chart.caption


def ledger_of(**columns: list[float]) -> pd.DataFrame:
    days = pd.date_range("2021-01-01", periods=4, tz="UTC", unit="ns", name="open_time")
    return pd.DataFrame(columns, index=days)


def path_of(**columns: list[float]) -> pd.DataFrame:
    return ledger_of(**columns).assign(nearest="")


def test_margin_ratio_and_room_are_drawn_with_funding() -> None:
    path = path_of(margin_ratio=[np.nan, 0.9, 0.5, np.nan], room=[np.nan, 0.1, 0.2, np.nan])
    paid = ledger_of(funding=[0.0, -1.0, -2.0, 5.0])["funding"]
    chart = figures.margin_figure(path, paid, (), timeframe="1d")
    assert chart is not None
    ratio, room, funding = json.loads(chart.spec)["data"]
    np.testing.assert_array_equal(np.array(values(ratio["y"]), dtype=float), path["margin_ratio"])
    np.testing.assert_array_equal(np.array(values(room["y"]), dtype=float), path["room"])
    assert values(funding["y"]) == [0.0, -1.0, -3.0, 2.0]
    assert room["x"][0] == "2021-01-02"  # the close of the bar
    assert "Highest at a close: 90.0%, in the bar of 2021-01-02" in chart.caption
    assert "Least at a close: 10.0%, in the bar of 2021-01-02" in chart.caption
    assert "in all it was received" in chart.caption


def test_what_a_run_did_not_know_is_not_drawn() -> None:
    flat = path_of(margin_ratio=[np.nan] * 4, room=[np.nan] * 4)
    none = ledger_of(funding=[0.0] * 4)["funding"]
    assert figures.margin_figure(flat, none, (), timeframe="1d") is None
    paid = figures.margin_figure(flat, none - 1.0, (), timeframe="1d")
    assert paid is not None
    assert paid.title == "Funding, cumulated"
    assert [trace.yaxis for trace in paid.figure.data] == ["y"]
