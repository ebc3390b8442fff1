"""The event study: what is normal, windows by hand, and the size of its one test."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError
from delever.research.null_markets import simulate_bars
from delever.research.signal.event_study import event_study
from delever.research.signal.level_rules import RULES
from delever.view import MarketView

BARS = 400
PLACES = [(150, 0), (210, 1), (260, 2), (300, 3), (330, 0)]


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


def test_the_line_through_a_benchmark_is_that_of_statsmodels():
    from statsmodels.regression.linear_model import OLS

    values = noise(1)
    market = pd.Series(np.random.default_rng(2).normal(0, 0.03, BARS), index=frame(values).index)
    values += 1.2 * market.to_numpy()[:, None]
    returns = frame(values)
    found = event_study(returns, flags(returns, PLACES), benchmark=market, window=(-1, 4))
    assert found.model == "market"
    design = np.column_stack([np.ones(BARS), market])
    for (row, column), (_, used) in zip(PLACES, found.events.iterrows(), strict=True):
        rest = OLS(values[:, column], design).fit().resid
        assert used["car"] == pytest.approx(rest[row - 1 : row + 5].sum())
        assert used["time"] == returns.index[row]
        assert used["symbol"] == f"M{column}"
    assert found.path["mean"].sum() == pytest.approx(found.events["car"].mean())
    assert found.mean == pytest.approx(found.events["car"].mean())
    assert found.path.index.tolist() == list(range(-1, 5))
    assert np.isnan(found.p_value)  # what made the event is in the window


def test_normal_is_the_mean_of_the_whole_history():
    returns = frame(noise(3))
    found = event_study(returns, flags(returns, PLACES), window=(1, 5))
    usual = returns - returns.mean()
    cars = [usual.iloc[row + 1 : row + 6, column].sum() for row, column in PLACES]
    assert found.events["car"].tolist() == pytest.approx(cars)
    assert found.mean == pytest.approx(np.mean(cars))
    assert (
        found.path["low"].iloc[-1] < found.path["adjusted"].iloc[-1] < found.path["high"].iloc[-1]
    )
    assert 0 < found.p_value <= 1


def test_windows_cut_by_the_edge_holes_and_overlaps_are_listed_and_never_cut_short():
    values = noise(5)
    values[200, 1] = np.nan
    returns = frame(values)
    places = [(10, 0), (50, 0), (53, 0), (55, 0), (196, 1), (395, 3), (394, 0)]
    found = event_study(returns, flags(returns, places), window=(1, 5))
    used = [(returns.index.get_loc(e["time"]), e["symbol"]) for _, e in found.events.iterrows()]
    assert used == [(50, "M0"), (55, "M0"), (394, "M0")]
    reasons = {
        (returns.index.get_loc(e["time"]), e["symbol"]): e["reason"]
        for _, e in found.dropped.iterrows()
    }
    assert reasons == {
        (10, "M0"): "no volatility known before the event",
        (53, "M0"): "event window overlaps that of an earlier event",
        (196, "M1"): "missing returns in the event window",
        (395, "M3"): "event window cut by the data's edge",
    }
    assert np.isnan(found.p_value)  # three clusters


def test_events_of_one_cluster_share_a_weight():
    returns = frame(noise(6))
    places = [(150, 0), (154, 1), (160, 2), (200, 0)]
    found = event_study(returns, flags(returns, places), window=(1, 5))
    assert found.events["cluster"].tolist() == [0, 0, 1, 2]
    cars = found.events["car"]
    assert found.mean == pytest.approx(((cars[0] + cars[1]) / 2 + cars[2] + cars[3]) / 3)


def share_rejected(seeds, *, common, effect=0.0):
    """Six markets on 15 dates."""
    dates, rejected = range(40, 390, 24), 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        values = rng.normal(0, 0.02, (BARS, 6)) + common * rng.normal(0, 0.02, (BARS, 1))
        for row in dates:
            values[row + 1] += effect
        returns = frame(values)
        events = flags(returns, [(row, column) for row in dates for column in range(6)])
        rejected += event_study(returns, events, window=(1, 5)).p_value <= 0.05
    return rejected / len(seeds)


@pytest.mark.parametrize("common", [0.0, 1.0])
def test_size_where_markets_move_together_and_where_they_do_not(draws, common):
    """Of 200 studies 10 are expected to reject, give or take 3."""
    number = draws(60, 200)
    assert (
        share_rejected(range(number), common=common) <= 0.05 + 2 * (0.0475 / number) ** 0.5 + 0.01
    )


def test_an_effect_is_found():
    assert share_rejected(range(12), common=1.0, effect=0.05) > 0.8


def test_size_where_the_price_makes_the_event(draws):
    """A break of a low selects a fall before it: what is normal must not be taken from there."""
    number, rejected, tested = draws(40, 150), 0, 0
    for seed in range(number):
        bars = simulate_bars(1_500, seed=seed)
        event = RULES["rolling_low"](weeks=10).on(MarketView(bars=bars, timeframe="1d")).event
        returns = bars[["close"]].pct_change(fill_method=None)
        found = event_study(returns, event.to_frame("close"), window=(1, 20))
        tested += np.isfinite(found.p_value)
        rejected += found.p_value <= 0.05
    assert tested > 0.9 * number
    assert rejected <= 0.05 * number + 2 * (0.0475 * number) ** 0.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"window": (3, 1)}, "end at or after"),
        ({"window": (1, 500)}, "cut by the data's edge"),
    ],
)
def test_what_cannot_be_is_refused(change, said):
    returns = frame(noise(11))
    with pytest.raises(InputError, match=said):
        event_study(returns, flags(returns, PLACES), **change)


def test_frames_that_do_not_fit_and_studies_without_events_are_refused():
    returns = frame(noise(12))
    with pytest.raises(InputError, match="bars and symbols"):
        event_study(returns, flags(returns, PLACES).iloc[1:])
    with pytest.raises(InputError, match="bars of returns"):
        event_study(returns, flags(returns, PLACES), benchmark=returns["M0"].iloc[1:])
    with pytest.raises(InputError, match="there is none"):
        event_study(returns, flags(returns, []))
