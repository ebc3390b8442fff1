"""Grids of windows and quick screens of many exposures, through vectorbt.

A screen ranks; a backtest decides. vectorbt knows no funding, margin or liquidation, and sizes a
partial target before its fee rather than after.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from delever.arguments import Floats
from delever.bars import elapsed_years
from delever.engine.arrays import asked_targets, bar_index, price_array
from delever.errors import InputError
from delever.units import timeframe_delta
from delever.venues.costs import Costs

_CASH = 10_000.0


def moving_averages(
    close: pd.Series, windows: Sequence[int], average: Literal["sma", "ema"] = "sma"
) -> pd.DataFrame:
    """Moving averages of one series over many windows.

    Raises InputError if a window is not a whole number of bars, or the average has another name.

    Notes
    -----
    vectorbt takes a simple average from a running sum, so it differs from a window summed afresh
    by rounding: some 1e-12 of the largest price before it.
    """
    sizes = [int(window) for window in windows]
    if not sizes or min(sizes) < 1 or len(set(sizes)) < len(sizes) or sizes != list(windows):
        raise InputError(
            f"windows must be different whole numbers of bars, each at least 1; got {list(windows)}"
        )
    if average not in ("sma", "ema"):
        raise InputError(f"average must be 'sma' or 'ema'; got {average!r}")
    import vectorbt as vbt

    found = vbt.MA.run(close.astype("float64"), window=sizes, ewm=average == "ema").ma
    columns = pd.Index(sizes, name="window")
    return pd.DataFrame(
        found.to_numpy().reshape(len(close), len(sizes)), index=close.index, columns=columns
    )


def screen(
    bars: pd.DataFrame,
    exposures: pd.DataFrame,
    *,
    timeframe: str,
    costs: Costs | None = None,
    chunk: int = 1000,
) -> pd.DataFrame:
    """Rank many exposures on one market, fast and roughly: see docs/engine.md, Screens.

    Raises InputError if an exposure is negative or above 1, is NaN after its first value, or sits
    on other bars than those given.
    """
    timeframe_delta(timeframe)
    if chunk < 1:
        raise InputError(f"chunk must be at least 1 column; got {chunk}")
    if exposures.columns.has_duplicates:
        raise InputError("exposures must have a different name for each column; rename the repeats")
    index = bar_index(bars)
    prices = price_array(bars, index)
    paid = Costs() if costs is None else costs
    asked = [
        asked_targets(exposures.iloc[:, column], index, lowest=0.0)[:-1]
        for column in range(exposures.shape[1])
    ]
    parts = [
        _simulate(prices, np.column_stack(asked[first : first + chunk]), index, timeframe, paid)
        for first in range(0, len(asked), chunk)
    ]
    table = np.concatenate(parts) if parts else np.empty((0, 3))
    return pd.DataFrame(
        table, index=exposures.columns, columns=["total_return", "sharpe_ratio", "max_drawdown"]
    )


def replayed(
    bars: pd.DataFrame,
    size: Floats,
    *,
    at: Literal["open", "close"],
    costs: Costs,
    cash: float,
    timeframe: str,
    amounts: bool = False,
) -> pd.Series:
    """Equity of vectorbt's portfolio that asks for sizes at the open or close of each bar.

    Sizes are shares of its value, or `amounts` of base units; NaN asks for nothing.
    """
    portfolio = _portfolio(
        bars["close"],
        pd.Series(size, index=bars.index),
        price=bars[at],
        costs=costs,
        cash=cash,
        timeframe=timeframe,
        size_type="targetamount" if amounts else "targetpercent",
        direction="both" if np.nanmin(np.append(0.0, size)) < 0.0 else "longonly",
    )
    value: pd.Series = portfolio.value().rename("equity")
    return value


def _portfolio(
    close: pd.Series, size: pd.Series | pd.DataFrame, *, costs: Costs, cash: float, timeframe: str,
    **told: Any,
) -> Any:  # fmt: skip
    import vectorbt as vbt

    return vbt.Portfolio.from_orders(
        close,
        size=size,
        fees=costs.fee,
        slippage=costs.slippage,
        min_size=0.0,
        init_cash=cash,
        freq=timeframe_delta(timeframe),
        **told,
    )


def _simulate(
    prices: Floats, asked: Floats, index: pd.DatetimeIndex, timeframe: str, costs: Costs
) -> Floats:
    before = np.vstack([np.zeros(asked.shape[1]), asked[:-1]])
    portfolio = _portfolio(
        pd.Series(prices[:, 3], index=index),
        pd.DataFrame(np.where(asked != before, asked, np.nan), index=index),
        price=pd.Series(prices[:, 0], index=index),
        costs=costs,
        cash=_CASH,
        timeframe=timeframe,
        size_type="targetpercent",
        direction="longonly",
    )
    # vectorbt takes so many bars for a year: those that elapsed time holds.
    year = timeframe_delta(timeframe) * (len(index) / elapsed_years(index, timeframe))
    sharpe = portfolio.sharpe_ratio(year_freq=year, risk_free=0.0)
    measured = (portfolio.total_return(), sharpe, portfolio.max_drawdown())
    table = np.column_stack([np.atleast_1d(np.asarray(values)) for values in measured])
    table[~np.isfinite(table[:, 1]), 1] = np.nan
    # a portfolio and its cached series refer to each other; nothing else frees them in time
    del portfolio
    gc.collect()
    return table
