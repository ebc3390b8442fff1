"""How near a margin account came to liquidation, and what funding came to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from delever.bars import close_times
from delever.deleveraging.period import Period
from delever.report.figures.look import PALETTE, Chart, axis, chart
from delever.report.figures.time_axis import shades, stamps, thin
from delever.report.format import percent, when

_FEW = 200


def margin_figure(
    ledger: pd.DataFrame, close: pd.Series, periods: Sequence[Period], *, timeframe: str
) -> Chart | None:
    """Room to liquidation and cumulated funding; None for a run that knew neither.

    Notes
    -----
    Room is ``abs(liquidation_price / close - 1)`` at each close of a bar: how far the price must
    move to liquidate. The close is the mark where the ledger has one.
    """
    from plotly import graph_objects as go

    if "liquidation_price" not in ledger:
        return None
    reference = ledger.get("mark_price", close)
    panels = {
        "room to liquidation": (ledger["liquidation_price"] / reference - 1.0).abs(),
        "funding, cumulated": ledger["funding"].cumsum(),
    }
    shown = {name: line for name, line in panels.items() if (line.fillna(0.0) != 0.0).any()}
    if not shown:
        return None
    table = pd.DataFrame(shown)
    kept = thin(table.to_numpy())
    closes = close_times(pd.DatetimeIndex(table.index), timeframe)
    traces = [
        {
            **{"type": "scatter", "name": name, "showlegend": False},
            # A line shows no bar that stands alone between gaps.
            "mode": "lines+markers" if table[name].count() < _FEW else "lines",
            "marker": {"size": 4},
            "x": stamps(closes[kept]),
            "y": table[name].to_numpy()[kept],
            "xaxis": "x",
            "yaxis": "y" if place == 0 else "y2",
            "line": {"color": PALETTE[place], "width": 1.4},
            "hovertemplate": "%{y:.1%}" if name.startswith("room") else "%{y:,.0f}",
        }
        for place, name in enumerate(table.columns)
    ]
    layout: dict[str, Any] = {
        "xaxis": {"type": "date", "hoverformat": "%Y-%m-%d %H:%M UTC", "anchor": f"y{len(shown)}"},
        "hovermode": "x unified",
        "shapes": shades(periods, table.index[0], closes[-1]),
    }
    if len(shown) == 1:
        layout["xaxis"].pop("anchor")
    spans = [(0.54, 1.0), (0.0, 0.46)] if len(shown) == 2 else [(0.0, 1.0)]
    for name, span, key in zip(shown, spans, ("yaxis", "yaxis2"), strict=False):
        form = ".0%" if name.startswith("room") else ","
        layout[key] = axis(name, form, domain=span, nticks=5, rangemode="tozero")
    figure = go.Figure(data=traces, layout=layout)
    return chart(
        "fig-margin",
        "Room to liquidation and funding" if len(shown) == 2 else next(iter(shown)).capitalize(),
        figure,
        height=200 + 170 * (len(shown) - 1),
        caption=_caption(shown),
    )


def _caption(shown: dict[str, pd.Series]) -> str:
    said = []
    room = shown.get("room to liquidation")
    if room is not None:
        least = pd.DatetimeIndex(room.index)[int(room.argmin())]
        said.append(
            "Room: how far the price must move from the close to liquidate the position; a gap "
            f"while there is none. Least at a close: {percent(float(room.min()))}, in the bar of "
            f"{when(least)}; inside bars it may have been less."
        )
    funding = shown.get("funding, cumulated")
    if funding is not None:
        way = "received" if float(np.asarray(funding)[-1]) > 0.0 else "paid"
        said.append(f"Funding in quote currency, below 0 where paid; in all it was {way}.")
    return " ".join(said)
