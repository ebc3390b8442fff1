"""MarketView: what a strategy may see, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.at_once import Columns
from delever.bars import as_of, close_times, last_known, pick, resample
from delever.errors import InputError
from delever.frames import utc_index
from delever.memo import shared
from delever.units import divides, timeframe_delta


@dataclass(frozen=True, slots=True)
class Price:
    """Mark of a strategy parameter that is a price, in quote units per base unit.

    Write ``levels: Annotated[tuple[float, ...], Price()]``; a check that rescales the market then
    rescales the parameter with it.

    Examples
    --------
    >>> from typing import Annotated
    >>> def below(market: MarketView, level: Annotated[float, Price()] = 20_000.0) -> pd.Series:
    ...     return (market.bars["close"] > level).astype(float)
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Any series beside the bars, with the time at which each value became known.

    Attributes
    ----------
    frame : pandas.DataFrame, shape (m, k)
        Indexed by the vendor's stamp, UTC.
    publication_lag : pandas.Timedelta, >= 0
        From the stamp to the moment the value was known.
    prices : tuple of str
        Columns that hold prices of the market's own base, in quote units (a mark price, a
        realised price): a check that rescales the market rescales them with it.
    main : str
        The column that is meant where none is named; empty where there is only one, or which
        must be said.

    Examples
    --------
    >>> days = pd.date_range("2026-01-05", periods=2, tz="UTC")
    >>> mood = pd.DataFrame({"value": [25.0, 30.0]}, index=days)
    >>> Reading(frame=mood, publication_lag=pd.Timedelta("8h")).known_at[0]
    Timestamp('2026-01-05 08:00:00+0000', tz='UTC')
    """

    frame: pd.DataFrame
    publication_lag: pd.Timedelta
    prices: tuple[str, ...] = ()
    main: str = ""

    @property
    def known_at(self) -> pd.DatetimeIndex:
        """When each value became known, UTC."""
        return pd.DatetimeIndex(self.frame.index).as_unit("ns") + self.publication_lag

    def upto(self, time: pd.Timestamp) -> Reading:
        """Only what was known at `time`, a UTC stamp."""
        return replace(self, frame=self.frame.loc[self.frame.index <= time - self.publication_lag])


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """Bars of a coarser timeframe that lead up to those of a market.

    Attributes
    ----------
    bars : pandas.DataFrame, shape (m, 5)
        As those of a market. Of the time of the market's own, at most the coarser bar in which
        those begin.
    timeframe : str
        A multiple of the market's, on its grid.
    """

    bars: pd.DataFrame
    timeframe: str

    def upto(self, time: pd.Timestamp) -> Earlier:
        """Only the bars that had closed at `time`, a UTC stamp."""
        closed = close_times(pd.DatetimeIndex(self.bars.index), self.timeframe) <= time
        return replace(self, bars=self.bars.loc[closed])


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketView:
    """The market as known at each bar's close.

    Row t of anything the view returns holds only what was known when bar t closed; a strategy
    may use row t to decide the exposure of row t, and the engine fills it at the next open.

    Attributes
    ----------
    bars : pandas.DataFrame, shape (n, 5)
        Open, high, low and close in quote units per base unit, volume in base units; indexed by
        open time in UTC, strictly increasing.
    timeframe : str
        Timeframe of the bars, such as ``"4h"``.
    symbol : str
        ccxt's unified symbol, such as ``"BTC/USDT:USDT"``.
    readings : mapping of str to Reading
        Named series beside the bars.
    trading_start : pandas.Timestamp or None
        Open of the first bar that may be traded, UTC; earlier ones only warm indicators up.
        None: all may.
    notes : tuple of str
        What a reader of any result on this market must know about its data.
    earlier : Earlier or None
        Coarser bars before these, which only `resample` sees: to that timeframe and beyond.

    Raises
    ------
    SchemaError
        If the stamps of the bars carry no time zone.
    InputError
        If the bars do not increase strictly in time, or the timeframe is none.

    Notes
    -----
    A bar that opens at o is known at its close, o plus the timeframe; a reading stamped s at s
    plus its publication lag. Row t of what the view returns is the latest value known at the
    close of bar t.

    Examples
    --------
    >>> days = pd.date_range("2026-01-05", periods=15, tz="UTC")
    >>> close = pd.Series(range(1, 16), index=days, dtype=float)
    >>> bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], close))
    >>> market = MarketView(bars=bars, timeframe="1d")
    >>> week = market.resample("1w")["close"]
    >>> market.align(week, "1w").iloc[[5, 6, 12, 13]].tolist()  # known from Sunday's close on
    [nan, 7.0, 7.0, 14.0]
    """

    bars: pd.DataFrame
    timeframe: str
    symbol: str = ""
    readings: Mapping[str, Reading] = field(default_factory=dict)
    trading_start: pd.Timestamp | None = None
    notes: tuple[str, ...] = ()
    earlier: Earlier | None = None

    def __post_init__(self) -> None:
        index = utc_index(self.bars.index, "open_time", "bars")
        if not index.is_monotonic_increasing or index.has_duplicates:
            raise InputError("bars must be strictly increasing in time; sort them and drop repeats")
        timeframe_delta(self.timeframe)
        object.__setattr__(self, "bars", self.bars.set_axis(index, axis=0))

    @property
    def index(self) -> pd.DatetimeIndex:
        """Open times of the bars, UTC."""
        return cast(pd.DatetimeIndex, self.bars.index)

    @property
    def close_time(self) -> pd.DatetimeIndex:
        """When each bar is known, UTC."""
        return close_times(self.index, self.timeframe)

    def resample(self, timeframe: str) -> pd.DataFrame:
        """Closed bars of a coarser timeframe; bring results back with `align`.

        Parameters
        ----------
        timeframe : str
            Such as ``"1w"``.

        Returns
        -------
        pandas.DataFrame, shape (m, 5)
            Indexed by open time in UTC. A bar that has not closed, or that began before the data,
            `earlier` ones among them, is not there.

        Raises
        ------
        InputError
            If the bars do not fill bars of `timeframe` exactly.
        """
        before = self.earlier
        if before is None or not divides(before.timeframe, timeframe):
            return shared(
                "resample",
                (self.bars,),
                (self.timeframe, timeframe),
                lambda: resample(self.bars, self.timeframe, timeframe),
            )
        return shared(
            "resample",
            (self.bars, before.bars),
            (self.timeframe, before.timeframe, timeframe),
            lambda: self._with_earlier(before, timeframe),
        )

    def _with_earlier(self, before: Earlier, timeframe: str) -> pd.DataFrame:
        """Closed bars of a coarser timeframe, those before the bars among them."""
        own = resample(self.bars, self.timeframe, before.timeframe)
        early = before.bars[own.columns]
        if len(own):
            early = early.loc[early.index < own.index[0]]
        joined = pd.concat([early, own]).astype("float64")
        return resample(joined, before.timeframe, timeframe)

    def align(self, values: pd.Series, timeframe: str) -> pd.Series:
        """Bring a value per coarser bar to the bars that knew it.

        Parameters
        ----------
        values : pandas.Series, shape (m,)
            Indexed by open time of bars of `timeframe`.
        timeframe : str
            The coarser timeframe.

        Returns
        -------
        pandas.Series, shape (n,)
            Indexed like the bars: the value of the last coarser bar closed by then, NaN before
            there is one.

        Raises
        ------
        SchemaError
            If `values` is not indexed by UTC stamps.
        InputError
            If they are out of order.
        """
        index = self.index

        def rows() -> npt.NDArray[np.intp]:
            opened = utc_index(values.index, "open_time", "values")
            return last_known(close_times(opened, timeframe), self.close_time)

        clock = values.index
        if not isinstance(clock, pd.DatetimeIndex):
            clock = utc_index(clock, "open_time", "values")  # says what is wrong with it
        known = shared("align", (clock, index), (str(clock.dtype), self.timeframe, timeframe), rows)
        if isinstance(values, Columns):  # a series for each of many combinations
            return values.aligned(known, index)
        return pick(values, known, index)

    def series(self, name: str, column: str | None = None) -> pd.Series:
        """Read a named series as known at each bar's close.

        Parameters
        ----------
        name : str
            A key of `readings`.
        column : str, optional
            Which column; may be left out when there is only one.

        Returns
        -------
        pandas.Series, shape (n,)
            Indexed like the bars; NaN before the first value was known.

        Raises
        ------
        InputError
            If there is no such series or column; the message lists those there are.

        Examples
        --------
        >>> days = pd.date_range("2026-01-05", periods=3, tz="UTC")
        >>> bars = pd.DataFrame({"close": [1.0, 2.0, 3.0]}, index=days)
        >>> mood = pd.DataFrame({"value": [25.0, 30.0, 35.0]}, index=days)
        >>> late = Reading(frame=mood, publication_lag=pd.Timedelta("32h"))
        >>> market = MarketView(bars=bars, timeframe="1d", readings={"mood": late})
        >>> market.series("mood").tolist()  # a day is known 8 hours into the next
        [nan, 25.0, 30.0]
        """
        reading = self.reading(name, column)
        known = as_of(reading.frame.iloc[:, 0], reading.known_at, self.close_time)
        return pd.Series(known.to_numpy(), index=self.index, name=name)

    def reading(self, name: str, column: str | None = None) -> Reading:
        """One column of a named series on its own clock.

        Parameters
        ----------
        name : str
            A key of `readings`.
        column : str, optional
            Which column; may be left out when there is only one.

        Returns
        -------
        Reading
            Of one column. A row of something computed from it, row by row from the past, is
            known when that row was.

        Raises
        ------
        InputError
            If there is no such series or column; the message lists those there are.
        """
        if name not in self.readings:
            there = ", ".join(self.readings) or "none"
            raise InputError(
                f"series must be one the study names; got {name!r}, there are: {there}; "
                "name it in the [series] table of the study, or by --series NAME=REFERENCE"
            )
        reading = self.readings[name]
        columns = list(reading.frame.columns)
        if column is None and reading.main:
            column = reading.main
        if column is None and len(columns) > 1:
            raise InputError(f"series {name!r} has the columns {', '.join(columns)}; say which")
        chosen = columns[0] if column is None else column
        if chosen not in columns:
            raise InputError(
                f"series {name!r} has the columns {', '.join(columns)}; got {chosen!r}"
            )
        return replace(reading, frame=reading.frame[[chosen]], main="")

    def upto(self, time: pd.Timestamp) -> MarketView:
        """Only what was known at `time`.

        Parameters
        ----------
        time : pandas.Timestamp
            UTC.

        Returns
        -------
        MarketView
            Bars closed by `time` and readings known by then.
        """
        closed = self.index.searchsorted(time - timeframe_delta(self.timeframe), side="right")
        return replace(
            self,
            bars=self.bars.iloc[:closed],
            readings={name: reading.upto(time) for name, reading in self.readings.items()},
            earlier=None if self.earlier is None else self.earlier.upto(time),
        )
