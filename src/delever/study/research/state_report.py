"""The state of the market, from whatever is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from delever.arguments import whole_number
from delever.data.catalog import Entry
from delever.data.references import Reference
from delever.errors import ConfigError, InputError
from delever.report.format import when
from delever.report.pages import state_page as page
from delever.research.state import MOST_DAYS, MarketState, Support, market_state
from delever.signals.features import INPUTS
from delever.study.inputs.known_readings import find_series
from delever.study.inputs.market import BITCOIN, market, utc, with_network
from delever.study.kept.result import Result, plain
from delever.study.kept.stored import About
from delever.study.workspaces.workspace import Workspace
from delever.units import timeframe_delta
from delever.view import MarketView, Reading

if TYPE_CHECKING:
    from delever.research.base_rates import BaseRate

SAMPLE = "sample/ohlcv/BTC/USD/1d"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class StateReport(Result):
    """The state of a market and what it was read from.

    Attributes
    ----------
    state : MarketState
        Levels, readings, phase and supports.
    data : mapping of str to str
        Series and the reference of each, ``bars`` first.
    notes : tuple of str
        What a reader must know about the data.
    chosen : bool
        Whether the bars were looked for, because none were named.
    """

    state: MarketState
    data: Mapping[str, str]
    notes: tuple[str, ...]
    chosen: bool = False

    @property
    def headline(self) -> str:
        """Price, phase and stress."""
        return page.headline(self.state)

    @property
    def source(self) -> str:
        """The data set it was read from, why it is this one, and the series beside it."""
        bars, *series = self.data.values()
        why = ", the daily bitcoin bars that reach furthest" if self.chosen else ""
        if self.chosen and bars == SAMPLE:
            why = ", for want of stored daily bitcoin bars"
        beside = f", with {', '.join(series)}" if series else ""
        return f"{bars}{why}{beside}"

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The nearest supports, every level, and the readings of stress."""
        now = self.state
        supports = [
            {
                "level": one.level.name,
                "price": one.level.price,
                "ranges": one.ranges,
                **{
                    f"{scope}_{key}": value
                    for scope, found in _reaches(one)
                    for key, value in found
                },
            }
            for one in now.supports
        ]
        columns = ("name", "price", "distance")
        levels = [{name: getattr(one, name) for name in columns} for one in now.levels]
        columns = ("feature", "value", "percentile")
        readings = [{name: getattr(one, name) for name in columns} for one in now.readings]
        return {
            "supports": pd.DataFrame(supports),
            "levels": pd.DataFrame(levels),
            "readings": pd.DataFrame(readings),
        }

    def html(self) -> str:
        """The state as a page."""
        return page.render(self.state, data=self.data, notes=self.notes)

    @property
    def about(self) -> About:
        """What a listing says of it."""
        now, bars = self.state, self.data["bars"]
        return About(
            kind="state",
            name=f"{when(now.time)} {Reference.parse(bars).symbol}",
            page="state.html",
            start=f"{now.time:%Y-%m-%d}",
            end=f"{now.time:%Y-%m-%d}",
            params={"data": bars, "days": now.days},
            inputs={"data": dict(self.data), "time": f"{now.time}", "days": now.days},
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``delever state --json`` prints, the path of its page aside."""
        now = self.state
        return {
            "headline": self.headline,
            "time": f"{now.time:%Y-%m-%dT%H:%M:%SZ}",
            "price": now.price,
            "phase": now.phase or None,
            "since": None if now.since is None else f"{now.since:%Y-%m-%dT%H:%M:%SZ}",
            "stress": plain(now.stress),
            "coverage": plain(now.coverage),
            "levels": {one.name: plain(one.price) for one in now.levels},
            "readings": {
                one.feature: {"value": plain(one.value), "percentile": plain(one.percentile)}
                for one in now.readings
            },
            "supports": [
                {
                    "level": one.level.name,
                    "price": one.level.price,
                    "ranges": plain(one.ranges),
                    **{scope: plain(dict(found)) for scope, found in _reaches(one)},
                }
                for one in now.supports
            ],
            "days": now.days,
            "data": dict(self.data),
            "source": self.source,
            "missing": dict(now.missing),
        }


def _reaches(support: Support) -> list[tuple[str, list[tuple[str, float]]]]:
    """How often the price went as far down, from any past close and from alike ones."""

    def rates(found: BaseRate) -> list[tuple[str, float]]:
        return [(name, getattr(found, name)) for name in ("rate", "low", "high", "effective")]

    return [
        ("unconditional", rates(support.unconditional)),
        ("same_phase", rates(support.same_phase)),
    ]


def state(
    at: str | pd.Timestamp | None = None,
    *,
    data: str | None = None,
    series: Mapping[str, str] | None = None,
    days: int = 30,
    workspace: Workspace | Path | str | None = None,
) -> StateReport:
    """Read the state of a market from whatever is stored.

    Parameters
    ----------
    at : str or pandas.Timestamp, optional
        UTC; by default the close of the last bar.
    data : str, optional
        Reference of the bars; by default the latest daily bitcoin bars stored.
    series : mapping of str to str, optional
        Readings and their references, where their names do not find them.
    days : int
        In which a support is to be reached, from 1 to 3,650.
    workspace : path, optional
        By default the one at or above the current folder.

    Raises
    ------
    ConfigError
        If `series` names a reading that no feature knows.
    InputError
        If a series is declared as known before its own source has it, or `at` lies beyond the
        bars.

    Examples
    --------
    >>> import delever as dl
    >>> dl.state("2025-02-06", data="sample/ohlcv/BTC/USD/1d").headline
    '2025-02-06 UTC, price ...'
    """
    whole_number("days", days, 1, MOST_DAYS)
    given = dict(series or {})
    unknown = [name for name in given if name not in INPUTS]
    if unknown:
        raise ConfigError(
            f"--series must name one of {', '.join(INPUTS)}; got {', '.join(unknown)}"
        )
    place = Workspace.find(workspace, or_shipped=True)
    entries = [entry for entry in place.catalog.list() if entry.reference.venue != "sample"]
    bars = place.catalog.load(data or _longest(entries))
    references = {
        name: source
        for name, source in (find_series(entries, bars.reference.symbol) | given).items()
        if source != str(bars.reference)
    }
    seen = market(bars, series=references, workspace=place)
    known, unfit = _fit(with_network(seen, place.root))
    moment = None if at is None else utc(at, "at")
    last = known.close_time[-1]
    if moment is not None and moment >= last + timeframe_delta(known.timeframe):
        raise InputError(
            f"the state of {when(moment)} needs bars until then; those of {bars.reference} end at "
            f"{when(last)}; fetch or import later ones, name others with --data, or leave --at out"
        )
    now = market_state(known, moment, days=days)
    return StateReport(
        state=replace(now, missing=now.missing | unfit),
        data={"bars": str(bars.reference)} | references,
        notes=seen.notes,
        chosen=data is None,
    )


def _longest(entries: list[Entry]) -> str:
    daily = [
        entry
        for entry in entries
        if entry.reference.kind == "ohlcv"
        and entry.reference.timeframe == "1d"
        and entry.reference.symbol.partition("/")[0] in BITCOIN
    ]
    if not daily:
        return SAMPLE
    return str(max(daily, key=lambda entry: (entry.end, entry.rows)).reference)


def _fit(market: MarketView) -> tuple[MarketView, dict[str, str]]:
    """Leave out the readings that no feature could use, and say why."""
    fit: dict[str, Reading] = {}
    unfit: dict[str, str] = {}
    for name, reading in market.readings.items():
        needed = INPUTS[name]
        try:
            needed.check(market)
            for column in needed.columns or (None,):
                market.reading(name, column)
        except InputError as error:
            unfit[name] = str(error)
        else:
            fit[name] = reading
    return replace(market, readings=fit), unfit
