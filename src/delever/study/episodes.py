"""The catalogue of deleveraging periods on a data set, and how well they are detected on it."""

from __future__ import annotations

import pandas as pd

from delever.data.source import Dataset
from delever.errors import InputError
from delever.events.catalog import Period
from delever.events.detect import Detector, detect
from delever.events.overlap import DetectionReport, overlap
from delever.events.window import overlapping, per_period

__all__ = ["detection", "falls"]


def falls(data: Dataset, periods: tuple[Period, ...]) -> pd.DataFrame:
    """What the data show of each period: its fall, from the close before it to its lowest close.

    Parameters
    ----------
    data : Dataset
        Bars of kind ohlcv.
    periods : tuple of Period
        The catalogue.

    Returns
    -------
    pandas.DataFrame, shape (p, 4)
        By period id: ``title``, ``bars``, ``fall`` (fraction, < 0; NaN without a bar before the
        period) and ``lowest`` (open time of the bar with the lowest close). Periods that hold no
        bar of the data are left out.
    """
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

    Parameters
    ----------
    data : Dataset
        Bars of kind ohlcv.
    periods : tuple of Period
        The catalogue.

    Returns
    -------
    DetectionReport

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
