"""Maintenance margin of a position as lines in its notional, said once more than in the engine."""

from __future__ import annotations

from delever.venues.brackets import Bracket, bracket_of
from delever.venues.margin_formulas import MarginFormula, MarginLines


def margin_lines(
    formula: MarginFormula,
    brackets: tuple[Bracket, ...],
    *,
    position: float,
    entry_price: float,
    taker_fee: float = 0.0,
    inverse: bool = False,
) -> MarginLines:
    """Where the mark chooses the bracket, margin is convex in the notional: the largest line."""
    fee = taker_fee if formula.adds_taker_fee else 0.0
    size = abs(position)
    at_entry = size / entry_price if inverse else size * entry_price
    measure = size if formula.bracket_by == "size" else at_entry
    chosen = brackets if formula.bracket_by == "mark" else (bracket_of(measure, brackets),)
    if formula.rate_on == "entry":
        kept = (b.maintenance_margin_rate * at_entry - b.maintenance_amount for b in chosen)
        return MarginLines((fee,) * len(chosen), tuple(kept))
    return MarginLines(
        tuple(b.maintenance_margin_rate + fee for b in chosen),
        tuple(-b.maintenance_amount for b in chosen),
    )
