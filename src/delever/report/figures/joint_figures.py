"""Several symbols over time: what each was worth, and how much of it was held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from delever.deleveraging.period import Period
from delever.report.figures.look import Chart
from delever.report.figures.panels import stacked

_MOST: Final = 6


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
