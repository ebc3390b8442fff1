"""Event study: returns around events beyond what is normal, over the market's whole history."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from delever.arguments import Flags, Floats
from delever.errors import InputError
from delever.research.signal.contrast import (
    clusters,
    compare,
    evenly,
    event_weights,
    matched_weights,
    weighted_mean,
)
from delever.research.signal.forward import FEWEST_EVENTS
from delever.research.signal.placebo import Placebos, compared_with
from delever.research.signal.pool import PooledSignals, forward_outcomes
from delever.research.signal.study import StudyDesign

NormalReturn: TypeAlias = Literal["mean", "market"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStudy:
    """Abnormal returns around events."""

    model: NormalReturn  # what counted as normal
    window: tuple[int, int]  # first and last bar of the event window, counted from the event's bar
    # events used: ``time``, ``symbol``, ``car`` (cumulated abnormal return, fraction), ``cluster``
    # (number; its events share a weight of 1)
    events: pd.DataFrame
    dropped: pd.DataFrame  # events not used: ``time``, ``symbol``, ``reason``
    # by bar of the window: ``mean`` abnormal return and ``cumulative``, fractions; the latter
    # against other bars ``adjusted`` to equal volatility, with its interval ``low`` and ``high``
    path: pd.DataFrame
    alpha: float  # the interval holds the truth in all but this share of cases
    # of the whole window, whether the adjusted one is zero; NaN with fewer than five clusters, and
    # where the window begins before the event is known: what made it an event would be found
    p_value: float

    @property
    def mean(self) -> float:
        """Mean cumulated abnormal return of the clusters."""
        return float(self.path["cumulative"].iloc[-1])


def event_study(
    returns: pd.DataFrame,
    events: pd.DataFrame,
    *,
    benchmark: pd.Series | None = None,
    window: tuple[int, int] = (1, 10),
    alpha: float = 0.05,
    others: Floats | None = None,
) -> EventStudy:
    """Measure abnormal returns after events and test whether their sum is zero on average.

    Normal is each market's mean over all its bars or, with returns of a benchmark, the line through
    them. `others`, shape of `returns`, are the weights of the bars that events are compared with;
    all bars by default. Raises InputError if shapes or windows do not fit, or no event has its
    window whole.
    """
    _check(returns, events, benchmark, window)
    values = returns.to_numpy(dtype="float64")
    abnormal = _abnormal(values, None if benchmark is None else benchmark.to_numpy("float64"))
    volatility = np.sqrt(weighted_mean(pd.DataFrame(abnormal**2)).to_numpy(dtype="float64"))
    first, last = window
    length = last - first + 1
    sums = _window_sums(abnormal, first, last)
    there = np.isfinite(sums[-1]) & (volatility > 0)
    flags = events.to_numpy(dtype=bool)
    rows, symbols, numbers = clusters(flags & there, length)
    dropped = _dropped(flags, there, sums[-1], (first, last))
    if not len(rows):
        reasons = ", ".join(sorted({reason for *_, reason in dropped})) or "there is none"
        raise InputError(f"an event study needs at least one event it can use; {reasons}")
    used = set(zip(rows.tolist(), symbols.tolist(), strict=True))
    dropped += [
        (row, symbol, "event window overlaps that of an earlier event")
        for row, symbol in np.argwhere(flags & there).tolist()
        if (row, symbol) not in used
    ]
    names = returns.columns.to_numpy()
    path, p_value = _path(flags & there, there, sums, volatility, first, alpha, others)
    return EventStudy(
        model="mean" if benchmark is None else "market",
        window=window,
        events=pd.DataFrame(
            {
                "time": returns.index[rows],
                "symbol": names[symbols],
                "car": sums[-1][rows, symbols],
                "cluster": numbers,
            }
        ),
        dropped=pd.DataFrame(
            [(returns.index[row], names[place], reason) for row, place, reason in sorted(dropped)],
            columns=["time", "symbol", "reason"],
        ),
        path=path,
        alpha=alpha,
        p_value=p_value,
    )


def abnormal_returns(
    pool: PooledSignals,
    benchmark: pd.Series | None,
    design: StudyDesign,
    placebos: Placebos | None,
) -> EventStudy:
    """Abnormal returns over the deciding horizon, less those of what the events are compared with.

    Raises InputError if no event has its window whole.
    """
    returns, events = pd.DataFrame(index=pool.index), pd.DataFrame(index=pool.index)
    for column, signal in enumerate(pool.signals):
        symbol = signal.market.symbol
        moves = signal.market.bars["close"].pct_change(fill_method=None)
        returns[symbol] = pool.spread(column, np.asarray(moves, dtype=np.float64))
        events[symbol] = pool.event[:, column]
    normal = None
    if benchmark is not None:
        normal = benchmark.pct_change(fill_method=None).reindex(pool.index)
    ahead = forward_outcomes(pool, design.decides)
    return event_study(
        returns,
        events,
        benchmark=normal,
        window=(1, design.decides),
        alpha=design.alpha,
        others=compared_with(placebos, ahead),
    )


def _check(
    returns: pd.DataFrame,
    events: pd.DataFrame,
    benchmark: pd.Series | None,
    window: tuple[int, int],
) -> None:
    if not (events.index.equals(returns.index) and events.columns.equals(returns.columns)):
        raise InputError("events must have the bars and symbols of returns; align one to the other")
    if benchmark is not None and not benchmark.index.equals(returns.index):
        raise InputError("benchmark must have the bars of returns; align one to the other")
    if window[0] > window[1]:
        raise InputError(
            f"the event window must end at or after its begin; got window {window[0]}, {window[1]}"
        )


def _abnormal(values: Floats, market: Floats | None) -> Floats:
    """Returns less their symbol's mean, or less the line through the market's returns."""
    out = np.full(values.shape, np.nan)
    for column in range(values.shape[1]):
        own = values[:, column]
        there = np.isfinite(own) & (True if market is None else np.isfinite(market))
        if not there.any():
            continue
        design = np.ones((int(there.sum()), 1))
        if market is not None:
            design = np.column_stack([design, market[there]])
        fit = np.linalg.lstsq(design, own[there], rcond=None)[0]
        rest = own[there] - design @ fit
        # A market beside itself leaves only what rounding leaves.
        out[there, column] = np.where(np.abs(rest) < 1e-12, 0.0, rest)
    return out


def _window_sums(abnormal: Floats, first: int, last: int) -> Floats:
    """Abnormal returns from the first bar of the window to each, shape (window, n, symbols)."""
    rows = len(abnormal)
    ahead = np.full((last - first + 1, *abnormal.shape), np.nan)
    for place, away in enumerate(range(first, last + 1)):
        low, high = max(0, -away), min(rows, rows - away)
        if low < high:
            ahead[place, low:high] = abnormal[low + away : high + away]
    return np.cumsum(ahead, axis=0)


def _dropped(
    flags: Flags, there: Flags, whole: Floats, window: tuple[int, int]
) -> list[tuple[int, int, str]]:
    """Events whose window is not whole, and why."""
    found = []
    for row, symbol in np.argwhere(flags & ~there).tolist():
        if row + window[0] < 0 or row + window[1] >= len(flags):
            reason = "event window cut by the data's edge"
        elif not np.isfinite(whole[row, symbol]):
            reason = "missing returns in the event window"
        else:
            reason = "no volatility known before the event"
        found.append((row, symbol, reason))
    return found


def _path(
    event: Flags,
    there: Flags,
    sums: Floats,
    volatility: Floats,
    first: int,
    alpha: float,
    others: Floats | None,
) -> tuple[pd.DataFrame, float]:
    """Abnormal returns by bar of the window, and the p-value of the last."""
    length = len(sums)
    weights = event_weights(event, length)
    tested = round(weights.sum()) >= FEWEST_EVENTS
    beside = evenly(weights, there) if others is None else np.where(there, others, 0.0)
    like = matched_weights(weights, np.where(there, volatility, np.nan))
    rows, p_value = [], math.nan
    for place in range(length):
        mean = float((weights * np.nan_to_num(sums[place])).sum() / weights.sum())
        rows.append([mean, math.nan, math.nan, math.nan])
        if tested and beside.sum() > 0:
            found, _ = compare(
                weights,
                beside,
                np.where(there, sums[place], np.nan),
                volatility,
                place + 1,
                alpha=alpha,
                like=like if others is None else beside,
            )
            rows[-1][1:] = [found.adjusted, found.low, found.high]
            p_value = found.p_value if first > 0 else math.nan
    path = pd.DataFrame(
        rows,
        columns=["cumulative", "adjusted", "low", "high"],
        index=pd.RangeIndex(first, first + length, name="bar"),
    )
    single = path["cumulative"].diff().fillna(path["cumulative"])
    return path.assign(mean=single)[["mean", "cumulative", "adjusted", "low", "high"]], p_value
