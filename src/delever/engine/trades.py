"""Fills and round trips as tables, from the kernel's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats
from delever.engine.ledger import REASONS, SPOT_FILL


def fills_frame(
    fills: Floats,
    index: pd.DatetimeIndex,
    *,
    columns: Sequence[str] = SPOT_FILL,
) -> pd.DataFrame:
    """Table of fills."""
    named = dict(zip(columns, fills.T, strict=True))
    return pd.DataFrame(
        {
            "time": index[named["bar"].astype(np.int64)],
            "quantity": named["quantity"],
            "price": named["price"],
            "notional": np.abs(named["quantity"]) * named["price"],
            "fee": named["fee"],
            "slippage": named["slippage"],
            "liquidation": named["liquidation"],
            "equity": named["equity"],
            "position": named["position"],
            "exposure": named["exposure"],
            "reason": words(np.array(REASONS)[named["reason"].astype(np.int64)]),
            **{name: named[name] for name in columns[len(SPOT_FILL) :]},
        }
    )


def words(texts: npt.NDArray[Any]) -> Any:
    """A column of texts."""
    return pd.array(texts, dtype="str")


def trades_frame(
    fills: Floats,
    index: pd.DatetimeIndex,
    *,
    last_close: float,
    columns: Sequence[str] = SPOT_FILL,
    since: Sequence[float] = (),
) -> pd.DataFrame:
    """Table of round trips: flat to flat, or to a flip.

    Notes
    -----
    A fill that flips the position closes one trade and opens the next; its costs are split by
    quantity.
    """
    made = round_trips(fills, len(index), last_close=last_close, columns=columns, since=since)
    return trips_frame(made, index)


def trips_frame(made: Mapping[str, npt.NDArray[Any]], index: pd.DatetimeIndex) -> pd.DataFrame:
    """Table of round trips, from arrays as `round_trips` gives them."""
    done = index[made["exit_time"]].where(made["status"] != "open")
    told = {"entry_time": index[made["entry_time"]], "exit_time": done}
    named = {name: words(made[name]) for name in ("status", "exit_reason") if name in made}
    return pd.DataFrame({**made, **told, **named})


def round_trips(
    fills: Floats,
    bars: int,
    *,
    last_close: float,
    columns: Sequence[str],
    since: Sequence[float],
) -> dict[str, npt.NDArray[Any]]:
    """Columns of `trades_frame`, times as rows of the bars."""
    legs = _legs(fills, columns)
    first = np.flatnonzero(legs.before == 0.0)
    last = np.append(first, len(legs.before))[1:] - 1

    def total(values: Floats) -> Floats:
        # reduceat refuses an empty list of starts
        return np.add.reduceat(values, first) if len(first) else np.empty(0)

    def mean_price(traded: Floats) -> Floats:
        with np.errstate(invalid="ignore"):  # nothing was closed: NaN
            return np.asarray(total(traded * legs.price) / total(traded))

    side = np.sign(legs.after[first])
    held = legs.after[last]
    is_open = held != 0.0
    reason = legs.reason[last]
    forced = reason == REASONS.index("liquidation")
    inside = reason != REASONS.index("target")
    begun, done = legs.bar[first], legs.bar[last]
    enters = np.sign(legs.quantity) == np.repeat(side, last - first + 1)
    entered = np.where(enters, legs.quantity, 0.0)
    left = legs.quantity - entered
    fee, slippage, beyond = total(legs.fee), total(legs.slippage), total(legs.liquidation)
    carried = {name: total(legs.carried[name]) for name in legs.carried}
    for name, later in zip(carried, since, strict=True):
        carried[name] += np.where(is_open, later, 0.0)
    gross = carried.pop("price_pnl", None)
    if gross is None:
        gross = held * last_close - total(legs.quantity * legs.price) + slippage
    net = gross - slippage - fee + beyond
    if carried:
        net += carried["funding"] - carried["borrow"]
    made = {
        "entry_time": begun,
        "exit_time": done,
        "side": side.astype(np.int64),
        "quantity": _most(np.abs(legs.after), first),
        "entry_price": mean_price(entered),
        "exit_price": mean_price(left),
        "gross_pnl": gross,
        "fee": fee,
        "slippage": slippage,
        "liquidation": beyond,
        "net_pnl": net,
        "return": net / legs.equity[first],
        "bars": np.where(is_open, bars, done + inside) - begun,
        "status": np.select([is_open, forced], ["open", "liquidated"], "closed"),
        "carried_in": np.zeros(len(first), dtype=bool),
    }
    if not carried:
        return made
    return made | carried | {"exit_reason": np.where(is_open, "", np.array(REASONS)[reason])}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Legs:
    """Fills as arrays, each that flips cut in two at the zero position."""

    bar: npt.NDArray[np.int64]
    quantity: Floats
    price: Floats
    fee: Floats
    slippage: Floats
    liquidation: Floats
    equity: Floats
    before: Floats
    after: Floats
    reason: npt.NDArray[np.int64]
    carried: dict[str, Floats]


def _legs(fills: Floats, columns: Sequence[str]) -> _Legs:
    after = fills[:, SPOT_FILL.index("position")]
    before = np.append(0.0, after[:-1])
    flips = before * after < 0.0
    row = np.repeat(np.arange(len(fills)), 1 + flips)
    closing = np.append(row[1:] == row[:-1], False) if len(row) else np.empty(0, dtype=bool)
    opening = np.append(False, row[1:] == row[:-1]) if len(row) else closing
    whole = dict(zip(columns, fills[row].T, strict=True))
    before, after = before[row], after[row]
    after[closing] = 0.0
    before[opening] = 0.0
    quantity = np.where(closing | opening, after - before, whole["quantity"])
    share = quantity / whole["quantity"]
    return _Legs(
        bar=whole["bar"].astype(np.int64),
        quantity=quantity,
        price=whole["price"],
        fee=whole["fee"] * share,
        slippage=whole["slippage"] * share,
        liquidation=whole["liquidation"],
        equity=whole["equity"],
        before=before,
        after=after,
        reason=whole["reason"].astype(np.int64),
        # What came before a flip belongs to the trade it closes.
        carried={
            name: np.where(opening, 0.0, whole[name])
            for name in ("funding", "borrow", "price_pnl")
            if name in columns
        },
    )


def _most(values: Floats, first: npt.NDArray[np.int64]) -> Floats:
    return np.maximum.reduceat(values, first) if len(first) else np.empty(0)
