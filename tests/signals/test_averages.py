"""Standing against an average, and the exposure a signal asks for."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError
from delever.signals.averages import (
    average_distance,
    average_slope,
    days_below,
    weekly_average,
)
from delever.signals.sizing import exposure
from delever.view import MarketView

CLOSE = pd.Series([1.0, 3, 3, 2, 1, 1, 3, math.nan, 3])
LINE = pd.Series([math.nan, 2, 2, 2, 2, 2, 2, 2, 2])


def test_exposure_of_a_signal() -> None:
    signal = pd.Series([True, False, True], index=[4, 5, 6])
    got = exposure(signal, on=0.5, off=-1.0, known=pd.Series([False, True, True], index=[4, 5, 6]))
    np.testing.assert_array_equal(got, [np.nan, -1.0, 0.5])
    assert got.index.equals(signal.index)
    assert exposure(signal).tolist() == [1.0, 0.0, 1.0]
    assert exposure(signal.iloc[:0]).dtype == "float64"


def daily(weeks: list[float]) -> MarketView:
    """Each week closes at its value on Sunday, after six days at 100."""
    closes = [price for week in weeks for price in [100.0] * 6 + [week]]
    index = pd.date_range("2026-01-05", periods=len(closes), tz="UTC")
    frame = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], closes), index=index)
    return MarketView(bars=frame, timeframe="1d")


def test_a_weekly_average_changes_only_as_a_week_closes() -> None:
    seen = daily([10.0, 20.0, 60.0, 100.0])
    line = weekly_average(seen, weeks=2)
    assert line.first_valid_index() == pd.Timestamp("2026-01-18", tz="UTC")
    np.testing.assert_allclose(line.iloc[13:20], 15.0)
    np.testing.assert_allclose(line.iloc[20:27], 40.0)
    changes = line.index[line.diff().fillna(0) != 0]
    # The bar that closes on Monday 00:00 is Sunday's.
    assert set(changes.day_of_week) == {6}
    hours = weekly_average(hourly(seen), weeks=2)
    changes = hours.index[hours.diff().fillna(0) != 0] + pd.Timedelta(1, "h")
    assert set(changes.strftime("%a %H:%M")) == {"Mon 00:00"}


def hourly(seen: MarketView) -> MarketView:
    index = pd.date_range(seen.index[0], periods=24 * len(seen.index), freq="h")
    return MarketView(bars=seen.bars.reindex(index, method="ffill"), timeframe="1h")


def test_distance_and_slope_of_the_average() -> None:
    seen = daily([10.0, 20.0, 60.0, 100.0])
    gap = average_distance(seen, weeks=2)
    assert gap.iloc[13] == pytest.approx(20 / 15 - 1)
    assert gap.iloc[14] == pytest.approx(100 / 15 - 1)
    slope = average_slope(seen, weeks=2, over=1)
    assert slope.first_valid_index() == seen.index[20]
    assert slope.iloc[20] == pytest.approx(40 / 15 - 1)
    assert slope.iloc[27] == pytest.approx(80 / 40 - 1)
    # Weekly weights 1 and 2: (10 + 2 * 20) / 3; exponential of span 2: 10 + 2/3 * 10.
    assert weekly_average(seen, weeks=2, average="wma").iloc[13] == pytest.approx(50 / 3)
    assert weekly_average(seen, weeks=2, average="ema").iloc[13] == pytest.approx(50 / 3)
    with pytest.raises(InputError, match="over must be at least 1 week; got 0"):
        average_slope(seen, over=0)


def test_days_below_count_without_a_break() -> None:
    got = days_below(CLOSE, LINE, "6h")
    np.testing.assert_array_equal(got, [np.nan, 0, 0, 0, 0.25, 0.5, 0, np.nan, 0])
