"""What came after an event: returns and excursions from the next open on.

An event of bar t is known at its close. One enters at the open of bar t + 1 and, for a horizon
of h bars, leaves at the close of bar t + h. A horizon that the data do not cover is NaN.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import pandas as pd

from delever.arguments import Floats, Rows
from delever.errors import InputError

FEWEST_EVENTS = 5
"""With fewer distinct events nothing is tested, with a smaller effective number no rate given."""


def forward_returns(bars: pd.DataFrame, horizons: Sequence[int]) -> pd.DataFrame:
    """Return of entering at each bar's next open and leaving some bars later.

    Raises InputError if a horizon is not a whole number of at least 1.
    """
    check_horizons(horizons)
    entry = bars["open"].shift(-1)
    out = {h: bars["close"].shift(-h) / entry - 1.0 for h in horizons}
    return pd.DataFrame(out, index=bars.index, columns=list(horizons), dtype="float64")


def excursions(bars: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Worst and best price met while holding, against the entry at the next open.

    Raises InputError if `horizon` is not a whole number of at least 1.
    """
    check_horizons([horizon])
    entry = bars["open"].shift(-1)
    highest = bars["high"].rolling(horizon).max().shift(-horizon)
    return pd.DataFrame(
        {
            "adverse": lowest_ahead(bars["low"], horizon) / entry - 1.0,
            "favourable": highest / entry - 1.0,
        }
    )


def lowest_ahead(low: pd.Series, horizon: int) -> pd.Series:
    """Lowest of the next `horizon` lows, NaN where there are fewer."""
    return low.rolling(horizon).min().shift(-horizon)


def check_horizons(horizons: Sequence[int]) -> None:
    """Refuse horizons that are not whole numbers of bars, or none."""
    wrong = [
        h for h in horizons if isinstance(h, bool) or not isinstance(h, int | np.integer) or h < 1
    ]
    if wrong or not len(horizons):
        raise InputError(
            "horizons must be whole numbers of bars, at least 1 and at least one of them; "
            f"got {wrong[0] if wrong else 'none'}"
        )


def distinct(rows: Rows, horizon: int) -> Rows:
    """Events whose holding periods do not overlap: the first, the next one after it ended, ...

    Examples
    --------
    >>> distinct(np.array([3, 4, 7, 8, 20]), 5).tolist()
    [3, 8, 20]
    """
    places, chosen, place = rows.tolist(), [], 0
    while place < len(places):
        chosen.append(places[place])
        place = bisect_left(places, places[place] + horizon, place + 1)
    return np.asarray(chosen, dtype=np.intp)


def effective_number(
    rows: Rows, horizon: int, symbols: Rows | None = None, alike: Floats | None = None
) -> float:
    """Number of independent holding periods whose mean has the variance of that of these events.

    ``n ** 2 / sum over i, j of c[i, j] max(0, 1 - abs(rows[i] - rows[j]) / horizon)``, as
    overlapping sums of independent bars have it; c is the correlation of the two symbols, of which
    `alike` holds all, and 1 for events of one.
    """
    if not len(rows):
        return 0.0
    of = np.zeros(len(rows), dtype=np.intp) if symbols is None else symbols
    near = np.ones((1, 1)) if alike is None else alike
    shared = 0.0
    for row, symbol in zip(rows.tolist(), of.tolist(), strict=True):
        first, last = np.searchsorted(rows, [row - horizon, row + horizon])
        overlap = np.maximum(0.0, 1.0 - np.abs(rows[first:last] - row) / horizon)
        shared += float((near[symbol, of[first:last]] * overlap).sum())
    return len(rows) ** 2 / shared
