"""What a decision may say beside an exposure: columns of a frame, checked and laid out for loops.

=============================  ==================================================================
stop_price, take_profit_price  leave where the last price reaches it, against or with the position
limit_price                    what the exposure adds rests at this price, instead of crossing at
                               the open
exposure_2, limit_price_2      the second rung of a ladder: the exposure reached once the last
                               price trades through; so to rung 9
leverage                       setting of the position, from 1 to that of the account
time_stop                      closes after the entry, at whose next open the position is left
=============================  ==================================================================

NaN says there is none. All were known at the close of the bar they stand on.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from delever.arguments import Flags, Floats, counted
from delever.engine.settings import Account, Orders
from delever.engine.steps import Said
from delever.errors import InputError

EXPOSURE: Final = "exposure"
RUNGS: Final = (
    (EXPOSURE, "limit_price"),
    *((f"exposure_{number}", f"limit_price_{number}") for number in range(2, 10)),
)
"""Columns of each rung of a ladder: the exposure reached, and the price it is reached at."""

ORDER_PRICES: Final = ("stop_price", "take_profit_price", *(limit for _, limit in RUNGS))
ORDERS: Final = (*ORDER_PRICES, "leverage", "time_stop", *(name for name, _ in RUNGS[1:]))
"""Columns that are orders."""

_NO_ORDERS: Final = {
    **{"stop": "stop_price", "stop_loss": "stop_price", "take_profit": "take_profit_price"},
    **{"limit": "limit_price", "rebalance_band": "", "trailing_stop": ""},
}
"""Names that are taken for orders', and the one that is meant; none where an account has it."""

Target: TypeAlias = "pd.Series | pd.DataFrame"
"""Exposures, or a frame of them with columns of `ORDERS`."""


def exposure_of(target: Target) -> pd.Series:
    """Exposures of a target in either form; of a ladder, those of its first rung."""
    return target[EXPOSURE] if isinstance(target, pd.DataFrame) else target


def exposures_in(target: pd.DataFrame) -> list[str]:
    """Columns that hold exposures, those of the first rung first."""
    return [name for name, _ in RUNGS if name in target]


def misnamed(names: Iterable[str]) -> str:
    """What is wrong with a column whose name is nearly that of an order; empty for nothing."""
    for name in names:
        if name in ORDERS or name == EXPOSURE:
            continue
        low = name.lower()
        near = _nearest(low)
        if not near and low not in _NO_ORDERS:
            continue
        right = _NO_ORDERS.get(low, near)
        todo = f"call it {right!r}" if right else "give it to the account"
        return (
            f"the column {name!r} is no order and would only be drawn as a line; {todo}, or "
            "give the line a name that is unlike an order's"
        )
    return ""


@lru_cache(maxsize=4_096)
def _nearest(name: str) -> str:
    """The order, or exposure, whose name is nearly this; empty for none. A sweep asks often."""
    near = difflib.get_close_matches(name, (*ORDERS, EXPOSURE), n=1, cutoff=0.8)
    return near[0] if near else ""


def decided_before(target: Target, begin: int) -> float | pd.Series:
    """What was decided at the close before row `begin`: a number, or a row of the frame."""
    if not begin or np.isnan(exposure_of(target).iloc[begin - 1]):
        return 0.0
    row = target.iloc[begin - 1]
    return row if isinstance(row, pd.Series) else float(row)


def orders_in(answer: pd.DataFrame) -> Target:
    """The orders of a frame with its exposures; the exposures alone where there are none."""
    names = [name for name in answer if name in ORDERS]
    if not names:
        return answer[EXPOSURE]
    return answer[[EXPOSURE, *names]].astype("float64")


def rows_of(target: Target, initial: float | pd.Series) -> pd.DataFrame:
    """What was decided before the first bar, and at the close of each, n + 1 rows."""
    frame = target if isinstance(target, pd.DataFrame) else target.to_frame(EXPOSURE)
    first = initial if isinstance(initial, pd.Series) else pd.Series({EXPOSURE: initial})
    rows = np.vstack([first.reindex(frame.columns).to_numpy(dtype=np.float64), frame])
    return pd.DataFrame(rows, columns=frame.columns)


def arguments_of(rows: pd.DataFrame, index: pd.Index) -> dict[str, Any]:
    """Arguments of `backtest` for such rows: the target of each bar, and the one before them."""
    target = orders_in(rows.iloc[1:].set_axis(index, axis=0))
    first = rows.iloc[0]
    initial = first if isinstance(target, pd.DataFrame) else float(first[EXPOSURE])
    return {"target_exposure": target, "initial_target": initial}


def in_multiples(rows: pd.DataFrame, closes: Floats) -> pd.DataFrame:
    """The same with the prices of orders as multiples of the close before each row."""
    prices = [name for name in rows if name in ORDER_PRICES]
    return rows.assign(**rows[prices].div(closes, axis=0))


def moved(multiples: pd.DataFrame, closes: Floats, bars: int) -> pd.DataFrame:
    """Rows of `in_multiples` so many bars later, with prices that are as far from those closes.

    What leaves at the end comes in at the beginning.
    """
    later = multiples.iloc[np.roll(np.arange(len(multiples)), bars)].reset_index(drop=True)
    prices = [name for name in later if name in ORDER_PRICES]
    return later.assign(**later[prices].mul(closes, axis=0))


def broken_orders(target: pd.DataFrame, close: pd.Series | None = None) -> str:
    """What is wrong with the orders of a frame, with the first bar concerned; empty for nothing.

    With the closes that its rows were decided at, also a new decision that enters at the open with
    a stop or target on the wrong side of its close.
    """
    wrong_name = misnamed(map(str, target))
    if wrong_name:
        return wrong_name
    for number, (exposure, limit) in enumerate(RUNGS[1:], 2):
        if (exposure in target) != (limit in target):
            return f"rung {number} of a ladder needs both columns, {exposure} and {limit}"
    for wrong, names, say in _rules(target, close):
        if wrong.any():
            row = int(np.argmax(wrong))
            got = " and ".join(f"{name} {target[name].iloc[row]:g}" for name in names)
            beside = "" if close is None else f" at the close of {close.iloc[row]:g}"
            return f"bar {target.index[row]:%Y-%m-%d %H:%M}: {say}; got {got}{beside}"
    return ""


def _rules(
    target: pd.DataFrame, close: pd.Series | None
) -> Iterator[tuple[Flags, tuple[str, ...], str]]:
    """Where a rule is broken, the columns that it is about, and what it asks."""
    table = {str(name): target[name].to_numpy(dtype=np.float64) for name in target}
    for name in (name for name in ORDERS if name in table):
        values = table[name]
        least = 1.0 if name in ("leverage", "time_stop") else 0.0
        fits = (values >= least) & (values < np.inf)
        say = f"{name} must be {least:g} or more, or NaN for none"
        if name in ORDER_PRICES:
            fits, say = fits & (values > 0.0), f"{name} must be a price above 0, or NaN for none"
        elif name == "time_stop":
            fits &= values == np.floor(values)
            say = "time_stop must be a whole number of bars, 1 or more, or NaN for none"
        elif name != "leverage":
            fits = np.isfinite(values)
            say = f"{name} must be a finite exposure, or NaN for none"
        yield ~(fits | np.isnan(values)), (name,), say
    yield from _sides(table, None if close is None else close.to_numpy(dtype=np.float64))
    reached, at = table[EXPOSURE], table.get("limit_price", np.full(len(target), np.nan))
    nearer = (EXPOSURE, "limit_price")
    for exposure, limit in RUNGS[1:]:
        if exposure in table:
            more, price = table[exposure], table[limit]
            there = ~np.isnan(more) & ~np.isnan(price) & ~np.isnan(reached)
            short = there & ~((np.abs(more) > np.abs(reached)) & (more * reached >= 0.0))
            yield short, (nearer[0], exposure), "a rung must ask for more than the one before it"
            side = np.sign(more)
            behind = there & (side * price >= side * at)
            yield behind, (nearer[1], limit), "a rung's price must lie beyond the one before it"
            reached, at = np.where(there, more, reached), np.where(there, price, at)
            nearer = (exposure, limit)


def _sides(
    table: dict[str, Floats], close: Floats | None
) -> Iterator[tuple[Flags, tuple[str, ...], str]]:
    """Stops and targets on the wrong side of what they stand beside."""
    asked = table[EXPOSURE]
    entered = {limit: (table[limit], table[name]) for name, limit in RUNGS if limit in table}
    if close is not None:
        new = (np.nan_to_num(asked) != np.append(0.0, np.nan_to_num(asked[:-1]))) & (asked != 0.0)
        crosses = new & np.isnan(table.get("limit_price", np.full(len(asked), np.nan)))
        entered[EXPOSURE] = np.where(crosses, close, np.nan), asked
    for name, side, what in (("stop_price", 1.0, "losing"), ("take_profit_price", -1.0, "winning")):
        for beside, (price, exposure) in entered.items() if name in table else ():
            way = side * np.sign(exposure)
            where = "the close it was decided at" if beside == EXPOSURE else beside
            yield (
                way * table[name] >= way * price,
                (name, beside),
                f"{name} must lie on the {what} side of {where}",
            )


def before_bars(
    target: Target, initial: float | pd.Series, account: Account
) -> pd.DataFrame | None:
    """Orders in force in each bar, those decided before it; None where there are none.

    Raises InputError if an order breaks a rule, goes beyond the account's leverage, or rests where
    the account says something else.
    """
    if not isinstance(target, pd.DataFrame):
        return None
    leverage, times = account.leverage, account.exposure
    rows = rows_of(orders_in(target), initial)
    if broken := broken_orders(target):
        raise InputError(f"target_exposure: {broken}")
    if broken := broken_orders(rows[:1].set_axis(target.index[:1], axis=0)):
        raise InputError(f"target_exposure: decided before the first {broken}")
    said = rows[:-1].set_axis(target.index, axis=0)
    asked = exposures_in(said)
    said[asked] *= times
    most = said["leverage"].fillna(leverage) if "leverage" in said else leverage
    for name in asked:
        beyond = said[name].abs() > np.minimum(most, leverage)
        if beyond.any():
            bar = said.index[int(np.argmax(beyond))]
            raise InputError(
                f"target_exposure: orders may not go beyond the leverage in force; {name} in the "
                f"bar of {bar:%Y-%m-%d %H:%M} is {said.loc[bar, name]:g}; lower it, or raise the "
                "leverage"
            )
    if (np.asarray(most) > leverage).any():
        raise InputError(
            f"target_exposure: the leverage of a decision must lie within the account's, "
            f"{leverage:g}; got {np.max(most):g}; lower it, or raise the account's"
        )
    if "limit_price" in said and account.limit_offset is not None:
        raise InputError(
            "account: limit_offset says where entries rest, and so does the strategy with "
            "limit_price; leave one of them out"
        )
    return said.drop(columns=EXPOSURE)


def laid_out(said: pd.DataFrame | None, targets: Floats, orders: Orders) -> Said:
    """What the loops read of the orders in force.

    `targets` are exposures as the loop walks them, negated where prices are reciprocal ones.
    """
    plain = Said.of(targets, orders)
    if said is None:
        return plain
    inverse = orders.inverse > 0.0
    told = {name: said[name].to_numpy(dtype=np.float64) for name in said}
    told |= {name: 1.0 / told[name] for name in ORDER_PRICES if inverse and name in told}
    table = np.repeat(plain.orders, len(said) + 1, axis=0)
    for name in ("stop_price", "take_profit_price", "leverage", "time_stop"):
        if name in told:
            column = table[1:, Orders._fields.index(name)]
            column[:] = np.where(np.isnan(told[name]), column, told[name])
    none = np.full(len(said), np.nan)
    rungs, again = [plain.rungs[:, 0]], plain.again > 0.0
    rungs[0][:, 1] = np.where(targets == 0.0, np.nan, told.get("limit_price", none))
    for exposure, limit in RUNGS[1:]:
        if exposure in told:
            more = -told[exposure] if inverse else told[exposure]
            rungs.append(np.column_stack([more, np.where(np.isnan(more), np.nan, told[limit])]))
            before = np.append(np.nan, more[:-1])
            again = again | ~((more == before) | (np.isnan(more) & np.isnan(before)))
    return Said(table, np.ascontiguousarray(np.stack(rungs, axis=1)), again.astype(np.float64))


def not_sent(said: pd.DataFrame | None, targets: Floats, opens: Floats) -> tuple[str, ...]:
    """Entries at the open whose own stop or target the open had passed; no venue takes them."""
    if said is None:
        return ()
    none = pd.Series(np.nan, index=said.index)
    stop, profit, limit = (
        said.get(name, none).to_numpy(dtype=np.float64)
        for name in ("stop_price", "take_profit_price", "limit_price")
    )
    before = np.append(0.0, targets[:-1])
    side = np.sign(targets)
    adds = (targets != before) & (side * targets > np.maximum(side * before, 0.0))
    gone = (side * opens <= side * stop) | (side * opens >= side * profit)
    lost = adds & gone & np.isnan(limit)
    if not lost.any():
        return ()
    return (
        f"orders: {int(lost.sum()):,} of {counted(int(adds.sum()), 'entry')} were not sent: the "
        "open had passed the stop or target they came with, and venues refuse such orders",
    )
