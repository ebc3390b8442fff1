"""Sharpe ratio, volatility, beta and correlation over a window that moves with time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from delever.deleveraging.period import Period
from delever.report.figures.look import Chart, lines
from delever.report.figures.panels import stacked

_POINTS: Final = 700
"""Values that are drawn: those of neighbouring bars share nearly all of their window."""
_PANELS: Final = (
    ("sharpe_ratio", "Sharpe ratio", ".1f", "%{y:.2f}"),
    ("volatility", "volatility", ".0%", "%{y:.1%}"),
    ("beta", "beta", ".1f", "%{y:.2f}"),
    ("correlation", "correlation", ".1f", "%{y:.2f}"),
)


def rolling(
    measures: pd.DataFrame,
    periods: Sequence[Period],
    *,
    benchmark: str,
    timeframe: str,
) -> Chart:
    """Measures of `delever.stats.over_time.rolling_measures` since the first one is defined."""
    places = np.unique(np.linspace(0, len(measures) - 1, min(_POINTS, len(measures))).astype(int))
    shown = measures.iloc[places]
    panels = {}
    for column, title, form, hover in _PANELS:
        drawn = shown.filter([f"benchmark_{column}", column])
        if drawn.notna().any(axis=None):
            called = {f"benchmark_{column}": benchmark, column: "strategy"}
            panels[title] = (drawn.rename(columns=called), form, hover)
    return stacked(
        "fig-rolling",
        "Rolling measures",
        panels,
        periods,
        timeframe=timeframe,
        height=100 + 115 * len(panels),
        gap=0.032,
        styles=lines(["strategy", benchmark], benchmark),
        caption="Each value looks back on a year of 365 days; the first stands at its end. Beta "
        f"and correlation are to {benchmark}. A gap: no return differed from the next.",
    )
