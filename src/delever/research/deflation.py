"""What is left of the best Sharpe ratio of a sweep once the choice is counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

import numpy as np

from delever.arguments import Flags, Floats
from delever.research.answer import LEVEL
from delever.research.choosing import Tried
from delever.stats.haircut import haircut_sharpe
from delever.stats.inference import (
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    false_discovery_rate,
    minimum_backtest_length,
    minimum_track_record,
    probabilistic_sharpe_ratio,
    sharpe_power,
)
from delever.stats.risk import kurtosis, skewness
from delever.stats.selection import effective_trials
from delever.stats.superior import best_of_many, sharpe_parts

PLANTED, PRIOR = 1.0, 0.1
"""Yearly Sharpe ratio of the trials that are worth something, and their share, of that chance."""
LEAST_BARS = 30
"""Fewer returns do not tell their skew and kurtosis."""
_LEAST_BLOCKS = 4
_SAME = 1e-9
_MOST_DRAWS, _LEAST_DRAWS = 4_095, 399
_MOST_DRAWN = 80_000_000  # values in all draws together: bounds time
_MOST_HAIRCUT = 1_000_000  # the same, of the haircut


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Trials of which one was chosen."""

    tried: Tried  # those that have a Sharpe ratio
    ratios: Floats  # shape (trials,): yearly Sharpe ratios
    best: int  # row of the one that was chosen
    made: int  # trials ever made on these data
    elsewhere: float  # effective number of those that are not among these
    alike: int = 0  # further trials of the same kind, from among which these were drawn at random


@dataclass(frozen=True, slots=True, kw_only=True)
class Deflation:
    """The best Sharpe ratio of a sweep beside what the best of as many worthless trials shows.

    Sharpe ratios are yearly.
    """

    sharpe: float
    bars: int
    skew: float
    kurtosis: float
    trials: int  # ever made on these data
    judged: int  # of them, whose results are known here
    effective: float  # independent trials that these are worth
    spread: float  # standard deviation of the Sharpe ratios of worthless trials
    expected: (
        float  # Sharpe ratio that the best of `effective` worthless trials is expected to show
    )
    autocorrelation: float  # of neighbouring returns
    correlation: float  # average between the trials' returns in blocks; NaN for a single one
    deflated: float  # deflated Sharpe ratio, the form of 2014
    deflated_2026: float  # and that of 2026, which knows the autocorrelation
    haircut: float  # what Harvey and Liu leave of it on average; NaN where it is not above 0
    record_years: float  # minimum track record for a true ratio above 0 at 95 %, the form of 2026
    length_years: float  # minimum backtest length for as many effective trials
    # chance that it is worthless, were one trial in ten worth PLANTED and the others nothing
    false_discovery: float
    # how often the best of trials like these stands out as far where all are worthless; those made
    # elsewhere are counted
    chance: float
    above: float  # of the benchmark's Sharpe ratio; NaN where that has none
    # the same for what it has above the benchmark, of trials whose true ratio is the benchmark's;
    # NaN where no trial differs from the benchmark
    chance_above: float
    # and of the trial that stands furthest above, by Sharpe ratio or by growth, whichever it is
    family_above: float
    family_growth: float
    among: int  # trials that were judged: all, or those drawn from very many
    # those of them above the benchmark's ratio, one of them by luck in at most LEVEL of cases
    better: int
    better_growth: int


def deflate(returns: Floats, benchmark: Floats, family: Family) -> Deflation | None:
    """Deflate the best of many trials; None where bars, blocks or trials are too few to tell.

    What each figure is, docs/sweeps.md says. Where these were drawn from more, the effective number
    is taken to grow on as it does from a quarter of these to all of them, by the same power of
    their number.
    """
    tried, periods = family.tried, family.tried.periods_per_year
    every = tried.of(tried.parts.named("block"))[..., 0]
    blocks = every[:, np.maximum.accumulate((every != 0.0).any(axis=0))]  # before, none had begun
    ratio, bars = _per_bar(returns), len(returns)
    if bars < LEAST_BARS or blocks.shape[1] < _LEAST_BLOCKS or not math.isfinite(ratio):
        return None
    own = effective_trials(blocks)
    elsewhere = family.elsewhere + own * (_grown(blocks, own, len(blocks) + family.alike) - 1.0)
    effective = own + elsewhere
    across = float(np.var(family.ratios, ddof=1)) / periods if len(family.ratios) > 1 else 0.0
    variance = max(across, 1.0 / (bars - 1))
    skew = skewness(returns)
    shape = {"skew": skew, "kurtosis": max(kurtosis(returns), 1.0 + skew**2)}  # but for rounding
    yearly = math.sqrt(periods)
    carried = _neighbours(returns)
    new = {**shape, "autocorrelation": carried}
    together = _correlation(blocks)
    made = max(family.made, len(family.ratios))
    deflated = partial(
        deflated_sharpe_ratio,
        ratio,
        bars,
        variance=variance,
        n_trials=effective,
        skew=skew,
        kurtosis=shape["kurtosis"],
    )
    level = 1.0 - probabilistic_sharpe_ratio(ratio, bars, form="2026", **new)
    return Deflation(
        sharpe=ratio * yearly,
        bars=bars,
        trials=made,
        judged=len(family.ratios),
        among=len(family.ratios),
        effective=effective,
        spread=math.sqrt(variance) * yearly,
        expected=expected_maximum_sharpe(variance, effective) * yearly,
        deflated=deflated(),
        deflated_2026=deflated(form="2026", autocorrelation=carried),
        autocorrelation=carried,
        correlation=together,
        haircut=_haircut(ratio, bars, made, together, carried, periods),
        record_years=minimum_track_record(ratio, form="2026", **new) / periods,
        length_years=minimum_backtest_length(ratio * yearly, effective),
        false_discovery=_false_discovery(level, bars, periods, new),
        above=(ratio - _per_bar(benchmark)) * yearly,
        **_chances(family, blocks, 1.0 + elsewhere / own),
        **shape,
    )


def _grown(blocks: Floats, own: float, among: int) -> float:
    """Times as many effective trials in a family as in a part of it drawn at random."""
    if among == len(blocks):
        return 1.0
    power = math.log(own / effective_trials(blocks[::4])) / math.log(4.0)
    return float((among / len(blocks)) ** min(max(power, 0.0), 1.0))


class _Chances(TypedDict):
    chance: float
    chance_above: float
    family_above: float
    family_growth: float
    better: int
    better_growth: int


def _chances(family: Family, blocks: Floats, times: float) -> _Chances:
    """How often worthless trials, so many times as many as these, stand out as far."""
    draws = min(max(_MOST_DRAWN // len(blocks), _LEAST_DRAWS), _MOST_DRAWS)
    level = -math.expm1(math.log1p(-LEVEL) / times)
    worth, above, growth = (
        best_of_many(parts, level=level, draws=draws)
        for parts in (blocks, _above(family), _growth_above(family))
    )
    all_of = partial(_of_many, times=times)
    return {
        "chance": all_of(float(worth.p_values[family.best])),
        "chance_above": all_of(float(above.p_values[family.best])),
        "family_above": all_of(above.p_value),
        "family_growth": all_of(growth.p_value),
        "better": int(above.better.sum()),
        "better_growth": int(growth.better.sum()),
    }


def _of_many(p_value: float, times: float) -> float:
    return -math.expm1(times * math.log1p(-p_value)) if p_value < 1.0 else 1.0


def _shared(family: Family) -> tuple[Floats, Flags]:
    """Bars of each block, and which of them each trial and the benchmark were there for."""
    tried = family.tried
    spans = np.array([tried.parts.rows[name] for name in tried.parts.named("block")])
    there = spans[:, 0] >= np.maximum(tried.begins, tried.begins[family.best])[:, None]
    return np.asarray(np.diff(spans, axis=1)[:, 0], dtype=np.float64), there


def _above(family: Family) -> Floats:
    """What each block adds to a trial's Sharpe ratio above the benchmark's."""
    tried, (bars, there) = family.tried, _shared(family)
    names = tried.parts.named("block")
    own, held = tried.of(names), tried.held(names)
    found = np.zeros(there.shape)
    for span in np.unique(there, axis=0):
        if span.sum() < _LEAST_BLOCKS:
            continue
        rows = np.flatnonzero((there == span).all(axis=1))[:, None]
        made, beside = (
            sharpe_parts(one[:, span, 0], one[:, span, 1], bars[span])
            for one in (own[rows[:, 0]], held[None])
        )
        found[rows, np.flatnonzero(span)] = np.nan_to_num(made - beside)
    return _but_rounding(found)


def _growth_above(family: Family) -> Floats:
    """Log growth of each trial less the benchmark's, block by block; ruin is no trial."""
    tried, (_, there) = family.tried, _shared(family)
    names = tried.parts.named("block")
    found = np.where(there, tried.of(names)[..., 2] - tried.held(names)[:, 2], 0.0)
    return _but_rounding(np.where(np.isfinite(found).all(axis=1, keepdims=True), found, 0.0))


def _but_rounding(parts: Floats) -> Floats:
    return np.where(np.abs(parts) > _SAME, parts, 0.0)


def _neighbours(returns: Floats) -> float:
    """Autocorrelation of neighbouring returns; 0 where it cannot be told."""
    one, next_ = returns[:-1], returns[1:]
    if not (np.ptp(one) > 0.0 and np.ptp(next_) > 0.0):
        return 0.0
    return float(np.corrcoef(one, next_)[0, 1])


def _correlation(blocks: Floats) -> float:
    """Average correlation between trials; NaN where fewer than two vary."""
    centred = blocks - blocks.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1)
    unit = centred[length > 0.0] / length[length > 0.0, None]
    count = len(unit)
    if count < 2:
        return math.nan
    return float((np.square(unit.sum(axis=0)).sum() - count) / (count * (count - 1)))


def _haircut(
    ratio: float, bars: int, made: int, together: float, carried: float, periods: float
) -> float:
    """Yearly Sharpe ratio after the haircut; NaN where it is not above 0 or months are too few."""
    if ratio <= 0.0 or bars * 12.0 < 3.0 * periods:
        return math.nan
    table = haircut_sharpe(
        ratio * math.sqrt(periods),
        bars,
        periods_per_year=periods,
        n_tests=made,
        correlation=0.0 if math.isnan(together) else together,
        autocorrelation=carried,
        # The more tests there are, the less one draw of them differs from another.
        draws=min(max(_MOST_HAIRCUT // made, 100), 2_000),
    )
    return float(table["sharpe"]["average"])


def _false_discovery(level: float, bars: int, periods: float, shape: dict[str, float]) -> float:
    """Chance that a trial with this p-value is worthless; NaN where that rounds to 0 or 1."""
    if not 0.0 < level < 1.0:
        return math.nan
    power = sharpe_power(PLANTED / math.sqrt(periods), bars, level=level, **shape)
    return false_discovery_rate(level, power, PRIOR) if power > 0.0 else math.nan


def _per_bar(returns: Floats) -> float:
    spread = returns.std(ddof=1) if len(returns) > 1 else 0.0
    return float(returns.mean() / spread) if spread > 0.0 else math.nan
