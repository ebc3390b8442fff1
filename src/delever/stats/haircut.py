"""What is left of a Sharpe ratio when it is one of many that were tried.

References
----------
Harvey and Liu (2015), Backtesting, doi:10.3905/jpm.2015.42.1.013.

Harvey, Liu and Zhu (2016), ... and the cross-section of expected returns, doi:10.1093/rfs/hhv059:
the model of what trials show, and its parameters.

Lo (2002), The statistics of Sharpe ratios, doi:10.2469/faj.v58.n4.2453: autocorrelation.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from delever.arguments import MOST_SEED, Floats, checked, whole_number
from delever.errors import InputError
from delever.stats.inference import finite_row

# Of strategies whose returns are correlated by the first: share of those that earn nothing, and
# mean of what the others earn a month (15 % yearly volatility).
_CORRELATION = np.array([0.0, 0.2, 0.4, 0.6, 0.8])
_WORTHLESS = np.array([0.39660, 0.44589, 0.48604, 0.59902, 0.83901])
_EARNED = np.array([0.0054995, 0.0055508, 0.0055413, 0.0055512, 0.0055956])
_VOLATILITY = 0.15 / math.sqrt(12.0)
_MONTHS = 240  # of the strategies of the model
_MOST_VALUES = 2_000_000  # at once: bounds memory


@checked
def haircut_sharpe(
    sharpe: float,
    bars: int,
    *,
    periods_per_year: float,
    n_tests: int,
    correlation: float,
    autocorrelation: float = 0.0,
    draws: int = 2_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Sharpe ratio whose single test is as convincing as this one is among many.

    Parameters
    ----------
    sharpe : float
        Yearly, > 0.
    bars : int
        Returns that it was measured on; at least 3 months of them.
    periods_per_year : float
        Bars in a year.
    n_tests : int
        Trials among which it was chosen, >= 1.
    correlation : float
        Average correlation between their returns; beyond [0, 0.8] the nearer end is taken, since
        the model was estimated there.
    autocorrelation : float
        Of neighbouring returns, in (-1, 1).
    draws, seed : int
        Families of trials drawn from the model, >= 100.

    Returns
    -------
    pandas.DataFrame, shape (4, 3)
        Rows ``bonferroni``, ``holm``, ``bhy`` (Benjamini, Hochberg and Yekutieli) and ``average``;
        columns ``p_value`` (two-sided, adjusted), ``sharpe`` (yearly, after the haircut) and
        ``haircut`` (the share that is lost, of the ratio corrected for autocorrelation).

    Raises
    ------
    InputError
        If a parameter lies outside its range.

    Notes
    -----
    The ratio is divided by what autocorrelation makes of it (Lo 2002) and turned into a t-value
    over whole months. Holm and BHY ask for the p-values of the other trials; they are drawn from
    the model of Harvey, Liu and Zhu (2016), fitted to factors of US shares: a share of trials earns
    nothing, the others an exponentially distributed mean. The adjusted p-value is the median over
    the draws.

    Examples
    --------
    >>> found = haircut_sharpe(
    ...     1.0, 120, periods_per_year=12, n_tests=100, correlation=0.4, autocorrelation=0.1)
    >>> found.loc["bonferroni", "p_value"].round(3), found.loc["average", "sharpe"].round(1)
    (np.float64(0.465), np.float64(0.3))
    """
    from scipy.special import stdtr, stdtrit

    whole_number("n_tests", n_tests, 1, 10_000_000)
    whole_number("draws", draws, 100, 100_000)
    whole_number("seed", seed, 0, MOST_SEED)
    finite_row([sharpe, correlation])
    months = math.floor(bars * 12.0 / periods_per_year) if periods_per_year > 0.0 else 0
    if not (sharpe > 0.0 and months >= 3 and -1.0 < autocorrelation < 1.0):
        raise InputError(
            "sharpe must be above 0, bars at least 3 months and autocorrelation lie between -1 and "
            f"1; got {sharpe:g}, {months} months and {autocorrelation:g}"
        )
    yearly = sharpe / math.sqrt(_inflated(periods_per_year, autocorrelation))
    single = float(2.0 * stdtr(months - 1, -yearly * math.sqrt(months / 12.0)))
    adjusted = {"bonferroni": min(n_tests * single, 1.0)}
    adjusted |= _among(single, n_tests, correlation, draws, seed)
    adjusted["average"] = sum(adjusted.values()) / 3.0
    table = pd.DataFrame({"p_value": adjusted})
    table["sharpe"] = -stdtrit(months - 1, table["p_value"] / 2.0) * math.sqrt(12.0 / months)
    table["haircut"] = 1.0 - table["sharpe"] / yearly
    return table


def _inflated(periods: float, autocorrelation: float) -> float:
    """What a year's variance is over that of as many independent bars."""
    if autocorrelation == 0.0:
        return 1.0
    short = 1.0 - autocorrelation
    # A negative one has no power that is not whole, and years may have 364.7 bars.
    tail = 1.0 - (1.0 - autocorrelation ** round(periods)) / (periods * short)
    return float(1.0 + 2.0 * autocorrelation / short * tail)


def _among(
    single: float, tests: int, correlation: float, draws: int, seed: int
) -> dict[str, float]:
    """Adjusted p-values of one trial among others drawn from the model."""
    from scipy.special import ndtri

    shared = float(np.clip(correlation, _CORRELATION[0], _CORRELATION[-1]))
    worthless = float(np.interp(shared, _CORRELATION, _WORTHLESS))
    earned = float(np.interp(shared, _CORRELATION, _EARNED))
    earned *= math.sqrt(_MONTHS) / _VOLATILITY
    generator = np.random.default_rng(seed)
    # What all trials share moves the p-values most: drawn once from each equal share of cases.
    common = math.sqrt(shared) * ndtri((np.arange(draws) + generator.random(draws)) / draws)
    together = max(1, _MOST_VALUES // tests)
    holm, bhy = [], []
    for first in range(0, draws, together):
        own = common[first : first + together, None]
        shape = len(own), tests
        t_values = own + math.sqrt(1.0 - shared) * generator.standard_normal(shape)
        good = generator.random(shape) > worthless
        t_values += np.where(good, generator.exponential(earned, shape), 0.0)
        step, rate = _stepped(np.abs(t_values), single)
        holm.append(step)
        bhy.append(rate)
    return {
        "holm": float(np.median(np.concatenate(holm))),
        "bhy": float(np.median(np.concatenate(bhy))),
    }


def _stepped(t_values: Floats, single: float) -> tuple[Floats, Floats]:
    """Holm's and BHY's p-value of one trial beside each row of others."""
    from scipy.special import ndtr

    others = 2.0 * ndtr(-t_values)
    place = (others < single).sum(axis=1, keepdims=True)  # of the single one among them
    values = np.sort(np.column_stack([others, np.full(len(others), single)]), axis=1)
    count = values.shape[1]
    rank = np.arange(1, count + 1)
    at_most = rank <= place + 1
    holm = np.where(at_most, values * (count + 1 - rank), 0.0).max(axis=1)
    rates = values * count * (1.0 / rank).sum() / rank
    rates[:, -1] = values[:, -1]  # the largest stays as it is
    bhy = np.where(rank >= place + 1, rates, np.inf).min(axis=1)
    return np.minimum(holm, 1.0), np.minimum(bhy, 1.0)
