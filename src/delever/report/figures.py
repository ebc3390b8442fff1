"""The figures of the pages, as JSON for plotly.js; the one module that knows plotly.

A figure carries data and axes but no look: `themes` holds the two looks, light and dark, and the
page lays one of them under every figure. Colours are told apart by people with any colour
vision, and lines differ in dash as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd

from delever.bars import close_times
from delever.events.catalog import Period
from delever.report.format import day
from delever.sim.backtest import Backtest
from delever.stats.drawdowns import drawdown

__all__ = [
    "Button",
    "Chart",
    "distribution",
    "history",
    "library",
    "monthly",
    "period_bars",
    "themes",
]

PALETTE: Final = ("#2f7fc1", "#d5602b", "#1b9e77", "#b0569b", "#c79a00", "#4bb0d9")
"""Colours of runs, in order; they keep their contrast on white and on near-black."""
BENCHMARK: Final = "#8a8f98"
"""Colour of the benchmark."""
SHADE: Final = "#e08a1e"
"""Colour of deleveraging periods."""

_DASHES = ("solid", "solid", "dash", "dashdot", "dot", "longdash")
_POINTS = 8_000
_BINS = 61


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A choice above a chart: `method` of plotly.js called with `arguments` (JSON)."""

    label: str
    method: str
    arguments: str
    pressed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A figure ready for a page.

    Attributes
    ----------
    id : str
        Fixed name of its element, so that equal inputs give equal pages.
    title : str
        Heading.
    spec : str
        Data and layout, as JSON that is safe inside a script element.
    height : int
        Pixels.
    caption : str
        How to read it.
    buttons : tuple of Button
        Choices above it; those with one method exclude each other.
    """

    id: str
    title: str
    spec: str
    height: int
    caption: str = ""
    buttons: tuple[Button, ...] = ()


def library() -> str:
    """Source of plotly.js, to be embedded once per page.

    Returns
    -------
    str
    """
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def themes() -> str:
    """Light and dark look of every figure.

    Returns
    -------
    str
        JSON: ``{"light": template, "dark": template}``.
    """
    looks = {
        "light": _look(ink="#2b2f36", quiet="#6b7280", grid="#e6e8ec", paper="#ffffff"),
        "dark": _look(ink="#e3e6ea", quiet="#9aa2ad", grid="#2c323a", paper="#1b1f25"),
    }
    return _json(looks)


def history(
    runs: Mapping[str, Backtest],
    periods: Sequence[Period],
    *,
    benchmark: str | None,
    exposure: str | None = None,
) -> Chart:
    """Growth and drawdown over time, and the exposure of one run, with periods shaded.

    Parameters
    ----------
    runs : mapping of str to Backtest
        By the name to show.
    periods : sequence of Period
        Those to shade.
    benchmark : str or None
        The run drawn as benchmark.
    exposure : str or None
        The run whose exposure has a strip of its own.

    Returns
    -------
    Chart
        With the log axis on; a button makes it linear.

    Notes
    -----
    Above 8,000 points the curves are thinned; the lowest and highest value of every stretch stay.
    """
    from plotly.subplots import make_subplots

    growth = pd.concat({name: _growth(run) for name, run in runs.items()}, axis=1).sort_index()
    falls = pd.concat({name: _falls(run) for name, run in runs.items()}, axis=1).sort_index()
    strip = pd.DataFrame(index=growth.index)
    if exposure is not None:
        strip["exposure"] = _from_start(runs[exposure], runs[exposure].ledger["exposure"], 0.0)
    panels = [growth, falls, strip] if exposure is not None else [growth, falls]
    figure = make_subplots(
        rows=len(panels),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.035,
        row_heights=[0.58, 0.27, 0.15][: len(panels)],
    )
    index = pd.DatetimeIndex(growth.index)
    kept = _thin(pd.concat(panels, axis=1).to_numpy())
    stamps = _stamps(index[kept])
    lines = _lines(list(runs), benchmark)
    for name, line in lines.items():
        common = {"x": stamps, "name": escape(name), "line": line, "connectgaps": True}
        figure.add_scatter(
            **common,
            y=growth[name].to_numpy()[kept],
            legendgroup=name,
            hovertemplate="%{y:,.4~r}x",
            row=1,
            col=1,
        )
        figure.add_scatter(
            **common,
            y=falls[name].to_numpy()[kept],
            legendgroup=name,
            showlegend=False,
            fill="tozeroy" if len(runs) <= 2 and name != benchmark else "none",
            hovertemplate="%{y:.1%}",
            row=2,
            col=1,
        )
    if exposure is not None:
        figure.add_scatter(
            x=stamps,
            y=strip["exposure"].to_numpy()[kept],
            name="exposure",
            line={"color": lines[exposure]["color"], "width": 1, "shape": "vh"},
            fill="tozeroy",
            showlegend=False,
            hovertemplate="%{y:.0%}",
            row=3,
            col=1,
        )
        figure.update_yaxes(title_text="exposure", tickformat=".0%", nticks=4, row=3, col=1)
    step = _decades(growth)
    figure.update_yaxes(title_text="growth of 1", tickformat=",", row=1, col=1)
    figure.update_yaxes(type="log", dtick=step, row=1, col=1)
    figure.update_yaxes(title_text="drawdown", tickformat=".0%", row=2, col=1)
    figure.update_xaxes(type="date", hoverformat="%Y-%m-%d %H:%M UTC")
    figure.update_traces(mode="lines")
    figure.update_layout(
        hovermode="x unified",
        hoversubplots="axis",
        legend={"x": 0.012, "y": 0.985, "xanchor": "left", "yanchor": "top"},
        margin={"t": 14 + 56 * _shade(figure, periods, index)},
    )
    thinned = (
        f" Drawn from {len(kept):,} of {len(index):,} points; every stretch keeps its extremes."
        if len(kept) < len(index)
        else ""
    )
    return Chart(
        id="fig-history",
        title="Growth and drawdown" if exposure is None else "Growth, drawdown and exposure",
        spec=_spec(figure),
        height=600 if exposure is None else 720,
        caption="Values stand at the close of each bar, UTC. Shaded: deleveraging periods; "
        "point at a label for its dates. Drag to zoom, double-click to zoom out." + thinned,
        buttons=(
            Button(label="log", method="relayout", arguments=_axis("log", step), pressed=True),
            Button(label="linear", method="relayout", arguments=_axis("linear", None)),
        ),
    )


def monthly(tables: Mapping[str, pd.DataFrame]) -> Chart:
    """Heat map of monthly returns, one run at a time.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame, shape (years, 12)
        Returns as fractions by year and month (1 to 12), NaN where there is none.

    Returns
    -------
    Chart

    Notes
    -----
    Colour saturates at 40% either way, so one wild month does not bleach the rest.
    """
    from plotly import graph_objects as go

    figure = go.Figure()
    names = list(tables)
    months = [f"{pd.Timestamp(2000, month, 1):%b}" for month in range(1, 13)]
    years: list[int] = []
    for position, (name, table) in enumerate(tables.items()):
        grid = table.reindex(columns=range(1, 13)).to_numpy(dtype="float64")
        years = [int(year) for year in table.index]
        figure.add_heatmap(
            z=grid,
            x=months,
            y=[str(year) for year in years],
            name=escape(name),
            visible=position == 0,
            text=[["" if np.isnan(cell) else f"{cell:.1%}" for cell in row] for row in grid],
            texttemplate="%{text}",
            textfont={"size": 11},
            hovertemplate="%{y} %{x}: %{text}<extra>" + escape(name) + "</extra>",
            hoverongaps=False,
            coloraxis="coloraxis",
            xgap=2,
            ygap=2,
        )
    scale = [[0, "#c4501f"], [0.5, "#f3f1ec"], [1, "#2f7fc1"]]
    figure.update_layout(
        coloraxis={"colorscale": scale, "cmin": -0.4, "cmax": 0.4, "showscale": False},
        xaxis={"side": "top", "showgrid": False, "fixedrange": True, "type": "category"},
        yaxis={
            "autorange": "reversed",
            "type": "category",
            "showgrid": False,
            "fixedrange": True,
        },
        margin={"t": 30},
    )
    buttons = tuple(
        Button(
            label=name,
            method="restyle",
            arguments=_json({"visible": [other == name for other in names]}),
            pressed=position == 0,
        )
        for position, name in enumerate(names)
    )
    return Chart(
        id="fig-monthly",
        title="Monthly returns",
        spec=_spec(figure),
        height=60 + 27 * max(len(years), 2),
        caption="Compounded within the calendar month, UTC. Colour saturates at 40% either way.",
        buttons=buttons,
    )


def distribution(inside: pd.Series, outside: pd.Series) -> Chart:
    """Histogram of the returns per bar inside and outside deleveraging periods.

    Parameters
    ----------
    inside, outside : pandas.Series
        Fractions per bar; either may be empty.

    Returns
    -------
    Chart

    Notes
    -----
    Each histogram adds up to 1. Returns beyond the 99.5 % quantile of both together, by size, are
    gathered in the outermost bins.
    """
    from plotly import graph_objects as go

    figure = go.Figure()
    together = pd.concat([inside, outside]).abs().dropna()
    edge = float(together.quantile(0.995)) if len(together) else 0.0
    edge = edge or 0.01
    edges = np.linspace(-edge, edge, _BINS + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    for name, sample, colour in (
        ("outside", outside, PALETTE[0]),
        ("inside", inside, SHADE),
    ):
        counts, _ = np.histogram(sample.dropna().clip(-edge, edge), edges)
        if not counts.sum():
            continue
        figure.add_bar(
            x=centres,
            y=counts / counts.sum(),
            name=f"{name} ({counts.sum():,} bars)",
            marker={"color": colour, "line": {"width": 0}},
            opacity=0.62,
            hovertemplate="around %{x:.2%}: %{y:.1%} of the bars<extra>" + name + "</extra>",
        )
    figure.update_layout(
        barmode="overlay",
        bargap=0.04,
        xaxis={"tickformat": ".0%" if edge > 0.04 else ".1%", "title": {"text": "return of a bar"}},
        yaxis={"tickformat": ".0%", "title": {"text": "share of bars"}},
        legend={"x": 0.99, "y": 0.98, "xanchor": "right", "yanchor": "top"},
        margin={"t": 14},
    )
    return Chart(
        id="fig-distribution",
        title="Returns of bars, inside and outside the periods",
        spec=_spec(figure),
        height=340,
        caption="Only bars with a position. The outermost bars gather everything beyond.",
    )


def period_bars(returns: pd.DataFrame, *, benchmark: str | None) -> Chart:
    """Return of each run in each deleveraging period.

    Parameters
    ----------
    returns : pandas.DataFrame, shape (periods, runs)
        Fractions; index: labels of the periods.
    benchmark : str or None
        The column drawn as benchmark.

    Returns
    -------
    Chart
    """
    from plotly import graph_objects as go

    figure = go.Figure()
    for name, line in _lines(list(returns.columns), benchmark).items():
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
        yaxis={"tickformat": ".0%", "title": {"text": "return in the period"}},
        legend={"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        margin={"t": 34},
    )
    return Chart(id="fig-periods", title="Return in each period", spec=_spec(figure), height=330)


def _from_start(run: Backtest, values: pd.Series, first: float) -> pd.Series:
    """Values at the closes of the bars, after what stood before the first bar opened."""
    index = pd.DatetimeIndex(run.ledger.index)
    stamps = index[:1].append(close_times(index, run.timeframe))
    return pd.Series(np.concatenate(([first], values.to_numpy())), index=stamps)


def _growth(run: Backtest) -> pd.Series:
    return _from_start(run, run.equity / run.initial_equity, 1.0)


def _falls(run: Backtest) -> pd.Series:
    return _from_start(run, drawdown(run.returns), 0.0)


def _lines(names: Sequence[str], benchmark: str | None) -> dict[str, dict[str, Any]]:
    lines: dict[str, dict[str, Any]] = {}
    for name in names:
        if name == benchmark:
            lines[name] = {"color": BENCHMARK, "width": 1.3}
            continue
        turn = len([other for other in lines if other != benchmark])
        dash = _DASHES[turn % len(_DASHES)]
        lines[name] = {"color": PALETTE[turn % len(PALETTE)], "width": 1.7, "dash": dash}
    return lines


def _decades(wealth: pd.DataFrame) -> int | None:
    """Step of the log axis: whole decades where the curves span enough of them."""
    values = wealth.to_numpy()
    values = values[values > 0]
    return 1 if len(values) and np.log10(values.max() / values.min()) > 2.5 else None


def _axis(kind: str, step: int | None) -> str:
    return _json({"yaxis.type": kind, "yaxis.dtick": step, "yaxis.autorange": True})


def _shade(figure: Any, periods: Sequence[Period], index: pd.DatetimeIndex) -> int:
    """Shade and label the periods; how many tiers of labels were needed."""
    if not periods:
        return 0
    room = (index[-1] - index[0]) * 0.016
    free: list[pd.Timestamp] = []
    for period in periods:
        start, end = max(period.start, index[0]), min(period.end, index[-1])
        middle = start + (end - start) / 2
        tier = next((k for k, taken in enumerate(free) if middle >= taken), len(free))
        free[tier : tier + 1] = [middle + room]
        figure.add_shape(
            type="rect",
            x0=_stamps(pd.DatetimeIndex([start]))[0],
            x1=_stamps(pd.DatetimeIndex([end]))[0],
            y0=0,
            y1=1,
            yref="paper",
            fillcolor=SHADE,
            opacity=0.2,
            line={"width": 0},
            layer="below",
        )
        figure.add_annotation(
            x=_stamps(pd.DatetimeIndex([middle]))[0],
            y=1,
            yref="paper",
            yanchor="bottom",
            yshift=2 + 56 * tier,
            textangle=-90,
            text=f"{period.start:%b %Y}",
            hovertext=f"{escape(period.title)}<br>{day(period.start)} to {day(period.end)}",
            showarrow=False,
            font={"size": 10, "color": "#b06a10"},
        )
    return len(free)


def _stamps(index: pd.DatetimeIndex) -> list[str]:
    midnight = bool((index == index.normalize()).all())
    return list(index.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M"))


def _thin(values: np.ndarray) -> np.ndarray:
    """Positions of at most about 8,000 rows, with the extremes of every column and the ends."""
    count, columns = values.shape
    if count <= _POINTS:
        return np.arange(count)
    step = -(-count * (2 * columns + 1) // _POINTS)
    keep = {0, count - 1}
    for start in range(0, count, step):
        block = values[start : start + step]
        defined = ~np.isnan(block)
        keep.add(start)
        for column in np.flatnonzero(defined.any(axis=0)):
            keep.add(start + int(np.nanargmin(block[:, column])))
            keep.add(start + int(np.nanargmax(block[:, column])))
    return np.array(sorted(keep))


def _look(*, ink: str, quiet: str, grid: str, paper: str) -> dict[str, Any]:
    axis = {
        "gridcolor": grid,
        "zerolinecolor": quiet,
        "zerolinewidth": 1,
        "linecolor": grid,
        "tickfont": {"color": quiet, "size": 11},
        "title": {"font": {"color": quiet, "size": 12}, "standoff": 10},
        "automargin": True,
    }
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
    layout = {
        "font": {"family": font, "color": ink, "size": 12},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "colorway": list(PALETTE),
        "xaxis": axis,
        "yaxis": axis,
        "hoverlabel": {
            "bgcolor": paper,
            "bordercolor": grid,
            "font": {"color": ink, "size": 12, "family": font},
            "namelength": -1,
        },
        "legend": {"bgcolor": "rgba(0,0,0,0)", "font": {"color": ink}},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": quiet, "activecolor": ink},
        "margin": {"l": 64, "r": 12, "b": 36, "t": 14},
    }
    return {"layout": layout}


def _spec(figure: Any) -> str:
    spec = figure.to_plotly_json()
    spec["layout"].pop("template", None)
    return _json(spec)


def _json(value: Any) -> str:
    from plotly.io.json import to_json_plotly

    return str(to_json_plotly(value, engine="json"))
