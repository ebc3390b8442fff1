"""Where a market stands at one moment, on what was known then: levels, stress, phase, supports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.arguments import whole_number
from delever.deleveraging.phase_machine import market_phases
from delever.deleveraging.stress import stress_index
from delever.errors import InputError
from delever.research.base_rates import BaseRate, fall_rates
from delever.signals.clock import bars_in
from delever.signals.feature import Feature
from delever.signals.features import FEATURES, available, measure
from delever.signals.indicators import Average, atr, moving_average
from delever.signals.levels import round_support
from delever.signals.profile import volume_nodes
from delever.signals.swings import cycle_highs, fibonacci, swings
from delever.view import MarketView

MOST_DAYS, MOST_SUPPORTS = 3_650, 1_000
_PER_SIDE = 3
_RANGE = 14
_OTHER = ("price", "event")
_AVERAGES: tuple[Average, ...] = ("sma", "ema", "wma")


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A price that the past left behind."""

    name: str  # what it is
    price: float  # quote units; NaN where it is not known yet
    distance: float  # ``price / close - 1``, fraction, < 0 below the market


@dataclass(frozen=True, slots=True, kw_only=True)
class StressReading:
    """A feature now, and beside its past."""

    feature: str  # its name in the table of features
    value: float  # as known now; NaN while it warms up or its reading is stale
    # share of its values so far that are below it, half of those equal counted, in (0, 1)
    percentile: float
    values: int  # how many values there were so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """A level below the market, and how often the price went as far down."""

    level: Level
    # from the price down to it, in average true ranges of 14 bars, > 0; NaN while there is none
    ranges: float
    unconditional: BaseRate  # from any past close, a low as many per cent below it
    # from past closes in the phase of now, a low as many average true ranges below it
    same_phase: BaseRate


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketState:
    """A market at one moment."""

    time: pd.Timestamp  # close of the last bar known, UTC
    price: float  # its close, quote units
    phase: str  # of the state machine; empty while there is no index of stress
    since: pd.Timestamp | None  # close of the bar at which that phase began
    stress: float  # rank of the composite index in its own past, in (0, 1); NaN while unknown
    coverage: float  # share of the index's weight that was known, in [0, 1]
    days: int  # within how many days a support is to be reached
    levels: tuple[Level, ...]  # highest first
    readings: tuple[StressReading, ...]  # every feature of stress whose series are there
    supports: tuple[Support, ...]  # nearest first
    missing: dict[str, str]  # series that are not there, or cannot be used, and why


def market_state(
    market: MarketView, at: pd.Timestamp | None = None, *, days: int = 30, supports: int = 5
) -> MarketState:
    """Read a market at one moment.

    Raises InputError if no bar had closed by then, or a parameter is out of range.
    """
    whole_number("days", days, 1, MOST_DAYS)
    whole_number("supports", supports, 1, MOST_SUPPORTS)
    seen = market if at is None else market.upto(at)
    if seen.bars.empty:
        first = market.close_time[0]
        raise InputError(f"no bar had closed by {at:%F %H:%M}; the first one closes {first:%F}")
    price = float(seen.bars["close"].iloc[-1])
    levels = _levels(seen, price)
    below = [level for level in levels if level.distance < 0][:supports]
    phases, index = market_phases(seen), stress_index(seen)
    now = phases.iloc[-1]
    able, lacking = available(seen)
    readings = tuple(_reading(FEATURES[name], seen) for name in able if _is_stress(name))
    return MarketState(
        time=seen.close_time[-1],
        price=price,
        phase="" if pd.isna(now) else str(now),
        since=None if pd.isna(now) else _since(phases, seen.close_time),
        stress=float(index.value.iloc[-1]),
        coverage=float(index.coverage.iloc[-1]),
        days=days,
        levels=tuple(levels),
        readings=readings,
        supports=_supports(below, seen, phases == now, days),
        missing=dict.fromkeys(lacking, "not there") | _silent(readings, seen),
    )


def _silent(readings: Sequence[StressReading], market: MarketView) -> dict[str, str]:
    """Series behind features that have no value now, and when they last spoke."""
    out = {}
    for one in readings:
        for need in FEATURES[one.feature].needs if np.isnan(one.value) else ():
            known = market.readings[need.name].known_at
            out[need.name] = f"nothing since {known[-1]:%F}" if len(known) else "nothing yet"
    return out


def _is_stress(name: str) -> bool:
    return FEATURES[name].unit not in _OTHER


def _since(phases: pd.Series, close_time: pd.DatetimeIndex) -> pd.Timestamp:
    codes = phases.cat.codes.to_numpy()
    other = np.flatnonzero(codes != codes[-1])
    return close_time[int(other[-1]) + 1 if len(other) else 0]


def _reading(wanted: Feature, market: MarketView) -> StressReading:
    values = measure(wanted.name, market)
    now, past = float(values.iloc[-1]), values.dropna().to_numpy(dtype="float64")
    rank = float("nan")
    if not np.isnan(now):
        rank = float(((past < now).sum() + 0.5 * (past == now).sum()) / len(past))
    return StressReading(feature=wanted.name, value=now, percentile=rank, values=len(past))


def _levels(market: MarketView, price: float) -> list[Level]:
    """Every level, highest first; of a table, the nearest on either side."""
    close = market.resample("1w")["close"]
    found = {
        f"200-week {kind}": float(line.iloc[-1]) if len(line) else float("nan")
        for kind in _AVERAGES
        for line in [moving_average(close, 200, kind)]
    }
    for weeks in (13, 26, 52):
        found[f"lowest low of {weeks} weeks"] = float(
            measure("rolling_support", market, window=weeks).iloc[-1]
        )
    level = price
    for order in ("next", "second", "third"):
        level = float(round_support(pd.Series([level * (1 - 1e-9)] * 2)).iloc[1])
        found[f"{order} round number below"] = level
    for name in ("swing_vwap", "shutdown_price"):
        if name in available(market)[0]:
            found[name.replace("_", " ")] = float(measure(name, market).iloc[-1])
    rows = [
        *found.items(),
        *_nearest(swings(market), price),
        *_nearest(cycle_highs(market), price),
        *_nearest(fibonacci(market), price),
        *_nearest(volume_nodes(market), price),
    ]
    names: dict[float, list[str]] = {}
    for name, at in rows:
        names.setdefault(at if at == at else np.nan, []).append(name)
    levels = [
        Level(name=", ".join(called), price=at, distance=at / price - 1)
        for at, called in names.items()
    ]
    return sorted(levels, key=lambda one: np.inf if np.isnan(one.price) else -one.price)


def _nearest(table: pd.DataFrame, price: float) -> Sequence[tuple[str, float]]:
    force = table[table["ended"].isna()]
    chosen = pd.concat(
        [
            force[force["price"] < price].nlargest(_PER_SIDE, "price"),
            force[force["price"] >= price].nsmallest(_PER_SIDE, "price"),
        ]
    )
    called = [
        f"{kind} of {origin:%F}".replace("_", " ")
        for kind, origin in zip(chosen["kind"], chosen["origin"], strict=True)
    ]
    return list(zip(called, chosen["price"].tolist(), strict=True))


def _supports(
    below: Sequence[Level], market: MarketView, same_phase: pd.Series, days: int
) -> tuple[Support, ...]:
    bars, within = market.bars, bars_in(days, market.timeframe)
    size = atr(bars["high"], bars["low"], bars["close"], _RANGE) / bars["close"]
    size = size.where(size > 0)
    falls = [-level.distance for level in below]
    ranges = [fall / float(size.iloc[-1]) for fall in falls]
    ever = fall_rates(bars, falls, within)
    same = fall_rates(bars, [number * size for number in ranges], within, among=same_phase)
    return tuple(
        Support(level=level, ranges=number, unconditional=one, same_phase=other)
        for level, number, one, other in zip(below, ranges, ever, same, strict=True)
    )
