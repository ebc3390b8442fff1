"""A run, and how a study becomes one: from its file to its results folder and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from delever.arguments import shown
from delever.errors import ConfigError, InputError
from delever.report.answer_words import answer_sentence
from delever.report.figures.look import Chart
from delever.report.page import Block, Section
from delever.report.pages import tearsheet as page
from delever.research.answer import Answer
from delever.research.attribution import attribution
from delever.research.evaluation import Evaluation
from delever.research.rungs import Rung, own_rungs
from delever.research.what_if import WhatIf, counterfactual_outcomes, what_if
from delever.study.kept.provenance import gather, git_state, outcome
from delever.study.kept.result import Result, plain
from delever.study.kept.stored import write_index
from delever.study.runs import archive
from delever.study.runs.answering import Progress, answered, file_rule
from delever.study.runs.neighbours import counterfactuals_of
from delever.study.runs.remarks import remarks
from delever.study.runs.shelf import find
from delever.study.runs.simulation import simulate_study
from delever.study.settings.config import Study
from delever.study.settings.portfolio_config import PortfolioStudy, load_any_study
from delever.study.workspaces.extensions import Extensions
from delever.study.workspaces.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Run(Result):
    """A finished run beside its benchmark.

    Attributes
    ----------
    evaluation : Evaluation
        Equity, trades and metrics, of the strategy and of its benchmark.
    manifest : mapping
        Everything the run was made from.
    what_if : WhatIf
        Its counterfactuals, bar by bar.
    asked : callable
        Gives `answer`, which takes a second or so where it was not stored.
    folder : Path or None
        Where it is stored; None for a run made in a notebook.
    cached : bool
        Whether the result was there already.
    sections : tuple of Section
        What extensions add to its tear-sheet.
    """

    evaluation: Evaluation
    manifest: Mapping[str, Any]
    what_if: WhatIf
    asked: Callable[[], Answer]
    folder: Path | None = None
    cached: bool = False
    sections: tuple[Section, ...] = ()

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.evaluation.name

    @property
    def benchmark(self) -> str:
        """What the benchmark is called."""
        return page.benchmark_name(self.manifest)

    @property
    def answer(self) -> Answer:
        """Whether it protected, what that cost, and whether it is more than luck."""
        return self.asked()

    @property
    def metrics(self) -> pd.DataFrame:
        """Metrics (rows) in every scope (columns): whole, inside, outside, phases and periods."""
        return self.evaluation.metrics

    @property
    def equity(self) -> pd.Series:
        """Equity at each bar's close, in quote currency."""
        return self.evaluation.backtest.equity

    @property
    def trades(self) -> pd.DataFrame:
        """One row per round trip; see `delever.engine.ledger.Backtest`."""
        return self.evaluation.backtest.trades

    @property
    def attribution(self) -> pd.DataFrame:
        """What made the change in equity, quote units: a row per scope and period."""
        return attribution(self.evaluation)

    @property
    def counterfactuals(self) -> pd.DataFrame:
        """Return, drawdown and liquidations as run, without funding, at other leverage or costs."""
        return counterfactual_outcomes(self.evaluation, self.what_if)

    def counterfactual(self, *changes: str) -> pd.DataFrame:
        """Run the same decisions again with one thing changed.

        Parameters
        ----------
        *changes : str
            ``"funding off"``, ``"leverage 2x"``, ``"costs x3"`` or ``"2 bars later"``, with any
            numbers.

        Returns
        -------
        pandas.DataFrame, shape (1 + number of changes, 6)
            As `counterfactuals`: the run itself first, NaN for what cannot be.

        Raises
        ------
        InputError
            If a text says no change.

        Examples
        --------
        >>> import delever as dl
        >>> market = dl.market("sample/ohlcv/BTC/USD/1d", end="2014-01-01")
        >>> table = dl.backtest(market, "support_breach", weeks=8).counterfactual("costs x5")
        >>> bool(table.loc["costs x5", "total_return"] < table.loc["as run", "total_return"])
        True
        """
        return counterfactual_outcomes(self.evaluation, what_if(self.evaluation.backtest, changes))

    def to_vectorbt(self, what: Literal["portfolio", "returns"] = "portfolio") -> Any:
        """The run in the hands of vectorbt.

        Parameters
        ----------
        what : {"portfolio", "returns"}
            A ``vectorbt.Portfolio`` of the run's fills, or its returns behind vectorbt's accessor
            (``.vbt.returns``), its year as many bars as the run had in one.

        Returns
        -------
        vectorbt.Portfolio or vectorbt.returns.accessors.ReturnsSRAccessor

        Raises
        ------
        InputError
            If a portfolio cannot hold the run: funding, borrow, a mark of its own, coins as margin,
            or a loss beyond equity are in its equity.

        Examples
        --------
        >>> import delever as dl
        >>> market = dl.market("sample/ohlcv/BTC/USD/1d", end="2014-01-01")
        >>> run = dl.backtest(market, "support_breach", weeks=8)
        >>> bool(abs(run.to_vectorbt().total_return() - run.metrics.loc["total_return", "whole"])
        ...     < 1e-9)
        True
        """
        from delever.engine.vectorbt_portfolio import to_accessor, to_portfolio

        if what not in ("portfolio", "returns"):
            raise InputError(f"what must be 'portfolio' or 'returns'; got {shown(what)}")
        done = self.evaluation.backtest
        return (
            to_portfolio(done, self.evaluation.bars["close"])
            if what == "portfolio"
            else to_accessor(done)
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before believing a number."""
        return tuple(self.manifest["notes"])

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Those notes that say what was taken for granted; the others are warnings."""
        return tuple(self.manifest.get("assumptions", ()))

    @property
    def headline(self) -> str:
        """Whether it protected, what that cost, and whether it is more than luck."""
        return answer_sentence(self.answer)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Periods, estimates, metrics, trades, drawdowns, attribution, fills, and the ledger."""
        return page.frames(self.evaluation, self.answer, self.what_if)

    @property
    def charts(self) -> dict[str, Chart]:
        """Every figure of the tear-sheet, growth and drawdown first."""
        return page.charts(
            self.evaluation, self.answer, manifest=self.manifest, what_if=self.what_if
        )

    @property
    def summary(self) -> pd.DataFrame:
        """What each period did to the benchmark and to the strategy."""
        columns = ["title", "benchmark_return", "strategy_return", "points_saved", "outcome"]
        return self.answer.protection.periods[columns]

    def html(self) -> str:
        """The tear-sheet."""
        return self.tearsheet()

    def tearsheet(
        self, said: str | None = None, lead: Sequence[Block] = (), told: Sequence[Rung] = ()
    ) -> str:
        """The tear-sheet: another sentence than the answer's, blocks that lead, further rungs."""
        return page.render(
            self.evaluation,
            self.answer,
            manifest=self.manifest,
            notes=self.notes,
            what_if=self.what_if,
            sections=self.sections,
            said=said,
            lead=lead,
            told=told,
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``delever run --json`` prints."""
        folder = self.folder
        return {
            "run_id": self.manifest.get("run_id"),
            "folder": None if folder is None else str(folder),
            "tearsheet": None if folder is None else str(folder / archive.TEARSHEET),
            "cached": self.cached,
            "headline": self.headline,
            "span": self.manifest["span"],
            "notes": list(self.notes),
            "attribution": plain(self.attribution),
            "counterfactuals": plain(self.counterfactuals),
            "rungs": [
                asdict(rung) for rung in own_rungs(self.evaluation, self.answer, self.what_if)
            ],
            **archive.measured(self.evaluation, self.answer),
        }


def run(
    study: Path | str,
    set: Mapping[str, Any] | None = None,
    *,
    fresh: bool = False,
    quick: bool = False,
    workers: int = 1,
    cluster: str | Executor | None = None,
    progress: Progress = lambda step: None,
    workspace: Workspace | Path | str | None = None,
) -> Run:
    """Run a study file, or open a finished run.

    Parameters
    ----------
    study : path or str
        A study file (``backtests/ma200w_break.toml``), or a finished run: ``study/id``, its id or
        the first digits of it, its folder or a file in it, or a study: its newest run.
    set : mapping, optional
        Dotted keys of the study to values, such as ``{"params.weeks": 150}``.
    fresh : bool
        Run even where the same inputs have a result.
    quick : bool
        Leave out the test on redrawn periods, which runs the strategy on hundreds of resampled
        markets.
    workers : int
        Processes for those.
    cluster : str or concurrent.futures.Executor, optional
        A Dask cluster for those in their place, ``"tcp://HOST:8786"``, or ``"local:4"`` for four
        processes on this machine; see `docs/cluster.md`.
    progress : callable
        Told the name of each step as it begins.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Run
        Stored in ``backtests/results/STUDY/RUN_ID``.

    Raises
    ------
    ConfigError, StrategyError, DataError, SimulationError
        Whatever stands in the way, in one sentence.
    InputError
        If no finished run, or more than one, goes by that name; the message lists them.

    Examples
    --------
    >>> import delever as dl
    >>> dl.run("backtests/ma200w_break.toml").name  # doctest: +SKIP
    'ma200w_break'
    """
    if not isinstance(study, str | Path):
        raise InputError(
            "a study must be the path of its file, or a finished run's folder, id or name; "
            f"got {shown(study)}"
        )
    if not isinstance(set or {}, Mapping):
        raise InputError(f'set must be a mapping such as {{"params.weeks": 150}}; got {shown(set)}')
    place = Workspace.find(workspace)
    path = place.file(Path(study))
    inside = place.results in path.absolute().parents
    if path.is_dir() or inside or not (path.suffix == ".toml" or path.is_file()):
        if set or fresh:
            raise InputError(f"set and fresh need a study file; {study} is a finished run")
        return load_run(find(place, study, ("run",)).folder, extensions=place.extensions)
    asked = load_any_study(path, set or {})
    progress("reading data")
    if isinstance(asked, PortfolioStudy):
        from delever.study.portfolios.joint_study import run_joint_study

        if cluster is not None:
            raise ConfigError(
                "a cluster runs the test on redrawn periods, which a study of several symbols has "
                f"not; got {path}; run it without a cluster"
            )
        return run_joint_study(asked, place, fresh=fresh, progress=progress)
    return _run_study(
        asked,
        place,
        fresh=fresh,
        quick=quick,
        workers=workers,
        cluster=cluster,
        progress=progress,
    )


def _run_study(
    study: Study,
    workspace: Workspace,
    *,
    fresh: bool,
    quick: bool,
    workers: int,
    cluster: str | Executor | None,
    progress: Progress,
) -> Run:
    inputs = gather(study, workspace)
    manifest = inputs.manifest(study)
    there = made_before(manifest, study, workspace, inputs.extensions)
    if there is not None and not fresh and (quick or not there.manifest.get("quick")):
        return there
    market = inputs.market
    progress("simulating")
    evaluation, n_trials = simulate_study(study, inputs, workspace, by="run")
    found = counterfactuals_of(
        evaluation.backtest, market, inputs.strategy, inputs.params, study.counterfactuals
    )
    itself = study.strategy == study.benchmark
    manifest |= {
        "git": git_state(workspace.root),
        "quick": quick,
        **remarks(
            evaluation, market, costs_times=study.costs_times, n_trials=n_trials, itself=itself
        ),
        **outcome(evaluation, found),
    }
    made = answered(
        evaluation,
        market,
        rule=file_rule(inputs.strategy, inputs.params),
        benchmark_rule=file_rule(inputs.benchmark, {}),
        quick=quick,
        # What extensions add is known in this process alone, and does not travel without Dask.
        workers=1 if inputs.extensions.sources else workers,
        cluster=cluster,
        progress=progress,
    )
    done = Run(
        evaluation=evaluation,
        manifest=manifest,
        what_if=found,
        asked=lambda: made,
        sections=inputs.extensions.sections,
    )
    progress("writing the tear-sheet")
    return kept(done, study, workspace)


def made_before(
    manifest: Mapping[str, Any],
    study: Study | PortfolioStudy,
    workspace: Workspace,
    extensions: Extensions,
) -> Run | None:
    """The stored run of the same inputs; None where there is none, or it is damaged."""
    folder = workspace.results / study.name / manifest["run_id"]
    if not archive.is_complete(folder) or archive.damage(folder):
        return None
    return load_run(folder, cached=True, extensions=extensions)


def kept(done: Run, study: Study | PortfolioStudy, workspace: Workspace) -> Run:
    """A run, stored and listed. Raises StoreError if the disk refuses."""
    folder = workspace.results / study.name / done.manifest["run_id"]
    archive.write_run(
        *(folder, done.evaluation, done.answer, done.what_if, done.manifest),
        headline=done.headline,
        tearsheet=done.html(),
        periods=workspace.root / study.periods,
    )
    write_index(workspace.results)
    return replace(done, folder=folder)


def load_run(folder: Path, *, cached: bool = False, extensions: Extensions | None = None) -> Run:
    """Read a finished run from its folder.

    Raises NotStoredError or StoreError if there is no run or a file of it cannot be read.
    """
    added = extensions or Extensions()
    evaluation = archive.read_evaluation(folder, added.metrics)
    return Run(
        evaluation=evaluation,
        manifest=archive.read_manifest(folder),
        what_if=archive.read_what_if(folder),
        asked=cache(partial(archive.read_answer, folder, evaluation)),
        folder=folder,
        cached=cached,
        sections=added.sections,
    )
