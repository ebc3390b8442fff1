"""Tables of one run by several engines, the same on a page and in a terminal."""

from __future__ import annotations

import pandas as pd

from delever.report.format import number, percent, points
from delever.report.table import Table, numbers, tabulate, texts


def engines_table(engines: pd.DataFrame) -> Table:
    """The figures of each engine."""
    return tabulate(
        "engines",
        engines,
        (
            texts("Engine", "index"),
            numbers("Total return", "total_return", percent),
            numbers("Sharpe ratio", "sharpe_ratio", lambda ratio: number(ratio, 4)),
            numbers("Max drawdown", "max_drawdown", percent),
            numbers("Apart", "apart", lambda share: f"{share:.0e}" if share else "0"),
        ),
        caption="Apart: the largest difference of equity from this engine's in any bar, of it.",
    )


def steps_table(steps: pd.DataFrame) -> Table:
    """What sets vectorbt apart, a step a row."""
    return tabulate(
        "steps",
        steps,
        (
            texts("What is changed", "index"),
            numbers("Points of return", "points", points),
            numbers("Sharpe ratio", "sharpe_ratio", lambda ratio: number(ratio, 4)),
            numbers("Max drawdown", "max_drawdown", lambda fall: f"{points(fall)} points"),
        ),
        caption="From vectorbt as it comes to this engine; they add up to the difference.",
    )
