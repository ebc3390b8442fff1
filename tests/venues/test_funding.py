from __future__ import annotations

import csv
import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import DataError
from delever.venues.funding import (
    Hole,
    funding_between,
    funding_holes,
    funding_intervals,
    funding_payment,
    funding_rate,
    snap_to_second,
)

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND


def hours(*stamps: int) -> np.ndarray:
    return np.array(stamps, dtype=np.int64) * HOUR


def clock(text: str) -> int:
    hour, minute, second = (int(part) for part in text.split(":"))
    return ((hour * 60 + minute) * 60 + second) * SECOND


def test_longs_pay_a_positive_rate() -> None:
    assert funding_payment(2.0, 50_000.0, 0.0001) == -10.0
    assert funding_payment(-2.0, 50_000.0, 0.0001) == 10.0
    assert funding_payment(2.0, 50_000.0, -0.0001) == 10.0
    # 100,000 USD at 50,000 are 2 BTC; 0.01 % of them.
    assert funding_payment(1e5, 50_000.0, 0.0001, inverse=True) == pytest.approx(-0.0002)


@pytest.mark.parametrize(
    ("opened", "closed", "cash"),
    [
        ("00:00:00", "08:00:00", -0.0009141),
        ("00:00:15", "08:00:00", -0.0002493),
        ("00:00:00", "07:59:59", -0.0006648),
        ("01:00:00", "04:00:00", 0.0),
    ],
)
@pytest.mark.parametrize("side", [-1, 1])
def test_a_stamp_counts_at_both_ends_of_a_holding(
    opened: str, closed: str, cash: float, side: int
) -> None:
    """freqtrade's vector for ADA: 30 short; a long is the negative."""
    got = funding_between(
        30.0 * side,
        clock(opened),
        clock(closed),
        stamps=hours(0, 8),
        mark_prices=np.array([2.77, 2.77]),
        rates=np.array([-0.000008, -0.000003]),
    )
    assert got == pytest.approx(-side * cash, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(
    ("premium", "rate"),
    [
        (-0.0020, -0.0015),
        (-0.0006, -0.0001),
        (-0.0004, 0.0001),
        (0.0, 0.0001),
        (0.0010, 0.0005),
        (0.0020, 0.0015),
        (0.01, 0.0095),  # Hyperliquid Docs: impact bid 10,100 over an oracle price of 10,000
    ],
)
def test_a_rate_comes_from_the_premium(premium: float, rate: float) -> None:
    assert funding_rate(premium) == pytest.approx(rate, rel=1e-12)
    assert funding_rate(premium, interval_hours=1.0) == pytest.approx(rate / 8, rel=1e-12)


def test_without_a_premium_the_rate_is_the_interest() -> None:
    assert funding_rate(0.0, interest_rate=0.0) == 0.0
    assert funding_rate(0.0, interval_hours=4.0) == pytest.approx(0.00005)


def test_stamps_snap_to_the_second() -> None:
    late = np.array([8 * HOUR + 7_000_000, 16 * HOUR - 3_000_000, 24 * HOUR], dtype=np.int64)
    assert snap_to_second(late).tolist() == [8 * HOUR, 16 * HOUR, 24 * HOUR]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ((0, 8, 16, 24), (8, 8, 8)),
        ((0, 24, 48, 72), (24, 24, 24)),
        ((0, 1, 2, 3), (1, 1, 1)),
        ((0, 8), (8,)),
        ((0, 8, 16, 20, 24, 28), (8, 8, 4, 4, 4)),  # a change of interval
        ((0, 4, 8, 16, 24, 25, 26), (4, 4, 8, 8, 1, 1)),  # and back, and to hourly
        ((0, 8, 9, 10), (8, 1, 1)),  # a history that begins just before a change
        ((0, 4, 8, 16, 20, 24), (4, 4, 4, 4, 4)),  # one missing stamp
        ((0, 8, 16, 40, 48), (8, 8, 8, 8)),  # two missing stamps, 24 h apart as BitMEX once
        ((0, 1, 2, 7, 8), (1, 1, 1, 1)),  # five hours are no interval at all
        ((0, 1, 4, 9, 10), (1, 1, 1, 1)),  # two such holes in a row
    ],
)
def test_intervals_are_read_from_the_stamps(
    stamps: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert (funding_intervals(hours(*stamps)) // HOUR).tolist() == list(expected)


@pytest.mark.parametrize(
    ("stamps", "said"),
    [
        ((), "at least two stamps.*got 0"),
        ((0,), "at least two stamps.*got 1"),
        ((0, 8, 8), r"row 2 \(1970-01-01 08:00:00\) does not come after"),
        ((8, 0), "row 1"),
        ((0, 7, 10), "1, 2, 4, 8 or 24 hours apart"),
    ],
)
def test_stamps_that_say_no_interval_are_refused(stamps: tuple[int, ...], said: str) -> None:
    with pytest.raises(DataError, match=said):
        funding_intervals(hours(*stamps))


def test_holes_are_found_where_they_matter() -> None:
    stamps = hours(0, 8, 16, 24, 40, 48, 56)
    missing = Hole(24 * HOUR, 40 * HOUR, 8 * HOUR)
    assert funding_holes(stamps, 0, 56 * HOUR) == (missing,)
    assert funding_holes(stamps, 40 * HOUR, 56 * HOUR) == ()
    assert funding_holes(stamps, 0, 24 * HOUR) == ()
    assert funding_holes(stamps, 30 * HOUR, 35 * HOUR) == (missing,)
    # The run may begin at the stamp before the first and end where the next would fall.
    assert funding_holes(stamps[1:4], 0, 32 * HOUR) == ()
    assert funding_holes(stamps[1:4], -HOUR, 33 * HOUR) == (
        Hole(-HOUR, 8 * HOUR, 8 * HOUR),
        Hole(24 * HOUR, 33 * HOUR, 8 * HOUR),
    )
    # A run wholly outside is one hole.
    assert funding_holes(stamps, 100 * HOUR, 120 * HOUR) == (
        Hole(100 * HOUR, 120 * HOUR, 8 * HOUR),
    )


def test_late_stamps_are_no_holes() -> None:
    late = hours(0, 8, 16, 24) + np.array([0, 9_000_000, 2_000_000, 11_000_000])
    assert funding_holes(late, 0, 30 * HOUR) == ()


@settings(max_examples=500)
@given(
    spans=st.lists(
        st.tuples(st.sampled_from([1, 4, 8]), st.integers(4, 9)), min_size=1, max_size=4
    ),
    data=st.data(),
)
def test_a_missing_stamp_is_always_seen(spans: list[tuple[int, int]], data: st.DataObject) -> None:
    """Whatever intervals follow each other: all there is no hole; one inside gone is one hole."""
    stamps, now, edges = [0], 0, set()
    for interval, count in spans:
        edges |= {len(stamps) - 2, len(stamps) - 1, len(stamps)}
        for _ in range(count):
            now += interval
            stamps.append(now)
    edges |= {len(stamps) - 2, len(stamps) - 1}
    full = hours(*stamps)
    assert funding_holes(full, 0, int(full[-1])) == ()
    inside = [place for place in range(2, len(stamps) - 1) if place not in edges]
    if not inside:
        return
    gone = data.draw(st.sampled_from(inside))
    (hole,) = funding_holes(np.delete(full, gone), 0, int(full[-1]))
    assert (hole.after, hole.before) == (full[gone - 1], full[gone + 1])
    assert hole.interval == full[gone] - full[gone - 1]


@pytest.fixture(scope="module")
def binance(shared_data: Path) -> tuple[np.ndarray, list[Decimal]]:
    """Funding of BTC/USDT:USDT as stored: stamps in nanoseconds and exact rates."""
    with (shared_data / "funding_btcusdt_8h_binance.csv").open() as file:
        rows = list(csv.DictReader(file))
    stamps = [int(dt.datetime.fromisoformat(row["timestamp"]).timestamp()) * SECOND for row in rows]
    return np.array(stamps, dtype=np.int64), [Decimal(row["funding_rate"]) for row in rows]


def test_years_of_real_funding_add_up(binance: tuple[np.ndarray, list[Decimal]]) -> None:
    stamps, rates = binance
    assert funding_holes(stamps, int(stamps[0]), int(stamps[-1])) == ()
    assert set((funding_intervals(stamps) // HOUR).tolist()) == {8}
    got = funding_between(
        1.0,
        int(stamps[0]),
        int(stamps[-1]),
        stamps=stamps,
        mark_prices=np.full(stamps.size, 50_000.0),
        rates=np.array([float(rate) for rate in rates]),
    )
    assert got == pytest.approx(float(-50_000 * sum(rates)), rel=1e-12)
