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
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from delever.arguments import MOST_SEED, Floats, Rows, checked, whole_number
from delever.errors import InputError
from delever.stats.inference import block_length, finite_row
from delever.stats.performance import sharpe_ratio
from delever.stats.risk import NO_SPREAD

__all__ = [
    "Estimate",
    "growth",
    "growth_difference",
    "sharpe",
    "sharpe_difference",
]

LEAST_BARS = 30
"""Fewer bars give no interval: a block is then a good part of all there is."""
SHORTEST_BLOCK = 0.6
"""Blocks are no shorter than bars to this power: 27 of 250 bars, 166 of 5,000."""
# Influences are of the order 1; below this they are the rounding of none at all.
_NOTHING = 1e-10

_FEW = f"an interval needs at least {LEAST_BARS} bars"
_SAME = "the bars do not vary"
_RARE = "the bars that vary are too few to tell"
_RUINED = "a bar lost everything, so no growth rate describes the whole"


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
    return _difference_of_sharpes([finite_row(returns)], periods_per_year, confidence, draws, seed)


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
    pair = _paired(returns, benchmark)
    return _difference_of_sharpes(pair, periods_per_year, confidence, draws, seed)


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
    return _mean_growth([finite_row(returns)], periods_per_year, confidence, draws, seed)


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
    pair = _paired(returns, benchmark)
    return _mean_growth(pair, periods_per_year, confidence, draws, seed)


_Statistic: TypeAlias = Callable[[Floats], tuple[Floats, Floats]]
"""Of means, shape (..., k): the statistic, shape (...), and its slopes, shape (..., k)."""


def _difference_of_sharpes(
    rows: list[Floats], periods_per_year: float, confidence: float, draws: int, seed: int
) -> Estimate:
    """The Sharpe ratio of one row, or of the first less that of the second."""
    ratios = np.array([sharpe_ratio(row, 1.0) for row in rows])
    signs = np.array([1.0, -1.0])[: len(rows)]
    value = float(ratios @ signs)
    if math.isnan(value):
        few = len(rows[0]) < LEAST_BARS
        return Estimate(value=value, confidence=confidence, reason=_FEW if few else _SAME)
    # Scaled, so that the square of a mean does not drown in that of the spread.
    scaled = [(row - row.mean()) / row.std(ddof=1) for row in rows]
    columns = np.stack([column for z in scaled for column in (z, z**2)], axis=1)

    def statistic(means: Floats) -> tuple[Floats, Floats]:
        first, second = means[..., 0::2], means[..., 1::2]
        spread = np.sqrt(np.maximum(second - first**2, _NOTHING))
        above = ratios + first
        slopes = np.empty(means.shape)
        slopes[..., 0::2] = signs * (1.0 / spread + above * first / spread**3)
        slopes[..., 1::2] = signs * -above / (2.0 * spread**3)
        return (above / spread) @ signs, slopes

    found = _studentised(columns, statistic, value, confidence, draws, seed)
    return _times(found, math.sqrt(periods_per_year))


def _mean_growth(
    rows: list[Floats], periods_per_year: float, confidence: float, draws: int, seed: int
) -> Estimate:
    """The mean log growth of one row, or of the first less that of the second."""
    if any((row <= -1.0).any() for row in rows):
        return Estimate(value=math.nan, confidence=confidence, reason=_RUINED)
    logs = np.log1p(rows[0])
    if len(rows) == 2:
        logs = logs - np.log1p(rows[1])
    if not len(logs):
        return Estimate(value=math.nan, confidence=confidence, reason=_FEW)
    spread, mean = float(logs.std()), float(logs.mean())
    if np.ptp(logs) <= NO_SPREAD:
        reason = _FEW if len(logs) < LEAST_BARS else _SAME
        return Estimate(value=mean * periods_per_year, confidence=confidence, reason=reason)

    def statistic(means: Floats) -> tuple[Floats, Floats]:
        return means[..., 0], np.ones(means.shape)

    scaled = (logs / spread)[:, None]
    found = _studentised(scaled, statistic, mean / spread, confidence, draws, seed)
    return _times(found, spread * periods_per_year)


def _studentised(
    columns: Floats,
    statistic: _Statistic,
    value: float,
    confidence: float,
    draws: int,
    seed: int,
) -> Estimate:
    """Interval and test of a statistic of the means of columns, one row per bar."""
    whole_number("draws", draws, 100, 100_000)
    whole_number("seed", seed, 0, MOST_SEED)
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must lie between 0 and 1; got {confidence:g}")
    bars = len(columns)
    nothing = Estimate(value=value, confidence=confidence)
    if bars < LEAST_BARS:
        return replace(nothing, reason=_FEW)
    centre = columns.mean(axis=0)
    here, slopes = statistic(centre)
    influence = (columns - centre) @ slopes
    if influence.std() < _NOTHING:
        return replace(nothing, reason=_SAME)
    block = max(block_length(influence), bars**SHORTEST_BLOCK)
    error = long_run_error(influence, block)
    starts, lengths = draw_blocks(bars, block, draws, seed)
    sums = block_sums(columns - centre, starts, lengths)
    means = sums.sum(axis=1) / bars
    there, slopes = statistic(means + centre)
    # The total of the influences of each block: blocks are independent, so their squares add up.
    blocks = np.einsum("dbk,dk->db", sums, slopes)
    blocks -= lengths * np.einsum("dk,dk->d", means, slopes)[:, None]
    errors = np.sqrt(np.einsum("db,db->d", blocks, blocks)) / bars
    with np.errstate(divide="ignore", invalid="ignore"):
        # A resample in which nothing varies says nothing: counted against the statistic.
        apart = np.where(errors > _NOTHING, np.abs(there - here) / errors, np.inf)
    rank = min(draws, math.ceil((draws + 1) * confidence)) - 1
    reach = float(np.partition(apart, rank)[rank]) * error
    if math.isinf(reach):
        return replace(nothing, reason=_RARE)
    return Estimate(
        value=value,
        low=value - reach,
        high=value + reach,
        confidence=confidence,
        standard_error=error,
        p_value=float(1 + (apart >= abs(value) / error).sum()) / (draws + 1),
        block=block,
    )


def long_run_error(influence: Floats, block: float) -> float:
    """Standard error of a mean of dependent values, with weights that fall with the block.

    The one that the stationary bootstrap has for infinitely many draws, Politis and Romano (1994),
    lemma 1.
    """
    bars = len(influence)
    spectrum = np.fft.rfft(influence - influence.mean(), 2 * bars)
    products = np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[:bars] / bars
    lag = np.arange(1, bars)
    kept = 1.0 - 1.0 / block
    weight = (1.0 - lag / bars) * kept**lag + lag / bars * kept ** (bars - lag)
    variance = products[0] + 2.0 * float(weight @ products[1:])
    return math.sqrt(max(variance, 0.0) / bars)


def draw_blocks(bars: int, block: float, draws: int, seed: int) -> tuple[Rows, Rows]:
    """First bar and length of every block of every resample, shape (draws, blocks).

    Blocks of random length, mean `block`, until there are as many bars as in the sample; the last
    is cut, and what stands behind it has length 0.
    """
    rng = np.random.default_rng(seed)
    expected = bars / block
    # Six deviations more than expected: a last block made longer instead is one in a billion.
    blocks = math.ceil(expected + 6.0 * math.sqrt(expected) + 6.0)
    if block <= 1.0:
        lengths = np.ones((draws, bars), dtype=np.intp)
    else:
        rate = -1.0 / math.log1p(-1.0 / block)
        lengths = (rng.standard_exponential((draws, blocks), dtype=np.float32) * rate).astype(
            np.intp
        ) + 1
    ends = np.minimum(np.cumsum(lengths, axis=1), bars)
    ends[:, -1] = bars
    starts = rng.integers(0, bars, ends.shape)
    return starts, np.diff(ends, axis=1, prepend=0)


def block_sums(columns: Floats, starts: Rows, lengths: Rows) -> Floats:
    """Sums over each block, shape (draws, blocks, columns); the bars stand in a circle."""
    circle = np.concatenate([np.zeros((1, columns.shape[1])), columns, columns])
    total = np.cumsum(circle, axis=0)
    return np.asarray(total[starts + lengths] - total[starts])


def _paired(returns: ArrayLike, benchmark: ArrayLike) -> list[Floats]:
    pair = [finite_row(returns), finite_row(benchmark)]
    if len(pair[0]) != len(pair[1]):
        raise InputError(
            "returns and benchmark must be of the same bars; "
            f"got {len(pair[0]):,} and {len(pair[1]):,}"
        )
    return pair


def _times(found: Estimate, factor: float) -> Estimate:
    """In other units, `factor` > 0 of them to one of these."""
    moved = ("value", "low", "high", "standard_error")
    return replace(found, **{name: getattr(found, name) * factor for name in moved})
