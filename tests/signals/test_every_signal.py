"""Every public signal sees no future: those behind the table of features, and all the others."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.signals.markets import DAY, made_up

import delever.signals
from delever.deleveraging.detect import Detector, detect
from delever.deleveraging.phase_machine import (
    MARKET_PHASES,
    causal_phases,
    is_deleveraging,
    market_phases,
)
from delever.deleveraging.stress import forced_flow, past_rank, stress_index
from delever.research.lookahead import find_leak
from delever.research.perturbation import window
from delever.signals import (
    averages,
    bands,
    breaks,
    clock,
    cross,
    edges,
    indicators,
    levels,
    network,
    profile,
    sizing,
    swings,
    volatility,
)
from delever.signals.features import FEATURES
from delever.view import MarketView

Signal = Callable[[MarketView], pd.Series]


PRICES = [10_000 * 1.1**step for step in range(25)]


def close(m: MarketView) -> pd.Series:
    return m.bars["close"]


def ohlc(m: MarketView) -> tuple[pd.Series, pd.Series, pd.Series]:
    return m.bars["high"], m.bars["low"], m.bars["close"]


def mixed(table: pd.DataFrame) -> pd.Series:
    """All columns in one number per row, so that none can hide a change."""
    weights = 1 / np.arange(2.0, 2.0 + table.shape[1])
    return (table.astype("float64") * weights).sum(axis=1, skipna=False)


def low(m: MarketView) -> pd.Series:
    return levels.rolling_support(m, 3)


def own(m: MarketView) -> pd.Series:
    return clock.own(m, "fear_greed")


def told(m: MarketView, values: pd.Series) -> pd.Series:
    return clock.on_bars(m, "fear_greed", values)


def weekly(m: MarketView) -> pd.Series:
    return m.resample("1w")["close"]


def index(m: MarketView) -> pd.Series:
    return stress_index(m, days=20).value


def below_line(m: MarketView) -> pd.Series:
    return close(m) < close(m).rolling(10).mean()


def born(m: MarketView, table: pd.DataFrame) -> pd.Series:
    """Sum of all levels of a table that were known when a bar opened."""
    rows = table.sort_values("born", kind="stable")
    total = np.append(0.0, rows["price"].to_numpy(dtype="float64").cumsum())
    births = pd.DatetimeIndex(rows["born"]).as_unit("ns")
    return pd.Series(total[births.searchsorted(m.index, side="right")], index=m.index)


def numbered(phases: pd.Series) -> pd.Series:
    return phases.astype(object).map({name: float(k) for k, name in enumerate(MARKET_PHASES)})


SIGNALS: dict[str, Signal] = {
    "bands.held_level": lambda m: bands.held_level(
        close(m), below_line(m), close(m), below=0.1, above=0.1
    ),
    "breaks.average_breaks": lambda m: mixed(breaks.average_breaks(m, weeks=4)),
    "breaks.breach_depth": lambda m: breaks.breach_depth(m.bars, low(m)),
    "breaks.breaks": lambda m: mixed(breaks.breaks(m.bars, indicators.sma(close(m), 10))),
    "breaks.support_breaks": lambda m: mixed(breaks.support_breaks(m.bars, low(m))),
    "clock.ago": lambda m: told(m, clock.ago(own(m), 3)),
    "clock.align_events": lambda m: clock.align_events(m, weekly(m).diff() < 0, "1w"),
    "clock.full": lambda m: told(m, own(m).where(clock.full(own(m), 30))),
    "clock.on_bars": lambda m: told(m, own(m)),
    "clock.own": lambda m: told(m, own(m)),
    "clock.sign_streak": lambda m: told(m, clock.sign_streak(own(m) - 50)),
    "clock.zscore": lambda m: told(m, clock.zscore(own(m), 20)),
    "cross.sessions": lambda m: clock.on_bars(m, "vix", cross.sessions(m, series="vix")["own"]),
    "edges.confirm": lambda m: edges.confirm(below_line(m), 3),
    "edges.crossed_above": lambda m: edges.crossed_above(close(m), indicators.sma(close(m), 9)),
    "edges.crossed_below": lambda m: edges.crossed_below(close(m), indicators.sma(close(m), 9)),
    "edges.hold": lambda m: edges.hold(below_line(m), 4),
    "edges.latch": lambda m: edges.latch(below_line(m), close(m).diff() > 0),
    "indicators.atr": lambda m: indicators.atr(*ohlc(m), 14),
    "indicators.bollinger": lambda m: mixed(indicators.bollinger(close(m), 20, 2.0)),
    "indicators.donchian": lambda m: mixed(indicators.donchian(*ohlc(m)[:2], 20)),
    "indicators.ema": lambda m: indicators.ema(close(m), 20),
    "indicators.macd": lambda m: mixed(indicators.macd(close(m), 12, 26, 9)),
    "indicators.moving_average": lambda m: indicators.moving_average(close(m), 9, "wma"),
    "indicators.roc": lambda m: indicators.roc(close(m), 5),
    "indicators.rsi": lambda m: indicators.rsi(close(m), 14),
    "indicators.sma": lambda m: indicators.sma(close(m), 20),
    "indicators.wma": lambda m: indicators.wma(close(m), 20),
    "levels.broken_level": lambda m: levels.broken_level(close(m), close(m) < low(m), low(m)),
    "levels.fixed_resistance": lambda m: levels.fixed_resistance(close(m), PRICES),
    "levels.fixed_support": lambda m: levels.fixed_support(close(m), PRICES),
    "levels.grid_support": lambda m: levels.grid_support(close(m), 1_000.0),
    "levels.rolling_resistance": lambda m: levels.rolling_resistance(m, 3),
    "levels.rolling_support": low,
    "levels.round_resistance": lambda m: levels.round_resistance(close(m), parts=10),
    "levels.round_support": lambda m: levels.round_support(close(m), parts=10),
    "levels.support_below": lambda m: levels.support_below(m, swings.swings(m, bars=2)),
    "network.realised_price": network.realised_price,
    "network.shutdown_value": lambda m: pd.Series(
        network.shutdown_value(m.series("difficulty", "difficulty"), 3.125, 20.0, 0.08),
        index=m.index,
    ),
    "profile.anchored_vwap": lambda m: profile.anchored_vwap(m, anchor=m.index[0] + 9 * DAY),
    "profile.volume_nodes": lambda m: born(m, profile.volume_nodes(m, weeks=8)),
    "sizing.exposure": lambda m: sizing.exposure(below_line(m), on=-1.0),
    "swings.cycle_highs": lambda m: born(m, swings.cycle_highs(m, fall=0.05)),
    "swings.fibonacci": lambda m: born(m, swings.fibonacci(m, bars=3)),
    "swings.swings": lambda m: born(m, swings.swings(m, bars=3)),
    "averages.days_below": lambda m: averages.days_below(
        close(m), indicators.sma(close(m), 9), m.timeframe
    ),
    "volatility.fall_speed": lambda m: volatility.fall_speed(
        close(m), fall_bars=7, volatility_bars=30
    ),
    "volatility.realised_volatility": lambda m: volatility.realised_volatility(
        m.bars, 20, m.timeframe, "yang_zhang"
    ),
    "volatility.volume_shock": lambda m: volatility.volume_shock(m.bars["volume"], 1, 30),
    "detect.detect": lambda m: detect(close(m), Detector(volatility_bars=30, enter=1.0, exit=0.5)),
    "phase_machine.market_phases": lambda m: numbered(market_phases(m)),
    "phase_machine.is_deleveraging": lambda m: (
        is_deleveraging(market_phases(m)).reindex(m.index).astype("float64")
    ),
    "phase_machine.causal_phases": lambda m: numbered(
        causal_phases(close(m), past_rank(-close(m), 20), index(m), m.timeframe)
    ),
    "stress.past_rank": lambda m: past_rank(close(m), 20),
    "stress.stress_index": index,
    "stress.forced_flow": lambda m: forced_flow(m, days=20),
}

NO_SIGNAL = {
    "volatility.check_prices": "checks",
    "allocation.equal": "shares of several symbols; tests/signals/test_allocation.py",
    "allocation.inverse_volatility": "shares of several symbols; tests/signals/test_allocation.py",
    "allocation.volatility_target": "shares of several symbols; tests/signals/test_allocation.py",
    "allocation.capped": "shares of several symbols; tests/signals/test_allocation.py",
    "clock.bars_in": "a number of bars",
    "features.available": "names",
    "features.feature_named": "a row of the table",
    "features.collect": "a table",
    "features.inputs": "a table",
    "features.measure": "how the table is asked; every test of a feature goes through it",
    "feature.feature": "a decorator",
    "feature.features_of": "the facts a function carries",
    "network.load_network": "reads a file",
    "glossary.describe": "writes docstrings",
    "glossary.described": "writes docstrings",
    "profile.volume_profile": "a table of one stretch of bars",
    "swings.extension": "three prices",
    "swings.level_table": "puts rows in order",
    "swings.retracement": "three prices",
    "detect.detected_periods": "a report of what was detected",
}


def public() -> Iterator[str]:
    """Every public function of the rooms that make signals."""
    modules = [name for _, name, _ in pkgutil.iter_modules(delever.signals.__path__)]
    named = [f"delever.signals.{name}" for name in modules]
    for path in (
        *named,
        *(f"delever.deleveraging.{name}" for name in ("detect", "phase_machine", "stress")),
    ):
        module = importlib.import_module(path)
        for name, thing in vars(module).items():
            if not name.startswith("_") and inspect.isfunction(thing) and thing.__module__ == path:
                yield f"{path.rpartition('.')[2]}.{name}"


def behind_features() -> set[str]:
    return {
        f"{one.function.__module__.rpartition('.')[2]}.{one.function.__name__}"
        for one in FEATURES.values()
    }


def test_none_is_forgotten() -> None:
    there = set(public())
    assert len(there) > 80
    assert there == set(SIGNALS) | set(NO_SIGNAL) | (there & behind_features())
    assert not set(SIGNALS) & set(NO_SIGNAL)


INSIDE = ("detect", "phase_machine", "stress")


@pytest.mark.parametrize(
    "name", sorted(n for n in public() if n not in NO_SIGNAL and n.split(".")[0] not in INSIDE)
)
def test_its_docstring_says_every_parameter_and_what_is_returned(name: str) -> None:
    module, _, function = name.rpartition(".")
    thing = getattr(importlib.import_module(f"delever.signals.{module}"), function)
    text = inspect.getdoc(thing) or ""
    at, end = text.find("\nParameters\n---"), text.find("\nReturns\n---")
    assert 0 < at < end, text
    described = re.findall(r"^(\S.*?)(?: : .*)?\n    ", text[at:end], re.MULTILINE)
    assert set(inspect.signature(thing).parameters) <= set(", ".join(described).split(", "))
    assert text.count("\nReturns\n---") == text.count("\nParameters\n---") == 1


LATE = {"phase_machine.market_phases", "phase_machine.is_deleveraging"}
"""Those that need a year before they say something."""


@functools.cache
def market(first: int, days: int) -> MarketView:
    """Part of a long fall, with some readings."""
    whole = made_up()
    needed = ("fear_greed", "vix", "difficulty", "realised_price")
    readings = {name: whole.readings[name] for name in needed}
    part = window(whole, whole.index[first], whole.index[first + days - 1])
    return replace(
        part, readings={name: readings[name].upto(part.close_time[-1]) for name in needed}
    )


@pytest.mark.parametrize("name", SIGNALS)
def test_the_future_changes_nothing(name: str) -> None:
    function, late = SIGNALS[name], name in LATE
    seen = market(430, 610) if late else market(130, 160)
    # A signal that never says anything, or always the same, would prove nothing.
    assert function(seen).nunique() >= 2
    assert find_leak(function, seen, points=1) is None
