"""Breaks of levels by hand and against a loop, what is known when, and how placebos break."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.research.null_markets import simulate_bars
from delever.research.signal.level_break import LevelRule, Signal
from delever.research.signal.level_rules import RULES, _nearest
from delever.research.signal.placebo import placebo_factors
from delever.signals.levels import support_below
from delever.signals.swings import cycle_highs, fibonacci, swings
from delever.view import MarketView

SMALL = {
    "average": {"weeks": 10},
    "volume_node": {"weeks": 10},
    "cycle_high": {"fall": 0.15},
    "rolling_high": {"weeks": 8},
}


def market(closes, timeframe="1d"):
    index = pd.date_range("2021-01-04", periods=len(closes), freq="1D", tz="UTC", unit="ns")
    close = pd.Series(closes, index=index.rename("open_time"), dtype="float64")
    return MarketView(
        bars=pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], close)),
        timeframe=timeframe,
    )


def at(level, **settings_):
    """A rule on one fixed price."""
    return LevelRule(
        name="fixed",
        levels=lambda seen: lambda factor: pd.Series(level * factor, index=seen.index),
        **settings_,
    )


def days(series):
    return np.flatnonzero(series).tolist()


def test_a_break_needs_a_close_beyond_after_one_that_was_not():
    seen = market([9, 10, 9, 8, 10, 11, 9.5, 10, 9])
    assert days(at(10.0).on(seen).event) == [2, 6, 8]
    assert days(at(9.5, side="above").on(seen).event) == [1, 4, 7]


def test_a_level_that_moves_is_broken_by_either_of_the_two():
    closes = [10, 10, 10, 8, 7.5, 10, 6]
    line = pd.Series([9.0, 9, 11, 9, 7.8, 7, 7])

    def levels(seen):
        return lambda factor: pd.Series(line.to_numpy() * factor, index=seen.index)

    # Bar 2: the level rises past the price. Bars 3 and 4: it has come down below the last close,
    # and the price falls through it again. Bar 5 is back, bar 6 falls.
    found = LevelRule(name="x", levels=levels).on(market(closes))
    assert days(found.event) == [2, 3, 4, 6]


def test_confirmation_is_known_only_at_its_last_close():
    seen = market([11, 9, 11, 9, 9.9, 11, 9, 8, 7])
    signal = at(10.0, confirm=2).on(seen)
    assert days(signal.event) == [4, 7]
    assert days(at(10.0, confirm=3).on(seen).event) == [8]
    assert at(10.0, confirm=3).on(market([11, 9, 9])).event.sum() == 0


def test_the_level_of_a_confirmed_break_is_the_one_that_was_broken():
    falling = pd.Series([10.0, 10.0, 8.0, 6.0])

    def levels(seen):
        return lambda factor: pd.Series(falling.to_numpy() * factor, index=seen.index)

    signal = LevelRule(name="x", levels=levels, confirm=2).on(market([11, 9, 8.5, 7]))
    assert days(signal.event) == [2]
    assert signal.level.tolist()[1:] == [10, 10, 8]


@settings(max_examples=40)
@given(
    seed=st.integers(0, 100), confirm=st.integers(1, 4), side=st.sampled_from(["below", "above"])
)
def test_breaks_as_a_loop_finds_them(seed, confirm, side):
    closes = simulate_bars(60, seed=seed)["close"].tolist()
    level = float(np.median(closes))
    sign = 1 if side == "below" else -1
    expected = []
    for row in range(1, len(closes)):
        window = closes[row : row + confirm]
        beyond = [sign * price < sign * level for price in window]
        if len(window) == confirm and all(beyond) and sign * closes[row - 1] >= sign * level:
            expected.append(row + confirm - 1)
    assert days(at(level, confirm=confirm, side=side).on(market(closes)).event) == expected


def test_a_weekly_break_is_known_when_the_week_has_closed():
    """Eight weeks; the fourth closes below the level, on its Sunday, the 28th day."""
    closes = np.repeat([12.0, 12, 12, 9, 12, 12, 9, 9], 7)
    closes[10] = 5.0  # a Wednesday below is no weekly close
    signal = at(10.0, timeframe="1w").on(market(closes))
    assert days(signal.event) == [27, 48]
    assert signal.event.index[27].day_name() == "Sunday"
    assert days(signal.known) == list(range(6, 56))


def test_where_the_last_day_of_a_week_is_missing_the_break_is_known_later():
    seen = market(np.repeat([12.0, 9, 9], 7))
    holed = MarketView(bars=seen.bars.drop(seen.index[13]), timeframe="1d")
    assert days(at(10.0, timeframe="1w").on(holed).event) == [13]
    assert holed.index[13].day_name() == "Monday"


@pytest.mark.parametrize("name", sorted(set(RULES) - {"prices", "shutdown"}))
def test_no_rule_sees_the_future(name):
    small = SMALL.get(name, {})
    bars = simulate_bars(500, seed=4).assign(volume=1.0)
    seen = MarketView(bars=bars, timeframe="1d")
    whole = RULES[name](**small).on(seen)
    assert whole.event.any()
    for cut in (250, 377, 431):
        part = RULES[name](**small).on(seen.upto(seen.close_time[cut]))
        pd.testing.assert_series_equal(part.event, whole.event.iloc[: cut + 1])
        pd.testing.assert_series_equal(part.level, whole.level.iloc[: cut + 1])
        np.testing.assert_array_equal(part.placebo(1.07), whole.placebo(1.07)[: cut + 1])


@pytest.mark.parametrize("factor", [0.93, 1.0, 1.08])
def test_nearest_levels_are_those_of_a_table_with_all_prices_moved(factor):
    seen = MarketView(bars=simulate_bars(800, seed=6), timeframe="1d")
    found = swings(seen, bars=3)
    lows = found[found["kind"] == "swing_low"]
    for name, small, table in (
        ("swing_low", {"bars": 3}, lows),
        ("fibonacci_ratio", {"bars": 5}, fibonacci(seen, bars=5)),
        ("cycle_high", {"fall": 0.15}, cycle_highs(seen, fall=0.15)),
    ):
        line = RULES[name](**small).levels(seen)(factor)
        expected = support_below(seen, table.assign(price=table["price"] * factor))
        pd.testing.assert_series_equal(line, expected, check_names=False)
        assert line.notna().any()


@pytest.mark.parametrize("side", ["below", "above"])
def test_a_close_on_a_level_has_not_broken_it_whatever_is_in_force(side):
    chance = np.random.default_rng(8)
    closes = chance.integers(1, 40, 300).astype(float)  # often on a level
    seen = market(closes.tolist())
    born = seen.index[np.sort(chance.integers(0, 290, 60))]
    ended = born + pd.to_timedelta(chance.integers(1, 80, 60), unit="D")
    table = pd.DataFrame(
        {
            "price": chance.integers(1, 40, 60).astype(float),
            "born": born,
            "ended": ended.where(chance.random(60) < 0.7),
        }
    )
    line = _nearest(lambda _: table, side)(seen)(1.0)
    levels = list(zip(table["price"], table["born"], table["ended"], strict=True))
    for row, now in enumerate(seen.index[1:], 1):
        before = closes[row - 1]
        prices = [
            price
            for price, first, last in levels
            if first <= now
            and not last <= now  # one that has not ended is NaT
            and (price <= before if side == "below" else price >= before)
        ]
        nearest = max if side == "below" else min
        np.testing.assert_equal(line.iloc[row], nearest(prices, default=np.nan))
    assert (line == np.append(np.nan, closes[:-1])).sum() > 20


# Of former cycle highs there are only a few to move, which a placebo may or may not come to.
@pytest.mark.parametrize("name", sorted(set(RULES) - {"prices", "shutdown", "cycle_high"}))
def test_a_placebo_is_the_rule_itself_at_factor_one_and_breaks_about_as_often(name):
    small = SMALL.get(name, {})
    seen = MarketView(bars=simulate_bars(1_000, seed=5).assign(volume=1.0), timeframe="1d")
    signal = RULES[name](**small).on(seen)
    broken = signal.placebo(1.0)
    assert np.array_equal(np.isfinite(broken), signal.event.to_numpy())
    assert np.array_equal(broken[signal.event], signal.level[signal.event])
    counts = [np.isfinite(signal.placebo(f)).sum() for f in placebo_factors(40, 0.1, 1)]
    assert min(counts) > 0
    assert np.median(counts) > 0.3 * signal.event.sum()
    assert len({tuple(days(np.isfinite(signal.placebo(f)))) for f in (0.9, 0.95, 1.0, 1.05)}) > 1


def test_placebos_of_given_prices_and_round_numbers_move_all_of_them():
    seen = market([101, 99, 111, 109, 96, 94, 120])
    given_prices = RULES["prices"](levels=(100.0, 110.0)).on(seen)
    assert days(given_prices.event) == [1, 3, 4]
    assert given_prices.placebo(0.95)[4:6].tolist() == [104.5, 95.0]
    assert days(np.isfinite(given_prices.placebo(0.95))) == [4, 5]
    rounds = RULES["round_number"](parts=1).on(seen)
    assert days(rounds.event) == [1, 4]
    assert rounds.level.iloc[1:4].tolist() == [100, 90, 100]


def test_placebo_factors_are_near_never_at_the_level_and_even_in_logarithms():
    logs = np.log(placebo_factors(20_000, 0.25, seed=1))
    assert np.abs(logs).min() >= 0.01
    assert np.abs(logs).max() <= 0.25
    assert abs(logs.mean()) < 0.005
    assert np.quantile(np.abs(logs), 0.5) == pytest.approx(0.13, abs=0.005)
    assert np.array_equal(np.exp(logs), placebo_factors(20_000, 0.25, seed=1))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: at(1.0, confirm=0), "at least 1"),
        (lambda: placebo_factors(0, 0.25, 1), "draws"),
        (lambda: placebo_factors(9, 0.001, 1), "distance"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_a_signal_has_a_row_per_bar():
    seen = market([1.0, 2.0])
    flags = pd.Series([True], index=seen.index[:1])
    with pytest.raises(InputError, match="one row per bar"):
        Signal(market=seen, event=flags, known=flags)


def upside_down(seen: MarketView) -> MarketView:
    """The market in coins per unit of money: every fall a rise."""
    bars = (1 / seen.bars[["open", "low", "high", "close"]]).set_axis(
        ["open", "high", "low", "close"], axis=1
    )
    return MarketView(bars=bars.assign(volume=seen.bars["volume"]), timeframe=seen.timeframe)


@pytest.mark.parametrize(
    ("below", "above", "params"),
    [
        ("rolling_low", "rolling_high", {"weeks": 6}),
        ("rolling_low", "rolling_high", {"weeks": 3, "confirm": 2}),
        ("swing_low", "swing_high", {"bars": 3}),
    ],
)
def test_a_break_above_is_a_break_below_upside_down(below, above, params):
    seen = MarketView(bars=simulate_bars(900, seed=9).assign(volume=1.0), timeframe="1d")
    one, other = RULES[below](**params).on(seen), RULES[above](**params).on(upside_down(seen))
    assert (one.side, other.side) == ("below", "above")
    assert one.event.sum() > 5
    assert days(one.event) == days(other.event)
    np.testing.assert_allclose(other.level, 1 / one.level, rtol=1e-12)
    np.testing.assert_allclose(other.placebo(1 / 1.07), 1 / one.placebo(1.07), rtol=1e-12)


def test_given_prices_are_broken_on_either_side():
    closes = [9.0, 10.5, 11.0, 12.5, 11.5, 9.5]
    up = RULES["prices"](levels=(10.0, 12.0), side="above").on(market(closes))
    down = RULES["prices"](levels=(10.0, 12.0)).on(market(closes))
    assert days(up.event) == [1, 3]
    assert days(down.event) == [4, 5]
    np.testing.assert_array_equal(up.level, [np.nan, 10, 12, 12, np.nan, 12])


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("average", {"weeks": 10}),
        ("round_number", {}),
        ("cycle_high", {"fall": 0.15}),
        ("fibonacci_ratio", {"bars": 5}),
        ("volume_node", {"weeks": 12}),
    ],
)
def test_every_rule_can_be_turned_and_then_sees_no_future_either(name, params):
    bars = simulate_bars(500, seed=4).assign(volume=1.0)
    seen = MarketView(bars=bars, timeframe="1d")
    rule = RULES[name](**params, side="above")
    assert rule.name.startswith("break above ")
    whole = rule.on(seen)
    assert whole.event.any()
    rows = np.flatnonzero(whole.event)
    # On the bar of a break the close is above the level; the level was not below every close.
    if rule.timeframe is None:
        assert (bars["close"].to_numpy()[rows] > whole.level.to_numpy()[rows]).all()
    for cut in (250, 431):
        part = rule.on(seen.upto(seen.close_time[cut]))
        pd.testing.assert_series_equal(part.event, whole.event.iloc[: cut + 1])
        pd.testing.assert_series_equal(part.level, whole.level.iloc[: cut + 1])
