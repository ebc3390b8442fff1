"""What an account is told besides bars and targets: contract, rules, funding, orders."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from numbers import Real
from types import MappingProxyType, NoneType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np
import numpy.typing as npt
import pandas as pd
from annotated_types import DocInfo, Ge, Gt, Lt, doc

from delever.arguments import counted
from delever.errors import InputError
from delever.funding_stamps import snap_to_second
from delever.venues.contract import PerpContract
from delever.venues.rules import Rulebook, Rules


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FundingSeries:
    """Funding rates at their stamps.

    Attributes
    ----------
    stamps : numpy.ndarray of int64, shape (n,)
        Nanoseconds since 1970-01-01 UTC, increasing; snapped to the second.
    rates : numpy.ndarray, shape (n,)
        Fraction for the interval that ends at the stamp; > 0: longs pay.
    mark_prices : numpy.ndarray, shape (n,), optional
        Mark price at the stamp, > 0, where the venue published it.

    Raises
    ------
    InputError
        If lengths differ, stamps do not increase, or a number is not usable.
    """

    stamps: npt.NDArray[np.int64]
    rates: npt.NDArray[np.float64]
    mark_prices: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "stamps", snap_to_second(self.stamps))
        if len(self.stamps) != len(self.rates):
            raise InputError(
                f"funding must have one rate per stamp; got {counted(len(self.stamps), 'stamp')} "
                "and "
                f"{counted(len(self.rates), 'rate')}"
            )
        if not (np.diff(self.stamps) > 0).all():
            raise InputError("funding stamps must increase; sort them and remove repeats")
        if not np.isfinite(self.rates).all():
            raise InputError("funding rates must be finite fractions; remove the others")
        marks = self.mark_prices
        if marks is not None and not (
            len(marks) == len(self.stamps) and np.isfinite(marks).all() and (marks > 0.0).all()
        ):
            raise InputError("funding must have one mark price above 0 per stamp, or none at all")

    @classmethod
    def of(cls, rates: pd.Series, mark_prices: pd.Series | None = None) -> FundingSeries:
        """Take rates, and mark prices where known, from series indexed by stamps in UTC."""
        index = pd.DatetimeIndex(rates.index)
        if index.tz is None:
            raise InputError("funding must be indexed by stamps with a time zone; give UTC")
        marks = None if mark_prices is None else mark_prices.to_numpy(dtype=np.float64)
        return cls(
            stamps=index.as_unit("ns").asi8,
            rates=rates.to_numpy(dtype=np.float64),
            mark_prices=marks,
        )


T = TypeVar("T")
Resolution: TypeAlias = Literal["run", "worst", "best"]

RESOLVED = MappingProxyType({"run": -1.0, "worst": -2.0, "best": 1.0})
"""Sign: for or against the account; size: 2 weighs a liquidation against a stop."""

Distance = Annotated[float, Gt(0), doc("a fraction of the entry price")]
Trail = Annotated[float, Gt(0), doc("a fraction of the best price since entry")]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Account:
    """What an account trades, by which rules, and which orders stand beside a target.

    It is also the ``[account]`` table of a study. `contract`, `rules`, `funding`, `mark` and
    `detail` take the name that a study gives or the loaded object; a workspace turns names into
    objects, and `backtest` wants objects (a contract may stay a symbol where rules are given).

    Attributes
    ----------
    contract : PerpContract or str, optional
        What is traded, with its lot and tick, or its symbol in `rules`. Settled in the coin if it
        is inverse: the account's equity is then coins, bought at the first mark. None for spot
        held on margin: nothing is funded and the account is liquidated when its equity is gone.
    rules : Rulebook, Rules, sequence of Rules or str, optional
        Brackets and fees by date; needed with a contract, absent without.
    leverage : float
        Setting of the position, >= 1: its margin is notional at entry / leverage. Also the
        largest exposure that may be asked for.
    exposure : float
        What target exposures are multiplied by, > 0.
    margin_mode : {"isolated", "cross"}
        What a liquidation takes: the position's margin, or the account's equity.
    funding : FundingSeries or str, optional
        Rates at their stamps.
    funding_policy : {"required", "missing-is-zero"}
        Whether a run that funding does not cover is refused, or pays nothing there.
    mark : pandas.DataFrame or str, optional
        Open, high, low, close of the mark price, of the timeframe of the bars (or of the detail)
        or finer. Without it the last price stands for the mark.
    mark_policy : {"required", "last-price"}
        Whether a run that the mark does not cover is refused, or takes the last price there.
    detail : pandas.DataFrame or str, optional
        Finer bars of the last price, walked inside the bars they fill. Their timeframe is the
        usual distance of their open times.
    stop_loss, take_profit, trailing_stop : float, optional
        Distances, > 0. Of the first two, fractions of the entry price, against the position and
        with it. Of the trailing stop, a fraction of the best price since entry, as a venue's
        callback rate: the best of the entry price and of the closes since, those of the detail
        where it is walked.
    limit_offset : float, optional
        Entries from flat rest this fraction better than the open, 0 <= limit_offset < 1, and pay
        the maker fee when traded through. By default they cross at the open.
    rebalance_band : float, optional
        Trade also when the exposure at an open is further than this from the target, >= 0. By
        default a position is left to drift until the target changes.
    bounds : bool
        Whether to run also the best and the worst that bars can hide.

    Raises
    ------
    InputError
        If a setting is out of its range or does not go with another.

    Examples
    --------
    >>> Account(stop_loss=0.05).leverage
    1.0
    """

    contract: str | PerpContract | None = None
    rules: str | Rulebook | Rules | Sequence[Rules] | None = field(default=None, repr=False)
    leverage: Annotated[float, Ge(1)] = 1.0
    exposure: Annotated[float, Gt(0)] = 1.0
    margin_mode: Literal["isolated", "cross"] = "isolated"
    funding: str | FundingSeries | None = field(default=None, repr=False)
    funding_policy: Literal["required", "missing-is-zero"] = "required"
    mark: str | pd.DataFrame | None = field(default=None, repr=False)
    mark_policy: Literal["required", "last-price"] = "required"
    detail: str | pd.DataFrame | None = field(default=None, repr=False)
    stop_loss: Distance | None = None
    take_profit: Distance | None = None
    trailing_stop: Trail | None = None
    limit_offset: Annotated[float, Ge(0), Lt(1), doc("a fraction of the open")] | None = None
    rebalance_band: Annotated[float, Ge(0), doc("a drift of exposure")] | None = None
    bounds: bool = False

    def __post_init__(self) -> None:
        for name, options in _options().items():
            value = getattr(self, name)
            if value is not None or NoneType not in options:
                for option in options:
                    _check(name, value, option, or_none=NoneType in options)
        if self.contract is None:
            _check_spot(self)
        elif self.rules is None:
            raise InputError(
                "account: contract and rules go together; rules (a rulebook with brackets) must be "
                f"given for {self.contract}; load one with delever.venues.rulebook.load_rulebook, "
                "or name one of a workspace"
            )

    @property
    def traded(self) -> PerpContract | None:
        """The contract, loaded."""
        return loaded("contract", self.contract)

    @property
    def inverse(self) -> bool:
        """Whether the account holds coins and trades a contract settled in them."""
        return self.traded is not None and self.traded.inverse


class Orders(NamedTuple):
    """The numbers that the loops read of an account and a decision: name, default, meaning."""

    leverage: float = 1.0  # setting of the position, and the most that may be asked for
    cross: float = 0.0  # whether a liquidation takes all equity
    stop_loss: float = math.inf  # distances as fractions of the entry price
    take_profit: float = math.inf
    trailing_stop: float = math.inf  # as a fraction of the best price since entry
    stop_price: float = math.nan  # of a decision, NaN for none
    take_profit_price: float = math.nan
    time_stop: float = math.inf  # closes after the entry, at which a position is left
    limit_offset: float = math.nan  # how much better than the open entries rest
    band: float = math.inf  # drift of exposure that is traded
    lot: float = 0.0  # steps of positions and of ordered prices; 0 for none
    tick: float = 0.0
    least: float = 0.0  # notional of an order that opens or adds, below which none is taken
    inverse: float = 0.0  # whether prices are reciprocal ones
    separate: float = 0.0  # whether marks are another price than the last
    resolve: float = -1.0  # how what a bar hides is resolved, as `RESOLVED` says


STATE = ("cash", "position", "entry", "asked", "mark", "stopped", "peak", "limit", "funded",
         "borrowed", "elsewhere", "aside", "goal", "rung", "held")  # fmt: skip
"""What an account carries from one bar to the next.

``elsewhere`` and ``aside`` are those of an account that holds other positions too: what they are
worth at their marks, and what is added to the wallet that stands behind this one; 0 when alone.
"""


def orders_of(
    account: Account, *, band: float = math.inf, resolution: Resolution = "run"
) -> Orders:
    """Numbers of an account; a setting that is not set has its default.

    `band` stands before that of the account.
    """
    contract = account.traded
    if band == math.inf and account.rebalance_band is not None:
        band = account.rebalance_band
    given = {name: getattr(account, name, None) for name in Orders._fields}
    return Orders(
        **{name: float(value) for name, value in given.items() if value is not None}
        | {
            "cross": float(account.margin_mode == "cross" or contract is None),
            "band": band,
            "lot": 0.0 if contract is None else contract.lot,
            "tick": 0.0 if contract is None else contract.tick,
            "least": 0.0 if contract is None else contract.min_notional,
            "separate": float(account.mark is not None),
            "resolve": RESOLVED[resolution],
        }
    )


def with_contract(account: Account, day: dt.date) -> Account:
    """The account with its contract, where that is a symbol, as its rules knew it on a day.

    Raises
    ------
    InputError
        If rules are not loaded, or do not list the symbol.
    """
    symbol = account.contract
    if not isinstance(symbol, str):
        return account
    rules = loaded("rules", account.rules)
    if isinstance(rules, Rulebook):
        return replace(account, contract=rules.at(day, symbol).contract)
    known = (rules,) if isinstance(rules, Rules) else rules or ()
    for held in known:
        if held.contract.symbol == symbol:
            return replace(account, contract=held.contract)
    listed = ", ".join(held.contract.symbol for held in known) or "none"
    raise InputError(
        f"account: contract must be one that rules list; got {symbol!r}; there are: {listed}"
    )


def loaded(name: str, value: T | str) -> T:
    """The object that a setting must hold by the time the engine reads it.

    Raises
    ------
    InputError
        If it is still a name.
    """
    if isinstance(value, str):
        raise InputError(
            f"account: {name} must be loaded before a backtest; got the name {value!r}; give the "
            "object, or let a workspace load it"
        )
    return value


@cache
def _options() -> dict[str, tuple[Any, ...]]:
    """Members of each field's union, or the one type there is."""
    hints = get_type_hints(Account, include_extras=True)
    return {
        name: (hint,) if get_origin(hint) in (Annotated, Literal, None) else get_args(hint)
        for name, hint in hints.items()
    }


def _check(name: str, value: Any, option: Any, *, or_none: bool) -> None:
    """Hold a word or a number to what its annotation says."""
    if get_origin(option) is Literal:
        if value not in get_args(option):
            wanted = " or ".join(map(repr, get_args(option)))
            raise InputError(f"account: {name} must be {wanted}; got {value!r}")
    elif get_origin(option) is Annotated:
        bounds = [one for one in option.__metadata__ if isinstance(one, Ge | Gt | Lt)]
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and all(_within(value, one) for one in bounds)):
            docs = [one.documentation for one in option.__metadata__ if isinstance(one, DocInfo)]
            said = ", ".join([*docs, *map(_said, bounds), *["or None"] * or_none])
            hint = "; five per cent are 0.05" if docs else ""
            raise InputError(f"account: {name} must be {said}; got {value!r}{hint}")


def _within(value: Any, bound: Ge | Gt | Lt) -> bool:
    if isinstance(bound, Lt):
        return bool(value < bound.lt)
    return bool(value >= bound.ge if isinstance(bound, Ge) else value > bound.gt)


def _said(bound: Ge | Gt | Lt) -> str:
    if isinstance(bound, Lt):
        return f"below {bound.lt:g}"
    return f"{bound.ge:g} or more" if isinstance(bound, Ge) else f"above {bound.gt:g}"


def _check_spot(account: Account) -> None:
    given = [name for name in ("rules", "funding", "mark") if getattr(account, name) is not None]
    if given or account.leverage != 1.0:
        what = ", ".join(given) or f"leverage {account.leverage:g}"
        raise InputError(
            f"account: {what} needs a contract; without one the account holds spot; give contract"
        )
