"""The state of the market, from whatever is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from delever.arguments import whole_number
from delever.data.catalog import Entry
from delever.data.disk import write_page
from delever.errors import ConfigError, InputError
from delever.report.pages import state_page as page
from delever.research.state import MOST_DAYS, MarketState, market_state
from delever.signals.readings import INPUTS, check_lag
from delever.study.declared_lags import early_series
from delever.study.network_series import BITCOIN, with_network
from delever.study.single_run import view
from delever.study.workspace import Workspace
from delever.view import MarketView, Reading

__all__ = ["StateReport", "find_series", "state_of"]

SAMPLE = "sample/ohlcv/BTC/USD/1d"
_ALIASES = {"gld": "gold", "fng": "fear_greed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StateReport:
    """The state of a market and what it was read from."""

    state: MarketState  # the state
    data: Mapping[str, str]  # series and the reference of each, ``bars`` first
    notes: tuple[str, ...]  # what a reader must know about the data

    def page(self, path: Path) -> Path:
        """Write the state as an HTML file and return its path."""
        write_page(path, page.render(self.state, data=self.data, notes=self.notes))
        return path


def find_series(entries: list[Entry], symbol: str) -> dict[str, str]:
    """Which stored data sets can serve as which reading.

    Notes
    -----
    A data set serves when its kind, or the lowercase symbol of a plain series or of other
    markets' bars, is the name of a reading.
    """
    base = symbol.partition("/")[0]
    found: dict[str, Entry] = {}
    for entry in entries:
        reference = entry.reference
        plain = reference.symbol.lower()
        name = reference.kind if reference.kind in INPUTS else _ALIASES.get(plain, plain)
        own = reference.kind not in INPUTS or reference.kind == "dvol"
        if name not in INPUTS or not (own or reference.symbol.partition("/")[0] == base):
            continue
        if name not in found or found[name].end < entry.end:
            found[name] = entry
    return {name: str(entry.reference) for name, entry in found.items()}


def state_of(
    workspace: Workspace,
    *,
    data: str | None = None,
    series: Mapping[str, str] | None = None,
    at: pd.Timestamp | None = None,
    days: int = 30,
) -> StateReport:
    """Read the state of a market.

    Raises
    ------
    ConfigError
        If `series` names a reading that no feature knows.
    InputError
        If a series is declared as known before its own source has it.
    """
    whole_number("days", days, 1, MOST_DAYS)
    given = dict(series or {})
    unknown = [name for name in given if name not in INPUTS]
    if unknown:
        raise ConfigError(
            f"--series must name one of {', '.join(INPUTS)}; got {', '.join(unknown)}"
        )
    catalog = workspace.catalog
    entries = [entry for entry in catalog.list() if entry.reference.venue != "sample"]
    bars = catalog.load(data or _longest(entries))
    symbol = bars.reference.symbol
    references = {
        name: source
        for name, source in (find_series(entries, symbol) | given).items()
        if source != str(bars.reference)
    }
    loaded = {name: catalog.load(one) for name, one in references.items()}
    market = view(bars, series=loaded)
    market, unfit = _fit(with_network(market, workspace.root))
    state = market_state(market, at, days=days)
    return StateReport(
        state=replace(state, missing=state.missing | unfit),
        data={"bars": str(bars.reference)} | references,
        notes=market.notes + early_series(loaded, workspace.root / "data" / "sources.toml"),
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
            check_lag(market, needed)
            for column in needed.columns or (None,):
                market.reading(name, column)
        except InputError as error:
            unfit[name] = str(error)
        else:
            fit[name] = reading
    return replace(market, readings=fit), unfit
