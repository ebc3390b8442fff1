"""The rows of a signal study: what came after the events, beside what came after others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, fields

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.research.signal.contrast import (
    Contrast,
    compare,
    evenly,
    event_weights,
    matched_weights,
)
from delever.research.signal.forward import effective_number, excursions, forward_returns
from delever.research.signal.pool import ForwardOutcomes, PooledSignals
from delever.research.signal.study_plan import FEWEST_EVENTS, StudyDesign
from delever.stats.intervals import wilson_interval

__all__ = ["bases", "comparison", "event_table", "outcome"]

Floats = npt.NDArray[np.float64]

_QUANTILES = (0.05, 0.25, 0.75, 0.95)


def bases(
    pool: PooledSignals, weights: Floats, placebo: Floats | None
) -> Iterator[tuple[str, Floats]]:
    """What events are compared with: all bars, bars about as volatile, breaks of placebos."""
    yield "all", evenly(weights)
    yield "matched", matched_weights(weights, pool.volatility[: len(weights)])
    if placebo is not None:
        yield "placebo", placebo


def comparison(
    pool: PooledSignals,
    ahead: ForwardOutcomes,
    weights: Floats,
    others: Floats,
    design: StudyDesign,
) -> dict[str, float]:
    """Mean of the others and the fields of a `Contrast`; NaN with fewer than five events."""
    if weights.sum() < FEWEST_EVENTS or not others.sum() > 0:
        names = ("mean", *(field.name for field in fields(Contrast)))
        return dict.fromkeys(names, math.nan)
    contrast = compare(
        weights,
        others,
        ahead.forward,
        pool.volatility[: len(weights)],
        ahead.horizon,
        alpha=design.alpha,
        power=design.power,
    )
    return {"mean": float((others * ahead.forward).sum() / others.sum()), **asdict(contrast)}


def outcome(pool: PooledSignals, ahead: ForwardOutcomes, weights: Floats) -> dict[str, float]:
    """Distribution of what came after the distinct events, each date weighing the same."""
    event = pool.event[: len(weights)]
    dates = np.flatnonzero(event.any(axis=1))
    chosen = weights > 0
    number = round(weights.sum())
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
    quantiles = np.quantile(values, (0.5, *_QUANTILES)) if number else np.full(5, math.nan)
    names = ("median", *(f"q{round(100 * q):02d}" for q in _QUANTILES))
    return {
        "events": int(event.sum()),
        "distinct": number,
        "effective": effective_number(dates, ahead.horizon),
        **mean,
        **dict(zip(names, quantiles.tolist(), strict=True)),
        "hit_low": low,
        "hit_high": high,
    }


def event_table(pool: PooledSignals, decided: int, design: StudyDesign) -> pd.DataFrame:
    """Every event of every market; those among the first `decided` shared bars may count."""
    weights = event_weights(pool.event[:decided], design.decides)
    frames = []
    for column, signal in enumerate(pool.signals):
        bars, event = signal.market.bars, signal.event.to_numpy(dtype=bool)
        times = signal.market.index[event]
        counted = pool.index[:decided][weights[:, column] > 0]
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
