"""What can be particular to a venue: the values that `delever.data.exchange.quirks` fills in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

import pandas as pd

from delever.data.references import Reference

Row: TypeAlias = Sequence[Any]
"""A stamp in ms since 1970 UTC, and a number or None for each column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """One question for rows, as it is put to ccxt."""

    reference: Reference
    timeframe: str  # as ccxt is told
    # first and last stamp wanted, ms since 1970 UTC, both inclusive; None: the venue chooses
    start: int | None
    until: int | None  # becomes ccxt's parameter of that name
    limit: int | None  # most rows
    params: Mapping[str, object] = field(default_factory=dict)  # ccxt's ``params``


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """How a venue serves one kind."""

    rows: int  # most rows in one answer
    kept: int | None = None  # only so many of the newest rows are served; None for all
    reach: pd.Timedelta | None = None  # how far back history goes; None where to the listing
    # whether a window wider than an answer is answered with some of its rows, instead of
    # being refused or cut
    wide: bool = True
    # usual distance of rows that do not lie on the timeframe's grid; None for those that do
    spacing: str | None = None
    # whether rows come as they happen, so that none can be expected at any one time
    events: bool = False
    until: bool = True  # whether the end of a window can be told
    note: str = ""  # what a user must be told where history is short
    columns: tuple[str, ...] = ()  # columns of the rows, where they are not those of the kind
    # ``(exchange, request) -> request``: what ccxt must be told otherwise
    bend: Callable[[Any, PageRequest], PageRequest] | None = None
    # ``(row, market) -> row``: what ccxt's row of the unified method means here
    cells: Callable[[Any, Mapping[str, Any]], Row] | None = None
    # ``(exchange, request) -> (rows, full)`` in place of ccxt's unified method; `full` says
    # that rows were held back though the answer was not as long as answers get
    read: Callable[[Any, PageRequest], tuple[list[Row], bool]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketAnswer:
    """How a venue is asked for its leverage brackets without a key."""

    answer: str  # what the venue calls what it answers
    by_size: bool = False  # caps count contracts, not notionals in the settlement currency
    params: Mapping[str, object] = field(default_factory=dict)  # for ccxt's unified method
    # in place of that method: rows in ccxt's words for tiers, none where they are no whole table
    ask: Callable[[Any, Mapping[str, Any]], Sequence[Any]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One venue: everything about it that another venue does otherwise.

    Examples
    --------
    >>> bars = Series(rows=720, kept=720, note="only the newest 720 bars are served")
    >>> VENUES = (Venue(name="kraken", series={"ohlcv": bars}, weight=15, seconds=15.0),)
    """

    name: str  # ccxt's id
    series: Mapping[str, Series]  # from kind to how it is served
    # permitted weight, in ccxt's units of cost, per window of time; a `weight` of None is
    # what ccxt says
    weight: float | None = None
    seconds: float = 1.0
    # weight of a call with this text in its body, or in its address if it has no body, where
    # ccxt counts another; the first that fits
    weights: Mapping[str, float] = field(default_factory=dict)
    # ccxt options that keep it from asking for what is not needed
    options: Mapping[str, object] = field(default_factory=dict)
    probed: bool = False  # whether the figures are guesses, to be probed
    dollars: bool = False  # whether the volume of inverse contracts comes in dollars, not in coins
    # None where brackets are given to keys alone, or in a unit that is not known
    brackets: BracketAnswer | None = None
    # text of a page that says "too many requests" under a status that means a closed door
    # elsewhere
    limit_words: str = ""
    # header with the moment, ms since 1970 UTC, from which requests are permitted again
    reset_header: str = ""


def in_coins(contracts: float | None, market: Mapping[str, Any]) -> float | None:
    """A number of linear contracts in base units, rounded once."""
    size = Decimal(str(market.get("contractSize") or 1))
    return None if contracts is None else float(Decimal(contracts) * size)
