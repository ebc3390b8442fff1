"""What a walk forward chose, and what that grew to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from delever.arguments import counted
from delever.report.figures.look import BENCHMARK, PALETTE, Chart, axis, chart
from delever.report.figures.luck_figures import binned, own_among, reached
from delever.report.figures.sweep_figures import setting_text, short


def choices(windows: pd.DataFrame, axes: pd.DataFrame) -> Chart:
    """Each parameter as steps over time, between its lowest and its highest value."""
    import plotly.graph_objects as go

    figure = go.Figure()
    varied = [name for name in axes if axes[name].nunique() > 1] or list(axes)
    for place, name in enumerate(varied):
        order = {value: rank for rank, value in enumerate(sorted(axes[name].unique()))}
        most = max(len(order) - 1, 1)
        values = windows[name].tolist()
        heights = [order.get(value, math.nan) / most for value in values]
        figure.add_scatter(
            x=[*windows["start"], windows["end"].iloc[-1]],
            y=[*heights, heights[-1]],
            name=short(str(name)),
            line={"shape": "hv", "color": PALETTE[place % len(PALETTE)], "width": 2},
            text=[setting_text(value) for value in [*values, values[-1]]],
            hovertemplate="%{x|%Y-%m-%d}: %{text}<extra>%{fullData.name}</extra>",
        )
    figure.update_yaxes(tickvals=[0, 1], ticktext=["lowest", "highest"], range=[-0.08, 1.08])
    return chart(
        "fig-choices",
        "What was chosen",
        figure,
        height=320,
        caption="Each parameter between the lowest and the highest value it could take. One that "
        "jumps about has no settled best.",
    )


def growth_by_window(windows: pd.DataFrame) -> Chart:
    """Yearly growth of each choice where it was chosen and then, beside holding."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, column, colour in (
        ("where it was chosen", "fit_growth", PALETTE[5]),
        ("then", "growth", PALETTE[0]),
        ("holding", "benchmark_growth", BENCHMARK),
    ):
        figure.add_bar(
            x=[f"{start:%Y-%m}" for start in windows["start"]],
            y=windows[column],
            name=name,
            marker={"color": colour},
            hovertemplate="%{y:.1%}<extra>%{fullData.name}</extra>",
        )
    figure.update_yaxes(axis("growth a year", ".0%"))
    figure.update_xaxes(type="category")
    return chart("fig-windows", "Growth where it was chosen, and then", figure, height=320)


def shifted_walks(grown: Sequence[float], own: float, said: str) -> Chart:
    """Histogram of what walks on shifted exposures grew."""
    drawn = np.array(grown)
    return own_among(
        "fig-shifted",
        "The same walk on exposures shifted in time",
        binned(drawn, *reached(drawn, own)),
        own,
        said="log growth %{x:.2f}: %{y:.1%} of walks",
        labels=("log growth of the choices out of sample", "walks"),
        caption=f"{counted(len(grown), 'shift')}; {said}, one-sided.",
        called="this walk",
    )
