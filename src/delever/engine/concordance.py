"""One spot run in the hands of three engines: this one, vectorbt, and exact decimals.

From vectorbt as it comes to this engine the run is changed one assumption at a time, so that each
step has its own share of the difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from delever.arguments import counted
from delever.engine.arrays import asked_targets, price_array
from delever.engine.decimal_ledger import keep
from delever.engine.ledger import Backtest
from delever.engine.screen import replayed
from delever.errors import InputError

OURS, EXACT = "delever", "exact decimals"
DEFAULT, LATER, TOLD = (
    "vectorbt as it comes",
    "vectorbt, at the next open",
    "vectorbt, told the sizes",
)

_STEPS = {
    "filled at the next open, not at the close that decides": (DEFAULT, LATER),
    "sized after costs, not before them": (LATER, TOLD),
}

AGREED = 1e-9
"""Relative difference of equity up to which two engines agree."""


class Concordance(NamedTuple):
    """Equity at each close by each engine, and how many fills only this one knows of."""

    equities: dict[str, pd.Series]
    forced: int
    gapless: bool  # whether every open is the close before it

    @property
    def steps(self) -> dict[str, tuple[str, str]]:
        """From one engine to the next, by what is changed between them."""
        left = "a short is liquidated, which vectorbt does not do" if self.forced else "rounding"
        return {**_STEPS, left: (TOLD, OURS)}

    def apart(self, engine: str) -> float:
        """The largest difference of an engine's equity from this one's, relative to it."""
        own, other = self.equities[OURS].to_numpy(), self.equities[engine].to_numpy()
        there = own > 0.0
        off = np.abs(other - own) / np.where(there, own, self.equities[OURS].iloc[0])
        return float(off.max())


def concordance(done: Backtest) -> Concordance:
    """Run what a spot run was asked for through the other engines.

    Raises InputError if it is no spot run at one fee and one slippage, or does not know its bars.
    """
    request = done.request
    if request is None:
        raise InputError(
            "a screen needs a run as delever.backtest returned it, or a study file; one read back "
            "does not keep its bars"
        )
    _check_spot(request, done)
    bars, earlier, costs = request["bars"], request["earlier"], done.costs
    index = pd.DatetimeIndex(bars.index)
    prices = price_array(bars, index)
    asked = asked_targets(request["target_exposure"], index, float(request["initial_target"]))
    told: dict[str, Any] = {
        "costs": costs,
        "cash": done.initial_equity,
        "timeframe": done.timeframe,
    }
    sized = done.fills[done.fills["reason"] == "target"].groupby("time")["position"].last()
    # What is filled at the close that decides is decided at the close before the first bar, too.
    before = None if earlier is None else earlier.iloc[-1:]
    at_closes = bars if before is None else pd.concat([before, bars])
    decided = asked if before is not None else asked[1:]
    exact, _ = keep(
        prices.tolist(), asked[:-1].tolist(),
        fee=costs.fee, slippage=costs.slippage, cash=done.initial_equity,
    )  # fmt: skip
    equities = {
        DEFAULT: replayed(at_closes, _changes(decided), at="close", **told).loc[index],
        LATER: replayed(bars, _changes(asked[:-1]), at="open", **told),
        TOLD: replayed(bars, sized.reindex(index).to_numpy(), at="open", amounts=True, **told),
        OURS: done.equity,
        EXACT: pd.Series([float(row["equity"]) for row in exact], index=index),
    }
    return Concordance(
        equities,
        forced=int((done.fills["reason"] == "liquidation").sum()),
        gapless=bool((prices[1:, 0] == prices[:-1, 3]).all()),
    )


def _changes(targets: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, Any]:
    """Targets where they change, NaN elsewhere: nothing is traded there."""
    return np.where(targets != np.append(0.0, targets[:-1]), targets, math.nan)


def _check_spot(request: Mapping[str, Any], done: Backtest) -> None:
    beyond = {
        "an account": request["account"] is not None,
        "orders beside its exposures": isinstance(request["target_exposure"], pd.DataFrame),
        "a rebalance band": request["rebalance_band"] is not None,
        counted(len(done.costs.parts), "cost model"): bool(done.costs.parts),
    }
    given = [name for name, there in beyond.items() if there]
    if given:
        raise InputError(
            f"a screen is for spot at one fee and one slippage; this run has {', '.join(given)}, "
            "which vectorbt knows nothing of; leave it out, or rely on delever run"
        )
