"""Margin: what a position must keep, where it is liquidated, and where nothing is left.

One shape holds every contract. In the settlement currency, with N the notional at the mark price
and N0 the one at entry, the margin balance of a position is ``margin + d (N - N0)``, where d is +1
when a gain makes the notional larger (a linear long, an inverse short) and -1 when it makes it
smaller. What must be kept is `delever.venues.margin_formulas`' to say, as lines in N.

Amounts are in settlement units and positions in signed units; prices are quote units per base
unit, > 0; `inverse` says whether the contract is settled in the coin.
"""

from __future__ import annotations

import math

from delever.venues.contract import notional, unrealized_pnl
from delever.venues.margin_formulas import MarginLines

__all__ = [
    "bankruptcy_price",
    "cross_margin",
    "initial_margin",
    "liquidation_notional",
    "liquidation_price",
    "maintenance_margin",
    "margin_balance",
]


def initial_margin(notional: float, leverage: float) -> float:
    """Margin a position must start with: ``notional / leverage``.

    Parameters
    ----------
    notional : float
        At entry, settlement units, >= 0.
    leverage : float
        > 0.

    Returns
    -------
    float
        Settlement units.
    """
    return notional / leverage


def maintenance_margin(notional: float, lines: MarginLines) -> float:
    """Margin a position must keep; at or below it the position is liquidated.

    Parameters
    ----------
    notional : float
        At the mark price, settlement units, >= 0.
    lines : MarginLines
        From `margin_lines`.

    Returns
    -------
    float
        Settlement units.

    Examples
    --------
    >>> maintenance_margin(1_000_000.0, MarginLines((0.004, 0.005), (0.0, -300.0)))
    4700.0
    """
    largest = -math.inf
    for rate, constant in zip(lines.rates, lines.constants, strict=True):
        largest = max(largest, rate * notional + constant)
    return largest


def margin_balance(
    margin: float, position: float, entry_price: float, mark_price: float, *, inverse: bool = False
) -> float:
    """Margin with the unrealised profit of the position.

    Parameters
    ----------
    margin : float
        Of the position (isolated) or `cross_margin`, settlement units.
    position, entry_price, mark_price, inverse
        As in `unrealized_pnl`.

    Returns
    -------
    float
        Settlement units.
    """
    return margin + unrealized_pnl(position, entry_price, mark_price, inverse=inverse)


def cross_margin(
    wallet_balance: float,
    *,
    unrealized_pnl_other: float = 0.0,
    maintenance_margin_other: float = 0.0,
) -> float:
    """Margin that stands behind one position of a cross account; the others stand still.

    Parameters
    ----------
    wallet_balance : float
        Of the account, without unrealised profit, settlement units.
    unrealized_pnl_other, maintenance_margin_other : float
        Of the other positions at their present marks, settlement units.

    Returns
    -------
    float
        Settlement units.
    """
    return wallet_balance + unrealized_pnl_other - maintenance_margin_other


def liquidation_notional(
    direction: float, entry_notional: float, margin: float, lines: MarginLines
) -> float:
    """Notional at which margin balance meets maintenance margin.

    Parameters
    ----------
    direction : float
        +1 when a gain makes the notional larger (linear long, inverse short), else -1.
    entry_notional, margin : float
        At entry, > 0, and behind the position; settlement units.
    lines : MarginLines
        From `margin_lines`.

    Returns
    -------
    float
        Settlement units; not above 0 when no positive notional does.

    Notes
    -----
    A single line is met at ``(d N0 + constant - margin) / (d - rate)``. Balance minus a line rises
    with N for d = +1 and falls for d = -1 (every rate is below 1), so balance is above *all* lines
    exactly beyond the largest meeting point (d = +1) or before the smallest (d = -1). That one is
    the answer; the line met there is the bracket in force there.
    """
    met = [
        (direction * entry_notional + constant - margin) / (direction - rate)
        for rate, constant in zip(lines.rates, lines.constants, strict=True)
    ]
    return max(met) if direction > 0.0 else min(met)


def liquidation_price(
    position: float,
    entry_price: float,
    margin: float,
    lines: MarginLines,
    *,
    inverse: bool = False,
) -> float:
    """Mark price at which the position is liquidated.

    Parameters
    ----------
    position, entry_price, margin, inverse
        As in `margin_balance`.
    lines : MarginLines
        From `margin_lines`.

    Returns
    -------
    float
        A long is liquidated at it and below, a short at it and above. NaN when flat or when no
        positive price does it (a linear long or an inverse short with margin enough). When margin
        is so far gone that no price would save the position, 0 for a linear short and infinity for
        an inverse long.

    Examples
    --------
    >>> lines = MarginLines((0.01,), (0.0,))
    >>> liquidation_price(1.0, 100.0, 20.8, lines), liquidation_price(-1.0, 100.0, 21.2, lines)
    (80.0, 120.0)
    """
    if position == 0.0:
        return math.nan
    direction = _direction(position, inverse)
    at_entry = notional(position, entry_price, inverse=inverse)
    return _price_of(
        liquidation_notional(direction, at_entry, margin, lines), position, direction, inverse
    )


def bankruptcy_price(
    position: float, entry_price: float, margin: float, *, inverse: bool = False
) -> float:
    """Price at which nothing of the margin is left, closing costs aside.

    Parameters
    ----------
    position, entry_price, margin, inverse
        As in `margin_balance`.

    Returns
    -------
    float
        NaN when flat or when no positive price does it.

    Examples
    --------
    >>> bankruptcy_price(1.0, 75_000.0, 7_500.0)
    67500.0
    """
    nothing_kept = MarginLines((0.0,), (0.0,))
    return liquidation_price(position, entry_price, margin, nothing_kept, inverse=inverse)


def _direction(position: float, inverse: bool) -> float:
    return 1.0 if (position > 0.0) != inverse else -1.0


def _price_of(size: float, position: float, direction: float, inverse: bool) -> float:
    """Price at which the position has the notional `size`."""
    if size > 0.0:
        return abs(position) / size if inverse else size / abs(position)
    if direction > 0.0:
        return math.nan
    return math.inf if inverse else 0.0
