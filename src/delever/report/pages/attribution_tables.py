"""Tables of what made the change in equity: beside the benchmark, and scope by scope."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from delever.deleveraging.period import Period
from delever.engine.backtest import Backtest
from delever.report.format import money
from delever.report.pages.metric_tables import SCOPE_LABELS, period_dates, period_labels
from delever.report.table import Cell, Column, Table, fraction_cell, number_cell

__all__ = ["attribution_table", "parts_shown", "scopes_table"]

_SHORT = {
    "price_pnl": "Price moves",
    "funding": "Funding",
    "fee": "Fees",
    "slippage": "Slippage",
    "borrow": "Borrow",
    "liquidation": "Liquidation",
    "collateral": "Collateral",
}
_PARTS = _SHORT | {
    "liquidation": "Liquidation: margin lost, or loss not borne",
    "collateral": "Collateral: what the coins held gained",
}


def attribution_table(backtest: Backtest, benchmark: Backtest, name: str) -> Table:
    """What made the change in equity."""
    runs = (backtest, benchmark)
    rows = [("Starting equity", [run.initial_equity for run in runs])]
    for part in backtest.attribution.index:
        rows.append((_PARTS[str(part)], [float(run.attribution.get(part, 0.0)) for run in runs]))
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


def parts_shown(table: pd.DataFrame) -> dict[str, str]:
    """Parts of an attribution worth a column, and what they are called."""
    names = {name: said for name, said in _SHORT.items() if name in table}
    seldom = [name for name in ("borrow", "liquidation") if name in names]
    return {name: said for name, said in names.items() if name not in seldom or table[name].any()}


def scopes_table(table: pd.DataFrame, periods: Sequence[Period]) -> Table:
    """What made the change in equity, inside and outside the periods and in each of them."""
    labels = period_labels(periods)
    about = {scope: Cell(text=label) for scope, label in SCOPE_LABELS.items()}
    for period in periods:
        about[period.id] = Cell(
            text=labels[period.id], title=f"{period.title}, {period_dates(period)}"
        )
    shown = parts_shown(table)
    rows = []
    for scope, row in table.iterrows():
        change = number_cell(float(row["change"]), money)
        before = float(row["equity_before"])
        rows.append(
            (
                about[str(scope)],
                *(number_cell(float(row[part]), money) for part in shown),
                replace(change, tone="loss" if row["change"] < 0 else ""),
                Cell(text="") if math.isnan(before) else number_cell(before, money),
                _return(float(row["change"]), before),
            )
        )
    zero = [said.lower() for name, said in _SHORT.items() if name in table and name not in shown]
    return Table(
        id="parts-by-scope",
        columns=(
            Column(label="Quote currency", numeric=False),
            *(Column(label=said) for said in shown.values()),
            Column(label="Change of equity"),
            Column(label="Equity before"),
            Column(label="Return"),
        ),
        rows=tuple(rows),
        caption="Each row adds up to its change of equity, and inside and outside to the whole. "
        "Bars that two periods share count in both."
        + (f" Nothing came of {' or '.join(zero)} beside fees and price moves." if zero else ""),
    )


def _return(change: float, before: float) -> Cell:
    if math.isnan(before):
        return Cell(text="")
    return fraction_cell(change / before if before > 0.0 else math.nan)
