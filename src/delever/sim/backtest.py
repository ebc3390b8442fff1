"""A backtest: exposures in, equity, fills, trades and their attribution out."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from delever.market.execution import Costs

__all__ = ["Backtest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What a run of exposures over bars came to."""

    timeframe: str
    initial_equity: float
    costs: Costs
    ledger: pd.DataFrame
    fills: pd.DataFrame
    trades: pd.DataFrame
