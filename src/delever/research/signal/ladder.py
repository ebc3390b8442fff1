"""When one level has broken: how often, and how soon, the price reaches the next ones.

Everything counts from the close of the bar at which the break was known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from delever.arguments import Flags, Floats, Rows
from delever.errors import InputError
from delever.research.signal.contrast import event_weights, matched_weights
from delever.research.signal.forward import check_horizons
from delever.research.signal.level_break import Side, Signal
from delever.research.signal.placebo import placebo_breaks
from delever.research.signal.pool import PooledSignals, forward_outcomes
from delever.research.signal.study import StudyDesign
from delever.stats.intervals import reached_within, wilson_interval

LogPath: TypeAlias = tuple[Floats, Floats]
"""Logarithms of closes and of the extremes that touch, turned so that down is onward."""
Candidates: TypeAlias = Callable[[int, int], Floats]
"""From a shared bar and a symbol to the weights of the bars to compare it with."""

_DRAWS = 1_000
_THINNED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """How the price went from a broken level to the next ones."""

    rungs: tuple[float, ...]  # next levels, nearest first: multiples of the broken one, or prices
    absolute: bool  # whether they are prices
    left_out: int  # breaks of levels that do not lie before all of these prices
    horizon: int  # bars within which a rung counts as reached
    # by rung. ``dates``: distinct dates of breaks; ``complete``: those with `horizon` bars after
    # them; ``at_once``: share of the dates on which the break itself closed beyond the rung.
    # ``reached``: share of the complete ones that got there, with Wilson's interval ``low`` and
    # ``high``; the same way to go from the closes of ``all`` bars, of ``matched`` ones (of like
    # volatility) and of breaks of ``placebo`` levels. ``median_bars``: bars until half of all had
    # got there (infinite if never), with a bootstrap interval ``median_low`` and ``median_high``.
    # ``before``: dates that had reached the rung before, with `horizon` bars to go; ``onward``:
    # share of them that went on to this one within `horizon` bars, with ``onward_low`` and
    # ``onward_high``.
    table: pd.DataFrame
    # shape (horizon + 1, 6 * rungs): by bars after the break; columns (rung, kind) with the
    # probability to have got there: ``breaks`` (product-limit estimate: breaks at the data's edge
    # count as long as they were watched), ``low`` and ``high`` (bootstrap over dates), ``all``,
    # ``matched``, ``placebo``
    curves: pd.DataFrame

    def curve(self, rung: float) -> pd.DataFrame:
        """The curves of one rung, a column per kind."""
        mine = self.curves.columns.get_level_values("rung") == rung
        return self.curves.loc[:, mine].droplevel("rung", axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Breaks:
    """Distinct breaks, one row each; those of one date share a weight of 1."""

    date: Rows
    symbol: Rows
    weight: Floats
    way: Floats  # to each rung from the close, as a logarithm; >= 0 where it is still ahead
    waits: Rows  # bars to each rung, up to twice the horizon; more than `watched` if never
    watched: Rows


def study_ladder(
    pool: PooledSignals,
    rungs: Sequence[float],
    horizon: int,
    *,
    design: StudyDesign | None = None,
    absolute: bool = False,
) -> Ladder:
    """Follow the price from breaks of a level to the next levels.

    Raises InputError if a rung lies on the wrong side or none is given, a signal has no level or
    its side is another one, or there is no break.
    """
    chosen = design or StudyDesign()
    check_horizons([horizon])
    sides = {signal.side for signal in pool.signals}
    if len(sides) > 1 or any(signal.level is None for signal in pool.signals):
        raise InputError("a ladder needs signals that are breaks of a level, all to one side")
    (side,) = sides
    sign = 1.0 if side == "below" else -1.0
    steps = _steps(rungs, side, sign, absolute)
    counted = _counted(pool, steps, sign) if absolute else pool.event
    if not counted.any():
        where = f" {'above' if sign > 0 else 'below'} {steps[0]:g}" if absolute else ""
        raise InputError(f"a ladder needs at least one break of a level{where}; there is none")
    paths = [_path(signal.market.bars, sign) for signal in pool.signals]
    starts = [
        np.zeros(len(one.market.index)) if absolute else sign * np.log(_level(one))
        for one in pool.signals
    ]
    breaks = _breaks(
        pool, event_weights(counted, horizon), starts, sign * np.log(steps), paths, horizon
    )
    elsewhere = {
        kind: _same_way(pool, breaks, candidates, paths, horizon)
        for kind, candidates in _elsewhere(pool, horizon, chosen)
    }
    curves: dict[tuple[float, str], Floats] = {}
    rows: dict[float, dict[str, float]] = {}
    for place, rung in enumerate(steps):
        drawn = _curves(breaks, place, horizon, chosen)
        low, high = np.quantile(drawn[1:], [chosen.alpha / 2, 1 - chosen.alpha / 2], axis=0)
        mine = {"breaks": drawn[0], "low": low, "high": high}
        mine |= {kind: shares[:, place] for kind, shares in elsewhere.items()}
        curves |= {(rung, kind): curve for kind, curve in mine.items()}
        rows[rung] = _shares(breaks, place, horizon, chosen) | _median_wait(drawn, chosen.alpha)
        rows[rung] |= {kind: mine[kind][-1] for kind in elsewhere}
    frame = pd.DataFrame(curves).rename_axis("bars")
    return Ladder(
        rungs=steps,
        absolute=absolute,
        left_out=int((pool.event & ~counted).sum()),
        horizon=horizon,
        table=pd.DataFrame.from_dict(rows, orient="index").rename_axis("rung"),
        curves=frame.rename_axis(["rung", "kind"], axis=1),
    )


def _steps(rungs: Sequence[float], side: Side, sign: float, absolute: bool) -> tuple[float, ...]:
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
    levels = [_level(one)[rows] for one, rows in zip(pool.signals, pool.rows, strict=True)]
    return np.asarray(pool.event & (sign * (np.column_stack(levels) - steps[0]) > 0))


def _path(bars: pd.DataFrame, sign: float) -> LogPath:
    touch = bars["low" if sign > 0 else "high"].to_numpy(dtype="float64")
    return sign * np.log(bars["close"].to_numpy(dtype="float64")), sign * np.log(touch)


def _breaks(
    pool: PooledSignals,
    weights: Floats,
    starts: Sequence[Floats],
    steps: Floats,
    paths: Sequence[LogPath],
    horizon: int,
) -> _Breaks:
    """The breaks that weigh something; the logarithm of a rung is a start's plus a step."""
    date, symbol = np.nonzero(weights)
    way = np.empty((len(date), len(steps)))
    waits = np.empty(way.shape, dtype=np.intp)
    watched = np.empty(len(date), dtype=np.intp)
    for column, (closes, touches) in enumerate(paths):
        mine = symbol == column
        rows = pool.rows[column][date[mine]]
        way[mine] = closes[rows][:, None] - starts[column][rows][:, None] - steps
        waits[mine] = _waits(closes, touches, rows, way[mine], 2 * horizon)
        watched[mine] = np.minimum(2 * horizon, len(closes) - 1 - rows)
    return _Breaks(
        date=date,
        symbol=symbol,
        weight=weights[date, symbol],
        way=way,
        waits=waits,
        watched=watched,
    )


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


def _curves(breaks: _Breaks, place: int, horizon: int, design: StudyDesign) -> Floats:
    """Probability to have got there by bar: of the breaks, then of each bootstrap draw."""
    rng = np.random.default_rng(design.seed)
    dates, where = np.unique(breaks.date, return_inverse=True)
    watched = np.minimum(breaks.watched, horizon)
    there = breaks.waits[:, place] <= watched
    waited = np.where(there, breaks.waits[:, place], watched)
    times = rng.multinomial(len(dates), np.full(len(dates), 1 / len(dates)), _DRAWS)
    weights = np.vstack([np.ones(len(dates)), times])[:, where] * breaks.weight
    curves = reached_within(waited, there, horizon, weights)
    # In a draw in which nobody is watched any more nothing new happens.
    curves[1:] = np.fmax.accumulate(curves[1:], axis=1)
    return curves


def _median_wait(curves: Floats, alpha: float) -> dict[str, float]:
    """Bars until half had got there, and the interval."""
    there = curves >= 0.5
    bars = np.where(there.any(axis=1), there.argmax(axis=1), np.inf)
    low, high = np.quantile(bars[1:], [alpha / 2, 1 - alpha / 2], method="inverted_cdf")
    return {"median_bars": float(bars[0]), "median_low": float(low), "median_high": float(high)}


def _elsewhere(
    pool: PooledSignals, horizon: int, design: StudyDesign
) -> Iterator[tuple[str, Candidates]]:
    ahead = forward_outcomes(pool, horizon)
    whole = len(ahead.forward)
    yield "all", lambda row, symbol: np.ones(whole)

    def matched(row: int, symbol: int) -> Floats:
        # A break at the data's edge is no candidate itself, but has a volatility to match.
        volatility = np.append(pool.volatility[:whole, symbol], pool.volatility[row, symbol])
        one = np.zeros(whole + 1)
        one[-1] = 1.0
        return matched_weights(one[:, None], volatility[:, None])[:whole, 0]

    yield "matched", matched
    if all(signal.placebo is not None for signal in pool.signals):
        placebo = placebo_breaks(pool, design.factors()[:_THINNED], [ahead])[0][horizon]
        yield "placebo", lambda row, symbol: placebo[:, symbol]
    else:
        yield "placebo", lambda row, symbol: np.zeros(whole)


def _same_way(
    pool: PooledSignals,
    breaks: _Breaks,
    candidates: Candidates,
    paths: Sequence[LogPath],
    horizon: int,
) -> Floats:
    """Probability by bar and rung to go the breaks' way from the closes of other bars."""
    total, weight = np.zeros((horizon + 1, breaks.way.shape[1])), 0.0
    bars = np.arange(horizon + 1)
    for date, symbol, share, way in zip(
        breaks.date.tolist(), breaks.symbol.tolist(), breaks.weight, breaks.way, strict=True
    ):
        chosen = _thin(candidates(date, symbol))
        if not len(chosen):
            continue
        closes, touches = paths[symbol]
        waits = _waits(closes, touches, pool.rows[symbol][chosen], way[None, :], horizon)
        total += share * (waits[:, :, None] <= bars).mean(axis=0).T
        weight += share
    return total / weight if weight else np.full(total.shape, np.nan)


def _thin(weights: Floats) -> Rows:
    """`_THINNED` rows, evenly spread over the weights; none where there is no weight."""
    if not weights.sum() > 0:
        return np.empty(0, dtype=np.intp)
    reached = np.cumsum(weights) / weights.sum()
    return np.asarray(
        np.searchsorted(reached, (np.arange(_THINNED) + 0.5) / _THINNED), dtype=np.intp
    )


def _shares(breaks: _Breaks, place: int, horizon: int, design: StudyDesign) -> dict[str, float]:
    waits, weight = breaks.waits[:, place], breaks.weight
    complete = breaks.watched >= horizon
    # The break itself is where the way to the first rung begins.
    begun = breaks.waits[:, place - 1] if place else np.zeros(len(waits), dtype=np.intp)
    before = (begun <= horizon) & (begun + horizon <= breaks.watched)
    reached = _share(waits <= horizon, complete, weight, design.alpha)
    onward = _share(waits - begun <= horizon, before, weight, design.alpha)
    return {
        "dates": float(weight.sum()),
        "complete": float(weight[complete].sum()),
        "at_once": float(weight[waits == 0].sum() / weight.sum()),
        **dict(zip(("reached", "low", "high"), reached, strict=True)),
        "before": float(weight[before].sum()),
        **dict(zip(("onward", "onward_low", "onward_high"), onward, strict=True)),
    }


def _share(there: Flags, among: Flags, weight: Floats, alpha: float) -> tuple[float, float, float]:
    number, hits = float(weight[among].sum()), float(weight[among & there].sum())
    low, high = wilson_interval(min(hits, number), number, 1 - alpha)
    return (hits / number if number else np.nan), low, high
