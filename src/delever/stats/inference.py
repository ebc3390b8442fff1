"""How sure a Sharpe ratio is, by formula, also under many trials.

Sharpe ratios are per bar, not per year.

References
----------
Bailey and Lopez de Prado (2012), The Sharpe ratio efficient frontier, doi:10.21314/JOR.2012.255;
(2014), The deflated Sharpe ratio, doi:10.3905/jpm.2014.40.5.094.

Lopez de Prado, Lipton and Zoonekynd (2026), How to use the Sharpe ratio, ADIA Lab Research Paper
19, https://ssrn.com/abstract=5520741.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from delever.arguments import Floats, checked
from delever.errors import InputError
from delever.stats.returns import as_array

_NORMAL = NormalDist()
_EULER_MASCHERONI = 0.5772156649015329


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
    at, fewer = _forms(form, autocorrelation, sharpe, threshold)
    spread = math.sqrt(_sharpe_variance(at, skew, kurtosis, autocorrelation))
    return _NORMAL.cdf((sharpe - threshold) * math.sqrt(bars - fewer) / spread)


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
    form: Literal["2014", "2026"] = "2014",
    autocorrelation: float = 0.0,
) -> float:
    """Probability that the best of many trials is better than the best of as many worthless ones.

    Parameters
    ----------
    sharpe, bars, skew, kurtosis, autocorrelation
        As in `probabilistic_sharpe_ratio`, of the trial that was chosen.
    variance, n_trials
        As in `expected_maximum_sharpe`, whose Sharpe ratio is the threshold.
    form : {"2014", "2026"}
        2014: the probabilistic Sharpe ratio of 2012 above the threshold. 2026: that of 2026, its
        variance times that of the greatest of `n_trials` standard normal values, since the best of
        many varies less than each of them.

    Raises
    ------
    InputError
        As `probabilistic_sharpe_ratio` and `expected_maximum_sharpe`, or if there is no such form.

    Examples
    --------
    >>> yearly, days = 2.5, 250
    >>> best = yearly / days**0.5
    >>> round(deflated_sharpe_ratio(
    ...     best, 1250, variance=0.5 / days, n_trials=100, skew=-3, kurtosis=10), 4)
    0.9004
    >>> round(deflated_sharpe_ratio(0.036 / 0.079, 24, variance=0.1, n_trials=10, skew=-2.448,
    ...     kurtosis=10.164, form="2026", autocorrelation=0.2), 3)
    0.427
    """
    threshold = expected_maximum_sharpe(variance, n_trials)
    if form == "2014":
        return probabilistic_sharpe_ratio(
            sharpe,
            bars,
            threshold=threshold,
            skew=skew,
            kurtosis=kurtosis,
            autocorrelation=autocorrelation,
        )
    if form != "2026":
        raise InputError(f"form must be 2014 or 2026; got {form}")
    spread = _variance_of_greatest(n_trials) * _sharpe_variance(
        threshold, skew, kurtosis, autocorrelation
    )
    return _NORMAL.cdf((sharpe - threshold) * math.sqrt(bars / spread))


@cache
def _variance_of_greatest(count: float) -> float:
    """Of the greatest of standard normal values, whose distribution is ``Phi(x) ** count``."""
    from scipy.special import ndtri_exp

    # Midpoints of a million equal shares: within 1e-5 for up to a million values.
    shares = (np.arange(1_000_000) + 0.5) / 1_000_000
    return float(np.var(ndtri_exp(np.log(shares) / count)))


@checked
def minimum_track_record(
    sharpe: float,
    *,
    threshold: float = 0.0,
    confidence: float = 0.95,
    skew: float = 0.0,
    kurtosis: float = 3.0,
    form: Literal["2012", "2026"] = "2012",
    autocorrelation: float = 0.0,
) -> float:
    """Bars, > 0, needed before a Sharpe ratio exceeds a threshold with confidence.

    The bars at which `probabilistic_sharpe_ratio` reaches `confidence`, by either form; infinite
    where `sharpe` is not above `threshold`.

    Parameters
    ----------
    sharpe, threshold, skew, kurtosis, form, autocorrelation
        As in `probabilistic_sharpe_ratio`, which has the same sources.
    confidence : float
        In (0.5, 1).

    Raises
    ------
    InputError
        If `confidence` lies outside its range, there is no such form, the form of 2012 is given an
        autocorrelation, or no distribution has these moments.

    Examples
    --------
    >>> round(minimum_track_record(0.1), 1)
    272.9
    >>> round(minimum_track_record(0.036 / 0.079, confidence=0.9, skew=-2.448, kurtosis=10.164,
    ...     form="2026"), 3)
    7.909
    """
    if not 0.5 < confidence < 1:
        raise InputError(f"confidence must lie between 0.5 and 1; got {confidence:g}")
    at, more = _forms(form, autocorrelation, sharpe, threshold)
    variance = _sharpe_variance(at, skew, kurtosis, autocorrelation)
    if sharpe <= threshold:
        return math.inf
    return more + variance * (_NORMAL.inv_cdf(confidence) / (sharpe - threshold)) ** 2


@checked
def minimum_backtest_length(sharpe: float, n_trials: float) -> float:
    """Years below which the best of so many worthless trials is expected to show a Sharpe ratio.

    ``(E / sharpe) ** 2`` with E the expected maximum of `n_trials` standard normal values; infinite
    for a ratio not above zero. Bailey, Borwein, Lopez de Prado and Zhu (2014), Pseudo-mathematics
    and financial charlatanism, doi:10.1090/noti1105.

    Parameters
    ----------
    sharpe : float
        Yearly.
    n_trials : float
        As in `expected_maximum_sharpe`.

    Raises
    ------
    InputError
        If `n_trials` is below 1.

    Examples
    --------
    >>> round(minimum_backtest_length(1.0, 45), 1)  # "no more than 45 in five years"
    5.0
    """
    if sharpe <= 0.0:
        return math.inf
    return (expected_maximum_sharpe(1.0, n_trials) / sharpe) ** 2


@checked
def sharpe_power(
    sharpe: float,
    bars: int,
    *,
    threshold: float = 0.0,
    level: float = 0.05,
    skew: float = 0.0,
    kurtosis: float = 3.0,
    autocorrelation: float = 0.0,
) -> float:
    """Probability that a one-sided test by the form of 2026 finds a true Sharpe ratio.

    Parameters
    ----------
    sharpe : float
        The true one, per bar, above `threshold`.
    bars, threshold, skew, kurtosis, autocorrelation
        As in `probabilistic_sharpe_ratio`.
    level : float
        Of the test, in (0, 1).

    Raises
    ------
    InputError
        If a parameter lies outside its range.

    Examples
    --------
    >>> round(sharpe_power(0.5, 24, level=0.1, skew=-2.448, kurtosis=10.164), 3)
    0.758
    """
    if not (0.0 < level < 1.0 and bars >= 2):
        raise InputError(
            f"level must lie between 0 and 1 and bars be at least 2; got {level:g} and {bars}"
        )
    shape = skew, kurtosis, autocorrelation
    reached = threshold + _NORMAL.inv_cdf(1.0 - level) * math.sqrt(
        _sharpe_variance(threshold, *shape) / bars
    )
    return _NORMAL.cdf((sharpe - reached) * math.sqrt(bars / _sharpe_variance(sharpe, *shape)))


@checked
def false_discovery_rate(level: float, power: float, prior: float) -> float:
    """Probability that what a test found is not there.

    ``1 / (1 + power prior / (level (1 - prior)))``, Bayes' rule. With the level and power of a test
    it speaks of all that is found so (planned); with the p-value observed as `level`, and with the
    power to find as much, of this one finding (observed).

    Parameters
    ----------
    level, power, prior : float
        Rate of false rejections, of true ones, and the share of trials in which there is something
        to be found; the first two in (0, 1], the last in (0, 1).

    Raises
    ------
    InputError
        If a parameter lies outside its range.

    Examples
    --------
    >>> round(false_discovery_rate(0.1, 0.758, 0.1), 3)
    0.543
    """
    if not (0.0 < level <= 1.0 and 0.0 < power <= 1.0 and 0.0 < prior < 1.0):
        raise InputError(
            "level and power must lie in (0, 1] and prior in (0, 1); "
            f"got {level:g}, {power:g} and {prior:g}"
        )
    return 1.0 / (1.0 + power * prior / (level * (1.0 - prior)))


def _forms(form: str, autocorrelation: float, sharpe: float, threshold: float) -> tuple[float, int]:
    """Where a form takes the variance, and how many bars short of all it counts."""
    if form == "2012" and autocorrelation == 0.0:
        return sharpe, 1
    if form == "2026":
        return threshold, 0
    raise InputError(
        "form must be 2012 (without autocorrelation) or 2026; "
        f"got {form} with autocorrelation {autocorrelation:g}"
    )


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


def finite_row(values: ArrayLike, *, least: int = 0) -> Floats:
    """Values as one row of finite numbers. Raises InputError if they are others, or too few."""
    data = as_array(values)
    if data.ndim != 1 or data.size < least or not np.isfinite(data).all():
        raise InputError(
            f"values must be at least {least} finite numbers in one row; "
            f"got shape {data.shape} with {int((~np.isfinite(data)).sum())} not finite"
        )
    return data
