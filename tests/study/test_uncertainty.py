"""How far a Sharpe ratio can be trusted, as the notebook says it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.errors import InputError
from delever.stats.bootstrap import growth, sharpe
from delever.stats.inference import probabilistic_sharpe_ratio


@pytest.fixture(scope="module")
def returns():
    return pd.Series(np.random.default_rng(1).normal(0.002, 0.03, 600))


@pytest.fixture(scope="module")
def hours():
    steps = np.random.default_rng(2).normal(0.0002, 0.01, 24 * 60)
    index = pd.date_range("2021-01-01", periods=len(steps), freq="h", tz="UTC", name="open_time")
    close = pd.Series(100 * np.exp(np.cumsum(steps)), index=index)
    opened = close.shift(fill_value=100.0)
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    columns = {"open": opened, "high": high, "low": low, "close": close, "volume": 1.0}
    return pd.DataFrame(columns)


def test_the_intervals_are_the_bootstraps_and_both_forms_are_named(returns):
    found = dl.uncertainty(returns, confidence=0.8, draws=500, seed=3)
    value = found.table["value"]
    one = sharpe(returns, 365, confidence=0.8, draws=500, seed=3)
    grown = growth(returns, 365, confidence=0.8, draws=500, seed=3)
    assert (value["sharpe_low"], value["sharpe_high"]) == (one.low, one.high)
    assert (value["growth_low"], value["growth_high"]) == (grown.low, grown.high)
    ratio = returns.mean() / returns.std()
    moments = {"skew": returns.skew(), "kurtosis": returns.kurt() + 3}
    # pandas corrects its moments for the size of the sample.
    assert value["probabilistic_sharpe_ratio_2012"] == pytest.approx(
        probabilistic_sharpe_ratio(ratio, 600, **moments), abs=1e-3
    )
    assert value["probabilistic_sharpe_ratio_2026"] == pytest.approx(
        probabilistic_sharpe_ratio(
            ratio, 600, **moments, form="2026", autocorrelation=returns.autocorr()
        ),
        abs=1e-3,
    )
    assert "2012" in found.table.loc["probabilistic_sharpe_ratio_2012", "meaning"]
    assert "80% interval" in found.headline
    assert f"{one.low:.2f} to {one.high:.2f}" in found.headline


def test_hours_of_a_run_are_compounded_to_days(workspace, hours):
    market = dl.market(hours, timeframe="1h")
    run = dl.backtest(market, pd.Series(1.0, index=hours.index), name="held")
    made = run.evaluation.backtest.returns
    days = (1 + made).groupby(made.index.floor("D")).prod() - 1
    value = dl.uncertainty(run).table["value"]
    years = len(made) / 8760  # the first day has 23 hours
    assert value["sharpe_ratio"] == pytest.approx(days.mean() / days.std() * (60 / years) ** 0.5)
    assert value["growth"] == pytest.approx(np.log1p(made).sum() / years)


def test_a_series_lasts_as_long_as_its_stamps_say(returns):
    dated = returns.set_axis(pd.bdate_range("2020-01-06", periods=len(returns), tz="UTC"))
    years = (dated.index[-1] - dated.index[0] + pd.Timedelta(days=1)) / pd.Timedelta(days=365)
    value = dl.uncertainty(dated, draws=100).table["value"]
    assert value["growth"] == pytest.approx(np.log1p(returns).sum() / years)
    assert value["sharpe_ratio"] == pytest.approx(
        returns.mean() / returns.std() * (len(returns) / years) ** 0.5
    )
    with pytest.raises(InputError, match="increasing in time, without repeats; sort them"):
        dl.uncertainty(dated.iloc[::-1])


def test_hours_and_days_are_compared_day_by_day(workspace, hours):
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    days = hours.resample("1D").agg(rules)
    fine = dl.backtest(
        dl.market(hours, timeframe="1h"), pd.Series(1.0, index=hours.index), name="fine"
    )
    coarse = dl.backtest(
        dl.market(days, timeframe="1d"), pd.Series(0.5, index=days.index), name="coarse"
    )
    both = dl.compare(fine, coarse)
    found = both.differences
    assert not found.reason
    years = (both.end - both.start) / pd.Timedelta(days=365)
    runs = [each.backtest for each in both.evaluations]
    grown = [np.log(each.equity.iloc[-1] / each.initial_equity) / years for each in runs]
    pair = found.pairs["growth"].loc[("fine", "coarse")]
    assert pair["value"] == pytest.approx(grown[0] - grown[1])


def test_what_has_no_interval_is_refused():
    with pytest.raises(InputError, match="at least 30 bars"):
        dl.uncertainty(pd.Series([0.1, 0.2] * 5))
    with pytest.raises(InputError, match="do not vary"):
        dl.uncertainty(pd.Series([0.0] * 50))
