"""Sharpe ratio, volatility, beta and correlation over a window that moves with time."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd

from delever.bars import close_times
from delever.deleveraging.period import Period
from delever.report.figures.look import LEGEND, Chart, axis, chart, lines
from delever.report.figures.time_axis import shades, stamps

_POINTS: Final = 700
"""Values that are drawn: those of neighbouring bars share nearly all of their window."""
_GAP: Final = 0.032
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
    from plotly import graph_objects as go

    places = np.unique(np.linspace(0, len(measures) - 1, min(_POINTS, len(measures))).astype(int))
    shown = measures.iloc[places]
    closes = close_times(pd.DatetimeIndex(shown.index), timeframe)
    styles, dates = lines([name, benchmark], benchmark), stamps(closes)
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    panels = [panel for panel in _PANELS if shown.filter(like=panel[0]).notna().any(axis=None)]
    height = (1.0 - _GAP * (len(panels) - 1)) / max(len(panels), 1)
    for row, (column, title, form, hover) in enumerate(panels, start=1):
        place = "" if row == 1 else str(row)
        top = 1.0 - (row - 1) * (height + _GAP)
        layout[f"yaxis{place}"] = axis(title, form, nticks=5, domain=[max(top - height, 0.0), top])
        for whose, key in ((benchmark, f"benchmark_{column}"), (name, column)):
            if key not in shown:
                continue
            traces.append(
                {
                    **{"type": "scatter", "mode": "lines", "x": dates, "y": shown[key].to_numpy()},
                    **{"name": escape(whose), "legendgroup": escape(whose), "line": styles[whose]},
                    **{"xaxis": "x", "yaxis": f"y{place}", "showlegend": row == 1},
                    "hovertemplate": hover,
                }
            )
    layout |= {
        "xaxis": {
            **{"type": "date", "hoverformat": "%Y-%m-%d %H:%M UTC"},
            "anchor": f"y{len(panels)}" if len(panels) > 1 else "y",
        },
        "hovermode": "x unified",
        "legend": LEGEND | {"traceorder": "reversed"},
        "shapes": shades(periods, closes[0], closes[-1]),
        "margin": {"t": 34},
    }
    figure = go.Figure(data=traces, layout=layout)
    return chart(
        "fig-rolling",
        "Rolling measures",
        figure,
        height=100 + 115 * len(panels),
        caption=f"Each value looks back on {window}; the first stands at its end. Beta and "
        f"correlation are to {benchmark}. A gap: no return differed from the next.",
    )
