"""Whether any of many trials is better than a benchmark, given that the best was looked for.

One test knows only sums in a few blocks of time, of any number of trials; the other all bars, of a
few. In both the largest figure found is compared with the largest of every draw.

References
----------
White (2000), A reality check for data snooping, doi:10.1111/1468-0262.00152.

Hansen (2005), A test for superior predictive ability, doi:10.1198/073500105000000063.

Romano and Wolf (2005), Stepwise multiple testing as formalized data snooping,
doi:10.1111/j.1468-0262.2005.00615.x.

Canay, Romano and Shaikh (2017), Randomization tests under an approximate symmetry assumption,
doi:10.3982/ECTA13081: signs of the sums of a few blocks of dependent values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from delever.arguments import MOST_SEED, Flags, Floats, checked, whole_number
from delever.errors import InputError
from delever.stats.blocks import (
    LEAST_BARS,
    Blocks,
    Influence,
    chosen_length,
    draw_blocks,
    long_run_error,
)
from delever.stats.families import stepdown

_MOST_VALUES = 4_000_000  # in all trials and draws at once: bounds memory
_LEAST = 1e-6  # of a standard error: a resample in which nothing varies counts against
_SAME = 1e-5  # draws are of single precision
Singles: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BestOfMany:
    """Trials of a family, each judged as if it had been looked for in all of it.

    Attributes
    ----------
    p_values : ndarray of float, shape (trials,)
        How often the best of as many worthless trials stands out as far; NaN for a trial that does
        not vary.
    better : ndarray of bool, shape (trials,)
        The trials of which one or more are worthless in at most `level` of cases: found step by
        step, those found before no longer counting (Romano and Wolf).
    """

    p_values: Floats
    better: Flags

    @property
    def p_value(self) -> float:
        """Of the family: that of the trial that stands out furthest; NaN where none varies."""
        known = self.p_values[~np.isnan(self.p_values)]
        return float(known.min()) if len(known) else math.nan


@checked
def best_of_many(
    parts: ArrayLike, *, level: float = 0.05, draws: int = 4_095, seed: int = 0
) -> BestOfMany:
    """Test all trials of a family at once, from what each made in a few blocks of time.

    Parameters
    ----------
    parts : array_like of float, shape (trials, blocks)
        What each trial made in each block, the same blocks for all: a sum whose true mean is 0, or
        below, where the trial is worthless; finite. 0 where it had not begun.
    level : float
        Of `BestOfMany.better`, in (0, 1).
    draws, seed : int
        How many patterns of signs, >= 99.

    Raises
    ------
    InputError
        If `parts` has another shape or holds what is not finite, or a parameter lies outside its
        range.

    Notes
    -----
    ``u = sum d / sqrt(sum d ** 2)`` over the blocks, a monotone function of Student's t. Each draw
    turns the sign of some blocks, of all trials alike, which keeps how they move together; p is the
    share of draws, the blocks as they are among them, in which the largest u is as large. Exact
    where blocks are independent and as likely to be above 0 as below by the same amount, whatever
    the variance of each: returns may depend on each other within blocks, and have any tails.

    Examples
    --------
    >>> made = np.random.default_rng(2).normal(size=(50, 16))
    >>> made[7] += 2.0
    >>> found = best_of_many(made)
    >>> bool(found.p_value < 0.05), np.flatnonzero(found.better).tolist()
    (True, [7])
    """
    data = np.asarray(parts, dtype=np.float64)
    if data.ndim != 2 or data.shape[1] < 4 or not np.isfinite(data).all():
        raise InputError(
            "parts must be finite, a row per trial and at least 4 blocks; "
            f"got shape {data.shape} with {int((~np.isfinite(data)).sum())} not finite"
        )
    _check(level, draws, seed)
    length = np.sqrt((data**2).sum(axis=1))
    varies = np.flatnonzero(length > 0.0)
    p_values, better = np.full(len(data), np.nan), np.zeros(len(data), dtype=bool)
    if not len(varies):
        return BestOfMany(p_values=p_values, better=better)
    unit: Singles = (data[varies] / length[varies, None]).astype(np.float32)
    seen = data[varies].sum(axis=1) / length[varies]
    signs = np.random.default_rng(seed).choice(
        np.array([-1.0, 1.0], dtype=np.float32), size=(data.shape[1], draws)
    )
    largest: Floats = _largest(unit, signs)
    p_values[varies] = _share_above(largest, seen)
    left = np.ones(len(varies), dtype=bool)
    while left.any():
        gone = left & (_share_above(largest, seen) <= level)
        if not gone.any():
            break
        better[varies[gone]] = True
        left &= ~gone
        if left.any():
            largest = _largest(unit[left], signs)
    return BestOfMany(p_values=p_values, better=better)


def _largest(unit: Singles, signs: Singles) -> Floats:
    """Largest figure of all trials in each draw, in order of size."""
    together = max(1, _MOST_VALUES // len(unit))
    found = np.empty(signs.shape[1], dtype=np.float64)
    for first in range(0, len(found), together):
        found[first : first + together] = (unit @ signs[:, first : first + together]).max(axis=0)
    found.sort()
    return found


def _share_above(largest: Floats, seen: Floats) -> Floats:
    """Share of sorted draws, and of what was seen, that reach each figure."""
    reached = len(largest) - np.searchsorted(largest, seen - _SAME)
    return np.asarray((1.0 + reached) / (1.0 + len(largest)), dtype=np.float64)


def sharpe_parts(sums: Floats, squares: Floats, bars: Floats) -> Floats:
    """What each block adds to the Sharpe ratio of a bar; NaN for a trial that does not vary.

    Parameters
    ----------
    sums, squares : ndarray of float, shape (trials, blocks)
        Of each trial's returns, and of their squares.
    bars : ndarray of float, shape (blocks,)
        Returns in each block.

    Notes
    -----
    The ratio S and what each return r moves it by, ``z - S (z ** 2 - 1) / 2`` with ``z = (r - mean)
    / std``, summed over the block: all blocks together are S, with ddof 0.
    """
    many = bars.sum()
    mean = sums.sum(axis=1, keepdims=True) / many
    around = squares - 2.0 * mean * sums + bars * mean**2
    variance = around.sum(axis=1, keepdims=True) / many
    variance = np.where(variance > 1e-12 * mean**2, variance, np.nan)
    ratio = mean / np.sqrt(variance)
    moved = (sums - bars * mean) / np.sqrt(variance) - ratio / 2.0 * (around / variance - bars)
    found: Floats = (bars * ratio + moved) / many
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Superior:
    """Whether any of a few trials is better than a benchmark, from all bars.

    Attributes
    ----------
    lower, consistent, upper : float
        p-values that any is: where trials far below the benchmark count as they are, are set
        aside, or count as if they were level with it. `consistent` is Hansen's.
    p_values : ndarray of float, shape (trials,)
        Of each, stepwise (Romano and Wolf), consistent: those at most p are all better but in a
        share p of cases.
    """

    lower: float
    consistent: float
    upper: float
    p_values: Floats


@checked
def superior(
    differences: ArrayLike,
    *,
    studentised: bool = True,
    block: float | None = None,
    draws: int = 1_000,
    seed: int = 0,
) -> Superior:
    """Test for superior predictive ability, and step by step which trials have it.

    Parameters
    ----------
    differences : array_like of float, shape (bars, trials)
        What each trial made in a bar less what the benchmark made; finite, bars >= 30.
    studentised : bool
        Means over their standard errors, each resample by its own; else the means themselves, as
        White (2000) has it and arch computes, which wild trials decide.
    block : float, optional
        Mean length of the blocks of the stationary bootstrap, > 1; by default the longest that one
        of the trials asks for.
    draws, seed : int
        How many resamples, >= 99.

    Raises
    ------
    InputError
        If `differences` has another shape or holds what is not finite, or a parameter lies outside
        its range.

    Examples
    --------
    >>> made = np.random.default_rng(3).normal(size=(800, 5))
    >>> made[:, 2] += 0.2
    >>> found = superior(made)
    >>> found.consistent < 0.01, np.flatnonzero(found.p_values <= 0.05).tolist()
    (True, [2])
    """
    data = np.asarray(differences, dtype=np.float64)
    if data.ndim != 2 or len(data) < LEAST_BARS or not (data.size and np.isfinite(data).all()):
        raise InputError(
            f"differences must be finite, a column per trial and at least {LEAST_BARS} bars; "
            f"got shape {data.shape} with {int((~np.isfinite(data)).sum())} not finite"
        )
    _check(0.5, draws, seed)
    own = [Influence.of(column) for column in data.T]
    if block is None:
        varied = [one for one in own if np.ptp(one.values) > 0.0]
        block = max(map(chosen_length, varied), default=2.0)
    if not block > 1.0:
        raise InputError(f"block must be above 1; got {block:g}")
    blocks = draw_blocks(len(data), block, draws, seed)
    errors = np.array([long_run_error(one, block) for one in own])
    return _superior(data, blocks, errors, studentised=studentised)


def _superior(data: Floats, blocks: Blocks, errors: Floats, *, studentised: bool) -> Superior:
    """The same on blocks that were drawn.

    With standard errors of the sample in place of each resample's own, wild and dependent returns
    that are worth nothing are called better in 13 % of cases, not in 5 %.
    """
    bars, means = len(data), data.mean(axis=0)
    sums = blocks.sums(data - means)  # shape (draws, blocks, trials)
    drawn, seen = sums.sum(axis=1) / bars, means
    if studentised:  # by the error of each resample, as its own blocks tell it
        within = sums - blocks.lengths[..., None] * drawn[:, None]
        own = np.sqrt(np.einsum("dbk,dbk->dk", within, within)) / bars
        drawn = np.where(own > _LEAST * errors, drawn / np.maximum(own, _LEAST * errors), np.inf)
        seen = means / np.where(errors > 0.0, errors, np.inf)
    far_below = means < -errors * math.sqrt(2.0 * math.log(math.log(bars)))
    # Where a trial is not set level with the benchmark, its draws stay about its own mean.
    stays = {"lower": np.minimum(seen, 0.0), "consistent": np.where(far_below, seen, 0.0)}
    laid = {**{name: drawn + own for name, own in stays.items()}, "upper": drawn}
    shares = {
        name: float((1 + (own.max(axis=1) >= seen.max()).sum()) / (1 + len(own)))
        for name, own in laid.items()
    }
    return Superior(**shares, p_values=stepdown(seen, laid["consistent"]))


def _check(level: float, draws: int, seed: int) -> None:
    whole_number("draws", draws, 99, 1_000_000)
    whole_number("seed", seed, 0, MOST_SEED)
    if not 0.0 < level < 1.0:
        raise InputError(f"level must lie between 0 and 1; got {level:g}")
