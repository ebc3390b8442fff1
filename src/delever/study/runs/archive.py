"""A run's folder: what it holds, written whole or not at all, and read back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from delever.data.parts import read_table
from delever.deleveraging.membership import overlapping
from delever.deleveraging.period import load_catalog
from delever.deleveraging.phases import PHASES
from delever.engine.backtest import Backtest
from delever.engine.legs import Margin
from delever.engine.portfolio import PortfolioBacktest
from delever.errors import NotStoredError, StoreError
from delever.research.answer import Answer
from delever.research.evaluation import SCOPES, Evaluation, evaluate
from delever.research.luck import no_test
from delever.research.what_if import WhatIf, no_paths
from delever.stats.metrics import AsMetric, register
from delever.study.kept.provenance import account_asked, canonical_json, code_sha256, file_sha256
from delever.study.kept.result import plain
from delever.study.kept.stored import LISTED, About, placed, write_facts
from delever.study.runs.answering import answer_over, restored, stored
from delever.venues.costs import Costs

MANIFEST, METRICS, TEARSHEET = "manifest.json", "metrics.json", "tearsheet.html"
WHAT_IF = "counterfactuals.parquet"
PERIODS = "periods.toml"
LINES = "lines.parquet"
CLOSES = "closes.parquet"

_ANOTHER = "made by another version of the code, which may have meant something else; run it again"


def measured(evaluation: Evaluation, found: Answer) -> dict[str, Any]:
    """The answer of a run, and every metric of it and of its benchmark by scope, for JSON.

    What is undefined is None; outside its scopes a metric has no key.
    """

    def table(frame: pd.DataFrame) -> dict[str, Any]:
        return {
            str(scope): {
                str(name): plain(value)
                for name, value in column.items()
                if evaluation.scope(str(scope)) in evaluation.metric(str(name)).scopes
            }
            for scope, column in frame.items()
        }

    return {
        "study": evaluation.name,
        "answer": stored(found),
        "metrics": table(evaluation.metrics),
        "benchmark": table(evaluation.benchmark_metrics),
    }


def is_complete(folder: Path) -> bool:
    """Whether a run was written to the end."""
    return (folder / MANIFEST).is_file()


def damage(folder: Path) -> str:
    """What is wrong with a run's files, by their sha256 in its manifest; empty when nothing is."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        for name, sha256 in files.items():
            path = folder / name
            if not path.is_file():
                return f"{path} is missing"
            if file_sha256(path) != sha256:
                return f"{path} is not what was written"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{folder / MANIFEST} is no manifest of a run"
    return ""


def write_run(
    folder: Path,
    evaluation: Evaluation,
    made: Answer,
    found: WhatIf,
    manifest: Mapping[str, Any],
    *,
    headline: str,
    tearsheet: str,
    periods: Path,
) -> None:
    """Write every file of a run, then put the folder in place in one step.

    Raises StoreError if the disk refuses; what was there before is left as it was.
    """
    with placed(folder, folder.parent.parent) as draft:
        for prefix, run in (("", evaluation.backtest), ("benchmark_", evaluation.benchmark)):
            tables = {"equity": run.ledger, "fills": run.fills, "trades": run.trades}
            if run.bounds is not None:
                tables["bounds"] = run.bounds
            if isinstance(run, PortfolioBacktest):
                tables["legs"] = pd.concat(dict(run.legs), names=["symbol"]).reset_index("symbol")
            for name, frame in tables.items():
                frame.to_parquet(draft / f"{prefix}{name}.parquet", compression="zstd")
        evaluation.bars.to_parquet(draft / "bars.parquet", compression="zstd")
        if evaluation.closes is not None:
            evaluation.closes.to_parquet(draft / CLOSES, compression="zstd")
        if len(evaluation.lines.columns):
            evaluation.lines.to_parquet(draft / LINES, compression="zstd")
        if len(found.paths):
            found.paths.to_parquet(draft / WHAT_IF, compression="zstd")
        (draft / METRICS).write_text(canonical_json(measured(evaluation, made)), encoding="utf-8")
        (draft / TEARSHEET).write_text(tearsheet, encoding="utf-8")
        shutil.copyfile(periods, draft / PERIODS)
        write_facts(draft, _about(evaluation, manifest), headline)
        files = {path.name: file_sha256(path) for path in sorted(draft.iterdir())}
        whole = canonical_json({**manifest, "files": files})
        (draft / MANIFEST).write_text(whole, encoding="utf-8")


def _about(evaluation: Evaluation, manifest: Mapping[str, Any]) -> About:
    whole = evaluation.metrics["whole"]
    return About(
        kind="run",
        name=evaluation.name,
        page=TEARSHEET,
        start=manifest["span"]["start"][:10],
        end=manifest["span"]["end"][:10],
        params=manifest["params"],
        inputs={
            **{name: manifest["study"][name] for name in ("strategy", "data")},
            "account": account_asked(manifest["study"]),
        },
        metrics={name: plain(whole[name]) for name in LISTED},
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a finished run.

    Raises NotStoredError if there is no finished run in the folder.
    """
    if not is_complete(folder):
        raise NotStoredError(
            f"a folder of a finished run (with {MANIFEST}) is required; {folder} is none"
        )
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return manifest


def read_evaluation(folder: Path, metrics: Sequence[AsMetric] = ()) -> Evaluation:
    """Read a run's tables and metrics, on the periods it was made with.

    A run of another version of the package is measured anew, as this one measures.

    Raises StoreError if a file of the run is missing or changed; ``--fresh`` makes the run again.
    """
    manifest = read_manifest(folder)
    wrong = damage(folder)
    if wrong:
        raise StoreError(f"a run's files must be as they were written; {wrong}; run it --fresh")

    def table(name: str) -> pd.DataFrame:
        return read_table(folder / f"{name}.parquet")

    def side(prefix: str) -> Backtest:
        settings = manifest["simulation"]["backtest" if not prefix else "benchmark"]
        bounds, legs = f"{prefix}bounds", f"{prefix}legs"
        parts: dict[str, Any] = {}
        if (folder / f"{legs}.parquet").is_file():
            several = settings["margin"] == "multi_asset"
            counted = settings["counted"] if several else None
            margin = Margin(mode=settings["margin"], counted=counted)
            rows = table(legs).groupby("symbol", sort=False)
            each = {str(name): own.drop(columns="symbol") for name, own in rows}
            parts = {"legs": each, "margin": margin}
        kind = PortfolioBacktest if parts else Backtest
        return kind(
            **parts,
            timeframe=settings["timeframe"],
            initial_equity=settings["initial_equity"],
            costs=Costs(**{k: v for k, v in settings["costs"].items() if k != "models"}),
            ledger=table(f"{prefix}equity"),
            fills=table(f"{prefix}fills"),
            trades=table(f"{prefix}trades"),
            pending_target=settings["pending_target"],
            fidelity=tuple(settings["fidelity"]),
            ambiguous_bars=settings["ambiguous_bars"],
            bounds=table(bounds) if (folder / f"{bounds}.parquet").is_file() else None,
        )

    run, bars, periods = side(""), table("bars"), load_catalog(folder / PERIODS)
    parts: dict[str, Any] = {
        "name": manifest["study"]["name"],
        "backtest": run,
        "benchmark": side("benchmark_"),
        "bars": bars,
        "lines": table("lines") if (folder / LINES).is_file() else bars[[]],
        "undecided": manifest.get("undecided", 0),
        "closes": table("closes") if (folder / CLOSES).is_file() else None,
    }
    if manifest["code_sha256"] != code_sha256():
        return evaluate(**parts, periods=periods, metrics=metrics)
    registry = register(metrics)
    seen = overlapping(periods, pd.DatetimeIndex(run.ledger.index), run.timeframe)
    stored = json.loads((folder / METRICS).read_text(encoding="utf-8"))

    def measured_then(whose: str) -> pd.DataFrame:
        columns = [c for c in (*SCOPES, *PHASES, *(p.id for p in seen)) if c in stored[whose]]
        index = pd.Index(list(registry), name="metric", dtype="object")
        table = pd.DataFrame(stored[whose], index, columns, dtype="float64")
        return table.rename_axis(columns="scope")

    return Evaluation(
        **parts,
        periods=seen,
        registry=registry,
        metrics=measured_then("metrics"),
        benchmark_metrics=measured_then("benchmark"),
    )


def read_answer(folder: Path, evaluation: Evaluation) -> Answer:
    """Answer of a finished run; of tests of luck that another version made, that they were made."""
    document = json.loads((folder / METRICS).read_text(encoding="utf-8"))["answer"]
    if read_manifest(folder)["code_sha256"] == code_sha256():
        return restored(document)
    made: dict[str, Any] = {
        name: no_test(_ANOTHER) for name in ("timing", "redrawn") if document.get(name)
    }
    return replace(answer_over(evaluation), **made)


def read_what_if(folder: Path) -> WhatIf:
    """Counterfactuals of a finished run."""
    manifest = read_manifest(folder)
    path = folder / WHAT_IF
    return WhatIf(
        initial_equity=manifest["simulation"]["backtest"]["initial_equity"],
        paths=read_table(path) if path.is_file() else no_paths(),
        refused=manifest.get("refused_counterfactuals", {}),
    )
