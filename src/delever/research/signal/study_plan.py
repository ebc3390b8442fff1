"""How many events a study needs until it would find an effect of some size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.arguments import Floats, Rows
from delever.errors import InputError
from delever.research.signal.contrast import (
    contrast_pattern,
    evenly,
    mean_correlations,
    scaled,
    shifted,
    spread_after,
)
from delever.research.signal.forward import FEWEST_EVENTS
from delever.research.signal.placebo import compared_with, placebo_events
from delever.research.signal.planted import Look
from delever.research.signal.pool import ForwardOutcomes, PooledSignals, forward_outcomes
from delever.research.signal.study import StudyDesign

ALIKE = 0.7
"""Correlation of two coins' returns where there is only one to measure it on."""

_COUNTS = (5, 8, 12, 18, 27, 40, 60, 90)
_DRAWS, _STEPS = 8, 4
_FULL = 0.25
"""Share of the history, at most, that holding periods may fill: of a longer one they fill less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """How many events it takes."""

    effect: float  # to be found, a fraction
    design: StudyDesign
    distinct: float  # events there are, clusters of holding periods that do not overlap
    years: float  # they took
    alike: float  # correlation of the coins' returns
    measured: bool  # whether it is that of these coins
    # by number of distinct ``events``: smallest ``effect`` found with the design's power, mean of
    # rises and falls; of more events than the history holds, by the root of their number, and then
    # ``beyond``
    table: pd.DataFrame
    events: float  # distinct events that find the effect, infinite where there is no number

    @property
    def more_years(self) -> float:
        """Years of further history until there are as many, at the pace so far."""
        if not self.distinct:
            return math.inf
        return max(0.0, self.events - self.distinct) * self.years / self.distinct

    @property
    def coins(self) -> float:
        """Coins, each with the same history, whose events together say as much; or infinite."""
        room = self.distinct - self.events * self.alike
        if self.distinct >= self.events:
            return 1.0
        return math.ceil(self.events * (1 - self.alike) / room) if room > 0 else math.inf


def plan_study(
    pool: PooledSignals, effect: float, *, design: StudyDesign | None = None
) -> StudyPlan:
    """Find how many events would show an effect over the deciding horizon.

    The events are drawn from where the study's placebos broke, or, of signals without a level, from
    bars of like volatility. Raises InputError if the effect is not between 0 and 1, or fewer than
    five holding periods fit into the history.
    """
    if not 0 < effect < 1:
        raise InputError(f"the effect to be found must lie between 0 and 1; got {effect!r}")
    chosen = design or StudyDesign()
    ahead = forward_outcomes(pool, chosen.decides)
    others = _others(pool, ahead, chosen)
    rng = np.random.default_rng(chosen.seed)
    found: dict[int, float] = {}
    for count in _COUNTS:
        if count > FEWEST_EVENTS and count * ahead.horizon > _FULL * len(pool.index):
            break
        drawn = [_drawn(others, ahead.horizon, count, rng) for _ in range(_DRAWS)]
        if any(one is None for one in drawn):
            break
        sizes = [
            _detectable(weights, others, ahead, sign, chosen)
            for weights in drawn
            if weights is not None
            for sign in (1.0, -1.0)
        ]
        found[count] = float(np.mean(sizes))
    if not found:
        raise InputError(
            f"a plan needs a history of at least {FEWEST_EVENTS} holding periods of "
            f"{chosen.decides} bars beside each other; take longer data or a shorter horizon"
        )
    last = max(found)
    table = pd.DataFrame(
        [
            (count, found.get(count, found[last] * math.sqrt(last / count)), count > last)
            for count in _COUNTS
        ],
        columns=["events", "effect", "beyond"],
    ).set_index("events")
    alike = mean_correlations(ahead.forward)
    several = len(alike) > 1
    span = pool.index[-1] - pool.index[0]
    return StudyPlan(
        effect=effect,
        design=chosen,
        distinct=float(round(ahead.weights().sum())),
        years=span / pd.Timedelta(days=365),
        alike=float(alike[np.triu_indices(len(alike), 1)].mean()) if several else ALIKE,
        measured=several,
        table=table,
        events=_needed(table["effect"], effect),
    )


def _others(pool: PooledSignals, ahead: ForwardOutcomes, design: StudyDesign) -> Floats:
    placebos, weights = placebo_events(pool, design.factors()), ahead.weights()
    if placebos is None and not weights.sum() > 0:
        return evenly(np.ones(weights.shape), ahead.there)
    return compared_with(placebos, ahead)


def _drawn(others: Floats, horizon: int, count: int, rng: np.random.Generator) -> Floats | None:
    """Weights of so many events that do not overlap; None where they do not fit."""
    left = others.clip(0.0).sum(axis=1)
    weights = np.zeros(others.shape)
    for _ in range(count):
        if not left.sum() > 0:
            return None
        row = int(rng.choice(len(left), p=left / left.sum()))
        shares = others[row].clip(0.0)
        weights[row, int(rng.choice(len(shares), p=shares / shares.sum()))] = 1.0
        left[max(0, row - horizon + 1) : row + horizon] = 0.0
    return weights


def _detectable(
    weights: Floats, others: Floats, ahead: ForwardOutcomes, sign: float, design: StudyDesign
) -> float:
    """Smallest effect of this sign found with the design's power, the events given."""
    pattern = contrast_pattern(weights, others)
    values = scaled(ahead.forward, ahead.volatility, ahead.horizon)
    usual = scaled(np.ones(values.shape), ahead.volatility, ahead.horizon)
    spread = spread_after(others, values)
    chance = shifted(pattern, values) * spread
    chance = chance[np.isfinite(chance)]
    rows, symbols = np.nonzero(weights)
    shares = _held(rows, symbols, ahead.horizon, values.shape)
    unit = np.nansum(np.where(weights > 0, weights * usual, 0.0)) / weights.sum()
    size = 2.8 * float(chance.std()) / float(unit)
    for _ in range(_STEPS):
        size = min(size, 0.95 if sign < 0 else 10.0)
        grown = np.exp(shares * math.log1p(sign * size))
        added = np.where(pattern != 0, pattern * (grown - 1.0) * usual, 0.0)
        noise = shifted(pattern * grown, values) * spread
        look = Look.of(noise, float(np.nansum(added)), chance, design.alpha)
        size *= look.short(design.power)
    return float(size)


def _held(rows: Rows, symbols: Rows, horizon: int, shape: tuple[int, ...]) -> Floats:
    """Share of each bar's holding period that lies in that of an event of its symbol."""
    out = np.zeros(shape)
    away = np.arange(1 - horizon, horizon)
    for row, symbol in zip(rows.tolist(), symbols.tolist(), strict=True):
        places = row + away
        inside = (places >= 0) & (places < shape[0])
        out[places[inside], symbol] += 1.0 - np.abs(away[inside]) / horizon
    return out


def _needed(effects: pd.Series, effect: float) -> float:
    """Number of events at which the smallest effect found is this one."""
    counts = effects.index.to_numpy(dtype="float64")
    # Over one root of the number it is nearly a straight line.
    roots, sizes = 1 / np.sqrt(counts), np.minimum.accumulate(effects.to_numpy(dtype="float64"))
    if effect >= sizes[0]:
        return float(counts[0])
    if effect < sizes[-1]:
        return float(math.ceil(counts[-1] * (sizes[-1] / effect) ** 2))
    root = float(np.interp(effect, sizes[::-1], roots[::-1]))
    return math.ceil(1 / root**2 - 1e-9)
