"""What a run pays and must keep, bar by bar: fees, slippage, borrow and brackets by date."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from delever.engine.settings import Account, loaded
from delever.engine.steps import Floats, TermArrays
from delever.errors import DataError, InputError
from delever.units import DAYS_PER_YEAR, timeframe_delta
from delever.venues.costs import Costs
from delever.venues.rules import Rulebook, Rules
from delever.venues.slippage import Slippage

__all__ = ["dated_rules", "terms"]

_CHOSEN_BY = {"mark": 0.0, "entry": 1.0, "size": 2.0}


def terms(
    bars: pd.DataFrame,
    index: pd.DatetimeIndex,
    account: Account,
    costs: Costs | None,
    *,
    timeframe: str,
    costs_times: float,
) -> tuple[TermArrays, tuple[Rules, ...], tuple[str, ...]]:
    """Lay out what holds at each bar.

    Raises
    ------
    DataError
        If there are no rules for the first bar.
    InputError
        If slippage needs what the bars do not have.
    """
    rules = () if account.rules is None else dated_rules(account, index)
    rule = np.zeros(len(index), dtype=np.int64)
    paid = np.zeros((len(index), 6))
    if rules:
        starts = np.array([pd.Timestamp(held.valid_from, tz="UTC").value for held in rules])
        rule = np.maximum(np.searchsorted(starts, index.asi8, side="right") - 1, 0)
        fees = np.array([[r.fees.taker, r.fees.maker, r.fees.liquidation] for r in rules])
        paid[:, :3] = fees[rule]
    elif costs is None:
        costs = Costs()
    if costs is not None:
        paid[:, :2] = costs.fee, costs.maker_fee
        paid[:, 3] = costs.slippage
    if account.slippage is not None:
        paid[:, 3:5] = _slippage(bars, index, account, account.slippage)
    paid[:, [0, 1, 3, 4]] *= np.where(paid[:, [0, 1, 3, 4]] > 0.0, costs_times, 1.0)
    paid[:, 3] = np.minimum(paid[:, 3], 0.99)
    hours = np.diff(index.asi8, append=index.asi8[-1] + timeframe_delta(timeframe).value) / 3.6e12
    paid[:, 5] = account.borrow_rate * hours / (24.0 * DAYS_PER_YEAR)
    notes = tuple(dict.fromkeys(note for held in rules for note in held.notes))
    return TermArrays(rule.astype(np.int64), paid, *_brackets(rules)), rules, notes


def dated_rules(account: Account, index: pd.DatetimeIndex) -> tuple[Rules, ...]:
    """Rules in force over the run, in order of time.

    Raises
    ------
    DataError
        If none are known for the first bar.
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


def _slippage(
    bars: pd.DataFrame, index: pd.DatetimeIndex, account: Account, model: Slippage
) -> Floats:
    """Fraction of each fill, and what the root of its notional adds; known before the bar."""
    base, impact = np.full(len(index), model.fixed), np.zeros(len(index))
    if model.volatility_share > 0.0 or model.impact > 0.0:
        seen = bars if account.earlier is None else pd.concat([account.earlier, bars])
        # As market.slippage.range_volatility, of the bars that had closed when this one opened.
        squares = np.log(seen["high"].to_numpy(float) / seen["low"].to_numpy(float)) ** 2
        mean = pd.Series(squares).rolling(account.volatility_bars, min_periods=1).mean().shift(1)
        sigma = np.sqrt(mean.to_numpy() / (4.0 * np.log(2.0)))
        base = base + model.volatility_share * sigma[-len(index) :]
        if model.impact > 0.0:
            traded = _traded_before(seen, in_coins=account.inverse)
            impact = (model.impact * sigma / np.sqrt(traded))[-len(index) :]
    if account.stress is not None:
        if not pd.DatetimeIndex(account.stress.index).equals(index):
            raise InputError("account: stress must have one value per bar, on the same open times")
        times = np.where(account.stress.to_numpy(dtype=bool), model.stress_multiplier, 1.0)
        base, impact = base * times, impact * times
    return np.column_stack([base, impact])


def _traded_before(bars: pd.DataFrame, *, in_coins: bool) -> Floats:
    """Notional of the bar before each, in the currency that orders are settled in."""
    if "volume" not in bars.columns:
        raise InputError(
            "slippage with impact needs a column volume in the bars; add it or set impact to 0"
        )
    volume = bars["volume"].to_numpy(float)
    if not (volume > 0.0).all():
        row = int(np.flatnonzero(~(volume > 0.0))[0])
        raise InputError(
            f"slippage with impact needs volume above 0 in every bar; bar {row} has "
            f"{bars['volume'].iloc[row]!r}; correct it or set impact to 0"
        )
    notional = volume if in_coins else volume * bars["close"].to_numpy(float)
    return np.append(np.nan, notional[:-1])
