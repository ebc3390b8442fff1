"""Liquidation prices against published ones; each number stands with who published it."""

from __future__ import annotations

import math

import pytest
from tests.venues.margin_reference import margin_lines

from delever.errors import InputError
from delever.venues.brackets import Bracket, bracket_table
from delever.venues.margin import initial_margin, liquidation_price, maintenance_margin
from delever.venues.margin_formulas import FORMULAS, MarginLines, margin_formula, margin_table

BINANCE = bracket_table(
    [
        (300_000, 0.004, 150),
        (800_000, 0.005, 100),
        (3_000_000, 0.0065, 75),
        (12_000_000, 0.01, 50),
        (70_000_000, 0.02, 25),
        (100_000_000, 0.025, 20),
        (230_000_000, 0.05, 10),
        (480_000_000, 0.10, 5),
        (600_000_000, 0.125, 4),
        (800_000_000, 0.15, 3),
        (1_200_000_000, 0.25, 2),
        (1_800_000_000, 0.50, 1),
    ],
    progressive=True,
)


def one(rate: float, amount: float = 0.0) -> tuple[Bracket, ...]:
    return (
        Bracket(
            cap=math.inf, maintenance_margin_rate=rate, max_leverage=1.0, maintenance_amount=amount
        ),
    )


def isolated(
    name: str,
    brackets: tuple[Bracket, ...],
    side: int,
    q: float,
    entry: float,
    leverage: float,
    *,
    extra: float = 0.0,
    taker: float = 0.0,
    inverse: bool = False,
) -> float:
    lines = margin_lines(
        margin_formula(name),
        brackets,
        position=side * q,
        entry_price=entry,
        taker_fee=taker,
        inverse=inverse,
    )
    size = q / entry if inverse else q * entry
    margin = initial_margin(size, leverage) + extra
    return liquidation_price(side * q, entry, margin, lines, inverse=inverse)


@pytest.mark.parametrize(
    ("side", "q", "leverage", "liquidated", "bankrupt"),
    [
        (1, 1.0, 10, 67771.0843373494, 67500.0),
        (-1, 1.0, 10, 82171.3147410359, 82500.0),
        (1, 1.0, 50, 73795.1807228916, 73500.0),
        # Opened in the third bracket (1.5 million) and liquidated in it.
        (1, 20.0, 10, 67866.1298439859, 67500.0),
    ],
)
def test_binance_isolated(
    side: int, q: float, leverage: float, liquidated: float, bankrupt: float
) -> None:
    """Binance's formula on the brackets above, entry 75,000, computed by hand."""
    got = isolated("binance_linear", BINANCE, side, q, 75_000.0, leverage)
    assert got == pytest.approx(liquidated, rel=1e-12)
    margin = q * 75_000.0 / leverage
    gone = liquidation_price(side * q, 75_000.0, margin, MarginLines((0.0,), (0.0,)))
    assert gone == pytest.approx(bankrupt, rel=1e-12)


def test_the_bracket_is_the_one_at_the_liquidation_price() -> None:
    """A long opened above a cap and liquidated below it; a short the other way round.

    Long 12 at 75,000 and 5x: 900,000 at entry (third bracket). With its rate (0.0065, 1,500) the
    price is (180000 + 1500 - 900000) / (12 (0.0065 - 1)) = 60266.73, where 723,201 lies in the
    second. With that (0.005, 300): (180000 + 300 - 900000) / (12 (0.005 - 1)) = 60276.38.
    Short 10 at 75,000 and 10x: 750,000 (second). With it (75000 + 300 + 750000) / (10 1.005) =
    82119.40, 821,194 in the third: (75000 + 1500 + 750000) / (10 1.0065) = 82116.24.
    """
    assert isolated("binance_linear", BINANCE, 1, 12.0, 75_000.0, 5) == pytest.approx(
        -719_700 / (12 * -0.995), rel=1e-12
    )
    assert isolated("binance_linear", BINANCE, -1, 10.0, 75_000.0, 10) == pytest.approx(
        826_500 / 10.065, rel=1e-12
    )


def test_binance_cross_worked_example() -> None:
    """Binance Futures FAQ, as recomputed in freqtrade's tests; given to the cent."""
    margin = 1_535_443.01 - 448_192.89 - 356_512.51  # wallet, others' profit, what they must keep
    lines = margin_lines(
        FORMULAS["binance_linear"], one(0.025, 16_300.0), position=109.488, entry_price=32_481.98
    )
    price = liquidation_price(109.488, 32_481.98, margin, lines)
    assert price == pytest.approx(26_316.89, abs=0.01)


def test_binance_one_way_examples() -> None:
    """Binance's liquidation FAQ of 2020, BTC short and ETH long of one cross account."""
    short = 10.72 + 0.47 - 1.3
    assert liquidation_price(
        -0.005, 9_451.53, short, MarginLines((0.004,), (0.0,))
    ) == pytest.approx(11_383.99, rel=2e-6)  # "difference due to rounding off"
    long = 10.72 - 0.06 - 0.19
    assert liquidation_price(1.0, 199.53, long, MarginLines((0.0065,), (0.0,))) == pytest.approx(
        190.29, abs=0.01
    )  # cut to the cent


@pytest.mark.parametrize(
    ("name", "side", "leverage", "amount", "taker", "price"),
    [
        ("binance_linear", 1, 3, 0.01, 0.0, 6.723906),
        ("binance_linear", -1, 5, 0.01, 0.0, 11.891089),
        ("gate_linear", 1, 5, 0.0, 0.0006, 8.085709),
        ("okx_linear", 1, 5, 0.0, 0.0006, 8.085709),
        ("bybit_linear", 1, 10, 0.0, 0.0, 9.1),
        ("bybit_linear", -1, 3, 0.0, 0.0, 13.233333),
    ],
)
def test_flat_rates(
    name: str, side: int, leverage: float, amount: float, taker: float, price: float
) -> None:
    """Parameters of freqtrade's tests: entry 10, size 1, rate 0.01; only its Binance uses cum."""
    got = isolated(name, one(0.01, amount), side, 1.0, 10.0, leverage, taker=taker)
    assert got == pytest.approx(price, rel=1e-6)


@pytest.mark.parametrize(
    ("side", "entry", "leverage", "extra", "price"),
    [
        (1, 20_000.0, 50, 0.0, 19_700.0),
        (1, 20_000.0, 50, 3_000.0, 16_700.0),
        # help.bybit.com, Liquidation Price (USDT Contract).
        (1, 10_000.0, 50, 0.0, 9_850.0),
        (-1, 8_000.0, 40, 0.0, 8_160.0),
    ],
)
def test_bybit_linear(side: int, entry: float, leverage: float, extra: float, price: float) -> None:
    got = isolated("bybit_linear", one(0.005), side, 1.0, entry, leverage, extra=extra)
    assert got == pytest.approx(price, rel=1e-12)


@pytest.mark.parametrize(
    ("side", "q_usd", "entry", "leverage", "price"),
    [
        (1, 60_000.0, 50_000.0, 10, 45_662.10),  # Bybit help centre, 2024-09-10
        (1, 2_000.0, 2_000.0, 10, 1_826.48),  # help.mcs.io, Isolated Margin: the same contract
        (-1, 2_000.0, 2_000.0, 10, 2_209.94),
    ],
)
def test_inverse_of_2024(
    side: int, q_usd: float, entry: float, leverage: float, price: float
) -> None:
    got = isolated("bybit_inverse", one(0.005), side, q_usd, entry, leverage, inverse=True)
    assert got == pytest.approx(price, abs=0.006)  # given to the cent


def test_bybit_of_2026_takes_the_rate_at_the_mark() -> None:
    """Bybit help centre of 2026-05-27: long = size (rate + 1) / (value + margin + deduction)."""
    got = isolated("bybit_mark", one(0.005, 0.001), 1, 60_000.0, 50_000.0, 10, inverse=True)
    assert got == pytest.approx(60_000 * 1.005 / (1.2 + 0.12 + 0.001), rel=1e-12)
    got = isolated("bybit_mark", one(0.005, 0.001), -1, 60_000.0, 50_000.0, 10, inverse=True)
    assert got == pytest.approx(60_000 * 0.995 / (1.2 - 0.12 - 0.001), rel=1e-12)


def test_hyperliquid_from_any_price() -> None:
    """Hyperliquid Docs: price - side * margin_available / size / (1 - l * side).

    Long 3 at 100,000 with 40x, looked at when the mark is 99,000; l = 1 / 80.
    """
    equity = 300_000 / 40 + 3 * (99_000 - 100_000)
    available = equity - 3 * 99_000 / 80
    expected = 99_000 - available / 3 / (1 - 1 / 80)
    table = bracket_table([(150e6, 0.0125, 40), (math.inf, 0.025, 20)], progressive=True)
    got = isolated("hyperliquid", table, 1, 3.0, 100_000.0, 40)
    assert got == pytest.approx(expected, rel=1e-12)


def test_a_table_that_jumps_with_the_mark_is_refused() -> None:
    rows = [(10.0, 0.01, 50), (100.0, 0.02, 25)]
    with pytest.raises(InputError, match="must be progressive"):
        margin_table("binance_linear", rows, progressive=False)


def test_amounts_of_another_notional_are_refused() -> None:
    """Size 300 at entry 1: margin 0.02 * 300 - 1.6; at a mark of 0.2 it would be below zero."""
    rows = [(160.0, 0.01, 50), (1_000.0, 0.02, 25)]
    with pytest.raises(InputError, match="chosen by size with a rate on mark must not be"):
        margin_table("okx_linear", rows, progressive=True)


def test_an_unknown_formula_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"one of binance_linear, bybit_inverse.*got 'binance'"):
        margin_formula("binance")


def test_what_cannot_be_liquidated_and_what_cannot_be_saved() -> None:
    lines = MarginLines((0.01,), (0.0,))
    assert math.isnan(liquidation_price(0.0, 100.0, 10.0, lines))
    assert math.isnan(liquidation_price(1.0, 100.0, 101.0, lines))  # more margin than notional
    assert math.isnan(liquidation_price(-100.0, 100.0, 1.1, lines, inverse=True))
    # Cross, with the losses of other positions beyond all the notional.
    assert liquidation_price(-1.0, 100.0, -101.0, lines) == 0.0
    assert liquidation_price(100.0, 100.0, -1.1, lines, inverse=True) == math.inf


def test_margins_by_hand() -> None:
    lines = margin_lines(FORMULAS["binance_linear"], BINANCE, position=1.0, entry_price=1.0)
    # 300,000 at 0.4 %, 500,000 at 0.5 %, 200,000 at 0.65 %.
    assert maintenance_margin(1_000_000.0, lines) == pytest.approx(1_200 + 2_500 + 1_300)
    assert maintenance_margin(0.0, lines) == 0.0
