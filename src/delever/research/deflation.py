"""What is left of the best Sharpe ratio of a sweep once the choice is counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np

from delever.arguments import Floats
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
from delever.stats.selection import chance_of_best, effective_trials

PLANTED, PRIOR = 1.0, 0.1
"""Yearly Sharpe ratio of the trials that are worth something, and their share, of that chance."""
LEAST_BARS = 30
"""Fewer returns do not tell their skew and kurtosis."""
_LEAST_BLOCKS = 4
_SAME = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Trials of which one was chosen."""

    ratios: Floats  # shape (trials,): yearly Sharpe ratios; NaN for a trial without
    volatility: Floats  # shape (trials,): yearly
    blocks: Floats  # shape (trials, blocks): sums of returns in stretches of time
    benchmark: Floats  # shape (blocks,): those of the benchmark
    # ever made on these data; those whose results are not here count as independent of all others
    made: int
    periods_per_year: float


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
    chance: float  # probability that the best of as many worthless trials shows `sharpe` or more
    # the same for what it has above the benchmark, of trials whose true ratio is the benchmark's;
    # NaN where no trial differs from the benchmark
    above: float
    effective_above: float
    chance_above: float


def deflate(returns: Floats, benchmark: Floats, family: Family) -> Deflation | None:
    """Deflate the best of many trials; None where bars, blocks or trials are too few to tell.

    Parameters
    ----------
    returns, benchmark : array of float, shape (n,)
        Of each bar, of the trial that was chosen and of the benchmark.
    family : Family
        The trials.

    Notes
    -----
    Correlated trials show less spread than as many independent ones, and the effective number of
    trials allows for that already. So the spread is never taken to be below the standard error of a
    single worthless trial's Sharpe ratio, ``1 / sqrt(bars - 1)`` per bar.

    Above the benchmark, trials are correlated as ``r / std(r) - b / std(b)`` is, and the standard
    error of a difference of Sharpe ratios S and B with correlation c of the returns is
    ``sqrt((2 - 2 c + (S ** 2 + B ** 2 - 2 S B c ** 2) / 2) / bars)``: Jobson and Korkie (1981),
    doi:10.1111/j.1540-6261.1981.tb04891.x, as corrected by Memmel (2003), Finance Letters 1, 21-23.
    """
    known = ~np.isnan(family.ratios)
    held = (family.blocks[known] != 0.0).any(axis=0)
    begun = np.maximum.accumulate(held)  # before, no trial had
    ratio, bars = _per_bar(returns), len(returns)
    if bars < LEAST_BARS or begun.sum() < _LEAST_BLOCKS or not math.isfinite(ratio):
        return None
    blocks, own = family.blocks[known][:, begun], family.ratios[known]
    elsewhere = max(family.made - len(family.ratios), 0)
    effective = effective_trials(blocks) + elsewhere
    across = float(np.var(own, ddof=1)) / family.periods_per_year if len(own) > 1 else 0.0
    variance = max(across, 1.0 / (bars - 1))
    skew = skewness(returns)
    shape = {"skew": skew, "kurtosis": max(kurtosis(returns), 1.0 + skew**2)}  # but for rounding
    yearly = math.sqrt(family.periods_per_year)
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
    above, chance, worth = math.nan, math.nan, math.nan
    passive = _per_bar(benchmark)
    if math.isfinite(passive):
        scaled = blocks / family.volatility[known, None]
        scaled -= family.benchmark[begun] / (benchmark.std(ddof=1) * yearly)
        worth = effective_trials(np.where(np.abs(scaled) > _SAME, scaled, 0.0)) + elsewhere
        above = (ratio - passive) * yearly
        chance = _chance_above(returns, benchmark, worth)
    return Deflation(
        sharpe=ratio * yearly,
        bars=bars,
        trials=made,
        effective=effective,
        spread=math.sqrt(variance) * yearly,
        expected=expected_maximum_sharpe(variance, effective) * yearly,
        deflated=deflated(),
        deflated_2026=deflated(form="2026", autocorrelation=carried),
        autocorrelation=carried,
        correlation=together,
        haircut=_haircut(ratio, bars, made, together, carried, family.periods_per_year),
        record_years=minimum_track_record(ratio, form="2026", **new) / family.periods_per_year,
        length_years=minimum_backtest_length(ratio * yearly, effective),
        false_discovery=_false_discovery(level, bars, family.periods_per_year, new),
        chance=chance_of_best(ratio, bars, n_trials=effective, **shape),
        above=above,
        effective_above=worth,
        chance_above=chance,
        **shape,
    )


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


def _chance_above(returns: Floats, benchmark: Floats, trials: float) -> float:
    """Probability that the best of trials no better than the benchmark is as far above it."""
    one, other = _per_bar(returns), _per_bar(benchmark)
    together = float(np.corrcoef(returns, benchmark)[0, 1])
    variance = 2.0 - 2.0 * together + (one**2 + other**2 - 2.0 * one * other * together**2) / 2.0
    if math.isnan(trials) or variance < _SAME:
        return math.nan
    below = NormalDist().cdf((one - other) * math.sqrt(len(returns) / variance))
    return float(1.0 - below**trials)
