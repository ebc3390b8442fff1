"""When a feature is first known, over random parameters, starts, lags and timeframes.

Three things hold, each in its own direction. No feature has a value, and no event happens, before
its warm-up is over: always. A feature is defined from that bar on: on complete data, unless it
waits for the market to make a level. What waits, and every event, comes in some market as early
as its definition allows, so that no warm-up is declared longer than need be.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.errors import InputError
from delever.signals import indicators, volatility
from delever.signals.feature import WarmUp, feature, features_of
from delever.signals.features import FEATURES, collect, measure
from delever.view import MarketView, Reading

HOUR = pd.Timedelta(1, "h")
DAYS = 49
EVERY = {"funding": 8, "open_interest": 4, "liquidations": 4, "long_short_ratio": 4, "dvol": 4}
"""Hours between rows; sessions and days for the others."""
SESSIONS = ("vix", "igv", "qqq", "gold", "etf_flows")

PARAMETERS: dict[str, st.SearchStrategy] = {
    "average": st.sampled_from(["sma", "ema", "wma"]),
    "bars": st.integers(1, 4),
    "base": st.integers(2, 6),
    "confirm_bars": st.integers(1, 3),
    "days": st.integers(2, 6),
    "false_bars": st.integers(1, 4),
    "hours": st.integers(8, 40),
    "kind": st.sampled_from(["swing_high", "swing_low"]),
    "machine": st.sampled_from(["newest", "previous"]),
    "near": st.sampled_from([0.0, 0.02]),
    "notional": st.booleans(),
    "of": st.sampled_from(["returns", "levels"]),
    "over": st.integers(1, 2),
    "sessions": st.integers(1, 5),
    "timeframe": st.sampled_from(["1w", "1d", "2d"]),
    "weeks": st.integers(1, 4),
    "window": st.integers(3, 6),
}
"""Every parameter on which some warm-up depends, and some on which none must."""


@dataclass(frozen=True)
class Case:
    """How a market begins."""

    timeframe: str
    offset: int  # days after a Monday of the first bar
    lead: int  # hours of the first row of every reading after the first bar
    lag: int  # hours of every publication lag
    seed: int


CASES = st.builds(
    Case,
    timeframe=st.sampled_from(["1d", "12h", "8h"]),
    offset=st.integers(0, 6),
    lead=st.integers(-6, 12).map(lambda eights: 8 * eights),
    lag=st.integers(24, 60),
    seed=st.integers(0, 3),
)


def bars_of(index: pd.DatetimeIndex, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.04, len(index))))
    opened = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, 0.01, len(index)))
    wick = 1 + np.abs(rng.normal(0, 0.03, (2, len(index))))
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * wick[0],
            "low": np.minimum(opened, close) / wick[1],
            "close": close,
            "volume": rng.lognormal(5, 1, len(index)),
        },
        index=index,
    )


def made(case: Case, needs: tuple[str, ...], columns: dict[str, tuple[str, ...]]) -> MarketView:
    start = pd.Timestamp("2026-01-05", tz="UTC") + pd.Timedelta(days=case.offset)
    end = start + pd.Timedelta(days=DAYS)
    index = pd.date_range(start, end, freq=case.timeframe.replace("d", "D"), inclusive="left")
    rng = np.random.default_rng(case.seed)
    readings = {}
    for name in needs:
        first = (start + case.lead * HOUR).floor("D")
        stamps = pd.date_range(first, end, freq=f"{EVERY.get(name, 24)}h")
        if name in SESSIONS:
            stamps = stamps[stamps.day_of_week < 5]
        walk = {
            column: 100 * np.exp(np.cumsum(rng.normal(0, 0.05, len(stamps))))
            for column in columns[name] or ("value",)
        }
        readings[name] = Reading(
            frame=pd.DataFrame(walk, index=stamps), publication_lag=case.lag * HOUR
        )
    return MarketView(bars=bars_of(index, case.seed), timeframe=case.timeframe, readings=readings)


def drawn(name: str, data: st.DataObject) -> dict[str, object]:
    settable = FEATURES[name].defaults
    return {
        key: data.draw(PARAMETERS[key], label=key)
        for key in settable
        if key in PARAMETERS and (key, settable[key]) != ("timeframe", "1d")
    }


def on(name: str, case: Case) -> MarketView:
    needs = FEATURES[name].needs
    return made(case, tuple(n.name for n in needs), {n.name: n.columns for n in needs})


def test_every_parameter_that_a_warm_up_depends_on_is_drawn() -> None:
    for one in FEATURES.values():
        depends = set(inspect.signature(one.rule).parameters) - {"bar"} - set(one.fixed)
        assert depends <= set(PARAMETERS), one.name


@pytest.mark.few(6)
@pytest.mark.parametrize("name", FEATURES)
@given(case=CASES, data=st.data())
def test_nothing_is_known_before_the_warm_up_and_everything_after(
    name: str, case: Case, data: st.DataObject
) -> None:
    one, seen, given_ = FEATURES[name], on(name, case), drawn(name, data)
    got, known = measure(name, seen, **given_), one.known(seen, **given_)
    assert known.index.equals(seen.index)
    assert known.is_monotonic_increasing
    there = got if one.unit == "event" else got.notna()
    assert not there[~known].any(), "known before its warm-up is over"
    if not one.waits:
        assert there[known].all(), "not known though its warm-up is over"


SHORT = ("weeks", "over", "days", "window", "base")


@pytest.mark.parametrize("name", [name for name, one in FEATURES.items() if not one.waits])
def test_the_days_drawn_suffice_for_something_to_be_known(name: str) -> None:
    short = {key: 3 for key in SHORT if key in FEATURES[name].defaults}
    assert measure(name, on(name, Case("1d", 3, 0, 24, 0)), **short).notna().any()


BESIDE = [
    (name, notional)
    for name, one in FEATURES.items()
    if one.needs and not one.waits
    for notional in ((False, True) if "notional" in one.defaults else (None,))
]


@pytest.mark.parametrize(("name", "notional"), BESIDE)
@pytest.mark.parametrize("lead", [-48, -8, 24])
@pytest.mark.parametrize("lag", [24, 60])
def test_rows_from_before_the_first_bar_count_where_no_price_stands_beside_them(
    name: str, notional: bool | None, lead: int, lag: int
) -> None:
    """Ten draws seldom have both: rows so early, and the parameter that sets prices beside them."""
    one, seen = FEATURES[name], on(name, Case("8h", 0, lead, lag, 0))
    given_ = {key: 3 for key in SHORT if key in one.defaults}
    if notional is not None:
        given_["notional"] = notional
    assert measure(name, seen, **given_).notna().equals(one.known(seen, **given_).rename(name))


EARLIEST = {
    # Daily bars after the one at which the line is known. An average that is broken when it is
    # first known has no break, and a week is seven bars.
    "ma200w_touch": 1,
    "ma200w_break": 7,
    "ma200w_retest": 7,
    "ma200w_reclaim": 7,
    "ma200w_false_break": 14,
    "support_retest": 1,
    "support_confirmed": 1,
    "support_false_break": 1,
    "support_reclaim": 2,
}


@cache
def walks() -> list[MarketView]:
    """Random walks among which each event comes early, and two falls with a gap."""
    seeds = (0, 1, 2, 3, 7, 12, 17, 37, 206)
    return [
        *(made(Case("1d", 0, 0, 24, seed), (), {}) for seed in seeds),
        gap(),
        gap(high_of_the_second_day=100.0),
    ]


def gap(high_of_the_second_day: float = 60.0) -> MarketView:
    """A week at 100, a week at 50, a week at 45, whose highs are 60 after the first."""
    index = pd.date_range("2026-01-05", periods=21, tz="UTC")
    close = np.repeat([100.0, 50.0, 45.0], 7)
    high = np.repeat([100.0, 60.0, 60.0], 7)
    high[8] = high_of_the_second_day
    frame = pd.DataFrame({"open": close, "high": high, "low": close, "close": close}, index=index)
    return MarketView(bars=frame.assign(volume=1.0), timeframe="1d")


@pytest.mark.parametrize("name", [name for name, one in FEATURES.items() if one.waits])
def test_what_waits_comes_as_early_as_its_definition_allows(name: str) -> None:
    one = FEATURES[name]
    # The average of one week is that week's close, and never broken.
    short = {"weeks": 2 if "ma200w" in name else 1, "bars": 1, "fall": 0.01, "false_bars": 1}
    given_ = {key: value for key, value in short.items() if key in one.defaults}
    waited = []
    for seen in walks():
        got, known = one.compute(seen, **given_), one.known(seen, **given_)
        there = np.flatnonzero(got if one.unit == "event" else got.notna())
        waited += [int(row - np.flatnonzero(known)[0]) for row in there[:1]]
    assert min(waited) == EARLIEST.get(name, 0)


INDICATORS = {
    "sma": lambda b, n: (indicators.sma(b["close"], n), n),
    "ema": lambda b, n: (indicators.ema(b["close"], n), n),
    "wma": lambda b, n: (indicators.wma(b["close"], n), n),
    "atr": lambda b, n: (indicators.atr(b["high"], b["low"], b["close"], n), n),
    "rsi": lambda b, n: (indicators.rsi(b["close"], n + 1), n + 1),
    "roc": lambda b, n: (indicators.roc(b["close"], n), n + 1),
    "donchian": lambda b, n: (indicators.donchian(b["high"], b["low"], n)["upper"], n),
    "bollinger": lambda b, n: (indicators.bollinger(b["close"], n)["lower"], n),
    "macd": lambda b, n: (indicators.macd(b["close"], 1, n + 1, 3)["macd"], n + 1),
    "macd signal": lambda b, n: (indicators.macd(b["close"], 1, n + 1, 3)["signal"], n + 3),
    "volume_shock": lambda b, n: (volatility.volume_shock(b["volume"], n, 3), n + 3),
    "fall_speed": lambda b, n: (
        volatility.fall_speed(b["close"], fall_bars=n, volatility_bars=3),
        n + 4,
    ),
}


@pytest.mark.parametrize("name", INDICATORS)
@given(window=st.integers(1, 12))
def test_indicators_are_defined_from_the_bar_that_fills_their_window(
    name: str, window: int
) -> None:
    got, bars = INDICATORS[name](walks()[0].bars, window)
    np.testing.assert_array_equal(got.notna(), np.arange(1, len(got) + 1) >= bars)


def test_a_reading_of_another_name_is_what_counts() -> None:
    seen = on("daily_funding", Case("1d", 0, 0, 24, 0))
    other = MarketView(
        bars=seen.bars, timeframe="1d", readings={"okx_funding": seen.readings["funding"]}
    )
    one = FEATURES["daily_funding"]
    assert one.known(other, series="okx_funding").equals(one.known(seen))
    assert measure("daily_funding", other, series="okx_funding").equals(
        measure("daily_funding", seen)
    )
    with pytest.raises(InputError, match=r"series 'funding' .* is required"):
        measure("daily_funding", other)


def test_titles_say_what_was_asked() -> None:
    one = FEATURES["ma200w_false_break"]
    assert one.title() == "false break: the 200-week sma, on weekly closes"
    assert one.title(weeks=50, average="ema", on="close") == (
        "false break: the 50-week ema, on closes"
    )
    for each in FEATURES.values():
        assert each.title()
    with pytest.raises(InputError, match="ma200w_break has no parameter 'wekks'; it takes weeks,"):
        measure("ma200w_break", walks()[0], wekks=3)
    with pytest.raises(InputError, match="has no parameter 'column'"):
        measure("ma200w_break", walks()[0], column="touch")


def test_features_from_outside_are_collected_and_measured() -> None:
    @feature("gain", unit="fraction", title="gain", warm_up=lambda bars: WarmUp(bars=bars + 1))
    def gain(market: MarketView, *, bars: int = 2) -> pd.Series:
        return market.bars["close"].pct_change(bars)

    mine = FEATURES | collect((gain,))
    seen = walks()[0]
    got = measure("gain", seen, features=mine, bars=3)
    assert got.name == "gain"
    assert got.notna().equals(mine["gain"].known(seen, bars=3).rename("gain"))
    with pytest.raises(InputError, match="a feature must be one of"):
        measure("gain", seen)
    with pytest.raises(InputError, match="every feature needs a name of its own; 'gain' repeats"):
        collect((gain, gain))
    with pytest.raises(InputError, match="must be decorated"):
        collect((len,))
    assert features_of(len) == ()
