"""Several markets on one clock: what a row holds was known at its close, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.panel import Lifetime, Markets
from delever.view import MarketView


def view(prices: list[float], index: pd.DatetimeIndex, volume: float = 1.0) -> MarketView:
    close = pd.Series(prices, index=index, dtype=float)
    bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], close))
    return MarketView(bars=bars.assign(volume=volume), timeframe="1d")


DAYS = pd.date_range("2022-05-02", periods=12, tz="UTC", name="open_time")


def dying() -> Markets:
    """Three coins: one with a hole, one that begins late, one that dies on the eighth day."""
    hole = DAYS.delete([3, 4])
    return Markets(
        views={
            "BTC": view([float(n) for n in range(10, 20)], hole, volume=9.0),
            "NEW": view([1.0, 2.0, 4.0, 4.0], DAYS[8:], volume=100.0),
            "LUNA": view([80, 80, 70, 60, 50, 20, 5.0, 1.0], DAYS[:8], volume=3.0),
        },
        lifetimes={"LUNA": Lifetime(delisted=DAYS[8], recovery=0.1)},
    )


def test_a_row_without_a_bar_holds_the_last_one_and_nothing_later():
    close = dying().panel()
    assert close["BTC"].iloc[2:6].tolist() == [12.0, 12.0, 12.0, 13.0]
    assert close["NEW"].isna().tolist() == [True] * 8 + [False] * 4
    # LUNA's last bar closes with the moment of its delisting: nothing is left to decide about.
    assert close["LUNA"].iloc[6] == 5.0
    assert close["LUNA"].iloc[7:].isna().all()


def test_members_are_what_could_be_held_then_and_the_largest_of_them():
    members = dying().members
    assert members["LUNA"].tolist() == [True] * 7 + [False] * 5
    assert members["NEW"].tolist() == [False] * 8 + [True] * 4
    largest = replace(dying(), top=1, volume_days=3).members
    # Worth of the last three days: LUNA 3 x (80 + 80 + 70) against BTC 9 x (10 + 11 + 12), ...
    assert largest["LUNA"].tolist()[:5] == [True] * 5
    assert largest["BTC"].iloc[6]  # 9 x (13 + 14) against 3 x (50 + 20 + 5)
    assert largest["NEW"].iloc[-1]
    assert (largest.sum(axis=1) == 1).all()
    late = replace(dying(), lifetimes={"BTC": Lifetime(listed=DAYS[6])}).members
    assert late["BTC"].tolist() == [False] * 5 + [True] * 7


def test_the_index_loses_what_a_dying_coin_lost_recovery_and_all():
    index = dying().equal_weight()
    # The row in which LUNA leaves: from 5 to its recovery of 0.1, half of the index; BTC 14 to 15.
    assert index.iloc[7] / index.iloc[6] == pytest.approx(1 + ((0.1 / 5 - 1) + (15 / 14 - 1)) / 2)
    kept = replace(dying(), lifetimes={"LUNA": Lifetime(delisted=DAYS[8])}).equal_weight()
    assert kept.iloc[7] / kept.iloc[6] == pytest.approx(1 + ((1 / 5 - 1) + (15 / 14 - 1)) / 2)
    survivors = replace(dying(), views={"BTC": dying()["BTC"], "NEW": dying()["NEW"]}, lifetimes={})
    assert survivors.equal_weight().iloc[-1] > 2 * index.iloc[-1]


@settings(max_examples=12)
@given(row=st.integers(0, 11), seed=st.integers(0, 9))
def test_the_future_changes_no_row(row: int, seed: int):
    """Everything a strategy can ask of markets, cut off after a row, is what it was up to there."""
    rng = np.random.default_rng(seed)
    views = {
        name: view(
            np.exp(rng.normal(0.0, 0.3, count)).tolist(),
            pd.DatetimeIndex(sorted(rng.choice(DAYS[:last], count, replace=False)), name="t"),
            volume=float(rng.integers(1, 9)),
        )
        for name, count, last in (("A", 9, 12), ("B", 5, 7), ("C", 4, 12), ("D", 12, 12))
    }
    ended = views["B"].close_time[-1] + pd.Timedelta(days=1)
    whole = Markets(views=views, lifetimes={"B": Lifetime(delisted=ended, recovery=0.0)}, top=2)
    assert whole.index.equals(DAYS)
    cut = whole.upto(whole.close_time[row])
    for ask in (
        lambda seen: seen.returns(),
        lambda seen: seen.members.astype(float),
        lambda seen: replace(seen, top=None).equal_weight().to_frame(),
    ):
        was, now = ask(whole), ask(cut)
        pd.testing.assert_frame_equal(was[now.columns].iloc[: row + 1], now, check_freq=False)
        for name in set(was) - set(now):  # no bar yet: nothing is known of it
            assert was[name].iloc[: row + 1].fillna(0.0).eq(0.0).all()


def test_markets_and_listings_that_cannot_be_are_refused():
    one = view([1.0, 2.0], DAYS[:2])
    hourly = MarketView(bars=one.bars, timeframe="1h")
    with pytest.raises(InputError, match="markets must be of one timeframe; got 1d, 1h"):
        Markets(views={"A": one, "B": hourly})
    with pytest.raises(InputError, match="a lifetime must be of a symbol of the markets; got C"):
        Markets(views={"A": one}, lifetimes={"C": Lifetime()})
    with pytest.raises(InputError, match="listed before it is delisted"):
        Lifetime(listed=DAYS[3], delisted=DAYS[3])
    with pytest.raises(InputError, match="recovery must be a price of 0 or more"):
        Lifetime(recovery=0.5)
    with pytest.raises(InputError, match="listed must be a date or a time in UTC"):
        Lifetime(listed="soon")
    assert Lifetime(listed="2022-05-05").listed == DAYS[3]
    assert Lifetime(delisted=pd.Timestamp("2022-05-05")).delisted == DAYS[3]
    with pytest.raises(InputError, match="markets has the symbols A; got 'B'"):
        Markets(views={"A": one})["B"]
    quiet = Markets(views={"A": view([1.0, 2.0], DAYS[:2], volume=np.nan)}, top=1)
    with pytest.raises(InputError, match="dollar volume needs the volume of every symbol"):
        _ = quiet.members
