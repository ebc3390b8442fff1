"""A signal varied: its rule, parameters, horizon and coin, every cell tested as one of them all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pandas as pd

from delever.arguments import Floats, Mapper
from delever.errors import InputError
from delever.research.signal.contrast import compare
from delever.research.signal.forward import FEWEST_EVENTS
from delever.research.signal.level_break import Signal
from delever.research.signal.placebo import compared_with, placebo_events
from delever.research.signal.pool import PooledSignals, forward_outcomes, pool_signals
from delever.research.signal.study import StudyDesign


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessMap:
    """The same question asked in many ways."""

    alpha: float  # level of the family
    # by ``variant``, ``symbol`` and ``horizon``: ``distinct`` events, the difference ``adjusted``
    # to equal volatility with its interval ``low`` and ``high``, ``distance`` (the difference in
    # deviations of its shifts) and ``p_value`` of being one of all these cells; NaN in cells of
    # fewer than five distinct events
    cells: pd.DataFrame

    @property
    def tested(self) -> int:
        """Number of cells with enough events."""
        return int(self.cells["p_value"].notna().sum())

    @property
    def found(self) -> int:
        """Number of cells that reject, all of them together being wrong with this level."""
        return int((self.cells["p_value"] <= self.alpha).sum())

    @property
    def below(self) -> int:
        """Number of tested cells with a difference below zero."""
        return int((self.cells["adjusted"] < 0).sum())


def map_signals(
    variants: Mapping[str, Sequence[Signal]],
    *,
    design: StudyDesign | None = None,
    decided: float = 0.0,
    mapper: Mapper = map,
) -> RobustnessMap:
    """Compare every variant of a signal, on each of its markets and horizons, as one family.

    A variant has one signal per market; `decided` is the p-value of the test that decides the
    study, below which none of the map lies; `mapper` divides the work among processes. Raises
    InputError if there is no variant, or on a market no variant could have come.

    The cells of one market lie on the same circular shifts, of which the largest of all cells gives
    the p-value as in `family_p_values`. Markets count as independent of each other, p = 1 - the
    product of what each leaves, which is on the safe side where they move together.
    """
    chosen = design or StudyDesign()
    if not variants:
        raise InputError("a map needs at least one variant of a signal; there is none")
    rows: dict[tuple[str, str, int], dict[str, float]] = {}
    largest: list[Floats] = []
    places = range(len(next(iter(variants.values()))))
    pools = [pool for place in places for pool in _on_one_calendar(variants, place)]
    cells_of = iter(mapper(_Cells(pools=pools, design=chosen), range(len(pools))))
    for place in places:
        chance: dict[tuple[str, str, int], Floats] = {}
        for name, signals in variants.items():
            symbol = signals[place].market.symbol
            for horizon, (row, moved) in next(cells_of).items():
                rows[name, symbol, horizon] = row
                if moved is not None:
                    chance[name, symbol, horizon] = moved
        if chance:
            laid = np.array(list(chance.values()))
            laid = laid[:, np.isfinite(laid).all(axis=0)]
            far = np.abs(laid) / laid.std(axis=1, keepdims=True)
            largest.append(np.sort(far.max(axis=0)))
            for key, own, signed in zip(chance, far[:, 0], laid[:, 0], strict=True):
                rows[key]["distance"] = math.copysign(float(own), float(signed))
    cells = pd.DataFrame(
        list(rows.values()),
        index=pd.MultiIndex.from_tuples(list(rows), names=["variant", "symbol", "horizon"]),
    )
    p_values = [_one_of_all(one, largest) for one in cells["distance"].abs()]
    return RobustnessMap(
        alpha=chosen.alpha,
        # fmax: where nothing is decided, only the map counts.
        cells=cells.assign(
            p_value=np.where(np.isnan(p_values), np.nan, np.fmax(p_values, decided))
        ),
    )


def _on_one_calendar(
    variants: Mapping[str, Sequence[Signal]], place: int
) -> Iterator[PooledSignals]:
    pools = [pool_signals([signals[place]]) for signals in variants.values()]
    index = reduce(lambda one, other: one.union(other), [pool.index for pool in pools])
    return (pool.on(index) for pool in pools)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cells:
    """Variants on markets: all that another process needs for them."""

    pools: Sequence[PooledSignals]
    design: StudyDesign

    def __call__(self, number: int) -> dict[int, tuple[dict[str, float], Floats | None]]:
        """Cells of one variant on one market, by horizon."""
        pool, design = self.pools[number], self.design
        placebos = placebo_events(pool, design.factors())
        found: dict[int, tuple[dict[str, float], Floats | None]] = {}
        for horizon in design.horizons:
            ahead = forward_outcomes(pool, horizon)
            weights = ahead.weights()
            others = compared_with(placebos, ahead)
            nothing = dict.fromkeys(("adjusted", "low", "high", "distance"), math.nan)
            row, moved = {"distinct": float(round(weights.sum())), **nothing}, None
            if row["distinct"] >= FEWEST_EVENTS and others.sum() > 0:
                contrast, moved = compare(
                    weights, others, ahead.forward, ahead.volatility, horizon, alpha=design.alpha
                )
                row |= {"adjusted": contrast.adjusted, "low": contrast.low, "high": contrast.high}
            found[horizon] = row, moved
        return found


def _one_of_all(distance: float, largest: Sequence[Floats]) -> float:
    """Chance that the largest of any market's cells lies as far from zero."""
    if math.isnan(distance):
        return math.nan
    left = 1.0
    for ordered in largest:
        as_far = len(ordered) - np.searchsorted(ordered, distance * (1 - 1e-9), side="left")
        left *= 1.0 - as_far / len(ordered)
    return 1.0 - left
