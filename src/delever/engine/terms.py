"""What a run pays and must keep, bar by bar: fees, slippage, borrow and brackets by date."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats
from delever.engine.settings import Account, loaded
from delever.engine.steps import FillTerms, TermArrays, columns
from delever.errors import DataError, InputError, SimulationError
from delever.units import DAYS_PER_YEAR, timeframe_delta
from delever.venues.costs import Borrow, CostPart, Costs, VenueFees
from delever.venues.rules import Rulebook, Rules
from delever.venues.slippage import Fractions, Slippage

_CHOSEN_BY = {"mark": 0.0, "entry": 1.0, "size": 2.0}
DEAREST = 0.99
"""Most that a fill is worse by; a price is never nothing."""


def costs_of(costs: CostPart | None, account: Account | None) -> Costs:
    """The costs that are said; else the fees of the account's rules, or none without rules."""
    if costs is not None:
        return costs.added_to(Costs())
    by_rules = account is not None and account.rules is not None
    return Costs(parts=(VenueFees(),)) if by_rules else Costs()


def terms(
    bars: pd.DataFrame,
    index: pd.DatetimeIndex,
    account: Account,
    costs: Costs,
    *,
    timeframe: str,
    earlier: pd.DataFrame | None,
) -> tuple[TermArrays, tuple[Rules, ...], tuple[str, ...]]:
    """Lay out what holds at each bar.

    Raises DataError if there are no rules for the first bar; InputError if a cost needs what the
    bars or the account do not have, or sees later bars.
    """
    rules = () if account.rules is None else dated_rules(account, index)
    rule = np.zeros(len(index), dtype=np.int64)
    if rules:
        starts = np.array([pd.Timestamp(held.valid_from, tz="UTC").value for held in rules])
        rule = np.maximum(np.searchsorted(starts, index.asi8, side="right") - 1, 0)
    paid = _paid(bars, index, account, costs, rules, rule, timeframe, earlier)
    notes = tuple(dict.fromkeys(note for held in rules for note in held.notes))
    return TermArrays(rule, paid, *_brackets(rules)), rules, notes


def _paid(
    bars: pd.DataFrame,
    index: pd.DatetimeIndex,
    account: Account,
    costs: Costs,
    rules: Sequence[Rules],
    rule: npt.NDArray[np.int64],
    timeframe: str,
    earlier: pd.DataFrame | None,
) -> Floats:
    """The columns of `FillTerms`: the sum of all parts of the costs."""
    fees = np.zeros((len(index), 3))
    if rules:
        fees = np.array([[r.fees.taker, r.fees.maker, r.fees.liquidation] for r in rules])[rule]
    taker, maker, liquidation_fee = fees.T
    paid: dict[str, Any] = dict.fromkeys(FillTerms._fields, 0.0)
    paid |= {"taker": costs.fee, "maker": costs.maker_fee, "slippage": costs.slippage}
    paid["liquidation_fee"] = liquidation_fee
    seen = bars
    if earlier is not None and any(isinstance(part, Slippage) for part in costs.parts):
        seen = pd.concat([earlier, bars])
    for part in costs.parts:
        if isinstance(part, VenueFees):
            if not rules:
                raise InputError("costs: the fees of a venue need an account with its rules")
            paid["taker"] = paid["taker"] + np.where(taker > 0.0, taker * part.multiple, taker)
            paid["maker"] = paid["maker"] + np.where(maker > 0.0, maker * part.multiple, maker)
        elif isinstance(part, Slippage):
            paid["slippage"] += _asked(part, part.fraction, seen, len(index), part.at_first)
            impact = partial(part.impact, inverse=account.inverse)
            paid["impact"] += _asked(part, impact, seen, len(index), math.nan)
        elif isinstance(part, Borrow):
            if account.traded is not None:
                raise InputError("costs: borrow is for spot shorts; a perpetual borrows nothing")
            after = index.asi8[-1] + timeframe_delta(timeframe).value
            hours = np.diff(index.asi8, append=after) / 3.6e12
            paid["borrow"] += part.rate * hours / (24.0 * DAYS_PER_YEAR)
        else:
            raise InputError(f"costs: a part must be a fee, slippage or borrow; got {part!r}")
    paid["slippage"] = np.minimum(paid["slippage"], DEAREST)
    return np.column_stack([np.broadcast_to(paid[name], len(index)) for name in FillTerms._fields])


def _asked(
    model: Slippage,
    ask: Callable[[pd.DataFrame], Fractions],
    seen: pd.DataFrame,
    size: int,
    at_first: float,
) -> Floats | float:
    """What a model says for the last `size` bars, each from the bars before it."""
    said = np.asarray(ask(seen.copy(deep=False)), dtype=np.float64)
    name = f"costs: {type(model).__name__}"
    if said.ndim and said.shape != (len(seen),):
        raise InputError(f"{name} must say one fraction per bar, {len(seen)}; got {said.shape}")
    if (said < 0.0).any():
        raise InputError(f"{name} must say fractions of 0 or more; got {np.nanmin(said):g}")
    if not said.ndim:
        return float(said)
    for cut in {len(seen) // 4, len(seen) // 2, 3 * len(seen) // 4, len(seen) - 1} - {0}:
        before = np.asarray(ask(seen.iloc[:cut]), dtype=np.float64)
        off = ~np.isclose(before, said[:cut], rtol=1e-9, atol=0.0, equal_nan=True)
        if off.any():
            row = int(np.flatnonzero(off)[0])
            raise InputError(
                f"{name} must use only bars that have closed; for the bar after "
                f"{seen.index[row]:%Y-%m-%d %H:%M} it says {before[row]:g}, and {said[row]:g} once "
                "later bars are there; take no mean over all bars and shift nothing back"
            )
    return np.append(at_first, said[:-1])[-size:]


def check_terms(table: Floats, targets: Floats, index: pd.DatetimeIndex) -> None:
    """Refuse targets whose fills have no known price, or that a fee leaves no size for.

    Raises InputError or SimulationError.
    """
    paid = columns(FillTerms, table)
    unknown = np.flatnonzero(np.isnan(paid["slippage"] + paid["impact"]))
    unknown = unknown[unknown >= np.flatnonzero(np.append(targets != 0.0, True))[0]]
    if len(unknown) and not np.isnan(paid["slippage"][unknown[0]]):
        raise InputError(
            f"impact on a fill in the bar of {index[unknown[0]]:%Y-%m-%d %H:%M} needs a bar with "
            "volume above 0 before it, and a position is held there; give bars with their volume, "
            "begin flat, or use a fixed slippage"
        )
    if len(unknown):
        raise InputError(
            f"slippage of the bar of {index[unknown[0]]:%Y-%m-%d %H:%M} needs bars before it, and "
            "a position is held there; begin flat, give earlier bars, or use a fixed slippage"
        )
    costs = max(float(np.abs(paid[name]).max()) for name in ("taker", "maker"))
    if float(np.abs(targets).max(initial=0.0)) * costs >= 1.0:
        raise SimulationError(
            f"a fee of {costs:g} leaves no size that reaches every target exposure; lower the "
            "targets or the fee"
        )


def dated_rules(account: Account, index: pd.DatetimeIndex) -> tuple[Rules, ...]:
    """Rules in force over the run, in order of time.

    Raises DataError if none are known for the first bar.
    """
    rules = loaded("rules", account.rules)
    if isinstance(rules, Rulebook):
        symbol = account.traded.symbol if account.traded else ""
        return rules.between(index[0].date(), index[-1].date(), symbol)
    held: Sequence[Rules] = (rules,) if isinstance(rules, Rules) else rules or ()
    ordered = tuple(sorted(held, key=lambda one: one.valid_from))
    if not ordered or ordered[0].valid_from > index[0].date():
        have = f"the first are of {ordered[0].valid_from}" if ordered else "there are none"
        raise DataError(
            f"brackets missing for the date: the run begins on {index[0].date()} and {have}; "
            "start the run later or give the rules of that day"
        )
    return ordered


def _brackets(rules: Sequence[Rules]) -> tuple[Floats, Floats]:
    if not rules:
        return np.array([[[np.inf, 0.0, 0.0, np.inf]]]), np.zeros((1, 3))
    rows = max(len(held.brackets) for held in rules)
    tables, hows = np.empty((len(rules), rows, 4)), np.zeros((len(rules), 3))
    for place, held in enumerate(rules):
        padded = (*held.brackets, *(held.brackets[-1],) * (rows - len(held.brackets)))
        for number, step in enumerate(padded):
            tables[place, number] = (
                step.cap,
                step.maintenance_margin_rate,
                step.maintenance_amount,
                step.max_leverage,
            )
        formula = held.formula
        closing = held.fees.taker if formula.adds_taker_fee else 0.0
        hows[place] = _CHOSEN_BY[formula.bracket_by], formula.rate_on == "entry", closing
    return tables, hows
