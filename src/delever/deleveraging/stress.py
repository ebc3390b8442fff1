"""A composite index of stress: how bad it is now, compared with everything seen so far.

Each feature is ranked against its own past (never its future), turned so that 1 is the most
stressed, averaged with fixed weights over whatever is known at the bar, and the average is ranked
against its own past again. Nothing was fitted to the catalogue of periods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.errors import InputError
from delever.signals.clock import bars_in
from delever.signals.features import available, feature_named, measure
from delever.view import MarketView


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A feature in a composite index."""

    feature: str  # its name in `delever.signals.features.FEATURES`
    sign: int  # 1 when high values mean more of what the index measures, -1 when low ones do
    weight: float  # its share before missing ones drop out, > 0


def _group(weight: float, **signs: int) -> tuple[Component, ...]:
    """Components that share a weight equally."""
    share = weight / len(signs)
    return tuple(Component(feature=name, sign=sign, weight=share) for name, sign in signs.items())


STRESS: tuple[Component, ...] = (
    *_group(1.0, fall_speed=-1, volatility_close_to_close=1, volume_shock=1),
    *_group(
        1.0,
        funding_zscore=-1,
        open_interest_change=-1,
        liquidation_shock=1,
        liquidation_long_share=1,
    ),
    *_group(1.0, dvol=1, dvol_jump=1),
    *_group(1.0, fear_greed=-1, etf_flow_week=-1),
    *_group(1.0, vix_change=1, gold_gap=1, igv_correlation=1),
)
"""Of stress: price, positions, options, mood, other markets; each group weighs the same and
shares its weight equally, because nothing here could tell which deserves more."""

BUILD_UP: tuple[Component, ...] = _group(
    1.0, funding_zscore=1, open_interest_change=1, long_short_zscore=1
)
"""Of leverage building up: expensive longs, growing positions, more longs than usual."""


FORCED_FLOW: tuple[str, ...] = ("volume_shock", "liquidation_shock", "open_interest_divergence")
"""Features that stand out together when positions are closed by force, beside the fall itself."""

_VOLATILITY_DAYS = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class StressIndex:
    """A composite index and what it was made of."""

    # shape (n,): in (0, 1): the share of the past that was less stressed; NaN until enough of it is
    # known
    value: pd.Series
    # shape (n, k): the same of each component that could be computed, by feature; NaN where it is
    # unknown
    ranks: pd.DataFrame
    # shape (n,): weight of the components known at each bar, fraction of all weights in [0, 1]
    coverage: pd.Series
    # components that could not be computed at all because a reading is not there
    missing: tuple[str, ...]

    def missing_at(self, row: int) -> tuple[str, ...]:
        """Components unknown at a bar."""
        there = self.ranks.iloc[row].notna()
        return (*self.missing, *(str(name) for name, known in there.items() if not known))


def past_rank(values: pd.Series, least: int) -> pd.Series:
    """Share of the past below each value.

    Raises InputError if `least` is below 1.
    """
    if least < 1:
        raise InputError(f"a rank needs at least 1 value; got least={least}")
    history = values.expanding(least)
    count = values.expanding().count()
    return (history.rank(method="average") - 0.5) / count


def stress_index(
    market: MarketView,
    components: Sequence[Component] = STRESS,
    *,
    days: float = 180,
    least_coverage: float = 0.1,
) -> StressIndex:
    """Rank the present against the past, over every component the market has readings for.

    Raises InputError if there are no components, a parameter is out of range, or a reading is
    declared with a publication lag shorter than the least that is honest.

    ``mean[t] = sum(w * rank[t]) / sum(w)`` over the components known at t, and the index is the
    rank of ``mean[t]`` among ``mean[0..t]``. When components come and go the mean of few of them
    swings wider than the mean of many: compare spans of different coverage with care.
    """
    if not components or not 0 < least_coverage <= 1:
        raise InputError(
            "a stress index needs at least one component and a least_coverage in (0, 1]; "
            f"got {len(components)} and {least_coverage:g}"
        )
    least = bars_in(days, market.timeframe)
    able, _ = available(market)
    there = [part for part in components if feature_named(part.feature).name in able]
    ranks = pd.DataFrame(
        {
            part.feature: past_rank(part.sign * measure(part.feature, market), least)
            for part in there
        },
        index=market.index,
    )
    weights = np.array([part.weight for part in there])
    known = ranks.notna().to_numpy() @ weights
    total = sum(part.weight for part in components)
    coverage = pd.Series(known / total, index=market.index, name="coverage")
    mean = pd.Series(ranks.fillna(0.0).to_numpy() @ weights, index=market.index)
    # Weights are binary fractions only by luck: a sum of all of them may miss 1 by a hair.
    enough = coverage >= least_coverage - 1e-12
    value = past_rank((mean / known).where(enough), least)
    return StressIndex(
        value=value.rename("stress"),
        ranks=ranks,
        coverage=coverage,
        missing=tuple(part.feature for part in components if part not in there),
    )


def forced_flow(market: MarketView, *, days: float = 180) -> pd.Series:
    """How jointly extreme the day's fall and the flow of forced orders are, against their past.

    The share of the past in which they were less extreme, in (0, 1); NaN until two of the parts
    that docs/signals.md names are known.

    Raises InputError as `stress_index`.
    """
    least = bars_in(days, market.timeframe)
    able, _ = available(market)
    known = [name for name in FORCED_FLOW if name in able]
    parts = {name: measure(name, market) for name in known} | {"fall": -_fall_of_the_day(market)}
    ranks = pd.DataFrame({name: past_rank(values, least) for name, values in parts.items()})
    joint = ranks.mean(axis=1).where(ranks.notna().sum(axis=1) >= 2)
    return past_rank(joint, least).rename("forced_flow")


def _fall_of_the_day(market: MarketView) -> pd.Series:
    """From the highest high of the last day to the bar's low, in deviations of earlier returns."""
    bars = market.bars
    low, high = (bars.get(name, bars["close"]) for name in ("low", "high"))
    day, base = bars_in(1, market.timeframe), bars_in(_VOLATILITY_DAYS, market.timeframe)
    returns = (bars["close"] / bars["close"].shift(1)).transform(np.log)
    deviation = returns.rolling(base).std().shift(day)
    fall = (low / high.rolling(day + 1, min_periods=1).max()).transform(np.log)
    speed: pd.Series = fall / (deviation.where(deviation > 0) * np.sqrt(day))
    return speed
