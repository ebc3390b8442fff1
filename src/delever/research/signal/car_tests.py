"""Tests of mean cumulated abnormal returns that mind clusters of events."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import numpy.typing as npt

__all__ = ["mean_correlation", "rank_statistic", "shrink_for_clusters", "wild_bootstrap"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

_ENUMERATED = 12
_FEWEST_SHARED = 20


def mean_correlation(residuals: Floats, at: Rows, symbol: Rows, length: int) -> float:
    """Mean correlation between the cars of all pairs of events.

    Notes
    -----
    For two events of different markets whose windows share k of their bars: k / length times the
    correlation of their abnormal returns over the bars that both estimation windows hold (at
    least 20, else it counts as 1: nothing is known against it). For any other pair: 0.
    """
    events = len(residuals)
    total = 0.0
    for one, other in combinations(range(events), 2):
        lag = int(at[other] - at[one])
        if symbol[one] == symbol[other] or abs(lag) >= length:
            continue
        first, second = residuals[one, max(0, lag) :], residuals[other, max(0, -lag) :]
        both = min(len(first), len(second))
        alike = 1.0
        if both >= _FEWEST_SHARED:
            alike = float(np.corrcoef(first[:both], second[:both])[0, 1])
        total += alike * (length - abs(lag)) / length
    return max(0.0, total / math.comb(events, 2)) if events > 1 else 0.0


def shrink_for_clusters(statistic: float, events: int, correlation: float) -> float:
    """Correct a cross-sectional t statistic for correlated events.

    References
    ----------
    Kolari and Pynnonen (2010), Event study testing with cross-sectional correlation of abnormal
    returns, Review of Financial Studies 23(11), 3996-4025, doi:10.1093/rfs/hhq072.

    Examples
    --------
    >>> round(shrink_for_clusters(4.0, 30, 0.1), 3)
    1.922
    """
    return statistic * math.sqrt((1.0 - correlation) / (1.0 + (events - 1) * correlation))


def rank_statistic(abnormal: Floats, length: int) -> float:
    """Rank test of whether the event window is like the estimation window.

    Notes
    -----
    Each event's bars are ranked and centred, ``u = rank / (T + 1) - 1 / 2`` (ties share their
    mean rank), and averaged over events. The deviation of these means over all T bars carries
    whatever correlation events of one date have. The statistic is the sum over the event window
    over ``deviation * sqrt(length (T - length) / (T - 1))``; for one bar this is Corrado's, for
    more the last factor minds that the ranks of a row have a fixed sum.

    References
    ----------
    Corrado (1989), A nonparametric test for abnormal security-price performance in event
    studies, Journal of Financial Economics 23(2), 385-395, doi:10.1016/0304-405X(89)90064-0;
    Kolari and Pynnonen (2011), Nonparametric rank tests for event studies, Journal of Empirical
    Finance 18(5), 953-971, doi:10.1016/j.jempfin.2011.08.003.
    """
    from scipy.stats import rankdata

    bars = abnormal.shape[1]
    mean = (rankdata(abnormal, axis=1) / (bars + 1) - 0.5).mean(axis=0)
    deviation = float(np.sqrt((mean**2).mean()))
    if deviation == 0:
        return math.nan
    room = math.sqrt(length * (bars - length) / (bars - 1))
    return float(mean[-length:].sum() / (deviation * room))


def wild_bootstrap(car: Floats, clusters: Rows, *, draws: int, seed: int) -> tuple[float, float]:
    """Test a mean by turning the signs of whole clusters at random.

    References
    ----------
    Cameron, Gelbach and Miller (2008), Bootstrap-based improvements for inference with
    clustered errors, Review of Economics and Statistics 90(3), 414-427,
    doi:10.1162/rest.90.3.414.
    """
    sums = np.bincount(clusters, weights=car)
    sizes = np.bincount(clusters).astype("float64")
    groups = len(sums)
    if groups < 2:
        return math.nan, math.nan
    if groups <= _ENUMERATED:
        codes = np.arange(2**groups)[:, None] >> np.arange(groups)
        signs = 1.0 - 2.0 * (codes & 1)
    else:
        rng = np.random.default_rng(seed)
        signs = np.vstack([np.ones(groups), rng.choice([-1.0, 1.0], (draws, groups))])
    totals = signs * sums
    means = totals.sum(axis=1) / sizes.sum()
    apart = totals - means[:, None] * sizes
    errors = np.sqrt(groups / (groups - 1) * (apart**2).sum(axis=1)) / sizes.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        statistics = np.abs(means / errors)
    if math.isnan(statistics[0]):
        return math.nan, math.nan
    # Patterns that give the same value but for rounding are as far out as the data.
    as_far = statistics >= statistics[0] * (1 - 1e-9)
    return float(math.copysign(statistics[0], means[0])), float(as_far.mean())
