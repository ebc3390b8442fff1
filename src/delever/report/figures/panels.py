"""Lines over time in panels one below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd

from delever.bars import close_times
from delever.deleveraging.period import Period
from delever.report.figures.look import LEGEND, PALETTE, Chart, axis, chart
from delever.report.figures.time_axis import shades, stamps, thin

_FEW: Final = 200
_DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")

Panel = tuple[pd.DataFrame, str, str]
"""A line per column, the format of the axis, and what is said where one points at a line."""


def stacked(
    id_: str,
    title: str,
    panels: Mapping[str, Panel],
    periods: Sequence[Period],
    *,
    timeframe: str,
    caption: str,
    height: int,
    gap: float = 0.07,
    log: str = "",
    styles: Mapping[str, Mapping[str, Any]] | None = None,
) -> Chart:
    """Draw panels by their titles, with periods shaded; of one line each there is no legend."""
    from plotly import graph_objects as go

    whole = pd.concat([table for table, _, _ in panels.values()], axis=1)
    kept, index = thin(whole.to_numpy(dtype="float64")), pd.DatetimeIndex(whole.index)
    closes = close_times(index, timeframe)
    dates, many = stamps(closes[kept]), any(len(table.columns) > 1 for table, *_ in panels.values())
    tall = (1.0 - gap * (len(panels) - 1)) / len(panels)
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    for row, (said, (table, form, hover)) in enumerate(panels.items()):
        place, top = "" if row == 0 else str(row + 1), 1.0 - row * (tall + gap)
        kind = {"type": "log"} if said == log else {}
        layout[f"yaxis{place}"] = axis(
            said, form, nticks=5, domain=[max(top - tall, 0.0), top], **kind
        )
        for turn, name in enumerate(table.columns):
            values = table[name].to_numpy(dtype="float64")
            own = {
                "color": PALETTE[(turn if many else row) % len(PALETTE)],
                "width": 1.4,
                "dash": _DASHES[turn % len(_DASHES)],
            }
            traces.append(
                {
                    **{"type": "scatter", "name": escape(str(name)), "legendgroup": str(name)},
                    # A line shows no bar that stands alone between gaps.
                    "mode": "lines+markers" if np.isfinite(values).sum() < _FEW else "lines",
                    **{"marker": {"size": 3}, "showlegend": many and row == 0},
                    **{"x": dates, "y": values[kept], "xaxis": "x", "yaxis": f"y{place}"},
                    "line": own if styles is None else styles[str(name)],
                    "hovertemplate": hover,
                }
            )
    layout |= {
        "xaxis": {
            **{"type": "date", "hoverformat": "%Y-%m-%d %H:%M UTC"},
            "anchor": f"y{len(panels)}" if len(panels) > 1 else "y",
        },
        "hovermode": "x unified",
        "legend": LEGEND if styles is None else LEGEND | {"traceorder": "reversed"},
        "shapes": shades(periods, index[0], closes[-1]),
        "margin": {"t": 34},
    }
    return chart(id_, title, go.Figure(data=traces, layout=layout), height=height, caption=caption)
