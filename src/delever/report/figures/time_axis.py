"""What figures over time share: their stamps, their thinning, shaded periods, a log axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from delever.deleveraging.period import Period
from delever.report.figures.look import SHADE

_POINTS = 8_000


def stamps(index: pd.DatetimeIndex) -> np.ndarray:
    """Stamps as plotly.js reads them, days where all are midnights."""
    midnight = bool((index == index.normalize()).all())
    return np.array(index.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M"), dtype=object)


def thin(values: np.ndarray) -> np.ndarray:
    """Positions of at most about 8,000 rows, with the extremes of every column and the ends."""
    count, columns = values.shape
    if count <= _POINTS:
        return np.arange(count)
    step = -(-count * (2 * columns + 1) // _POINTS)
    starts = np.arange(0, count, step)
    padded = np.full((len(starts) * step, columns), np.nan)
    padded[:count] = values
    blocks = padded.reshape(len(starts), step, columns)
    lowest = np.where(np.isnan(blocks), np.inf, blocks).argmin(axis=1)
    highest = np.where(np.isnan(blocks), -np.inf, blocks).argmax(axis=1)
    extremes = (starts[:, None] + np.hstack((lowest, highest))).ravel()
    return np.unique(np.concatenate((starts, extremes, [count - 1])))


def decades(wealth: pd.DataFrame) -> int | None:
    """Step of the log axis: whole decades where the curves span enough of them."""
    values = wealth.to_numpy()
    values = values[values > 0]
    return 1 if len(values) and np.log10(values.max() / values.min()) > 2.5 else None


def shades(
    periods: Sequence[Period], first: pd.Timestamp, last: pd.Timestamp
) -> list[dict[str, Any]]:
    """Shapes that shade the periods between two moments."""
    fill = {"fillcolor": SHADE, "opacity": 0.2, "line": {"width": 0}, "layer": "below"}
    return [
        {
            "type": "rect",
            **{"yref": "paper", "y0": 0, "y1": 1},
            "x0": stamps(pd.DatetimeIndex([max(period.start, first)]))[0],
            "x1": stamps(pd.DatetimeIndex([min(period.end, last)]))[0],
            **fill,
        }
        for period in periods
        if period.start < last and period.end > first
    ]
