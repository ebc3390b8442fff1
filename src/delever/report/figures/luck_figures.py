"""What luck gives, beside what came of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from delever.arguments import Floats
from delever.report.figures.look import BENCHMARK, PALETTE, Chart, axis, chart
from delever.research.luck import NullTest
from delever.stats.overfitting import Overfitting

_BINS = 31
_HALVES = 24


def binned(
    values: Floats, low: float, high: float, bins: int = _BINS
) -> tuple[Floats, Floats, Floats]:
    """Middles, widths and shares of equal bins from one value to another.

    Values without bound, as of an account that was ruined, stand in the lowest bin.
    """
    edges = np.linspace(low, high if high > low else low + 0.01, bins + 1)
    counts, _ = np.histogram(np.maximum(values, edges[0]), edges)
    return (edges[:-1] + edges[1:]) / 2, np.diff(edges), counts / len(values)


def reached(values: Floats, own: float) -> tuple[float, float]:
    """From the lowest to the highest of values and one's own."""
    finite = values[np.isfinite(values)]
    return min(float(finite.min()), own), max(float(finite.max()), own)


def own_among(
    id_: str,
    title: str,
    bins: tuple[Floats, Floats, Floats],
    own: float,
    *,
    colours: str | list[str] = BENCHMARK,
    said: str,
    labels: tuple[str, str],
    caption: str,
    called: str = "",
) -> Chart:
    """A histogram of what luck gives, with one's own value as a line, `called` so."""
    import plotly.graph_objects as go

    middles, widths, shares = bins
    figure = go.Figure()
    figure.add_bar(
        x=middles,
        y=shares,
        width=0.9 * widths,
        marker={"color": colours},
        hovertemplate=f"{said}<extra></extra>",
        showlegend=False,
    )
    words = {"text": called, "font": {"color": PALETTE[0]}} if called else None
    figure.add_vline(x=own, line={"color": PALETTE[0], "width": 2.5}, annotation=words)
    figure.update_layout(bargap=0, margin={"t": 20}, xaxis=axis(labels[0]))
    figure.update_yaxes(axis(labels[1], ".0%"))
    return chart(id_, title, figure, height=300, caption=caption)


def luck(tests: Mapping[str, NullTest]) -> Chart:
    """Histogram of the mean payouts that luck gives in each test, with the run's own."""
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=len(tests), cols=1, subplot_titles=list(tests), vertical_spacing=0.3
    )
    for row, test in enumerate(tests.values(), start=1):
        drawn = np.array(test.null_values)
        middles, widths, shares = binned(drawn, *reached(drawn, test.statistic))
        figure.add_bar(
            x=100 * middles,
            y=shares,
            width=90 * widths,
            marker={"color": BENCHMARK},
            showlegend=False,
            hovertemplate="%{x:.1f} log points: %{y:.1%} of the draws<extra></extra>",
            row=row,
            col=1,
        )
        figure.add_vline(
            x=100 * test.statistic,
            line={"color": PALETTE[0], "width": 2.5},
            annotation={"text": "this run", "font": {"color": PALETTE[0]}},
            row=row,
            col=1,
        )
        figure.update_yaxes(axis("draws", ".0%"), row=row, col=1)
    figure.update_xaxes(title_text="mean payout of a period, log points", row=len(tests), col=1)
    figure.update_layout(margin={"t": 34}, bargap=0)
    return chart(
        "fig-luck",
        "What luck gives",
        figure,
        height=60 + 170 * len(tests),
        caption="Where the run stands far to the right, its rule protected more than luck would.",
    )


def splits(found: Overfitting) -> Chart:
    """Histogram of where the chosen combination ranks among all in the other half."""
    ranks = 100.0 / (1.0 + np.exp(-found.logits))
    bins = binned(ranks, 0.0, 100.0, _HALVES)
    return own_among(
        "fig-splits",
        "Where the best of one half ranks in the other",
        bins,
        50.0,
        colours=np.where(bins[0] < 50.0, PALETTE[1], BENCHMARK).tolist(),
        said="better than about %{x:.0f}%: %{y:.1%} of the splits",
        labels=("combinations it was better than in the other half, %", "splits"),
        caption="Left of the line the best of one half of the time was no better than the middle "
        "combination in the other half.",
    )
