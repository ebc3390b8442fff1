"""The path that several positions of one account walk: their bars on one clock.

The clock is the union of the open times of all bars. A position whose bar is missing stays at its
last known mark and trades nothing until its next bar, which settles the funding stamped meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from delever.arguments import Floats, counted
from delever.bars import close_times
from delever.engine.orders import exposures_in, laid_out
from delever.engine.settings import Account, Orders, Resolution, loaded, orders_of
from delever.engine.steps import Ints, MarketArrays, Said, TermArrays, walk
from delever.engine.terms import check_terms, terms
from delever.errors import DeleverError, InputError
from delever.units import timeframe_delta
from delever.venues.brackets import check_leverage
from delever.venues.costs import Costs
from delever.venues.rules import Rules


@dataclass(frozen=True, slots=True)
class LegInput:
    """A position's market and account, checked."""

    index: pd.DatetimeIndex  # open times
    prices: Floats
    bars: pd.DataFrame
    account: Account
    costs: Costs
    ends: str | float | None
    patience: pd.Timedelta | None = None
    ended: pd.Timestamp | None = None
    earlier: pd.DataFrame | None = None


class LegTarget(NamedTuple):
    """What is asked of a position."""

    pending: float  # decided last, which no bar has filled
    asked: Floats  # exposure asked for at each bar's open
    said: pd.DataFrame | None = None  # orders in force in each bar, as `before_bars` gives them

    def furthest(self) -> Floats:
        """Exposure of the last rung that each bar may reach; without a ladder, the target."""
        said, reached = self.said, self.asked
        if said is not None:
            for name in exposures_in(said):
                reached = np.where(said[name].isna(), reached, said[name])
        return np.asarray(reached, dtype=np.float64)

    def leverage(self, of_account: float) -> Floats | float:
        """Leverage in force in each bar."""
        if self.said is None or "leverage" not in self.said:
            return of_account
        return self.said["leverage"].fillna(of_account).to_numpy()

    def times(self, shares: Floats) -> LegTarget:
        """The same with all exposures of each bar times a share."""
        said = self.said
        if said is not None:
            rungs = exposures_in(said)
            said = said.assign(**said[rungs].mul(shares, axis=0))
        return LegTarget(self.pending, self.asked * shares, said)

    def laid_out(self, orders: Orders) -> Said:
        """What the loops read of it."""
        return laid_out(self.said, self.walked(orders.inverse > 0.0), orders)

    def walked(self, inverse: bool) -> Floats:
        """Exposures as the loops walk them, of reciprocal prices or not."""
        return 0.0 - self.asked if inverse else self.asked


class Cut(NamedTuple):
    """How positions that stand together are liquidated, as numbers."""

    by: float  # everything at once, by brackets, by a share: 0, 1, 2
    size: float  # brackets, or the share
    above: float  # notional up to which a position goes whole
    by_margin: float  # whether the largest maintenance margin goes first; else the largest loss


class Shared(NamedTuple):
    """How the positions of a book stand behind each other."""

    cross: bool  # whether they do
    counted: Mapping[str, Floats]  # by position, the share of a spot holding that is collateral
    cuts: Floats  # the columns of `Cut`, bar by bar of the clock


class Moves(NamedTuple):
    """How positions moved together, step by step of the clock."""

    each: Floats  # shape (k, legs): close / open - 1 of the last price; NaN where there is no step
    # shape (ceil(k / STRETCH) + 1, 2, legs, legs): over the steps before each stretch, sums of the
    # products of two positions' moves, and how many there were
    sums: Floats


class BookMarket(NamedTuple):
    """What the market does, position by position; rows of all of them one after the other."""

    first: Ints  # shape (n + 1,): bar t of the clock is made of its steps first[t] to first[t + 1]
    times: Ints  # shape (k,): open time of each step of the clock, nanoseconds
    opened: Ints  # shape (n,): open time of each bar of the clock
    step_begin: Ints  # shape (legs + 1,): where the steps of a position begin in the rows below
    opens: Ints  # open time of each step
    prices: Floats  # the columns of `Prices`, of the last price
    marks: Floats  # of the mark price
    funding: Floats  # the columns of `Funding`
    moves: Moves


class BookTerms(NamedTuple):
    """What is asked for and what it costs, bar by bar of each position."""

    bar_begin: Ints  # shape (legs + 1,): where the bars of a position begin in the rows below
    opens: Ints  # open time of each bar
    targets: Floats  # asked for at each bar's open
    rule: Ints  # which rules hold
    paid: Floats  # the columns of `FillTerms`
    counted: Floats  # share of a spot holding that counts as collateral
    brackets: Floats  # shape (legs, rules, brackets, 4)
    how: Floats  # shape (legs, rules, 3)
    spot: Floats  # shape (legs,): whether the position needs no margin
    # shape (legs + 1,): where the orders of a position begin in the rows below, one for all of its
    # bars, or those in force when each opens and, one on, once what was decided is carried out
    order_begin: Ints
    orders: Floats  # the columns of `Orders`
    rungs: Floats  # bar by bar, as `Said` has them; no row where no decision names an order
    again: Floats
    leaves: Ints  # bar of the clock with which a position goes if no bar came by then; -1: none
    settle: Floats  # price of what goes so; inf: its last close
    own: Floats  # shape (legs, 3): taker and maker fee and slippage that each pays on top
    cuts: Floats  # shape (n, 4): the columns of `Cut`, bar by bar of the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class BookPath:
    """The steps of a run of several positions, and what is not known about them."""

    market: BookMarket
    terms: BookTerms
    rules: tuple[tuple[Rules, ...], ...]  # of each position
    notes: tuple[str, ...]


@contextmanager
def said_of(name: str) -> Iterator[None]:
    """Put the name of a position in front of what is refused about it."""
    try:
        yield
    except DeleverError as error:
        raise type(error)(f"{name}: {error}") from None


def check_size(
    path: BookPath,
    leg: tuple[str, int],
    index: pd.DatetimeIndex,
    when: pd.Timestamp,
    leverage: float,
    measure: float,
) -> None:
    """Raise InputError where the brackets of a bar do not allow a size of a position.

    `leg` is its name and place, `index` the open times of its bars.
    """
    name, place = leg
    row = int(path.terms.bar_begin[place] + index.searchsorted(when))
    brackets = path.rules[place][int(path.terms.rule[row])].brackets
    with said_of(f"{name}: the bar of {when:%Y-%m-%d %H:%M}"):
        check_leverage(leverage, measure, brackets)


def lay_out(
    legs: Mapping[str, LegInput],
    targets: Mapping[str, LegTarget],
    clock: pd.DatetimeIndex,
    *,
    timeframe: str,
    band: float,
    resolution: Resolution,
    shared: Shared,
) -> BookPath:
    """Put the steps of all positions on one clock.

    Raises DataError if rules, funding, detail or mark do not cover a position's bars.
    """
    walked = _walked(legs, timeframe, resolution)
    notes: list[str] = []
    ruled: list[tuple[TermArrays, tuple[Rules, ...]]] = []
    for name, leg in legs.items():
        with said_of(name):
            arrays, rules, said = terms(
                *(leg.bars, leg.index, leg.account, leg.costs),
                timeframe=timeframe, earlier=leg.earlier,
            )  # fmt: skip
            check_terms(arrays.paid, targets[name].asked, leg.index)
        ruled.append((arrays, rules))
        notes += [f"{name}: {note}" for note in (*walked[name][2], *said)]
    first, times = _clock(
        clock, [walked[name] for name in legs], [leg.index for leg in legs.values()]
    )
    steps = list(walked.values())
    prices = np.concatenate([market.prices for _, market, _ in steps])
    market = BookMarket(
        first,
        times,
        clock.asi8,
        _begins([len(opens) for opens, _, _ in walked.values()]),
        np.concatenate([opens for opens, _, _ in walked.values()]),
        prices,
        _marks([market for _, market, _ in steps], prices),
        np.concatenate([market.funding for _, market, _ in walked.values()]),
        moves_of(times, steps),
    )
    return BookPath(
        market=market,
        terms=_terms(
            *(legs, targets, [arrays for arrays, _ in ruled], clock, timeframe),
            *(band, resolution, shared),
        ),
        rules=tuple(rules for _, rules in ruled),
        notes=tuple(notes),
    )


def _begins(sizes: Sequence[int]) -> Ints:
    return np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)


def _marks(markets: Sequence[MarketArrays], prices: Floats) -> Floats:
    """Marks of all; the prices themselves where they stand for every mark."""
    if all(market.marks is market.prices for market in markets):
        return prices
    return np.concatenate([market.marks for market in markets])


STRETCH, FINER = 64, 8
"""Steps, or bars, of which something is known together, and fewer where those are not calm."""

_Walked = tuple[Ints, MarketArrays, tuple[str, ...]]


def moves_of(times: Ints, walked: Sequence[_Walked]) -> Moves:
    """How positions moved together on the steps of a clock."""
    each = np.full((len(times), len(walked)), np.nan)
    for place, (opens, market, _) in enumerate(walked):
        each[times.searchsorted(opens), place] = market.prices[:, 3] / market.prices[:, 0] - 1.0
    whole = len(each) // STRETCH
    stretches = each[: whole * STRETCH].reshape(whole, STRETCH, len(walked))
    seen = (~np.isnan(stretches)).astype(np.float64)
    moved = np.nan_to_num(stretches)
    sums = np.zeros((whole + 1, 2, len(walked), len(walked)))
    for row, part in enumerate((moved, seen)):
        sums[1:, row] = np.cumsum(part.transpose(0, 2, 1) @ part, axis=0)
    return Moves(each, sums)


def _walked(
    legs: Mapping[str, LegInput], timeframe: str, resolution: Resolution
) -> dict[str, _Walked]:
    """Steps of each position: finer ones in bars where every position that has the bar has them."""
    paths = {}
    for name, leg in legs.items():
        with said_of(name):
            paths[name] = walk(
                leg.index, leg.prices, leg.account, timeframe=timeframe, resolution=resolution
            )
    if all(leg.account.detail is None for leg in legs.values()):
        return {name: (path.opens, path.market, path.notes) for name, path in paths.items()}
    count = {
        name: pd.Series(np.diff(path.market.first), index=legs[name].index)
        for name, path in paths.items()
    }
    sizes = pd.DataFrame(count)
    joint = sizes.index[(sizes.min(axis=1) == sizes.max(axis=1)) & (sizes.min(axis=1) > 1)]
    made: dict[str, _Walked] = {}
    for name, leg in legs.items():
        path, notes = paths[name], paths[name].notes
        alone = int((~leg.index[count[name] > 1].isin(joint)).sum())
        if alone:
            detail = loaded("detail", leg.account.detail)
            assert detail is not None
            of_bar = pd.DatetimeIndex(detail.index).floor(timeframe_delta(timeframe))
            kept = detail[of_bar.isin(joint)] if leg.index.isin(joint).any() else None
            account = replace(leg.account, detail=kept)
            path = walk(leg.index, leg.prices, account, timeframe=timeframe, resolution=resolution)
            notes = (
                *path.notes,
                f"finer bars of {counted(alone, 'bar')} were left out, in which another position "
                "has none",
            )
        made[name] = (path.opens, path.market, notes)
    return made


def _clock(
    clock: pd.DatetimeIndex, walked: Sequence[_Walked], indexes: Sequence[pd.DatetimeIndex]
) -> tuple[Ints, Ints]:
    """Steps of the clock: those of whoever has the bar."""
    opened = clock.asi8
    if all(len(opens) == len(index) for (opens, _, _), index in zip(walked, indexes, strict=True)):
        return np.arange(len(opened) + 1), opened
    times = np.unique(np.concatenate([opens for opens, _, _ in walked]))
    times = np.unique(np.concatenate([times, opened]))
    first = np.append(np.searchsorted(times, opened), len(times))
    return first.astype(np.int64), times


def _terms(
    legs: Mapping[str, LegInput],
    targets: Mapping[str, LegTarget],
    ruled: Sequence[TermArrays],
    clock: pd.DatetimeIndex,
    timeframe: str,
    band: float,
    resolution: Resolution,
    shared: Shared,
) -> BookTerms:
    rows = [max(arrays.brackets.shape[axis] for arrays in ruled) for axis in (0, 1)]
    brackets = np.empty((len(legs), rows[0], rows[1], 4))
    how = np.zeros((len(legs), rows[0], 3))
    for place, arrays in enumerate(ruled):
        table = arrays.brackets
        table = table[:, np.minimum(np.arange(rows[1]), table.shape[1] - 1)]
        last = np.minimum(np.arange(rows[0]), len(table) - 1)
        brackets[place], how[place] = table[last], arrays.how[last]
    gone = [leaving(name, leg, clock, timeframe) for name, leg in legs.items()]
    told = [
        targets[name].laid_out(orders_of(leg.account, band=band, resolution=resolution))
        for name, leg in legs.items()
    ]
    named = any(targets[name].said is not None for name in legs)
    return BookTerms(
        _begins([len(leg.index) for leg in legs.values()]),
        np.concatenate([leg.index.asi8 for leg in legs.values()]),
        np.concatenate([targets[name].walked(leg.account.inverse) for name, leg in legs.items()]),
        np.concatenate([arrays.rule for arrays in ruled]),
        np.concatenate([arrays.paid for arrays in ruled]),
        np.concatenate([shared.counted[name] for name in legs]),
        brackets,
        how,
        np.array([float(leg.account.contract is None) for leg in legs.values()]),
        _begins([len(each.orders) for each in told]),
        np.concatenate([each.orders for each in told]),
        _rungs(told) if named else np.zeros((0, 1, 2)),
        np.concatenate([each.again for each in told]) if named else np.zeros(0),
        np.concatenate([bar for bar, _ in gone]),
        np.concatenate([price for _, price in gone]),
        np.zeros((len(legs), 3)),
        shared.cuts,
    )


def _rungs(told: Sequence[Said]) -> Floats:
    """Rungs of all bars, as many as the longest ladder has."""
    most = max(each.rungs.shape[1] for each in told)
    more = [(0, 0), (0, 0), (0, 0)]
    padded = []
    for each in told:
        more[1] = (0, most - each.rungs.shape[1])
        padded.append(np.pad(each.rungs, more, constant_values=np.nan))
    return np.concatenate(padded)


def leaving(
    name: str, leg: LegInput, clock: pd.DatetimeIndex, timeframe: str
) -> tuple[Ints, Floats]:
    """Of each bar, with which bar of the clock a position goes if no other came, and its price.

    Raises InputError if bars end before the run does and nothing is said of that.
    """
    early = leg.index[-1] != clock[-1]
    if early and leg.ends is None:
        raise InputError(
            f"{name}: bars must last as long as the run, which ends on {clock[-1]:%Y-%m-%d %H:%M}; "
            f"the last one opens on {leg.index[-1]:%Y-%m-%d %H:%M}; store more of it, or say what "
            "was left when it ended: ends='last', or a recovery price"
        )
    place = clock.get_indexer(leg.index)
    prices = np.full(len(place), math.inf)
    recovered = math.inf if leg.ends in (None, "last") else float(leg.ends)
    if leg.patience is None:
        bars = np.full(len(place), -1)
        bars[-1], prices[-1] = (place[-1], recovered) if early else (-1, math.inf)
        return bars, prices
    closes = close_times(clock, timeframe)
    known = pd.Series(closes[place] + leg.patience)
    if leg.ended is not None and leg.ended <= known.iloc[-1]:
        known.iloc[-1], prices[-1] = leg.ended, recovered
    bars = closes.searchsorted(pd.DatetimeIndex(known))
    bars[-1] = max(bars[-1], place[-1])
    there = np.append(place[1:] <= bars[:-1], False)
    return np.where(there | (bars >= len(clock)), -1, bars), prices
