"""The catalogue of deleveraging periods on a data set, and how well they are detected on it."""

from __future__ import annotations

import pandas as pd

from delever.data.references import Dataset
from delever.deleveraging.detect import Detector, detect
from delever.deleveraging.membership import overlapping, per_period
from delever.deleveraging.overlap import DetectionReport, overlap
from delever.deleveraging.period import Period
from delever.errors import InputError

__all__ = ["detection", "falls"]


def falls(data: Dataset, periods: tuple[Period, ...]) -> pd.DataFrame:
    """What the data show of each period: its fall, from the close before it to its lowest close."""
    close = data.frame["close"]
    index = pd.DatetimeIndex(close.index)
    timeframe = data.reference.timeframe
    seen = overlapping(periods, index, timeframe)
    masks = per_period(index, timeframe, seen)
    rows = []
    for period in seen:
        inside = close[masks[period.id].to_numpy()]
        before = close[close.index < inside.index[0]]
        start = before.iloc[-1] if len(before) else float("nan")
        rows.append((period.title, len(inside), inside.min() / start - 1, inside.idxmin()))
    return pd.DataFrame(
        rows,
        index=pd.Index([period.id for period in seen], name="id"),
        columns=["title", "bars", "fall", "lowest"],
    )


def detection(data: Dataset, periods: tuple[Period, ...]) -> DetectionReport:
    """Run the causal detector at its defaults and compare it with the catalogue.

    Raises
    ------
    InputError
        If the data are shorter than the detector's warm-up.
    """
    detector = Detector()
    warm_up = detector.fall_bars + detector.volatility_bars
    close = data.frame["close"]
    if len(close) <= warm_up:
        raise InputError(
            f"the detector needs more than {warm_up} bars; {data.reference} has {len(close)}"
        )
    return overlap(detect(close, detector).iloc[warm_up:], periods, data.reference.timeframe)
