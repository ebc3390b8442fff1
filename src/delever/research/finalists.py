"""The best of a sweep on the first half of the time, put to the test on the second half.

What was chosen on the bars of a test is no honest family: its best is lucky by choice. So the few
are chosen by the first half alone, and only then are their bars looked at one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from delever.arguments import Floats, Rows
from delever.research.choosing import BLOCKS, EMBARGO_DAYS, Tried, sharpe_ratios
from delever.stats.blocks import LEAST_BARS
from delever.stats.families import best_set
from delever.stats.performance import sharpe_ratio
from delever.stats.superior import superior

MOST = 10
"""How many are put to the test."""
_SAME = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finalists:
    """A few combinations chosen on one half of the time and tested against holding on the other."""

    # A row each, the best of the first half first: `chosen` (row of the combination), `before` and
    # `after` (yearly Sharpe ratios in both halves), `growth` (log, above the benchmark's, a year),
    # `p_value` (that it grows more, stepwise for all of them), `best_set` (p-value that it is the
    # one that grows most, in the model confidence set)
    table: pd.DataFrame
    start: pd.Timestamp  # opens of the first and the last bar of the test
    end: pd.Timestamp
    lower: float  # p-values that any of them grows more than the benchmark: see
    consistent: float  # `delever.stats.superior.Superior`
    upper: float

    def of_rows(self, rows: Rows) -> Finalists:
        """The same with `chosen` as rows of a larger table, of which those chosen from are some."""
        return replace(self, table=self.table.assign(chosen=rows[self.table["chosen"]]))


def finalists_of(tried: Tried) -> list[int]:
    """Rows of the highest Sharpe ratios in the first half of the blocks, no two of them alike."""
    if tried.parts.blocks < BLOCKS:
        return []
    names = tried.parts.named("block")[: tried.parts.blocks // 2]
    blocks, bars = tried.of(names), tried.bars(names)
    lasting = bars.sum(axis=1)
    ratios = sharpe_ratios(blocks.sum(axis=1), lasting)
    ratios = np.where(lasting >= lasting.max() / 2.0, ratios, np.nan)  # there for most of it
    own = blocks[:, :, :2]  # returns and squares; growth has no bound in ruin
    found: list[int] = []
    for row in np.argsort(-ratios, kind="stable").tolist():
        if np.isnan(ratios[row]) or len(found) == MOST:
            break
        if all(np.abs(own[row] - own[other]).max() > _SAME for other in found):
            found.append(row)
    return found


def tested_from(tried: Tried) -> int:
    """Row of the first bar of the test: the second half, less the days between it and the first."""
    index, half = tried.parts.index, tried.parts.blocks // 2
    middle = tried.parts.rows[f"block_{half}"][1] if half else len(index) - 1
    return int(index.searchsorted(index[middle] + pd.Timedelta(days=EMBARGO_DAYS)))


def finalists(
    tried: Tried, chosen: Sequence[int], returns: Floats, benchmark: Floats
) -> Finalists | None:
    """Test the chosen on the bars from `tested_from` on.

    `returns` has a column for each, `benchmark` its own; None where there are fewer than two of
    them or too few bars, or one of them lost everything.
    """
    if len(chosen) < 2 or len(returns) < LEAST_BARS or min(returns.min(), benchmark.min()) <= -1.0:
        return None
    names = tried.parts.named("block")[: tried.parts.blocks // 2]
    rows = np.array(chosen)
    before = sharpe_ratios(tried.of(names)[rows].sum(axis=1), tried.bars(names)[rows].sum(axis=1))
    above = np.log1p(returns) - np.log1p(benchmark)[:, None]
    test = superior(above)
    first = tested_from(tried)
    table = pd.DataFrame(
        {
            "chosen": rows,
            "before": before * np.sqrt(tried.periods_per_year),
            "after": [sharpe_ratio(one, tried.periods_per_year) for one in returns.T],
            "growth": above.mean(axis=0) * tried.periods_per_year,
            "p_value": test.p_values,
            "best_set": best_set(returns),
        }
    )
    return Finalists(
        table=table,
        start=tried.parts.index[first],
        end=tried.parts.index[-1],
        lower=test.lower,
        consistent=test.consistent,
        upper=test.upper,
    )
