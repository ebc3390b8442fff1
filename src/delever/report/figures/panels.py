"""Lines over time in panels one below the other: symbols, margin, rolling measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd

from delever.bars import close_times
from delever.deleveraging.period import Period
from delever.report.figures.look import LEGEND, PALETTE, Chart, axis, chart, lines
from delever.report.figures.time_axis import shades, stamps, thin
from delever.report.format import percent, when

_FEW: Final = 200
_DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")

Panel = tuple[pd.DataFrame, str, str]
"""A line per column, the format of the axis, and what is said where one points at a line."""


def stacked(
    id_: str,
    title: str,
    panels: Mapping[str, Panel],
    periods: Sequence[Period],
    *,
    timeframe: str,
    caption: str,
    height: int,
    gap: float = 0.07,
    log: str = "",
    styles: Mapping[str, Mapping[str, Any]] | None = None,
) -> Chart:
    """Draw panels by their titles, with periods shaded; of one line each there is no legend."""
    from plotly import graph_objects as go

    whole = pd.concat([table for table, _, _ in panels.values()], axis=1)
    kept, index = thin(whole.to_numpy(dtype="float64")), pd.DatetimeIndex(whole.index)
    closes = close_times(index, timeframe)
    dates, many = stamps(closes[kept]), any(len(table.columns) > 1 for table, *_ in panels.values())
    tall = (1.0 - gap * (len(panels) - 1)) / len(panels)
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    for row, (said, (table, form, hover)) in enumerate(panels.items()):
        place, top = "" if row == 0 else str(row + 1), 1.0 - row * (tall + gap)
        kind = {"type": "log"} if said == log else {}
        layout[f"yaxis{place}"] = axis(
            said, form, nticks=5, domain=[max(top - tall, 0.0), top], **kind
        )
        for turn, name in enumerate(table.columns):
            values = table[name].to_numpy(dtype="float64")
            own = {
                "color": PALETTE[(turn if many else row) % len(PALETTE)],
                "width": 1.4,
                "dash": _DASHES[turn % len(_DASHES)],
            }
            traces.append(
                {
                    **{"type": "scatter", "name": escape(str(name)), "legendgroup": str(name)},
                    # A line shows no bar that stands alone between gaps.
                    "mode": "lines+markers" if np.isfinite(values).sum() < _FEW else "lines",
                    **{"marker": {"size": 3}, "showlegend": many and row == 0},
                    **{"x": dates, "y": values[kept], "xaxis": "x", "yaxis": f"y{place}"},
                    "line": own if styles is None else styles[str(name)],
                    "hovertemplate": hover,
                }
            )
    layout |= {
        "xaxis": {
            **{"type": "date", "hoverformat": "%Y-%m-%d %H:%M UTC"},
            "anchor": f"y{len(panels)}" if len(panels) > 1 else "y",
        },
        "hovermode": "x unified",
        "legend": LEGEND if styles is None else LEGEND | {"traceorder": "reversed"},
        "shapes": shades(periods, index[0], closes[-1]),
        "margin": {"t": 34},
    }
    return chart(id_, title, go.Figure(data=traces, layout=layout), height=height, caption=caption)


_MOST_SYMBOLS: Final = 6


def symbols_figure(
    closes: pd.DataFrame, exposures: pd.DataFrame, periods: Sequence[Period], *, timeframe: str
) -> Chart:
    """Growth of each symbol since its first row, and the exposure to it at each close."""
    largest = exposures.abs().mean().sort_values(ascending=False, kind="stable").index
    shown = [name for name in closes if name in set(largest[:_MOST_SYMBOLS])]
    moved = closes[shown].ne(closes[shown].shift())
    alive = moved.iloc[::-1].cummax().iloc[::-1]  # a symbol that ended keeps its last close
    grown = (closes[shown] / closes[shown].bfill().iloc[0]).where(alive)
    left = [str(name) for name in closes if name not in shown]
    return stacked(
        "fig-price",
        "The symbols, and what was held of each",
        {
            "growth": (grown, ",", "%{y:.3~r}x"),
            "exposure": (exposures[shown], ".0%", "%{y:.1%}"),
        },
        periods,
        timeframe=timeframe,
        height=420,
        log="growth",
        caption="Growth of each symbol since its first row of the run, and its exposure at each "
        "close, signed notional / equity. Shaded: deleveraging periods."
        + (f" Not drawn, the exposures being smaller: {', '.join(left)}." if left else ""),
    )


def margin_figure(
    path: pd.DataFrame, funding: pd.Series, periods: Sequence[Period], *, timeframe: str
) -> Chart | None:
    """Margin ratio, room to the nearest liquidation and cumulated funding; None without any."""
    ratio, room = path["margin_ratio"].where(np.isfinite(path["margin_ratio"])), path["room"]
    lines = pd.DataFrame(
        {"margin ratio": ratio, "room to liquidation": room, "funding, cumulated": funding.cumsum()}
    )
    highest, bar = _extreme(path["margin_ratio"], path["margin_ratio"].max())
    said = [
        "Margin ratio: maintenance margin over margin balance, 100% liquidates; a gap while "
        f"nothing needs margin. Highest at a close: {highest}, in the bar of {bar}."
    ]
    if room.notna().any():
        least, bar = _extreme(room, room.min())
        leg = path["nearest"].iloc[int(np.nan_to_num(room, nan=np.inf).argmin())]
        whose = " of the nearest leg" if leg else ""
        still = ", the others standing still" if leg else " to liquidate the position"
        said.append(
            f"Room: how far the price{whose} must move from the close{still}. Least at a close: "
            f"{least}{leg and f' of {leg}'}, in the bar of {bar}; inside bars it may have been "
            "less."
        )
    return _drawn("Margin of the account", lines, said, periods, timeframe)


def _extreme(values: pd.Series, extreme: float) -> tuple[str, str]:
    """An extreme of a line, and the bar in which it was reached."""
    bars = values.index[values == extreme]
    return percent(float(extreme)), when(bars[0]) if len(bars) else ""


def _drawn(
    title: str, lines: pd.DataFrame, said: list[str], periods: Sequence[Period], timeframe: str
) -> Chart | None:
    """A panel for each line that is ever anything but 0, with what is said of it, by its start."""
    shown = [str(name) for name in lines if (lines[name].fillna(0.0) != 0.0).any()]
    if not shown:
        return None
    paid = float(lines["funding, cumulated"].iloc[-1])
    said.append(
        "Funding in quote currency, below 0 where paid; in all it was "
        f"{'received' if paid > 0.0 else 'paid'}."
    )
    starts = tuple(name.partition(" ")[0].strip(",").capitalize() for name in shown)
    return stacked(
        "fig-margin",
        title if len(shown) > 1 else shown[0].capitalize(),
        {
            name: (
                lines[[name]],
                "," if name.startswith("funding") else ".0%",
                "%{y:,.0f}" if name.startswith("funding") else "%{y:.1%}",
            )
            for name in shown
        },
        periods,
        timeframe=timeframe,
        caption=" ".join(one for one in said if one.startswith(starts)),
        height=120 + 150 * len(shown),
    )


_ROLLING_POINTS: Final = 700
"""Values that are drawn: those of neighbouring bars share nearly all of their window."""
_MEASURES: Final = (
    ("sharpe_ratio", "Sharpe ratio", ".1f", "%{y:.2f}"),
    ("volatility", "volatility", ".0%", "%{y:.1%}"),
    ("beta", "beta", ".1f", "%{y:.2f}"),
    ("correlation", "correlation", ".1f", "%{y:.2f}"),
)


def rolling(
    measures: pd.DataFrame,
    periods: Sequence[Period],
    *,
    benchmark: str,
    timeframe: str,
) -> Chart:
    """Measures of `delever.stats.over_time.rolling_measures` since the first one is defined."""
    places = np.unique(
        np.linspace(0, len(measures) - 1, min(_ROLLING_POINTS, len(measures))).astype(int)
    )
    shown = measures.iloc[places]
    panels = {}
    for column, title, form, hover in _MEASURES:
        drawn = shown.filter([f"benchmark_{column}", column])
        if drawn.notna().any(axis=None):
            called = {f"benchmark_{column}": benchmark, column: "strategy"}
            panels[title] = (drawn.rename(columns=called), form, hover)
    return stacked(
        "fig-rolling",
        "Rolling measures",
        panels,
        periods,
        timeframe=timeframe,
        height=100 + 115 * len(panels),
        gap=0.032,
        styles=lines(["strategy", benchmark], benchmark),
        caption="Each value looks back on a year of 365 days; the first stands at its end. Beta "
        f"and correlation are to {benchmark}. A gap: no return differed from the next.",
    )
