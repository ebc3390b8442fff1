"""What a sweep came to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import pandas as pd

from delever.arguments import counted
from delever.errors import StoreError
from delever.report import sweep_words as words
from delever.report.figures.look import Chart
from delever.report.pages import sweep_page as page
from delever.research.choosing import Choosing, Gained
from delever.research.deflation import Deflation
from delever.research.finalists import Finalists
from delever.research.plateau import Terrain
from delever.research.swept import NEIGHBOURS, RANKED_BY, Swept
from delever.stats.overfitting import of_splits
from delever.study.kept.result import Result, plain
from delever.study.sweeps.swept_columns import SweptColumns

SHOWN = (RANKED_BY, NEIGHBOURS, "cagr", "max_drawdown", "inside_total_return", "liquidations")
"""Metrics of a short table."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Sweep(Swept, Result):
    """A finished sweep.

    Attributes
    ----------
    name : str
        Of the study.
    frame : pandas.DataFrame
        One row per combination: a column per axis, ``start``, ``first_decision`` (open of the bar
        at whose close the strategy first decides), ``error`` and the metrics;
        ``neighbours_sharpe_ratio`` is the median over the combinations beside it.
    axes : tuple of str
        Names of the axes' columns.
    manifest : mapping
        Everything it was made from.
    about : mapping
        What was swept, on what, and how much of it, in words.
    columns : SweptColumns
        All columns of all combinations, read as they are asked for: those of the frame, and of a
        sweep of more than 100,000 combinations the metrics that it leaves out.
    terrain : Terrain or None
        Rows of the best combination and of the best plateau; None where there is none.
    benchmark : pandas.Series or None
        Metrics of the benchmark over the bars of the best combination.
    deflation : Deflation or None
        What the number of trials leaves of the best; None where there is too little to tell.
    choosing : Choosing or None
        What choosing on part of the time came to.
    finalists : Finalists or None
        The best of the first half, tested against the benchmark on the second.
    folder : Path or None
        Where it is stored.
    n_trials : int
        Combinations ever tried in this study on this data.
    asked : int
        Combinations asked for; a sample of few values repeats some, and each is run once.
    resumed : int
        Combinations that were there already.
    """

    manifest: Mapping[str, Any]
    columns: SweptColumns
    folder: Path | None = None
    resumed: int = 0

    @property
    def best(self) -> pd.DataFrame:
        """The ten combinations with the highest Sharpe ratios."""
        return page.top(self.frame, 10)

    @property
    def sums(self) -> pd.DataFrame:
        """A row per combination: sums over parts of the time, 0 where it had not begun.

        Of returns, of their squares, log growth and closed trades; see `docs/sweeps.md`.
        """
        return self.columns.read(self.columns.sums)

    @property
    def headline(self) -> str:
        """The best beside the benchmark, and whether it is luck."""
        return words.headline(self)

    @property
    def grounds(self) -> list[str]:
        """What the headline rests on: trials, neighbours, and choosing on part of the time."""
        return words.grounds(self)

    @property
    def splits(self) -> pd.DataFrame:
        """Every way of halving the time: what was chosen, its Sharpe ratios, its rank's logit."""
        told = None if self.choosing is None else self.choosing.overfitting
        names = ("logits", "chosen", "inside", "outside")
        return pd.DataFrame({} if told is None else {name: getattr(told, name) for name in names})

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the data and of the combinations."""
        return [*self.manifest.get("notes", ()), *words.notes(self)]

    @property
    def refusal(self) -> str:
        """Why no combination has a result; empty where one has."""
        errors = self.frame["error"]
        if (errors == "").any():
            return ""
        why = errors.value_counts()
        more = f" (and {counted(len(why) - 1, 'other reason')})" if len(why) > 1 else ""
        return f"every one of {len(errors):,} combinations was refused: {why.index[0]}{more}"

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The best, the best beside the benchmark, why some have no result, and all."""
        found = {
            "best": self.best,
            "compared": words.compared(self),
            "without_result": words.reasons(self.frame),
        }
        return {name: table for name, table in found.items() if len(table)} | {
            "combinations": self.frame
        }

    @property
    def charts(self) -> dict[str, Chart]:
        """Maps of the first two axes, and every axis beside the metrics."""
        return page.charts(self)

    @property
    def summary(self) -> pd.DataFrame:
        """The best combinations with their first metrics."""
        return self.best[[*self.axes, *SHOWN]]

    def html(self) -> str:
        """The sweep as a page."""
        return page.render(self, self.manifest)

    def to_dict(self) -> dict[str, Any]:
        """What ``delever sweep --json`` prints."""
        rows = self.frame.drop(columns=["start", "first_decision", "error"], errors="ignore")
        found = self.terrain
        best = None if found is None else plain(rows.iloc[found.peak])
        return {
            "sweep_id": self.manifest.get("sweep_id"),
            "folder": None if self.folder is None else str(self.folder),
            "headline": self.headline,
            "grounds": self.grounds,
            "notes": self.notes,
            "about": dict(self.about),
            "combinations": len(self.frame),
            "asked": self.asked,
            "resumed": self.resumed,
            "failed": self.manifest["failed"],
            "reasons": words.reasons(self.frame)["combinations"].to_dict(),
            "n_trials": self.n_trials,
            "highest_sharpe_ratio": best,
            "best_plateau": None if found is None else plain(rows.iloc[found.plateau]),
            "stands_alone": None if found is None else found.alone,
            "benchmark": plain(self.benchmark),
            "deflation": None if self.deflation is None else plain(asdict(self.deflation)),
        }

    def kept(self) -> dict[str, Any]:
        """What is stored of it beside its frames and its manifest."""
        return {
            "about": dict(self.about),
            "terrain": None if self.terrain is None else plain(asdict(self.terrain)),
            "benchmark": plain(self.benchmark),
            "benchmark_name": None if self.benchmark is None else str(self.benchmark.name),
            "deflation": None if self.deflation is None else plain(asdict(self.deflation)),
            "choosing": None if self.choosing is None else _kept_choice(self.choosing),
            "finalists": None if self.finalists is None else _kept_finalists(self.finalists),
        }


def _kept_choice(found: Choosing) -> dict[str, Any]:
    tables = ("periods", "eras", "paths")
    return {
        **{name: plain(getattr(found, name).to_dict("records")) for name in tables},
        "gained": {by: plain(asdict(mean)) for by, mean in found.gained.items()},
    }


def _kept_finalists(found: Finalists) -> dict[str, Any]:
    kept = {each.name: getattr(found, each.name) for each in fields(found)}
    return cast(dict[str, Any], plain({**kept, "table": found.table.to_dict("records")}))


def _finalists(kept: Mapping[str, Any]) -> Finalists:
    stamps = {name: pd.Timestamp(kept[name]) for name in ("start", "end")}
    rows = [_numbers(row) for row in kept["table"]]
    return Finalists(**{**kept, **stamps, "table": pd.DataFrame(rows)})


def _choice(kept: Mapping[str, Any], folder: Path) -> Choosing:
    tables = {name: pd.DataFrame(kept[name]) for name in ("periods", "eras", "paths")}
    for name in ("start", "end"):
        for table in tables.values():
            if name in table:
                table[name] = pd.to_datetime(table[name], utc=True)
    told = pd.read_parquet(folder / "splits.parquet")
    return Choosing(
        overfitting=of_splits(**{str(name): told[name].to_numpy() for name in told})
        if len(told)
        else None,
        gained={by: Gained(**mean) for by, mean in kept["gained"].items()},
        **tables,
    )


def read_sweep(folder: Path) -> Sweep:
    """A sweep from the folder it was stored in."""
    frame = pd.read_parquet(folder / "sweep.parquet")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    kept = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    columns = [str(name) for name in frame]
    terrain, benchmark, deflation = kept["terrain"], kept["benchmark"], kept["deflation"]
    choice, best = kept["choosing"], kept.get("finalists")
    if deflation is not None and deflation.keys() != {each.name for each in fields(Deflation)}:
        raise StoreError(
            f"{folder / 'found.json'} must hold what this version finds of a sweep; another wrote "
            "it; run the sweep again, which takes its combinations from what is stored"
        )
    return Sweep(
        name=manifest["study"]["name"],
        frame=frame,
        axes=tuple(columns[: columns.index("start")]),  # they stand first
        manifest=manifest,
        about=kept["about"],
        columns=SweptColumns(files=sorted((folder / "chunks").glob("*.parquet"))),
        terrain=None if terrain is None else Terrain(**terrain),
        benchmark=None
        if benchmark is None
        else pd.Series(benchmark, name=kept["benchmark_name"], dtype="float64"),
        deflation=None if deflation is None else Deflation(**_numbers(deflation)),
        choosing=None if choice is None else _choice(choice, folder),
        finalists=None if best is None else _finalists(best),
        folder=folder,
        n_trials=manifest["n_trials"],
        asked=manifest.get("asked", len(frame)),
        resumed=len(frame),
    )


def _numbers(kept: Mapping[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in kept.items()}
