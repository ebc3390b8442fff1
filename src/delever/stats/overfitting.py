"""How often the best of many trials disappoints on the time it was not chosen on.

References
----------
Bailey, Borwein, Lopez de Prado and Zhu (2017), The probability of backtest overfitting,
doi:10.21314/JCF.2016.322: combinatorially symmetric cross-validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from delever.arguments import Floats, Rows, checked
from delever.errors import InputError

MOST_BLOCKS = 16
_SAME = 1e-12  # ratios of equal trials differ by no more, summed in another order
_SPLITS = 64  # looked at together: bounds memory at trials x splits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overfitting:
    """What choosing by the Sharpe ratio on half of the time came to on the other half.

    Attributes
    ----------
    splits : int
        Ways of halving the blocks.
    probability : float
        Share of splits in which the best of one half is no better than the median of the other. One
        half where trials differ by luck alone; far above it where what did well then did badly.
    logits : ndarray of float, shape (splits,)
        ``ln(w / (1 - w))``, w the rank of the chosen trial in the other half over trials + 1.
    chosen : ndarray of int, shape (splits,)
        Row of the trial chosen in each split.
    inside, outside : ndarray of float, shape (splits,)
        Its Sharpe ratios per bar, in the half that chose it and in the other.
    slope : float
        Of a line through `outside` over `inside`: below zero where the better it looked, the worse
        it did. NaN where all are equal.
    loss : float
        Share of splits in which `outside` is below zero.
    """

    splits: int
    probability: float
    logits: Floats
    chosen: Rows
    inside: Floats
    outside: Floats
    slope: float
    loss: float


@checked
def overfitting(sums: ArrayLike, squares: ArrayLike, bars: ArrayLike) -> Overfitting:
    """Choose the best of many trials on every half of the time, and look at the other half.

    Exact: all ways of taking half of the blocks, no random numbers.

    Parameters
    ----------
    sums, squares : array_like of float, shape (trials, blocks)
        Of each trial's returns, and of their squares, in blocks of time; finite, trials >= 2, and
        an even number of blocks from 4 to 16.
    bars : array_like of int, shape (blocks,)
        How many returns each block holds; together at least 2 in any half.

    Raises
    ------
    InputError
        If shapes differ or values lie outside these ranges.

    Notes
    -----
    The Sharpe ratio of a half is ``mean / std`` with ddof 1, and 0 where returns do not vary. Equal
    trials share the middle of their ranks.

    Examples
    --------
    >>> returns = np.random.default_rng(3).normal(size=(50, 8, 30))
    >>> found = overfitting(returns.sum(axis=2), (returns**2).sum(axis=2), [30] * 8)
    >>> found.splits, round(found.probability, 2)
    (70, 0.63)
    """
    totals, energy = np.asarray(sums, dtype=np.float64), np.asarray(squares, dtype=np.float64)
    counts = np.asarray(bars, dtype=np.float64)
    trials, blocks = totals.shape if totals.ndim == 2 else (0, 0)
    if not (
        totals.shape == energy.shape
        and counts.shape == (blocks,)
        and trials >= 2
        and 4 <= blocks <= MOST_BLOCKS
        and blocks % 2 == 0
        and np.isfinite(totals).all()
        and np.isfinite(energy).all()
        and np.sort(counts)[: blocks // 2].sum() >= 2
    ):
        raise InputError(
            "sums and squares must be finite, a row per trial (at least 2) and an even number of "
            f"blocks from 4 to {MOST_BLOCKS}, bars one count a block; "
            f"got shapes {totals.shape}, {energy.shape} and {counts.shape}"
        )
    halves = _halves(blocks)
    chosen = np.empty(len(halves), dtype=np.intp)
    inside, outside, ranks = np.empty((3, len(halves)))
    # The other half of a split is a split too: both are measured once, half of the splits a pass.
    for first in range(0, len(halves) // 2, _SPLITS):
        rows = np.arange(first, min(first + _SPLITS, len(halves) // 2))
        both = [rows, len(halves) - 1 - rows]
        ratios = [_ratios(totals, energy, counts, halves[each]) for each in both]
        for (own, other), each in zip((ratios, ratios[::-1]), both, strict=True):
            best = own.argmax(axis=0)
            place = np.arange(len(rows))
            inside[each], reached = own[best, place], other[best, place]
            below, not_above = ((other <= reached + far).sum(axis=0) for far in (-_SAME, _SAME))
            chosen[each], outside[each] = best, reached
            ranks[each] = (below + not_above + 1) / (2.0 * (trials + 1))
    logits = np.log(ranks / (1.0 - ranks))
    return of_splits(logits=logits, chosen=chosen, inside=inside, outside=outside)


def of_splits(*, logits: Floats, chosen: Rows, inside: Floats, outside: Floats) -> Overfitting:
    """What follows from every split."""
    spread = inside - inside.mean()
    varies = float(spread @ spread)
    return Overfitting(
        splits=len(logits),
        probability=float((logits <= 0.0).mean()),
        logits=logits,
        chosen=chosen,
        inside=inside,
        outside=outside,
        slope=float(spread @ outside) / varies if varies > 0.0 else np.nan,
        loss=float((outside < 0.0).mean()),
    )


def _halves(blocks: int) -> Floats:
    """Every half of the blocks as a row of ones; the k-th from the end is what the k-th leaves."""
    taken = list(combinations(range(blocks), blocks // 2))
    halves = np.zeros((len(taken), blocks))
    halves[np.arange(len(taken))[:, None], taken] = 1.0
    return halves


def _ratios(totals: Floats, energy: Floats, counts: Floats, halves: Floats) -> Floats:
    """Sharpe ratios per bar, shape (trials, splits)."""
    bars = halves @ counts
    return sharpe_of_sums(totals @ halves.T, energy @ halves.T, bars)


def sharpe_of_sums(sums: Floats, squares: Floats, bars: Floats) -> Floats:
    """Sharpe ratios per bar from sums of returns and of their squares; 0 where none varies."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / bars
        level = sums * mean
        left = squares - level
        # What rounding leaves of a constant is no variance.
        left = np.where(left <= 1e-12 * level, np.inf, left)
        found: Floats = mean / np.sqrt(left / (bars - 1.0))
    return found
