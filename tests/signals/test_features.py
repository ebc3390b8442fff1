"""Every feature in the table: causal, on the bars, on time, free of units, honest about lags."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.signals.markets import DAY, made_up

from delever.errors import InputError
from delever.research.lookahead import find_leak
from delever.signals.features import FEATURES, INPUTS, available, feature_named, measure
from delever.signals.levels import support_below
from delever.signals.swings import swings
from delever.view import MarketView, Reading

NAMES = sorted(FEATURES)


@cache
def market() -> MarketView:
    return made_up()


@cache
def values(name: str) -> pd.Series:
    return measure(name, market())


def days_unknown(name: str) -> int:
    """From the first bar's open to the first close at which the feature may be known."""
    known = FEATURES[name].known(market())
    return int((market().close_time[known][0] - market().index[0]) / DAY)


@pytest.mark.parametrize("name", NAMES)
def test_the_future_changes_nothing(name: str) -> None:
    needed = {need.name: market().readings[need.name] for need in FEATURES[name].needs}
    seen = replace(market(), readings=needed)
    if days_unknown(name) < 200:
        seen = seen.upto(seen.index[500])
    # Events and levels change on few bars: more of those are asked.
    points = 2 if FEATURES[name].unit in ("event", "price") else 1
    assert find_leak(partial(measure, name), seen, points=points) is None


@pytest.mark.parametrize("name", NAMES)
def test_one_value_per_bar_that_says_something(name: str) -> None:
    got = values(name)
    assert got.index.equals(market().index)
    assert got.name == name
    if FEATURES[name].unit == "event":
        assert got.dtype == bool
    else:
        assert got.dtype == "float64"
        assert np.isfinite(got.dropna()).all()
    assert got.nunique(dropna=False) > 1, "a constant tests nothing"


@pytest.mark.parametrize("name", NAMES)
def test_a_change_of_currency_changes_prices_and_nothing_else(name: str) -> None:
    scale, spec, seen = 1024.0, FEATURES[name], market()
    prices = ["open", "high", "low", "close"]
    readings = {
        key: replace(was, frame=was.frame.assign(**(was.frame[list(was.prices)] * scale)))
        for key, was in seen.readings.items()
    }
    # Positions in dollars are dollars too.
    held = readings["open_interest"]
    readings["open_interest"] = replace(held, frame=held.frame * scale)
    other = replace(seen, bars=seen.bars.assign(**(seen.bars[prices] * scale)), readings=readings)
    given = {key: spec.defaults[key] * scale for key in spec.prices}
    expected = values(name).astype(float) * (scale if spec.unit == "price" else 1.0)
    got = measure(name, other, **given).astype(float)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "name", sorted({need.name for spec in FEATURES.values() for need in spec.needs})
)
def test_a_reading_that_is_missing_or_known_too_early_is_refused(name: str) -> None:
    user = next(spec.name for spec in FEATURES.values() if name in {n.name for n in spec.needs})
    bare = replace(
        market(), readings={key: was for key, was in market().readings.items() if key != name}
    )
    with pytest.raises(InputError, match=f"series '{name}' .* is required"):
        measure(user, bare)
    if INPUTS[name].lag == pd.Timedelta(0):
        return
    early = replace(market().readings[name], publication_lag=pd.Timedelta(0))
    hasty = replace(market(), readings={**market().readings, name: early})
    with pytest.raises(InputError, match="publication lag of at least"):
        measure(user, hasty)


def test_every_input_is_used_and_every_need_is_listed() -> None:
    needs = {need.name for spec in FEATURES.values() for need in spec.needs}
    assert needs == set(INPUTS)
    assert all(name == spec.name for name, spec in FEATURES.items())
    for name, item in INPUTS.items():
        assert set(item.columns) <= set(market().readings[name].frame.columns)


def test_what_a_market_without_readings_can_tell() -> None:
    bare = replace(market(), readings={})
    able, missing = available(bare)
    assert set(missing) == set(INPUTS)
    assert set(able) == {name for name, spec in FEATURES.items() if not spec.needs}
    assert available(market()) == (tuple(FEATURES), ())
    with pytest.raises(InputError, match="must be one of fall_speed"):
        feature_named("moon_phase")


def test_stale_readings_say_nothing() -> None:
    seen = market()
    cut = seen.index[700]
    old = {name: was.upto(cut) for name, was in seen.readings.items()}
    stale = replace(seen, readings=old)
    for name, spec in FEATURES.items():
        if spec.needs:
            after = measure(name, stale).iloc[708:]
            assert after.isna().all(), name


def test_a_pivot_known_early_is_found_out() -> None:
    def early(seen: MarketView) -> pd.Series:
        table = swings(seen, bars=5)
        return support_below(seen, table.assign(born=table["origin"]))

    assert find_leak(early, market(), points=2) is not None


def test_fear_and_greed_seen_on_its_own_day_only() -> None:
    stamps = pd.date_range("2026-02-01", periods=5, tz="UTC").as_unit("ns")
    bars = pd.DataFrame({"close": 1.0}, index=stamps)
    frame = pd.DataFrame({"fng": [1.0, 2, 3, 4, 5]}, index=stamps)
    reading = Reading(frame=frame, publication_lag=pd.Timedelta(8, "h"))
    seen = MarketView(bars=bars, timeframe="1d", readings={"fear_greed": reading})
    # The bar of day d closes at d+1 00:00 and knows the index of d, not yet that of d+1.
    assert measure("fear_greed", seen).tolist() == [1, 2, 3, 4, 5]
    hours = pd.DataFrame(
        {"close": 1.0}, index=pd.date_range("2026-02-01 22:00", periods=12, freq="h", tz="UTC")
    )
    fine = MarketView(bars=hours, timeframe="1h", readings={"fear_greed": reading})
    # Bars that close up to 07:00 on the 2nd still see the 1st; that of 08:00 sees the 2nd.
    assert measure("fear_greed", fine).tolist() == [1.0] * 9 + [2.0] * 3


def test_the_page_on_signals_lists_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "signals.md").read_text(encoding="utf-8")
    for name, spec in FEATURES.items():
        needs = ", ".join(need.name for need in spec.needs) or "bars"
        days = f"{'from ' if spec.waits else ''}{days_unknown(name)}"
        assert f"| `{name}` | {spec.unit} | {needs} | {days} | {spec.title()} |\n" in page
    for name, item in INPUTS.items():
        columns = ", ".join(item.columns) or "any one"
        hours = item.lag // pd.Timedelta(1, "h")
        least = f"{hours} h" if hours else "0" if not item.lag.value else "above 0"
        assert f"| `{name}` | {columns} | {least} | {item.holds} |\n" in page
