"""What choosing the best of many does to its Sharpe ratio: how many trials a family is worth.

References
----------
Moskvina and Schmidt (2008), On multiple-testing correction in genome-wide association studies,
doi:10.1002/gepi.20331: the effective number of correlated tests as the number of independent ones
with the same chance of a false rejection.

Chernozhukov, Chetverikov and Kato (2013), Gaussian approximations and multiplier bootstrap for
maxima of sums of high-dimensional random vectors, doi:10.1214/13-AOS1161.

Kish (1965), Survey Sampling: the effective size of a sample with unequal weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from delever.arguments import Floats, checked
from delever.errors import InputError

_LEVEL = 0.95
_TOGETHER = 100
_NODES = 1_000
_HALVINGS = 44  # of an interval below 20: to 1e-12


@checked
def effective_trials(results: ArrayLike, *, draws: int = 2_000, seed: int = 0) -> float:
    """How many independent trials would be as likely to bring forth one that looks good.

    Parameters
    ----------
    results : array_like of float, shape (trials, blocks)
        Sums of each trial's returns in a few blocks of time, the same for all; finite, blocks >= 4.
        Trials whose results do not vary are left out.
    draws, seed : int
        How many random directions, >= 100; the same seed gives the same number.

    Returns
    -------
    float
        From 1 (all trials are one) to the number of trials (they have nothing in common); NaN
        where no trial's results vary.

    Raises
    ------
    InputError
        If `results` has another shape or holds what is not finite, or `draws` is too small.

    Notes
    -----
    Standard normal values, correlated as the trials' results are, have a greatest one; q is the
    point it stays below in 95 % of cases. Of n independent values the greatest stays below q as
    often when ``Phi(q) ** n = 0.95``: that n is the effective number (Moskvina and Schmidt).

    The correlation of 16 blocks has rank 15, so even independent trials share directions. The
    greatest of n values that lie in n directions drawn evenly in d dimensions stays below q with
    probability ``E[F(q / R) ** n]``, R chi-distributed with d degrees of freedom and F the
    distribution of the cosine between two such directions; n is solved from that, which for many
    blocks is the same as above. Blocks in which all results are wild count for more than others:
    d is their effective number (Kish), less one for the mean taken out. The greatest value itself
    is averaged over `draws` directions of a multiplier bootstrap, its length in closed form.

    Examples
    --------
    >>> one = np.sin(np.arange(16.0) ** 2)
    >>> round(effective_trials([one, 2 * one, one + 1]))
    1
    >>> apart = np.random.default_rng(1).normal(size=(50, 16))
    >>> round(effective_trials(apart))
    50
    """
    data = np.asarray(results, dtype=np.float64)
    if data.ndim != 2 or data.shape[1] < 4 or not np.isfinite(data).all():
        raise InputError(
            "results must be finite, a row per trial and at least 4 blocks; "
            f"got shape {data.shape} with {int((~np.isfinite(data)).sum())} not finite"
        )
    if draws < 100:
        raise InputError(f"draws must be at least 100; got {draws}")
    centred = data - data.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1)
    varies = length > 1e-12 * np.abs(data).max(axis=1, initial=1e-300)
    if not varies.any():
        return math.nan
    unit = centred[varies] / length[varies, None]
    weights = (unit**2).mean(axis=0)
    dimensions = max(1.0 / float((weights**2).sum()) - 1.0, 2.0)
    return _independent(_exceeded_seldom(unit, draws, seed), dimensions, len(unit))


def _exceeded_seldom(unit: Floats, draws: int, seed: int) -> float:
    """What the greatest of correlated normal values stays below in 95 % of cases."""
    from scipy.special import gammainc

    blocks = unit.shape[1]
    generator = np.random.default_rng(seed)
    nearest = np.empty(draws)
    for first in range(0, draws, _TOGETHER):  # bounds memory at trials x _TOGETHER
        own = nearest[first : first + _TOGETHER]
        towards = generator.standard_normal((blocks, len(own)))
        own[:] = (unit @ (towards / np.linalg.norm(towards, axis=0))).max(axis=0)
    ahead = nearest[nearest > 0.0]
    behind = 1.0 - len(ahead) / draws

    def beyond(point: float) -> float:
        near = float(gammainc(blocks / 2.0, (point / ahead) ** 2 / 2.0).sum())
        return behind + near / draws - _LEVEL

    return _crossing(beyond, 0.0, 20.0)


def _independent(point: float, dimensions: float, most: int) -> float:
    """How many directions drawn evenly are exceeded beyond a point as seldom."""
    from scipy.special import betainc, gammaincinv

    shares = (np.arange(_NODES) + 0.5) / _NODES
    radius = np.sqrt(2.0 * gammaincinv(dimensions / 2.0, shares))
    half = (dimensions - 1.0) / 2.0
    below = betainc(half, half, (np.minimum(point / radius, 1.0) + 1.0) / 2.0)

    def beyond(log_trials: float) -> float:
        return float((below ** math.exp(log_trials)).mean()) - _LEVEL

    if beyond(0.0) <= 0.0:
        return 1.0
    if beyond(math.log(most)) >= 0.0:
        return float(most)
    return math.exp(_crossing(lambda one: -beyond(one), 0.0, math.log(most)))


def _crossing(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that is below 0 at first rises above it, by halving."""
    for _ in range(_HALVINGS):  # scipy.optimize takes longer to import than these take
        middle = (low + high) / 2.0
        low, high = (low, middle) if rising(middle) > 0.0 else (middle, high)
    return high
