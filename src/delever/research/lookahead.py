"""Does a strategy see the future? Change what it may see and compare, rather than read its code.

`find_leak` hides or replaces everything after a bar and asks again; whatever was answered up to
that bar must stay as it was. `shrink_leak` then cuts the market down to the bars that show it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pandas as pd

from delever.arguments import MOST_SEED, Flags, Floats, counted, whole_number
from delever.engine.orders import EXPOSURE, ORDERS
from delever.errors import InputError
from delever.panel import Markets
from delever.research.cuts import changes, questions
from delever.research.decision import Decided
from delever.research.panel_perturbation import answers, markets_window, moves, perturb_markets
from delever.research.perturbation import Perturbation, perturb_future, window
from delever.view import MarketView

Seen: TypeAlias = MarketView | Markets
"""What a function is asked about: one market, or several."""
Question: TypeAlias = "Callable[[MarketView], Decided] | Callable[[Markets], Decided]"
S = TypeVar("S", MarketView, Markets)

MOST_POINTS = 10_000
POINTS = 1_000
"""Cuts that are asked at least."""

_REPLACED = ("mirrored", "shuffled", "scrambled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A bar whose value depends on what came after it."""

    bar: pd.Timestamp  # open time of the bar, UTC
    with_future: float  # the value with everything seen, and with the later bars changed
    without: float
    change: Perturbation  # what was done to the later bars, or to the publication lag of readings
    after: pd.Timestamp  # open time of the last bar that was left as it is
    first: pd.Timestamp  # open times of the first and last bar of the market it was found on
    last: pd.Timestamp
    seed: int = 0  # of the noise
    # what the function raised when the later bars were gone; empty when it answered
    error: str = ""
    column: str = ""  # of the frame that was answered; empty when it was a series
    panel: bool = False  # whether that is a symbol's, of several markets

    def __str__(self) -> str:
        """One sentence: the line or symbol, the bar, both values, and what was changed."""
        named = "" if self.column in ORDERS else "line "
        line = f"{named}{self.column!r}, " if self.column not in ("", EXPOSURE) else ""
        line = f"{self.column}, " if self.panel else line
        where = f"{line}bar {self.bar:%Y-%m-%d %H:%M}"
        seen, blind = told_apart(self.with_future, self.without)
        if self.change == "repeated":
            return (
                f"{where}: the same market gives {seen} the "
                f"first time and {blind} the second; seed or remove what is random"
            )
        then = f"it raises {self.error}" if self.error else blind
        if self.change == "published later":
            return (
                f"{where}: {seen} with the readings as they "
                f"are declared, {then} with them no earlier than they can have been published; "
                "declare their publication lag when storing them"
            )
        how = (
            "turned upside down and twice as far away" if self.change == "mirrored" else self.change
        )
        return (
            f"{where}: {seen} with the bars after "
            f"{self.after:%Y-%m-%d %H:%M} as they were, {then} with them {how}; "
            "a value may depend only on what was known at its own close"
        )


def told_apart(one: float, other: float) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to tell them apart, six at least.

    Examples
    --------
    >>> told_apart(0.5, 0.50000001)
    ('0.5', '0.50000001')
    """
    for digits in range(6, 18):
        texts = f"{one:.{digits}g}", f"{other:.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts


def find_leak(
    function: Question,
    market: Seen,
    *,
    points: int = POINTS,
    seconds: float = 0.0,
    seed: int = 0,
    least_lags: Mapping[str, pd.Timedelta] | None = None,
    told: Callable[[int], object] = lambda row: None,
) -> Leak | None:
    """Search for a bar whose value depends on the future.

    At least `points` cuts are asked, and more until `seconds` have passed or all there are; `told`
    hears of the row before each.

    Raises InputError if the market has fewer than two bars, or `points` or `seed` is out of its
    range; Exception whatever `function` raises on the whole market.
    """
    until = time.monotonic() + seconds
    whole_number("points", points, 1, MOST_POINTS)
    whole_number("seed", seed, 0, MOST_SEED)
    if len(market.index) < 2:
        raise InputError(
            f"a look-ahead check needs at least 2 bars; got {len(market.index)}; load a longer span"
        )
    question = _Question(function, market, seed=seed, least_lags=least_lags or {})
    for change, row in question.asked(points, until):
        if row < len(market.index) - 1:
            told(row)
        leak = question.leak(change, row)
        if leak is not None:
            # Any answer differs from the last one when the rule is random now and then.
            return question.leak("repeated", len(market.index) - 1) or leak
    return None


def shows(
    function: Question,
    market: Seen,
    leak: Leak,
    *,
    least_lags: Mapping[str, pd.Timedelta] | None = None,
) -> bool:
    """Whether the change of the future that showed a leak shows one of this function, too."""
    question = _Question(function, market, seed=leak.seed, least_lags=least_lags or {})
    row = int(market.index.get_indexer(pd.DatetimeIndex([leak.after]))[0])
    return question.leak(leak.change, row) is not None


@dataclass(slots=True)
class _Question:
    """A function, and what it answers on the whole of a market."""

    function: Question
    market: Seen
    seed: int
    least_lags: Mapping[str, pd.Timedelta]
    whole: dict[str, Floats] = field(init=False)

    def __post_init__(self) -> None:
        self.whole = ask(self.function, self.market)

    def asked(self, points: int, until: float) -> Iterator[tuple[Perturbation, int]]:
        """Changes of the future, and the rows after which."""
        rows = len(self.market.index)
        yield "repeated", rows - 1
        if self.least_lags:
            yield "published later", rows - 1
        moved = {name: differ(each[1:], each[:-1]) for name, each in self.whole.items()}
        if isinstance(self.market, Markets):
            moved = {"": np.logical_or.reduce([np.zeros(rows - 1, bool), *moved.values()])}
            close = moves(self.market)
        else:
            close = self.market.bars["close"].to_numpy(dtype="float64")
        least, then = questions(changes(moved), close, points)
        yield from least
        done = set(least)
        for one in then:
            if time.monotonic() >= until:
                return
            if one not in done:
                done.add(one)
                yield one

    def leak(self, change: Perturbation, row: int) -> Leak | None:
        """What a change of the future after a row shows."""
        changed = with_other_future(
            self.market,
            self.market.index[row],
            change,
            seed=self.seed,
            least_lags=self.least_lags,
        )
        return _compare(self.function, self.market, self.whole, change, row, changed, self.seed)


def with_other_future(
    market: Seen,
    after: pd.Timestamp,
    change: Perturbation,
    *,
    seed: int = 0,
    least_lags: Mapping[str, pd.Timedelta] | None = None,
) -> Seen:
    """One market or several, the same up to the bar that opens at `after`."""
    if isinstance(market, Markets):
        return perturb_markets(market, after, change, seed=seed, least_lags=least_lags)
    return perturb_future(market, after, change, seed=seed, least_lags=least_lags)


def cut_out(market: Seen, first: pd.Timestamp, last: pd.Timestamp) -> Seen:
    """Some bars of one market or several, with what was known by their end."""
    if isinstance(market, Markets):
        return markets_window(market, first, last)
    return window(market, first, last)


def ask(function: Question, market: Seen) -> dict[str, Floats]:
    """Floats of a function of the market, one per bar, by column; that of a series is ``""``.

    Raises InputError if it does not return a series or frame with one row per bar.
    """
    asked: Callable[[Any], Decided] = function
    given: Any = market
    answer = asked(untouched(given))
    if not isinstance(answer, pd.Series | pd.DataFrame) or len(answer) != len(market.index):
        size = type(answer).__name__
        if isinstance(answer, pd.Series | pd.DataFrame):
            size = f"{counted(len(answer), 'row')}"
        raise InputError(
            f"one value per bar is required, as a pandas Series; got {size} for "
            f"{counted(len(market.index), 'bar')}"
        )
    if isinstance(answer, pd.Series):
        return {"": answer.to_numpy(dtype="float64", na_value=np.nan)}
    if isinstance(market, Markets):
        return answers(answer, market)
    names = sorted(answer.columns, key=lambda name: name != EXPOSURE)
    return {name: answer[name].to_numpy(dtype="float64", na_value=np.nan) for name in names}


def untouched(market: S) -> S:
    """A copy that whatever is written into it does not reach the market."""
    if isinstance(market, Markets):
        return replace(market, views={name: untouched(one) for name, one in market.views.items()})
    readings = {name: replace(was, frame=was.frame.copy()) for name, was in market.readings.items()}
    before = market.earlier
    return replace(
        market,
        bars=market.bars.copy(),
        readings=readings,
        earlier=None if before is None else replace(before, bars=before.bars.copy()),
    )


def shrink_leak(
    function: Question,
    market: Seen,
    leak: Leak,
    *,
    least_lags: Mapping[str, pd.Timedelta] | None = None,
) -> Leak:
    """Cut a market down to few bars that still show a leak."""
    if leak.change == "repeated":
        return leak

    def tried(begin: int, after: int, last: int) -> Leak | None:
        small = cut_out(market, market.index[begin], market.index[last])
        changed = with_other_future(
            small, market.index[after], leak.change, seed=leak.seed, least_lags=least_lags
        )
        try:
            whole = ask(function, small)
        except Exception:  # noqa: BLE001 - too few bars for it: this market shows nothing
            return None
        return _compare(function, small, whole, leak.change, after - begin, changed, leak.seed)

    def shortest(after: int) -> Leak | None:
        """The fewest bars behind the cut; where readings come later, the market ends with it."""
        if leak.change == "published later":
            return _least(lambda more: tried(0, after + more, after + more), end - after)
        return _least(lambda more: tried(0, after, min(after + 1 + more, end)), end - after - 1)

    def rows_of(one: Leak) -> list[int]:
        stamps = pd.DatetimeIndex([one.bar, one.after, one.last])
        return market.index.get_indexer(stamps).tolist()

    bar, cut, end = rows_of(leak)
    best = shortest(bar) or shortest(cut) or leak
    bar, cut, end = rows_of(best)
    return _least(lambda more: tried(max(bar - more, 0), cut, end), bar) or best


def _least(tried: Callable[[int], Leak | None], most: int) -> Leak | None:
    """What the smallest number shows, sought by doubling and then by halving the last step."""
    low, high, found = 0, 0, tried(0)
    while found is None and high < most:
        low, high = high + 1, min(2 * high + 1, most)
        found = tried(high)
    while found is not None and low < high:
        middle = (low + high) // 2
        nearer = tried(middle)
        low, high, found = (low, middle, nearer) if nearer else (middle + 1, high, found)
    return found


def _compare(
    function: Question,
    market: Seen,
    whole: Mapping[str, Floats],
    change: Perturbation,
    row: int,
    changed: Seen,
    seed: int,
) -> Leak | None:
    said, (first, *others) = "", whole
    told = [first, *others] if isinstance(market, Markets) else [first]  # the others are lines
    try:
        seen = ask(function, changed)
    except Exception as error:  # noqa: BLE001 - a strategy may raise anything; it is the evidence
        # What it raises on replaced bars, or before its first value, is no evidence.
        if change in _REPLACED or all(np.isnan(whole[name][row]) for name in told):
            return None
        said = f"{type(error).__name__}: {error}"
        bar, column, without = row, first, np.nan
    else:
        found = _first_difference(whole, seen, row)
        if found is None:
            return None
        bar, column = found
        without = float(seen[column][bar]) if column in seen else np.nan
    return Leak(
        bar=market.index[bar],
        with_future=float(whole[column][bar]) if column in whole else np.nan,
        without=without,
        change=change,
        after=market.index[row],
        first=market.index[0],
        last=market.index[-1],
        seed=seed,
        error=said,
        column=column,
        panel=isinstance(market, Markets),
    )


def _first_difference(
    whole: Mapping[str, Floats], seen: Mapping[str, Floats], row: int
) -> tuple[int, str] | None:
    """First row up to one at which a column differs, and its name; what lacks a column has NaN."""
    unknown = np.full(row + 1, np.nan)
    found: tuple[int, str] | None = None
    for name in {**whole, **seen}:
        was, now = (each.get(name, unknown)[: row + 1] for each in (whole, seen))
        wrong = np.flatnonzero(differ(was, now))
        if len(wrong) and (found is None or wrong[0] < found[0]):
            found = int(wrong[0]), name
    return found


def differ(one: Floats, other: Floats) -> Flags:
    """Where two answers differ by more than 1e-9 relative; NaN equals NaN."""
    return ~np.isclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True)
