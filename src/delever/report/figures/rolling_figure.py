"""Sharpe ratio, volatility, beta and correlation over a window that moves with time."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
import pandas as pd

from delever.bars import close_times
from delever.deleveraging.period import Period
from delever.report.figures.look import LEGEND, Chart, chart, lines
from delever.report.figures.time_axis import shades, stamps

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
    name: str,
    benchmark: str,
    timeframe: str,
    window: str,
) -> Chart:
    """Measures of `delever.stats.over_time.rolling_measures` since the first one is defined."""
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=len(_PANELS), cols=1, shared_xaxes=True, vertical_spacing=0.03)
    places = np.unique(np.linspace(0, len(measures) - 1, min(_POINTS, len(measures))).astype(int))
    shown = measures.iloc[places]
    closes = close_times(pd.DatetimeIndex(shown.index), timeframe)
    styles = lines([name, benchmark], benchmark)
    for row, (column, title, form, hover) in enumerate(_PANELS, start=1):
        for whose, key in ((benchmark, f"benchmark_{column}"), (name, column)):
            if key in shown:
                figure.add_scatter(
                    x=stamps(closes),
                    y=shown[key].to_numpy(),
                    name=escape(whose),
                    mode="lines",
                    line=styles[whose],
                    legendgroup=escape(whose),
                    showlegend=row == 1,
                    hovertemplate=hover,
                    row=row,
                    col=1,
                )
        figure.update_yaxes(title_text=title, tickformat=form, nticks=5, row=row, col=1)
    figure.update_xaxes(type="date", hoverformat="%Y-%m-%d %H:%M UTC")
    figure.update_layout(
        hovermode="x unified",
        hoversubplots="axis",
        legend=LEGEND | {"traceorder": "reversed"},
        shapes=shades(periods, closes[0], closes[-1]),
        margin={"t": 34},
    )
    return chart(
        "fig-rolling",
        "Rolling measures",
        figure,
        height=560,
        caption=f"Each value looks back on {window}; the first stands at its end. Beta and "
        f"correlation are to {benchmark}. A gap: no return differed from the next.",
    )
