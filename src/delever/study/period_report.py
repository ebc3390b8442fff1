"""Deleveraging periods on a market: how far it fell in each, and how late they are detected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from delever.arguments import counted, shown
from delever.deleveraging.detect import Detector, detected_periods
from delever.deleveraging.detect import detect as detected
from delever.deleveraging.membership import overlapping, per_period
from delever.deleveraging.overlap import DetectionReport, overlap
from delever.deleveraging.period import Period, load_catalog
from delever.errors import InputError
from delever.report.format import day, number, percent
from delever.study.market import market
from delever.study.result import Result, plain
from delever.study.workspace import Workspace
from delever.view import MarketView

_SHOWN = ["start", "trough", "end"]


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
    detection : DetectionReport
        How the causal detector, at its defaults, agrees with the catalogue.
    """

    data: str
    catalogue: tuple[Period, ...]
    falls: pd.DataFrame
    detection: DetectionReport

    @property
    def headline(self) -> str:
        """How many periods the causal detector finds, how late, and how often it is wrong."""
        found = self.detection
        return (
            f"causal detector: {percent(found.period_recall, 0)} of the periods found, half of "
            f"those within {number(found.periods['lag'].median(), 1)} bars; {found.alarms} alarms, "
            f"{found.false_alarms} of them false; {percent(found.bar_precision, 0)} of the bars it "
            "marks lie in a period"
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The fall in each period with the lag of its detection, and the detection itself."""
        lags = self.detection.periods["lag"].reindex(self.falls.index)
        return {"periods": self.falls.assign(lag=lags), "detection": self.detection.periods}

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
            "periods": plain(rows),
            **{name: plain(getattr(found, name)) for name in shares},
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
    """

    state: pd.Series
    periods: tuple[Period, ...]

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

    Returns
    -------
    PeriodReport

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
    warm_up = Detector().fall_bars + Detector().volatility_bars
    close = seen.bars["close"]
    if len(close) <= warm_up:
        raise InputError(f"the detector needs more than {warm_up} bars; {name} has {len(close)}")
    return PeriodReport(
        data=name,
        catalogue=catalogue,
        falls=_falls(seen, catalogue),
        detection=overlap(detected(close).iloc[warm_up:], catalogue, seen.timeframe),
    )


def detect(market: MarketView, detector: Detector | None = None) -> Detection:
    """Detect deleveraging from the market's own past, bar by bar.

    Parameters
    ----------
    market : MarketView
        From `delever.market`.
    detector : Detector, optional
        Its thresholds and windows.

    Returns
    -------
    Detection

    Raises
    ------
    InputError
        If `market` is no view.

    Examples
    --------
    >>> import delever as dl
    >>> found = dl.detect(dl.market("sample/ohlcv/BTC/USD/1d"))
    >>> bool(found.state["2020-03-13"])
    True
    """
    if not isinstance(market, MarketView):
        raise InputError(f"market must be a view, as dl.market returns it; got {shown(market)}")
    close = market.bars["close"]
    state = detected(close, detector)
    return Detection(state=state, periods=detected_periods(state, close, market.timeframe))


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
