"""How a metric depends on the parameters of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from delever.arguments import counted
from delever.report.figures.look import BENCHMARK, SCALE, Chart, axis, chart
from delever.report.format import figure as figure_text

MOST_LINES = 1_000
"""Combinations that are drawn as lines; of more, some."""
_COLOURS = 9
_MOST_WORDS = 200
_MOST_WORDY_COLUMNS = 18
_MOST_CELLS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A combination that a figure points at."""

    label: str
    row: int
    symbol: str


def heat_map(
    frame: pd.DataFrame,
    x: str,
    y: str,
    metric: str,
    label: str,
    *,
    fraction: bool,
    marks: Sequence[Mark] = (),
) -> Chart:
    """Median of a metric over everything but two axes."""
    from plotly import graph_objects as go

    shape, across, up = ".1%" if fraction else ".2f", short(x), short(y)
    columns, rows = _stretches(frame[x]), _stretches(frame[y])
    table = (
        frame[metric]
        .groupby([rows.place, columns.place])
        .median()
        .unstack()
        .reindex(index=range(len(rows.labels)), columns=range(len(columns.labels)))
    )
    worded = table.size <= _MOST_WORDS and table.shape[1] <= _MOST_WORDY_COLUMNS
    figure = go.Figure()
    figure.add_heatmap(
        z=table.to_numpy(dtype=float),
        x=columns.labels,
        y=rows.labels,
        colorscale=SCALE,
        colorbar={"title": {"text": label}, "tickformat": shape},
        texttemplate=f"%{{z:{shape}}}" if worded else None,
        xgap=2 if table.shape[1] <= _MOST_WORDY_COLUMNS else 0,
        ygap=2 if table.shape[0] <= _MOST_WORDY_COLUMNS else 0,
        hovertemplate=f"{across} %{{x}}<br>{up} %{{y}}<br>{label} %{{z:{shape}}}<extra></extra>",
    )
    for mark in marks if not worded else ():
        at = [columns.labels[columns.place[mark.row]]], [rows.labels[rows.place[mark.row]]]
        _point(figure, *at, mark)
    figure.update_layout(xaxis=axis(across, type="category"), yaxis=axis(up, type="category"))
    joined = columns.joined or rows.joined
    return chart(
        f"map-{metric.replace('_', '-')}",
        f"{label} by {across} and {up}",
        figure,
        height=460,
        min_width=200 + 26 * table.shape[1] if table.shape[1] <= 40 else 900,
        caption="Each cell is the median over all other axes"
        f"{' and over values that follow each other' if joined else ''}; look for a plateau, not "
        "for a peak.",
    )


class _Stretches(NamedTuple):
    """Values of an axis in order, several together where there are very many."""

    place: np.ndarray  # of each combination
    labels: list[str]
    joined: bool


def _stretches(values: pd.Series) -> _Stretches:
    place, each = pd.factorize(values, sort=True)
    if len(each) <= _MOST_CELLS or values.dtype.kind not in "iuf":
        return _Stretches(place, [setting_text(value) for value in each], joined=False)
    first = np.linspace(0, len(each), _MOST_CELLS + 1).astype(int)
    labels = [
        setting_text(each[a])
        if b - a == 1
        else f"{setting_text(each[a])}–{setting_text(each[b - 1])}"
        for a, b in pairwise(first.tolist())
    ]
    return _Stretches(np.searchsorted(first, place, side="right") - 1, labels, joined=True)


def density(
    frame: pd.DataFrame,
    x: tuple[str, str],
    y: tuple[str, str],
    *,
    marks: Sequence[Mark] = (),
) -> Chart:
    """Where combinations lie between two metrics, each given by its column and its label."""
    from plotly import graph_objects as go

    known = frame[[x[0], y[0]]].dropna()
    edges, placed = [], []
    for name, cells in ((x[0], 120), (y[0], 80)):
        values = known[name].to_numpy(dtype=float)
        low, high = np.quantile(values, [0.001, 0.999])
        high = high if high > low else low + 1.0
        edges.append(np.linspace(low, high, cells + 1))
        placed.append(np.clip(values, low, high))
    counts = np.histogram2d(placed[0], placed[1], bins=edges)[0].T
    middle = [(each[1:] + each[:-1]) / 2.0 for each in edges]
    figure = go.Figure()
    figure.add_heatmap(
        z=np.where(counts > 0, np.log10(np.maximum(counts, 1.0)), np.nan),
        x=middle[0].round(6),
        y=middle[1].round(6),
        customdata=counts.astype(int),
        colorscale=SCALE,
        colorbar={
            "title": {"text": "Combinations"},
            "tickvals": list(range(8)),
            "ticktext": [f"{10**power:,}" for power in range(8)],
        },
        hovertemplate=f"{x[1]} %{{x:.3g}}<br>{y[1]} %{{y:.3g}}<br>%{{customdata:,}} combinations"
        "<extra></extra>",
    )
    for mark in marks:
        row = frame.iloc[mark.row]
        _point(figure, [row[x[0]]], [row[y[0]]], mark)
    figure.update_layout(
        xaxis=axis(x[1]), yaxis=axis(y[1]), legend={"orientation": "h", "y": 1.08, "x": 0}
    )
    return chart(
        "density",
        f"All combinations: {x[1]} and {y[1]}",
        figure,
        height=460,
        caption=f"{counted(len(known), 'combination')}, counted cell by cell; colours by the "
        "logarithm. Those in the outermost thousandth of an axis are counted at its edge.",
    )


def _point(figure: Any, x: Sequence[Any], y: Sequence[Any], mark: Mark) -> None:
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        name=mark.label,
        marker={
            **{"symbol": mark.symbol, "size": 13, "color": "#ffffff"},
            "line": {"width": 2, "color": "#b5261e"},
        },
        hovertemplate=f"{mark.label}: %{{x}}, %{{y}}<extra></extra>",
    )


def short(axis: str) -> str:
    """Name of an axis without the table it stands in, where that is the strategy's."""
    return axis.removeprefix("params.")


def setting_text(value: object) -> str:
    """Write a value of an axis.

    Examples
    --------
    >>> setting_text(0.1 + 0.2), setting_text(8), setting_text("sma")
    ('0.3', '8', 'sma')
    """
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def parallel(frame: pd.DataFrame, axes: Sequence[str], metrics: Sequence[tuple[str, str]]) -> Chart:
    """Every combination as a line through its parameters and metrics."""
    from plotly import graph_objects as go
    from plotly.colors import sample_colorscale

    known = frame.dropna(subset=[name for name, _ in metrics])
    known = known.sort_values(metrics[0][0], kind="stable")
    drawn = known.iloc[:: max(1, -(-len(known) // MOST_LINES))]
    labels = dict.fromkeys(axes) | dict(metrics)
    scales = [_scale(drawn[name], text or short(name)) for name, text in labels.items()]
    figure = go.Figure()
    ranked = drawn[metrics[0][0]].to_numpy(dtype=float)
    low, high = float(ranked.min()), float(ranked.max())
    step = np.minimum((ranked - low) / ((high - low) or 1.0) * _COLOURS, _COLOURS - 1).astype(int)
    colours = sample_colorscale(SCALE, _COLOURS)
    heights = np.column_stack([scale.heights for scale in scales])
    said = _said(drawn, labels)
    for colour in np.unique(step):
        held = np.flatnonzero(step == colour)
        _lines(figure, heights[held], [said[place] for place in held], colours[colour])
    _bar_of_colours(figure, low, high, metrics[0][1])
    _upright(figure, scales)
    left_out = f" {len(drawn):,} of {len(known):,} are drawn." if len(drawn) < len(known) else ""
    return chart(
        "parallel",
        "All combinations",
        figure,
        height=480,
        min_width=130 + 90 * len(scales),
        caption="Drag over a stretch of an axis to keep the lines that pass there, of several axes "
        "one after the other; double-click shows all again." + left_out,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """An upright axis: where each combination crosses it, from 0 to 1, and its ticks."""

    label: str
    heights: np.ndarray
    ticks: Sequence[tuple[float, str]]


def _scale(values: pd.Series, label: str) -> _Scale:
    if values.dtype.kind in "iuf":
        numbers = values.to_numpy(dtype=float)
        low, high = float(numbers.min()), float(numbers.max())
        ticks = [low + (high - low) * part for part in (0, 0.5, 1)] if high > low else [low]
        texts = [figure_text(tick) for tick in ticks]
    else:
        names = sorted(set(values))
        numbers = np.searchsorted(names, values.tolist()).astype(float)
        low, high = 0.0, float(len(names) - 1)
        ticks, texts = [float(place) for place in range(len(names))], [escape(n) for n in names]
    width = high - low

    def at(number: float) -> float:
        return (number - low) / width if width else 0.5

    return _Scale(
        label=escape(label),
        heights=(numbers - low) / width if width else np.full(len(numbers), 0.5),
        ticks=[(at(tick), text) for tick, text in zip(ticks, texts, strict=True)],
    )


def _said(drawn: pd.DataFrame, labels: Mapping[str, str | None]) -> list[str]:
    """What each combination is and came to."""
    columns = [
        [
            f"{escape(text or name)} "
            + (figure_text(value) if isinstance(value, float) else escape(setting_text(value)))
            for value in drawn[name].tolist()
        ]
        for name, text in labels.items()
    ]
    return ["<br>".join(parts) for parts in zip(*columns, strict=True)]


def _lines(figure: Any, heights: np.ndarray, said: Sequence[str], colour: str) -> None:
    """Draw lines of one colour, a hole after each."""
    count, axes = heights.shape
    hole = np.full((count, 1), np.nan)
    figure.add_scatter(
        x=np.tile([*range(axes), np.nan], count),
        y=np.hstack((heights, hole)).ravel(),
        text=np.repeat(np.array(said), axes + 1),  # plotly looks at each text of a list
        mode="lines",
        line={"color": colour, "width": 1.1},
        opacity=0.7,
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _bar_of_colours(figure: Any, low: float, high: float, label: str) -> None:
    """Say what the colours mean, beside a point that is drawn nowhere."""
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        marker={
            **{"color": [low], "cmin": low, "cmax": high, "colorscale": SCALE, "showscale": True},
            "colorbar": {"title": {"text": escape(label)}, "thickness": 12, "tickformat": ".3~g"},
        },
        hoverinfo="skip",
        showlegend=False,
    )


def _upright(figure: Any, scales: Sequence[_Scale]) -> None:
    """Draw the axes with their ticks; `meta` tells the page that lines can be kept by them."""
    upright = {"type": "line", "y0": 0, "y1": 1, "line": {"width": 1, "color": BENCHMARK}}
    hidden = {"showgrid": False, "zeroline": False, "fixedrange": True}
    figure.update_layout(
        meta={"lines_through": len(scales)},
        dragmode="select",
        shapes=[{**upright, "x0": place, "x1": place} for place in range(len(scales))],
        annotations=[
            {
                **{"x": place, "y": height, "text": text, "showarrow": False, "xshift": 4},
                **{"xanchor": "left", "font": {"size": 10}, "bgcolor": "rgba(127,127,127,0.12)"},
            }
            for place, scale in enumerate(scales)
            for height, text in scale.ticks
        ],
        xaxis=hidden
        | {
            "tickvals": list(range(len(scales))),
            "ticktext": [scale.label for scale in scales],
            "side": "top",
            "range": [-0.15, len(scales) - 0.5],
        },
        yaxis=hidden | {"showticklabels": False, "range": [-0.05, 1.05]},
        hovermode="closest",
        margin={"l": 24, "t": 44, "b": 12},
    )
