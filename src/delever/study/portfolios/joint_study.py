"""How a study of several symbols becomes a run: from its file to its results folder."""

from __future__ import annotations

from delever.study.kept.provenance import git_state
from delever.study.portfolios.joint_inputs import gather_joint
from delever.study.portfolios.joint_run import (
    joint_answer,
    joint_facts,
    joint_what_if,
    record_joint,
)
from delever.study.portfolios.joint_simulation import simulate_joint
from delever.study.runs.answering import Progress
from delever.study.runs.run import Run, kept, made_before
from delever.study.runs.simulation import RunTerms
from delever.study.settings.portfolio_config import PortfolioStudy
from delever.study.workspaces.workspace import Workspace


def run_joint_study(
    study: PortfolioStudy,
    workspace: Workspace,
    *,
    fresh: bool,
    progress: Progress,
) -> Run:
    """Run a study of several symbols, or read back what the same inputs made."""
    inputs = gather_joint(study, workspace)
    manifest = inputs.manifest(study)
    there = made_before(manifest, study, workspace, inputs.extensions)
    if there is not None and not fresh:
        return there
    progress("simulating")
    evaluation = simulate_joint(
        inputs.markets,
        inputs.rule,
        name=study.name,
        benchmark=inputs.benchmark,
        account=inputs.account,
        terms=RunTerms.of(study, inputs.periods, inputs.extensions),
    )
    n_trials = record_joint(
        *(workspace, evaluation, inputs.markets, inputs.rule, inputs.account),
        costs_times=study.costs_times,
        start=study.start_time,
        data=manifest["study"]["data"],
        by="run",
    )
    found = joint_what_if(evaluation, inputs.markets, inputs.rule, study.counterfactuals)
    manifest |= {
        "git": git_state(workspace.root),
        **joint_facts(
            *(evaluation, inputs.markets, found),
            benchmark=study.benchmark,
            costs_times=study.costs_times,
            n_trials=n_trials,
        ),
    }
    made = joint_answer(evaluation, progress=progress)
    done = Run(
        evaluation=evaluation,
        manifest=manifest,
        what_if=found,
        asked=lambda: made,
        sections=inputs.extensions.sections,
    )
    progress("writing the tear-sheet")
    return kept(done, study, workspace)
