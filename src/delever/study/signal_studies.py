"""A signal study on stored data: a named rule, the markets it is pooled over, and its page."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pydantic

from delever.data.disk import write_page
from delever.errors import ConfigError, InputError
from delever.report.pages import signal_page as page
from delever.research.signal.event_study import EventStudy, event_study
from delever.research.signal.ladder import Ladder, study_ladder
from delever.research.signal.level_break import LevelRule, Signal
from delever.research.signal.level_rules import RULES
from delever.research.signal.pool import pool_signals
from delever.research.signal.study import SignalStudy, StudyDesign, study_signal
from delever.signals.features import FEATURES, measure
from delever.study import single_run as trial
from delever.study.declared_lags import early_series
from delever.study.network_series import with_network
from delever.study.provenance import canonical_json
from delever.study.workspace import Workspace
from delever.view import MarketView

__all__ = [
    "SignalReport",
    "bind_rule",
    "load_signals",
    "run_signal_study",
    "signal_names",
    "signal_page",
]

_RUNGS = {"below": (0.95, 0.9, 0.8, 0.7), "above": (1.05, 1.1, 1.25, 1.5)}
_STRICT = pydantic.ConfigDict(strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReport:
    """Everything a signal study found."""

    study: (
        SignalStudy  # forward returns against all bars, volatility-matched bars and placebo levels
    )
    # the way to further levels; None where the signal has no level, or it never broke
    ladder: Ladder | None
    # abnormal returns over the deciding horizon; None where no event can be used
    abnormal: EventStudy | None
    data: tuple[str, ...]  # references of the markets
    notes: tuple[str, ...]  # what a reader must know, why a part is missing among it

    def page(self, path: Path) -> Path:
        """Write the page."""
        text = page.render(self.study, self.ladder, self.abnormal, data=self.data, notes=self.notes)
        write_page(path, text)
        return path


def signal_names() -> tuple[str, ...]:
    """Every name a study understands: rules of levels, then features that are events."""
    return (*RULES, *(name for name, feature in FEATURES.items() if feature.unit == "event"))


def signal_page(name: str, asked: Mapping[str, Any]) -> str:
    """Name of a page, another one for whatever else was asked of the signal.

    Examples
    --------
    >>> signal_page("average", {"params": []})
    'signal_average.html'
    >>> signal_page("average", {"params": ["weeks=100"]})
    'signal_average_4bfd12bb.html'
    """
    said = {key: value for key, value in asked.items() if value}
    tag = hashlib.sha256(canonical_json(said).encode()).hexdigest()[:8]
    return f"signal_{name}_{tag}.html" if said else f"signal_{name}.html"


def bind_rule(name: str, params: Mapping[str, Any]) -> LevelRule:
    """Make a rule from its name and parameters.

    Raises
    ------
    ConfigError
        If there is no such rule or parameter, one is missing, or a value is of the wrong type or
        out of bounds.
    """
    if name not in RULES:
        raise ConfigError(f"a rule must be one of {', '.join(RULES)}; got {name!r}")
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in params.items()}
    try:
        rule: LevelRule = pydantic.validate_call(config=_STRICT)(RULES[name])(**given)
    except pydantic.ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}; got {one['input']!r}"
            for one in error.errors(include_url=False)
        )
        raise ConfigError(f"rule {name}: {said}") from None
    return rule


def load_signals(
    name: str,
    data: Sequence[str],
    *,
    workspace: Workspace,
    params: Mapping[str, Any] | None = None,
    series: Mapping[str, str] | None = None,
) -> tuple[str, list[Signal]]:
    """Find a signal's events on stored markets.

    Raises
    ------
    ConfigError
        If the name is unknown, a parameter does not fit, or no market is named.
    """
    if not data:
        raise ConfigError("a signal study needs at least one data set; name one with --data")
    readings = {key: workspace.catalog.load(ref) for key, ref in (series or {}).items()}
    early = early_series(readings, workspace.root / "data" / "sources.toml")
    markets = [trial.view(workspace.catalog.load(ref), series=readings) for ref in data]
    markets = [
        with_network(replace(market, notes=market.notes + early), workspace.root)
        for market in markets
    ]
    given = dict(params or {})
    if name in RULES:
        rule = bind_rule(name, given)
        return rule.name, [rule.on(market) for market in markets]
    if name not in signal_names():
        raise ConfigError(f"a signal must be one of {', '.join(signal_names())}; got {name!r}")
    return FEATURES[name].meaning, [_event_signal(name, market, given) for market in markets]


def _event_signal(name: str, market: MarketView, params: Mapping[str, Any]) -> Signal:
    event = measure(name, market, **params).astype(bool)
    known = market.close_time - market.index[0] >= FEATURES[name].warm_up
    return Signal(market=market, event=event, known=pd.Series(known, index=market.index))


def run_signal_study(
    name: str,
    data: Sequence[str],
    *,
    workspace: Workspace,
    params: Mapping[str, Any] | None = None,
    series: Mapping[str, str] | None = None,
    design: StudyDesign | None = None,
    rungs: Sequence[float] | None = None,
    prices: Sequence[float] = (),
    rung_bars: int = 90,
    benchmark: str | None = None,
) -> SignalReport:
    """Study a signal on stored data.

    Raises
    ------
    ConfigError
        As `load_signals`, or if there are both `rungs` and `prices`.
    InputError
        If the markets share no bars, or a setting lies outside its range.
    """
    if rungs and prices:
        raise ConfigError("further levels must be multiples of the broken one or prices, not both")
    title, signals = load_signals(name, data, workspace=workspace, params=params, series=series)
    study = study_signal(signals, name=title, design=design)
    notes = list(study.notes)
    steps = prices or (_RUNGS[signals[0].side] if rungs is None else rungs)
    ladder = None
    if steps and all(signal.level is not None for signal in signals):
        pool = pool_signals(signals)
        if pool.event.any():
            ladder = study_ladder(
                pool, steps, rung_bars, design=study.design, absolute=bool(prices)
            )
    market = None
    if benchmark is not None:
        market = workspace.catalog.load(benchmark).frame["close"]
    abnormal = None
    try:
        abnormal = _abnormal(signals, market, study.design)
    except InputError as error:
        notes.append(f"no event study: {error}")
    return SignalReport(
        study=study, ladder=ladder, abnormal=abnormal, data=tuple(data), notes=tuple(notes)
    )


def _abnormal(
    signals: Sequence[Signal], benchmark: pd.Series | None, design: StudyDesign
) -> EventStudy:
    """Event study over the deciding horizon, from the bar after the event on."""
    closes = pd.DataFrame({s.market.symbol: s.market.bars["close"] for s in signals})
    events = pd.DataFrame({s.market.symbol: s.event for s in signals}).reindex(closes.index)
    normal = None
    if benchmark is not None:
        normal = benchmark.reindex(closes.index).pct_change(fill_method=None)
    return event_study(
        closes.pct_change(fill_method=None),
        events.fillna(False).astype(bool),
        model="mean" if benchmark is None else "market",
        benchmark=normal,
        window=(1, design.decides),
        seed=design.seed,
    )
