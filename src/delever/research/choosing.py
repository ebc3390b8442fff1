"""What choosing the best of a sweep comes to on bars that had no say in the choice.

All of it follows from sums over parts of the bars, so no combination is run again. Equity is not
carried from one part to the next: where paths are put together, each part is what the combination
chosen there made on it, without the cost of changing over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Flags, Floats, Rows
from delever.deleveraging.membership import overlapping, per_period
from delever.deleveraging.period import Period
from delever.stats.overfitting import Overfitting, overfitting, sharpe_of_sums

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
_MOST_DRAWS, _LEAST_DRAWS = 399, 99
_MOST_SHUFFLED = 12_000_000  # values in all draws together: bounds time


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Stretches of a sweep's bars, by name, as the rows from and to which they reach."""

    rows: Mapping[str, tuple[int, int]]
    periods: tuple[Period, ...]
    blocks: int
    index: pd.DatetimeIndex  # open times of the bars
    timeframe: str

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
        return cls(rows=rows, periods=seen, blocks=blocks, index=index, timeframe=timeframe)

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

    def some(self, rows: Flags) -> Tried:
        """Those of some combinations."""
        return replace(self, sums=self.sums[rows], begins=self.begins[rows])

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Gained:
    """What choosing without a period saved in it beyond the median combination, on average.

    Its p-value is one-sided, against combinations that keep nothing from one period to another:
    those of each period change places among themselves, and are chosen from anew.
    """

    mean: float  # points
    p_value: float
    draws: int


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
    gained: Mapping[str, Gained] = field(default_factory=dict)  # by way of choosing
    # A row per quarter of the time left out, chosen on the rest by the Sharpe ratio: `start`,
    # `end` (opens of its first and last bar), `chosen`, `sharpe_ratio`,
    # `middle` and `benchmark`, yearly Sharpe ratios, and `rank`.
    eras: pd.DataFrame = field(default_factory=pd.DataFrame)
    # Whole histories of parts that had no say in what was chosen for them: `sharpe_ratio`,
    # yearly, `growth`, log, of the whole, and `payout`, the mean over the deleveraging periods that
    # lie wholly in one part (NaN without one). No table where a block is without bars.
    paths: pd.DataFrame = field(default_factory=pd.DataFrame)

    def of_rows(self, rows: Rows) -> Choosing:
        """The same with `chosen` as rows of a larger table, of which those chosen from are some."""
        told = self.overfitting
        periods, eras = (
            table.assign(chosen=rows[table["chosen"]]) if len(table) else table
            for table in (self.periods, self.eras)
        )
        halved = None if told is None else replace(told, chosen=rows[told.chosen])
        return replace(self, overfitting=halved, periods=periods, eras=eras)


def choosing(tried: Tried) -> Choosing:
    """Choose on part of the time and look at the rest, in four ways."""
    blocks = tried.of(tried.parts.named("block"))
    bars = tried.bars(tried.parts.named("block"))
    whole = bars.sum(axis=1)
    known = whole >= LEAST_BARS
    if known.sum() < 2 or tried.parts.blocks < BLOCKS:
        return Choosing()
    table, gained = _periods_left_out(tried, blocks[..., :2].sum(axis=1), whole)
    return Choosing(
        overfitting=_overfitting(blocks, bars),
        periods=table,
        gained=gained,
        eras=_eras_left_out(tried, blocks, bars),
        paths=_paths(tried, blocks, bars),
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
    ratio = sharpe_of_sums(sums[..., 0], sums[..., 1], bars)
    return np.where(bars >= LEAST_BARS, ratio, np.nan)


def _best(values: Floats) -> int | None:
    return None if np.isnan(values).all() else int(np.nanargmax(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Periods:
    """What choosing without a period looks at, a row per period and a column per combination."""

    saved: Floats  # shape (periods, combinations): points; NaN where not there all along
    # shape (3 or 4, periods, combinations): sums of returns and of squares in each, log growth
    # against the benchmark, and, if any lost everything in a period, 1 there
    sums: Floats
    rest: Floats  # the first two of all bars that are near no period or only near others
    bars: Floats  # of what chooses, by the period left out; NaN where too few, or nothing saved
    count: Floats  # periods that choose, by the period left out; NaN in the same way
    apart: Floats  # shape (periods, periods): 1 where the second may choose for the first
    middle: Floats  # shape (periods,): median of `saved`
    whose: Rows | None = None  # place of the values in `saved`, once they have changed places

    def chosen(self) -> dict[str, Rows]:
        """Column chosen without each period, by each way of choosing; -1 where there is none."""
        returns, squares, paid, *ruined = self.apart @ self.sums
        for gone in ruined:
            paid[gone > 0.0] = -np.inf
        ratios = sharpe_of_sums(self.rest[0] + returns, self.rest[1] + squares, self.bars)
        return {
            by: self._best(values)
            for by, values in zip(_CHOICES, (ratios, paid / self.count), strict=True)
        }

    def _best(self, values: Floats) -> Rows:
        values = np.where(np.isnan(values), -np.inf, values)
        best = values.argmax(axis=1)
        return np.where(np.isinf(values[np.arange(len(values)), best]), -1, best)

    def gained(self, chosen: Rows) -> Floats:
        """Points that each choice saved beyond the median combination; NaN without one."""
        at = np.arange(len(chosen)), chosen
        own = self.saved[at] if self.whose is None else self.saved.take(self.whose[at])
        return np.where(chosen < 0, np.nan, own - self.middle)

    def shuffled(self, rng: np.random.Generator) -> _Periods:
        """The same with the combinations of each period in another order, period by period."""
        whose = np.arange(self.saved.size).reshape(self.saved.shape)
        for order, known in zip(whose, ~np.isnan(self.saved), strict=True):
            order[known] = rng.permutation(order[known])
        sums = [own.take(whose) for own in self.sums]
        return replace(self, sums=np.stack(sums), whose=whose)

    def rounded(self) -> _Periods:
        """The same in single precision, which chooses as well in half the time."""
        names = ("sums", "rest", "bars", "count", "apart")
        return replace(self, **{name: getattr(self, name).astype(np.float32) for name in names})


def _periods_of(tried: Tried, total: Floats, whole: Floats) -> _Periods:
    names, around = tried.parts.named("period"), tried.parts.named("near")
    sums, held = np.ascontiguousarray(tried.of(names)[..., :3].T), tried.held(names)[:, 2]
    spans = [tried.parts.rows[name] for name in names]
    lasting = np.array([last - first for first, last in spans])
    growth = np.where(lasting[:, None] == tried.bars(names).T, sums[2], np.nan)
    saved = np.exp(growth) - np.exp(held)[:, None]
    saved[np.abs(saved) < _ROUNDING] = 0.0
    known = ~np.isnan(saved)
    middle = np.array(
        [
            np.median(own[there]) if there.any() else np.nan
            for own, there in zip(saved, known, strict=True)
        ]
    )
    near = [tried.parts.rows[name] for name in around]
    apart = np.array([[_apart(span, *one) for span in spans] for one in near], dtype=np.float64)
    beside = np.ascontiguousarray(tried.of(around)[..., :2].T)
    paid = growth - held[:, None]
    sums[2] = np.where(np.isfinite(paid), paid, 0.0)
    if (ruined := np.isneginf(paid)).any():
        sums = np.concatenate([sums, ruined[None]])
    bars, count = whole - tried.bars(around).T, apart @ known
    return _Periods(
        saved=saved,
        sums=sums,
        rest=total.T[:, None] - beside - apart @ sums[:2],
        bars=np.where(known & (bars >= LEAST_BARS), bars, np.nan),
        count=np.where(known & (count > 0.0), count, np.nan),
        apart=apart,
        middle=middle,
    )


def _periods_left_out(
    tried: Tried, total: Floats, whole: Floats
) -> tuple[pd.DataFrame, dict[str, Gained]]:
    if not tried.parts.periods:
        return pd.DataFrame(), {}
    found = _periods_of(tried, total, whole)
    held = tried.held(tried.parts.named("period"))[:, 2]
    choices = found.chosen()
    rows = []
    for place, period in enumerate(tried.parts.periods):
        own = found.saved[place]
        own = own[~np.isnan(own)]
        for by, chosen in choices.items():
            if chosen[place] < 0:
                continue
            made = found.saved[place, chosen[place]]
            rows.append(
                {
                    "id": period.id,
                    "title": period.title,
                    "start": period.start,
                    "by": by,
                    "chosen": int(chosen[place]),
                    "benchmark_return": math.expm1(held[place]),
                    "points_saved": made,
                    "middle": float(found.middle[place]),
                    "best": float(own.max()),
                    "rank": float((own <= made).mean()),
                }
            )
    if not rows:
        return pd.DataFrame(), {}
    draws = max(min(_MOST_DRAWS, _MOST_SHUFFLED // found.saved.size), _LEAST_DRAWS)
    drawn: dict[str, list[float]] = {by: [] for by in _CHOICES}
    rng, rounded = np.random.default_rng(0), found.rounded()
    for _ in range(draws):
        other = rounded.shuffled(rng)
        for by, chosen in other.chosen().items():
            gains = other.gained(chosen)
            if not np.isnan(gains).all():  # chosen in no period at all
                drawn[by].append(float(np.nanmean(gains)))
    gained = {}
    for by, chosen in choices.items():
        gains = found.gained(chosen)
        if np.isnan(gains).all() or not drawn[by]:
            continue
        mean, draws = float(np.nanmean(gains)), len(drawn[by])
        as_much = sum(value >= mean - _ROUNDING for value in drawn[by])
        gained[by] = Gained(mean=mean, p_value=(1 + as_much) / (1 + draws), draws=draws)
    return pd.DataFrame(rows), gained


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
    """Returns, squares and bars of all blocks but some, and without what lies beside those."""
    stay = [n for n in range(tried.parts.blocks) if n not in set(out)]
    beside = [f"before_{n}" for n in range(1, tried.parts.blocks) if n in out and n - 1 in stay]
    beside += [f"after_{n}" for n in range(1, tried.parts.blocks) if n - 1 in out and n in stay]
    kept, gone = (each[:, :, :2] for each in (blocks[:, stay], tried.of(beside)))  # growth may be
    sums = kept.sum(axis=1) - gone.sum(axis=1)  # without bound: ruin
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
    payouts = _paid_out(tried, which, size)
    return pd.DataFrame({"sharpe_ratio": ratios, "growth": made[:, 2], "payout": payouts})


def _paid_out(tried: Tried, which: Rows, size: int) -> Floats:
    """Mean payout of each history, of rows chosen for groups of so many blocks."""
    names = tried.parts.named("period")
    paid = tried.of(names)[..., 2] - tried.held(names)[:, 2]
    ends = [tried.parts.rows[name] for name in tried.parts.named("block")]
    spans = [(ends[group * size][0], ends[group * size + size - 1][1]) for group in range(_GROUPS)]
    found = [
        np.where(tried.begins[which[group]] <= first, paid[which[group], place], np.nan)
        for place, (first, last) in enumerate(tried.parts.rows[name] for name in names)
        for group, (begin, end) in enumerate(spans)
        if begin <= first and last <= end
    ]
    return means(np.array(found).T) if found else np.full(which.shape[1], np.nan)
