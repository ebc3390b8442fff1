"""When a value may first be seen: Fear & Greed, an average of weeks, mining difficulty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError
from delever.signals.features import measure
from delever.view import MarketView, Reading

DAYS = 40


def market(timeframe: str) -> MarketView:
    """From Wednesday 2025-01-01; the readings of day d are 1,000 + d."""
    step = {"1d": pd.Timedelta(1, "D"), "1h": pd.Timedelta(1, "h")}[timeframe]
    rng = np.random.default_rng(12)
    index = pd.date_range("2025-01-01", "2025-02-09 23:59", freq=step, tz="UTC")
    close = pd.Series(100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(index)))), index=index)
    bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], close))
    days = pd.date_range("2025-01-01", periods=DAYS, tz="UTC")
    values = 1_000.0 + np.arange(DAYS)
    once = pd.DataFrame({"coins": [3.125]}, index=days[:1] - pd.Timedelta(9, "D"))
    machines = pd.DataFrame({"newest": [15.0], "previous": [20.0]}, index=once.index)
    day = pd.Timedelta(1, "D")
    readings = {
        "fear_greed": Reading(
            frame=pd.DataFrame({"fng": values}, index=days), publication_lag=pd.Timedelta("8h")
        ),
        "difficulty": Reading(
            frame=pd.DataFrame({"difficulty": values}, index=days), publication_lag=day
        ),
        "subsidy": Reading(frame=once, publication_lag=day),
        "efficiency": Reading(frame=machines, publication_lag=day),
    }
    return MarketView(bars=bars, timeframe=timeframe, readings=readings)


def test_fear_and_greed_of_a_day_is_not_visible_at_the_close_of_the_day_before() -> None:
    daily = measure("fear_greed", market("1d"))
    # The decision at the close of day d has the value of d, published at 8 in the morning of d.
    assert daily.tolist() == [1_000.0 + day for day in range(DAYS)]
    hourly = measure("fear_greed", market("1h"))
    changes = hourly.index[hourly.ne(hourly.shift()) & hourly.notna()]
    # The bar that closes at 8 is the first that may know it.
    assert [f"{time:%H:%M}" for time in changes] == ["07:00"] * DAYS
    at_midnight = hourly[hourly.index.hour == 23]
    assert at_midnight.tolist() == [1_000.0 + day for day in range(DAYS)]


@pytest.mark.parametrize("timeframe", ["1d", "1h"])
def test_a_weekly_average_changes_at_the_close_of_sunday_and_never_else(timeframe: str) -> None:
    seen = market(timeframe)
    line = measure("weekly_average", seen, weeks=2)
    changes = seen.close_time[(line.ne(line.shift()) & line.notna()).to_numpy()]
    assert len(changes) == 4  # five whole weeks, and of two from the second on
    assert set(changes.day_name()) == {"Monday"}
    assert set(changes.strftime("%H:%M")) == {"00:00"}


def test_difficulty_changes_only_after_the_day_of_its_block() -> None:
    seen = market("1h")
    price = measure("shutdown_price", seen)
    changes = seen.close_time[(price.ne(price.shift()) & price.notna()).to_numpy()]
    days = pd.date_range("2025-01-02", periods=DAYS, tz="UTC")
    assert changes.tolist() == days.tolist()
    # The difficulty of 1 January is what the bar that closes on 2 January at midnight knows.
    joules, kilowatt_hour, power = 15.0 * 2**32 * 1_000.0 / 1e12 / 3.125, 3.6e6, 0.08
    assert price[seen.close_time == days[0]].iloc[0] == pytest.approx(
        joules / kilowatt_hour * power, rel=1e-12
    )


def test_difficulty_declared_as_known_on_its_own_day_is_refused() -> None:
    seen = market("1h")
    early = replace(seen.readings["difficulty"], publication_lag=pd.Timedelta("23h"))
    with pytest.raises(InputError, match=r"'difficulty' must be declared with .* at least 1 days"):
        measure("shutdown_price", replace(seen, readings={**seen.readings, "difficulty": early}))
