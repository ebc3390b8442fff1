"""What a metric is computed from: the bars and trades of a run, or a sweep's sums of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delever.arguments import counted
from delever.bars import spans
from delever.errors import InputError
from delever.frames import utc_index
from delever.units import DAYS_PER_YEAR, periods_per_year

_TRADE_COLUMNS = ("exit_time", "net_pnl", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Bars and trades of one run, or of the part of it that lies in a scope.

    Attributes
    ----------
    returns, benchmark : pandas.Series of float, shape (n,)
        Simple return of each bar, fraction >= -1, without NaN; indexed by open time in UTC. The
        benchmark is None where there is none to compare with.
    exposure, turnover : pandas.Series of float, shape (n,)
        Signed notional per equity at each bar's close; traded notional per equity, >= 0.
    trades : pandas.DataFrame, shape (trades, k)
        One row per round trip, with at least ``exit_time`` (UTC, NaT while open), ``net_pnl``
        (quote currency) and ``status`` (``open`` or how it ended).
    timeframe : str
        Of the bars.
    spans : numpy.ndarray of float, shape (n,)
        Bars of time that each bar stands for: itself, and those missing between it and the next. By
        default from the index; of a scope, without what lies outside it.

    Raises
    ------
    InputError
        If the series do not share one increasing index, a return is NaN or below -1, a column
        of the trades is missing, its stamps carry no time zone, or a trade ended before the
        first bar; if `timeframe` is none.

    Notes
    -----
    This is the one place that says what the `years` of a sample are: elapsed time, never a count of
    bars. Of a whole run, from the open of the first bar to the close of the last; of a scope, the
    durations of its bars and of the gaps between two of them that follow each other in the run.
    ``periods_per_year`` is the number of bars over the years, so that of a series without gaps it
    is what the timeframe says.
    """

    returns: pd.Series
    benchmark: pd.Series | None
    exposure: pd.Series
    turnover: pd.Series
    trades: pd.DataFrame
    timeframe: str
    spans: NDArray[np.float64] = None  # type: ignore[assignment]  # set from the index
    # of each trade the row of the bar it ended on, -1 while open, and its net result
    _ended: NDArray[np.intp] = field(init=False, repr=False, compare=False)
    _net: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index = utc_index(self.returns.index, "open_time", "returns")
        if not (index.is_monotonic_increasing and index.is_unique):
            raise InputError("returns must be strictly increasing in time; sort them")
        if self.spans is None:
            object.__setattr__(self, "spans", spans(index, self.timeframe))
        elif len(self.spans) != len(index):
            raise InputError(f"spans must be one per bar ({len(index)}); got {len(self.spans)}")
        for name in ("benchmark", "exposure", "turnover"):
            series = getattr(self, name)
            if series is not None and not series.index.equals(self.returns.index):
                raise InputError(
                    f"{name} must have the index of the returns ({counted(len(index), 'bar')}); "
                    f"got {counted(len(series), 'other')}; reindex it before measuring"
                )
        _require_returns(self.returns, "returns")
        if self.benchmark is not None:
            _require_returns(self.benchmark, "benchmark")
        missing = [column for column in _TRADE_COLUMNS if column not in self.trades.columns]
        if missing:
            raise InputError(
                f"trades need the columns {', '.join(_TRADE_COLUMNS)}; missing {', '.join(missing)}"
            )
        closed = np.asarray(self.trades["status"].to_numpy(dtype=object) != "open", dtype=np.bool_)
        ended = _exit_bars(self.trades, index)
        outside = np.flatnonzero(closed & (ended < 0))
        if outside.size:
            raise InputError(
                f"every closed trade must end on one of the bars; {outside.size} did not, "
                f"the first with exit_time {self.trades['exit_time'].iloc[int(outside[0])]}"
            )
        object.__setattr__(self, "_ended", np.where(closed, ended, -1))
        object.__setattr__(self, "_net", self.trades["net_pnl"].to_numpy(dtype=np.float64))

    @property
    def closed_pnl(self) -> NDArray[np.float64]:
        """Net result of each trade that has ended, in quote currency."""
        return self._net[self._ended >= 0]

    @property
    def years(self) -> float:
        """Years of 365 days that the sample lasts, missing bars included; 0 without bars."""
        return float(self.spans.sum()) / periods_per_year(self.timeframe)

    @property
    def periods_per_year(self) -> float:
        """Bars over years; NaN without bars."""
        share = len(self.spans) / self.spans.sum() if len(self.spans) else math.nan
        return float(periods_per_year(self.timeframe) * share)

    @property
    def elapsed(self) -> NDArray[np.float64]:
        """Days from the open of the first bar to the close of each."""
        bars = np.cumsum(self.spans) - self.spans + 1.0
        return bars * (DAYS_PER_YEAR / periods_per_year(self.timeframe))

    def within(self, bars: NDArray[np.bool_]) -> Sample:
        """The part of the sample that lies in a scope.

        The chosen bars in order, as if they followed each other, and the trades that *ended* on
        one of them: a trade's result is settled at its exit, so every closed trade is in exactly
        one of two scopes that split the bars. Open trades stay out.

        Parameters
        ----------
        bars : numpy.ndarray of bool, shape (n,)
            True for the bars of the scope.

        Raises
        ------
        InputError
            If `bars` is not one boolean per bar.
        """
        chosen = np.asarray(bars)
        if chosen.dtype != np.bool_ or chosen.shape != (len(self.returns),):
            raise InputError(
                f"a scope must hold one boolean per bar ({len(self.returns)}); "
                f"got {chosen.dtype} of shape {chosen.shape}"
            )
        settled = self._ended >= 0
        settled[settled] = chosen[self._ended[settled]]
        followed = np.append(chosen[1:], True)[: len(chosen)]  # what is behind the last bar counts
        rows = _rows(chosen)
        part = {
            "returns": self.returns.iloc[rows],
            "benchmark": None if self.benchmark is None else self.benchmark.iloc[rows],
            "exposure": self.exposure.iloc[rows],
            "turnover": self.turnover.iloc[rows],
            "trades": self.trades if settled.all() else self.trades.iloc[_rows(settled)],
            "timeframe": self.timeframe,
            "spans": np.where(followed, self.spans, 1.0)[rows],
            "_ended": (np.cumsum(chosen) - 1)[self._ended[settled]],
            "_net": self._net[settled],
        }
        made = object.__new__(Sample)  # what was checked of the whole holds of a part
        for each in fields(Sample):
            object.__setattr__(made, each.name, part[each.name])
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What a sweep keeps of each account in one scope, enough for many metrics.

    Attributes
    ----------
    bars, spans, trades, won : numpy.ndarray of float, shape (accounts,)
        How many bars, bars of time with those missing (see `Sample`), closed trades, and those with
        a net result above 0.
    returns, squares, squared_losses, turnover : numpy.ndarray of float, shape (accounts,)
        Sums over the bars of ``r``, ``r ** 2``, ``min(r, 0) ** 2`` and traded notional per equity.
    held, exposure : numpy.ndarray of float, shape (accounts,)
        Sums over the bars of what each stands for, where its exposure at the close is not 0, and of
        that times the size of the exposure.
    lowest, highest : numpy.ndarray of float, shape (accounts,)
        Extreme returns of a bar, fractions; infinite without bars.
    wealth, drawdown : numpy.ndarray of float, shape (accounts,)
        ``prod(1 + r)``; ``min(W / max(1, W so far) - 1)`` with ``W = cumprod(1 + r)``, <= 0.
    timeframe : str
        Of the bars.
    """

    bars: NDArray[np.float64]
    spans: NDArray[np.float64]
    held: NDArray[np.float64]
    returns: NDArray[np.float64]
    squares: NDArray[np.float64]
    squared_losses: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    wealth: NDArray[np.float64]
    drawdown: NDArray[np.float64]
    exposure: NDArray[np.float64]
    turnover: NDArray[np.float64]
    trades: NDArray[np.float64]
    won: NDArray[np.float64]
    timeframe: str

    @property
    def periods_per_year(self) -> NDArray[np.float64]:
        """Bars over years of each account, as `Sample.periods_per_year`; NaN without bars."""
        there = self.spans > 0.0
        share = np.divide(self.bars, self.spans, out=np.full(there.shape, np.nan), where=there)
        return np.asarray(periods_per_year(self.timeframe) * share, dtype=np.float64)


def _require_returns(returns: pd.Series, name: str) -> None:
    values = returns.to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~(np.isfinite(values) & (values >= -1.0)))
    if wrong.size:
        row = int(wrong[0])
        raise no_return(row, returns.index[row], float(values[row]), name)


def no_return(row: int, time: pd.Timestamp, value: float, name: str = "returns") -> InputError:
    """What is said of a return that loses more than there was."""
    return InputError(
        f"{name} must be finite and at least -1; row {row + 1} ({time:%Y-%m-%d %H:%M}) is "
        f"{value:g}; a path cannot be compounded past it"
    )


def _rows(chosen: NDArray[np.bool_]) -> slice | NDArray[np.intp]:
    """Where it is true: as a slice where that is one stretch, which needs no copy."""
    rows = np.flatnonzero(chosen)
    if not rows.size:
        return slice(0)
    first, behind = int(rows[0]), int(rows[-1]) + 1
    return slice(first, behind) if behind - first == rows.size else rows


def _exit_bars(trades: pd.DataFrame, index: pd.DatetimeIndex) -> NDArray[np.intp]:
    """Position of the bar that each exit falls into; -1 before the first and for no exit."""
    stamps = pd.DatetimeIndex(trades["exit_time"])
    if stamps.tz is None and not stamps.isna().all():
        raise InputError("exit_time of the trades must carry a time zone; localise it to UTC")
    return index.as_unit("ns").asi8.searchsorted(stamps.as_unit("ns").asi8, side="right") - 1
