"""Levels the past left behind, and the moment each could first be known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.signals.levels import round_support, support_below
from delever.signals.swings import cycle_highs, extension, fibonacci, level_table, swings
from delever.view import MarketView

START = pd.Timestamp("2026-01-05", tz="UTC")
DAY = pd.Timedelta(1, "D")
QUICK = settings(max_examples=60, deadline=None, derandomize=True)


def market(closes: list[float], spread: float = 0.0) -> MarketView:
    index = pd.date_range(START, periods=len(closes), tz="UTC")
    close = np.array(closes, dtype=float)
    frame = pd.DataFrame(
        {"open": close, "high": close + spread, "low": close - spread, "close": close}, index=index
    )
    return MarketView(bars=frame, timeframe="1d")


@QUICK
@given(st.lists(st.integers(1, 6), max_size=40), st.integers(1, 4))
def test_swings_equal_looking_at_every_bar(closes: list[int], k: int) -> None:
    got = swings(market([float(value) for value in closes]), bars=k)
    expected = []
    for i in range(k, len(closes) - k):
        before, after = closes[i - k : i], closes[i + 1 : i + k + 1]
        if closes[i] < min(before) and closes[i] <= min(after):
            expected.append((i, "swing_low"))
        if closes[i] > max(before) and closes[i] >= max(after):
            expected.append((i, "swing_high"))
    found = {
        (round((row.origin - START) / DAY), row.kind): row for row in got.itertuples(index=False)
    }
    assert sorted(found) == sorted(expected)
    for (i, _), row in found.items():
        assert row.price == closes[i]
        assert row.born == START + (i + k + 1) * DAY  # the close of the k-th bar after it
    assert got["ended"].isna().all()


def test_a_cycle_high_is_known_when_half_is_lost_and_needs_a_new_high_to_be_followed() -> None:
    closes = [50.0, 100, 80, 49, 60, 40, 99, 120, 61, 60, 59, 130, 70]
    got = cycle_highs(market(closes))
    assert got["price"].tolist() == [100.0, 120.0]
    assert ((got["origin"] - START) // DAY).tolist() == [1, 7]
    assert ((got["born"] - START) // DAY).tolist() == [4, 10]  # closes of bars 3 and 9
    assert cycle_highs(market(closes), fall=0.6)["price"].tolist() == [100.0]


def test_fibonacci_of_alternating_swings() -> None:
    # High 200, low 100, lower high 160, all confirmed one bar later; then a new low.
    closes = [150.0, 200, 150, 100, 130, 160, 140, 90, 95]
    got = fibonacci(market(closes), bars=1, retracements=(0.5,), extensions=(1.0, 3.0))
    named = {(row.kind, row.price): row for row in got.itertuples(index=False)}
    # 160 - 0.5 * 60, 160 - 100; 160 - 300 is no price. From the close of bar 6 to that of bar 8.
    assert set(named) == {("retracement 0.5", 130.0), ("extension 1", 60.0)}
    for row in named.values():
        assert row.born == START + 7 * DAY
        assert row.ended == START + 9 * DAY


def test_of_two_highs_in_a_row_the_higher_one_counts() -> None:
    # The 11 between the highs is no swing low: two bars before it there was a 9.
    closes = [10.0, 9, 5, 8, 9, 12, 11, 11.5, 14, 13, 12, 11]
    got = fibonacci(market(closes), bars=2, retracements=(0.5,), extensions=(1.0,))
    assert got["price"].tolist() == [(12 + 5) / 2, (14 + 5) / 2]
    assert got["ended"].isna().tolist() == [False, True]


def test_the_extension_of_early_2026() -> None:
    """Highs of 2025-10-06 and 2026-01-14 and the low of 2025-11-21, Binance spot."""
    assert extension(126_199.63, 80_600.00, 97_924.49, 1.0) == pytest.approx(52_324.86, abs=0.005)


def at(day: float) -> pd.Timestamp:
    return START + day * DAY


def test_the_nearest_level_in_force_before_the_bar_opened() -> None:
    rows = [
        (10.0, "a", at(-5), at(1), pd.NaT),
        (12.0, "b", at(-5), at(2.5), at(5)),
        (12.0, "c", at(-5), at(3), at(4)),
        (15.0, "d", at(-5), at(0), pd.NaT),
    ]
    seen = market([14.0, 14, 14, 14, 14, 14, 9, 14])
    got = support_below(seen, level_table(rows))
    # Bar 1 opens as the 10 is born; bar 3 is the first to open after the 12; both twelves have
    # ended when bar 5 opens; bar 7 opens after a close of 9, below everything.
    np.testing.assert_array_equal(got, [np.nan, 10, 10, 12, 12, 10, 10, np.nan])
    assert support_below(seen, level_table([])).isna().all()


@QUICK
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 12), st.integers(1, 12)), max_size=12),
    st.lists(st.integers(1, 9), min_size=1, max_size=14),
)
def test_support_below_equals_asking_every_level(
    levels: list[tuple[int, int, int]], closes: list[int]
) -> None:
    rows = [
        (float(price), "x", at(0), at(born), at(born + lasts) if lasts < 10 else pd.NaT)
        for price, born, lasts in levels
    ]
    got = support_below(market([float(value) for value in closes]), level_table(rows))
    for t in range(len(closes)):
        known = [
            float(price)
            for price, born, lasts in levels
            if born <= t and (lasts >= 10 or t < born + lasts) and t and price <= closes[t - 1]
        ]
        np.testing.assert_equal(got.iloc[t], max(known, default=math.nan))


@pytest.mark.parametrize(
    ("price", "parts", "level"),
    [
        (72_000.0, 1, 70_000.0),
        (72_000.0, 2, 70_000.0),
        (76_000.0, 2, 75_000.0),
        (76_400.0, 10, 76_000.0),
        (100_000.0, 2, 100_000.0),
        (99_999.99, 2, 95_000.0),
        (1_000.0, 1, 1_000.0),
        (0.3, 2, 0.3),
        (0.0299, 1, 0.02),
        (1e-7, 1, 1e-7),
    ],
)
def test_round_numbers_by_magnitude(price: float, parts: int, level: float) -> None:
    got = round_support(pd.Series([price, price]), parts=parts)
    assert math.isnan(got.iloc[0])
    assert got.iloc[1] == pytest.approx(level, rel=1e-12)


def test_round_numbers_are_those_of_the_quoted_currency() -> None:
    cents = pd.Series([7_250_000.0] * 2)
    assert round_support(cents, unit=100.0).iloc[1] == 7_000_000.0


def test_refuses_what_makes_no_level() -> None:
    seen = market([1.0, 2.0])
    for wrong in (
        lambda: swings(seen, bars=0),
        lambda: cycle_highs(seen, fall=1.0),
        lambda: fibonacci(seen, retracements=(0.0,)),
        lambda: round_support(seen.bars["close"], parts=0),
        lambda: round_support(seen.bars["close"], unit=-1.0),
    ):
        with pytest.raises(InputError, match=r"must be|parts must"):
            wrong()
