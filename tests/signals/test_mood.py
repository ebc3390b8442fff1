"""Indices, implied volatility, sessions and flows, seen when they were published."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from delever.signals import mood
from delever.view import MarketView, Reading

DAYS = pd.date_range("2026-02-02", periods=10, tz="UTC").as_unit("ns")  # from a Monday on
SESSIONS = DAYS[DAYS.day_of_week < 5]


def view(name: str, lag: str, stamps: pd.DatetimeIndex, **columns: list[float]) -> MarketView:
    reading = Reading(frame=pd.DataFrame(columns, index=stamps), publication_lag=pd.Timedelta(lag))
    bars = pd.DataFrame({"close": 1.0}, index=DAYS)
    return MarketView(bars=bars, timeframe="1d", readings={name: reading})


def test_points_become_fractions_only_where_they_are_volatility() -> None:
    values = [50.0, 80, 40, 40, 40, 40, 40, 40, 40, 40]
    assert mood.index_level(view("fear_greed", "8h", DAYS, fng=values)).iloc[1] == 80.0
    seen = view("dvol", "24h", DAYS, dvol=values)
    assert mood.implied_volatility(seen).iloc[:3].tolist() == [0.5, 0.8, 0.4]
    jump = mood.implied_volatility_jump(seen)
    np.testing.assert_allclose(jump.iloc[:3], [np.nan, math.log(1.6), math.log(0.5)])


def test_a_session_changes_against_the_session_before_it() -> None:
    close = [20.0, 22, 22, 11, 33, 66, 66, 66]
    got = mood.session_change(view("vix", "24h", SESSIONS, close=close, open=close))
    expected = [np.nan, 0.1, 0, -0.5, 2, 2, 2, 1, 0, 0]  # Friday's lasts over the weekend
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_flows_arrive_the_morning_after_their_session() -> None:
    flows = [1.0, -2, -3, 4, -1, -1, 0, 5]
    seen = view("etf_flows", "32h", SESSIONS, total_usd_m=flows, IBIT=flows)
    streak = mood.flow_streak(seen)
    # Monday's flow is known on Tuesday 08:00, first at Tuesday's close.
    expected = [np.nan, 1, -1, -2, 1, -1, -1, -1, -2, 0]
    np.testing.assert_array_equal(streak, expected)
    week = mood.flow_sum(seen, sessions=3)
    np.testing.assert_allclose(week.iloc[2:7], [np.nan, -4, -1, 0, 0])


@pytest.mark.parametrize("lag", ["20h", "24h", "40h"])
def test_nothing_is_seen_before_its_lag(lag: str) -> None:
    seen = view("vix", lag, SESSIONS, close=list(range(1, 9)))
    got = mood.index_level(seen, series="vix")
    for bar, close_time in zip(DAYS, seen.close_time, strict=True):
        known = [s for s in SESSIONS if s + pd.Timedelta(lag) <= close_time]
        expected = float(SESSIONS.get_loc(known[-1]) + 1) if known else math.nan
        np.testing.assert_equal(got[bar], expected)
