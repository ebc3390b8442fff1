"""Rolling measures, years and worst bars, against empyrical, pandas and by hand."""

from __future__ import annotations

import empyrical
import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError
from delever.stats.over_time import rolling_measures, worst_bars, year_by_year
from delever.stats.performance import sharpe_ratio
from delever.stats.risk import volatility

RNG = np.random.default_rng(5)
DAYS = pd.date_range("2019-03-05", periods=700, tz="UTC", name="open_time")
MARKET = pd.Series(RNG.standard_t(4, 700) * 0.03, index=DAYS)
OWN = 0.4 * MARKET + RNG.normal(0.0005, 0.01, 700)


@pytest.mark.parametrize("window", [2, 30, 365])
def test_each_window_is_measured_as_a_run_of_its_own(window: int) -> None:
    table = rolling_measures(OWN, MARKET, window=f"{window}D")
    assert table.iloc[: window - 1].isna().all(axis=None)
    assert table.iloc[window - 1 :].notna().all(axis=None)
    for row in (window - 1, 400, 699):
        own, market = (each.iloc[row - window + 1 : row + 1] for each in (OWN, MARKET))
        got = table.iloc[row]
        for prefix, values in (("", own), ("benchmark_", market)):
            assert got[f"{prefix}sharpe_ratio"] == pytest.approx(
                sharpe_ratio(values, 365.0), rel=1e-7
            )
            assert got[f"{prefix}volatility"] == pytest.approx(volatility(values, 365.0), rel=1e-7)
        assert got["correlation"] == pytest.approx(np.corrcoef(own, market)[0, 1], rel=1e-7)
        slope = np.polyfit(market, own, 1)[0]
        assert got["beta"] == pytest.approx(slope, rel=1e-7)


def test_rolling_measures_equal_empyrical() -> None:
    table = rolling_measures(OWN, MARKET, window="90D")
    for column, theirs in (
        ("sharpe_ratio", empyrical.roll_sharpe_ratio(OWN, window=90, annualization=365)),
        ("volatility", empyrical.roll_annual_volatility(OWN, window=90, annualization=365)),
        ("beta", empyrical.roll_beta(OWN, MARKET, window=90)),
    ):
        np.testing.assert_allclose(table[column].dropna(), theirs, rtol=1e-7)


def test_without_a_spread_nothing_is_divided_by_it() -> None:
    flat = OWN.copy()
    flat.iloc[100:400] = 0.0  # after returns whose squares linger in a running sum
    table = rolling_measures(flat, MARKET, window="50D")
    still = table.iloc[149:400]
    assert (still["volatility"] == 0.0).all()
    assert still[["sharpe_ratio", "correlation"]].isna().all(axis=None)
    np.testing.assert_allclose(still["beta"], 0.0, atol=1e-9)
    other = rolling_measures(MARKET, flat, window="50D").iloc[149:400]
    assert other["beta"].isna().all()
    assert other["sharpe_ratio"].notna().all()


def test_a_window_and_an_index_are_checked() -> None:
    with pytest.raises(
        InputError, match="window must be a length of time, such as '365D'; got '-1D'"
    ):
        rolling_measures(OWN, MARKET, window="-1D")
    with pytest.raises(InputError, match="must stand on the index of returns; got 699 rows"):
        rolling_measures(OWN, MARKET.iloc[1:], window="9D")


def test_years_equal_empyrical_and_begin_anew() -> None:
    table = year_by_year(OWN, MARKET)
    assert table.index.tolist() == [2019, 2020, 2021]
    assert table["bars"].tolist() == [302, 366, 32]
    expected = empyrical.aggregate_returns(OWN, "yearly")
    np.testing.assert_allclose(table["return"], expected, rtol=1e-10)
    for year, row in table.iterrows():
        part = MARKET[MARKET.index.year == year]
        assert row["benchmark_max_drawdown"] == pytest.approx(empyrical.max_drawdown(part))
    wealth = (1.0 + table[["return", "benchmark_return"]]).prod()
    np.testing.assert_allclose(wealth, [(1.0 + OWN).prod(), (1.0 + MARKET).prod()], rtol=1e-12)


def test_a_year_without_bars_is_undefined() -> None:
    gone = OWN[OWN.index.year != 2020]
    table = year_by_year(gone, gone)
    assert table.loc[2020].drop("bars").isna().all()
    assert table.loc[2020, "bars"] == 0


def test_the_worst_bars_come_first_and_gains_are_none() -> None:
    worst = worst_bars(OWN, MARKET)
    assert worst["return"].tolist() == sorted(OWN)[:10]
    pd.testing.assert_series_equal(
        worst["benchmark_return"], MARKET[worst.index], check_names=False
    )
    assert worst_bars(OWN.abs(), MARKET).empty
