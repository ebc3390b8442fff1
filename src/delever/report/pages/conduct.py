"""What a strategy looked at and what it did: figures and blocks of the tear-sheet."""

from __future__ import annotations

from delever.report import figures
from delever.report.figures import Chart
from delever.research.evaluation import Evaluation


def conduct_charts(evaluation: Evaluation, benchmark: str) -> dict[str, Chart]:
    """Figures of what a strategy saw and did, by name; those with nothing to draw are left out."""
    run = evaluation.backtest
    return {
        "price": figures.price_figure(
            evaluation.bars["close"],
            evaluation.lines,
            run.trades,
            evaluation.periods,
            timeframe=run.timeframe,
        )
    }
