"""How far a strategy is proven, by everything that a workspace holds about it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delever.arguments import counted
from delever.data.holdout import read_holdout
from delever.research.answer import LEVEL
from delever.research.rungs import Rung, out_of_sample, own_rungs, standing
from delever.study.kept.provenance import account_asked
from delever.study.kept.result import Result
from delever.study.kept.stored import Stored, everything
from delever.study.results.kept_result import result
from delever.study.runs.run import Run, run
from delever.study.sweeps.sweep_result import Sweep
from delever.study.workspaces.workspace import Workspace

_WORDS = {
    "refuted": "refuted: it was ruined, or does harm",
    "unproven": "unproven",
    "standing": "standing: it passed every rung, which is no promise",
}


_CHOSEN = (
    ("chosen out of sample", "delever walk"),
    ("chosen without a period", "delever sweep"),
    ("after deflation", "delever sweep"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Standing(Result):
    """A ladder of questions put to a strategy, with what each found.

    Attributes
    ----------
    name : str
        Of the run, with its id where it is stored.
    word : str
        ``"refuted"``, ``"unproven"`` or ``"standing"``.
    rungs : tuple of Rung
        In order: ``name``, ``passed`` (None: not asked), ``figure``, ``how``.
    """

    name: str
    word: str
    rungs: tuple[Rung, ...]

    @property
    def headline(self) -> str:
        """The word, and how many rungs were passed, failed and never asked."""
        passed, failed, unasked = (
            sum(rung.passed is value for rung in self.rungs) for value in (True, False, None)
        )
        return (
            f"{self.name} is {_WORDS[self.word]}. Of {counted(len(self.rungs), 'rung')} it passed "
            f"{passed}, failed {failed}; not asked, or too little to tell: {unasked}."
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The rungs."""
        return {"rungs": pd.DataFrame([asdict(rung) for rung in self.rungs])}


def verdict(name: Run | Path | str, *, workspace: Workspace | Path | str | None = None) -> Standing:
    """Say how far a strategy is proven, and what was never asked of it.

    Parameters
    ----------
    name : Run, path or str
        A run, or any name of one that is printed.
    workspace : path, optional
        Where sweeps, walks and looks at the holdout of the same strategy, data and account are;
        by default the one at or above the current folder.

    Raises
    ------
    InputError
        If nothing, or more than one thing, goes by that name.

    Notes
    -----
    A run is measured against holding and cash (90 % intervals of growth above zero), in time and
    beyond hindsight (both tests of luck at 5 %), at twice the costs and a bar later, and with
    neighbouring parameters (half of its growth above holding is left). The newest walk of the same
    strategy, data and account says whether choosing held out of sample, the newest sweep whether
    choosing helped in periods left out (p-value at most 5 %) and whether luck explains what the
    best has above holding; the newest unsealed run what became of it on the holdout.

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d", end="2015-01-01")
    >>> dl.verdict(dl.backtest(market, "ma200w_break", weeks=50)).word
    'unproven'
    """
    place = Workspace.find(workspace, or_shipped=True)
    found = name if isinstance(name, Run) else run(name, workspace=place)
    rungs = [*own_rungs(found.evaluation, found.answer, found.what_if), *_others(found, place)]
    said = found.name if found.folder is None else f"{found.name}/{found.folder.name}"
    return Standing(name=said, word=standing(rungs, found.answer), rungs=tuple(rungs))


def _others(found: Run, place: Workspace) -> list[Rung]:
    """What sweeps, walks and looks at the holdout tell of the same strategy on the same data."""
    about = _about(found.manifest)
    kept = [one for one in everything(place.results, ("run", "sweep", "walk")) if not one.damage]
    same = [
        one
        for one in kept
        if about and (one.about.inputs.get("strategy"), one.about.inputs.get("data")) == about
    ]
    account = account_asked(found.manifest["study"])
    # A sweep over costs or accounts speaks of other accounts than this run's, and so does one whose
    # study says others.
    alike = [
        one
        for one in same
        if one.about.inputs.get("account") == account
        and all(axis.startswith("params.") for axis in _axes(one))
    ]
    newest = {one.kind: one for one in sorted(alike, key=lambda one: one.made)}
    others = {one.kind for one in same} - {*newest}
    return [
        _walked(newest.get("walk"), _else("walk", others)),
        *_swept(newest.get("sweep"), place, _else("sweep", others)),
        _held_out(alike, place),
    ]


def _axes(one: Stored) -> Sequence[str]:
    """What was swept; the axes of a walk are parameters."""
    return one.about.params.get("axes", ()) if one.kind == "sweep" else ()


def _else(kind: str, others: Set[str]) -> str:
    """Why none of a kind is read, where there are some."""
    return f"no {kind} of it holds this account alone" if kind in others else ""


def _about(manifest: Mapping[str, Any]) -> tuple[str, str] | None:
    """Strategy and data of a run of a study file; None for one made in a notebook."""
    study = manifest["study"]
    return (study["strategy"], study["data"]) if "data" in study else None


def _named(one: Stored | None) -> str:
    return "" if one is None else f"the sweep of {one.group}"


def _walked(one: Stored | None, unread: str) -> Rung:
    name, how = _CHOSEN[0]
    if one is None:
        return Rung(name=name, passed=None, figure=unread, how=how)
    told = one.about.metrics
    growth, held, p_value = (
        math.nan if told.get(key) is None else float(told[key])
        for key in ("growth", "benchmark_growth", "p_value")
    )
    return out_of_sample(growth, held, p_value)


def _swept(one: Stored | None, place: Workspace, unread: str) -> list[Rung]:
    names, how = [name for name, _ in _CHOSEN[1:]], "delever sweep"
    swept = None if one is None else result(one.folder, workspace=place)
    if not isinstance(swept, Sweep):
        return [Rung(name=name, passed=None, figure=unread, how=how) for name in names]
    gained = None if swept.choosing is None else swept.choosing.gained.get("payout")
    luck = swept.deflation
    left_out = Rung(name=names[0], passed=None, figure="", how=how)
    if gained is not None:
        figure = (
            f"chosen by payout in {_named(one)}, {100 * gained.mean:+.1f} points a period above "
            f"the median, p = {gained.p_value:.3f}"
        )
        passed = gained.mean > 0.0 and gained.p_value <= LEVEL
        left_out = Rung(name=names[0], passed=passed, figure=figure, how=how)
    if luck is None or math.isnan(luck.chance_above):
        return [left_out, Rung(name=names[1], passed=None, figure="", how=how)]
    figure = (
        f"{luck.above:+.2f} of Sharpe ratio above holding; the best of {luck.trials:,} trials "
        f"no better has as much in {luck.chance_above:.0%} ({_named(one)})"
    )
    passed = luck.above > 0.0 and luck.chance_above < LEVEL
    return [left_out, Rung(name=names[1], passed=passed, figure=figure, how=how)]


def _held_out(same: list[Stored], place: Workspace) -> Rung:
    name, how = "on the holdout", "delever unseal"
    holdout = read_holdout(place.root / "data")
    if holdout is None or not holdout.looks:
        return Rung(name=name, passed=None, figure="", how=how)
    for one in sorted((one for one in same if one.kind == "run"), key=lambda one: one.made)[::-1]:
        seen = run(one.folder, workspace=place)
        returns = seen.evaluation.backtest.returns[holdout.since :]
        if not any("the holdout from" in note for note in seen.notes) or returns.empty:
            continue
        held = seen.evaluation.benchmark.returns[holdout.since :]
        own, other = (float(np.prod(1.0 + one) - 1.0) for one in (returns, held))
        figure = f"{own:+.1%}, {other:+.1%} held; {counted(len(holdout.looks), 'look')}"
        return Rung(name=name, passed=own > other, figure=figure, how=how)
    return Rung(name=name, passed=None, figure="", how=how)
