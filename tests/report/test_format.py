from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.report.format import (
    day,
    figure,
    interval,
    money,
    multiple,
    number,
    one_digit,
    percent,
    price,
    reported,
    value,
    when,
    whole,
    whole_percent,
)


@given(st.floats(-1e6, 1e6), st.integers(0, 6))
def test_a_number_is_rounded_as_exact_decimals_are(amount: float, digits: int) -> None:
    exact = Decimal(amount).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    text = number(amount, digits)
    assert Decimal(text.replace(",", "")) == exact
    assert not (text.startswith("-") and exact == 0)


@given(st.floats(-0.9999, 9.99))
def test_a_percentage_reads_back_as_the_fraction(fraction: float) -> None:
    text = percent(fraction)
    assert text.endswith("%")
    assert abs(float(text[:-1].replace(",", "")) / 100 - fraction) <= 0.00051


@given(st.floats(-0.9999994, -1e-9))
def test_a_loss_short_of_everything_never_reads_as_everything(fraction: float) -> None:
    assert percent(fraction) != "-100.0%"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(12_345.678), "12,345.68"),
        (number(-0.001), "0.00"),
        (number(-math.inf), "-inf"),
        (percent(-1.0), "-100.0%"),
        (percent(-0.99994), "-99.99%"),
        (percent(1.7e308), "inf"),
        (percent(12.345), "1,234%"),
        (figure(62_345.0), "62,345.00"),
        (figure(-4.96e-05), "-0.0000496"),
        (figure(9.0), "9"),
        (figure(775e6), "775.00 M"),
        (whole(1_234.4), "1,234"),
        (one_digit(2.25), "2.2"),
        (whole_percent(0.256), "26%"),
        (interval(-0.03, 0.112), "-3.0% to 11.2%"),
        (multiple(1.0041e6), "1.00 M x"),
        (price(6.02), "6.0200"),
        (reported(-0.39, "fraction"), "-39%"),
        (percent(-0.0001), "0.0%"),
        (percent(187.97), "18,797%"),
        (percent(-4642.93), "-464,293%"),
        (percent(10_123.4), "1.01 million %"),
        (percent(-2.5e10), "-2.50 trillion %"),
        (percent(1e18), "1.00e+20%"),
        (multiple(1e18), "1.00e+18 x"),
        (percent(math.nan), "n/a"),
        (percent(math.inf), "inf"),
        (multiple(0.0), "0.00x"),
        (multiple(99.999), "100.00x"),
        (multiple(12_345.0), "12,345x"),
        (multiple(math.nan), "n/a"),
        (money(-1_449.6), "-1,450"),
        (money(-2.5e12), "-2.50 T"),
        (money(0.0), "0.00"),
        (price(0.05), "0.050000"),
        (price(29_999.15), "29,999.15"),
        (price(math.nan), "n/a"),
        (reported(80_081.0, "BTC"), "80,081 BTC"),
        (reported(1.30e9, "USD"), "1.3 B USD"),
        (reported(100.0, "days"), "100 days"),
        (value(math.nan, "ratio"), "n/a"),
        (value(12.5, "days"), "12.5"),
        (value(1_253.0, "days"), "1,253"),
        (value(7.0, "count"), "7"),
        (value(-0.001, "ratio"), "0.00"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert text == expected


def test_stamps_show_the_time_of_day_only_where_there_is_one() -> None:
    stamp = pd.Timestamp("2021-05-19 13:00", tz="UTC")
    assert (day(stamp), when(stamp), when(stamp.normalize())) == (
        "2021-05-19",
        "2021-05-19 13:00",
        "2021-05-19",
    )
    assert day(pd.NaT) == when(pd.NaT) == "n/a"
