from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from delever.errors import InputError, SimulationError
from delever.venues.costs import Costs, fill_price, position_at_target


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("taker_fee", -0.0001),
        ("taker_fee", 1.0),
        ("taker_fee", float("nan")),
        ("taker_fee", float("inf")),
        ("slippage", -0.01),
        ("slippage", 1.0),
        ("maker_fee", -1.0),
        ("maker_fee", 5.0),
        ("maker_fee", float("nan")),
    ],
)
def test_costs_must_be_fractions(field: str, value: float) -> None:
    with pytest.raises(InputError, match=field):
        Costs(**{field: value})


def test_liquidity_has_two_words() -> None:
    with pytest.raises(InputError, match="liquidity"):
        Costs(liquidity="both")  # type: ignore[arg-type]


def test_the_fee_in_force_follows_liquidity() -> None:
    assert Costs(maker_fee=-0.0002, taker_fee=0.0005).fee == 0.0005
    assert Costs(maker_fee=-0.0002, taker_fee=0.0005, liquidity="maker").fee == -0.0002


def test_a_fill_is_never_better_than_the_open() -> None:
    assert fill_price(200.0, 1.0, 0.125) == 225.0
    assert fill_price(200.0, -1.0, 0.125) == 175.0


def test_sizes_worked_by_hand() -> None:
    # 1,000 in cash, all in at 100 with a tenth of slippage and a fifth of fee: units cost 132.
    bought = position_at_target(
        1.0, cash=1000.0, position=0.0, open_price=100.0, fee=0.2, slippage=0.1
    )
    assert bought == pytest.approx(1000 / 132, rel=1e-15)
    # Short one: proceeds 80 each at 80, fee 8 each; q 80 = 1000 - 8 q, so q = 1000 / 88.
    sold = position_at_target(
        -1.0, cash=1000.0, position=0.0, open_price=100.0, fee=0.1, slippage=0.2
    )
    assert sold == pytest.approx(-1000 / 88, rel=1e-15)


def test_a_target_of_zero_is_exactly_flat() -> None:
    held = 1000 / 3
    assert (
        position_at_target(
            0.0, cash=17.3, position=held, open_price=3.1, fee=0.00075, slippage=0.0003
        )
        == 0.0
    )


def test_costs_open_a_zone_in_which_nothing_is_traded() -> None:
    # Half invested at the open; at the buyer's price of 101 the exposure is already
    # 505 / 1005 = 0.50249, at the seller's 99 it is 495 / 995 = 0.49749.
    account = {"cash": 500.0, "position": 5.0, "open_price": 100.0, "slippage": 0.01}
    for inside in (0.4976, 0.5, 0.5024):
        assert position_at_target(inside, **account) == 5.0
    assert position_at_target(0.5026, **account) > 5.0
    assert position_at_target(0.4974, **account) < 5.0


def test_a_short_has_the_same_zone() -> None:
    # To the buyer at 101 the short is 1010 / 990 = 1.0202 of equity, to the seller 990 / 1010.
    account = {"cash": 2000.0, "position": -10.0, "open_price": 100.0, "slippage": 0.01}
    for inside in (-1.02, -1.0, -0.981):
        assert position_at_target(inside, **account) == -10.0
    assert position_at_target(-0.98, **account) > -10.0
    assert position_at_target(-1.021, **account) < -10.0


def test_nothing_is_left_when_closing_costs_more_than_equity() -> None:
    # Equity is 5; covering ten units at 101 instead of 100 costs 10.
    for target in (-1.0, -0.5, 0.0, 1.0):
        assert (
            position_at_target(target, cash=1005.0, position=-10.0, open_price=100.0, slippage=0.01)
            == 0.0
        )


def test_a_ruined_account_reaches_no_target() -> None:
    with pytest.raises(SimulationError, match="equity at the open must be positive"):
        position_at_target(1.0, cash=-100.0, position=1.0, open_price=100.0)


def test_a_fee_that_eats_what_a_sale_frees_is_refused() -> None:
    # Each 1 sold lowers equity by 0.5 and so the notional wanted by 2: never reached.
    with pytest.raises(SimulationError, match="leaves no size"):
        position_at_target(4.0, cash=-900.0, position=10.0, open_price=100.0, fee=0.5)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    target=st.floats(-1.0, 1.0),
    exposure=st.floats(-3.0, 3.0),
    equity=st.floats(1.0, 1e7),
    price=st.floats(1e-3, 1e6),
    fee=st.floats(-0.01, 0.05),
    slippage=st.floats(0.0, 0.05),
)
def test_exposure_after_costs_is_the_target(
    target: float, exposure: float, equity: float, price: float, fee: float, slippage: float
) -> None:
    cash, position = equity * (1.0 - exposure), exposure * equity / price
    held = position_at_target(
        target, cash=cash, position=position, open_price=price, fee=fee, slippage=slippage
    )
    exact = [Fraction(value) for value in (target, cash, position, price, fee, slippage, held)]
    x, c, q0, open_, f, slip, q = exact
    worth_at_open = c + q0 * open_
    assume(worth_at_open > 0)
    prices = {side: open_ * (1 + side * slip) for side in (1, -1)}
    lacking = {side: x * (c + q0 * p) - q0 * p for side, p in prices.items()}
    scale = abs(c) + abs(q0 * open_)
    if min(abs(value) for value in lacking.values()) <= scale / 10**12:
        return  # on the edge of the zone rounding decides
    if (lacking[1] > 0) == (lacking[-1] < 0):
        assert q == q0
        return
    side = 1 if lacking[1] > 0 else -1
    p = prices[side]
    after = c + q0 * p - f * abs(q - q0) * p
    if after <= 0:
        assert q == 0
        assert q0 < 0 < side or q0 > 0 > side
        return
    assert (q - q0) * side > 0
    assert abs(q * p - x * after) <= scale / 10**12
