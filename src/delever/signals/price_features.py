"""Features of the bars alone whose windows are days: the same on any timeframe."""

from __future__ import annotations

import pandas as pd

from delever.signals import volatility
from delever.signals.clock import bars_in
from delever.signals.feature import WarmUp, feature
from delever.signals.glossary import described
from delever.view import MarketView


def _volatility_bars(days: float, timeframe: str) -> int:
    return max(2, bars_in(days, timeframe))


@feature(
    "fall_speed",
    unit="deviations",
    title="fall from the high of {days:g} days, <= 0",
    warm_up=lambda bar, days, base: WarmUp(
        bars=bars_in(days, bar) + _volatility_bars(base, bar) + 1
    ),
)
@described
def fall_speed(market: MarketView, *, days: float = 7, base: float = 90) -> pd.Series:
    """Fall from the high of the last days, in the deviations of the time before them.

    In standard deviations, <= 0; see `delever.signals.volatility.fall_speed`.

    Parameters
    ----------
    days : float
        Days of the fall, > 0.
    base : float
        Days of the volatility, > 0; at least two bars are taken.
    """
    return volatility.fall_speed(
        market.bars["close"],
        fall_bars=bars_in(days, market.timeframe),
        volatility_bars=_volatility_bars(base, market.timeframe),
    )


@feature(
    "volatility_{estimator}",
    unit="fraction",
    title="realised volatility of a year",
    estimator=("close_to_close", "parkinson", "garman_klass", "yang_zhang"),
    warm_up=lambda bar, days, estimator: WarmUp(
        bars=bars_in(days, bar) + (estimator in ("close_to_close", "yang_zhang"))
    ),
)
@described
def realised_volatility(
    market: MarketView, *, days: float = 30, estimator: volatility.Estimator = "close_to_close"
) -> pd.Series:
    """Realised volatility of the last days.

    Fraction per square root of a year of 365 days, >= 0.

    Parameters
    ----------
    days : float
        Days of the window, > 0.
    estimator : {"close_to_close", "parkinson", "garman_klass", "yang_zhang"}
        See `delever.signals.volatility.realised_volatility`.
    """
    window = bars_in(days, market.timeframe)
    return volatility.realised_volatility(market.bars, window, market.timeframe, estimator)


@feature(
    "volume_shock",
    unit="log",
    title="volume of {days:g} d against {base:g} d before",
    warm_up=lambda bar, days, base: WarmUp(bars=bars_in(days, bar) + bars_in(base, bar)),
)
@described
def volume_shock(market: MarketView, *, days: float = 1, base: float = 30) -> pd.Series:
    """Volume of the last days against that of the time before them.

    Natural logarithm of the ratio of mean volumes; NaN where the volume is unknown.

    Parameters
    ----------
    days, base : float
        Latest days, and days before them, > 0.
    """
    return volatility.volume_shock(
        market.bars["volume"], bars_in(days, market.timeframe), bars_in(base, market.timeframe)
    )
