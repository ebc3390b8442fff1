"""Fear and appetite: Fear & Greed, implied volatility, the VIX, flows into exchange-traded funds.

Every function takes the market and the name its reading has there, and returns one value per bar
as known at the bar's close; NaN once the reading has said nothing for a week.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.signals.clock import ago, on_bars, own, sign_streak
from delever.signals.feature import Input, WarmUp, feature
from delever.view import MarketView

FEAR_GREED = Input(
    name="fear_greed",
    lag=pd.Timedelta("1min"),
    holds="0 (fear) to 100 (greed), published after its day begins",
)
DVOL = Input(
    name="dvol",
    lag=pd.Timedelta("1min"),
    holds="implied volatility of a year, percentage points",
)
VIX = Input(
    name="vix",
    columns=("close",),
    lag=pd.Timedelta("20h"),
    holds="implied volatility of shares, points, by session",
)
ETF_FLOWS = Input(
    name="etf_flows",
    columns=("total_usd_m",),
    lag=pd.Timedelta(1, "D"),
    holds="net flow of a session, < 0: money left",
)


@feature(
    "fear_greed",
    unit="points",
    title="0 fear, 100 greed",
    needs=(FEAR_GREED,),
    warm_up=lambda: WarmUp(),
)
def index_level(
    market: MarketView, *, series: str = "fear_greed", column: str | None = None
) -> pd.Series:
    """An index as its publisher writes it, such as Fear & Greed.

    In the publisher's points: for Fear & Greed 0 (fear) to 100 (greed).
    """
    return on_bars(market, series, own(market, series, column))


@feature(
    "dvol",
    unit="fraction",
    title="implied volatility of a year",
    needs=(DVOL,),
    warm_up=lambda: WarmUp(),
)
def implied_volatility(
    market: MarketView, *, series: str = "dvol", column: str | None = None
) -> pd.Series:
    """Volatility that options expect.

    Fraction per square root of a year: 0.8 where the publisher writes 80.
    """
    return on_bars(market, series, own(market, series, column) / 100)


@feature(
    "dvol_jump",
    unit="log",
    title="change of the implied volatility in {days:g} d",
    needs=(DVOL,),
    warm_up=lambda days: WarmUp(days=(days,)),
)
def implied_volatility_jump(
    market: MarketView, *, days: int = 1, series: str = "dvol", column: str | None = None
) -> pd.Series:
    """Change of the volatility that options expect.

    Log change over `days`, > 0: more is expected; NaN for the first `days`.

    Parameters
    ----------
    days : int
        Days of the change, at least 1.
    """
    level = own(market, series, column)
    level = level.where(level > 0)
    return on_bars(market, series, pd.Series(np.log(level / ago(level, days)), index=level.index))


@feature(
    "vix_change",
    unit="fraction",
    title="change over {sessions} session(s)",
    needs=(VIX,),
    warm_up=lambda sessions: WarmUp(rows=sessions + 1),
)
def session_change(
    market: MarketView, *, sessions: int = 1, series: str = "vix", column: str | None = "close"
) -> pd.Series:
    """Change of a market that does not trade every day, over its own sessions.

    Fraction, ``close / close `sessions` before - 1``. It stays what it was over a weekend.

    Parameters
    ----------
    sessions : int
        Sessions of the change, at least 1.
    """
    level = own(market, series, column)
    level = level.where(level > 0)
    return on_bars(market, series, level / level.shift(sessions) - 1)


@feature(
    "etf_flow_week",
    unit="vendor",
    title="flow of {sessions} sessions, < 0: out",
    needs=(ETF_FLOWS,),
    warm_up=lambda sessions: WarmUp(rows=sessions),
)
def flow_sum(
    market: MarketView,
    *,
    sessions: int = 5,
    series: str = "etf_flows",
    column: str | None = "total_usd_m",
) -> pd.Series:
    """Net flow into funds over the last sessions.

    In the vendor's unit, < 0: money left; NaN for the first ``sessions - 1`` sessions.

    Parameters
    ----------
    sessions : int
        Sessions summed, at least 1.
    """
    return on_bars(market, series, own(market, series, column).rolling(sessions).sum())


@feature(
    "etf_flow_streak",
    unit="count",
    title="sessions of one sign, < 0: out",
    needs=(ETF_FLOWS,),
    warm_up=lambda: WarmUp(),
)
def flow_streak(
    market: MarketView, *, series: str = "etf_flows", column: str | None = "total_usd_m"
) -> pd.Series:
    """Sessions in a row in which money came in, or left.

    A count with the sign of the flow: -3 after three sessions of outflow in a row. A flow of
    exactly zero, which a vendor may write for a session not yet reported, counts 0.
    """
    return on_bars(market, series, sign_streak(own(market, series, column)))
