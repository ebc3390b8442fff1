"""Event study: returns around events beyond what was normal before them, and four tests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.errors import InputError
from delever.research.signal.car_tests import (
    mean_correlation,
    rank_statistic,
    shrink_for_clusters,
    wild_bootstrap,
)
from delever.stats.intervals import detectable_deviations, two_sided_p_value

__all__ = ["EventStudy", "Model", "event_study"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
Model: TypeAlias = Literal["mean", "market"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStudy:
    """Abnormal returns around events."""

    model: Model  # what counted as normal
    window: tuple[int, int]  # first and last bar of the event window, counted from the event's bar
    estimation: int  # bars of the estimation window, and bars between it and the event's bar
    gap: int
    # events used: ``time``, ``symbol``, ``car`` (fraction), ``scar`` (car in standard deviations of
    # its forecast), ``cluster`` (number; windows of one cluster overlap)
    events: pd.DataFrame
    dropped: pd.DataFrame  # events not used: ``time``, ``symbol``, ``reason``
    # by bar of the window: ``mean`` abnormal return and ``cumulative``, fractions
    path: pd.DataFrame
    # by test: ``statistic`` and two-sided ``p_value``; NaN where it is undefined
    tests: pd.DataFrame
    correlation: float  # mean correlation of the events' abnormal returns, >= 0
    detectable: float  # mean car that would be found with 80 % power at 5 %, a fraction > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    window: tuple[int, int]
    estimation: int
    gap: int

    @property
    def length(self) -> int:
        return self.window[1] - self.window[0] + 1

    def rows(self, at: int) -> Rows:
        """Rows of the estimation window, then of the event window."""
        before = np.arange(at - self.gap - self.estimation, at - self.gap)
        return np.append(before, np.arange(at + self.window[0], at + self.window[1] + 1))


def event_study(
    returns: pd.DataFrame,
    events: pd.DataFrame,
    *,
    model: Model = "mean",
    benchmark: pd.Series | None = None,
    window: tuple[int, int] = (1, 10),
    estimation: int = 120,
    gap: int = 10,
    draws: int = 9_999,
    seed: int = 0,
) -> EventStudy:
    """Measure abnormal returns after events and test whether their sum is zero on average.

    Raises
    ------
    InputError
        If shapes, model or windows do not fit, or no event has both windows whole.

    Notes
    -----
    An event whose estimation or event window is cut by the data's edge, has a hole or no
    variance, or whose event window overlaps that of an earlier event of the same symbol, is
    dropped and listed. ``car`` is the sum of abnormal returns over the window; ``scar`` divides
    it by the standard deviation of its forecast, ``s sqrt(L + x (X'X)^-1 x')`` with X the
    regressors of the estimation window and x the sum of those of the event window.

    ``cross-section``: mean car over its cross-sectional standard error [1]_; ``standardised``:
    the same of scar [2]_, which weighs calm and wild events alike and allows events to raise
    variance. Both, ``clustered``: times ``sqrt((1 - r) / (1 + (N - 1) r))`` with r the mean
    correlation of abnormal returns between events [3]_, so that events of one date do not count as
    independent. ``rank``: mean ranks of abnormal returns [4]_, ``wild bootstrap``: signs of whole
    clusters drawn at random [5]_. The first four are referred to Student's distribution with N - 1
    degrees of freedom, the rank test to the normal.

    References
    ----------
    .. [1] Brown and Warner (1985), Using daily stock returns, Journal of Financial Economics
       14(1), 3-31, doi:10.1016/0304-405X(85)90042-X.
    .. [2] Boehmer, Musumeci and Poulsen (1991), Event-study methodology under conditions of
       event-induced variance, Journal of Financial Economics 30(2), 253-272,
       doi:10.1016/0304-405X(91)90032-F.
    .. [3] Kolari and Pynnonen (2010), Event study testing with cross-sectional correlation of
       abnormal returns, Review of Financial Studies 23(11), 3996-4025, doi:10.1093/rfs/hhq072.
    .. [4] Corrado (1989), A nonparametric test for abnormal security-price performance in event
       studies, Journal of Financial Economics 23(2), 385-395, doi:10.1016/0304-405X(89)90064-0.
    .. [5] Cameron, Gelbach and Miller (2008), Bootstrap-based improvements for inference with
       clustered errors, Review of Economics and Statistics 90(3), 414-427,
       doi:10.1162/rest.90.3.414.
    """
    layout = _Layout(window=window, estimation=estimation, gap=gap)
    _check(returns, events, model, benchmark, layout)
    market = None if benchmark is None else benchmark.to_numpy(dtype="float64")
    used, dropped = _select(returns, events, market, layout)
    if not len(used):
        reasons = ", ".join(sorted({reason for _, _, reason in dropped})) or "there is none"
        raise InputError(f"an event study needs at least one event it can use; {reasons}")
    found = _measure(returns.to_numpy(dtype="float64"), market, used, layout)
    symbols, inside = returns.columns.to_numpy(), found.inside.mean(axis=0)
    return EventStudy(
        model=model,
        window=window,
        estimation=estimation,
        gap=gap,
        events=pd.DataFrame(
            {
                "time": returns.index[found.at],
                "symbol": symbols[found.column],
                "car": found.car,
                "scar": found.car / found.spread,
                "cluster": found.cluster,
            }
        ),
        dropped=pd.DataFrame(
            [(returns.index[row], symbols[place], reason) for row, place, reason in dropped],
            columns=["time", "symbol", "reason"],
        ),
        path=pd.DataFrame(
            {"mean": inside, "cumulative": inside.cumsum()},
            index=pd.RangeIndex(window[0], window[1] + 1, name="bar"),
        ),
        tests=_tests(found, draws, seed),
        correlation=found.correlation,
        detectable=_detectable(found),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Abnormal returns of N events, in order of time.

    `abnormal` holds those of the estimation window, then the L `inside` the event window;
    `spread` is the standard deviation of each car's forecast.
    """

    at: Rows
    column: Rows
    cluster: Rows
    abnormal: Floats
    inside: Floats
    spread: Floats
    correlation: float

    @property
    def car(self) -> Floats:
        return np.asarray(self.inside.sum(axis=1))


def _measure(
    values: Floats, market: Floats | None, used: list[tuple[int, int]], layout: _Layout
) -> _Found:
    fits = [_fit(values[:, column], market, layout.rows(at), layout) for at, column in used]
    abnormal = np.array([fit[0] for fit in fits])
    at, column = (np.array(part, dtype=np.intp) for part in zip(*used, strict=True))
    before = abnormal[:, : layout.estimation]
    return _Found(
        at=at,
        column=column,
        cluster=_clusters(at, layout),
        abnormal=abnormal,
        inside=abnormal[:, layout.estimation :],
        spread=np.array([fit[1] for fit in fits]),
        correlation=mean_correlation(before, at, column, layout.length),
    )


def _tests(found: _Found, draws: int, seed: int) -> pd.DataFrame:
    number, plain, scaled = len(found.car), _t(found.car), _t(found.car / found.spread)
    student = {
        "cross-section": plain,
        "standardised": scaled,
        "cross-section, clustered": shrink_for_clusters(plain, number, found.correlation),
        "standardised, clustered": shrink_for_clusters(scaled, number, found.correlation),
    }
    rank = rank_statistic(found.abnormal, found.inside.shape[1])
    rows = {name: (t, two_sided_p_value(t, number - 1)) for name, t in student.items()}
    rows["rank"] = rank, two_sided_p_value(rank)
    rows["wild bootstrap"] = wild_bootstrap(found.car, found.cluster, draws=draws, seed=seed)
    columns = ["statistic", "p_value"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("test")


def _detectable(found: _Found) -> float:
    number = len(found.car)
    shrink = shrink_for_clusters(1.0, number, found.correlation)
    if number < 2 or not shrink:
        return math.nan
    error = float(found.car.std(ddof=1)) / math.sqrt(number) / shrink
    return detectable_deviations() * error


def _check(
    returns: pd.DataFrame,
    events: pd.DataFrame,
    model: str,
    benchmark: pd.Series | None,
    layout: _Layout,
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
    first, last = layout.window
    if first > last or layout.estimation < 10 or layout.gap < max(0, -first):
        raise InputError(
            "the event window must end at or after its begin, the estimation window have at least "
            "10 bars, and the gap keep it clear of event and event window; got window "
            f"({first}, {last}), estimation {layout.estimation}, gap {layout.gap}"
        )


def _select(
    returns: pd.DataFrame, events: pd.DataFrame, market: Floats | None, layout: _Layout
) -> tuple[list[tuple[int, int]], list[tuple[int, int, str]]]:
    """Events (row, column) that can be used, in order of time, and the others with why not."""
    values, used, dropped = returns.to_numpy(dtype="float64"), [], []
    free = np.full(values.shape[1], -1)
    for at, column in np.argwhere(events.to_numpy(dtype=bool)).tolist():
        rows = layout.rows(at)
        series = values[:, column] if market is None else values[:, column] + market
        if rows[0] < 0:
            dropped.append((at, column, "estimation window cut by the data's edge"))
        elif rows[-1] >= len(values):
            dropped.append((at, column, "event window cut by the data's edge"))
        elif not np.isfinite(series[rows]).all():
            dropped.append((at, column, "missing returns in a window"))
        elif np.ptp(values[rows[: layout.estimation], column]) == 0 or (
            market is not None and np.ptp(market[rows[: layout.estimation]]) == 0
        ):
            dropped.append((at, column, "no variance in the estimation window"))
        elif at + layout.window[0] <= free[column]:
            dropped.append((at, column, "event window overlaps that of an earlier event"))
        else:
            used.append((at, column))
            free[column] = at + layout.window[1]
    return used, dropped


def _fit(
    values: Floats, market: Floats | None, rows: Rows, layout: _Layout
) -> tuple[Floats, float]:
    """Abnormal returns of both windows, and the standard deviation of the car's forecast."""
    ones = np.ones(len(rows))
    design = ones[:, None] if market is None else np.column_stack([ones, market[rows]])
    known, ahead = design[: layout.estimation], design[layout.estimation :].sum(axis=0)
    weights = np.linalg.lstsq(known, values[rows[: layout.estimation]], rcond=None)[0]
    abnormal = values[rows] - design @ weights
    variance = (abnormal[: layout.estimation] ** 2).sum() / (layout.estimation - known.shape[1])
    reach = layout.length + ahead @ np.linalg.solve(known.T @ known, ahead)
    return abnormal, float(np.sqrt(variance * reach))


def _clusters(at: Rows, layout: _Layout) -> Rows:
    """Number of each event's cluster: windows that overlap, directly or through others."""
    begins = np.diff(at, prepend=at[:1] - layout.length) >= layout.length
    return np.asarray(np.cumsum(begins) - 1, dtype=np.intp)


def _t(values: Floats) -> float:
    if len(values) < 2 or np.ptp(values) == 0:
        return math.nan
    return float(values.mean() / (values.std(ddof=1) / math.sqrt(len(values))))
