"""Whether the bars after some events differ from the bars after others.

A contrast gives every bar of every symbol a weight: the events share a weight of 1, what they are
compared with shares -1. Its value is the difference of two means of forward returns. Its
distribution under chance comes from laying the whole pattern of weights elsewhere on the same
history.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.arguments import Flags, Floats, Rows
from delever.errors import InputError
from delever.research.signal.forward import distinct

_HALF_LIFE = 10
_WARM_UP = 20
_MATCHED = 0.1
_FEWEST_MATCHED = 20
_FEWEST_SHARED = 20
_LEAST_ROOM = 0.25
"""A shift counts while its sum has at least this share of the variance of the pattern's own."""
_TAKEN = 0.5
"""How much of what volatility does after such bars is taken into the size of chance, as a power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A difference of mean forward returns, and its test."""

    difference: float  # mean after the events less mean after the others, a fraction
    # the same of returns scaled by volatility, brought back to a fraction at the mean volatility of
    # the events: what is tested
    adjusted: float
    low: float  # interval around `adjusted`, fractions
    high: float
    p_value: float  # share of circular shifts that differ at least as much, in (0, 1]


def known_volatility(close: pd.Series) -> pd.Series:
    """Volatility of a bar as known at its close: root of an exponentially weighted mean square."""
    squared = (close / close.shift(1)).transform(np.log) ** 2
    return weighted_mean(squared.to_frame()).iloc[:, 0].transform(np.sqrt).rename("volatility")


def weighted_mean(values: pd.DataFrame) -> pd.DataFrame:
    """Exponentially weighted mean of each column up to each row, half-life 10 rows."""
    return values.ewm(halflife=_HALF_LIFE, min_periods=_WARM_UP).mean()


def clusters(event: Flags, horizon: int) -> tuple[Rows, Rows, Rows]:
    """Events that count, in order of time: row, symbol and number of the cluster of each.

    A cluster begins with the first event after the one before has ended, and lasts `horizon` bars;
    of each symbol its first event counts, if the holding period of the symbol's last one is over.
    """
    if event.shape[1] == 1:
        alone = distinct(np.flatnonzero(event[:, 0]), horizon)
        return alone, np.zeros(len(alone), dtype=np.intp), np.arange(len(alone))
    found: list[tuple[int, int, int]] = []
    begun, number = -horizon, -1
    last = [-horizon] * event.shape[1]  # of each symbol
    for row, symbol in np.argwhere(event).tolist():
        if row < last[symbol] + horizon:
            continue
        if row >= begun + horizon:
            begun, number = row, number + 1
        last[symbol] = row
        found.append((row, symbol, number))
    rows, symbols, numbers = np.array(found, dtype=np.intp).reshape(-1, 3).T
    return rows, symbols, numbers


def event_weights(event: Flags, horizon: int) -> Floats:
    """Weights of the events that count; those of one cluster share one."""
    rows, symbols, numbers = clusters(event, horizon)
    weights = np.zeros(event.shape)
    weights[rows, symbols] = 1.0 / np.bincount(numbers)[numbers]
    return weights


def evenly(weights: Floats, there: Flags) -> Floats:
    """Each symbol's weight, spread over all bars that it has."""
    bars = np.maximum(there.sum(axis=0), 1)
    return np.asarray(there * (weights.sum(axis=0) / bars), dtype="float64")


def matched_weights(weights: Floats, volatility: Floats) -> Floats:
    """Each event's weight, spread over the bars of its symbol nearest in rank of volatility.

    Bars without a volatility are none.
    """
    out = np.zeros(weights.shape)
    for symbol in range(weights.shape[1]):
        there = np.flatnonzero(np.isfinite(volatility[:, symbol]))
        rows = len(there)
        width = min(rows, max(_FEWEST_MATCHED, round(_MATCHED * rows)))
        order = there[np.argsort(volatility[there, symbol], kind="stable")]
        ranked = weights[order, symbol]
        places = np.flatnonzero(ranked)
        # At either end of the ranks the neighbourhood is the outermost tenth.
        first = np.clip(places - width // 2, 0, rows - width)
        edges = np.zeros(rows + 1)
        np.add.at(edges, first, ranked[places] / width)
        np.add.at(edges, first + width, -ranked[places] / width)
        out[order, symbol] = np.cumsum(edges)[:-1]
    return out


def compare(
    weights: Floats,
    others: Floats,
    forward: Floats,
    volatility: Floats,
    horizon: int,
    *,
    alpha: float = 0.05,
    like: Floats | None = None,
) -> tuple[Contrast, Floats]:
    """Compare forward returns after events with those after others; see docs/signal-studies.md.

    Arrays have the shape (bars, symbols); `like` are weights of bars after which returns vary as
    after the events, `others` by default. Beside the contrast stands what it is on every shift,
    shape (bars,), its own place first; NaN where too little of the pattern would lie on bars that
    there are. It is taken for granted that returns in units of volatility are stationary and, if
    the events mean nothing, independent of the pattern.

    Raises InputError if weights do not sum to a positive number or lie on bars without a return or
    volatility, which are NaN.
    """
    pattern = contrast_pattern(weights, others)
    values = scaled(forward, volatility, horizon)
    if not np.isfinite(values[pattern != 0]).all():
        raise InputError(
            "forward returns must be finite and volatility above 0 on every bar compared; "
            "leave out bars without either"
        )
    counted = weights > 0
    size = (weights[counted] * volatility[counted]).sum() / weights.sum() * math.sqrt(horizon)
    chance = shifted(pattern, values) * size
    chance[1:] *= spread_after(others if like is None else like, values)
    adjusted = float(chance[0])
    lower, upper = np.nanquantile(chance, [alpha / 2, 1 - alpha / 2]).tolist()
    contrast = Contrast(
        difference=float((pattern * np.where(np.isfinite(values), forward, 0.0)).sum()),
        adjusted=adjusted,
        low=adjusted - upper,
        high=adjusted - lower,
        p_value=family_p_values([chance])[0],
    )
    return contrast, chance


def contrast_pattern(weights: Floats, others: Floats) -> Floats:
    """Weights of events that share 1 and of others that share -1."""
    for name, values in (("weights", weights), ("others", others)):
        if not values.sum() > 0:
            raise InputError(f"{name} must sum to a positive number; there is nothing to compare")
    return np.asarray(weights / weights.sum() - others / others.sum())


def scaled(forward: Floats, volatility: Floats, horizon: int) -> Floats:
    """Forward returns in units of the volatility known before, NaN without either."""
    return forward / (np.where(volatility > 0, volatility, np.nan) * math.sqrt(horizon))


def spread_after(like: Floats, values: Floats) -> float:
    """How far values after some bars lie from their symbol's mean, beside those after all bars.

    The ratio of the deviations is itself uncertain, so its root is taken: measured in markets
    without an effect, intervals cover too much without it and too little with the whole of it.
    """
    there = np.isfinite(values)
    means = np.where(there, values, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    squares = np.where(there, (values - means) ** 2, 0.0)
    shares = np.where(there, like, 0.0)
    usual, after = squares.sum() / there.sum(), (shares * squares).sum() / shares.sum()
    return float((after / usual) ** (_TAKEN / 2)) if usual > 0 and after > 0 else 1.0


def family_p_values(family: Sequence[Floats]) -> list[float]:
    """Of each contrast, corrected for being one of these, from what all are on the same shifts.

    The share of shifts on which any of them, in units of its own deviation, lies at least as far
    from zero as this one does at its own place: Westfall and Young (1993), *Resampling-Based
    Multiple Testing*, single-step maximum.
    """
    chance = np.array(family)
    chance = chance[:, np.isfinite(chance).all(axis=0)]
    spread = chance.std(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        far = np.where(spread > 0, np.abs(chance) / spread, 0.0)
    most = far.max(axis=0)
    # Sums of the same numbers in another order differ in their last digits.
    return [float((most >= own * (1 - 1e-9)).mean()) for own in far[:, 0].tolist()]


def mean_correlations(values: Floats) -> Floats:
    """Correlation between symbols on the bars both have, in [0, 1]; 1 where there are too few."""
    found = pd.DataFrame(values).corr(min_periods=_FEWEST_SHARED).to_numpy(dtype="float64")
    found = np.clip(np.where(np.isnan(found), 1.0, found), 0.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return found


def independent_trials(shares: Floats, symbols: Rows, numbers: Rows, alike: Floats) -> float:
    """Number of independent yes-or-no trials that vary as much as shares of clusters do.

    `shares` are those of each event in its cluster, `numbers` those of the clusters. Of two normal
    returns with a correlation of r, the signs have one of ``2 / pi arcsin(r)`` (Sheppard, 1899).
    """
    if not len(numbers):
        return 0.0
    by_symbol = np.zeros((int(numbers[-1]) + 1, len(alike)))
    np.add.at(by_symbol, (numbers, symbols), shares)
    signs = 2.0 / np.pi * np.arcsin(alike)
    return float(by_symbol.sum() ** 2 / ((by_symbol @ signs) * by_symbol).sum())


def varies(number: float) -> float:
    """Variance of a share among so many breaks of a level, over that of a number known beforehand.

    How many breaks there are depends on how the price went after each: one that recovers makes room
    for another. A mean of so uncertain a number varies more than one of a fixed number; by how
    much was measured in markets without an effect.
    """
    return 1.0 + 1.5 / number


def shifted(pattern: Floats, values: Floats) -> Floats:
    """Sum of pattern times values for every circular shift of the pattern; the first is none.

    Values are NaN where a symbol has none, and count less their symbol's mean; see `compare`.
    """
    there = np.isfinite(values)
    means = np.where(there, values, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return moved(pattern, np.where(there, values - means, 0.0)) / room(pattern, values)


def room(pattern: Floats, values: Floats) -> Floats:
    """Deviation of the pattern's sum on every shift over its own, for the values there are.

    NaN where less than a quarter of the variance is left.
    """
    there = np.isfinite(values)
    if there.all():
        return np.ones(len(values))
    alike, left = mean_correlations(values), np.zeros(len(values))
    for one, other in np.argwhere(np.triu(alike) > 0).tolist():
        both = (pattern[:, one] * pattern[:, other])[:, None]
        shared = (there[:, one] & there[:, other])[:, None].astype("float64")
        left += (1 if one == other else 2) * alike[one, other] * moved(both, shared)
    return np.asarray(np.sqrt(np.where(left >= _LEAST_ROOM * left[0], left / left[0], np.nan)))


def moved(pattern: Floats, values: Floats) -> Floats:
    """Sum of pattern times values, both (bars, symbols), for every circular shift."""
    product = np.fft.rfft(values, axis=0) * np.conj(np.fft.rfft(pattern, axis=0))
    return np.asarray(np.fft.irfft(product.sum(axis=1), n=len(values)), dtype="float64")
