"""What is left of the best Sharpe ratio of a sweep once the choice is counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from delever.arguments import Floats
from delever.stats.inference import deflated_sharpe_ratio, expected_maximum_sharpe
from delever.stats.risk import kurtosis, skewness
from delever.stats.selection import chance_of_best, effective_trials

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
    deflated: float  # deflated Sharpe ratio, the form of 2014
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
        trials=max(family.made, len(family.ratios)),
        effective=effective,
        spread=math.sqrt(variance) * yearly,
        expected=expected_maximum_sharpe(variance, effective) * yearly,
        deflated=deflated_sharpe_ratio(ratio, bars, variance=variance, n_trials=effective, **shape),
        chance=chance_of_best(ratio, bars, n_trials=effective, **shape),
        above=above,
        effective_above=worth,
        chance_above=chance,
        **shape,
    )


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
