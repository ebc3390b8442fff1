"""Deleveraging periods on a market: how far it fell in each, and how late they are detected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from delever.arguments import counted, shown
from delever.deleveraging.detect import Detector, Drawdown, detected_periods
from delever.deleveraging.detect import detect as detected
from delever.deleveraging.membership import overlapping, per_period
from delever.deleveraging.overlap import DetectionReport, overlap
from delever.deleveraging.period import Period, load_catalog
from delever.deleveraging.phase_machine import is_deleveraging, market_phases
from delever.errors import InputError
from delever.report.format import day, number, percent
from delever.study.inputs.implausible import market_notes
from delever.study.inputs.market import market
from delever.study.kept.result import Result, plain
from delever.study.workspaces.workspace import Workspace
from delever.units import timeframe_delta
from delever.view import MarketView

_SHOWN = ["start", "trough", "end"]

JOIN_DAYS = 7
"""Runs of detected bars less than so many days apart are one alarm."""
RULES: Mapping[str, Drawdown | Detector] = {
    "20 days beyond 20 %": Drawdown(),
    "20 days beyond 15 %": Drawdown(fall=0.15),
    "7 days beyond 12 %": Drawdown(days=7, fall=0.12),
    "speed of the fall": Detector(),
}
"""The default and what stands beside it, on daily bars and in as many days on others."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class PeriodReport(Result):
    """The catalogue of deleveraging periods, measured on a market.

    Attributes
    ----------
    data : str
        Reference of the bars, or the symbol of the market.
    catalogue : tuple of Period
        Every period, drawn with hindsight.
    falls : pandas.DataFrame, shape (k, 4)
        A row per period with a bar in the market, by id: ``title``, ``bars``, ``fall`` (from the
        close before it to its lowest close) and ``lowest`` (the stamp of that one).
    rules : mapping of str to DetectionReport
        How causal rules agree with the catalogue, the default of `delever.detect` first.
    timeframe : str
        Of the bars.
    notes : tuple of str
        What a reader must know of the market's data.
    """

    data: str
    catalogue: tuple[Period, ...]
    falls: pd.DataFrame
    rules: Mapping[str, DetectionReport]
    timeframe: str
    notes: tuple[str, ...]

    @property
    def detection(self) -> DetectionReport:
        """How the default detector agrees with the catalogue."""
        return next(iter(self.rules.values()))

    @property
    def headline(self) -> str:
        """How many periods the causal detector finds, how late, and how often it is wrong."""
        found = self.detection
        return (
            f"causal detector, {next(iter(self.rules))} down: {percent(found.period_recall, 0)} of "
            f"the periods found, half of those within {number(self._hours(found), 0)} hours; "
            f"{counted(found.alarms, 'alarm')}, "
            f"{found.false_alarms} of them false; {percent(found.bar_precision, 0)} of the bars it "
            "marks lie in a period"
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The fall in each period with the lag of its detection, and the detection itself."""
        lags = self.detection.periods["lag"].reindex(self.falls.index)
        return {
            "periods": self.falls.assign(lag=lags),
            "rules": self.beside,
            "detection": self.detection.periods,
        }

    def _hours(self, found: DetectionReport) -> float:
        """Median lag of what was found, hours from the close of a period's first bar."""
        return float(found.periods["lag"].median()) * (
            timeframe_delta(self.timeframe) / pd.Timedelta("1h")
        )

    @property
    def beside(self) -> pd.DataFrame:
        """A row per rule: what it finds, how late, and how often it is wrong."""
        return pd.DataFrame.from_dict(
            {
                name: {
                    "periods": len(found.periods),
                    "detected": int(found.periods["detected"].sum()),
                    "median_lag_hours": self._hours(found),
                    "bar_precision": found.bar_precision,
                    "bar_recall": found.bar_recall,
                    "alarms": found.alarms,
                    "false_alarms": found.false_alarms,
                }
                for name, found in self.rules.items()
            },
            orient="index",
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``delever periods --json`` prints."""
        found = self.detection
        rows = {
            name: {**row, "lowest": day(row["lowest"])}
            for name, row in self.tables["periods"].to_dict("index").items()
        }
        shares = ("period_recall", "bar_precision", "bar_recall", "alarms", "false_alarms")
        return {
            "data": self.data,
            "headline": self.headline,
            "notes": list(self.notes),
            "periods": plain(rows),
            **{name: plain(getattr(found, name)) for name in shares},
            "rules": plain(self.beside.to_dict("index")),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Detection(Result):
    """When a market deleverages, as far as its own past tells.

    Attributes
    ----------
    state : pandas.Series of bool, shape (n,)
        Whether the detector was on at each bar's close.
    periods : tuple of Period
        One per stretch of bars with the detector on; `delever.backtest` takes them as `periods`.
    notes : tuple of str
        What a reader must know of the market's data.
    """

    state: pd.Series
    periods: tuple[Period, ...]
    notes: tuple[str, ...]

    @property
    def headline(self) -> str:
        """How often and how long, and whether it is on now."""
        last = self.state.index[-1]
        now = "on" if bool(self.state.iloc[-1]) else "off"
        return (
            f"{counted(len(self.periods), 'period')} of deleveraging detected, in "
            f"{percent(self.state.mean())} of {len(self.state):,} bars; {now} in the bar of "
            f"{day(last)}"
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The periods, and the state of each bar."""
        rows = [{name: getattr(one, name) for name in _SHOWN} for one in self.periods]
        return {
            "periods": pd.DataFrame(rows, columns=_SHOWN),
            "state": self.state.to_frame("deleveraging"),
        }


def periods(
    data: MarketView | str = "sample/ohlcv/BTC/USD/1d",
    *,
    workspace: Workspace | Path | str | None = None,
) -> PeriodReport:
    """Measure the catalogue of deleveraging periods on a market, and how late they are detected.

    Parameters
    ----------
    data : MarketView or str
        A market, or the reference of its bars.
    workspace : path, optional
        Whose ``data/deleveraging.toml`` is taken; by default at or above the current folder.

    Raises
    ------
    InputError
        If the market is shorter than the detector's warm-up, or holds no period.

    Examples
    --------
    >>> import delever as dl
    >>> round(float(dl.periods().falls.loc["2020-03-covid", "fall"]), 3)
    -0.458
    """
    place = Workspace.find(workspace, or_shipped=True)
    seen = data if isinstance(data, MarketView) else market(data, workspace=place)
    catalogue = load_catalog(place.periods)
    name = data if isinstance(data, str) else seen.symbol or "the market"
    close = seen.bars["close"]
    rules = {
        rule: one.in_days(seen.timeframe) if isinstance(one, Detector) else one
        for rule, one in RULES.items()
    }
    begin = max(
        one.fall_bars + one.volatility_bars for one in rules.values() if isinstance(one, Detector)
    )
    if len(close) <= begin:
        raise InputError(f"the detector needs more than {begin} bars; {name} has {len(close)}")
    return PeriodReport(
        data=name,
        catalogue=catalogue,
        falls=_falls(seen, catalogue),
        rules={
            rule: overlap(state, catalogue, seen.timeframe, join_days=JOIN_DAYS)
            for rule, state in {
                **{rule: detected(close, one).iloc[begin:] for rule, one in rules.items()},
                "phases": is_deleveraging(market_phases(seen)),
            }.items()
            if len(state)
        },
        timeframe=seen.timeframe,
        notes=tuple(market_notes(seen)),
    )


def detect(market: MarketView, detector: Drawdown | Detector | None = None) -> Detection:
    """Detect deleveraging from the market's own past, bar by bar.

    Parameters
    ----------
    market : MarketView
        From `delever.market`.
    detector : Drawdown or Detector, optional
        By default a close more than 20 % below the highest of 20 days.

    Raises
    ------
    InputError
        If `market` is no view.

    Examples
    --------
    >>> import delever as dl
    >>> found = dl.detect(dl.market("sample/ohlcv/BTC/USD/1d"))
    >>> bool(found.state["2020-03-12"])
    True
    """
    if not isinstance(market, MarketView):
        raise InputError(f"market must be a view, as dl.market returns it; got {shown(market)}")
    close = market.bars["close"]
    state = detected(close, detector)
    return Detection(
        state=state,
        periods=detected_periods(state, close, market.timeframe),
        notes=tuple(market_notes(market)),
    )


def _falls(market: MarketView, catalogue: Sequence[Period]) -> pd.DataFrame:
    """From the close before each period to its lowest close."""
    close = market.bars["close"]
    seen = overlapping(catalogue, market.index, market.timeframe)
    masks = per_period(market.index, market.timeframe, seen)
    rows = []
    for period in seen:
        inside = close[masks[period.id].to_numpy()]
        before = close[close.index < inside.index[0]]
        start = before.iloc[-1] if len(before) else float("nan")
        rows.append((period.title, len(inside), inside.min() / start - 1, inside.idxmin()))
    return pd.DataFrame(
        rows,
        index=pd.Index([period.id for period in seen], name="id"),
        columns=["title", "bars", "fall", "lowest"],
    )
