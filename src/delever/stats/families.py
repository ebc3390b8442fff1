"""Many runs at once: each against a benchmark, all pairs, and which of them may be the best.

Who looks at ten differences finds the largest; its p-value is right only if it is told of the other
nine. All resamples here are the same blocks of the same bars for every run, so that what the runs
share is in them.

References
----------
Holm (1979), A simple sequentially rejective multiple test procedure,
https://www.jstor.org/stable/4615733.

Benjamini and Hochberg (1995), Controlling the false discovery rate,
https://www.jstor.org/stable/2346101.

Romano and Wolf (2005), Stepwise multiple testing as formalized data snooping,
doi:10.1111/j.1468-0262.2005.00615.x; (2016), Efficient computation of adjusted p-values for
resampling-based stepdown multiple testing, doi:10.1016/j.spl.2016.02.012.

Hansen, Lunde and Nason (2011), The model confidence set, doi:10.3982/ECTA5771.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from delever.arguments import Floats, checked, one_of
from delever.errors import InputError
from delever.stats.blocks import (
    Blocks,
    Resampled,
    Smooth,
    chosen_length,
    draw_blocks,
    growth_of,
    resample,
    sharpe_of,
)
from delever.stats.bootstrap import Estimate, check_draws, studentised, unsaid
from delever.stats.inference import finite_row

Measure: TypeAlias = Literal["growth", "sharpe"]
"""What is compared: mean log growth per year, or the Sharpe ratio per year."""


@checked
def holm(p_values: ArrayLike) -> Floats:
    """p-values of a family, such that at most a share `level` of families has a false one below it.

    Holm (1979): the smallest of m is multiplied by m, the next by m - 1, and none is below the one
    before. NaN stays NaN and does not count.

    Parameters
    ----------
    p_values : array_like of float, shape (m,)

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, dtype="float64")
    out = np.full(given.shape, np.nan)
    order = np.argsort(given)[: int((~np.isnan(given)).sum())]
    factors = np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return out


@checked
def false_discoveries(p_values: ArrayLike) -> Floats:
    """Share of false ones among those of a family at or below each p-value, on average at most.

    Benjamini and Hochberg (1995): the i-th of m in order of size is multiplied by m / i, and none
    is above the one behind. It holds where p-values are independent or move together. NaN stays
    NaN and does not count.

    Parameters
    ----------
    p_values : array_like of float, shape (m,)

    Examples
    --------
    >>> false_discoveries([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    given = np.asarray(p_values, dtype="float64")
    out = np.full(given.shape, np.nan)
    order = np.argsort(given)[: int((~np.isnan(given)).sum())]
    rates = given[order] * len(order) / np.arange(1, len(order) + 1)
    out[order] = np.minimum(np.minimum.accumulate(rates[::-1])[::-1], 1.0)
    return out


def stepdown(observed: Floats, drawn: Floats) -> Floats:
    """Family-wise p-values of statistics that were resampled together, Romano and Wolf (2016).

    Parameters
    ----------
    observed : ndarray of float, shape (m,)
        Distances from the hypothesis, in standard errors, >= 0; NaN does not count.
    drawn : ndarray of float, shape (draws, m)
        Those of the resamples from the sample.

    Notes
    -----
    The largest is compared with the largest of every resample, the next with the largest of what is
    left, and no p-value is below the one before.

    Examples
    --------
    >>> stepdown(np.array([3.0, 1.0]), np.array([[1.0, 2.0], [0.0, 0.0], [4.0, 0.0]])).tolist()
    [0.5, 0.5]
    """
    out = np.full(observed.shape, np.nan)
    order = np.argsort(-observed)[: int((~np.isnan(observed)).sum())]
    if not len(order):
        return out
    # Column j: the largest of the j-th and all that stand behind it.
    largest = np.maximum.accumulate(drawn[:, order[::-1]], axis=1)[:, ::-1]
    above = (largest >= observed[order]).sum(axis=0)
    out[order] = np.maximum.accumulate((1 + above) / (len(drawn) + 1))
    return out


@checked
def against(
    returns: ArrayLike,
    benchmark: ArrayLike,
    periods_per_year: float,
    *,
    measure: Measure = "growth",
    confidence: float = 0.9,
    draws: int = 1_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Every run less a benchmark, with interval, test, and the test for the family.

    Parameters
    ----------
    returns : array_like of float, shape (n, k)
        A column per run: simple returns of bars in order of time, fractions.
    benchmark : array_like of float, shape (n,) or (n, k)
        Of the same bars, one for all runs or one for each.
    periods_per_year, confidence, draws, seed
        As in `delever.stats.bootstrap.sharpe_difference`.
    measure : {"growth", "sharpe"}

    Returns
    -------
    pandas.DataFrame, shape (k, 8)
        ``value``, ``low``, ``high``, ``standard_error``, ``p_value``, ``p_holm``, ``p_stepdown``,
        and ``reason``: why there is no interval. What cannot be said is NaN, in no family.

    Raises
    ------
    InputError
        If shapes differ, a return is not finite or a parameter lies outside its range.

    Notes
    -----
    All runs share their blocks, whose length is the longest that one of the differences asks for.
    So an interval may differ a little from that of the same difference taken alone.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> market = rng.normal(0.001, 0.02, 500)
    >>> runs = np.stack([market + 0.004, market * 0.5, market], axis=1)
    >>> against(runs, market, 365)["p_stepdown"].round(3).tolist()[:1]
    [0.001]
    """
    check_draws(confidence, draws, seed)
    rows, shared = _rows(returns), np.asarray(benchmark, dtype="float64")
    beside = _rows(shared[:, None] if shared.ndim == 1 else shared)
    if len(beside) not in (1, len(rows)):
        raise InputError(
            f"benchmark must be one or as many as runs; got {len(beside)} for {len(rows)}"
        )
    parts, scale = _parts([*rows, *beside], measure, periods_per_year)
    pairs = [(place, len(rows) + place % len(beside)) for place in range(len(rows))]
    found, drawn = _differences(parts, pairs, scale, confidence, draws, seed)
    table = _table(found)
    table["p_stepdown"] = stepdown(
        (table["value"] / table["standard_error"]).abs().to_numpy(), drawn
    )
    return table[[*_FIRST, "p_holm", "p_stepdown", "reason"]]


@checked
def pairwise(
    returns: ArrayLike,
    periods_per_year: float,
    *,
    measure: Measure = "growth",
    confidence: float = 0.9,
    draws: int = 1_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Every run less every later one, with interval, test, and the test for the family.

    Parameters
    ----------
    returns, periods_per_year, measure, confidence, draws, seed
        As in `against`; k >= 2.

    Returns
    -------
    pandas.DataFrame, shape (k (k - 1) / 2, 8)
        As `against`, without ``p_stepdown``; ``first`` and ``second`` are the columns compared.

    Raises
    ------
    InputError
        As `against`.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> market = rng.normal(0.001, 0.02, 500)
    >>> found = pairwise(np.stack([market, market + 0.004, market * 0.5], axis=1), 365)
    >>> found[["first", "second"]].to_numpy().tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    check_draws(confidence, draws, seed)
    rows = _rows(returns)
    parts, scale = _parts(rows, measure, periods_per_year)
    pairs = list(combinations(range(len(rows)), 2))
    found, _ = _differences(parts, pairs, scale, confidence, draws, seed)
    table = _table(found)
    table["first"], table["second"] = np.array(pairs, dtype=int).reshape(-1, 2).T
    return table[["first", "second", *_FIRST, "p_holm", "reason"]]


@checked
def best_set(returns: ArrayLike, *, draws: int = 1_000, seed: int = 0) -> Floats:
    """How well each run may be the one that grows most: p-values of the model confidence set.

    The runs whose p-value exceeds 0.1 hold the best one in nine cases of ten; of runs equally good,
    all of them.

    Parameters
    ----------
    returns, draws, seed
        As in `against`; k >= 2.

    Returns
    -------
    ndarray of float, shape (k,)
        In [0, 1], 1 for the run that is left at last; all NaN where there are fewer than 30 bars or
        one of the runs lost everything.

    Raises
    ------
    InputError
        As `against`.

    Notes
    -----
    Hansen, Lunde and Nason (2011) with the range of studentised differences: of the two runs that
    stand furthest apart, in standard errors, the worse one leaves; its p-value is how often the
    range of the resamples is as wide, and no smaller than that of a run which left before. Every
    resample has standard errors of its own, as in `pairwise`: with those of the sample, equal runs
    were set apart too often. Runs that do not differ leave together.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> market = rng.normal(0.001, 0.02, 500)
    >>> best_set(np.stack([market - 0.004, market, market], axis=1)).round(2).tolist()
    [0.0, 1.0, 1.0]
    """
    check_draws(0.9, draws, seed)
    parts, _ = _parts(_rows(returns), "growth", 1.0)
    if any(part.reason for part in parts):
        return np.full(len(parts), np.nan)
    pairs = list(combinations(range(len(parts)), 2))
    found, drawn = _differences(parts, pairs, 1.0, 0.9, draws, seed)
    # A pair without an interval cannot be told apart: it decides nothing.
    told = np.array([not each.reason for each in found])
    drawn = np.where(told, drawn, 0.0)
    ahead = np.array([each.value / each.standard_error for each in found])
    ahead = np.where(told, ahead, 0.0)
    out, left, highest = np.ones(len(parts)), set(range(len(parts))), 0.0
    while len(left) > 1:
        inside = [place for place, pair in enumerate(pairs) if left.issuperset(pair)]
        widest = max(inside, key=lambda place: abs(ahead[place]))
        if ahead[widest] == 0.0:
            break
        ranges = drawn[:, inside].max(axis=1)
        above = int((ranges >= abs(ahead[widest])).sum())
        highest = max(highest, (1 + above) / (draws + 1))
        gone = pairs[widest][int(ahead[widest] > 0.0)]
        alike = {
            place
            for pair, each in zip(pairs, found, strict=True)
            if each.reason and gone in pair
            for place in pair
        }
        together = left & (alike | {gone})
        out[list(together)] = highest
        left -= together
    return out


_FIRST = ("value", "low", "high", "standard_error", "p_value")


def _rows(returns: ArrayLike) -> list[Floats]:
    table = np.asarray(returns, dtype="float64")
    if table.ndim != 2 or not table.shape[1]:
        raise InputError(f"returns must have a column per run; got shape {table.shape}")
    return [finite_row(column) for column in table.T]


def _parts(
    rows: Sequence[Floats], measure: Measure, periods_per_year: float
) -> tuple[list[Smooth], float]:
    """The statistic of every row, and how many of its units a year has."""
    if len({len(row) for row in rows}) != 1:
        raise InputError(
            f"runs and benchmark must be of the same bars; got {sorted({len(r) for r in rows})}"
        )
    if measure == "growth":
        return [growth_of(row) for row in rows], periods_per_year
    one_of("measure", measure, get_args(Measure))
    return [sharpe_of(row) for row in rows], math.sqrt(periods_per_year)


def _blocks(
    parts: Sequence[Smooth], pairs: Sequence[tuple[int, int]], draws: int, seed: int
) -> tuple[Blocks, float]:
    """Blocks long enough for the difference of every pair, and their mean length."""
    bars = len(parts[0].influence)
    lengths = (chosen_length(parts[one].influence - parts[other].influence) for one, other in pairs)
    length = max(lengths, default=float(bars))
    return draw_blocks(bars, length, draws, seed), length


def _differences(
    parts: Sequence[Smooth],
    pairs: Sequence[tuple[int, int]],
    scale: float,
    confidence: float,
    draws: int,
    seed: int,
) -> tuple[list[Estimate], Floats]:
    """Every difference, and its distances in the resamples, shape (draws, differences)."""
    found, drawn = [], np.full((draws, len(pairs)), np.nan)
    reasons = [unsaid([parts[one], parts[other]]) for one, other in pairs]
    said = [pair for pair, reason in zip(pairs, reasons, strict=True) if not reason]
    resamples: dict[int, Resampled] = {}
    if said:
        blocks, length = _blocks(parts, said, draws, seed)
        for place in sorted({place for pair in said for place in pair}):
            resamples[place] = resample(parts[place], blocks)
    for column, ((one, other), reason) in enumerate(zip(pairs, reasons, strict=True)):
        two = parts[one], parts[other]
        if reason:
            value = (two[0].value - two[1].value) * scale
            found.append(Estimate(value=value, confidence=confidence, reason=reason))
            continue
        both = resamples[one], resamples[other]
        estimate, drawn[:, column] = studentised(two, both, length, scale, confidence)
        found.append(estimate)
    return found, drawn


def _table(found: Sequence[Estimate]) -> pd.DataFrame:
    table = pd.DataFrame([asdict(each) for each in found])
    table["p_holm"] = holm(table["p_value"].to_numpy())
    return table
