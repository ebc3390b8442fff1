"""What the tear-sheet's sections on attribution, counterfactuals and the account hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from delever.report import figures
from delever.report.pages.account_tables import account_table, costs_table, rules_table
from delever.report.pages.attribution_tables import parts_shown, scopes_table
from delever.report.pages.metric_tables import SCOPE_LABELS, period_labels
from delever.report.pages.what_if_table import what_if_table
from delever.report.table import Table
from delever.research.attribution import attribution
from delever.research.evaluation import SCOPES, Evaluation
from delever.research.what_if import AS_RUN, WhatIf, outcomes

__all__ = ["account_tables", "parts_content", "what_if_paths", "what_if_table_of"]


def parts_content(evaluation: Evaluation) -> dict[str, object]:
    """What made the result, as a figure and a table."""
    table = attribution(evaluation)
    labels = period_labels(evaluation.periods)
    scopes = table.loc[list(SCOPES) if labels else ["whole"]].rename(index=SCOPE_LABELS)
    each = table.loc[list(labels)].rename(index=labels)
    shares = each.div(each["equity_before"].where(each["equity_before"] > 0), axis=0)
    return {
        "parts_bars": figures.attribution_bars(scopes, shares, parts=parts_shown(table)),
        "parts": scopes_table(table, evaluation.periods),
    }


def what_if_table_of(evaluation: Evaluation, found: WhatIf | None) -> Table | None:
    """Counterfactuals of one run beside it."""
    if found is None or not (len(found.paths) or found.refused):
        return None
    name = evaluation.name
    return what_if_table({name: outcomes(evaluation, found)}, {name: found.refused})


def what_if_paths(evaluation: Evaluation, found: WhatIf | None) -> figures.Chart | None:
    """Growth of the run and of its counterfactuals."""
    if found is None or not len(found.paths):
        return None
    equities = {AS_RUN: evaluation.backtest.equity}
    equities |= {
        str(name): path["equity"] for name, path in found.paths.groupby("name", sort=False)
    }
    grown = {name: equity / found.initial_equity for name, equity in equities.items()}
    return figures.growth_paths(grown, evaluation.backtest.timeframe)


def account_tables(evaluation: Evaluation, manifest: Mapping[str, Any]) -> dict[str, Table]:
    """The account, its costs and its rules, as far as the manifest tells them."""
    study = manifest.get("study") or {}
    account = study.get("account") or {}
    simulated = (manifest.get("simulation") or {}).get("backtest") or {}
    rules = simulated.get("rules") or []
    return {
        "account": account_table(account),
        "rules": rules_table(rules),
        "costs": costs_table(
            evaluation.backtest.costs,
            times=float(study.get("costs_times", 1.0)),
            slippage=account.get("slippage") or {},
            rules=rules if study.get("costs") is None else [],
        ),
    }
