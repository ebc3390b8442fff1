"""What each strategy of the deleveraging kit does, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.engine.orders import exposure_of
from delever.errors import StrategyError
from delever.study.settings.portfolio_config import load_study
from delever.study.workspaces.strategy import load_strategy
from delever.view import MarketView, Reading

FOLDER = Path(__file__).parents[2] / "strategies"
NAN = float("nan")


def daily(
    closes: list[float], *, lows: dict[int, float] | None = None, start: str = "2024-01-01"
) -> MarketView:
    """Daily bars from a Monday, without ranges but for the lows given by row."""
    close = np.array(closes, dtype=float)
    low = close.copy()
    for row, price in (lows or {}).items():
        low[row] = price
    index = pd.date_range(start, periods=len(close), tz="UTC")
    prices = {"open": close, "high": close, "low": low, "close": close, "volume": 1.0}
    return MarketView(bars=pd.DataFrame(prices, index=index), timeframe="1d")


def run(name: str, market: MarketView, **params: Any) -> list[float]:
    return exposure_of(load_strategy(FOLDER / f"{name}.py").target(market, params)).tolist()


def funded(market: MarketView, rates: list[float]) -> MarketView:
    """One settlement per bar, at its open."""
    frame = pd.DataFrame({"funding_rate": rates}, index=market.index)
    reading = Reading(frame=frame, publication_lag=pd.Timedelta(0))
    return MarketView(bars=market.bars, timeframe="1d", readings={"funding": reading})


#        row 0    1   2   3   4   5   6   7   8   9
FALL = [100, 100, 90, 80, 79, 82, 83, 84, 85, 86]
#  the low of row 4 is two days old at row 6: bars 5 and 6 closed above it
PARAMS = {"streak": 2, "fall": 0.2, "fall_days": 5, "quiet_days": 2, "hold_days": 2}


def test_funding_capitulation_waits_for_funding_fall_and_quiet() -> None:
    # Negative at rows 3 and 4: a streak of two, seen until row 8. The fall from 100 to 79 is in
    # the five days to row 5 (100, 90, 80, 79, 82) but not in those to row 6 (90 to 79: 12 %), and
    # at row 5 only one bar has closed above the low; with one quiet day it is bought there.
    rates = [1e-4, 1e-4, 1e-4, -1e-4, -1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4]
    market = funded(daily(FALL), rates)
    one = run("funding_capitulation", market, **(PARAMS | {"quiet_days": 1}))
    np.testing.assert_array_equal(one, [NAN, NAN, NAN, NAN, 0, 1, 1, 0, 0, 0])
    two = run("funding_capitulation", market, **(PARAMS | {"fall": 0.12}))
    np.testing.assert_array_equal(two, [NAN, NAN, NAN, NAN, 0, 0, 1, 1, 0, 0])


@pytest.mark.parametrize(
    ("rates", "fall"),
    [
        ([1e-4] * 3 + [-1e-4, 1e-4, -1e-4] + [1e-4] * 4, 0.12),  # never twice in a row
        ([-1e-4] * 10, 0.3),  # not deep enough
    ],
)
def test_funding_capitulation_stays_out_otherwise(rates: list[float], fall: float) -> None:
    got = run("funding_capitulation", funded(daily(FALL), rates), **(PARAMS | {"fall": fall}))
    np.testing.assert_array_equal(got, [NAN] * 4 + [0] * 6)


def test_funding_capitulation_says_which_series_it_needs() -> None:
    with pytest.raises(StrategyError, match=r"got 'funding', there are: none; name it in the"):
        run("funding_capitulation", daily(FALL))


def test_level_ladder_buys_a_part_at_each_support_and_drops_it_at_stop_and_target() -> None:
    # Weeks one to four have lows 10, 20, 20, 20; supports in week five: 20 (of one week) and 10
    # (of four).
    closes = [10.0] * 7 + [20.0] * 21 + [30, 20, 19, 12, 9, 20, 41]
    strategy = load_strategy(FOLDER / "level_ladder.py")
    given = {"weeks": [1, 4], "near": 0.0, "stop": 0.3, "target": 1.0}
    said = strategy.target(daily(closes), given)
    assert said["exposure"][:29].isna().all()  # an order of the support rests from its close on
    # At 30 and 20 both orders rest, at 20 only below the close. 19 fills the first; at 12 that is
    # 40 % below and dropped; 9 fills the second, which 20 leaves at its target and not beyond;
    # 41 is beyond both. No order rests above the close.
    np.testing.assert_array_equal(said["exposure"][29:], [0.0, 0.5, 0.0, 0.5, 0.5, 0.0])
    rests = said[["limit_price_2", "limit_price_3"]][28:]
    np.testing.assert_array_equal(
        rests[1:], [[10, NAN], [10, NAN], [10, NAN], [NAN, NAN], [NAN, NAN], [20, 10]]
    )
    np.testing.assert_array_equal(said["exposure_2"][29:], [0.5, 1.0, 0.5, 1.0, 1.0, 0.5])
    np.testing.assert_array_equal(said["stop_price"][29:], [7.0] * 6)


def test_level_ladder_fills_at_its_supports_inside_the_bars() -> None:
    # The low of one week is 20, that of four is 10; a day falls through both and ends at 15.
    market = daily([10.0] * 7 + [20.0] * 21 + [30, 30, 15, 15], lows={30: 9.0})
    bars = market.bars.assign(open=market.bars["close"].shift(1).fillna(10.0))
    bars["high"] = bars[["open", "close"]].max(axis=1)
    bars["low"] = bars[["open", "low", "close"]].min(axis=1)
    market = MarketView(bars=bars, timeframe="1d")
    params = {"weeks": [1, 4], "near": 0.0, "stop": 0.3, "target": 1.0}
    done = dl.backtest(market, FOLDER / "level_ladder.py", costs=dl.Costs(), **params)
    fills = done.evaluation.backtest.fills
    assert fills["reason"].tolist()[:2] == ["limit", "limit"]
    assert fills["price"].tolist()[:2] == [20.0, 10.0]
    assert fills["exposure"].tolist()[:2] == [0.5, 1.0]


def test_level_ladder_refuses_the_same_rung_twice() -> None:
    with pytest.raises(StrategyError, match="each once"):
        run("level_ladder", daily([1.0] * 30), weeks=[4, 4])


def test_ma200w_mean_reversion_buys_the_touch_of_the_average_of_closed_weeks() -> None:
    # Weeks close 10 and 12: from the Sunday of the second one the average is 11, a week later 12.
    closes = [10.0] * 7 + [12.0] * 7 + [12, 12, 13, 16, 17, 11, 12]
    market = daily(closes, lows={15: 11.0, 19: 7.0})
    got = run(
        "ma200w_mean_reversion", market, weeks=2, average="sma", near=0.0, target=0.5, stop=0.2
    )
    # Sunday the 14th row: a low of 12 touches nothing. A low of 11 does; 16.5 is the target: 16
    # is not there yet, 17 is beyond. The low of 7 touches again and its close of 11 stands on
    # the average; at the last Sunday's close the average is 12 and still touched.
    np.testing.assert_array_equal(got, [NAN] * 13 + [0, 0, 1, 1, 1, 0, 1, 1])


def test_ma200w_mean_reversion_is_stopped_and_buys_nothing_down_there() -> None:
    closes = [10.0] * 14 + [10, 8, 7, 7, 8.5, 10, 10]
    got = run("ma200w_mean_reversion", daily(closes), weeks=2, near=0.0, target=0.5, stop=0.25)
    np.testing.assert_array_equal(got[13:], [1, 1, 1, 0, 0, 1, 1, 1])


def test_stress_filter_leaves_the_market_while_it_is_forced_down() -> None:
    # A quiet year, then a fall of a sixth in four days on ten times the volume, then quiet.
    rng = np.random.default_rng(4)
    moves = rng.normal(0.0005, 0.005, 800)
    moves[600:604] = -0.045
    market = daily(list(100 * np.exp(np.cumsum(moves))))
    market.bars.loc[market.index[600:606], "volume"] = 10.0
    cascade = np.array(run("stress_filter", market, days=60))
    selling = np.array(run("stress_filter", market, days=60, out_of="selling"))
    # Sixty days until the readings have a rank and sixty more until their mean has one.
    assert np.isnan(cascade[:120]).all()
    assert set(cascade[580:600]) == {1}
    assert set(cascade[600:604]) == {0}
    # Out of the washout as well is out for longer, never for less.
    assert (selling[120:][cascade[120:] == 0] == 0).all()
    assert (selling == 0).sum() > (cascade == 0).sum()
    with pytest.raises(StrategyError, match="leave must be below enter"):
        run("stress_filter", market, enter=0.5, leave=0.5)


@pytest.mark.parametrize(
    "name",
    [
        "funding_capitulation",
        "level_ladder",
        "ma200w_mean_reversion",
        "short_the_break",
        "stress_filter",
    ],
)
def test_its_study_names_a_strategy_with_such_parameters(name: str) -> None:
    study = load_study(FOLDER.parent / "backtests" / f"{name}.toml")
    strategy = load_strategy(FOLDER / f"{study.strategy}.py")
    assert strategy.name == name
    assert set(study.params) <= set(strategy.bind(study.params))
    assert ("funding" in study.series) == (name == "funding_capitulation")
