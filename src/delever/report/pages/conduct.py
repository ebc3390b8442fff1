"""What a strategy looked at, what it did, and how it fared as time went on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from delever.bars import close_times
from delever.deleveraging.membership import per_period
from delever.report import figures
from delever.report.figures import Chart
from delever.report.format import number, when, whole
from delever.report.page import Block, block, fragment
from delever.report.pages.period_cards import cards, period_paths
from delever.report.table import (
    Cell,
    Table,
    fraction_cell,
    numbers,
    stretch,
    tabulate,
    texts,
    time_cell,
)
from delever.research.evaluation import Evaluation
from delever.research.portfolio_parts import margin_path
from delever.stats.over_time import rolling_measures, worst_bars, year_by_year
from delever.units import DAYS_PER_YEAR, timeframe_delta

_WORST = 10


def conduct_charts(evaluation: Evaluation, benchmark: str) -> dict[str, Chart]:
    """Figures of what a strategy saw and did, by name; those with nothing to draw are left out."""
    run = evaluation.backtest
    drawn = {}
    if evaluation.closes is None:
        drawn["price"] = figures.price_figure(
            evaluation.bars["close"],
            evaluation.lines,
            run.trades,
            run.fills,
            evaluation.periods,
            timeframe=run.timeframe,
        )
    path = margin_path(evaluation)
    if path is not None:
        margin = figures.margin_figure(
            path, run.ledger["funding"], evaluation.periods, timeframe=run.timeframe
        )
        if margin is not None:
            drawn["margin"] = margin
    measures = _rolling(evaluation)
    if not measures.empty:
        drawn["rolling"] = figures.rolling(
            measures,
            evaluation.periods,
            benchmark=benchmark,
            timeframe=run.timeframe,
        )
    years = years_of(evaluation)
    if len(years) > 1:
        returns = years[["return", "benchmark_return"]].set_axis(["strategy", benchmark], axis=1)
        drawn["years"] = figures.year_bars(
            returns.set_axis([*years["label"]], axis=0), benchmark=benchmark
        )
    return drawn


def cards_block(evaluation: Evaluation, benchmark: str, *, hindsight: bool) -> Block:
    """A card for each period; without periods the block is empty and left out."""
    drawn = cards(list(period_paths(evaluation, benchmark)))
    part = fragment("cards.html", "cards", drawn, benchmark, hindsight) if drawn else None
    return block("cards", "Period by period", part, link="Cards")


def over_time_blocks(
    evaluation: Evaluation, drawn: Mapping[str, Chart], benchmark: str
) -> Iterator[Block]:
    """Year by year, rolling measures, and the worst bars."""
    yield block(
        "years",
        "Year by year",
        drawn.get("years"),
        years_table(evaluation, benchmark),
        link="Years",
    )
    yield block(
        "rolling",
        "Rolling measures",
        drawn.get("rolling")
        or "None are shown: they look back on a year, and the run lasts "
        f"{number(evaluation.years)} years.",
        link="Rolling",
    )
    yield block("worst", "Worst bars", worst_bars_table(evaluation, benchmark), link="Worst")


def _rolling(evaluation: Evaluation) -> pd.DataFrame:
    """Measures over a year, from the first that is defined; no rows for a run of a year or less."""
    if evaluation.years <= 1.0:
        return pd.DataFrame()
    run, year = evaluation.backtest.returns, pd.Timedelta(days=DAYS_PER_YEAR)
    measures = rolling_measures(run, evaluation.benchmark.returns, window=year)
    index = pd.DatetimeIndex(run.index)
    return measures[close_times(index, evaluation.backtest.timeframe) >= index[0] + year]


def years_of(evaluation: Evaluation) -> pd.DataFrame:
    """`year_by_year` of a run, with a ``label`` that marks years it covers only in part."""
    table = year_by_year(evaluation.backtest.returns, evaluation.benchmark.returns)
    start, end = evaluation.span
    opens = pd.to_datetime([f"{year}-01-01" for year in [*table.index, table.index[-1] + 1]])
    edges = opens.tz_localize("UTC")
    part = (edges[:-1] < start) | (edges[1:] > end)
    marks = [", in part" if cut else "" for cut in part]
    return table.assign(label=[f"{y}{mark}" for y, mark in zip(table.index, marks, strict=True)])


def years_table(evaluation: Evaluation, benchmark: str) -> Table:
    """Return and deepest drawdown of each calendar year, beside the benchmark's."""
    years = years_of(evaluation)
    start, end = evaluation.span
    cut = years["label"].str.endswith("part").any()
    return tabulate(
        "years-table",
        years.assign(difference=years["return"] - years["benchmark_return"]),
        (
            texts("Year", lambda row: Cell(text=row["label"], order=float(row["year"]))),
            numbers("strategy", "return", fraction_cell),
            numbers(benchmark, "benchmark_return", fraction_cell),
            numbers("Difference", "difference", fraction_cell),
            numbers("Max drawdown", "max_drawdown", fraction_cell),
            numbers(f"that of {benchmark}", "benchmark_max_drawdown", fraction_cell),
            numbers("Bars", "bars", whole),
        ),
        sortable=True,
        caption="Calendar years, UTC; drawdowns are measured anew from the start of each."
        + (f" In part: the run is from {when(start)} to {when(end)}." if cut else ""),
    )


def worst_bars_table(evaluation: Evaluation, benchmark: str) -> Table:
    """The worst bars of a run, what the benchmark did in them, and the period they lie in."""
    run = evaluation.backtest
    worst = worst_bars(run.returns, evaluation.benchmark.returns, _WORST)
    index = pd.DatetimeIndex(worst.index)
    inside = per_period(index, run.timeframe, evaluation.periods)
    titles = {period.id: period.title for period in evaluation.periods}
    where = [
        "; ".join(titles[name] for name, mask in inside.items() if mask.iloc[row]) or "none"
        for row in range(len(index))
    ]
    room = 30 * timeframe_delta(run.timeframe)
    rows = worst.assign(
        where=where,
        opened=index,
        held=run.ledger["exposure"].shift(fill_value=0.0).loc[index],
    )
    return tabulate(
        "worst-bars-table",
        rows.reset_index(drop=True),
        (
            texts(
                "Bar",
                lambda row: time_cell(
                    row["opened"], zoom=stretch(row["opened"] - room, row["opened"] + room)
                ),
            ),
            numbers("Return", "return", fraction_cell),
            numbers(benchmark, "benchmark_return", fraction_cell),
            numbers("Exposure before", "held", number),
            texts("Deleveraging period", "where"),
        ),
        sortable=True,
        caption="By the open of the bar, UTC; the exposure is that of the close before.",
        empty="No bar had a loss.",
    )
