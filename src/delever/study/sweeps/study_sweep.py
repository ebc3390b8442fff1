"""A study's sweep: all combinations in chunks, to one frame and a ledger of trials.

Each chunk is a file that is whole or not there, so a sweep that was interrupted goes on where it
was. The ledger beside it remembers every combination ever tried on the same data.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from delever.bars import close_times
from delever.data.disk import Disk
from delever.engine.sweep_accounts import SWEPT_ACCOUNT
from delever.errors import ConfigError
from delever.stats.metrics import AsMetric, metric_of
from delever.study.kept.provenance import account_asked, canonical_json, metric_sha256, run_id
from delever.study.kept.stored import About, write_facts, write_index
from delever.study.ledger.trial_blocks import Bound, grid_trials
from delever.study.machines.cluster import Cluster
from delever.study.machines.executor import default_workers, open_executor, run_tasks
from delever.study.portfolios.joint_run import asked_params
from delever.study.settings.config import SweepConfig, explain
from delever.study.settings.grid import Grid, combinations
from delever.study.settings.portfolio_config import PortfolioStudy, load_any_study
from delever.study.sweeps.chosen import MOST_JUDGED, concluded
from delever.study.sweeps.joint_ground import JointCombination
from delever.study.sweeps.sweep_result import Sweep
from delever.study.sweeps.sweep_task import (
    Chunk,
    ChunkRunner,
    Measured,
    SweptStudy,
    swept_study,
)
from delever.study.sweeps.swept_columns import SweptColumns, parquet_bytes
from delever.study.workspaces.workspace import Workspace

Progress = Callable[[int, int, float], None]
"""Told combinations done, combinations in all, and seconds still to go."""

SWEPT_KEYS = {
    "costs": ("maker_fee", "taker_fee", "slippage", "liquidity"),
    "account": SWEPT_ACCOUNT,
}
_LEAST, _MOST, _PARTS = 512, 4_096, 5
"""Combinations of a chunk, and how many chunks there are of them between."""
_WORTH = 10.0  # seconds of work from which on processes of our own are worth their start
_ALONE = 16  # combinations of a chunk where each takes as long as a backtest


def sweep_study(
    path: Path,
    *,
    workspace: Workspace,
    overrides: Mapping[str, Any],
    workers: int | None,
    fresh: bool,
    cluster: str | Executor | None,
    progress: Progress,
    metrics: Sequence[AsMetric] = (),
) -> Sweep:
    """Run every combination of a study's ``[sweep]`` table that has no result yet.

    Raises ConfigError if the study has no ``[sweep]`` table, or one of its combinations is not
    valid; StoreError if strategy or data change meanwhile, or a stored chunk cannot be read;
    SimulationError if workers end or a cluster does not answer.
    """
    study = load_any_study(path, overrides)
    table = study.sweep
    if table is None:
        raise ConfigError(f"{path}: a sweep needs a [sweep] table; see docs/sweeps.md")
    chosen = combinations(table)
    swept = swept_study(study, workspace)
    bound = _checked(path, table, swept, chosen)
    manifest = _manifest(table, swept.manifest, chosen, metrics)
    folder = workspace.results / study.name / "sweeps" / manifest["sweep_id"]
    chunks = _chunks(chosen, alone=swept.ground.slow(swept.combination(chosen[0])))
    held = {chunk for chunk in chunks if not fresh and _stored(folder, chunk)}
    done = resumed = sum(chunk.last - chunk.first for chunk in held)
    todo = [chunk for chunk in chunks if chunk not in held]

    record = partial(_record, swept, table, chosen, bound, manifest["sweep_id"])
    for chunk in filter(held.__contains__, chunks):
        record(chunk, _without(folder, chunk))
    disk = Disk(root=folder)
    begun = time.monotonic()
    task = _task(swept, table, workspace, metrics)
    # A function of a notebook does not travel to processes of ours.
    workers = 1 if metrics and cluster is None else workers
    frames: list[pd.DataFrame] = []  # of a sweep that is judged whole, if all of it was run here
    with closing(_measured(task, todo, workers, cluster, swept, chosen)) as chunks_done:
        for chunk, measured in chunks_done:
            record(chunk, measured.without)
            if measured.frame is not None and len(chosen) <= MOST_JUDGED:
                frames.append(measured.frame)
            disk.write("chunks", {chunk.file: measured.rows})
            if measured.one_by_one:
                swept.ground.asking.one_by_one[chunk.number] = measured.one_by_one
            done += chunk.last - chunk.first
            rate = (time.monotonic() - begun) / (done - resumed)
            progress(done, len(chosen), rate * (len(chosen) - done))
    finished = concluded(
        swept.ground,
        _columns(frames, folder, chunks),
        chosen,
        swept.combination,
        name=study.name,
        data=swept.data,
        fixed=study.params,
        manifest=manifest,
        n_trials=swept.ledger.count(),
        ledger=swept.ledger,
        family=manifest["sweep_id"],
        folder=folder,
        resumed=resumed,
    )
    _write(disk, finished, swept, workspace.results)
    return finished


def _columns(frames: list[pd.DataFrame], folder: Path, chunks: Sequence[Chunk]) -> SweptColumns:
    if len(frames) == len(chunks):
        return SweptColumns(frame=pd.concat(frames, ignore_index=True))
    return SweptColumns(files=[folder / "chunks" / chunk.file for chunk in chunks])


def _without(folder: Path, chunk: Chunk) -> list[int]:
    """Rows without a result of a chunk that is stored."""
    there = SweptColumns(files=[folder / "chunks" / chunk.file]).read(["error"])
    return np.flatnonzero(there["error"] != "").tolist()


def _record(
    swept: SweptStudy,
    table: SweepConfig,
    chosen: Grid,
    bound: Bound,
    family: str,
    chunk: Chunk,
    without: Sequence[int],
) -> None:
    """Tell the ledger of the combinations of a chunk, but those without a result.

    Of a chunk that is stored it knows them, but not that they are this sweep's own.
    """
    rows = np.delete(np.arange(chunk.first, chunk.last), without)
    # The rule behind a strategy is the same in a block.
    together = rows[:0] if table.portfolio else rows
    alone, blocks = grid_trials(chosen, together, bound, swept.trial)
    swept.ledger.record(
        [*alone, *map(swept.trial, chosen.some(rows[len(together) :]))],
        by="sweep",
        study=swept.study.name,
        until=swept.ground.market.index[-1],
        blocks=blocks,
        family=family,
    )


def _task(
    swept: SweptStudy, table: SweepConfig, workspace: Workspace, metrics: Sequence[AsMetric]
) -> ChunkRunner:
    return ChunkRunner(
        root=str(workspace.root),
        study=swept.study.model_dump_json(by_alias=True),
        inputs_id=swept.manifest["run_id"],
        shared_bytes=table.memory * 2**20 // 2,
        target_bytes=table.memory * 2**20 // 4,  # a block's schedule holds them once more
        metrics=tuple(metrics),
    )


def _write(disk: Disk, finished: Sweep, swept: SweptStudy, results: Path) -> None:
    """Write what a sweep came to; its facts, by which it is listed, come last."""
    disk.write("", {"sweep.parquet": parquet_bytes(finished.frame)})
    disk.write("", {"splits.parquet": parquet_bytes(finished.splits)})
    disk.write("", {"sweep.html": finished.html().encode()})
    disk.write("", {"manifest.json": canonical_json(finished.manifest).encode()})
    disk.write("", {"found.json": json.dumps(finished.kept(), indent=2, allow_nan=False).encode()})
    write_facts(disk.root, _about(finished, swept), finished.headline)
    write_index(results)


def _measured(
    task: ChunkRunner,
    todo: Sequence[Chunk],
    workers: int | None,
    cluster: str | Executor | None,
    swept: SweptStudy,
    chosen: Grid,
) -> Generator[tuple[Chunk, Measured], None, None]:
    """Chunks and what they came to, wherever they are run."""
    here = partial(task.here, swept, chosen)
    if workers is None and cluster is None and len(todo) > 1:
        begun = time.process_time()  # on a busy machine processes of ours would wait as well
        one = here(todo[0])
        spent = time.process_time() - begun
        yield todo[0], one
        workers = 1 if spent * (len(todo) - 1) < _WORTH else None
        todo = todo[1:]
    workers = min(workers or default_workers(), max(len(todo), 1))
    with ExitStack() as opened:
        pool = opened.enter_context(open_executor(workers, cluster))
        if pool is None:
            yield from run_tasks(here, todo, None)
            return
        if isinstance(pool, Cluster):
            opened.enter_context(pool.carrying(swept.carried()))
            workers = pool.workers
        yield from run_tasks(task.shared_by(workers), todo, pool, ahead=max(2 * workers, 4))


def _about(sweep: Sweep, swept: SweptStudy) -> About:
    starts = sweep.frame["start"].dropna()
    study, market = swept.study, swept.ground.market
    end = study.end_time or close_times(market.index[-1:], market.timeframe)[0]
    return About(
        kind="sweep",
        name=sweep.name,
        page="sweep.html",
        start=f"{starts.min():%Y-%m-%d}" if len(starts) else "",
        end=f"{end:%Y-%m-%d}",
        params={"axes": list(sweep.axes), "combinations": len(sweep.frame)},
        inputs={
            "strategy": study.strategy,
            "data": swept.data,
            "account": account_asked(swept.manifest["study"]),
        },
    )


def _checked(
    path: Path,
    sweep: SweepConfig,
    swept: SweptStudy,
    chosen: Grid,
) -> Bound:
    """Values of parameters as the strategy takes them.

    Raises ConfigError for axes that a sweep does not cover and combinations that no run would take.
    """
    for table, names in SWEPT_KEYS.items():
        unknown = [name for name in getattr(sweep, table) if name not in names]
        if unknown:
            raise ConfigError(
                f"{path}: sweep.{table} takes {', '.join(names)}; got {', '.join(unknown)}; "
                "run studies that differ in it one by one"
            )
    study, strategy = swept.study, swept.strategy
    if sweep.portfolio and not isinstance(study, PortfolioStudy):
        raise ConfigError(
            f"{path}: sweep.portfolio goes with a study of several symbols; {study.data} is one; "
            "leave it out"
        )
    own = [axis for axis in chosen.axes if axis.startswith("params.")]
    first = {**study.params, **{axis[7:]: chosen[0][axis] for axis in own}}
    bound = {name: [value] for name, value in strategy.bind(first).items()}
    for axis, values in zip(chosen.axes, chosen.values, strict=True):
        if axis in own:  # each parameter is checked by itself
            name = axis[7:]
            bound[name] = [strategy.bind({**first, name: each})[name] for each in values]
    for rest in chosen.apart([axis for axis in chosen.axes if axis not in own]):
        try:
            made = swept.combination({**dict(zip(own, (chosen[0][axis] for axis in own),
                                                 strict=True)), **rest})  # fmt: skip
        except ValidationError as error:
            raise ConfigError(f"{path}: sweep: {explain(error, type(study))}") from None
    if isinstance(made, JointCombination):  # the rule behind a strategy is part of its trials
        bound |= {name: [value] for name, value in asked_params(made.rule).items()
                  if name not in bound}  # fmt: skip
    return bound


def _manifest(
    sweep: SweepConfig,
    inputs: Mapping[str, Any],
    chosen: Grid,
    metrics: Sequence[AsMetric],
) -> dict[str, Any]:
    made_from = {key: value for key, value in inputs.items() if key != "run_id"}
    made_from["sweep"] = sweep.model_dump(mode="json", by_alias=True, exclude={"memory"})
    made_from["combinations_sha256"] = chosen.sha256
    if metrics:
        made_from["metrics"] = {each.name: metric_sha256(each) for each in map(metric_of, metrics)}
    return {"sweep_id": run_id(made_from), "combinations": len(chosen), **made_from}


def _chunks(chosen: Grid, *, alone: bool) -> list[Chunk]:
    """Cut the combinations; where they are cut depends on nothing but their number."""
    size = _ALONE if alone else min(max(_LEAST, len(chosen) // _PARTS), _MOST)
    made = []
    for number, first in enumerate(range(0, len(chosen), size)):
        last = min(first + size, len(chosen))
        told = hashlib.sha256(f"{chosen.sha256} {first} {last}".encode()).hexdigest()
        file = f"{number:05d}-{told[:12]}.parquet"
        made.append(Chunk(number=number, file=file, first=first, last=last))
    return made


def _stored(folder: Path, chunk: Chunk) -> bool:
    return (folder / "chunks" / chunk.file).is_file()
