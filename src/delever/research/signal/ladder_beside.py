"""The ways of breaks to further levels, gone from other bars: how often, and whether it differs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from delever.arguments import Flags, Floats, Rows
from delever.research.signal.contrast import family_p_values, moved, room, varies
from delever.research.signal.forward import FEWEST_EVENTS

_MATCHED, _FEWEST_MATCHED = 0.1, 20
_GROUPS = 32
"""Of ways, as many as are laid elsewhere each by itself."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Onward:
    """How far the price went from every bar's close."""

    # by symbol, shape (n, horizon + 1): logarithm of the way by bars after it, NaN where the
    # horizon is not complete
    gone: Sequence[Floats]
    volatility: Floats  # shape (n, symbols)

    @property
    def horizon(self) -> int:
        """Bars followed."""
        return int(self.gone[0].shape[1]) - 1

    def there(self) -> Flags:
        """Bars with a complete horizon and a volatility, shape (n, symbols)."""
        whole = np.column_stack([np.isfinite(gone[:, -1]) for gone in self.gone])
        return np.asarray(whole & (self.volatility > 0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ways:
    """Breaks of one symbol: the bar, the way from its close to each rung, and the weight."""

    row: Rows
    way: Floats  # shape (breaks, rungs)
    weight: Floats


def same_way(
    onward: Onward, ways: Sequence[Ways], others: Sequence[Ways] | None
) -> dict[str, Floats]:
    """Probability by bar and rung to go the breaks' way from all bars and from matched ones.

    Of the others, ``placebo``, to go their own. NaN where there is no other bar.
    """
    shape = onward.horizon + 1, ways[0].way.shape[1]
    total = {kind: np.zeros(shape) for kind in ("all", "matched", "placebo")}
    weight = dict.fromkeys(total, 0.0)
    there = onward.there()
    for symbol, mine in enumerate(ways):
        gone, volatility = onward.gone[symbol], onward.volatility[:, symbol]
        bars = np.flatnonzero(there[:, symbol])
        if not len(bars) or not len(mine.row):
            continue
        own = float(mine.weight.sum())
        total["all"] += _gone(gone[bars], mine)
        total["matched"] += _matched(gone, volatility, bars, mine)
        weight["all"] += own
        weight["matched"] += own
        if others is not None and len(others[symbol].row):
            theirs = others[symbol]
            share = own * theirs.weight / theirs.weight.sum()
            for place in range(shape[1]):
                went = gone[theirs.row] >= theirs.way[:, [place]]
                total["placebo"][:, place] += share @ went
            weight["placebo"] += own
    return {
        kind: total[kind] / weight[kind] if weight[kind] else np.full(shape, np.nan)
        for kind in total
    }


def _gone(gone: Floats, mine: Ways) -> Floats:
    """Share of the bars, by bars after them and rung, that had gone as far as the breaks."""
    out = np.empty((gone.shape[1], mine.way.shape[1]))
    for bar in range(gone.shape[1]):
        short = np.searchsorted(np.sort(gone[:, bar]), mine.way, side="left") / len(gone)
        out[bar] = mine.weight @ (1.0 - short)
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
    onward: Onward,
    ways: Sequence[Ways],
    others: Sequence[Ways] | None,
    alpha: float,
    decided: float,
) -> list[dict[str, float]]:
    """Of each rung: share of breaks that went their way less that of the others, and its test.

    Ways are of different lengths, and of a few breaks some are longer than the others' by chance.
    So both shares are taken less the share of all bars from which the price went as far in units of
    volatility. The test is that of circular shifts, see `compare`: every way laid elsewhere.
    What chance gives is multiplied by the root of `varies`.
    """
    rungs = ways[0].way.shape[1]
    names = ("difference", "difference_low", "difference_high", "p_value")
    number = sum(float(mine.weight.sum()) for mine in ways)
    nothing = [dict.fromkeys(names, math.nan) for _ in range(rungs)]
    if others is None or round(number) < FEWEST_EVENTS:
        return nothing
    there = onward.there()
    with np.errstate(invalid="ignore"):
        far = np.column_stack([gone[:, -1] for gone in onward.gone]) / onward.volatility
    far[~there] = np.nan
    pattern, chance = np.zeros(far.shape), np.zeros((rungs, len(far)))
    for symbol, (mine, theirs) in enumerate(zip(ways, others, strict=True)):
        whole = there[mine.row, symbol]
        if not len(theirs.row) or not whole.any():
            continue
        own = Ways(row=mine.row[whole], way=mine.way[whole], weight=mine.weight[whole] / number)
        beside = replace(theirs, weight=theirs.weight * -own.weight.sum() / theirs.weight.sum())
        for one in (own, beside):
            np.add.at(pattern[:, symbol], one.row, one.weight)
            chance += _laid(one, far[:, symbol], onward.volatility[:, symbol])
    if not pattern.any():
        return nothing
    chance /= room(pattern, far)
    chance[:, 1:] *= math.sqrt(varies(number))
    corrected = family_p_values(list(chance))
    out = []
    for shifts, p_value in zip(chance, corrected, strict=True):
        low, high = np.nanquantile(shifts, [alpha / 2, 1 - alpha / 2]).tolist()
        here = float(shifts[0])
        ends = (max(here - high, -1.0), min(here - low, 1.0))
        out.append(dict(zip(names, (here, *ends, max(decided, p_value)), strict=True)))
    return out


def _laid(ways: Ways, far: Floats, volatility: Floats) -> Floats:
    """Weighted share that goes its way less that of all bars that would, by rung and shift.

    Many ways are laid elsewhere in groups of like length; where they are, each counts by itself.
    """
    known = np.isfinite(far)
    ordered = np.sort(far[known])
    out = np.empty((ways.way.shape[1], len(far)))
    for place, way in enumerate(ways.way.T):
        scaled = way / volatility[ways.row]
        order = np.argsort(scaled, kind="stable")
        shifts = np.zeros(len(far))
        for group in np.array_split(order, min(len(order), _GROUPS)):
            went = known & (far >= np.median(scaled[group]))
            share = went.sum() / known.sum()
            pattern = np.zeros((len(far), 1))
            np.add.at(pattern[:, 0], ways.row[group], ways.weight[group])
            shifts += moved(pattern, (went - share * known)[:, None])
        usual = 1.0 - np.searchsorted(ordered, scaled, side="left") / len(ordered)
        shifts[0] = ways.weight @ ((far[ways.row] >= scaled) - usual)
        out[place] = shifts
    return out
