"""What all accounts of a sweep have in common: bars, rules and funding, laid out once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats
from delever.bars import spans
from delever.engine.arrays import bar_index, price_array, record
from delever.engine.settings import Account, with_contract
from delever.engine.steps import FillTerms, Funding, Ints, MarginRule, TermArrays, columns, walk
from delever.engine.terms import costs_of, terms
from delever.errors import InputError
from delever.venues.contract import PerpContract, kind_of
from delever.venues.costs import Borrow, CostPart, Costs
from delever.venues.slippage import Slippage

STRETCH = 64
"""Bars whose extremes are known together."""


SWEEP_BAR = record(
    *("open", "high", "low", "close", "mark_open", "mark_high", "mark_low", "mark_close"),
    *("paid_open", "hold_long", "hold_short", "leave_long", "leave_short"),  # as in `Funding`
    *("taker", "liquidation_fee", "slippage"),  # as in `FillTerms`
)
"""What a sweep reads of a bar."""


class Lines(NamedTuple):
    """What the bars do to an account that nothing happens to; long or short first where two."""

    # shape (n,): mark price at each close, times the bars of time that the bar stands for
    mark: Floats
    paid: Floats  # shape (2, n): funding that one unit has received since the first bar
    worth: Floats  # shape (2, n): mark price plus that
    # shape (2, n): how far funding may have moved the prices at which a long, a short is liquidated
    lift: Floats
    reach: Floats  # shape (2, n): lowest price less its lift, highest price plus its own
    least: Floats  # shape (ceil(n / STRETCH): extremes of `reach` in each stretch
    most: Floats  # shape (ceil(n / STRETCH)
    other_rule: Ints  # shape (n,): the next bar under another rule; n where there is none


class Passing(NamedTuple):
    """How time passes in a sweep: in which scope, for how long, and at which rows parts end."""

    inside: Ints  # shape (n,): 1 for bars inside deleveraging periods, else 0
    # shape (n + 1,): sum over the bars before each of the bars of time that they stand for; of
    # missing bars, those between two of one scope
    time: Floats
    apart: Floats  # shape (n,): missing bars before each bar whose scope is another
    other_scope: Ints  # shape (n,): the next bar in another scope; n where there is none
    edges: Ints  # rows at which parts of the bars begin or end, rising; the last is n


class Board(NamedTuple):
    """What all accounts of a sweep have in common."""

    table: Any  # shape (n,): records of `SWEEP_BAR`
    rule: Ints  # as in `delever.engine.steps.TermArrays`
    brackets: Floats
    how: Any  # records of `delever.engine.steps.MarginRule`
    lines: Lines
    passing: Passing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepMarket:
    """Bars, rules and funding of a sweep as the kernel reads them, laid out once."""

    index: pd.DatetimeIndex  # shape (n,): open times, UTC
    timeframe: str  # of the bars
    initial_equity: float  # of every account, quote units
    account: Account  # what every account is, but for what it says itself
    costs: Costs  # what every account pays, but for what it says itself
    board: Board = field(repr=False)
    notes: tuple[str, ...] = ()  # what the run knew and did not know
    # rows from and to which further sums are kept, by name; rows before the first bar hold nothing
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def largest_fee(self) -> float:
        """Taker fee of the rules where it is highest, fraction; 0 for spot."""
        return float(self.board.table["taker"].max())


def sweep_market(
    bars: pd.DataFrame,
    *,
    timeframe: str,
    inside: npt.NDArray[np.bool_] | None = None,
    account: Account | None = None,
    costs: CostPart | None = None,
    initial_equity: float = 10_000.0,
    earlier: pd.DataFrame | None = None,
    parts: Mapping[str, tuple[int, int]] | None = None,
) -> SweepMarket:
    """Lay out what all accounts of a sweep have in common, and the parts to keep sums of.

    Raises InputError if a sweep does not cover what is asked: limit orders, finer bars inside the
    bars, impact on volume, borrowed coins, bounds; DataError if funding, brackets or mark do not
    cover the run.
    """
    if not (math.isfinite(initial_equity) and initial_equity > 0.0):
        raise InputError(f"initial_equity must be a finite amount above 0; got {initial_equity!r}")
    index = bar_index(bars)
    settings = with_contract(account or Account(), index[0].date())
    charged = costs_of(costs, account)
    _check_covered(settings, charged)
    prices = price_array(bars, index)
    if inside is None:
        inside = np.zeros(len(index), dtype=np.bool_)
    if inside.dtype != np.bool_ or inside.shape != (len(index),):
        raise InputError(
            f"inside must hold one boolean per bar ({len(index)}); got {inside.dtype} of shape "
            f"{inside.shape}"
        )
    held, _, ruled = terms(bars, index, settings, charged, timeframe=timeframe, earlier=earlier)
    path = walk(index, prices, settings, timeframe=timeframe)
    funding, paid = columns(Funding, path.market.funding), columns(FillTerms, held.paid)
    stamped = (funding["open"], funding["hold_long"], funding["hold_short"], funding["leave_long"],
               funding["leave_short"])  # fmt: skip
    fees = (paid["taker"], paid["liquidation_fee"], paid["slippage"])
    values = np.column_stack([*prices.T, *path.market.marks.T, *stamped, *fees])
    table = np.ascontiguousarray(values).view(SWEEP_BAR)[:, 0]
    return SweepMarket(
        index=index,
        timeframe=timeframe,
        initial_equity=float(initial_equity),
        account=settings,
        costs=charged,
        board=board_of(table, inside, held, parts or {}, spans(index, timeframe)),
        notes=(*path.notes, *ruled),
        parts=parts or {},
    )


def uncovered(account: Account | None, costs: Costs) -> tuple[str, ...]:
    """What of an account and its costs many accounts at once do not cover.

    Examples
    --------
    >>> uncovered(Account(limit_offset=0.01), Costs() + Borrow(rate=0.1))
    ('limit_offset', 'borrow')
    """
    told = account or Account()
    beyond = {
        "limit_offset": told.limit_offset is not None,
        "rebalance_band": told.rebalance_band is not None,
        "detail": told.detail is not None,
        "bounds": told.bounds,
        "an inverse contract": _inverse(told.contract),
        "borrow": any(isinstance(part, Borrow) for part in costs.parts),
        "slippage with impact": any(
            isinstance(part, Slippage) and part.impacts for part in costs.parts
        ),
    }
    return tuple(name for name, there in beyond.items() if there)


def _inverse(contract: str | PerpContract | None) -> bool:
    if isinstance(contract, str):
        return kind_of(contract) == "inverse"
    return contract is not None and contract.inverse


def _check_covered(account: Account, costs: Costs) -> None:
    if given := uncovered(account, costs):
        raise InputError(
            f"many accounts at once do not cover {', '.join(given)}; leave it out, or run them "
            "one by one with backtest"
        )


def board_of(
    table: Any,
    inside: npt.NDArray[np.bool_],
    held: TermArrays,
    parts: Mapping[str, tuple[int, int]],
    lasting: Floats | None = None,
) -> Board:
    """What the kernel reads of a market: records of `SWEEP_BAR`, and the rules they fall under.

    How long the bars last is as in `delever.bars.spans`, by default one each.
    """
    passing = passing_of(inside, np.ones(len(inside)) if lasting is None else lasting, parts)
    lines = _lines(table, held, np.diff(passing.time))
    how = np.ascontiguousarray(held.how).view(record(*MarginRule._fields))[:, 0]
    return Board(table, held.rule, held.brackets, how, lines, passing)


def passing_of(
    inside: npt.NDArray[np.bool_], lasting: Floats, parts: Mapping[str, tuple[int, int]]
) -> Passing:
    """How time passes over bars that last so long (as in `delever.bars.spans`), cut into parts."""
    which = inside.astype(np.int64)
    within = np.where(np.append(np.diff(which) != 0, False), 1.0, lasting)
    bounds = np.array([row for part in parts.values() for row in part] + [len(which)])
    return Passing(
        which,
        np.append(0.0, np.cumsum(within)),
        np.append(0.0, (lasting - within)[:-1]),
        _next_other(which),
        np.unique(bounds[bounds > 0]).astype(np.int64),
    )


def _lines(table: Any, held: TermArrays, within: Floats) -> Lines:
    """What the bars do to an account that nothing happens to."""
    bar = {name: np.ascontiguousarray(table[name]) for name in SWEEP_BAR.names or ()}
    # A received unit moves the price of liquidation by at most this.
    closing = columns(MarginRule, held.how)["closing_fee"]
    steepest = 1.0 / (1.0 - float((closing[:, None] + held.brackets[:, :, 1]).max()))
    nothing = np.zeros_like(bar["open"])
    lost = np.stack(
        [
            np.maximum(bar["paid_open"], 0.0)
            - np.minimum.reduce([bar["hold_long"], bar["leave_long"], nothing]),
            -np.minimum(bar["paid_open"], 0.0)
            - np.minimum.reduce([bar["hold_short"], bar["leave_short"], nothing]),
        ]
    )
    lift = steepest * np.cumsum(lost, axis=1)
    received = [bar["hold_long"] - bar["paid_open"], -bar["hold_short"] - bar["paid_open"]]
    paid = np.cumsum(received, axis=1)
    lowest, highest = (
        np.minimum(bar["low"], bar["mark_low"]),
        np.maximum(bar["high"], bar["mark_high"]),
    )
    reach = np.stack([lowest - lift[0], highest + lift[1]])
    edges = np.arange(0, len(within), STRETCH)
    return Lines(
        mark=bar["mark_close"] * within,
        paid=paid,
        worth=bar["mark_close"] + paid,
        lift=lift,
        reach=reach,
        least=np.minimum.reduceat(reach[0], edges),
        most=np.maximum.reduceat(reach[1], edges),
        other_rule=_next_other(held.rule),
    )


def _next_other(values: Ints) -> Ints:
    """For each row, the next one that holds something else; their number where there is none."""
    changed = np.append(np.flatnonzero(np.diff(values)) + 1, len(values))
    return changed[np.searchsorted(changed, np.arange(len(values)), side="right")]
