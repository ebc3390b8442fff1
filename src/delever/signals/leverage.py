"""How much leverage stands in the market, and how it leaves: funding, positions, liquidations.

Every function takes the market and the name its reading has there, and returns one value per bar
as known at the bar's close. A reading that has said nothing for a week (for funding, two days) is
stale and gives NaN.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from delever.bars import as_of
from delever.signals.clock import ago, full, on_bars, own, sign_streak, zscore
from delever.signals.feature import Input, WarmUp, feature
from delever.view import MarketView

FUNDING = Input(
    name="funding",
    lag=pd.Timedelta(0),
    holds="fraction per interval, > 0: longs pay; stamped when paid",
)
OPEN_INTEREST = Input(
    name="open_interest", lag=pd.Timedelta("1min"), holds="positions open, quote units"
)
LIQUIDATIONS = Input(
    name="liquidations",
    columns=("long_liq_usd", "short_liq_usd"),
    lag=pd.Timedelta("1min"),
    holds="forced liquidations per interval, quote units, >= 0",
)
LONG_SHORT_RATIO = Input(
    name="long_short_ratio",
    lag=pd.Timedelta("1min"),
    holds="long accounts per short one, > 0",
)

_TWO_DAYS = pd.Timedelta(2, "D")


def _last_days(values: pd.Series, days: float) -> pd.Series:
    """Sum over the rows stamped within the last days; NaN until so many days have passed."""
    length = pd.Timedelta(days=days)
    total = values.rolling(length).sum()
    if values.empty:
        return total
    return total.where(total.index >= values.index[0] + length)


@feature(
    "daily_funding",
    unit="fraction",
    title="of 24 hours, > 0: longs pay",
    needs=(FUNDING,),
    warm_up=lambda: WarmUp(days=(1,)),
)
def daily_funding(market: MarketView, *, series: str = "funding") -> pd.Series:
    """Funding of the last 24 hours.

    Fraction of the notional a day, > 0: longs paid; NaN during the first day. A sum over
    24 hours means the same for intervals of 1, 4 and 8 hours.
    """
    return on_bars(market, series, _last_days(own(market, series), 1), max_age=_TWO_DAYS)


@feature(
    "funding_zscore",
    unit="deviations",
    title="daily funding, < 0: below usual",
    needs=(FUNDING,),
    warm_up=lambda days: WarmUp(days=(1, days)),
)
def funding_zscore(market: MarketView, *, days: int = 90, series: str = "funding") -> pd.Series:
    """Funding of the last 24 hours against its own last months.

    In standard deviations, < 0: longs pay less than usual or are paid; NaN for the first
    ``days + 1`` days.

    Parameters
    ----------
    days : int
        Length of the comparison, at least 1.
    """
    daily = _last_days(own(market, series), 1)
    return on_bars(market, series, zscore(daily, days), max_age=_TWO_DAYS)


@feature(
    "funding_streak",
    unit="count",
    title="settlements of one sign",
    needs=(FUNDING,),
    warm_up=lambda: WarmUp(),
)
def funding_streak(market: MarketView, *, series: str = "funding") -> pd.Series:
    """Settlements in a row with funding of the same sign.

    A count with the sign of the funding rate: -5 when shorts have paid five times in a row.
    """
    return on_bars(market, series, sign_streak(own(market, series)), max_age=_TWO_DAYS)


def _positions(market: MarketView, series: str, column: str | None, notional: bool) -> pd.Series:
    """Open interest in base units on its own clock."""
    interest = own(market, series, column)
    interest = interest.where(interest > 0)
    return interest / _price_then(market, series, interest) if notional else interest


def _price_then(market: MarketView, series: str, values: pd.Series) -> pd.Series:
    """Close of the last bar known when each row was."""
    lag = market.readings[series].publication_lag
    known = pd.DatetimeIndex(values.index) + lag
    close = as_of(market.bars["close"], market.close_time, known)
    return pd.Series(close.to_numpy(), index=values.index)


def _log_change(values: pd.Series, days: float) -> pd.Series:
    return pd.Series(np.log(values / ago(values, days)), index=values.index)


@feature(
    "open_interest_change",
    unit="log",
    title="in {days:g} days, base units, < 0: positions closed",
    needs=(OPEN_INTEREST,),
    warm_up=lambda days, notional: WarmUp(days=(days,), priced=math.inf if notional else None),
)
def open_interest_change(
    market: MarketView,
    *,
    days: int = 7,
    notional: bool = True,
    series: str = "open_interest",
    column: str | None = None,
) -> pd.Series:
    """Growth of the positions that stand open, counted in base units.

    Log change over `days`, < 0: positions were closed; NaN for the first `days`.

    Parameters
    ----------
    days : int
        Days of the change, at least 1.
    notional : bool
        Whether the reading is in quote units; it is then divided by the price, because dollars
        of open interest fall with the price even when nobody closes a position.
    """
    change = _log_change(_positions(market, series, column, notional), days)
    return on_bars(market, series, change)


@feature(
    "open_interest_divergence",
    unit="deviations",
    title="> 0: positions grow while the price lags",
    needs=(OPEN_INTEREST,),
    warm_up=lambda days, window: WarmUp(days=(days, window), priced=math.inf),
)
def open_interest_divergence(
    market: MarketView,
    *,
    days: int = 7,
    window: int = 90,
    notional: bool = True,
    series: str = "open_interest",
    column: str | None = None,
) -> pd.Series:
    """Whether positions grow faster than the price, each measured by its own last months.

    z-score of the log change of open interest (base units) minus that of the log change of
    the price: > 0 where positions pile up while the price lags. NaN for the first
    ``days + window`` days.

    Parameters
    ----------
    market, notional, series, column
        As in `open_interest_change`.
    days : int
        Days of both changes, at least 1.
    window : int
        Days of the comparison, longer than `days`.
    """
    positions = _positions(market, series, column, notional)
    price = _price_then(market, series, positions)
    gap = zscore(_log_change(positions, days), window) - zscore(_log_change(price, days), window)
    return on_bars(market, series, gap)


def _liquidated(market: MarketView, series: str, column: str, hours: int) -> pd.Series:
    return _last_days(own(market, series, column), hours / 24)


@feature(
    "liquidation_total",
    unit="vendor",
    title="forced liquidations of {hours:g} hours",
    needs=(LIQUIDATIONS,),
    warm_up=lambda hours: WarmUp(days=(hours / 24,)),
)
def liquidation_total(
    market: MarketView,
    *,
    hours: int = 24,
    series: str = "liquidations",
    longs: str = "long_liq_usd",
    shorts: str = "short_liq_usd",
) -> pd.Series:
    """Forced liquidations of the last hours, longs and shorts together.

    In the vendor's unit, >= 0; NaN for the first `hours`. Vendors count different venues at
    different times: compare within one series only.
    """
    total = _liquidated(market, series, longs, hours) + _liquidated(market, series, shorts, hours)
    return on_bars(market, series, total)


@feature(
    "liquidation_shock",
    unit="log",
    title="liquidations of {hours:g} hours against {days:g} days",
    needs=(LIQUIDATIONS,),
    warm_up=lambda hours, days: WarmUp(days=(hours / 24, days)),
)
def liquidation_shock(
    market: MarketView,
    *,
    hours: int = 24,
    days: int = 30,
    series: str = "liquidations",
    longs: str = "long_liq_usd",
    shorts: str = "short_liq_usd",
) -> pd.Series:
    """Forced liquidations of the last hours against their average of the last month.

    ``log(total / mean of such totals)``: 1.6 is five times the usual. NaN for the first
    `hours` and `days`, and where nothing was liquidated.

    Parameters
    ----------
    days : int
        Length of the comparison, at least 1; it includes the window itself.
    """
    total = _liquidated(market, series, longs, hours) + _liquidated(market, series, shorts, hours)
    usual = total.rolling(pd.Timedelta(days=days)).mean().where(full(total, days))
    ratio = (total / usual.where(usual > 0)).where(total > 0)
    return on_bars(market, series, pd.Series(np.log(ratio), index=ratio.index))


@feature(
    "liquidation_long_share",
    unit="fraction",
    title="longs among the liquidated",
    needs=(LIQUIDATIONS,),
    warm_up=lambda hours: WarmUp(days=(hours / 24,)),
)
def liquidation_long_share(
    market: MarketView,
    *,
    hours: int = 24,
    series: str = "liquidations",
    longs: str = "long_liq_usd",
    shorts: str = "short_liq_usd",
) -> pd.Series:
    """Share of longs in the forced liquidations of the last hours.

    Fraction in [0, 1]; NaN for the first `hours` and where nothing was liquidated.
    """
    long = _liquidated(market, series, longs, hours)
    total = long + _liquidated(market, series, shorts, hours)
    return on_bars(market, series, (long / total.where(total > 0)).clip(0.0, 1.0))


@feature(
    "long_short_zscore",
    unit="deviations",
    title="> 0: more are long than usual",
    needs=(LONG_SHORT_RATIO,),
    warm_up=lambda days: WarmUp(days=(days,)),
)
def long_short_zscore(
    market: MarketView,
    *,
    days: int = 90,
    series: str = "long_short_ratio",
    column: str | None = None,
) -> pd.Series:
    """Accounts (or positions) that are long per one that is short, against their last months.

    z-score of the logarithm of the ratio, > 0: more are long than usual. NaN for the first
    `days`.

    Parameters
    ----------
    days : int
        Length of the comparison, at least 1.
    """
    ratio = own(market, series, column)
    logs = pd.Series(np.log(ratio.where(ratio > 0)), index=ratio.index)
    return on_bars(market, series, zscore(logs, days))
