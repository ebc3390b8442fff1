"""What the best of one half of the time came to in the other half."""

from __future__ import annotations

import numpy as np

from delever.report.figures.look import BENCHMARK, PALETTE, Chart, axis, chart
from delever.report.figures.luck_figures import binned
from delever.stats.overfitting import Overfitting

_BINS = 24


def splits(found: Overfitting) -> Chart:
    """Histogram of where the chosen combination ranks among all in the other half."""
    import plotly.graph_objects as go

    ranks = 100.0 / (1.0 + np.exp(-found.logits))
    middle, widths, shares = binned(ranks, 0.0, 100.0, _BINS)
    figure = go.Figure()
    figure.add_bar(
        x=middle,
        y=shares,
        width=0.9 * widths,
        marker={"color": np.where(middle < 50.0, PALETTE[1], BENCHMARK).tolist()},
        showlegend=False,
        hovertemplate="better than about %{x:.0f}%: %{y:.1%} of the splits<extra></extra>",
    )
    figure.add_vline(x=50.0, line={"color": PALETTE[0], "width": 2})
    figure.update_xaxes(title_text="combinations it was better than in the other half, %")
    figure.update_yaxes(axis("splits", ".0%"))
    figure.update_layout(bargap=0, margin={"t": 20})
    return chart(
        "fig-splits",
        "Where the best of one half ranks in the other",
        figure,
        height=300,
        caption="Left of the line the best of one half of the time was no better than the middle "
        "combination in the other half.",
    )
