"""One window of history: asked until nothing is missing, or the venue has confirmed what is.

A row is believed when it is inside the window, on its grid, finite, consistent in itself, and the
same in every answer that has it. A row is believed to be absent at the venue when two more
answers, asked for just that stretch, have not had it either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.data.exchange.pages import Page, columns_of
from delever.data.exchange.spans import Span, holes, hull, missing, said, step_of, without
from delever.data.exchange.venue import Series
from delever.data.references import Reference
from delever.errors import ConflictError, VenueError
from delever.kinds import kind_of
from delever.units import grid_anchor

Ask = Callable[[int, int], Page]
"""Asks a venue for a window, once."""

CONFIRMATIONS = 2
"""How often an answer is asked for again before it is believed, or refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRules:
    """What rows of a data set are held to."""

    reference: Reference  # what they are called
    columns: tuple[str, ...]
    step: int | None  # distance of the grid in ms; None off any grid
    spacing: int  # usual distance in ms
    events: bool = False  # whether rows come as they happen, so that none can be expected
    # whether a row far outside the window shows that the venue answered something else
    bounded: bool = True
    # where a venue hears of starts alone: stamp that only the newest rows reach. A full answer that
    # does so without a row of the window shows that it did not hear of the start.
    newest: int | None = None

    def lacking(self, times: np.ndarray, span: Span) -> list[Span]:
        """Stretches of a window where rows are expected and none are there."""
        if self.step is not None:
            return missing(times, span, self.step)
        if self.events:
            return [] if len(times) else [span]
        return holes(times, span, self.spacing)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gathered:
    """What is now known about a window."""

    page: Page  # rows in the order of time, each stamp once
    # stretches the venue confirmed to have no rows in, and those whose rows cannot be read
    absent: tuple[Span, ...]
    unknown: tuple[Span, ...]
    # the last row of answers that ended before the window did: one that a server lags behind with
    # may not be final
    edge: Page | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sifted:
    """An answer's rows that can be believed, and the stamps of those that cannot."""

    page: Page
    unreadable: frozenset[int]
    disputed: frozenset[int]
    strayed: bool


def rules_of(reference: Reference, series: Series) -> WindowRules:
    """Rules for a data set, as its venue serves it."""
    return WindowRules(
        reference=reference,
        columns=columns_of(reference, series),
        step=step_of(reference.timeframe) if series.spacing is None else None,
        spacing=step_of(series.spacing or reference.timeframe),
        events=series.events,
        bounded=series.until,
    )


def gather(ask: Ask, span: Span, rules: WindowRules) -> Gathered:
    """Ask for a window until its rows are complete or what is missing is confirmed.

    Raises ConflictError if the venue gives two values for one stamp and does not settle on one;
    VenueError if it answers with rows of another time, or off the grid.
    """
    got = _nothing(rules)
    unreadable: frozenset[int] = frozenset()
    disputed: frozenset[int] = frozenset()
    edge: Page | None = None
    wanted, quiet, strays = span, -1, 0
    while True:
        answer = ask(*wanted)
        sifted_ = sifted(answer, wanted, rules)
        if answer.full and rules.step is None and wanted[1] - wanted[0] > 1:
            return _halves(ask, span, rules)
        before = len(got.times)
        page, edge = _split(sifted_.page, wanted, edge, rules)
        got = _merged(got, page, rules)
        if edge is not None and got.times.max(initial=-1) >= edge.times[0]:
            got, edge = _merged(got, edge, rules), None  # a later row has come after all
        last = [] if edge is None else edge.times.tolist()
        seen = frozenset(got.times.tolist() + last)
        unreadable = (unreadable | sifted_.unreadable) - seen
        disputed = (disputed | sifted_.disputed) - seen
        lacking = rules.lacking(got.times, span)
        open_ = lacking + [(time, time + 1) for time in unreadable | disputed]
        if not open_:
            return Gathered(page=got, absent=(), unknown=())
        if sifted_.strayed:
            strays += 1
        else:
            quiet = 0 if len(got.times) > before else quiet + 1
        if strays > CONFIRMATIONS:
            raise astray(answer, wanted, rules)
        if quiet >= CONFIRMATIONS:
            break
        wanted = hull(open_)
        if rules.step is not None:
            wanted = wanted[0], wanted[1] + (span[0] - wanted[1]) % rules.step
    if disputed:
        raise ConflictError(
            f"{rules.reference}: the venue must give one value per stamp; at "
            f"{said(min(disputed))} and {len(disputed) - 1} more it keeps giving two; "
            "try again later, or fetch another venue"
        )
    width = rules.step or 1
    unknown = tuple((time, time + width) for time in sorted(unreadable))
    apart = [(time, time + width) for time in last]
    absent = [piece for hole in lacking for piece in without(hole, [*unknown, *apart])]
    return Gathered(page=got, absent=tuple(absent), unknown=unknown, edge=edge)


def _split(
    page: Page, wanted: Span, edge: Page | None, rules: WindowRules
) -> tuple[Page, Page | None]:
    """An answer's rows, and apart from them the last one where no later one came with it."""
    if rules.step is None or not len(page.times):
        return page, edge
    if int(page.times[-1]) + rules.step >= wanted[1]:
        return page, None
    return page.take(slice(None, -1)), page.take(slice(-1, None))


def sifted(answer: Page, span: Span, rules: WindowRules) -> _Sifted:
    """Part the rows of an answer that can be believed from those that cannot.

    Raises VenueError if a stamp lies off the grid.
    """
    if kind_of(rules.reference.kind).snap is not None:
        answer = Page(times=(answer.times + 500) // 1000 * 1000, values=answer.values)
    stamped = answer.times >= 0
    slack = rules.spacing
    far = stamped & ((answer.times < span[0] - slack) | (answer.times >= span[1] + slack))
    inside = answer.take((answer.times >= span[0]) & (answer.times < span[1]))
    inside = inside.take(np.argsort(inside.times, kind="stable"))
    if rules.step is not None:
        _on_grid(inside.times, rules)
    same = np.diff(inside.times, prepend=-1) == 0
    equal = _equal(inside.values, np.roll(inside.values, 1, axis=0))
    disputed = frozenset(inside.times[same & ~equal].tolist())
    page = inside.take(~same & ~np.isin(inside.times, list(disputed)))
    readable = _readable(page, rules)
    return _Sifted(
        page=page.take(readable),
        unreadable=frozenset(page.times[~readable].tolist()),
        disputed=disputed,
        strayed=bool(far.any()) if rules.bounded else _unheard(answer, span, rules),
    )


def astray(answer: Page, span: Span, rules: WindowRules) -> VenueError:
    """The refusal of an answer of another time, in words."""
    stamps = answer.times[answer.times >= 0]
    return VenueError(
        f"{rules.reference}: asked for {said(span[0])} to {said(span[1])}, the venue keeps "
        f"answering with {said(int(stamps.min()))} to {said(int(stamps.max()))}; what was "
        "complete is stored; try again later, or fetch another venue"
    )


def _unheard(answer: Page, span: Span, rules: WindowRules) -> bool:
    if rules.newest is None or not (answer.full and len(answer.times)):
        return False
    return bool(answer.times.min() >= span[1] and answer.times.max() >= rules.newest)


def frame_of(page: Page, rules: WindowRules) -> pd.DataFrame:
    """Rows as a frame in the stored form of their kind."""
    index = pd.DatetimeIndex(page.times.astype("M8[ms]")).as_unit("ns").tz_localize("UTC")
    index = index.rename(kind_of(rules.reference.kind).index)
    return pd.DataFrame(page.values, index=index, columns=list(rules.columns))


def _nothing(rules: WindowRules) -> Page:
    return Page(times=np.empty(0, np.int64), values=np.empty((0, len(rules.columns))))


def _equal(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    same: np.ndarray = (left == right) | (np.isnan(left) & np.isnan(right))
    return np.asarray(same.all(axis=1))


def _on_grid(times: np.ndarray, rules: WindowRules) -> None:
    assert rules.step is not None
    anchor = grid_anchor(rules.reference.timeframe) // 1_000_000
    wrong = times[(times - anchor) % rules.step != 0]
    if len(wrong):
        when = pd.Timestamp(int(wrong[0]), unit="ms", tz="UTC")
        raise VenueError(
            f"{rules.reference}: stamps must be open times of {rules.reference.timeframe} bars in "
            f"UTC; the venue's begin at {when:%A %Y-%m-%d %H:%M:%S}; fetch a finer timeframe, "
            "which studies resample"
        )


def _readable(page: Page, rules: WindowRules) -> np.ndarray:
    """Which rows are finite and meet the rules of their kind."""
    spec = kind_of(rules.reference.kind)
    finite = np.isfinite(page.values)
    good = finite.all(axis=1) if spec.columns else finite.any(axis=1)
    if spec.rules and len(page.times):
        frame = pd.DataFrame(page.values, columns=list(rules.columns))
        for rule in spec.rules:
            good &= ~rule.broken(frame).to_numpy()
    return np.asarray(good, dtype=bool)


def disagreeing(page: Page, other: Page) -> np.ndarray:
    """Which rows of a page another one has too, with other values."""
    wrong = np.zeros(len(page.times), bool)
    _, ours, theirs = np.intersect1d(page.times, other.times, return_indices=True)
    wrong[ours] = ~_equal(page.values[ours], other.values[theirs])
    return wrong


def joined_pages(page: Page, more: Page) -> Page:
    """Rows after which others come."""
    return Page(
        times=np.concatenate([page.times, more.times]),
        values=np.concatenate([page.values, more.values]),
    )


def _merged(got: Page, more: Page, rules: WindowRules) -> Page:
    if not len(more.times):
        return got
    if not len(got.times):
        return more
    _, ours, theirs = np.intersect1d(got.times, more.times, return_indices=True)
    differ = np.flatnonzero(~_equal(got.values[ours], more.values[theirs]))
    if len(differ):
        row = int(differ[0])
        raise ConflictError(
            f"{rules.reference}: the venue must answer alike each time; for "
            f"{said(int(got.times[ours[row]]))} it gave {got.values[ours[row]].tolist()}, "
            f"then {more.values[theirs[row]].tolist()}; try again later, or fetch another venue"
        )
    new = more.take(~np.isin(more.times, got.times))
    times = np.concatenate([got.times, new.times])
    order = np.argsort(times, kind="stable")
    return Page(times=times[order], values=np.concatenate([got.values, new.values])[order])


def _halves(ask: Ask, span: Span, rules: WindowRules) -> Gathered:
    """The venue held rows back, and nothing else tells how many: ask for less at a time."""
    middle = (span[0] + span[1]) // 2
    parts = [gather(ask, half, rules) for half in ((span[0], middle), (middle, span[1]))]
    return Gathered(
        page=joined_pages(*(part.page for part in parts)),
        absent=tuple(hole for part in parts for hole in part.absent),
        unknown=tuple(hole for part in parts for hole in part.unknown),
    )
