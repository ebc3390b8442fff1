"""The computations that a claim about a market may ask for.

Each is a function of the series, the moment the claim is about, and options of its own. It returns
a `ClaimFigure`: the value, and what the same computation gave at every earlier row, from which a
base rate is counted. Rows are found by the vendor's stamp: a claim is judged with hindsight.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_type_hints

import numpy as np
import pandas as pd

from delever.bars import close_times, resample
from delever.errors import InputError, NotStoredError
from delever.research.signal.forward import distinct, lowest_ahead
from delever.signals.clock import ago
from delever.signals.indicators import Average, moving_average
from delever.signals.levels import round_support
from delever.signals.network import shutdown_value
from delever.units import timeframe_delta

__all__ = [
    "COMPUTATIONS",
    "ClaimFigure",
    "ClaimSource",
    "ClaimUnit",
    "Computation",
    "computation",
    "vocabulary",
]

ClaimUnit: TypeAlias = Literal["number", "fraction", "date"]

_NEVER = cast("pd.Timestamp", pd.NaT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSource:
    """A series that claims are measured on."""

    name: str  # what the claims call it
    frame: pd.DataFrame  # shape (n, k): indexed by stamp, UTC, increasing; for bars the open time
    timeframe: str  # of the rows

    def column(self, name: str | None, timeframe: str | None = None) -> pd.Series:
        """One column, without missing values.

        Raises
        ------
        InputError
            If there is no such column.
        """
        frame = self.frame
        if timeframe is not None and timeframe != self.timeframe:
            frame = resample(frame, self.timeframe, timeframe)
        columns = list(frame.columns)
        chosen = name or (columns[0] if len(columns) == 1 else "close")
        if chosen not in columns:
            raise InputError(
                f"series {self.name!r} has the columns {', '.join(columns)}; got {chosen!r}; "
                "say which with column"
            )
        return frame[chosen].dropna()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFigure:
    """What a computation gave."""

    # A timestamp where the answer is a date; NaT when there is no such date in the data
    value: float | pd.Timestamp
    # the same figure at the rows of the past; None where a base rate would mean nothing
    history: pd.Series | None = None
    # past rows at which something as rare happened, where the computation itself says what
    events: pd.Series | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Computation:
    """A function that claims may name, and the unit of its figure; see `computation`."""

    name: str
    unit: ClaimUnit
    compute: Callable[..., ClaimFigure]

    def options(self) -> dict[str, tuple[Any, Any]]:
        """Type and default of each keyword of the function; ``...`` where it must be given."""
        hints = get_type_hints(self.compute)
        return {
            option.name: (
                hints[option.name],
                ... if option.default is option.empty else option.default,
            )
            for option in inspect.signature(self.compute).parameters.values()
            if option.kind is option.KEYWORD_ONLY
        }


def computation(unit: ClaimUnit) -> Callable[[Callable[..., ClaimFigure]], Computation]:
    """Make a function one that claims may name.

    The function takes a `ClaimSource`, the stamp of a row, and keywords: the options a claim may
    set, with types and defaults. An option of type `ClaimSource` is given as a series' name. Data
    that do not reach are a `NotStoredError`: the claim is then not testable.

    Examples
    --------
    >>> @computation("fraction")
    ... def share_below(series: ClaimSource, at: pd.Timestamp, *, level: float) -> ClaimFigure:
    ...     below = series.column(None) < level
    ...     return ClaimFigure(value=float(below[:at].mean()))
    >>> share_below.name, share_below.unit
    ('share_below', 'fraction')
    """

    def named(function: Callable[..., ClaimFigure]) -> Computation:
        return Computation(name=function.__name__, unit=unit, compute=function)

    return named


def _row(values: pd.Series, at: pd.Timestamp, name: str) -> float:
    """Value of the row stamped `at`; a series that does not have it says what it has."""
    if values.empty or not values.index[0] <= at <= values.index[-1]:
        span = (
            "is empty" if values.empty else f"covers {values.index[0]:%F} to {values.index[-1]:%F}"
        )
        raise NotStoredError(f"series {name!r} {span}, not {at:%F}")
    if at not in values.index:
        raise NotStoredError(f"series {name!r} has no row stamped {at:%F %H:%M}")
    return float(values.loc[at])


def _span(
    values: pd.Series, first: pd.Timestamp, last: pd.Timestamp, name: str, step: pd.Timedelta
) -> pd.Series:
    """Rows from `first` to `last`, both included; the series must reach over both."""
    if values.empty or values.index[0] > first or values.index[-1] + step <= last:
        held = "nothing" if values.empty else f"{values.index[0]:%F} to {values.index[-1]:%F}"
        raise NotStoredError(f"series {name!r} covers {held}, not {first:%F} to {last:%F}")
    inside = values.loc[first:last]
    if inside.empty:
        raise NotStoredError(f"series {name!r} has no row from {first:%F} to {last:%F}")
    return inside


@computation("number")
def value(series: ClaimSource, at: pd.Timestamp, *, column: str | None = None) -> ClaimFigure:
    """Value of the row stamped `at`."""
    values = series.column(column)
    return ClaimFigure(value=_row(values, at, series.name), history=values)


def _changes(
    series: ClaimSource,
    column: str | None,
    days: float | None,
    rows: int | None,
    timeframe: str | None,
) -> pd.Series:
    values = series.column(column, timeframe)
    if (days is None) == (rows is None):
        raise InputError(f"a change needs either days or rows; got days={days} and rows={rows}")
    before = values.shift(rows) if rows is not None else ago(values, float(days or 0))
    return (values / before - 1).dropna()


@computation("fraction")
def change(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    column: str | None = None,
    days: float | None = None,
    rows: int | None = None,
    since: pd.Timestamp | None = None,
    price: float | None = None,
    timeframe: str | None = None,
) -> ClaimFigure:
    """Change to the row at `at` from `days` or `rows` before, or from the row at `since`.

    With `price` the claim's own price stands in place of the last row's.
    """
    if since is not None:
        days = (at - since) / pd.Timedelta(1, "D")
    history = _changes(series, column, days, rows, timeframe)
    values = series.column(column, timeframe)
    latest = _row(values, at, series.name)
    if since is not None:
        earlier = _row(values, since, series.name)
    else:
        earlier = latest / (1 + _row(history, at, series.name))
    return ClaimFigure(value=(latest if price is None else price) / earlier - 1, history=history)


@computation("number")
def total(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    since: pd.Timestamp,
    column: str | None = None,
    plus: str | None = None,
) -> ClaimFigure:
    """Sum of the rows stamped from `since` to `at`, both included, of one column or of two."""
    values = series.column(column)
    if plus is not None:
        values = (values + series.column(plus)).dropna()
    step = timeframe_delta(series.timeframe)
    length = at - since + step
    rolled = values.rolling(length).sum()
    history = rolled[rolled.index >= values.index[0] + length - step]
    return ClaimFigure(
        value=float(_span(values, since, at, series.name, step).sum()), history=history
    )


@computation("number")
def lowest(
    series: ClaimSource, at: pd.Timestamp, *, since: pd.Timestamp, column: str | None = None
) -> ClaimFigure:
    """Lowest row stamped from `since` to `at`, both included."""
    step = timeframe_delta(series.timeframe)
    rows = _span(series.column(column), since, at, series.name, step)
    return ClaimFigure(value=float(rows.min()))


@computation("fraction")
def fall(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    since: pd.Timestamp,
    price: float | None = None,
    high: str = "high",
    low: str = "low",
) -> ClaimFigure:
    """Low of `at` (or the claim's own `price`) against the highest high since `since`."""
    highs, lows = series.column(high), series.column(low)
    step = timeframe_delta(series.timeframe)
    top = float(_span(highs, since, at, series.name, step).max())
    reached = _row(lows, at, series.name) if price is None else price
    length = at - since + step
    history = (lows / highs.rolling(length).max() - 1)[lows.index >= lows.index[0] + length - step]
    return ClaimFigure(value=reached / top - 1, history=history)


@computation("number")
def days_since_high(
    series: ClaimSource, at: pd.Timestamp, *, since: pd.Timestamp, column: str = "high"
) -> ClaimFigure:
    """Days from the highest row since `since` to `at`."""
    step = timeframe_delta(series.timeframe)
    rows = _span(series.column(column), since, at, series.name, step)
    top = pd.DatetimeIndex(rows.index)[int(rows.to_numpy().argmax())]
    return ClaimFigure(value=float((at - top) / pd.Timedelta(1, "D")))


def _record(
    values: pd.Series, at: pd.Timestamp, name: str, level: float | None, sign: int
) -> ClaimFigure:
    reached = _row(values, at, name) if level is None else level
    signed = values * sign
    past = signed[signed.index < at]
    beyond = past[past <= reached * sign]
    if beyond.empty:
        return ClaimFigure(value=_NEVER)
    last = beyond.index[-1]
    span = at - last
    ranked = signed.rolling(span, closed="left").min()
    full = signed.index >= signed.index[0] + span
    return ClaimFigure(value=last, events=(signed < ranked)[full])


@computation("date")
def lowest_since(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    column: str | None = None,
    level: float | None = None,
    days: float | None = None,
    rows: int | None = None,
    timeframe: str | None = None,
) -> ClaimFigure:
    """Last earlier row at or below that of `at` (or at or below `level`).

    With `days` or `rows` it is the change over so many that is compared.
    """
    values = (
        series.column(column, timeframe)
        if days is None and rows is None
        else _changes(series, column, days, rows, timeframe)
    )
    return _record(values, at, series.name, level, 1)


@computation("date")
def highest_since(
    series: ClaimSource, at: pd.Timestamp, *, column: str | None = None, level: float | None = None
) -> ClaimFigure:
    """Last earlier row at or above that of `at` (or at or above `level`)."""
    return _record(series.column(column), at, series.name, level, -1)


@computation("date")
def first_below(
    series: ClaimSource, at: pd.Timestamp, *, level: float, column: str | None = None
) -> ClaimFigure:
    """First row stamped at or after `at` that is below `level`."""
    values = series.column(column)
    _row(values, at, series.name)
    under = values[(values.index >= at) & (values < level)]
    return ClaimFigure(value=_NEVER if under.empty else under.index[0])


@computation("number")
def average(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    weeks: int,
    average: Average,
    column: str | None = None,
) -> ClaimFigure:
    """Average of the closes of the `weeks` weeks closed by the end of the day `at`.

    A past row counts as an event when its week closed below its average.
    """
    close = series.column(column, "1w")
    line = moving_average(close, weeks, average)
    closed = close_times(pd.DatetimeIndex(close.index), "1w")
    day = pd.Timedelta(1, "D")
    last = int(closed.searchsorted(at + day, side="right")) - 1
    if last < weeks - 1 or at + day > closed[-1] + 7 * day:
        raise NotStoredError(
            f"series {series.name!r} has no {weeks} closed weeks before {at:%F}; it covers "
            f"{series.frame.index[0]:%F} to {series.frame.index[-1]:%F}"
        )
    events = (close < line).set_axis(closed, axis=0)[line.notna().to_numpy()]
    return ClaimFigure(value=float(line.iloc[last]), events=events)


@computation("number")
def correlation(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    beside: ClaimSource,
    window: int,
    of: Literal["returns", "levels"] = "returns",
    column: str | None = None,
) -> ClaimFigure:
    """Pearson's correlation over the last `window` days both have, of log returns or of levels."""
    both = pd.concat([series.column(column), beside.column(column)], axis=1, join="inner")
    pairs = both if of == "levels" else (both / both.shift(1)).transform(np.log)
    history = pairs.iloc[:, 0].rolling(window).corr(pairs.iloc[:, 1]).dropna()
    return ClaimFigure(
        value=_row(history, at, f"{series.name} beside {beside.name}"), history=history
    )


@computation("number")
def extension(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    top: pd.Timestamp,
    bottom: pd.Timestamp,
    rebound: pd.Timestamp,
    ratio: float = 1.0,
) -> ClaimFigure:
    """Fibonacci target: high of `rebound` less `ratio` of the leg from high `top` to low `bottom`.

    The three swings must be on or before `at`.
    """
    if not top < bottom < rebound <= at:
        raise InputError(
            f"swings must follow one another: top, bottom, rebound, then the claim; "
            f"got {top:%F}, {bottom:%F}, {rebound:%F}, {at:%F}"
        )
    high, low = series.column("high"), series.column("low")
    leg = _row(high, top, series.name) - _row(low, bottom, series.name)
    return ClaimFigure(value=_row(high, rebound, series.name) - ratio * leg)


@computation("number")
def shutdown(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    joules_per_terahash: float,
    power_price: float,
    subsidy: float,
    column: str | None = "difficulty",
) -> ClaimFigure:
    """Price at which mining earns no more than its power, at the difficulty of `at`."""
    difficulty = _row(series.column(column), at, series.name)
    price = shutdown_value(difficulty, subsidy, joules_per_terahash, power_price)
    return ClaimFigure(value=float(price))


@computation("number")
def next_round(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    level: float,
    parts: int = 2,
    column: str | None = None,
) -> ClaimFigure:
    """Next round number below `level`, on the grid of a price of its size."""
    _row(series.column(column), at, series.name)
    just_below = level * (1 - 1e-6)
    return ClaimFigure(value=float(round_support(pd.Series([just_below] * 2), parts=parts).iloc[1]))


@computation("fraction")
def reach_rate(
    series: ClaimSource, at: pd.Timestamp, *, fall: float, days: int, parts: int = 2
) -> ClaimFigure:
    """Share of past breaks of round numbers after which the price fell so far below them.

    A break is a close below the round number the previous close had stood on; of breaks less than
    `days` apart the first counts. Only breaks whose `days` had passed by `at` count. The base rate
    is that of a fall as deep, measured from the close, after any day.
    """
    close, low = series.column("close"), series.column("low")
    _row(close, at, series.name)
    ahead = lowest_ahead(low, days)
    length = pd.Timedelta(days, "D")
    opens = pd.DatetimeIndex(close.index).as_unit("ns")
    past = opens + length < at
    level = round_support(close, parts=parts)
    broken = ((close < level) & past & ahead.notna()).to_numpy()
    chosen = opens.asi8[broken]
    if not len(chosen):
        raise NotStoredError(
            f"series {series.name!r} has no break of a round number before {at:%F}"
        )
    first = np.isin(opens.asi8, distinct(chosen, length.value))
    reached = ahead[first] <= (1 - fall) * level[first]
    return ClaimFigure(value=float(reached.mean()), events=(ahead <= (1 - fall) * close)[past])


COMPUTATIONS: tuple[Computation, ...] = (
    value,
    change,
    total,
    lowest,
    fall,
    days_since_high,
    lowest_since,
    highest_since,
    first_below,
    average,
    correlation,
    extension,
    shutdown,
    next_round,
    reach_rate,
)
"""The computations that come with the package."""


def vocabulary(extra: Iterable[Computation] = ()) -> Mapping[str, Computation]:
    """Every computation a claim may name, those from outside included.

    Raises
    ------
    InputError
        If two share a name.
    """
    known: dict[str, Computation] = {}
    for one in (*COMPUTATIONS, *extra):
        if one.name in known:
            raise InputError(f"every computation needs a name of its own; {one.name!r} repeats")
        known[one.name] = one
    return known
