"""How returns spread: deviations, tails and moments.

Every function takes simple returns per bar as fractions, in any order. A NaN among them makes
the result NaN; nothing is dropped or filled.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from delever.errors import InputError
from delever.stats.metric import metric
from delever.stats.returns import as_array
from delever.stats.sample import Sums

# A return is a ratio of equities less one, so it is known to some 1e-16; a spread below this is
# the rounding of no spread at all.
NO_SPREAD = 1e-14


def volatility_from_sums(sums: Sums) -> NDArray[np.float64]:
    """`volatility` of each account."""
    # A bar's return is small beside its deviation, so the two terms do not cancel.
    squares = np.maximum(sums.squares - sums.bars * (sums.returns / sums.bars) ** 2, 0.0)
    deviation = np.sqrt(squares / (sums.bars - 1.0) * sums.periods_per_year)
    spread = np.where(sums.highest - sums.lowest > NO_SPREAD, deviation, 0.0)
    return np.where(sums.bars > 1.0, spread, np.nan)


@metric(
    unit="fraction",
    better="lower",
    formula="std(r, ddof=1) * sqrt(periods_per_year)",
    source="by definition",
    from_sums=volatility_from_sums,
)
def volatility(returns: ArrayLike, periods_per_year: float) -> float:
    """Yearly standard deviation, >= 0; NaN for fewer than two bars.

    Exactly 0 when the returns differ by rounding alone.

    Examples
    --------
    >>> round(volatility([0.01, -0.01, 0.03], 365), 6)
    0.382099
    """
    values = as_array(returns)
    if values.size < 2:
        return math.nan
    if np.ptp(values) <= NO_SPREAD:
        return 0.0
    return float(np.std(values, ddof=1) * math.sqrt(periods_per_year))


def downside_from_sums(sums: Sums) -> NDArray[np.float64]:
    """`downside_deviation` of each account."""
    deviation = np.sqrt(sums.squared_losses / sums.bars * sums.periods_per_year)
    return np.where(sums.lowest < -NO_SPREAD, deviation, 0.0)


@metric(
    unit="fraction",
    better="lower",
    formula="sqrt(mean(min(r, 0) ** 2)) * sqrt(periods_per_year), over all bars",
    source="Sortino and Price (1994)",
    from_sums=downside_from_sums,
)
def downside_deviation(returns: ArrayLike, periods_per_year: float) -> float:
    """Yearly root mean square of the losses, >= 0; NaN for no bars.

    A bar without a loss counts as one of zero.

    Examples
    --------
    >>> round(downside_deviation([-0.03, 0.04], 4), 6)
    0.042426
    """
    values = as_array(returns)
    if not values.size:
        return math.nan
    losses = np.minimum(values, 0.0)
    if losses.min() >= -NO_SPREAD:
        return 0.0
    return float(math.sqrt(np.mean(losses**2)) * math.sqrt(periods_per_year))


@metric(
    label="VaR 95 %",
    unit="fraction",
    better="higher",
    formula="5 % quantile of r, interpolated; a loss is negative",
    source="Hyndman and Fan (1996), type 7",
)
def value_at_risk(returns: ArrayLike, tail: float = 0.05) -> float:
    """Return that the worst `tail` of the bars did not exceed, from history; NaN for no bars.

    With fewer than ``1 / tail`` bars it lies between the two worst.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
    tail : float
        Share of the bars in the tail, in (0, 1); 0.05 for the 95 % figure.

    Raises
    ------
    InputError
        If `tail` lies outside its range.

    Examples
    --------
    >>> round(value_at_risk([-0.2, -0.1, 0.0, 0.1], tail=0.5), 6)
    -0.05
    """
    _check_tail(tail)
    values = as_array(returns)
    return float(np.quantile(values, tail)) if values.size else math.nan


def _check_tail(tail: float) -> None:
    if not 0.0 < tail < 1.0:
        raise InputError(f"tail must be a fraction between 0 and 1; got {tail!r}; 5 % are 0.05")


@metric(
    label="ES 95 %",
    unit="fraction",
    better="higher",
    formula="mean of the floor(0.05 * (n - 1)) + 1 lowest r; a loss is negative",
    source="Acerbi and Tasche (2002)",
)
def expected_shortfall(returns: ArrayLike, tail: float = 0.05) -> float:
    """Mean return of the bars at or below the value at risk, from history; NaN for no bars.

    The bars are counted rather than compared, so that equal returns at the edge do not widen the
    tail.

    Parameters
    ----------
    returns, tail
        As in `value_at_risk`.

    Raises
    ------
    InputError
        If `tail` lies outside its range.

    Examples
    --------
    >>> round(expected_shortfall([-0.2, -0.1, 0.0, 0.1], tail=0.5), 6)
    -0.15
    """
    _check_tail(tail)
    values = as_array(returns)
    if not values.size or np.isnan(values).any():
        return math.nan
    last = int((values.size - 1) * tail)
    return float(np.partition(values, last)[: last + 1].mean())


@metric(
    unit="fraction",
    better="higher",
    formula="min(r)",
    source="by definition",
    from_sums=lambda sums: sums.lowest,
)
def worst_bar(returns: ArrayLike) -> float:
    """Lowest return of a bar; NaN for no bars."""
    values = as_array(returns)
    return float(values.min()) if values.size else math.nan


@metric(
    unit="fraction",
    better="higher",
    formula="max(r)",
    source="by definition",
    from_sums=lambda sums: sums.highest,
)
def best_bar(returns: ArrayLike) -> float:
    """Highest return of a bar; NaN for no bars."""
    values = as_array(returns)
    return float(values.max()) if values.size else math.nan


@metric(
    unit="ratio",
    better="higher",
    formula="m3 / m2 ** 1.5, mk = mean((r - mean(r)) ** k)",
    source="Joanes and Gill (1998), g1",
    name="skew",
)
def skewness(returns: ArrayLike) -> float:
    """Third standardised moment: 0 for a symmetric sample, < 0 when the losses reach further.

    NaN for fewer than two bars or without spread. Not corrected for the size of the sample.
    """
    return _standardised_moment(returns, 3)


@metric(
    label="Kurtosis (normal: 3)",
    unit="ratio",
    better="lower",
    formula="m4 / m2 ** 2, not the excess over 3",
    source="Joanes and Gill (1998), g2 + 3",
)
def kurtosis(returns: ArrayLike) -> float:
    """Fourth standardised moment, >= 1; a normal distribution has 3.

    NaN for fewer than two bars or without spread. Not corrected for the size of the sample: the
    form that the probabilistic Sharpe ratio asks for.
    """
    return _standardised_moment(returns, 4)


def _standardised_moment(returns: ArrayLike, order: int) -> float:
    values = as_array(returns)
    if values.size < 2 or np.ptp(values) <= NO_SPREAD:
        return math.nan
    centred = values - values.mean()
    standardised = centred / math.sqrt(np.mean(centred**2))
    return float(np.mean(standardised**order))
