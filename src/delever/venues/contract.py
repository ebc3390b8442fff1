"""A perpetual contract: its notional and profit, and its steps of price and size.

A *linear* contract is held in base units and settled in the quote currency. An *inverse* one is
held in quote units (so many dollars of coin) and settled in the coin. Everything settled, from
notional to margin, is in the settlement currency: quote units of a linear contract, coins of an
inverse one.

An inverse contract is a linear one in the *reciprocal* price, settled in the coin: with
u = 1 / price, a position of k quote units gains
``k (1 / entry - 1 / exit) = -k (u_exit - u_entry)`` and is worth ``|k| u``. Where a function says
`reciprocal`, its prices are such u. Prices are quote units per base unit, > 0; positions are signed
base units, signed quote units of an inverse contract.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from delever.errors import InputError

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
    contract_size : float
        Base units (linear) or quote units (inverse) of one contract, > 0.
    tick, lot : float
        Steps of prices and of positions, > 0; 0 where they are not rounded.
    min_notional : float
        Least order that opens or adds, settlement units, > 0; 0 where there is none. What is below
        it is not sent, and the run says so.

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
    min_notional: float = 0.0

    def __post_init__(self) -> None:
        step = "a positive step, or 0 for none"
        for name, fits, wanted in (
            ("kind", self.kind in ("linear", "inverse"), "'linear' or 'inverse'"),
            ("contract_size", 0.0 < self.contract_size < math.inf, "a positive number of units"),
            ("tick", 0.0 <= self.tick < math.inf, step),
            ("lot", 0.0 <= self.lot < math.inf, step),
            ("min_notional", 0.0 <= self.min_notional < math.inf, "an amount, or 0 for none"),
        ):
            if not fits:
                raise InputError(
                    f"contract {self.symbol}: {name} must be {wanted}; got {getattr(self, name)!r}"
                )

    @property
    def inverse(self) -> bool:
        """Whether the contract is settled in the coin."""
        return self.kind == "inverse"


def kind_of(symbol: str) -> Literal["linear", "inverse"]:
    """Kind of contract that a symbol names: inverse when it is settled in its base.

    Parameters
    ----------
    symbol : str
        As ccxt writes it: base, quote, and behind a colon what it is settled in.

    Examples
    --------
    >>> kind_of("BTC/USDT:USDT"), kind_of("BTC/USD:BTC")
    ('linear', 'inverse')
    """
    base, _, rest = symbol.partition("/")
    settled_in = rest.partition(":")[2].partition("-")[0]
    return "inverse" if settled_in and settled_in == base else "linear"


def notional(position: float, price: float, *, inverse: bool = False) -> float:
    """Size of a position in the settlement currency, >= 0.

    ``|position| * price``, or ``|position| / price`` of an inverse contract.

    Parameters
    ----------
    position, price : float
    inverse : bool
        Whether the contract is settled in the coin.

    Examples
    --------
    >>> notional(-2.0, 50_000.0), notional(60_000.0, 50_000.0, inverse=True)
    (100000.0, 1.2)
    """
    return abs(position) / price if inverse else abs(position) * price


def unrealized_pnl(
    position: float, entry_price: float, price: float, *, inverse: bool = False
) -> float:
    """Profit in settlement units, > 0 for a gain, before fees and funding.

    ``position * (price - entry_price)``, or ``position * (1 / entry_price - 1 / price)`` of an
    inverse contract.

    Parameters
    ----------
    position, entry_price, price, inverse
        As in `notional`; for margin, `price` is the mark price.

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


def moved_price(price: float, fraction: float, *, reciprocal: bool = False) -> float:
    """Price that is a fraction of the quoted price away.

    ``price * (1 + fraction)``; ``price / (1 - fraction)`` of a reciprocal price, infinite where the
    quoted price would not be above 0.

    Parameters
    ----------
    price : float
    fraction : float
        Of the quoted price, signed as the price given moves: a reciprocal price that rises is a
        quoted one that falls. May be infinite.
    reciprocal : bool
        Whether `price` is 1 / the quoted price.

    Examples
    --------
    >>> moved_price(100.0, -0.2), 1.0 / moved_price(1.0 / 100.0, +0.2, reciprocal=True)
    (80.0, 80.0)
    """
    if reciprocal:
        return price / (1.0 - fraction) if fraction < 1.0 else math.inf
    return price * (1.0 + fraction)


def round_price(price: float, tick: float, side: float, *, reciprocal: bool = False) -> float:
    """Price on the grid of ticks, never better than asked for the account.

    The float nearest to a whole number of ticks; a price within a billionth of a tick of the grid
    stays there. Prices that are not above 0, or infinite, are no orders and stay as they are. A
    reciprocal price is infinite where the quoted one is rounded to 0.

    Parameters
    ----------
    price, reciprocal
        As in `moved_price`; up and down are those of the reciprocal where it is one.
    tick : float
        Step of quoted prices; 0 leaves the price as it is.
    side : float
        +1 for a buy, whose price is rounded up; -1 for a sell, rounded down.

    Examples
    --------
    >>> round_price(100.12, 0.25, +1), round_price(100.12, 0.25, -1)
    (100.25, 100.0)
    >>> 1.0 / round_price(1.0 / 100.12, 0.25, +1, reciprocal=True)
    100.0
    """
    if not (tick > 0.0 and 0.0 < price < math.inf):
        return price
    if reciprocal:
        quoted = round_price(1.0 / price, tick, -side)
        return 1.0 / quoted if quoted > 0.0 else math.inf
    steps = price / tick
    nearly = _NEARLY_WHOLE + _ROUNDING * steps
    whole = math.ceil(steps - nearly) if side > 0.0 else math.floor(steps + nearly)
    # 3 * 0.1 is not the float of a quoted 0.3, and 3 / 10 is.
    per_unit = math.floor(1.0 / tick + 0.5)
    if abs(per_unit * tick - 1.0) < _NEARLY_WHOLE:
        return whole / per_unit
    return whole * tick


def round_quantity(quantity: float, lot: float) -> float:
    """Quantity on the grid of lots, never larger than asked.

    A whole number of lots nearer to zero; one within a billionth of a lot of the grid stays.

    Parameters
    ----------
    quantity, lot : float
        Units of the position; the quantity is signed, and a lot of 0 leaves it as it is.

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
