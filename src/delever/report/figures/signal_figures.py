"""What came after events: placebo levels, the way to further levels, abnormal returns."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from delever.report.figures.look import BENCHMARK, FILL, LEGEND, PALETTE, SHADE, Chart, axis, chart
from delever.report.format import whole_percent

_BINS = 40


def placebo_means(means: pd.Series, actual: float, rank: float) -> Chart:
    """Histogram of mean forward returns after breaks of placebo levels."""
    from plotly import graph_objects as go

    counts, edges = np.histogram(means.dropna().to_numpy(dtype="float64"), _BINS)
    figure = go.Figure()
    figure.add_bar(
        x=(edges[1:] + edges[:-1]) / 2,
        y=counts,
        name="placebo levels",
        marker={"color": BENCHMARK, "line": {"width": 0}},
        hovertemplate="around %{x:.1%}: %{y} levels<extra></extra>",
    )
    if math.isfinite(actual):
        figure.add_vline(x=actual, line={"color": PALETTE[1], "width": 2})
    figure.update_layout(
        bargap=0.04,
        xaxis=axis("mean forward return", ".0%"),
        yaxis=axis("placebo levels"),
        showlegend=False,
    )
    return chart(
        "fig-placebos",
        "The same rule on random nearby levels",
        figure,
        height=300,
        caption="The line is the level itself. Placebo levels near each other break on the same "
        f"days, so their spread alone is no test. {whole_percent(rank)} of the placebo levels have "
        "a lower mean.",
    )


def rung_curves(curves: pd.DataFrame, rung: float, title: str) -> Chart:
    """Probability to have reached a rung by bars after the break."""
    from plotly import graph_objects as go

    figure, bars = go.Figure(), curves.index.to_numpy()
    edge = {"mode": "lines", "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip"}
    figure.add_scatter(x=bars, y=curves["low"], showlegend=False, **edge)
    figure.add_scatter(
        x=bars, y=curves["high"], fill="tonexty", fillcolor=FILL, showlegend=False, **edge
    )
    for name, label, colour, dash in (
        ("breaks", "these breaks", PALETTE[0], "solid"),
        ("all", "all bars", BENCHMARK, "solid"),
        ("matched", "as volatile", SHADE, "dash"),
        ("placebo", "placebos", PALETTE[3], "dot"),
    ):
        if curves[name].notna().any():
            figure.add_scatter(
                x=bars,
                y=curves[name].to_numpy(dtype="float64"),
                name=label,
                mode="lines",
                line={"color": colour, "dash": dash, "shape": "hv", "width": 1.8},
                hovertemplate="%{x} bars: %{y:.0%}<extra>" + label + "</extra>",
            )
    figure.update_layout(
        xaxis=axis("bars after the break"),
        yaxis=axis("reached", ".0%", range=[0, 1]),
        legend=LEGEND,
        margin={"t": 34},
    )
    name = f"fig-rung-{rung!r}".replace(".", "-")  # all its digits: prices may be near
    return chart(name, f"Reaching {title}", figure, height=300)


def abnormal_path(path: pd.DataFrame, alpha: float) -> Chart:
    """Mean cumulated abnormal return by bar of the event window, with its interval."""
    from plotly import graph_objects as go

    figure, bars = go.Figure(), path.index.to_numpy()
    tested = bool(path["adjusted"].notna().any())
    line = path["adjusted" if tested else "cumulative"].to_numpy(dtype="float64")
    if tested:
        edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        figure.add_scatter(x=bars, y=path["low"], **edge)
        figure.add_scatter(x=bars, y=path["high"], fill="tonexty", fillcolor=FILL, **edge)
    figure.add_scatter(
        x=bars,
        y=line,
        mode="lines",
        line={"color": PALETTE[0], "width": 1.8},
        hovertemplate="bar %{x}: %{y:.1%}<extra></extra>",
    )
    figure.add_hline(y=0, line={"color": BENCHMARK, "width": 1})
    figure.update_layout(
        xaxis=axis("bars after the event"),
        yaxis=axis("cumulated abnormal return", ".1%"),
        showlegend=False,
    )
    band = f" The band is the {whole_percent(1 - alpha)} interval of each bar." if tested else ""
    return chart(
        "fig-abnormal",
        "Cumulated abnormal return",
        figure,
        height=300,
        caption=("At equal volatility, less that of what the events are compared with." + band)
        if tested
        else "Too few events for an interval.",
    )


def robustness_map(cells: pd.DataFrame, alpha: float) -> Chart:
    """Variants of a signal by market and horizon: how far each lies from chance."""
    from plotly import graph_objects as go

    wide = cells["distance"].unstack(["symbol", "horizon"])
    wide = wide.loc[cells.index.unique("variant")]
    said = cells["adjusted"].unstack(["symbol", "horizon"]).loc[wide.index, wide.columns]
    p_values = cells["p_value"].unstack(["symbol", "horizon"]).loc[wide.index, wide.columns]
    symbols = wide.columns.get_level_values("symbol")
    several = symbols.nunique() > 1
    words = [
        [
            "" if math.isnan(value) else f"{value:+.0%}" + (" *" if p_value <= alpha else "")
            for value, p_value in zip(values, row, strict=True)
        ]
        for values, row in zip(said.to_numpy(), p_values.to_numpy(), strict=True)
    ]
    most = float(np.nanmax(np.abs(wide.to_numpy()), initial=1.0))
    figure = go.Figure()
    figure.add_heatmap(
        z=wide.to_numpy(dtype="float64"),
        x=[
            f"{symbol} {bars}" if several else f"{bars} bars"
            for symbol, bars in zip(symbols, wide.columns.get_level_values("horizon"), strict=True)
        ],
        y=[str(name) for name in wide.index],
        text=words,
        texttemplate="%{text}",
        customdata=p_values.to_numpy(dtype="float64"),
        hovertemplate="%{y}, %{x}: %{text}, %{z:.1f} deviations, p = %{customdata:.3f}"
        "<extra></extra>",
        colorscale=[[0, PALETTE[1]], [0.5, "#ffffff"], [1, PALETTE[0]]],
        zmin=-most,
        zmax=most,
        showscale=False,
    )
    figure.update_layout(xaxis={"side": "top"}, yaxis={"autorange": "reversed", "automargin": True})
    return chart(
        "fig-map",
        "The signal varied",
        figure,
        height=90 + 24 * len(wide),
        caption="Difference at equal volatility to what the events of each variant are compared "
        "with; the colour is the same in deviations of its shifts. A star: p of "
        f"{whole_percent(alpha)} or less, corrected for all these cells and never below the p of "
        "the test that decides. Empty: too few events.",
    )
