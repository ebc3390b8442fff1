"""A run of several symbols: simulated, put to the tests of luck that there are, and described."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from delever.engine.joint_orders import by_symbol, decided_last, together
from delever.engine.orders import EXPOSURE, Target, exposure_of
from delever.engine.portfolio import PortfolioBacktest
from delever.errors import DeleverError
from delever.panel import Markets
from delever.research.answer import Answer
from delever.research.evaluation import Evaluation
from delever.research.joint_runs import again
from delever.research.luck import no_test
from delever.research.what_if import WhatIf, kept, neighbour_name, what_if
from delever.signals.allocation import RULES
from delever.study.kept.provenance import outcome
from delever.study.ledger.trials import Ledger, account_facts, costs_facts, strategy_facts
from delever.study.portfolios.joint_remarks import joint_remarks
from delever.study.portfolios.joint_simulation import JointAccount, JointRule
from delever.study.runs.answering import Progress, tested
from delever.study.runs.neighbours import steps
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace

NOT_REDRAWN = (
    "redrawn periods are drawn on one market; of several, each would have to be resampled with all "
    "others as they moved, which is not built"
)
"""Why a run of several symbols is not put to the second test."""


def joint_answer(evaluation: Evaluation, *, progress: Progress) -> Answer:
    """Answer for a run of several symbols, put to the test of timing."""
    progress("testing against luck")
    return tested(evaluation, evaluation.bars, no_test(NOT_REDRAWN))


def joint_what_if(
    evaluation: Evaluation,
    markets: Markets,
    rule: JointRule,
    names: Sequence[str] | None = None,
) -> WhatIf:
    """Counterfactuals of a run; where none are named, with parameters a step beside its own."""
    run = evaluation.backtest
    assert isinstance(run, PortfolioBacktest)
    found = what_if(run, names)
    if names is not None or not isinstance(rule.strategy, Strategy):
        return found
    runs: dict[str, PortfolioBacktest | DeleverError] = {}
    asked = run.request["target_exposure"] if run.request else pd.DataFrame()
    for name, other in _beside(rule):
        try:
            target = decided_last(other.target(markets)).loc[asked.index]
            own, was = by_symbol(target), by_symbol(asked)
            runs[name] = again(
                run,
                target_exposure=together(
                    {symbol: _begun(own[symbol], was[symbol]) for symbol in was}, asked.index
                ),
            )
        except DeleverError as error:
            runs[name] = error
    return found.joined(kept(run.initial_equity, runs))


def _begun(own: Target, was: Target) -> Target:
    """What a neighbour asks for, and before its first decision what the run itself did."""
    known = exposure_of(own).notna()
    if isinstance(own, pd.Series) and isinstance(was, pd.Series):
        return own.where(known, was)
    both = [one.to_frame(EXPOSURE) if isinstance(one, pd.Series) else one for one in (own, was)]
    return pd.concat([both[0][known], both[1][~known]]).sort_index()


def _beside(rule: JointRule) -> Iterator[tuple[str, JointRule]]:
    """The same strategy, one parameter a step beside its own."""
    for parameter, value, was in steps(rule.params):
        changed = {**rule.params, parameter: value}
        yield neighbour_name(parameter, value, was), replace(rule, params=changed)


def record_joint(
    place: Workspace,
    evaluation: Evaluation,
    markets: Markets,
    rule: JointRule,
    account: JointAccount,
    *,
    costs_times: float,
    start: pd.Timestamp | None,
    data: str,
    by: str,
) -> int:
    """Append a run to the ledger of trials, and count all of these markets.

    The market that it is one of is the index of all symbols: with another coin it is another one.

    Raises StoreError if the ledger cannot be written.
    """
    ledger = Ledger.of(place, whole_index(markets), data)
    run = evaluation.backtest
    answered = (run.request or {}).get("target_exposure")
    trial = joint_trial(
        rule, account, costs_times=costs_times, timeframe=run.timeframe, start=start,
        answered=answered,
    )  # fmt: skip
    last = evaluation.bars.index[-1]
    return ledger.record([trial], by=by, study=evaluation.name, until=last)


def joint_trial(
    rule: JointRule,
    account: JointAccount,
    *,
    costs_times: float,
    timeframe: str,
    start: pd.Timestamp | None,
    answered: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """What makes a run of several symbols the same trial as another, but for its markets."""
    return {
        "strategy": strategy_facts(rule.strategy, answered),
        "params": asked_params(rule),
        "costs": {
            symbol: costs_facts(costs.stressed(costs_times))
            for symbol, costs in sorted(account.costs.items())
        },
        "account": {
            "margin": account.margin.mode,
            "band": account.band,
            **{name: account_facts(one) for name, one in sorted(account.accounts.items())},
        },
        "timeframe": timeframe,
        "start": None if start is None else f"{start:%Y-%m-%dT%H:%M}",
    }


def asked_params(rule: JointRule) -> dict[str, Any]:
    """Parameters of a strategy, and the rule behind it with its own, which may be called alike."""
    if rule.rule is None:
        return dict(rule.params)
    behind = {"rule": rule.rule.name, **rule.rule_params}
    if rule.rule.function not in RULES:  # a file of one's own is known by its bytes
        behind["rule_sha256"] = rule.rule.sha256
    return {**rule.params, **{f"portfolio.{name}": value for name, value in behind.items()}}


def whole_index(markets: Markets) -> pd.DataFrame:
    """The index of all markets as bars of which only the opens are asked."""
    level = markets.equal_weight()
    return pd.DataFrame({"open": level.shift().fillna(level.iloc[0])}, index=markets.index)


def joint_facts(
    evaluation: Evaluation,
    markets: Markets,
    found: WhatIf,
    *,
    benchmark: str,
    costs_times: float,
    n_trials: int,
) -> dict[str, Any]:
    """What a manifest says of a run of several symbols beside its inputs."""
    return {
        "benchmark": {"name": benchmark_label(markets, benchmark)},
        **joint_remarks(
            evaluation,
            markets,
            benchmark=described_benchmark(markets, benchmark),
            costs_times=costs_times,
            n_trials=n_trials,
        ),
        **outcome(evaluation, found),
    }


def described_benchmark(markets: Markets, name: str) -> str:
    """What the benchmark is, in words."""
    if name in markets.symbols:
        return f"{name}, bought and held"
    if name != "buy_and_hold":
        return f"{name.replace('_', ' ')} on spot, in equal shares"
    top = "" if markets.top is None else f" the {markets.top} largest by dollar volume of"
    return (
        f"an equal part of{top} the {len(markets)} symbols as they were listed then, bought and "
        "held, put right when one comes or goes"
    )


def benchmark_label(markets: Markets, name: str) -> str:
    """What the benchmark is called in tables."""
    if name in markets.symbols:
        return f"holding {name}"
    return "equal-weight hold" if name == "buy_and_hold" else name
