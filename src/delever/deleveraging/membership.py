"""Which bars belong to which period.

A bar's return belongs to a period when the bar opens at or after the period's start and closes
at or before its end. A bar that straddles a boundary lies outside, so inside and outside are
exhaustive and the two parts compound to the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pandas as pd

from delever.bars import close_times
from delever.deleveraging.period import Period
from delever.errors import InputError
from delever.frames import utc_index


def membership(
    index: pd.DatetimeIndex, timeframe: str, periods: Iterable[Period]
) -> pd.Series[bool]:
    """Which bars lie inside any of the periods.

    Raises SchemaError if the stamps carry no time zone; InputError if two periods share an id, or
    `timeframe` is none.
    """
    opens = utc_index(index, "open_time", "bars")
    inside = pd.Series(False, index=opens, name="inside")
    for mask in per_period(opens, timeframe, periods).values():
        inside |= mask
    return inside


def per_period(
    index: pd.DatetimeIndex, timeframe: str, periods: Iterable[Period]
) -> dict[str, pd.Series[bool]]:
    """Which bars lie inside each period.

    Raises SchemaError if the stamps carry no time zone; InputError if two periods share an id, or
    `timeframe` is none.
    """
    chosen = tuple(periods)
    repeated = [name for name, times in Counter(p.id for p in chosen).items() if times > 1]
    if repeated:
        raise InputError(
            f"every period must have an id of its own; {repeated[0]!r} repeats; rename one"
        )
    opens = utc_index(index, "open_time", "bars")
    begun, ended = opens.as_unit("ns").asi8, close_times(opens, timeframe).asi8
    return {
        period.id: pd.Series(
            (begun >= _stamp(period.start)) & (ended <= _stamp(period.end)),
            index=opens,
            name=period.id,
        )
        for period in chosen
    }


def _stamp(time: pd.Timestamp) -> int:
    return time.as_unit("ns").value


def overlapping(
    periods: Iterable[Period], index: pd.DatetimeIndex, timeframe: str
) -> tuple[Period, ...]:
    """Keep the periods that at least one bar belongs to."""
    chosen = tuple(periods)
    masks = per_period(index, timeframe, chosen)
    there = (period for period in chosen if masks[period.id].any())
    return tuple(sorted(there, key=lambda period: period.start))
