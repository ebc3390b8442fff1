"""History brought into a workspace: from venues, from the web, and leverage brackets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from delever.data.exchange.bracket_tables import fetch_brackets
from delever.data.exchange.client import Client, connect
from delever.data.exchange.fetch import Fetched, Progress
from delever.data.exchange.fetch import repair as mend
from delever.data.exchange.jobs import Job, fetch_all
from delever.data.references import Reference
from delever.data.sample_data import SAMPLE
from delever.data.sources_file import API_URL, settings_of
from delever.data.web import read_series, web_sources
from delever.errors import DeleverError, InputError
from delever.study.inputs.market import utc
from delever.study.kept.result import Result, plain
from delever.study.settings.kept_brackets import Kept, import_saved, keep_brackets
from delever.study.workspaces.workspace import Workspace

_SAID = (
    *("added", "present", "start", "end", "absent", "unknown", "unconfirmed", "overdue"),
    "notes",
)
BRACKETS = "brackets"
"""The kind that is no data set: tables kept beside the rulebooks."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Fetches(Result):
    """What fetching or repairing came to; `fetch`, `repair` and `import_brackets` make it."""

    results: Mapping[
        str, Fetched | Kept | DeleverError
    ]  # by reference; an error stops only its own

    @property
    def failed(self) -> dict[str, DeleverError]:
        """What failed, by reference."""
        return {k: one for k, one in self.results.items() if isinstance(one, DeleverError)}

    @property
    def unknown(self) -> dict[str, int]:
        """How many stretches stay unknown, by reference; those without any are left out."""
        counts = {name: len(getattr(one, "unknown", ())) for name, one in self.results.items()}
        return {name: number for name, number in counts.items() if number}

    @property
    def headline(self) -> str:
        """How many rows are new, what stays unknown and what failed."""
        added = sum(getattr(one, "added", 0) for one in self.results.values())
        said = [f"{added:,} rows added"]
        said += [f"{number} stretches of {name} unknown" for name, number in self.unknown.items()]
        said += [f"{name} failed: {error}" for name, error in self.failed.items()]
        return f"Asked for {len(self.results)}: {'; '.join(said)}."

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """``results``: one row each, by reference."""
        rows = [
            {
                "reference": name,
                "added": getattr(one, "added", 0),
                "present": getattr(one, "present", 0),
                "absent": len(getattr(one, "absent", ())),
                "unknown": len(getattr(one, "unknown", ())),
                "error": str(one) if isinstance(one, DeleverError) else "",
            }
            for name, one in self.results.items()
        ]
        return {"results": pd.DataFrame(rows).set_index("reference")}

    def to_dict(self) -> dict[str, Any]:
        """The headline, and ``results`` with their absent and unknown stretches."""
        results = [_result(name, one) for name, one in self.results.items()]
        return {"headline": self.headline, "results": results}


def fetch(
    source: str | Sequence[str],
    symbols: str | Sequence[str] | None = None,
    *,
    kind: str | Sequence[str] = "ohlcv",
    timeframe: str | None = None,
    since: str | pd.Timestamp | None = None,
    until: str | pd.Timestamp | None = None,
    progress: Callable[[Progress], None] | None = None,
    workspace: Workspace | Path | str | None = None,
) -> Fetches:
    """Fetch history into the store through ccxt, or a series of ``data/sources.toml``.

    Fetching again goes on where the last fetch ended, compares the last stored rows, and changes
    nothing else.

    Parameters
    ----------
    source : str or sequence of str
        Venues as ccxt calls them; without symbols, series of ``data/sources.toml``.
    symbols : str or sequence of str, optional
        ccxt's unified symbols, such as ``"BTC/USDT:USDT"``.
    kind : str or sequence of str
        ``"ohlcv"``, ``"mark"``, ``"index"``, ``"premium"``, ``"funding"``, ``"open_interest"``,
        ``"long_short_ratio"``, ``"liquidations"``, ``"dvol"``, or ``"brackets"``: leverage
        brackets as they are now.
    timeframe : str, optional
        ``"1d"`` for bars and ``"1h"`` for readings by default; for funding the venue's interval,
        always so beside other kinds.
    since, until : str or pandas.Timestamp, optional
        UTC, `until` exclusive. By default from the venue's first row to the last that is final.
    progress : callable, optional
        Told how far each data set is.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Fetches
        An error stops only its own data set: see ``failed`` and ``unknown``.

    Raises
    ------
    InputError
        If names, kinds and times do not go together.
    """
    place = Workspace.find(workspace)
    names = [source] if isinstance(source, str) else list(source)
    kinds = [kind] if isinstance(kind, str) else list(kind)
    wanted = [symbols] if isinstance(symbols, str) else list(symbols or ())
    if not wanted:
        if kinds != ["ohlcv"] or timeframe or since is not None or until is not None:
            raise InputError(
                "a venue needs a symbol (delever data fetch binanceusdm BTC/USDT:USDT); a series "
                "of sources.toml takes no kind, timeframe, since or until"
            )
        return Fetches(results=_series(names, place))
    clients = _clients(names, place)
    begin = None if since is None else utc(since, "since")
    end = None if until is None else utc(until, "until")
    for name in names:
        for symbol in wanted:
            Reference(venue=name, kind="ohlcv", symbol=symbol, timeframe="1d")
    series = [name for name in kinds if name != BRACKETS]
    if not series and (timeframe or since is not None or until is not None):
        raise InputError("brackets are those of now; they take no timeframe, since or until")
    alone = set(series) == {"funding"}
    jobs = [
        Job(
            venue=name,
            kind=one,
            symbol=symbol,
            timeframe=timeframe if one != "funding" or alone else None,
            since=begin,
            until=end,
        )
        for name in names
        for symbol in wanted
        for one in series
    ]
    found = fetch_all(jobs, place.catalog, clients, report=progress)
    results: dict[str, Fetched | Kept | DeleverError] = {str(k): one for k, one in found.items()}
    if BRACKETS in kinds:
        results |= _bracket_tables(clients, wanted, place)
    return Fetches(results=results)


def repair(
    reference: str,
    *,
    absent: bool = False,
    progress: Callable[[Progress], None] | None = None,
    workspace: Workspace | Path | str | None = None,
) -> Fetches:
    """Fetch just what is unknown of a data set.

    A stretch is absent once the venue has answered without it at two times at least 6 hours apart,
    and has served later rows each time; until then it is unknown. Absent stretches are due to be
    asked for again every 30 days; `fetch` reminds of those.

    Parameters
    ----------
    reference : str
        Such as ``"binanceusdm/ohlcv/BTC/USDT:USDT/1m"``.
    absent : bool
        Ask for the absent stretches again too.
    progress : callable, optional
        Told how far it is.
    workspace : path, optional
        By default the one at or above the current folder.

    Raises
    ------
    InputError
        If the data set is not from a venue.
    NotStoredError
        If it is not stored.
    VenueError
        If the venue does not answer.
    """
    place = Workspace.find(workspace)
    wanted = Reference.parse(reference)
    if wanted.venue == SAMPLE:
        raise InputError(
            f"only what a venue serves can be repaired; {reference} is the embedded sample, which "
            "is from no exchange and stays as it is; fetch bars of a venue instead: "
            "delever data fetch"
        )
    client = _clients([wanted.venue], place)[wanted.venue]
    return Fetches(
        results={reference: mend(client, place.catalog, wanted, absent=absent, report=progress)}
    )


def import_brackets(
    venue: str,
    file: Path | str,
    *,
    as_of: str,
    symbols: Sequence[str] = (),
    workspace: Workspace | Path | str | None = None,
) -> Fetches:
    """Keep leverage brackets that were saved, for venues that give them to a key alone.

    Studies use them from the first day on which they were known.

    Parameters
    ----------
    venue : str
        A venue with a rulebook in ``data/venues``, such as ``"binanceusdm"``.
    file : path
        JSON: Binance's answer of leverageBracket, or of ccxt's ``fetch_leverage_tiers``; or
        ``{"market": …, "tiers": […]}`` of ccxt, which also brings a contract that the rulebook
        does not list.
    as_of : str
        When it was saved, UTC: a day, at whose end it was known, or a moment with its zone.
    symbols : sequence of str
        By default all that the rulebook lists.
    workspace : path, optional
        By default the one at or above the current folder.

    Raises
    ------
    InputError
        If the file lacks a symbol, or `as_of` is no time or still to come.
    ConfigError
        If the venue has no rulebook.
    ConflictError
        If another table was seen at the same moment.
    """
    venues = Workspace.find(workspace).root / "data" / "venues"
    kept = import_saved(Path(file), venue, venues, as_of=as_of, symbols=symbols)
    return Fetches(results={f"{one.venue}/{BRACKETS}/{one.symbol}": one for one in kept})


def _clients(names: Sequence[str], place: Workspace) -> dict[str, Client]:
    sources = place.root / "data" / "sources.toml"
    venues = {one.name: one for one in place.extensions.venues}
    return {name: connect(name, settings_of(name, sources), venues=venues) for name in names}


def _series(names: Sequence[str], place: Workspace) -> dict[str, Fetched | Kept | DeleverError]:
    sources = place.root / "data" / "sources.toml"
    known = web_sources(sources)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InputError(
            f"without a symbol, fetch takes series of {sources}: {', '.join(known) or 'none'}; "
            f"got {', '.join(unknown) or 'none'}"
        )
    results: dict[str, Fetched | Kept | DeleverError] = {}
    for name in names:
        redirect = os.environ.get(API_URL) or known[name].api_url
        data = read_series(replace(known[name], api_url=redirect))
        change = place.catalog.append(
            data.reference,
            data.frame,
            provenance=data.provenance[0],
            publication_lag=data.publication_lag,
            notes=data.notes,
        )
        results[str(data.reference)] = Fetched(
            reference=data.reference,
            added=change.added,
            present=change.present,
            start=data.frame.index[0],
            end=data.frame.index[-1],
            absent=(),
            unknown=(),
            notes=data.notes,
        )
    return results


def _bracket_tables(
    clients: Mapping[str, Client], symbols: Sequence[str], place: Workspace
) -> dict[str, Kept | DeleverError]:
    results: dict[str, Kept | DeleverError] = {}
    for name, client in clients.items():
        for symbol in symbols:
            reference = f"{name}/{BRACKETS}/{symbol}"
            try:
                table = fetch_brackets(client, symbol)
                (results[reference],) = keep_brackets([table], place.root / "data" / "venues")
            except DeleverError as error:  # what fails does not stop the others
                results[reference] = error
    return results


def _result(name: str, one: Fetched | Kept | DeleverError) -> dict[str, Any]:
    if isinstance(one, DeleverError):
        return {"reference": name, "error": str(one)}
    if not isinstance(one, Fetched):
        return {"reference": name, **one.to_dict()}
    return {"reference": str(one.reference), **{each: plain(getattr(one, each)) for each in _SAID}}
