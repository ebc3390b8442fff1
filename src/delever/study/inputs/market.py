"""A market as a strategy sees it: from a reference, a loaded data set or a DataFrame."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from delever.arguments import counted, shown
from delever.bars import resample
from delever.data.references import Dataset, Reference, default_lag, parse_lag
from delever.errors import ConfigError, InputError
from delever.frames import validate
from delever.study.inputs.belonging import belonging, joined
from delever.study.inputs.implausible import market_warnings
from delever.study.inputs.known_readings import KNOWN, fitted, known_as
from delever.study.workspaces.workspace import Workspace
from delever.units import divides, timeframe_delta, timeframe_of
from delever.units import utc as utc
from delever.view import Earlier, MarketView, Reading

# Series of the web and of the network are imported where there are some: most runs have none.
if TYPE_CHECKING:
    from delever.data.web import HttpSource

Bars: TypeAlias = str | Dataset | pd.DataFrame
Frame: TypeAlias = pd.Series | pd.DataFrame
Beside: TypeAlias = str | Dataset | Reading | Frame | tuple[Frame, str | pd.Timedelta]

BITCOIN = ("BTC", "XBT")
"""What a bitcoin market is called before the slash."""

_ALIASES = {"gold": "gld", "fng": "fear_greed"}
_OWN = "notebook"
_FEWEST_STEPS = 0.1
"""Share of the steps between bars that a timeframe needs at least."""


def load(reference: str, *, workspace: Workspace | Path | str | None = None) -> Dataset:
    """Load a stored data set.

    Parameters
    ----------
    reference : str
        ``venue/kind/SYMBOL/timeframe``, such as ``"sample/ohlcv/BTC/USD/1d"``.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Dataset
        ``frame`` holds the rows, UTC; ``notes`` what a reader of results must know.

    Raises
    ------
    NotStoredError
        If there is no such data set; the message names those nearest to it.

    Examples
    --------
    >>> import delever as dl
    >>> dl.load("sample/ohlcv/BTC/USD/1d").notes
    ('close-only: intraday extremes unseen',)
    """
    if not isinstance(reference, str):
        raise InputError(
            "a data set must be its reference, such as 'sample/ohlcv/BTC/USD/1d'; "
            f"got {shown(reference)}"
        )
    return Workspace.find(workspace, or_shipped=True).catalog.load(reference)


def market(
    data: Bars,
    *,
    warmup: Bars | None = None,
    series: Mapping[str, Beside] | None = None,
    start: str | pd.Timestamp | None = None,
    end: str | pd.Timestamp | None = None,
    timeframe: str | None = None,
    symbol: str | None = None,
    workspace: Workspace | Path | str | None = None,
) -> MarketView:
    """Make the causal view of a market: what was known at each bar's close.

    Parameters
    ----------
    data : str, Dataset or pandas.DataFrame, shape (n, 4 or 5)
        Bars: a reference, a loaded data set, or columns open, high, low, close (and volume)
        indexed by open time in UTC. A frame is checked as an import is.
    warmup : str, Dataset or pandas.DataFrame, optional
        Earlier bars; they warm indicators up and are never traded. A data set may be of a coarser
        timeframe, which only closed bars of that timeframe and coarser ones are made of
        (`MarketView.resample`); a frame is of the timeframe of the bars.
    series : mapping of str to series, optional
        What ``market.series(name)`` finds: references, data sets, readings, or a Series or
        DataFrame indexed by stamp in UTC, alone or as ``(frame, publication_lag)`` with a lag such
        as ``"8h"``. Alone it is known one step of its own index (the commonest) after its stamp.
    start : str or pandas.Timestamp, optional
        UTC. Bars that open before it only warm indicators up.
    end : str or pandas.Timestamp, optional
        UTC. Nothing that was known only later is in the view.
    timeframe : str, optional
        Of the bars, such as ``"4h"``; needed with a frame, else that of the data set.
    symbol : str, optional
        ccxt's unified symbol; by default that of the data set.
    workspace : path, optional
        Where references are looked for; by default the one at or above the current folder.

    Raises
    ------
    InputError
        If an argument is not of its kind, a frame has no timeframe, or no bar is left.
    SchemaError
        If a frame breaks the contract of bars; the message names the first such row.
    ConfigError
        If a data set is of the wrong kind, timeframe or coin, or warm-up bars are not earlier.
    DataError
        If warm-up bars do not stand on the price scale of the bars.
    NotStoredError
        If a data set is not stored.

    Examples
    --------
    >>> import delever as dl, pandas as pd
    >>> days = pd.date_range("2026-01-05", periods=3, tz="UTC")
    >>> bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], [1.0, 2.0, 3.0]), days)
    >>> mood = pd.Series([10.0, 20.0, 30.0], days)
    >>> seen = dl.market(bars, timeframe="1d", series={"mood": (mood, "36h")})
    >>> seen.series("mood").tolist()  # Monday's value is known from Tuesday noon on
    [nan, 10.0, 20.0]
    """
    named = isinstance(series or {}, Mapping) and all(isinstance(one, str) for one in series or ())
    if not named:
        raise InputError(
            f"series must be a mapping of names to references or frames; got {shown(series)}"
        )
    place = Workspace.find(workspace, or_shipped=True)
    bars = _bars(data, "data", timeframe, symbol, place)
    timeframe = bars.reference.timeframe
    beside = {name: _beside(name, source, place) for name, source in (series or {}).items()}
    seen = view(
        bars,
        warmup=None if warmup is None else _bars(warmup, "warmup", timeframe, symbol, place),
        series=beside,
    )
    stored = {name: source for name, source in beside.items() if isinstance(source, Dataset)}
    early = early_series(stored, place.root / "data" / "sources.toml")
    seen = replace(seen, notes=seen.notes + early)
    if symbol is not None or isinstance(data, pd.DataFrame):
        seen = replace(seen, symbol=symbol or "")
    given = {"start": start, "end": end}
    asked = {name: utc(time, name) for name, time in given.items() if time is not None}
    if len(asked) == 2 and asked["start"] >= asked["end"]:
        raise InputError(f"start must be before end; got {start} and {end}")
    seen = replace(seen, notes=seen.notes + span_notes(bars.frame, timeframe, **asked))
    if start is not None:
        first = utc(start, "start")
        if not (seen.index >= first).any():
            raise InputError(
                f"start must leave a bar; none opens at or after {first:%Y-%m-%d %H:%M}, the data "
                f"end with {seen.index[-1]:%Y-%m-%d %H:%M}"
            )
        seen = replace(seen, trading_start=max(first, seen.trading_start or first))
    if end is not None:
        seen = seen.upto(utc(end, "end"))
        if seen.bars.empty:
            raise InputError(f"end must leave a bar; none closes by {end}")
    return replace(seen, notes=seen.notes + market_warnings(seen))


def view(
    data: Dataset,
    *,
    warmup: Dataset | None = None,
    series: Mapping[str, Dataset | Reading] | None = None,
) -> MarketView:
    """The view of loaded data sets.

    Raises ConfigError if a data set is of the wrong kind, timeframe or coin, or warm-up bars are
    not earlier; DataError if those stand on another price scale.
    """
    for role, given in (("data", data), ("warmup", warmup)):
        if given is not None and given.reference.kind != "ohlcv":
            raise ConfigError(f"{role} must be of kind ohlcv; got {given.reference}")
    timeframe = data.reference.timeframe
    bars, coarser = data.frame, None
    joint = belonging(data.reference.symbol, None, {} if warmup is None else {"warmup": warmup})
    if warmup is not None:
        early, said = _earlier(bars, timeframe, warmup)
        joint += said
        if warmup.reference.timeframe == timeframe:
            bars = pd.concat([early, bars])
        else:
            coarser = Earlier(bars=early, timeframe=warmup.reference.timeframe)
    return MarketView(
        bars=bars,
        timeframe=timeframe,
        symbol=data.reference.symbol,
        readings={
            name: source if isinstance(source, Reading) else _reading(name, source)
            for name, source in (series or {}).items()
        },
        trading_start=data.frame.index[0],
        notes=(*_notes(data, warmup), *joint),
        earlier=coarser,
    )


def _reading(name: str, source: Dataset) -> Reading:
    """A data set as a reading, its columns under the names that features ask for, too."""
    frame, main = fitted(source.frame, KNOWN.get(name) or known_as(source.reference))
    return Reading(frame=frame, publication_lag=source.publication_lag, main=main)


def _earlier(
    bars: pd.DataFrame, timeframe: str, warmup: Dataset
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Warm-up bars that lead up to bars, and what is to be said of them; raises as `view`.

    Of a coarser timeframe, the bar in which the others begin is among them.
    """
    length = warmup.reference.timeframe
    if not divides(timeframe, length):
        raise ConfigError(
            f"warmup must have the timeframe of the data, {timeframe}, or one that it fills; got "
            f"{warmup.reference}"
        )
    own = resample(bars, timeframe, length) if length != timeframe else bars
    own = own if len(own) else bars
    index = pd.DatetimeIndex(warmup.frame.index)
    early = warmup.frame.loc[index < own.index[0]]
    if early.empty or early.index[0] + timeframe_delta(length) > bars.index[0]:
        raise ConfigError(
            f"warmup must hold bars before {bars.index[0]:%Y-%m-%d}; "
            f"{warmup.reference} begins {index[0]:%Y-%m-%d}"
        )
    return early, joined(early, own, warmup)


def with_network(market: MarketView, root: Path) -> MarketView:
    """A bitcoin market with the readings of ``data/bitcoin.toml`` beside its own."""
    from delever.signals.network import load_network

    path = root / "data" / "bitcoin.toml"
    if market.symbol.partition("/")[0] not in BITCOIN or not path.is_file():
        return market
    return replace(market, readings={**load_network(path), **market.readings})


def early_series(series: Mapping[str, Dataset], sources: Path) -> tuple[str, ...]:
    """Say which series are seen before the source of such a series has them.

    Raises InputError if one is stored under the very reference of the source: then the two
    declarations are of one series, and the shorter one would show its rows before they were there.
    """
    if not series:
        return ()
    from delever.data.web import web_sources

    found = web_sources(sources)
    out = []
    for name, data in series.items():
        source = _source(name, data, found)
        if source is None or data.publication_lag >= source.publication_lag:
            continue
        said = (
            f"{data.reference} ({name}) is declared as known {_hours(data.publication_lag)} after "
            f"its stamp, and {sources.name} says {_hours(source.publication_lag)} for "
            f"{source.name}"
        )
        if str(data.reference).lower() == str(source.reference).lower():
            raise InputError(f"{said}; add the data set again with that --publication-lag")
        out.append(f"{said}: where these are the same figures they are seen too early")
    return tuple(out)


def span_notes(
    bars: pd.DataFrame,
    timeframe: str,
    *,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
) -> tuple[str, ...]:
    """Say which part of the span that was asked for the bars do not have."""
    first = bars.index[0]
    last = bars.index[-1] + timeframe_delta(timeframe)
    out = []
    if start is not None and start < first:
        out.append(f"the bars begin {first:%Y-%m-%d %H:%M}; {start:%Y-%m-%d %H:%M} was asked for")
    if end is not None and end >= last + timeframe_delta(timeframe):
        out.append(
            f"the bars end {last:%Y-%m-%d %H:%M}; {end:%Y-%m-%d %H:%M} was asked for, and nothing "
            "is known of the time between"
        )
    return tuple(out)


def _bars(
    source: Bars, role: str, timeframe: str | None, symbol: str | None, place: Workspace
) -> Dataset:
    if isinstance(source, pd.DataFrame):
        if timeframe is None:
            raise InputError(
                f"{role}: a DataFrame needs the timeframe of its bars; got none; "
                'give timeframe="1d" or the like'
            )
        if source.columns.nlevels > 1:
            raise InputError(
                f"{role}: bars need one row of column names; got {source.columns.nlevels}, as of "
                "several symbols; choose one of them, such as bars['BTC'], or use dl.markets"
            )
        frame = source if "volume" in source else source.assign(volume=float("nan"))
        name = re.sub(r"\s+", "-", symbol or "BARS")
        reference = Reference(venue=_OWN, kind="ohlcv", symbol=name, timeframe=timeframe)
        valid = validate(frame, "ohlcv", timeframe, where=role)
        check_step(valid.index, timeframe, f"the bars of {role}")
        return Dataset(
            reference=reference,
            frame=valid,
            id="",
            publication_lag=default_lag(reference),
        )
    if isinstance(source, str):
        source = place.catalog.load(source)
    if not isinstance(source, Dataset):
        raise InputError(
            f"{role} must be a reference, a data set or a DataFrame of bars; got {shown(source)}"
        )
    if timeframe not in (None, source.reference.timeframe) and role == "data":
        raise InputError(f"timeframe must be that of {source.reference}; got {timeframe!r}")
    return source


def check_step(index: pd.Index, timeframe: str, what: str) -> None:
    """Refuse bars of which hardly two are a timeframe apart: they close later than it says.

    Raises InputError if so.
    """
    steps = np.diff(pd.DatetimeIndex(index).as_unit("ns").asi8)
    if not len(steps) or (steps == timeframe_delta(timeframe).value).mean() >= _FEWEST_STEPS:
        return
    sizes, counts = np.unique(steps, return_counts=True)
    raise InputError(
        f"timeframe must be the step of {what}; hardly any is {timeframe}, and most are "
        f"{timeframe_of(int(sizes[counts.argmax()]))}; give that of the bars"
    )


def _beside(name: str, source: Beside, place: Workspace) -> Dataset | Reading:
    if isinstance(source, str):
        return place.catalog.load(source)
    if isinstance(source, Dataset | Reading):
        return source
    frame, lag = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    if not isinstance(frame, pd.Series | pd.DataFrame):
        raise InputError(
            f"series {name} must be a reference, a data set, a Series or DataFrame, or one of "
            f"these two with its publication lag; got {shown(source)}"
        )
    table = frame.to_frame(name) if isinstance(frame, pd.Series) else frame
    table = validate(table.rename(columns=str), "series", None, where=f"series {name}")
    if isinstance(lag, str):
        lag = parse_lag(lag)
    if lag is None:
        if len(table) < 2:
            raise InputError(f"series {name} of one row needs its publication lag; got none")
        lag = table.index.to_series().diff().mode()[0]
    return Reading(frame=table, publication_lag=pd.Timedelta(lag))


def _notes(data: Dataset, warmup: Dataset | None) -> tuple[str, ...]:
    out = list(data.notes)
    holes = {str(data.reference): data.gaps}
    if warmup is not None:
        earlier = warmup.gaps
        holes[str(warmup.reference)] = earlier[earlier["start"] < data.frame.index[0]]
        coarser = warmup.reference.timeframe != data.reference.timeframe
        what = f"closes of {warmup.reference.timeframe} and coarser" if coarser else "indicators"
        out.append(f"{what} were warmed up on earlier bars of {warmup.reference}")
    for reference, found in holes.items():
        if len(found):
            missing = found["bars"]
            out.append(
                f"{counted(len(missing), 'gap')} ({counted(int(missing.sum()), 'missing bar')}, at "
                f"most {int(missing.max()):,} in a row) in {reference}; nothing was filled"
            )
    return tuple(out)


def _source(name: str, data: Dataset, found: Mapping[str, HttpSource]) -> HttpSource | None:
    for called in (data.reference.symbol.lower(), name.lower()):
        if called in found or _ALIASES.get(called) in found:
            return found[called if called in found else _ALIASES[called]]
    return None


def _hours(lag: pd.Timedelta) -> str:
    return f"{lag / pd.Timedelta(1, 'h'):g} h"
