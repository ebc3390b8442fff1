"""How wildly a price moves: realised volatility, the speed of a fall, a shock of volume."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from delever.arguments import one_of
from delever.errors import InputError
from delever.signals.glossary import described
from delever.units import periods_per_year

Estimator: TypeAlias = Literal["close_to_close", "parkinson", "garman_klass", "yang_zhang"]
"""Ways to estimate volatility from bars."""


@described
def realised_volatility(
    bars: pd.DataFrame,
    window: int,
    timeframe: str | None,
    estimator: Estimator = "close_to_close",
) -> pd.Series:
    """Realised volatility, of a year or of a bar.

    Fraction per square root of a year of 365 days (0.6 is 60 %), or of a bar, >= 0. NaN for
    the first ``window - 1`` rows, and for one more where the previous close is needed (close
    to close, Yang and Zhang).

    Parameters
    ----------
    bars : pandas.DataFrame, shape (n, k)
        Open, high, low, close, > 0; consecutive bars (a gap counts as one bar).
    window : int
        Bars; at least 2 returns for ``"close_to_close"``, 2 bars for ``"yang_zhang"``, else 1.
    timeframe : str or None
        Timeframe of the bars; None for the volatility of one bar.
    estimator : {"close_to_close", "parkinson", "garman_klass", "yang_zhang"}
        Which formula.

    Raises
    ------
    InputError
        If the estimator is unknown or its window too short.

    Notes
    -----
    close_to_close
        Sample standard deviation (divisor ``window - 1``) of ``log(close[t] / close[t-1])``.
    parkinson
        ``sqrt(mean(log(high / low)**2) / (4 * log(2)))``. Assumes no drift and no gap between
        bars; a market that is only sampled shows too narrow a range, so it errs low.
    garman_klass
        ``sqrt(mean(log(high / low)**2 / 2 - (2 * log(2) - 1) * log(close / open)**2))``, the
        practical form of the paper, with the same assumptions.
    yang_zhang
        ``sqrt(v_open + k * v_close + (1 - k) * v_rs)`` with ``v_open`` the sample variance of
        ``log(open / previous close)``, ``v_close`` that of ``log(close / open)``, ``v_rs`` the
        mean of ``log(high/close) * log(high/open) + log(low/close) * log(low/open)`` (Rogers and
        Satchell), and ``k = 0.34 / (1.34 + (window + 1) / (window - 1))``. Free of drift.

    References
    ----------
    Parkinson (1980), The Extreme Value Method for Estimating the Variance of the Rate of Return,
    Journal of Business 53(1), 61-65, doi:10.1086/296071. Garman and Klass (1980), On the
    Estimation of Security Price Volatilities from Historical Data, Journal of Business 53(1),
    67-78, doi:10.1086/296072. Yang and Zhang (2000), Drift-Independent Volatility Estimation
    Based on High, Low, Open, and Close Prices, Journal of Business 73(3), 477-492,
    doi:10.1086/209650. Rogers and Satchell (1991), Annals of Applied Probability 1(4), 504-512,
    doi:10.1214/aoap/1177005835.

    Examples
    --------
    >>> bars = pd.DataFrame({"high": [110.0, 112.0], "low": [95.0, 101.0]})
    >>> realised_volatility(bars, 2, None, "parkinson").round(4).tolist()
    [nan, 0.0762]
    """
    one_of("estimator", estimator, get_args(Estimator))
    variance, least = _ESTIMATORS[estimator]
    _check(window, least)
    # A mean of squares that is zero may come out of a running sum a hair below it.
    per_bar = np.sqrt(variance(bars, window).clip(lower=0.0))
    year = 1.0 if timeframe is None else math.sqrt(periods_per_year(timeframe))
    return pd.Series(per_bar * year, index=bars.index, name="realised_volatility")


def _close_to_close(bars: pd.DataFrame, window: int) -> pd.Series:
    return _log_ratio(bars["close"], bars["close"].shift(1)).rolling(window).var()


def _parkinson(bars: pd.DataFrame, window: int) -> pd.Series:
    span = _log_ratio(bars["high"], bars["low"]) ** 2
    return span.rolling(window).mean() / (4 * math.log(2))


def _garman_klass(bars: pd.DataFrame, window: int) -> pd.Series:
    span = _log_ratio(bars["high"], bars["low"]) ** 2
    body = _log_ratio(bars["close"], bars["open"]) ** 2
    return (span / 2 - (2 * math.log(2) - 1) * body).rolling(window).mean()


def _yang_zhang(bars: pd.DataFrame, window: int) -> pd.Series:
    opened, high, low, close = (bars[name] for name in ("open", "high", "low", "close"))
    gap = _log_ratio(opened, close.shift(1)).rolling(window).var()
    body = _log_ratio(close, opened).rolling(window).var()
    inside = _log_ratio(high, close) * _log_ratio(high, opened) + _log_ratio(
        low, close
    ) * _log_ratio(low, opened)
    k = 0.34 / (1.34 + (window + 1) / (window - 1))
    return gap + k * body + (1 - k) * inside.rolling(window).mean()


_ESTIMATORS: Mapping[str, tuple[Callable[[pd.DataFrame, int], pd.Series], int]] = MappingProxyType(
    {
        "close_to_close": (_close_to_close, 2),
        "parkinson": (_parkinson, 1),
        "garman_klass": (_garman_klass, 1),
        "yang_zhang": (_yang_zhang, 2),
    }
)
"""Variance per bar, and the least window."""


def _log_ratio(top: pd.Series, bottom: pd.Series) -> pd.Series:
    return pd.Series(np.log(top / bottom), index=top.index)


def _check(window: int, least: int) -> None:
    if window < least:
        raise InputError(f"window must be at least {least} bars for this estimator; got {window}")


@described
def volume_shock(volume: pd.Series, window: int, base: int) -> pd.Series:
    """How much more is traded now than before, as a logarithm.

    ``log(mean of the last window bars / mean of the base bars before them)``: 0.69 is twice
    as much. NaN for the first ``window + base - 1`` rows, and where either mean is 0 or
    a volume is NaN.

    Parameters
    ----------
    volume : pandas.Series, shape (n,)
        Traded amount per bar, >= 0, in any unit.
    window : int
        Latest bars, at least 1.
    base : int
        Bars before them to compare with, at least 1.

    Examples
    --------
    >>> volume_shock(pd.Series([1.0, 3.0, 4.0]), window=1, base=2).round(4).tolist()
    [nan, nan, 0.6931]
    """
    _check(min(window, base), 1)
    now = volume.rolling(window).mean()
    before = volume.rolling(base).mean().shift(window)
    return _log_ratio(now.where(now > 0), before.where(before > 0)).rename("volume_shock")


def check_prices(close: pd.Series) -> None:
    """Raise InputError, with the bar, if a close is not a finite number above 0."""
    values = close.to_numpy(dtype="float64")
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"close must be a finite number above 0; got {values[row]:g} on {close.index[row]}; "
            "correct or remove that bar"
        )


@described
def fall_speed(close: pd.Series, *, fall_bars: int, volatility_bars: int) -> pd.Series:
    """How far the price fell over the last bars, in standard deviations of the bars before them.

    <= 0; 0 at a high of the last k bars.

    Parameters
    ----------
    close : pandas.Series, shape (n,)
        Closes of consecutive bars, > 0, in any unit.
    fall_bars : int
        Bars k of the fall, >= 1.
    volatility_bars : int
        Bars of the volatility, >= 2.

    Raises
    ------
    InputError
        If a close is not a finite number above 0; the message names the bar.

    Notes
    -----
    With ``r[t] = log(close[t] / close[t-1])``::

        log(close[t] / max(close[t-k], ..., close[t])) / (sqrt(k) * std(r[t-k-v+1], ..., r[t-k]))

    The volatility (sample standard deviation of v returns) ends where the fall's bars begin: a
    crash does not hide in its own volatility. NaN during the first k + v bars, and where that
    volatility is 0, because speed is then undefined.

    Examples
    --------
    >>> days = pd.date_range("2020-01-01", periods=6, tz="UTC")
    >>> close = pd.Series([100.0, 101.0, 100.0, 101.0, 100.0, 90.0], index=days)
    >>> fall_speed(close, fall_bars=1, volatility_bars=4).round(2).tolist()
    [nan, nan, nan, nan, nan, -9.17]
    """
    _check(min(fall_bars, volatility_bars), 1)
    check_prices(close)
    known = pd.Series(close.to_numpy(dtype="float64"), index=close.index)
    returns = (known / known.shift(1)).transform(np.log)
    volatility = returns.rolling(volatility_bars).std().shift(fall_bars)
    fall = (known / known.rolling(fall_bars + 1).max()).transform(np.log)
    unit = volatility.where(volatility > 0) * math.sqrt(fall_bars)
    return (fall / unit).rename("fall_speed")
