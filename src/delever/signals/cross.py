"""The market beside another one: correlation, beta, and who is the safe haven.

Two markets are compared on the sessions both have: over a weekend a share has one return, and so
has the coin, from the Friday's close to the Monday's. Both are taken at the end of the session's
UTC day, or when the session was published if that is earlier.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from delever.bars import as_of
from delever.errors import InputError
from delever.signals.clock import on_bars, own
from delever.signals.feature import Input, WarmUp, feature
from delever.view import MarketView

Of: TypeAlias = Literal["returns", "levels"]
"""What is correlated: log returns from session to session, or the prices themselves."""

IGV = Input(
    name="igv",
    columns=("close",),
    lag=pd.Timedelta("20h"),
    holds="price of a fund of software shares, by session",
)
QQQ = Input(
    name="qqq",
    columns=("close",),
    lag=pd.Timedelta("20h"),
    holds="price of a fund of the Nasdaq-100, by session",
)
GOLD = Input(
    name="gold",
    columns=("close",),
    lag=pd.Timedelta("20h"),
    holds="price of gold or of a fund of it, by session",
)

_DAY = pd.Timedelta(1, "D")


def _sessions(count: int) -> WarmUp:
    """So many sessions on which the market has a close as well."""
    return WarmUp(rows=count, priced=1)


def sessions(market: MarketView, *, series: str, column: str | None = "close") -> pd.DataFrame:
    """Closes of both markets on the other's sessions.

    Parameters
    ----------
    market : MarketView
        The market.
    series : str
        Name of the reading: the other market's closes, stamped at 00:00 UTC of the session's day.
    column : str, optional
        Its column, where it has several.

    Returns
    -------
    pandas.DataFrame, shape (m, 2)
        ``own`` and ``other``, > 0, indexed by session; sessions for which the market has no bar
        are left out. A row is known when the session was published.
    """
    other = own(market, series, column)
    lag = min(market.readings[series].publication_lag, _DAY)
    stamps = pd.DatetimeIndex(other.index)
    coin = as_of(market.bars["close"], market.close_time, stamps + lag)
    both = pd.DataFrame({"own": coin.to_numpy(), "other": other.to_numpy()}, index=stamps)
    return both[(both > 0).all(axis=1)]


def _check(window: int, least: int) -> None:
    if window < least:
        raise InputError(f"window must be at least {least} sessions; got {window}")


def _pairs(both: pd.DataFrame, of: Of) -> pd.DataFrame:
    if of == "levels":
        return both
    if of != "returns":
        raise InputError(f"of must be 'returns' or 'levels'; got {of!r}")
    return (both / both.shift(1)).transform(np.log)


@feature(
    "{series}_correlation",
    unit="coefficient",
    title="correlation with {series}",
    series=("igv", "qqq"),
    needs=(IGV, QQQ),
    warm_up=lambda window, of: _sessions(window + (of == "returns")),
)
def rolling_correlation(
    market: MarketView,
    *,
    window: int = 30,
    of: Of = "returns",
    series: str = "igv",
    column: str | None = "close",
) -> pd.Series:
    """Correlation with another market over the last common sessions.

    Pearson's, in [-1, 1]; NaN until the window is full, and where one of them stood still.

    Parameters
    ----------
    window : int
        Sessions (returns between them, when of returns), at least 3.
    of : {"returns", "levels"}
        Log returns, or prices. Prices wander together by chance: two independent random walks
        often show 0.7 either way, so of levels this is a description and no evidence.

    References
    ----------
    Granger and Newbold (1974), Spurious regressions in econometrics, Journal of Econometrics
    2(2), 111-120, doi:10.1016/0304-4076(74)90034-7.
    """
    _check(window, 3)
    pairs = _pairs(sessions(market, series=series, column=column), of)
    found = pairs["own"].rolling(window).corr(pairs["other"])
    return on_bars(market, series, found.where(np.isfinite(found)).clip(-1.0, 1.0))


@feature(
    "{series}_beta",
    unit="coefficient",
    title="beta with {series}",
    series=("igv", "qqq"),
    needs=(IGV, QQQ),
    warm_up=lambda window: _sessions(window + 1),
)
def rolling_beta(
    market: MarketView, *, window: int = 60, series: str = "igv", column: str | None = "close"
) -> pd.Series:
    """Slope of the market's returns on those of another over the last common sessions.

    ``cov(own, other) / var(other)`` of log returns: 2 when the market moves 2 % for the
    other's 1 %. NaN until the window is full, and where the other stood still.

    Parameters
    ----------
    window : int
        Returns, at least 3.
    """
    _check(window, 3)
    pairs = _pairs(sessions(market, series=series, column=column), "returns")
    spread = pairs["other"].rolling(window).var()
    slope = pairs["own"].rolling(window).cov(pairs["other"]) / spread.where(spread > 0)
    return on_bars(market, series, slope)


@feature(
    "gold_gap",
    unit="fraction",
    title="gold minus the market, {window} sessions",
    needs=(GOLD,),
    warm_up=lambda window: _sessions(window + 1),
)
def haven_gap(
    market: MarketView, *, window: int = 5, series: str = "gold", column: str | None = "close"
) -> pd.Series:
    """Return of a safe haven minus the market's own, over the last common sessions.

    Difference of simple returns, fraction, > 0: the haven did better. NaN for the first
    `window` sessions.

    Parameters
    ----------
    window : int
        Sessions, at least 1.
    """
    _check(window, 1)
    both = sessions(market, series=series, column=column)
    earned = both / both.shift(window) - 1
    return on_bars(market, series, earned["other"] - earned["own"])
