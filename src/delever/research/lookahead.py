"""Does a strategy see the future? Change what it may see and compare, rather than read its code.

`find_leak` hides or replaces everything after a bar and asks again; whatever was answered up to
that bar must stay as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.errors import InputError
from delever.view import MarketView

__all__ = ["Leak", "ask", "differ", "find_leak", "price_columns"]

Change: TypeAlias = Literal["repeated", "removed", "mirrored", "scrambled"]
Values: TypeAlias = npt.NDArray[np.float64]

_NOISE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A bar whose value depends on what came after it.

    Attributes
    ----------
    bar : pandas.Timestamp
        Open time of the bar, UTC.
    with_future, without : float
        The value with everything seen, and with the later bars changed.
    change : {"repeated", "removed", "mirrored", "scrambled"}
        What was done to the later bars.
    after : pandas.Timestamp
        Open time of the last bar that was left as it is.
    error : str
        What the function raised when the later bars were gone; empty when it answered.
    """

    bar: pd.Timestamp
    with_future: float
    without: float
    change: Change
    after: pd.Timestamp
    error: str = ""

    def __str__(self) -> str:
        """One sentence: the bar, both values, and what was changed."""
        if self.change == "repeated":
            return (
                f"bar {self.bar:%Y-%m-%d %H:%M}: the same market gives {self.with_future:g} the "
                f"first time and {self.without:g} the second; seed or remove what is random"
            )
        then = f"it raises {self.error}" if self.error else f"{self.without:g}"
        how = {"removed": "removed", "mirrored": "turned upside down", "scrambled": "scrambled"}
        return (
            f"bar {self.bar:%Y-%m-%d %H:%M}: {self.with_future:g} with the bars after "
            f"{self.after:%Y-%m-%d %H:%M} as they were, {then} with them {how[self.change]}; "
            "a value may depend only on what was known at its own close"
        )


def find_leak(
    function: Callable[[MarketView], pd.Series],
    market: MarketView,
    *,
    points: int = 32,
    seed: int = 0,
) -> Leak | None:
    """Search for a bar whose value depends on the future.

    The function is asked once with everything, then again with the bars after a cut removed,
    mirrored (a rise becomes a fall) and scrambled by noise. Cuts are spread evenly and put just
    before and at the bars where the value changes.

    Parameters
    ----------
    function : callable
        From a market to one value per bar: a strategy, a signal or a feature.
    market : MarketView
        Where to look; at least two bars.
    points : int
        Evenly spread cuts, and at most as many changes of the value examined; at least 1.
    seed : int
        Of the noise.

    Returns
    -------
    Leak or None
        The counterexample with the earliest cut, bars removed being preferred to bars replaced.
        None proves nothing beyond the cuts that were tried.

    Raises
    ------
    InputError
        If the market has fewer than two bars or `points` is below 1.
    Exception
        Whatever `function` raises on the whole market.

    Notes
    -----
    Values count as different beyond 1e-9 relative. A function that raises once the later bars
    are removed, though it has a value for the last bar left, is a leak as well; before its first
    value it may raise. What it raises on replaced bars is no evidence and is passed over.

    Examples
    --------
    >>> days = pd.date_range("2021-01-01", periods=4, tz="UTC")
    >>> bars = pd.DataFrame({"close": [1.0, 2, 3, 4]}, index=days)
    >>> market = MarketView(bars=bars, timeframe="1d")
    >>> print(find_leak(lambda seen: seen.bars["close"].shift(-1), market))
    bar 2021-01-01 00:00: 2 with the bars after 2021-01-01 00:00 as they were, nan with them
    removed; a value may depend only on what was known at its own close
    """
    if len(market.index) < 2 or points < 1:
        raise InputError(
            "a look-ahead check needs at least 2 bars and 1 point; "
            f"got {len(market.index)} bars and {points} points"
        )
    whole = ask(function, market)
    cuts = _cuts(whole, points)
    for change, row, changed in _changes(market, cuts, seed):
        leak = _compare(function, market, whole, change, row, changed)
        if leak is not None:
            return leak
    return None


def ask(function: Callable[[MarketView], pd.Series], market: MarketView) -> Values:
    """Values of a function of the market, one per bar.

    Parameters
    ----------
    function : callable
        From a market to one value per bar.
    market : MarketView
        n bars. The function gets a view of its own: columns it adds stay with it.

    Returns
    -------
    numpy.ndarray of float, shape (n,)

    Raises
    ------
    InputError
        If it does not return a series with one value per bar.
    """
    answer = function(replace(market))
    if not isinstance(answer, pd.Series) or len(answer) != len(market.index):
        size = f"{len(answer)} rows" if isinstance(answer, pd.Series) else type(answer).__name__
        raise InputError(
            f"one value per bar is required, as a pandas Series; got {size} for "
            f"{len(market.index)} bars"
        )
    return answer.to_numpy(dtype="float64", na_value=np.nan)


def _cuts(whole: Values, points: int) -> list[int]:
    """Rows after which the future begins."""
    last = len(whole) - 1
    changed = 1 + np.flatnonzero(differ(whole[1:], whole[:-1]))
    if len(changed) > points:
        changed = changed[np.linspace(0, len(changed) - 1, points).astype(int)]
    spread = np.linspace(0, last - 1, min(points, last)).astype(int)
    rows = {int(row) for row in (*spread, *changed, *(changed - 1))}
    return sorted(row for row in rows if row < last)


def _changes(
    market: MarketView, cuts: list[int], seed: int
) -> Iterator[tuple[Change, int, MarketView]]:
    yield "repeated", len(market.index) - 1, market
    for row in cuts:
        yield "removed", row, market.upto(market.close_time[row])
    for row in cuts:
        yield "mirrored", row, _mirrored(market, row)
    for row in cuts:
        yield "scrambled", row, _scrambled(market, row, np.random.default_rng((seed, row)))


def _compare(
    function: Callable[[MarketView], pd.Series],
    market: MarketView,
    whole: Values,
    change: Change,
    row: int,
    changed: MarketView,
) -> Leak | None:
    try:
        seen = ask(function, changed)
    except Exception as error:  # noqa: BLE001 - a strategy may raise anything; it is the evidence
        if change in ("mirrored", "scrambled") or np.isnan(whole[row]):
            return None
        said = f"{type(error).__name__}: {error}"
        bar, without = row, np.nan
    else:
        wrong = np.flatnonzero(differ(whole[: row + 1], seen[: row + 1]))
        if not len(wrong):
            return None
        said = ""
        bar, without = int(wrong[0]), float(seen[wrong[0]])
    return Leak(
        bar=market.index[bar],
        with_future=float(whole[bar]),
        without=without,
        change=change,
        after=market.index[row],
        error=said,
    )


def differ(one: Values, other: Values) -> npt.NDArray[np.bool_]:
    """Where two answers differ by more than 1e-9 relative; NaN equals NaN.

    Parameters
    ----------
    one, other : numpy.ndarray of float, shape (n,)
        The answers.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
    """
    return ~np.isclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True)


def _with_future(
    market: MarketView, row: int, bars: pd.DataFrame, reading: Callable[[pd.DataFrame], Any]
) -> MarketView:
    """The market with its bars after `row` replaced, and the readings known after it."""
    known = market.close_time[row]
    readings = {}
    for name, was in market.readings.items():
        late = was.known_at > known
        frame = was.frame.astype("float64")
        frame.loc[late] = reading(frame.loc[late])
        readings[name] = replace(was, frame=frame)
    past = market.bars.iloc[: row + 1]
    return replace(market, bars=pd.concat([past, bars]), readings=readings)


def price_columns(bars: pd.DataFrame) -> list[str]:
    """Columns of bars that hold prices: all but the volume.

    Parameters
    ----------
    bars : pandas.DataFrame, shape (n, k)
        Bars.

    Returns
    -------
    list of str
    """
    return [name for name in map(str, bars.columns) if name != "volume"]


def _mirrored(market: MarketView, row: int) -> MarketView:
    """Prices become ``anchor ** 2 / price``; readings run backwards."""
    future = market.bars.iloc[row + 1 :]
    anchor = float(market.bars["close"].iloc[row])
    swapped = future.rename(columns={"high": "low", "low": "high"})[list(future.columns)]
    prices = price_columns(future)
    upended = swapped.assign(**(anchor**2 / swapped[prices]))
    return _with_future(market, row, upended, lambda frame: frame.to_numpy()[::-1])


def _scrambled(market: MarketView, row: int, rng: np.random.Generator) -> MarketView:
    """Each bar's prices times one random factor, its volume and the readings times others."""
    future = market.bars.iloc[row + 1 :].astype("float64")
    prices = price_columns(future)
    future[prices] = future[prices].mul(np.exp(rng.normal(0.0, _NOISE, len(future))), axis=0)
    if "volume" in future:
        future["volume"] *= np.exp(rng.normal(0.0, _NOISE, len(future)))
    return _with_future(
        market, row, future, lambda frame: frame * np.exp(rng.normal(0.0, _NOISE, frame.shape))
    )
