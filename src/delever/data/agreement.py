"""One market at two venues: where their bars say different things."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.arguments import counted
from delever.bars import resample
from delever.data.plausibility import PRICES, amount, when
from delever.data.references import Dataset
from delever.errors import InputError
from delever.units import timeframe_delta

APART = 0.05
"""Two prices of one bar further apart than this fraction, once scaled alike, disagree."""

_COLUMNS = ("open", "high", "low", "close")
_SCALED = 1.2
_LEAST_RETURNS = 20
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Agreement:
    """How the bars of a data set stand to another's."""

    other: str  # reference of the other
    shared: int  # bars that both have
    alone: int  # bars of the shared span that only the first has
    missing: int  # bars of the shared span that only the other has
    scale: float  # median of the first's closes over the other's
    typical: float  # median distance of two closes, a fraction, once scaled alike
    late: int  # bars by which the other's returns come later; 0 where they fit best as they stand
    # one row for each price that disagrees, by stamp: ``column``, ``ours``, ``theirs`` (scaled),
    # ``apart`` (fraction)
    rows: pd.DataFrame

    @property
    def said(self) -> tuple[str, ...]:
        """What there is to know, one line each; the gravest first."""
        out = []
        if self.late:
            way = "later" if self.late > 0 else "earlier"
            out.append(
                f"its moves come {counted(abs(self.late), 'bar')} {way}: are both stamped with the "
                "open time, in UTC?"
            )
        if not 1 / _SCALED < self.scale < _SCALED:
            out.append(
                f"these closes are x {amount(self.scale)} of its own, and are compared as if they "
                "were not: another unit, multiplier or quote?"
            )
        out.append(
            f"in both: {counted(self.shared, 'bar')}, {self.typical:.2%} apart at the close as a "
            f"rule; here alone: {self.alone:,}, there alone: {self.missing:,}"
        )
        if self.rows.empty:
            out.append(f"no price is more than {APART:.0%} apart")
            return tuple(out)
        number = self.rows.index.nunique()
        each = self.rows.sort_values("apart", ascending=False)
        worst = each[~each.index.duplicated()].head(_SHOWN).sort_index()
        named = [
            f"{when(stamp)} {column} {amount(ours)} here and {amount(theirs)} there"
            for stamp, column, ours, theirs in zip(
                worst.index, worst["column"], worst["ours"], worst["theirs"], strict=True
            )
        ]
        more = f", and {number - len(named):,} more" if number > len(named) else ""
        are = "bar is" if number == 1 else "bars are"
        out.append(f"{number:,} {are} more than {APART:.0%} apart: {', '.join(named)}{more}")
        return tuple(out)


def agreement(ours: Dataset, theirs: Dataset) -> Agreement:
    """Hold the bars of a data set against those of another one of the same market.

    Raises InputError if one holds no prices, the other is coarser, or they share no bar.
    """
    for one in (ours, theirs):
        if one.reference.kind not in PRICES:
            raise InputError(f"bars are compared, of kind {', '.join(PRICES)}; got {one.reference}")
    timeframe, finer = ours.reference.timeframe, theirs.reference.timeframe
    if timeframe_delta(finer) > timeframe_delta(timeframe):
        raise InputError(
            f"{theirs.reference} must not be coarser than {ours.reference}; swap the two"
        )
    first, other = ours.frame, theirs.frame
    if finer != timeframe:
        other = resample(other, finer, timeframe)
    both = first.index.intersection(other.index)
    if both.empty:
        raise InputError(
            f"{ours.reference} and {theirs.reference} share no bar: {_span(first)} and "
            f"{_span(other)}"
        )
    a, b = (np.log(one.loc[both, list(_COLUMNS)].to_numpy()) for one in (first, other))
    scale = float(np.median(a[:, 3] - b[:, 3]))
    apart = np.expm1(np.abs(a - b - scale))
    bars, columns = np.nonzero(apart > APART)
    within = (both[0], both[-1])
    return Agreement(
        other=str(theirs.reference),
        shared=len(both),
        alone=len(first.loc[slice(*within)]) - len(both),
        missing=len(other.loc[slice(*within)]) - len(both),
        scale=float(np.exp(scale)),
        typical=float(np.median(apart[:, 3])),
        late=_late(a[:, 3], b[:, 3]),
        rows=pd.DataFrame(
            {
                "column": np.array(_COLUMNS)[columns],
                "ours": np.exp(a[bars, columns]),
                "theirs": np.exp(b[bars, columns] + scale),
                "apart": apart[bars, columns],
            },
            index=both[bars],
        ),
    )


def _late(ours: np.ndarray, theirs: np.ndarray) -> int:
    """Lag at which returns go together, of one bar either way; 0 unless another fits far better."""
    a, b = np.diff(ours), np.diff(theirs)
    if len(a) < _LEAST_RETURNS or not a.any() or not b.any():
        return 0
    n = len(a)
    with np.errstate(invalid="ignore"):
        fits = {
            lag: float(np.corrcoef(a[max(0, -lag) : n - max(0, lag)],
                                   b[max(0, lag) : n - max(0, -lag)])[0, 1])
            for lag in (0, -1, 1)
        }  # fmt: skip
    best = max(fits, key=lambda lag: fits[lag])
    return best if fits[best] > max(0.5, fits[0] + 0.3) else 0


def _span(frame: pd.DataFrame) -> str:
    if frame.empty:
        return "no whole bar"
    return f"{when(frame.index[0])} to {when(frame.index[-1])}"
