"""The haircut of a Sharpe ratio: the published example, and what has to hold of any."""

from __future__ import annotations

import numpy as np
import pytest

from delever.errors import InputError
from delever.stats.haircut import haircut_sharpe

MONTHLY = {"periods_per_year": 12, "correlation": 0.4}


def test_the_published_example():
    """Harvey and Liu (2015): ten years of months, 100 tests; their figures are simulated too."""
    found = haircut_sharpe(1.0, 120, n_tests=100, autocorrelation=0.1, **MONTHLY)
    expected = {"bonferroni": 0.465, "holm": 0.409, "bhy": 0.174, "average": 0.348}
    for row, value in expected.items():
        assert found.loc[row, "p_value"] == pytest.approx(value, abs=0.01)


def test_one_test_alone_costs_nothing_and_more_cost_more():
    alone = haircut_sharpe(1.0, 120, n_tests=1, **MONTHLY)
    assert alone.loc["bonferroni", "sharpe"] == pytest.approx(1.0)
    assert alone.loc["bonferroni", "haircut"] == pytest.approx(0.0, abs=1e-12)
    few, many = (haircut_sharpe(1.0, 120, n_tests=n, **MONTHLY) for n in (10, 1_000))
    assert (alone["sharpe"] >= few["sharpe"] - 1e-9).all()
    assert (few["sharpe"] > many["sharpe"]).all()


def test_days_are_counted_in_whole_months_and_dependence_lowers_the_ratio():
    months = haircut_sharpe(1.0, 120, n_tests=5, **MONTHLY)
    days = haircut_sharpe(1.0, 3_659, periods_per_year=365, n_tests=5, correlation=0.4)
    np.testing.assert_allclose(days, months)
    carried = haircut_sharpe(1.0, 120, n_tests=5, autocorrelation=0.3, **MONTHLY)
    assert (carried["sharpe"] < months["sharpe"]).all()


@pytest.mark.parametrize(
    "changed", [{"sharpe": -0.1}, {"bars": 2}, {"autocorrelation": 1.0}, {"n_tests": 0}]
)
def test_what_is_refused(changed):
    given = {"sharpe": 1.0, "bars": 120, "n_tests": 5, **MONTHLY, **changed}
    with pytest.raises(InputError):
        haircut_sharpe(given.pop("sharpe"), given.pop("bars"), **given)


def test_a_year_need_not_have_a_whole_number_of_bars():
    given = {"n_tests": 5, "correlation": 0.4, "autocorrelation": -0.2}
    whole, part = (
        haircut_sharpe(1.0, 3_000, periods_per_year=bars, **given) for bars in (365.0, 364.7)
    )
    np.testing.assert_allclose(part, whole, rtol=0.01)
