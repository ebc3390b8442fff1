"""What a sweep found, as pages and terminals read it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from delever.research.choosing import Choosing
from delever.research.deflation import Deflation
from delever.research.finalists import Finalists
from delever.research.plateau import Terrain

RANKED_BY = "sharpe_ratio"
"""Metric by which combinations are ranked."""
NEIGHBOURS = "neighbours_sharpe_ratio"
"""Column of the median of it over the neighbours of a combination."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Swept:
    """The combinations of a sweep, and what stands out among them."""

    name: str
    # one row per combination: a column per axis, ``start``, ``first_decision``, ``error`` and the
    # metrics
    frame: pd.DataFrame
    axes: tuple[str, ...]
    about: Mapping[str, str] = field(default_factory=dict)  # what was swept, on what, in words
    terrain: Terrain | None = None
    benchmark: pd.Series | None = None  # its metrics, over the bars of the best combination
    deflation: Deflation | None = None
    choosing: Choosing | None = None
    finalists: Finalists | None = None
    n_trials: int = 0
    asked: int = 0  # combinations asked for, repeats among them

    @property
    def days(self) -> pd.Series:
        """Elapsed days of each combination; NaN where an older sweep kept none."""
        return self.frame.get("days", pd.Series(math.nan, index=self.frame.index))
