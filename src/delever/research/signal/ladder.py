"""When one level has broken: how often, and how soon, the price reaches the next ones.

Everything counts from the close of the bar at which the break was known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from delever.arguments import Flags, Floats, Rows
from delever.errors import InputError
from delever.research.signal.contrast import clusters, independent_trials, mean_correlations
from delever.research.signal.forward import check_horizons
from delever.research.signal.ladder_beside import Onward, Ways, differences, same_way
from delever.research.signal.level_break import Side, Signal
from delever.research.signal.placebo import Placebos, placebo_events
from delever.research.signal.pool import PooledSignals
from delever.research.signal.study import StudyDesign
from delever.stats.intervals import reached_within, wilson_interval

LogPath: TypeAlias = tuple[Floats, Floats]
"""Logarithms of closes and of the extremes that touch, turned so that down is onward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """How the price went from a broken level to the next ones."""

    rungs: tuple[float, ...]  # next levels, nearest first: multiples of the broken one, or prices
    absolute: bool  # whether they are prices
    left_out: int  # breaks of levels that do not lie before all of these prices
    horizon: int  # bars within which a rung counts as reached
    alpha: float  # an interval holds the truth in all but this share of cases
    # by rung. ``dates``: clusters of breaks whose ways do not overlap; ``complete``: those with
    # `horizon` bars after them; ``at_once``: share of the clusters in which the break itself closed
    # beyond the rung. ``reached``: share of the complete ones that got there, with Wilson's
    # interval ``low`` and ``high``; the same way to go from the closes of ``all`` bars and of
    # ``matched`` ones (of like volatility); of breaks of ``placebo`` levels, those that reached
    # the same multiple of theirs. ``difference``: the two, each less the share of all bars from
    # which the price went as far in units of volatility, with its interval
    # ``difference_low`` and ``difference_high``; ``p_value``: of its being zero, corrected for the
    # number of rungs and never below that of the study. ``median_bars``: bars until half of all had
    # got there (infinite if never), with the bars at which the band of the curve says so,
    # ``median_low`` and ``median_high``. ``before``: clusters that had reached the rung before,
    # with `horizon` bars to go; ``onward``: share of them that went on to this one within
    # `horizon` bars, with ``onward_low`` and ``onward_high``.
    table: pd.DataFrame
    # shape (horizon + 1, 6 * rungs): by bars after the break; columns (rung, kind) with the
    # probability to have got there: ``breaks`` (product-limit estimate: breaks at the data's edge
    # count as long as they were watched), ``low`` and ``high`` (Wilson's interval of so many breaks
    # as were watched so long), ``all``, ``matched``, ``placebo``
    curves: pd.DataFrame

    def curve(self, rung: float) -> pd.DataFrame:
        """The curves of one rung, a column per kind."""
        mine = self.curves.columns.get_level_values("rung") == rung
        return self.curves.loc[:, mine].droplevel("rung", axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Breaks:
    """Distinct breaks, one row each; those of one date share a weight of 1."""

    row: Rows  # on the common calendar
    date: Rows  # number of its cluster
    symbol: Rows
    weight: Floats
    way: Floats  # to each rung from the close, as a logarithm; >= 0 where it is still ahead
    waits: Rows  # bars to each rung, up to twice the horizon; more than `watched` if never
    watched: Rows
    alike: Floats  # correlations between the symbols


def study_ladder(
    pool: PooledSignals,
    rungs: Sequence[float],
    horizon: int,
    *,
    design: StudyDesign | None = None,
    absolute: bool = False,
    placebos: Placebos | None = None,
    decided: float = 0.0,
) -> Ladder:
    """Follow the price from breaks of a level to the next levels.

    `placebos` are those of `placebo_events`, where they are known already; `decided` is the p-value
    of the test that decides the study. Raises InputError if a rung lies on the wrong side or none
    is given, a signal has no level or its side is another one, or there is no break.
    """
    chosen = design or StudyDesign()
    check_horizons([horizon])
    sides = {signal.side for signal in pool.signals}
    if len(sides) > 1 or any(signal.level is None for signal in pool.signals):
        raise InputError("a ladder needs signals that are breaks of a level, all to one side")
    (side,) = sides
    sign = 1.0 if side == "below" else -1.0
    steps = further_levels(rungs, side, absolute=absolute)
    counted = _counted(pool, steps, sign) if absolute else pool.event
    if not counted.any():
        where = f" {'above' if sign > 0 else 'below'} {steps[0]:g}" if absolute else ""
        raise InputError(f"a ladder needs at least one break of a level{where}; there is none")
    paths = [_path(signal.market.bars, sign) for signal in pool.signals]
    starts = [
        np.zeros(len(one.market.index)) if absolute else sign * np.log(_level(one))
        for one in pool.signals
    ]
    onward = _onward(pool, paths, horizon)
    alike = mean_correlations(np.column_stack([gone[:, -1] for gone in onward.gone]))
    breaks = _breaks(pool, counted, starts, sign * np.log(steps), paths, horizon, alike)
    others = _placebo_ways(pool, onward, steps, sign, placebos, chosen, absolute=absolute)
    beside = same_way(onward, _ways(breaks, breaks.watched >= 0, len(paths)), others)
    complete = _ways(breaks, breaks.watched >= horizon, len(paths))
    tested = differences(onward, complete, others, chosen.alpha, decided)
    curves: dict[tuple[float, str], Floats] = {}
    rows: dict[float, dict[str, float]] = {}
    for place, rung in enumerate(steps):
        mine = _curve(breaks, place, horizon, chosen.alpha)
        rows[rung] = _shares(breaks, place, horizon, chosen) | _median_wait(mine)
        mine |= {kind: shares[:, place] for kind, shares in beside.items()}
        curves |= {(rung, kind): curve for kind, curve in mine.items()}
        rows[rung] |= {kind: mine[kind][-1] for kind in beside}
        rows[rung] |= tested[place]
    frame = pd.DataFrame(curves).rename_axis("bars")
    return Ladder(
        rungs=steps,
        absolute=absolute,
        left_out=int((pool.event & ~counted).sum()),
        horizon=horizon,
        alpha=chosen.alpha,
        table=pd.DataFrame.from_dict(rows, orient="index").rename_axis("rung"),
        curves=frame.rename_axis(["rung", "kind"], axis=1),
    )


def further_levels(rungs: Sequence[float], side: Side, *, absolute: bool) -> tuple[float, ...]:
    """Rungs in the order in which the price reaches them; raises InputError as `study_ladder`."""
    sign = 1.0 if side == "below" else -1.0
    steps = tuple(sorted({float(rung) for rung in rungs}, reverse=sign > 0))
    right = all(0 < rung < np.inf and (absolute or sign * (rung - 1) < 0) for rung in steps)
    if not steps or not right:
        needed = "prices" if absolute else f"multiples of the broken level, all {side} 1"
        raise InputError(
            f"rungs must be {needed}, at least one; got "
            f"{', '.join(f'{rung:g}' for rung in steps) or 'none'}"
        )
    return steps


def _level(signal: Signal) -> Floats:
    assert signal.level is not None  # `study_ladder` has refused those without
    return signal.level.to_numpy(dtype="float64")


def _counted(pool: PooledSignals, steps: tuple[float, ...], sign: float) -> Flags:
    """The breaks of levels from which all of the prices are still ahead."""
    levels = np.column_stack([pool.spread(c, _level(one)) for c, one in enumerate(pool.signals)])
    return np.asarray(pool.event & (sign * (levels - steps[0]) > 0))


def _path(bars: pd.DataFrame, sign: float) -> LogPath:
    touch = bars["low" if sign > 0 else "high"].to_numpy(dtype="float64")
    return sign * np.log(bars["close"].to_numpy(dtype="float64")), sign * np.log(touch)


def _breaks(
    pool: PooledSignals,
    counted: Flags,
    starts: Sequence[Floats],
    steps: Floats,
    paths: Sequence[LogPath],
    horizon: int,
    alike: Floats,
) -> _Breaks:
    """The breaks that count; the logarithm of a rung is a start's plus a step."""
    row, symbol, date = clusters(counted, horizon)
    way = np.empty((len(row), len(steps)))
    waits = np.empty(way.shape, dtype=np.intp)
    watched = np.empty(len(row), dtype=np.intp)
    for column, (closes, touches) in enumerate(paths):
        mine = symbol == column
        in_market = np.zeros(len(pool.index), dtype=np.intp)
        in_market[pool.places[column]] = pool.rows[column]
        rows = in_market[row[mine]]
        way[mine] = closes[rows][:, None] - starts[column][rows][:, None] - steps
        waits[mine] = _waits(closes, touches, rows, way[mine], 2 * horizon)
        watched[mine] = np.minimum(2 * horizon, len(closes) - 1 - rows)
    return _Breaks(
        row=row,
        date=date,
        symbol=symbol,
        weight=1.0 / np.bincount(date)[date],
        way=way,
        waits=waits,
        watched=watched,
        alike=alike,
    )


def _ways(breaks: _Breaks, chosen: Flags, symbols: int) -> list[Ways]:
    """The ways of some breaks, by symbol."""
    found = []
    for symbol in range(symbols):
        of = chosen & (breaks.symbol == symbol)
        found.append(Ways(row=breaks.row[of], way=breaks.way[of], weight=breaks.weight[of]))
    return found


def _waits(closes: Floats, touches: Floats, rows: Rows, way: Floats, limit: int) -> Rows:
    """Bars from each row's close until the price has gone each way; `limit` + 1 if it has not.

    `way` has a row per row of `rows`, or one for all of them.
    """
    padded = np.append(touches, np.full(limit, np.inf))
    ahead = np.lib.stride_tricks.sliding_window_view(padded, limit)[rows + 1]
    lowest = np.minimum.accumulate(ahead, axis=1)
    target = closes[rows][:, None] - way
    waits = np.column_stack([(lowest > target[:, [k]]).sum(axis=1) for k in range(way.shape[1])])
    return np.asarray(np.where(way <= 0, 0, waits + 1), dtype=np.intp)


def _curve(breaks: _Breaks, place: int, horizon: int, alpha: float) -> dict[str, Floats]:
    """Probability to have got there by bar, with its interval."""
    watched = np.minimum(breaks.watched, horizon)
    there = breaks.waits[:, place] <= watched
    waited = np.where(there, breaks.waits[:, place], watched)
    curve = reached_within(waited, there, horizon, breaks.weight)
    low, high = np.full(horizon + 1, np.nan), np.full(horizon + 1, np.nan)
    for bar, share in enumerate(curve.tolist()):
        number = float(breaks.weight[watched >= bar].sum())
        if number > 0 and math.isfinite(share):
            hits = min(max(share, 0.0) * number, number)
            low[bar], high[bar] = wilson_interval(hits, number, 1 - alpha)
    # The probability never falls, and what bounds it need not either.
    return {
        "breaks": curve,
        "low": np.fmax.accumulate(low),
        "high": np.fmin.accumulate(high[::-1])[::-1],
    }


def _median_wait(curve: dict[str, Floats]) -> dict[str, float]:
    """Bars until half had got there, and the interval."""
    names = {"median_bars": "breaks", "median_low": "high", "median_high": "low"}
    return {name: _first(curve[kind] >= 0.5) for name, kind in names.items()}


def _first(flags: Flags) -> float:
    return float(flags.argmax()) if flags.any() else math.inf


def _onward(pool: PooledSignals, paths: Sequence[LogPath], horizon: int) -> Onward:
    """How far the price went from every close, in logarithms, by bars after it."""
    gone, volatility = [], pool.volatility
    for column, (closes, touches) in enumerate(paths):
        far = np.full((len(closes), horizon + 1), np.nan)
        if len(closes) > horizon:
            windows = np.lib.stride_tricks.sliding_window_view(touches[1:], horizon)
            lowest = np.minimum.accumulate(windows, axis=1)
            far[: len(lowest), 1:] = closes[: len(lowest), None] - lowest
            far[: len(lowest), 0] = 0.0
        gone.append(pool.spread(column, far))
    return Onward(gone=gone, volatility=volatility)


def _placebo_ways(
    pool: PooledSignals,
    onward: Onward,
    steps: Sequence[float],
    sign: float,
    placebos: Placebos | None,
    design: StudyDesign,
    *,
    absolute: bool,
) -> list[Ways] | None:
    """The ways of placebo breaks to the same multiples of their own levels, by symbol.

    Prices move with the placebos' levels.
    """
    if placebos is None:
        placebos = placebo_events(pool, design.factors())
    if placebos is None:
        return None
    closes = np.column_stack(
        [
            pool.spread(column, signal.market.bars["close"].to_numpy(dtype="float64"))
            for column, signal in enumerate(pool.signals)
        ]
    )
    there = onward.there()
    found: list[list[Floats]] = [[] for _ in pool.signals]
    pairs = zip(placebos.factors.tolist(), placebos.broken, strict=True)
    for factor, (rows, symbols, levels) in pairs:
        ends = np.outer(np.full(len(rows), factor) if absolute else levels, steps)
        begun = np.full(there.shape, -1, dtype=np.intp)
        begun[rows, symbols] = np.arange(len(rows))
        if absolute:
            behind = sign * (levels - ends[:, 0]) <= 0
            begun[rows[behind], symbols[behind]] = -1
        row, symbol, date = clusters((begun >= 0) & there, onward.horizon)
        way = sign * np.log(closes[row, symbol][:, None] / ends[begun[row, symbol]])
        all_of = np.column_stack([row, 1.0 / np.bincount(date)[date], way])
        for column, ways in enumerate(found):
            ways.append(all_of[symbol == column])
    joined = [np.concatenate(ways) for ways in found]
    return [Ways(row=one[:, 0].astype(np.intp), weight=one[:, 1], way=one[:, 2:]) for one in joined]


def _shares(breaks: _Breaks, place: int, horizon: int, design: StudyDesign) -> dict[str, float]:
    waits, weight = breaks.waits[:, place], breaks.weight
    complete = breaks.watched >= horizon
    # The break itself is where the way to the first rung begins.
    begun = breaks.waits[:, place - 1] if place else np.zeros(len(waits), dtype=np.intp)
    before = (begun <= horizon) & (begun + horizon <= breaks.watched)
    reached = _share(waits <= horizon, complete, breaks, design.alpha)
    onward = _share(waits - begun <= horizon, before, breaks, design.alpha)
    return {
        "dates": float(weight.sum()),
        "complete": float(weight[complete].sum()),
        "at_once": float(weight[waits == 0].sum() / weight.sum()),
        **dict(zip(("reached", "low", "high"), reached, strict=True)),
        "before": float(weight[before].sum()),
        **dict(zip(("onward", "onward_low", "onward_high"), onward, strict=True)),
    }


def _share(there: Flags, among: Flags, breaks: _Breaks, alpha: float) -> tuple[float, float, float]:
    weight = breaks.weight[among]
    trials = independent_trials(weight, breaks.symbol[among], breaks.date[among], breaks.alike)
    share = float(weight @ there[among] / weight.sum()) if trials else np.nan
    low, high = wilson_interval(min(share, 1.0) * trials if trials else 0.0, trials, 1 - alpha)
    return share, low, high
