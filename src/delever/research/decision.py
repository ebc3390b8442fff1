"""What a strategy decided, and the lines it looked at: the two forms its answer may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import pandas as pd

EXPOSURE: Final = "exposure"
"""Column of an answer that holds the exposures; every other one is a line."""

RESERVED: Final = ("stop_price", "take_profit_price", "limit_price", "leverage")
"""Names no line may have."""

Decided: TypeAlias = "pd.Series | pd.DataFrame"
"""An answer: exposures, or a frame of `EXPOSURE` and a column per line."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision:
    """What a strategy decided on every bar, and what it looked at."""

    target: pd.Series  # shape (n,): exposures, NaN in warm-up
    # shape (n, k): lines on the price scale of the bars, by name; NaN where there is none
    lines: pd.DataFrame


def exposure_of(answer: Decided) -> pd.Series:
    """Exposures of an answer in either form."""
    return answer[EXPOSURE] if isinstance(answer, pd.DataFrame) else answer


def lines_of(answer: Decided) -> pd.DataFrame:
    """Lines of an answer in either form; no columns where it names none."""
    if isinstance(answer, pd.DataFrame):
        return answer.drop(columns=EXPOSURE).astype("float64")
    return pd.DataFrame(index=answer.index)
