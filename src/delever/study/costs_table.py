"""What fills cost in a study: the ``[costs]`` table."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import BaseModel, ConfigDict

from delever.venues.costs import Costs

__all__ = ["CostsConfig"]

Fraction = Annotated[float, Ge(0), Lt(1)]


class CostsConfig(BaseModel):
    """The ``[costs]`` table: fractions of a fill's notional."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    maker_fee: Annotated[float, Gt(-1), Lt(1)] = 0.0
    taker_fee: Fraction = 0.001
    slippage: Fraction = 0.0005
    liquidity: Literal["taker", "maker"] = "taker"

    def costs(self) -> Costs:
        """The same as the engine takes it."""
        return Costs(**self.model_dump())
