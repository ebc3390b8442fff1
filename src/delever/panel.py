"""Markets: several symbols as a strategy may see them, on one clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd

from delever.arguments import Flags, counted
from delever.bars import close_times, last_known, pick
from delever.errors import InputError
from delever.frames import utc_index
from delever.units import timeframe_delta, utc
from delever.view import MarketView

PATIENCE = pd.Timedelta(days=7)
"""Without a bar for so long a symbol counts as gone; sooner, that no more come is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """When a symbol could be traded, and what became of it.

    Attributes
    ----------
    listed : pandas.Timestamp or None
        UTC; before it the symbol is no member, whatever bars there are. None: its first bar. Both
        dates may be given as texts.
    delisted : pandas.Timestamp or None
        UTC; from then on it is no member, and what was held is gone. None: still listed.
    recovery : float or None
        What a unit was worth then, in quote units. None: the close of its last bar.

    Raises
    ------
    InputError
        If a date is none, it is delisted before it is listed, or the recovery is below 0 or of a
        symbol that is still listed.

    Examples
    --------
    >>> Lifetime(delisted=pd.Timestamp("2022-05-13", tz="UTC"), recovery=0.0).recovery
    0.0
    """

    listed: pd.Timestamp | None = None
    delisted: pd.Timestamp | None = None
    recovery: float | None = None

    def __post_init__(self) -> None:
        for name in ("listed", "delisted"):
            given: Any = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, utc(given, name))
        if self.listed is not None and self.delisted is not None and self.listed >= self.delisted:
            raise InputError(
                f"a symbol must be listed before it is delisted; got {self.listed} and "
                f"{self.delisted}; correct the dates"
            )
        if self.recovery is None:
            return
        if self.delisted is None or not 0.0 <= self.recovery < np.inf:
            raise InputError(
                "recovery must be a price of 0 or more of a symbol that says when it was delisted; "
                f"got {self.recovery!r}, delisted {self.delisted}"
            )

    def upto(self, time: pd.Timestamp) -> Lifetime:
        """What was known of it at `time`, a UTC stamp: nothing of an end that was still to come."""
        if self.delisted is None or self.delisted <= time:
            return self
        return Lifetime(listed=self.listed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Markets:
    """Several markets on one clock, as known at each bar's close.

    The clock has a row wherever any symbol has a bar. Row t of anything this returns holds only
    what was known when that row closed: of a symbol without a bar there, what its last bar said.

    Attributes
    ----------
    views : mapping of str to MarketView
        The market of each symbol, or leg, by its name; all of one timeframe.
    lifetimes : mapping of str to Lifetime
        When each could be traded; those not named from their first bar on.
    top : int or None
        How many symbols are members at a time, those of the largest dollar volume; None: all that
        are listed.
    volume_days : int
        Days that dollar volume is summed over.
    notes : tuple of str
        What a reader of any result must know about the data of all.

    Raises
    ------
    InputError
        If the timeframes differ, or a lifetime is of no symbol.

    Examples
    --------
    >>> days = pd.date_range("2026-01-05", periods=4, tz="UTC")
    >>> def market(prices, days):
    ...     close = pd.Series(prices, index=days)
    ...     bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], close))
    ...     return MarketView(bars=bars, timeframe="1d")
    >>> both = Markets(views={
    ...     "BTC": market([1.0, 2.0, 3.0, 4.0], days), "ETH": market([7.0, 9.0], days[[1, 3]])
    ... })
    >>> both.panel("close")["ETH"].tolist()  # nothing on Monday, Tuesday's close on Wednesday
    [nan, 7.0, 7.0, 9.0]
    """

    views: Mapping[str, MarketView]
    lifetimes: Mapping[str, Lifetime] = field(default_factory=dict)
    top: int | None = None
    volume_days: int = 30
    notes: tuple[str, ...] = ()
    _index: pd.DatetimeIndex = field(init=False, repr=False)

    def __post_init__(self) -> None:
        frames = {view.timeframe for view in self.views.values()}
        if len(frames) > 1:
            raise InputError(
                f"markets must be of one timeframe; got {', '.join(sorted(frames))}; resample the "
                "finer ones"
            )
        wrong = [name for name, one in self.lifetimes.items() if not isinstance(one, Lifetime)]
        if wrong:
            raise InputError(
                f"lifetimes must be dl.Lifetime(...) by symbol; got {self.lifetimes[wrong[0]]!r} "
                f"for {wrong[0]}"
            )
        unknown = [name for name in self.lifetimes if name not in self.views]
        if unknown:
            raise InputError(
                f"a lifetime must be of a symbol of the markets; got {', '.join(unknown)}, there "
                f"are {', '.join(self.views)}"
            )
        empty = pd.DatetimeIndex([], tz="UTC", name="open_time").as_unit("ns")
        every = (view.index.as_unit("ns") for view in self.views.values())
        union = reduce(lambda one, other: one.union(other), every, empty)
        object.__setattr__(self, "_index", union.rename("open_time"))

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the markets, in order."""
        return tuple(self.views)

    @property
    def timeframe(self) -> str:
        """Timeframe of all bars."""
        return next(iter(self.views.values())).timeframe

    @property
    def index(self) -> pd.DatetimeIndex:
        """Open times at which any symbol has a bar, UTC."""
        return self._index

    @property
    def close_time(self) -> pd.DatetimeIndex:
        """When each row is known, UTC."""
        return close_times(self.index, self.timeframe)

    def __getitem__(self, symbol: str) -> MarketView:
        """Market of one symbol.

        Raises InputError if there is none of that name.
        """
        if symbol not in self.views:
            raise InputError(
                f"markets has the symbols {', '.join(self.views) or 'none'}; got {symbol!r}"
            )
        return self.views[symbol]

    def __iter__(self) -> Iterator[str]:
        """Names of the markets."""
        return iter(self.views)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.views)

    def align(self, values: pd.Series) -> pd.Series:
        """Bring a value per bar of one symbol to the rows that knew it.

        Parameters
        ----------
        values : pandas.Series, shape (m,)
            Indexed by open time of bars of the timeframe of the markets.

        Returns
        -------
        pandas.Series, shape (n,)
            Indexed like the markets: the value of the last bar closed by then, NaN before one.

        Raises
        ------
        SchemaError
            If `values` is not indexed by UTC stamps.
        InputError
            If they are out of order.
        """
        opened = utc_index(values.index, "open_time", "values")
        known = last_known(close_times(opened, self.timeframe), self.close_time)
        return pick(values, known, self.index)

    def known(self, symbol: str, values: pd.Series) -> pd.Series:
        """The same of a symbol of these markets: NaN from when it is delisted.

        Parameters
        ----------
        symbol : str
            Its name.
        values : pandas.Series, shape (m,)
            As `align` takes them.

        Returns
        -------
        pandas.Series, shape (n,)

        Raises
        ------
        InputError, SchemaError
            As `align`.
        """
        return self.align(values).mask(self._gone_of(symbol))

    def each(self, function: Callable[[MarketView], pd.Series]) -> pd.DataFrame:
        """A number of every symbol's own market, brought to the rows that knew it.

        Parameters
        ----------
        function : callable
            From a market to a Series on its bars.

        Returns
        -------
        pandas.DataFrame, shape (n, symbols)
            NaN before a symbol has a value, and from when it is delisted.

        Raises
        ------
        InputError, SchemaError
            As `align`.
        """
        columns = {name: self.known(name, function(view)) for name, view in self.views.items()}
        return pd.DataFrame(columns, index=self.index, columns=[*self.views], dtype="float64")

    def panel(self, column: str = "close") -> pd.DataFrame:
        """One column of the bars of every symbol.

        Parameters
        ----------
        column : str
            ``"open"``, ``"high"``, ``"low"``, ``"close"`` or ``"volume"``.

        Returns
        -------
        pandas.DataFrame, shape (n, symbols)
            What the last bar of each said; NaN before its first, and from when it is delisted.

        Raises
        ------
        InputError
            If bars have no such column.
        """
        for name, view in self.views.items():
            if column not in view.bars:
                there = ", ".join(map(str, view.bars.columns))
                raise InputError(f"bars of {name} have the columns {there}; got {column!r}")
        return self.each(lambda view: view.bars[column])

    def returns(self) -> pd.DataFrame:
        """Return of every symbol over each row, fractions, shape (n, symbols).

        0 where a symbol has no bar, the whole move at the next one; NaN before its second bar.
        """
        close = self.panel()
        return close / close.shift() - 1.0

    @property
    def members(self) -> pd.DataFrame:
        """Which symbols could be held, as known at each row's close.

        Shape (n, symbols), bool: listed and not delisted, with a bar that may be traded, the last
        one closed less than a week ago; with `top`, of those the ones of the largest dollar volume
        over the last `volume_days`.

        Raises InputError if `top` is given and a symbol has no volume.
        """
        closes = self.close_time
        held = {name: self._traded(view, name, closes) for name, view in self.views.items()}
        listed = pd.DataFrame(held, index=self.index, columns=[*self.views], dtype=bool)
        if self.top is None:
            return listed
        worth = self.dollar_volume().where(listed)
        return worth.rank(axis=1, ascending=False, method="first").le(self.top) & listed

    def _traded(self, view: MarketView, name: str, closes: pd.DatetimeIndex) -> Flags:
        """Whether a symbol was listed, had a bar that may be traded, and a late one."""
        begun = view.trading_start
        first = 0 if begun is None else int(view.index.searchsorted(begun))
        if first >= len(view.index):
            return np.zeros(len(closes), dtype=bool)
        since = [view.index[first] + timeframe_delta(self.timeframe)]
        lifetime = self.lifetimes.get(name)
        since += [] if lifetime is None or lifetime.listed is None else [lifetime.listed]
        ends = view.close_time
        last = last_known(ends, closes)
        ago = closes.asi8 - ends.asi8[np.maximum(last, 0)]  # both in nanoseconds
        late = (last >= 0) & (ago < PATIENCE.as_unit("ns").value)
        return ~self._gone_of(name) & np.asarray(closes >= max(since)) & late

    def dollar_volume(self) -> pd.DataFrame:
        """Close times volume, summed over the last `volume_days`, quote units; as `panel`.

        Raises InputError if a symbol has no volume.
        """
        for name, view in self.views.items():
            if "volume" not in view.bars or view.bars["volume"].isna().all():
                raise InputError(
                    f"dollar volume needs the volume of every symbol; bars of {name} have none; "
                    "leave out top, or give bars with volume"
                )
        window = pd.Timedelta(days=self.volume_days)

        def traded(view: MarketView) -> pd.Series:
            worth = (view.bars["close"] * view.bars["volume"]).fillna(0.0)
            return worth.rolling(window).sum()

        return self.each(traded)

    def worth(self) -> pd.DataFrame:
        """What a unit of each symbol was worth at each row's close, shape (n, symbols).

        Its last close; from when it is delisted its recovery, where one is stated.
        """
        columns = {name: self.align(view.bars["close"]) for name, view in self.views.items()}
        close, gone = pd.DataFrame(columns, index=self.index), self._gone()
        for name, lifetime in self.lifetimes.items():
            if lifetime.recovery is not None:
                close[name] = close[name].mask(gone[name], lifetime.recovery)
        return close

    def equal_weight(self) -> pd.Series:
        """An index that holds all members in equal parts, put right at every row.

        Returns
        -------
        pandas.Series, shape (n,)
            100 at the first row. A symbol takes part from the row after it became a member on; one
            that is delisted leaves at its recovery, or at its last close.

        Raises
        ------
        InputError
            As `members`.

        Examples
        --------
        >>> days = pd.date_range("2026-01-05", periods=3, tz="UTC")
        >>> close = pd.DataFrame({"A": [1.0, 2.0, 2.0], "B": [1.0, 1.0, 2.0]}, index=days)
        >>> views = {
        ...     name: MarketView(bars=close[[name]].set_axis(["close"], axis=1), timeframe="1d")
        ...     for name in close
        ... }
        >>> Markets(views=views).equal_weight().tolist()
        [100.0, 150.0, 225.0]
        """
        close = self.worth()
        # From a recovery of nothing there is no way on, and nobody holds it any more.
        moves = (close / close.shift() - 1.0).replace([np.inf, -np.inf], np.nan).fillna(0.0)
        held = self.members.shift(fill_value=False)
        count = held.sum(axis=1)
        earned = moves.where(held, 0.0).sum(axis=1) / count.where(count > 0, 1)
        return (100.0 * (1.0 + earned).cumprod()).rename("equal weight")

    def _gone(self) -> pd.DataFrame:
        """Which symbols had been delisted when each row closed."""
        gone = {name: self._gone_of(name) for name in self.views}
        return pd.DataFrame(gone, index=self.index, columns=[*self.views], dtype=bool)

    def _gone_of(self, symbol: str) -> Flags:
        ended = self.lifetimes.get(symbol, Lifetime()).delisted
        if ended is None:
            return np.zeros(len(self.index), dtype=bool)
        return np.asarray(self.close_time >= ended)

    def upto(self, time: pd.Timestamp) -> Markets:
        """Only what was known at `time`.

        Parameters
        ----------
        time : pandas.Timestamp
            UTC.

        Returns
        -------
        Markets
            Bars closed by `time`; a symbol that had none, and an end that was still to come, are
            not in it.
        """
        seen = {name: view.upto(time) for name, view in self.views.items()}
        kept = {name: view for name, view in seen.items() if len(view.index)}
        return replace(
            self,
            views=kept,
            lifetimes={
                name: lifetime.upto(time)
                for name, lifetime in self.lifetimes.items()
                if name in kept
            },
        )

    def _repr_html_(self) -> str:
        said = f"{counted(len(self), 'symbol')}, {counted(len(self.index), 'row')}"
        return f"<p>Markets: {said} of {self.timeframe}: {', '.join(self.views)}</p>"
