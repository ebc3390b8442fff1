"""Leverage brackets: margin rate and leverage a venue allows, by the size of a position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from delever.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """One step of a venue's table, for positions above the cap before it and up to its own.

    Attributes
    ----------
    cap : float
        Largest position of the bracket, inclusive: notional in settlement units, or units of the
        position where the venue's formula chooses by size. May be infinite in the last.
    maintenance_margin_rate : float
        Fraction of notional, 0 < rate < 1.
    max_leverage : float
        >= 1.
    maintenance_amount : float
        Taken off rate times notional, settlement units, >= 0.
    """

    cap: float
    maintenance_margin_rate: float
    max_leverage: float
    maintenance_amount: float = 0.0


def bracket_table(
    rows: Sequence[tuple[float, float, float]], *, progressive: bool
) -> tuple[Bracket, ...]:
    """Check a table and compute its maintenance amounts.

    Continuity of maintenance margin at the floor of bracket n (the cap before it) gives
    ``amount_n = floor_n (rate_n - rate_{n-1}) + amount_{n-1}`` with ``amount_0 = 0``.

    Parameters
    ----------
    rows : sequence of (cap, maintenance_margin_rate, max_leverage)
        In rising order of caps.
    progressive : bool
        Whether each rate applies to the part of the notional inside its bracket, as income tax
        does. Otherwise the rate of the bracket applies to the whole and amounts are 0.

    Raises
    ------
    InputError
        If the table is empty, caps do not rise, rates fall or are no fraction, leverage rises or
        is below 1, or a rate is not below 1 / max_leverage (such a position would be liquidated
        as it is opened).

    Examples
    --------
    >>> table = bracket_table([(300_000, 0.004, 150), (800_000, 0.005, 100)], progressive=True)
    >>> round(table[1].maintenance_amount, 9)
    300.0
    """
    if not rows:
        raise InputError("brackets must have at least one row; got none")
    table: list[Bracket] = []
    for number, (cap, rate, leverage) in enumerate(rows, start=1):
        floor = Bracket(cap=0.0, maintenance_margin_rate=rate, max_leverage=leverage)
        before = table[-1] if table else floor
        row = f"brackets: row {number} must"
        if not cap > before.cap:
            raise InputError(
                f"{row} have a cap above {before.cap:g}; got {cap:g}; put the rows in rising order"
            )
        if not (0.0 < rate < 1.0 and 1.0 <= leverage < math.inf):
            raise InputError(
                f"{row} have 0 < rate < 1 and leverage >= 1; got {rate:g} and {leverage:g}; half a "
                "per cent is 0.005"
            )
        if not rate * leverage < 1.0:
            raise InputError(
                f"{row} have a rate below 1 / max_leverage; got {rate:g} at {leverage:g}x, which "
                "liquidates a position as it is opened"
            )
        rise = rate - before.maintenance_margin_rate
        if rise < 0.0 or leverage > before.max_leverage:
            raise InputError(
                f"{row} not have a lower rate or a higher leverage than the row before; got "
                f"{rate:g} at {leverage:g}x after {before.maintenance_margin_rate:g} at "
                f"{before.max_leverage:g}x"
            )
        step = before.cap * rise if progressive else 0.0
        table.append(
            Bracket(
                cap=float(cap),
                maintenance_margin_rate=float(rate),
                max_leverage=float(leverage),
                maintenance_amount=before.maintenance_amount + step,
            )
        )
    return tuple(table)


def bracket_of(measure: float, brackets: Sequence[Bracket]) -> Bracket:
    """Bracket a position falls into: the first whose cap is at or above `measure`.

    The last for what has grown past its cap; that none is *opened* there is `check_leverage`'s to
    say.

    Parameters
    ----------
    measure : float
        Notional or size, in the unit of the caps, >= 0.
    brackets : sequence of Bracket
        In rising order of caps.
    """
    return next((bracket for bracket in brackets if measure <= bracket.cap), brackets[-1])


def is_continuous(brackets: Sequence[Bracket]) -> bool:
    """Whether maintenance margin has no jump between brackets, as progressive rates make it."""
    return all(
        math.isclose(
            after.maintenance_amount - before.maintenance_amount,
            before.cap * (after.maintenance_margin_rate - before.maintenance_margin_rate),
            rel_tol=1e-9,
            abs_tol=1e-9 * before.cap * after.maintenance_margin_rate,
        )
        for before, after in pairwise(brackets)
    )


def check_leverage(leverage: float, measure: float, brackets: Sequence[Bracket]) -> None:
    """Refuse a position the venue would not open.

    Parameters
    ----------
    leverage : float
        Setting of the position.
    measure, brackets
        As in `bracket_of`, at entry.

    Raises
    ------
    InputError
        If leverage is below 1 or above the bracket's maximum, or the position is larger than the
        last cap.
    """
    if not leverage >= 1.0:
        raise InputError(f"leverage must be 1 or more; got {leverage:g}")
    if measure > brackets[-1].cap:
        raise InputError(
            f"a position must be at most {brackets[-1].cap:,.10g} (the last bracket's cap); got "
            f"{measure:,.10g}; lower the exposure or the equity"
        )
    bracket = bracket_of(measure, brackets)
    if leverage > bracket.max_leverage:
        raise InputError(
            f"leverage must be at most {bracket.max_leverage:g} for a position of "
            f"{measure:,.10g} (bracket up to {bracket.cap:,.10g}); got {leverage:g}; lower the "
            "leverage or the size"
        )
