"""What a strategy decided, and the lines it looked at: the two forms its answer may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd

from delever.engine.orders import EXPOSURE, ORDER_PRICES, ORDERS, Target, orders_in

Decided: TypeAlias = "pd.Series | pd.DataFrame"
"""An answer: exposures, or a frame of `EXPOSURE`, of `ORDERS` if there are any, and of lines."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision:
    """What a strategy decided on every bar, and what it looked at."""

    target: Target  # shape (n,) or (n, m): exposures, NaN in warm-up, and orders
    # shape (n, k): prices of orders and lines on the price scale of the bars; NaN where there is
    # none
    lines: pd.DataFrame


def target_in(answer: Decided) -> Target:
    """Exposures and orders of an answer in either form."""
    return orders_in(answer) if isinstance(answer, pd.DataFrame) else answer


def lines_of(answer: Decided) -> pd.DataFrame:
    """What is drawn with the price: prices of orders, then lines; no columns where there are none.

    Examples
    --------
    >>> answer = pd.DataFrame({"exposure": [1.0], "mean": [9.0], "stop_price": [8.0]})
    >>> list(lines_of(answer.assign(leverage=2.0)))
    ['stop_price', 'mean']
    """
    if not isinstance(answer, pd.DataFrame):
        return pd.DataFrame(index=answer.index)
    orders = [name for name in answer if name in ORDER_PRICES]
    lines = [name for name in answer if name not in ORDERS and name != EXPOSURE]
    return answer[orders + lines].astype("float64")
