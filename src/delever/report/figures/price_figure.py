"""The price, the lines a strategy looked at, and where it entered, left and was stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from delever.bars import close_times
from delever.deleveraging.period import Period
from delever.report.figures.look import BENCHMARK, LEGEND, PALETTE, Chart, chart, choices
from delever.report.figures.time_axis import decades, shades, stamps, thin
from delever.report.format import figure as number
from delever.report.format import percent, price, when

_MOST_MARKS: Final = 1_500
"""Round trips that are marked; of more, those with the largest results."""
_MOST_LINES: Final = 6


class _Mark(NamedTuple):
    """How one kind of event is drawn."""

    name: str
    symbol: str
    colour: str


_LONG = _Mark("enters long", "triangle-up", "#1b9e77")
_SHORT = _Mark("enters short", "triangle-down", "#b0569b")
_RESIZED = _Mark("changes its size", "diamond-open", "#6b7280")
_LEAVES = {
    "": _Mark("leaves", "circle-open", "#6b7280"),
    "stop_loss": _Mark("stop", "x", "#d5602b"),
    "trailing_stop": _Mark("trailing stop", "x-open", "#d5602b"),
    "take_profit": _Mark("profit taken", "star", "#c79a00"),
    "time_stop": _Mark("time stop", "hourglass-open", "#6b7280"),
    "liquidation": _Mark("liquidated", "x", "#c0182b"),
}


def price_figure(
    close: pd.Series,
    lines: pd.DataFrame,
    trades: pd.DataFrame,
    fills: pd.DataFrame,
    periods: Sequence[Period],
    *,
    timeframe: str,
) -> Chart:
    """Closes with the lines of a strategy, its entries, exits and changes of size, and periods."""
    from plotly import graph_objects as go

    shown = lines.iloc[:, :_MOST_LINES]
    panel = pd.concat([close.rename("close"), shown], axis=1)
    kept = thin(panel.to_numpy())
    index = pd.DatetimeIndex(panel.index)
    closes = close_times(index, timeframe)
    dates = stamps(closes[kept])
    figure = go.Figure(data=[*_curves(panel.iloc[kept], dates), *_marks(trades), *_sizes(fills)])
    step = decades(panel)
    log, linear = (
        {"yaxis.type": kind, "yaxis.dtick": each, "yaxis.autorange": True}
        for kind, each in (("log", step), ("linear", None))
    )
    choices(figure, "relayout", {"log": log, "linear": linear})
    figure.update_layout(
        xaxis={"type": "date", "hoverformat": "%Y-%m-%d %H:%M UTC"},
        yaxis={"type": "log", "dtick": step, "title": {"text": "price"}, "tickformat": ","},
        hovermode="closest",
        shapes=shades(periods, index[0], closes[-1]),
        legend=LEGEND,
        margin={"t": 34},
    )
    return chart(
        "fig-price",
        "Price, and what the strategy saw and did" if len(shown.columns) else "Price and trades",
        figure,
        height=430,
        caption=_caption(lines, trades),
    )


def _caption(lines: pd.DataFrame, trades: pd.DataFrame) -> str:
    said = [
        "The close of each bar; marks stand at the average price of their fills. Shaded: "
        "deleveraging periods."
    ]
    left = [str(name) for name in lines.columns[_MOST_LINES:]]
    if left:
        said.append(f"Not drawn, to keep the figure readable: {', '.join(left)}.")
    if not len(lines.columns):
        said.append("The strategy names no lines that it looked at.")
    if len(trades) > _MOST_MARKS:
        said.append(
            f"Marked are the {_MOST_MARKS:,} of {len(trades):,} trades with the largest results."
        )
    return " ".join(said)


def _curves(panel: pd.DataFrame, dates: np.ndarray) -> list[dict[str, Any]]:
    """The close, and each line in a colour and dash of its own."""
    curves: list[dict[str, Any]] = []
    for place, name in enumerate(panel.columns):
        turn = place - 1
        line = {
            "color": BENCHMARK if not place else PALETTE[turn % len(PALETTE)],
            "width": 1.2 if not place else 1.6,
            "dash": ("solid", "dash", "dot", "dashdot", "longdash", "solid")[max(turn, 0) % 6],
        }
        curves.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": escape(str(name)),
                "x": dates,
                "y": panel[name].to_numpy(),
                "line": line,
                "hovertemplate": "%{x}<br>%{y:,.6~r}",
            }
        )
    return curves


def _marks(trades: pd.DataFrame) -> list[dict[str, Any]]:
    """A trace for each kind of event that occurred."""
    if len(trades) > _MOST_MARKS:
        largest = trades["net_pnl"].abs().nlargest(_MOST_MARKS).index
        trades = trades.loc[largest.sort_values()]
    rows = trades.to_dict("records")
    events: dict[_Mark, list[tuple[pd.Timestamp, float, str]]] = {}
    for row in rows:
        entered = _LONG if row["side"] > 0 else _SHORT
        events.setdefault(entered, []).append(_event(row, "entry", _entry_words))
        if not pd.isna(row["exit_time"]):
            events.setdefault(_left(row), []).append(_event(row, "exit", _exit_words))
    order = [_LONG, _SHORT, *_LEAVES.values()]
    return [_points(mark, events[mark]) for mark in order if mark in events]


def _sizes(fills: pd.DataFrame) -> list[dict[str, Any]]:
    """A trace of the fills that neither began a position nor ended it."""
    before = fills["position"].shift(fill_value=0.0)
    inner = fills[before * fills["position"] > 0.0]
    if inner.empty:
        return []
    if len(inner) > _MOST_MARKS:
        inner = inner.loc[inner["notional"].nlargest(_MOST_MARKS).index.sort_values()]
    events = [
        (
            row["time"],
            float(row["price"]),
            f"{number(row['quantity'])} at {price(row['price'])}<br>"
            f"exposure {percent(row['exposure'])} after it",
        )
        for row in inner.to_dict("records")
    ]
    return [_points(_RESIZED, events)]


def _left(row: Mapping[Any, Any]) -> _Mark:
    reason = "liquidation" if row["status"] == "liquidated" else str(row.get("exit_reason", ""))
    return _LEAVES.get(reason, _LEAVES[""])


def _event(
    row: Mapping[Any, Any], end: str, words: Callable[[Mapping[Any, Any]], str]
) -> tuple[pd.Timestamp, float, str]:
    return row[f"{end}_time"], float(row[f"{end}_price"]), words(row)


def _entry_words(row: Mapping[Any, Any]) -> str:
    return f"{number(row['quantity'])} at {price(row['entry_price'])}"


def _exit_words(row: Mapping[Any, Any]) -> str:
    return (
        f"{number(row['quantity'])} at {price(row['exit_price'])}<br>"
        f"result {percent(row['return'])}, entered {when(row['entry_time'])}"
    )


def _points(mark: _Mark, events: Sequence[tuple[pd.Timestamp, float, str]]) -> dict[str, Any]:
    times, prices, words = zip(*events, strict=True)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": mark.name,
        "x": stamps(pd.DatetimeIndex(times)),
        "y": np.array(prices),
        "text": list(words),
        "marker": {"symbol": mark.symbol, "color": mark.colour, "size": 9, "opacity": 0.85},
        "hovertemplate": "%{x}<br>%{text}<extra>" + mark.name + "</extra>",
    }
