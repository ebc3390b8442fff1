"""What a trade costs, and the size that reaches a target once it is paid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Costs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Costs of a fill, as fractions of its notional.

    Attributes
    ----------
    maker_fee, taker_fee : float
        Fee of a resting and of a crossing order; 0.001 is ten basis points.
    slippage : float
        How much worse than the open a fill is: a buy at ``open * (1 + slippage)``.
    liquidity : {"taker", "maker"}
        Which of the two fees the orders of a run pay.
    """

    maker_fee: float = 0.0
    taker_fee: float = 0.0
    slippage: float = 0.0
    liquidity: Literal["taker", "maker"] = "taker"

    @property
    def fee(self) -> float:
        """The fee in force, as a fraction of notional."""
        return self.taker_fee if self.liquidity == "taker" else self.maker_fee
