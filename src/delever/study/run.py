"""Run a study: from its file to its results folder, and from the folder back to the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from delever.data.disk import write_page
from delever.engine.backtest import Backtest
from delever.research.attribution import attribution
from delever.research.evaluation import SCOPES, Evaluation
from delever.research.what_if import WhatIf, counterfactual_outcomes, what_if
from delever.study import archive
from delever.study.config import load_study
from delever.study.provenance import describe_simulation, git_state
from delever.study.single_run import run_trial, view
from delever.study.study_inputs import Inputs, gather
from delever.study.workspace import Workspace
from delever.view import MarketView

__all__ = ["Inputs", "Run", "gather", "load_run", "remarks", "run_study"]

Report = Callable[[str], None]
"""Told the name of each step as it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run."""

    evaluation: Evaluation  # equity, trades and metrics, of the strategy and of its benchmark
    manifest: Mapping[str, Any]  # everything the run was made from
    what_if: WhatIf  # its counterfactuals
    folder: Path | None = None  # where it is stored; None for a run made in a notebook
    cached: bool = False  # whether the result was there already

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
    def attribution(self) -> pd.DataFrame:
        """What made the change in equity, quote units: a row per scope and period."""
        return attribution(self.evaluation)

    @property
    def counterfactuals(self) -> pd.DataFrame:
        """Return, drawdown and liquidations as run, without funding, at other leverage or costs."""
        return counterfactual_outcomes(self.evaluation, self.what_if)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before believing a number."""
        return tuple(self.manifest["notes"])

    def tearsheet(self, path: Path | str) -> Path:
        """Write the HTML tear-sheet."""
        target = Path(path).expanduser().resolve()
        page = _tearsheet(self.evaluation, self.manifest, self.what_if)
        write_page(target, page)
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
        costs=study.said_costs,
        costs_times=study.costs_times,
        account=inputs.account,
        benchmark_costs=study.spot_costs,
        initial_equity=study.initial_equity,
        start=study.start_time,
        end=study.end_time,
        periods=inputs.periods,
    )
    found = what_if(evaluation.backtest, study.counterfactuals)
    start, end = evaluation.span
    manifest |= {
        "git": git_state(workspace.root),
        "span": {"start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{end:%Y-%m-%dT%H:%M:%SZ}"},
        "bars": len(evaluation.bars),
        "notes": remarks(evaluation, market, costs_times=study.costs_times),
        "simulation": describe_simulation(evaluation),
        "refused_counterfactuals": dict(found.refused),
    }
    report("writing the tear-sheet")
    archive.write_run(
        folder,
        evaluation,
        found,
        manifest,
        tearsheet=_tearsheet(evaluation, manifest, found),
        periods=workspace.root / study.periods,
    )
    return Run(evaluation=evaluation, manifest=manifest, what_if=found, folder=folder)


def load_run(folder: Path, *, cached: bool = False) -> Run:
    """Read a finished run from its folder.

    Raises
    ------
    NotStoredError, StoreError
        If there is no run or a file of it cannot be read.
    """
    return Run(
        evaluation=archive.read_evaluation(folder),
        manifest=archive.read_manifest(folder),
        what_if=archive.read_what_if(folder),
        folder=folder,
        cached=cached,
    )


def remarks(evaluation: Evaluation, market: MarketView, *, costs_times: float = 1.0) -> list[str]:
    """What a reader must know before believing a number."""
    out = []
    if costs_times != 1.0:
        out.append(
            f"costs x{costs_times:g}: fees and slippage are that many times as high as they were "
            "said to be, the benchmark's as well"
        )
    out.extend(market.notes)
    if evaluation.periods:
        out.append("deleveraging periods were drawn with hindsight")
    else:
        out.append("no deleveraging period of the catalogue lies in this run")
    out.extend(
        f"the run covers {period.title} ({period.id}) only in part"
        for period in evaluation.cut_periods
    )
    out.extend(evaluation.backtest.fidelity)
    out.extend(_hidden(evaluation.backtest))
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


def _hidden(run: Backtest) -> list[str]:
    """What a margin account's fills and bars leave out."""
    out = []
    account = run.account
    if account is not None and account.slippage is None and run.costs.slippage == 0.0:
        out.append("slippage: none was said, so fills are made at the open itself; see [costs]")
    if run.bounds is not None:
        worst, best = (float(run.bounds[side].iloc[-1]) for side in ("worst", "best"))
        out.append(
            f"what the bars hid: a final equity between {worst:,.2f} (worst) and {best:,.2f} (best)"
            if best - worst > 1e-9 * max(abs(best), abs(worst))
            else "what the bars hid did not change the final equity: worst and best end alike"
        )
    return out


def _tearsheet(evaluation: Evaluation, manifest: Mapping[str, Any], found: WhatIf) -> str:
    from delever.report.pages.tearsheet import render

    warnings: Sequence[str] = manifest["notes"]
    return render(evaluation, manifest=manifest, notes=warnings, what_if=found)
