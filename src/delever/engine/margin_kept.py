"""What a single account must keep at each close, from the rows that a run left."""

from __future__ import annotations

import numpy as np

from delever.arguments import Floats
from delever.engine.ledger import LEDGER
from delever.engine.steps import DUST, MarginRule, TermArrays, columns


def margin_at_closes(
    rows: Floats, marks: Floats, held: TermArrays, leverage: Floats, *, cross: bool
) -> tuple[Floats, Floats]:
    """Maintenance margin at the mark of each close, and its ratio to the margin balance.

    In the units of the loop. The balance is what stands behind the position with its profit: where
    none of it is left, the ratio is infinite; 0 while flat.
    """
    told = dict(zip(LEDGER, rows.T, strict=False))
    size, wallet = np.abs(told["position"]), told["wallet_balance"]
    at_entry = size * np.nan_to_num(told["entry_price"])
    how = columns(MarginRule, held.how[held.rule])
    measure = np.where(how["bracket_by"] == 1.0, at_entry, size)
    steps = held.brackets.shape[1]
    fits = measure[:, None] <= held.brackets[held.rule, :, 0]
    chosen = np.where(fits.any(axis=1), fits.argmax(axis=1), steps - 1)
    needs = np.full(len(rows), -np.inf)
    for step in range(steps):
        rate, amount = held.brackets[held.rule, step, 1:3].T
        on_entry, closing = how["on_entry"] > 0.0, how["closing_fee"]
        grows = np.where(on_entry, closing, closing + rate)
        found = grows * (size * marks) + np.where(on_entry, rate * at_entry - amount, -amount)
        asked = (how["bracket_by"] == 0.0) | (chosen == step)
        needs = np.where(asked, np.maximum(needs, found), needs)
    own = at_entry / leverage
    behind = np.where(cross | (own >= wallet * (1.0 - DUST)), wallet, own)
    balance = behind + np.where(size > 0.0, told["position"] * marks, 0.0)
    balance -= np.sign(told["position"]) * at_entry
    needs = np.where(size > 0.0, needs, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(balance > 0.0, needs / balance, np.inf)
    return needs, np.where(size > 0.0, ratio, 0.0)
