"""How sure a Sharpe ratio is, by formula, also under many trials; and how long dependence lasts.

Sharpe ratios are per bar, not per year.

References
----------
Lo (2002), The statistics of Sharpe ratios, doi:10.2469/faj.v58.n4.2453.

Bailey and Lopez de Prado (2012), The Sharpe ratio efficient frontier, doi:10.21314/JOR.2012.255;
(2014), The deflated Sharpe ratio, doi:10.3905/jpm.2014.40.5.094.

Lopez de Prado, Lipton and Zoonekynd (2026), How to use the Sharpe ratio, ADIA Lab Research Paper
19, https://ssrn.com/abstract=5520741.

Politis and White (2004), Automatic block-length selection for the dependent bootstrap,
doi:10.1081/ETC-120028836, with the correction of Patton, Politis and White (2009),
doi:10.1080/07474930802459016.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from delever.arguments import Floats, checked
from delever.errors import InputError
from delever.stats.returns import as_array

__all__ = [
    "block_length",
    "deflated_sharpe_ratio",
    "expected_maximum_sharpe",
    "minimum_track_record",
    "probabilistic_sharpe_ratio",
    "sharpe_standard_error",
]

_NORMAL = NormalDist()
_EULER_MASCHERONI = 0.5772156649015329
# What the bootstrap's own variance adds to the error of a block length, by scheme.
_BLOCK_VARIANCE = {"stationary": 2.0, "circular": 4.0 / 3.0}


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
    sharpe: float,
    bars: int,
    *,
    threshold: float = 0.0,
    skew: float = 0.0,
    kurtosis: float = 3.0,
    form: Literal["2012", "2026"] = "2012",
    autocorrelation: float = 0.0,
) -> float:
    """Probability that the true Sharpe ratio exceeds a threshold, in either published form.

    Parameters
    ----------
    sharpe, threshold : float
    bars : int
        Number of returns, >= 2.
    skew, kurtosis : float
        Third and fourth standardised moment of the returns; a normal distribution has 0 and 3.
    form : {"2012", "2026"}
        Which of the two, see below.
    autocorrelation : float
        Of neighbouring returns, in (-1, 1); the form of 2012 takes returns for independent.

    Raises
    ------
    InputError
        If `bars` is below 2, there is no such form, the form of 2012 is given an autocorrelation,
        or no distribution has these moments with this Sharpe ratio.

    Notes
    -----
    2012, Bailey and Lopez de Prado: ``Phi((S - S*) sqrt(bars - 1) / sqrt(V(S)))`` with
    ``V(S) = 1 - skew S + (kurtosis - 1) / 4 S ** 2``, the variance at the *estimate*.

    2026, Lopez de Prado, Lipton and Zoonekynd: ``Phi((S - S*) sqrt(bars) / sqrt(V(S*)))``, the
    variance under the *hypothesis*, of returns that follow an autoregression of order one with the
    autocorrelation c: ``V(S) = a - b skew S + d (kurtosis - 1) / 4 S ** 2``,
    ``a = (1 + c) / (1 - c)``, ``b = 1 + c / (1 - c) + c ** 2 / (1 - c ** 2)``,
    ``d = 1 + c ** 2 / (1 - c ** 2)``. One less it is the p-value of a one-sided test.

    Examples
    --------
    >>> round(probabilistic_sharpe_ratio(0.458, 24, skew=-2.448, kurtosis=10.164), 5)
    0.91336
    >>> round(probabilistic_sharpe_ratio(0.456, 24, form="2026", autocorrelation=0.2), 3)
    0.966
    """
    if bars < 2:
        raise InputError(f"bars must be at least 2; got {bars}")
    if form == "2012" and autocorrelation == 0.0:
        spread = math.sqrt(_sharpe_variance(sharpe, skew, kurtosis))
        return _NORMAL.cdf((sharpe - threshold) * math.sqrt(bars - 1) / spread)
    if form != "2026":
        raise InputError(
            "form must be 2012 (without autocorrelation) or 2026; "
            f"got {form} with autocorrelation {autocorrelation:g}"
        )
    spread = math.sqrt(_sharpe_variance(threshold, skew, kurtosis, autocorrelation))
    return _NORMAL.cdf((sharpe - threshold) * math.sqrt(bars) / spread)


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


def _sharpe_variance(
    sharpe: float, skew: float, kurtosis: float, autocorrelation: float = 0.0
) -> float:
    """Variance of an estimated Sharpe ratio, times the number of bars."""
    if not -1.0 < autocorrelation < 1.0:
        raise InputError(f"autocorrelation must lie between -1 and 1; got {autocorrelation:g}")
    once = autocorrelation / (1.0 - autocorrelation)
    twice = autocorrelation**2 / (1.0 - autocorrelation**2)
    linear = (1.0 + once + twice) * skew * sharpe
    variance = 1.0 + 2.0 * once - linear + (1.0 + twice) * (kurtosis - 1.0) / 4.0 * sharpe**2
    # Two values alone, as of a run ruined at once, stand on the bound but for rounding.
    if not (kurtosis >= (1.0 + skew**2) * (1.0 - 1e-9) and variance > 0):
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
    if scheme not in _BLOCK_VARIANCE:
        raise InputError(f"scheme must be one of {', '.join(_BLOCK_VARIANCE)}; got {scheme!r}")
    data = finite_row(values, least=10)
    if np.ptp(data) == 0:
        raise InputError("values must differ for their dependence to be measured; all are equal")
    bars = data.size
    centred = data - data.mean()
    # Lags are looked at until a few in a row show no correlation.
    quiet = max(5, int(math.log10(bars)))
    lags = np.arange(math.ceil(math.sqrt(bars)) + quiet + 1)
    products = np.array([centred[lag:] @ centred[: bars - lag] for lag in lags.tolist()])
    energy = np.cumsum(centred**2)
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
    return float(max(1.0, min(length, math.ceil(min(3 * math.sqrt(bars), bars / 3)))))


def finite_row(values: ArrayLike, *, least: int = 0) -> Floats:
    """Values as one row of finite numbers. Raises InputError if they are others, or too few."""
    data = as_array(values)
    if data.ndim != 1 or data.size < least or not np.isfinite(data).all():
        raise InputError(
            f"values must be at least {least} finite numbers in one row; "
            f"got shape {data.shape} with {int((~np.isfinite(data)).sum())} not finite"
        )
    return data
