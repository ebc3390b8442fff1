"""How sure a statistic is: Sharpe ratios under many trials, and means of dependent values.

Sharpe ratios are per bar, not per year. The one module that knows the ``arch`` library.

References
----------
Lo (2002), The statistics of Sharpe ratios, doi:10.2469/faj.v58.n4.2453.

Bailey and Lopez de Prado (2012), The Sharpe ratio efficient frontier, doi:10.21314/JOR.2012.255;
(2014), The deflated Sharpe ratio, doi:10.3905/jpm.2014.40.5.094.

Politis and Romano (1994), The stationary bootstrap, doi:10.1080/01621459.1994.10476870.

Politis and White (2004), Automatic block-length selection for the dependent bootstrap,
doi:10.1081/ETC-120028836, with the correction of Patton, Politis and White (2009),
doi:10.1080/07474930802459016.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from delever.arguments import checked
from delever.errors import InputError
from delever.stats.returns import as_array

__all__ = [
    "block_length",
    "deflated_sharpe_ratio",
    "expected_maximum_sharpe",
    "minimum_track_record",
    "probabilistic_sharpe_ratio",
    "sharpe_standard_error",
    "stationary_bootstrap",
]

_NORMAL = NormalDist()
_EULER_MASCHERONI = 0.5772156649015329


@checked
def sharpe_standard_error(sharpe: float, bars: int) -> float:
    """Standard error of a Sharpe ratio: ``sqrt((1 + sharpe ** 2 / 2) / bars)``, Lo (2002).

    For returns that are normal and do not depend on each other.

    Parameters
    ----------
    sharpe, bars
        As in `probabilistic_sharpe_ratio`, but one return is enough.

    Raises
    ------
    InputError
        If `bars` is below 1.

    Examples
    --------
    >>> round(sharpe_standard_error(0.5, 60), 5)
    0.13693
    """
    if bars < 1:
        raise InputError(f"bars must be at least 1; got {bars}")
    return math.sqrt((1.0 + sharpe**2 / 2.0) / bars)


@checked
def probabilistic_sharpe_ratio(
    sharpe: float, bars: int, *, threshold: float = 0.0, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Probability that the true Sharpe ratio exceeds a threshold.

    ``Phi((S - S*) sqrt(bars - 1) / sqrt(1 - skew S + (kurtosis - 1) / 4 S ** 2))``, Bailey and
    Lopez de Prado (2012).

    Parameters
    ----------
    sharpe, threshold : float
    bars : int
        Number of returns, >= 2.
    skew, kurtosis : float
        Third and fourth standardised moment of the returns; a normal distribution has 0 and 3.

    Raises
    ------
    InputError
        If `bars` is below 2, or no distribution has these moments with this Sharpe ratio.

    Examples
    --------
    >>> round(probabilistic_sharpe_ratio(0.458, 24, skew=-2.448, kurtosis=10.164), 5)
    0.91336
    """
    if bars < 2:
        raise InputError(f"bars must be at least 2; got {bars}")
    spread = math.sqrt(_sharpe_variance(sharpe, skew, kurtosis))
    return _NORMAL.cdf((sharpe - threshold) * math.sqrt(bars - 1) / spread)


@checked
def expected_maximum_sharpe(variance: float, n_trials: float) -> float:
    """Sharpe ratio that the best of many worthless trials is expected to show, >= 0.

    ``sqrt(variance) ((1 - g) q(1 - 1 / n) + g q(1 - 1 / (n e)))`` with q the normal quantile and g
    the Euler-Mascheroni constant, an approximation for many trials by Bailey and Lopez de Prado
    (2014); here 0 where it would be below, as for a single trial.

    Parameters
    ----------
    variance : float
        Of the trials' Sharpe ratios, >= 0.
    n_trials : float
        Independent trials, >= 1; for correlated ones their effective number.

    Raises
    ------
    InputError
        If a parameter lies outside its range.

    Examples
    --------
    >>> round(expected_maximum_sharpe(1.0, 100), 4)
    2.5306
    """
    if not (variance >= 0 and n_trials >= 1):
        raise InputError(
            f"variance must be >= 0 and n_trials >= 1; got {variance:g} and {n_trials:g}"
        )
    if n_trials == 1:
        return 0.0
    high = _NORMAL.inv_cdf(1.0 - 1.0 / n_trials)
    higher = _NORMAL.inv_cdf(1.0 - 1.0 / (n_trials * math.e))
    blend = (1.0 - _EULER_MASCHERONI) * high + _EULER_MASCHERONI * higher
    return math.sqrt(variance) * max(blend, 0.0)


@checked
def deflated_sharpe_ratio(
    sharpe: float,
    bars: int,
    *,
    variance: float,
    n_trials: float,
    skew: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Probability that the best of many trials is better than the best of as many worthless ones.

    Parameters
    ----------
    sharpe, bars, skew, kurtosis
        As in `probabilistic_sharpe_ratio`, of the trial that was chosen.
    variance, n_trials
        As in `expected_maximum_sharpe`, whose Sharpe ratio is the threshold.

    Examples
    --------
    >>> yearly, days = 2.5, 250
    >>> best = yearly / days**0.5
    >>> round(deflated_sharpe_ratio(
    ...     best, 1250, variance=0.5 / days, n_trials=100, skew=-3, kurtosis=10), 4)
    0.9004
    """
    threshold = expected_maximum_sharpe(variance, n_trials)
    return probabilistic_sharpe_ratio(
        sharpe, bars, threshold=threshold, skew=skew, kurtosis=kurtosis
    )


@checked
def minimum_track_record(
    sharpe: float,
    *,
    threshold: float = 0.0,
    confidence: float = 0.95,
    skew: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Bars, > 1, needed before a Sharpe ratio exceeds a threshold with confidence.

    ``1 + (1 - skew S + (kurtosis - 1) / 4 S ** 2) (q(confidence) / (S - S*)) ** 2``; infinite where
    `sharpe` is not above `threshold`.

    Parameters
    ----------
    sharpe, threshold, skew, kurtosis
        As in `probabilistic_sharpe_ratio`, which has the same source.
    confidence : float
        In (0.5, 1).

    Raises
    ------
    InputError
        If `confidence` lies outside its range, or no distribution has these moments.

    Examples
    --------
    >>> round(minimum_track_record(0.1), 1)
    272.9
    """
    if not 0.5 < confidence < 1:
        raise InputError(f"confidence must lie between 0.5 and 1; got {confidence:g}")
    variance = _sharpe_variance(sharpe, skew, kurtosis)
    if sharpe <= threshold:
        return math.inf
    return 1.0 + variance * (_NORMAL.inv_cdf(confidence) / (sharpe - threshold)) ** 2


def _sharpe_variance(sharpe: float, skew: float, kurtosis: float) -> float:
    """Variance of an estimated Sharpe ratio, times the number of bars."""
    variance = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if not (kurtosis >= 1.0 + skew**2 and variance > 0):
        raise InputError(
            "kurtosis (not the excess over 3) must be at least 1 + skew ** 2; "
            f"got kurtosis {kurtosis:g} with skew {skew:g}"
        )
    return variance


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
    from arch.bootstrap import optimal_block_length

    data = _series(values, least=10)
    if np.ptp(data) == 0:
        raise InputError("values must differ for their dependence to be measured; all are equal")
    lengths = optimal_block_length(data)
    if scheme not in lengths.columns:
        raise InputError(f"scheme must be one of {', '.join(lengths.columns)}; got {scheme!r}")
    return max(1.0, float(lengths[scheme].iloc[0]))


@checked
def stationary_bootstrap(
    values: ArrayLike, *, length: float, draws: int, seed: int
) -> npt.NDArray[np.float64]:
    """Resampled means of a series whose neighbouring values depend on each other; shape (draws,).

    Their spread is the standard error of the mean, in the unit of `values`; Politis and Romano
    (1994).

    Parameters
    ----------
    values : array_like of float, shape (n,)
        In order of time, finite; n >= 2.
    length : float
        Mean length of a block, >= 1, as from `block_length`.
    draws, seed : int
        How many resamples, >= 1; the same seed gives the same ones.

    Raises
    ------
    InputError
        If a parameter lies outside its range or a value is not finite.

    Examples
    --------
    >>> stationary_bootstrap([1.0, 1.0, 1.0], length=2, draws=2, seed=1).tolist()
    [1.0, 1.0]
    """
    from arch.bootstrap import StationaryBootstrap

    data = _series(values, least=2)
    if not (length >= 1 and draws >= 1):
        raise InputError(f"length and draws must be at least 1; got {length:g} and {draws}")
    generator = np.random.default_rng(seed)
    # arch takes whole lengths; its blocks end with probability 1 / length per value.
    means = StationaryBootstrap(round(length), data, seed=generator).apply(np.mean, draws)
    return np.asarray(means, dtype="float64").reshape(draws)


def _series(values: ArrayLike, *, least: int) -> npt.NDArray[np.float64]:
    data = as_array(values)
    if data.ndim != 1 or data.size < least or not np.isfinite(data).all():
        raise InputError(
            f"values must be at least {least} finite numbers in one row; "
            f"got shape {data.shape} with {int((~np.isfinite(data)).sum())} not finite"
        )
    return data
