"""What the combinations of a sweep share, of one symbol or of several, and their rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats
from delever.deleveraging.membership import membership
from delever.deleveraging.period import Period
from delever.engine.backtest import Backtest
from delever.engine.orders import Target
from delever.engine.sweep_metrics import PART_SUMS, TOTALS, asked_metrics, metric_names, part_names
from delever.errors import DeleverError
from delever.memo import shared_work
from delever.research.choosing import Parts
from delever.research.evaluation import sample_of
from delever.stats.metrics import SCOPES, AsMetric, Metric, Sample, compute_scopes
from delever.study.sweeps.asking import Asking

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedGround:
    """What all combinations of a sweep share; its two kinds say what one asks for, and run it."""

    market: Any  # up to the end of the sweep
    benchmark: Any
    periods: tuple[Period, ...]  # deleveraging periods
    start: pd.Timestamp | None
    initial_equity: float
    costs_times: float = 1.0
    metrics: tuple[AsMetric, ...] = ()  # beside those of the package
    own_parts: Parts | None = None  # in place of blocks and periods
    # how the strategy is asked, found as it goes, for this ground alone
    asking: Asking = field(default_factory=Asking, init=False)

    @property
    def first(self: Any) -> int:
        """Row of the first bar that a run may hold."""
        opens = [time for time in (self.start, self.tradable) if time is not None]
        return max((int(self.market.index.searchsorted(time)) for time in opens), default=0)

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Bars inside deleveraging periods."""
        return membership(self.market.index, self.market.timeframe, self.periods).to_numpy()

    @property
    def parts(self) -> Parts:
        """Parts of the bars that a run may hold, of which sums are kept."""
        if self.own_parts is not None:
            return self.own_parts
        market = self.market
        return Parts.of(market.index, market.timeframe, self.first, self.periods)

    def parts_from(self, begin: int) -> dict[str, tuple[int, int]]:
        """The rows of each part, counted from a row on."""
        return {name: (a - begin, b - begin) for name, (a, b) in self.parts.rows.items()}

    def scopes(self: Any, target: Target, begin: int) -> dict[str, Flags]:
        """The bars of a run in each scope; those before a decision are in the whole alone."""
        inside = self.inside[begin:]
        decided = np.arange(begin, begin + len(inside)) > self.decided(target)
        whole = np.ones(len(inside), dtype=bool)
        return {"whole": whole, "inside": inside & decided, "outside": ~inside & decided}

    def rows(
        self: Any,
        wanted: Iterable[Any],
        *,
        shared_bytes: int = 64 * 2**20,
        target_bytes: int = 64 * 2**20,
    ) -> pd.DataFrame:
        """A row per combination: metrics, sums in parts, ``start``, and why it has none."""
        by_sums, by_run = asked_metrics(self.metrics)
        by_bars: dict[int, list[float]] = {}  # whole rows, and the further metrics
        further: dict[int, list[float]] = {}
        errors: dict[int, str] = {}
        begins: dict[int, int] = {}
        decided: dict[int, int] = {}
        batch: dict[int, Any] = {}
        parts, held, count, always = [], 0, 0, bool(self.why_alone)
        with shared_work(shared_bytes):
            ones, asks = itertools.tee(wanted)
            for row, (one, answer) in enumerate(zip(ones, self.answers(asks), strict=True)):
                count = row + 1
                if isinstance(answer, DeleverError):
                    errors[row] = str(answer)
                    continue
                begins[row], decided[row] = answer.begin, answer.decided
                alone = always or self.is_alone(one, answer)
                if by_run or alone:
                    try:
                        sums = by_sums if alone else ()
                        by_bars[row], further[row] = self._run_alone(one, answer, sums, by_run)
                    except DeleverError as error:
                        errors[row] = str(error)
                        continue
                if alone:
                    continue
                batch[row] = self.held(one, answer)
                held += answer.nbytes
                if held > target_bytes:
                    parts.append(self.simulated(batch, by_sums, errors))
                    batch, held = {}, 0
            parts.append(self.simulated(batch, by_sums, errors))
        every = range(count)
        start, first = (
            pd.Series(self.market.index[list(each.values())], index=list(each)).reindex(every)
            for each in (begins, decided)
        )
        whole = {row: values for row, values in by_bars.items() if values}
        parts.append(table_of(whole, [*metric_names(by_sums), *part_names(self.parts.rows)]))
        own = table_of(further, metric_names(by_run, totals=()))
        measured: pd.DataFrame = pd.concat(
            [pd.concat(parts).reindex(every), own.reindex(every)], axis=1
        )
        return measured.assign(
            start=start, first_decision=first, error=[errors.get(row, "") for row in every]
        )

    def _run_alone(
        self: Any, one: Any, answer: Any, by_sums: Sequence[Metric], by_run: Sequence[Metric]
    ) -> tuple[list[float], list[float]]:
        """Run a combination by itself: what sums hold, without `by_sums` nothing, and the rest."""
        if by_sums:
            self.refuse_bounds(one)
        target, begin = self.target(one, answer)
        run = self.alone(one, target, begin)
        held = self.beside(one, begin) if any(each.against_benchmark for each in by_run) else None
        sample, scopes = sample_of(run, held), self.scopes(target, begin)
        further = scoped(sample, scopes, by_run)
        if not by_sums:
            return [], further
        small = self.below_a_lot(run, begin)
        return columns_of(run, sample, scopes, by_sums, self.parts, begin, small=small), further


def columns_of(
    done: Backtest,
    sample: Sample,
    scopes: Mapping[str, Flags],
    metrics: Sequence[Metric],
    parts: Parts,
    begin: int,
    *,
    small: float,
) -> list[float]:
    """The columns of a sweep, of a single run that begins at a row."""
    table = compute_scopes(sample, scopes, metrics)
    totals = {name: _totals(done, bars) for name, bars in scopes.items()}
    columns = [
        value
        for scope in SCOPES
        for value in (
            *(float(table[scope][each.name]) for each in metrics if scope in each.scopes),
            *(totals[scope][name] for name in TOTALS),
        )
    ]
    return [*columns, small, *in_parts(done, parts, begin).ravel().tolist()]


def table_of(values: Mapping[int, Sequence[float]], names: Sequence[str]) -> pd.DataFrame:
    """Columns of combinations that were run by themselves, by row."""
    table = np.array(list(values.values()), dtype=np.float64).reshape(len(values), len(names))
    return pd.DataFrame(table, index=list(values), columns=list(names))


def scoped(sample: Sample, scopes: Mapping[str, Flags], metrics: Sequence[Metric]) -> list[float]:
    """The columns of metrics of a sweep, measured on a single run."""
    table = compute_scopes(sample, scopes, metrics)
    return [
        float(table[scope][each.name])
        for scope in SCOPES
        for each in metrics
        if scope in each.scopes
    ]


def _totals(done: Backtest, bars: Flags) -> dict[str, float]:
    """Totals of a run's ledger in a scope; of what its account does not pay, 0."""
    index, fills = done.ledger.index, done.fills
    forced = index.get_indexer(pd.Index(fills["time"][fills["reason"] == "liquidation"]))
    there = {name: float(done.ledger[name][bars].sum()) for name in TOTALS if name in done.ledger}
    return dict.fromkeys(TOTALS, 0.0) | there | {"liquidations": float(bars[forced].sum())}


def in_parts(done: Backtest, parts: Parts, begin: int) -> Floats:
    """The sums of a sweep in each part of a run that begins at a row; shape (parts, sums)."""
    returns = done.returns.to_numpy(dtype=np.float64)
    equity = np.append(done.initial_equity, done.equity.to_numpy(dtype=np.float64))
    index = pd.DatetimeIndex(done.ledger.index)
    ended = pd.DatetimeIndex(done.trades["exit_time"][done.trades["status"] != "open"])
    closed = np.bincount(index.searchsorted(ended, side="right") - 1, minlength=len(index))
    sums = np.column_stack([returns, returns**2, np.zeros(len(returns)), closed])
    since = np.concatenate([np.zeros((1, len(PART_SUMS))), sums.cumsum(axis=0)])
    bounds = np.clip(np.array(list(parts.rows.values()), dtype=np.int64) - begin, 0, None)
    first, last = bounds.reshape(-1, 2).T
    found: Floats = since[last] - since[first]
    before, after = equity[first], equity[last]
    with np.errstate(divide="ignore", invalid="ignore"):  # an account may lose everything
        found[:, 2] = np.where(before > 0.0, np.log(after / before), 0.0)
    return found
