"""Tests of whether cumulated abnormal returns (CAR) are zero on average, events in clusters too."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from delever.arguments import Floats, Rows

_ENUMERATED = 12
_FEWEST_SHARED = 20


def t_statistic(values: Floats) -> float:
    """Mean over its cross-sectional standard error; NaN where that is undefined.

    Notes
    -----
    Of CARs: Brown and Warner (1985), doi:10.1016/0304-405X(85)90042-X. Of standardised CARs, which
    allows events to raise variance: Boehmer, Musumeci and Poulsen (1991),
    doi:10.1016/0304-405X(91)90032-F.
    """
    if len(values) < 2 or np.ptp(values) == 0:
        return math.nan
    return float(values.mean() / (values.std(ddof=1) / math.sqrt(len(values))))


def mean_correlation(residuals: Floats, at: Rows, symbol: Rows, length: int) -> float:
    """Mean correlation between the CARs of all pairs of events, >= 0."""
    events = len(residuals)
    total = 0.0
    for one, other in combinations(range(events), 2):
        lag = int(at[other] - at[one])
        if symbol[one] == symbol[other] or abs(lag) >= length:
            continue
        first, second = residuals[one, max(0, lag) :], residuals[other, max(0, -lag) :]
        both = min(len(first), len(second))
        # Over the bars of both estimation windows; fewer than 20 say nothing against 1.
        correlation = 1.0
        if both >= _FEWEST_SHARED:
            correlation = float(np.corrcoef(first[:both], second[:both])[0, 1])
        # Windows that share only some of their bars count in proportion.
        total += correlation * (length - abs(lag)) / length
    return max(0.0, total / math.comb(events, 2)) if events > 1 else 0.0


def shrink_for_clusters(statistic: float, events: int, correlation: float) -> float:
    """Correct a cross-sectional t statistic for correlated events.

    Notes
    -----
    Times ``sqrt((1 - r) / (1 + (N - 1) r))``: Kolari and Pynnonen (2010), doi:10.1093/rfs/hhq072.

    Examples
    --------
    >>> round(shrink_for_clusters(4.0, 30, 0.1), 3)
    1.922
    """
    return statistic * math.sqrt((1.0 - correlation) / (1.0 + (events - 1) * correlation))


def rank_statistic(abnormal: Floats, length: int) -> float:
    """Rank test of whether the event window, the last `length` bars, is like the others.

    Notes
    -----
    Each event's T bars are ranked, ``u = rank / (T + 1) - 1 / 2``, and averaged over events. The
    sum of these means over the event window is divided by their deviation over all bars times
    ``sqrt(length (T - length) / (T - 1))``, for the ranks of a row have a fixed sum. Of one bar:
    Corrado (1989), doi:10.1016/0304-405X(89)90064-0; of more: Kolari and Pynnonen (2011),
    doi:10.1016/j.jempfin.2011.08.003.
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
    """Statistic and p-value of a mean, by turning the signs of whole clusters at random.

    Notes
    -----
    Up to 12 clusters every pattern of signs is taken. Cameron, Gelbach and Miller (2008),
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
