"""What came after its events, beside what came after others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.research.signal.contrast import event_weights
from delever.research.signal.level_break import Signal, placebo_factors
from delever.research.signal.outcomes import bases, comparison, event_table, outcome
from delever.research.signal.pool import (
    ForwardOutcomes,
    PooledSignals,
    forward_outcomes,
    placebo_breaks,
    pool_signals,
)
from delever.research.signal.study_plan import StudyDesign

__all__ = ["SignalStudy", "SignalVerdict", "study_signal"]

Floats = npt.NDArray[np.float64]
SignalVerdict: TypeAlias = Literal["higher", "lower", "negligible", "undecided", "too few"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalStudy:
    """What came after a signal."""

    name: str  # what was studied
    symbols: tuple[str, ...]  # markets pooled
    timeframe: str  # of their bars
    start: pd.Timestamp  # open of the first and the last bar compared over the deciding horizon
    end: pd.Timestamp
    design: StudyDesign  # what was asked
    # one row per event of any market, in order of time: ``time`` (open of its bar), ``symbol``,
    # ``level`` (NaN without one), ``close``, ``entry`` (next open; NaN on the last bar),
    # ``counted`` (among those compared over the deciding horizon), a column per horizon with the
    # forward return, ``adverse`` and ``favourable`` over the deciding horizon
    events: pd.DataFrame
    # by horizon: ``events`` (on the bars compared), ``distinct`` (dates that do not overlap),
    # ``effective`` (independent holding periods that all of them are worth), ``mean``, ``median``,
    # ``q05``, ``q25``, ``q75``, ``q95`` of the distinct forward returns, ``hit_rate`` (share of
    # them above 0), ``hit_low``, ``hit_high`` (Wilson's interval), mean ``adverse`` and
    # ``favourable`` excursion. NaN without events.
    outcomes: pd.DataFrame
    # by ``horizon`` and ``against`` (``all``: all bars; ``matched``: bars about as volatile;
    # ``placebo``: breaks of placebo levels): ``mean`` of those, and the fields of a `Contrast`. NaN
    # where there are fewer than five distinct events.
    comparisons: pd.DataFrame
    # one row per placebo level and horizon: ``horizon``, ``factor``, ``distinct``, ``mean``
    placebos: pd.DataFrame
    notes: tuple[str, ...]  # what a reader must know

    @property
    def against(self) -> str:
        """Base of the verdict: placebo levels, or volatility-matched bars if there are none."""
        return "placebo" if len(self.placebos) else "matched"

    @property
    def deciding(self) -> pd.Series:
        """The row of `comparisons` that the verdict rests on."""
        return self.comparisons.loc[(self.design.decides, self.against)]  # type: ignore[return-value]

    @property
    def rejects(self) -> bool:
        """Whether the deciding comparison rejects that the events are like the others."""
        return bool(self.deciding["p_value"] <= self.design.alpha)

    @property
    def verdict(self) -> SignalVerdict:
        """What may be concluded; nothing from a difference too small to have been found.

        ``too few``: fewer than five distinct events. ``higher`` or ``lower``: the comparison
        rejects and the adjusted difference is at least the detectable one. ``negligible``: it
        does not reject, and a difference that would matter would have been found with the
        stated power. ``undecided``: anything else.
        """
        row = self.deciding
        if math.isnan(row["p_value"]):
            return "too few"
        if self.rejects and abs(row["adjusted"]) >= row["detectable"]:
            return "higher" if row["adjusted"] > 0 else "lower"
        matters = self.design.smallest_effect
        if matters is not None and not self.rejects and row["detectable"] <= matters:
            return "negligible"
        return "undecided"

    @property
    def placebo_rank(self) -> float:
        """Share of placebo levels whose mean over the deciding horizon lies below the level's."""
        chosen = self.placebos[self.placebos["horizon"] == self.design.decides]["mean"].dropna()
        mean = float(self.outcomes.loc[self.design.decides, "mean"])  # type: ignore[arg-type]
        if not len(chosen) or math.isnan(mean):
            return math.nan
        return float((chosen < mean).mean())


def study_signal(
    signals: Sequence[Signal], *, name: str, design: StudyDesign | None = None
) -> SignalStudy:
    """Study what comes after a signal, on one market or several pooled.

    Raises
    ------
    InputError
        If timeframes differ, symbols repeat, or the markets share no bars on which a signal could
        have come and the longest horizon is complete.

    Notes
    -----
    Returns run from the next open. Of events whose holding periods overlap the first counts;
    events of several markets on one date count as one. Every comparison is a `Contrast`; only
    the deciding horizon's is free of the choice among several.
    """
    chosen = design or StudyDesign()
    pool = pool_signals(signals)
    aheads = {horizon: forward_outcomes(pool, horizon) for horizon in chosen.horizons}
    placebo, draws = _placebos(pool, aheads, chosen)
    outcomes, rows = {}, {}
    for horizon, ahead in aheads.items():
        weights = event_weights(pool.event[: len(ahead.forward)], horizon)
        outcomes[horizon] = outcome(pool, ahead, weights)
        for against, others in bases(pool, weights, placebo.get(horizon)):
            rows[horizon, against] = comparison(pool, ahead, weights, others, chosen)
    decided = len(aheads[chosen.decides].forward)
    return SignalStudy(
        name=name,
        symbols=tuple(signal.market.symbol for signal in signals),
        timeframe=signals[0].market.timeframe,
        start=pool.index[0],
        end=pool.index[decided - 1],
        design=chosen,
        events=event_table(pool, decided, chosen),
        outcomes=pd.DataFrame.from_dict(outcomes, orient="index").rename_axis("horizon"),
        comparisons=pd.DataFrame.from_dict(rows, orient="index").rename_axis(
            ["horizon", "against"]
        ),
        placebos=draws,
        notes=_notes(pool),
    )


def _placebos(
    pool: PooledSignals, aheads: dict[int, ForwardOutcomes], design: StudyDesign
) -> tuple[dict[int, Floats], pd.DataFrame]:
    if any(signal.placebo is None for signal in pool.signals):
        return {}, pd.DataFrame(columns=["horizon", "factor", "distinct", "mean"])
    factors = placebo_factors(design.draws, design.placebo_distance, design.seed)
    return placebo_breaks(pool, factors, list(aheads.values()))


def _notes(pool: PooledSignals) -> tuple[str, ...]:
    notes = [note for signal in pool.signals for note in signal.market.notes]
    outside = sum(int(signal.event.sum()) for signal in pool.signals) - int(pool.event.sum())
    if outside:
        several = "on bars that not all markets share or " if len(pool.signals) > 1 else ""
        notes.append(
            f"{outside} events lie {several}before volatility is known; they are listed but not "
            "compared"
        )
    return tuple(dict.fromkeys(notes))
