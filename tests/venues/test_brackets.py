from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.venues.brackets import (
    Bracket,
    bracket_of,
    bracket_table,
    check_leverage,
    is_continuous,
)

# Binance BTCUSDT, as published with freqtrade 2026.9: cap, rate, leverage, published amount.
BINANCE = [
    (300_000, 0.004, 150, 0),
    (800_000, 0.005, 100, 300),
    (3_000_000, 0.0065, 75, 1_500),
    (12_000_000, 0.01, 50, 12_000),
    (70_000_000, 0.02, 25, 132_000),
    (100_000_000, 0.025, 20, 482_000),
    (230_000_000, 0.05, 10, 2_982_000),
    (480_000_000, 0.10, 5, 14_482_000),
    (600_000_000, 0.125, 4, 26_482_000),
    (800_000_000, 0.15, 3, 41_482_000),
    (1_200_000_000, 0.25, 2, 121_482_000),
    (1_800_000_000, 0.50, 1, 421_482_000),
]
TABLE = bracket_table([row[:3] for row in BINANCE], progressive=True)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Bracket, ...]:
    """Progressive tables as venues draw them: wider and dearer from row to row."""
    rows, cap, rate = [], 0, 0
    for wider, dearer in draw(
        st.lists(st.tuples(st.integers(1, 10**5), st.integers(1, 60)), min_size=1, max_size=4)
    ):
        cap, rate = cap + wider * 1_000, rate + dearer
        rows.append((cap, rate / 1_000, max(1.0, 500 / rate)))
    return bracket_table(rows, progressive=True)


def test_amounts_are_the_published_ones() -> None:
    for bracket, row in zip(TABLE, BINANCE, strict=True):
        assert bracket.maintenance_amount == pytest.approx(row[3], rel=1e-12, abs=1e-6)


@settings(max_examples=500)
@given(table=tables(), share=st.floats(0.0, 1.5))
def test_progressive_margin_is_the_tax_on_every_part(
    table: tuple[Bracket, ...], share: float
) -> None:
    notional = Fraction(table[-1].cap) * Fraction(share)
    owed, floor = Fraction(0), Fraction(0)
    for number, bracket in enumerate(table):
        last = number == len(table) - 1
        ceiling = notional if last else min(notional, Fraction(bracket.cap))
        owed += max(ceiling - floor, Fraction(0)) * Fraction(bracket.maintenance_margin_rate)
        floor = Fraction(bracket.cap)
    chosen = bracket_of(float(notional), table)
    got = chosen.maintenance_margin_rate * float(notional) - chosen.maintenance_amount
    assert got == pytest.approx(float(owed), rel=1e-9, abs=1e-9 * table[-1].cap)
    assert is_continuous(table)


def test_a_cap_belongs_to_its_bracket() -> None:
    assert bracket_of(300_000.0, TABLE) is TABLE[0]
    assert bracket_of(math.nextafter(300_000.0, math.inf), TABLE) is TABLE[1]
    assert bracket_of(0.0, TABLE) is TABLE[0]
    assert bracket_of(1e12, TABLE) is TABLE[-1]


def test_a_rate_for_the_whole_has_no_amounts_and_jumps() -> None:
    table = bracket_table([(100, 0.01, 50), (200, 0.02, 25)], progressive=False)
    assert [b.maintenance_amount for b in table] == [0.0, 0.0]
    assert not is_continuous(table)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "at least one row"),
        ([(100, 0.01, 50), (100, 0.02, 25)], "row 2 must have a cap above 100"),
        ([(math.nan, 0.01, 50)], "row 1 must have a cap"),
        ([(100, 0.5, 50)], "below 1 / max_leverage"),
        ([(100, 5.0, 1)], "0 < rate < 1"),
        ([(100, 0.0, 1)], "0 < rate < 1"),
        ([(100, 0.01, 0.5)], "leverage >= 1"),
        ([(100, 0.02, 25), (200, 0.01, 25)], "row 2 must not have a lower rate"),
        ([(100, 0.01, 25), (200, 0.02, 30)], "row 2 must not have"),
    ],
)
def test_impossible_tables_are_refused(rows: list[tuple[float, float, float]], said: str) -> None:
    with pytest.raises(InputError, match=said):
        bracket_table(rows, progressive=True)


def test_leverage_above_the_maximum_is_refused() -> None:
    check_leverage(150.0, 300_000.0, TABLE)
    check_leverage(1.0, 1_800_000_000.0, TABLE)
    with pytest.raises(InputError, match=r"at most 100 for a position of 300,001.*got 101"):
        check_leverage(101.0, 300_001.0, TABLE)
    with pytest.raises(InputError, match="leverage must be 1 or more"):
        check_leverage(0.5, 1.0, TABLE)
    with pytest.raises(InputError, match="leverage must be 1 or more"):
        check_leverage(math.nan, 1.0, TABLE)
    with pytest.raises(InputError, match=r"at most 1,800,000,000 \(the last bracket's cap\)"):
        check_leverage(1.0, 1_800_000_001.0, TABLE)
