from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.venues.contract import (
    PerpContract,
    kind_of,
    moved_price,
    notional,
    round_price,
    round_quantity,
    unrealized_pnl,
)

PRICES = st.floats(0.01, 1e6)
SIZES = st.floats(1e-4, 1e6)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "quanto"),
        ("contract_size", 0.0),
        ("contract_size", math.inf),
        ("contract_size", math.nan),
        ("tick", -0.1),
        ("lot", math.nan),
    ],
)
def test_a_contract_says_what_is_wrong_with_it(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"BTC/USDT:USDT: {field}"):
        PerpContract(symbol="BTC/USDT:USDT", **{field: value})  # type: ignore[arg-type]


def test_values_by_hand() -> None:
    # 2 BTC at 30,000 are 60,000; 60,000 USD at 50,000 are 1.2 BTC.
    assert notional(-2.0, 30_000.0) == 60_000.0
    assert notional(60_000.0, 50_000.0, inverse=True) == pytest.approx(1.2, rel=1e-15)
    # Short 2 from 30,000 to 31,000 loses 2,000.
    assert unrealized_pnl(-2.0, 30_000.0, 31_000.0) == -2_000.0
    # 100,000 USD long from 20,000 (5 BTC) to 25,000 (4 BTC) gains 1 BTC.
    assert unrealized_pnl(1e5, 20_000.0, 25_000.0, inverse=True) == pytest.approx(1.0, rel=1e-15)
    # And from 20,000 to 10,000 (10 BTC) loses 5: falls cost an inverse long more.
    assert unrealized_pnl(1e5, 20_000.0, 10_000.0, inverse=True) == pytest.approx(-5.0, rel=1e-15)


@settings(max_examples=500)
@given(size=SIZES, side=st.sampled_from([-1, 1]), entry=PRICES, price=PRICES)
def test_an_inverse_profit_is_the_change_of_notional_in_coin(
    size: float, side: int, entry: float, price: float
) -> None:
    exact = side * (Fraction(size) / Fraction(entry) - Fraction(size) / Fraction(price))
    got = unrealized_pnl(side * size, entry, price, inverse=True)
    assert got == pytest.approx(float(exact), rel=1e-9, abs=1e-12 * size / min(entry, price))


def test_an_inverse_profit_in_dollars_is_the_linear_profit_of_its_coins() -> None:
    # Sold at the exit price, the coins won are worth contracts * (exit / entry - 1).
    won = unrealized_pnl(600.0, 300.0, 450.0, inverse=True)
    assert won * 450.0 == pytest.approx(600.0 * (450.0 / 300.0 - 1.0), rel=1e-14)


@settings(max_examples=500)
@given(
    cents=st.integers(1, 10**9),
    step=st.sampled_from(["0.01", "0.05", "0.1", "0.25", "0.5", "1", "5"]),
    side=st.sampled_from([-1, 1]),
)
def test_a_price_on_the_grid_is_never_better_than_asked(cents: int, step: str, side: int) -> None:
    asked, tick = Decimal(cents) / 100, Decimal(step)
    steps, rest = divmod(asked, tick)
    wanted = (steps + (1 if rest and side > 0 else 0)) * tick
    got = round_price(float(asked), float(tick), side)
    assert got == pytest.approx(float(wanted), rel=1e-12)


@settings(max_examples=500)
@given(
    cents=st.integers(1, 10**9),
    step=st.sampled_from(["0.01", "0.05", "0.1", "0.25", "0.5", "1", "5"]),
    side=st.sampled_from([-1, 1]),
)
def test_a_reciprocal_price_is_rounded_where_it_is_quoted(cents: int, step: str, side: int) -> None:
    asked, tick = Decimal(cents) / 100, Decimal(step)
    steps, rest = divmod(asked, tick)
    wanted = (steps + (1 if rest and side < 0 else 0)) * tick  # up is down
    got = round_price(1.0 / float(asked), float(tick), side, reciprocal=True)
    assert got == (pytest.approx(float(1 / wanted), rel=1e-12) if wanted else math.inf)


@settings(max_examples=500)
@given(
    steps=st.integers(1, 10**8), step=st.sampled_from(["0.001", "0.01", "0.05", "0.1", "0.5", "2"])
)
def test_a_price_on_a_decimal_grid_is_the_float_that_is_quoted(steps: int, step: str) -> None:
    quoted = float(steps * Decimal(step))
    assert round_price(quoted, float(step), 1.0) == quoted
    assert round_price(quoted, float(step), -1.0) == quoted


@settings(max_examples=500)
@given(
    price=st.floats(1e-3, 1e6),
    fraction=st.floats(-0.99, 5.0),
)
def test_a_price_moves_by_a_fraction_of_what_is_quoted(price: float, fraction: float) -> None:
    quoted = Fraction(price) * (1 + Fraction(fraction))
    assert moved_price(price, fraction) == pytest.approx(float(quoted), rel=1e-12)
    moved = moved_price(1.0 / price, -fraction, reciprocal=True)
    assert moved == pytest.approx(float(1 / quoted), rel=1e-12)


def test_what_is_no_price_is_not_rounded_and_a_price_below_nothing_is_never_met() -> None:
    for price in (0.0, -1.0, math.inf, -math.inf):
        assert round_price(price, 0.5, 1.0) == price
    assert moved_price(0.01, 1.5, reciprocal=True) == math.inf
    assert moved_price(0.01, math.inf, reciprocal=True) == math.inf
    assert moved_price(0.01, -math.inf, reciprocal=True) == 0.0


@pytest.mark.parametrize(
    ("symbol", "kind"),
    [
        ("BTC/USDT:USDT", "linear"),
        ("ETH/USD:ETH", "inverse"),
        ("BTC/USD:BTC-241227", "inverse"),
        ("ETH/USD:BTC", "linear"),
        ("BTC/USD", "linear"),
        ("X", "linear"),
    ],
)
def test_a_contract_is_inverse_when_its_base_settles_it(symbol: str, kind: str) -> None:
    assert kind_of(symbol) == kind


@settings(max_examples=500)
@given(
    thousandths=st.integers(-(10**9), 10**9),
    step=st.sampled_from(["0.001", "0.01", "0.1", "1", "3"]),
)
def test_a_quantity_on_the_grid_is_never_larger_than_asked(thousandths: int, step: str) -> None:
    asked, lot = Decimal(thousandths) / 1000, Decimal(step)
    wanted = int(asked / lot) * lot  # towards zero
    assert round_quantity(float(asked), float(lot)) == pytest.approx(float(wanted), rel=1e-12)


def test_without_steps_nothing_is_rounded() -> None:
    assert round_price(1.23456789, 0.0, 1.0) == 1.23456789
    assert round_quantity(-1.23456789, 0.0) == -1.23456789
