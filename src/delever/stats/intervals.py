"""What a few independent cases can tell: a probability, a waiting time, an effect large enough.

References
----------
Bloom (1995), Minimum detectable effects, doi:10.1177/0193841X9501900504.

Kaplan and Meier (1958), Nonparametric estimation from incomplete observations,
doi:10.1080/01621459.1958.10501452.

Wilson (1927), Probable inference, the law of succession, and statistical inference,
doi:10.1080/01621459.1927.10502953.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from delever.arguments import checked
from delever.errors import InputError

_NORMAL = NormalDist()
# What is left of 1 after subtracting shares that add up to it.
_ROUNDING = 1e-12


@checked
def wilson_interval(hits: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Interval for a probability, low and high in [0, 1], from how often something happened.

    The p that ``abs(hits / trials - p) <= z sqrt(p (1 - p) / trials)`` does not exclude, Wilson
    (1927); unlike the textbook interval it keeps its promise for few trials and near 0 and 1.
    Both ends are NaN without trials.

    Parameters
    ----------
    hits, trials : float
        0 <= hits <= trials; the trials are independent. Hits need not be whole: where several
        cases share one trial, so do their hits.
    confidence : float
        In (0, 1).

    Raises
    ------
    InputError
        If a parameter lies outside its range.

    Examples
    --------
    >>> low, high = wilson_interval(0, 10)
    >>> round(low, 4), round(high, 4)
    (0.0, 0.2775)
    """
    if not (0 <= hits <= trials and 0 < confidence < 1):
        raise InputError(
            "hits must lie between 0 and trials and confidence between 0 and 1; "
            f"got {hits:g} of {trials:g} and {confidence:g}"
        )
    if trials == 0:
        return math.nan, math.nan
    z = _NORMAL.inv_cdf(0.5 + confidence / 2.0)
    share, room = hits / trials, z**2 / trials
    centre = share + room / 2.0
    half = z * math.sqrt(share * (1.0 - share) / trials + room / (4.0 * trials))
    low = 0.0 if hits == 0 else (centre - half) / (1.0 + room)
    return low, 1.0 if hits == trials else (centre + half) / (1.0 + room)


@checked
def detectable_deviations(
    alpha: float = 0.05, power: float = 0.8, degrees: float = math.inf
) -> float:
    """Smallest effect a two-sided test finds with a given power, in standard errors.

    ``q(1 - alpha / 2) + q(power)`` with q the normal quantile, Bloom (1995). Of a t test, the
    noncentrality with which Student's distribution exceeds its ``1 - alpha / 2`` quantile with
    probability `power`.

    Parameters
    ----------
    alpha : float
        Level of the test, in (0, 1).
    power : float
        Probability to find an effect of that size, in (0.5, 1).
    degrees : float
        Degrees of freedom of a t test, > 0; infinite where the standard error is known.

    Raises
    ------
    InputError
        If a parameter lies outside its range.

    Examples
    --------
    >>> round(detectable_deviations(), 3), round(detectable_deviations(degrees=11), 3)
    (2.802, 3.078)
    """
    if not (0 < alpha < 1 and 0.5 < power < 1 and degrees > 0):
        raise InputError(
            "alpha must lie between 0 and 1, power between 0.5 and 1 and degrees above 0; "
            f"got {alpha:g}, {power:g} and {degrees:g}"
        )
    if not math.isinf(degrees):
        from scipy.special import nctdtrinc, stdtrit

        return float(nctdtrinc(degrees, 1.0 - power, stdtrit(degrees, 1.0 - alpha / 2.0)))
    return _NORMAL.inv_cdf(1.0 - alpha / 2.0) + _NORMAL.inv_cdf(power)


@checked
def reached_within(
    waited: npt.ArrayLike,
    reached: npt.ArrayLike,
    horizon: int,
    weights: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Probability that something has happened within each number of bars.

    Parameters
    ----------
    waited : array_like of int, shape (n,)
        Bars until it happened or, where it did not, bars it was watched for; >= 0.
    reached : array_like of bool, shape (n,)
        Whether it happened.
    horizon : int
        Last number of bars, >= 0.
    weights : array_like of float, shape (n,) or (draws, n), optional
        >= 0; how many cases each one stands for, 1 by default.

    Returns
    -------
    ndarray of float, shape (horizon + 1,) or (draws, horizon + 1)
        Entry k: probability within k bars; it never falls. NaN from the bar on at which nobody
        is watched any more, unless everybody got there; all NaN without cases.

    Raises
    ------
    InputError
        If the lengths differ, a wait is negative, or `horizon` is.

    Notes
    -----
    ``1 - prod(1 - d[k] / m[k])``, Kaplan and Meier (1958), with d[k] the cases that happened after
    exactly k bars and m[k] those watched for at least k bars and not there before. A case whose
    watch ends after k bars counts among those watched through bar k.

    Examples
    --------
    >>> reached_within([1, 2, 3], [True, False, True], 3).round(3).tolist()
    [0.0, 0.333, 0.333, 1.0]
    """
    waits, there = np.asarray(waited, dtype="int64"), np.asarray(reached, dtype=bool)
    counts = np.ones(waits.shape) if weights is None else np.asarray(weights, dtype="float64")
    if (
        waits.ndim != 1
        or not waits.shape == there.shape == counts.shape[-1:]
        or horizon < 0
        or (waits < 0).any()
        or (counts < 0).any()
    ):
        raise InputError(
            "waited, reached and weights must have one entry per case, and waits, weights and the "
            f"horizon be >= 0; got shapes {waits.shape}, {there.shape}, {counts.shape} and "
            f"horizon {horizon}"
        )
    at = np.minimum(waits, horizon + 1)[:, None] == np.arange(horizon + 2)
    happened = counts @ (at & there[:, None])
    watched = np.cumsum((counts @ at)[..., ::-1], axis=-1)[..., ::-1]
    with np.errstate(invalid="ignore"):
        kept = np.cumprod(1.0 - happened / watched, axis=-1)
    kept[np.logical_or.accumulate(kept < _ROUNDING, axis=-1)] = 0.0
    return np.asarray(1.0 - kept[..., : horizon + 1], dtype="float64")
