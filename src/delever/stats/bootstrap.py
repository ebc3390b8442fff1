"""Intervals and tests for what a run's bars add up to: a Sharpe ratio, a growth rate, a difference.

Bars next to each other depend on each other, so whole blocks of them are drawn anew, in the
stationary bootstrap of Politis and Romano. Every statistic is studentised: what is drawn is how far
a resample lies from the sample *in its own standard errors*, which keeps an interval's promise with
fewer bars than reading the quantiles of the statistic itself would.

References
----------
Politis and Romano (1994), The stationary bootstrap, doi:10.1080/01621459.1994.10476870.

Goetze and Kuensch (1996), Second-order correctness of the blockwise bootstrap for stationary
observations, doi:10.1214/aos/1069362303.

Ledoit and Wolf (2008), Robust performance hypothesis testing with the Sharpe ratio,
doi:10.1016/j.jempfin.2008.03.002.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from delever.arguments import MOST_SEED, Floats, checked, whole_number
from delever.errors import InputError
from delever.stats.blocks import (
    SAME,
    Influence,
    Resampled,
    Smooth,
    chosen_length,
    draw_blocks,
    growth_of,
    long_run_error,
    resample,
    sharpe_of,
)
from delever.stats.inference import finite_row

# As a share of what varies, what is below this is the rounding of none at all.
_ROUNDING = 1e-10
_RARE = "the bars that vary are too few to tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic with its uncertainty; what cannot be said is NaN, and `reason` says why.

    Attributes
    ----------
    value : float
        The statistic of the sample.
    low, high : float
        Ends of its interval, `value` in the middle.
    confidence : float
        Of the interval, in (0, 1).
    standard_error : float
        > 0, of `value`.
    p_value : float
        Two-sided, of the hypothesis that the true value is zero.
    block : float
        Mean length of the blocks drawn, in bars.
    reason : str
        Why there is no interval; empty where there is one.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    confidence: float
    standard_error: float = math.nan
    p_value: float = math.nan
    block: float = math.nan
    reason: str = ""


@checked
def sharpe(
    returns: ArrayLike,
    periods_per_year: float,
    *,
    confidence: float = 0.9,
    draws: int = 1_000,
    seed: int = 0,
) -> Estimate:
    """Sharpe ratio per year, as `delever.stats.performance.sharpe_ratio`, with its interval.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
        Simple returns of bars in order of time, fractions.
    periods_per_year : float
        Bars in a year.
    confidence : float
        Of the interval, in (0, 1).
    draws : int
        Resamples, from 100 to 100,000.
    seed : int
        Of the resamples.

    Returns
    -------
    Estimate
        Without an interval, and with the reason, where there are fewer than 30 bars or the returns
        do not vary.

    Raises
    ------
    InputError
        If a return is not finite or a parameter lies outside its range.

    Notes
    -----
    With ``T = (value - truth) / standard_error``, the interval is ``value -+ q standard_error``, q
    the `confidence` quantile of ``abs(T)`` over the resamples. The standard error of the sample is
    the one that the stationary bootstrap has for infinitely many draws; that of a resample comes
    from the sums of its blocks, which are independent. Both are of the statistic's influence
    values: its derivatives to the weights of the bars. Blocks have Politis and White's length for
    those values, and no less than ``n ** 0.6``: returns of crypto that show no correlation from day
    to day still drift together over months, and intervals from short blocks miss too often.

    Examples
    --------
    >>> made = np.random.default_rng(1).normal(0.001, 0.02, 500)
    >>> found = sharpe(made, 365)
    >>> found.low < found.value < found.high
    True
    """
    parts = [sharpe_of(finite_row(returns))]
    return estimate(parts, math.sqrt(periods_per_year), confidence, draws, seed)


@checked
def sharpe_difference(
    returns: ArrayLike,
    benchmark: ArrayLike,
    periods_per_year: float,
    *,
    confidence: float = 0.9,
    draws: int = 1_000,
    seed: int = 0,
) -> Estimate:
    """Sharpe ratio per year less another's on the same bars, after Ledoit and Wolf (2008).

    Parameters
    ----------
    returns, benchmark : array_like of float, shape (n,)
        Simple returns of the same bars in order of time, fractions.
    periods_per_year, confidence, draws, seed
        As in `sharpe`.

    Returns
    -------
    Estimate
        Without an interval, and with the reason, as in `sharpe`, and where the two are the same but
        for a factor.

    Raises
    ------
    InputError
        As in `sharpe`, or if the lengths differ.

    Notes
    -----
    As `sharpe`; the bars of both are drawn together. Ledoit and Wolf take circular blocks and a
    kernel for the standard error; here both are those of the stationary bootstrap.

    Examples
    --------
    >>> market = np.random.default_rng(1).normal(0.001, 0.02, 500)
    >>> half = 0.5 * market
    >>> half[:100] = 0.0
    >>> 0 < sharpe_difference(half, market, 365).p_value <= 1
    True
    """
    parts = [sharpe_of(row) for row in _paired(returns, benchmark)]
    return estimate(parts, math.sqrt(periods_per_year), confidence, draws, seed)


@checked
def growth(
    returns: ArrayLike,
    periods_per_year: float,
    *,
    confidence: float = 0.9,
    draws: int = 1_000,
    seed: int = 0,
) -> Estimate:
    """Mean log growth per year, ``mean(log(1 + r)) periods_per_year``, with its interval.

    Parameters
    ----------
    returns, periods_per_year, confidence, draws, seed
        As in `sharpe`.

    Returns
    -------
    Estimate
        Without an interval, and with the reason, as in `sharpe`; without a value, too, where a
        return is -1 or below.

    Raises
    ------
    InputError
        As in `sharpe`.

    Examples
    --------
    >>> round(growth([0.1] * 40, 10).value, 4)
    0.9531
    >>> growth([0.1] * 40, 10).reason
    'the bars do not vary'
    """
    parts = [growth_of(finite_row(returns))]
    return estimate(parts, periods_per_year, confidence, draws, seed)


@checked
def growth_difference(
    returns: ArrayLike,
    benchmark: ArrayLike,
    periods_per_year: float,
    *,
    confidence: float = 0.9,
    draws: int = 1_000,
    seed: int = 0,
) -> Estimate:
    """Mean log growth per year less another's on the same bars.

    Parameters
    ----------
    returns, benchmark, periods_per_year, confidence, draws, seed
        As in `sharpe_difference`; of a part of a run, its bars joined in order.

    Returns
    -------
    Estimate
        As of `growth`, of ``mean(log(1 + r) - log(1 + b)) periods_per_year``.

    Raises
    ------
    InputError
        As in `sharpe_difference`.

    Examples
    --------
    >>> market = np.random.default_rng(1).normal(0.001, 0.02, 500)
    >>> growth_difference(market, market, 365).reason
    'the bars do not vary'
    """
    parts = [growth_of(row) for row in _paired(returns, benchmark)]
    return estimate(parts, periods_per_year, confidence, draws, seed)


def estimate(
    parts: Sequence[Smooth], scale: float, confidence: float, draws: int, seed: int
) -> Estimate:
    """The first of one or two statistics of the same bars, less the second, times a scale.

    Raises InputError if a parameter lies outside its range.
    """
    check_draws(confidence, draws, seed)
    reason = unsaid(parts)
    if reason:
        return Estimate(value=_value(parts) * scale, confidence=confidence, reason=reason)
    influence = _influence(parts)
    block = chosen_length(influence)
    blocks = draw_blocks(len(influence), block, draws, seed)
    found = [resample(part, blocks) for part in parts]
    return studentised(parts, found, block, scale, confidence)[0]


def studentised(
    parts: Sequence[Smooth],
    resamples: Sequence[Resampled],
    block: float,
    scale: float,
    confidence: float,
) -> tuple[Estimate, Floats]:
    """Interval and test of one statistic or the difference of two, and the distances drawn.

    Those are the distances of the resamples from the sample, in standard errors.
    """
    value = _value(parts)
    influence, least = _influence(parts), _least(parts)
    drawn = resamples[0] if len(parts) == 1 else resamples[0] - resamples[1]
    error, bars = long_run_error(influence, block), len(influence)
    apart = drawn.apart(bars, least / math.sqrt(bars))
    rank = min(len(apart), math.ceil((len(apart) + 1) * confidence)) - 1
    reach = float(np.partition(apart, rank)[rank]) * error
    if not math.isfinite(reach) or error == 0.0:
        nothing = Estimate(value=value * scale, confidence=confidence, reason=_RARE)
        return nothing, np.full(apart.shape, np.inf)
    made = Estimate(
        value=value * scale,
        low=(value - reach) * scale,
        high=(value + reach) * scale,
        confidence=confidence,
        standard_error=error * scale,
        p_value=float(1 + (apart >= abs(value) / error).sum()) / (len(apart) + 1),
        block=block,
    )
    return made, apart


def unsaid(parts: Sequence[Smooth]) -> str:
    """Why one statistic or the difference of two has no interval; empty where it has one."""
    reason = next((part.reason for part in parts if part.reason), "")
    if reason:
        return reason
    own = [part.influence.values for part in parts]
    apart = own[0] if len(own) == 1 else own[0] - own[1]
    return "" if apart.std() > _least(parts) else SAME


def check_draws(confidence: float, draws: int, seed: int) -> None:
    """Raise InputError if a parameter lies outside its range."""
    whole_number("draws", draws, 100, 100_000)
    whole_number("seed", seed, 0, MOST_SEED)
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must lie between 0 and 1; got {confidence:g}")


def _influence(parts: Sequence[Smooth]) -> Influence:
    own = [part.influence for part in parts]
    return own[0] if len(own) == 1 else own[0] - own[1]


def _value(parts: Sequence[Smooth]) -> float:
    return parts[0].value - (parts[1].value if len(parts) == 2 else 0.0)


def _least(parts: Sequence[Smooth]) -> float:
    """Below this a deviation of influences is the rounding of none at all."""
    return _ROUNDING * max(part.spread for part in parts)


def _paired(returns: ArrayLike, benchmark: ArrayLike) -> list[Floats]:
    pair = [finite_row(returns), finite_row(benchmark)]
    if len(pair[0]) != len(pair[1]):
        raise InputError(
            "returns and benchmark must be of the same bars; "
            f"got {len(pair[0]):,} and {len(pair[1]):,}"
        )
    return pair
