"""How far each trade went against and with the position while it was open."""

from __future__ import annotations

import numpy as np
import pandas as pd


def excursions(trades: pd.DataFrame, bars: pd.DataFrame) -> pd.DataFrame:
    """Worst and best open result of each trade, fractions of its average entry price.

    Columns ``worst`` (<= 0) and ``best`` (>= 0), NaN for a trade entered before the bars; see
    docs/methods.md. In the bar of the exit, and of an entry inside a bar, what came before and what
    after is not known: of the former only the exit price counts, of the latter the whole bar does.
    """
    low, high = (bars[name].to_numpy(dtype="float64") for name in ("low", "high"))
    index = pd.DatetimeIndex(bars.index)
    begins = index.searchsorted(pd.DatetimeIndex(trades["entry_time"]))
    left = pd.DatetimeIndex(trades["exit_time"])
    ends = np.where(left.isna(), len(index), index.searchsorted(left.fillna(index[-1])))
    rows = []
    for begin, end, entry, leave, side, carried in zip(
        begins,
        ends,
        trades["entry_price"],
        trades["exit_price"],
        trades["side"],
        trades["carried_in"],
        strict=True,
    ):
        seen = [leave] if np.isfinite(leave) else []
        if end > begin:
            seen += [low[begin:end].min(), high[begin:end].max()]
        moves = side * (np.array(seen) / entry - 1.0)
        worst, best = min(0.0, *moves), max(0.0, *moves)
        rows.append((np.nan, np.nan) if carried else (worst, best))
    return pd.DataFrame(rows, index=trades.index, columns=["worst", "best"], dtype="float64")
