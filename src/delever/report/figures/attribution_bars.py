"""What made the change in equity, as stacked bars."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import pandas as pd

from delever.report.figures.look import BENCHMARK, LEGEND, PALETTE, Chart, chart

_COLOURS = {
    "price_pnl": PALETTE[0],
    "funding": PALETTE[2],
    "fee": PALETTE[4],
    "slippage": PALETTE[3],
    "borrow": PALETTE[5],
    "liquidation": PALETTE[1],
    "collateral": BENCHMARK,
}
_DIAMOND = {
    **{"symbol": "diamond", "size": 9, "color": "#ffffff"},
    "line": {"width": 2, "color": "#2b2f36"},
}


def attribution_bars(
    scopes: pd.DataFrame, periods: pd.DataFrame, *, parts: Mapping[str, str]
) -> Chart:
    """Draw the parts of each scope in money, and of each period as fractions of its equity."""
    from plotly.subplots import make_subplots

    both = bool(periods["change"].notna().any())
    figure = make_subplots(
        rows=1,
        cols=2 if both else 1,
        column_widths=[0.3, 0.7] if both else None,
        horizontal_spacing=0.09,
    )
    panels = [(scopes, ",.0f"), (periods, ".1%")][: 1 + both]
    for column, (table, form) in enumerate(panels, start=1):
        labels = [escape(str(label)) for label in table.index]
        place = {"row": 1, "col": column, "showlegend": column == 1, "x": labels}
        for name, said in parts.items():
            figure.add_bar(
                y=table[name].to_numpy(dtype="float64"),
                name=said,
                legendgroup=name,
                marker={"color": _COLOURS[name], "line": {"width": 0}},
                hovertemplate="%{x}: %{y:" + form + "}<extra>" + said + "</extra>",
                **place,
            )
        figure.add_scatter(
            y=table["change"].to_numpy(dtype="float64"),
            name="change of equity",
            legendgroup="change",
            mode="markers",
            marker=_DIAMOND,
            hovertemplate="%{x}: %{y:" + form + "}<extra>change of equity</extra>",
            **place,
        )
    figure.update_layout(barmode="relative", bargap=0.35, legend=LEGEND, margin={"t": 40})
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(title_text="quote currency", tickformat="~s", col=1)
    if both:
        figure.update_yaxes(title_text="of equity before the period", tickformat=".0%", col=2)
    return chart(
        "fig-attribution",
        "What made the result",
        figure,
        min_width=(360 + 40 * len(periods)) if both else 0,
        caption="Bars above zero added to equity, those below took from it; the diamond is their "
        "sum." + (" Left in money, right as a share of the equity at each period's start, so the "
        "diamond is the return in the period." if both else ""),
    )  # fmt: skip
