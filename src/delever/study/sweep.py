"""A sweep: all combinations of a study's axes, in chunks, to one frame and a ledger of trials.

Each chunk is a file that is whole or not there, so a sweep that was interrupted goes on where it
was. The ledger beside it remembers every combination ever tried on the same data.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock
from pydantic import ValidationError

from delever.data.disk import Disk
from delever.engine.sweep_metrics import asked_metrics, metric_names
from delever.errors import ConfigError, StoreError
from delever.report.figures.look import Chart
from delever.stats.metrics import AsMetric, metric_of
from delever.study.chunk import SWEPT_ACCOUNT, Chunk, applied, run_chunk
from delever.study.config import Study, SweepConfig, combinations, explain, load_study
from delever.study.executor import default_workers, open_executor, run_tasks
from delever.study.provenance import Inputs, canonical_json, gather, metric_sha256, run_id
from delever.study.result import Result, plain
from delever.study.workspace import Workspace

__all__ = ["SHOWN", "Progress", "Sweep", "n_trials", "sweep"]

SHOWN = ("sharpe_ratio", "cagr", "max_drawdown", "inside_total_return")
"""Metrics of a short table."""

Progress = Callable[[int, int, float], None]
"""Told combinations done, combinations in all, and seconds still to go."""

_SWEPT = {
    "costs": ("maker_fee", "taker_fee", "slippage", "liquidity"),
    "account": SWEPT_ACCOUNT,
}
_MOST = 512
_ID = slice(len('{"id": "'), len('{"id": "') + 16)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Sweep(Result):
    """A finished sweep.

    Attributes
    ----------
    name : str
        Of the study.
    frame : pandas.DataFrame
        One row per combination: a column per axis, ``start``, ``error`` and the metrics.
    axes : tuple of str
        Names of the axes' columns.
    manifest : mapping
        Everything it was made from.
    folder : Path or None
        Where it is stored.
    n_trials : int
        Combinations ever tried in this study on this data.
    resumed : int
        Combinations that were there already.
    """

    name: str
    frame: pd.DataFrame
    axes: tuple[str, ...]
    manifest: Mapping[str, Any]
    folder: Path | None = None
    n_trials: int = 0
    resumed: int = 0

    @property
    def best(self) -> pd.DataFrame:
        """The ten combinations with the highest Sharpe ratios."""
        from delever.report.pages.sweep_page import top

        return top(self.frame, 10)

    @property
    def headline(self) -> str:
        """The highest Sharpe ratio, where it was, and out of how many trials."""
        best, tried = self.best, max(self.n_trials, len(self.frame))
        if best.empty:
            return f"None of {len(self.frame):,} combinations has a Sharpe ratio."
        where = ", ".join(f"{axis} {best[axis].iloc[0]}" for axis in self.axes)
        return (
            f"The highest Sharpe ratio of {len(self.frame):,} combinations is "
            f"{best['sharpe_ratio'].iloc[0]:.2f} (at {where}); {tried:,} were ever tried on this "
            "data, and the best of so many looks good by luck alone."
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The best combinations, and all of them."""
        return {"best": self.best, "combinations": self.frame}

    @property
    def charts(self) -> dict[str, Chart]:
        """Maps of the first two axes, and every axis beside the metrics."""
        from delever.report.pages.sweep_page import charts

        return charts(self.frame, self.axes)

    @property
    def summary(self) -> pd.DataFrame:
        """The best combinations with their first metrics."""
        return self.best[[*self.axes, *SHOWN]]

    def html(self) -> str:
        """The sweep as a page."""
        from delever.report.pages.sweep_page import render

        return render(self.name, self.frame, axes=self.axes, manifest=self.manifest)

    def to_dict(self) -> dict[str, Any]:
        """What ``delever sweep --json`` prints."""
        best = self.best.head(1).drop(columns=["start", "error"]).to_dict("records")
        return {
            "sweep_id": self.manifest.get("sweep_id"),
            "folder": None if self.folder is None else str(self.folder),
            "headline": self.headline,
            "combinations": len(self.frame),
            "resumed": self.resumed,
            "failed": self.manifest["failed"],
            "n_trials": self.n_trials,
            "highest_sharpe_ratio": plain(best[0]) if best else None,
        }


def sweep(
    study: Path | str,
    set: Mapping[str, Any] | None = None,
    *,
    workers: int | None = None,
    fresh: bool = False,
    executor: Executor | None = None,
    progress: Progress = lambda done, total, left: None,
    metrics: Sequence[AsMetric] = (),
    workspace: Workspace | Path | str | None = None,
) -> Sweep:
    """Run every combination of a study's ``[sweep]`` table that has no result yet.

    Parameters
    ----------
    study : path
        A study file with a ``[sweep]`` table.
    set : mapping, optional
        Dotted keys of the study to values, such as ``{"sweep.samples": 100}``.
    workers : int, optional
        Processes; by default one per core.
    fresh : bool
        Run also what has a result.
    executor : concurrent.futures.Executor, optional
        Where chunks run, in place of processes of its own.
    progress : callable
        Told combinations done, combinations in all, and seconds still to go.
    metrics : sequence of Metric or of functions with `metric` above them
        A user's own, behind the package's. They are measured in this process, unless an `executor`
        is given that can send them. For those that a sweep's sums do not hold, each combination
        is also run by itself.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Sweep

    Raises
    ------
    ConfigError
        If the study has no ``[sweep]`` table, or one of its combinations is not valid.
    InputError
        If one of `metrics` is no metric, or has the name or label of another.
    StoreError
        If strategy or data change meanwhile, or a stored chunk cannot be read.
    """
    place = Workspace.find(workspace)
    path = place.file(Path(study))
    return _sweep_study(path, place, set or {}, workers, fresh, executor, progress, metrics)


def _sweep_study(
    path: Path,
    workspace: Workspace,
    overrides: Mapping[str, Any],
    workers: int | None,
    fresh: bool,
    executor: Executor | None,
    progress: Progress,
    metrics: Sequence[AsMetric],
) -> Sweep:
    study = load_study(path, overrides)
    table = study.sweep
    if table is None:
        raise ConfigError(f"{path}: a sweep needs a [sweep] table; see docs/sweeps.md")
    held_by_sums, from_a_run = asked_metrics(metrics)
    columns = [*metric_names(held_by_sums), *metric_names(from_a_run, totals=())]
    workers = 1 if metrics and executor is None else workers or default_workers()
    chosen = combinations(table)
    inputs = gather(study, workspace)
    _check(path, study, table, inputs, chosen)
    made_from = inputs.manifest(study)
    manifest = _manifest(table, made_from, chosen, metrics)
    folder = workspace.results / study.name / "sweeps" / manifest["sweep_id"]
    text = study.model_dump_json(by_alias=True)
    chunks = _chunks(text, made_from["run_id"], chosen, workspace, table.memory * 2**20 // workers)
    disk = Disk(root=folder)
    held = frozenset() if fresh else {chunk.number for chunk in chunks if _stored(folder, chunk)}
    todo = [chunk for chunk in chunks if chunk.number not in held]
    done = resumed = sum(len(chunk.combinations) for chunk in chunks if chunk.number in held)
    ledger = workspace.results / study.name / "trials" / f"{inputs.data.id[:16]}.jsonl"
    keys = _trial_keys(study, inputs)
    work = partial(run_chunk, metrics=tuple(metrics)) if metrics else run_chunk
    begun = time.monotonic()
    for chunk, rows in _run(todo, work, executor, workers):
        _record(ledger, [keys(combination) for combination in chunk.combinations])
        disk.write("chunks", {chunk.file: _parquet(rows)})
        done += len(chunk.combinations)
        rate = (time.monotonic() - begun) / (done - resumed)
        progress(done, len(chosen), rate * (len(chosen) - done))
    frame = _assemble(folder, chunks, chosen, columns)
    manifest |= {"n_trials": n_trials(ledger), "failed": int((frame["error"] != "").sum())}
    finished = Sweep(
        name=study.name,
        frame=frame,
        axes=tuple(table.axes),
        manifest=manifest,
        folder=folder,
        n_trials=manifest["n_trials"],
        resumed=resumed,
    )
    disk.write("", {"sweep.parquet": _parquet(frame)})
    disk.write("", {"sweep.html": finished.html().encode()})
    disk.write("", {"manifest.json": canonical_json(manifest).encode()})
    return finished


def n_trials(ledger: Path) -> int:
    """Distinct combinations that a ledger of trials holds; 0 where there is none."""
    return len(_tried(ledger))


def _run(
    todo: Sequence[Chunk],
    work: Callable[[Chunk], pd.DataFrame],
    executor: Executor | None,
    workers: int,
) -> Iterator[tuple[Chunk, pd.DataFrame]]:
    if executor is not None:
        yield from run_tasks(work, todo, executor)
        return
    with open_executor(min(workers, max(len(todo), 1))) as pool:
        yield from run_tasks(work, todo, pool, ahead=2 * workers)


def _check(
    path: Path,
    study: Study,
    sweep: SweepConfig,
    inputs: Inputs,
    chosen: Sequence[Mapping[str, Any]],
) -> None:
    """Refuse axes that a sweep does not cover and combinations that no run would take."""
    for table, names in _SWEPT.items():
        unknown = [name for name in getattr(sweep, table) if name not in names]
        if unknown:
            raise ConfigError(
                f"{path}: sweep.{table} takes {', '.join(names)}; got {', '.join(unknown)}; "
                "run studies that differ in it one by one"
            )
    seen = set()
    for combination in chosen:
        params = {k[7:]: v for k, v in combination.items() if k.startswith("params.")}
        rest = {k: v for k, v in combination.items() if not k.startswith("params.")}
        inputs.strategy.bind({**study.params, **params})
        if (text := json.dumps(rest, sort_keys=True)) not in seen:
            seen.add(text)
            try:
                applied(study, rest)
            except ValidationError as error:
                raise ConfigError(f"{path}: sweep: {explain(error, Study)}") from None


def _manifest(
    sweep: SweepConfig,
    inputs: Mapping[str, Any],
    chosen: Sequence[Mapping[str, Any]],
    metrics: Sequence[AsMetric],
) -> dict[str, Any]:
    made_from = {key: value for key, value in inputs.items() if key != "run_id"}
    made_from["sweep"] = sweep.model_dump(mode="json", by_alias=True, exclude={"memory"})
    made_from["combinations_sha256"] = _digest(chosen)
    if metrics:
        made_from["metrics"] = {each.name: metric_sha256(each) for each in map(metric_of, metrics)}
    return {"sweep_id": run_id(made_from), "combinations": len(chosen), **made_from}


def _digest(combinations: Sequence[Mapping[str, Any]]) -> str:
    return hashlib.sha256(canonical_json(combinations).encode()).hexdigest()


def _chunks(
    study: str,
    inputs_id: str,
    chosen: Sequence[Mapping[str, Any]],
    workspace: Workspace,
    budget: int,
) -> list[Chunk]:
    """Cut the combinations; the budget is what a worker may hold of a chunk, in bytes."""
    parts = [tuple(chosen[first : first + _MOST]) for first in range(0, len(chosen), _MOST)]
    return [
        Chunk(
            number=number,
            file=f"{number:05d}-{_digest(part)[:12]}.parquet",
            root=str(workspace.root),
            study=study,
            inputs_id=inputs_id,
            combinations=part,
            shared_bytes=budget // 2,
            target_bytes=budget // 4,  # a block's schedule holds them once more
        )
        for number, part in enumerate(parts)
    ]


def _stored(folder: Path, chunk: Chunk) -> bool:
    return (folder / "chunks" / chunk.file).is_file()


def _assemble(
    folder: Path,
    chunks: Sequence[Chunk],
    chosen: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
) -> pd.DataFrame:
    parts = []
    for chunk in chunks:
        file = folder / "chunks" / chunk.file
        try:
            parts.append(pd.read_parquet(file))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{file} must be readable; {error}; run the sweep with --fresh"
            ) from None
    rows = pd.concat(parts, ignore_index=True)
    names = [*chosen[0]]
    axes = pd.DataFrame({name: _column([one[name] for one in chosen]) for name in names})
    return pd.concat([axes, rows[["start", "error", *columns]]], axis=1)


def _column(values: Sequence[Any]) -> Sequence[Any]:
    """Values of an axis as a column: of one kind, else as JSON."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if numbers or all(isinstance(v, str) for v in values):
        return values
    return [json.dumps(value) for value in values]


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _trial_keys(study: Study, inputs: Inputs) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What identifies a trial: strategy, all its parameters, costs, account and span."""
    span: dict[str, Any] = {"start": str(study.start), "end": str(study.end)}
    if study.costs_times != 1.0:
        span["costs_times"] = study.costs_times
    strategy = {"name": inputs.strategy.name, "sha256": inputs.strategy.sha256}

    def key(combination: Mapping[str, Any]) -> dict[str, Any]:
        tables: dict[str, dict[str, Any]] = {
            "params": {**study.params},
            "costs": {} if study.costs is None else study.costs.model_dump(),
            "account": study.model_dump(include={"account"})["account"] or {},
        }
        for name, value in combination.items():
            table, _, own = name.partition(".")
            tables[table][own] = value
        tables["params"] = inputs.strategy.bind(tables["params"])
        trial = {"strategy": strategy, **span, **tables}
        text = json.dumps(trial, sort_keys=True, default=str)
        return {"id": hashlib.sha256(text.encode()).hexdigest()[:16], **trial}

    return key


def _record(ledger: Path, trials: Sequence[Mapping[str, Any]]) -> None:
    """Append trials that the ledger does not hold yet."""
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{ledger}.lock"):
        known = _tried(ledger)
        lines = [json.dumps(one, default=str) for one in trials]  # the id stands first
        new = [line for line, one in zip(lines, trials, strict=True) if one["id"] not in known]
        with ledger.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in new)


def _tried(ledger: Path) -> set[str]:
    if not ledger.is_file():
        return set()
    with ledger.open(encoding="utf-8") as file:
        return {line[_ID] for line in file}
