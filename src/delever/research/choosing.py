"""What choosing the best of a sweep comes to on bars that had no say in the choice.

All of it follows from sums over parts of the bars, so no combination is run again. Equity is not
carried from one part to the next: where paths are put together, each part is what the combination
chosen there made on it, without the cost of changing over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats, Rows
from delever.deleveraging.membership import overlapping, per_period
from delever.deleveraging.period import Period
from delever.stats.overfitting import Overfitting, overfitting
from delever.stats.sign_flip import MeanOfFew, sign_flip

BLOCKS = 16
"""Blocks of time, as long as each other, in which a sweep keeps each combination's returns."""
EMBARGO_DAYS = 30
"""Days before and after what is left out that have no say either."""
LEAST_BARS = 30
"""Fewer bars choose nothing."""

_GROUPS, _LEFT_OUT = 8, 2
_ERAS = 4
_CHOICES = ("sharpe_ratio", "payout")
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Stretches of a sweep's bars, by name, as the rows from and to which they reach."""

    rows: Mapping[str, tuple[int, int]]
    periods: tuple[Period, ...]
    blocks: int
    index: pd.DatetimeIndex  # open times of the bars

    @classmethod
    def of(
        cls, index: pd.DatetimeIndex, timeframe: str, first: int, periods: Iterable[Period]
    ) -> Parts:
        """Cut bars from a row on into blocks; name the periods, and what lies beside each.

        ``block_N``; ``before_N`` and ``after_N``, the embargo on both sides of the end of a block;
        ``period_ID``; ``near_ID``, the period with its embargo.
        """
        last = len(index)
        blocks = max(min(BLOCKS, last - first), 1)
        ends = np.linspace(first, last, blocks + 1).round().astype(int).tolist()
        pause = pd.Timedelta(days=EMBARGO_DAYS)
        rows = {f"block_{n}": (ends[n - 1], ends[n]) for n in range(1, blocks + 1)}
        for n, end in enumerate(ends[1:-1], start=1):
            # Half a block at most: what lies beside two ends is left out once.
            shortest = max((ends[n] - ends[n - 1]) // 2, (ends[n + 1] - ends[n]) // 2)
            before = max(int(index.searchsorted(index[end] - pause)), end - shortest)
            after = min(int(index.searchsorted(index[end] + pause)), end + shortest)
            rows |= {f"before_{n}": (before, end), f"after_{n}": (end, after)}
        seen = overlapping(periods, index[first:], timeframe)
        for period, mask in zip(seen, per_period(index, timeframe, seen).values(), strict=True):
            inside = np.flatnonzero(mask.to_numpy())
            begun = max(int(inside[0]), first)
            around = np.array([period.start - pause, period.end + pause])
            near = np.clip(index.searchsorted(pd.DatetimeIndex(around)), first, last).tolist()
            rows |= {f"period_{period.id}": (begun, int(inside[-1]) + 1)}
            rows |= {f"near_{period.id}": (near[0], near[1])}
        return cls(rows=rows, periods=seen, blocks=blocks, index=index)

    def named(self, kind: str) -> list[str]:
        """Names of one kind, in order."""
        if kind in ("period", "near"):
            return [f"{kind}_{period.id}" for period in self.periods]
        return [f"{kind}_{n}" for n in range(1, self.blocks + (kind == "block"))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a sweep keeps of its combinations, part by part."""

    parts: Parts
    # shape (combinations, parts, 4): of returns, of their squares, log growth, closed trades
    sums: Floats
    begins: Rows  # shape (combinations,): row of the first bar of each
    benchmark: Floats  # shape (parts, 4), without trades
    periods_per_year: float

    def of(self, names: Sequence[str]) -> Floats:
        """Sums over parts, shape (combinations, names, 4)."""
        order = list(self.parts.rows)
        return self.sums[:, [order.index(name) for name in names]]

    def held(self, names: Sequence[str]) -> Floats:
        """Of the benchmark, shape (names, 4)."""
        order = list(self.parts.rows)
        return self.benchmark[[order.index(name) for name in names]]

    def bars(self, names: Sequence[str]) -> Floats:
        """Bars of each combination in parts, shape (combinations, names)."""
        bounds = np.array([self.parts.rows[name] for name in names]).reshape(-1, 2)
        begun = np.maximum(bounds[:, 0], self.begins[:, None])
        found: Floats = np.maximum(bounds[:, 1] - begun, 0).astype(np.float64)
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choosing:
    """What choosing came to; a table is empty where there is too little to choose on."""

    # every way of halving the blocks; None with a single combination or too few blocks
    overfitting: Overfitting | None = None
    # A row per period left out and way of choosing on the rest (`by`: sharpe_ratio or payout):
    # `id`, `title`, `start`, `by`, `chosen` (row of the combination), `benchmark_return`,
    # `points_saved`, those of the middle combination (`middle`) and of the best one (`best`),
    # `rank` (share of combinations that did no better).
    periods: pd.DataFrame = field(default_factory=pd.DataFrame)
    # The mean of `points_saved` by way of choosing, less that of the middle combination.
    gained: Mapping[str, MeanOfFew] = field(default_factory=dict)
    # A row per quarter of the time left out, chosen on the rest by the Sharpe ratio: `start`,
    # `end` (opens of its first and last bar), `chosen`, `sharpe_ratio`,
    # `middle` and `benchmark`, yearly Sharpe ratios, and `rank`.
    eras: pd.DataFrame = field(default_factory=pd.DataFrame)
    # Whole histories of parts that had no say in what was chosen for them: `sharpe_ratio`,
    # yearly, and `growth`, log, of the whole. No table where a block is without bars.
    paths: pd.DataFrame = field(default_factory=pd.DataFrame)
    splits: int = 0  # of which the paths are made


def choosing(tried: Tried) -> Choosing:
    """Choose on part of the time and look at the rest, in four ways."""
    blocks = tried.of(tried.parts.named("block"))
    bars = tried.bars(tried.parts.named("block"))
    whole = bars.sum(axis=1)
    known = whole >= LEAST_BARS
    if known.sum() < 2 or tried.parts.blocks < BLOCKS:
        return Choosing()
    table, gained = _periods_left_out(tried, blocks[..., :2].sum(axis=1), whole)
    paths = _paths(tried, blocks, bars)
    return Choosing(
        overfitting=_overfitting(blocks, bars),
        periods=table,
        gained=gained,
        eras=_eras_left_out(tried, blocks, bars),
        paths=paths,
        splits=math.comb(_GROUPS, _LEFT_OUT) if len(paths) else 0,
    )


def _overfitting(blocks: Floats, bars: Floats) -> Overfitting | None:
    """Over the blocks in which all combinations had begun, an even number of them."""
    full = np.flatnonzero((bars == bars.max(axis=0)).all(axis=0) & (bars[0] > 1.0))
    full = full[len(full) % 2 :]
    if len(full) < 4:
        return None
    own = blocks[:, full]
    return overfitting(own[..., 0], own[..., 1], bars[0, full].astype(int))


def sharpe_ratios(sums: Floats, bars: Floats) -> Floats:
    """Sharpe ratios per bar; 0 where returns do not vary, NaN where there are few bars."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums[..., 0] / bars
        left = sums[..., 1] - bars * mean**2
        flat = left <= 1e-12 * bars * mean**2
        ratio = np.where(flat, 0.0, mean / np.sqrt(np.where(flat, 1.0, left) / (bars - 1.0)))
    return np.where(bars >= LEAST_BARS, ratio, np.nan)


def _best(values: Floats) -> int | None:
    return None if np.isnan(values).all() else int(np.nanargmax(values))


def _periods_left_out(
    tried: Tried, total: Floats, whole: Floats
) -> tuple[pd.DataFrame, dict[str, MeanOfFew]]:
    names, around = tried.parts.named("period"), tried.parts.named("near")
    growth, held = tried.of(names)[..., 2], tried.held(names)[:, 2]
    begun = tried.bars(names) == np.array([np.subtract(*tried.parts.rows[n][::-1]) for n in names])
    growth = np.where(begun, growth, np.nan)  # who was not there the whole period is not judged
    near, near_bars = tried.of(around)[..., :2], tried.bars(around)
    saved = np.exp(growth) - np.exp(held)
    saved[np.abs(saved) < _ROUNDING] = 0.0
    rows = []
    for place, period in enumerate(tried.parts.periods):
        first, last = tried.parts.rows[around[place]]
        apart = [n for n, name in enumerate(names) if _apart(tried.parts.rows[name], first, last)]
        ratios = sharpe_ratios(total - near[:, place], whole - near_bars[:, place])
        payouts = means(growth[:, apart] - held[apart])
        judged = ~np.isnan(saved[:, place])
        for by, values in zip(_CHOICES, (ratios, payouts), strict=True):
            chosen = _best(np.where(judged, values, np.nan))
            if chosen is None:
                continue
            own = saved[judged, place]
            rows.append(
                {
                    "id": period.id,
                    "title": period.title,
                    "start": period.start,
                    "by": by,
                    "chosen": chosen,
                    "benchmark_return": math.expm1(held[place]),
                    "points_saved": saved[chosen, place],
                    "middle": float(np.median(own)),
                    "best": float(own.max()),
                    "rank": float((own <= saved[chosen, place]).mean()),
                }
            )
    table = pd.DataFrame(rows)
    gained = {
        str(by): sign_flip((own["points_saved"] - own["middle"]).to_numpy())
        for by, own in (table.groupby("by", sort=False) if len(table) else ())
    }
    return table, gained


def _apart(part: tuple[int, int], first: int, last: int) -> bool:
    return part[1] <= first or part[0] >= last


def means(values: Floats) -> Floats:
    """Of what is known in each row; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    found: Floats = np.where(known, values, 0.0).sum(axis=1) / np.where(count, count, np.nan)
    return found


def _eras_left_out(tried: Tried, blocks: Floats, bars: Floats) -> pd.DataFrame:
    rows = []
    ends = tried.held(tried.parts.named("block"))
    bounds = [tried.parts.rows[name] for name in tried.parts.named("block")]
    size, yearly = tried.parts.blocks // _ERAS, math.sqrt(tried.periods_per_year)
    for era in range(_ERAS):
        out = list(range(era * size, (era + 1) * size))
        inside, inside_bars = _left(tried, blocks, bars, out)
        own, own_bars = blocks[:, out].sum(axis=1), bars[:, out].sum(axis=1)
        after = sharpe_ratios(own, own_bars)
        chosen = _best(np.where(np.isnan(after), np.nan, sharpe_ratios(inside, inside_bars)))
        if chosen is None:
            continue
        held = ends[out].sum(axis=0)
        length = float(sum(bounds[n][1] - bounds[n][0] for n in out))
        rows.append(
            {
                "start": tried.parts.index[bounds[out[0]][0]],
                "end": tried.parts.index[bounds[out[-1]][1] - 1],
                "chosen": chosen,
                "sharpe_ratio": yearly * after[chosen],
                "middle": yearly * float(np.nanmedian(after)),
                "benchmark": yearly * float(sharpe_ratios(held, np.array(length))),
                "rank": float((after[~np.isnan(after)] <= after[chosen]).mean()),
            }
        )
    return pd.DataFrame(rows)


def _left(tried: Tried, blocks: Floats, bars: Floats, out: Sequence[int]) -> tuple[Floats, Floats]:
    """Sums and bars of all blocks but some, and without what lies beside those."""
    stay = [n for n in range(tried.parts.blocks) if n not in set(out)]
    beside = [f"before_{n}" for n in range(1, tried.parts.blocks) if n in out and n - 1 in stay]
    beside += [f"after_{n}" for n in range(1, tried.parts.blocks) if n - 1 in out and n in stay]
    sums = blocks[:, stay].sum(axis=1) - tried.of(beside).sum(axis=1)
    return sums, bars[:, stay].sum(axis=1) - tried.bars(beside).sum(axis=1)


def _paths(tried: Tried, blocks: Floats, bars: Floats) -> pd.DataFrame:
    """Combinatorial purged cross-validation: every two of eight groups of blocks left out."""
    if (bars < 2).any():
        return pd.DataFrame()
    size = tried.parts.blocks // _GROUPS
    own = blocks.reshape(len(blocks), _GROUPS, size, blocks.shape[2]).sum(axis=2)
    own_bars = bars.reshape(len(bars), _GROUPS, size).sum(axis=2)
    chosen: list[list[int]] = [[] for _ in range(_GROUPS)]
    for left in combinations(range(_GROUPS), _LEFT_OUT):
        out = [group * size + n for group in left for n in range(size)]
        best = _best(sharpe_ratios(*_left(tried, blocks, bars, out)))
        if best is None:
            return pd.DataFrame()
        for group in left:
            chosen[group].append(best)
    which: npt.NDArray[np.int64] = np.array(chosen)  # shape (groups, paths)
    groups = np.arange(_GROUPS)[:, None]
    made = own[which, groups].sum(axis=0)
    ratios = sharpe_ratios(made, own_bars[which, groups].sum(axis=0))
    ratios *= math.sqrt(tried.periods_per_year)
    return pd.DataFrame({"sharpe_ratio": ratios, "growth": made[:, 2]})
