"""How often the price fell so far within so many bars, from all closes or from some of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.errors import InputError
from delever.research.signal.forward import effective_number
from delever.research.signal.study_plan import FEWEST_EVENTS
from delever.stats.intervals import wilson_interval

__all__ = ["BaseRate", "fall_rates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRate:
    """A share of starts from which a fall was reached."""

    rate: float  # share of the starts; NaN where they are worth fewer than five that do not overlap
    low: float  # wilson's 95 % interval of the rate for `effective` trials; NaN with it
    high: float
    effective: float  # how many starts that do not overlap they are worth


def fall_rates(
    bars: pd.DataFrame,
    falls: Sequence[float | pd.Series],
    within: int,
    *,
    among: pd.Series | None = None,
) -> tuple[BaseRate, ...]:
    """How often the price fell so far within so many bars.

    Raises
    ------
    InputError
        If a fall is not above 0 or `within` is below 1.

    Notes
    -----
    Starts next to each other see nearly the same bars. They count as the number of independent
    stretches whose mean would be as sure, see `delever.research.signal.forward.effective_number`.

    Examples
    --------
    >>> bars = pd.DataFrame({"low": [10.0, 9.0, 9.5, 10.0, 10.0, 10.0], "close": 10.0})
    >>> (one,) = fall_rates(bars, [0.1], 1)
    >>> one.rate, one.effective
    (0.2, 5.0)
    """
    if within < 1:
        raise InputError(f"within must be at least 1; got {within}")
    ahead = bars["low"][::-1].rolling(within).min()[::-1].shift(-1)
    watched = ahead.notna() if among is None else ahead.notna() & among
    whole = _worth(watched, within)
    out = []
    for fall in falls:
        least = fall if isinstance(fall, float) else fall.min()
        if not (least > 0 or math.isnan(least)):
            raise InputError(f"a fall must be a fraction above 0; got {least:g}")
        counted, worth = watched, whole
        if isinstance(fall, pd.Series) and not fall[watched].notna().all():
            counted = watched & fall.notna()
            worth = _worth(counted, within)
        if worth < FEWEST_EVENTS:
            out.append(BaseRate(rate=math.nan, low=math.nan, high=math.nan, effective=worth))
            continue
        rate = float((ahead <= (1 - fall) * bars["close"])[counted].mean())
        low, high = wilson_interval(rate * worth, worth)
        out.append(BaseRate(rate=rate, low=low, high=high, effective=worth))
    return tuple(out)


def _worth(starts: pd.Series, within: int) -> float:
    return effective_number(np.flatnonzero(starts.to_numpy(dtype=bool)), within)
