"""Walk forward: a study's parameters chosen anew in every window, and the run that came of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats, whole_number
from delever.engine.legs import Margin
from delever.engine.settings import Account
from delever.errors import InputError
from delever.panel import Markets
from delever.report.figures.look import Chart
from delever.report.pages import walk_page as page
from delever.research.choosing import Tried
from delever.research.rungs import out_of_sample
from delever.research.walking import (
    Choose,
    Pace,
    Walked,
    choices,
    out_growth,
    parts_of,
    table_of,
    windows,
)
from delever.study.kept.result import Result, plain
from delever.study.kept.stored import About
from delever.study.runs.answering import Progress, counting
from delever.study.runs.run import Run
from delever.study.settings.grid import study_path
from delever.study.settings.portfolio_config import PortfolioStudy, load_any_study
from delever.study.sweeps.joint_sweep import OF_SEVERAL
from delever.study.sweeps.joint_walk import SeveralWalked, several_at_hand, several_of_study
from delever.study.sweeps.walk_of_one import OneWalked, one_at_hand, one_of_study
from delever.study.sweeps.walk_steps import Shifts, Wanted
from delever.study.workspaces.any_strategy import Given
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs
from delever.view import MarketView


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class WalkForward(Walked, Result):
    """A walk forward, and the run that its choices make.

    Attributes
    ----------
    run : Run
        The choices held one after the other, as one account: changing over at a seam pays what the
        fills cost.
    studied : mapping
        Strategy and data of the study file and a hash of its account; empty on a market at hand.
    windows : pandas.DataFrame
        A row per choice: ``fit_start`` and ``fit_end`` (first and last bar that chose), ``start``
        and ``end`` (first and last bar that held it), a column per axis, ``chosen`` (its row among
        the combinations, -1 where there was none: flat), ``chosen_by`` (the figure it was chosen
        by), and yearly growth as a fraction: ``fit_growth`` and ``growth`` of the chosen one in
        both, ``benchmark_growth`` in the latter.
    axes : pandas.DataFrame
        A row per combination.
    pace : Pace
        How it went.
    p_value : float
        Share of walks with all exposures shifted in time that grew as much outside their windows,
        the walk itself among them; NaN where there are too many bars and combinations to tell.
    shifted : tuple of float
        Log growth of those.
    growth : float
        Log growth of the choices outside their windows, without what changing over costs.
    """

    run: Run
    studied: Mapping[str, str] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """What choosing came to, and whether it protected."""
        return page.headline(self, self.run.answer)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The windows, then those of the run."""
        return {"windows": self.windows, **self.run.tables}

    @property
    def charts(self) -> dict[str, Chart]:
        """What was chosen, and growth in and out of the windows; then those of the run."""
        return {**page.charts(self), **self.run.charts}

    @property
    def summary(self) -> pd.DataFrame:
        """What was chosen when, and what it made."""
        names = ["start", "end", *self.axes, "fit_growth", "growth", "benchmark_growth"]
        return self.windows[[name for name in names if name in self.windows]]

    @property
    def about(self) -> About:
        """What is said of it where it is stored."""
        from delever.study.kept.stored import About

        start, end = self.run.evaluation.span
        return About(
            kind="walk",
            name=self.run.name,
            page="walk.html",
            start=f"{start:%Y-%m-%d}",
            end=f"{end:%Y-%m-%d}",
            params={"axes": list(self.axes), "combinations": len(self.axes), **asdict(self.pace)},
            inputs={
                **self.studied,
                "manifest": plain(self.run.manifest),
                "axes": plain(self.axes),
                "pace": asdict(self.pace),
            },
            metrics={
                "growth": plain(self.yearly("growth")),
                "benchmark_growth": plain(self.yearly("benchmark_growth")),
                "p_value": plain(self.p_value),
            },
        )

    def html(self) -> str:
        """The tear-sheet of the run, with the choices before it."""
        growth, held = (self.yearly(name) for name in ("growth", "benchmark_growth"))
        told = [out_of_sample(growth, held, self.p_value)]
        return self.run.tearsheet(said=self.headline, lead=page.lead(self), told=told)

    def to_dict(self) -> dict[str, Any]:
        """What ``delever walk --json`` prints."""
        return {
            "headline": self.headline,
            "pace": asdict(self.pace),
            "efficiency": plain(self.efficiency),
            "p_value": plain(self.p_value),
            "windows": plain(self.windows.to_dict("records")),
            "run": self.run.to_dict(),
        }


def walk_forward(
    study: Path | str | MarketView | Markets,
    strategy: Given | None = None,
    axes: Mapping[str, Iterable[Any]] | None = None,
    *,
    window: int = 1_460,
    step: int = 365,
    embargo: int = 1,
    anchored: bool = False,
    choose: Choose = "sharpe_ratio",
    plateau: bool = False,
    trades: int = 0,
    shifts: int = 199,
    workers: int = 1,
    cluster: str | Executor | None = None,
    progress: Progress = lambda step: None,
    account: Account | Mapping[str, Account] | None = None,
    costs: Costs | None = None,
    benchmark: Given = "buy_and_hold",
    start: str | pd.Timestamp | None = None,
    really: bool = False,
    margin: str | Margin = "cross",
    rule: str | None = None,
    rule_params: Mapping[str, Any] | None = None,
    set: Mapping[str, Any] | None = None,
    workspace: Workspace | Path | str | None = None,
) -> WalkForward:
    """Choose a strategy's parameters on past years, hold the choice for a while, choose again.

    Parameters
    ----------
    study : path, str, MarketView or Markets
        A study file with a ``[sweep.params]`` table, a market from `delever.market`, or several
        from `delever.markets`.
    strategy, axes
        On a market: as `delever.sweep` takes them; parameters of the strategy alone.
    window, step, embargo : int
        Days: those that choose (at least 30), those a choice is held (at least 1), and those
        between the two.
    anchored : bool
        Choose on all days before instead of the last `window`.
    choose : {"sharpe_ratio", "growth", "payout"}
        What is highest in the combination that is chosen; payout is the mean over the deleveraging
        periods that lie wholly in the window.
    plateau : bool
        Choose by the lower of it and the median of the combination's neighbours.
    trades : int
        Closed trades that a combination needs in the window.
    shifts : int
        Walks on shifted exposures that it is held against; 0 for none.
    workers : int
        Processes that walk them; the result is the same with any number.
    cluster : str or concurrent.futures.Executor, optional
        A Dask cluster for those in their place, ``"tcp://HOST:8786"``, or ``"local:4"`` for four
        processes on this machine; see `docs/cluster.md`.
    progress : callable
        Told the name of each step as it begins.
    account, costs, benchmark, start, really
        On a market: as `delever.backtest` takes them.
    margin, rule, rule_params
        On several markets, likewise.
    set : mapping, optional
        Of a study file: dotted keys to values.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    WalkForward
        Not stored; ``walk.store()`` does, ``walk.run`` is a run like any other.

    Raises
    ------
    ConfigError
        If the study has no axes, or one that is no parameter of the strategy.
    InputError
        If `study` is neither a file nor a market, an axis is none, lengths do not fit the data, or
        no window has a combination that can be chosen.
    SimulationError
        If a worker ends before its work is done, or a cluster does not answer.

    Notes
    -----
    A strategy looks at closed bars alone, so a window's figures hold nothing of the days after it;
    the embargo is for what overlaps the boundary otherwise, such as periods drawn with hindsight.
    Growth of the choices in the table is that of each combination's own account. The run holds
    them in one account.

    What a strategy orders beside its exposures is taken in each window as they are: at a seam the
    new choice's row stands. If the close before it has passed that row's stop or target, the walk
    is flat until the choice's exposure changes. Over several symbols strategies name exposures
    alone, and all of them are shifted together.

    The walk is held against `shifts` walks in which the exposures of every combination are shifted
    in time against the bars, each by the same share of its span: they choose by the same rule, from
    exposures that are as long and as often in the market, and know nothing of it. Orders keep their
    distance to the close.

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d", end="2017-01-01")
    >>> walk = dl.walk_forward(market, "ma200w_break", {"weeks": [10, 20, 30]}, window=730)
    >>> walk.windows["weeks"].tolist()
    [10, 30, 10, 10, 20]
    """
    pace = Pace(
        window=window, step=step, embargo=embargo, anchored=anchored, choose=choose,
        plateau=plateau, trades=trades,
    )  # fmt: skip
    whole_number("shifts", shifts, 0, 10_000)
    at_hand = isinstance(study, MarketView | Markets)
    place = Workspace.find(workspace, or_shipped=at_hand)
    asked: OneWalked | SeveralWalked
    if at_hand and costs is not None and not really:
        costs.check_meant()
    if isinstance(study, Markets):
        asked = several_at_hand(
            *(place, study, strategy, axes), account=account, costs=costs, benchmark=benchmark,
            start=start, margin=margin, rule=rule, rule_params=rule_params,
        )  # fmt: skip
    elif isinstance(study, MarketView):
        if isinstance(account, Mapping) or margin != "cross" or rule or rule_params:
            raise InputError(OF_SEVERAL)
        asked = one_at_hand(place, study, strategy, axes, account, costs, benchmark, start)
    else:
        path = place.file(study_path(study, "a walk"))
        told = load_any_study(path, set or {})
        if isinstance(told, PortfolioStudy):
            asked = several_of_study(place, path, told)
        else:
            asked = one_of_study(place, path, told)
    progress("asking the strategy")
    walk, wanted, rows, worth = _walked(asked, pace, shifts, place)
    shifted = walk.growth(workers, cluster, counting(progress, "shifted walks"))
    progress("simulating the choices")
    return _finished(asked, walk, wanted, rows, worth, shifted, place)


def _walked(
    asked: OneWalked | SeveralWalked, pace: Pace, shifts: int, place: Workspace
) -> tuple[Shifts, Wanted, npt.NDArray[np.intp], Floats]:
    """The walk, what was decided, the row chosen in each window, and what it was chosen by."""
    axes, index = pd.DataFrame(asked.chosen), asked.ground.market.index
    wanted = asked.wanted()
    first = max(int(wanted.begins.min()), asked.ground.first)
    cut = windows(index, first, pace)
    parts = parts_of(index, asked.ground.market.timeframe, first, cut, asked.ground.parts)
    sums = partial(asked.sums_over(parts, wanted, first), wanted, first)
    tried = Tried(
        parts=parts,
        sums=sums(0.0),
        begins=wanted.begins,
        benchmark=asked.held(parts, first),
        periods_per_year=1.0,
    )
    rows, worth = choices(tried, cut, pace, axes)
    if (rows < 0).all():
        raise InputError(
            f"a walk needs a combination that can be chosen; in none of {len(cut)} windows does "
            f"one have {pace.trades} closed trades and a figure to be chosen by"
        )
    if not place.shipped:
        asked.record(wanted, place)
    walk = Shifts(
        sums=sums, values=wanted.rows.size, tried=tried, cut=cut, pace=pace, axes=axes,
        first=first, many=shifts,
    )  # fmt: skip
    return walk, wanted, rows, worth


def _finished(
    asked: OneWalked | SeveralWalked,
    walk: Shifts,
    wanted: Wanted,
    rows: npt.NDArray[np.intp],
    worth: Floats,
    shifted: Sequence[float],
    place: Workspace,
) -> WalkForward:
    """A walk with its choices as one account."""
    growth = out_growth(walk.tried, rows)
    beaten = sum(other >= growth for other in shifted)
    return WalkForward(
        run=asked.run(wanted, rows, walk.cut, place),
        windows=table_of(walk.tried, walk.cut, rows, worth, walk.axes),
        axes=walk.axes,
        pace=walk.pace,
        p_value=(1 + beaten) / (1 + len(shifted)) if shifted else math.nan,
        shifted=tuple(shifted),
        growth=growth,
        studied=asked.studied,
    )
