"""A study file that is swept, of one symbol or of several, with all that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from delever.study.kept.provenance import gather
from delever.study.ledger.trials import Ledger
from delever.study.machines.parcel import Content, parcel
from delever.study.portfolios.joint_inputs import gather_joint
from delever.study.settings.config import Study
from delever.study.settings.portfolio_config import PortfolioStudy
from delever.study.sweeps.by_itself import why_by_itself
from delever.study.sweeps.chunk import SweepGround, combination_maker, ground_of, swept_trial
from delever.study.sweeps.joint_ground import JointGround
from delever.study.sweeps.joint_sweep import (
    joint_combination_maker,
    joint_ground_of,
    not_on_a_cluster,
)
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
    trial: Callable[[Mapping[str, Any]], dict[str, Any]]  # the same as the ledger keeps it
    manifest: Mapping[str, Any]
    # whether one such as this takes as long as a backtest
    slow: Callable[[Mapping[str, Any]], bool]
    ledger: Ledger
    carried: Callable[[], Mapping[str, Content]]  # the files that a cluster needs


def swept_study(study: Study, workspace: Workspace) -> SweptStudy:
    """Load everything that a study to be swept names. Raises what loading it raises."""
    if isinstance(study, PortfolioStudy):
        return _of_several(study, workspace)
    inputs = gather(study, workspace)
    ground = ground_of(study, inputs)
    combination, trial = combination_maker(study, ground), swept_trial(ground)
    return SweptStudy(
        study=study,
        ground=ground,
        strategy=inputs.strategy,
        data=study.data,
        combination=combination,
        trial=lambda values: trial(combination(values)),
        manifest=inputs.manifest(study),
        slow=lambda values: bool(why_by_itself(ground)),
        ledger=Ledger.of(workspace, inputs.data.frame, study.data),
        carried=partial(parcel, study, inputs.strategies(study), inputs.datasets, workspace),
    )


def _of_several(study: PortfolioStudy, workspace: Workspace) -> SweptStudy:
    inputs = gather_joint(study, workspace)
    ground, strategy = joint_ground_of(study, inputs), inputs.rule.strategy
    assert isinstance(strategy, Strategy)
    combination, manifest = (
        joint_combination_maker(study, inputs, workspace),
        inputs.manifest(study),
    )
    data = str(manifest["study"]["data"])

    def carried() -> Mapping[str, Content]:
        raise not_on_a_cluster()

    return SweptStudy(
        study=study,
        ground=ground,
        strategy=strategy,
        data=data,
        combination=combination,
        trial=lambda values: ground.trial(combination(values)),
        manifest=manifest,
        slow=lambda values: ground.slow(combination(values)),
        ledger=ground.ledger(workspace, data),
        carried=carried,
    )
