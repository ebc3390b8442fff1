"""Protection as insurance: what a strategy paid out in each period, and what it cost in between.

The log of the wealth ratio to the benchmark splits exactly: the payouts of the periods, less the
premium, which is what the strategy gave up in all other bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from delever.arguments import Floats
from delever.bars import elapsed_years, spans
from delever.deleveraging.membership import overlapping, per_period
from delever.deleveraging.period import Period
from delever.engine.backtest import Backtest
from delever.stats.performance import down_capture
from delever.units import DAYS_PER_YEAR

SAME = 0.005
"""Points saved or lost in a period up to which the strategy did nothing there: half a point."""

Outcome = Literal["helped", "hurt", "nothing", "ruined", "not begun"]
"""What a strategy did in a period; ruined: it had nothing left to protect when the period began;
not begun: it lacked the history for a decision, so being flat was none."""

COLUMNS = {
    "id": "str",
    "title": "str",
    "start": "datetime64[ns, UTC]",
    "end": "datetime64[ns, UTC]",
    "bars": "int64",
    **dict.fromkeys(
        ("benchmark_return", "strategy_return", "points_saved", "payout", "wealth_kept"), "float64"
    ),
    "size": "float64",
    "timing": "float64",
    "outcome": "str",
}
"""Of the table of periods, with their kinds; the id is its index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """A run against its benchmark, as an insurance against deleveraging periods.

    Logs are natural. All of it follows from the returns of the bars, the mean exposure and the
    periods, so it can be had of any set of periods, drawn or detected.
    """

    # one row per period, by id, in order of time: `title`, `start`, `end` (exclusive, UTC),
    # `bars`, `benchmark_return` (b), `strategy_return` (r), `points_saved` (r - b), `payout`
    # (ln(1 + r) - ln(1 + b)), `wealth_kept` (exp(payout)), `size` (the part of the payout that a
    # constant position of the run's mean exposure would have had), `timing` (the rest of it),
    # `outcome`. Of a period that is ruined or not begun the numbers are NaN.
    periods: pd.DataFrame
    years: float  # of 365 days, from the open of the first decided bar to the close of the last
    mean_exposure: float  # signed, over all bars
    premium: float  # log growth given up in all bars outside, < 0 where the strategy gained
    waited: float  # log growth against the benchmark before the first decision; in no other sum
    log_wealth_ratio: float  # of the whole run
    down_capture: float  # share of the benchmark's falls inside that the strategy took part in
    # open of the bar in which the strategy lost everything, None where it did not; the logs of what
    # it lost then are without bound
    ruined: pd.Timestamp | None

    @property
    def days(self) -> float:
        """Elapsed days of the run."""
        return self.years * DAYS_PER_YEAR

    @property
    def insured(self) -> pd.DataFrame:
        """The periods in which there was something to protect."""
        return self.periods[~self.periods["outcome"].isin(("ruined", "not begun"))]

    def count(self, outcome: Outcome) -> int:
        """In how many periods the strategy did this."""
        return int((self.periods["outcome"] == outcome).sum())

    @property
    def payouts(self) -> float:
        """Sum of the payouts, log points."""
        return float(self.insured["payout"].sum())

    @property
    def premium_per_year(self) -> float:
        """Log growth given up outside the periods, per year of the run."""
        return self.premium / self.years

    @property
    def relative_growth(self) -> float:
        """Growth against the benchmark outside the periods, fraction a year; < 0 is the cost."""
        return float(np.expm1(-self.premium_per_year))

    @property
    def payout_ratio(self) -> float:
        """Payouts over premium: above 1 the protection paid for itself; NaN without a premium."""
        return self.payouts / self.premium if self.premium > 0 else np.nan

    @property
    def periods_per_year(self) -> float:
        """How many periods there were a year."""
        return len(self.insured) / self.years

    @property
    def break_even_frequency(self) -> float:
        """Periods a year at which payouts like these would make up for the premium.

        NaN without a premium or without a payout on average.
        """
        mean = self.payouts / len(self.insured) if len(self.insured) else np.nan
        return self.premium_per_year / mean if self.premium > 0 and mean > 0 else np.nan


def protection(
    run: Backtest, benchmark: Backtest, periods: Sequence[Period], *, undecided: int = 0
) -> Protection:
    """Split what a run made against its benchmark, over the same bars, into payouts and premium.

    The first bars may be `undecided`: flat for want of history.
    """
    index = pd.DatetimeIndex(run.ledger.index)
    seen = overlapping(periods, index, run.timeframe)
    own, other = run.returns.to_numpy(), benchmark.returns.to_numpy()
    with np.errstate(divide="ignore"):
        relative = np.log1p(own) - np.log1p(other)
    decided = np.arange(len(index)) >= undecided
    lasting = spans(index, run.timeframe)[decided]
    exposure = float(np.average(run.ledger["exposure"][decided], weights=lasting))
    before = np.append(run.initial_equity, run.equity.to_numpy()[:-1])
    rows, inside = [], np.zeros(len(index), dtype=bool)
    for period, mask in zip(seen, per_period(index, run.timeframe, seen).values(), strict=True):
        bars = np.flatnonzero(mask.to_numpy())
        inside[bars] = True
        lacking: Outcome | None = "not begun" if bars[0] < undecided else None
        lacking = "ruined" if before[bars[0]] <= 0 else lacking
        rows.append(_outcome(period, own[bars], other[bars], exposure, lacking))
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS).set_index("id")
    return Protection(
        periods=table,
        years=elapsed_years(index[decided], run.timeframe),
        mean_exposure=exposure,
        premium=-float(relative[~inside & decided].sum()),
        waited=float(relative[~decided].sum()),
        log_wealth_ratio=float(relative.sum()),
        down_capture=down_capture(own[inside & decided], other[inside & decided]),
        ruined=next(iter(index[(run.equity <= 0).to_numpy()]), None),
    )


def _outcome(
    period: Period, own: Floats, other: Floats, exposure: float, lacking: Outcome | None
) -> dict[str, object]:
    """Row of one period; of what was lacking there are no numbers."""
    about = {
        "id": period.id,
        "title": period.title,
        "start": period.start,
        "end": period.end,
        "bars": len(own),
        "benchmark_return": float(np.prod(1.0 + other) - 1.0),
    }
    if lacking is not None:
        return about | {"outcome": lacking}
    with np.errstate(divide="ignore", invalid="ignore"):
        payout = float(np.sum(np.log1p(own) - np.log1p(other)))
        size = float(np.sum(np.log1p(exposure * other) - np.log1p(other)))
    made = float(np.prod(1.0 + own) - 1.0)
    saved = made - about["benchmark_return"]  # type: ignore[operator]
    outcome = "nothing" if abs(saved) <= SAME else "helped" if saved > 0 else "hurt"
    return about | {
        "strategy_return": made,
        "points_saved": saved,
        "payout": payout,
        "wealth_kept": float(np.exp(payout)),
        "size": size,
        "timing": payout - size,
        "outcome": outcome,
    }
