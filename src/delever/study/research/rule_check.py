"""A portfolio rule checked as a strategy is: by what it makes of signals that follow prices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from delever.panel import Markets
from delever.study.workspaces.strategy import Strategy

_ROWS = 5


def on_signals(load: Callable[[], Strategy]) -> Callable[..., pd.DataFrame]:
    """A rule as a strategy of several markets, loaded whenever it is asked."""

    def exposures(markets: Markets, **params: Any) -> pd.DataFrame:
        # 1 for a symbol that rose in the last rows, -1 for one that fell.
        moved = markets.each(lambda view: view.bars["close"].diff(_ROWS))
        signals = pd.DataFrame(np.sign(moved), index=moved.index, columns=moved.columns)
        return load().allocate(markets, signals, params)

    return exposures
