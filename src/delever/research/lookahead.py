"""Does a strategy see the future? Change what it may see and compare, rather than read its code.

`find_leak` hides or replaces everything after a bar and asks again; whatever was answered up to
that bar must stay as it was. `shrink_leak` then cuts the market down to the bars that show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from delever.arguments import MOST_SEED, Flags, Floats, counted, whole_number
from delever.errors import InputError
from delever.research.decision import EXPOSURE, Decided
from delever.research.perturbation import Perturbation, perturb_future, window
from delever.view import MarketView

MOST_POINTS = 10_000

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

    def __str__(self) -> str:
        """One sentence: the line if it is one, the bar, both values, and what was changed."""
        line = f"line {self.column!r}, " if self.column not in ("", EXPOSURE) else ""
        where = f"{line}bar {self.bar:%Y-%m-%d %H:%M}"
        if self.change == "repeated":
            return (
                f"{where}: the same market gives {self.with_future:g} the "
                f"first time and {self.without:g} the second; seed or remove what is random"
            )
        then = f"it raises {self.error}" if self.error else f"{self.without:g}"
        if self.change == "published later":
            return (
                f"{where}: {self.with_future:g} with the readings as they "
                f"are declared, {then} with them no earlier than they can have been published; "
                "declare their publication lag when storing them"
            )
        how = "turned upside down" if self.change == "mirrored" else self.change
        return (
            f"{where}: {self.with_future:g} with the bars after "
            f"{self.after:%Y-%m-%d %H:%M} as they were, {then} with them {how}; "
            "a value may depend only on what was known at its own close"
        )


def find_leak(
    function: Callable[[MarketView], Decided],
    market: MarketView,
    *,
    points: int = 32,
    seed: int = 0,
    least_lags: Mapping[str, pd.Timedelta] | None = None,
) -> Leak | None:
    """Search for a bar whose value depends on the future.

    Raises InputError if the market has fewer than two bars, or `points` or `seed` is out of its
    range; Exception whatever `function` raises on the whole market.

    Examples
    --------
    >>> days = pd.date_range("2021-01-01", periods=4, tz="UTC")
    >>> bars = pd.DataFrame({"close": [1.0, 2, 3, 4]}, index=days)
    >>> market = MarketView(bars=bars, timeframe="1d")
    >>> print(find_leak(lambda seen: seen.bars["close"].shift(-1), market))
    bar 2021-01-01 00:00: 2 with the bars after 2021-01-01 00:00 as they were, nan with them
    removed; a value may depend only on what was known at its own close
    """
    whole_number("points", points, 1, MOST_POINTS)
    whole_number("seed", seed, 0, MOST_SEED)
    if len(market.index) < 2:
        raise InputError(
            f"a look-ahead check needs at least 2 bars; got {len(market.index)}; load a longer span"
        )
    whole = ask(function, market)
    cuts = _cuts(whole, points)
    for change, row in _changes(cuts, len(market.index), bool(least_lags)):
        changed = perturb_future(
            market, market.index[row], change, seed=seed, least_lags=least_lags
        )
        leak = _compare(function, market, whole, change, row, changed, seed)
        if leak is not None:
            return leak
    return None


def ask(function: Callable[[MarketView], Decided], market: MarketView) -> dict[str, Floats]:
    """Floats of a function of the market, one per bar, by column; that of a series is ``""``.

    Raises InputError if it does not return a series or frame with one row per bar.
    """
    answer = function(replace(market))
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
    names = sorted(answer.columns, key=lambda name: name != EXPOSURE)
    return {name: answer[name].to_numpy(dtype="float64", na_value=np.nan) for name in names}


def _cuts(whole: Mapping[str, Floats], points: int) -> list[int]:
    """Rows after which the future begins: evenly spread, and at and before every change.

    Changes of the first column, the exposures, are thinned apart from those of the lines: a line
    that moves on every bar takes none of their places.
    """
    first, *others = whole.values()
    last = len(first) - 1
    spread = np.linspace(0, last - 1, min(points, last)).astype(int)
    rows = {int(row) for row in spread}
    for columns in ([first], others):
        moved = [differ(values[1:], values[:-1]) for values in columns]
        changed = 1 + np.flatnonzero(np.logical_or.reduce([np.zeros(last, bool), *moved]))
        if len(changed) > points:
            changed = changed[np.linspace(0, len(changed) - 1, points).astype(int)]
        rows.update(int(row) for row in (*changed, *(changed - 1)))
    return sorted(row for row in rows if row < last)


def _changes(cuts: list[int], rows: int, lags: bool) -> Iterator[tuple[Perturbation, int]]:
    yield "repeated", rows - 1
    if lags:
        yield "published later", rows - 1
    changes: tuple[Perturbation, ...] = ("removed", "mirrored", "shuffled", "scrambled")
    for change in changes:
        for row in cuts:
            yield change, row


def shrink_leak(
    function: Callable[[MarketView], Decided],
    market: MarketView,
    leak: Leak,
    *,
    least_lags: Mapping[str, pd.Timedelta] | None = None,
) -> Leak:
    """Cut a market down to few bars that still show a leak.

    Examples
    --------
    >>> days = pd.date_range("2021-01-01", periods=90, tz="UTC")
    >>> market = MarketView(bars=pd.DataFrame({"close": range(1, 91)}, index=days), timeframe="1d")
    >>> def peeks(seen):
    ...     return seen.bars["close"].shift(-1)
    >>> leak = shrink_leak(peeks, market, find_leak(peeks, market))
    >>> f"{leak.first:%m-%d} to {leak.last:%m-%d}"
    '01-01 to 01-02'
    """
    if leak.change == "repeated":
        return leak

    def tried(begin: int, after: int, last: int) -> Leak | None:
        small = window(market, market.index[begin], market.index[last])
        changed = perturb_future(
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
    function: Callable[[MarketView], Decided],
    market: MarketView,
    whole: Mapping[str, Floats],
    change: Perturbation,
    row: int,
    changed: MarketView,
    seed: int,
) -> Leak | None:
    said, (first, *_) = "", whole
    try:
        seen = ask(function, changed)
    except Exception as error:  # noqa: BLE001 - a strategy may raise anything; it is the evidence
        # What it raises on replaced bars, or before its first value, is no evidence.
        if change in _REPLACED or np.isnan(whole[first][row]):
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
