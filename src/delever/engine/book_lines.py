"""What the bars do to positions that nothing happens to, and what a sweep passes on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from delever.arguments import Flags, Floats
from delever.engine.book_market import FINER, STRETCH, BookMarket, BookPath, BookTerms, LegInput
from delever.engine.steps import FillTerms, Funding, Ints, columns


class BookLines(NamedTuple):
    """Of each position of a book, on the clock of the sweep; long or short first where two."""

    mark: Floats  # shape (legs, n): mark at each close; in a bar that it lacks the last one known
    # shape (2, legs, n): what one unit has received since the first bar, by its sign
    paid: Floats
    owed: Floats  # shape (legs, n): of that, borrow that a short has paid
    # shape (n + 1, legs, 2): most that one unit can have lost to funding and borrow before each bar
    lost: Floats
    # shape (ceil(n / STRETCH), legs, 4): of each stretch lowest and highest last price, and mark
    extremes: Floats
    finer: Floats  # the same, of stretches of FINER bars
    bar_at: Ints  # shape (n + 1, legs): row of its first bar from each bar of the clock on
    step_at: Ints  # shape (n + 1, legs): row of the first step of that
    special: Ints  # shape (n + 1,): the next bar of the clock in which more than prices change


def lines_of(path: BookPath, legs: Mapping[str, LegInput], clock: pd.DatetimeIndex) -> BookLines:
    """Lay out the lines of a book."""
    market, terms, size, n = path.market, path.terms, len(legs), len(clock)
    mark, owed = np.empty((size, n)), np.zeros((size, n))
    paid, lost = np.empty((2, size, n)), np.zeros((n + 1, size, 2))
    extremes, finer = (np.empty((-(-n // part), size, 4)) for part in (STRETCH, FINER))
    bar_at, step_at = np.empty((n + 1, size), np.int64), np.empty((n + 1, size), np.int64)
    special = np.zeros(n, dtype=np.bool_)
    for place, leg in enumerate(legs.values()):
        rows = clock.get_indexer(leg.index)
        bars = slice(terms.bar_begin[place], terms.bar_begin[place + 1])
        first = _first_steps(market, place, leg.index)
        each = _of_bars(market, terms, first, bars)
        known = np.maximum(np.searchsorted(rows, np.arange(n), side="right") - 1, 0)
        mark[place] = each.close[known]
        for lane in (0, 1):
            paid[lane, place] = _on(rows, each.paid[lane], n, 0.0).cumsum()
            lost[1:, place, lane] = _on(rows, each.lost[lane], n, 0.0).cumsum()
        owed[place] = _on(rows, each.owed, n, 0.0).cumsum()
        lacking = (np.inf, -np.inf, mark[place], mark[place])
        for row, (values, missing) in enumerate(zip(each.extremes, lacking, strict=True)):
            whole, reduce = _on(rows, values, n, missing), np.maximum if row % 2 else np.minimum
            extremes[:, place, row] = reduce.reduceat(whole, np.arange(0, n, STRETCH))
            finer[:, place, row] = reduce.reduceat(whole, np.arange(0, n, FINER))
        ahead = np.searchsorted(rows, np.arange(n + 1))
        bar_at[:, place], step_at[:, place] = bars.start + ahead, first[ahead]
        special[rows] |= each.changes
        leaves = terms.leaves[bars]
        special[leaves[leaves >= 0]] = True
    there = np.append(np.flatnonzero(special), n)
    return BookLines(
        mark, paid, owed, lost, extremes, finer, bar_at, step_at,
        there[np.searchsorted(there, np.arange(n + 1))],
    )  # fmt: skip


class _BarSums(NamedTuple):
    """Of each bar of a position what `BookLines` adds up."""

    close: Floats
    paid: tuple[Floats, Floats]
    owed: Floats
    lost: tuple[Floats, Floats]
    extremes: tuple[Floats, ...]
    changes: Flags


def _first_steps(market: BookMarket, place: int, index: pd.DatetimeIndex) -> Ints:
    """Row of the first step of each bar, and the one behind the last."""
    begin, end = market.step_begin[place], market.step_begin[place + 1]
    found = begin + np.searchsorted(market.opens[begin:end], index.asi8)
    return np.append(found, end).astype(np.int64)


def _of_bars(market: BookMarket, terms: BookTerms, first: Ints, bars: slice) -> _BarSums:
    steps = slice(first[0], first[-1])
    edges, funding = first[:-1] - first[0], columns(Funding, market.funding[steps])
    last, marks = market.prices[steps], market.marks[steps]
    borrow = columns(FillTerms, terms.paid[bars])["borrow"]
    owed = borrow * last[edges, 0]
    nothing = np.zeros(len(marks))

    def total(values: Floats) -> Floats:
        return np.add.reduceat(values, edges)

    opened = funding["open"]
    long = np.minimum.reduce([funding["hold_long"], funding["leave_long"], nothing])
    short = np.minimum.reduce([funding["hold_short"], funding["leave_short"], nothing])
    rule, counted = terms.rule[bars], terms.counted[bars]
    changes = (np.diff(rule, prepend=rule[0]) != 0) | (np.diff(counted, prepend=counted[0]) != 0.0)
    return _BarSums(
        close=marks[first[1:] - 1 - first[0], 3],
        paid=(
            total(funding["hold_long"] - opened),
            total(-funding["hold_short"] - opened) + owed,
        ),
        owed=owed,
        lost=(
            total(np.maximum(opened, 0.0) - long),
            total(-np.minimum(opened, 0.0) - short) + owed,
        ),
        extremes=(
            np.minimum.reduceat(last[:, 2], edges),
            np.maximum.reduceat(last[:, 1], edges),
            np.minimum.reduceat(marks[:, 2], edges),
            np.maximum.reduceat(marks[:, 1], edges),
        ),
        changes=changes,
    )


def _on(rows: Ints, values: Floats, n: int, missing: Floats | float) -> Floats:
    """Values of bars on the clock."""
    found = np.empty(n)
    found[:] = missing
    found[rows] = values
    return found
