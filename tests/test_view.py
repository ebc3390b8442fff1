"""What the market view shows, and when."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError, SchemaError
from delever.signals.clock import align_events
from delever.view import Earlier, MarketView, Reading


def days(count: int, start: str = "2026-01-05") -> pd.DatetimeIndex:
    return pd.date_range(start, periods=count, freq="D", tz="UTC")


def view(count: int = 21, start: str = "2026-01-05", **more: object) -> MarketView:
    close = pd.Series(np.arange(1.0, count + 1), index=days(count, start))
    bars = pd.DataFrame({"open": close, "high": close + 0.5, "low": close - 0.5, "close": close})
    return MarketView(bars=bars, timeframe="1d", **more)  # type: ignore[arg-type]


def test_a_week_is_seen_at_its_last_close_and_not_before() -> None:
    market = view(20)  # three weeks from a Monday, the last without its Sunday
    weekly = market.resample("1w")
    assert weekly["close"].tolist() == [7.0, 14.0]
    assert weekly["low"].tolist() == [0.5, 7.5]
    seen = market.align(weekly["close"], "1w")
    assert seen.isna().tolist() == [True] * 6 + [False] * 14
    assert seen.iloc[6:13].tolist() == [7.0] * 7
    assert seen.iloc[13:].tolist() == [14.0] * 7


def test_a_week_that_began_before_the_data_is_no_week() -> None:
    market = view(12, start="2026-01-07")  # a Wednesday
    assert market.resample("1w").index.tolist() == [pd.Timestamp("2026-01-12", tz="UTC")]


@pytest.mark.parametrize("count", range(0, 22))
def test_what_was_known_at_a_close_does_not_depend_on_what_followed(count: int) -> None:
    market = view(21, start="2026-01-07")
    lag = pd.Timedelta(hours=30)
    readings = {
        "fear": Reading(frame=pd.DataFrame({"v": range(21)}, days(21)), publication_lag=lag)
    }
    market = MarketView(bars=market.bars, timeframe="1d", readings=readings)
    part = market.upto(market.close_time[count - 1] if count else market.index[0])
    assert len(part.index) == count
    whole = market.align(market.resample("1w")["close"], "1w")
    np.testing.assert_array_equal(
        part.align(part.resample("1w")["close"], "1w"), whole.iloc[:count]
    )
    np.testing.assert_array_equal(part.series("fear"), market.series("fear").iloc[:count])


def test_a_reading_is_seen_from_its_publication_on() -> None:
    frame = pd.DataFrame({"value": [10.0, 20.0]}, index=days(2, "2026-01-06"))
    on_time = Reading(frame=frame, publication_lag=pd.Timedelta(0))
    market = view(4, readings={"fear": on_time})
    # Stamped Tuesday 00:00: known when Monday's bar closes, at that very instant.
    assert market.series("fear").tolist() == [10.0, 20.0, 20.0, 20.0]
    late = Reading(frame=frame, publication_lag=pd.Timedelta(hours=1))
    assert view(4, readings={"fear": late}).series("fear").isna().tolist() == [True, *[False] * 3]
    assert late.upto(pd.Timestamp("2026-01-06 00:59", tz="UTC")).frame.empty
    assert len(late.upto(pd.Timestamp("2026-01-06 01:00", tz="UTC")).frame) == 1


def test_series_refuses_what_is_not_there() -> None:
    frame = pd.DataFrame({"long": [1.0], "short": [2.0]}, index=days(1))
    market = view(2, readings={"flow": Reading(frame=frame, publication_lag=pd.Timedelta(0))})
    assert market.series("flow", "short").tolist() == [2.0, 2.0]
    with pytest.raises(InputError, match=r"got 'flows', there are: flow; .*\[series\]"):
        market.series("flows")
    with pytest.raises(InputError, match="long, short; say which"):
        market.series("flow")
    with pytest.raises(InputError, match="long, short; got 'total'"):
        market.series("flow", "total")


def test_bars_must_be_utc_and_in_order() -> None:
    bars = view(3).bars
    with pytest.raises(SchemaError, match="time zone"):
        MarketView(bars=bars.tz_localize(None), timeframe="1d")
    with pytest.raises(InputError, match="strictly increasing"):
        MarketView(bars=bars.iloc[::-1], timeframe="1d")
    with pytest.raises(InputError, match="strictly increasing"):
        MarketView(bars=bars.iloc[[0, 0, 1]], timeframe="1d")
    with pytest.raises(InputError, match="timeframe"):
        MarketView(bars=bars, timeframe="daily")


def test_the_index_is_utc_nanoseconds_whatever_came() -> None:
    bars = view(3).bars
    other = MarketView(bars=bars.tz_convert("Asia/Tokyo"), timeframe="1d")
    assert str(other.index.dtype) == "datetime64[ns, UTC]"
    assert other.index.equals(view(3).index)
    assert other.close_time[0] == pd.Timestamp("2026-01-06", tz="UTC")


def test_a_coarser_timeframe_must_be_a_multiple() -> None:
    with pytest.raises(InputError, match="whole multiple of 1d"):
        view().resample("1h")


def hours(count: int, start: str, seed: int = 0) -> pd.DataFrame:
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.01, count)))
    index = pd.date_range(start, periods=count, freq="4h", tz="UTC", name="open_time")
    opened = np.append(100.0, close[:-1])
    frame = {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close)}
    return pd.DataFrame(frame | {"close": close, "volume": 1.0}, index=index)


@pytest.mark.parametrize("cut", [77, 78, 80, 84, 126])  # inside a day and a week, at their edges
@pytest.mark.parametrize("coarse", ["1d", "1w"])
def test_earlier_bars_of_a_coarser_timeframe_are_the_history_of_coarse_closes(
    cut: int, coarse: str
) -> None:
    whole = MarketView(bars=hours(6 * 7 * 5, "2026-01-05"), timeframe="4h")
    late = whole.bars.iloc[cut:]
    early = whole.resample(coarse)
    first = MarketView(bars=late, timeframe="4h").resample(coarse).index[0]
    market = MarketView(
        bars=late,
        timeframe="4h",
        earlier=Earlier(bars=early.loc[early.index < first], timeframe=coarse),
    )
    for timeframe in ("1d", "1w"):
        reached = timeframe == coarse or coarse == "1d"
        expected = whole if reached else MarketView(bars=late, timeframe="4h")
        pd.testing.assert_frame_equal(
            market.resample(timeframe), expected.resample(timeframe), check_freq=False
        )
    assert market.index.equals(late.index)
    # The future cannot change the past: what was known at each close is what is known there now.
    weeks = market.resample("1w")["close"]
    closed = weeks.index + pd.Timedelta(days=7)
    for row in range(0, len(late), 5):
        time = market.close_time[row]
        part = market.upto(time)
        pd.testing.assert_series_equal(
            part.resample("1w")["close"], weeks[closed <= time], check_freq=False
        )
    assert market.align(weeks, "1w").notna().all()
    events = align_events(market, weeks > 0.0, "1w")
    assert events.sum() == (closed > late.index[0]).sum()  # none of before its first bar opened
