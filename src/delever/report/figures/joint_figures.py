"""Several symbols over time: what each was worth and how much of it was held, and the margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd

from delever.bars import close_times
from delever.deleveraging.period import Period
from delever.report.figures.look import LEGEND, PALETTE, Chart, axis, chart
from delever.report.figures.time_axis import shades, stamps, thin
from delever.report.format import percent, when

_MOST: Final = 6
_GAP: Final = 0.07
_FEW: Final = 200
_DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def symbols_figure(
    closes: pd.DataFrame, exposures: pd.DataFrame, periods: Sequence[Period], *, timeframe: str
) -> Chart:
    """Growth of each symbol since its first row, and the exposure to it at each close."""
    largest = exposures.abs().mean().sort_values(ascending=False, kind="stable").index
    shown = [name for name in closes if name in set(largest[:_MOST])]
    moved = closes[shown].ne(closes[shown].shift())
    alive = moved.iloc[::-1].cummax().iloc[::-1]  # a symbol that ended keeps its last close
    grown = (closes[shown] / closes[shown].bfill().iloc[0]).where(alive)
    left = [str(name) for name in closes if name not in shown]
    return _panels(
        "fig-price",
        "The symbols, and what was held of each",
        {
            "growth": (grown, "", "%{y:.3~r}x"),
            "exposure": (exposures[shown], ".0%", "%{y:.1%}"),
        },
        periods,
        timeframe=timeframe,
        log="growth",
        caption="Growth of each symbol since its first row of the run, and its exposure at each "
        "close, signed notional / equity. Shaded: deleveraging periods."
        + (f" Not drawn, the exposures being smaller: {', '.join(left)}." if left else ""),
    )


def joint_margin_figure(
    path: pd.DataFrame, funding: pd.Series, periods: Sequence[Period], *, timeframe: str
) -> Chart | None:
    """Margin ratio, room to the nearest liquidation and cumulated funding; None without any."""
    lines = {
        "margin ratio": (path["margin_ratio"].where(np.isfinite(path["margin_ratio"])), ".0%"),
        "room to liquidation": (path["room"], ".0%"),
        "funding, cumulated": (funding.cumsum(), ","),
    }
    shown = {
        name: (line.to_frame(name), form, "%{y:.1%}" if "%" in form else "%{y:,.0f}")
        for name, (line, form) in lines.items()
        if (line.fillna(0.0) != 0.0).any()
    }
    if not shown:
        return None
    said = []
    if "margin ratio" in shown:
        ratio = path["margin_ratio"]
        highest = pd.DatetimeIndex(ratio.index)[int(np.nan_to_num(ratio).argmax())]
        said.append(
            "Margin ratio: maintenance margin over margin balance, 100% liquidates; a gap while "
            "nothing needs margin. Highest at a close: "
            f"{percent(float(ratio.max()))}, in the bar of {when(highest)}."
        )
    if "room to liquidation" in shown:
        row = int(np.nan_to_num(path["room"], nan=np.inf).argmin())
        said.append(
            "Room: how far the price of the nearest leg must move from the close, the others "
            f"standing still. Least: {percent(float(path['room'].iloc[row]))} of "
            f"{path['nearest'].iloc[row]}, in the bar of {when(path.index[row])}; inside bars it "
            "may have been less."
        )
    if "funding, cumulated" in shown:
        way = "received" if float(funding.sum()) > 0.0 else "paid"
        said.append(f"Funding in quote currency, below 0 where paid; in all it was {way}.")
    return _panels(
        "fig-margin",
        "Margin of the account",
        shown,
        periods,
        timeframe=timeframe,
        caption=" ".join(said),
    )


def _panels(
    id_: str,
    title: str,
    panels: Mapping[str, tuple[pd.DataFrame, str, str]],
    periods: Sequence[Period],
    *,
    timeframe: str,
    caption: str,
    log: str = "",
) -> Chart:
    """Lines in panels one below the other, by the title of each; of one line there is no legend."""
    from plotly import graph_objects as go

    whole = pd.concat([table for table, _, _ in panels.values()], axis=1)
    kept = thin(whole.to_numpy(dtype="float64"))
    index = pd.DatetimeIndex(whole.index)
    closes = close_times(index, timeframe)
    dates, many = stamps(closes[kept]), any(len(table.columns) > 1 for table, *_ in panels.values())
    height = (1.0 - _GAP * (len(panels) - 1)) / len(panels)
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    for row, (said, (table, form, hover)) in enumerate(panels.items()):
        place = "" if row == 0 else str(row + 1)
        top = 1.0 - row * (height + _GAP)
        kind = {"type": "log"} if said == log else {}
        layout[f"yaxis{place}"] = axis(
            said, form, nticks=5, domain=[max(top - height, 0.0), top], **kind
        )
        for turn, name in enumerate(table.columns):
            values = table[name].to_numpy(dtype="float64")
            colour = turn if many else row
            traces.append(
                {
                    **{"type": "scatter", "name": escape(str(name)), "legendgroup": str(name)},
                    # A line shows no bar that stands alone between gaps.
                    "mode": "lines+markers" if np.isfinite(values).sum() < _FEW else "lines",
                    **{"marker": {"size": 3}, "showlegend": many and row == 0},
                    **{"x": dates, "y": values[kept], "xaxis": "x", "yaxis": f"y{place}"},
                    "line": {
                        "color": PALETTE[colour % len(PALETTE)],
                        "width": 1.4,
                        "dash": _DASHES[turn % len(_DASHES)],
                    },
                    "hovertemplate": hover,
                }
            )
    layout |= {
        "xaxis": {
            **{"type": "date", "hoverformat": "%Y-%m-%d %H:%M UTC"},
            "anchor": f"y{len(panels)}" if len(panels) > 1 else "y",
        },
        "hovermode": "x unified",
        "legend": LEGEND,
        "shapes": shades(periods, index[0], closes[-1]),
        "margin": {"t": 34},
    }
    figure = go.Figure(data=traces, layout=layout)
    return chart(id_, title, figure, height=120 + 150 * len(panels), caption=caption)
