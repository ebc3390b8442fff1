"""What a trade costs, and the size that reaches a target once it is paid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real
from typing import Literal

from delever.errors import InputError, SimulationError
from delever.venues.contract import moved_price

__all__ = ["Costs", "fill_price", "position_at_target", "scaled_costs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Costs of a fill, as fractions of its notional.

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

    Raises
    ------
    InputError
        If a cost is not a finite fraction: ``0 <= taker_fee < 1``, ``0 <= slippage < 1`` and
        ``-1 < maker_fee < 1`` are required.

    Examples
    --------
    >>> Costs(maker_fee=-0.0001, taker_fee=0.0005).fee
    0.0005
    """

    maker_fee: float = 0.0
    taker_fee: float = 0.0
    slippage: float = 0.0
    liquidity: Literal["taker", "maker"] = "taker"

    def __post_init__(self) -> None:
        for name, lowest in (("taker_fee", "0 <="), ("slippage", "0 <="), ("maker_fee", "-1 <")):
            value: float = getattr(self, name)
            if not isinstance(value, float | int | Real):
                raise InputError(f"costs: {name} must be a number; got {value!r}")
            low_enough = value > -1.0 if name == "maker_fee" else value >= 0.0
            if not (low_enough and value < 1.0):  # NaN fails both
                raise InputError(
                    f"costs: {name} must be a fraction of notional, {lowest} {name} < 1; "
                    f"got {value!r}; ten basis points are 0.001"
                )
        if self.liquidity not in ("taker", "maker"):
            raise InputError(f"costs: liquidity must be 'taker' or 'maker'; got {self.liquidity!r}")

    @property
    def fee(self) -> float:
        """The fee in force, as a fraction of notional."""
        return self.taker_fee if self.liquidity == "taker" else self.maker_fee


def scaled_costs(costs: Costs, factor: float) -> Costs:
    """Costs that are `factor` times as high; a rebate stays as it is.

    Parameters
    ----------
    costs : Costs
        As they are said to be.
    factor : float
        Such as 2 for a stress of costs, >= 0.

    Returns
    -------
    Costs

    Raises
    ------
    InputError
        If a scaled cost is no longer a fraction below 1.

    Examples
    --------
    >>> scaled_costs(Costs(taker_fee=0.001, maker_fee=-0.0001, slippage=0.002), 2.0)
    Costs(maker_fee=-0.0001, taker_fee=0.002, slippage=0.004, liquidity='taker')
    """
    return replace(
        costs,
        maker_fee=costs.maker_fee * (factor if costs.maker_fee > 0.0 else 1.0),
        taker_fee=costs.taker_fee * factor,
        slippage=costs.slippage * factor,
    )


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
        return target_exposure * cash - (1.0 - target_exposure) * position * price

    buyers, sellers = (
        fill_price(open_price, side, slippage, reciprocal=reciprocal) for side in (1.0, -1.0)
    )
    buys, sells = lacking(buyers) > 0.0, lacking(sellers) < 0.0
    if buys == sells:
        return position
    side, price = (1.0, buyers) if buys else (-1.0, sellers)
    shrink = 1.0 + side * target_exposure * fee
    if not shrink > 0.0:
        raise SimulationError(
            f"a fee of {fee:g} leaves no size that reaches the target exposure "
            f"{target_exposure:g}; lower the target or the fee"
        )
    worth = cash / price + position * (1.0 + side * fee)
    if worth <= 0.0:
        return 0.0
    return target_exposure * worth / shrink
