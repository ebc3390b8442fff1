"""Counterfactuals: the same decisions without funding, at another leverage, at other costs."""

from __future__ import annotations

from dataclasses import replace

from delever.engine.backtest import Backtest, backtest
from delever.errors import InputError

__all__ = ["rerun"]


def rerun(
    run: Backtest,
    *,
    funding: bool = True,
    leverage: float | None = None,
    costs_times: float | None = None,
) -> Backtest:
    """Run the same targets over the same bars once more, with one thing or more changed.

    Raises
    ------
    InputError
        If the run does not know what it was asked for (a window, or a run read back from disk),
        or has no margin account where leverage or funding are to change.

    Examples
    --------
    >>> import pandas as pd
    >>> from delever.venues.costs import Costs
    >>> days = pd.date_range("2021-01-01", periods=2, tz="UTC")
    >>> bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], 100.0), index=days)
    >>> run = backtest(bars, pd.Series(1.0, index=days), timeframe="1d", costs=Costs(taker_fee=0.1))
    >>> [round(float(r.ledger["fee"].sum()), 3) for r in (run, rerun(run, costs_times=2.0))]
    [909.091, 1666.667]
    """
    if run.request is None:
        raise InputError(
            "a rerun needs the run as backtest returned it; windows and runs read back do not "
            "keep their bars; rerun the whole run, then take the window"
        )
    options = dict(run.request.options)
    if costs_times is not None:
        options["costs_times"] = costs_times
    if run.account is None:
        if leverage is not None or not funding:
            raise InputError(
                "a spot run has neither funding nor leverage to change; give backtest a account"
            )
    else:
        account = run.account
        if not funding:
            account = replace(account, funding=None, funding_policy="missing-is-zero")
        if leverage is not None:
            account = replace(account, leverage=leverage)
        options["account"] = account
    return backtest(run.request.bars, run.request.target_exposure, **options)
