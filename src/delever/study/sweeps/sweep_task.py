"""A study file that is swept, and a part of it as a worker is given it: text and numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from delever.errors import ConfigError, StoreError
from delever.stats.metrics import AsMetric
from delever.study.kept.provenance import gather
from delever.study.ledger.trials import Ledger
from delever.study.machines.parcel import Content, parcel
from delever.study.portfolios.joint_inputs import gather_joint
from delever.study.settings.config import Study
from delever.study.settings.grid import Grid, combinations, with_axes
from delever.study.settings.portfolio_config import PortfolioStudy, study_model
from delever.study.sweeps.chunk import SweepGround, combination_maker, ground_of
from delever.study.sweeps.joint_ground import JointGround
from delever.study.sweeps.joint_sweep import joint_combination_maker, joint_ground_of
from delever.study.sweeps.swept_columns import parquet_bytes
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptStudy:
    """A study and what its combinations are made of."""

    study: Study
    ground: SweepGround | JointGround
    strategy: Strategy
    data: str  # what it is run on, in words
    combination: Callable[[Mapping[str, Any]], Any]  # of dotted keys and values
    manifest: Mapping[str, Any]
    ledger: Ledger
    carried: Callable[[], Mapping[str, Content]]  # the files that a cluster needs

    def trial(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The trial of a combination, as the ledger keeps it."""
        return self.ground.trial(self.combination(values))


def swept_study(study: Study, workspace: Workspace) -> SweptStudy:
    """Load everything that a study to be swept names. Raises what loading it raises."""
    if isinstance(study, PortfolioStudy):
        return _of_several(study, workspace)
    inputs = gather(study, workspace)
    ground = ground_of(study, inputs)
    return SweptStudy(
        study=study,
        ground=ground,
        strategy=inputs.strategy,
        data=study.data,
        combination=combination_maker(study, ground),
        manifest=inputs.manifest(study),
        ledger=Ledger.of(workspace, inputs.data.frame, study.data),
        carried=partial(parcel, study, inputs.strategies(study), inputs.datasets, workspace),
    )


def _of_several(study: PortfolioStudy, workspace: Workspace) -> SweptStudy:
    inputs = gather_joint(study, workspace)
    ground, strategy = joint_ground_of(study, inputs), inputs.rule.strategy
    assert isinstance(strategy, Strategy)
    manifest = inputs.manifest(study)
    data = str(manifest["study"]["data"])

    def carried() -> Mapping[str, Content]:
        raise ConfigError(
            "a cluster is sent what a study of one symbol names; of several symbols sweep in "
            "processes of this machine: give --workers"
        )

    return SweptStudy(
        study=study,
        ground=ground,
        strategy=strategy,
        data=data,
        combination=joint_combination_maker(study, inputs, workspace),
        manifest=manifest,
        ledger=ground.ledger(workspace, data),
        carried=carried,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Combinations by number, and the file that their results go to."""

    number: int  # place in the sweep
    file: str  # name, by place and content
    first: int
    last: int  # the one behind


class Measured(NamedTuple):
    """What a chunk came to."""

    rows: bytes  # Parquet, a row per combination, its values of the axes first
    without: tuple[int, ...]  # rows that have no result
    one_by_one: str  # why the strategy was not asked for all of them at once; empty where it was
    frame: pd.DataFrame | None = None  # the same rows, where they need not travel


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRunner:
    """Runs chunks wherever the workspace is, or what a cluster carried of it."""

    root: str  # folder of the workspace
    study: str  # the study as JSON
    inputs_id: str  # hash of all that the worker must find where the study points
    shared_bytes: int  # what shared indicators and what targets may take
    target_bytes: int
    metrics: tuple[AsMetric, ...] = ()  # beside those of the package and of extensions

    def at(self, root: Path) -> ChunkRunner:
        """The same in another folder."""
        return replace(self, root=str(root))

    def shared_by(self, workers: int) -> ChunkRunner:
        """The same where so many run at once."""
        shared, held = self.shared_bytes // workers, self.target_bytes // workers
        return replace(self, shared_bytes=shared, target_bytes=held)

    def __call__(self, chunk: Chunk) -> Measured:
        """Run the combinations of a chunk.

        Raises StoreError if strategy, data or anything else is not what the sweep began with.
        """
        return self.here(*_prepared(self.root, self.study, self.inputs_id), chunk)._replace(
            frame=None
        )

    def here(self, swept: SweptStudy, grid: Grid, chunk: Chunk) -> Measured:
        """The same where the study is at hand."""
        ground = swept.ground
        if self.metrics:
            ground = replace(ground, metrics=(*ground.metrics, *self.metrics))
        own = np.arange(chunk.first, chunk.last)
        rows = ground.rows(
            map(swept.combination, grid.some(own)),
            shared_bytes=self.shared_bytes,
            target_bytes=self.target_bytes,
        )
        # Files are named from the workspace, which a worker has elsewhere.
        rows["error"] = rows["error"].str.replace(f"{self.root}/", "", regex=False)
        without = np.flatnonzero(rows["error"] != "").tolist()
        frame = with_axes(rows, grid, own)
        return Measured(parquet_bytes(frame), tuple(without), ground.asking.why, frame)


@lru_cache(maxsize=1)
def _prepared(root: str, text: str, inputs_id: str) -> tuple[SweptStudy, Grid]:
    study = study_model(json.loads(text)).model_validate_json(text)
    assert study.sweep is not None
    swept = swept_study(study, Workspace(root=Path(root)))
    if swept.manifest["run_id"] != inputs_id:
        raise StoreError(
            f"strategy {swept.strategy.path}, data {study.data} and all else that the study names "
            "must stay as they were when the sweep began; something changed, or a worker runs "
            "other code; run the sweep again"
        )
    return swept, combinations(study.sweep)
