"""The event study against statsmodels and scipy, hand cases, and the size of its tests."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from delever.errors import InputError
from delever.research.signal.car_tests import (
    mean_correlation,
    rank_statistic,
    shrink_for_clusters,
    wild_bootstrap,
)
from delever.research.signal.event_study import event_study
from delever.stats.intervals import two_sided_p_value

BARS = 400


def frame(values):
    index = pd.date_range("2021-01-04", periods=len(values), freq="1D", tz="UTC", unit="ns")
    names = [f"M{column}" for column in range(values.shape[1])]
    return pd.DataFrame(values, index=index, columns=names)


def flags(like, places):
    out = pd.DataFrame(False, index=like.index, columns=like.columns)
    for row, column in places:
        out.iloc[row, column] = True
    return out


def noise(seed, bars=BARS, symbols=4):
    return np.random.default_rng(seed).normal(0.001, 0.02, (bars, symbols))


PLACES = [(150, 0), (210, 1), (260, 2), (300, 3), (330, 0)]


def test_market_model_and_its_forecast_error_as_statsmodels_has_them():
    values = noise(1)
    market = pd.Series(np.random.default_rng(2).normal(0, 0.03, BARS), index=frame(values).index)
    values += 1.2 * market.to_numpy()[:, None]
    returns = frame(values)
    found = event_study(
        returns,
        flags(returns, PLACES),
        model="market",
        benchmark=market,
        window=(-1, 4),
        estimation=100,
        gap=5,
    )
    for (row, column), (_, used) in zip(PLACES, found.events.iterrows(), strict=True):
        before = slice(row - 105, row - 5)
        fit = sm.OLS(values[before, column], sm.add_constant(market.to_numpy()[before])).fit()
        inside = slice(row - 1, row + 5)
        design = np.column_stack([np.ones(6), market.to_numpy()[inside]])
        car = (values[inside, column] - design @ fit.params).sum()
        total = design.sum(axis=0)
        spread = math.sqrt(6 * fit.mse_resid + total @ fit.cov_params() @ total)
        assert used["car"] == pytest.approx(car)
        assert used["scar"] == pytest.approx(car / spread)
        assert used["time"] == returns.index[row]
        assert used["symbol"] == f"M{column}"
    assert found.path["mean"].sum() == pytest.approx(found.events["car"].mean())
    assert found.path["cumulative"].iloc[-1] == pytest.approx(found.events["car"].mean())
    assert found.path.index.tolist() == list(range(-1, 5))


def test_mean_model_and_cross_sectional_tests_as_scipy_has_them():
    returns = frame(noise(3))
    found = event_study(returns, flags(returns, PLACES), window=(1, 5), estimation=100, gap=0)
    cars, scars = [], []
    for row, column in PLACES:
        before = returns.iloc[row - 100 : row, column]
        car = (returns.iloc[row + 1 : row + 6, column] - before.mean()).sum()
        cars.append(car)
        scars.append(car / (before.std() * math.sqrt(5 + 25 / 100)))
    assert found.events["car"].tolist() == pytest.approx(cars)
    assert found.events["scar"].tolist() == pytest.approx(scars)
    for name, values in (("cross-section", cars), ("standardised", scars)):
        theirs = scipy_stats.ttest_1samp(values, 0)
        assert found.tests.loc[name].tolist() == pytest.approx([theirs.statistic, theirs.pvalue])
        # No two windows share a bar, so there is nothing to correct.
        assert found.tests.loc[f"{name}, clustered"].equals(found.tests.loc[name])
    assert found.correlation == 0
    assert found.events["cluster"].nunique() == 5
    error = np.std(cars, ddof=1) / math.sqrt(5)
    assert found.detectable == pytest.approx(2.8015852 * error, rel=1e-6)


def test_nothing_after_the_estimation_window_moves_what_is_normal():
    returns = frame(noise(4))
    changed = returns.copy()
    changed.iloc[145:150] = 0.5  # the gap
    before, after = (
        event_study(each, flags(returns, PLACES[:1]), window=(1, 3), estimation=100, gap=5)
        for each in (returns, changed)
    )
    assert before.events.equals(after.events)
    changed.iloc[44] = 9.9  # the bar before the estimation window
    again = event_study(changed, flags(returns, PLACES[:1]), window=(1, 3), estimation=100, gap=5)
    assert again.events.equals(before.events)
    changed.iloc[45] = 9.9  # its first bar
    moved = event_study(changed, flags(returns, PLACES[:1]), window=(1, 3), estimation=100, gap=5)
    assert not moved.events.equals(before.events)


def test_windows_cut_by_the_edge_holes_and_overlaps_are_listed_and_never_cut_short():
    values = noise(5)
    values[200, 1] = np.nan
    values[230:340, 2] = 0.0
    returns = frame(values)
    places = [(104, 0), (105, 0), (108, 0), (110, 0), (250, 1), (340, 2), (395, 3), (394, 0)]
    found = event_study(returns, flags(returns, places), window=(1, 5), estimation=100, gap=5)
    used = [(returns.index.get_loc(e["time"]), e["symbol"]) for _, e in found.events.iterrows()]
    assert used == [(105, "M0"), (110, "M0"), (394, "M0")]
    reasons = {
        (returns.index.get_loc(e["time"]), e["symbol"]): e["reason"]
        for _, e in found.dropped.iterrows()
    }
    assert reasons == {
        (104, "M0"): "estimation window cut by the data's edge",
        (108, "M0"): "event window overlaps that of an earlier event",
        (250, "M1"): "missing returns in a window",
        (340, "M2"): "no variance in the estimation window",
        (395, "M3"): "event window cut by the data's edge",
    }


def test_event_windows_that_share_one_bar_overlap_and_adjacent_ones_do_not():
    returns = frame(noise(13))
    # Windows of bars 106 to 110, 110 to 114 and 111 to 115.
    places = [(105, 0), (109, 0), (110, 0)]
    found = event_study(returns, flags(returns, places), window=(1, 5), estimation=100, gap=5)
    assert found.events["time"].tolist() == [returns.index[105], returns.index[110]]
    assert found.dropped["time"].tolist() == [returns.index[109]]
    assert found.events["cluster"].tolist() == [0, 1]


def test_clusters_are_windows_that_touch_directly_or_through_others():
    returns = frame(noise(6))
    places = [(150, 0), (154, 1), (158, 2), (163, 3), (200, 0)]
    found = event_study(returns, flags(returns, places), window=(1, 5), estimation=100, gap=5)
    assert found.events["cluster"].tolist() == [0, 0, 0, 1, 2]


def test_correlation_of_pairs_by_hand():
    rng = np.random.default_rng(7)
    walk = rng.normal(size=(130, 3))
    walk[:, 1] += walk[:, 0]
    at, symbol = np.array([100, 102, 120]), np.array([0, 1, 2])
    residuals = np.array(
        [walk[row - 60 : row, column] for row, column in zip(at, symbol, strict=True)]
    )
    shared = np.corrcoef(walk[42:100, 0], walk[42:100, 1])[0, 1]
    found = mean_correlation(residuals, at, symbol, 5)
    assert found == pytest.approx(shared * 3 / 5 / 3)  # three pairs; two share no bar
    assert mean_correlation(residuals, at, np.array([0, 0, 2]), 5) == 0
    assert mean_correlation(residuals[:, :15], np.array([9, 9, 40]), symbol, 5) == (
        pytest.approx(1 / 3)  # 15 bars tell nothing against a full correlation
    )
    assert mean_correlation(residuals[:1], at[:1], symbol[:1], 5) == 0


def test_correction_for_clusters_as_published():
    """Kolari and Pynnonen (2010), equation 13, with 50 events and a mean correlation of 0.02."""
    expected = 3.0 * math.sqrt(0.98 / (1 + 49 * 0.02))
    assert shrink_for_clusters(3.0, 50, 0.02) == pytest.approx(expected)
    assert shrink_for_clusters(3.0, 50, 0.0) == 3.0
    assert shrink_for_clusters(3.0, 50, 1.0) == 0.0


def test_rank_statistic_of_one_bar_is_corrados():
    """Corrado (1989), equation 1: mean rank of the event bar less the middle, over its spread."""
    abnormal = np.random.default_rng(8).normal(size=(7, 40))
    ranks = scipy_stats.rankdata(abnormal, axis=1)
    centred = (ranks - 20.5).mean(axis=0)
    expected = centred[-1] / math.sqrt((centred**2).mean())
    assert rank_statistic(abnormal, 1) == pytest.approx(expected)


def test_rank_statistic_of_one_event_is_that_of_wilcoxon():
    """With one event it is the rank sum of the window; scipy's is the same without a correction."""
    abnormal = np.random.default_rng(9).normal(size=(1, 60))
    theirs = scipy_stats.mannwhitneyu(
        abnormal[0, -12:], abnormal[0, :-12], method="asymptotic", use_continuity=False
    )
    found = two_sided_p_value(rank_statistic(abnormal, 12))
    assert found == pytest.approx(theirs.pvalue, rel=1e-9)


@settings(max_examples=30)
@given(seed=st.integers(0, 500), groups=st.integers(2, 7))
def test_wild_bootstrap_of_few_clusters_takes_every_pattern_of_signs(seed, groups):
    rng = np.random.default_rng(seed)
    clusters = np.append(np.arange(groups), rng.integers(0, groups, 5))
    car = rng.normal(0.3, 1, len(clusters))
    statistics = []
    for signs in product([1, -1], repeat=groups):
        values = car * np.array(signs)[clusters]
        mean = values.mean()
        sums = [(values - mean)[clusters == group].sum() for group in range(groups)]
        error = math.sqrt(groups / (groups - 1) * np.square(sums).sum()) / len(car)
        statistics.append(mean / error)
    found, p_value = wild_bootstrap(car, clusters, draws=9, seed=1)
    assert found == pytest.approx(statistics[0])
    far = np.abs(statistics) >= abs(statistics[0]) * (1 - 1e-9)
    assert p_value == pytest.approx(far.mean())
    assert p_value >= 2 / 2**groups


def test_wild_bootstrap_without_clusters_is_near_the_t_test():
    values = np.random.default_rng(10).normal(0.25, 1, 60)
    found, p_value = wild_bootstrap(values, np.arange(60), draws=20_000, seed=2)
    theirs = scipy_stats.ttest_1samp(values, 0)
    assert found == pytest.approx(theirs.statistic)
    assert p_value == pytest.approx(theirs.pvalue, abs=0.01)
    assert wild_bootstrap(values, np.zeros(60, dtype=int), draws=9, seed=2) == pytest.approx(
        (math.nan, math.nan), nan_ok=True
    )


def rejections(seeds, *, common, dates, effect=0.0):
    """Share of simulated studies that each test rejects at 5 %; 6 markets break on each date."""
    rejected = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        values = rng.normal(0, 0.02, (BARS, 6)) + common * rng.normal(0, 0.02, (BARS, 1))
        for row in dates:
            values[row + 1] += effect
        returns = frame(values)
        events = flags(returns, [(row, column) for row in dates for column in range(6)])
        found = event_study(
            returns, events, window=(1, 5), estimation=100, gap=5, draws=499, seed=seed
        )
        rejected.append(found.tests["p_value"] <= 0.05)
    return pd.DataFrame(rejected).mean()


DATES = tuple(range(120, 390, 18))


def test_size_where_markets_move_together(draws):
    """15 dates of 6 markets with a correlation of 0.5: only tests that mind it keep 5 %."""
    share = rejections(range(draws(40, 80)), common=1.0, dates=DATES)
    # Of 80 studies 4 are expected to reject, give or take 2.
    for name in ("cross-section, clustered", "standardised, clustered", "wild bootstrap", "rank"):
        assert 0.01 <= share[name] <= 0.125, name
    assert share["cross-section"] > 0.15
    assert share["standardised"] > 0.15


def test_size_where_they_do_not(draws):
    share = rejections(range(200, 200 + draws(40, 80)), common=0.0, dates=DATES)
    for name in share.index:
        assert 0.01 <= share[name] <= 0.125, name


def test_an_effect_is_found():
    share = rejections(range(20), common=1.0, dates=DATES, effect=0.05)
    assert (share[["cross-section, clustered", "standardised, clustered"]] > 0.8).all()
    assert share["wild bootstrap"] > 0.8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "market"}, "without a benchmark"),
        ({"window": (3, 1)}, "end at or after"),
        ({"window": (-6, 1)}, "keep it clear"),
        ({"estimation": 5}, "at least 10"),
        ({"gap": -1}, "keep it clear"),
    ],
)
def test_what_cannot_be_is_refused(change, said):
    returns = frame(noise(11))
    asked = {"window": (1, 5), "estimation": 100, "gap": 5} | change
    with pytest.raises(InputError, match=said):
        event_study(returns, flags(returns, PLACES), **asked)


def test_frames_that_do_not_fit_and_studies_without_events_are_refused():
    returns = frame(noise(12))
    with pytest.raises(InputError, match="bars and symbols"):
        event_study(returns, flags(returns, PLACES).iloc[1:])
    with pytest.raises(InputError, match="bars of returns"):
        event_study(
            returns, flags(returns, PLACES), model="market", benchmark=returns["M0"].iloc[1:]
        )
    with pytest.raises(InputError, match="there is none"):
        event_study(returns, flags(returns, []))
    with pytest.raises(InputError, match="estimation window cut"):
        event_study(returns, flags(returns, [(3, 0)]))
