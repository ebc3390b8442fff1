"""Many accounts of several positions over the same bars, and their metrics without their tables.

The numbers are those of `delever.engine.portfolio.portfolio_backtest` and of
`delever.stats.metrics`. A few accounts are run side by side in room that the next few take over;
what is kept of each is the sums behind its metrics, so memory grows neither with the accounts nor,
beyond the market's own bars, with the bars.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats
from delever.bars import spans
from delever.engine.book_compiled import CompiledBook
from delever.engine.book_lines import BookLines, lines_of
from delever.engine.book_market import (
    BookPath,
    LegInput,
    LegTarget,
    Shared,
    check_size,
    lay_out,
    said_of,
)
from delever.engine.kernel_events import ORDERS
from delever.engine.legs import (
    Leg,
    Margin,
    every_contract_once,
    read_leg,
    shared_by,
    union,
    within_margins,
)
from delever.engine.settings import Account, orders_of, with_contract
from delever.engine.steps import Ints
from delever.engine.sweep_accounts import SWEPT_ACCOUNT, Changes, KeptSums, sums_of
from delever.engine.sweep_market import Passing, passing_of
from delever.engine.sweep_metrics import SWEPT, metric_names, part_names
from delever.engine.terms import check_terms
from delever.errors import DeleverError, InputError
from delever.stats.metric import Metric
from delever.stats.sample import no_return
from delever.venues.costs import Costs

_NEARLY = 1e-9
_TOGETHER, _ROOM = 8, 2**18
"""Accounts that are run at once, and bars of all of them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookAccount:
    """What one account of several positions is told."""

    begin: int  # row of the clock with the first bar of its run
    decided: int  # row of the clock at whose close it first decides
    changes: Mapping[str, Changes]  # its targets, which the exposure of its settings multiplies
    # of a symbol its settings named in `SWEPT_ACCOUNT`, where others than those of the market
    accounts: Mapping[str, Account] = field(default_factory=dict)
    # of a symbol fee and slippage of its fills, likewise; models and the fees of rules are always
    # the market's
    costs: Mapping[str, Costs] = field(default_factory=dict)
    band: float | None = None


@dataclass(frozen=True, slots=True)
class _LaidBook:
    """A book of the sweep: positions of one wallet."""

    names: tuple[str, ...]
    path: BookPath
    lines: BookLines
    rows: Mapping[str, Ints]  # bars of each position on the clock, and the one behind its last
    share: float  # of the equity that accounts begin with
    unpriced: Mapping[str, Floats]  # what is paid where some fills have no known price


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookSweep:
    """Several markets, rules and funding as the kernel reads them, laid out once."""

    clock: pd.DatetimeIndex  # shape (n,)
    timeframe: str
    initial_equity: float
    margin: Margin
    given: Mapping[str, Leg]
    legs: Mapping[str, LegInput]
    shared: Shared
    books: tuple[_LaidBook, ...]
    passing: Passing
    parts: Mapping[str, tuple[int, int]]
    notes: tuple[str, ...]
    _orders: dict[Any, Floats] = field(default_factory=dict, init=False, repr=False)

    def run(
        self, accounts: Sequence[BookAccount], *, metrics: Sequence[Metric] = SWEPT
    ) -> tuple[pd.DataFrame, dict[int, str]]:
        """Run accounts: a row of metrics and sums of parts for each, and why some have none.

        Raises InputError if a metric cannot be had from sums.
        """
        from delever.engine.book_swept import blank_of, ways_of  # numba takes long to import

        names = [*metric_names(metrics), *part_names(self.parts)]
        if not accounts:
            return pd.DataFrame(columns=names, dtype="float64"), {}
        kept = sums_of(len(accounts), self.passing, self.initial_equity)
        many = max(1, min(_TOGETHER, _ROOM // len(self.clock), len(accounts)))
        way = ways_of(many, len(self.clock))
        blanks = [
            blank_of(laid.path, self.initial_equity * laid.share, self.margin.shared)
            for laid in self.books
        ]
        begins = np.array([max(one.begin, one.decided + 1) for one in accounts])
        errors: dict[int, str] = {}
        for first in range(0, len(accounts), many):
            some = range(first, min(first + many, len(accounts)))
            self._some(accounts, begins, some, blanks, way, kept, errors)
        frame = kept.frame(
            self.passing,
            self.parts,
            begins=begins,
            waiting=begins - [one.begin for one in accounts],
            timeframe=self.timeframe,
            metrics=metrics,
        )
        if errors:
            frame.iloc[list(errors)] = np.nan
        return frame, errors

    def _some(
        self,
        accounts: Sequence[BookAccount],
        begins: Ints,
        some: Iterable[int],
        blanks: Sequence[CompiledBook],
        way: Any,
        kept: KeptSums,
        errors: dict[int, str],
    ) -> None:
        """Run some accounts, and keep their sums; why a single run refuses one goes to `errors`."""
        from delever.engine.book_measured import measure_ways  # numba takes long to import
        from delever.engine.book_swept import room_of, walk_book

        told, asked = {}, {}
        for row in some:
            try:
                settings = self._told(accounts[row])
                asked[row] = self._asked(accounts[row], int(begins[row]), settings)
                told[row] = settings
            except DeleverError as error:
                errors[row] = str(error)
        rows = np.array([*asked], dtype=np.int64)
        for numbers in way:
            numbers[: len(rows)] = 0.0
        both = np.array([(accounts[row].begin, begins[row]) for row in asked], dtype=np.int64)
        both = both.reshape(len(rows), 2)
        for laid, blank in zip(self.books, blanks, strict=True):
            asks = self._asks(laid, [accounts[row] for row in asked], both, told, asked)
            room = room_of(laid.path.market, blank, asks)
            walk_book(
                *(blank, room, laid.lines, self.passing, asks, way, rows, kept.scopes, kept.ends),
                np.empty((2, len(laid.names)), dtype=np.int64),
            )
            for which in np.flatnonzero(room.ended[:, 0]).tolist():
                row, (place, bar, measure) = int(rows[which]), room.ended[which]
                name = laid.names[int(place) - 1]
                leverage = told[row].get(name, self.given[name].account).leverage
                try:
                    check_size(laid.path, (name, int(place) - 1), self.legs[name].index,
                               self.clock[int(bar)], leverage, measure)  # fmt: skip
                except DeleverError as error:
                    errors.setdefault(row, str(error))
        measure_ways(
            *(self.passing, both[:, 1].copy(), self.initial_equity, way, rows),
            *(kept.ends, kept.scopes, kept.parts),
        )
        for row in rows.tolist():
            bar = int(kept.ends["refused"][row])
            if bar >= 0:
                beyond = float(kept.ends["excess"][row])
                said = no_return(bar - accounts[row].begin, self.clock[bar], beyond)
                errors.setdefault(row, str(said))

    def _told(self, one: BookAccount) -> dict[str, Account]:
        """Accounts of the positions whose settings are not those of the market."""
        return {
            name: replace(self.given[name].account, **_swept(account))
            for name, account in one.accounts.items()
        }

    def _asked(
        self, one: BookAccount, begin: int, told: Mapping[str, Account]
    ) -> dict[str, tuple[Ints, Floats]]:
        """Targets at the bars that each position has. Raises as `portfolio_backtest`."""
        found: dict[str, tuple[Ints, Floats]] = {}
        n = len(self.clock)
        for laid in self.books:
            for name in laid.names:
                account = told.get(name, self.given[name].account)
                asked = one.changes[name].since(begin)
                targets, most = asked.targets * account.exposure, account.leverage
                if not max(targets.max(), -targets.min()) <= most:
                    beyond = np.flatnonzero(~(np.abs(targets) <= most))
                    when = self.clock[max(int(asked.bars[beyond[0]]) - 1, 0)]
                    raise InputError(
                        f"{name}: target_exposure must lie in [{-most:g}, {most:g}], its leverage; "
                        f"the bar of {when:%Y-%m-%d %H:%M} asks for {targets[beyond[0]]:g}; scale "
                        "it, or set a higher leverage"
                    )
                own, bars = laid.rows[name], asked.bars
                if len(own) <= n:  # it lacks some bars
                    bars = own[np.searchsorted(own, np.minimum(bars, n))]
                    bars, targets = bars[bars < n], targets[bars < n]
                found[name] = bars, targets
                if name in laid.unpriced:
                    at = np.searchsorted(bars, own[:-1], side="right")
                    with said_of(name):
                        check_terms(
                            laid.unpriced[name], np.append(0.0, targets)[at], self.legs[name].index
                        )
        if self.margin.mode == "separate":
            return found
        return self._within_margins(one, found, told)

    def _within_margins(
        self,
        one: BookAccount,
        asked: dict[str, tuple[Ints, Floats]],
        told: Mapping[str, Account],
    ) -> dict[str, tuple[Ints, Floats]]:
        """Targets that one wallet can hold together.

        First by what is surely enough, all at their furthest; then at the bars with new targets
        alone; else as a single run.
        """
        most = 0.0
        for name, (_, targets) in asked.items():
            leverage = told.get(name, self.given[name].account).leverage
            most += max(targets.max(initial=0.0), -targets.min(initial=0.0)) / leverage
        if most <= 1.0:
            return asked
        bars = np.unique(np.concatenate([rows for rows, _ in asked.values()]))
        needs = np.zeros(len(bars))
        for name, (rows, targets) in asked.items():
            account = told.get(name, self.given[name].account)
            need = np.abs(targets) / account.leverage
            if account.contract is None:
                free = float(self.shared.counted[name].min())
                need = np.where(targets > 0.0, targets * (1.0 - free), need)
            last = np.searchsorted(rows, bars, side="right")
            needs += np.append(0.0, need)[last]
        if not (needs > 1.0 + _NEARLY).any():
            return asked
        decided, legs, counted = {}, {}, {}
        laid = self.books[0]
        for name, (rows, targets) in asked.items():
            own, leg = laid.rows[name][:-1], self.legs[name]
            first = int(np.searchsorted(own, one.begin))
            at = np.searchsorted(rows, own[first:], side="right")
            decided[name] = LegTarget(0.0, np.append(0.0, targets)[at])
            legs[name] = replace(
                leg,
                index=leg.index[first:],
                account=replace(leg.account, leverage=told.get(name, leg.account).leverage),
            )
            counted[name] = self.shared.counted[name][first:]
        shared = self.shared._replace(counted=counted)
        clock = self.clock[one.begin :]
        allowed, _ = within_margins(decided, legs, self.margin, shared, clock, self.timeframe)
        made = {}
        for name, each in allowed.items():
            own = laid.rows[name][-len(each.asked) - 1 : -1]
            changed = np.flatnonzero(np.diff(each.asked, prepend=0.0) != 0.0)
            made[name] = own[changed], each.asked[changed]
        return made

    def _asks(
        self,
        laid: _LaidBook,
        accounts: Sequence[BookAccount],
        begins: Ints,
        told: Mapping[int, Mapping[str, Account]],
        asked: Mapping[int, Mapping[str, tuple[Ints, Floats]]],
    ) -> Any:
        """What some accounts ask of a book."""
        from delever.engine.book_swept import BookAsks

        each = [rows[name] for rows in asked.values() for name in laid.names]
        sizes = np.array([len(bars) for bars, _ in each], dtype=np.int64)
        ends = np.cumsum(sizes).reshape(len(asked), len(laid.names))
        firsts = np.column_stack([ends[:, 0] - sizes[:: len(laid.names)], ends])
        orders, own = [], []
        for one, settings in zip(accounts, told.values(), strict=True):
            orders.append([self._numbers(name, one, settings.get(name)) for name in laid.names])
            own.append([_fees(one.costs.get(name, self.legs[name].costs)) for name in laid.names])
        shape = (len(accounts), len(laid.names))
        numbers = np.array(orders, dtype=np.float64).reshape(*shape, len(ORDERS.names or ()))
        return BookAsks(
            begins,
            firsts,
            np.concatenate([np.zeros(0, dtype=np.int64), *(bars for bars, _ in each)]),
            np.concatenate([np.zeros(0), *(targets for _, targets in each)]),
            numbers.view(ORDERS)[:, :, 0],
            np.array(own, dtype=np.float64).reshape(*shape, 3),
        )

    def _numbers(self, name: str, one: BookAccount, told: Account | None) -> Floats:
        """Numbers of a position's account, with the contract of the day it begins on."""
        leg = self.legs[name]
        account = told or self.given[name].account
        key = (name, one.begin, one.band, *_swept(account).values())
        if key not in self._orders:
            first = min(int(leg.index.searchsorted(self.clock[one.begin])), len(leg.index) - 1)
            day = leg.index[first].date()
            band = math.inf if one.band is None else one.band
            read = replace(with_contract(account, day), margin_mode=leg.account.margin_mode)
            self._orders[key] = np.array(orders_of(read, band=band), dtype=np.float64)
        return self._orders[key]


def book_sweep(
    legs: Mapping[str, Leg],
    *,
    timeframe: str,
    margin: Margin,
    inside: npt.NDArray[np.bool_] | None = None,
    initial_equity: float = 10_000.0,
    parts: Mapping[str, tuple[int, int]] | None = None,
) -> BookSweep:
    """Lay out what all accounts of a sweep have in common, and the parts to keep sums of.

    Raises InputError for bounds, which a sweep has no columns for, and what `portfolio_backtest`
    refuses of legs; DataError if rules, funding, detail or mark do not cover a leg's bars.
    """
    without_bounds({name: leg.account for name, leg in legs.items()})
    every_contract_once(legs, margin)
    names = sorted(legs)
    read = {name: read_leg(name, legs[name], margin, None, timeframe) for name in names}
    for name, one in read.items():
        if one.account.inverse:
            raise InputError(
                f"{name}: a sweep of several symbols does not cover inverse contracts; run the "
                "combinations one by one"
            )
    clock = union([leg.index for leg in read.values()])
    shared, said = shared_by(margin, read, clock)
    within = np.zeros(len(clock), dtype=np.bool_) if inside is None else inside
    passing = passing_of(within, spans(clock, timeframe), parts or {})
    separate = margin.mode == "separate"
    shares = margin.weights or dict.fromkeys(names, 1.0 / len(names))
    books = []
    for group in [[name] for name in names] if separate else [names]:
        # What is swept of the costs is paid on top.
        own = {name: replace(read[name], costs=_parts_alone(read[name].costs)) for name in group}
        path = lay_out(
            own,
            {name: LegTarget(0.0, np.zeros(len(leg.index))) for name, leg in own.items()},
            clock,
            timeframe=timeframe,
            band=math.inf,
            resolution="run",
            shared=shared,
        )
        lines = lines_of(path, own, clock)
        rows = {name: _rows_on(clock, leg.index) for name, leg in own.items()}
        share = float(shares[group[0]]) if separate else 1.0
        paid = np.split(path.terms.paid, path.terms.bar_begin[1:-1])
        unpriced = {name: one for name, one in zip(own, paid, strict=True) if np.isnan(one).any()}
        books.append(_LaidBook(tuple(group), path, lines, rows, share, unpriced))
    return BookSweep(
        clock=clock,
        timeframe=timeframe,
        initial_equity=float(initial_equity),
        margin=margin,
        given={name: legs[name] for name in names},
        legs=read,
        shared=shared,
        books=tuple(books),
        passing=passing,
        parts=parts or {},
        notes=(*(note for laid in books for note in laid.path.notes), *said),
    )


def without_bounds(accounts: Mapping[str, Account]) -> None:
    """Refuse bounds."""
    for name, account in accounts.items():
        if account.bounds:
            raise InputError(
                f"{name}: a sweep has no columns for bounds; leave them out, or run one by one"
            )


def _rows_on(clock: pd.DatetimeIndex, index: pd.DatetimeIndex) -> Ints:
    return np.append(clock.get_indexer(index), len(clock)).astype(np.int64)


def _parts_alone(costs: Costs) -> Costs:
    return replace(costs, maker_fee=0.0, taker_fee=0.0, slippage=0.0)


def _fees(costs: Costs) -> tuple[float, float, float]:
    return costs.fee, costs.maker_fee, costs.slippage


def _swept(account: Account) -> dict[str, Any]:
    return {name: getattr(account, name) for name in SWEPT_ACCOUNT}
