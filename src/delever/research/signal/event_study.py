"""Event study: abnormal returns around events, and whether they are zero on average."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from delever.arguments import Floats, Rows
from delever.errors import InputError
from delever.research.signal.car_tests import (
    mean_correlation,
    rank_statistic,
    shrink_for_clusters,
    t_statistic,
    wild_bootstrap,
)
from delever.stats.intervals import detectable_deviations, two_sided_p_value

NormalReturn: TypeAlias = Literal["mean", "market"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStudy:
    """Abnormal returns around events."""

    model: NormalReturn  # what counted as normal
    window: tuple[int, int]  # first and last bar of the event window, counted from the event's bar
    estimation: int  # bars of the estimation window, and bars between it and the event's bar
    gap: int
    # events used: ``time``, ``symbol``, ``car`` (cumulated abnormal return, fraction), ``scar``
    # (car in standard deviations of its forecast), ``cluster`` (number; windows of one cluster
    # overlap)
    events: pd.DataFrame
    dropped: pd.DataFrame  # events not used: ``time``, ``symbol``, ``reason``
    # by bar of the window: ``mean`` abnormal return and ``cumulative``, fractions
    path: pd.DataFrame
    # by test: ``statistic`` and two-sided ``p_value``; NaN where it is undefined
    tests: pd.DataFrame
    correlation: float  # mean correlation of the events' abnormal returns, >= 0
    detectable: float  # mean car that would be found with 80 % power at 5 %, a fraction > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Windows:
    event: tuple[int, int]
    estimation: int
    gap: int

    @property
    def length(self) -> int:
        return self.event[1] - self.event[0] + 1

    def rows(self, at: int) -> Rows:
        """Rows of the estimation window, then of the event window."""
        before = np.arange(at - self.gap - self.estimation, at - self.gap)
        return np.append(before, np.arange(at + self.event[0], at + self.event[1] + 1))


def event_study(
    returns: pd.DataFrame,
    events: pd.DataFrame,
    *,
    model: NormalReturn = "mean",
    benchmark: pd.Series | None = None,
    window: tuple[int, int] = (1, 10),
    estimation: int = 120,
    gap: int = 10,
    draws: int = 9_999,
    seed: int = 0,
) -> EventStudy:
    """Measure abnormal returns after events and test whether their sum is zero on average.

    Raises InputError if shapes, model or windows do not fit, or no event has both windows whole.
    """
    windows = _Windows(event=window, estimation=estimation, gap=gap)
    _check(returns, events, model, benchmark, windows)
    market = None if benchmark is None else benchmark.to_numpy(dtype="float64")
    used, dropped = _select(returns, events, market, windows)
    if not len(used):
        reasons = ", ".join(sorted({reason for _, _, reason in dropped})) or "there is none"
        raise InputError(f"an event study needs at least one event it can use; {reasons}")
    values, symbols = returns.to_numpy(dtype="float64"), returns.columns.to_numpy()
    fits = [_fit(values[:, column], market, windows.rows(at), windows) for at, column in used]
    abnormal, spread = np.array([fit[0] for fit in fits]), np.array([fit[1] for fit in fits])
    at, column = (np.array(part, dtype=np.intp) for part in zip(*used, strict=True))
    correlation = mean_correlation(abnormal[:, :estimation], at, column, windows.length)
    # Windows that overlap, directly or through others, are one cluster.
    begins = np.diff(at, prepend=at[:1] - windows.length) >= windows.length
    inside = abnormal[:, estimation:]
    kept = pd.DataFrame(
        {
            "time": returns.index[at],
            "symbol": symbols[column],
            "car": inside.sum(axis=1),
            "scar": inside.sum(axis=1) / spread,
            "cluster": np.cumsum(begins) - 1,
        }
    )
    mean = inside.mean(axis=0)
    return EventStudy(
        model=model,
        window=window,
        estimation=estimation,
        gap=gap,
        events=kept,
        dropped=pd.DataFrame(
            [(returns.index[row], symbols[place], reason) for row, place, reason in dropped],
            columns=["time", "symbol", "reason"],
        ),
        path=pd.DataFrame(
            {"mean": mean, "cumulative": mean.cumsum()},
            index=pd.RangeIndex(window[0], window[1] + 1, name="bar"),
        ),
        tests=_tests(kept, rank_statistic(abnormal, windows.length), correlation, draws, seed),
        correlation=correlation,
        detectable=_detectable(kept["car"].to_numpy(), correlation),
    )


def _check(
    returns: pd.DataFrame,
    events: pd.DataFrame,
    model: str,
    benchmark: pd.Series | None,
    windows: _Windows,
) -> None:
    if not (events.index.equals(returns.index) and events.columns.equals(returns.columns)):
        raise InputError("events must have the bars and symbols of returns; align one to the other")
    if (model == "market") != (benchmark is not None):
        raise InputError(
            "a benchmark goes with model='market' and only with it; "
            f"got model={model!r} {'without' if benchmark is None else 'with'} a benchmark"
        )
    if benchmark is not None and not benchmark.index.equals(returns.index):
        raise InputError("benchmark must have the bars of returns; align one to the other")
    first, last = windows.event
    if first > last or windows.estimation < 10 or windows.gap < max(0, -first):
        raise InputError(
            "the event window must end at or after its begin, the estimation window have at least "
            "10 bars, and the gap keep it clear of event and event window; got window "
            f"({first}, {last}), estimation {windows.estimation}, gap {windows.gap}"
        )


def _select(
    returns: pd.DataFrame, events: pd.DataFrame, market: Floats | None, windows: _Windows
) -> tuple[list[tuple[int, int]], list[tuple[int, int, str]]]:
    """Events (row, column) that can be used, in order of time, and the others with why not."""
    values, used, dropped = returns.to_numpy(dtype="float64"), [], []
    last = np.full(values.shape[1], -1)  # of each symbol's latest event window
    for at, column in np.argwhere(events.to_numpy(dtype=bool)).tolist():
        rows = windows.rows(at)
        series = values[:, column] if market is None else values[:, column] + market
        if rows[0] < 0:
            dropped.append((at, column, "estimation window cut by the data's edge"))
        elif rows[-1] >= len(values):
            dropped.append((at, column, "event window cut by the data's edge"))
        elif not np.isfinite(series[rows]).all():
            dropped.append((at, column, "missing returns in a window"))
        elif np.ptp(values[rows[: windows.estimation], column]) == 0 or (
            market is not None and np.ptp(market[rows[: windows.estimation]]) == 0
        ):
            dropped.append((at, column, "no variance in the estimation window"))
        elif at + windows.event[0] <= last[column]:
            dropped.append((at, column, "event window overlaps that of an earlier event"))
        else:
            used.append((at, column))
            last[column] = at + windows.event[1]
    return used, dropped


def _fit(
    values: Floats, market: Floats | None, rows: Rows, windows: _Windows
) -> tuple[Floats, float]:
    """Abnormal returns of both windows, and the standard deviation of the car's forecast."""
    ones = np.ones(len(rows))
    design = ones[:, None] if market is None else np.column_stack([ones, market[rows]])
    known, ahead = design[: windows.estimation], design[windows.estimation :].sum(axis=0)
    weights = np.linalg.lstsq(known, values[rows[: windows.estimation]], rcond=None)[0]
    abnormal = values[rows] - design @ weights
    variance = (abnormal[: windows.estimation] ** 2).sum() / (windows.estimation - known.shape[1])
    # s sqrt(L + x (X'X)^-1 x'), X the regressors before, x the sum of those inside the window
    leverage = windows.length + ahead @ np.linalg.solve(known.T @ known, ahead)
    return abnormal, float(np.sqrt(variance * leverage))


def _tests(
    kept: pd.DataFrame, rank: float, correlation: float, draws: int, seed: int
) -> pd.DataFrame:
    car, number = kept["car"].to_numpy(), len(kept)
    plain, scaled = t_statistic(car), t_statistic(kept["scar"].to_numpy())
    student = {
        "cross-section": plain,
        "standardised": scaled,
        "cross-section, clustered": shrink_for_clusters(plain, number, correlation),
        "standardised, clustered": shrink_for_clusters(scaled, number, correlation),
    }
    rows = {name: (t, two_sided_p_value(t, number - 1)) for name, t in student.items()}
    rows["rank"] = rank, two_sided_p_value(rank)
    clusters = kept["cluster"].to_numpy(dtype=np.intp)
    rows["wild bootstrap"] = wild_bootstrap(car, clusters, draws=draws, seed=seed)
    columns = ["statistic", "p_value"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("test")


def _detectable(car: Floats, correlation: float) -> float:
    shrink = shrink_for_clusters(1.0, len(car), correlation)
    if len(car) < 2 or not shrink:
        return math.nan
    return detectable_deviations() * float(car.std(ddof=1)) / math.sqrt(len(car)) / shrink
