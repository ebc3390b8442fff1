"""What a run would have come to with one thing changed: the table of counterfactuals."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from delever.report.format import money, number
from delever.report.table import Cell, Column, Table, fraction_cell, number_cell
from delever.research.what_if import AS_RUN, parse_counterfactual

__all__ = ["what_if_table"]


def what_if_table(
    outcomes: Mapping[str, pd.DataFrame], refused: Mapping[str, Mapping[str, str]]
) -> Table:
    """Returns, drawdown and liquidations of runs beside their counterfactuals."""
    rows = []
    for run, table in outcomes.items():
        for name, row in table.iterrows():
            said = refused.get(run, {}).get(str(name)) or _meaning(str(name))
            first = (Cell(text=run if name == AS_RUN else ""),) if len(outcomes) > 1 else ()
            rows.append((*first, Cell(text=str(name), note=said), *_came_to(row)))
    heads = (Column(label="Run", numeric=False),) if len(outcomes) > 1 else ()
    return Table(
        id="what-if-table",
        columns=(
            *heads,
            Column(label="Changed", numeric=False),
            Column(label="Return"),
            Column(label="Inside periods"),
            Column(label="Outside periods"),
            Column(label="Max drawdown"),
            Column(label="Liquidations"),
            Column(label="Final equity"),
        ),
        rows=tuple(rows),
        caption="The same decisions on the same bars, run again with one thing changed. The "
        "strategy is not asked again: it may have decided otherwise.",
    )


def _came_to(row: pd.Series) -> tuple[Cell, ...]:
    fractions = ("total_return", "inside_total_return", "outside_total_return", "max_drawdown")
    return (
        *(fraction_cell(float(row[name])) for name in fractions),
        number_cell(float(row["liquidations"]), lambda count: number(count, 0)),
        number_cell(float(row["final_equity"]), money),
    )


def _meaning(name: str) -> str:
    if name == AS_RUN:
        return ""
    change = parse_counterfactual(name)
    if change.funding_off:
        return "Nobody pays or receives funding."
    if change.leverage is not None:
        return (
            f"Margin at {change.leverage:g}x; where the largest exposure of the run lay beyond it, "
            "which only hindsight knows, all are scaled down."
        )
    return (
        f"Fees and slippage {change.costs_times:g} times as high; rebates, funding and the fee "
        "of a liquidation as they were."
    )
