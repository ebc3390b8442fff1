"""A signal study: what came after the events of a signal, compared with other bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from delever.arguments import Floats, counted
from delever.errors import InputError
from delever.research.signal.contrast import (
    Contrast,
    clusters,
    compare,
    evenly,
    family_p_values,
    independent_trials,
    matched_weights,
    mean_correlations,
    varies,
)
from delever.research.signal.forward import (
    FEWEST_EVENTS,
    check_horizons,
    effective_number,
    excursions,
    forward_returns,
)
from delever.research.signal.level_break import Signal
from delever.research.signal.placebo import (
    Placebos,
    compared_with,
    placebo_breaks,
    placebo_events,
    placebo_factors,
)
from delever.research.signal.planted import Others, detectable_effects
from delever.research.signal.pool import (
    ForwardOutcomes,
    PooledSignals,
    forward_outcomes,
    pool_signals,
)
from delever.research.signal.sequential import sequential
from delever.stats.families import holm
from delever.stats.intervals import detectable_deviations, wilson_interval

SignalVerdict: TypeAlias = Literal["higher", "lower", "negligible", "undecided", "too few"]

_CALIBRATED = 200
"""Placebo levels, at most, of each look at how large an effect would be found."""

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
    # by horizon: ``events`` (whose horizon is complete), ``distinct`` (clusters whose holding
    # periods do not overlap), ``effective`` (see `effective_number`), ``mean``, ``median``,
    # ``q05``, ``q25``, ``q75``, ``q95`` of the clusters' mean forward returns, ``hit_rate`` (share
    # of them above 0), ``hit_low``, ``hit_high`` (Wilson's interval, see `varies`), mean
    # ``adverse`` and ``favourable`` excursion. NaN without events.
    outcomes: pd.DataFrame
    # by ``horizon`` and ``against`` (``all``: all bars; ``matched``: bars of like volatility;
    # ``placebo``: breaks of placebo levels): ``mean`` of those, and the fields of a `Contrast`.
    # ``p_value`` of the row that decides is that of its test; those of the others are corrected for
    # their number and never smaller than it. NaN where there are fewer than five distinct events.
    comparisons: pd.DataFrame
    # by ``direction`` and ``multiple`` of the smallest detectable effect, see `detectable_effects`;
    # without rows where nothing is tested
    power: pd.DataFrame
    # one row per placebo level and horizon: ``horizon``, ``factor``, ``distinct``, ``mean``
    placebos: pd.DataFrame
    sequence: pd.DataFrame  # see `delever.research.signal.sequential.sequential`
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
    def detectable(self) -> float:
        """Smallest effect that would be found whether it raises or lowers the price; or NaN."""
        if not len(self.power):
            return math.nan
        return float(self.power["effect"].xs(1.0, level="multiple").max())

    @property
    def verdict(self) -> SignalVerdict:
        """What may be concluded.

        ``too few``: fewer than five distinct events. ``higher`` or ``lower``: the deciding
        comparison rejects. ``negligible``: it does not reject, the smallest effect that matters
        would have been found with the stated power, and the interval holds neither it nor its
        opposite. ``undecided``: anything else.
        """
        row, matters = self.deciding, self.design.smallest_effect
        if math.isnan(row["p_value"]):
            return "too few"
        if self.rejects:
            return "higher" if row["adjusted"] > 0 else "lower"
        if (
            matters is not None
            and self.detectable <= matters
            and -matters < row["low"]
            and row["high"] < matters
        ):
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
    signals: Sequence[Signal],
    *,
    name: str,
    design: StudyDesign | None = None,
    pool: PooledSignals | None = None,
    placebos: Placebos | None = None,
    calibrated: bool = True,
    of: int = 1,
) -> SignalStudy:
    """Study what comes after a signal, on one market or several pooled.

    `pool` and `placebos` are those of these signals, where they are known already; without
    `calibrated` nothing is said of the effects that would be found, and with `of` studies in a
    family they are those that its corrected test finds. Raises
    InputError if timeframes differ, symbols repeat, or there is no bar on which a signal could have
    come and the longest horizon is complete.
    """
    chosen = design or StudyDesign()
    pool = pool_signals(signals) if pool is None else pool
    after = {horizon: forward_outcomes(pool, horizon) for horizon in chosen.horizons}
    if placebos is None:
        placebos = placebo_events(pool, chosen.factors())
    placebo: dict[int, Floats] = {}
    drawn = [pd.DataFrame(columns=["horizon", "factor", "distinct", "mean"])]
    if placebos is not None:
        found = [placebo_breaks(placebos, ahead) for ahead in after.values()]
        placebo = dict(zip(after, [total for total, _ in found], strict=True))
        drawn = [table for _, table in found]
    against = "matched" if placebos is None else "placebo"
    bases = {horizon: _bases(ahead, placebo.get(horizon)) for horizon, ahead in after.items()}
    compared = {
        (horizon, name): _comparison(ahead, others, bases[horizon][against], chosen)
        for horizon, ahead in after.items()
        for name, others in bases[horizon].items()
    }
    decides = after[chosen.decides]
    power = pd.DataFrame(columns=["effect", "found"])
    chance = compared[chosen.decides, against][1]
    if calibrated and chance is not None:
        spread, known = float(np.nanstd(chance)), bases[chosen.decides][against]
        power = _power(pool, decides, chosen, known=known, spread=spread, of=of)
    return SignalStudy(
        name=name,
        symbols=tuple(signal.market.symbol for signal in signals),
        timeframe=signals[0].market.timeframe,
        start=pool.index[0],
        end=pool.index[np.flatnonzero(decides.there.any(axis=1))[-1]],
        design=chosen,
        events=_events(pool, decides, chosen),
        outcomes=pd.DataFrame.from_dict(
            {horizon: _outcome(ahead, chosen.alpha) for horizon, ahead in after.items()},
            orient="index",
        ).rename_axis("horizon"),
        comparisons=pd.DataFrame.from_dict(
            _corrected(compared, (chosen.decides, against)), orient="index"
        ).rename_axis(["horizon", "against"]),
        power=power,
        placebos=pd.concat(drawn, ignore_index=True),
        sequence=sequential(decides, pool.index, placebo.get(chosen.decides)),
        notes=_notes(pool),
    )


def _power(
    pool: PooledSignals,
    decides: ForwardOutcomes,
    design: StudyDesign,
    *,
    known: Floats,
    spread: float,
    of: int,
) -> pd.DataFrame:
    """How often effects would be found, by the spread of the test's statistic under chance."""
    return detectable_effects(
        pool,
        decides,
        _others(design),
        known=known,
        first=detectable_deviations(design.alpha, design.power) * spread,
        alpha=design.alpha / of,
        power=design.power,
    )


def as_family(studies: Sequence[SignalStudy]) -> list[SignalStudy]:
    """The same studies with p-values corrected for their number by Holm's method."""
    corrected = holm([float(study.deciding["p_value"]) for study in studies])
    found = []
    for study, p_value in zip(studies, corrected.tolist(), strict=True):
        rows = study.comparisons.copy()
        rows["p_value"] = rows["p_value"].clip(lower=p_value)
        note = f"one of {counted(len(studies), 'signal')} studied together: p is corrected for that"
        found.append(replace(study, comparisons=rows, notes=(*study.notes, note)))
    return found


def _bases(ahead: ForwardOutcomes, placebo: Floats | None) -> dict[str, Floats]:
    """What events are compared with, as weights of bars."""
    weights = ahead.weights()
    found = {
        "all": evenly(weights, ahead.there),
        "matched": matched_weights(weights, ahead.volatility),
    }
    return found if placebo is None else {**found, "placebo": placebo}


def _comparison(
    ahead: ForwardOutcomes, others: Floats, like: Floats, design: StudyDesign
) -> tuple[dict[str, float], Floats | None]:
    """Mean of the others and the fields of a `Contrast`; NaN with fewer than five events."""
    weights = ahead.weights()
    if round(weights.sum()) < FEWEST_EVENTS or not others.sum() > 0:
        names = ("mean", *(field.name for field in fields(Contrast)))
        return dict.fromkeys(names, math.nan), None
    contrast, chance = compare(
        weights,
        others,
        ahead.forward,
        ahead.volatility,
        ahead.horizon,
        alpha=design.alpha,
        like=like if like.sum() > 0 else others,
    )
    forward = np.where(ahead.there, ahead.forward, 0.0)
    return {"mean": float((others * forward).sum() / others.sum()), **asdict(contrast)}, chance


def _corrected(
    compared: dict[tuple[int, str], tuple[dict[str, float], Floats | None]],
    decides: tuple[int, str],
) -> dict[tuple[int, str], dict[str, float]]:
    """The rows; p-values of all but the one that decides corrected, and none below it."""
    rows = {key: dict(row) for key, (row, _) in compared.items()}
    first = rows[decides]["p_value"]
    others = {
        key: chance
        for key, (_, chance) in compared.items()
        if key != decides and chance is not None
    }
    corrected = family_p_values(list(others.values())) if others else []
    for key, p_value in zip(others, corrected, strict=True):
        rows[key]["p_value"] = max(first, p_value)
    return rows


def _others(design: StudyDesign) -> Others:
    """What decides, for signals on other prices: fewer placebo levels do for that."""
    factors = design.factors()[:_CALIBRATED]

    def others(pool: PooledSignals, ahead: ForwardOutcomes) -> Floats:
        return compared_with(placebo_events(pool, factors), ahead)

    return others


def _outcome(ahead: ForwardOutcomes, alpha: float) -> dict[str, float]:
    """Distribution of what came after the events that count, each cluster weighing the same."""
    rows, symbols, numbers = clusters(ahead.event, ahead.horizon)
    number = int(numbers[-1]) + 1 if len(numbers) else 0
    shares = 1.0 / np.bincount(numbers)[numbers] if number else np.empty(0)
    values = ahead.forward[rows, symbols]
    means = np.bincount(numbers, shares * values)
    mean = {
        field: float((shares * column).sum() / number) if number else math.nan
        for field, column in (
            ("mean", values),
            ("hit_rate", (values > 0).astype("float64")),
            ("adverse", ahead.adverse[rows, symbols]),
            ("favourable", ahead.favourable[rows, symbols]),
        )
    }
    alike = mean_correlations(ahead.forward)
    trials = independent_trials(shares, symbols, numbers, alike)
    trials /= varies(number) if number else 1.0
    low, high = wilson_interval(
        min(mean["hit_rate"], 1.0) * trials if number else 0.0, trials, 1 - alpha
    )
    every, of = np.nonzero(ahead.event)
    return {
        "events": len(every),
        "distinct": number,
        "effective": effective_number(every, ahead.horizon, of, alike),
        **mean,
        **{name: np.quantile(means, q) if number else math.nan for name, q in _QUANTILES.items()},
        "hit_low": low,
        "hit_high": high,
    }


def _events(pool: PooledSignals, ahead: ForwardOutcomes, design: StudyDesign) -> pd.DataFrame:
    """Every event of every market."""
    rows, symbols, _ = clusters(ahead.event, ahead.horizon)
    frames = []
    for column, signal in enumerate(pool.signals):
        bars, event = signal.market.bars, signal.event.to_numpy(dtype=bool)
        times = signal.market.index[event]
        chosen = pool.index[rows[symbols == column]]
        frame = pd.DataFrame(
            {
                "time": times,
                "symbol": signal.market.symbol,
                "level": math.nan if signal.level is None else signal.level[event].to_numpy(),
                "close": bars["close"].to_numpy()[event],
                "entry": bars["open"].shift(-1).to_numpy()[event],
                "counted": times.isin(chosen),
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
        notes.append(
            f"{counted(outside, 'event')} before volatility is known: listed but not compared"
        )
    return tuple(dict.fromkeys(notes))
