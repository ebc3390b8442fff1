"""Runs side by side, over the span they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from delever.data.disk import write_page
from delever.errors import InputError
from delever.research.evaluation import SCOPES, Evaluation, common_span, windowed
from delever.research.what_if import counterfactual_outcomes
from delever.study.provenance import canonical_json
from delever.study.run import Run
from delever.venues.costs import Costs

__all__ = ["HEADLINE", "Comparison", "compare"]

HEADLINE = (
    "total_return",
    "cagr",
    "volatility",
    "sharpe_ratio",
    "max_drawdown",
    "calmar_ratio",
    "exposure",
    "trades",
)
"""The metrics a printed table shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Several runs measured over their common span."""

    runs: tuple[Run, ...]  # as they were given
    evaluations: tuple[Evaluation, ...]  # the same runs over the common span
    start: pd.Timestamp  # the common span, UTC
    end: pd.Timestamp

    @property
    def labels(self) -> tuple[str, ...]:
        """A name per run; the run's id is added where two share a name."""
        names = [run.name for run in self.runs]
        return tuple(
            name if names.count(name) == 1 else f"{name} {run.manifest.get('run_id', position + 1)}"
            for position, (name, run) in enumerate(zip(names, self.runs, strict=True))
        )

    @property
    def metrics(self) -> pd.DataFrame:
        """Every metric (rows) per run and scope (columns: run, scope)."""
        return pd.concat(
            {
                label: evaluation.metrics[list(SCOPES)]
                for label, evaluation in zip(self.labels, self.evaluations, strict=True)
            },
            axis=1,
        )

    @property
    def counterfactuals(self) -> dict[str, pd.DataFrame]:
        """Of each run, by its label, what it and its counterfactuals came to over the span."""
        return {
            label: counterfactual_outcomes(evaluation, run.what_if)
            for label, evaluation, run in zip(self.labels, self.evaluations, self.runs, strict=True)
        }

    @property
    def refused(self) -> dict[str, Mapping[str, str]]:
        """Of each run, by its label, the counterfactuals that cannot be, and why."""
        return {
            label: run.what_if.refused for label, run in zip(self.labels, self.runs, strict=True)
        }

    @property
    def notes(self) -> list[str]:
        """What makes the runs less comparable than they look."""
        out = []
        spans = {run.evaluation.span for run in self.runs}
        if len(spans) > 1:
            out.append(
                "the runs cover different spans; every figure here is over the common one, "
                f"{self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"
            )
        if len({run.manifest.get("data", {}).get("sha256") for run in self.runs}) > 1:
            out.append("the runs were made with different data sets")
        if len({tuple(p.id for p in each.periods) for each in self.evaluations}) > 1 or (
            len({run.manifest.get("periods_sha256") for run in self.runs}) > 1
        ):
            out.append("the runs were made with different catalogues of deleveraging periods")
        if len({_costs(run) for run in self.runs}) > 1:
            out.append("the runs pay different costs")
        shared = [n for n in self.runs[0].notes if all(n in run.notes for run in self.runs)]
        own = [
            f"{label}: {note}"
            for label, run in zip(self.labels, self.runs, strict=True)
            for note in run.notes
            if note not in shared
        ]
        return [*out, *shared, *own]

    def page(self, path: Path | str, *, what_if: bool = False) -> Path:
        """Write the HTML comparison."""
        from delever.report.pages.comparison import render
        from delever.report.pages.what_if_table import what_if_table

        target = Path(path).expanduser().resolve()
        page = render(
            dict(zip(self.labels, self.evaluations, strict=True)),
            parameters={
                label: run.manifest.get("params", {})
                for label, run in zip(self.labels, self.runs, strict=True)
            },
            span=(self.start, self.end),
            notes=self.notes,
            what_if=what_if_table(self.counterfactuals, self.refused) if what_if else None,
        )
        write_page(target, page)
        return target

    def _repr_html_(self) -> str:
        return self.metrics.loc[list(HEADLINE)].to_html(float_format=lambda value: f"{value:.4g}")


def compare(*runs: Run) -> Comparison:
    """Measure runs over the span they share.

    Raises
    ------
    InputError
        If fewer than two are given, one is no run, or they share no span.
    """
    for one in runs:
        if not isinstance(one, Run):
            shown = " ".join(repr(one).split())[:60]
            raise InputError(
                f"a comparison takes runs, as dl.run and dl.backtest return them; got {shown} "
                f"({type(one).__name__})"
            )
    if len(runs) < 2:
        raise InputError(f"a comparison needs at least two runs; got {len(runs)}")
    start, end = common_span([run.evaluation for run in runs])
    return Comparison(
        runs=tuple(runs),
        evaluations=tuple(windowed(run.evaluation, start, end) for run in runs),
        start=start,
        end=end,
    )


def _costs(run: Run) -> tuple[Costs, str]:
    """What the fills of a run cost, by whatever says it: fractions, rules, models, stress."""
    study = run.manifest.get("study") or {}
    account = study.get("account") or {}
    said = [study.get("costs_times", 1.0), account.get("rules"), account.get("slippage")]
    return run.evaluation.backtest.costs, canonical_json(said)
