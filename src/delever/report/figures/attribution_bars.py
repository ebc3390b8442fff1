"""What made the change in equity, as stacked bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from delever.report.figures.look import BENCHMARK, LEGEND, PALETTE, Chart, dressed

__all__ = ["attribution_bars"]

_COLOURS = {
    "price_pnl": PALETTE[0],
    "funding": PALETTE[2],
    "fee": PALETTE[4],
    "slippage": PALETTE[3],
    "borrow": PALETTE[5],
    "liquidation": PALETTE[1],
    "collateral": BENCHMARK,
}
_NET = "#2b2f36"


def attribution_bars(
    scopes: pd.DataFrame, periods: pd.DataFrame, *, parts: Mapping[str, str]
) -> Chart:
    """Draw the parts of each scope in money, and of each period as fractions of its equity."""
    from plotly.subplots import make_subplots

    both = len(periods) > 0
    figure = make_subplots(
        rows=1,
        cols=2 if both else 1,
        column_widths=[0.3, 0.7] if both else None,
        horizontal_spacing=0.09,
    )
    panels = [(scopes, ",.0f"), (periods, ".1%")][: 1 + both]
    for column, (table, form) in enumerate(panels, start=1):
        labels = [escape(str(label)) for label in table.index]
        for name, said in parts.items():
            _stack(figure, column, labels, table[name], name, said, form)
        _mark(figure, column, labels, table["change"], form)
    figure.update_layout(
        barmode="relative",
        bargap=0.35,
        legend=LEGEND,
        margin={"t": 40},
    )
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(title_text="quote currency", tickformat="~s", col=1)
    if both:
        figure.update_yaxes(title_text="of equity before the period", tickformat=".0%", col=2)
    return Chart(
        id="fig-attribution",
        title="What made the result",
        figure=dressed(figure, height=380),
        caption="Bars above zero added to equity, those below took from it; the diamond is their "
        "sum." + (" Left in money, right as a share of the equity at each period's start, so the "
        "diamond is the return in the period." if both else ""),
    )  # fmt: skip


def _stack(
    figure: Any,
    column: int,
    labels: Sequence[str],
    amounts: pd.Series,
    name: str,
    said: str,
    form: str,
) -> None:
    figure.add_bar(
        x=list(labels),
        y=amounts.to_numpy(dtype="float64"),
        name=said,
        legendgroup=name,
        showlegend=column == 1,
        marker={"color": _COLOURS[name], "line": {"width": 0}},
        hovertemplate="%{x}: %{y:" + form + "}<extra>" + said + "</extra>",
        row=1,
        col=column,
    )


def _mark(figure: Any, column: int, labels: Sequence[str], amounts: pd.Series, form: str) -> None:
    figure.add_scatter(
        x=list(labels),
        y=amounts.to_numpy(dtype="float64"),
        name="change of equity",
        legendgroup="change",
        showlegend=column == 1,
        mode="markers",
        marker={
            "symbol": "diamond",
            "size": 9,
            "color": "#ffffff",
            "line": {"width": 2, "color": _NET},
        },
        hovertemplate="%{x}: %{y:" + form + "}<extra>change of equity</extra>",
        row=1,
        col=column,
    )
