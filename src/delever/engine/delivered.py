"""What an account asked for and did not get, for want of size."""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.arguments import Floats, counted
from delever.engine.ledger import Backtest
from delever.venues.contract import PerpContract

_CUT = 0.05
_NEARLY = 1e-9


def undelivered(
    contract: PerpContract | None,
    ledger: pd.DataFrame,
    fills: pd.DataFrame,
    opens: Floats,
    initial_equity: float,
) -> tuple[str, ...]:
    """Decisions that whole lots cut short, and orders below the least that a venue takes."""
    if contract is None:
        return ()
    return (
        *_lots(contract, ledger, opens, initial_equity),
        *_unsent(contract, ledger, opens, initial_equity),
        *_orders(contract, fills),
    )


def below_a_lot(run: Backtest, opens: Floats) -> float:
    """How many decisions to hold something were below one lot; `opens` as in `undelivered`."""
    contract = None if run.account is None else run.account.traded
    if contract is None:
        return 0.0
    lots = _in_lots(contract, run.ledger, opens, run.initial_equity)
    return float((np.floor(lots + _NEARLY) == 0.0).sum())


def _in_lots(
    contract: PerpContract,
    ledger: pd.DataFrame,
    opens: Floats,
    initial_equity: float,
) -> Floats:
    """Size of each decision to hold something, in lots; none where there are no lots."""
    if contract.lot <= 0.0:
        return np.empty(0)
    asked = ledger["target_exposure"].to_numpy(dtype=np.float64)
    equity = np.append(initial_equity, ledger["equity"].to_numpy(dtype=np.float64)[:-1])
    decided = (np.diff(asked, prepend=0.0) != 0.0) & (asked != 0.0) & (equity > 0.0)
    size = np.abs(asked) * equity / (1.0 if contract.inverse else opens)
    lots: Floats = size[decided] / contract.lot
    return lots


def _lots(
    contract: PerpContract,
    ledger: pd.DataFrame,
    opens: Floats,
    initial_equity: float,
) -> tuple[str, ...]:
    lots = _in_lots(contract, ledger, opens, initial_equity)
    whole = np.floor(lots + _NEARLY)
    none = int((whole == 0.0).sum())
    cut = int(((whole > 0.0) & (whole < (1.0 - _CUT) * lots)).sum())
    if not none and not cut:
        return ()
    said = [f"{none:,} were below one and held nothing"] if none else []
    said += [f"{cut:,} lost more than {_CUT:g} of their size"] if cut else []
    return (
        f"lots: of {counted(len(lots), 'decision')} to hold something in whole lots of "
        f"{contract.lot:g}, {' and '.join(said)}; the account is too small for them",
    )


def _unsent(
    contract: PerpContract,
    ledger: pd.DataFrame,
    opens: Floats,
    initial_equity: float,
) -> tuple[str, ...]:
    """New decisions whose order would have opened or added less than the venue takes."""
    if contract.min_notional <= 0.0:
        return ()
    asked = ledger["target_exposure"].to_numpy(dtype=np.float64)
    equity = np.append(initial_equity, ledger["equity"].to_numpy(dtype=np.float64)[:-1])
    held = np.append(0.0, ledger["exposure"].to_numpy(dtype=np.float64)[:-1])
    side = np.sign(asked)
    added = np.abs(asked) - np.maximum(side * held, 0.0)
    adds = (np.diff(asked, prepend=0.0) != 0.0) & (added > 0.0) & (equity > 0.0)
    worth = added * equity / (opens if contract.inverse else 1.0)
    small = int((adds & (worth < contract.min_notional)).sum())
    if not small:
        return ()
    return (
        f"orders: {small:,} of {counted(int(adds.sum()), 'decision')} to open or add asked for "
        f"less than {contract.min_notional:g}, the least that {contract.symbol} takes, and were "
        "not sent",
    )


def _orders(contract: PerpContract, fills: pd.DataFrame) -> tuple[str, ...]:
    least = contract.min_notional
    if least <= 0.0 or fills.empty:
        return ()
    before = fills["position"] - fills["quantity"]
    adds = fills["position"].abs() > before.abs()  # what only reduces is taken at any size
    small = int((adds & (fills["notional"] < least)).sum())
    if not small:
        return ()
    return (
        f"orders: {small:,} of {counted(len(fills), 'fill')} opened or added less than {least:g}, "
        f"the least that {contract.symbol} takes; the venue would have refused them",
    )
