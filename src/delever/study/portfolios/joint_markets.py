"""Several markets from references, a universe or frames: `delever.markets`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from delever.arguments import shown, whole_number
from delever.bars import resample
from delever.data.references import Dataset
from delever.errors import ConfigError, InputError
from delever.panel import PATIENCE, Lifetime, Markets
from delever.study.inputs.market import Bars, Beside, market, utc
from delever.study.portfolios.universe import coin_bars, ended_notes, load_universe
from delever.study.settings.config import UNIVERSES
from delever.study.workspaces.workspace import Workspace
from delever.toml_file import read_toml
from delever.units import divides, timeframe_delta
from delever.view import MarketView

Several: TypeAlias = (
    "Mapping[str, Bars | MarketView] | Sequence[str | Dataset | MarketView] | str | Path"
)


def markets(
    data: Several,
    *,
    series: Mapping[str, Beside] | None = None,
    lifetimes: Mapping[str, Lifetime] | None = None,
    top: int | None = None,
    volume_days: int = 30,
    start: str | pd.Timestamp | None = None,
    end: str | pd.Timestamp | None = None,
    timeframe: str | None = None,
    workspace: Workspace | Path | str | None = None,
) -> Markets:
    """Make the causal view of several markets on one clock.

    Parameters
    ----------
    data : mapping, sequence, str or path
        Bars by the name of each symbol or leg: references, data sets, frames or markets. Of a
        sequence the names are the symbols. A text ending in ``.toml`` is a universe: a file of
        coins by date; or a study with legs: its own, with their series.
    series : mapping of str to series, optional
        What ``view.series(name)`` finds on each of them; as of `delever.market`.
    lifetimes : mapping of str to Lifetime, optional
        When symbols were listed and delisted; a universe says it itself.
    top : int, optional
        How many symbols are members at a time, by dollar volume known then.
    volume_days : int
        Days that dollar volume is summed over; 1 or more.
    start, end : str or pandas.Timestamp, optional
        UTC. Bars that open before `start` only warm indicators up; nothing later than `end` is
        seen.
    timeframe : str, optional
        Of frames.
    workspace : path, optional
        Where references are looked for; by default the one at or above the current folder.

    Returns
    -------
    Markets
        Of the coarsest timeframe among them: finer bars are put together to it. A symbol whose
        bars end a week or more before those of the others is no member from a week after its last
        bar on, and a note says so.

    Raises
    ------
    InputError
        If there are fewer than two, one is there twice, or an argument is not of its kind.
    ConfigError
        If a universe is not as it must be, or the timeframes do not fill each other.
    NotStoredError
        If a data set is not stored.

    Examples
    --------
    >>> import delever as dl, pandas as pd
    >>> days = pd.date_range("2026-01-05", periods=3, tz="UTC")
    >>> bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], [1.0, 2.0, 3.0]), days)
    >>> both = dl.markets({"A": bars, "B": 10 * bars}, timeframe="1d")
    >>> both.panel().iloc[-1].tolist()
    [3.0, 30.0]
    """
    if top is not None:
        whole_number("top", top, 1)
    whole_number("volume_days", volume_days, 1)
    place = Workspace.find(workspace, or_shipped=True)
    if isinstance(data, str | Path):
        if not str(data).endswith(UNIVERSES):
            raise InputError(
                "several markets are a mapping of names to bars, a sequence of references or the "
                f"file of a universe, .toml or .csv; got {shown(str(data))}; dl.market takes one"
            )
        path = place.file(Path(data))
        if (
            path.suffix == ".toml"
            and path.is_file()
            and "strategy" in read_toml(path, "a universe or a study")
        ):
            from delever.study.portfolios.joint_inputs import study_markets

            return within(study_markets(path, place), start=start, end=end)
        return _universe(path, series=series, start=start, end=end, place=place)
    named = _named(data)
    views = {
        name: bars
        if isinstance(bars, MarketView)
        else market(
            bars,
            series=series,
            timeframe=timeframe if isinstance(bars, pd.DataFrame) else None,
            symbol=name if isinstance(bars, pd.DataFrame) else None,
            workspace=place,
        )
        for name, bars in named.items()
    }
    found = joint(views, lifetimes=lifetimes or {}, top=top, volume_days=volume_days)
    return within(found, start=start, end=end)


def within(
    found: Markets, *, start: str | pd.Timestamp | None, end: str | pd.Timestamp | None
) -> Markets:
    """Markets that are traded from a time on, and seen up to another.

    Raises InputError if either is no time, or leaves no bar, or start is not before end.
    """
    if start is not None and end is not None and utc(start, "start") >= utc(end, "end"):
        raise InputError(f"start must be before end; got {start} and {end}; swap them")
    if start is not None:
        first = utc(start, "start")
        if not (found.index >= first).any():
            raise InputError(
                f"start must leave a bar; none opens at or after {first:%Y-%m-%d %H:%M}, the data "
                f"end with {found.index[-1]:%Y-%m-%d %H:%M}"
            )
        views = {
            name: replace(one, trading_start=max(first, one.trading_start or first))
            for name, one in found.views.items()
        }
        found = replace(found, views=views)
    if end is not None:
        found = found.upto(utc(end, "end"))
        if len(found) == 0:
            raise InputError(f"end must leave a bar; none closes by {end}")
    return found


def joint(
    views: Mapping[str, MarketView],
    *,
    lifetimes: Mapping[str, Lifetime],
    top: int | None = None,
    volume_days: int = 30,
) -> Markets:
    """Views on one clock, that of the coarsest; with what is to be said of it.

    Raises InputError if there are fewer than two; ConfigError if the timeframes do not fill each
    other.
    """
    if len(views) < 2:
        raise InputError(
            f"several markets are needed, two at least; got {', '.join(views) or 'none'}; "
            "dl.market takes one"
        )
    frames = {one.timeframe: timeframe_delta(one.timeframe) for one in views.values()}
    coarsest = max(frames, key=lambda name: frames[name])
    notes: list[str] = []
    seen = {name: _coarser(name, one, coarsest, notes) for name, one in views.items()}
    last = max(one.close_time[-1] for one in seen.values())
    for name, one in seen.items():
        ended, lifetime = one.close_time[-1], lifetimes.get(name)
        unsaid = not isinstance(lifetime, Lifetime) or lifetime.delisted is None
        if unsaid and last - ended >= PATIENCE:
            notes.append(
                f"the bars of {name} end {ended:%Y-%m-%d}, before those of the others, and nobody "
                f"says why: it counts as gone a week later, {ended + PATIENCE:%Y-%m-%d}, and what "
                "was held of it is closed then, at its last close"
            )
    found = Markets(
        views=seen, lifetimes=lifetimes, top=top, volume_days=volume_days, notes=tuple(notes)
    )
    return replace(found, notes=(*notes, *ended_notes(dict(lifetimes))))


def _coarser(name: str, one: MarketView, timeframe: str, notes: list[str]) -> MarketView:
    if one.timeframe == timeframe:
        return one
    if not divides(one.timeframe, timeframe):
        raise ConfigError(
            f"bars of {name} must fill those of the coarsest market, {timeframe}; they are of "
            f"{one.timeframe}; give bars of one timeframe"
        )
    bars = resample(one.bars, one.timeframe, timeframe)
    if bars.empty:
        raise ConfigError(f"bars of {name} do not fill one bar of {timeframe}; give a longer span")
    notes.append(f"bars of {name} were put together from {one.timeframe} to {timeframe}")
    return replace(one, bars=bars, timeframe=timeframe)


def _named(data: object) -> dict[str, Bars | MarketView]:
    """Bars by name. Raises InputError if two are one, or what is given is not of its kind."""
    if isinstance(data, Mapping):
        named = dict(data)
    elif isinstance(data, Sequence):
        named = {}
        for one in data:
            name = _symbol(one)
            if name in named:
                raise InputError(
                    f"every symbol must be there once; {name} is there twice; give a mapping where "
                    "two legs are of one symbol"
                )
            named[name] = one
    else:
        raise InputError(
            "several markets are a mapping of names to bars, a sequence of references or the TOML "
            f"file of a universe; got {shown(data)}"
        )
    wrong = [name for name in named if not (isinstance(name, str) and name.strip())]
    if wrong:
        raise InputError(f"names of symbols must be texts; got {wrong[0]!r}")
    known: dict[str, str] = {}
    for name, one in named.items():
        reference = one if isinstance(one, str) else ""
        if reference and reference in known:
            raise InputError(
                f"every symbol must be there once; {known[reference]} and {name} are both "
                f"{reference}; name one of them"
            )
        known[reference] = name
    return named


def _symbol(one: object) -> str:
    if isinstance(one, str):
        return one.split("/", 2)[-1].rpartition("/")[0]
    name = one.reference.symbol if isinstance(one, Dataset) else getattr(one, "symbol", "")
    if not name:
        raise InputError(
            f"of a sequence each must be a reference, a data set or a market with a symbol; got "
            f"{shown(one)}; give a mapping of names to bars"
        )
    return str(name)


def _universe(
    path: Path,
    *,
    series: Mapping[str, Beside] | None,
    start: str | pd.Timestamp | None,
    end: str | pd.Timestamp | None,
    place: Workspace,
) -> Markets:
    universe = load_universe(path)
    views, lifetimes = {}, {}
    for coin in universe.coin:
        bars, _ = coin_bars(coin, place.catalog)
        views[coin.symbol] = market(bars, series=series, symbol=coin.symbol, workspace=place)
        lifetimes[coin.symbol] = coin.lifetime
    found = joint(views, lifetimes=lifetimes, top=universe.top, volume_days=universe.volume_days)
    return within(found, start=start, end=end)
