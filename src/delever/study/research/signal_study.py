"""A signal study on stored data: a named rule and the markets it is pooled over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from delever.arguments import Mapper, shown
from delever.errors import ConfigError, InputError
from delever.research.signal.conditions import study_conditions
from delever.research.signal.event_study import abnormal_returns
from delever.research.signal.ladder import further_levels, study_ladder
from delever.research.signal.level_break import LevelRule, Signal
from delever.research.signal.level_rules import RULES
from delever.research.signal.placebo import Placebos, placebo_events
from delever.research.signal.pool import PooledSignals, pool_signals
from delever.research.signal.robustness import RobustnessMap, map_signals
from delever.research.signal.study import SignalStudy, StudyDesign, study_signal
from delever.signals.features import Features
from delever.study.inputs.market import market as make_market
from delever.study.inputs.market import with_network
from delever.study.ledger.trials import Ledger
from delever.study.machines.executor import mapping, open_executor
from delever.study.research.signal_report import SignalReport
from delever.study.research.signal_rules import conditions_on, load_signals, variants_of
from delever.study.runs.answering import Progress, counting
from delever.study.workspaces.workspace import Workspace
from delever.view import MarketView

_RUNGS = {"below": (0.95, 0.9, 0.8, 0.7), "above": (1.05, 1.1, 1.25, 1.5)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalQuestion:
    """What is asked of a signal beside the comparison that decides."""

    params: Mapping[str, Any]
    rungs: Sequence[float] | None
    prices: Sequence[float]
    rung_bars: int
    benchmark: str | pd.Series | None
    when: Sequence[str]

    @classmethod
    def of(
        cls,
        params: Mapping[str, Any] | None,
        rungs: Sequence[float] | None,
        prices: Sequence[float],
        rung_bars: int,
        benchmark: str | pd.Series | None,
        when: Sequence[str] = (),
    ) -> SignalQuestion:
        """As asked; raises ConfigError where further levels are multiples and prices at once."""
        if rungs and prices:
            raise ConfigError(
                "further levels must be multiples of the broken one or prices, not both"
            )
        return cls(
            params=dict(params or {}),
            rungs=rungs,
            prices=prices,
            rung_bars=rung_bars,
            benchmark=benchmark,
            when=[when] if isinstance(when, str) else list(when),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A signal on its markets, with its placebos."""

    title: str
    signals: Sequence[Signal]
    pool: PooledSignals
    placebos: Placebos | None

    def further(self, asked: SignalQuestion) -> tuple[float, ...]:
        """Levels behind the broken one; raises InputError where one lies before it."""
        side = self.signals[0].side
        steps = asked.prices or (_RUNGS[side] if asked.rungs is None else asked.rungs)
        if steps and all(signal.level is not None for signal in self.signals):
            further_levels(steps, side, absolute=bool(asked.prices))
        return tuple(steps)

    def study(self, design: StudyDesign, of: int = 1) -> SignalStudy:
        """Study it, as one of so many."""
        return study_signal(
            self.signals,
            name=self.title,
            design=design,
            pool=self.pool,
            placebos=self.placebos,
            of=of,
        )


def _asked_before(ends: Sequence[str]) -> str:
    """What earlier looks at a signal, on fewer data, make of its p-value."""
    if not ends:
        return ""
    return (
        f"asked before of data to {', '.join(ends)}: p is for one look alone, the stake (looked at "
        "again and again) for any number"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where signals are studied: the markets, and the rules and features that there are."""

    place: Workspace
    named: Sequence[str | MarketView]
    markets: Sequence[MarketView]
    series: Mapping[str, str]
    design: StudyDesign
    rules: Mapping[str, Callable[..., LevelRule]]
    features: Features
    pool: Executor | None = None  # where placebos are drawn; None: here
    progress: Progress = lambda step: None

    @classmethod
    @contextmanager
    def of(
        cls,
        data: str | MarketView | Sequence[str | MarketView],
        design: StudyDesign | None,
        series: Mapping[str, str] | None,
        workspace: Workspace | Path | str | None,
        cluster: str | Executor | None = None,
        progress: Progress = lambda step: None,
    ) -> Iterator[Setting]:
        """Load the markets, and open what placebos are drawn on."""
        place = Workspace.find(workspace, or_shipped=True)
        named = [data] if isinstance(data, str | MarketView) else list(data)
        markets = [
            with_network(
                one
                if isinstance(one, MarketView)
                else make_market(one, series=series, workspace=place),
                place.root,
            )
            for one in named
        ]
        added = place.extensions
        setting = cls(
            place=place,
            named=named,
            markets=markets,
            series=dict(series or {}),
            design=design or StudyDesign(),
            rules={**RULES, **{each.__name__: each for each in added.signals}},
            features=added.all_features,
            progress=progress,
        )
        with open_executor(1, cluster) as pool:
            yield replace(setting, pool=pool)

    def mapper(self, what: str) -> Mapper:
        """Map over numbers of something, and tell how many are done."""
        return mapping(self.pool, progress=counting(self.progress, what))

    def load(self, signal: str | LevelRule | pd.Series, params: Mapping[str, Any]) -> Loaded:
        """Find a signal's events and its placebos'."""
        title, signals = load_signals(signal, self.markets, params, self.rules, self.features)
        pool = pool_signals(signals)
        return Loaded(
            title=title,
            signals=signals,
            pool=pool,
            placebos=placebo_events(
                pool,
                self.design.factors(),
                self.design.horizons,
                self.mapper(f"{title}: blocks of placebos"),
            ),
        )

    def look(self, loaded: Sequence[Loaded]) -> list[str]:
        """Write into the ledger what is asked, and say of each signal what was asked before."""
        if self.place.shipped:
            return ["" for _ in loaded]
        horizons = sorted(self.design.horizons, key=lambda bars: bars != self.design.decides)
        before: list[set[str]] = [set() for _ in loaded]
        for named, market in zip(self.named, self.markets, strict=True):
            name = named if isinstance(named, str) else market.symbol or "a market at hand"
            ledger = Ledger.of(self.place, market.bars, name)
            for one, ends in zip(loaded, before, strict=True):
                about = {"signal": one.title, "timeframe": market.timeframe}
                asked = [{**about, "horizon": bars} for bars in horizons]
                ends |= {end[:10] for end in ledger.look(asked, until=market.index[-1])}
        return [_asked_before(sorted(ends)) for ends in before]

    def report(
        self,
        loaded: Loaded,
        study: SignalStudy,
        asked: SignalQuestion,
        before: str,
        varied: RobustnessMap | None = None,
    ) -> SignalReport:
        """Everything that a page shows beside the study itself."""
        pool, notes, design = (
            loaded.pool,
            [*study.notes, *([before] if before else [])],
            self.design,
        )
        signals, prices, steps = loaded.signals, asked.prices, loaded.further(asked)
        decided = float(study.deciding["p_value"])
        ladder = None
        if steps and all(signal.level is not None for signal in signals) and pool.event.any():
            ladder = study_ladder(
                pool,
                steps,
                asked.rung_bars,
                design=design,
                absolute=bool(prices),
                placebos=loaded.placebos,
                decided=decided,
            )
        benchmark = asked.benchmark
        by_name = benchmark if isinstance(benchmark, str) else "closes of one's own"
        if isinstance(benchmark, str):
            benchmark = self.place.catalog.load(benchmark).frame["close"]
        abnormal = None
        try:
            abnormal = abnormal_returns(pool, benchmark, design, loaded.placebos)
        except InputError as error:
            notes.append(f"no event study: {error}")
        conditions = None
        if asked.when:
            holds = conditions_on(pool, asked.when, self.features)
            conditions = study_conditions(pool, holds, design.decides, decided=decided)
        return SignalReport(
            study=study,
            ladder=ladder,
            abnormal=abnormal,
            conditions=conditions,
            robustness=varied,
            data=tuple(one if isinstance(one, str) else one.symbol for one in self.named),
            notes=tuple(notes),
            asked={
                "signal": loaded.title,
                "params": dict(asked.params),
                "series": dict(self.series),
                "levels": list(steps),
                "rung_bars": asked.rung_bars,
                "benchmark": None if benchmark is None else by_name,
                "when": list(asked.when),
                "varied": [] if varied is None else sorted({k[0] for k in varied.cells.index}),
            },
        )


def signal_study(
    signal: str | LevelRule | pd.Series,
    data: str | MarketView | Sequence[str | MarketView] = "sample/ohlcv/BTC/USD/1d",
    params: Mapping[str, Any] | None = None,
    *,
    design: StudyDesign | None = None,
    series: Mapping[str, str] | None = None,
    rungs: Sequence[float] | None = None,
    prices: Sequence[float] = (),
    rung_bars: int = 90,
    benchmark: str | pd.Series | None = None,
    when: Sequence[str] = (),
    vary: Mapping[str, Sequence[Any]] | None = None,
    cluster: str | Executor | None = None,
    progress: Progress = lambda step: None,
    workspace: Workspace | Path | str | None = None,
) -> SignalReport:
    """Study what came after a signal, beside all bars, volatility-matched bars and placebo levels.

    Parameters
    ----------
    signal : str, LevelRule or pandas.Series of bool
        A rule of levels or an event feature by name
        (`delever.study.research.signal_rules.signal_names`), a rule of one's own, or events on
        the bars of one market.
    data : str, MarketView or a sequence of these
        References of bars or markets; several are pooled.
    params : mapping, optional
        Parameters of the rule, such as ``{"weeks": 100}``.
    design : StudyDesign, optional
        Horizons, the one that decides, placebo levels, level and power.
    series : mapping of str to str, optional
        Readings the rule needs, and their references; for markets that are named.
    rungs : sequence of float, optional
        Further levels, as multiples of the broken one; the usual ones unless given.
    prices : sequence of float
        Further levels as prices, in place of `rungs`.
    rung_bars : int
        Bars in which a further level is to be reached.
    benchmark : str or pandas.Series, optional
        Reference of bars, or closes, of the market of the event study; by default each market's
        own mean is normal.
    when : sequence of str
        Conditions such as ``"fear_greed<15"``, of features: whether the events mean something else
        where they hold.
    vary : mapping of str to sequence, optional
        Parameters of the rule and the values each takes in a map of all combinations, on every
        horizon and market; ``rule`` names further rules. Empty: the rule's usual ones.
    cluster : str or concurrent.futures.Executor, optional
        A Dask cluster that draws the placebo levels and the map, ``"tcp://HOST:8786"``, or
        ``"local:4"`` for four processes on this machine; see `docs/cluster.md`.
    progress : callable
        Told the name of each step as it begins.
    workspace : path, optional
        By default the one at or above the current folder.

    Raises
    ------
    ConfigError
        If there is no such signal, parameter or condition, or there are both `rungs` and `prices`.
    InputError
        If there is no bar to compare, or a setting lies outside its range.
    SimulationError
        If a cluster does not answer, or its workers run other code.

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d", end="2016-01-01")
    >>> found = dl.signal_study("average", market, {"weeks": 50}, design=dl.StudyDesign(draws=20))
    >>> found.study.verdict
    'too few'
    """
    asked = SignalQuestion.of(params, rungs, prices, rung_bars, benchmark, when)
    if vary is not None and not isinstance(signal, str):
        raise ConfigError(f"a signal that is varied must be a rule by name; got {shown(signal)}")
    with Setting.of(data, design, series, workspace, cluster, progress) as setting:
        loaded = setting.load(signal, asked.params)
        loaded.further(asked)  # what cannot be is refused before it is studied, and is no look
        progress(f"{loaded.title}: comparing")
        study = loaded.study(setting.design)
        varied = None
        if vary is not None:
            rules = variants_of(str(signal), asked.params, vary, setting.rules)
            variants = {
                name: [rule.on(market) for market in setting.markets]
                for name, rule in rules.items()
            }
            varied = map_signals(
                variants,
                design=setting.design,
                decided=float(study.deciding["p_value"]),
                mapper=setting.mapper("variants on a market"),
            )
            setting.look(
                [replace(loaded, title=name, signals=own) for name, own in variants.items()]
            )
        return setting.report(loaded, study, asked, setting.look([loaded])[0], varied)
