"""Shared work is never stale: the same question means the same numbers, wherever they lie."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.memo import shared, shared_work
from delever.signals.indicators import moving_average
from delever.view import MarketView


def counted(values: pd.Series, calls: list[int]) -> pd.Series:
    def double() -> pd.Series:
        calls.append(1)
        return values * 2.0

    return shared("double", (values,), (2,), double)


def test_nothing_is_kept_outside_of_the_block() -> None:
    values, calls = pd.Series([1.0, 2.0]), []
    with shared_work():
        counted(values, calls)
        counted(values, calls)
    assert len(calls) == 1
    counted(values, calls)
    counted(values, calls)
    assert len(calls) == 3


def test_a_change_in_place_is_seen() -> None:
    values, calls = pd.Series([1.0, 2.0]), []
    with shared_work():
        counted(values, calls)
        values.iloc[0] = 9.0
        assert counted(values, calls).tolist() == [18.0, 4.0]


def test_writing_to_a_result_spoils_nothing() -> None:
    values, calls = pd.Series([1.0, 2.0]), []
    with shared_work():
        made = counted(values, calls)
        made.iloc[0] = -1.0
        assert counted(values, calls).tolist() == [2.0, 4.0]
    assert len(calls) == 1


def test_memory_that_is_freed_and_used_again_is_other_data() -> None:
    with shared_work():
        for number in range(300):
            fresh = pd.Series(np.full(64, float(number)))
            assert counted(fresh, [])[0] == 2.0 * number


def test_the_same_numbers_elsewhere_are_the_same_question() -> None:
    days = pd.date_range("2021-01-01", periods=5_000, tz="UTC")
    values, calls = pd.Series(np.arange(5_000.0), index=days, name="close"), []
    with shared_work():
        counted(values, calls)
        counted(values * 1.0, calls)
        counted(pd.Series(values.to_numpy().copy(), index=days.copy(), name="close"), calls)
        assert len(calls) == 1
        counted(values.rename("open"), calls)
        counted(values.tz_convert("Asia/Tokyo"), calls)
        assert len(calls) == 3


@given(st.integers(0, 4_999), st.sampled_from([np.nan, -0.0, 7.5, np.inf]))
def test_one_number_that_differs_is_another_question(row: int, other: float) -> None:
    values, calls = pd.Series(np.arange(5_000.0) + 0.25), []
    changed = values.copy()
    changed.iloc[row] = other
    with shared_work():
        for each in (values, changed, values, changed):
            pd.testing.assert_series_equal(counted(each, calls), each * 2.0)


def test_the_oldest_results_leave_when_the_budget_is_full() -> None:
    first, second = pd.Series(np.ones(100)), pd.Series(np.zeros(100))
    calls: list[int] = []
    with shared_work(most=2_500):  # one result with its input and indices, not two
        for values in (first, first, second, first):
            counted(values, calls)
    assert len(calls) == 3


@pytest.mark.parametrize("dtype", ["Float64", "string"])
def test_data_that_numpy_does_not_hold_is_computed_each_time(dtype: str) -> None:
    calls: list[int] = []
    values = pd.Series([1, 2]).astype(dtype)

    def same() -> pd.Series:
        calls.append(1)
        return values

    with shared_work():
        for _ in range(2):
            shared("same", (values,), (), same)
    assert len(calls) == 2


def test_other_indices_and_other_options_are_other_work() -> None:
    days = pd.date_range("2021-01-01", periods=4, tz="UTC")
    values = pd.Series([1.0, 2.0, 3.0, 4.0], index=days)
    later = values.set_axis(days + pd.Timedelta(1, "D"))
    with shared_work():
        one = moving_average(values, 2, "sma")
        assert moving_average(later, 2, "sma").index[0] == later.index[0]
        assert not moving_average(values, 3, "sma").equals(one)
        assert not moving_average(values, 2, "wma").equals(one)


def test_a_view_gives_the_same_with_and_without() -> None:
    days = pd.date_range("2021-01-01", periods=60, tz="UTC", name="open_time")
    close = pd.Series(np.arange(60.0), index=days)
    bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], close))
    market = MarketView(bars=bars, timeframe="1d")

    def ask(seen: MarketView) -> pd.Series:
        return seen.align(moving_average(seen.resample("1w")["close"], 3, "ema"), "1w")

    alone = ask(market)
    with shared_work():
        for seen in (market, market.upto(days[40]), market):
            expected = alone if seen is market else alone.iloc[:40]
            pd.testing.assert_series_equal(ask(seen), expected, check_freq=False)
