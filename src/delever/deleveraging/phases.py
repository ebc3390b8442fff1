"""The phases of a deleveraging period, drawn with hindsight, for reporting.

Build-up, cascade, washout, recovery. The cascade is known to have ended only when the low has
held, so phases explain a result and must never feed a strategy.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.bars import close_times
from delever.deleveraging.membership import per_period
from delever.deleveraging.period import Period
from delever.errors import InputError
from delever.frames import utc_index

PHASES = ("build_up", "cascade", "washout", "recovery")
"""In order of time."""

_MONTH = pd.Timedelta(days=30)


def phases(
    period: Period,
    close: pd.Series,
    timeframe: str,
    *,
    around: pd.Timedelta = _MONTH,
    regained: float = 0.5,
) -> pd.Series:
    """Phase of each bar in and around a period, as docs/periods.md defines them.

    Raises InputError if `around` or `regained` is out of range, no bar lies inside the period, or
    the bars begin after its start or stop before its end; SchemaError if the stamps carry no time
    zone.
    """
    if around < pd.Timedelta(0) or not 0 < regained <= 1:
        raise InputError(
            "phases need around >= 0 and 0 < regained <= 1; "
            f"got around {around} and regained {regained:g}"
        )
    opens = utc_index(close.index, "open_time", "close")
    closes = close_times(opens, timeframe)
    inside = per_period(opens, timeframe, [period])[period.id].to_numpy()
    before = np.flatnonzero(closes <= period.start)
    if not inside.any() or not len(before) or closes[-1] < period.end:
        raise InputError(
            f"phases of {period.id!r} need {timeframe} bars from before {period.start} to "
            f"{period.end} with at least one inside; load more bars or finer ones"
        )
    values = close.to_numpy(dtype="float64")
    rows = np.flatnonzero(inside)
    trough = rows[int(np.argmin(values[rows]))]
    goal = values[trough] + regained * (values[before[-1]] - values[trough])
    label = np.full(len(opens), -1, dtype=np.int8)
    label[(opens >= period.start - around) & (opens < period.start)] = 0
    label[rows[rows <= trough]] = 1
    label[rows[rows > trough]] = 2
    label[_recovery(values, closes, rows[-1], goal, period.end + around)] = 3
    chosen = label >= 0
    kind = pd.CategoricalDtype(list(PHASES), ordered=True)
    codes = pd.Categorical.from_codes(label[chosen], dtype=kind)
    return pd.Series(codes, index=opens[chosen], name="phase")


def _recovery(
    values: np.ndarray, closes: pd.DatetimeIndex, last: int, goal: float, until: pd.Timestamp
) -> slice:
    """Rows after `last` up to the first that closes at `goal`, or the last that closes in time."""
    if values[last] >= goal:
        return slice(0, 0)
    stop = int(closes.searchsorted(until, side="right"))
    there = np.flatnonzero(values[last + 1 : stop] >= goal)
    return slice(last + 1, last + 2 + int(there[0]) if len(there) else stop)
