"""Abnormal returns around events of one's own."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from delever.arguments import shown
from delever.errors import InputError
from delever.report.figures import abnormal_path
from delever.report.figures.look import Chart
from delever.report.pages import signal_page as page
from delever.research.signal.event_study import EventStudy
from delever.research.signal.event_study import event_study as measure_events
from delever.study.kept.result import Result
from delever.view import MarketView


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class EventReport(Result):
    """Abnormal returns around events.

    Attributes
    ----------
    study : EventStudy
        What was measured; see `delever.research.signal.event_study`.
    """

    study: EventStudy

    @property
    def headline(self) -> str:
        """Mean cumulative abnormal return, and whether it differs from none."""
        return page.event_headline(self.study)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The average path with its interval, every event, and those left out."""
        return {
            "path": self.study.path,
            "events": self.study.events,
            "dropped": self.study.dropped,
        }

    @property
    def charts(self) -> dict[str, Chart]:
        """The average path with its interval."""
        return {"path": abnormal_path(self.study.path, self.study.alpha)}


def event_study(
    closes: MarketView | pd.Series | pd.DataFrame,
    events: pd.Series | pd.DataFrame,
    *,
    benchmark: pd.Series | None = None,
    window: tuple[int, int] = (1, 10),
    alpha: float = 0.05,
) -> EventReport:
    """Measure abnormal returns around events.

    Parameters
    ----------
    closes : MarketView, pandas.Series or pandas.DataFrame, shape (n, markets)
        A market, or closes with a column per market, in quote units.
    events : pandas.Series or pandas.DataFrame of bool, shape of `closes`
        Whether an event was known at each bar's close.
    benchmark : pandas.Series, shape (n,), optional
        Closes of the market as a whole: normal is then the line through its returns, else each
        market's own mean, both over all bars.
    window : tuple of int
        First and last bar of the event window, counted from the event's bar.
    alpha : float
        Share of cases in which the interval may miss the truth, in (0, 1).

    Raises
    ------
    InputError
        If shapes or windows do not fit, or no event has its window whole.

    Notes
    -----
    Events whose windows overlap are one cluster, of which each market's first counts. The test is
    that of circular shifts: the dates are laid everywhere else on the same history, all markets
    together, see `delever.research.signal.contrast.compare`. It keeps its level where the price
    itself makes an event, as a fall or a break does, if the window begins after the event's bar;
    of other windows there is a path and no p-value.

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d")
    >>> fell = market.bars["close"].pct_change() < -0.15
    >>> len(dl.event_study(market, fell).study.events)
    27
    """
    table, flags = (
        one.bars["close"] if isinstance(one, MarketView) else one for one in (closes, events)
    )
    if not isinstance(table, pd.Series | pd.DataFrame) or not isinstance(
        flags, pd.Series | pd.DataFrame
    ):
        raise InputError(
            "an event study takes a market or closes, and booleans on the same bars; got "
            f"{shown(closes)} and {shown(events)}"
        )
    if isinstance(table, pd.Series):
        table = table.to_frame("market")
    if isinstance(flags, pd.Series):
        flags = flags.to_frame(table.columns[0])
    return EventReport(
        study=measure_events(
            table.pct_change(fill_method=None),
            flags,
            benchmark=None if benchmark is None else benchmark.pct_change(fill_method=None),
            window=window,
            alpha=alpha,
        )
    )
