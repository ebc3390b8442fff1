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
    notional, leverage : float
        At entry; >= 0 and > 0.

    Examples
    --------
    >>> initial_margin(75_000.0, 10.0)
    7500.0
    """
    return notional / leverage


def maintenance_margin(notional: float, lines: MarginLines) -> float:
    """Margin a position must keep; at or below it the position is liquidated.

    Parameters
    ----------
    notional : float
        At the mark price, >= 0.
    lines : MarginLines
        From `margin_lines`.

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
        Of the position (isolated) or `cross_margin`.
    position, entry_price, mark_price, inverse
        As in `unrealized_pnl`.

    Examples
    --------
    >>> margin_balance(10.0, -2.0, 100.0, 103.0)
    4.0
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
        Of the account, without unrealised profit.
    unrealized_pnl_other, maintenance_margin_other : float
        Of the other positions at their present marks.

    Examples
    --------
    >>> cross_margin(1_000.0, unrealized_pnl_other=-200.0, maintenance_margin_other=50.0)
    750.0
    """
    return wallet_balance + unrealized_pnl_other - maintenance_margin_other


def liquidation_notional(
    direction: float, entry_notional: float, margin: float, lines: MarginLines
) -> float:
    """Notional at which margin balance meets maintenance margin; not above 0 when none does.

    Parameters
    ----------
    direction : float
        The d of the module's first lines: +1 or -1.
    entry_notional, margin : float
        At entry, > 0, and behind the position.
    lines : MarginLines
        From `margin_lines`.

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
    """Mark price at which a long is liquidated and below, a short and above.

    NaN when flat or when no positive price does it (a linear long or an inverse short with margin
    enough). When margin is so far gone that no price would save the position, 0 for a linear short
    and infinity for an inverse long.

    Parameters
    ----------
    position, entry_price, margin, inverse
        As in `margin_balance`.
    lines : MarginLines
        From `margin_lines`.

    Examples
    --------
    >>> lines = MarginLines((0.01,), (0.0,))
    >>> liquidation_price(1.0, 100.0, 20.8, lines), liquidation_price(-1.0, 100.0, 21.2, lines)
    (80.0, 120.0)
    """
    if position == 0.0:
        return math.nan
    direction = 1.0 if (position > 0.0) != inverse else -1.0
    at_entry = notional(position, entry_price, inverse=inverse)
    size = liquidation_notional(direction, at_entry, margin, lines)
    if size > 0.0:
        return abs(position) / size if inverse else size / abs(position)
    if direction > 0.0:
        return math.nan
    return math.inf if inverse else 0.0


def bankruptcy_price(
    position: float, entry_price: float, margin: float, *, inverse: bool = False
) -> float:
    """Price at which nothing of the margin is left, closing costs aside.

    NaN when flat or when no positive price does it.

    Parameters
    ----------
    position, entry_price, margin, inverse
        As in `margin_balance`.

    Examples
    --------
    >>> bankruptcy_price(1.0, 75_000.0, 7_500.0)
    67500.0
    """
    nothing_kept = MarginLines((0.0,), (0.0,))
    return liquidation_price(position, entry_price, margin, nothing_kept, inverse=inverse)
