"""Base rates: how often the price fell so far within so many bars, whatever stood there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.errors import InputError
from delever.research.signal.forward import FEWEST_EVENTS, effective_number, lowest_ahead
from delever.stats.intervals import wilson_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRate:
    """A share of starts from which a fall was reached."""

    rate: float  # share of the starts; NaN where their effective number is below five
    low: float  # Wilson's 95 % interval of the rate for `effective` trials; NaN with it
    high: float
    effective: float  # effective number of starts, see `effective_number`


def fall_rates(
    bars: pd.DataFrame,
    falls: Sequence[float | pd.Series],
    within: int,
    *,
    among: pd.Series | None = None,
) -> tuple[BaseRate, ...]:
    """How often a later low was so far below a close, of all closes or those `among` marks.

    Raises InputError if a fall is not above 0 or `within` is below 1.
    """
    if within < 1:
        raise InputError(f"within must be at least 1; got {within}")
    ahead = lowest_ahead(bars["low"], within)
    watched = ahead.notna() if among is None else ahead.notna() & among
    whole = _effective(watched, within)
    out = []
    for fall in falls:
        least = fall if isinstance(fall, float) else fall.min()
        if not (least > 0 or math.isnan(least)):
            raise InputError(f"a fall must be a fraction above 0; got {least:g}")
        counted, number = watched, whole
        if isinstance(fall, pd.Series) and not fall[watched].notna().all():
            counted = watched & fall.notna()
            number = _effective(counted, within)
        if number < FEWEST_EVENTS:
            out.append(BaseRate(rate=math.nan, low=math.nan, high=math.nan, effective=number))
            continue
        rate = float((ahead <= (1 - fall) * bars["close"])[counted].mean())
        low, high = wilson_interval(rate * number, number)
        out.append(BaseRate(rate=rate, low=low, high=high, effective=number))
    return tuple(out)


def _effective(starts: pd.Series, within: int) -> float:
    return effective_number(np.flatnonzero(starts.to_numpy(dtype=bool)), within)
