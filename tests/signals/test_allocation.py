"""Portfolio rules: what each does by hand, and that none sees the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from delever.panel import Lifetime, Markets
from delever.signals.allocation import RULES, capped, equal, inverse_volatility, volatility_target
from delever.view import MarketView

DAYS = pd.date_range("2024-01-01", periods=120, tz="UTC", name="open_time")


def made(seed: int = 1) -> Markets:
    rng = np.random.default_rng(seed)
    views = {}
    for name, spread, first, last in (
        ("CALM", 0.01, 0, 120),
        ("WILD", 0.04, 0, 120),
        ("LATE", 0.02, 50, 120),
        ("GONE", 0.02, 0, 90),
    ):
        close = pd.Series(100 * np.exp(np.cumsum(rng.normal(0, spread, 120))), index=DAYS)
        bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], close))
        views[name] = MarketView(bars=bars.iloc[first:last].assign(volume=1.0), timeframe="1d")
    return Markets(views=views, lifetimes={"GONE": Lifetime(delisted=DAYS[91], recovery=0.0)})


def signals(markets: Markets) -> pd.DataFrame:
    """Long above yesterday's close, else short; NaN on a symbol's first bar."""
    return markets.each(lambda view: np.sign(view.bars["close"].diff()))


def test_equal_shares_are_of_the_members_then():
    markets = made()
    found = equal(markets, signals(markets)).abs()
    assert found["CALM"].iloc[10] == pytest.approx(1 / 3)  # LATE is not there yet
    assert found["CALM"].iloc[60] == pytest.approx(1 / 4)
    assert found["CALM"].iloc[100] == pytest.approx(1 / 3)  # GONE is gone
    assert np.isnan(found["LATE"].iloc[49])


def test_inverse_volatility_measures_at_the_ends_of_weeks_and_holds():
    markets = made()
    found = inverse_volatility(markets, signals(markets), days=20).abs()
    closes = markets.panel()
    row = 34  # the bar of Sunday 2024-02-04: its week closes with it
    spread = np.log(closes).diff().iloc[row - 19 : row + 1].std()
    wanted = (1 / spread) / (1 / spread[["CALM", "WILD", "GONE"]]).sum()
    np.testing.assert_allclose(found.iloc[row][["CALM", "WILD", "GONE"]], wanted.dropna())
    np.testing.assert_allclose(found["CALM"].iloc[row : row + 7], found["CALM"].iloc[row])
    assert found["CALM"].iloc[row + 7] != found["CALM"].iloc[row]


def test_a_volatility_target_counts_correlation_and_stops_at_the_most():
    markets = made()
    ones = signals(markets).abs()
    found = volatility_target(markets, ones, target=0.15, days=30, most=2.0)
    row = 34
    moves = markets.returns().iloc[row - 29 : row + 1].fillna(0.0)
    before = (moves @ equal(markets, ones).iloc[row].fillna(0.0)).std() * np.sqrt(365)
    np.testing.assert_allclose(
        found["CALM"].iloc[row], equal(markets, ones)["CALM"].iloc[row] * 0.15 / before
    )
    assert found.iloc[28].isna().all()  # fewer returns than it looks back on
    bold = volatility_target(markets, ones, target=9.0, days=30, most=2.0)
    np.testing.assert_allclose(bold.abs().sum(axis=1).iloc[40:], 2.0)


def test_caps_bind_one_by_one_and_together():
    markets = made()
    wide = signals(markets) * 0.6
    found = capped(markets, wide, each=0.5, total=1.0)
    assert found["WILD"].abs().iloc[60] == pytest.approx(0.25)  # four times 0.5 are scaled to 1
    assert found["GONE"].iloc[100:].isna().all() or found["GONE"].iloc[100:].eq(0).all()
    alone = capped(markets, wide, each=0.1, total=1.0)
    assert alone["WILD"].abs().iloc[60] == pytest.approx(0.1)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_rule_sees_the_future(rule):
    few = {"days": 10} if rule in (inverse_volatility, volatility_target) else {}
    whole = made()
    was = rule(whole, signals(whole), **few)
    for row in (20, 49, 50, 89, 90, 91):
        cut = whole.upto(whole.close_time[row])
        now = rule(cut, signals(cut), **few)
        pd.testing.assert_frame_equal(was[now.columns].iloc[: row + 1], now, check_freq=False)
