"""Walk forward: choose on the years before, hold what was chosen, choose again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from delever.arguments import Floats, Rows, one_of, whole_number
from delever.bars import close_times
from delever.errors import InputError
from delever.research.choosing import Parts, Tried, means, sharpe_ratios
from delever.research.plateau import neighbours_median
from delever.units import DAYS_PER_YEAR

Choose: TypeAlias = Literal["sharpe_ratio", "growth", "payout"]
"""What is highest in the combination that is chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a walk goes.

    Raises InputError if a length is not a whole number of days above its bound, or there is no such
    way to choose.
    """

    window: int = 1_460  # days that choose; of an anchored walk those before the first choice
    step: int = 365  # days a choice is held
    embargo: int = 1  # days between the two
    anchored: bool = False  # choose on all days before instead
    choose: Choose = "sharpe_ratio"
    plateau: bool = False  # by the lower of it and the median of its neighbours
    trades: int = 0  # closed trades that a combination needs in the window

    def __post_init__(self) -> None:
        least = {"window": 30, "step": 1, "embargo": 0, "trades": 0}
        for name, bound in least.items():
            whole_number(name, getattr(self, name), bound)
        one_of("choose", self.choose, get_args(Choose))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Walked:
    """What a walk came to; a user sees it as `delever.study.sweeps.walk.WalkForward`."""

    windows: pd.DataFrame
    axes: pd.DataFrame
    pace: Pace
    p_value: float
    shifted: tuple[float, ...]
    growth: float

    @property
    def efficiency(self) -> float:
        """Log growth a year of the choices over that in the windows that chose them.

        NaN where the latter is not above zero.
        """
        inside, outside = (math.log1p(self.yearly(name)) for name in ("fit_growth", "growth"))
        return outside / inside if inside > 0.0 else math.nan

    def yearly(self, column: str) -> float:
        """Growth a year over all windows, of one column of `windows`."""
        first, last = ("fit_start", "fit_end") if column == "fit_growth" else ("start", "end")
        known = self.windows.dropna(subset=[column])
        lasting = (known[last] - known[first]).dt.total_seconds()
        with np.errstate(divide="ignore"):
            logs = np.log1p(known[column])
        return float(np.expm1((logs * lasting).sum() / lasting.sum()))


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of the bars that choose, and of those that hold the choice; ends are exclusive."""

    fit: tuple[int, int]
    out: tuple[int, int]


def windows(index: pd.DatetimeIndex, first: int, pace: Pace) -> list[Window]:
    """Cut bars from a row on into windows.

    Raises InputError if there are fewer than two.
    """
    one = pd.Timedelta(days=1)
    start, end = index[first], index[-1]
    beyond = (end - start).days + 1  # more days than there are, and a stamp that still exists
    step = one * min(pace.step, beyond)
    found = []
    begin = start + one * min(pace.window + pace.embargo, beyond)
    while begin <= end:
        out = int(index.searchsorted(begin)), int(index.searchsorted(begin + step))
        since = start if pace.anchored else begin - one * (pace.window + pace.embargo)
        fit = int(index.searchsorted(since)), int(index.searchsorted(begin - one * pace.embargo))
        if out[1] > out[0] and fit[1] > fit[0]:
            found.append(Window(fit, out))
        begin += step
    if len(found) < 2:
        days = (end - start) / one
        raise InputError(
            f"a walk needs at least two choices; {days:,.0f} days give {len(found)} with a window "
            f"of {pace.window}, an embargo of {pace.embargo}, a step of {pace.step}; shorten them"
        )
    return found


def parts_of(
    index: pd.DatetimeIndex, timeframe: str, first: int, cut: Sequence[Window], whole: Parts
) -> Parts:
    """The parts of which a walk needs sums: every window, and the periods."""
    rows = {f"fit_{n}": window.fit for n, window in enumerate(cut)}
    rows |= {f"out_{n}": window.out for n, window in enumerate(cut)}
    rows |= {name: whole.rows[name] for name in whole.named("period")}
    return Parts(rows=rows, periods=whole.periods, blocks=0, index=index, timeframe=timeframe)


def choices(
    tried: Tried, cut: Sequence[Window], pace: Pace, axes: pd.DataFrame
) -> tuple[Rows, Floats]:
    """Row of the combination chosen in each window (-1: none), and what it was chosen by.

    `axes` has a row per combination and tells neighbours.
    """
    chosen = np.full(len(cut), -1)
    worth = np.full(len(cut), np.nan)
    for n, values in enumerate(_values(tried, cut, pace)):
        judged = values
        if pace.plateau:
            names = [str(axis) for axis in axes]
            around = neighbours_median(axes.assign(_value=values), names, "_value")
            judged = np.where(np.isnan(around), values, np.minimum(values, around))
        if not np.isnan(judged).all():
            chosen[n] = int(np.nanargmax(judged))
            worth[n] = values[chosen[n]]
    return chosen, worth


def _values(tried: Tried, cut: Sequence[Window], pace: Pace) -> Iterator[Floats]:
    """What combinations are chosen by, window after window; NaN for those that cannot be."""
    fits = [f"fit_{n}" for n in range(len(cut))]
    sums, bars = tried.of(fits), tried.bars(fits)
    names = tried.parts.named("period")
    spans = np.array([tried.parts.rows[name] for name in names]).reshape(-1, 2)
    paid = tried.of(names)[..., 2] - tried.held(names)[:, 2]
    for n, window in enumerate(cut):
        first, last = window.fit
        there = tried.begins <= first + (last - first) // 2
        if pace.choose == "payout":
            inside = (spans[:, 0] >= first) & (spans[:, 1] <= last)
            begun = tried.begins[:, None] <= spans[inside, 0]
            values = means(np.where(begun, paid[:, inside], np.nan))
        elif pace.choose == "growth":
            values = sums[:, n, 2] / bars[:, n] if len(bars) else sums[:, n, 2]
        else:
            values = sharpe_ratios(sums[:, n], bars[:, n])
        yield np.where(there & (sums[:, n, 3] >= pace.trades), values, np.nan)


def out_growth(tried: Tried, chosen: Rows) -> float:
    """Log growth of the choices outside their windows, without what changing over costs."""
    outs = tried.of([f"out_{n}" for n in range(len(chosen))])[..., 2]
    held = chosen >= 0
    return float(outs[chosen[held], np.flatnonzero(held)].sum())


def table_of(
    tried: Tried, cut: Sequence[Window], chosen: Rows, worth: Floats, axes: pd.DataFrame
) -> pd.DataFrame:
    """A row per window: its spans, what was chosen, yearly growth there and then."""
    index = tried.parts.index
    rows: list[Mapping[str, object]] = []
    for n, window in enumerate(cut):
        own = {"fit_start": index[window.fit[0]], "fit_end": index[window.fit[1] - 1]}
        own |= {"start": index[window.out[0]], "end": index[window.out[1] - 1]}
        growth = {"fit_growth": np.nan, "growth": np.nan}
        if chosen[n] >= 0:
            for name, part in (("fit_growth", f"fit_{n}"), ("growth", f"out_{n}")):
                made = tried.of([part])[chosen[n], 0, 2]
                first, last = tried.parts.rows[part]
                days = _days(tried.parts, first, last)
                growth[name] = float(np.expm1(made * DAYS_PER_YEAR / days))
        held = tried.held([f"out_{n}"])[0, 2]
        days = _days(tried.parts, *window.out)
        growth["benchmark_growth"] = float(np.expm1(held * DAYS_PER_YEAR / days))
        said = {} if chosen[n] < 0 else axes.iloc[chosen[n]].to_dict()
        rows.append({**own, **said, "chosen": int(chosen[n]), "chosen_by": worth[n], **growth})
    return pd.DataFrame(rows)


def _days(parts: Parts, first: int, last: int) -> float:
    """From the open of a row to the close of the one before another."""
    ends = close_times(parts.index[last - 1 : last], parts.timeframe)
    return float((ends[0] - parts.index[first]) / pd.Timedelta(days=1))
