"""A signal study on stored data: a named rule, the markets it is pooled over, and its page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic

from delever.arguments import Rows, counted, shown
from delever.errors import ConfigError, InputError
from delever.report.figures.look import Chart
from delever.report.pages import signal_page as page
from delever.research.signal.contrast import matched_weights
from delever.research.signal.event_study import EventStudy
from delever.research.signal.event_study import event_study as measure_events
from delever.research.signal.ladder import Ladder, study_ladder
from delever.research.signal.level_break import LevelRule, Signal
from delever.research.signal.level_rules import RULES
from delever.research.signal.placebo import placebo_breaks, placebo_events
from delever.research.signal.pool import PooledSignals, forward_outcomes, pool_signals
from delever.research.signal.study import SignalStudy, StudyDesign, study_signal
from delever.signals.features import FEATURES, Features, feature_named, measure
from delever.study.market import market as make_market
from delever.study.market import with_network
from delever.study.result import Result, plain
from delever.study.stored import About
from delever.study.workspace import Workspace
from delever.view import MarketView

_RUNGS = {"below": (0.95, 0.9, 0.8, 0.7), "above": (1.05, 1.1, 1.25, 1.5)}
_STRICT = pydantic.ConfigDict(strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SignalReport(Result):
    """Everything a signal study found.

    Attributes
    ----------
    study : SignalStudy
        Forward returns against all bars, volatility-matched bars and placebo levels.
    ladder : Ladder or None
        The way to further levels; None where the signal has no level, or it never broke.
    abnormal : EventStudy or None
        Abnormal returns over the deciding horizon; None where no event can be used.
    data : tuple of str
        References of the markets.
    notes : tuple of str
        What a reader must know, why a part is missing among it.
    asked : mapping of str to object
        Signal, parameters and further levels as they were asked for.
    """

    study: SignalStudy
    ladder: Ladder | None
    abnormal: EventStudy | None
    data: tuple[str, ...]
    notes: tuple[str, ...]
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        return page.headline(self.study)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Outcomes, comparisons, power, further levels and abnormal returns, where they are."""
        found = {
            "outcomes": self.study.outcomes,
            "comparisons": self.study.comparisons,
            "power": self.study.power,
            "events": self.study.events,
        }
        if self.ladder is not None:
            found["ladder"] = self.ladder.table
        if self.abnormal is not None:
            found["abnormal"] = self.abnormal.path
        return found

    @property
    def charts(self) -> dict[str, Chart]:
        """Placebo means, abnormal returns, and the way to further levels, where they are."""
        return page.charts(self.study, self.ladder, self.abnormal)

    def html(self) -> str:
        """The study as a page."""
        return page.render(self.study, self.ladder, self.abnormal, data=self.data, notes=self.notes)

    @property
    def about(self) -> About:
        """What a listing says of it."""
        design = self.study.design
        return About(
            kind="signal",
            name=self.study.name,
            page="signal.html",
            start=f"{self.study.start:%Y-%m-%d}",
            end=f"{self.study.end:%Y-%m-%d}",
            params={"data": list(self.data), "decides": design.decides, "draws": design.draws},
            inputs={**plain(self.asked), "data": list(self.data), "design": plain(asdict(design))},
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``delever study signal --json`` prints, the path of its page aside."""
        study = self.study
        return {
            "study": study.name,
            "data": list(self.data),
            "span": {"start": str(study.start), "end": str(study.end)},
            "verdict": study.verdict,
            "sentence": self.headline,
            "rejects": study.rejects,
            "placebo_rank": plain(study.placebo_rank),
            "outcomes": plain(study.outcomes),
            "comparisons": plain(study.comparisons),
            "detectable": plain(study.detectable),
            "power": plain(study.power),
            "ladder": None if self.ladder is None else plain(self.ladder.table),
            "abnormal": None if self.abnormal is None else plain(self.abnormal.path),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class EventReport(Result):
    """Abnormal returns around events.

    Attributes
    ----------
    study : EventStudy
        What was measured; see `delever.research.signal.event_study`.
    """

    study: EventStudy

    @property
    def headline(self) -> str:
        """Mean cumulative abnormal return, and whether it differs from none."""
        return page.event_headline(self.study)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The average path with its interval, every event, and those left out."""
        return {
            "path": self.study.path,
            "events": self.study.events,
            "dropped": self.study.dropped,
        }

    @property
    def charts(self) -> dict[str, Chart]:
        """The average path with its interval."""
        from delever.report.figures import abnormal_path

        return {"path": abnormal_path(self.study.path, self.study.alpha)}


def signal_names(rules: Iterable[str] = RULES, features: Features = FEATURES) -> tuple[str, ...]:
    """Every name a study understands: rules of levels, then features that are events."""
    return (*rules, *(name for name, feature in features.items() if feature.unit == "event"))


def bind_rule(
    name: str, params: Mapping[str, Any], rules: Mapping[str, Callable[..., LevelRule]] = RULES
) -> LevelRule:
    """Make a rule from its name and parameters.

    Raises ConfigError if there is no such rule or parameter, one is missing, or a value is of the
    wrong type or out of bounds.
    """
    if name not in rules:
        raise ConfigError(f"a rule must be one of {', '.join(rules)}; got {name!r}")
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in params.items()}
    try:
        rule: LevelRule = pydantic.validate_call(config=_STRICT)(rules[name])(**given)
    except pydantic.ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}; got {one['input']!r}"
            for one in error.errors(include_url=False)
        )
        raise ConfigError(f"rule {name}: {said}") from None
    return rule


def load_signals(
    signal: str | LevelRule | pd.Series,
    markets: Sequence[MarketView],
    params: Mapping[str, Any],
    rules: Mapping[str, Callable[..., LevelRule]] = RULES,
    features: Features = FEATURES,
) -> tuple[str, list[Signal]]:
    """Find a signal's events on markets.

    Raises ConfigError if the name is unknown, a parameter does not fit, or there is no market;
    InputError if events of one's own are not booleans on the bars of one market.
    """
    if not markets:
        raise ConfigError("a signal study needs at least one data set; name one with --data")
    if isinstance(signal, pd.Series):
        if len(markets) > 1 or signal.dtype != bool or not signal.index.equals(markets[0].index):
            raise InputError(
                "events of one's own must be a Series of booleans on the bars of one market; got "
                f"{shown(signal)} of {signal.dtype} for {counted(len(markets), 'market')}"
            )
        known = pd.Series(True, index=signal.index)
        return str(signal.name or "events"), [Signal(market=markets[0], event=signal, known=known)]
    if isinstance(signal, LevelRule) or signal in rules:
        rule = signal if isinstance(signal, LevelRule) else bind_rule(signal, params, rules)
        return rule.name, [rule.on(market) for market in markets]
    names = signal_names(rules, features)
    if signal not in names:
        raise ConfigError(f"a signal must be one of {', '.join(names)}; got {signal!r}")
    feature = feature_named(signal, features)

    def on(market: MarketView) -> Signal:
        return Signal(
            market=market,
            event=measure(signal, market, features=features, **params).astype(bool),
            known=feature.known(market, **params),
            again=on,
        )

    return feature.title(**params), [on(market) for market in markets]


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
    workspace: Workspace | Path | str | None = None,
) -> SignalReport:
    """Study what came after a signal, beside all bars, volatility-matched bars and placebo levels.

    Parameters
    ----------
    signal : str, LevelRule or pandas.Series of bool
        A rule of levels or an event feature by name (`delever.study.signal_report.signal_names`),
        a rule of one's own, or events on the bars of one market.
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
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    SignalReport

    Raises
    ------
    ConfigError
        If there is no such signal or parameter, or there are both `rungs` and `prices`.
    InputError
        If the markets share no bars, or a setting lies outside its range.

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d", end="2016-01-01")
    >>> found = dl.signal_study("average", market, {"weeks": 50}, design=dl.StudyDesign(draws=20))
    >>> found.study.verdict
    'too few'
    """
    if rungs and prices:
        raise ConfigError("further levels must be multiples of the broken one or prices, not both")
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
    rules = {**RULES, **{each.__name__: each for each in added.signals}}
    title, signals = load_signals(signal, markets, params or {}, rules, added.all_features)
    chosen, pool = design or StudyDesign(), pool_signals(signals)
    placebos = placebo_events(pool, chosen.factors())
    study = study_signal(signals, name=title, design=chosen, pool=pool, placebos=placebos)
    notes = list(study.notes)
    steps = prices or (_RUNGS[signals[0].side] if rungs is None else rungs)
    ladder = None
    if steps and all(signal.level is not None for signal in signals) and pool.event.any():
        ladder = study_ladder(
            pool,
            steps,
            rung_bars,
            design=chosen,
            absolute=bool(prices),
            placebos=placebos,
            decided=float(study.deciding["p_value"]),
        )
    by_name = benchmark if isinstance(benchmark, str) else "closes of one's own"
    if isinstance(benchmark, str):
        benchmark = place.catalog.load(benchmark).frame["close"]
    abnormal = None
    try:
        abnormal = _abnormal(pool, benchmark, chosen, placebos)
    except InputError as error:
        notes.append(f"no event study: {error}")
    return SignalReport(
        study=study,
        ladder=ladder,
        abnormal=abnormal,
        data=tuple(one if isinstance(one, str) else one.symbol for one in named),
        notes=tuple(notes),
        asked={
            "signal": title,
            "params": dict(params or {}),
            "series": dict(series or {}),
            "levels": list(steps),
            "rung_bars": rung_bars,
            "benchmark": None if benchmark is None else by_name,
        },
    )


def _abnormal(
    pool: PooledSignals,
    benchmark: pd.Series | None,
    design: StudyDesign,
    placebos: Sequence[tuple[Rows, Rows]] | None,
) -> EventStudy:
    """Event study over the deciding horizon, from the bar after the event on."""
    returns, events = pd.DataFrame(index=pool.index), pd.DataFrame(index=pool.index)
    for column, signal in enumerate(pool.signals):
        symbol = signal.market.symbol
        moves = signal.market.bars["close"].pct_change(fill_method=None)
        returns[symbol] = pool.spread(column, np.asarray(moves, dtype=np.float64))
        events[symbol] = pool.event[:, column]
    normal = None
    if benchmark is not None:
        normal = benchmark.pct_change(fill_method=None).reindex(pool.index)
    ahead = forward_outcomes(pool, design.decides)
    return measure_events(
        returns,
        events,
        benchmark=normal,
        window=(1, design.decides),
        alpha=design.alpha,
        others=matched_weights(ahead.weights(), ahead.volatility)
        if placebos is None
        else placebo_breaks(placebos, design.factors(), ahead)[0],
    )


def event_study(
    closes: MarketView | pd.Series | pd.DataFrame,
    events: pd.Series | pd.DataFrame,
    *,
    benchmark: pd.Series | None = None,
    window: tuple[int, int] = (1, 10),
    alpha: float = 0.05,
) -> EventReport:
    """Measure abnormal returns around events.

    Parameters
    ----------
    closes : MarketView, pandas.Series or pandas.DataFrame, shape (n, markets)
        A market, or closes with a column per market, in quote units.
    events : pandas.Series or pandas.DataFrame of bool, shape of `closes`
        Whether an event was known at each bar's close.
    benchmark : pandas.Series, shape (n,), optional
        Closes of the market as a whole: normal is then the line through its returns, else each
        market's own mean, both over all bars.
    window : tuple of int
        First and last bar of the event window, counted from the event's bar.
    alpha : float
        Share of cases in which the interval may miss the truth, in (0, 1).

    Returns
    -------
    EventReport

    Raises
    ------
    InputError
        If shapes or windows do not fit, or no event has its window whole.

    Notes
    -----
    Events whose windows overlap are one cluster, of which each market's first counts. The test is
    that of circular shifts: the dates are laid everywhere else on the same history, all markets
    together, see `delever.research.signal.contrast.compare`. It keeps its level where the price
    itself makes an event, as a fall or a break does, if the window begins after the event's bar;
    of other windows there is a path and no p-value.

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d")
    >>> fell = market.bars["close"].pct_change() < -0.15
    >>> len(dl.event_study(market, fell).study.events)
    26
    """
    table, flags = (
        one.bars["close"] if isinstance(one, MarketView) else one for one in (closes, events)
    )
    if not isinstance(table, pd.Series | pd.DataFrame) or not isinstance(
        flags, pd.Series | pd.DataFrame
    ):
        raise InputError(
            "an event study takes a market or closes, and booleans on the same bars; got "
            f"{shown(closes)} and {shown(events)}"
        )
    if isinstance(table, pd.Series):
        table = table.to_frame("market")
    if isinstance(flags, pd.Series):
        flags = flags.to_frame(table.columns[0])
    return EventReport(
        study=measure_events(
            table.pct_change(fill_method=None),
            flags,
            benchmark=None if benchmark is None else benchmark.pct_change(fill_method=None),
            window=window,
            alpha=alpha,
        )
    )
