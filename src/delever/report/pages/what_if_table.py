"""What a run would have come to with one thing changed: the table of counterfactuals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from delever.report.format import money, whole
from delever.report.table import Cell, Table, fraction_cell, numbers, tabulate, texts
from delever.research.what_if import AS_RUN, parse_counterfactual

__all__ = ["what_if_table"]


def what_if_table(
    outcomes: Mapping[str, pd.DataFrame], refused: Mapping[str, Mapping[str, str]]
) -> Table:
    """Returns, drawdown and liquidations of runs beside their counterfactuals."""
    rows = [
        {"run": run, "said": refused.get(run, {}).get(row["counterfactual"]), **row}
        for run, table in outcomes.items()
        for row in table.rename_axis("counterfactual").reset_index().to_dict("records")
    ]
    return tabulate(
        "what-if-table",
        rows,
        (
            *([texts("Run", _run)] if len(outcomes) > 1 else []),
            texts("Changed", _changed),
            numbers("Return", "total_return", fraction_cell),
            numbers("Inside periods", "inside_total_return", fraction_cell),
            numbers("Outside periods", "outside_total_return", fraction_cell),
            numbers("Max drawdown", "max_drawdown", fraction_cell),
            numbers("Liquidations", "liquidations", whole),
            numbers("Final equity", "final_equity", money),
        ),
        caption="The same decisions on the same bars, run again with one thing changed. The "
        "strategy is not asked again: it may have decided otherwise.",
    )


def _run(row: Mapping[str, Any]) -> str:
    return str(row["run"]) if row["counterfactual"] == AS_RUN else ""


def _changed(row: Mapping[str, Any]) -> Cell:
    name = row["counterfactual"]
    return Cell(text=name, note=row["said"] or _meaning(name))


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
