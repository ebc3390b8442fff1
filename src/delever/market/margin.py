"""Margin: brackets, what a position must keep, and where it is liquidated.

One shape holds every venue. In the settlement currency, with N the notional at the mark price and
N0 the one at entry, the margin balance of a position is ``margin + d (N - N0)``, where d is +1 when
a gain makes the notional larger (a linear long, an inverse short) and -1 when it makes it smaller.
Maintenance margin is a line in N per bracket, ``rate * N + constant``, and venues differ in the
rates, the constants and what chooses the bracket. `MarginFormula` says so as data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from delever.errors import InputError
from delever.market.brackets import Bracket, bracket_of
from delever.market.contract import notional, unrealized_pnl

__all__ = [
    "FORMULAS",
    "MarginFormula",
    "MarginLines",
    "bankruptcy_price",
    "cross_margin",
    "initial_margin",
    "liquidation_notional",
    "liquidation_price",
    "maintenance_margin",
    "margin_balance",
    "margin_formula",
    "margin_lines",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginFormula:
    """How a venue computes maintenance margin.

    Attributes
    ----------
    bracket_by : {"mark", "entry", "size"}
        What chooses the bracket: the notional at the mark price, the notional at entry, or the
        size of the position in its own units.
    rate_on : {"mark", "entry"}
        Notional the rate is taken of.
    adds_taker_fee : bool
        Whether the fee to close, ``taker_fee`` times the notional at the mark, is part of it.
    """

    bracket_by: Literal["mark", "entry", "size"]
    rate_on: Literal["mark", "entry"]
    adds_taker_fee: bool = False


FORMULAS: Mapping[str, MarginFormula] = MappingProxyType(
    {
        "binance_linear": MarginFormula(bracket_by="mark", rate_on="mark"),
        "bybit_linear": MarginFormula(bracket_by="entry", rate_on="entry"),
        "bybit_inverse": MarginFormula(bracket_by="entry", rate_on="entry"),
        "flat_rate": MarginFormula(bracket_by="entry", rate_on="mark"),
        "gate_linear": MarginFormula(bracket_by="mark", rate_on="mark", adds_taker_fee=True),
        "hyperliquid": MarginFormula(bracket_by="mark", rate_on="mark"),
        "okx_linear": MarginFormula(bracket_by="size", rate_on="mark", adds_taker_fee=True),
    }
)
"""The formulas a rulebook can name."""


class MarginLines(NamedTuple):
    """Maintenance margin of one position as lines in its notional N at the mark price.

    It is the largest of ``rates[i] * N + constants[i]``; plain numbers, so that a compiled loop can
    read them.

    Attributes
    ----------
    rates : tuple of float
        Fractions of the notional at the mark, 0 <= rate < 1.
    constants : tuple of float
        Settlement units.
    """

    rates: tuple[float, ...]
    constants: tuple[float, ...]


def margin_formula(name: str) -> MarginFormula:
    """Look a formula up by its name.

    Parameters
    ----------
    name : str
        A key of `FORMULAS`.

    Returns
    -------
    MarginFormula

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in FORMULAS:
        raise InputError(f"margin formula must be one of {', '.join(FORMULAS)}; got {name!r}")
    return FORMULAS[name]


def margin_lines(
    formula: MarginFormula,
    brackets: Sequence[Bracket],
    *,
    position: float,
    entry_price: float,
    taker_fee: float = 0.0,
    inverse: bool = False,
) -> MarginLines:
    """Maintenance margin of a position, as a function of its notional at the mark.

    Parameters
    ----------
    formula : MarginFormula
        How the venue computes it.
    brackets : sequence of Bracket
        From `bracket_table`; progressive where the formula chooses by the mark.
    position : float
        Signed units, not 0.
    entry_price : float
        Average price of entry, > 0.
    taker_fee : float
        Fraction of notional; used where the formula has it.
    inverse : bool
        Whether the contract is settled in the coin.

    Returns
    -------
    MarginLines
        One line per bracket where the mark chooses the bracket, else the one of the bracket
        that entry or size has chosen.

    Notes
    -----
    In a progressive table the margin is continuous and its rates do not fall, so it is convex in
    the notional, and a convex piecewise line is the largest of its lines. No search for the right
    bracket is left.
    """
    fee = taker_fee if formula.adds_taker_fee else 0.0
    at_entry = notional(position, entry_price, inverse=inverse)
    if formula.bracket_by == "mark":
        chosen = tuple(brackets)
    else:
        measure = abs(position) if formula.bracket_by == "size" else at_entry
        chosen = (bracket_of(measure, brackets),)
    if formula.rate_on == "entry":
        return MarginLines(
            tuple(fee for _ in chosen),
            tuple(b.maintenance_margin_rate * at_entry - b.maintenance_amount for b in chosen),
        )
    return MarginLines(
        tuple(b.maintenance_margin_rate + fee for b in chosen),
        tuple(-b.maintenance_amount for b in chosen),
    )


def initial_margin(notional: float, leverage: float) -> float:
    """Margin a position must start with.

    Parameters
    ----------
    notional : float
        Settlement units at entry, >= 0.
    leverage : float
        > 0.

    Returns
    -------
    float
        ``notional / leverage``, settlement units.
    """
    return notional / leverage


def maintenance_margin(notional: float, lines: MarginLines) -> float:
    """Margin a position must keep; at or below it the position is liquidated.

    Parameters
    ----------
    notional : float
        Settlement units at the mark price, >= 0.
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
        Settlement units: of the position (isolated) or `cross_margin`.
    position : float
        Signed units.
    entry_price, mark_price : float
        Quote units per base unit, > 0.
    inverse : bool
        Whether the contract is settled in the coin.

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
    """Margin that stands behind one position of a cross account.

    Parameters
    ----------
    wallet_balance : float
        Of the account, without unrealised profit; settlement units.
    unrealized_pnl_other : float
        Of the other positions, at their present marks.
    maintenance_margin_other : float
        Of the other positions.

    Returns
    -------
    float
        Settlement units; the others are taken to stand still.
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
    entry_notional : float
        Settlement units, > 0.
    margin : float
        Settlement units behind the position.
    lines : MarginLines
        From `margin_lines`.

    Returns
    -------
    float
        Settlement units; not above 0 when no positive notional does.

    Notes
    -----
    A single line is met at ``(d N0 + constant - margin) / (d - rate)``. Balance minus a line
    rises with N for d = +1 and falls for d = -1 (every rate is below 1), so balance is above *all*
    lines exactly beyond the largest meeting point (d = +1) or before the smallest (d = -1). That
    one is the answer; the line met there is the bracket in force there.
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
    position : float
        Signed units.
    entry_price : float
        Average price of entry, > 0.
    margin : float
        Settlement units: of the position (isolated), or `cross_margin`.
    lines : MarginLines
        From `margin_lines`.
    inverse : bool
        Whether the contract is settled in the coin.

    Returns
    -------
    float
        A long is liquidated at it and below, a short at it and above. NaN when flat or when no
        positive price does it (a linear long or an inverse short with margin enough). When
        margin is so far gone that no price would save the position, 0 for a linear short and
        infinity for an inverse long.

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
    position : float
        Signed units.
    entry_price : float
        Average price of entry, > 0.
    margin : float
        Settlement units: of the position (isolated), or `cross_margin`.
    inverse : bool
        Whether the contract is settled in the coin.

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
