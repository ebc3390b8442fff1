"""Technical indicators, each a causal function of a series: row t uses rows up to t only.

The one module that knows the ``ta`` library. Its moving weighted average and average true range
loop over rows in Python, so those two are computed here; the tests hold them against ``ta``.

Every indicator is NaN until its window is full and wherever its input is NaN; nothing is filled.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from delever.arguments import one_of
from delever.errors import InputError
from delever.memo import remembered
from delever.signals.glossary import described

Average: TypeAlias = Literal["sma", "ema", "wma"]
"""Kinds of moving average: simple, exponential (``adjust=False``), linearly weighted."""


def _check_window(window: int, name: str = "window") -> None:
    if isinstance(window, bool) or not isinstance(window, int | np.integer) or window < 1:
        raise InputError(f"{name} must be a whole number of rows, at least 1; got {window!r}")


@described
@remembered
def sma(values: pd.Series, window: int) -> pd.Series:
    """Simple moving average.

    In the unit of `values`; NaN for the first ``window - 1`` rows and for any window that
    holds a NaN.

    Examples
    --------
    >>> sma(pd.Series([1.0, 2.0, 6.0]), 2).tolist()
    [nan, 1.5, 4.0]
    """
    from ta.trend import SMAIndicator

    _check_window(window)
    out: pd.Series = SMAIndicator(values, window).sma_indicator()
    return out.rename("sma")


@described
@remembered
def ema(values: pd.Series, window: int) -> pd.Series:
    """Exponential moving average, seeded with the first value.

    In the unit of `values`; NaN for the first ``window - 1`` rows and where `values` is NaN.

    Parameters
    ----------
    window : int
        The span, at least 1: the newest value weighs ``2 / (window + 1)``.

    Notes
    -----
    ``e[0] = x[0]``, ``e[t] = e[t-1] + 2 / (window + 1) * (x[t] - e[t-1])``: pandas'
    ``ewm(span=window, adjust=False)``. It never forgets the first value, so it depends on where
    the history begins; after three windows the first value weighs less than 0.3 %.

    Examples
    --------
    >>> ema(pd.Series([1.0, 4.0, 4.0]), 2).tolist()
    [nan, 3.0, 3.6666666666666665]
    """
    from ta.trend import EMAIndicator

    _check_window(window)
    out: pd.Series = EMAIndicator(values, window).ema_indicator()
    return out.where(values.notna()).rename("ema")


@described
@remembered
def wma(values: pd.Series, window: int) -> pd.Series:
    """Linearly weighted moving average: the newest value weighs `window`, the oldest 1.

    In the unit of `values`; NaN for the first ``window - 1`` rows and for any window that
    holds a NaN.

    Examples
    --------
    >>> wma(pd.Series([3.0, 6.0, 9.0]), 2).tolist()
    [nan, 5.0, 8.0]
    """
    _check_window(window)
    data = values.to_numpy(dtype="float64")
    out = np.full(len(data), np.nan)
    if len(data) >= window:
        weights = np.arange(1.0, window + 1.0)
        out[window - 1 :] = np.correlate(data, weights, "valid") / weights.sum()
    return pd.Series(out, index=values.index, name="wma")


@described
def moving_average(values: pd.Series, window: int, average: Average) -> pd.Series:
    """Moving average of a named kind.

    In the unit of `values`; NaN for the first ``window - 1`` rows.

    Parameters
    ----------
    average : {"sma", "ema", "wma"}
        Which of `sma`, `ema`, `wma`.

    Raises
    ------
    InputError
        If `window` or `average` is not one of those there are.

    Examples
    --------
    >>> moving_average(pd.Series([3.0, 6.0]), 2, "wma").tolist()
    [nan, 5.0]
    """
    kinds = {"sma": sma, "ema": ema, "wma": wma}
    one_of("average", average, kinds)
    return kinds[average](values, window)


@described
@remembered
def atr(high: pd.Series, low: pd.Series, close: pd.Series, window: int) -> pd.Series:
    """Average true range after Wilder.

    In quote units, >= 0; NaN for the first ``window - 1`` rows.

    Notes
    -----
    True range: the largest of ``high - low``, ``|high - previous close|`` and
    ``|low - previous close|``; of the first row ``high - low``. The first average is the mean of
    `window` true ranges, then ``atr[t] = atr[t-1] + (tr[t] - atr[t-1]) / window``.

    References
    ----------
    J. W. Wilder, *New Concepts in Technical Trading Systems*, 1978.

    Examples
    --------
    >>> high, low = pd.Series([3.0, 4.0, 5.0]), pd.Series([1.0, 3.0, 4.0])
    >>> atr(high, low, close=low, window=2).tolist()
    [nan, 2.5, 2.25]
    """
    _check_window(window)
    before = close.shift(1)
    spans = pd.DataFrame(
        {"in": high - low, "up": (high - before).abs(), "dn": (low - before).abs()}
    )
    ranges = spans.max(axis=1)
    means = ranges.rolling(window).mean()
    ready = means.notna().cummax()
    first = ready & ~ready.shift(1, fill_value=False)
    seeded = ranges.where(ready).mask(first, means)
    return seeded.ewm(alpha=1 / window, adjust=False).mean().rename("atr")


@described
@remembered
def rsi(values: pd.Series, window: int = 14) -> pd.Series:
    """Relative strength index after Wilder.

    An index number from 0 (only falls) to 100 (only rises), as its thresholds are written
    in the literature; NaN for the first ``window - 1`` rows, and for as long as nothing has
    moved at all.

    Parameters
    ----------
    values : pandas.Series, shape (n,)
        Usually closes.

    Notes
    -----
    ``100 * u / (u + d)`` with u and d the averages of rises and falls smoothed with weight
    ``1 / window``, both starting from zero at the first row.

    References
    ----------
    J. W. Wilder, *New Concepts in Technical Trading Systems*, 1978.

    Examples
    --------
    >>> rsi(pd.Series([1.0, 2.0, 1.0]), 2).round(9).tolist()
    [nan, 100.0, 33.333333333]
    """
    from ta.momentum import RSIIndicator

    _check_window(window)
    out: pd.Series = RSIIndicator(values, window).rsi()
    # ta answers 100 where there was neither a rise nor a fall.
    return out.where(values.cummax() > values.cummin()).rename("rsi")


@described
@remembered
def roc(values: pd.Series, window: int) -> pd.Series:
    """Rate of change over `window` rows.

    Fraction, ``x[t] / x[t - window] - 1``; NaN for the first `window` rows.

    Parameters
    ----------
    values : pandas.Series, shape (n,)
        Positive.
    window : int
        Rows back, at least 1.

    Examples
    --------
    >>> roc(pd.Series([4.0, 5.0]), 1).tolist()
    [nan, 0.25]
    """
    from ta.momentum import ROCIndicator

    _check_window(window)
    percent: pd.Series = ROCIndicator(values, window).roc()
    return (percent / 100).rename("roc")


@described
@remembered
def donchian(high: pd.Series, low: pd.Series, window: int) -> pd.DataFrame:
    """Lowest low and highest high of the last `window` rows, the present one included.

    Returns
    -------
    pandas.DataFrame, shape (n, 2)
        ``lower`` and ``upper``, in quote units; NaN for the first ``window - 1`` rows. For a
        level known *before* a bar see `delever.signals.levels`.

    Examples
    --------
    >>> donchian(pd.Series([3.0, 4.0]), pd.Series([1.0, 2.0]), 2).iloc[1].tolist()
    [1.0, 4.0]
    """
    from ta.volatility import DonchianChannel

    _check_window(window)
    channel = DonchianChannel(high, low, low, window)
    lower, upper = channel.donchian_channel_lband(), channel.donchian_channel_hband()
    return pd.DataFrame({"lower": lower, "upper": upper})


@described
@remembered
def bollinger(values: pd.Series, window: int = 20, width: float = 2.0) -> pd.DataFrame:
    """Simple moving average with a band of `width` standard deviations on either side.

    Parameters
    ----------
    width : float
        Standard deviations, >= 0.

    Returns
    -------
    pandas.DataFrame, shape (n, 3)
        ``lower``, ``middle``, ``upper`` in the unit of `values`; NaN for the first
        ``window - 1`` rows. The standard deviation is the population's (divisor `window`).

    Raises
    ------
    InputError
        If `window` is not a whole number of at least 1, or `width` is negative.

    Examples
    --------
    >>> bollinger(pd.Series([1.0, 3.0]), 2).iloc[1].tolist()
    [0.0, 2.0, 4.0]
    """
    from ta.volatility import BollingerBands

    _check_window(window)
    if not width >= 0:
        raise InputError(f"width must be a number of standard deviations >= 0; got {width!r}")
    bands = BollingerBands(values, window, width)
    return pd.DataFrame(
        {
            "lower": bands.bollinger_lband(),
            "middle": bands.bollinger_mavg(),
            "upper": bands.bollinger_hband(),
        }
    )


@described
@remembered
def macd(values: pd.Series, fast: int = 12, slow: int = 26, signal: int = 9) -> pd.DataFrame:
    """Difference of two exponential averages, and its own average.

    Parameters
    ----------
    fast, slow, signal : int
        Spans in rows, each at least 1; `fast` shorter than `slow`.

    Returns
    -------
    pandas.DataFrame, shape (n, 3)
        ``macd`` = ema(fast) - ema(slow), ``signal`` = ema of ``macd``, ``histogram`` = their
        difference, in the unit of `values`; NaN for the first ``slow - 1`` (``macd``) and
        ``slow + signal - 2`` (the others) rows.

    Raises
    ------
    InputError
        If a span is not a whole number of at least 1, or `fast` is not shorter than `slow`.

    Examples
    --------
    >>> macd(pd.Series([1.0, 4.0, 4.0]), fast=1, slow=2, signal=1)["macd"].round(9).tolist()
    [nan, 1.0, 0.333333333]
    """
    from ta.trend import MACD

    for name, window in (("fast", fast), ("slow", slow), ("signal", signal)):
        _check_window(window, name)
    if fast >= slow:
        raise InputError(f"fast must be shorter than slow; got fast={fast} and slow={slow}")
    lines = MACD(values, window_slow=slow, window_fast=fast, window_sign=signal)
    return pd.DataFrame(
        {"macd": lines.macd(), "signal": lines.macd_signal(), "histogram": lines.macd_diff()}
    ).where(values.notna())
