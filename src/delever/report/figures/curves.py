"""Growth, drawdown and exposure over time, with deleveraging periods shaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from delever.bars import close_times, missing_bars
from delever.deleveraging.period import Period
from delever.engine.backtest import Backtest
from delever.report.figures.look import FILL, LEGEND, Chart, chart, choices, lines
from delever.report.figures.time_axis import decades, shades, stamps, thin
from delever.report.format import day
from delever.stats.drawdowns import drawdown

_TIER = 56


def history(
    runs: Mapping[str, Backtest],
    periods: Sequence[Period],
    *,
    benchmark: str | None,
    exposure: str | None = None,
) -> Chart:
    """Growth and drawdown over time, and the exposure of one run, with periods shaded."""
    from plotly.subplots import make_subplots

    panels = _panels(runs, exposure)
    figure = make_subplots(
        rows=len(panels),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.035,
        row_heights=[0.58, 0.27, 0.15][: len(panels)],
    )
    index = pd.DatetimeIndex(panels[0].index)
    kept = thin(pd.concat(panels, axis=1).to_numpy())
    styles = lines(list(runs), benchmark)
    for row, panel in enumerate(panels, start=1):
        _draw(figure, row, stamps(index[kept]), panel.iloc[kept], styles, benchmark)
    own = [name for name in runs if name != benchmark]
    banded = len(own) == 1 and runs[own[0]].bounds is not None
    if banded:
        _band(figure, runs[own[0]], styles[own[0]]["color"])
    tiers = _shade(figure, periods, index)
    _dress(figure, decades(panels[0]), tiers, strip=exposure is not None)
    crowded = len(styles) > _INSIDE
    if crowded:
        figure.update_layout(legend=LEGEND | {"y": -0.07, "yanchor": "top"})
    thinned = (
        f" Drawn from {len(kept):,} of {len(index):,} points; every stretch keeps its extremes."
        if len(kept) < len(index)
        else ""
    )
    return chart(
        "fig-history",
        "Growth and drawdown" if exposure is None else "Growth, drawdown and exposure",
        figure,
        height=(540 if exposure is None else 620) + _TIER * tiers + 60 * crowded,
        caption="Values stand at the close of each bar, UTC. Shaded: deleveraging periods; "
        "point at a label for its dates. Drag to zoom, double-click to zoom out."
        + (" Dotted: the worst and the best that the bars allow." if banded else "")
        + thinned
        + _missing(runs),
    )


_INSIDE = 4
"""So many lines leave room for their legend among them; that of more stands below."""


def _missing(runs: Mapping[str, Backtest]) -> str:
    """How many bars are missing in the run that lacks most; empty where none is."""
    lacks = [missing_bars(pd.DatetimeIndex(r.ledger.index), r.timeframe) for r in runs.values()]
    if not (most := max(lacks)):
        return ""
    return f" Missing bars: {most:,}; lines run straight across them."


def growth_paths(paths: Mapping[str, pd.Series], timeframe: str) -> Chart:
    """Growth of a run and of its counterfactuals over time."""
    from plotly import graph_objects as go

    table = pd.DataFrame(dict(paths)).where(lambda grown: grown > 0)
    kept = thin(table.to_numpy())
    closes = close_times(pd.DatetimeIndex(table.index), timeframe)[kept]
    figure = go.Figure()
    for name, line in lines(list(paths), None).items():
        figure.add_scatter(
            x=stamps(closes),
            y=table[name].to_numpy()[kept],
            name=escape(name),
            mode="lines",
            line=line,
            hovertemplate="%{y:,.4~r}x",
        )
    figure.update_yaxes(type="log", dtick=decades(table), title_text="growth of 1", tickformat=",")
    figure.update_xaxes(type="date", hoverformat="%Y-%m-%d %H:%M UTC")
    figure.update_layout(hovermode="x unified", legend=LEGEND, margin={"t": 34})
    return chart("fig-what-if", "What if", figure, height=330)


def _panels(runs: Mapping[str, Backtest], exposure: str | None) -> list[pd.DataFrame]:
    """Growth, drawdown, and the exposure of one run, at the closes of the bars of all."""
    growth = {n: _from_start(run, run.equity / run.initial_equity, 1.0) for n, run in runs.items()}
    falls = {n: _from_start(run, drawdown(run.returns), 0.0) for n, run in runs.items()}
    panels = [pd.concat(each, axis=1, sort=True) for each in (growth, falls)]
    if exposure is not None:
        held = _from_start(runs[exposure], runs[exposure].ledger["exposure"], 0.0)
        panels.append(held.reindex(panels[0].index).to_frame(exposure))
    return panels


def _band(figure: Any, run: Backtest, colour: str) -> None:
    """Shade what the bars hid: growth between the worst and the best they allow."""
    assert run.bounds is not None
    grown = run.bounds / run.initial_equity
    kept = thin(grown.to_numpy())
    dates = stamps(close_times(pd.DatetimeIndex(grown.index), run.timeframe)[kept])
    for side, fill in (("worst", "none"), ("best", "tonexty")):
        figure.add_scatter(
            x=dates,
            y=grown[side].to_numpy()[kept],
            name=f"{side} the bars allow",
            mode="lines",
            line={"color": colour, "width": 0.8, "dash": "dot"},
            fill=fill,
            fillcolor=FILL,
            hovertemplate="%{y:,.4~r}x",
            showlegend=False,
            zorder=-1,
            row=1,
            col=1,
        )


def _draw(
    figure: Any,
    row: int,
    dates: np.ndarray,
    panel: pd.DataFrame,
    styles: Mapping[str, dict[str, Any]],
    benchmark: str | None,
) -> None:
    """Draw the curves of a panel: growth, drawdown or exposure, by its row."""
    texts = {1: "%{y:,.4~r}x", 2: "%{y:.1%}", 3: "%{y:.0%}"}
    for name in panel.columns:
        filled = row == 3 or (row == 2 and len(panel.columns) <= 2 and name != benchmark)
        figure.add_scatter(
            x=dates,
            y=panel[name].to_numpy(),
            name=escape(name) if row < 3 else "exposure",
            mode="lines",
            line=styles[name] | ({"shape": "vh", "width": 1} if row == 3 else {}),
            connectgaps=True,
            legendgroup=escape(name),
            showlegend=row == 1,
            fill="tozeroy" if filled else "none",
            fillcolor=FILL,
            hovertemplate=texts[row],
            zorder=-1 if name == benchmark else 0,
            row=row,
            col=1,
        )


def _dress(figure: Any, step: int | None, tiers: int, *, strip: bool) -> None:
    """Set the axes, their buttons, the hover and the room above for `tiers` of labels."""
    log, linear = (
        {"yaxis.type": kind, "yaxis.dtick": each, "yaxis.autorange": True}
        for kind, each in (("log", step), ("linear", None))
    )
    choices(figure, "relayout", {"log": log, "linear": linear})
    figure.update_yaxes(title_text="growth of 1", tickformat=",", row=1, col=1)
    figure.update_yaxes(type="log", dtick=step, row=1, col=1)
    figure.update_yaxes(title_text="drawdown", tickformat=".0%", row=2, col=1)
    if strip:
        figure.update_yaxes(title_text="exposure", tickformat=".0%", nticks=4, row=3, col=1)
    figure.update_xaxes(type="date", hoverformat="%Y-%m-%d %H:%M UTC")
    figure.update_layout(
        hovermode="x unified",
        hoversubplots="axis",
        legend={"x": 0.012, "y": 0.985, "xanchor": "left", "yanchor": "top"},
        margin={"t": 14 + _TIER * tiers},
    )


def _from_start(run: Backtest, values: pd.Series, first: float) -> pd.Series:
    """Values at the closes of the bars, after what stood before the first bar opened."""
    index = pd.DatetimeIndex(run.ledger.index)
    stamps = index[:1].append(close_times(index, run.timeframe))
    return pd.Series(np.concatenate(([first], values.to_numpy())), index=stamps)


def _shade(figure: Any, periods: Sequence[Period], index: pd.DatetimeIndex) -> int:
    """Shade and label the periods; how many tiers of labels were needed."""
    if not periods:
        return 0
    room = (index[-1] - index[0]) * 0.016
    free: list[pd.Timestamp] = []
    labels = []
    for period in periods:
        start, end = max(period.start, index[0]), min(period.end, index[-1])
        middle = start + (end - start) / 2
        tier = next((k for k, taken in enumerate(free) if middle >= taken), len(free))
        free[tier : tier + 1] = [middle + room]
        labels.append(
            {
                **{
                    "x": stamps(pd.DatetimeIndex([middle]))[0],
                    "y": 1,
                    "yref": "paper",
                    "yanchor": "bottom",
                },
                "yshift": 2 + _TIER * tier,
                "textangle": -90,
                "text": f"{period.start:%b %Y}",
                "hovertext": f"{escape(period.title)}<br>{day(period.start)} to {day(period.end)}",
                "showarrow": False,
                "font": {"size": 10, "color": "#b06a10"},
            }
        )
    # One by one would take far longer.
    figure.update_layout(shapes=shades(periods, index[0], index[-1]), annotations=labels)
    return len(free)
