"""What made the change in equity: over a run, inside and outside periods, and in each of them."""

from __future__ import annotations

import pandas as pd

from delever.research.evaluation import SCOPES, Evaluation, scope_masks

_ORDER = ("price_pnl", "funding", "fee", "slippage", "borrow", "liquidation", "collateral")


def attribution(evaluation: Evaluation) -> pd.DataFrame:
    """Split the change of equity into its parts, scope by scope.

    The parts of a row add up to its ``change``, and inside and outside to the whole. Periods add
    up to inside where they do not overlap. In a period ``change / equity_before`` is its total
    return, so parts over ``equity_before`` are what each contributed to it.
    """
    run = evaluation.backtest
    index = pd.DatetimeIndex(run.ledger.index)
    before = run.equity.shift(fill_value=run.initial_equity)
    felt = run.parts
    felt = felt[sorted(felt, key=_ORDER.index)].assign(change=run.equity - before)
    masks = scope_masks(index, run.timeframe, evaluation.periods)
    rows = {scope: felt[mask].sum() for scope, mask in masks.items()}
    table = pd.DataFrame(rows).T.rename_axis(index="scope")
    started = {
        scope: float(before[mask].iloc[0])
        for scope, mask in masks.items()
        if scope not in SCOPES[1:]
    }
    return table.assign(equity_before=pd.Series(started, dtype="float64").reindex(table.index))
