"""What a trade costs, as parts that add up, and the size that reaches a target once it is paid."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import Literal

from delever.errors import InputError, SimulationError
from delever.venues.contract import moved_price

DEAREST_FEE, DEAREST_SLIPPAGE, DEAREST_BORROW = 0.02, 0.05, 1.0
"""Fractions of a notional, of a price and of a borrowed value per year that nobody asks above."""


def check_fraction(name: str, value: object, lowest: float = 0.0, below: float = 1.0) -> None:
    """Refuse what is not a finite fraction.

    Parameters
    ----------
    name : str
        For the message.
    value : object
        What was given.
    lowest, below : float
        ``lowest <= value < below``; a `lowest` under 0 is itself excluded.

    Raises
    ------
    InputError
        If it is anything else.
    """
    if not isinstance(value, float | int | Real) or isinstance(value, bool):
        raise InputError(f"costs: {name} must be a number; got {value!r}")
    number = float(value)  # NaN fails both
    if not (lowest <= number < below and (lowest >= 0.0 or number > lowest)):
        least = f"{lowest:g} {'<=' if lowest >= 0.0 else '<'}"
        raise InputError(
            f"costs: {name} must be a fraction of notional, {least} {name} < {below:g}; "
            f"got {value!r}; ten basis points are 0.001"
        )


def check_meant(name: str, value: float, most: float) -> None:
    """Refuse a cost so high that a percentage was likely written for a fraction.

    Parameters
    ----------
    name : str
        For the message.
    value : float
        A fraction; a rebate is below 0.
    most : float
        Highest that is taken for meant: `DEAREST_FEE`, `DEAREST_SLIPPAGE`, `DEAREST_BORROW`.

    Raises
    ------
    InputError
        If it is further from 0.

    Examples
    --------
    >>> check_meant("costs: taker_fee", 0.001, DEAREST_FEE)
    """
    if not abs(value) <= most:
        raise InputError(
            f"{name} is a fraction, and {value:g} of it are {100.0 * value:g} per cent; ten basis "
            f"points are 0.001; where more than {most:g} is meant, say so: --really, or "
            "really = true"
        )


class CostPart:
    """A part of what trading costs. Parts add up to `Costs`, and a factor multiplies each.

    Examples
    --------
    >>> 2 * (Fee(taker=0.0005) + Borrow(rate=0.1))
    Costs(maker_fee=0.0, taker_fee=0.001, slippage=0.0, liquidity='taker',
          parts=(Borrow(rate=0.2),))
    """

    __slots__ = ()

    def __add__(self, other: CostPart) -> Costs:
        return other.added_to(self.added_to(Costs()))

    def __mul__(self, factor: float) -> CostPart:
        if not isinstance(factor, Real) or not 0.0 <= factor < math.inf:
            raise InputError(f"costs: a factor must be a finite number >= 0; got {factor!r}")
        return self.times(float(factor))

    __rmul__ = __mul__

    def added_to(self, costs: Costs) -> Costs:
        """`costs` and the part."""
        return replace(costs, parts=(*costs.parts, self))

    def times(self, factor: float) -> CostPart:
        """The part, `factor` times as high; a rebate stays as it is."""
        raise NotImplementedError(f"{type(self).__name__} must say what a factor does to it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs(CostPart):
    """What trading costs: fees and slippage as fractions of notional, and further parts.

    Attributes
    ----------
    maker_fee, taker_fee : float
        Fee of a resting and of a crossing order; 0.001 is ten basis points. A maker fee below 0
        is a rebate.
    slippage : float
        How much worse than the open a fill is: a buy at ``open * (1 + slippage)``, a sell at
        ``open * (1 - slippage)``.
    liquidity : {"taker", "maker"}
        Which of the two fees the orders of a run pay.
    parts : tuple of CostPart
        What is paid on top: `VenueFees`, models of slippage (`delever.venues.slippage`), `Borrow`.

    Raises
    ------
    InputError
        If a cost is not a finite fraction: ``0 <= taker_fee < 1``, ``0 <= slippage < 1`` and
        ``-1 < maker_fee < 1`` are required.

    Notes
    -----
    ``a + b`` pays both; ``2 * a`` pays twice, rebates aside. `stressed` multiplies what fills cost
    and leaves borrow alone.

    Examples
    --------
    >>> Costs(maker_fee=-0.0001, taker_fee=0.0005).fee
    0.0005
    >>> Costs(taker_fee=0.001) + Costs(slippage=0.0005)
    Costs(maker_fee=0.0, taker_fee=0.001, slippage=0.0005, liquidity='taker', parts=())
    >>> 2 * Costs(taker_fee=0.001, maker_fee=-0.0001)
    Costs(maker_fee=-0.0001, taker_fee=0.002, slippage=0.0, liquidity='taker', parts=())
    """

    maker_fee: float = 0.0
    taker_fee: float = 0.0
    slippage: float = 0.0
    liquidity: Literal["taker", "maker"] = "taker"
    parts: tuple[CostPart, ...] = ()

    def __post_init__(self) -> None:
        check_fraction("taker_fee", self.taker_fee)
        check_fraction("slippage", self.slippage)
        check_fraction("maker_fee", self.maker_fee, lowest=-1.0)
        if self.liquidity not in ("taker", "maker"):
            raise InputError(f"costs: liquidity must be 'taker' or 'maker'; got {self.liquidity!r}")
        if strange := [part for part in self.parts if not isinstance(part, CostPart)]:
            raise InputError(f"costs: parts must be cost parts; got {strange[0]!r}")

    def check_meant(self) -> None:
        """Refuse a fee or slippage that is likely a percentage; see `check_meant`.

        Raises
        ------
        InputError
            If a fee is above 0.02, or slippage above 0.05.
        """
        for name, most in _DEAREST.items():
            check_meant(f"costs: {name}", getattr(self, name), most)

    @property
    def fee(self) -> float:
        """The fee in force, as a fraction of notional; that of `VenueFees` aside."""
        return self.taker_fee if self.liquidity == "taker" else self.maker_fee

    def added_to(self, costs: Costs) -> Costs:
        """`costs` and these."""
        return replace(
            costs,
            maker_fee=costs.maker_fee + self.maker_fee,
            taker_fee=costs.taker_fee + self.taker_fee,
            slippage=costs.slippage + self.slippage,
            liquidity="maker" if "maker" in (costs.liquidity, self.liquidity) else "taker",
            parts=(*costs.parts, *self.parts),
        )

    def times(self, factor: float) -> Costs:
        """Each cost `factor` times as high; a rebate stays as it is."""
        return replace(
            self,
            maker_fee=self.maker_fee * (factor if self.maker_fee > 0.0 else 1.0),
            taker_fee=self.taker_fee * factor,
            slippage=self.slippage * factor,
            parts=tuple(part * factor for part in self.parts),
        )

    def stressed(self, factor: float) -> Costs:
        """Fees and slippage `factor` times as high; rebates and borrow as they are.

        Parameters
        ----------
        factor : float
            Such as 2, the usual stress of costs; >= 0.

        Raises
        ------
        InputError
            If a cost is no longer a fraction below 1.

        Examples
        --------
        >>> (Costs(slippage=0.001) + Borrow(rate=0.1)).stressed(3.0).parts
        (Borrow(rate=0.1),)
        """
        held = tuple(part for part in self.parts if isinstance(part, Borrow))
        fills = replace(self, parts=tuple(part for part in self.parts if part not in held))
        paid = fills.times(factor)
        return replace(paid, parts=(*paid.parts, *held))


_DEAREST = {"maker_fee": DEAREST_FEE, "taker_fee": DEAREST_FEE, "slippage": DEAREST_SLIPPAGE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee(CostPart):
    """A fee of each fill, as a fraction of its notional; `Costs` says it shorter.

    Attributes
    ----------
    taker, maker : float
        Of a crossing and of a resting order; a maker fee below 0 is a rebate.

    Examples
    --------
    >>> round((Fee(taker=0.0005) + Fee(taker=0.0001)).taker_fee, 12)
    0.0006
    """

    taker: float = 0.0
    maker: float = 0.0

    def __post_init__(self) -> None:
        self.added_to(Costs())  # refuses what is no fraction

    def added_to(self, costs: Costs) -> Costs:
        """`costs` and this fee."""
        return Costs(taker_fee=self.taker, maker_fee=self.maker).added_to(costs)

    def times(self, factor: float) -> Fee:
        """The fee, `factor` times as high; a rebate stays."""
        once = Costs(taker_fee=self.taker, maker_fee=self.maker).times(factor)
        return Fee(taker=once.taker_fee, maker=once.maker_fee)


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFees(CostPart):
    """The taker and maker fees that the rules of an account say, by date.

    Attributes
    ----------
    multiple : float
        How many times they are paid, >= 0; rebates are paid once.

    Raises
    ------
    InputError
        If it is not a finite number >= 0.
    """

    multiple: float = 1.0

    def __post_init__(self) -> None:
        check_fraction("multiple", self.multiple, below=math.inf)

    def times(self, factor: float) -> VenueFees:
        """The same fees, `factor` times as high."""
        return VenueFees(multiple=self.multiple * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Borrow(CostPart):
    """Interest on the coins that a spot short has borrowed.

    Attributes
    ----------
    rate : float
        Simple interest, fraction of the borrowed value per year of 365 days, >= 0.

    Raises
    ------
    InputError
        If it is not a finite number >= 0.

    Notes
    -----
    A bar costs ``|position| * open * rate * hours / 8760`` for the hours until the next opens.

    Examples
    --------
    >>> (Costs(taker_fee=0.001) + Borrow(rate=0.05)).parts
    (Borrow(rate=0.05),)
    """

    rate: float

    def __post_init__(self) -> None:
        check_fraction("rate", self.rate, below=math.inf)

    def times(self, factor: float) -> Borrow:
        """Interest `factor` times as high."""
        return Borrow(rate=self.rate * factor)


def fill_price(
    open_price: float, side: float, slippage: float, *, reciprocal: bool = False
) -> float:
    """Price of a fill at the open.

    Parameters
    ----------
    open_price : float
        Quote units per base unit, > 0.
    side : float
        +1 for a buy, -1 for a sell.
    slippage : float
        Fraction of the open, 0 <= slippage < 1.
    reciprocal : bool
        Whether the price is the reciprocal one of an inverse contract, and bought what that buys.

    Returns
    -------
    float
        ``open_price * (1 + side * slippage)``: never better than the open.

    Examples
    --------
    >>> fill_price(100.0, -1, 0.01)
    99.0
    """
    return moved_price(open_price, side * slippage, reciprocal=reciprocal)


def position_at_target(
    target_exposure: float,
    *,
    cash: float,
    position: float,
    open_price: float,
    fee: float = 0.0,
    slippage: float = 0.0,
    reciprocal: bool = False,
    burden: float = 0.0,
) -> float:
    """Position whose exposure is the target once the trade that reaches it is paid.

    Parameters
    ----------
    target_exposure : float
        Signed notional / equity wanted after the trade, both at the fill price.
    cash : float
        Quote units before the trade; a short's proceeds are in it.
    position : float
        Signed base units before the trade.
    open_price : float
        Quote units per base unit, > 0.
    fee : float
        Fraction of the traded notional; below 0 for a rebate.
    slippage : float
        Fraction of the open.
    reciprocal : bool
        Whether price, position and target are those of an inverse contract in its reciprocal
        price (`delever.venues.contract`); cash is then coins.
    burden : float
        What the fees of an account's other fills take with this one, per unit of the equity after
        them: the sum of ``s X fee`` over those fills.

    Returns
    -------
    float
        Signed base units; `position` itself when there is nothing to trade.

    Raises
    ------
    SimulationError
        If equity at the open is not positive, or the fee is so high for the target that a sale
        (or the cover of a short) can never reach it.

    Notes
    -----
    With the side s (+1 buys, -1 sells) and the fill price P = open (1 + s slippage), the position
    q after the trade solves ``q P = X (cash + q0 P - fee |q - q0| P)``, which gives::

        q = X (cash / P + q0 (1 + s fee)) / (1 + s X fee)

    A buy makes sense when exposure at the buyer's price is below the target, a sale when exposure
    at the seller's price is above it. With slippage there are targets for which neither holds (of
    a long) or both do (of a short, which looks larger to the buyer): those between the exposures
    at the two prices. Exposure at the open is one of them, so nothing is traded there. When the
    cost of closing exceeds equity no position reaches any target: the answer is 0, and the
    account is ruined.

    Examples
    --------
    >>> held = position_at_target(1.0, cash=1000.0, position=0.0, open_price=100.0, fee=0.25)
    >>> held, 1000.0 - held * 100.0 * 1.25  # all cash went into units and their fee
    (8.0, 0.0)
    """
    equity = cash + position * open_price
    if not equity > 0.0:
        raise SimulationError(
            f"equity at the open must be positive to reach a target; got {equity:g} "
            f"(cash {cash:g}, position {position:g} at {open_price:g}); the account is ruined"
        )

    def lacking(price: float) -> float:
        return target_exposure * cash - (1.0 - target_exposure + burden) * position * price

    buyers, sellers = (
        fill_price(open_price, side, slippage, reciprocal=reciprocal) for side in (1.0, -1.0)
    )
    buys, sells = lacking(buyers) > 0.0, lacking(sellers) < 0.0
    if buys == sells:
        return position
    side, price = (1.0, buyers) if buys else (-1.0, sellers)
    shrink = 1.0 + side * target_exposure * fee + burden
    if not shrink > 0.0:
        raise SimulationError(
            f"a fee of {fee:g} leaves no size that reaches the target exposure "
            f"{target_exposure:g}; lower the target or the fee"
        )
    worth = cash / price + position * (1.0 + side * fee)
    if worth <= 0.0:
        return 0.0
    return target_exposure * worth / shrink
