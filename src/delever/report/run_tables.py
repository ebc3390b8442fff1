"""Tables of what a run did and was charged: trades, drawdowns, attribution, costs, reports."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from delever.events.catalog import Period
from delever.market.execution import Costs
from delever.report.format import day, money, number, percent, price, reported, when
from delever.report.table import Cell, Column, Table, fraction_cell, number_cell
from delever.sim.backtest import Backtest
from delever.stats.drawdowns import deepest_drawdowns

__all__ = ["attribution_table", "costs_table", "drawdowns_table", "figures_table", "trades_table"]

_PARTS = {
    "price_pnl": "Price moves",
    "fee": "Fees",
    "slippage": "Slippage",
    "liquidation": "Liquidation: margin lost, or loss not borne",
    "funding": "Funding",
    "borrow": "Borrow",
}
_TRADES_SHOWN = 25


def attribution_table(backtest: Backtest, benchmark: Backtest, name: str) -> Table:
    """What made the change in equity.

    Parameters
    ----------
    backtest, benchmark : Backtest
        Over the same bars.
    name : str
        What the benchmark is called.

    Returns
    -------
    Table
        The parts, from the starting to the final equity.
    """
    runs = (backtest, benchmark)
    rows = [("Starting equity", [run.initial_equity for run in runs])]
    for part in backtest.attribution.index:
        label = _PARTS.get(str(part), str(part).replace("_", " ").capitalize())
        rows.append((label, [float(run.attribution.get(part, 0.0)) for run in runs]))
    rows.append(("Final equity", [float(run.equity.iloc[-1]) for run in runs]))
    return Table(
        id="attribution",
        columns=(
            Column(label="Quote currency", numeric=False),
            Column(label="strategy"),
            Column(label=name),
        ),
        rows=tuple(
            (Cell(text=label), *(number_cell(amount, money) for amount in amounts))
            for label, amounts in rows
        ),
        caption="Price moves are measured at the opens and closes of the data; fees and slippage "
        "are what trading took from them.",
    )


def costs_table(costs: Costs) -> Table:
    """What a fill costs.

    Parameters
    ----------
    costs : Costs
        Fractions of notional.

    Returns
    -------
    Table
    """
    rows = (
        ("Taker fee", percent(costs.taker_fee, 3)),
        ("Maker fee", percent(costs.maker_fee, 3)),
        ("Slippage", percent(costs.slippage, 3)),
        ("Orders pay the fee of a", costs.liquidity),
    )
    return Table(
        id="costs",
        columns=(Column(label="Costs of a fill", numeric=False), Column(label="of its notional")),
        rows=tuple((Cell(text=label), Cell(text=text)) for label, text in rows),
    )


def drawdowns_table(backtest: Backtest) -> Table:
    """The deepest drawdowns of a run.

    Parameters
    ----------
    backtest : Backtest
        The run.

    Returns
    -------
    Table
        Deepest first; at most ten.
    """
    rows = tuple(
        (
            fraction_cell(float(row["depth"])),
            Cell(text=when(row["start"])),
            Cell(text=when(row["trough"])),
            Cell(text="not yet" if pd.isna(row["recovery"]) else when(row["recovery"])),
            number_cell(float(row["length"]), lambda bars: number(bars, 0)),
        )
        for _, row in deepest_drawdowns(backtest.returns, 10).iterrows()
    )
    return Table(
        id="drawdowns",
        columns=(
            Column(label="Depth"),
            Column(label="Peak", numeric=False),
            Column(label="Trough", numeric=False),
            Column(label="Recovered", numeric=False),
            Column(label=f"Length, bars of {backtest.timeframe}"),
        ),
        rows=rows,
        caption="Dates are the open of the bar at whose close the event stood, UTC.",
    )


def figures_table(periods: Sequence[Period]) -> Table:
    """What was reported about the periods, sources that disagree side by side.

    Parameters
    ----------
    periods : sequence of Period
        With their figures.

    Returns
    -------
    Table
    """
    rows = []
    for period in periods:
        for place, figure in enumerate(period.figures):
            dated = "" if figure.as_of is None else f", as of {day(figure.as_of)}"
            rows.append(
                (
                    Cell(text=period.title if place == 0 else ""),
                    Cell(text=figure.name),
                    Cell(text=reported(figure.value, figure.unit)),
                    Cell(text=figure.definition),
                    Cell(text=figure.source + dated),
                )
            )
    return Table(
        id="figures",
        columns=(
            Column(label="Period", numeric=False),
            Column(label="Figure", numeric=False),
            Column(label="Value"),
            Column(label="What it counts", numeric=False),
            Column(label="Source", numeric=False, links=True),
        ),
        rows=tuple(rows),
        caption="As each source defines it; sources disagree and none of these numbers enters "
        "a metric.",
    )


def trades_table(backtest: Backtest) -> Table:
    """Every round trip of a run.

    Parameters
    ----------
    backtest : Backtest
        The run.

    Returns
    -------
    Table
        Sortable; the first rows are shown until all are asked for.
    """
    rows = tuple(_trade(trade) for _, trade in backtest.trades.iterrows())
    texts = {"Entry", "Exit", "Side", "Status"}
    labels = (
        *("Entry", "Exit", "Side", "Entry price", "Exit price", "Bars"),
        *("Return", "Net PnL", "Fees", "Slippage", "Status"),
    )
    return Table(
        id="trades",
        columns=tuple(Column(label=label, numeric=label not in texts) for label in labels),
        rows=rows,
        sortable=True,
        limit=_TRADES_SHOWN,
        caption="Prices are averages over fills, slippage included; return is net PnL per equity "
        "at entry. A trade still open is valued at the last close.",
    )


def _trade(trade: pd.Series) -> tuple[Cell, ...]:
    left = trade["exit_time"]
    return (
        Cell(text=when(trade["entry_time"]), order=f"{trade['entry_time']:%Y-%m-%d %H:%M}"),
        Cell(text=when(left), order=None if pd.isna(left) else f"{left:%Y-%m-%d %H:%M}"),
        Cell(text="long" if trade["side"] > 0 else "short", order=float(trade["side"])),
        number_cell(float(trade["entry_price"]), price),
        number_cell(float(trade["exit_price"]), price),
        number_cell(float(trade["bars"]), lambda bars: number(bars, 0)),
        fraction_cell(float(trade["return"])),
        number_cell(float(trade["net_pnl"]), money),
        number_cell(float(trade["fee"]), money),
        number_cell(float(trade["slippage"]), money),
        Cell(text=str(trade["status"]), order=str(trade["status"])),
    )
