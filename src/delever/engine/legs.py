"""What an account of several positions is told: its legs, how they share margin, their targets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from delever.arguments import counted
from delever.engine.arrays import bar_index, price_array
from delever.engine.book_market import LegInput, said_of
from delever.engine.settings import Account, with_contract
from delever.engine.steps import Floats
from delever.engine.terms import costs_of
from delever.errors import InputError
from delever.frames import utc_index
from delever.units import timeframe_delta
from delever.venues.costs import Borrow, CostPart

__all__ = ["Leg", "Margin"]

_NEARLY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Leg:
    """One thing that an account can hold.

    Attributes
    ----------
    bars : pandas.DataFrame
        Columns open, high, low, close in quote units, indexed by open time in UTC; its own
        calendar, of the timeframe that all legs share.
    account : Account
        Contract, leverage, funding, mark, rules, detail and orders, as a run of one symbol takes
        them. How it shares collateral is `Margin`'s to say, not its `margin_mode`'s.
    costs : Costs or one of their parts, optional
        In place of those of the portfolio.
    ends : {"last"} or float or None
        What is left of a position when the bars end before the run does (the symbol was delisted):
        it is closed at its last bar's close, at the costs of any fill, or at this price, without
        costs. None refuses bars that end early.

    Raises
    ------
    InputError
        If `ends` is anything else.
    """

    bars: pd.DataFrame
    account: Account = field(default_factory=Account)
    costs: CostPart | None = None
    ends: Literal["last"] | float | None = "last"

    def __post_init__(self) -> None:
        number = isinstance(self.ends, int | float) and not isinstance(self.ends, bool)
        if not (
            self.ends is None
            or self.ends == "last"
            or (number and 0.0 <= float(self.ends) < math.inf)
        ):
            raise InputError(
                f"ends must be 'last', a recovery price of 0 or more, or None; got {self.ends!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """How the legs of a portfolio share their collateral.

    Attributes
    ----------
    mode : {"separate", "isolated", "cross"}
        *separate*: each leg has a wallet of its own, and targets are fractions of it. *isolated*:
        one wallet, and behind each perpetual its own margin. *cross*: one wallet, which stands
        behind all positions that need margin; spot that is held does not count.
    weights : mapping of str to float, optional
        Shares of the initial equity in the wallets of *separate*; equal by default.

    Raises
    ------
    InputError
        If the mode is another word, or weights are given without wallets or do not sum to 1.
    """

    mode: Literal["separate", "isolated", "cross"] = "cross"
    weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if self.mode not in ("separate", "isolated", "cross"):
            raise InputError(
                f"margin: mode must be 'separate', 'isolated' or 'cross'; got {self.mode!r}"
            )
        if self.weights is None:
            return
        if self.mode != "separate":
            raise InputError(
                f"margin: weights are shares of separate wallets; the mode is {self.mode!r}, with "
                "one wallet; leave them out"
            )
        total = sum(self.weights.values())
        if not (abs(total - 1.0) < _NEARLY and all(w >= 0.0 for w in self.weights.values())):
            raise InputError(
                f"margin: weights must be 0 or more and sum to 1; they sum to {total:g}"
            )


def read_leg(name: str, leg: Leg, how: Margin, costs: CostPart | None, timeframe: str) -> LegInput:
    """Check a leg, and settle its account and costs.

    Raises InputError if its bars are not usable, or their timeframe or its collateral is another.
    """
    with said_of(name):
        index = bar_index(leg.bars)
        prices = price_array(leg.bars, index)
        account = with_contract(leg.account, index[0].date())
        paid = costs_of(leg.costs if leg.costs is not None else costs, account)
    length = timeframe_delta(timeframe)
    if len(index) > 1 and (np.diff(index.asi8) < length.value).any():
        raise InputError(
            f"{name}: all legs must have bars of one timeframe, {timeframe}; its own are "
            f"{pd.Timedelta(int(np.diff(index.asi8).min()))} apart; resample them"
        )
    if account.inverse:
        raise InputError(
            f"{name}: positions that share a wallet must have one collateral; this one is settled "
            "in its coin and the wallet holds quote units; give it a run of its own"
        )
    if account.contract is not None and any(isinstance(part, Borrow) for part in paid.parts):
        paid = replace(paid, parts=tuple(p for p in paid.parts if not isinstance(p, Borrow)))
    mode: Literal["isolated", "cross"] = "isolated"
    if how.mode == "cross":
        mode = "cross"
    elif how.mode == "separate":
        mode = account.margin_mode
    return LegInput(index, prices, leg.bars, replace(account, margin_mode=mode), paid, leg.ends)


def union(indexes: list[pd.DatetimeIndex]) -> pd.DatetimeIndex:
    """Open times of all bars."""
    clock = indexes[0]
    for index in indexes[1:]:
        clock = clock if index.equals(clock) else clock.union(index)
    return clock


def decided_targets(
    targets: pd.DataFrame, legs: Mapping[str, LegInput], clock: pd.DatetimeIndex
) -> dict[str, tuple[float, Floats]]:
    """Of each leg, the target decided last and those asked for at its bars' opens.

    Raises InputError if columns or rows are others, or a target is not usable.
    """
    if repeated := targets.columns[targets.columns.duplicated()].tolist():
        raise InputError(
            f"target_exposure must have every symbol once; {repeated[0]!r} is a column twice; add "
            "them up or drop one"
        )
    if set(targets.columns) != set(legs):
        raise InputError(
            f"target_exposure must have one column per leg: {', '.join(legs)}; got "
            f"{', '.join(map(str, targets.columns))}"
        )
    if not utc_index(targets.index, "open_time", "target_exposure").equals(clock):
        raise InputError(
            "target_exposure must have one row per open time of any leg's bars; got "
            f"{counted(len(targets), 'row')} for {counted(len(clock), 'time')}; reindex it to them"
        )
    return {name: _asked(name, targets[name], leg, clock) for name, leg in legs.items()}


def _asked(
    name: str, column: pd.Series, leg: LegInput, clock: pd.DatetimeIndex
) -> tuple[float, Floats]:
    values = column.to_numpy(dtype=np.float64) * leg.account.exposure
    place = clock.get_indexer(leg.index)
    known = ~np.isnan(values)
    late = place[~known[place] & np.logical_or.accumulate(known)[place]]
    if len(late):
        raise InputError(
            f"{name}: target_exposure may be NaN only before its first value (warm-up) and where "
            f"the leg has no bar; the bar of {clock[late[0]]:%Y-%m-%d %H:%M} is NaN; decide a "
            "number there"
        )
    row = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    held = np.where(row >= 0, values[row], 0.0)
    most = leg.account.leverage
    beyond = np.flatnonzero(~(np.abs(held) <= most))
    if len(beyond):
        raise InputError(
            f"{name}: target_exposure must lie in [{-most:g}, {most:g}], its leverage; the bar of "
            f"{clock[beyond[0]]:%Y-%m-%d %H:%M} asks for {held[beyond[0]]:g}; scale it, or set a "
            "higher leverage"
        )
    return float(held[-1]), np.append(0.0, held)[place]


def check_margins(
    decided: Mapping[str, tuple[float, Floats]],
    legs: Mapping[str, LegInput],
    how: Margin,
    clock: pd.DatetimeIndex,
) -> None:
    """Refuse targets whose margins one wallet could not hold together.

    Raises InputError where the sum of |target| / leverage is above 1.
    """
    if how.mode == "separate":
        return
    total = np.zeros(len(clock))
    for name, (_, asked) in decided.items():
        leg = legs[name]
        margins = np.full(len(clock), np.nan)
        margins[clock.get_indexer(leg.index)] = np.abs(asked) / leg.account.leverage
        if leg.index[-1] != clock[-1]:
            margins[int(clock.searchsorted(leg.index[-1])) + 1 :] = 0.0
        row = np.maximum.accumulate(np.where(np.isnan(margins), -1, np.arange(len(clock))))
        total += np.where(row >= 0, margins[row], 0.0)
    beyond = np.flatnonzero(total > 1.0 + _NEARLY)
    if len(beyond):
        raise InputError(
            "target_exposure must not need more margin than there is equity: the sum of |target| / "
            f"leverage over the legs must be at most 1; at {clock[beyond[0]]:%Y-%m-%d %H:%M} it is "
            f"{total[beyond[0]]:g}; lower the targets, or set higher leverages"
        )
