"""How returns spread: over months, over bars, and over deleveraging periods."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from delever.arguments import counted
from delever.report.figures.look import (
    LEGEND,
    PALETTE,
    SCALE,
    SHADE,
    Chart,
    axis,
    chart,
    choices,
    lines,
)
from delever.report.format import percent, whole_percent
from delever.stats.returns import monthly_returns, yearly_returns

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_BINS = 41
_STEEP = 3.0
_GONE = -0.99
_MARKS = (-0.99, -0.9, -0.75, -0.5, 0.0, 1.0, 3.0, 9.0, 31.0, 99.0, 999.0, 9_999.0)


def monthly(returns: Mapping[str, pd.Series]) -> Chart:
    """Heat map of monthly and yearly returns, one run at a time."""
    from plotly import graph_objects as go

    figure = go.Figure()
    columns = [*(f"{pd.Timestamp(2000, month, 1):%b}" for month in range(1, 13)), "Year"]
    years: list[str] = []
    for position, (name, series) in enumerate(returns.items()):
        table = monthly_returns(series).assign(year=yearly_returns(series))
        grid = table.to_numpy(dtype="float64")
        years = [str(year) for year in table.index]
        figure.add_heatmap(
            z=grid,
            x=columns,
            y=years,
            visible=position == 0,
            text=[["" if np.isnan(cell) else percent(cell) for cell in row] for row in grid],
            texttemplate="%{text}",
            textfont={"size": 11},
            hovertemplate="%{y} %{x}: %{text}<extra>" + escape(name) + "</extra>",
            hoverongaps=False,
            coloraxis="coloraxis",
            xgap=2,
            ygap=2,
        )
    flat = {"type": "category", "showgrid": False, "fixedrange": True, "ticks": ""}
    figure.update_layout(
        coloraxis={"colorscale": SCALE, "cmin": -0.4, "cmax": 0.4, "showscale": False},
        xaxis=flat | {"side": "top"},
        yaxis=flat | {"autorange": "reversed"},
        margin={"t": 30, "b": 8},
    )
    shown = {name: {"visible": [other == name for other in returns]} for name in returns}
    choices(figure, "restyle", shown)
    return chart(
        "fig-monthly",
        "Monthly returns",
        figure,
        height=42 + 26 * max(len(years), 2),
        min_width=700,
        caption="Compounded within the calendar month and year, UTC; the first and the last may "
        "be cut. Colour saturates at 40% either way.",
    )


def distribution(inside: pd.Series, outside: pd.Series) -> Chart:
    """Histogram of the returns per bar inside and outside deleveraging periods."""
    from plotly import graph_objects as go

    figure = go.Figure()
    together = pd.concat([inside, outside]).abs().dropna()
    edge = float(together.quantile(0.995)) if len(together) else 0.0
    edge = edge or 0.01
    edges = np.linspace(-edge, edge, _BINS + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    for name, sample, colour in (("outside", outside, PALETTE[0]), ("inside", inside, SHADE)):
        counts, _ = np.histogram(sample.dropna().clip(-edge, edge), edges)
        if not counts.sum():
            continue
        figure.add_bar(
            x=centres,
            y=counts / counts.sum(),
            name=f"{name} ({counted(counts.sum(), 'bar')})",
            marker={"color": colour, "line": {"width": 0}},
            opacity=0.62,
            hovertemplate="around %{x:.2%}: %{y:.1%} of the bars<extra>" + name + "</extra>",
        )
    figure.update_layout(
        barmode="overlay",
        bargap=0.04,
        xaxis=axis("return of a bar", ".0%" if edge > 0.04 else ".1%"),
        yaxis=axis("share of bars", ".0%"),
        legend={"x": 0.99, "y": 0.98, "xanchor": "right", "yanchor": "top"},
        margin={"t": 14},
    )
    return chart(
        "fig-distribution",
        "Returns of bars, inside and outside the periods",
        figure,
        height=340,
        caption="Only bars with a position. The outermost bars gather everything beyond.",
        empty="No bar had a position.",
    )


def period_bars(returns: pd.DataFrame, *, benchmark: str | None) -> Chart:
    """Return of each run in each deleveraging period."""
    figure = _bars(returns, benchmark, "return in the period")
    wide = 80 + 16 * max(returns.size, 12)
    return chart("fig-periods", "Return in each period", figure, height=330, min_width=wide)


def year_bars(returns: pd.DataFrame, *, benchmark: str | None) -> Chart:
    """Return of each run in each calendar year; heights are logarithmic where years differ much."""
    figure = _bars(returns, benchmark, "return in the year")
    caption = ""
    values = returns.to_numpy(dtype="float64")
    if np.nanmax(values) > _STEEP:
        for bar in figure.data:
            bar.customdata = bar.y
            bar.y = np.log1p(np.maximum(np.asarray(bar.y, dtype="float64"), _GONE))
            bar.hovertemplate = bar.hovertemplate.replace("%{y:", "%{customdata:")
        least, most = min(np.nanmin(values), 0.0), np.nanmax(values)
        marks = [mark for mark in _MARKS if least <= mark <= most]
        figure.update_yaxes(tickvals=np.log1p(marks), ticktext=[whole_percent(m) for m in marks])
        caption = "On a logarithmic scale: a fall of half is as long as a rise to twice."
    return chart("fig-years", "Year by year", figure, height=320, caption=caption)


def _bars(returns: pd.DataFrame, benchmark: str | None, title: str) -> Figure:
    from plotly import graph_objects as go

    figure = go.Figure()
    for name, line in lines(list(returns.columns), benchmark).items():
        figure.add_bar(
            x=[escape(str(label)) for label in returns.index],
            y=returns[name].to_numpy(dtype="float64"),
            name=escape(name),
            marker={"color": line["color"]},
            hovertemplate="%{x}: %{y:.1%}<extra>" + escape(name) + "</extra>",
        )
    figure.update_layout(
        barmode="group",
        bargap=0.28,
        xaxis={"type": "category", "showgrid": False},
        yaxis=axis(title, ".0%"),
        legend=LEGEND,
        margin={"t": 34},
    )
    return figure
