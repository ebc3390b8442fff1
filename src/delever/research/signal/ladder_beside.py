"""The ways of breaks to further levels, gone from other bars: how often, and whether it differs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from delever.arguments import Floats, Rows
from delever.research.signal.contrast import family_p_values, moved, room
from delever.research.signal.forward import FEWEST_EVENTS

_MATCHED, _FEWEST_MATCHED = 0.1, 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Onward:
    """How far the price went from every bar's close."""

    # by symbol, shape (n, horizon + 1): logarithm of the way by bars after it, NaN where the
    # horizon is not complete
    gone: Sequence[Floats]
    volatility: Floats  # shape (n, symbols)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ways:
    """Breaks of one symbol: the bar, the way from its close to each rung, and the weight."""

    row: Rows
    way: Floats  # shape (breaks, rungs)
    weight: Floats


def same_way(
    onward: Onward, ways: Sequence[Ways], others: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Probability by bar and rung to go the breaks' way from other bars; `matched` among them.

    NaN where there is no other bar.
    """
    horizon, rungs = onward.gone[0].shape[1], ways[0].way.shape[1]
    kinds = ("all", "matched", "placebo")
    total = {kind: np.zeros((horizon, rungs)) for kind in kinds}
    weight = dict.fromkeys(kinds, 0.0)
    for symbol, mine in enumerate(ways):
        gone, volatility = onward.gone[symbol], onward.volatility[:, symbol]
        there = np.flatnonzero(np.isfinite(gone[:, -1]) & (volatility > 0))
        if not len(there) or not len(mine.row):
            continue
        for kind, weights in others.items():
            shares = weights[there, symbol]
            if shares.sum() > 0:
                total[kind] += _gone(gone[there], shares / shares.sum(), mine)
                weight[kind] += float(mine.weight.sum())
        total["matched"] += _matched(gone, volatility, there, mine)
        weight["matched"] += float(mine.weight.sum())
    return {
        kind: total[kind] / weight[kind] if weight[kind] else np.full((horizon, rungs), np.nan)
        for kind in kinds
    }


def _gone(gone: Floats, shares: Floats, mine: Ways) -> Floats:
    """Share of the bars, by bars after them and rung, that had gone as far as the breaks."""
    out = np.empty((gone.shape[1], mine.way.shape[1]))
    for bar in range(gone.shape[1]):
        order = np.argsort(gone[:, bar])
        below = np.append(0.0, np.cumsum(shares[order]))
        short = below[np.searchsorted(gone[order, bar], mine.way, side="left")]
        out[bar] = mine.weight @ (below[-1] - short)
    return out


def _matched(gone: Floats, volatility: Floats, there: Rows, mine: Ways) -> Floats:
    """The same for each break of the tenth of the bars nearest in rank of volatility."""
    order = there[np.argsort(volatility[there], kind="stable")]
    width = min(len(order), max(_FEWEST_MATCHED, round(_MATCHED * len(order))))
    places = np.searchsorted(volatility[order], volatility[mine.row]) - width // 2
    out = np.zeros((gone.shape[1], mine.way.shape[1]))
    for place, way, weight in zip(
        np.clip(places, 0, len(order) - width).tolist(), mine.way, mine.weight, strict=True
    ):
        near = order[place : place + width]
        for rung, one in enumerate(way.tolist()):
            waits = np.bincount(_first_bars(gone, near, one), minlength=gone.shape[1] + 1)
            out[:, rung] += weight * np.cumsum(waits)[:-1] / width
    return out


def _first_bars(gone: Floats, rows: Rows, way: float) -> Rows:
    """First bar by which each row had gone so far, by halving; one past the last if none."""
    low = np.zeros(len(rows), dtype=np.intp)
    high = np.full(len(rows), gone.shape[1], dtype=np.intp)
    while (low < high).any():
        middle = (low + high) // 2
        there = (middle < gone.shape[1]) & (
            gone[rows, np.minimum(middle, gone.shape[1] - 1)] >= way
        )
        low, high = np.where(there | (low >= high), low, middle + 1), np.where(there, middle, high)
    return low


def differences(
    onward: Onward, ways: Sequence[Ways], others: Floats | None, alpha: float, decided: float
) -> list[dict[str, float]]:
    """Of each rung: share of breaks that went the way less that of the others, and its test.

    The way counts in units of the volatility known before, on breaks and others alike, and the test
    is that of circular shifts, see `compare`: of every break's own way, laid elsewhere.
    """
    rungs = ways[0].way.shape[1]
    names = ("difference", "difference_low", "difference_high", "p_value")
    number = sum(float(mine.weight.sum()) for mine in ways)
    nothing = [dict.fromkeys(names, math.nan) for _ in range(rungs)]
    if others is None or round(number) < FEWEST_EVENTS:
        return nothing
    with np.errstate(invalid="ignore"):
        far = np.column_stack([gone[:, -1] for gone in onward.gone]) / onward.volatility
    far[~np.isfinite(far)] = np.nan
    there, rows = np.isfinite(far), len(far)
    shares = np.where(there, others, 0.0)
    totals = shares.sum(axis=0)
    pattern, chance = np.zeros(far.shape), np.zeros((rungs, rows))
    for symbol, mine in enumerate(ways):
        whole = there[mine.row, symbol]
        if not totals[symbol] > 0 or not whole.any():
            continue
        share = shares[:, symbol] / totals[symbol]
        row, weight = mine.row[whole], mine.weight[whole] / number
        pattern[:, symbol] -= weight.sum() * share
        pattern[row, symbol] += weight
        known, own = there[:, symbol], far[:, symbol]
        for place in range(rungs):
            way = mine.way[whole, place] / onward.volatility[row, symbol]
            everywhere = np.zeros(rows)  # how many of the breaks' ways are gone from each bar
            for at, one, each in zip(row.tolist(), way.tolist(), weight.tolist(), strict=True):
                went = known & (own >= one)
                went_usually = went.sum() / known.sum()
                laid = each * (went - went_usually * known)
                everywhere += laid
                chance[place, : rows - at] += laid[at:]
                chance[place, rows - at :] += laid[:at]
            chance[place] -= moved(share[:, None], everywhere[:, None])
    if not pattern.any():
        return nothing
    chance /= room(pattern, far)
    corrected = family_p_values(list(chance))
    out = []
    for shifts, p_value in zip(chance, corrected, strict=True):
        low, high = np.nanquantile(shifts, [alpha / 2, 1 - alpha / 2]).tolist()
        here = float(shifts[0])
        ends = (max(here - high, -1.0), min(here - low, 1.0))
        out.append(dict(zip(names, (here, *ends, max(decided, p_value)), strict=True)))
    return out
