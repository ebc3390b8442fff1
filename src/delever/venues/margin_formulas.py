"""How venues compute maintenance margin, as data.

In the settlement currency, maintenance margin is a line in the notional N at the mark price per
bracket, ``rate * N + constant``. Venues differ in the rates, the constants and what chooses the
bracket; nothing else here knows a venue.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from delever.arguments import one_of
from delever.errors import InputError
from delever.venues.brackets import Bracket, bracket_table, is_continuous

_AMOUNT_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginFormula:
    """How a venue computes maintenance margin.

    Attributes
    ----------
    bracket_by : {"mark", "entry", "size"}
        What chooses the bracket: the notional at the mark price, the notional at entry, or the size
        of the position in its own units.
    rate_on : {"mark", "entry"}
        Notional the rate is taken of.
    adds_taker_fee : bool
        Whether the fee to close, of the notional at the mark, is part of it.
    """

    bracket_by: Literal["mark", "entry", "size"]
    rate_on: Literal["mark", "entry"]
    adds_taker_fee: bool = False


FORMULAS: Mapping[str, MarginFormula] = MappingProxyType(
    {
        "binance_linear": MarginFormula(bracket_by="mark", rate_on="mark"),
        "bybit_inverse": MarginFormula(bracket_by="entry", rate_on="entry"),
        "bybit_linear": MarginFormula(bracket_by="entry", rate_on="entry"),
        "bybit_mark": MarginFormula(bracket_by="mark", rate_on="mark"),
        "flat_rate": MarginFormula(bracket_by="entry", rate_on="mark"),
        "gate_linear": MarginFormula(bracket_by="mark", rate_on="mark", adds_taker_fee=True),
        "hyperliquid": MarginFormula(bracket_by="mark", rate_on="mark"),
        "okx_linear": MarginFormula(bracket_by="size", rate_on="mark", adds_taker_fee=True),
    }
)
"""The formulas a rulebook can name."""


class MarginLines(NamedTuple):
    """Maintenance margin of one position as lines in its notional N at the mark price.

    It is the largest of ``rates[i] * N + constants[i]``, with ``0 <= rates[i] < 1`` and constants
    in settlement units; plain numbers, so that a compiled loop can read them.
    """

    rates: tuple[float, ...]
    constants: tuple[float, ...]


def margin_formula(name: str) -> MarginFormula:
    """Formula of `FORMULAS` with a name.

    Raises
    ------
    InputError
        If there is none.
    """
    one_of("formula", name, FORMULAS)
    return FORMULAS[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginTable:
    """What a venue requires a position to keep, by the formula of this name.

    Attributes
    ----------
    progressive : bool
        Whether each rate applies to the part of the notional inside its bracket.
    brackets : tuple of Bracket
        In rising order of caps.
    """

    name: str
    progressive: bool
    brackets: tuple[Bracket, ...]

    @property
    def formula(self) -> MarginFormula:
        """How maintenance margin is computed."""
        return margin_formula(self.name)


def margin_table(name: str, cells: Sequence[Sequence[float]], *, progressive: bool) -> MarginTable:
    """Check a table of brackets against its formula and against the amounts published with it.

    Parameters
    ----------
    name, progressive
        As in `MarginTable`.
    cells : sequence of (cap, maintenance_margin_rate, max_leverage[, maintenance_amount])
        In rising order of caps; the amount where the venue publishes one.

    Raises
    ------
    InputError
        If there is no such formula, a row has another form, the table is impossible or does not go
        with the formula, or a published amount differs from the computed one by more than a
        millionth.
    """
    formula = margin_formula(name)
    for number, row in enumerate(cells, start=1):
        cells_fit = isinstance(row, Sequence) and all(
            isinstance(cell, int | float) and not isinstance(cell, bool) for cell in row
        )
        if not (cells_fit and len(row) in (3, 4)):
            raise InputError(
                f"row {number} must be [cap, rate, leverage] or with the published amount behind "
                f"them; got {row}"
            )
    brackets = bracket_table([(row[0], row[1], row[2]) for row in cells], progressive=progressive)
    _check_table(formula, brackets)
    for number, (row, bracket) in enumerate(zip(cells, brackets, strict=True), start=1):
        computed = bracket.maintenance_amount
        if len(row) == 4 and not math.isclose(
            row[3], computed, rel_tol=_AMOUNT_TOLERANCE, abs_tol=_AMOUNT_TOLERANCE
        ):
            raise InputError(
                f"row {number}: the amount must be {computed:.10g}, which makes maintenance margin "
                f"continuous; got {row[3]}; correct the caps, the rates or it"
            )
    return MarginTable(name=name, progressive=progressive, brackets=brackets)


def _check_table(formula: MarginFormula, brackets: Sequence[Bracket]) -> None:
    # Where margin jumps at a cap there may be two prices, or none, at which it equals the balance.
    if formula.bracket_by == "mark" and not is_continuous(brackets):
        raise InputError(
            "brackets chosen by the notional at the mark must be progressive; these let "
            "maintenance margin jump at a cap; compute them with progressive=True"
        )
    # Amounts belong to the notional that chooses the bracket; taken off another one, they could
    # make margin fall below zero.
    if formula.bracket_by != formula.rate_on and any(b.maintenance_amount for b in brackets):
        raise InputError(
            f"brackets chosen by {formula.bracket_by} with a rate on {formula.rate_on} must not be "
            "progressive; these have maintenance amounts; compute them with progressive=False"
        )
