"""What a margin account is told besides bars and targets: contract, rules, funding, orders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.errors import InputError
from delever.venues.contract import PerpContract
from delever.venues.funding import snap_to_second
from delever.venues.rules import Rulebook, Rules
from delever.venues.slippage import Slippage

__all__ = ["FundingSeries", "PerpSettings"]


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
                f"funding must have one rate per stamp; got {len(self.stamps)} stamps and "
                f"{len(self.rates)} rates"
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PerpSettings:
    """A margin account: what it trades, by which rules, and which orders stand beside a target.

    Attributes
    ----------
    contract : PerpContract, optional
        What is traded, with its lot and tick. Settled in the coin if it is inverse: the account's
        equity is then coins, bought at the first mark. None for spot held on margin: nothing is
        funded and the account is liquidated when its equity is gone.
    rules : Rulebook, Rules or sequence of Rules, optional
        Brackets and fees by date; needed with a contract, absent without.
    leverage : float
        Setting of the position, >= 1: its margin is notional at entry / leverage. Also the
        largest exposure that may be asked for.
    margin_mode : {"isolated", "cross"}
        What a liquidation takes: the position's margin, or the account's equity.
    funding : FundingSeries, optional
        Rates at their stamps.
    funding_policy : {"required", "missing-is-zero"}
        Whether a run that funding does not cover is refused, or pays nothing there.
    mark : pandas.DataFrame, optional
        Open, high, low, close of the mark price, of the timeframe of the bars (or of the detail)
        or finer. Without it the last price stands for the mark.
    detail : pandas.DataFrame, optional
        Finer bars of the last price, walked inside the bars they fill.
    detail_timeframe : str, optional
        Of `detail`.
    stop_loss, take_profit, trailing_stop : float, optional
        Distances as fractions of the entry price, > 0: from the entry price against the position,
        with it, and from the best close since entry (or the entry price) against it.
    limit_offset : float, optional
        Entries from flat rest this fraction better than the open, >= 0, and pay the maker fee
        when traded through. By default they cross at the open.
    slippage : Slippage, optional
        In place of the slippage of `Costs`.
    stress : pandas.Series of bool, optional
        Whether the market is in stress, known at each bar's open; for the slippage.
    volatility_bars : int
        Finished bars whose ranges make the volatility of the slippage.
    earlier : pandas.DataFrame, optional
        Bars before the run, for the slippage of its first bars.
    borrow_rate : float
        Fraction per year on the coins of a spot short, >= 0.
    bounds : bool
        Whether to run also the best and the worst that bars can hide.

    Raises
    ------
    InputError
        If a setting is out of its range or does not go with another.
    """

    contract: PerpContract | None = None
    rules: Rulebook | Rules | Sequence[Rules] | None = field(default=None, repr=False)
    leverage: float = 1.0
    margin_mode: Literal["isolated", "cross"] = "isolated"
    funding: FundingSeries | None = field(default=None, repr=False)
    funding_policy: Literal["required", "missing-is-zero"] = "required"
    mark: pd.DataFrame | None = field(default=None, repr=False)
    detail: pd.DataFrame | None = field(default=None, repr=False)
    detail_timeframe: str | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    trailing_stop: float | None = None
    limit_offset: float | None = None
    slippage: Slippage | None = None
    stress: pd.Series | None = field(default=None, repr=False)
    volatility_bars: int = 20
    earlier: pd.DataFrame | None = field(default=None, repr=False)
    borrow_rate: float = 0.0
    bounds: bool = False

    @property
    def inverse(self) -> bool:
        """Whether the account holds coins and trades a contract settled in them."""
        return self.contract is not None and self.contract.inverse

    def __post_init__(self) -> None:
        _check_numbers(self)
        if self.margin_mode not in ("isolated", "cross"):
            raise InputError(
                f"perp: margin_mode must be 'isolated' or 'cross'; got {self.margin_mode!r}"
            )
        if self.funding_policy not in ("required", "missing-is-zero"):
            raise InputError(
                "perp: funding_policy must be 'required' or 'missing-is-zero'; got "
                f"{self.funding_policy!r}"
            )
        if (self.detail is None) != (self.detail_timeframe is None):
            raise InputError("perp: detail and detail_timeframe must be given together")
        if self.contract is None:
            _check_spot(self)
        elif self.rules is None:
            raise InputError(
                "perp: rules (a rulebook with brackets) must be given for a contract; load one "
                "with market.rulebook.load_rulebook"
            )
        elif self.borrow_rate != 0.0:
            raise InputError("perp: borrow_rate is for spot shorts; a perpetual borrows nothing")


def _check_numbers(perp: PerpSettings) -> None:
    if not 1.0 <= perp.leverage < math.inf:
        raise InputError(f"perp: leverage must be 1 or more; got {perp.leverage!r}")
    for name in ("stop_loss", "take_profit", "trailing_stop"):
        value = getattr(perp, name)
        if value is not None and not 0.0 < value < math.inf:
            raise InputError(
                f"perp: {name} must be a fraction of the entry price above 0, or None; "
                f"got {value!r}; five per cent are 0.05"
            )
    if perp.limit_offset is not None and not 0.0 <= perp.limit_offset < 1.0:
        raise InputError(
            f"perp: limit_offset must be a fraction, 0 <= limit_offset < 1, or None; "
            f"got {perp.limit_offset!r}"
        )
    if perp.volatility_bars < 1:
        raise InputError(f"perp: volatility_bars must be 1 or more; got {perp.volatility_bars!r}")
    if not 0.0 <= perp.borrow_rate < math.inf:
        raise InputError(f"perp: borrow_rate must be 0 or more a year; got {perp.borrow_rate!r}")


def _check_spot(perp: PerpSettings) -> None:
    given = [name for name in ("rules", "funding", "mark") if getattr(perp, name) is not None]
    if given or perp.leverage != 1.0:
        what = ", ".join(given) or f"leverage {perp.leverage:g}"
        raise InputError(
            f"perp: {what} needs a contract; without one the account holds spot; give contract"
        )
