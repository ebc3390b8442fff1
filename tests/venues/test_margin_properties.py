"""What must hold of liquidation prices on any table, entry, size and leverage."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.venues.margin_reference import margin_lines

from delever.venues.brackets import Bracket, bracket_of, bracket_table
from delever.venues.margin import liquidation_price
from delever.venues.margin_formulas import FORMULAS, MarginFormula, MarginLines

MARKED = [FORMULAS[name] for name in ("binance_linear", "gate_linear", "bybit_mark")]
EVERY = [FORMULAS[name] for name in sorted(FORMULAS)]

NOTHING = MarginLines((0.0,), (0.0,))
"""What is kept until bankruptcy."""

entries = st.floats(0.01, 1e5)
notionals = st.floats(10.0, 1e9)
sides = st.sampled_from([1.0, -1.0])
fees = st.floats(0.0, 0.001)


@st.composite
def tables(draw: st.DrawFn, progressive: bool = True) -> tuple[Bracket, ...]:
    """Tables as venues draw them: wider and dearer from row to row."""
    rows, cap, rate = [], 0, 0
    for wider, dearer in draw(
        st.lists(st.tuples(st.integers(1, 10**5), st.integers(1, 60)), min_size=1, max_size=4)
    ):
        cap, rate = cap + wider * 1_000, rate + dearer
        rows.append((cap, rate / 1_000, max(1.0, 500 / rate)))
    return bracket_table(rows, progressive=progressive)


@st.composite
def cases(
    draw: st.DrawFn, formulas: list[MarginFormula] = EVERY
) -> tuple[MarginFormula, tuple[Bracket, ...], float, float, float, bool]:
    """A formula, a table, a signed position, its entry price, a taker fee, and whether inverse."""
    inverse = draw(st.booleans())
    entry, size = draw(entries), draw(notionals)
    position = draw(sides) * (size * entry if inverse else size / entry)
    formula = draw(st.sampled_from(formulas))
    table = draw(tables(progressive=formula.bracket_by == formula.rate_on))
    return formula, table, position, entry, draw(fees), inverse


def exact_notional(position: float, price: float, inverse: bool) -> Fraction:
    if inverse:
        return abs(Fraction(position)) / Fraction(price)
    return abs(Fraction(position)) * Fraction(price)


def exact_kept(
    formula: MarginFormula,
    table: tuple[Bracket, ...],
    position: float,
    entry: float,
    price: float,
    fee: float,
    inverse: bool,
) -> Fraction:
    """Maintenance margin as its definition reads: find the bracket, then rate, amount, fee."""
    at_mark = exact_notional(position, price, inverse)
    at_entry = exact_notional(position, entry, inverse)
    measure = {"mark": at_mark, "entry": at_entry, "size": abs(Fraction(position))}
    bracket = bracket_of(float(measure[formula.bracket_by]), table)
    taken_of = at_mark if formula.rate_on == "mark" else at_entry
    kept = Fraction(bracket.maintenance_margin_rate) * taken_of
    kept -= Fraction(bracket.maintenance_amount)
    return kept + (Fraction(fee) * at_mark if formula.adds_taker_fee else 0)


@settings(max_examples=500)
@given(case=cases(), leverage=st.floats(1.0, 100.0))
def test_margin_balance_at_the_liquidation_price_is_maintenance_margin(
    case: tuple[MarginFormula, tuple[Bracket, ...], float, float, float, bool], leverage: float
) -> None:
    formula, table, position, entry, fee, inverse = case
    at_entry = exact_notional(position, entry, inverse)
    margin = float(at_entry) / leverage
    lines = margin_lines(
        formula, table, position=position, entry_price=entry, taker_fee=fee, inverse=inverse
    )
    price = liquidation_price(position, entry, margin, lines, inverse=inverse)
    assume(0.0 < price < math.inf)
    change = exact_notional(position, price, inverse) - at_entry
    gains = position > 0 if not inverse else position < 0
    balance = Fraction(margin) + (change if gains else -change)
    kept = exact_kept(formula, table, position, entry, price, fee, inverse)
    scale = max(at_entry, exact_notional(position, price, inverse))
    assert abs(balance - kept) <= Fraction(1, 10**11) * scale


@settings(max_examples=500)
@given(
    case=cases(MARKED),
    leverage=st.floats(1.0, 100.0),
    shares=st.lists(st.floats(0.001, 3.0), min_size=4, max_size=4),
)
def test_a_position_is_safe_on_one_side_of_its_liquidation_price_only(
    case: tuple[MarginFormula, tuple[Bracket, ...], float, float, float, bool],
    leverage: float,
    shares: list[float],
) -> None:
    """The fixed point is the only one: the definition agrees at every other price."""
    formula, table, position, entry, fee, inverse = case
    at_entry = exact_notional(position, entry, inverse)
    margin = float(at_entry) / leverage
    lines = margin_lines(
        formula, table, position=position, entry_price=entry, taker_fee=fee, inverse=inverse
    )
    price = liquidation_price(position, entry, margin, lines, inverse=inverse)
    for share in shares:
        mark = entry * share
        if math.isclose(mark, price, rel_tol=1e-9):
            continue
        change = exact_notional(position, mark, inverse) - at_entry
        gains = position > 0 if not inverse else position < 0
        balance = Fraction(margin) + (change if gains else -change)
        alive = balance > exact_kept(formula, table, position, entry, mark, fee, inverse)
        expected = math.isnan(price) or (mark > price if position > 0 else mark < price)
        assert alive == expected


@settings(max_examples=500)
@given(case=cases(), share=st.floats(0.001, 1.0))
def test_liquidation_comes_between_entry_and_bankruptcy(
    case: tuple[MarginFormula, tuple[Bracket, ...], float, float, float, bool], share: float
) -> None:
    """From barely more margin than must be kept to no leverage at all; no fees."""
    formula, table, position, entry, _, inverse = case
    opened = exact_kept(formula, table, position, entry, entry, 0.0, inverse)
    whole = exact_notional(position, entry, inverse)
    margin = float(opened + Fraction(share) * (whole - opened))
    lines = margin_lines(formula, table, position=position, entry_price=entry, inverse=inverse)
    price = liquidation_price(position, entry, margin, lines, inverse=inverse)
    bankrupt = liquidation_price(position, entry, margin, NOTHING, inverse=inverse)
    if math.isnan(price):
        assert (position > 0) != inverse  # only losses that cannot exceed the notional
        return
    below, above = (bankrupt, entry) if position > 0 else (entry, bankrupt)
    below = 0.0 if math.isnan(below) else below
    above = math.inf if math.isnan(above) else above
    assert below * (1 - 1e-12) <= price <= above * (1 + 1e-12)


@settings(max_examples=500)
@given(case=cases(), ladder=st.lists(st.floats(1.0, 100.0), min_size=2, max_size=6).map(sorted))
def test_more_leverage_is_liquidated_sooner(
    case: tuple[MarginFormula, tuple[Bracket, ...], float, float, float, bool],
    ladder: list[float],
) -> None:
    formula, table, position, entry, fee, inverse = case
    size = float(exact_notional(position, entry, inverse))
    lines = margin_lines(
        formula, table, position=position, entry_price=entry, taker_fee=fee, inverse=inverse
    )
    never = 0.0 if position > 0 else math.inf
    prices = [
        liquidation_price(position, entry, size / leverage, lines, inverse=inverse)
        for leverage in ladder
    ]
    prices = [never if math.isnan(price) else price for price in prices]
    for calmer, bolder in pairwise(prices):
        if position > 0:
            assert bolder >= calmer * (1 - 1e-12)
        else:
            assert bolder <= calmer * (1 + 1e-12)


@settings(max_examples=500)
@given(share=st.floats(0.001, 0.99), entry=entries, leverage=st.floats(1.0, 100.0))
def test_long_and_short_mirror_where_the_rate_is_of_the_entry(
    share: float, entry: float, leverage: float
) -> None:
    """Equal distances, as the trigger margin is the same sum of money on both sides."""
    rate = share / leverage
    table = bracket_table([(math.inf, rate, 1.0)], progressive=True)
    lines = margin_lines(FORMULAS["bybit_linear"], table, position=1.0, entry_price=entry)
    long = liquidation_price(1.0, entry, entry / leverage, lines)
    short = liquidation_price(-1.0, entry, entry / leverage, lines)
    assert short - entry == pytest.approx(entry - long, rel=1e-9, abs=1e-9 * entry)


@settings(max_examples=500)
@given(
    formula=st.sampled_from(MARKED),
    table=tables(),
    entry=entries,
    size=notionals,
    fee=fees,
)
def test_without_leverage_no_long_is_liquidated(
    formula: MarginFormula, table: tuple[Bracket, ...], entry: float, size: float, fee: float
) -> None:
    """A linear long and an inverse short, whose losses cannot exceed their notional.

    What is left of the margin is the notional itself, of which only a part has to be kept.
    """
    position = size / entry
    lines = margin_lines(formula, table, position=position, entry_price=entry, taker_fee=fee)
    price = liquidation_price(position, entry, position * entry, lines)
    assert math.isnan(price) or price <= 1e-9 * entry
    position = -size * entry
    lines = margin_lines(
        formula, table, position=position, entry_price=entry, taker_fee=fee, inverse=True
    )
    price = liquidation_price(position, entry, -position / entry, lines, inverse=True)
    assert math.isnan(price) or price >= 1e9 * entry


@settings(max_examples=500)
@given(table=tables(), entry=entries, size=notionals, leverage=st.floats(1.0, 100.0))
def test_without_leverage_a_short_is_liquidated_all_the_same(
    table: tuple[Bracket, ...], entry: float, size: float, leverage: float
) -> None:
    position = -size / entry
    lines = margin_lines(FORMULAS["binance_linear"], table, position=position, entry_price=entry)
    price = liquidation_price(position, entry, size / leverage, lines)
    assert price < 2.0 * entry * (1 + 1e-12)


@settings(max_examples=500)
@given(case=cases(MARKED), leverage=st.floats(1.0, 100.0))
def test_an_inverse_position_is_the_linear_one_of_the_other_side_at_the_inverted_price(
    case: tuple[MarginFormula, tuple[Bracket, ...], float, float, float, bool], leverage: float
) -> None:
    """Dollars bought with coins: a long of Q dollars is a short of Q units priced 1 / P coins."""
    formula, table, position, entry, fee, _ = case
    margin = abs(position) / entry / leverage
    inverse = liquidation_price(
        position,
        entry,
        margin,
        margin_lines(
            formula, table, position=position, entry_price=entry, taker_fee=fee, inverse=True
        ),
        inverse=True,
    )
    linear = liquidation_price(
        -position,
        1.0 / entry,
        margin,
        margin_lines(formula, table, position=-position, entry_price=1.0 / entry, taker_fee=fee),
    )
    # Where nothing liquidates, the linear price is 0 and the inverse one infinite.
    flipped = 0.0 if math.isnan(inverse) else 1.0 / inverse
    expected = 0.0 if math.isnan(linear) else linear
    assert flipped == pytest.approx(expected, rel=1e-9, abs=1e-9 / entry)
