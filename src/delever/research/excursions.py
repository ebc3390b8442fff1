"""How far each trade went against and with the position while it was open."""

from __future__ import annotations

import numpy as np
import pandas as pd


def excursions(trades: pd.DataFrame, bars: pd.DataFrame) -> pd.DataFrame:
    """Worst and best open result of each trade, fractions of its average entry price.

    Columns ``worst`` (maximum adverse excursion, <= 0) and ``best`` (maximum favourable, >= 0), NaN
    for a trade entered before the bars. With s the side, e the average entry price, and low and
    high over the bars from the entry's to the one before the exit's: ``worst = min(0, s * (p / e -
    1))``, where p is that low of a long and that high of a short, or the exit price where it is
    worse; ``best`` the other way round. In the bar of the exit, and of an entry inside a bar, what
    came before and what after is not known: of the former only the exit price counts, of the latter
    the whole bar does. Costs, funding and leverage are left out: these are moves of the price.
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
