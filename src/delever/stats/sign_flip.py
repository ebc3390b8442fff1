"""What a dozen independent values say about their mean: a sign-flip test, and its interval.

A year has a few deleveraging periods, so a run has a dozen payouts. The test asks only that they do
not depend on each other and are as likely to lie above their mean as below it by as much.

References
----------
Fisher (1935), The design of experiments, section 21.

Hartigan (1969), Using subsample values as typical values, doi:10.1080/01621459.1969.10501057.

Bloom (1995), Minimum detectable effects, doi:10.1177/0193841X9501900504.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from delever.arguments import MOST_SEED, Floats, checked, whole_number
from delever.errors import InputError
from delever.stats.inference import finite_row
from delever.stats.intervals import detectable_deviations

MOST_EXACT = 20
"""Up to so many values, all of their sign vectors are looked at."""
LEVEL = 0.05
"""Of the test whose power the detectable mean is about."""
# Sums of a few values are known to some 1e-16 of their size: what is closer to zero is zero.
_ROUNDING = 1e-13


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanOfFew:
    """The mean of a few independent values, and how sure it is; what cannot be said is NaN.

    Attributes
    ----------
    mean : float
        Of all values.
    low, high : float
        Ends of its interval: the means that the test does not reject.
    confidence : float
        Of the interval, in (0, 1).
    p_value : float
        Two-sided, of the hypothesis that the true mean is the one asked about.
    smallest_p : float
        The smallest p-value that so many values could give, were they all on one side.
    values, differing : int
        How many there are, and how many of them differ from the mean asked about.
    exact : bool
        Whether every sign vector was looked at, rather than a sample of them.
    lowest, highest : float
        Range of the mean when one value is left out.
    most_influential : int
        Position of the value without which the mean moves most; -1 if there are none.
    detectable : float
        > 0: how far from the mean asked about the true one has to lie for a t test at 5 % to find
        it four times in five, if values spread normally and as these do.
    reason : str
        Why there is no interval; empty where there is one.
    """

    mean: float
    low: float = math.nan
    high: float = math.nan
    confidence: float
    p_value: float = math.nan
    smallest_p: float = 1.0
    values: int
    differing: int = 0
    exact: bool = True
    lowest: float = math.nan
    highest: float = math.nan
    most_influential: int = -1
    detectable: float = math.nan
    reason: str = ""

    @property
    def can_reject(self) -> bool:
        """Whether the test could reject at 5 % with as many values that differ."""
        return self.smallest_p <= LEVEL


@checked
def sign_flip(
    values: ArrayLike,
    *,
    mean: float = 0.0,
    confidence: float = 0.9,
    draws: int = 20_000,
    seed: int = 0,
) -> MeanOfFew:
    """Test and interval for the mean of a few independent values.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One per independent case, such as the payout of each period.
    mean : float
        The true mean under the hypothesis that is tested.
    confidence : float
        Of the interval, in (0, 1).
    draws : int
        Sign vectors drawn where there are more than 20 values, from 100 to 1,000,000.
    seed : int
        Of the draws.

    Raises
    ------
    InputError
        If a value is not finite or a parameter lies outside its range.

    Notes
    -----
    p-value: the share of the ``2 ** n`` sign vectors s with ``abs(sum(s d)) >= abs(sum(d))``, d the
    distances from the mean asked about. A distance of zero has no sign, so only the k that differ
    count, and no p-value is below ``2 ** (1 - k)``.

    Interval: every m that this test would not reject at ``1 - confidence``. With A the values whose
    sign is flipped, ``sum(s (x - m)) >= sum(x - m)`` says that the mean of A is at most m. So the
    p-value of an m below the mean of all is ``2 (1 + c) / 2 ** n``, with c the number of subsets
    whose mean is at most m. The interval reaches from the j-th smallest to the j-th largest of the
    means of the ``2 ** n - 1`` subsets, ``j = floor((1 - confidence) 2 ** (n - 1))``: Hartigan's
    typical values. No m has to be tried.

    Beyond 20 values the subsets are drawn, and the vector without flips is one of them.

    Examples
    --------
    >>> found = sign_flip([0.3, 0.1, 0.2, 0.4, -0.1, 0.3])
    >>> found.p_value, found.smallest_p
    (0.09375, 0.03125)
    >>> round(found.low, 3), round(found.high, 3)
    (0.05, 0.35)
    """
    whole_number("draws", draws, 100, 1_000_000)
    whole_number("seed", seed, 0, MOST_SEED)
    if not (0.0 < confidence < 1.0 and math.isfinite(mean)):
        raise InputError(
            "confidence must lie between 0 and 1 and mean be finite; "
            f"got {confidence:g} and {mean:g}"
        )
    cases = finite_row(values)
    if not cases.size:
        reason = "there are no values"
        return MeanOfFew(mean=math.nan, confidence=confidence, values=0, reason=reason)
    apart = cases - mean
    differ = np.abs(apart) > _ROUNDING * np.abs(cases).max()
    count = int(differ.sum())
    rejected = 1.0 - confidence
    low, high, reason = _interval(cases, rejected, draws, seed)
    lowest, highest, most = _without_one(cases)
    return MeanOfFew(
        mean=float(cases.mean()),
        low=low,
        high=high,
        confidence=confidence,
        p_value=_p_value(apart[differ], draws, seed),
        smallest_p=_smallest_p(count, draws),
        values=cases.size,
        differing=count,
        exact=cases.size <= MOST_EXACT,
        lowest=lowest,
        highest=highest,
        most_influential=most,
        detectable=_detectable(cases, draws),
        reason=reason,
    )


def _p_value(apart: Floats, draws: int, seed: int) -> float:
    """Two-sided p-value of a mean of zero, of distances that all differ from it."""
    total = float(apart.sum())
    room = _ROUNDING * float(np.abs(apart).sum())
    if abs(total) <= room:
        return 1.0
    flipped, _ = _subsets(apart * math.copysign(1.0, total), draws, seed)
    return min(1.0, 2.0 * float((flipped <= room).mean()))


def _interval(cases: Floats, rejected: float, draws: int, seed: int) -> tuple[float, float, str]:
    """Ends of the interval, and why there is none."""
    sums, sizes = _subsets(cases, draws, seed)
    # Rounding up a product that is whole but for rounding would widen the interval by a subset.
    rank = math.floor(rejected * len(sums) / 2.0 + 1e-9)
    if rank < 1:
        needed = math.ceil(1.0 - math.log2(rejected) - 1e-9)
        confidence = f"{1.0 - rejected:.0%}"
        reason = f"an interval at {confidence} needs at least {needed} values; got {len(cases)}"
        return math.nan, math.nan, reason
    if np.ptp(cases) <= _ROUNDING * np.abs(cases).max():
        return math.nan, math.nan, "the values do not vary"
    means = sums[1:] / sizes[1:]
    low, high = np.partition(means, [rank - 1, len(means) - rank])[[rank - 1, len(means) - rank]]
    return float(low), float(high), ""


def _subsets(cases: Floats, draws: int, seed: int) -> tuple[Floats, Floats]:
    """Sum and size of every subset, the empty one first; of drawn ones where there are too many."""
    if len(cases) <= MOST_EXACT:
        sums, sizes = np.zeros((2, 2 ** len(cases)))
        for place, value in enumerate(cases.tolist()):
            half = 2**place
            np.add(sums[:half], value, out=sums[half : 2 * half])
            np.add(sizes[:half], 1.0, out=sizes[half : 2 * half])
        return sums, sizes
    rng = np.random.default_rng(seed)
    sums, sizes = np.zeros(draws + 1), np.zeros(draws + 1)
    for value in cases.tolist():
        taken = rng.integers(0, 2, draws)
        sums[1:] += taken * value
        sizes[1:] += taken
    return sums, np.maximum(sizes, 1.0)


def _smallest_p(count: int, draws: int) -> float:
    if count <= MOST_EXACT:
        return min(1.0, 2.0 ** (1 - count))
    return 2.0 / (draws + 1)


def _without_one(cases: Floats) -> tuple[float, float, int]:
    """Lowest and highest mean without one value, and the position of the most influential."""
    if cases.size < 2:
        return math.nan, math.nan, cases.size - 1
    means = (cases.sum() - cases) / (cases.size - 1)
    most = int(np.abs(cases - cases.mean()).argmax())
    return float(means.min()), float(means.max()), most


def _detectable(cases: Floats, draws: int) -> float:
    """Smallest mean found four times in five; NaN where the test could never reject."""
    spread = float(cases.std(ddof=1)) if cases.size > 1 else 0.0
    if spread == 0.0 or _smallest_p(cases.size, draws) > LEVEL:
        return math.nan
    deviations = detectable_deviations(LEVEL, 0.8, degrees=cases.size - 1)
    return deviations * spread / math.sqrt(cases.size)
