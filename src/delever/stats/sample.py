"""What metrics are computed from, and what a metric is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delever.errors import InputError
from delever.frames import utc_index
from delever.units import DAYS_PER_YEAR

__all__ = ["Metric", "Sample"]

_TRADE_COLUMNS = ("exit_time", "net_pnl", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Bars and trades of one run, or of the part of it that lies in a scope.

    Attributes
    ----------
    returns : pandas.Series of float, shape (n,)
        Simple return of each bar, fraction >= -1, without NaN; indexed by open time in UTC.
    benchmark : pandas.Series of float, shape (n,), or None
        The benchmark's returns of the same bars; None where there is none to compare with.
    exposure : pandas.Series of float, shape (n,)
        Signed notional per equity at each bar's close.
    turnover : pandas.Series of float, shape (n,)
        Traded notional per equity of each bar, >= 0.
    trades : pandas.DataFrame, shape (trades, k)
        One row per round trip, with at least ``exit_time`` (UTC, NaT while open), ``net_pnl``
        (quote currency) and ``status`` (``open`` or how it ended).
    periods_per_year : float
        Bars in a year of 365 days.

    Raises
    ------
    InputError
        If the series do not share one increasing index, a return is NaN or below -1, a column
        of the trades is missing, its stamps carry no time zone, or a trade ended before the
        first bar.
    """

    returns: pd.Series
    benchmark: pd.Series | None
    exposure: pd.Series
    turnover: pd.Series
    trades: pd.DataFrame
    periods_per_year: float

    def __post_init__(self) -> None:
        index = utc_index(self.returns.index, "open_time", "returns")
        if not (index.is_monotonic_increasing and index.is_unique):
            raise InputError("returns must be strictly increasing in time; sort them")
        if not self.periods_per_year > 0.0:
            raise InputError(f"periods_per_year must be > 0; got {self.periods_per_year}")
        for name in ("benchmark", "exposure", "turnover"):
            series = getattr(self, name)
            if series is not None and not series.index.equals(self.returns.index):
                raise InputError(
                    f"{name} must have the index of the returns ({len(index)} bars); "
                    f"got {len(series)} others; reindex it before measuring"
                )
        _require_returns(self.returns, "returns")
        if self.benchmark is not None:
            _require_returns(self.benchmark, "benchmark")
        _require_trades(self.trades, index)

    @property
    def closed_pnl(self) -> NDArray[np.float64]:
        """Net result of each trade that has ended, in quote currency."""
        net_pnl = self.trades["net_pnl"].to_numpy(dtype=np.float64)
        return net_pnl[_closed(self.trades)]

    @property
    def days_per_bar(self) -> float:
        """Length of a bar in days."""
        return DAYS_PER_YEAR / self.periods_per_year

    def within(self, bars: NDArray[np.bool_]) -> Sample:
        """The part of the sample that lies in a scope.

        Parameters
        ----------
        bars : numpy.ndarray of bool, shape (n,)
            True for the bars of the scope.

        Returns
        -------
        Sample
            The chosen bars in order, as if they followed each other, and the trades that
            *ended* on one of them: a trade's result is settled at its exit, so every closed
            trade is in exactly one of two scopes that split the bars. Open trades stay out.

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
        ended_on = _exit_bars(self.trades, pd.DatetimeIndex(self.returns.index))
        settled = _closed(self.trades)
        settled[settled] = chosen[ended_on[settled]]
        return Sample(
            returns=self.returns[chosen],
            benchmark=None if self.benchmark is None else self.benchmark[chosen],
            exposure=self.exposure[chosen],
            turnover=self.turnover[chosen],
            trades=self.trades.loc[settled],
            periods_per_year=self.periods_per_year,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number that describes a sample.

    Attributes
    ----------
    name : str
        Its key in frames, files and configs.
    label : str
        Its name on a page.
    unit : {"fraction", "ratio", "bars", "days", "count", "per_year"}
        What it is counted in.
    better : {"higher", "lower"} or None
        Which of two values is to be preferred; None where neither is.
    formula : str
        One line of plain text.
    source : str
        Where the definition comes from.
    compute : callable
        From a `Sample` to a float; NaN where it is undefined.
    """

    name: str
    label: str
    unit: Literal["fraction", "ratio", "bars", "days", "count", "per_year"]
    better: Literal["higher", "lower"] | None
    formula: str
    source: str
    compute: Callable[[Sample], float]


def _require_returns(returns: pd.Series, name: str) -> None:
    values = returns.to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~(np.isfinite(values) & (values >= -1.0)))
    if wrong.size:
        row = int(wrong[0])
        raise InputError(
            f"{name} must be finite and at least -1; row {row + 1} "
            f"({returns.index[row]:%Y-%m-%d %H:%M}) is {values[row]:g}; "
            "a path cannot be compounded past it"
        )


def _require_trades(trades: pd.DataFrame, index: pd.DatetimeIndex) -> None:
    missing = [column for column in _TRADE_COLUMNS if column not in trades.columns]
    if missing:
        raise InputError(
            f"trades need the columns {', '.join(_TRADE_COLUMNS)}; missing {', '.join(missing)}"
        )
    outside = np.flatnonzero(_closed(trades) & (_exit_bars(trades, index) < 0))
    if outside.size:
        raise InputError(
            f"every closed trade must end on one of the bars; {outside.size} did not, "
            f"the first with exit_time {trades['exit_time'].iloc[int(outside[0])]}"
        )


def _closed(trades: pd.DataFrame) -> NDArray[np.bool_]:
    return np.asarray(trades["status"].to_numpy(dtype=object) != "open", dtype=np.bool_)


def _exit_bars(trades: pd.DataFrame, index: pd.DatetimeIndex) -> NDArray[np.intp]:
    """Position of the bar that each exit falls into; -1 before the first and for no exit."""
    stamps = pd.DatetimeIndex(trades["exit_time"])
    if stamps.tz is None and not stamps.isna().all():
        raise InputError("exit_time of the trades must carry a time zone; localise it to UTC")
    return index.as_unit("ns").asi8.searchsorted(stamps.as_unit("ns").asi8, side="right") - 1
