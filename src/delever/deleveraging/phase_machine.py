"""The phase a market is in, as known at each bar's close: a state machine with hysteresis.

calm
    nothing of the following;
build_up
    leverage builds up: its index is above ``build_enter``, until it falls below ``build_exit``;
cascade
    forced selling: from any phase when stress is above ``enter`` and the close is the lowest of
    the last ``low_days``;
washout
    the selling has dried up: in a cascade, no lower close for ``quiet_days``; a lower close while
    stress is above ``exit`` is a cascade again;
recovery
    stress has been below ``exit`` for ``calm_days``; it ends when ``regained`` of the fall is won
    back, or after ``recovery_days``.

The phases of `delever.deleveraging.phases` bear the same names and are drawn with hindsight; these
are not, so they may be used as a signal and are often wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.deleveraging.stress import BUILD_UP, stress_index
from delever.errors import InputError
from delever.signals.clock import bars_in
from delever.view import MarketView

__all__ = ["STATES", "Machine", "market_states", "selling", "states"]

STATES = ("calm", "build_up", "cascade", "washout", "recovery")
"""In the order they follow each other."""

_CALM, _BUILD_UP, _CASCADE, _WASHOUT, _RECOVERY = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Parameters of the state machine; round on purpose, not fitted to the catalogue.

    Raises
    ------
    InputError
        If a parameter lies outside its range.
    """

    # levels of the stress index, 0 < `exit` < `enter` < 1: above the first a new low is a cascade,
    # below the second it is over
    enter: float = 0.95
    exit: float = 0.8
    # levels of the index of leverage, 0 < `build_exit` < `build_enter` < 1
    build_enter: float = 0.9
    build_exit: float = 0.7
    low_days: float = 7  # A cascade begins at the lowest close of so many days, > 0
    quiet_days: float = 3  # days without a lower close that make a washout, > 0
    calm_days: float = 3  # days in a row with stress below `exit` that end the selling, > 0
    recovery_days: float = 30  # the most a recovery may last, > 0
    regained: float = 0.5  # share of the fall whose recovery ends it, in (0, 1]

    def __post_init__(self) -> None:
        for low, high in (("exit", "enter"), ("build_exit", "build_enter")):
            if not 0 < getattr(self, low) < getattr(self, high) < 1:
                raise InputError(
                    f"{low} and {high} of the state machine must satisfy 0 < {low} < {high} < 1; "
                    f"got {getattr(self, low):g} and {getattr(self, high):g}"
                )
        for name in ("low_days", "quiet_days", "calm_days", "recovery_days", "regained"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} of the state machine must be above 0")
        if self.regained > 1:
            raise InputError(f"regained of the state machine must be <= 1; got {self.regained:g}")


@dataclass(slots=True, kw_only=True)
class _Episode:
    """What the machine remembers of the selling it is in."""

    high: float = float("nan")
    low: float = float("inf")
    quiet: int = 0
    calm: int = 0
    age: int = 0


def states(
    close: pd.Series,
    stress: pd.Series,
    build_up: pd.Series,
    timeframe: str,
    machine: Machine | None = None,
) -> pd.Series:
    """Phase of each bar, as known at its close.

    Raises
    ------
    InputError
        If the series are not on the same bars.
    """
    if not (close.index.equals(stress.index) and close.index.equals(build_up.index)):
        raise InputError("close, stress and build_up must have the same bars; align them first")
    chosen = machine or Machine()
    count = {
        name: bars_in(getattr(chosen, name), timeframe)
        for name in ("low_days", "quiet_days", "calm_days", "recovery_days")
    }
    week = close.rolling(count["low_days"] + 1, min_periods=1)
    codes = _walk(
        close.to_numpy(dtype="float64"),
        stress.to_numpy(dtype="float64"),
        build_up.to_numpy(dtype="float64"),
        (close <= week.min()).to_numpy(),
        week.max().to_numpy(dtype="float64"),
        chosen,
        count,
    )
    codes[np.logical_and.accumulate(stress.isna().to_numpy())] = -1
    kind = pd.CategoricalDtype(list(STATES), ordered=True)
    return pd.Series(
        pd.Categorical.from_codes(codes.tolist(), dtype=kind), index=close.index, name="state"
    )


def _walk(
    close: npt.NDArray[np.float64],
    stress: npt.NDArray[np.float64],
    build_up: npt.NDArray[np.float64],
    lowest: npt.NDArray[np.bool_],
    highest: npt.NDArray[np.float64],
    machine: Machine,
    count: dict[str, int],
) -> npt.NDArray[np.int8]:
    out = np.zeros(len(close), dtype=np.int8)
    now, past = _CALM, _Episode()
    rows = zip(
        close.tolist(),
        stress.tolist(),
        build_up.tolist(),
        lowest.tolist(),
        highest.tolist(),
        strict=True,
    )
    for row, (price, strain, leverage, new_low, high) in enumerate(rows):
        if now in (_CALM, _BUILD_UP, _RECOVERY) and strain >= machine.enter and new_low:
            past = _Episode(high=high, low=price)
            now = _CASCADE
        elif now in (_CASCADE, _WASHOUT):
            now = _selling(now, price, strain, past, machine, count)
        elif now == _RECOVERY:
            past.age += 1
            back = price >= past.low + machine.regained * (past.high - past.low)
            now = _CALM if back or past.age >= count["recovery_days"] else _RECOVERY
        elif now == _CALM and leverage >= machine.build_enter:
            now = _BUILD_UP
        elif now == _BUILD_UP and leverage < machine.build_exit:
            now = _CALM
        out[row] = now
    return out


def _selling(
    now: int, price: float, strain: float, past: _Episode, machine: Machine, count: dict[str, int]
) -> int:
    """Next phase after a bar in a cascade or a washout."""
    lower = price < past.low
    past.low = min(past.low, price)
    past.quiet = 0 if lower else past.quiet + 1
    past.calm = past.calm + 1 if strain < machine.exit else 0
    if past.calm >= count["calm_days"]:
        past.age = 0
        return _RECOVERY
    if lower and strain >= machine.exit:
        return _CASCADE
    return _WASHOUT if past.quiet >= count["quiet_days"] else now


def selling(state: pd.Series) -> pd.Series[bool]:
    """Whether the market was deleveraging: in a cascade or a washout."""
    known = state[state.notna()]
    on: pd.Series[bool] = known.isin(["cascade", "washout"])
    return on.rename("deleveraging")


def market_states(market: MarketView, machine: Machine | None = None) -> pd.Series:
    """Phase of each bar of a market, from every reading it has.

    Raises
    ------
    InputError
        If a reading is declared with a publication lag shorter than the least that is honest.
    """
    stress = stress_index(market).value
    leverage = stress_index(market, BUILD_UP, least_coverage=0.5).value
    return states(market.bars["close"], stress, leverage, market.timeframe, machine)
