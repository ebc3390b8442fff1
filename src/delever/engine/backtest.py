"""A backtest: exposures in, equity, fills, trades and their attribution out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

from delever.arguments import checked
from delever.engine.arrays import (
    asked_targets,
    bar_index,
    check_amounts,
    price_array,
)
from delever.engine.ledger import ATTRIBUTION, Backtest
from delever.engine.orders import EXPOSURE, Target, before_bars, exposure_of
from delever.engine.settings import Account, with_contract
from delever.engine.simulate import simulate
from delever.engine.terms import costs_of
from delever.errors import InputError
from delever.units import timeframe_delta
from delever.venues.costs import Borrow, CostPart

__all__ = ["ATTRIBUTION", "Backtest", "backtest", "rerun"]


@checked
def backtest(
    bars: pd.DataFrame,
    target_exposure: Target,
    *,
    timeframe: str,
    costs: CostPart | None = None,
    initial_equity: float = 10_000.0,
    initial_target: float | pd.Series = 0.0,
    rebalance_band: float | None = None,
    engine: Literal["numba", "python"] = "numba",
    account: Account | None = None,
    earlier: pd.DataFrame | None = None,
    tables: bool = True,
) -> Backtest:
    """Simulate an account that follows target exposures: spot, a 1x short, or a perpetual.

    Raises InputError if the indexes differ, a price or target is not usable, a target lies beyond
    [-1, 1] (or the leverage of `account`), or a bracket does not allow a position; DataError if
    funding, brackets, mark or detail do not cover the run.

    Parameters
    ----------
    bars : pandas.DataFrame, shape (n, 4 or more)
        Columns open, high, low, close in quote units, indexed by open time in UTC.
    target_exposure : pandas.Series or pandas.DataFrame, shape (n,) or (n, k)
        Decided at each bar's close, signed fraction of equity in [-1, 1], or within the leverage
        of `account`, on the index of the bars. NaN before the first value means flat. A frame has
        it as ``exposure``, and beside it orders: ``stop_price``, ``take_profit_price``,
        ``limit_price``, ``exposure_2`` at ``limit_price_2`` and so on, ``leverage`` and
        ``time_stop``, NaN for none. Other columns are not read.
    timeframe : str
        Of the bars.
    costs : Costs or one of their parts, optional
        Fee, slippage and borrow. When left out, the fees of the rules of `account`, by date; none
        without them.
    initial_equity : float
        Quote units, from 1e-6 to 1e15.
    initial_target : float or pandas.Series
        Decided before the first bar, filled at its open; with orders, a row of such a frame.
    rebalance_band : float, optional
        Trade also when exposure at the open is further than this from the target. By default a
        position is left to drift until the target changes.
    engine : {"numba", "python"}
        The compiled loop, or the same lines as Python runs them, slowly.
    account : Account, optional
        Contract, leverage, margin, funding and orders of a margin account.
    earlier : pandas.DataFrame, optional
        Bars before these, for costs that look back from the first ones.
    tables : bool
        Without them, which takes half the time, fills and trades are empty and the ledger holds the
        equity alone.

    Notes
    -----
    The target of row t is filled at the open of row t + 1, with costs included: exposure after
    the fill, at the fill price, is the target. The last row's target is not filled and is kept
    as ``pending_target``.

    A short whose equity is gone at the open is closed there, and the loss beyond equity is booked
    as ``liquidation``; one whose equity reaches zero inside the bar, judged by the bar's high, is
    closed at that price. A ruined account stays at zero. A margin account keeps to
    ``docs/engine.md``.

    Examples
    --------
    >>> days = pd.date_range("2021-01-01", periods=3, tz="UTC")
    >>> price = pd.Series([100.0, 110.0, 121.0], index=days)
    >>> bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], price))
    >>> run = backtest(bars, pd.Series(1.0, index=days), timeframe="1d", initial_equity=1000.0)
    >>> run.equity.tolist()  # decided at the first close, filled at the second open
    [1000.0, 1000.0, 1100.0]
    """
    _check(timeframe, costs, account, initial_equity, rebalance_band)
    request = {
        "bars": bars,
        "target_exposure": target_exposure,
        "timeframe": timeframe,
        "costs": costs,
        "initial_equity": initial_equity,
        "initial_target": initial_target,
        "rebalance_band": rebalance_band,
        "engine": engine,
        "account": account,
        "earlier": earlier,
    }
    return _simulated(request, tables=tables)


def _simulated(request: Mapping[str, Any], *, tables: bool) -> Backtest:
    account, timeframe = request["account"], request["timeframe"]
    target, initial = request["target_exposure"], request["initial_target"]
    paid = costs_of(request["costs"], account)
    ordered = isinstance(target, pd.DataFrame)
    if account is None and (ordered or any(isinstance(part, Borrow) for part in paid.parts)):
        account = Account()  # whose ledger has the columns for it
    bars = request["bars"]
    index = bar_index(bars)
    prices = price_array(bars, index)
    most = times = 1.0
    if account is not None:
        account = with_contract(account, index[0].date())
        most, times = account.leverage, account.exposure
    first = float(initial[EXPOSURE] if isinstance(initial, pd.Series) else initial)
    decided = asked_targets(exposure_of(target) * times, index, first * times, lowest=-most)
    said = None if account is None else before_bars(target, initial, account)
    band = request["rebalance_band"]
    made = simulate(
        bars,
        index,
        prices,
        decided[:-1],
        said,
        account,
        timeframe=timeframe,
        costs=paid,
        initial_equity=float(request["initial_equity"]),
        band=math.inf if band is None else float(band),
        engine=request["engine"],
        earlier=request["earlier"],
        tables=tables,
    )
    return Backtest(
        timeframe=timeframe,
        initial_equity=float(request["initial_equity"]),
        costs=paid,
        pending_target=float(decided[-1]),
        account=account,
        request=request,
        **made._asdict(),
    )


def _check(
    timeframe: str,
    costs: object,
    account: object,
    initial_equity: float,
    rebalance_band: float | None,
) -> None:
    timeframe_delta(timeframe)
    if not isinstance(costs, CostPart | None):
        raise InputError(f"costs must be delever.Costs, or None; got {costs!r}")
    if not isinstance(account, Account | None):
        raise InputError(f"account must be delever.Account, or None; got {account!r}")
    check_amounts(initial_equity, rebalance_band)


def rerun(run: Backtest, *, tables: bool = True, **changes: Any) -> Backtest:
    """Run once more, with some arguments of `backtest` changed.

    Without `tables`, which takes half the time, fills and trades are empty and the ledger holds the
    equity alone.

    Raises InputError if the run does not know what it was asked for: a window, or a run read back
    from disk.
    """
    if run.request is None:
        raise InputError(
            "a rerun needs the run as backtest returned it; windows and runs read back do not "
            "keep their bars; rerun the whole run, then take the window"
        )
    return backtest(**{**run.request, **changes}, tables=tables)
