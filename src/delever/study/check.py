"""Check a strategy file or a feature: its contract, its units, and whether it sees the future."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from delever.arguments import whole_number
from delever.errors import InputError, StrategyError
from delever.research.lookahead import MOST_POINTS, Leak, find_leak, smallest
from delever.research.strategy_checks import Finding, check_strategy
from delever.signals.features import FEATURES, available, feature
from delever.signals.readings import INPUTS
from delever.study.declared_lags import early_series
from delever.study.isolation import afresh, outside
from delever.study.network_series import with_network
from delever.study.single_run import view
from delever.study.strategy import load_strategy
from delever.study.workspace import Workspace
from delever.view import MarketView

__all__ = [
    "Checked",
    "Ground",
    "as_test",
    "check_feature",
    "check_file",
    "check_target",
    "names",
    "view_of",
]

ALL_FEATURES = "features"
"""The name that stands for every feature the series suffice for."""

_LAGS = {name: item.lag for name, item in INPUTS.items()}
_TEST = """\
import numpy as np
import pandas as pd

import delever as dl
{imports}


def at(stamp: str) -> pd.Timestamp:
    return pd.Timestamp(stamp, tz="UTC")


def test_{name}_does_not_see_the_future() -> None:
    market = dl.make_view({data!r}, series={series!r})
    few = window(market, {first}, {last})
    other = {other}
    # Made anew for each question: it may remember nothing of the one before.
    seen, blind = ({function}(each, **{params!r})[{bar}] for each in (few, other))
    # Found: {found}.
    np.testing.assert_allclose(float(blind), float(seen), rtol=1e-9, atol=1e-12)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a check is done on.

    Raises
    ------
    InputError
        If the leverage is none, or the points are not from 1 to 10,000.
    """

    data: str  # reference of the bars
    series: Mapping[str, str]  # names of readings and the reference of each
    params: Mapping[str, Any]  # parameters of what is checked; defaults for the rest
    # evenly spread cuts, from 1 to 10,000; see `delever.research.lookahead.find_leak`
    points: int = 32
    # largest exposure, long or short, that the account of a study takes; 1 is spot
    leverage: float = 1.0

    def __post_init__(self) -> None:
        whole_number("points", self.points, 1, MOST_POINTS)
        if not 1 <= self.leverage < math.inf:
            raise InputError(f"leverage must be a number of at least 1; got {self.leverage}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of a check."""

    name: str  # the file or the feature
    findings: tuple[Finding, ...]  # empty when it passes
    # A pytest that fails as long as it sees the future, on as few bars as show it; empty when no
    # leak was found
    test: str = ""
    bars: str = ""  # which bars these are
    skipped: str = ""  # why nothing could be checked; empty when something was


def view_of(ground: Ground, workspace: Workspace) -> MarketView:
    """Load the bars and readings of a check.

    Raises
    ------
    InputError
        If a series is declared as known before its own source has it.
    """
    load = workspace.catalog.load
    series = {name: load(source) for name, source in ground.series.items()}
    early_series(series, workspace.root / "data" / "sources.toml")
    return with_network(view(load(ground.data), series=series), workspace.root)


def names(target: str, market: MarketView) -> tuple[str, ...]:
    """What a word of the command line stands for."""
    return available(market)[0] if target == ALL_FEATURES else (target,)


def check_target(target: str, *, ground: Ground, market: MarketView, skip: bool = False) -> Checked:
    """Check a strategy file or a feature.

    Raises
    ------
    InputError
        If it is neither, or as `check_file` and `check_feature`.
    """
    if target.endswith(".py"):
        return check_file(Path(target), ground=ground, market=market)
    if target not in FEATURES:
        raise InputError(
            f"a strategy file ending in .py, {ALL_FEATURES!r} or one of {', '.join(FEATURES)} is "
            f"required; got {target!r}"
        )
    return check_feature(target, ground=ground, market=market, skip=skip)


def check_file(path: Path, *, ground: Ground, market: MarketView) -> Checked:
    """Run the checks that every strategy must pass.

    Raises
    ------
    StrategyError
        If the file does not load, or the strategy never leaves its warm-up on these bars: then
        nothing would be proven.
    """
    strategy = load_strategy(path)
    bound = strategy.bind(ground.params)
    # As a run would see it: with the series that are named, and nothing of the network's own.
    named = {name: market.readings[name] for name in ground.series}
    market = replace(market, readings=named)
    findings = outside(path) + check_strategy(
        afresh(path),
        market,
        parameters=bound,
        price_parameters=strategy.price_parameters,
        points=ground.points,
        least_lags=_LAGS,
    )
    if not findings:
        target = strategy.target(market, bound)
        if target.isna().all():
            raise StrategyError(
                f"{path}: {strategy.name} decides nothing on the {len(market.index)} bars of "
                f"{ground.data}; check it on longer data (--data) or with shorter windows "
                "(--set weeks=20)"
            )
        findings = _too_large(target, ground.leverage)
    return _checked(
        str(path),
        findings,
        f"dl.strategy({str(path)!r})",
        partial(afresh(path), **bound),
        ground=ground,
        market=market,
    )


def _too_large(target: pd.Series, leverage: float) -> list[Finding]:
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


def check_feature(name: str, *, ground: Ground, market: MarketView, skip: bool = False) -> Checked:
    """Check that a feature does not see the future, nor a reading before its publication.

    Raises
    ------
    InputError
        If there is no such feature, it needs a reading that is not there, or it measures
        nothing on these bars and is not to be skipped.
    """
    wanted = feature(name)
    missing = [need for need in wanted.inputs if need not in market.readings]
    if missing:
        needs = ", ".join(f"{need} ({INPUTS[need].holds})" for need in missing)
        raise InputError(f"feature {name} needs the series {needs}; name each with --series")
    compute = partial(wanted.compute, **ground.params)
    values = compute(market)
    if not values.notna().any():
        why = _measures_nothing(name, compute, ground=ground, market=market)
        if not skip:
            raise InputError(why)
        return Checked(name=name, findings=(), skipped=why)
    if not values.index.equals(market.index):
        wrong = f"a feature must have one value per bar; got {len(values)} rows"
        return Checked(name=name, findings=(Finding(check="same index", message=wrong),))
    leak = find_leak(compute, market, points=ground.points, least_lags=_LAGS)
    found = (
        [] if leak is None else [Finding(check="prefix invariance", message=str(leak), leak=leak)]
    )
    return _checked(
        name, found, f"feature({name!r}).compute", compute, ground=ground, market=market
    )


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
    function: Callable[[MarketView], pd.Series],
    *,
    ground: Ground,
    market: MarketView,
) -> Checked:
    leaks = [finding.leak for finding in findings if finding.leak is not None]
    if not leaks:
        return Checked(name=name, findings=tuple(findings))
    few = smallest(function, market, leaks[0], least_lags=_LAGS)
    count = int(((market.index >= few.first) & (market.index <= few.last)).sum())
    return Checked(
        name=name,
        findings=tuple(findings),
        test=as_test(few, name=Path(name).stem, function=source, ground=ground),
        bars=f"{count} bars from {few.first:%Y-%m-%d %H:%M} to {few.last:%Y-%m-%d %H:%M}",
    )


def as_test(leak: Leak, *, name: str, function: str, ground: Ground) -> str:
    """Write a leak as a test."""

    def stamp(time: pd.Timestamp) -> str:
        return f'at("{time:%Y-%m-%d %H:%M:%S}")'

    imports = ["from delever.research.perturbation import {}, window"]
    if leak.change == "published later":
        given = {key: str(lag) for key, lag in _LAGS.items() if key in ground.series}
        lags = ", ".join(f"{key!r}: pd.Timedelta({lag!r})" for key, lag in given.items())
        how, other = "published_later", f"published_later(few, {{{lags}}})"
    else:
        how = "perturb_future"
        after = stamp(leak.after)
        other = f"perturb_future(few, {after}, {leak.change!r}, seed={leak.seed})"
    imports[0] = imports[0].format(how)
    if function.startswith("feature("):
        imports.append("from delever.signals.features import feature")
    without = f"it raises {leak.error}" if leak.error else f"{leak.without:g}"
    return _TEST.format(
        imports="\n".join(imports),
        name=name,
        function=function,
        data=ground.data,
        series=dict(ground.series),
        params=dict(ground.params),
        first=stamp(leak.first),
        last=stamp(leak.last),
        bar=stamp(leak.bar),
        other=other,
        found=f"{leak.with_future:g} with what comes later as it was, {without} otherwise".replace(
            "\n", " "
        ),
    )
