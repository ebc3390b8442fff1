"""What a walk forward holds, measures and shifts: exposures of all combinations as one array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats
from delever.engine.sweep_accounts import Asked, SweepAccount, simulate_each
from delever.engine.sweep_market import SweepMarket
from delever.engine.sweep_metrics import PART_SUMS, part_names
from delever.errors import DeleverError, InputError
from delever.memo import shared_work
from delever.research.choosing import Tried
from delever.research.walking import Pace, Window, choices, out_growth
from delever.study.machines.executor import mapping, open_executor
from delever.study.sweeps.asking import answers
from delever.study.sweeps.chunk import SweepGround

_LEAST_SHIFT_DAYS = 30
_SHARED = 64 * 2**20  # bytes of indicators that combinations share
_MOST_VALUES = 20_000_000  # exposures held in memory, and so what the shifts are made of


def wanted_exposures(
    ground: SweepGround, bound: Sequence[Mapping[str, Any]]
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Exposure that each combination holds from each bar's open on, and the row of its first bar.

    One without an answer begins behind the last bar. Raises what the strategy does if none answers.
    """
    size = len(ground.market.index)
    wanted = np.zeros((len(bound), size))
    begins = np.full(len(bound), size)
    failed: list[DeleverError] = []
    with shared_work(_SHARED):
        for row, answer in enumerate(answers(ground, bound)):
            if isinstance(answer, DeleverError):
                failed.append(answer)
                continue
            if answer.ordered:
                raise InputError(
                    "a walk forward takes exposures alone, and the strategy returns orders beside "
                    "them; sweep it, or run it by itself"
                )
            begins[row] = answer.begin
            wanted[row, 1:] = np.nan_to_num(answer.target(size)[:-1])
            wanted[row, : begins[row]] = 0.0
    if len(failed) == len(bound):
        raise failed[0]
    return wanted, begins


def sums_of(
    board: SweepMarket,
    wanted: Floats,
    begins: npt.NDArray[np.int64],
    first: int,
    shift: float = 0.0,
) -> Floats:
    """Sums of all combinations over the market's parts, their exposures shifted by a share.

    Shape (combinations, parts, sums); `first` is the row with which the market is laid out. Raises
    what stands in the way of a run.
    """
    out = np.zeros((len(wanted), len(board.parts), len(PART_SUMS)))
    there = np.flatnonzero(begins < wanted.shape[1])
    accounts = []
    for row in there.tolist():
        begin = max(int(begins[row]), first)
        own = wanted[row, begin:]
        held = np.roll(own, round(shift * len(own)))
        rows = np.append(0, np.flatnonzero(held[1:] != held[:-1]) + 1)
        accounts.append(SweepAccount(asked=Asked(begin - first, rows + begin - first, held[rows])))
    frame, refused = simulate_each(board, accounts)
    if refused:
        raise InputError(next(iter(refused.values())))
    names = part_names(board.parts)
    out[there] = frame[names].to_numpy().reshape(len(there), -1, len(PART_SUMS))
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifts:
    """A walk as arrays and text: what a worker needs to walk it on shifted exposures."""

    board: SweepMarket
    wanted: Floats
    tried: Tried
    cut: Sequence[Window]
    pace: Pace
    axes: pd.DataFrame
    first: int
    many: int

    def __call__(self, number: int) -> float:
        """Growth with all exposures shifted by one of `many` shares of their span."""
        index = self.tried.parts.index
        days = (index[-1] - index[self.first]) / pd.Timedelta(days=1)
        least = min(_LEAST_SHIFT_DAYS / days, 0.25)
        share = least + (1.0 - 2.0 * least) * (number + 0.5) / self.many
        sums = sums_of(self.board, self.wanted, self.tried.begins, self.first, share)
        other = replace(self.tried, sums=sums)
        return out_growth(other, choices(other, self.cut, self.pace, self.axes)[0])

    def growth(
        self, workers: int, cluster: str | Executor | None, progress: Callable[[int, int], object]
    ) -> list[float]:
        """Growth of each; none where there is too much to hold.

        The same wherever they are walked. Raises SimulationError if a worker ends too early, or a
        cluster does not answer.
        """
        if self.wanted.size > _MOST_VALUES or not self.many:
            return []
        workers = min(workers, self.many)
        with open_executor(workers, cluster) as pool:
            return list(mapping(pool, workers, parts=1, progress=progress)(self, range(self.many)))


def joined(
    ground: SweepGround, wanted: Floats, rows: npt.NDArray[np.intp], cut: Sequence[Window]
) -> pd.Series:
    """Target exposures of the choices one after the other; flat where nothing was chosen."""
    held = np.zeros(len(ground.market.index))
    for row, window in zip(rows.tolist(), cut, strict=True):
        if row >= 0:
            held[slice(*window.out)] = wanted[row, slice(*window.out)]
    target = np.append(held[1:], held[-1])  # decided a bar before it is held
    return pd.Series(target, index=ground.market.index, name="walk")
