"""Check a strategy file or a feature: its contract, its units, and whether it sees the future."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delever.arguments import counted, shown
from delever.engine.orders import Target, exposure_of, exposures_in
from delever.errors import InputError, StrategyError
from delever.panel import Markets
from delever.research.cuts import FIRST
from delever.research.decision import Decided
from delever.research.lookahead import (
    POINTS,
    Question,
    Seen,
    find_leak,
    shows,
    shrink_leak,
    untouched,
)
from delever.research.strategy_checks import Finding, check_panel, check_strategy, check_target
from delever.signals.features import FEATURES, available, feature_named
from delever.study.kept.result import Result
from delever.study.research.counterexample import Ground, as_test, data_name, ground_market
from delever.study.workspaces.any_strategy import strategy
from delever.study.workspaces.fresh import Fresh
from delever.study.workspaces.isolation import afresh, outside
from delever.study.workspaces.strategy import Strategy, load_strategy
from delever.study.workspaces.workspace import Workspace
from delever.view import MarketView

FRESH_POINTS = 6
"""Cuts of each kind that are asked in processes of their own, with every change."""
FRESH_SHARE = 0.3
"""Of the seconds, for further cuts there."""
FEATURE_POINTS = 100
"""Cuts for each of all features at least; one that is named has as many as a strategy."""
ALL_FEATURES = "features"
"""The name that stands for every feature the series suffice for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedTarget:
    """What came of the check of one strategy or feature."""

    name: str  # the file, the function or the feature
    findings: tuple[Finding, ...]  # empty when it passes
    # A pytest that fails as long as it sees the future, on as few bars as show it; empty when no
    # leak was found
    test: str = ""
    bars: str = ""  # which bars these are
    # bars after which the future was changed, and how many there are: beyond them nothing is proven
    asked: int = 0
    of: int = 0
    skipped: str = ""  # why nothing could be checked; empty when something was


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Checked(Result):
    """What came of a check.

    Attributes
    ----------
    targets : tuple of CheckedTarget
        One per strategy and feature, with its findings.
    missing : tuple of str
        Series whose features could not be among them.
    """

    targets: tuple[CheckedTarget, ...]
    missing: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not any(one.findings for one in self.targets)

    @property
    def headline(self) -> str:
        """How many passed, how many with findings, how many were skipped."""
        skipped = sum(bool(one.skipped) for one in self.targets)
        wrong = sum(bool(one.findings) for one in self.targets)
        good = len(self.targets) - skipped - wrong
        return f"{good} passed, {wrong} with findings, {skipped} skipped"

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """One row per finding, and per target without one."""
        names = ["target", "outcome", "said", "asked", "of"]
        rows = [
            (
                one.name,
                "finding" if each else "skipped" if one.skipped else "passed",
                each,
                one.asked,
                one.of,
            )
            for one in self.targets
            for each in [*map(str, one.findings)] or [one.skipped]
        ]
        return {"findings": pd.DataFrame(rows, columns=names)}

    def to_dict(self) -> dict[str, Any]:
        """What ``delever check --json`` prints."""
        return {
            one.name: {"skipped": one.skipped} if one.skipped else [str(f) for f in one.findings]
            for one in self.targets
        }


def check(
    *targets: str | Path | Strategy | Callable[..., Decided],
    data: str | Seen = "sample/ohlcv/BTC/USD/1d",
    series: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    points: int = POINTS,
    seconds: float = 10.0,
    leverage: float = 1.0,
    progress: Callable[[str], None] = lambda name: None,
    workspace: Workspace | Path | str | None = None,
) -> Checked:
    """Check that strategies and features do not see the future, and keep their contract.

    Parameters
    ----------
    *targets : str, path, Strategy or function
        Strategy files ending in ``.py``, features by name, ``"features"`` for all that the series
        suffice for, or strategies and functions of a notebook.
    data : str, MarketView or Markets
        Bars to check on: a reference or a market; for a strategy of several symbols the TOML file
        of a universe or of a study with legs, or markets.
    series : mapping of str to str, optional
        Readings that the targets ask for, and their references.
    params : mapping, optional
        Parameters of what is checked; defaults for the rest.
    points : int
        Cuts at which the future is changed at least, from 1 to 10,000; ``"features"`` share them,
        100 each at least.
    seconds : float
        To go on for with others until every bar was asked, from 0 to a day; ``"features"`` share
        them.
    leverage : float
        Largest exposure, long or short, that the account of a study takes; 1 is spot.
    progress : callable
        Told the name of each target before it is checked.
    workspace : path, optional
        By default the one at or above the current folder.

    Raises
    ------
    InputError
        If a target is none of these, needs a series that is not there, or measures nothing here.
    StrategyError
        If a file does not load, or a strategy never leaves its warm-up on these bars.

    Examples
    --------
    >>> import delever as dl
    >>> def peek(market):
    ...     return (market.bars["close"].shift(-1) > market.bars["close"]).astype(float)
    >>> dl.check(peek).passed
    False
    """
    place = Workspace.find(workspace, or_shipped=True)
    known = not isinstance(data, str)
    ground = Ground(
        data=data_name(data),
        series=dict(series or {}),
        params=dict(params or {}),
        points=points,
        seconds=seconds,
        leverage=leverage,
        features=place.extensions.all_features,
    )
    market = ground_market(data, ground=ground, place=place)
    named = dict.fromkeys(data.readings) if isinstance(data, MarketView) else ground.series
    wanted = _wanted(targets, market, ground=ground, place=place)
    among = sum(not by_name for by_name in wanted.values())
    shared = replace(
        ground,
        points=max(points // max(among, 1), min(points, FEATURE_POINTS)),
        seconds=seconds / max(among, 1),
    )
    found = []
    for target, by_name in wanted.items():
        named_so = target.name if isinstance(target, Strategy) else target
        progress(named_so if isinstance(named_so, str) else named_so.__name__)
        if isinstance(target, str) and not target.endswith(".py"):
            if isinstance(market, Markets):
                raise InputError(
                    f"a feature is of one market; {target} cannot be checked on several; give the "
                    "reference of one"
                )
            one = _check_feature(
                target, ground=ground if by_name else shared, market=market, skip=not by_name
            )
        else:
            # As a run would see it: with the series that are named, and nothing of the network's.
            seen: Seen = market
            if isinstance(market, MarketView):
                readings = {name: market.readings[name] for name in named}
                seen = replace(market, readings=readings)
            one = _check_strategy(target, ground=ground, market=seen)
        found.append(replace(one, test="", bars=one.bars) if known else one)
    missing: tuple[str, ...] = ()
    if ALL_FEATURES in targets and isinstance(market, MarketView):
        missing = tuple(available(market, ground.features)[1])
    return Checked(targets=tuple(found), missing=missing)


def _wanted(
    targets: Sequence[Any], market: Seen, *, ground: Ground, place: Workspace
) -> dict[Any, bool]:
    """What is to be checked, and whether it was named, not found among all features."""
    wanted: dict[Any, bool] = {}
    for target in targets or (None,):
        if not (isinstance(target, str | Path | Strategy) or callable(target)):
            raise InputError(
                "what is checked must be a strategy file ending in .py, a feature by name, a "
                f"strategy or a function of a market; got {shown(target)}"
            )
        if target == ALL_FEATURES and isinstance(market, MarketView):
            wanted |= {name: name in targets for name in available(market, ground.features)[0]}
        elif isinstance(target, str | Path) and str(target).endswith(".py"):
            wanted[str(place.file(Path(target)))] = True
        else:
            wanted[target] = True
    return wanted


def _check_strategy(
    target: str | Strategy | Callable[..., Decided], *, ground: Ground, market: Seen
) -> CheckedTarget:
    """Run the checks that every strategy must pass.

    Raises StrategyError if the file does not load, or the strategy never leaves its warm-up on
    these bars: then nothing would be proven.
    """
    path = Path(target) if isinstance(target, str) else None
    if path is not None:
        chosen = load_strategy(path)
    else:
        chosen = target if isinstance(target, Strategy) else strategy(target)
    bound = chosen.bind(ground.params)
    answer: Callable[..., Decided] = chosen if path is None else afresh(path)
    rule = chosen.takes == "signals" and isinstance(market, Markets)
    if rule:
        answer = _on_signals((lambda: chosen) if path is None else partial(load_strategy, path))
    given: Any = market
    _decides_something(chosen, answer(untouched(given), **bound), ground=ground, market=market)
    source, function = f"dl.strategy({str(path)!r})", partial(answer, **bound)
    found, asked = None, set[int]()
    if path is not None and not rule:
        fresh = partial(Fresh(path), **bound)
        found = _shown_afresh(fresh, function, ground=ground, market=market, told=asked.add)
        if found is not None and found[1]:
            source, function = f"Fresh(Path({str(path)!r}))", fresh
    reaches = [] if path is None else outside(path)
    findings = [
        *reaches,
        *check_strategy(
            answer,
            market,
            parameters=bound,
            price_parameters=chosen.price_parameters,
            # What reaches outside has failed already: no long search is needed to say so.
            points=min(ground.points, FIRST) if reaches else ground.points,
            seconds=0.0 if reaches else ground.seconds,
            search=found is None,
            least_lags=ground.lags,
            told=asked.add,
        ),
        *([] if found is None else [found[0]]),
    ]
    if not findings and isinstance(market, MarketView):
        findings = _too_large(chosen.target(market, bound), ground.leverage)
    named = str(path or chosen.name)
    one = _checked(named, findings, source, function, ground=ground, market=market, asked=asked)
    return replace(one, test="") if rule else one


def _on_signals(load: Callable[[], Strategy]) -> Callable[..., pd.DataFrame]:
    """A rule as a strategy of several markets, loaded whenever it is asked."""

    def exposures(markets: Markets, **params: Any) -> pd.DataFrame:
        # 1 for a symbol that rose in the last rows, -1 for one that fell.
        moved = markets.each(lambda view: view.bars["close"].diff(5))
        signals = pd.DataFrame(np.sign(moved), index=moved.index, columns=moved.columns)
        return load().allocate(markets, signals, params)

    return exposures


def _decides_something(chosen: Strategy, answer: Decided, *, ground: Ground, market: Seen) -> None:
    """Raise StrategyError if an answer is none on every bar: then nothing would be proven."""
    if isinstance(market, Markets):
        broken, said = check_panel(answer, market), answer
    else:
        broken = check_target(answer, market.index)
        said = answer if broken else exposure_of(answer)
    if broken is None and said.isna().to_numpy().all():
        raise StrategyError(
            f"{chosen.path}: {chosen.name} decides nothing on the {len(market.index)} bars of "
            f"{ground.data}; check it on longer data (--data) or with shorter windows "
            "(--set weeks=20)"
        )


def _shown_afresh(
    fresh: Question,
    function: Question,
    *,
    ground: Ground,
    market: Seen,
    told: Callable[[int], object],
) -> tuple[Finding, bool] | None:
    """A leak that shows in new processes, and whether only there."""
    points = min(ground.points, FRESH_POINTS)
    leak = find_leak(
        fresh,
        market,
        points=points,
        seconds=ground.seconds * FRESH_SHARE,
        least_lags=ground.lags,
        told=told,
    )
    if leak is None:
        return None
    alone = not shows(function, market, leak, least_lags=ground.lags)
    said = (
        "; it shows only in a new process, so something beside the file remembers what it saw: a "
        "module it imports, or an attribute set on one"
    )
    return Finding(
        check="prefix invariance", message=f"{leak}{said if alone else ''}", leak=leak
    ), alone


def _too_large(target: Target, leverage: float) -> list[Finding]:
    if isinstance(target, pd.DataFrame):
        target = target[exposures_in(target)].abs().max(axis=1)
    beyond = target[target.abs() > leverage]
    if beyond.empty:
        return []
    return [
        Finding(
            check="within leverage",
            message=f"exposures must lie in [-{leverage:g}, {leverage:g}], as a run requires; that "
            f"of bar {beyond.index[0]:%Y-%m-%d %H:%M} is {beyond.iloc[0]:g}; scale or clip it, or "
            "check with --leverage where the study's [account] allows more",
        )
    ]


def _check_feature(
    name: str, *, ground: Ground, market: MarketView, skip: bool = False
) -> CheckedTarget:
    """Check that a feature does not see the future, nor a reading before its publication.

    Raises InputError if there is no such feature, it needs a reading that is not there, or it
    measures nothing on these bars and is not to be skipped.
    """
    if name not in ground.features:
        raise InputError(
            f"a strategy file ending in .py, {ALL_FEATURES!r} or one of "
            f"{', '.join(ground.features)} is required; got {name!r}"
        )
    wanted = feature_named(name, ground.features)
    missing = [need for need in wanted.inputs(**ground.params) if need.name not in market.readings]
    if missing:
        needs = ", ".join(f"{need.name} ({need.holds})" for need in missing)
        raise InputError(f"feature {name} needs the series {needs}; name each with --series")

    def compute(seen: MarketView) -> pd.Series:
        return wanted.compute(seen, **ground.params)

    values = compute(market)
    if not values.notna().any():
        why = _measures_nothing(name, compute, ground=ground, market=market)
        if not skip:
            raise InputError(why)
        return CheckedTarget(name=name, findings=(), skipped=why)
    if not values.index.equals(market.index):
        wrong = f"a feature must have one value per bar; got {counted(len(values), 'row')}"
        return CheckedTarget(name=name, findings=(Finding(check="same index", message=wrong),))
    asked = set[int]()
    leak = find_leak(
        compute,
        market,
        points=ground.points,
        seconds=ground.seconds,
        least_lags=ground.lags,
        told=asked.add,
    )
    found = (
        [] if leak is None else [Finding(check="prefix invariance", message=str(leak), leak=leak)]
    )
    source = f"feature_named({name!r}).compute"
    if name not in FEATURES:
        source = f"Workspace.find().extensions.all_features[{name!r}].compute"
    return _checked(name, found, source, compute, ground=ground, market=market, asked=asked)


def _measures_nothing(
    name: str, compute: Callable[[MarketView], pd.Series], *, ground: Ground, market: MarketView
) -> str:
    said = f"feature {name} measures nothing on the {len(market.index)} bars of {ground.data}"
    if market.bars["volume"].isna().all():
        traded = replace(market, bars=market.bars.assign(volume=1.0))
        if compute(traded).notna().any():
            return f"{said}: they hold no volume; check it on bars that do (--data)"
    return f"{said}; check it on longer data (--data)"


def _checked(
    name: str,
    findings: list[Finding],
    source: str,
    function: Question,
    *,
    ground: Ground,
    market: Seen,
    asked: Collection[int],
) -> CheckedTarget:
    leaks = [finding.leak for finding in findings if finding.leak is not None]
    done = CheckedTarget(
        name=name, findings=tuple(findings), asked=len(asked), of=len(market.index) - 1
    )
    if not leaks:
        return done
    few = shrink_leak(function, market, leaks[0], least_lags=ground.lags)
    count = int(((market.index >= few.first) & (market.index <= few.last)).sum())
    return replace(
        done,
        test=as_test(few, name=Path(name).stem, function=source, ground=ground),
        bars=f"{counted(count, 'bar')} from {few.first:%Y-%m-%d %H:%M} to "
        f"{few.last:%Y-%m-%d %H:%M}",
    )
