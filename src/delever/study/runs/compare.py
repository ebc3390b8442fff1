"""Runs side by side, over the span they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from delever.arguments import shown
from delever.errors import InputError
from delever.report.answer_words import compared_sentence
from delever.report.figures.look import Chart
from delever.report.format import short_span
from delever.report.pages import comparison as page
from delever.report.pages.metric_tables import HEADLINE
from delever.report.pages.run_tables import what_if_table
from delever.research.answer import Answer
from delever.research.differences import Differences, differences, points_saved
from delever.research.evaluation import SCOPES, Evaluation, common_span, windowed
from delever.research.rungs import Rung, own_rungs
from delever.research.what_if import counterfactual_outcomes
from delever.stats.families import Measure
from delever.study.kept.provenance import canonical_json
from delever.study.kept.result import Result, plain
from delever.study.kept.stored import About
from delever.study.runs.answering import answer_over
from delever.study.runs.archive import measured
from delever.study.runs.remarks import one_of
from delever.study.runs.run import Run, load_run
from delever.study.runs.shelf import find
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs

MOST_RUNS = 30
_ITS_OWN = "its benchmark"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Comparison(Result):
    """Several runs measured over their common span.

    Attributes
    ----------
    runs : tuple of Run
        As they were given.
    evaluations : tuple of Evaluation
        The same runs over the common span.
    answers : tuple of Answer
        Of each run over the common span; without tests of luck where the run is longer.
    start, end : pandas.Timestamp
        The common span, UTC.
    differences : Differences
        From the benchmark and from each other, with tests.
    what_if : bool
        Whether the page shows the counterfactuals of each run.
    taken : mapping of str to str
        Names that were given, and the run that each stood for.
    """

    runs: tuple[Run, ...]
    evaluations: tuple[Evaluation, ...]
    answers: tuple[Answer, ...]
    start: pd.Timestamp
    end: pd.Timestamp
    differences: Differences
    what_if: bool = False
    taken: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """A name per run; the run's id is added where two share a name."""
        return _labels(self.runs)

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
    def days(self) -> float:
        """Elapsed days of the common span."""
        return (self.end - self.start) / pd.Timedelta(days=1)

    @property
    def notes(self) -> list[str]:
        """What makes the runs less comparable than they look."""
        out = short_span(self.days)
        spans = {run.evaluation.span for run in self.runs}
        if len(spans) > 1:
            out.append(
                "the runs cover different spans; every figure here is over the common one, "
                f"{self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"
            )
        if len({run.benchmark for run in self.runs}) > 1:
            told = zip(self.labels, self.runs, strict=True)
            each = ", ".join(f"{label} against {run.benchmark}" for label, run in told)
            out.append(f"each run is held against a benchmark of its own: {each}")
        if len({_data(run) for run in self.runs}) > 1:
            out.append("the runs were made with different data sets")
        if len({tuple(p.id for p in each.periods) for each in self.evaluations}) > 1 or (
            len({run.manifest.get("periods_sha256") for run in self.runs}) > 1
        ):
            out.append("the runs were made with different catalogues of deleveraging periods")
        if len({_costs(run) for run in self.runs}) > 1:
            out.append("the runs pay different costs")
        if self.differences.reason:
            out.append(self.differences.reason)
        return list(dict.fromkeys([*out, *self._labelled(run.notes for run in self.runs)]))

    @property
    def benchmark(self) -> str | None:
        """What the benchmark of all is called; None where each has its own."""
        each = page.own_benchmarks(dict(zip(self.labels, self.evaluations, strict=True)))
        return self.runs[0].benchmark if len(each) == 1 else None

    @property
    def assumptions(self) -> list[str]:
        """Those notes that say what was taken for granted; the others are warnings."""
        said = self._labelled(run.assumptions for run in self.runs)
        return [note for note in self.notes if note in said]

    def _labelled(self, notes: Iterable[Sequence[str]]) -> list[str]:
        """Each note once, behind the runs that it is about unless it is about all of them."""
        about: dict[str, list[str]] = {}
        for label, own, (then, now) in zip(self.labels, notes, self._trials, strict=True):
            before = [note for note in own if note != one_of(then)]
            for note in [*before, *([one_of(now, "these are among")] if now > 1 else [])]:
                about.setdefault(note, []).append(label)
        told = sorted(about.items(), key=lambda one: len(one[1]) < len(self.runs))
        return [
            note if len(runs) == len(self.runs) else f"{', '.join(runs)}: {note}"
            for note, runs in told
        ]

    @property
    def _trials(self) -> list[tuple[int, int]]:
        """Trials that each run knew of when it was made, and the most that any on its bars did."""
        made = [int(run.manifest.get("n_trials") or 1) for run in self.runs]
        on = [hash(each.bars["close"].to_numpy().tobytes()) for each in self.evaluations]
        most: dict[int, int] = {}
        for bars, count in zip(on, made, strict=True):
            most[bars] = max(count, most.get(bars, 1))
        return [(count, most[bars]) for bars, count in zip(on, made, strict=True)]

    @property
    def headline(self) -> str:
        """What each run saved in a period, what that cost, and the first of them."""
        return compared_sentence(dict(zip(self.labels, self.answers, strict=True)))

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Metrics of every run, how the runs differ, and their counterfactuals."""
        found = self.differences
        return {
            "metrics": self.metrics,
            "differences": _by_measure(found.benchmark),
            "may_be_best": found.best.rename("p_value").to_frame(),
            "pairs": _by_measure(found.pairs),
            "points_saved": self.points_saved,
            "correlation": found.correlation,
            "parameters": self.parameters,
            "counterfactuals": pd.concat(self.counterfactuals),
        }

    @property
    def points_saved(self) -> pd.DataFrame:
        """Return less the benchmark's, a row per period and a column per run."""
        return points_saved(dict(zip(self.labels, self.answers, strict=True)))

    @property
    def parameters(self) -> pd.DataFrame:
        """The parameters of each run (columns) by name (rows); those that differ stand first."""
        taken = {
            label: {key: str(value) for key, value in _params(run).items()}
            for label, run in zip(self.labels, self.runs, strict=True)
        }
        table = pd.DataFrame(taken, columns=list(self.labels), dtype=object)
        same = table.nunique(axis=1) <= 1  # of the runs that have it
        return table.loc[same.sort_values(kind="stable").index].rename_axis("parameter")

    @property
    def charts(self) -> dict[str, Chart]:
        """Growth and drawdown of the runs."""
        measured = dict(zip(self.labels, self.evaluations, strict=True))
        return page.charts(measured, benchmark=self.benchmark or _ITS_OWN)

    @property
    def summary(self) -> pd.DataFrame:
        """The first metrics of each run, in each scope."""
        return self.metrics.loc[list(HEADLINE)]

    def html(self) -> str:
        """The comparison as a page."""
        return page.render(
            dict(zip(self.labels, self.evaluations, strict=True)),
            parameters={
                label: _params(run) for label, run in zip(self.labels, self.runs, strict=True)
            },
            span=(self.start, self.end),
            benchmark=self.benchmark or _ITS_OWN,
            notes=self.notes,
            assumptions=self.assumptions,
            what_if=what_if_table(self.counterfactuals, self.refused, days=self.days)
            if self.what_if
            else None,
            headline=self.headline,
            answers=dict(zip(self.labels, self.answers, strict=True)),
            found=self.differences,
            rungs=self.rungs,
        )

    @property
    def rungs(self) -> dict[str, list[Rung]]:
        """What each run by itself tells of how far it is proven, over the span they share."""
        told = zip(self.labels, self.evaluations, self.answers, self.runs, strict=True)
        return {label: own_rungs(seen, said, run.what_if) for label, seen, said, run in told}

    @property
    def about(self) -> About:
        """What a listing says of it."""
        ids = [f"{run.name}/{run.manifest.get('run_id', 'not stored')}" for run in self.runs]
        return About(
            kind="comparison",
            name="-".join(dict.fromkeys(run.name for run in self.runs)),
            page="comparison.html",
            start=f"{self.start:%Y-%m-%d}",
            end=f"{self.end:%Y-%m-%d}",
            params={"runs": ids},
            inputs={"runs": ids, "what_if": self.what_if},
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``delever compare --json`` prints, the path of its page aside."""
        return {
            "headline": self.headline,
            "span": {"start": str(self.start), "end": str(self.end)},
            "notes": self.notes,
            "differences": _figures(self.differences),
            "points_saved": plain(self.points_saved),
            "parameters": plain(self.parameters),
            "counterfactuals": plain(self.counterfactuals),
            "rungs": {label: [asdict(one) for one in own] for label, own in self.rungs.items()},
            "runs": {
                label: measured(evaluation, found)
                for label, evaluation, found in zip(
                    self.labels, self.evaluations, self.answers, strict=True
                )
            },
        }


def compare(
    *runs: Run | Path | str,
    what_if: bool = False,
    workspace: Workspace | Path | str | None = None,
) -> Comparison:
    """Measure runs over the span they share.

    Parameters
    ----------
    *runs : Run, path or str
        Runs as `delever.run` and `delever.backtest` return them, or finished ones by any name that
        `delever.run` takes.
    what_if : bool
        Whether the page shows the counterfactuals of each run.
    workspace : path, optional
        Where finished runs are; by default the one at or above the current folder.

    Raises
    ------
    InputError
        If fewer than two or more than 30 are given, one is no run or there twice, they share no
        span, or a name stands for no finished run or for several.

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d", end="2015-01-01")
    >>> runs = [dl.backtest(market, name) for name in ("buy_and_hold", "support_breach")]
    >>> dl.compare(*runs).labels
    ('buy_and_hold', 'support_breach')
    """
    made, taken = [], {}
    for one in runs:
        if isinstance(one, str | Path):
            found = find(Workspace.find(workspace), one, ("run",))
            taken[str(one)] = found.said
            one = load_run(found.folder)
        if not isinstance(one, Run):
            raise InputError(
                "a comparison takes runs, as dl.run and dl.backtest return them, or names of "
                f"finished ones; got {shown(one)}"
            )
        made.append(one)
    if not 2 <= len(made) <= MOST_RUNS:
        raise InputError(
            f"a comparison needs at least two runs and takes no more than {MOST_RUNS}; "
            f"got {len(made)}"
        )
    labels = _labels(made)
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise InputError(f"a comparison needs different runs; {twice[0]} is among them twice")
    start, end = common_span([run.evaluation for run in made])
    evaluations = tuple(windowed(run.evaluation, start, end) for run in made)
    return Comparison(
        runs=tuple(made),
        evaluations=evaluations,
        answers=tuple(
            run.answer if each is run.evaluation else answer_over(each)
            for run, each in zip(made, evaluations, strict=True)
        ),
        start=start,
        end=end,
        differences=differences(dict(zip(labels, evaluations, strict=True))),
        what_if=what_if,
        taken=taken,
    )


def _labels(runs: Sequence[Run]) -> tuple[str, ...]:
    names = [run.name for run in runs]
    return tuple(
        name if names.count(name) == 1 else f"{name} {run.manifest.get('run_id', position + 1)}"
        for position, (name, run) in enumerate(zip(names, runs, strict=True))
    )


def _by_measure(tables: Mapping[Measure, pd.DataFrame]) -> pd.DataFrame:
    """One table, its columns by measure and figure; empty where nothing is tested."""
    return pd.concat(tables, axis=1) if tables else pd.DataFrame()


def _figures(found: Differences) -> dict[str, Any]:
    """Differences as a document: by run or pair, then by measure."""
    return {
        "confidence": found.confidence,
        "reason": found.reason,
        "against_benchmark": {m: plain(table) for m, table in found.benchmark.items()},
        "pairs": {
            m: plain(table.reset_index().to_dict("records")) for m, table in found.pairs.items()
        },
        "may_be_best": plain(found.best),
        "correlation": plain(found.correlation),
    }


def _data(run: Run) -> str:
    """What a run was made with: a data set, or those of several symbols."""
    told = run.manifest
    several = {name: one["data"] for name, one in (told.get("symbols") or {}).items()}
    return canonical_json(several or (told.get("data") or {}).get("sha256"))


def _params(run: Run) -> dict[str, Any]:
    """Parameters of a run, the same whether it was made now or read back."""
    return dict(sorted(plain(run.manifest.get("params", {})).items()))


def _costs(run: Run) -> tuple[Costs, str]:
    """What the fills of a run cost, by whatever says it: fractions, rules, models, stress."""
    study = run.manifest.get("study") or {}
    account = study.get("account") or {}
    said = [study.get("costs_times", 1.0), account.get("rules"), account.get("slippage")]
    return run.evaluation.backtest.costs, canonical_json(said)
