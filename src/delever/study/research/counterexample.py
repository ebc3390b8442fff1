"""A leak as a pytest that can be pasted, and what it was found on."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from delever.arguments import shown, whole_number
from delever.errors import InputError
from delever.panel import Markets
from delever.research.lookahead import MOST_POINTS, POINTS, Leak, Seen, told_apart
from delever.signals.features import FEATURES, Features, inputs
from delever.study.inputs.market import market as make_market
from delever.study.inputs.market import with_network
from delever.study.portfolios.joint_markets import markets as several
from delever.study.settings.config import UNIVERSES
from delever.study.workspaces.workspace import Workspace
from delever.view import MarketView

_DAY = 86_400

_TEST = """\
import numpy as np
import pandas as pd

import delever as dl
{imports}


def at(stamp: str) -> pd.Timestamp:
    return pd.Timestamp(stamp, tz="UTC")


def test_{name}_does_not_see_the_future() -> None:
    market = dl.{maker}({data!r}, series={series!r})
    few = {cut}(market, {first}, {last})
    other = {other}
    # Made anew for each question: it may remember nothing of the one before.
    seen, blind = ({function}(each, **{params!r}){column}[{bar}] for each in (few, other))
    # Found: {found}.
    np.testing.assert_allclose(float(blind), float(seen), rtol=1e-9, atol=1e-12)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a check is done on.

    Raises InputError if the leverage is none, the points are not from 1 to 10,000, or the seconds
    not from 0 to a day.
    """

    data: str  # reference of the bars, or what a given market is called
    series: Mapping[str, str] = field(default_factory=dict)  # readings and the reference of each
    # parameters of what is checked; defaults for the rest
    params: Mapping[str, Any] = field(default_factory=dict)
    # cuts that are asked at least, from 1 to 10,000; see `delever.research.lookahead.find_leak`
    points: int = POINTS
    seconds: float = 10.0  # to go on for with others, >= 0
    # largest exposure, long or short, that the account of a study takes; 1 is spot
    leverage: float = 1.0
    features: Features = field(default_factory=lambda: FEATURES, repr=False)  # those there are

    @property
    def lags(self) -> dict[str, pd.Timedelta]:
        """The least publication lag of each reading that can be honest."""
        return {name: item.lag for name, item in inputs(self.features).items()}

    def __post_init__(self) -> None:
        whole_number("points", self.points, 1, MOST_POINTS)
        if not (isinstance(self.seconds, numbers.Real) and 0 <= self.seconds <= _DAY):
            raise InputError(
                f"seconds must be a number from 0 to {_DAY:,}; got {shown(self.seconds)}"
            )
        if not (isinstance(self.leverage, numbers.Real) and 1 <= self.leverage < math.inf):
            raise InputError(f"leverage must be a number of at least 1; got {shown(self.leverage)}")


def as_test(leak: Leak, *, name: str, function: str, ground: Ground) -> str:
    """Write a leak as a test."""

    def stamp(time: pd.Timestamp) -> str:
        return f'at("{time:%Y-%m-%d %H:%M:%S}")'

    imports = ["from delever.research.perturbation import {}, window"]
    if leak.panel:
        imports = ["from delever.research.panel_perturbation import markets_window, {}"]
    if leak.change == "published later":
        given = {key: str(lag) for key, lag in ground.lags.items() if key in ground.series}
        lags = ", ".join(f"{key!r}: pd.Timedelta({lag!r})" for key, lag in given.items())
        how, other = "published_later", f"published_later(few, {{{lags}}})"
        if leak.panel:
            how = "perturb_markets"
            other = f"{how}(few, few.index[-1], {leak.change!r}, least_lags={{{lags}}})"
    else:
        how = "perturb_markets" if leak.panel else "perturb_future"
        after = stamp(leak.after)
        other = f"{how}(few, {after}, {leak.change!r}, seed={leak.seed})"
    imports[0] = imports[0].format(how)
    if function.startswith("feature_named("):
        imports.append("from delever.signals.features import feature_named")
    if function.startswith("Fresh("):
        imports = [
            "from pathlib import Path",
            *imports,
            "from delever.study.workspaces.fresh import Fresh",
        ]
    if function.startswith("Workspace."):
        imports.append("from delever.study.workspaces.workspace import Workspace")
    seen, blind = told_apart(leak.with_future, leak.without)
    without = f"it raises {leak.error}" if leak.error else blind
    return _TEST.format(
        imports="\n".join(imports),
        name=name,
        function=function,
        column=f"[{leak.column!r}]" if leak.column else "",
        maker="markets" if leak.panel else "market",
        cut="markets_window" if leak.panel else "window",
        data=ground.data,
        series=dict(ground.series),
        params=dict(ground.params),
        first=stamp(leak.first),
        last=stamp(leak.last),
        bar=stamp(leak.bar),
        other=other,
        found=f"{seen} with what comes later as it was, {without} otherwise".replace("\n", " "),
    )


def data_name(data: str | Seen) -> str:
    """What the bars of a check are called."""
    if isinstance(data, str):
        return data
    return "the markets" if isinstance(data, Markets) else data.symbol or "the market"


def ground_market(data: str | Seen, *, ground: Ground, place: Workspace) -> Seen:
    """The market of a check, or the several; one with the readings of the network beside it."""
    if isinstance(data, Markets):
        return data
    if isinstance(data, str) and data.endswith(UNIVERSES):
        return several(data, series=ground.series, workspace=place)
    one = (
        data
        if isinstance(data, MarketView)
        else make_market(data, series=ground.series, workspace=place)
    )
    return with_network(one, place.root)
