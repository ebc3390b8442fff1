"""A study's sweep: all combinations in chunks, to one frame and a ledger of trials.

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
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from delever.data.disk import Disk
from delever.engine.sweep_accounts import SWEPT_ACCOUNT
from delever.errors import ConfigError, StoreError
from delever.stats.metrics import AsMetric, metric_of
from delever.study.by_itself import why_by_itself
from delever.study.chosen import concluded
from delever.study.chunk import (
    Chunk,
    Combination,
    SweepGround,
    applied,
    combination_maker,
    ground_of,
    run_chunk,
    swept_trial,
)
from delever.study.config import (
    Study,
    SweepConfig,
    asked_for,
    combinations,
    explain,
    load_study,
)
from delever.study.executor import default_workers, open_executor, run_tasks
from delever.study.provenance import Inputs, canonical_json, gather, metric_sha256, run_id
from delever.study.stored import About, write_facts, write_index
from delever.study.sweep_result import Sweep
from delever.study.trials import Ledger
from delever.study.workspace import Workspace

Progress = Callable[[int, int, float], None]
"""Told combinations done, combinations in all, and seconds still to go."""

SWEPT_KEYS = {
    "costs": ("maker_fee", "taker_fee", "slippage", "liquidity"),
    "account": SWEPT_ACCOUNT,
}
_MOST = 512
_ALONE = 16  # combinations of a chunk where each takes as long as a backtest


def sweep_study(
    path: Path,
    *,
    workspace: Workspace,
    overrides: Mapping[str, Any],
    workers: int | None,
    fresh: bool,
    executor: Executor | None,
    progress: Progress,
    metrics: Sequence[AsMetric] = (),
) -> Sweep:
    """Run every combination of a study's ``[sweep]`` table that has no result yet.

    Raises ConfigError if the study has no ``[sweep]`` table, or one of its combinations is not
    valid; StoreError if strategy or data change meanwhile, or a stored chunk cannot be read.
    """
    study = load_study(path, overrides)
    table = study.sweep
    if table is None:
        raise ConfigError(f"{path}: a sweep needs a [sweep] table; see docs/sweeps.md")
    workers = 1 if metrics and executor is None else workers or default_workers()
    chosen = combinations(table)
    inputs = gather(study, workspace)
    _check(path, study, table, inputs, chosen)
    made_from = inputs.manifest(study)
    manifest = _manifest(table, made_from, chosen, metrics)
    folder = workspace.results / study.name / "sweeps" / manifest["sweep_id"]
    text = study.model_dump_json(by_alias=True)
    ground = ground_of(study, inputs)
    most = _ALONE if why_by_itself(ground) else _MOST
    budget = table.memory * 2**20 // workers
    chunks = _chunks(text, made_from["run_id"], chosen, workspace, budget, most)
    disk = Disk(root=folder)
    held = frozenset() if fresh else {chunk.number for chunk in chunks if _stored(folder, chunk)}
    todo = [chunk for chunk in chunks if chunk.number not in held]
    done = resumed = sum(len(chunk.combinations) for chunk in chunks if chunk.number in held)
    ledger = Ledger.of(workspace, inputs.data.frame, study.data)
    combination = combination_maker(study, ground)
    work = partial(run_chunk, metrics=tuple(metrics)) if metrics else run_chunk
    begun = time.monotonic()
    for chunk, rows in _run(todo, work, executor, workers):
        _record(ledger, chunk, rows, combination, ground, study.name)
        disk.write("chunks", {chunk.file: _parquet(rows)})
        done += len(chunk.combinations)
        rate = (time.monotonic() - begun) / (done - resumed)
        progress(done, len(chosen), rate * (len(chosen) - done))
    finished = concluded(
        ground,
        _assemble(folder, chunks),
        chosen,
        combination,
        name=study.name,
        data=study.data,
        fixed=study.params,
        manifest=manifest,
        n_trials=ledger.count(),
        asked=asked_for(table),
        folder=folder,
        resumed=resumed,
    )
    disk.write("", {"sweep.parquet": _parquet(finished.frame)})
    disk.write("", {"sums.parquet": _parquet(finished.sums)})
    disk.write("", {"splits.parquet": _parquet(finished.splits)})
    disk.write("", {"sweep.html": finished.html().encode()})
    disk.write("", {"manifest.json": canonical_json(finished.manifest).encode()})
    disk.write("", {"found.json": json.dumps(finished.kept(), indent=2, allow_nan=False).encode()})
    write_facts(folder, _about(finished, study), finished.headline)
    write_index(workspace.results)
    return finished


def _record(
    ledger: Ledger,
    chunk: Chunk,
    rows: pd.DataFrame,
    combination: Callable[[Mapping[str, Any]], Combination],
    ground: SweepGround,
    study: str,
) -> None:
    """Put the combinations of a chunk that have a result into the ledger."""
    trial = swept_trial(ground)
    tried = zip(chunk.combinations, rows["error"], strict=True)
    made = [trial(combination(one)) for one, error in tried if not error]
    ledger.record(made, by="sweep", study=study, until=ground.market.index[-1])


def _about(sweep: Sweep, study: Study) -> About:
    starts = sweep.frame["start"].dropna()
    end = study.end_time or pd.Timestamp(sweep.manifest["data"]["end"])
    return About(
        kind="sweep",
        name=sweep.name,
        page="sweep.html",
        start=f"{starts.min():%Y-%m-%d}" if len(starts) else "",
        end=f"{end:%Y-%m-%d}",
        params={"axes": list(sweep.axes), "combinations": len(sweep.frame)},
        inputs={name: getattr(study, name) for name in ("strategy", "data")},
    )


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
    for table, names in SWEPT_KEYS.items():
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
    most: int,
) -> list[Chunk]:
    """Cut the combinations; the budget is what a worker may hold of a chunk, in bytes."""
    parts = [tuple(chosen[first : first + most]) for first in range(0, len(chosen), most)]
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


def _assemble(folder: Path, chunks: Sequence[Chunk]) -> pd.DataFrame:
    parts = []
    for chunk in chunks:
        file = folder / "chunks" / chunk.file
        try:
            parts.append(pd.read_parquet(file))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{file} must be readable; {error}; run the sweep with --fresh"
            ) from None
    return pd.concat(parts, ignore_index=True)


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, compression="zstd")
    return buffer.getvalue()
