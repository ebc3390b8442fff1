"""A signal study: what came after the events of a signal, compared with other bars."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from delever.arguments import Floats
from delever.errors import InputError
from delever.research.signal.contrast import (
    Contrast,
    compare,
    evenly,
    matched_weights,
)
from delever.research.signal.forward import (
    FEWEST_EVENTS,
    check_horizons,
    effective_number,
    excursions,
    forward_returns,
)
from delever.research.signal.level_break import Signal
from delever.research.signal.placebo import placebo_breaks, placebo_factors
from delever.research.signal.pool import (
    ForwardOutcomes,
    PooledSignals,
    forward_outcomes,
    pool_signals,
)
from delever.stats.intervals import detectable_deviations, wilson_interval

SignalVerdict: TypeAlias = Literal["higher", "lower", "negligible", "undecided", "too few"]

_QUANTILES = {"median": 0.5, "q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDesign:
    """What a signal study asks; settled before it looks.

    Parameters
    ----------
    horizons : tuple of int
        Bars held after an event, each at least 1.
    decides : int
        The one of them that the verdict is about.
    draws : int
        Placebo levels, from 1 to 100,000.
    placebo_distance : float
        Of the furthest placebo level from the level, as a logarithm, in (0.01, 10].
    alpha, power : float
        Level of the tests, and the power that defines the smallest detectable effect.
    smallest_effect : float, optional
        Smallest difference of mean forward returns that would matter, a fraction > 0. Without one
        no verdict says that an effect is negligible.
    seed : int
        Of the placebo levels, from 0 to 4,294,967,295.

    Raises
    ------
    InputError
        If a setting lies outside its range.

    Examples
    --------
    >>> StudyDesign(horizons=(7, 30), smallest_effect=0.05).decides
    30
    """

    horizons: tuple[int, ...] = (7, 30, 90)
    decides: int = 30
    draws: int = 1_000
    placebo_distance: float = 0.25
    alpha: float = 0.05
    power: float = 0.8
    smallest_effect: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_horizons(self.horizons)
        detectable_deviations(self.alpha, self.power)
        self.factors()
        if self.decides not in self.horizons or len(set(self.horizons)) < len(self.horizons):
            raise InputError(
                "horizons must differ and the one that decides must be one of them; "
                f"got {', '.join(map(str, self.horizons))} and {self.decides}"
            )
        if self.smallest_effect is not None and not self.smallest_effect > 0:
            raise InputError(
                f"the smallest effect that matters must be > 0; got {self.smallest_effect!r}"
            )

    def factors(self) -> Floats:
        """Factors of the placebo levels."""
        return placebo_factors(self.draws, self.placebo_distance, self.seed)


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
    # ``effective`` (see `effective_number`), ``mean``, ``median``, ``q05``, ``q25``, ``q75``,
    # ``q95`` of the distinct forward returns, ``hit_rate`` (share of them above 0), ``hit_low``,
    # ``hit_high`` (Wilson's interval), mean ``adverse`` and ``favourable`` excursion. NaN without
    # events.
    outcomes: pd.DataFrame
    # by ``horizon`` and ``against`` (``all``: all bars; ``matched``: bars of like volatility;
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
        does not reject, and the smallest effect that matters would have been found with the
        stated power. ``undecided``: anything else.
        """
        row, matters = self.deciding, self.design.smallest_effect
        if math.isnan(row["p_value"]):
            return "too few"
        if self.rejects and abs(row["adjusted"]) >= row["detectable"]:
            return "higher" if row["adjusted"] > 0 else "lower"
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

    Raises InputError if timeframes differ, symbols repeat, or the markets share no bars on which a
    signal could have come and the longest horizon is complete.
    """
    chosen = design or StudyDesign()
    pool = pool_signals(signals)
    after = {horizon: forward_outcomes(pool, horizon) for horizon in chosen.horizons}
    placebo: dict[int, Floats] = {}
    drawn = pd.DataFrame(columns=["horizon", "factor", "distinct", "mean"])
    if all(signal.placebo is not None for signal in pool.signals):
        placebo, drawn = placebo_breaks(pool, chosen.factors(), list(after.values()))
    rows = {
        (horizon, against): _comparison(ahead, others, chosen)
        for horizon, ahead in after.items()
        for against, others in _bases(ahead, placebo.get(horizon))
    }
    outcomes = {horizon: _outcome(ahead) for horizon, ahead in after.items()}
    decided = len(after[chosen.decides].forward)
    return SignalStudy(
        name=name,
        symbols=tuple(signal.market.symbol for signal in signals),
        timeframe=signals[0].market.timeframe,
        start=pool.index[0],
        end=pool.index[decided - 1],
        design=chosen,
        events=_events(pool, after[chosen.decides], chosen),
        outcomes=pd.DataFrame.from_dict(outcomes, orient="index").rename_axis("horizon"),
        comparisons=pd.DataFrame.from_dict(rows, orient="index").rename_axis(
            ["horizon", "against"]
        ),
        placebos=drawn,
        notes=_notes(pool),
    )


def _bases(ahead: ForwardOutcomes, placebo: Floats | None) -> Iterator[tuple[str, Floats]]:
    """What events are compared with, as weights of bars."""
    weights = ahead.weights()
    yield "all", evenly(weights)
    yield "matched", matched_weights(weights, ahead.volatility)
    if placebo is not None:
        yield "placebo", placebo


def _comparison(ahead: ForwardOutcomes, others: Floats, design: StudyDesign) -> dict[str, float]:
    """Mean of the others and the fields of a `Contrast`; NaN with fewer than five events."""
    weights = ahead.weights()
    if weights.sum() < FEWEST_EVENTS or not others.sum() > 0:
        return dict.fromkeys(("mean", *(field.name for field in fields(Contrast))), math.nan)
    contrast = compare(
        weights,
        others,
        ahead.forward,
        ahead.volatility,
        ahead.horizon,
        alpha=design.alpha,
        power=design.power,
    )
    return {"mean": float((others * ahead.forward).sum() / others.sum()), **asdict(contrast)}


def _outcome(ahead: ForwardOutcomes) -> dict[str, float]:
    """Distribution of what came after the distinct events, each date weighing the same."""
    weights = ahead.weights()
    chosen, number = weights > 0, round(weights.sum())
    values, shares = ahead.forward[chosen], weights[chosen]
    mean = {
        field: float(np.average(column, weights=shares)) if number else math.nan
        for field, column in (
            ("mean", values),
            ("hit_rate", values > 0),
            ("adverse", ahead.adverse[chosen]),
            ("favourable", ahead.favourable[chosen]),
        )
    }
    low, high = wilson_interval(mean["hit_rate"] * number if number else 0, number)
    return {
        "events": int(ahead.event.sum()),
        "distinct": number,
        "effective": effective_number(np.flatnonzero(ahead.event.any(axis=1)), ahead.horizon),
        **mean,
        **{name: np.quantile(values, q) if number else math.nan for name, q in _QUANTILES.items()},
        "hit_low": low,
        "hit_high": high,
    }


def _events(pool: PooledSignals, ahead: ForwardOutcomes, design: StudyDesign) -> pd.DataFrame:
    """Every event of every market."""
    weights = ahead.weights()
    frames = []
    for column, signal in enumerate(pool.signals):
        bars, event = signal.market.bars, signal.event.to_numpy(dtype=bool)
        times = signal.market.index[event]
        counted = pool.index[: len(weights)][weights[:, column] > 0]
        frame = pd.DataFrame(
            {
                "time": times,
                "symbol": signal.market.symbol,
                "level": math.nan if signal.level is None else signal.level[event].to_numpy(),
                "close": bars["close"].to_numpy()[event],
                "entry": bars["open"].shift(-1).to_numpy()[event],
                "counted": times.isin(counted),
            }
        )
        after = forward_returns(bars, design.horizons)[event].reset_index(drop=True)
        swings = excursions(bars, design.decides)[event].reset_index(drop=True)
        frames.append(pd.concat([frame, after, swings], axis=1))
    return pd.concat(frames).sort_values(["time", "symbol"], ignore_index=True)


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
