"""A study file that is swept, of one symbol or of several, with all that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from delever.errors import ConfigError
from delever.study.kept.provenance import gather
from delever.study.ledger.trials import Ledger
from delever.study.machines.parcel import Content, parcel
from delever.study.portfolios.joint_inputs import gather_joint
from delever.study.settings.config import Study
from delever.study.settings.portfolio_config import PortfolioStudy
from delever.study.sweeps.chunk import SweepGround, combination_maker, ground_of
from delever.study.sweeps.joint_ground import JointGround
from delever.study.sweeps.joint_sweep import joint_combination_maker, joint_ground_of
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
