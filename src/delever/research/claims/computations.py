"""The computations that a claim about a market may ask for, see `computation`.

Rows are found by the vendor's stamp: a claim is judged with hindsight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, cast

import numpy as np
import pandas as pd

from delever.bars import close_times
from delever.errors import InputError, NotStoredError
from delever.research.claims.counts import COUNTS, changes
from delever.research.claims.protocol import (
    ClaimFigure,
    ClaimSource,
    Computation,
    computation,
    row_at,
)
from delever.research.signal.forward import distinct, lowest_ahead
from delever.signals.indicators import Average, moving_average
from delever.signals.levels import round_support
from delever.signals.network import shutdown_value

_NEVER = cast("pd.Timestamp", pd.NaT)
_DAY = pd.Timedelta(1, "D")


@computation("number")
def value(series: ClaimSource, at: pd.Timestamp, *, column: str | None = None) -> ClaimFigure:
    """Value of the row stamped `at`."""
    return ClaimFigure(value=series.at(at, column), history=series.column(column))


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
        days = (at - since) / _DAY
    values = series.column(column, timeframe)
    history = changes(values, days, rows)
    latest = row_at(values, at, series.name)
    if since is not None:
        earlier = row_at(values, since, series.name)
    else:
        earlier = latest / (1 + row_at(history, at, series.name))
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
    length = at - since + series.step
    return ClaimFigure(
        value=float(series.between(since, at, values).sum()),
        history=_whole(values.rolling(length).sum(), length - series.step),
    )


def _whole(values: pd.Series, before: pd.Timedelta) -> pd.Series:
    """Rows with so much of the series before them."""
    return values.loc[values.index[0] + before :]


@computation("number")
def lowest(
    series: ClaimSource, at: pd.Timestamp, *, since: pd.Timestamp, column: str | None = None
) -> ClaimFigure:
    """Lowest row stamped from `since` to `at`, both included."""
    return ClaimFigure(value=float(series.between(since, at, series.column(column)).min()))


@computation("fraction")
def fall(
    series: ClaimSource,
    at: pd.Timestamp,
    *,
    since: pd.Timestamp,
    price: float | None = None,
    to: Literal["row", "lowest"] = "row",
    high: str = "high",
    low: str = "low",
) -> ClaimFigure:
    """Fall from the highest high since `since` to the low of `at`, or to the lowest since the high.

    With `price` the claim's own price stands in place of the low.
    """
    highs, lows = series.column(high), series.column(low)
    rows = series.between(since, at, highs)
    top, when = float(rows.max()), pd.DatetimeIndex(rows.index)[int(rows.to_numpy().argmax())]
    after = series.between(when, at, lows)
    own, lowest_low = row_at(lows, at, series.name), float(after.min())
    reached = price if price is not None else lowest_low if to == "lowest" else own
    length = at - since + series.step
    from_high = f"from {top:,.10g} on {when:%Y-%m-%d}"
    if price is not None:
        said = f"{from_high} to the {price:,.10g} of the claim"
    else:
        parts = {
            "row": f"the low of {at:%Y-%m-%d}, {own:,.10g} ({own / top - 1:.1%})",
            "lowest": f"the lowest since, {lowest_low:,.10g} on {after.idxmin():%Y-%m-%d} "
            f"({lowest_low / top - 1:.1%})",
        }
        other = parts["row" if to == "lowest" else "lowest"]
        said = f"{from_high} to {parts[to]}; to {other}"
    return ClaimFigure(
        value=reached / top - 1,
        history=_whole(lows / highs.rolling(length).max() - 1, length - series.step),
        note=said,
    )


@computation("number")
def days_since_high(
    series: ClaimSource, at: pd.Timestamp, *, since: pd.Timestamp, column: str = "high"
) -> ClaimFigure:
    """Days from the highest row since `since` to `at`."""
    rows = series.between(since, at, series.column(column))
    top = pd.DatetimeIndex(rows.index)[int(rows.to_numpy().argmax())]
    return ClaimFigure(value=float((at - top) / _DAY))


def _record(
    values: pd.Series, at: pd.Timestamp, name: str, level: float | None, sign: int
) -> ClaimFigure:
    reached = row_at(values, at, name) if level is None else level
    signed = values * sign
    past = signed[signed.index < at]
    # Rows before it that stand at the very same value are of one spell with it.
    spell = (past == reached * sign)[::-1].cummin()[::-1]
    past = past[~spell] if level is None else past
    beyond = past[past <= reached * sign]
    if beyond.empty:
        return ClaimFigure(value=_NEVER)
    last = beyond.index[-1]
    # Past rows that were a record over as long a stretch.
    before = signed.rolling(at - last, closed="left").min()
    return ClaimFigure(value=last, events=_whole(signed < before, at - last))


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
    values = series.column(column, timeframe)
    if days is not None or rows is not None:
        values = changes(values, days, rows)
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
    row_at(values, at, series.name)
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
    last = int(closed.searchsorted(at + _DAY, side="right")) - 1
    if last < weeks - 1 or at + _DAY > closed[-1] + 7 * _DAY:
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
        value=row_at(history, at, f"{series.name} beside {beside.name}"), history=history
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
    leg = series.at(top, "high") - series.at(bottom, "low")
    return ClaimFigure(value=series.at(rebound, "high") - ratio * leg)


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
    price = shutdown_value(series.at(at, column), subsidy, joules_per_terahash, power_price)
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
    series.at(at, column)
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
    series.at(at, "close")
    close, ahead = series.column("close"), lowest_ahead(series.column("low"), days)
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
    *COUNTS,
)
"""The computations that come with the package."""


def vocabulary(extra: Iterable[Computation] = ()) -> Mapping[str, Computation]:
    """Every computation a claim may name, those from outside included.

    Raises InputError if two share a name.
    """
    known: dict[str, Computation] = {}
    for one in (*COMPUTATIONS, *extra):
        if one.name in known:
            raise InputError(f"every computation needs a name of its own; {one.name!r} repeats")
        known[one.name] = one
    return known
