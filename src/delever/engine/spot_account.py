"""The account of a run and the events of a bar, in plain Python.

Each event takes an account and gives the account after it. `kernel.run_plain` puts them in order;
`kernel.run_jitted` says the same in one compiled loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from delever.venues.costs import fill_price, position_at_target

__all__ = [
    "FILL",
    "LEDGER",
    "REASONS",
    "Account",
    "Fill",
    "liquidate_at_open",
    "liquidate_inside",
    "mark",
    "rebalance",
]

LEDGER = (
    "equity",
    "cash",
    "position",
    "exposure",
    "target_exposure",
    "turnover",
    "price_pnl",
    "fee",
    "slippage",
    "liquidation",
)
"""Columns of the ledger, one row per bar."""

FILL = (
    "bar",
    "quantity",
    "price",
    "fee",
    "slippage",
    "liquidation",
    "equity",
    "position",
    "exposure",
    "reason",
)
"""Columns of the fills, one row per fill; at most two in a bar."""

REASONS: tuple[Literal["target", "liquidation"], ...] = ("target", "liquidation")
"""What makes a fill; the column ``reason`` holds the place of one in here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """State of an account between two events."""

    cash: float  # quote units; the proceeds of a short are in it
    position: float = 0.0  # signed base units
    target_exposure: float = 0.0  # the target last asked for, whether or not it could be reached
    mark_price: float = 0.0  # price at which the position was last valued

    def equity(self, price: float) -> float:
        """Cash plus the position at `price`, in quote units."""
        return self.cash + self.position * price


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One change of position."""

    quantity: float  # signed base units traded
    price: float  # quote units per base unit, slippage included
    fee: float = 0.0  # quote units paid (a negative fee is a rebate)
    slippage: float = 0.0
    # quote units >= 0 of loss beyond the account's equity, which somebody else bears
    liquidation: float = 0.0
    equity: float  # quote units before the fill, at the price before slippage
    position: float = 0.0  # signed base units after it
    exposure: float = 0.0  # after it, at its own price
    reason: Literal["target", "liquidation"]  # what made it


def mark(account: Account, price: float) -> tuple[Account, float]:
    """Value the position at a price."""
    earned = account.position * (price - account.mark_price)
    return replace(account, mark_price=price), earned


def liquidate_at_open(account: Account) -> tuple[Account, Fill | None]:
    """Close an account whose equity is gone at its mark price, the open."""
    equity = account.equity(account.mark_price)
    if account.position == 0.0 or equity > 0.0:
        return account, None
    forced = Fill(
        quantity=-account.position,
        price=account.mark_price,
        liquidation=-equity,
        equity=equity,
        reason="liquidation",
    )
    return _ruined(account), forced


def liquidate_inside(
    account: Account, high: float, low: float
) -> tuple[Account, float, Fill | None]:
    """Close an account whose equity is gone at the bar's adverse extreme."""
    adverse = low if account.position > 0.0 else high
    if account.position == 0.0 or account.equity(adverse) > 0.0:
        return account, 0.0, None
    price, shortfall = -account.cash / account.position, 0.0
    earned = account.position * (price - account.mark_price)
    if earned > 0.0:
        price, earned = account.mark_price, 0.0
        shortfall = -account.equity(price)
    forced = Fill(
        quantity=-account.position,
        price=price,
        liquidation=shortfall,
        equity=account.equity(account.mark_price),
        reason="liquidation",
    )
    return _ruined(account), earned, forced


def rebalance(
    account: Account, target_exposure: float, *, fee: float, slippage: float, band: float
) -> tuple[Account, Fill | None]:
    """Trade towards a target at the open, when it is a new one or the exposure has drifted."""
    asked = replace(account, target_exposure=target_exposure)
    open_price = account.mark_price
    equity = account.equity(open_price)
    if equity <= 0.0:
        return asked, None
    drift = abs(account.position * open_price / equity - target_exposure)
    if target_exposure == account.target_exposure and drift <= band:
        return asked, None
    position = position_at_target(
        target_exposure,
        cash=account.cash,
        position=account.position,
        open_price=open_price,
        fee=fee,
        slippage=slippage,
    )
    quantity = position - account.position
    if quantity == 0.0:
        return asked, None
    price = fill_price(open_price, 1.0 if quantity > 0.0 else -1.0, slippage)
    paid = abs(quantity) * price * fee
    cash = account.cash - quantity * price - paid
    after = cash + position * price
    ruined = after <= 0.0
    fill = Fill(
        quantity=quantity,
        price=price,
        fee=paid,
        slippage=abs(quantity) * open_price * slippage,
        liquidation=-after if ruined else 0.0,
        equity=equity,
        position=0.0 if ruined else position,
        exposure=0.0 if ruined else position * price / after,
        reason="liquidation" if ruined else "target",
    )
    return (_ruined(asked) if ruined else replace(asked, cash=cash, position=position)), fill


def _ruined(account: Account) -> Account:
    return replace(account, cash=0.0, position=0.0)
