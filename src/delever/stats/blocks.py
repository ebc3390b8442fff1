"""Blocks of bars drawn anew, and what statistics of the drawn bars are.

A statistic is a smooth function of the means of a few columns, so a resample needs no bars, only
the sums of its blocks, which are differences of running sums: memory goes with blocks, not bars.

References
----------
Politis and White (2004), Automatic block-length selection for the dependent bootstrap,
doi:10.1081/ETC-120028836, with the correction of Patton, Politis and White (2009),
doi:10.1080/07474930802459016.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from delever.arguments import Floats, Rows, checked, one_of
from delever.errors import InputError
from delever.stats.inference import finite_row
from delever.stats.performance import sharpe_ratio
from delever.stats.risk import NO_SPREAD

LEAST_BARS = 30
"""Fewer bars give no interval: a block is then a good part of all there is."""
SHORTEST_BLOCK = 0.6
"""Blocks are no shorter than bars to this power: 27 of 250 bars, 166 of 5,000."""
_LEAST_VARIANCE = 1e-10
# What the bootstrap's own variance adds to the error of a block length, by scheme.
_BLOCK_VARIANCE = {"stationary": 2.0, "circular": 4.0 / 3.0}

FEW = f"an interval needs at least {LEAST_BARS} bars"
SAME = "the bars do not vary"
RUINED = "a bar lost everything, so no growth rate describes the whole"


@dataclass(frozen=True, slots=True)
class Influence:
    """How the weight of each bar moves a statistic, and how neighbouring ones go together."""

    values: Floats  # shape (n,)
    waves: npt.NDArray[np.complex128]  # Fourier transform of their distances from the mean

    @classmethod
    def of(cls, values: Floats) -> Influence:
        """Of a row of bars."""
        # Twice the bars, so that none meets itself going round; powers of two are quickest.
        size = 1 << max(2 * len(values) - 1, 1).bit_length()
        return cls(values, np.fft.rfft(values - values.mean() if len(values) else [0.0], size))

    def __sub__(self, other: Influence) -> Influence:
        return Influence(self.values - other.values, self.waves - other.waves)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def power(self) -> Floats:
        """Squares of the waves."""
        found: Floats = self.waves.real**2 + self.waves.imag**2
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Smooth:
    """A statistic of a row of bars; `reason` says why there is no more of it than its value."""

    value: float  # of a bar, not of a year
    columns: Floats  # shape (n, k), each of mean zero
    # of the means of columns, shape (..., k): the statistic, shape (...), and its slopes (..., k)
    function: Callable[[Floats], tuple[Floats, Floats]]
    influence: Influence
    spread: float  # standard deviation of the influences
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """First bar and length of every block of every resample, shape (draws, blocks)."""

    starts: Rows
    lengths: Rows

    def sums(self, columns: Floats) -> Floats:
        """Sums over each block, shape (draws, blocks, columns); the bars stand in a circle."""
        circle = np.concatenate([np.zeros((1, columns.shape[1])), columns, columns])
        total = np.cumsum(circle, axis=0)
        return np.asarray(total[self.starts + self.lengths] - total[self.starts])


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """A statistic of every resample, and the parts its standard error is made of."""

    moved: Floats  # shape (draws,): the statistic less that of the sample
    totals: Floats  # shape (draws, blocks): sum of the influences of each block

    def __sub__(self, other: Resampled) -> Resampled:
        return Resampled(moved=self.moved - other.moved, totals=self.totals - other.totals)

    def apart(self, bars: int, least: float) -> Floats:
        """How far each resample lies from the sample, in its own standard errors, >= 0.

        Infinite where the standard error is below `least`: a resample in which nothing varies says
        nothing, and is counted against the statistic.
        """
        # Blocks are drawn independently of each other, so the squares of their totals add up.
        errors = np.sqrt(np.einsum("db,db->d", self.totals, self.totals)) / bars
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(errors > least, np.abs(self.moved) / errors, np.inf)


def sharpe_of(returns: Floats) -> Smooth:
    """The Sharpe ratio of a bar, as a function of the means of z and z ** 2, z a scaled return."""
    ratio = sharpe_ratio(returns, 1.0)
    if math.isnan(ratio):
        return _nothing(returns, math.nan, FEW if len(returns) < LEAST_BARS else SAME)
    # Scaled, so that the square of the mean does not drown in that of the spread.
    z = (returns - returns.mean()) / returns.std(ddof=1)
    square = float(np.mean(z**2))

    def function(means: Floats) -> tuple[Floats, Floats]:
        first, second = means[..., 0], means[..., 1] + square
        spread = np.sqrt(np.maximum(second - first**2, _LEAST_VARIANCE))
        above = ratio + first
        slopes = (1.0 / spread + above * first / spread**3, -above / (2.0 * spread**3))
        return above / spread, np.stack(slopes, axis=-1)

    return _smooth(ratio, np.stack([z, z**2 - square], axis=1), function)


def growth_of(returns: Floats) -> Smooth:
    """The mean log growth of a bar."""
    if (returns <= -1.0).any():
        return _nothing(returns, math.nan, RUINED)
    logs = np.log1p(returns)
    if not logs.size:
        return _nothing(returns, math.nan, FEW)
    mean = float(logs.mean())

    def function(means: Floats) -> tuple[Floats, Floats]:
        return means[..., 0] + mean, np.ones(means.shape)

    centred = np.zeros(logs.shape) if np.ptp(logs) <= NO_SPREAD else logs - mean
    return _smooth(mean, centred[:, None], function)


def _smooth(
    value: float, columns: Floats, function: Callable[[Floats], tuple[Floats, Floats]]
) -> Smooth:
    _, slopes = function(np.zeros(columns.shape[1]))
    influence = columns @ slopes
    return Smooth(
        value=value,
        columns=columns,
        function=function,
        influence=Influence.of(influence),
        spread=float(influence.std()) if influence.size else 0.0,
        reason=FEW if len(columns) < LEAST_BARS else "",
    )


def _nothing(returns: Floats, value: float, reason: str) -> Smooth:
    none = np.zeros(returns.shape)
    return Smooth(
        value=value,
        columns=none[:, None],
        function=lambda means: (means[..., 0], np.ones(means.shape)),
        influence=Influence.of(none),
        spread=0.0,
        reason=reason,
    )


def resample(statistic: Smooth, blocks: Blocks) -> Resampled:
    """A statistic of every resample."""
    bars = len(statistic.columns)
    sums = blocks.sums(statistic.columns)
    means = sums.sum(axis=1) / bars
    here, _ = statistic.function(np.zeros(means.shape[1]))
    there, slopes = statistic.function(means)
    totals = np.einsum("dbk,dk->db", sums, slopes)
    totals -= blocks.lengths * np.einsum("dk,dk->d", means, slopes)[:, None]
    return Resampled(moved=there - here, totals=totals)


def chosen_length(influence: Influence) -> float:
    """Mean length of the blocks: Politis and White's, and at least bars ** 0.6.

    Returns of crypto that show no correlation from day to day still drift together over months;
    with the shorter blocks that their correlations ask for, intervals miss too often.
    """
    bars = len(influence)
    shortest = float(bars**SHORTEST_BLOCK)
    if shortest >= _longest(bars) and np.ptp(influence.values) > 0.0:  # whatever they show
        return shortest
    return max(_length(influence, "stationary"), shortest)


def long_run_error(influence: Influence, block: float) -> float:
    """Standard error of a mean of dependent values, with weights that fall with the block.

    The one that the stationary bootstrap has for infinitely many draws, Politis and Romano (1994),
    lemma 1.
    """
    bars = len(influence)
    variance = float(influence.power @ _weights(bars, block))
    return math.sqrt(max(variance, 0.0) / bars)


@lru_cache(maxsize=2)
def _weights(bars: int, block: float) -> Floats:
    """What each wave counts for, which is what products at each lag do; not to be written to."""
    lag = np.arange(1, bars)
    kept = 1.0 - 1.0 / block
    falling = (1.0 - lag / bars) * kept**lag + lag / bars * kept ** (bars - lag)
    size = 1 << max(2 * bars - 1, 1).bit_length()
    both = np.zeros(size)
    both[0], both[1:bars], both[size - bars + 1 :] = 1.0, falling, falling[::-1]
    weights: Floats = np.fft.rfft(both).real / (size * bars)
    weights[1:-1] *= 2.0  # those of the other direction
    return weights


def draw_blocks(bars: int, block: float, draws: int, seed: int) -> Blocks:
    """Blocks of random length, mean `block` > 1, until there are as many bars as in the sample.

    The last is cut, and what stands behind it has length 0.
    """
    rng = np.random.default_rng(seed)
    expected = bars / block
    # Six deviations more than expected: a last block made longer instead is one in a billion.
    blocks = math.ceil(expected + 6.0 * math.sqrt(expected) + 6.0)
    rate = -1.0 / math.log1p(-1.0 / block)
    drawn = rng.standard_exponential((draws, blocks), dtype=np.float32) * rate
    ends = np.minimum(np.cumsum(drawn.astype(np.intp) + 1, axis=1), bars)
    ends[:, -1] = bars
    starts = rng.integers(0, bars, ends.shape)
    return Blocks(starts=starts, lengths=np.diff(ends, axis=1, prepend=0))


@checked
def block_length(
    values: ArrayLike, scheme: Literal["stationary", "circular"] = "stationary"
) -> float:
    """Block length of a bootstrap that keeps the dependence between neighbouring values, >= 1.

    Politis and White (2004), as corrected in 2009.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        In order of time, finite, not constant; n >= 10.
    scheme : {"stationary", "circular"}
        Mean of random lengths, or a fixed length.

    Raises
    ------
    InputError
        If the values are others, or there is no such scheme.

    Examples
    --------
    >>> block_length(np.sin(np.arange(200) / 5))  # a wave of 31 values
    43.0
    """
    one_of("scheme", scheme, _BLOCK_VARIANCE)
    return _length(Influence.of(finite_row(values, least=10)), scheme)


def _length(influence: Influence, scheme: str) -> float:
    data, bars = influence.values, len(influence)
    if np.ptp(data) == 0:
        raise InputError("values must differ for their dependence to be measured; all are equal")
    # Lags are looked at until a few in a row show no correlation.
    quiet = max(5, int(math.log10(bars)))
    lags = np.arange(math.ceil(math.sqrt(bars)) + quiet + 1)
    products = np.fft.irfft(influence.power)[: len(lags)]
    energy = np.cumsum((data - data.mean()) ** 2)
    # Correlations of the bars that two shifted copies share, short of the first and the last.
    norms = np.sqrt((energy[-1] - energy[lags]) * energy[bars - 2 - lags])
    with np.errstate(invalid="ignore", divide="ignore"):
        small = np.abs(products) / norms < 2.0 * math.sqrt(math.log10(bars) / bars)
    runs = np.lib.stride_tricks.sliding_window_view(small[:-1], quiet).all(axis=1)
    last = int(lags[-1])
    window = min(2 * max(int(runs.argmax()), 1), last) if runs.any() else last
    lag = lags[1 : window + 1]
    taper = np.minimum(1.0, 2.0 * (1.0 - lag / window)) * products[1 : window + 1] / bars
    bend = 2.0 * float(lag @ taper)
    level = products[0] / bars + 2.0 * float(taper.sum())
    variance = _BLOCK_VARIANCE[scheme] * level**2
    length = (2.0 * bend**2 / variance * bars) ** (1 / 3) if variance > 0 else 1.0
    return float(max(1.0, min(length, _longest(bars))))


def _longest(bars: int) -> int:
    """The longest that a block may be."""
    return math.ceil(min(3 * math.sqrt(bars), bars / 3))
