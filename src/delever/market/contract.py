"""What a perpetual contract is worth: notional, profit, and steps of price and size.

A *linear* contract is held in base units and settled in the quote currency. An *inverse* one is
held in quote units (so many dollars of coin) and settled in the coin. Everything settled, from
notional to margin, is in the settlement currency: quote units of a linear contract, coins of an
inverse one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from delever.errors import InputError

__all__ = [
    "PerpContract",
    "notional",
    "round_price",
    "round_quantity",
    "unrealized_pnl",
]

_NEARLY_WHOLE = 1e-9
_ROUNDING = 1e-15


@dataclass(frozen=True, slots=True, kw_only=True)
class PerpContract:
    """A perpetual futures contract.

    Attributes
    ----------
    symbol : str
        As ccxt writes it, such as ``"BTC/USDT:USDT"``.
    kind : {"linear", "inverse"}
        Settled in the quote currency, or in the coin.
    contract_size : float
        Base units (linear) or quote units (inverse) of one contract, > 0.
    tick : float
        Step of prices, > 0; 0 where prices are not rounded.
    lot : float
        Step of positions, in base units (linear) or quote units (inverse), > 0; 0 where positions
        are not rounded.

    Raises
    ------
    InputError
        If `kind` is another word, `contract_size` is not positive, or a step is negative.

    Examples
    --------
    >>> PerpContract(symbol="BTC/USDT:USDT", tick=0.1, lot=0.001).inverse
    False
    """

    symbol: str
    kind: Literal["linear", "inverse"] = "linear"
    contract_size: float = 1.0
    tick: float = 0.0
    lot: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "inverse"):
            raise InputError(
                f"contract {self.symbol}: kind must be 'linear' or 'inverse'; got {self.kind!r}"
            )
        if not 0.0 < self.contract_size < math.inf:
            raise InputError(
                f"contract {self.symbol}: contract_size must be a positive number of units; "
                f"got {self.contract_size!r}"
            )
        for name in ("tick", "lot"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise InputError(
                    f"contract {self.symbol}: {name} must be a positive step, or 0 for none; "
                    f"got {getattr(self, name)!r}"
                )

    @property
    def inverse(self) -> bool:
        """Whether the contract is settled in the coin."""
        return self.kind == "inverse"


def notional(position: float, price: float, *, inverse: bool = False) -> float:
    """Size of a position in the settlement currency.

    Parameters
    ----------
    position : float
        Signed base units; signed quote units of an inverse contract.
    price : float
        Quote units per base unit, > 0.
    inverse : bool
        Whether the contract is settled in the coin.

    Returns
    -------
    float
        ``|position| * price``, or ``|position| / price`` of an inverse contract; >= 0.

    Examples
    --------
    >>> notional(-2.0, 50_000.0), notional(60_000.0, 50_000.0, inverse=True)
    (100000.0, 1.2)
    """
    return abs(position) / price if inverse else abs(position) * price


def unrealized_pnl(
    position: float, entry_price: float, price: float, *, inverse: bool = False
) -> float:
    """Profit of a position held from `entry_price` to `price`, before fees and funding.

    Parameters
    ----------
    position : float
        Signed base units; signed quote units of an inverse contract.
    entry_price, price : float
        Quote units per base unit, > 0; `price` is the mark price for margin.
    inverse : bool
        Whether the contract is settled in the coin.

    Returns
    -------
    float
        Settlement units, > 0 for a gain: ``position * (price - entry_price)``, or
        ``position * (1 / entry_price - 1 / price)`` of an inverse contract.

    Examples
    --------
    >>> unrealized_pnl(-2.0, 50_000.0, 49_000.0)
    2000.0
    >>> unrealized_pnl(100.0, 50.0, 40.0, inverse=True)  # in coin; a fall costs more than a rise
    -0.5
    """
    if inverse:
        return position / entry_price - position / price
    return position * (price - entry_price)


def round_price(price: float, tick: float, side: float) -> float:
    """Price on the grid of ticks, never better than asked for the account.

    Parameters
    ----------
    price : float
        Quote units per base unit.
    tick : float
        Step of prices; 0 leaves the price as it is.
    side : float
        +1 for a buy, whose price is rounded up; -1 for a sell, rounded down.

    Returns
    -------
    float
        A whole number of ticks; a price within a billionth of a tick of the grid stays there.

    Examples
    --------
    >>> round_price(100.12, 0.25, +1), round_price(100.12, 0.25, -1)
    (100.25, 100.0)
    """
    if tick <= 0.0:
        return price
    steps = price / tick
    nearly = _NEARLY_WHOLE + _ROUNDING * steps
    return (math.ceil(steps - nearly) if side > 0.0 else math.floor(steps + nearly)) * tick


def round_quantity(quantity: float, lot: float) -> float:
    """Quantity on the grid of lots, never larger than asked.

    Parameters
    ----------
    quantity : float
        Signed, in the units of the position.
    lot : float
        Step of positions; 0 leaves the quantity as it is.

    Returns
    -------
    float
        A whole number of lots nearer to zero; one within a billionth of a lot of the grid stays
        there.

    Examples
    --------
    >>> round_quantity(-1.99, 0.5), round_quantity(0.3, 0.1) == 3 * 0.1
    (-1.5, True)
    """
    if lot <= 0.0:
        return quantity
    steps = abs(quantity) / lot
    whole = math.floor(steps + _NEARLY_WHOLE + _ROUNDING * steps)
    return math.copysign(whole * lot, quantity)
