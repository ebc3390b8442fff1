"""Compounding, against empyrical, exact fractions and hand cases."""

from __future__ import annotations

import math
from fractions import Fraction

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.stats.returns import cagr, monthly_returns, total_return, yearly_returns

RETURNS = st.lists(st.floats(-0.9, 2.0), min_size=1, max_size=60)


def series(values: list[float], start: str = "2021-01-01") -> pd.Series:
    return pd.Series(values, index=pd.date_range(start, periods=len(values), tz="UTC"))


@pytest.fixture(scope="module")
def noisy() -> pd.Series:
    draws = np.random.default_rng(7).standard_t(3, 1_500) * 0.02 + 0.001
    return series(draws.tolist(), "2019-11-20")


def test_totals_and_yearly_growth_equal_empyrical(noisy: pd.Series) -> None:
    assert total_return(noisy) == pytest.approx(empyrical.cum_returns_final(noisy), rel=1e-12)
    expected = empyrical.annual_return(noisy, annualization=365)
    assert cagr(noisy, 365.0) == pytest.approx(expected, rel=1e-11)


@given(RETURNS)
def test_total_return_is_the_exact_product(values: list[float]) -> None:
    exact = math.prod((1 + Fraction(v) for v in values), start=Fraction(1)) - 1
    assert total_return(values) == pytest.approx(float(exact), rel=1e-12, abs=1e-12)


@given(RETURNS, st.data())
def test_any_split_of_the_bars_compounds_to_the_whole(
    values: list[float], data: st.DataObject
) -> None:
    inside = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    )
    array = np.array(values)
    parts = [array[inside], array[~inside]]
    product = math.prod(1 + total_return(part) for part in parts if part.size)
    assert product == pytest.approx(1 + total_return(array), rel=1e-12)


def test_growth_of_a_stretch_is_carried_to_a_year() -> None:
    # 2 half-year bars of +10 % and -5 %: 1.1 * 0.95 in one year.
    assert cagr([0.10, -0.05], 2.0) == pytest.approx(0.045, rel=1e-12)
    # 73 days that double: 2 ** (365 / 73) = 2 ** 5.
    doubling = [1.0] + [0.0] * 72
    assert cagr(doubling, 365.0) == pytest.approx(31.0, rel=1e-12)


def test_a_total_loss_is_a_growth_of_minus_one() -> None:
    assert cagr([0.5, -1.0, 0.5], 365.0) == -1.0
    assert cagr([-1.0], 1.0) == -1.0


def test_growth_close_to_ruin_keeps_its_digits() -> None:
    # 0.9 ** 730 is 4e-34, which a total return of -1 + 4e-34 cannot hold.
    assert total_return([-0.1] * 730) == -1.0
    assert cagr([-0.1] * 730, 10.0) == pytest.approx(0.9**10 - 1, rel=1e-12)


def test_growth_beyond_the_largest_float_is_undefined() -> None:
    assert math.isnan(cagr([1.0], 525_600.0))  # 2 ** 525600
    assert cagr([1.0], 1_023.0) == pytest.approx(2.0**1023, rel=1e-10)


def test_no_bars_and_nan_are_undefined() -> None:
    for function in (total_return, lambda r: cagr(r, 365.0)):
        assert math.isnan(function([]))
        assert math.isnan(function([-1.0, math.nan]))


def test_growth_with_one_bar_a_year_is_the_geometric_mean() -> None:
    assert cagr([0.21, 0.0], 1.0) == pytest.approx(0.1, rel=1e-12)


def test_monthly_and_yearly_tables_equal_empyrical(noisy: pd.Series) -> None:
    months = monthly_returns(noisy)
    expected = empyrical.aggregate_returns(noisy, "monthly")
    assert months.stack().dropna().to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-10)
    years = empyrical.aggregate_returns(noisy, "yearly")
    assert yearly_returns(noisy).to_numpy() == pytest.approx(years.to_numpy(), rel=1e-10)


def test_a_month_is_a_utc_month_and_a_hole_stays_a_hole() -> None:
    stamps = pd.DatetimeIndex(
        ["2020-12-31 23:00", "2021-01-01 00:00", "2023-02-01 00:00"], tz="UTC"
    )
    returns = pd.Series([0.1, 0.2, 0.3], index=stamps)
    table = monthly_returns(returns)
    assert table.index.tolist() == [2020, 2021, 2022, 2023]
    assert table.columns.tolist() == list(range(1, 13))
    assert table.loc[2020, 12] == pytest.approx(0.1)
    assert table.loc[2021, 1] == pytest.approx(0.2)
    assert table.loc[2022].isna().all()
    assert table.notna().sum().sum() == 3
    assert yearly_returns(returns).isna().tolist() == [False, False, True, False]


def test_tables_of_no_bars_are_empty() -> None:
    nothing = series([])
    assert monthly_returns(nothing).shape == (0, 12)
    assert yearly_returns(nothing).empty
