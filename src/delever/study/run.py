"""Run a study: from its file to its results folder, and from the folder back to the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from delever.data.source import Dataset
from delever.errors import ConfigError
from delever.events.catalog import Period, load_catalog
from delever.research.evaluation import SCOPES, Evaluation
from delever.study import archive
from delever.study.account import Account, load_account
from delever.study.config import Study, load_study
from delever.study.manifest import (
    code_sha256,
    describe,
    file_sha256,
    git_state,
    run_id,
    versions,
)
from delever.study.strategy import Strategy
from delever.study.trial import run_trial, view
from delever.study.workspace import Workspace
from delever.view import MarketView

__all__ = ["Inputs", "Run", "gather", "load_run", "remarks", "run_study"]

Report = Callable[[str], None]
"""Told the name of each step as it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run.

    Attributes
    ----------
    evaluation : Evaluation
        Equity, trades and metrics, of the strategy and of its benchmark.
    manifest : mapping
        Everything the run was made from.
    folder : pathlib.Path or None
        Where it is stored; None for a run made in a notebook.
    cached : bool
        Whether the result was there already.
    """

    evaluation: Evaluation
    manifest: Mapping[str, Any]
    folder: Path | None = None
    cached: bool = False

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.evaluation.name

    @property
    def metrics(self) -> pd.DataFrame:
        """Metrics (rows) in every scope (columns): whole, inside, outside, each period."""
        return self.evaluation.metrics

    @property
    def equity(self) -> pd.Series:
        """Equity at each bar's close, in quote currency."""
        return self.evaluation.backtest.equity

    @property
    def trades(self) -> pd.DataFrame:
        """One row per round trip."""
        return self.evaluation.backtest.trades

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before believing a number."""
        return tuple(self.manifest["notes"])

    def tearsheet(self, path: Path | str) -> Path:
        """Write the HTML tear-sheet.

        Parameters
        ----------
        path : path
            Where to.

        Returns
        -------
        pathlib.Path
            The file, absolute.
        """
        target = Path(path).expanduser().resolve()
        target.write_text(_tearsheet(self.evaluation, self.manifest), encoding="utf-8")
        return target

    def _repr_html_(self) -> str:
        start, end = self.evaluation.span
        remarks = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        table = self.metrics[list(SCOPES)].to_html(float_format=lambda value: f"{value:.4g}")
        title = f"{escape(self.name)}, {start:%Y-%m-%d} to {end:%Y-%m-%d}"
        return f"<h4>{title}</h4><ul>{remarks}</ul>{table}"


def run_study(
    path: Path,
    *,
    workspace: Workspace,
    overrides: Mapping[str, Any] | None = None,
    fresh: bool = False,
    report: Report = lambda step: None,
) -> Run:
    """Run a study, or read its result where the same inputs ran before.

    Parameters
    ----------
    path : pathlib.Path
        The study file.
    workspace : Workspace
        Where strategies, data and results are.
    overrides : mapping, optional
        Dotted keys of the study to values, such as ``{"params.weeks": 150}``.
    fresh : bool
        Run even where the result is there.
    report : callable, optional
        Told each step.

    Returns
    -------
    Run

    Raises
    ------
    ConfigError, StrategyError, DataError, SimulationError
        Whatever stands in the way, in one sentence.
    """
    study = load_study(path, overrides)
    report("reading data")
    inputs = gather(study, workspace)
    manifest = inputs.manifest(study)
    folder = workspace.results / study.name / manifest["run_id"]
    if not fresh and archive.is_complete(folder) and not archive.damage(folder):
        return load_run(folder, cached=True)
    market = view(inputs.data, warmup=inputs.warmup, series=inputs.series)
    report("simulating")
    evaluation = run_trial(
        market,
        inputs.strategy,
        name=study.name,
        benchmark=inputs.benchmark,
        params=inputs.params,
        costs=study.paid_costs,
        account=inputs.account,
        benchmark_costs=study.spot_costs,
        initial_equity=study.initial_equity,
        start=study.start_time,
        end=study.end_time,
        periods=inputs.periods,
    )
    start, end = evaluation.span
    manifest |= {
        "git": git_state(workspace.root),
        "span": {"start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{end:%Y-%m-%dT%H:%M:%SZ}"},
        "bars": len(evaluation.bars),
        "notes": remarks(evaluation, market),
        "simulation": archive.describe_simulation(evaluation),
    }
    report("writing the tear-sheet")
    archive.write_run(
        folder,
        evaluation,
        manifest,
        tearsheet=_tearsheet(evaluation, manifest),
        periods=workspace.root / study.periods,
    )
    return Run(evaluation=evaluation, manifest=manifest, folder=folder)


def load_run(folder: Path, *, cached: bool = False) -> Run:
    """Read a finished run from its folder.

    Parameters
    ----------
    folder : pathlib.Path
        ``backtests/results/<study>/<run_id>``.
    cached : bool
        Marks the run as found rather than made.

    Returns
    -------
    Run

    Raises
    ------
    NotStoredError, StoreError
        If there is no run or a file of it cannot be read.
    """
    return Run(
        evaluation=archive.read_evaluation(folder),
        manifest=archive.read_manifest(folder),
        folder=folder,
        cached=cached,
    )


def remarks(evaluation: Evaluation, market: MarketView) -> list[str]:
    """What a reader must know before believing a number.

    Parameters
    ----------
    evaluation : Evaluation
        The finished run.
    market : MarketView
        What it ran on.

    Returns
    -------
    list of str
        One sentence each.
    """
    out = list(market.notes)
    if evaluation.periods:
        out.append("deleveraging periods were drawn with hindsight")
    else:
        out.append("no deleveraging period of the catalogue lies in this run")
    out.extend(
        f"the run covers {period.title} ({period.id}) only in part"
        for period in evaluation.cut_periods
    )
    out.extend(evaluation.backtest.fidelity)
    ruined = evaluation.backtest.equity[evaluation.backtest.equity <= 0]
    if len(ruined):
        out.append(
            f"the account was ruined in the bar of {ruined.index[0]:%Y-%m-%d %H:%M} and did "
            "nothing after it; a loss avoided since then is no protection"
        )
    if "funding" in evaluation.backtest.ledger:
        out.append("the benchmark holds spot: it pays no funding and cannot be liquidated")
    status = evaluation.backtest.trades["status"]
    if len(status) and status.iloc[-1] == "open":
        end = evaluation.span[1]
        out.append(f"the last trade is open and valued at the close of {end:%Y-%m-%d %H:%M}")
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything a study names, loaded."""

    data: Dataset
    warmup: Dataset | None
    series: dict[str, Dataset]
    strategy: Strategy
    benchmark: Strategy
    params: dict[str, Any]
    account: Account | None
    periods: tuple[Period, ...]
    periods_sha256: str

    def manifest(self, study: Study) -> dict[str, Any]:
        """The inputs by hash, and the hash over all of them."""
        study_inputs = study.model_dump(mode="json", exclude={"sweep"})
        made_from: dict[str, Any] = {
            "study": study_inputs,
            "params": self.params,
            "account": None if self.account is None else _describe_account(self.account),
            "data": describe(self.data),
            "warmup": describe(self.warmup) if self.warmup else None,
            "series": {name: describe(data) for name, data in sorted(self.series.items())},
            "strategy": {"name": self.strategy.name, "sha256": self.strategy.sha256},
            "benchmark": {"name": self.benchmark.name, "sha256": self.benchmark.sha256},
            "periods_sha256": self.periods_sha256,
            "code_sha256": code_sha256(),
            "versions": versions(),
        }
        return {
            "run_id": run_id(made_from),
            **made_from,
        }


def gather(study: Study, workspace: Workspace) -> Inputs:
    """Load everything a study names."""
    catalog = workspace.catalog
    strategy = workspace.strategy(study.strategy)
    benchmark = workspace.strategy(study.benchmark)
    periods_path = workspace.root / study.periods
    if not periods_path.is_file():
        raise ConfigError(f"periods must name a catalogue file; there is none at {periods_path}")
    return Inputs(
        data=catalog.load(study.data),
        warmup=catalog.load(study.warmup) if study.warmup is not None else None,
        series={name: catalog.load(reference) for name, reference in study.series.items()},
        strategy=strategy,
        benchmark=benchmark,
        params=strategy.bind(study.params),
        account=None
        if study.account is None
        else load_account(study.account, catalog=catalog, venues=workspace.root / "data/venues"),
        periods=load_catalog(periods_path),
        periods_sha256=file_sha256(periods_path),
    )


def _describe_account(account: Account) -> dict[str, Any]:
    return {
        "rules_sha256": None if account.rulebook is None else account.rulebook.sha256,
        "data": {role: describe(data) for role, data in sorted(account.data.items())},
    }


def _tearsheet(evaluation: Evaluation, manifest: Mapping[str, Any]) -> str:
    from delever.report.tearsheet import render

    warnings: Sequence[str] = manifest["notes"]
    return render(evaluation, manifest=manifest, notes=warnings)
