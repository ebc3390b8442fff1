"""What a walk forward holds, measures and shifts: decisions of all combinations as one array."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats
from delever.engine.orders import EXPOSURE, Target, broken_orders, in_multiples, moved, orders_in
from delever.engine.sweep_accounts import Asked, SweepAccount, simulate_each
from delever.engine.sweep_market import SweepMarket
from delever.engine.sweep_metrics import PART_SUMS, part_names
from delever.errors import DeleverError, InputError
from delever.memo import shared_work
from delever.research.choosing import Parts, Tried
from delever.research.walking import Pace, Window, choices, out_growth
from delever.stats.metrics import AsMetric
from delever.study.machines.executor import mapping, open_executor
from delever.study.runs.simulation import RunTerms
from delever.study.settings.config import DEFAULT_COSTS
from delever.study.sweeps.asking import answers, asked_of
from delever.study.sweeps.chunk import Combination, SweepGround
from delever.study.sweeps.ground import in_parts
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs

_LEAST_SHIFT_DAYS = 30
SHARED = 64 * 2**20
"""Bytes of indicators that combinations share."""
_MOST_VALUES = 20_000_000  # decisions held in memory, and so what the shifts are made of


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkAsked:
    """What is walked, on one symbol or several."""

    chosen: Sequence[Mapping[str, Any]]  # by axis, a row per combination
    bound: Sequence[Mapping[str, Any]]  # all parameters of the strategy
    benchmark_costs: Costs
    name: str
    studied: Mapping[str, str]
    data: str = ""  # what it is walked on, in words, where that is not what the ground says

    def terms(self: Any, cut: Sequence[Window], metrics: Sequence[AsMetric]) -> RunTerms:
        """What the run of the choices is held to, from the first window on."""
        ground = self.ground
        return RunTerms(
            benchmark_costs=self.benchmark_costs,
            costs_times=ground.costs_times,
            initial_equity=ground.initial_equity,
            start=ground.market.index[cut[0].out[0]],
            periods=ground.periods,
            metrics=metrics,
        )

    def held(self: Any, parts: Parts, first: int) -> Floats:
        """The benchmark's sums over parts."""
        one = self.combination(self.bound[0])
        return in_parts(self.ground.beside(one, first), parts, first)

    def record(self: Any, wanted: Wanted, place: Workspace) -> None:
        """Count the combinations that the strategy answered among the trials on the market."""
        ground, index = self.ground, self.ground.market.index
        trials = [
            ground.trial(self.combination(params))
            for params, begin in zip(self.bound, wanted.begins, strict=True)
            if begin < len(index)
        ]
        ledger = ground.ledger(place, self.data)
        ledger.record(trials, by="walk", study=self.name, until=index[-1])


class Wanted(NamedTuple):
    """What all combinations decide, as `delever.engine.orders.rows_of` of each."""

    names: list[str]  # exposure, then orders
    rows: Floats  # shape (combinations, bars + 1, names): in force from each bar's open on
    # shape (combinations,): row of the first bar; one without an answer begins behind the last
    begins: npt.NDArray[np.int64]

    def target(self, rows: Floats, index: pd.DatetimeIndex) -> Target:
        """Such rows as a strategy returns them."""
        return orders_in(pd.DataFrame(rows[1:], index=index, columns=self.names))


def wanted_rows(ground: SweepGround, bound: Sequence[Mapping[str, Any]]) -> Wanted:
    """Ask the strategy for all combinations."""
    index = ground.market.index
    names, rows = [EXPOSURE], np.zeros((len(bound), len(index) + 1, 1))
    begins = np.full(len(bound), len(index))
    failed: list[DeleverError] = []
    with shared_work(SHARED):
        for row, answer in enumerate(answers(ground, bound)):
            found: Any = answer
            if not isinstance(answer, DeleverError):  # orders are not kept: it is asked again
                target = answer.target(len(index))
                found = asked_of(ground, bound[row]) if answer.ordered else (target, answer.begin)
            if isinstance(found, DeleverError):
                failed.append(found)
                continue
            target, begins[row] = found
            frame = target if isinstance(target, pd.DataFrame) else pd.DataFrame({EXPOSURE: target})
            more = [str(name) for name in frame if name not in names]
            names += more
            rows = np.concatenate([rows, np.full((*rows.shape[:2], len(more)), np.nan)], axis=2)
            own = rows[row]
            own[1:] = frame.reindex(columns=names)
            own[: begins[row]] = np.nan
            own[:, 0] = np.nan_to_num(own[:, 0])
    if len(failed) == len(bound):
        raise failed[0]
    return Wanted(names, rows, begins)


def opened(ground: SweepGround, wanted: Wanted, first: int) -> SweepMarket | SweepGround:
    """Where their accounts run: laid out for many at once, or each by itself; without bounds."""
    if ground.account is not None:
        ground = replace(ground, account=replace(ground.account, bounds=False))
    if not (ground.why_alone or len(wanted.names) > 1):
        return ground.opened(first)
    market = replace(ground.market, readings={}, earlier=None)
    nothing = pd.Series(0.0, index=market.index)  # a worker asks no strategy
    return replace(
        ground, market=market, strategy=nothing, benchmark=nothing, cost_models={}, metrics=()
    )


def sums_of(
    place: SweepMarket | SweepGround, wanted: Wanted, first: int, shift: float = 0.0
) -> Floats:
    """Sums of all combinations over the market's parts, their decisions shifted by a share.

    Shape (combinations, parts, sums); no run begins before the row `first`. Raises what stands in
    the way of a run.
    """
    parts = place.parts if isinstance(place, SweepMarket) else place.parts.rows
    out = np.zeros((len(wanted.rows), len(parts), len(PART_SUMS)))
    there = np.flatnonzero(wanted.begins < wanted.rows.shape[1] - 1)
    begins = np.maximum(wanted.begins[there], first).tolist()
    if isinstance(place, SweepGround):
        for row, begin in zip(there.tolist(), begins, strict=True):
            out[row] = _by_itself(place, wanted, row, begin, shift)
        return out
    accounts = []
    for row, begin in zip(there.tolist(), begins, strict=True):
        own = wanted.rows[row, begin:-1, 0]
        held = np.roll(own, round(shift * len(own)))
        rows = np.append(0, np.flatnonzero(held[1:] != held[:-1]) + 1)
        accounts.append(SweepAccount(asked=Asked(begin - first, rows + begin - first, held[rows])))
    frame, refused = simulate_each(place, accounts)
    if refused:
        raise InputError(next(iter(refused.values())))
    out[there] = frame[part_names(parts)].to_numpy().reshape(len(there), -1, len(PART_SUMS))
    return out


def _by_itself(ground: SweepGround, wanted: Wanted, row: int, begin: int, shift: float) -> Floats:
    """Sums of one combination; shifted, its orders keep their distance to closes."""
    rows, market = wanted.rows[row], ground.market
    if shift:
        closes = np.append(market.bars["open"].iloc[0], market.bars["close"])[begin:-1]
        held = in_multiples(pd.DataFrame(rows[begin:-1], columns=wanted.names), closes)
        later = moved(held, closes, round(shift * len(held)))
        rows = np.concatenate([rows[:begin], later, later.iloc[-1:]])
    one = Combination({}, ground.account, ground.costs, DEFAULT_COSTS)
    run = ground.alone(one, wanted.target(rows, market.index), begin)
    return in_parts(run, ground.parts, begin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifts:
    """A walk as arrays and text: what a worker needs to walk it on shifted exposures."""

    sums: Callable[[float], Floats]  # of all combinations, shifted by a share of their span
    values: int  # decisions held in memory
    tried: Tried
    cut: Sequence[Window]
    pace: Pace
    axes: pd.DataFrame
    first: int
    many: int

    def __call__(self, number: int) -> float:
        """Growth with all decisions shifted by one of `many` shares of their span."""
        index = self.tried.parts.index
        days = (index[-1] - index[self.first]) / pd.Timedelta(days=1)
        least = min(_LEAST_SHIFT_DAYS / days, 0.25)
        share = least + (1.0 - 2.0 * least) * (number + 0.5) / self.many
        other = replace(self.tried, sums=self.sums(share))
        return out_growth(other, choices(other, self.cut, self.pace, self.axes)[0])

    def growth(
        self, workers: int, cluster: str | Executor | None, progress: Callable[[int, int], object]
    ) -> list[float]:
        """Growth of each; none where there is too much to hold."""
        if self.values > _MOST_VALUES or not self.many:
            return []
        workers = min(workers, self.many)
        with open_executor(workers, cluster) as pool:
            return list(mapping(pool, workers, parts=1, progress=progress)(self, range(self.many)))


def joined(
    ground: SweepGround, wanted: Wanted, rows: npt.NDArray[np.intp], cut: Sequence[Window]
) -> Target:
    """What the choices decide, one after the other; flat where nothing was chosen.

    A choice whose stop or target the close before its seam has passed, which no venue takes, is
    flat until its exposure changes.
    """
    held = np.full(wanted.rows.shape[1:], np.nan)
    held[:, 0] = 0.0
    close = ground.market.bars["close"]
    for row, group in itertools.groupby(zip(rows.tolist(), cut, strict=True), lambda one: one[0]):
        if row < 0:
            continue
        spans = [window.out for _, window in group]
        first, last = spans[0][0], spans[-1][1]
        own = wanted.rows[row, first:last]
        same = own[:, 0] == own[0, 0]
        entry = pd.DataFrame(own[:1], index=close.index[first - 1 : first], columns=wanted.names)
        if own[0, 0] != held[first - 1, 0] and broken_orders(entry, close.iloc[first - 1 : first]):
            first += len(own) if same.all() else int(np.argmin(same))
        held[first:last] = wanted.rows[row, first:last]
    held[-1] = held[-2]  # what is decided at the last close
    return wanted.target(held, ground.market.index)
