"""What the page says of a run over time: years, rolling measures, worst bars, a card per period."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from delever.report import figures
from delever.report.pages.conduct import (
    cards_block,
    conduct_charts,
    over_time_blocks,
    worst_bars_table,
    years_table,
)
from delever.report.pages.metric_tables import metrics_table
from delever.report.pages.period_cards import cards, period_paths
from delever.report.pages.run_tables import trades_table
from delever.research.evaluation import Evaluation
from delever.research.excursions import excursions

BENCHMARK = "buy and hold"


def shown(text: str) -> float:
    return float(text.removesuffix("%").replace(",", "")) / 100.0


def test_years_are_compounded_and_the_cut_ones_marked(evaluation: Evaluation) -> None:
    table = years_table(evaluation, BENCHMARK)
    assert [row[0].text for row in table.rows] == [
        "2020",
        "2021, in part",
    ]  # 366 of 500 days, then 134
    assert [row[-1].text for row in table.rows] == ["366", "134"]
    for run, column in ((evaluation.backtest, 1), (evaluation.benchmark, 2)):
        wealth = (1.0 + run.returns).groupby(run.returns.index.year).prod() - 1.0
        assert [row[column].order for row in table.rows] == pytest.approx(list(wealth))
    first = table.rows[0]
    assert first[3].order == pytest.approx(first[1].order - first[2].order)
    assert "In part: the run is from 2020-01-01 to 2021-05-15." in table.caption


def test_a_run_of_whole_years_marks_none(
    build: Callable[..., Evaluation], walk: Callable[..., pd.DataFrame]
) -> None:
    table = years_table(build(walk(731), 1.0), BENCHMARK)
    assert [row[0].text for row in table.rows] == ["2020", "2021"]
    assert "In part" not in table.caption


def test_rolling_measures_need_more_than_a_year(
    evaluation: Evaluation, build: Callable[..., Evaluation], walk: Callable[..., pd.DataFrame]
) -> None:
    drawn = conduct_charts(evaluation, BENCHMARK)
    traces = json.loads(drawn["rolling"].spec)["data"]
    assert len(traces) == 6
    assert traces[0]["x"][0] == "2020-12-31"  # 365 bars from the first of January
    assert "a year of 365 days" in drawn["rolling"].caption
    short = build(walk(365), 1.0)
    few = conduct_charts(short, BENCHMARK)
    assert set(few) == {"price"}
    [block] = [b for b in over_time_blocks(short, few, BENCHMARK) if b.id == "rolling"]
    assert block.parts == (
        "None are shown: they look back on a year, and the run lasts 1.00 years.",
    )


def test_missing_bars_are_counted_where_years_are_shown(
    build: Callable[..., Evaluation], walk: Callable[..., pd.DataFrame]
) -> None:
    bars = walk(500)
    whole, part = build(bars, 1.0), build(bars[bars.index.day_of_week < 5], 1.0)
    assert (whole.missing, part.missing) == (0, 142)
    assert metrics_table(part, BENCHMARK).caption.endswith(
        "142 bars are missing between the first and the last: years are elapsed time, and what was "
        "held at a close was held until the next bar."
    )
    assert "missing" not in metrics_table(whole, BENCHMARK).caption
    drawn = [
        figures.history({"own": each.backtest}, (), benchmark=None).caption
        for each in (whole, part)
    ]
    assert ["Missing bars: 142; lines run" in caption for caption in drawn] == [False, True]


def test_steep_years_are_drawn_on_a_logarithmic_scale(
    build: Callable[..., Evaluation], walk: Callable[..., pd.DataFrame]
) -> None:
    bars = walk(731)
    grown = bars.mul(np.exp(0.006 * np.arange(731)), axis=0).assign(volume=1.0)
    spec = json.loads(conduct_charts(build(grown, 1.0), BENCHMARK)["years"].spec)
    first = spec["data"][0]
    assert first["hovertemplate"].startswith("%{x}: %{customdata:.1%}")
    assert "0%" in spec["layout"]["yaxis"]["ticktext"]
    assert spec["layout"]["yaxis"]["ticktext"][-1] in ("300%", "900%", "3,100%")


def test_the_worst_bars_say_which_period_they_lie_in(evaluation: Evaluation) -> None:
    table = worst_bars_table(evaluation, BENCHMARK)
    returns = evaluation.backtest.returns
    assert [row[1].order for row in table.rows] == sorted(returns)[:10]
    for row in table.rows:
        opened = pd.Timestamp(row[0].text, tz="UTC")
        assert row[2].order == evaluation.benchmark.returns[opened]
        inside = [p.title for p in evaluation.periods if p.start <= opened < p.end]
        assert row[4].text == ("; ".join(inside) or "none")
    assert {row[4].text for row in table.rows} > {"The fall"}
    assert table.rows[0][0].zoom is not None


def test_a_card_is_the_path_of_its_period(evaluation: Evaluation) -> None:
    paths = list(period_paths(evaluation, BENCHMARK))
    assert [each.period.id for each in paths] == ["2020-04-fall", "2020-08-dip"]
    for each in paths:
        measured = evaluation.metrics[each.period.id]
        assert len(each.path) == measured["bars"] + 1
        assert each.path["strategy"].iloc[-1] - 1.0 == pytest.approx(measured["total_return"])
        assert each.path["benchmark"].iloc[-1] - 1.0 == pytest.approx(
            evaluation.benchmark_metrics.loc["total_return", each.period.id]
        )
        told = dict(each.facts)
        assert shown(told["Strategy"]) == pytest.approx(measured["total_return"], abs=5e-4)
        fills = evaluation.backtest.fills["time"]
        inside = (fills >= each.period.start) & (fills < each.period.end)
        assert told["Fills"] == f"{inside.sum()}"
        cascade, washout = map(int, told["Phases"].removesuffix(" bars").split(" + "))
        assert cascade + washout == measured["bars"]
        lowest = evaluation.bars["close"][each.period.start :][: int(measured["bars"])].argmin()
        assert each.trough == cascade == lowest + 1


def test_cards_are_drawn_on_one_scale(evaluation: Evaluation) -> None:
    paths = list(period_paths(evaluation, BENCHMARK))
    drawn = cards(paths)
    heights = []
    for path, card in zip(paths, drawn, strict=True):
        points = np.array([point.split(",") for point in card.own.split()], dtype=float)
        assert points[0].tolist() == [0.0, card.level]
        assert points[-1, 0] == 280.0
        kept = path.path["strategy"]
        heights.append((card.level - points[-1, 1]) / (kept.iloc[-1] - 1.0 or np.nan))
    one = [height for height in heights if np.isfinite(height)]
    np.testing.assert_allclose(one, one[0], rtol=0.02)


def test_without_periods_there_are_no_cards(
    build: Callable[..., Evaluation], walk: Callable[..., pd.DataFrame]
) -> None:
    none = build(walk(40), 1.0, ())
    assert cards_block(none, BENCHMARK, hindsight=True).parts == (None,)


def test_a_trade_leads_to_the_price(evaluation: Evaluation) -> None:
    trades = evaluation.backtest.trades
    table = trades_table(trades.join(excursions(trades, evaluation.bars)))
    for row, (_, trade) in zip(table.rows, trades.iterrows(), strict=True):
        entry: Any = row[0]
        assert entry.figure == "fig-price"
        begin, end = (pd.Timestamp(edge, tz="UTC") for edge in entry.zoom)
        left = trade["entry_time"] if pd.isna(trade["exit_time"]) else trade["exit_time"]
        assert begin < trade["entry_time"] <= left < end


def test_of_very_many_trades_those_with_the_largest_results_are_listed(
    evaluation: Evaluation,
) -> None:
    trades = evaluation.backtest.trades
    many = pd.concat([trades.join(excursions(trades, evaluation.bars)).iloc[:1]] * 600)
    many["net_pnl"] = np.arange(600.0)
    table = trades_table(many.reset_index(drop=True))
    assert len(table.rows) == 500
    assert table.caption.startswith("The 500 of 600 trades with the largest results.")
    place = table.header.index("Net PnL")
    assert [row[place].order for row in table.rows] == list(np.arange(100.0, 600.0))


def test_a_run_that_never_traded_has_no_panel_without_a_value(
    build: Callable[..., Evaluation], walk: Callable[..., pd.DataFrame]
) -> None:
    spec = json.loads(conduct_charts(build(walk(), 0.0), BENCHMARK)["rolling"].spec)
    assert {trace["yaxis"] for trace in spec["data"]} == {"y", "y2", "y3"}
    titles = [spec["layout"][axis]["title"]["text"] for axis in ("yaxis", "yaxis2", "yaxis3")]
    assert titles == ["Sharpe ratio", "volatility", "beta"]
