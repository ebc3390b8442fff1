"""Contracts settled in the coin: into the reciprocal prices the loop walks, and back to quote.

With u = 1 / price an inverse contract is a linear one: k quote units long are -k of it, an exposure
of X is -X, and cash, fees and funding are coins. The loop runs on those. Its tables are stated in
quote units afterwards, for one run may only be compared with another in one unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from delever.arguments import Floats
from delever.engine.ledger import FILL, LEDGER
from delever.engine.steps import Ints

COIN_LEDGER = (*LEDGER, "collateral", "mark_price")
"""Columns of the ledger of an inverse contract."""

COIN_FILL = (*FILL, "price_pnl")
"""Columns of its fills; ``price_pnl`` came since the fill before, slippage aside."""

_STATES = ("equity", "cash", "wallet_balance")
_FLOWS = ("price_pnl", "fee", "slippage", "liquidation", "funding", "borrow")
_SIGNED = ("position", "exposure", "target_exposure")
_PRICES = ("entry_price", "liquidation_price")
_CARRIED = ("funding", "borrow", "price_pnl")


class Quoted(NamedTuple):
    """Tables of a run in quote units."""

    ledger: Floats  # shape (n, 18): the columns of `COIN_LEDGER`
    # shape (m, 14): the columns of `COIN_FILL`; ``price`` is still the reciprocal one, whose mean
    # over fills is that of an inverse contract
    fills: Floats


def in_quote(
    ledger: Floats, fills: Floats, marks: Floats, *, coins: float, bought_at: float
) -> Quoted:
    """State the tables of an inverse contract in quote units, see docs/engine.md, Coin accounts."""
    rows = dict(zip(LEDGER, ledger.T, strict=True))
    before = np.append(bought_at, marks[:-1])
    told = (
        rows
        | {name: rows[name] * marks for name in (*_STATES, *_FLOWS)}
        | {name: 0.0 - rows[name] for name in _SIGNED}
        | {name: 1.0 / rows[name] for name in _PRICES}
    )
    equity = np.append(coins, rows["equity"][:-1])
    told |= {"collateral": equity * (marks - before), "mark_price": marks}
    made = dict(zip(FILL, fills.T, strict=True))
    bar = made["bar"].astype(np.int64)
    reference = made["price"] - made["slippage"] / made["quantity"]
    made["price_pnl"] = np.diff(_price_pnl(made, reference), prepend=0.0)
    told_fills = (
        made
        | {name: made[name] * marks[bar] for name in ("fee", "slippage", "liquidation")}
        | {name: 0.0 - made[name] for name in ("quantity", "position", "exposure")}
        | {name: _carried(made[name], rows[name], marks, bar) for name in _CARRIED}
        | {"equity": made["equity"] / reference}
    )
    return Quoted(
        np.column_stack([told[name] for name in COIN_LEDGER]),
        np.column_stack([told_fills[name] for name in COIN_FILL]),
    )


def _price_pnl(made: dict[str, Floats], reference: Floats) -> Floats:
    """Coins won on prices up to each fill, slippage aside."""
    traded = np.diff(made["position"], prepend=0.0)
    spent = np.cumsum(traded * made["price"] - made["slippage"])
    return np.asarray(made["position"] * reference - spent)


def _carried(since: Floats, each_bar: Floats, marks: Floats, bar: Ints) -> Floats:
    """What came since the fill before, valued bar by bar as the ledger is."""
    before = [np.append(0.0, np.cumsum(values)[:-1]) for values in (each_bar, each_bar * marks)]
    there, quoted = (total[bar] for total in before)
    return np.diff(quoted + (np.cumsum(since) - there) * marks[bar], prepend=0.0)
