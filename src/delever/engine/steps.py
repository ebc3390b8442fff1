"""The path a run walks: bars, or the finer bars inside them, with their marks and funding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats, counted, price_ratio
from delever.engine.arrays import bar_index, price_array
from delever.engine.settings import Account, FundingSeries, Orders, Resolution, loaded
from delever.errors import DataError, InputError
from delever.funding_stamps import funding_holes
from delever.units import timeframe_delta, timeframe_of

Ints: TypeAlias = npt.NDArray[np.int64]

DUST = 1e-9
"""Share of an amount by which one that is nearly another is that."""

_NEARLY = 1e-6
_APART = 0.01
CONTRADICTED = 0.01
"""Share of bars that their finer bars may contradict; above it they are another market's."""


class Prices(NamedTuple):
    """Of a step, the last or the mark price; columns of `MarketArrays.prices` and `marks`."""

    open: float
    high: float
    low: float
    close: float


class Funding(NamedTuple):
    """Of a step; columns of `MarketArrays.funding`."""

    open: float  # rate times mark, of the stamps at its open
    # what one unit receives from the stamps inside: held through the step, left or entered there
    hold_long: float
    hold_short: float
    leave_long: float
    leave_short: float
    enter_long: float
    enter_short: float


class FillTerms(NamedTuple):
    """What is paid in a bar; columns of `TermArrays.paid`."""

    taker: float
    maker: float
    liquidation_fee: float
    slippage: float  # fraction of the price
    impact: float  # what the root of an order's notional adds to it
    borrow: float  # share of a short's value


class MarginRule(NamedTuple):
    """How maintenance margin is computed; columns of `TermArrays.how`."""

    bracket_by: float  # bracket chosen by the mark, the entry or the size: 0, 1, 2
    on_entry: float  # whether the rate is on the notional at entry: 0, 1
    closing_fee: float  # fraction


def columns(kind: type[NamedTuple], table: Floats) -> dict[str, Floats]:
    """Columns of a table by the names that a row of it has."""
    return dict(zip(kind._fields, np.ascontiguousarray(table.T), strict=True))


class MarketArrays(NamedTuple):
    """What the market does to an account, step by step; of an inverse contract in `reciprocal`s."""

    # shape (n + 1,): bar t is made of the steps from ``first[t]`` up to ``first[t + 1]``
    first: Ints
    prices: Floats  # shape (k, 4): the columns of `Prices`, of the last price
    marks: Floats  # shape (k, 4): of the mark price
    funding: Floats  # shape (k, 7): the columns of `Funding`


class TermArrays(NamedTuple):
    """What a venue asks of an account, bar by bar."""

    rule: Ints  # shape (n,): which rules hold
    paid: Floats  # shape (n, 6): the columns of `FillTerms`
    # shape (rules, brackets, 4): cap, maintenance margin rate, maintenance amount, largest leverage
    brackets: Floats
    how: Floats  # shape (rules, 3): the columns of `MarginRule`


class Said(NamedTuple):
    """What decisions say beside one exposure, bar by bar."""

    # shape (n + 1, k), or (1, k) where all bars are alike: the columns of `Orders`; row t is in
    # force when bar t opens, row t + 1 once what was decided before it is carried out
    orders: Floats
    rungs: Floats  # shape (n, m, 2): exposure and limit price of each rung, NaN for none
    again: Floats  # shape (n,): 1 where a rung after the first asks for something new

    @classmethod
    def of(cls, targets: Floats, orders: Orders) -> Said:
        """Exposures, and nothing beside them."""
        rungs = np.full((len(targets), 1, 2), np.nan)
        rungs[:, 0, 0] = targets
        return cls(np.array([orders], dtype=np.float64), rungs, np.zeros(len(targets)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """The steps of a run and what is not known about them."""

    opens: Ints  # shape (k,): open time of each step, nanoseconds
    market: MarketArrays  # as the run resolves what bars hide
    notes: tuple[str, ...]  # for the reader of the result


def walk(
    index: pd.DatetimeIndex,
    prices: Floats,
    account: Account,
    *,
    timeframe: str,
    resolution: Resolution = "run",
) -> Path:
    """Lay out the steps of a run.

    Raises DataError if detail or mark do not overlap the bars or contradict them, or funding does
    not cover the run and its absence was not allowed.
    """
    first, opens, steps, notes = _detail(index, prices, loaded("detail", account.detail), timeframe)
    end = int(index.asi8[-1]) + timeframe_delta(timeframe).value
    marks, marked = _marks(account, opens, steps, end)
    if account.inverse:
        steps, marks = reciprocal(steps), reciprocal(marks)
    ends = index.asi8 + timeframe_delta(timeframe).value
    funding, funded = _funding(account, opens, marks, (index.asi8, ends), resolution)
    return Path(
        opens=opens,
        market=MarketArrays(first, steps, marks, funding),
        notes=(*notes, *marked, *funded),
    )


def reciprocal(prices: Floats) -> Floats:
    """Bars of 1 / price.

    Examples
    --------
    >>> reciprocal(np.array([[4.0, 8.0, 2.0, 5.0]])).tolist()
    [[0.25, 0.5, 0.125, 0.2]]
    """
    return np.ascontiguousarray(1.0 / prices[:, [0, 2, 1, 3]])


def _detail(
    index: pd.DatetimeIndex, prices: Floats, detail: pd.DataFrame | None, timeframe: str
) -> tuple[Ints, Ints, Floats, tuple[str, ...]]:
    opens = index.asi8
    if detail is None:
        whole = (f"resolution: {timeframe} bars, whose inside was not seen",)
        return np.arange(len(index) + 1), opens, prices, whole
    found = bar_index(detail)
    times, finer = found.asi8, price_array(detail, found)
    length = timeframe_delta(timeframe).value
    fine = int(np.median(np.diff(times))) if len(times) > 1 else length
    if fine >= length or length % fine:
        raise InputError(
            f"account: detail must be bars whose timeframe divides {timeframe}; got bars of "
            f"{timeframe_of(fine)}"
        )
    begun = np.searchsorted(times, opens)
    count = np.searchsorted(times, opens + length) - begun
    full = count == length // fine
    if not full.any():
        raise DataError(
            f"detail must fill at least one of the bars from {index[0]} to {index[-1]}; its own "
            f"are from {found[0]} to {found[-1]}; give detail of the same span"
        )
    off = np.zeros(len(index), dtype=np.bool_)
    off[full] = _contradicted(index[full], prices[full], finer, begun[full], count[full])
    lacking = int((~full).sum())
    full &= ~off
    size = np.where(full, count, 1)
    first = np.concatenate(([0], np.cumsum(size)))
    bar = np.repeat(np.arange(len(index)), size)
    inner = full[bar]
    source = (begun[bar] + np.arange(first[-1]) - first[bar])[inner]
    at, steps = opens[bar], prices[bar]
    at[inner], steps[inner] = times[source], finer[source]
    notes = [f"resolution: {timeframe_of(fine)} bars inside {timeframe} bars"]
    if lacking:
        notes.append(
            f"{lacking:,} of {counted(len(index), 'bar')} had no whole set of "
            f"{timeframe_of(fine)} bars; their inside was not seen"
        )
    if off.any():
        first_off = f"{index[off][0]:%Y-%m-%d %H:%M}"
        notes.append(
            f"{int(off.sum()):,} of {counted(len(index), 'bar')} (first {first_off}) had "
            f"{timeframe_of(fine)} bars that do not add up to them; their inside was not seen"
        )
    return first.astype(np.int64), at, steps, tuple(notes)


def _contradicted(
    index: pd.DatetimeIndex, prices: Floats, finer: Floats, begun: Ints, count: Ints
) -> npt.NDArray[np.bool_]:
    """Which bars their finer bars do not add up to.

    Raises DataError if they are more than a share of all.
    """
    merged = _merge(finer, begun, begun + count)
    off = np.asarray(np.abs(merged / prices - 1.0).max(axis=1) > _NEARLY)
    if off.mean() > CONTRADICTED:
        row = int(np.flatnonzero(off)[0])
        raise DataError(
            "detail must add up to its bars (open, high, low, close) in all but "
            f"{CONTRADICTED:g} of them; {int(off.sum()):,} of {len(off):,} disagree, the first is "
            f"that of {index[row]:%Y-%m-%d %H:%M} with {prices[row].tolist()}, its detail "
            f"{merged[row].tolist()}; take both from one venue"
        )
    return off


def _merge(finer: Floats, begun: Ints, ended: Ints) -> Floats:
    """One row of open, high, low, close per stretch of finer ones; stretches are not empty."""
    edges = np.stack([begun, ended], axis=1).ravel()
    padded = np.vstack([finer, finer[-1:]])  # reduceat wants every edge to be a row
    high = np.maximum.reduceat(padded[:, 1], edges)[::2]
    low = np.minimum.reduceat(padded[:, 2], edges)[::2]
    return np.column_stack([finer[begun, 0], high, low, finer[ended - 1, 3]])


def _marks(
    account: Account, opens: Ints, steps: Floats, end: int
) -> tuple[Floats, tuple[str, ...]]:
    mark = loaded("mark", account.mark)
    if mark is None:
        return steps, ("mark: none given; the last price stood for it",)
    found = bar_index(mark)
    times = found.asi8
    begun = np.searchsorted(times, opens)
    ended = np.searchsorted(times, np.append(opens[1:], end))
    held = begun < ended
    held[held] = times[begun[held]] == opens[held]
    lacking = int((~held).sum())
    if lacking and (account.mark_policy == "required" or not held.any()):
        missing = pd.Timestamp(int(opens[np.flatnonzero(~held)[0]]), tz="UTC")
        raise DataError(
            f"mark must have a price at the open of every step of the run; {missing:%Y-%m-%d %H:%M}"
            f" has none ({lacking:,} of {counted(len(opens), 'step')}; mark is from "
            f"{found[0]:%Y-%m-%d %H:%M} to {found[-1]:%Y-%m-%d %H:%M}); store more of it, or set "
            "mark_policy to 'last-price'"
        )
    marks = steps.copy()
    marks[held] = _merge(price_array(mark, found), begun[held], ended[held])
    ratio = price_ratio("mark", marks[held, 0], steps[held, 0])
    notes = ["mark: the mark price"]
    if abs(ratio - 1.0) > _APART:
        notes.append(f"mark prices are {ratio:.4g} times the last price in the median")
    if lacking:
        notes.append(
            f"mark: missing at {lacking:,} of {counted(len(opens), 'step')}; the last price stood "
            "for it there"
        )
    return marks, tuple(notes)


def _funding(
    account: Account, opens: Ints, marks: Floats, bars: tuple[Ints, Ints], resolution: Resolution
) -> tuple[Floats, tuple[str, ...]]:
    table = np.zeros((len(opens), len(Funding._fields)))
    if account.contract is None:
        return table, ()
    series = loaded("funding", account.funding)
    begins, ends = bars
    start, end = int(begins[0]), int(ends[-1])
    notes = _covered(series, account.funding_policy, start, end)
    if series is None:
        return table, notes
    rates, given = series.rates, series.mark_prices
    if account.inverse:  # the longs that pay are short of the reciprocal price
        rates, given = -rates, None if given is None else 1.0 / given
    used = np.flatnonzero((series.stamps >= start) & (series.stamps < end))
    settled = series.stamps[used]
    # Where bars are missing, a stamp is settled at the next one's open: no close knows it before.
    bar = np.searchsorted(begins, settled, side="right") - 1
    after = begins[np.minimum(bar + 1, len(begins) - 1)]
    settled = np.where(settled >= ends[bar], after, settled)
    place = np.searchsorted(opens, settled, side="right") - 1
    at_open = opens[place] == settled
    known = marks[place, 0] if given is None else given[used]
    np.add.at(table[:, 0], place[at_open], (rates[used] * known)[at_open])
    inside: dict[int, list[tuple[float, float, float]]] = {}
    for row, step, price in zip(used[~at_open], place[~at_open], known[~at_open], strict=True):
        low, high = (marks[step, 2], marks[step, 1]) if given is None else (price, price)
        inside.setdefault(int(step), []).append((float(rates[row]), low, high))
    for step, stamps in inside.items():
        middle = marks[step, 0] if given is None else None
        table[step, 1:] = _payments(stamps, middle, resolution)
    if inside:
        notes += (
            f"funding: {int((~at_open).sum())} of {len(used)} stamps fell inside a bar"
            + ("; their mark was taken at its open" if given is None else ""),
        )
    return table, notes


def _payments(
    stamps: list[tuple[float, float, float]], middle: float | None, resolution: Resolution
) -> list[float]:
    """What one unit receives inside a step: held, left and entered there; long and short."""
    against = resolution != "best"
    out: list[tuple[float, float, float]] = []
    for direction in (1.0, -1.0):
        paid = []
        for rate, low, high in stamps:
            ends = (-direction * rate * low, -direction * rate * high)
            if resolution == "run":
                paid.append(ends[0] if middle is None else -direction * rate * middle)
            else:
                paid.append(min(ends) if against else max(ends))
        before = np.concatenate(([0.0], np.cumsum(paid)))
        behind = before[-1] - before
        pick = np.min if against else np.max
        out.append((float(before[-1]), float(pick(before)), float(pick(behind))))
    return [value for pair in zip(*out, strict=True) for value in pair]


def _covered(series: FundingSeries | None, policy: str, start: int, end: int) -> tuple[str, ...]:
    if series is None or not len(series.stamps):
        missing = "there is none"
    else:
        holes = funding_holes(series.stamps, start, end)
        if not holes:
            return ("funding: settled at every stamp of the run",)
        after, before = (pd.Timestamp(stamp, tz="UTC") for stamp in holes[0][:2])
        are = "stretch is" if len(holes) == 1 else "stretches are"
        missing = f"{len(holes):,} {are} missing, the first from {after} to {before}"
    if policy == "missing-is-zero":
        return (f"funding: missing stamps paid nothing ({missing})",)
    raise DataError(
        f"funding must cover the run from {pd.Timestamp(start, tz='UTC')} to "
        f"{pd.Timestamp(end, tz='UTC')}; {missing}; store more of it, or set funding_policy to "
        "'missing-is-zero'"
    )
