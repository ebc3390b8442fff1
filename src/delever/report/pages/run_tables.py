"""Tables of what a run did: trades, drawdowns, and what was reported about its periods."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from delever.deleveraging.period import Period
from delever.engine.backtest import Backtest
from delever.report.format import day, money, number, price, reported, when
from delever.report.table import Cell, Column, Table, fraction_cell, number_cell
from delever.stats.drawdowns import deepest_drawdowns

__all__ = ["drawdowns_table", "figures_table", "trades_table"]

_TRADES_SHOWN = 25


def drawdowns_table(backtest: Backtest) -> Table:
    """The deepest drawdowns of a run."""
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
    """What was reported about the periods, sources that disagree side by side."""
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
    """Every round trip of a run."""
    rows = tuple(_trade(trade) for _, trade in backtest.trades.iterrows())
    texts = {"Entry", "Exit", "Side", "Status"}
    funded = "funding" in backtest.trades
    labels = (
        *("Entry", "Exit", "Side", "Entry price", "Exit price", "Bars"),
        *("Return", "Net PnL", "Fees", "Slippage"),
        *(("Funding", "Liquidation") if funded else ()),
        "Status",
    )
    return Table(
        id="trades",
        columns=tuple(Column(label=label, numeric=label not in texts) for label in labels),
        rows=rows,
        sortable=True,
        limit=_TRADES_SHOWN,
        caption="Prices are averages over fills, slippage included; return is net PnL per equity "
        "at entry. A trade still open is valued at the last close."
        + (" Liquidation: margin lost to the insurance fund, or loss it bore." if funded else ""),
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
        *(
            number_cell(float(trade[part]), money)
            for part in ("funding", "liquidation")
            if "funding" in trade
        ),
        _ended(trade),
    )


def _ended(trade: pd.Series) -> Cell:
    """Status of a trade, and in a margin account what closed it where no target did."""
    status, reason = str(trade["status"]), str(trade.get("exit_reason", ""))
    why = reason.replace("_", " ") if reason not in ("", "target", "liquidation") else ""
    return Cell(text=f"{status}, {why}" if why else status, order=status)
