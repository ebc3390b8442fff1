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

from delever.venues.contract import notional
from delever.venues.margin_formulas import MarginLines


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
        Of the position.

    Examples
    --------
    >>> maintenance_margin(1_000_000.0, MarginLines((0.004, 0.005), (0.0, -300.0)))
    4700.0
    """
    largest = -math.inf
    for rate, constant in zip(lines.rates, lines.constants, strict=True):
        largest = max(largest, rate * notional + constant)
    return largest


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
        Of the position.

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
    position, entry_price, inverse
        As in `delever.venues.contract.unrealized_pnl`.
    margin : float
        Behind the position: its own where it is isolated; else the wallet's, with the profit of the
        other positions at their present marks and less what they must keep.
    lines : MarginLines
        Of the position.

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
